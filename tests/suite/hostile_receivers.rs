//! Servers that break the protocol while a client puts files on them.

use haul::client::{Event, Status};
use haul::code::Code;
use haul::content::Checksum;
use haul::offer::{EntryId, Reason, Verdict};
use haul::transfer::Deadlines;
use haul::wire::message::{Fail, Nodes, NodesAre, Range, Receipt, SumIs, Want, Working, write};
use haul::wire::{Message, preface};

use crate::evil::{LARGE, SMALL, exception, page, puts, puts_until, receipt, takes, ticket_for};
use crate::evil::{want, welcome};
use crate::raw::{Act, Heard, PATIENCE, Raw, SOON, block, transfer};
use crate::secrecy::{Secrecy, plain_and_encrypted};
use crate::unharmed::patient;

plain_and_encrypted! {
    an_honest_server_is_believed,
    what_does_not_speak_haul_is_sent_nothing,
    verdicts_that_do_not_answer_the_offer_end_the_put,
    nodes_that_do_not_answer_what_was_asked_end_the_put,
    a_server_that_does_not_say_what_it_has_gets_all_of_it,
    one_verdict_twice_in_place_of_another_ends_the_put,
    a_receipt_that_does_not_answer_the_commit_ends_the_put,
    answers_that_nobody_asked_for_are_not_gathered,
    a_refusal_at_any_point_is_the_file_s_outcome,
    a_message_that_has_no_meaning_ends_the_put,
    a_file_that_the_server_gives_up_fails_alone,
    a_server_that_leaves_at_any_point_stored_nothing,
    a_server_that_falls_silent_at_any_point_is_given_up,
    a_server_that_is_for_ever_working_is_given_up,
    a_server_that_reads_no_more_is_given_up,
}

/// A put that ends with `code`, and calls no file stored.
#[track_caller]
fn ends(
    secrecy: Secrecy,
    case: &str,
    code: u8,
    sizes: &[usize],
    script: impl FnOnce(&mut Raw) + Send + 'static,
) {
    let outcome = puts(secrecy, patient(), sizes, script);
    assert_eq!(outcome.code(), code, "{case}: {outcome:?}");
    assert_eq!(outcome.statuses(), [], "{case}: {outcome:?}");
}

fn an_honest_server_is_believed(secrecy: Secrecy) {
    let outcome = puts(secrecy, patient(), &[SMALL], |raw| {
        let request = takes(raw).request;
        raw.say(&receipt(request, vec![]));
    });
    assert_eq!(outcome.is_fine().statuses().len(), 1);
}

