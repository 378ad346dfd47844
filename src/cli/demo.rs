//! `haul demo [PATH...]`: the whole way of a byte on one machine, told step by step.
//!
//! A real server on a real socket takes the files and gives them back. They are a person's
//! own, and the machine may be others' too: both ends hold one key, which is made for this
//! and gone with it, and nobody without it is let in. That the files are the same is not
//! taken from haul's own word: the bytes are read again, compared, and hashed in one go by
//! the BLAKE3 library, and both receipts must show that checksum.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use crate::client::{Cancel, Client, Error, Event, JobOptions, Options, Retry};
use crate::code::Code;
use crate::content::Checksum;
use crate::entry::Kind;
use crate::fault::Fault;
use crate::net::keys::{Keypair, PublicKey};
use crate::net::tls::{ClientSide, Expected, ServerSide};
use crate::path::RemotePath;
use crate::server::{Admit, Config, Grant, Handle, Refusal, Server, Visitor};
use crate::store::{Durability, LocalStore};
use crate::wire::message::Rights;

use super::destination::{LocalPlace, Place, name_of};
use super::failure::failure;
use super::report::Report;
use super::scratch::Scratch;
use super::settings::Source;
use super::signals::Interrupts;
use super::summary::{Job, sentence};
use super::watched_job::Outcome;
use super::{escape, get, put, quantity};

/// Bytes that are compared at a time.
const PIECE: usize = 64 << 10;

/// Bytes in the largest sample: several blocks, and a last one that is not full.
const NOISE: usize = (5 << 20) + 1;

/// What the receipts of one direction said.
#[derive(Default)]
struct Receipts {
    files: HashMap<RemotePath, Option<Checksum>>,
    others: HashMap<RemotePath, Kind>,
}

pub(super) fn run(paths: Vec<PathBuf>, report: &mut Report) -> anyhow::Result<Option<Code>> {
    // First, so that nothing that was made is left by a signal.
    let interrupts = Interrupts::listen()?;
    let cancel = interrupts.begin();
    let scratch = Scratch::new().map_err(|error| unwritable(&error))?;
    let sources = if paths.is_empty() {
        report.notice("making sample files");
        vec![samples(&scratch).map_err(|error| unwritable(&error))?]
    } else {
        paths
    };
    let root = scratch
        .directory("served")
        .map_err(|error| unwritable(&error))?;
    let (key, _) = Keypair::generate()?;
    let (server, address) = serve(&root, &key)?;
    report.notice(&format!(
        "serving {} on haul://{address}",
        escape::path(&root)
    ));
    let client = || client(&address, &key, cancel.clone());

    let options = JobOptions::default();
    let mut stored = Receipts::default();
    let hear = |event: &Event| stored.keep(event);
    let into = Place::Into(None);
    let outcome = put::send(client, &sources, &into, &options, report, hear)?;
    tell(report, &Job::Put(address.clone()), &outcome);
    if let Some(code) = outcome.summary.code() {
        return Ok(Some(code));
    }

    let fetched = LocalPlace {
        base: scratch.path().join("fetched"),
        place: Place::Into(None),
    };
    let mut returned = Receipts::default();
    let hear = |event: &Event| returned.keep(event);
    let all = Source {
        path: None,
        is_named: false,
    };
    let outcome = get::fetch(client, vec![all], &fetched, &options, report, hear)?;
    let place = escape::path(&fetched.base).into_owned();
    tell(report, &Job::Get(place), &outcome);
    if let Some(code) = outcome.summary.code() {
        return Ok(Some(code));
    }
    drop(server);

    report.notice("comparing byte by byte, and with the checksums of both receipts");
    for path in stored.files.keys() {
        let file = original(&sources, path)?;
        compare(&file, &fetched.base, path, [&stored, &returned], &cancel)?;
    }
    for (path, kind) in &stored.others {
        if cancel.is_cancelled() {
            return Err(Error::Interrupted.into());
        }
        let file = original(&sources, path)?;
        compare_other(&file, &fetched.base.join(path.as_path()), kind)?;
    }
    report.data(&format!(
        "same: {}",
        quantity::files(stored.files.len() as u64)
    ));
    Ok(None)
}

/// Admits the demo's own key.
#[derive(Debug)]
struct Itself(PublicKey);

