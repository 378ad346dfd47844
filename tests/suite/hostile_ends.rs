//! Clients that offer, commit or end what no honest one would: directories, links, and
//! files that are there, perhaps.

use std::fs;

use haul::code::Code;
use haul::content::Checksum;
use haul::entry::{Entry, Kind, LinkTarget};
use haul::offer::{EntryId, OnExisting, Reason, Verdict};
use haul::wire::Message;
use haul::wire::message::{End, Exception, Offer, Offered, Range};

use crate::landscape::{look, set_time};
use crate::putting::X;
use crate::raw::{Heard, Raw, block, commit, committed, offer, offered, sum, transfer};
use crate::rig::{Rig, noise};
use crate::secrecy::{Secrecy, plain_and_encrypted};
use crate::unharmed::{is_unharmed, patient_server};

plain_and_encrypted! {
    an_end_of_too_many_or_of_something_else_ends_the_connection,
    an_end_goes_through_no_link_and_over_nothing_of_another_kind,
    a_directory_is_offered_only_to_ask,
    an_offered_link_that_leads_out_is_refused,
    a_block_of_a_link_ends_the_connection,
    a_wrong_checksum_for_what_is_there_publishes_and_touches_nothing,
    the_right_checksum_sets_mode_and_time,
    blocks_of_what_must_not_be_replaced_are_refused,
    what_changed_since_it_was_judged_the_same_is_not_touched,
    what_may_replace_what_is_there_does_once_all_its_blocks_have_come,
}

fn of_kind(number: u64, path: &str, kind: Kind) -> Offered {
    let Offered { entry, what, base } = offered(EntryId(number), path, b"");
    let what = Entry { kind, ..what };
    Offered { entry, what, base }
}

fn directory(number: u64, path: &str) -> Offered {
    of_kind(number, path, Kind::Dir)
}

fn link(number: u64, path: &str, text: &str) -> Offered {
    of_kind(number, path, Kind::Link(LinkTarget::new(text).unwrap()))
}

/// Offers one thing, and returns what the server decides.
fn judged(raw: &mut Raw, offer: &Offer) -> Verdict {
    raw.say(offer);
    match raw.hear() {
        Heard::Message(Message::Want(mut want)) => want.verdicts.remove(0).verdict,
        other => panic!("no verdicts but {other:?}"),
    }
}

fn receipt(raw: &mut Raw) -> Vec<Exception> {
    match raw.hear() {
        Heard::Message(Message::Receipt(receipt)) => receipt.exceptions,
        other => panic!("no receipt but {other:?}"),
    }
}

fn end(directories: Vec<Offered>) -> End {
    End {
        request: 7,
        transfer: transfer(),
        directories,
    }
}

fn an_end_of_too_many_or_of_something_else_ends_the_connection(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let many = |count| {
        (0..count)
            .map(|n| directory(n, &format!("d/{n}")))
            .collect()
    };
    let check = |case: &str, why: &str, directories| {
        let mut raw = Raw::open(&rig);
        raw.say(&end(directories));
        raw.is_ended(Code::Protocol, why, case);
        is_unharmed(&rig, case);
    };
    check("257 directories", "more than 256", many(257));
    let among = |other| vec![directory(1, "d/e"), other, directory(3, "d")];
    let no_directory = "no directory";
    check(
        "a file among them",
        no_directory,
        among(offered(EntryId(2), "d/f", b"x")),
    );
    check(
        "a link among them",
        no_directory,
        among(link(2, "d/l", "e")),
    );

    let mut raw = Raw::open(&rig);
    raw.say(&end(many(256)));
    assert_eq!(receipt(&mut raw), []);
    assert_eq!(fs::read_dir(rig.root().join("d")).unwrap().count(), 256);
}

