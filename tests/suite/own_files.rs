//! haul's own files beneath what is served: hidden from the owner, and for nobody else.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::objects::objects;
use crate::person::{Person, chmod};
use crate::program::{Ended, Running};

/// Somebody who serves their home, in which haul keeps its keys.
struct Home {
    owner: Person,
    server: Running,
    address: String,
    /// The fingerprint of the server's key.
    print: String,
}

/// Where somebody keeps all that is theirs. Their keys are made there.
fn home_of(owner: &Person) -> PathBuf {
    assert_eq!(owner.run("key").code, Some(0));
    let config = owner.file("").canonicalize().unwrap();
    config.ancestors().nth(2).unwrap().to_owned()
}

impl Home {
    fn served() -> Self {
        let owner = Person::new();
        let home = home_of(&owner);
        fs::create_dir_all(owner.state()).unwrap();
        for name in ["notes", "config/editor"] {
            fs::write(home.join(name), name).unwrap();
        }
        let mut named = owner.command("key");
        named.env("HAUL_IDENTITY", home.join("own.key"));
        is(Running::start(named).finish(), "key", 0, "ssh-ed25519");
        let mut command = owner.command("serve --json --listen 127.0.0.1:0");
        command
            .arg(&home)
            .env("HAUL_IDENTITY", home.join("own.key"));
        let server = Running::start(command);
        let ready = server.line();
        assert!(!ready.is_empty(), "{:?}", server.finish());
        let told = objects(&ready);
        Self {
            address: told[0]["address"].clone(),
            print: told[0]["fingerprint"].clone(),
            owner,
            server,
        }
    }

    /// Runs a line of the owner's, in which `AT` is the server.
    #[track_caller]
    fn says(&self, line: &str, code: i32, says: &str) -> Ended {
        let line = line.replace("AT", &self.address);
        let mut command = self.owner.command(&line);
        command.env("HAUL_IDENTITY", home_of(&self.owner).join("own.key"));
        is(Running::start(command).finish(), &line, code, says)
    }
}

