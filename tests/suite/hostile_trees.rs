//! Servers that list or answer what no tree is like.

use std::fs;
use std::path::Path;

use haul::client::{Client, JobOptions, Links};
use haul::code::Code;
use haul::content::Checksum;
use haul::entry::{Entry, Kind, LinkTarget, Version};
use haul::offer::{EntryId, Ticket, Verdict};
use haul::wire::Message;
use haul::wire::message::{Answered, End, Exception, Fail, Offer, Sent, Want};

use crate::evil::{facing, page, receipt};
use crate::landscape::{file, get_tree, link, put_tree, seen};
use crate::raw::{Heard, Raw, block, entry};
use crate::rig::{Outcome, noise};
use crate::secrecy::{Secrecy, plain_and_encrypted};
use crate::unharmed::patient;

plain_and_encrypted! {
    a_tree_in_which_something_is_beneath_no_directory_is_not_believed,
    links_that_lead_out_are_never_made,
    links_that_are_followed_lead_nowhere_else_here,
    a_verdict_on_a_link_that_only_a_file_can_have_ends_the_put,
    a_receipt_for_an_end_is_about_its_directories,
    a_receipt_for_a_commit_is_about_its_entries,
    an_end_that_is_not_answered_is_no_success,
}

fn listed(path: &str) -> Entry {
    Entry {
        version: Some(Version([1; 16])),
        ..entry(path, &noise(path.len()))
    }
}

fn directory(path: &str) -> Entry {
    Entry {
        kind: Kind::Dir,
        version: None,
        ..listed(path)
    }
}

fn linked(path: &str, text: &str) -> Entry {
    Entry {
        kind: Kind::Link(LinkTarget::new(text).unwrap()),
        version: None,
        ..listed(path)
    }
}

/// Gives whatever is asked for, until the client has gone.
fn give(raw: &mut Raw) {
    while let Heard::Message(Message::Fetch(fetch)) = raw.hear() {
        for wanted in &fetch.files {
            let bytes = noise(wanted.path.as_str().len());
            let (header, body) = block(fetch.transfer, wanted.entry, &bytes, 0);
            raw.send_block(&header, &body);
        }
        raw.say(&Sent {
            request: fetch.request,
            exceptions: vec![],
        });
    }
}

fn gets(secrecy: Secrecy, into: &Path, entries: Vec<Entry>, options: &JobOptions) -> Outcome {
    let script = move |raw: &mut Raw| {
        let request = raw.hear_list();
        raw.say(&page(request, entries));
        give(raw);
    };
    facing(secrecy, patient(), script, |client: &Client| {
        get_tree(client, (Some("t"), Some("t")), into, options)
    })
}

#[track_caller]
fn comes_to(secrecy: Secrecy, case: &str, code: u8, entries: &[Entry]) {
    for links in [Links::Keep, Links::Skip] {
        let dir = tempfile::tempdir().unwrap();
        let [into, outside] = ["into", "outside"].map(|name| dir.path().join(name));
        file(&outside.join("secret"), 3);
        let before = seen(&outside);
        let options = JobOptions {
            links,
            ..JobOptions::default()
        };
        let outcome = gets(secrecy, &into, entries.to_vec(), &options);
        assert_eq!(outcome.code(), code, "{case}, {links:?}: {outcome:?}");
        assert!(seen(&outside) == before, "{case}: something is outside");
        assert!(!into.join(".haul").exists(), "{case}");
        // Whatever is there beside it is nothing that leads anywhere else.
        for (path, there) in seen(&into) {
            let text = format!("{there:?}");
            assert!(!text.contains(".."), "{case}: {}: {text}", path.display());
        }
    }
}

fn a_tree_in_which_something_is_beneath_no_directory_is_not_believed(secrecy: Secrecy) {
    let top = || directory("t");
    let file = listed;
    comes_to(secrecy, "a file", 9, &[top(), file("t/a"), file("t/a/b")]);
    let far = [top(), file("t/a"), file("t/a.x"), file("t/a/b")];
    comes_to(secrecy, "a file, and more between", 9, &far);
    comes_to(
        secrecy,
        "a link",
        9,
        &[top(), linked("t/a", "../outside"), file("t/a/secret")],
    );
    comes_to(
        secrecy,
        "a link in it",
        9,
        &[top(), linked("t/a", "b"), file("t/a/b")],
    );
    comes_to(secrecy, "nothing", 9, &[top(), file("t/a/b")]);
    comes_to(
        secrecy,
        "a directory beneath a file",
        9,
        &[top(), file("t/a"), directory("t/a/b")],
    );
    let beside = [top(), directory("t/a"), directory("t/b"), file("t/b/c/d")];
    comes_to(secrecy, "a directory that was not listed", 9, &beside);
    let left = [top(), directory("t/a"), directory("t/a/b"), file("t/ab/c")];
    comes_to(secrecy, "a directory that begins like another", 9, &left);
    let whole = [
        top(),
        directory("t/a"),
        directory("t/a/b"),
        file("t/a/c"),
        file("t/d"),
    ];
    comes_to(secrecy, "a tree as it is", 0, &whole);
}

fn links_that_lead_out_are_never_made(secrecy: Secrecy) {
    for text in [
        "/etc/passwd",
        "../x",
        "..",
        "a/../..",
        "../t/../../x",
        "./../..",
    ] {
        comes_to(secrecy, text, 0, &[directory("t"), linked("t/a", text)]);
    }
    let deep = [directory("t"), directory("t/a"), linked("t/a/b", "../../x")];
    comes_to(secrecy, "from a directory", 0, &deep);
}

