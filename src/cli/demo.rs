//! `haul demo [PATH...]`: the whole way of a byte on one machine, told step by step.
//!
//! A real server on a real socket takes the files and gives them back. That they are the
//! same is not taken from haul's own word: the bytes are read again, compared, and hashed
//! in one go by the BLAKE3 library, and both receipts must show that checksum.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::client::{Cancel, Client, Event, GetOptions, Options, PutOptions};
use crate::code::Code;
use crate::content::Checksum;
use crate::fault::Fault;
use crate::offer::OnExisting;
use crate::path::RemotePath;
use crate::server::{Config, Handle, Server};
use crate::store::{Durability, LocalStore};

use super::destination::{LocalPlace, Place, name_of};
use super::failure::{failure, usage};
use super::report::Report;
use super::scratch::Scratch;
use super::summary::{Job, sentence};
use super::watched_job::Outcome;
use super::{escape, get, put, quantity, signals};

/// Bytes that are compared at a time.
const PIECE: usize = 64 << 10;

/// Bytes in the largest sample: several blocks, and a last one that is not full.
const NOISE: usize = (5 << 20) + 1;

/// What a receipt said of each file.
type Receipts = HashMap<RemotePath, Option<Checksum>>;

pub(super) fn run(paths: Vec<PathBuf>, report: &mut Report) -> anyhow::Result<Option<Code>> {
    let scratch = Scratch::new().map_err(|error| unwritable(&error))?;
    let cancel = Cancel::default();
    let _signals = signals::cancelling(cancel.clone())?;
    let files = if paths.is_empty() {
        report.notice("making sample files");
        samples(&scratch).map_err(|error| unwritable(&error))?
    } else {
        files_of(paths)?
    };
    let root = scratch
        .directory("served")
        .map_err(|error| unwritable(&error))?;
    let (server, address) = serve(&root)?;
    report.notice(&format!(
        "serving {} on haul://{address}",
        escape::path(&root)
    ));
    let client = Client::new(
        &address,
        Options {
            cancel,
            ..Options::default()
        },
    );

    let mut stored = Receipts::new();
    let options = PutOptions::default();
    let hear = |event: &Event| keep(&mut stored, event);
    let into = Place::Into(None);
    let outcome = put::send(&client, &files, &into, &options, report, hear)?;
    tell(report, &Job::Put(address.clone()), &outcome);
    if let Some(code) = outcome.summary.code() {
        return Ok(Some(code));
    }

    let fetched = LocalPlace {
        base: scratch.path().join("fetched"),
        place: Place::Into(None),
    };
    let mut returned = Receipts::new();
    let options = GetOptions::default();
    let hear = |event: &Event| keep(&mut returned, event);
    let names = stored.keys().cloned().collect();
    let outcome = get::fetch(&client, names, &fetched, &options, report, hear)?;
    let place = escape::path(&fetched.base).into_owned();
    tell(report, &Job::Get(place), &outcome);
    if let Some(code) = outcome.summary.code() {
        return Ok(Some(code));
    }
    drop(server);

    report.notice("comparing byte by byte, and with the checksums of both receipts");
    for file in &files {
        compare(file, &fetched.base, [&stored, &returned])?;
    }
    report.data(&format!("same: {}", quantity::files(files.len() as u64)));
    Ok(None)
}

fn unwritable(error: &io::Error) -> anyhow::Error {
    let directory = std::env::temp_dir();
    let shown = escape::path(&directory);
    failure(Code::File, format!("cannot make files in {shown}: {error}"))
}

fn serve(root: &Path) -> anyhow::Result<(Handle, String)> {
    let store = LocalStore::serve(root, Durability::Batch, Fault::default())?;
    let server = Server::bind(store, &["127.0.0.1:0".to_owned()], Config::default())?;
    let addresses = server.addresses()?;
    Ok((server.start()?, addresses[0].to_string()))
}

fn keep(receipts: &mut Receipts, event: &Event) {
    if let Event::Finished { path, checksum, .. } = event {
        receipts.insert(path.clone(), *checksum);
    }
}

fn tell(report: &Report, job: &Job, outcome: &Outcome) {
    let text = sentence(job, &outcome.summary, outcome.elapsed, OnExisting::Refuse);
    report.notice(&text);
}