fn an_end_goes_through_no_link_and_over_nothing_of_another_kind(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let outside = rig.dir.path().join("outside");
    fs::create_dir_all(outside.join("in")).unwrap();
    std::os::unix::fs::symlink(&outside, rig.root().join("link")).unwrap();
    for path in [outside.clone(), outside.join("in"), rig.root().join("old")] {
        set_time(&path, (1, 1));
    }
    let before = [&outside, &outside.join("in"), &rig.root().join("old")].map(|path| look(path));
    let mut raw = Raw::open(&rig);
    let paths = ["old", "old/in", "link", "link/in", "link/new", "fine"];
    let directories = (0..).zip(paths).map(|(n, path)| directory(n, path));
    raw.say(&end(directories.collect()));
    let codes: Vec<_> = receipt(&mut raw)
        .iter()
        .map(|e| (e.entry.0, e.code))
        .collect();
    let (exists, file) = (Code::Exists, Code::File);
    let expected = [(0, exists), (1, exists), (2, exists), (3, file), (4, file)];
    assert_eq!(codes, expected);
    let after = [&outside, &outside.join("in"), &rig.root().join("old")].map(|path| look(path));
    assert_eq!(after, before);
    assert!(rig.root().join("fine").is_dir());
    assert!(!outside.join("new").exists());
}

fn a_directory_is_offered_only_to_ask(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let mut raw = Raw::open(&rig);
    let mut asked = offer(transfer(), vec![directory(1, "d")]);
    let refused = Verdict::Refused(Code::Protocol, Reason::Unsaid);
    assert_eq!(judged(&mut raw, &asked), refused);
    asked.dry = true;
    assert_eq!(judged(&mut raw, &asked), Verdict::Send(None));
    is_unharmed(&rig, "an offered directory");
}

fn an_offered_link_that_leads_out_is_refused(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    for (path, text) in [
        ("l", "/etc/passwd"),
        ("l", ".."),
        ("l", "../old"),
        ("d/l", "../../old"),
        ("d/l", "../e/../../old"),
        ("d/l", "e/../../../old"),
    ] {
        for dry in [true, false] {
            let mut raw = Raw::open(&rig);
            let mut asked = offer(transfer(), vec![link(1, path, text)]);
            (asked.dry, asked.on) = (dry, OnExisting::Replace);
            let refused = Verdict::Refused(Code::File, Reason::LeadsOut);
            assert_eq!(judged(&mut raw, &asked), refused, "{path} -> {text}");
            // Committed all the same, it is nothing that is under way.
            raw.say(&commit(asked.transfer, vec![committed(EntryId(1), None)]));
            let codes: Vec<_> = receipt(&mut raw).iter().map(|e| e.code).collect();
            assert_eq!(codes, [Code::Connection], "{path} -> {text}");
        }
        is_unharmed(&rig, text);
    }
}

fn a_block_of_a_link_ends_the_connection(secrecy: Secrecy) {
    let rig = patient_server(secrecy);
    let (mut raw, id) = (Raw::open(&rig), transfer());
    let granted = judged(&mut raw, &offer(id, vec![link(1, "l", "old")]));
    assert_eq!(granted, Verdict::Send(None));
    let (header, body) = block(id, EntryId(1), b"x", 0);
    raw.send_block(&header, &body);
    raw.is_ended(Code::Protocol, "does not have", "a block of a link");
    is_unharmed(&rig, "a block of a link");
}

/// A file `x` of three blocks that is there with these bytes, and an offer of as many
/// bytes of another time, which is answered with a checksum.
fn doubted(secrecy: Secrecy, there: &[u8], on: OnExisting) -> (Rig, Raw, Offer, Verdict) {
    let rig = patient_server(secrecy);
    fs::write(rig.root().join("x"), there).unwrap();
    set_time(&rig.root().join("x"), (99, 99));
    let mut raw = Raw::open(&rig);
    let mut asked = offer(transfer(), vec![offered(X, "x", there)]);
    asked.on = on;
    let verdict = judged(&mut raw, &asked);
    (rig, raw, asked, verdict)
}

fn a_wrong_checksum_for_what_is_there_publishes_and_touches_nothing(secrecy: Secrecy) {
    let there = noise(2500);
    for (case, claim) in [
        ("another", Some(Checksum::Blake3([7; 32]))),
        ("none", None),
        ("of another algorithm", Some(Checksum::Sha256([7; 32]))),
    ] {
        for on in [OnExisting::Refuse, OnExisting::Replace, OnExisting::IfNewer] {
            let (rig, mut raw, asked, _) = doubted(secrecy, &there, on);
            let before = look(&rig.root().join("x"));
            raw.say(&commit(asked.transfer, vec![committed(X, claim)]));
            if on == OnExisting::IfNewer {
                // It is kept, and so not under way.
                assert_eq!(receipt(&mut raw)[0].code, Code::Connection, "{case}");
            } else {
                let codes: Vec<_> = receipt(&mut raw).iter().map(|e| e.code).collect();
                assert_eq!(codes, [Code::Connection], "{case}, {on:?}");
            }
            assert_eq!(look(&rig.root().join("x")), before, "{case}, {on:?}");
            raw.is_answered(case);
        }
    }
}