fn what_does_not_speak_haul_is_sent_nothing(secrecy: Secrecy) {
    ends(secrecy, "HTTP", 9, &[SMALL], |raw| {
        raw.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    ends(secrecy, "SSH", 9, &[SMALL], |raw| {
        raw.send(b"SSH-2.0-OpenSSH_9.6\r\n");
    });
    ends(secrecy, "another version", 9, &[SMALL], |raw| {
        raw.send(&preface::encode(2));
    });
    ends(secrecy, "a full server", 3, &[SMALL], |raw| {
        raw.send(&preface::encode(1));
        raw.say(&Fail::connection(Code::Connection, "full up"));
    });
}

fn verdicts_that_do_not_answer_the_offer_end_the_put(secrecy: Secrecy) {
    let check = |case, size, change: fn(&mut Want)| {
        ends(secrecy, case, 9, &[size], move |raw| {
            let offer = raw.hear_offer();
            let mut want = want(&offer, |size| Verdict::Send(ticket_for(size)));
            change(&mut want);
            raw.say(&want);
        });
    };
    check("for another offer", SMALL, |want| want.request += 1);
    check("none", SMALL, |want| want.verdicts.clear());
    check("two for one", SMALL, |want| {
        want.verdicts.push(want.verdicts[0].clone());
    });
    check("on another entry", SMALL, |want| {
        want.verdicts[0].entry = EntryId(99);
    });
    check("a ticket for a small file", SMALL, |want| {
        want.verdicts[0].verdict = Verdict::Send(ticket_for(LARGE));
    });
    check("no ticket for a large file", LARGE, |want| {
        want.verdicts[0].verdict = Verdict::Send(None);
    });
    check("a part of a small file is there", SMALL, |want| {
        want.verdicts[0].verdict = Verdict::Partly(ticket_for(LARGE).unwrap());
    });
    check("what it would be, though it was meant", SMALL, |want| {
        want.verdicts[0].verdict = Verdict::Replace;
    });
}

/// Says that a part of a large file is here, and hears what is asked of it.
fn is_partly_here(raw: &mut Raw) -> Nodes {
    let offer = raw.hear_offer();
    raw.say(&want(&offer, |size| {
        Verdict::Partly(ticket_for(size).unwrap())
    }));
    match raw.hear_message() {
        Message::Nodes(nodes) => nodes,
        other => panic!("{other:?}"),
    }
}

fn nodes_that_do_not_answer_what_was_asked_end_the_put(secrecy: Secrecy) {
    let check = |case, change: fn(&mut NodesAre)| {
        ends(secrecy, case, 9, &[LARGE], move |raw| {
            let asked = is_partly_here(raw);
            let mut nodes = NodesAre {
                request: asked.request,
                first: 0,
                more: false,
                nodes: vec![None; 3],
            };
            change(&mut nodes);
            raw.say(&nodes);
        });
    };
    check("for another request", |nodes| nodes.request += 1);
    check("from another block on", |nodes| nodes.first = 1);
    check("too few", |nodes| nodes.nodes.truncate(2));
    check("too many", |nodes| nodes.nodes.push(None));
    check("more than all", |nodes| nodes.more = true);
    check("a page of none", |nodes| {
        nodes.nodes.clear();
        nodes.more = true;
    });
    ends(secrecy, "nobody asked", 9, &[SMALL], |raw| {
        raw.hear_offer();
        raw.say(&NodesAre {
            request: 1,
            first: 0,
            more: false,
            nodes: vec![None],
        });
    });
}

fn a_server_that_does_not_say_what_it_has_gets_all_of_it(secrecy: Secrecy) {
    let outcome = puts(secrecy, patient(), &[LARGE], |raw| {
        let asked = is_partly_here(raw);
        raw.say(&Fail::request(asked.request, Code::Usage, "why"));
        let mut blocks = Vec::new();
        let commit = loop {
            match raw.hear() {
                Heard::Block(header, _) => blocks.push(header.index),
                Heard::Message(Message::Commit(commit)) => break commit,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(blocks, [0, 1, 2]);
        raw.say(&receipt(commit.request, vec![]));
    });
    assert_eq!(outcome.is_fine().statuses().len(), 1);
}

fn one_verdict_twice_in_place_of_another_ends_the_put(secrecy: Secrecy) {
    // How many files wait when an offer is made is the client's affair: offers of
    // one file are refused until one comes that has two.
    let sizes: Vec<usize> = (SMALL..SMALL + 30).collect();
    let outcome = puts(secrecy, patient(), &sizes, |raw| {
        let mut offer = raw.hear_offer();
        while offer.entries.len() < 2 {
            raw.say(&want(&offer, |_| {
                Verdict::Refused(Code::Exists, Reason::OtherContent)
            }));
            match raw.hear_message() {
                Message::Offer(next) => offer = next,
                other => panic!("{other:?}"),
            }
        }
        let mut want = want(&offer, |_| Verdict::Send(None));
        want.verdicts[1].entry = want.verdicts[0].entry;
        raw.say(&want);
        // A client that took it would commit, and then wait for ever.
        loop {
            match raw.hear() {
                Heard::Message(Message::Commit(commit)) => {
                    raw.say(&receipt(commit.request, vec![]));
                }
                Heard::Message(Message::Working(_)) | Heard::End | Heard::Lost => return,
                Heard::Message(_) | Heard::Block(..) => {}
            }
        }
    });
    assert_eq!(outcome.code(), 9, "{:?}", outcome.result);
    assert_eq!(outcome.statuses(), []);
}

fn a_receipt_that_does_not_answer_the_commit_ends_the_put(secrecy: Secrecy) {
    let check = |case, change: fn(&mut Receipt, EntryId)| {
        ends(secrecy, case, 9, &[SMALL], move |raw| {
            let commit = takes(raw);
            let mut receipt = receipt(commit.request, vec![]);
            change(&mut receipt, commit.entries[0].entry);
            raw.say(&receipt);
        });
    };
    check("for another commit", |receipt, _| receipt.request += 1);
    check("a block beyond the file is missing", |receipt, entry| {
        let range = Range { first: 1, count: 1 };
        receipt.exceptions = vec![exception(entry, Code::Connection, vec![range])];
    });
    check("2^64-1 blocks are missing", |receipt, entry| {
        let range = Range {
            first: 0,
            count: u64::MAX,
        };
        receipt.exceptions = vec![exception(entry, Code::Connection, vec![range])];
    });
    check("blocks from 2^64-1 are missing", |receipt, entry| {
        let range = Range {
            first: u64::MAX,
            count: 1,
        };
        receipt.exceptions = vec![exception(entry, Code::Connection, vec![range])];
    });
    ends(secrecy, "before the commit", 9, &[SMALL], |raw| {
        let offer = raw.hear_offer();
        raw.say(&want(&offer, |_| Verdict::Send(None)));
        raw.say(&receipt(99, vec![]));
        // The end of the connection would be another reason.
        raw.outlast();
    });
}

fn answers_that_nobody_asked_for_are_not_gathered(secrecy: Secrecy) {
    let outcome = puts(secrecy, patient(), &[LARGE], |raw| {
        let offer = raw.hear_offer();
        // In one flight, so that they are heard while the blocks are sent.
        let mut flight = Vec::new();
        write(
            &want(&offer, |size| Verdict::Send(ticket_for(size))),
            &mut flight,
        );
        for request in 100..1100 {
            write(&receipt(request, vec![]), &mut flight);
        }
        raw.send(&flight);
        raw.outlast();
    });
    assert_eq!(outcome.code(), 9, "{outcome:?}");
    let why = format!("{:?}", outcome.result);
    assert!(why.contains("more answers than were asked for"), "{why}");
}

fn a_refusal_at_any_point_is_the_file_s_outcome(secrecy: Secrecy) {
    ends(secrecy, "at the offer", 6, &[SMALL], |raw| {
        let offer = raw.hear_offer();
        raw.say(&want(&offer, |_| {
            Verdict::Refused(Code::Exists, Reason::OtherContent)
        }));
    });
    ends(secrecy, "of the offer", 4, &[SMALL], |raw| {
        let request = raw.hear_offer().request;
        raw.say(&Fail::request(request, Code::NotAuthorised, "no"));
    });
    ends(secrecy, "in the receipt", 8, &[SMALL], |raw| {
        let commit = takes(raw);
        let exceptions = vec![exception(commit.entries[0].entry, Code::Limit, vec![])];
        raw.say(&receipt(commit.request, exceptions));
    });
    ends(secrecy, "of the commit", 8, &[SMALL], |raw| {
        let request = takes(raw).request;
        raw.say(&Fail::request(request, Code::Limit, "no"));
    });
    ends(secrecy, "of the connection", 10, &[SMALL], |raw| {
        takes(raw);
        raw.say(&Fail::connection(Code::File, "no"));
    });
}

fn a_message_that_has_no_meaning_ends_the_put(secrecy: Secrecy) {
    let check = |case, say: fn(&mut Raw)| {
        ends(secrecy, case, 9, &[SMALL], move |raw| {
            takes(raw);
            say(raw);
        });
    };
    check("a listing", |raw| raw.say(&page(1, vec![])));
    check("another welcome", |raw| raw.say(&welcome()));
    check("a checksum", |raw| {
        raw.say(&SumIs {
            request: 2,
            checksum: Checksum::Blake3([0; 32]),
        });
    });
    check("a block", |raw| {
        let (header, body) = block(transfer(), EntryId(0), b"x", 0);
        raw.send_block(&header, &body);
    });
}

fn a_file_that_the_server_gives_up_fails_alone(secrecy: Secrecy) {
    let outcome = puts(secrecy, patient(), &[LARGE, SMALL], |raw| {
        let offer = raw.hear_offer();
        raw.say(&want(&offer, |size| Verdict::Send(ticket_for(size))));
        let mut gone = Vec::new();
        loop {
            match raw.hear() {
                Heard::Message(Message::Offer(offer)) => {
                    raw.say(&want(&offer, |size| Verdict::Send(ticket_for(size))));
                }
                Heard::Block(block, body) if body.len() > SMALL && gone.is_empty() => {
                    let text = "why";
                    raw.say(&Fail::entry(block.transfer, block.entry, Code::File, text));
                    gone.push(exception(block.entry, Code::File, vec![]));
                }
                Heard::Message(Message::Commit(commit)) => {
                    let mut exceptions = gone.clone();
                    exceptions.retain(|e| commit.entries.iter().any(|c| c.entry == e.entry));
                    let request = commit.request;
                    raw.say(&receipt(request, exceptions));
                }
                Heard::Block(..) | Heard::Message(Message::Drop(_)) => {}
                Heard::End | Heard::Lost => return,
                Heard::Message(other) => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(outcome.code(), 10, "{outcome:?}");
    assert_eq!(outcome.statuses(), [Status::Stored], "{outcome:?}");
    let quoted = |event: &Event| matches!(event, Event::Failed { text, .. } if text == "why");
    assert!(outcome.events.iter().any(quoted), "{outcome:?}");
}

/// How far a server comes before it says no more.
const STAGES: [(&str, Act); 6] = [
    ("nothing", |_| {}),
    ("a preface", |raw| raw.send(&preface::encode(1))),
    ("a welcome", |raw| drop(raw.hear_offer())),
    ("half of its verdicts", |raw| {
        raw.hear_offer();
        raw.send(&[6, 0, 0, 11, 0, 0, 0, 99, 0xa1]);
    }),
    ("its verdicts", |raw| {
        let offer = raw.hear_offer();
        raw.say(&want(&offer, |_| Verdict::Send(None)));
    }),
    ("all but its receipt", |raw| drop(takes(raw))),
];

fn a_server_that_leaves_at_any_point_stored_nothing(secrecy: Secrecy) {
    for (stage, act) in STAGES {
        ends(secrecy, stage, 3, &[SMALL], act);
    }
}

fn a_server_that_falls_silent_at_any_point_is_given_up(secrecy: Secrecy) {
    let deadlines = Deadlines {
        opening: SOON,
        stall: SOON,
        ..patient()
    };
    for (stage, act) in STAGES {
        let outcome = puts(secrecy, deadlines, &[SMALL], move |raw| {
            act(raw);
            raw.outlast();
        });
        assert_eq!(
            (outcome.code(), outcome.statuses().len()),
            (3, 0),
            "{stage}: {outcome:?}"
        );
    }
}

fn a_server_that_is_for_ever_working_is_given_up(secrecy: Secrecy) {
    let deadlines = Deadlines {
        working: SOON,
        ..patient()
    };
    let outcome = puts(secrecy, deadlines, &[SMALL], |raw| {
        takes(raw);
        raw.say_for_ever(&Working {});
    });
    assert_eq!(outcome.code(), 3, "{outcome:?}");
}

fn a_server_that_reads_no_more_is_given_up(secrecy: Secrecy) {
    let deadlines = Deadlines {
        stall: SOON,
        ..patient()
    };
    let outcome = puts_until(secrecy, deadlines, &[64 << 20], |raw, ended| {
        let offer = raw.hear_offer();
        raw.say(&want(&offer, |size| Verdict::Send(ticket_for(size))));
        let _ = ended.recv_timeout(PATIENCE);
    });
    assert_eq!(outcome.code(), 3, "{outcome:?}");
}
