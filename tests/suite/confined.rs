//! A server that the system confines: all of it, from its first thread on, and to no less
//! than it needs.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::process::Signal;

use crate::objects::objects;
use crate::person::Person;
use crate::program::{Ended, Running};

struct Confined {
    owner: Person,
    guest: Person,
    server: Running,
    address: String,
}

impl Confined {
    /// None, and said so, where the system cannot.
    fn serving(flags: &str) -> Option<Self> {
        let (owner, guest) = (Person::new(), Person::new());
        fs::create_dir_all(owner.root().join("served/box")).unwrap();
        for person in [&owner, &guest] {
            fs::write(person.root().join("a"), b"abc").unwrap();
        }
        if !is_confined(&owner) {
            eprintln!("skipped: this system cannot confine a process");
            return None;
        }
        let line = format!("serve --json --listen 127.0.0.1:0 {flags} served");
        let server = Running::start(owner.command(&line.replace("  ", " ")));
        let ready = server.line();
        assert!(!ready.is_empty(), "{flags}: {:?}", server.finish());
        let told = objects(&ready);
        let address = told[0]["address"].clone();
        let mut trust = guest.command("trust");
        trust.args([&address, &told[0]["fingerprint"]]);
        is(Running::start(trust).finish(), "trust", 0);
        Some(Self {
            owner,
            guest,
            server,
            address,
        })
    }

    #[track_caller]
    fn does(&self, who: &Person, line: &str, code: i32) -> Ended {
        is(who.run(&line.replace("AT", &self.address)), line, code)
    }

    #[track_caller]
    fn authorize(&self, owner: &Person, flags: &str) {
        let key = self.guest.run("key").stdout;
        let mut command = owner.command(&format!("authorize {flags} --root"));
        command.arg(self.owner.root().join("served").canonicalize().unwrap());
        command.arg(key.lines().next().unwrap());
        is(Running::start(command).finish(), flags, 0);
    }
}

#[track_caller]
fn is(ended: Ended, line: &str, code: i32) -> Ended {
    assert_eq!(ended.code, Some(code), "{line}: {ended:?}");
    ended
}

/// Whether a server of theirs says that it is.
fn is_confined(person: &Person) -> bool {
    let server = Running::start(person.command("serve --listen 127.0.0.1:0 served"));
    server.line();
    server.signal(Signal::TERM);
    let said = server.finish().stderr;
    let lines: Vec<&str> = said.lines().filter(|l| l.contains("confined")).collect();
    let [line] = lines[..] else {
        panic!("it does not say whether it is confined: {said}");
    };
    let root = person.root().canonicalize().unwrap();
    let to = format!("confined to {}/served, ", root.display());
    assert!(
        line.starts_with(&to) || line.starts_with("not confined: "),
        "{line}"
    );
    line.starts_with(&to)
}

#[test]
fn every_thread_of_a_server_was_begun_when_it_was_confined() {
    let Some(confined) = Confined::serving("") else {
        return;
    };
    // The thread of a connection that says nothing.
    let _open = TcpStream::connect(&confined.address).unwrap();
    confined.does(&confined.owner, "ls AT", 0);
    let tasks = format!("/proc/{}/task", confined.server.id());
    let mut names = Vec::new();
    for task in fs::read_dir(tasks).unwrap() {
        let task = task.unwrap().path();
        let status = fs::read_to_string(task.join("status")).unwrap();
        // What confines a thread also takes from it the way to new privileges, and both are
        // handed on to threads that it starts.
        assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
        names.push(fs::read_to_string(task.join("comm")).unwrap());
    }
    for name in ["haul\n", "accept\n", "signals\n"] {
        assert!(
            names.iter().any(|known| known == name),
            "{name:?}: {names:?}"
        );
    }
    assert!(
        names.iter().any(|name| name.starts_with("conn-")),
        "{names:?}"
    );
}

#[test]
fn a_confined_server_reads_nothing_that_lies_elsewhere() {
    let Some(confined) = Confined::serving("") else {
        return;
    };
    confined.does(&confined.guest, "ls AT", 4);
    // Somebody else's list of who may do what, in the place of the owner's own.
    let other = Person::new();
    confined.authorize(&other, "--read");
    let config = confined.owner.file("");
    let config = config.components().as_path();
    fs::rename(config, config.with_extension("old")).unwrap();
    symlink(other.file("").components().as_path(), config).unwrap();
    confined.does(&confined.guest, "ls AT", 4);
    // The very same list is believed by a server that starts with it there.
    fs::remove_file(config).unwrap();
    fs::rename(config.with_extension("old"), config).unwrap();
    fs::copy(other.file("access"), confined.owner.file("access")).unwrap();
    confined.does(&confined.guest, "ls AT", 0);
    confined.server.signal(Signal::TERM);
    let said = confined.server.finish().stderr;
    assert!(said.contains("Permission denied"), "{said}");
}

#[test]
fn a_confined_server_does_all_that_a_server_does() {
    let Some(confined) = Confined::serving("--audit ../audit") else {
        return;
    };
    let owner = &confined.owner;
    fs::create_dir_all(owner.root().join("tree/in")).unwrap();
    fs::write(owner.root().join("tree/in/b"), vec![7; 3 << 20]).unwrap();
    symlink("in/b", owner.root().join("tree/link")).unwrap();
    for line in [
        "put tree AT",
        "put --overwrite tree AT",
        "put --checksum sha256 a AT/x/",
        "get AT back",
        "sum --checksum sha256 AT",
        "mkdir -p AT/k/l",
        "mv AT/tree AT/k/l/",
        "rm -r AT/k",
    ] {
        confined.does(owner, line, 0);
    }
    confined.authorize(owner, "--read --write --under box --expires 1h");
    confined.does(&confined.guest, "put a AT", 0);
    assert!(owner.root().join("served/box/a").exists());
    assert!(owner.state().join("latest_time").exists());
    // Where a directory lies is still told to those who see a part of it.
    let top = owner.root();
    let mut into = confined.guest.command("put");
    into.args([top.to_str().unwrap(), &confined.address]);
    let ended = is(Running::start(into).finish(), "put", 2);
    assert!(ended.stderr.contains("itself"), "{ended:?}");
    assert!(owner.root().join("../audit").metadata().unwrap().len() > 0);
}

#[test]
fn a_confined_server_that_only_reads_is_given_no_more() {
    let Some(confined) = Confined::serving("--read-only") else {
        return;
    };
    fs::write(confined.owner.root().join("served/x"), b"xyz").unwrap();
    confined.does(&confined.owner, "get AT/x back", 0);
    confined.does(&confined.owner, "put a AT", 4);
    confined.authorize(&confined.owner, "--read --under box");
    confined.does(&confined.guest, "ls AT", 0);
    confined.server.signal(Signal::TERM);
    let said = confined.server.finish().stderr;
    assert!(said.contains("/served (to read), "), "{said}");
    assert!(!Path::new(&confined.owner.root().join("served/a")).exists());
}