/// Checks that a file came back as it is, and that both receipts say so.
fn compare(file: &Path, fetched: &Path, receipts: [&Receipts; 2]) -> anyhow::Result<()> {
    let shown = escape::path(file);
    let name = name_of(file)
        .and_then(|name| RemotePath::from_local(name).ok())
        .with_context(|| format!("{shown} has lost its name"))?;
    let copy = fetched.join(name.as_path());
    let proof = read_both(file, &copy)
        .map_err(|error| failure(Code::File, format!("cannot compare {shown}: {error}")))?
        .ok_or_else(|| failure(Code::Mismatch, format!("{shown} came back different")))?;
    let is_proved = |receipt: &&Receipts| receipt.get(&name) == Some(&Some(proof));
    if receipts.iter().all(is_proved) {
        Ok(())
    } else {
        let text = format!("{shown} has another checksum than its receipts: {proof}");
        Err(failure(Code::Mismatch, text))
    }
}

/// Reads two files side by side: the checksum of their bytes, or `None` where they differ.
fn read_both(one: &Path, other: &Path) -> io::Result<Option<Checksum>> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut ones, mut others) = (vec![0; PIECE], vec![0; PIECE]);
    let mut hasher = blake3::Hasher::new();
    loop {
        let len = one.read(&mut ones)?;
        if len == 0 {
            let is_end = other.read(&mut others)? == 0;
            return Ok(is_end.then(|| Checksum::Blake3(*hasher.finalize().as_bytes())));
        }
        hasher.update(&ones[..len]);
        match other.read_exact(&mut others[..len]) {
            Ok(()) if ones[..len] == others[..len] => {}
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(error),
            Ok(()) | Err(_) => return Ok(None),
        }
    }
}

/// Makes a few files: none, little and much in them, and a name that is not ASCII.
fn samples(scratch: &Scratch) -> io::Result<Vec<PathBuf>> {
    let directory = scratch.directory("samples")?;
    let mut noise = vec![0; NOISE];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let contents: [(&str, &[u8]); 5] = [
        ("empty", b""),
        ("hello.txt", b"hello, haul\n"),
        ("gr\u{fc}\u{df}e.txt", "gr\u{fc}\u{df}e\n".as_bytes()),
        ("small.bin", &noise[..10_000]),
        ("large.bin", &noise),
    ];
    contents
        .into_iter()
        .map(|(name, bytes)| Scratch::file(&directory, name, bytes))
        .collect()
}

/// The regular files among `paths`, and directly in those that are directories.
fn files_of(paths: Vec<PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let shown = escape::path(&path);
            let held = regular_files(&path)
                .map_err(|error| failure(Code::File, format!("cannot list {shown}: {error}")))?;
            files.extend(held);
        } else {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(usage("there are no regular files to move"));
    }
    Ok(files)
}

fn regular_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for item in fs::read_dir(directory)? {
        let item = item?;
        if item.file_type()?.is_file() {
            files.push(item.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &[u8], other: &[u8], same: bool) {
        let scratch = Scratch::new().unwrap();
        let one = Scratch::file(scratch.path(), "one", one).unwrap();
        let other = Scratch::file(scratch.path(), "other", other).unwrap();
        let proof = read_both(&one, &other).unwrap();
        let hash = *blake3::hash(&fs::read(one).unwrap()).as_bytes();
        assert_eq!(proof, same.then_some(Checksum::Blake3(hash)));
    }

    #[test]
    fn files_are_the_same_to_the_last_byte_or_not_at_all() {
        let long = vec![7; PIECE + 1];
        check(b"", b"", true);
        check(&long, &long, true);
        check(&long, &long[..PIECE], false);
        check(&long[..PIECE], &long, false);
        check(b"a", b"b", false);
        check(b"", b"a", false);
    }

    #[test]
    fn a_directory_stands_for_its_regular_files() {
        let scratch = Scratch::new().unwrap();
        let inner = scratch.directory("inner").unwrap();
        let file = Scratch::file(&inner, "file", b"").unwrap();
        std::os::unix::fs::symlink("file", inner.join("link")).unwrap();
        fs::create_dir(inner.join("deep")).unwrap();
        assert_eq!(files_of(vec![inner]).unwrap(), [file]);
        assert!(files_of(vec![scratch.path().to_owned()]).is_err());
    }
}
