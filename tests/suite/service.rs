//! A server that a service manager runs: the sockets it is handed, and what it says.
//!
//! The manager is played here: it binds the socket, hands it over as descriptor 3, and
//! listens for words on a socket of its own.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::place::Place;
use crate::program::{PATIENCE, Running, haul, in_shell};
use crate::rig::noise;
use crate::watch::Watch;

/// A manager with a directory to serve.
struct Manager {
    dir: TempDir,
    words: UnixDatagram,
}

/// Has the shell hand over what is its standard input.
const HAND_OVER: &str = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1";

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        let words = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        words.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { dir, words }
    }

    fn serve<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> Command {
        let root = self.dir.path().join("root");
        let mut command = haul(&root, ["serve"].into_iter().chain(words));
        command
            .env("HOME", self.dir.path().join("home"))
            .env("NOTIFY_SOCKET", self.dir.path().join("notify"));
        command
    }

    /// Starts a server that is handed this, after the shell was told so.
    fn hand<'w>(
        &self,
        told: &str,
        what: impl Into<OwnedFd>,
        words: impl IntoIterator<Item = &'w str>,
    ) -> Running {
        let mut command = in_shell(told, &self.serve(words));
        command.stdin(Stdio::from(what.into()));
        Running::start(command)
    }

    /// What the server says next.
    #[track_caller]
    fn hears(&self) -> String {
        let mut word = [0; 256];
        let len = self.words.recv(&mut word).expect("it says something");
        String::from_utf8(word[..len].to_vec()).unwrap()
    }
}

fn listening() -> (TcpListener, String) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

#[test]
fn the_manager_hears_when_clients_may_come_and_that_the_server_is_stopping() {
    let manager = Manager::new();
    let server = Running::start(manager.serve(["--listen", "127.0.0.1:0", "--drain", "7s"]));
    assert!(server.line().starts_with("listening on "));
    assert_eq!(manager.hears(), "READY=1\n");
    server.signal(Signal::TERM);
    let stopping = "STOPPING=1\nEXTEND_TIMEOUT_USEC=22000000\n";
    assert_eq!(manager.hears(), stopping);
    assert_eq!(server.finish().code, Some(0));
}

#[test]
fn a_watchdog_hears_that_the_server_is_well_as_often_as_it_asks() {
    let manager = Manager::new();
    let mut command = manager.serve(["--listen", "127.0.0.1:0"]);
    command.env("WATCHDOG_USEC", "200000");
    let server = Running::start(command);
    assert_eq!(manager.hears(), "READY=1\n");
    let began = Instant::now();
    for _ in 0..5 {
        assert_eq!(manager.hears(), "WATCHDOG=1\n");
    }
    assert!(began.elapsed() >= Duration::from_millis(400));
    server.signal(Signal::TERM);
    assert_eq!(server.finish().code, Some(0));
}

#[test]
fn where_the_watchdog_is_somebody_else_s_it_hears_nothing() {
    let manager = Manager::new();
    let mut command = manager.serve(["--listen", "127.0.0.1:0"]);
    command
        .env("WATCHDOG_USEC", "1000")
        .env("WATCHDOG_PID", "1");
    let server = Running::start(command);
    assert_eq!(manager.hears(), "READY=1\n");
    server.signal(Signal::TERM);
    assert!(manager.hears().starts_with("STOPPING=1\n"));
    assert_eq!(server.finish().code, Some(0));
}

#[test]
fn a_socket_that_is_handed_over_is_listened_on() {
    let manager = Manager::new();
    let (socket, address) = listening();
    let server = manager.hand(HAND_OVER, socket, []);
    assert_eq!(server.line(), format!("listening on haul://{address}"));
    assert_eq!(manager.hears(), "READY=1\n");
    server.signal(Signal::TERM);
    let ended = server.finish();
    assert_eq!((ended.code, &*ended.stdout), (Some(0), ""), "{ended:?}");
}

#[test]
fn what_is_said_besides_is_listened_on_too() {
    let manager = Manager::new();
    let (socket, address) = listening();
    let server = manager.hand(HAND_OVER, socket, ["--listen", "127.0.0.1:0"]);
    assert_eq!(server.line(), format!("listening on haul://{address}"));
    let other = server.line();
    assert!(other.starts_with("listening on haul://127.0.0.1:"));
    assert_ne!(other, format!("listening on haul://{address}"));
}

#[test]
fn what_is_handed_to_another_process_is_left_alone() {
    let manager = Manager::new();
    let (socket, address) = listening();
    let told = HAND_OVER.replace("$$", "1");
    let server = manager.hand(&told, socket, ["--listen", "127.0.0.1:0"]);
    let line = server.line();
    assert!(line.starts_with("listening on haul://127.0.0.1:"));
    assert_ne!(line, format!("listening on haul://{address}"));
}