impl Admit for Itself {
    fn grant(&self, visitor: &Visitor) -> Result<Grant, Refusal> {
        if visitor.key == Some(self.0) {
            Ok(Grant::of(Rights::ALL))
        } else {
            Err(Refusal::Stranger)
        }
    }
}

impl Receipts {
    fn keep(&mut self, event: &Event) {
        match event {
            Event::Finished { path, checksum, .. } => {
                self.files.insert(path.clone(), *checksum);
            }
            Event::Placed { path, kind, .. } => {
                self.others.insert(path.clone(), kind.clone());
            }
            Event::Started { .. }
            | Event::Skipped { .. }
            | Event::Failed { .. }
            | Event::Lost(_) => {}
        }
    }
}

/// The file that became `path` on the server.
fn original(sources: &[PathBuf], path: &RemotePath) -> anyhow::Result<PathBuf> {
    let (first, rest) = path.as_str().split_once('/').unwrap_or((path.as_str(), ""));
    let named = sources
        .iter()
        .find(|source| name_of(source).is_some_and(|name| name == first));
    if let Some(source) = named {
        return Ok(if rest.is_empty() {
            source.clone()
        } else {
            source.join(rest)
        });
    }
    let unnamed = sources.iter().find(|source| name_of(source).is_none());
    let source = unnamed.with_context(|| format!("{path:?} was stored, and nobody put it"))?;
    Ok(source.join(path.as_path()))
}

fn unwritable(error: &io::Error) -> anyhow::Error {
    let directory = std::env::temp_dir();
    let shown = escape::path(&directory);
    failure(Code::File, format!("cannot make files in {shown}: {error}"))
}

/// Serves a directory to whoever holds the server's own key.
fn serve(root: &Path, key: &Keypair) -> anyhow::Result<(Handle, String)> {
    let store = LocalStore::serve(root, Durability::Batch, Fault::default())?;
    let config = Config {
        admit: Arc::new(Itself(key.public())),
        encryption: Some(ServerSide::new(key)?),
        ..Config::default()
    };
    let server = Server::bind(store, &["127.0.0.1:0".to_owned()], config)?;
    let addresses = server.addresses()?;
    Ok((server.start()?, addresses[0].to_string()))
}

fn client(address: &str, key: &Keypair, cancel: Cancel) -> anyhow::Result<Client> {
    let options = Options {
        cancel,
        encryption: Some(ClientSide::new(key, Expected::Key(key.public()))?),
        retry: Retry::NEVER,
        ..Options::default()
    };
    Ok(Client::new(address, options))
}

fn tell(report: &Report, job: &Job, outcome: &Outcome) {
    let options = JobOptions::default();
    let text = sentence(job, &outcome.summary, outcome.elapsed, &options);
    report.notice(&text);
}

/// Checks that a file came back as it is, and that both receipts say so.
fn compare(
    file: &Path,
    fetched: &Path,
    name: &RemotePath,
    receipts: [&Receipts; 2],
    cancel: &Cancel,
) -> anyhow::Result<()> {
    let shown = escape::path(file);
    let copy = fetched.join(name.as_path());
    let proof = read_both(file, &copy, cancel)
        .map_err(|error| match error {
            _ if cancel.is_cancelled() => Error::Interrupted.into(),
            error => failure(Code::File, format!("cannot compare {shown}: {error}")),
        })?
        .ok_or_else(|| failure(Code::Mismatch, format!("{shown} came back different")))?;
    let is_proved = |receipt: &&Receipts| receipt.files.get(name) == Some(&Some(proof));
    if receipts.iter().all(is_proved) {
        Ok(())
    } else {
        let text = format!("{shown} has another checksum than its receipts: {proof}");
        Err(failure(Code::Mismatch, text))
    }
}

/// Checks that a link or directory came back as it is.
fn compare_other(file: &Path, copy: &Path, kind: &Kind) -> anyhow::Result<()> {
    let is_same = || -> io::Result<bool> {
        match kind {
            Kind::Link(target) => Ok(fs::read_link(copy)?.as_os_str() == target.as_str()),
            Kind::File(_) | Kind::Dir => {
                let (one, other) = (fs::metadata(file)?, fs::symlink_metadata(copy)?);
                let told = |of: &fs::Metadata| (of.mode() & 0o777, of.mtime(), of.mtime_nsec());
                Ok(other.is_dir() && told(&one) == told(&other))
            }
        }
    };
    let shown = escape::path(file);
    match is_same() {
        Ok(true) => Ok(()),
        Ok(false) => Err(failure(
            Code::Mismatch,
            format!("{shown} came back different"),
        )),
        Err(error) => Err(failure(
            Code::File,
            format!("cannot compare {shown}: {error}"),
        )),
    }
}

