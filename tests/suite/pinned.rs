//! A server whose key is said for one command: with `--server-key`, or before its address.

use std::fs;

use haul::net::keys::Keypair;

use crate::encrypted_program::{Two, authorize, is, reachable};
use crate::person::{PRINT, Person};
use crate::program::Running;

/// A fingerprint in the alphabet of addresses.
fn in_address(print: &str) -> String {
    let print = print.strip_prefix("SHA256:").unwrap();
    print.replace('+', "-").replace('/', "_")
}

/// The whole key of the server.
fn key_of(two: &Two) -> String {
    let pair = Keypair::from_pem(&two.owner.reads("server_key")).unwrap();
    pair.public().to_string()
}

#[test]
fn a_key_that_is_said_is_enough_for_a_server_that_nobody_knows() {
    let two = Two::met("");
    two.authorize("--read --write");
    let (print, address) = (&two.print, in_address(&two.print));
    two.guest_is("put a AT", 4, "is another user's");
    for (flags, place) in [
        (format!("--server-key {print}"), "AT".to_owned()),
        (format!("--server-key SHA256:{address}"), "AT".to_owned()),
        (String::new(), format!("haul://{print}@AT/")),
        (String::new(), format!("haul://{address}@AT/")),
        (
            format!("--server-key={print}"),
            format!("haul://{address}@AT"),
        ),
    ] {
        let line = format!("put {flags} a {place}").replace("  ", " ");
        // A terminal makes no difference: nobody is asked.
        let line = line.replace("AT", &two.address);
        let ended = Running::on_screen(two.guest.command(&line)).finish();
        assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
        assert!(ended.stdout.contains("durable on 127.0.0.1:"), "{ended:?}");
    }
    let mut whole = two.guest.command(&format!("ls {}", two.address));
    whole.env("HAUL_SERVER_KEY", key_of(&two));
    is(Running::start(whole).finish(), "ls", 0, "a\n");
    // Every command that speaks to a server takes it.
    for line in [
        "ls PIN AT",
        "stat PIN AT/a",
        "sum PIN AT/a",
        "mkdir PIN AT/d",
        "get PIN AT/a back",
        "shell PIN AT",
    ] {
        two.guest_is(
            &line.replace("PIN", &format!("--server-key {print}")),
            0,
            "",
        );
    }
    two.guest_is(
        &format!("mv --server-key {print} AT/a AT/b"),
        4,
        "not allowed",
    );
    two.guest_is(&format!("rm --server-key {print} AT/a"), 4, "not allowed");
    // It holds for the one command.
    assert!(!two.guest.file("known_hosts").exists());
    two.guest_is("ls AT", 4, "is another user's");
}

#[test]
fn another_key_than_the_one_that_was_said_is_refused_with_both() {
    let two = Two::met("");
    two.authorize("--read --write");
    let other = in_address(PRINT);
    for line in [
        format!("put --server-key {PRINT} a AT"),
        format!("put a haul://{PRINT}@AT/"),
        format!("put a haul://{other}@AT/"),
    ] {
        for person in [&two.guest, &two.owner] {
            let ended = person.run(&line.replace("AT", &two.address));
            let said = [PRINT, &two.print]
                .iter()
                .all(|print| ended.stderr.contains(print));
            assert!(ended.code == Some(4) && said, "{line}: {ended:?}");
        }
    }
    assert!(!two.served("a").exists());
}

#[test]
fn a_key_that_contradicts_the_known_one_is_refused_before_anything_is_said() {
    let two = Two::met("");
    two.authorize("--read");
    two.guest.edits(
        "known_hosts",
        &format!("{} {PRINT} 2025-11-22\n", two.address),
    );
    for line in [
        format!("ls --server-key {} AT", two.print),
        format!("ls haul://{}@AT", two.print),
    ] {
        let ended = two.guest_is(&line, 4, "since 2025-11-22");
        let said = [PRINT, &two.print, "haul forget"];
        assert!(
            said.iter().all(|said| ended.stderr.contains(said)),
            "{ended:?}"
        );
    }
    two.guest
        .edits("known_hosts", &format!("{} {}\n", two.address, two.print));
    two.guest_is(&format!("ls --server-key {} AT", two.print), 0, "");
}

#[test]
fn what_is_said_of_a_key_must_be_one_and_can_be_kept_to() {
    let two = Two::met("");
    let print = &two.print;
    let is_refused = |line: &str, why: &str| {
        let ended = two.guest_is(line, 2, why);
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    };
    is_refused("ls --server-key nonsense AT", "--server-key takes");
    is_refused("ls haul://nonsense@AT", "no key's fingerprint");
    is_refused("ls haul://SHA256:short@AT", "no key's fingerprint");
    is_refused(&format!("ls {print}@AT"), &format!("write haul://{print}@"));
    is_refused(
        &format!("ls --server-key {PRINT} haul://{print}@AT"),
        "by its address, and",
    );
    is_refused(
        &format!("get haul://{print}@AT/a AT/b ."),
        "named in two ways",
    );
    for line in [
        format!("ls --plaintext --server-key {print} AT"),
        format!("ls --plaintext haul://{print}@AT"),
    ] {
        is_refused(&line, "without encryption nobody proves theirs");
    }
    let mut command = two.guest.command(&format!("ls {}", two.address));
    command.env("HAUL_SERVER_KEY", "nonsense");
    is(
        Running::start(command).finish(),
        "ls",
        2,
        "HAUL_SERVER_KEY takes",
    );
    is_refused(&format!("trust haul://{print}@AT {print}"), "names a key");
}

#[test]
fn a_shell_has_one_server_and_none_of_its_commands_another() {
    let two = Two::met("");
    two.authorize("--read");
    let line = format!("shell -k --server-key {} {}", two.print, two.address);
    let script = format!("ls --server-key {PRINT}\nls --link-file x\npwd\n");
    // What is set for the program is not meant for its commands, each for itself.
    let mut command = two.guest.command(&line);
    fs::write(two.guest.root().join("script"), script).unwrap();
    command
        .env("HAUL_SERVER_KEY", PRINT)
        .stdin(fs::File::open(two.guest.root().join("script")).unwrap());
    let ended = Running::start(command).finish();
    assert_eq!((ended.code, &*ended.stdout), (Some(2), "/\n"), "{ended:?}");
    let said = format!("haul: all commands here are for {}\n", two.address);
    assert_eq!(ended.stderr, said.repeat(2));
}

#[test]
fn a_server_elsewhere_says_how_its_key_can_be_said() {
    let Some(ip) = reachable() else { return };
    let (owner, guest) = (Person::new(), Person::new());
    fs::write(guest.root().join("a"), b"abc").unwrap();
    authorize(&owner, &guest, "--read --write");
    let two = Two::at(&format!("{ip}:0"), "--allow-root", owner, guest);
    let ended = two.guest_is("put a AT", 4, "is not known here");
    let pinned = format!("haul://{}@{}/", in_address(&two.print), two.address);
    for way in [
        format!("haul trust {} {}", two.address, two.print),
        format!("--server-key {}", two.print),
        pinned.clone(),
    ] {
        assert!(ended.stderr.contains(&way), "{way}: {ended:?}");
    }
    let ended = Running::on_screen(two.guest.command(&format!("put a {pinned}"))).finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // The server itself says the very line.
    two.server.signal(rustix::process::Signal::TERM);
    let said = two.server.finish().stderr;
    let line = format!("haul put FILE {}", pinned.trim_end_matches('/'));
    assert!(said.contains(&line), "{line}: {said}");
}
