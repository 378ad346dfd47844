//! What is broken off while its answers come is not asked again: what was told would be told,
//! and counted, twice. What is broken off before is.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::thread;

use haul::entry::{Entry, Version};
use haul::wire::Message;
use haul::wire::message::{Finding, State, SumIs};

use crate::evil::page;
use crate::objects::{Object, objects};
use crate::place::Place;
use crate::raw::{Raw, entry, sum};
use crate::secrecy::{Keys, Secrecy};

/// How many files are asked about.
const FILES: usize = 3;

fn files() -> Vec<Entry> {
    let file = |number: usize| Entry {
        version: Some(Version([1; 16])),
        ..entry(&format!("f{number}"), b"abc")
    };
    (0..FILES).map(file).collect()
}

/// Lists the files, and answers what is asked of so many of them.
fn answers(raw: &mut Raw, count: usize) {
    let list = raw.hear_list();
    raw.say(&page(list, files()));
    for _ in 0..count {
        let checksum = sum(b"abc");
        match raw.hear_message() {
            Message::Verify(asked) => raw.say(&Finding {
                request: asked.request,
                state: State::Sound,
                checksum: Some(checksum),
                block: None,
                decayed: None,
                runs: Vec::new(),
            }),
            Message::Sum(asked) => raw.say(&SumIs {
                request: asked.request,
                checksum,
            }),
            other => panic!("{other:?}"),
        }
    }
}

/// Types a command to a server that answers of so many files in one connection after the
/// other. It ends in this code and comes no more often, and what it was told it tells once.
#[track_caller]
fn check(word: &str, connections: &'static [usize], code: i32, told: usize) {
    let place = Place::serving("--plaintext");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::Builder::new()
        .name("evil".to_owned())
        .spawn(move || {
            for count in connections {
                let mut raw =
                    Raw::accepted(listener.accept().unwrap().0, &Keys::of(Secrecy::Plain));
                answers(&mut raw, *count);
                raw.finish();
            }
            listener
        });
    let ended = place.run(&format!("{word} --plaintext --json --retries 3 {address}"));
    let case = format!("{word}, {connections:?}: {ended:?}");
    let listener = server.unwrap().join().expect("the script ends well");
    listener.set_nonblocking(true).unwrap();
    let others = listener.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(others, Err(ErrorKind::WouldBlock), "{case}");
    assert_eq!(ended.code, Some(code), "{case}");
    let lines = objects(&ended.stdout);
    let of = |name: &str| -> Vec<&Object> {
        let is_it = |line: &&Object| line.get("path").is_some_and(|path| path == name);
        lines.iter().filter(is_it).collect()
    };
    for (number, file) in files().iter().enumerate() {
        let times = usize::from(number < told);
        assert_eq!(of(file.path.as_str()).len(), times, "{case}");
    }
    let tries = lines.iter().filter(|line| line["event"] == "retry").count();
    assert_eq!(tries, connections.len() - 1, "{case}");
}

#[test]
fn what_is_broken_off_in_the_middle_of_its_answers_is_not_asked_again() {
    for word in ["verify", "sum"] {
        check(word, &[1], 3, 1);
        check(word, &[FILES - 1], 3, FILES - 1);
    }
}

#[test]
fn what_is_broken_off_before_its_first_answer_is_asked_again_and_told_once() {
    for word in ["verify", "sum"] {
        check(word, &[0, FILES], 0, FILES);
    }
}