/// Reads two files side by side, until `cancel` ends that: the checksum of their bytes, or `None`
/// where they differ.
fn read_both(one: &Path, other: &Path, cancel: &Cancel) -> io::Result<Option<Checksum>> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut ones, mut others) = (vec![0; PIECE], vec![0; PIECE]);
    let mut hasher = blake3::Hasher::new();
    loop {
        if cancel.is_cancelled() {
            return Err(ErrorKind::Interrupted.into());
        }
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

/// Makes a small tree: files with nothing, little and much in them, a name that is not
/// ASCII, a link, and a directory with nothing in it.
fn samples(scratch: &Scratch) -> io::Result<PathBuf> {
    let directory = scratch.directory("samples")?;
    let nested = scratch.directory("samples/nested")?;
    scratch.directory("samples/nested/nothing")?;
    let mut noise = vec![0; NOISE];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let contents: [(&Path, &str, &[u8]); 5] = [
        (&directory, "empty", b""),
        (&directory, "hello.txt", b"hello, haul\n"),
        (
            &directory,
            "gr\u{fc}\u{df}e.txt",
            "gr\u{fc}\u{df}e\n".as_bytes(),
        ),
        (&nested, "small.bin", &noise[..10_000]),
        (&nested, "large.bin", &noise),
    ];
    for (directory, name, bytes) in contents {
        Scratch::file(directory, name, bytes)?;
    }
    symlink("../hello.txt", nested.join("link"))?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::code_of;

    #[track_caller]
    fn check(one: &[u8], other: &[u8], same: bool) {
        let scratch = Scratch::new().unwrap();
        let one = Scratch::file(scratch.path(), "one", one).unwrap();
        let other = Scratch::file(scratch.path(), "other", other).unwrap();
        let proof = read_both(&one, &other, &Cancel::default()).unwrap();
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
    fn a_comparison_ends_when_it_is_interrupted() {
        let scratch = Scratch::new().unwrap();
        let file = Scratch::file(scratch.path(), "a", b"abc").unwrap();
        let compared = |cancel: &Cancel| {
            let receipts = Receipts::default();
            let name = RemotePath::parse("a").unwrap();
            let both = [&receipts, &receipts];
            let compared = compare(&file, scratch.path(), &name, both, cancel);
            code_of(&compared.unwrap_err())
        };
        let cancel = Cancel::default();
        assert_eq!(compared(&cancel), Code::Mismatch, "no receipt proves it");
        cancel.cancel();
        assert_eq!(compared(&cancel), Code::Interrupted);
    }

    #[test]
    fn nobody_else_on_the_machine_is_let_in() {
        let scratch = Scratch::new().unwrap();
        let [key, other] = [(), ()].map(|()| Keypair::generate().unwrap().0);
        let (_server, address) = serve(scratch.path(), &key).unwrap();
        let as_known = |key: &Keypair, expected: &Keypair| Options {
            encryption: Some(ClientSide::new(key, Expected::Key(expected.public())).unwrap()),
            ..Options::default()
        };
        let asks = |options| {
            Client::new(&address, options)
                .stat(None)
                .map_err(|e| e.code())
        };
        assert_eq!(asks(as_known(&other, &key)), Err(Code::NotAuthorised));
        assert_eq!(asks(Options::default()), Err(Code::NotAuthorised));
        assert!(asks(as_known(&key, &key)).is_ok());
    }

    #[test]
    fn what_was_stored_leads_back_to_its_source() {
        let sources = ["a/tree/", "b/.", "c/file"].map(PathBuf::from);
        let leads = |path: &str| original(&sources, &RemotePath::parse(path).unwrap()).unwrap();
        assert_eq!(leads("tree/x/y"), Path::new("a/tree/x/y"));
        assert_eq!(leads("file"), Path::new("c/file"));
        assert_eq!(leads("x/y"), Path::new("b/x/y"));
    }
}