fn links_that_are_followed_lead_nowhere_else_here(secrecy: Secrecy) {
    let dir = tempfile::tempdir().unwrap();
    let options = JobOptions {
        links: Links::Follow,
        ..JobOptions::default()
    };
    // Each place that is asked for holds a link to yet another one: that has an end.
    let script = |raw: &mut Raw| {
        let mut request = raw.hear_list();
        let mut at = "t".to_owned();
        for n in 0.. {
            let link = linked(&format!("{at}/next"), &format!("../t{n}"));
            raw.say(&page(request, vec![directory(&at), link]));
            match raw.hear() {
                Heard::Message(Message::List(list)) => {
                    request = list.request;
                    list.path.unwrap().as_str().clone_into(&mut at);
                }
                Heard::End | Heard::Lost => return,
                other => panic!("{other:?}"),
            }
        }
    };
    let outcome = facing(secrecy, patient(), script, |client: &Client| {
        get_tree(client, (Some("t"), Some("t")), dir.path(), &options)
    });
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    assert!(seen(dir.path()).len() < 20, "{outcome:?}");
}

/// A put of a tree of one link and one directory.
fn puts(secrecy: Secrecy, script: impl FnOnce(&mut Raw) + Send + 'static) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("t");
    fs::create_dir_all(source.join("d")).unwrap();
    link("d", &source.join("l"));
    facing(secrecy, patient(), script, |client: &Client| {
        put_tree(client, &source, Some("t"), &JobOptions::default())
    })
}

/// Takes the link, as it should be.
fn takes(raw: &mut Raw) {
    let offer = raw.hear_offer();
    judges(raw, &offer, Verdict::Send(None));
    match raw.hear_message() {
        Message::Commit(commit) => raw.say(&receipt(commit.request, vec![])),
        other => panic!("{other:?}"),
    }
}

fn judges(raw: &mut Raw, offer: &Offer, verdict: Verdict) {
    let entry = offer.entries[0].entry;
    raw.say(&Want {
        request: offer.request,
        verdicts: vec![Answered { entry, verdict }],
    });
}

fn hears_end(raw: &mut Raw) -> End {
    match raw.hear_message() {
        Message::End(end) => end,
        other => panic!("{other:?}"),
    }
}

fn a_verdict_on_a_link_that_only_a_file_can_have_ends_the_put(secrecy: Secrecy) {
    let ticket = || Ticket::new(b"ticket");
    let sum = Checksum::Blake3([7; 32]);
    for (case, verdict) in [
        ("same if", Verdict::SameIf(sum, None)),
        ("same if, with a ticket", Verdict::SameIf(sum, ticket())),
        ("send, with a ticket", Verdict::Send(ticket())),
        ("partly", Verdict::Partly(ticket().unwrap())),
        ("kept, though nothing is to be kept", Verdict::Kept),
        ("replace", Verdict::Replace),
    ] {
        let outcome = puts(secrecy, move |raw| {
            let offer = raw.hear_offer();
            judges(raw, &offer, verdict);
        });
        assert_eq!(outcome.code(), 9, "{case}: {outcome:?}");
    }
}

/// Which request is answered, and what is said to have failed.
type Answer = fn(&End) -> (u64, Option<(EntryId, Code)>);

fn a_receipt_for_an_end_is_about_its_directories(secrecy: Secrecy) {
    let exception = |entry, code| Exception {
        entry,
        code,
        text: "why".to_owned(),
        missing: vec![],
    };
    let check = |case: &str, code: u8, answer: Answer| {
        let outcome = puts(secrecy, move |raw| {
            takes(raw);
            let end = hears_end(raw);
            assert_eq!(end.directories.len(), 2);
            let (request, failed) = answer(&end);
            let failed = failed.map(|(entry, code)| exception(entry, code));
            raw.say(&receipt(request, failed.into_iter().collect()));
        });
        assert_eq!(outcome.code(), code, "{case}: {outcome:?}");
    };
    check("all is well", 0, |end| (end.request, None));
    check("one has failed", 10, |end| {
        (end.request, Some((end.directories[0].entry, Code::File)))
    });
    check("another entry", 9, |end| {
        (end.request, Some((EntryId(99), Code::File)))
    });
    check("another request's", 9, |end| (end.request + 1, None));
}

fn a_receipt_for_a_commit_is_about_its_entries(secrecy: Secrecy) {
    let outcome = puts(secrecy, |raw| {
        let offer = raw.hear_offer();
        judges(raw, &offer, Verdict::Send(None));
        match raw.hear_message() {
            Message::Commit(commit) => {
                let exception = Exception {
                    entry: EntryId(99),
                    code: Code::File,
                    text: "why".to_owned(),
                    missing: vec![],
                };
                raw.say(&receipt(commit.request, vec![exception]));
            }
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(outcome.code(), 9, "{outcome:?}");
}

fn an_end_that_is_not_answered_is_no_success(secrecy: Secrecy) {
    let outcome = puts(secrecy, |raw| {
        takes(raw);
        hears_end(raw);
    });
    assert_eq!(outcome.code(), 3, "{outcome:?}");
    let outcome = puts(secrecy, |raw| {
        takes(raw);
        let end = hears_end(raw);
        raw.say(&Fail::request(end.request, Code::NotAuthorised, "no"));
    });
    assert_eq!(outcome.code(), 4, "{outcome:?}");
}
