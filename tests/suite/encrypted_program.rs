//! Two people with a home each, and haul between them: who comes in, who does not, and
//! whom a client takes for the right server.

use std::fs;
use std::net::{IpAddr, UdpSocket};

use rustix::process::Signal;

use crate::objects::objects;
use crate::person::Person;
use crate::program::{Ended, Running};

/// Somebody who serves the directory that they are in, and somebody else.
pub struct Two {
    pub owner: Person,
    pub guest: Person,
    pub server: Running,
    /// `HOST:PORT`.
    pub address: String,
    /// The fingerprint of the server's key.
    pub print: String,
}

impl Two {
    /// With a server on loopback.
    pub fn met(flags: &str) -> Self {
        let (owner, guest) = (Person::new(), Person::new());
        for person in [&owner, &guest] {
            fs::write(person.root().join("a"), b"abc").unwrap();
        }
        Self::at("127.0.0.1:0", flags, owner, guest)
    }

    /// The same two with the next server, once this one was ended by a signal, and something
    /// was done to the files of its user.
    pub fn again(self, signal: Signal, meanwhile: impl FnOnce(&Person)) -> Self {
        self.server.signal(signal);
        self.server.finish();
        meanwhile(&self.owner);
        Self::at("127.0.0.1:0", "", self.owner, self.guest)
    }

    pub fn at(listen: &str, flags: &str, owner: Person, guest: Person) -> Self {
        fs::create_dir_all(owner.root().join("served")).unwrap();
        let line = format!("serve --json --listen {listen} {flags} served");
        let line = line.replace("  ", " ");
        let server = Running::start(owner.command(&line));
        let ready = server.line();
        assert!(!ready.is_empty(), "{line}: {:?}", server.finish());
        let told = objects(&ready);
        Self {
            address: told[0]["address"].clone(),
            print: told[0]["fingerprint"].clone(),
            owner,
            guest,
            server,
        }
    }

    /// Runs a line of the guest's, in which `AT` is the server.
    pub fn guest(&self, line: &str) -> Ended {
        self.guest.run(&line.replace("AT", &self.address))
    }

    #[track_caller]
    pub fn guest_is(&self, line: &str, code: i32, says: &str) -> Ended {
        is(self.guest(line), line, code, says)
    }

    #[track_caller]
    pub fn owner_is(&self, line: &str, code: i32, says: &str) -> Ended {
        let ended = self.owner.run(&line.replace("AT", &self.address));
        is(ended, line, code, says)
    }

    /// The guest notes the server's key, as they were told to.
    #[track_caller]
    pub fn guest_trusts(&self) {
        let mut command = self.guest.command("trust");
        command.args([&self.address, &self.print]);
        is(Running::start(command).finish(), "trust", 0, "is known by");
    }

    /// The owner lets the guest do something, the server running on.
    #[track_caller]
    pub fn authorize(&self, flags: &str) {
        authorize(&self.owner, &self.guest, flags);
    }

    pub fn served(&self, name: &str) -> std::path::PathBuf {
        self.owner.root().join("served").join(name)
    }
}