#[track_caller]
fn is(ended: Ended, line: &str, code: i32, says: &str) -> Ended {
    assert_eq!(ended.code, Some(code), "{line}: {ended:?}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains(says), "{line}: {said:?} has not {says:?}");
    ended
}

#[test]
fn whoever_serves_their_home_neither_sees_nor_changes_what_haul_keeps_there() {
    let home = Home::served();
    let top = home_of(&home.owner);
    let keys = [home.owner.file("identity"), top.join("own.key")];
    let kept = keys.clone().map(|key| fs::read_to_string(key).unwrap());
    let listed = home.says("ls -R AT", 0, "");
    assert_eq!(listed.stdout, "config/\nconfig/editor\nnotes\nstate/\n");
    fs::write(home.owner.root().join("new"), "new").unwrap();
    for name in ["config/haul/identity", "config/haul/access", "own.key"] {
        home.says(&format!("get AT/{name} back"), 5, "is not there");
        home.says(&format!("stat AT/{name}"), 5, "is not there");
        home.says(&format!("rm AT/{name}"), 5, "is not there");
        home.says(&format!("mv AT/{name} AT/mine"), 5, "is not there");
        home.says(&format!("mv AT/notes AT/{name}"), 5, "is not there");
        let put = format!("put --overwrite new AT/{name}");
        let ended = home.owner.run(&put.replace("AT", &home.address));
        assert_ne!(ended.code, Some(0), "{put}: {ended:?}");
    }
    home.says("mv AT/config AT/away", 10, "busy");
    home.says("rm -r AT/config", 10, "cannot remove all");
    home.says("get AT copy", 0, "fetched");
    assert_eq!(
        fs::read_dir(home.owner.root().join("copy/state"))
            .unwrap()
            .count(),
        0
    );
    assert_eq!(keys.map(|key| fs::read_to_string(key).unwrap()), kept);
    assert!(top.join("notes").exists());
    home.server.signal(Signal::TERM);
    let said = home.server.finish().stderr;
    let said = said
        .lines()
        .find(|line| line.starts_with("haul's own is hidden: "));
    for own in ["config/haul", "state/haul", "own.key"] {
        let own = top.join(own);
        let is_named = said.is_some_and(|line| line.contains(own.to_str().unwrap()));
        assert!(is_named, "{}: {said:?}", own.display());
    }
}

#[test]
fn nobody_is_let_into_such_a_home_while_it_is_served_and_the_log_says_why() {
    let home = Home::served();
    let guest = Person::new();
    let key = guest.run("key").stdout.lines().next().unwrap().to_owned();
    let top = home_of(&home.owner);
    for line in [
        "authorize --read --root TOP KEY",
        "invite --read --root TOP",
    ] {
        let line = line.replace("TOP", top.to_str().unwrap());
        home.owner.fails(&line, 2, "cannot be served to others");
    }
    // Somebody has written it down all the same.
    let line = format!("{key} root={} rights=read,write\n", top.display());
    home.owner.edits("access", &line);
    let mut trust = guest.command("trust");
    trust.args([&home.address, &home.print]);
    is(Running::start(trust).finish(), "trust", 0, "is known by");
    let line = format!("ls {}", home.address);
    is(guest.run(&line), &line, 4, "haul: ");
    home.says("ls AT", 0, "notes\n");
    home.server.signal(Signal::TERM);
    let said = home.server.finish().stderr;
    assert!(said.contains("is authorized and not admitted"), "{said}");
    assert!(
        said.contains("config/haul, which haul itself relies on"),
        "{said}"
    );
    // Another time it does not even begin.
    let mut again = home.owner.command("serve --listen 127.0.0.1:0");
    again.arg(home_of(&home.owner));
    is(
        Running::start(again).finish(),
        "serve",
        2,
        "cannot be served to others",
    );
}

#[test]
fn what_haul_keeps_is_never_served_to_others_nor_by_itself() {
    let owner = Person::new();
    let home = home_of(&owner);
    let [home, config] = [home.clone(), home.join("config/haul")].map(|path| {
        let path = path.to_str().unwrap();
        path.to_owned()
    });
    let key = owner.root().join("ci.key");
    fs::write(&key, "").unwrap();
    chmod(&key, 0o600);
    let others = "cannot be served to others";
    for (line, says) in [
        (format!("--anonymous read {home}"), others),
        // On loopback these are all who have an account here.
        (format!("--plaintext {home}"), others),
        (
            format!("--plaintext --trust-network --allow-root --listen 0.0.0.0:0 {home}"),
            others,
        ),
        (config.clone(), "is haul's own"),
        (format!("--plaintext {config}"), "is haul's own"),
        (
            format!("--anonymous read --audit {home}/audit {home}/.."),
            others,
        ),
        (
            format!("--anonymous read --audit {home}/../root/log ."),
            others,
        ),
    ] {
        let line = format!("serve --listen 127.0.0.1:0 {line}");
        is(owner.run(&line), &line, 2, says);
    }
    // Another private key than that in its place is one of them.
    let line = "serve --plaintext --trust-network --allow-root --listen 0.0.0.0:0";
    let mut named = owner.command(line);
    named.env("HAUL_IDENTITY", "ci.key");
    is(
        Running::start(named).finish(),
        line,
        2,
        "ci.key, which haul",
    );
}

#[test]
fn root_serves_others_only_where_that_is_said() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root is refused");
        return;
    }
    let owner = Person::new();
    for flags in ["--anonymous read", "--plaintext --trust-network"] {
        let line = format!("serve --listen 0.0.0.0:0 {flags}");
        is(owner.run(&line), &line, 2, "--allow-root");
        let running = Running::start(owner.command(&format!("{line} --allow-root")));
        assert!(running.line().starts_with("listening on "), "{line}");
    }
}