fn the_right_checksum_sets_mode_and_time(secrecy: Secrecy) {
    let there = noise(2500);
    let (rig, mut raw, asked, verdict) = doubted(secrecy, &there, OnExisting::Refuse);
    assert_eq!(verdict, Verdict::SameIf(sum(&there), None));
    raw.say(&commit(
        asked.transfer,
        vec![committed(X, Some(sum(&there)))],
    ));
    assert_eq!(receipt(&mut raw), []);
    let x = look(&rig.root().join("x"));
    assert_eq!((x.mode, x.mtime), (0o644, (1, 0)));
}

fn blocks_of_what_must_not_be_replaced_are_refused(secrecy: Secrecy) {
    for there in [noise(1000), noise(2500)] {
        let (rig, mut raw, asked, verdict) = doubted(secrecy, &there, OnExisting::Refuse);
        assert_eq!(verdict, Verdict::SameIf(sum(&there), None));
        let before = look(&rig.root().join("x"));
        let other: Vec<u8> = there.iter().map(|byte| byte ^ 1).collect();
        let (header, body) = block(asked.transfer, X, &other, 0);
        raw.send_block(&header, &body);
        let fail = raw.hear_fail("a block that nobody wants");
        assert_eq!((fail.entry, fail.code), (Some(X), Code::Connection));
        raw.say(&commit(
            asked.transfer,
            vec![committed(X, Some(sum(&other)))],
        ));
        assert_eq!(receipt(&mut raw)[0].code, Code::Connection);
        assert_eq!(look(&rig.root().join("x")), before);
        raw.is_answered("refused blocks");
    }
}

fn what_changed_since_it_was_judged_the_same_is_not_touched(secrecy: Secrecy) {
    let there = noise(2500);
    let (rig, mut raw, asked, _) = doubted(secrecy, &there, OnExisting::Refuse);
    let x = rig.root().join("x");
    fs::write(&x, noise(2501)).unwrap();
    let before = look(&x);
    raw.say(&commit(
        asked.transfer,
        vec![committed(X, Some(sum(&there)))],
    ));
    let exception = &receipt(&mut raw)[0];
    assert_eq!(exception.code, Code::Mismatch);
    assert_eq!(
        exception.text,
        "\"x\" was changed by somebody else meanwhile"
    );
    assert_eq!(look(&x), before);
}

fn what_may_replace_what_is_there_does_once_all_its_blocks_have_come(secrecy: Secrecy) {
    let there = noise(2500);
    let (rig, mut raw, asked, verdict) = doubted(secrecy, &there, OnExisting::Replace);
    let Verdict::SameIf(_, Some(_)) = verdict else {
        panic!("{verdict:?}");
    };
    let x = rig.root().join("x");
    let before = look(&x);
    let other: Vec<u8> = there.iter().map(|byte| byte ^ 1).collect();
    // All of them went down with another connection: a commit is told so.
    raw.say(&commit(
        asked.transfer,
        vec![committed(X, Some(sum(&other)))],
    ));
    let (first, count) = (0, 3);
    assert_eq!(receipt(&mut raw)[0].missing, [Range { first, count }]);
    let ticket = match verdict {
        Verdict::SameIf(_, ticket) => ticket,
        _ => None,
    };
    for index in 0..3 {
        let (mut header, body) = block(asked.transfer, X, &other, index);
        header.ticket.clone_from(&ticket);
        header.path = Some(crate::rig::remote("x"));
        header.size = Some(2500);
        raw.send_block(&header, &body);
        raw.is_answered("a block");
        assert_eq!(look(&x), before, "after block {index}");
    }
    raw.say(&commit(
        asked.transfer,
        vec![committed(X, Some(sum(&other)))],
    ));
    assert_eq!(receipt(&mut raw), []);
    assert_eq!(fs::read(&x).unwrap(), other);
}
