//! A person at a terminal, and what they see there.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::place::Place;
use crate::program::{Ended, PATIENCE, Running, as_given};

/// What is typed for Ctrl-C and Ctrl-D.
pub const CTRL_C: &str = "\x03";
pub const CTRL_D: &str = "\x04";
pub const TAB: &str = "\t";

/// haul on a terminal of its own.
pub struct Typing {
    pub running: Running,
    keys: File,
    shown: Receiver<Vec<u8>>,
    /// What was shown and not looked at.
    screen: String,
}

impl Typing {
    /// Types a line into a terminal that has nothing else to do; its history is kept in
    /// the place.
    #[track_caller]
    pub fn begin(place: &Place, line: &str) -> Self {
        let mut haul = place.haul(line);
        haul.env("XDG_STATE_HOME", place.dir.path().join("state"));
        Self::at(&place.here(), &haul)
    }

    /// The same with a command in a directory.
    #[track_caller]
    pub fn at(here: &Path, haul: &Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&ours, size).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        // Only what leads a session has a terminal, and with it Ctrl-C.
        let mut command = Command::new("setsid");
        command
            .arg("-c")
            .arg(haul.get_program())
            .args(haul.get_args())
            .current_dir(here)
            .stdin(theirs.try_clone().unwrap())
            .stdout(theirs.try_clone().unwrap())
            .stderr(theirs);
        as_given(haul, &mut command);
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        let running = Running::start(command);
        let keys = File::from(ours);
        let mut screen = keys.try_clone().unwrap();
        let (tell, shown) = mpsc::channel();
        let read = move || {
            let mut buffer = [0; 4096];
            // A terminal that everyone has left is an error of reading.
            while let Ok(len @ 1..) = screen.read(&mut buffer) {
                if tell.send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        };
        let name = "screen".to_owned();
        thread::Builder::new().name(name).spawn(read).unwrap();
        Self {
            running,
            keys,
            shown,
            screen: String::new(),
        }
    }

    /// Types these keys.
    pub fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Types a line and presses Enter.
    pub fn line(&mut self, line: &str) {
        self.keys(&format!("{line}\r"));
    }

    /// Waits until this is shown, and returns what was before it.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.screen.find(text) {
                let rest = self.screen.split_off(at + text.len());
                let mut before = std::mem::replace(&mut self.screen, rest);
                before.truncate(at);
                return before;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.screen += &String::from_utf8_lossy(&bytes),
                Err(why) => panic!("{text:?} is not shown, {why}: {:?}", self.screen),
            }
        }
    }

    /// Whether what is typed is shown by the terminal itself.
    pub fn has_echo(&self) -> bool {
        let modes = tcgetattr(&self.keys).unwrap().local_modes;
        modes.contains(LocalModes::ECHO)
    }

    /// Waits for the end; what was shown until then is in place of standard output.
    #[track_caller]
    pub fn finish(mut self) -> Ended {
        let mut ended = self.running.finish();
        // What was written last is there once the program is gone.
        drop(self.keys);
        while let Ok(bytes) = self.shown.recv_timeout(PATIENCE) {
            self.screen += &String::from_utf8_lossy(&bytes);
        }
        ended.stdout = self.screen;
        ended
    }
}
