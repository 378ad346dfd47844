//! The secret of a link is seen by nobody who looks at what haul says, or at what runs.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::encrypted_program::Two;
use crate::invited::link;
use crate::person::chmod;
use crate::place::Place;
use crate::program::{Ended, Running, as_given};
use crate::typing::{CTRL_D, Typing};

/// The letters of a link that nobody is to see, in halves: part of it is no better.
fn secret(link: &str) -> [String; 2] {
    let secret = link.split(['.', '@']).nth(2).unwrap();
    assert_eq!(secret.len(), 22, "{link}");
    [secret[..11].to_owned(), secret[11..].to_owned()]
}

#[track_caller]
fn unseen(link: &str, text: &str, typed: &str) {
    let seen = secret(link).iter().any(|part| text.contains(part));
    assert!(!seen, "{typed}: {text}");
}

/// Checks what a line of the guest's comes to, in which `LINK` stands for the link, and that
/// nothing of it is said.
#[track_caller]
fn comes(two: &Two, link: &str, typed: &str, code: i32) {
    let haul = two.guest.command(&typed.replace("LINK", link));
    // Called by a name that leads nowhere, as a loader may do, the program does not run again
    // without the link in its arguments.
    let mut renamed = Command::new(haul.get_program());
    as_given(&haul, &mut renamed);
    renamed
        .arg0("no/such/name")
        .args(haul.get_args())
        .current_dir(two.guest.root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for command in [renamed, haul] {
        let ended = Running::start(command).finish();
        assert_eq!(ended.code, Some(code), "{typed}: {ended:?}");
        unseen(link, &format!("{}{}", ended.stdout, ended.stderr), typed);
    }
}

#[test]
fn a_link_is_not_repeated_whatever_comes_of_the_command() {
    let two = Two::met("");
    let link = link(&two, "--read --write");
    fs::write(two.guest.root().join("e"), b"").unwrap();
    fs::write(two.guest.root().join("link"), &link).unwrap();
    chmod(&two.guest.root().join("link"), 0o600);
    for (typed, code) in [
        // Where all is well.
        ("put -v a LINK", 0),
        ("put --json e LINK", 0),
        ("put -n a LINK", 0),
        ("ls -l LINK", 0),
        ("ls -R --json LINK", 0),
        ("stat LINKa", 0),
        ("stat --json LINK", 0),
        ("sum LINK", 0),
        ("get LINKa back", 0),
        ("get -v --json LINK all", 0),
        ("mkdir -p -v LINKd", 0),
        ("ls -v --link-file link :", 0),
        // Where the server says no.
        ("rm LINKa", 4),
        ("rm --json LINKa", 4),
        ("get LINKnone", 5),
        ("mkdir LINKa", 6),
        ("put -n e LINKa", 6),
        // Where the line is wrong: in what way ever.
        ("put LINK a", 2),
        ("put LINK LINK", 10),
        ("put a LINK LINK", 10),
        ("get a LINK", 2),
        ("get LINK haul://nas/ .", 2),
        ("ls LINK LINK", 2),
        ("ls --json LINK LINK", 2),
        ("ls --plaintext LINK", 2),
        ("ls --server-key LINK LINK", 2),
        ("ls --link-file LINK :", 10),
        ("ls --link-file=LINK :", 10),
        ("ls --color LINK LINK", 2),
        ("LINK", 2),
        ("--LINK", 2),
        ("ls --LINK", 2),
        ("ls LINK..", 9),
        ("ls LINK%", 2),
        ("rm LINK", 2),
        ("mv LINKa LINKb/../c", 9),
        ("shell LINKnone", 5),
        ("serve LINK", 10),
        ("serve --listen LINK", 2),
        ("demo LINK", 10),
        ("man LINK", 2),
        ("completions LINK", 2),
        ("trust LINK LINK", 2),
        ("forget LINK", 2),
        ("authorize LINK --read", 2),
        ("authorize KEY --read --root LINK", 10),
        ("authorize KEY --read --under LINK", 9),
        ("revoke LINK", 5),
        ("access --root LINK", 0),
        ("invite --read --address LINK", 2),
    ] {
        // What a command makes is there for the next.
        for made in ["d", "back", "all"] {
            let _ = fs::remove_dir_all(two.guest.root().join(made));
        }
        let _ = fs::remove_dir(two.served("d"));
        comes(&two, &link, typed, code);
    }
    two.server.signal(Signal::TERM);
    unseen(&link, &two.server.finish().stderr, "the server's log");
}

#[test]
fn a_link_that_lost_a_part_is_not_repeated_either() {
    let two = Two::met("");
    let link = link(&two, "--read");
    for text in [
        link.replacen("haul://", "", 1),
        link.replacen("haul://", "https://", 1),
        link.replacen("haul://", "me@", 1),
        link.replacen('.', "", 1),
        link.replacen('.', ".x", 2),
        link.split('@').next().unwrap().to_owned(),
        link.replace('@', " @").replace(' ', ""),
        link.replace('@', "/"),
        link.replace(':', ""),
        format!("x{link}"),
        format!("haul put FILE {link}").replace(' ', "_"),
    ] {
        let typed = format!("ls {text}");
        let ended = two.guest.run(&typed);
        unseen(&link, &format!("{}{}", ended.stdout, ended.stderr), &typed);
    }
    for name in [
        "HAUL_REMOTE",
        "HAUL_LINK_FILE",
        "HAUL_SERVER_KEY",
        "HAUL_IDENTITY",
    ] {
        for value in [link.clone(), format!("{link}%zz"), link.replace('@', "")] {
            for place in [":none", &two.address] {
                let mut command = two.guest.command(&format!("ls {place}"));
                command.env(name, &value);
                let ended = Running::start(command).finish();
                assert_ne!(ended.code, Some(0), "{name}={value}");
                unseen(&link, &format!("{}{}", ended.stdout, ended.stderr), name);
            }
        }
    }
}

/// A command that waits for a server which never answers, and what is there to be seen of
/// it from outside meanwhile: its arguments, and its name.
#[track_caller]
fn waiting(mut command: Command, listener: &TcpListener) -> (Ended, String, String) {
    command.env("TERM", "dumb");
    let running = Running::start(command);
    let mut client = listener.accept().unwrap().0;
    client.read_exact(&mut [0]).unwrap();
    let seen = |name| fs::read(format!("/proc/{}/{name}", running.id())).unwrap();
    let seen = |name| String::from_utf8_lossy(&seen(name)).replace('\0', " ");
    let (arguments, name) = (seen("cmdline"), seen("comm"));
    running.signal(Signal::INT);
    (running.finish(), arguments, name.trim().to_owned())
}

#[test]
fn neither_the_list_of_processes_nor_an_interruption_shows_a_link() {
    let two = Two::met("");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    let link = link(&two, "--read --write").replace(&two.address, &silent);
    let rest = link.replace(&secret(&link).concat(), "").replace(".@", "@");
    for json in [false, true] {
        let flag = if json { "--json " } else { "" };
        let command = two.guest.command(&format!("put {flag}a {link}d/"));
        let (ended, arguments, name) = waiting(command, &listener);
        assert!(
            arguments.ends_with(&format!("put {flag}a {rest}d/ ")),
            "{arguments}"
        );
        assert_eq!((ended.code, &*name), (Some(130), "haul"), "{ended:?}");
        unseen(&link, &arguments, "the arguments");
        unseen(
            &link,
            &format!("{}{}", ended.stdout, ended.stderr),
            "what was said",
        );
        let same = "the same command goes on with what is missing; its link is not to be shown";
        assert_eq!(ended.stderr.contains(same), !json, "{ended:?}");
        // A command that would not do is not named.
        assert!(!ended.stdout.contains("resume"), "{ended:?}");
    }
    // Where the link is not in the line, the line is the command that goes on.
    fs::write(two.guest.root().join("link"), &link).unwrap();
    chmod(&two.guest.root().join("link"), 0o600);
    let command = two.guest.command("put --link-file link a :d/");
    let (ended, arguments, _) = waiting(command, &listener);
    assert!(
        ended
            .stderr
            .trim_end()
            .ends_with("put --link-file link a :d/"),
        "{ended:?}"
    );
    unseen(&link, &arguments, "the arguments");
    let mut command = two.guest.command("put a :d/");
    command.env("HAUL_REMOTE", &link);
    let (ended, ..) = waiting(command, &listener);
    assert!(ended.stderr.trim_end().ends_with("put a :d/"), "{ended:?}");
    unseen(&link, &ended.stderr, "what was said");
}

#[test]
fn a_shell_shows_no_link_and_remembers_none() {
    let place = Place::serving("");
    let invited = place.run("invite --read --root [ROOT] --address [ADDRESS]");
    let link = invited
        .stdout
        .split(' ')
        .find(|word| word.starts_with("haul://"));
    let link = link.unwrap();
    let mut typing = Typing::begin(&place, &format!("shell {link}"));
    typing.until("/> ");
    typing.line("pwd");
    typing.until("/> ");
    // What is typed is on the screen of whoever types it; what is said of it is not.
    for (command, why) in [("ls", "is an address, and here"), ("put", "No such file")] {
        typing.line(&format!("{command} {link}"));
        typing.until("haul: ");
        let said = typing.until("/> ");
        assert!(said.contains(why), "{said}");
        unseen(link, &said, command);
    }
    typing.keys(CTRL_D);
    let ended = typing.finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let history = place.dir.path().join("state/haul/history");
    let history = fs::read_to_string(history).unwrap();
    assert!(history.starts_with("pwd\nls haul://"), "{history}");
    unseen(link, &history, "the history");
}
