//! Running the program as somebody to whom a disk can be closed, also where the tests run
//! as root.

use std::fs;
use std::os::unix::fs::lchown;
use std::path::Path;
use std::process::Command;

use crate::landscape::{is_root, set_mode};
use crate::program::as_given;

/// The user that owns nothing.
const NOBODY: u32 = 65_534;

/// The same command, run by nobody where we are root. None, and said so, where it cannot.
pub fn run(command: Command) -> Option<Command> {
    if !is_root() {
        return Some(command);
    }
    let wrapped = |program: &Command| {
        let mut wrapped = Command::new("setpriv");
        let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
        wrapped.args([&user, &group]).arg("--clear-groups");
        wrapped.arg(program.get_program()).args(program.get_args());
        wrapped
    };
    let mut version = Command::new(command.get_program());
    let tried = wrapped(version.arg("--version")).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        eprintln!("skipped: setpriv is not there, or cannot run haul as nobody");
        return None;
    }
    let mut wrapped = wrapped(&command);
    as_given(&command, &mut wrapped);
    if let Some(here) = command.get_current_dir() {
        wrapped.current_dir(here);
    }
    let pipe = std::process::Stdio::piped;
    wrapped
        .stdin(std::process::Stdio::null())
        .stdout(pipe())
        .stderr(pipe());
    Some(wrapped)
}

/// Gives a tree to nobody, where that is somebody else.
pub fn own(top: &Path) {
    if !is_root() {
        return;
    }
    set_mode(top, 0o755);
    let mut paths = vec![top.to_owned()];
    while let Some(path) = paths.pop() {
        lchown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            paths.extend(fs::read_dir(path).unwrap().map(|item| item.unwrap().path()));
        }
    }
}
