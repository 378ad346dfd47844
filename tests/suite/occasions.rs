//! The README's occasions, which are there in full, are typed as they stand there.
//!
//! A prompt with a name is a machine: here, a home of its own. What one machine tells
//! another, its key, a fingerprint, a link, takes the place of what stands for it on the
//! page. Addresses lead to the server that the machine has started, on loopback, and a path
//! in `/srv` to a directory of the machine's own.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::program::Running;
use crate::rig::noise;
use crate::shown::bash;

/// The machines, and what was said on them.
struct Stage {
    dir: TempDir,
    /// By `NAME:PORT`, as the page has it, a server and its address.
    servers: HashMap<String, (Running, String)>,
    /// What was said last: a key, a server's fingerprint, a link.
    key: String,
    print: String,
    link: String,
}

impl Stage {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            servers: HashMap::new(),
            key: String::new(),
            print: String::new(),
            link: String::new(),
        }
    }

    fn home(&self, machine: &str) -> PathBuf {
        let home = self.dir.path().join(machine);
        fs::create_dir_all(&home).unwrap();
        home
    }

    fn file(&self, machine: &str, name: &str, bytes: &[u8]) {
        let path = self.home(machine).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A line of the page, as it has to be typed on this machine.
    fn meant(&self, machine: &str, line: &str) -> String {
        let home = self.home(machine).display().to_string();
        let line = line.replace("ssh-ed25519 AAAA...", &self.key);
        let mut words: Vec<String> = Vec::new();
        for word in line.split(' ') {
            let is_name = words.last().is_some_and(|word| word == "--name");
            let host = word.split('/').next().unwrap_or_default();
            let port = if host.contains(':') { "" } else { ":4285" };
            let server = self.servers.get(&format!("{host}{port}"));
            words.push(match server.filter(|_| !is_name) {
                Some((_, address)) => word.replacen(host, address, 1),
                None if word.starts_with("/srv/") => format!("{home}{word}"),
                None if word == "SHA256:..." => self.print.clone(),
                None if word.starts_with("haul://FINGERPRINT.ID.SECRET@") => self.link.clone(),
                None => word.to_owned(),
            });
        }
        words.join(" ")
    }

    /// Starts a server, and hears what it says until it is ready.
    #[track_caller]
    fn serve(&mut self, machine: &str, line: &str) {
        let mut words = line.split(' ');
        let listen = words.find_map(|word| word.strip_prefix("0.0.0.0"));
        let port = match listen.expect("others are to reach it") {
            "" => ":4285",
            port => port,
        };
        let typed = self.meant(machine, line);
        let typed = typed.replace(&format!("0.0.0.0{}", listen.unwrap()), "127.0.0.1:0");
        let running = Running::start(bash(&self.home(machine), &format!("exec {typed}")));
        let address = loop {
            let said = running.line();
            assert_ne!(said, "", "{line}: it never listened");
            if let Some(print) = said.strip_prefix("the server's key is ") {
                print.clone_into(&mut self.print);
            }
            if let Some(address) = said.strip_prefix("listening on haul://") {
                break address.to_owned();
            }
        };
        if line.contains("--invite") {
            link_in(&running.line()).clone_into(&mut self.link);
        }
        self.servers
            .insert(format!("{machine}{port}"), (running, address));
    }

    /// Types a line to its end, and heeds what it tells.
    #[track_caller]
    fn types(&mut self, machine: &str, line: &str) {
        let mut command = bash(&self.home(machine), &self.meant(machine, line));
        if line.contains("cat >") {
            self.file(machine, "pasted", self.link.as_bytes());
            let pasted = File::open(self.home(machine).join("pasted"));
            command.stdin(pasted.unwrap());
        }
        let ended = Running::start(command).finish();
        assert_eq!(ended.code, Some(0), "{machine}$ {line}: {}", ended.stdout);
        if line.ends_with("haul key") {
            let mut lines = ended.stdout.lines();
            let key = lines.find(|line| line.starts_with("ssh-ed25519 "));
            key.unwrap().clone_into(&mut self.key);
        }
        if line.starts_with("haul invite") {
            // Its name and the usual port lead elsewhere here.
            let (secret, _) = link_in(&ended.stdout).split_once('@').unwrap();
            let (_, address) = &self.servers[&format!("{machine}:4285")];
            self.link = format!("{secret}@{address}/");
        }
        if line.contains(" -q ") {
            assert_eq!(ended.stdout, "", "{line}");
        }
    }

    #[track_caller]
    fn has(&self, machine: &str, name: &str, bytes: &[u8]) {
        let found = fs::read(self.home(machine).join(name));
        let found = found.unwrap_or_else(|error| panic!("{machine}: {name}: {error}"));
        assert!(found == bytes, "{machine}: {name}");
    }
}

fn link_in(said: &str) -> &str {
    let word = said.split_whitespace().find(|w| w.starts_with("haul://"));
    word.unwrap_or_else(|| panic!("no link in {said:?}"))
}

#[test]
fn the_readme_s_occasions_can_be_typed_in_order() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let begin = readme.find("Four occasions, each in full").unwrap();
    let end = readme.find("From here on `nas`").unwrap();
    let occasions = &readme[begin..end];

    let mut stage = Stage::new();
    let (slides, app, report, photo) = (noise(70_000), noise(3_000_000), noise(9), noise(40_000));
    stage.file("laptop", "slides/talk.pdf", &slides);
    stage.file("ci", "dist/bin/app", &app);
    stage.file("guest", "report.pdf", &report);
    stage.file("laptop", "photos/2025/sea.jpg", &photo);
    for root in ["srv/files", "srv/backup"] {
        fs::create_dir_all(stage.home("nas").join(root)).unwrap();
    }

    let mut count = 0;
    for line in occasions.lines() {
        let Some((machine, line)) = line.split_once("$ ") else {
            count += usize::from(line.contains("```console"));
            continue;
        };
        if line.contains("haul serve") {
            stage.serve(machine, line);
        } else {
            stage.types(machine, line);
        }
    }
    assert_eq!(count, 4, "each occasion has one block");

    stage.has("desk", "talk.pdf", &slides);
    stage.has("nas", "srv/files/builds/1.4.0/bin/app", &app);
    stage.has("nas", "srv/files/inbox/report.pdf", &report);
    stage.has("nas", "srv/backup/laptop/photos/2025/sea.jpg", &photo);
}