#[test]
fn what_is_handed_over_and_cannot_be_listened_on_is_refused() {
    let manager = Manager::new();
    let (listens, _) = listening();
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let datagrams = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    let file = File::open("/dev/null").unwrap();
    let two = HAND_OVER.replace("FDS=1", "FDS=2");
    for (case, told, what, number) in [
        ("a file", HAND_OVER, OwnedFd::from(file), 1),
        ("a silent socket", HAND_OVER, silent.into(), 1),
        ("datagrams", HAND_OVER, datagrams.into(), 1),
        ("fewer than said", &two, listens.into(), 2),
    ] {
        let ended = manager.hand(told, what, []).finish();
        let why = format!("as its socket {number} does not listen for TCP\n");
        assert_eq!(ended.code, Some(2), "{case}: {ended:?}");
        assert!(ended.stderr.ends_with(&why), "{case}: {ended:?}");
    }
}

#[test]
fn a_socket_that_others_can_reach_needs_somebody_to_admit() {
    let manager = Manager::new();
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let ended = manager.hand(HAND_OVER, socket, []).finish();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("none of them is admitted"),
        "{ended:?}"
    );
}

#[test]
fn a_restart_behind_a_socket_that_stays_is_a_pause() {
    let manager = Manager::new();
    let (socket, address) = listening();
    let again = || socket.try_clone().unwrap();
    let server = manager.hand(HAND_OVER, again(), ["--drain", "0"]);
    assert!(server.line().ends_with(&address));
    let here = manager.dir.path().join("here");
    fs::create_dir(&here).unwrap();
    fs::write(here.join("x"), noise(96 << 20)).unwrap();
    let watch = Watch::on(&manager.dir.path().join("root"));
    let mut put = haul(&here, ["put", "x", &address]);
    put.env("HOME", manager.dir.path().join("home"));
    let put = Running::start(put);
    watch.until_staged(32 << 20, &put);
    server.signal(Signal::TERM);
    assert_eq!(server.finish().code, Some(0));
    // Nobody accepts now, and nobody is refused.
    let server = manager.hand(HAND_OVER, again(), []);
    let ended = put.finish();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(fs::read(manager.dir.path().join("root/x")).unwrap() == noise(96 << 20));
    server.signal(Signal::TERM);
    assert_eq!(server.finish().code, Some(0));
}

/// A unit as it is shipped: its lines of `NAME=VALUE`.
fn unit(name: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let text = fs::read_to_string(path.join(name)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let settings = lines.filter_map(|line| line.split_once('='));
    settings
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn the_units_start_what_a_manager_is_told_of() {
    for name in ["haul.service", "user/haul.service"] {
        let unit = unit(name);
        let value = |wanted: &str| {
            let found = unit.iter().find(|(name, _)| name == wanted);
            found.map_or("", |(_, value)| value.as_str())
        };
        assert_eq!(value("Type"), "notify", "{name}");
        assert_eq!(value("WatchdogSec"), "60", "{name}");
        // More than the drain time, and the time that connections then have to part.
        let patience: u64 = value("TimeoutStopSec").parse().unwrap();
        assert!(patience > 30 + 2 + 5, "{name}");
        let mut words = value("ExecStart").split(' ');
        assert_eq!(words.next(), Some("/usr/local/bin/haul"), "{name}");
        assert_eq!(words.next(), Some("serve"), "{name}");
        assert!(words.next().is_some_and(|dir| !dir.starts_with('-')));
        assert_eq!(words.next(), None, "{name}");
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let dir = tempfile::tempdir().unwrap();
    for of in [".", "user"] {
        let manner = if of == "." { "--system" } else { "--user" };
        let mut paths = Vec::new();
        for name in ["haul.service", "haul.socket"] {
            let text = fs::read_to_string(top.join(of).join(name)).unwrap();
            let text = text.replace("/usr/local/bin/haul", env!("CARGO_BIN_EXE_haul"));
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            paths.push(path);
        }
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["verify", "--man=no", manner]).args(&paths);
        analyze.env("XDG_RUNTIME_DIR", dir.path());
        match analyze.output() {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let ours = said.lines().filter(|line| line.contains("haul."));
                assert_eq!(ours.collect::<Vec<_>>(), [""; 0], "{said}");
                assert!(output.status.success() || said.is_empty(), "{said}");
            }
            Err(error) => eprintln!("not tried, as there is no systemd-analyze: {error}"),
        }
    }
}

#[test]
fn without_a_manager_nothing_is_said_of_one() {
    let place = Place::serving("");
    place.server.running.signal(Signal::TERM);
    let ended = place.server.running.finish();
    assert!(!ended.stderr.contains("manager"), "{ended:?}");
}
