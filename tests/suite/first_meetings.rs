//! A server elsewhere that is not known yet, and a person who is asked about it.

use crate::encrypted_program::Two;
use crate::program::Ended;
use crate::typing::{CTRL_C, CTRL_D, Typing};

/// A server, and somebody who may use it and does not know it. It goes by a name that leads to
/// this machine and is not looked up before it is met.
fn strangers() -> Two {
    let mut two = Two::met("");
    two.authorize("--read --write");
    two.address = two.address.replace("127.0.0.1", "127.1");
    two
}

/// The guest types a line, in which `AT` is the server, and this at the question.
#[track_caller]
fn answers(two: &Two, line: &str, keys: &str) -> Ended {
    let command = two.guest.command(&line.replace("AT", &two.address));
    let mut typing = Typing::at(&two.guest.root(), &command);
    let before = typing.until("[y/N] ");
    assert!(before.contains(&two.print), "{before:?}");
    typing.keys(keys);
    typing.finish()
}

fn is_known(two: &Two) -> bool {
    two.guest.file("known_hosts").exists() && two.guest.reads("known_hosts").contains(&two.address)
}

#[test]
fn who_says_yes_is_asked_once() {
    let two = strangers();
    let ended = answers(&two, "ls AT", "y\r");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(is_known(&two));
    two.guest_is("ls AT", 0, "");
}

#[test]
fn who_says_anything_else_or_nothing_does_not_know_it() {
    let two = strangers();
    for keys in ["\r", "n\r", "why\r", CTRL_D] {
        let ended = answers(&two, "ls AT", keys);
        assert_eq!(ended.code, Some(4), "{keys:?}: {ended:?}");
        assert!(!is_known(&two), "{keys:?}");
    }
}

#[test]
fn ctrl_c_at_the_question_ends_the_program() {
    let two = strangers();
    for line in ["ls AT", "get AT/a", "shell AT"] {
        let ended = answers(&two, line, CTRL_C);
        assert_eq!(ended.code, Some(130), "{line}: {ended:?}");
        let said = ended.stdout.replace('\r', "");
        assert!(said.contains("\nhaul: interrupted"), "{line}: {said:?}");
        assert!(!is_known(&two), "{line}");
    }
}