#[track_caller]
pub fn is(ended: Ended, line: &str, code: i32, says: &str) -> Ended {
    assert_eq!(ended.code, Some(code), "{line}: {ended:?}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains(says), "{line}: {said:?} has not {says:?}");
    ended
}

pub fn key(person: &Person) -> String {
    let printed = person.run("key").stdout;
    printed.lines().next().unwrap().to_owned()
}

#[track_caller]
pub fn authorize(owner: &Person, guest: &Person, flags: &str) {
    let line = format!("authorize --name guest --root served {flags}");
    fs::create_dir_all(owner.root().join("served")).unwrap();
    let mut command = owner.command(&line);
    command.arg(key(guest));
    is(Running::start(command).finish(), &line, 0, "may");
}

/// An address of this machine that others could reach, without a packet sent.
pub fn reachable() -> Option<IpAddr> {
    let found = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let found = found.ok().map(|address| address.ip());
    let found = found.filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
    if found.is_none() {
        eprintln!("skipped: this machine has no address that others could reach");
    }
    found
}

#[test]
fn on_one_machine_a_user_needs_nothing() {
    let two = Two::met("");
    two.owner_is("put a AT", 0, "1 stored");
    two.owner_is("ls AT", 0, "a\n");
    two.owner_is("get AT/a back", 0, "1 fetched");
    two.owner_is("rm AT/a", 0, "");
    assert!(two.print.starts_with("SHA256:"), "{}", two.print);
    assert!(!two.owner.file("known_hosts").exists());
}

#[test]
fn another_user_of_the_machine_is_told_whose_server_it_is_and_never_asked() {
    let two = Two::met("");
    let ended = two.guest_is("put a AT", 4, "is another user's");
    let trust = format!("haul trust {} {}", two.address, two.print);
    assert!(ended.stderr.contains(&trust), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    let own = Two::at("127.0.0.1:0", "", Person::new(), Person::new()).owner;
    let mine = Running::start(own.command("serve --json --listen 127.0.0.1:0 ."));
    let print = objects(&mine.line())[0]["fingerprint"].clone();
    // Whoever has a server too is told of both keys; a terminal makes no difference.
    let line = format!("ls {}", two.address);
    let ended = Running::on_screen(own.command(&line)).finish();
    for shown in [&*print, &*two.print, "haul trust"] {
        assert!(ended.stdout.contains(shown), "{shown}: {ended:?}");
    }
    assert_eq!(ended.code, Some(4), "{ended:?}");
}

#[test]
fn somebody_is_admitted_and_turned_away_while_the_server_runs() {
    let two = Two::met("");
    two.guest_trusts();
    two.guest_is("put a AT", 4, "haul: ");
    two.guest_is("ls AT", 4, "haul: ");
    assert!(!two.served("a").exists());
    two.authorize("--read --write");
    two.guest_is("put a AT", 0, "1 stored");
    two.guest_is("ls AT", 0, "a\n");
    two.guest_is("rm AT/a", 4, "haul: ");
    fs::write(two.guest.root().join("a"), b"abcd").unwrap();
    two.guest_is("put --overwrite a AT", 4, "haul: ");
    assert_eq!(fs::read(two.served("a")).unwrap(), b"abc");
    two.owner_is("revoke guest", 0, "may no longer");
    two.guest_is("ls AT", 4, "haul: ");
    two.guest_is("put a AT/b", 4, "haul: ");
    two.owner_is("ls AT", 0, "a\n");
    assert!(!two.served("b").exists());
}

#[test]
fn whoever_is_confined_to_a_directory_sees_it_as_the_root() {
    let two = Two::met("");
    fs::create_dir(two.served("box")).unwrap();
    fs::write(two.served("secret"), b"s").unwrap();
    two.guest_trusts();
    two.authorize("--read --write --under box");
    two.guest_is("put a AT", 0, "1 stored");
    assert_eq!(fs::read(two.served("box/a")).unwrap(), b"abc");
    let listed = two.guest_is("ls AT", 0, "a\n");
    assert_eq!(listed.stdout, "a\n");
    two.guest_is("get AT/secret x", 5, "is not there");
    two.guest_is("get AT/../secret x", 9, "a component");
}

#[test]
fn the_directory_that_somebody_is_confined_to_is_made_by_who_may_write_and_nobody_else() {
    for (flags, rights, made) in [
        ("", "--read", false),
        ("--read-only", "--read --write", false),
        ("", "--delete", false),
        ("", "--read --write", true),
        ("", "--write", true),
    ] {
        let two = Two::met(flags);
        two.guest_trusts();
        two.authorize(&format!("{rights} --under in/box"));
        if made {
            two.guest_is("put a AT", 0, "1 stored");
        } else {
            let why = "haul: cannot open \"in/box\": No such file or directory";
            two.guest_is("ls AT", 10, why);
        }
        assert_eq!(two.served("in/box").is_dir(), made, "{flags} {rights}");
        assert_eq!(two.served("in").exists(), made, "{flags} {rights}");
    }
}

#[test]
fn a_server_with_another_key_than_the_known_one_is_refused_with_both() {
    let two = Two::met("");
    let known = crate::person::PRINT;
    let line = format!("{} {known} 2025-11-22\n", two.address);
    for person in [&two.guest, &two.owner] {
        person.edits("known_hosts", &line);
        let ended = person.run(&format!("ls {}", two.address));
        let mended = format!("haul forget AT, then haul trust AT {}", two.print);
        let mended = mended.replace("AT", &two.address);
        for said in [known, &two.print, "known since 2025-11-22", &mended] {
            assert!(ended.stderr.contains(said), "{said}: {ended:?}");
        }
        assert_eq!(ended.code, Some(4), "{ended:?}");
    }
    two.owner_is("forget AT", 0, "not known any more");
    two.owner_is("ls AT", 0, "");
}

#[test]
fn a_server_elsewhere_is_met_by_a_person_or_known_beforehand() {
    let Some(ip) = reachable() else { return };
    let (owner, guest) = (Person::new(), Person::new());
    fs::write(guest.root().join("a"), b"abc").unwrap();
    authorize(&owner, &guest, "--read --write");
    let listen = format!("{ip}:0");
    let two = Two::at(&listen, "--allow-root", owner, guest);
    let ended = two.guest_is("put a AT", 4, "is not known here");
    let trust = format!("haul trust {} {}", two.address, two.print);
    assert!(ended.stderr.contains(&trust), "{ended:?}");
    assert!(!two.served("a").exists());
    two.guest_trusts();
    two.guest_is("put a AT", 0, "1 stored");
    // From there the owner's key is one like any other.
    let mut command = two.owner.command("trust");
    command.args([&two.address, &two.print]);
    is(Running::start(command).finish(), "trust", 0, "is known by");
    two.owner_is("ls AT", 4, "haul: ");
}

#[test]
fn strangers_may_read_where_that_is_said_and_nothing_else() {
    let two = Two::met("--anonymous read");
    fs::write(two.served("x"), b"xyz").unwrap();
    two.guest_trusts();
    two.guest_is("ls AT", 0, "x\n");
    two.guest_is("get AT/x .", 0, "1 fetched");
    two.guest_is("put a AT", 4, "haul: ");
    two.guest_is("mkdir AT/d", 4, "haul: ");
    two.guest_is("rm AT/x", 4, "haul: ");
    two.owner_is("put a AT", 0, "1 stored");
}

#[test]
fn a_public_address_needs_somebody_to_admit() {
    let two = Two::met("");
    let refused = |flags: &str, says: &str| {
        let line = format!("serve --listen 0.0.0.0:0{flags}");
        is(two.owner.run(&line), &line, 2, says);
    };
    refused(" served", "haul authorize KEY --root");
    refused(" served", "--anonymous read");
    // Who is let into another directory is not let into this one.
    two.authorize("--read");
    refused(" .", "none of them is admitted");
    if rustix::process::geteuid().is_root() {
        refused(" --anonymous read .", "--allow-root");
    }
    let home = two.owner.file("").parent().unwrap().to_owned();
    let home = home.display();
    let line = format!(" --allow-root --anonymous read {home}");
    refused(&line, "cannot be served to others");
    let line = "serve --allow-root --anonymous read --listen 0.0.0.0:0 .";
    let running = Running::start(two.owner.command(line));
    assert!(running.line().starts_with("listening on haul://0.0.0.0:"));
}

#[test]
fn one_side_that_does_not_encrypt_is_told_so() {
    let two = Two::met("");
    two.owner_is("ls --plaintext AT", 4, "encrypted only");
    let open = Two::met("--plaintext");
    assert_eq!(open.print, "null");
    open.owner_is("ls AT", 9, "does not encrypt");
    open.guest_is("put --plaintext a AT", 0, "1 stored");
}
