//! Of a file that replaces another only the blocks that differ are sent, whatever becomes of
//! the other one meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use haul::client::{Client as Program, JobOptions, Options, Status};
use haul::fault::{Call, Fault};
use haul::offer::{Compare, OnExisting};
use haul::wire::message::Range;

use crate::broken_off::{BLOCKS, Client, LEN, bytes, config, nodes, spared, x};
use crate::landscape::set_time;
use crate::raw::entry;
use crate::relay::Relay;
use crate::rig::{Rig, noise, put};
use crate::secrecy::{Secrecy, plain_and_encrypted};
use crate::unharmed::kept;

const MIB: usize = 1 << 20;

/// What a job says beside blocks, of five files at most.
const WITHOUT_BODIES: usize = 48 << 10;

plain_and_encrypted!(only_the_blocks_that_differ_are_sent);

/// What was there, what replaces it, and how many blocks of that have to be sent.
type Case = (&'static str, fn(&mut Vec<u8>), usize);

const CASES: [Case; 9] = [
    ("nothing but the time", |_| {}, 0),
    ("a byte", |new| new[3 * MIB] ^= 1, 1),
    ("the last byte", |new| *new.last_mut().unwrap() ^= 1, 1),
    (
        "a byte on each side of a border",
        |new| (new[MIB - 1], new[MIB]) = (new[MIB] ^ 1, new[MIB - 1] ^ 1),
        2,
    ),
    ("all", |new| new.fill(7), 6),
    ("more at its end", |new| new.extend(noise(2 * MIB)), 3),
    ("less at its end", |new| new.truncate(4 * MIB + 9), 0),
    (
        "less, and a byte",
        |new| {
            new.truncate(2 * MIB);
            new[0] ^= 1;
        },
        1,
    ),
    ("a byte more in front", |new| new.insert(0, 1), 6),
];

fn only_the_blocks_that_differ_are_sent(secrecy: Secrecy) {
    let rig = Rig::guarded(secrecy, config(), Fault::default());
    let relay = Relay::to(&rig.address);
    let program = |connections| {
        let options = Options {
            connections,
            encryption: rig.keys.client(),
            ..Options::default()
        };
        Program::new(&relay.address, options)
    };
    let old = noise(5 * MIB + 1000);
    let (here, there) = (rig.dir.path().join("new"), rig.root().join("x"));
    for (number, (case, change, differing)) in CASES.into_iter().enumerate() {
        let mut new = old.clone();
        change(&mut new);
        fs::write(&here, &new).unwrap();
        set_time(&here, (2_000_000_000, 0));
        for on in [OnExisting::Replace, OnExisting::IfNewer] {
            let by_hand = (number + usize::from(on == OnExisting::Replace)) % 2 == 0;
            let case = format!("{case}, {on:?}, by hand: {by_hand}");
            if by_hand {
                fs::write(&there, &old).unwrap();
            } else {
                let before = rig.file("old", old.len());
                set_time(&before, (1, 0));
                let options = JobOptions {
                    on_existing: OnExisting::Replace,
                    ..JobOptions::default()
                };
                put(&rig.client(1), &[(&before, "x")], &options).is_fine();
            }
            let connections = 1 + 3 * (number % 2);
            let options = JobOptions {
                on_existing: on,
                compare: [Compare::Quick, Compare::Content][usize::from(number == 1)],
                ..JobOptions::default()
            };
            let before = relay.sent();
            let outcome = put(&program(connections), &[(&here, "x")], &options);
            let sent = relay.sent() - before;
            assert_eq!(outcome.code(), 0, "{case}: {outcome:?}");
            let is_same = differing == 0 && new.len() == old.len();
            let status = [Status::Stored, Status::Unchanged][usize::from(is_same)];
            assert_eq!(outcome.statuses(), [status], "{case}");
            assert!(fs::read(&there).unwrap() == new, "{case}");
            assert!(sent <= differing * MIB + WITHOUT_BODIES, "{case}: {sent}");
            assert_eq!(kept(&rig), 0, "{case}");
        }
    }
}

#[test]
fn of_many_files_that_are_replaced_each_is_compared() {
    const FILES: usize = 40;
    for connections in [1, 3] {
        let rig = Rig::new();
        let relay = Relay::to(&rig.address);
        let names: Vec<String> = (0..FILES).map(|n| format!("f{n}")).collect();
        let mut sources = Vec::new();
        for name in &names {
            let source = rig.file(name, MIB + 1000);
            let mut old = fs::read(&source).unwrap();
            old.push(0);
            fs::write(rig.root().join(name), old).unwrap();
            sources.push(source);
        }
        let files: Vec<(&Path, &str)> = sources
            .iter()
            .zip(&names)
            .map(|(source, name)| (source.as_path(), name.as_str()))
            .collect();
        let options = Options {
            connections,
            ..Options::default()
        };
        let replace = JobOptions {
            on_existing: OnExisting::Replace,
            ..JobOptions::default()
        };
        let outcome = put(&Program::new(&relay.address, options), &files, &replace);
        outcome.is_fine();
        assert_eq!(outcome.statuses(), [Status::Stored; FILES]);
        assert!(relay.sent() < WITHOUT_BODIES, "{} bytes", relay.sent());
        for (source, name) in files {
            assert!(fs::read(rig.root().join(name)).unwrap() == fs::read(source).unwrap());
        }
    }
}

/// What the file is that is replaced: the same, but for its third block.
pub fn other() -> Vec<u8> {
    let mut other = bytes();
    other[2 * 1024] ^= 1;
    other
}

/// Does something to the file that is replaced.
type Harm = fn(&Path);

fn write_at(path: &Path, at: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

const HARMS: [(&str, Harm); 6] = [
    ("nothing", |_| {}),
    ("it is written to", |x| write_at(x, 0, &[7; LEN])),
    ("it is cut off", |x| {
        File::options()
            .write(true)
            .open(x)
            .unwrap()
            .set_len(1500)
            .unwrap();
    }),
    ("it is removed", |x| fs::remove_file(x).unwrap()),
    ("another takes its name", |x| {
        let beside = x.with_file_name("beside");
        fs::write(&beside, [9; LEN]).unwrap();
        fs::rename(beside, x).unwrap();
    }),
    ("a directory takes its name", |x| {
        fs::remove_file(x).unwrap();
        fs::create_dir(x).unwrap();
    }),
];

/// A fault that does something before the n-th call of a kind from now on.
#[derive(Clone, Default)]
pub struct Meanwhile(Arc<Mutex<Option<Plan>>>);

/// Before which call, after how many others, what is done.
type Plan = (Call, usize, Box<Act>);
pub type Act = dyn FnOnce() -> io::Result<()> + Send;

impl Meanwhile {
    pub fn fault(&self) -> Fault {
        let plan = Arc::clone(&self.0);
        Fault::watched(move |call| {
            let mut plan = plan.lock().unwrap();
            match plan.as_mut() {
                Some((kind, left, _)) if *kind == call && *left > 0 => *left -= 1,
                Some((kind, ..)) if *kind == call => {
                    let act = plan.take().unwrap().2;
                    drop(plan);
                    return act();
                }
                _ => {}
            }
            Ok(())
        })
    }

    pub fn arm(&self, call: Call, after: usize, act: Box<Act>) {
        *self.0.lock().unwrap() = Some((call, after, act));
    }

    fn has_come(&self) -> bool {
        self.0.lock().unwrap().is_none()
    }
}

#[test]
fn whatever_becomes_of_the_old_file_meanwhile_the_new_one_is_whole() {
    for (harm, act) in HARMS {
        for (call, after) in [(Call::Open, 0), (Call::ReadAt, 0), (Call::ReadAt, 3)]
            .into_iter()
            .chain([(Call::WriteAt, 0), (Call::WriteAt, 1), (Call::WriteAt, 3)])
        {
            let case = format!("{harm} before {call:?} {after}");
            let meanwhile = Meanwhile::default();
            let (rig, of) = (Rig::with(config(), meanwhile.fault()), bytes());
            let there = rig.root().join("x");
            fs::write(&there, other()).unwrap();
            let mut client = Client::replaces(&rig, x(&of));
            assert!(client.partly, "{case}");
            let harmed = there.clone();
            meanwhile.arm(
                call,
                after,
                Box::new(move || {
                    act(&harmed);
                    Ok(())
                }),
            );
            let has = client.has();
            assert!(meanwhile.has_come(), "{case}");
            let spared = spared(&has, &of);
            if harm == "nothing" {
                assert_eq!(spared, [0, 1, 3, 4], "{case}");
            }
            let rest: Vec<u64> = (0..BLOCKS).filter(|n| !spared.contains(n)).collect();
            client.send(&of, &rest);
            let exceptions = client.commits(&of);
            if harm == "a directory takes its name" {
                assert_eq!(exceptions.len(), 1, "{case}");
                assert!(there.is_dir());
            } else {
                assert_eq!(exceptions, [], "{case}");
                assert!(fs::read(&there).unwrap() == of, "{case}");
            }
            assert_eq!(kept(&rig), 0, "{case}");
        }
    }
}

#[test]
fn what_cannot_be_copied_is_sent() {
    for (call, errno) in [
        (Call::ReadAt, rustix::io::Errno::IO),
        (Call::WriteAt, rustix::io::Errno::NOSPC),
    ] {
        let meanwhile = Meanwhile::default();
        let (rig, of) = (Rig::with(config(), meanwhile.fault()), bytes());
        fs::write(rig.root().join("x"), other()).unwrap();
        let mut client = Client::replaces(&rig, x(&of));
        let fails = move || Err(io::Error::from_raw_os_error(errno.raw_os_error()));
        meanwhile.arm(call, 0, Box::new(fails));
        let has = client.has();
        assert!(meanwhile.has_come(), "{call:?}");
        let spared = spared(&has, &of);
        assert!(spared.len() < 4, "{call:?}: {spared:?}");
        let rest: Vec<u64> = (0..BLOCKS).filter(|n| !spared.contains(n)).collect();
        client.finishes(&rig, &of, &rest);
    }
}

#[test]
fn what_was_copied_counts_for_nothing_where_the_sender_has_something_else() {
    let (rig, of) = (Rig::with(config(), Fault::default()), bytes());
    fs::write(rig.root().join("x"), other()).unwrap();
    let mut client = Client::replaces(&rig, x(&of));
    assert_eq!(client.has(), nodes(&other(), &[0, 1, 2, 3, 4]));
    // The third is not what is committed, and is not sent.
    let named = Range {
        first: 0,
        count: BLOCKS,
    };
    assert_eq!(client.commits(&of)[0].1, [named]);
    assert!(fs::read(rig.root().join("x")).unwrap() == other());
    client.finishes(&rig, &of, &[2]);
}

#[test]
fn whoever_does_not_ask_sends_all_of_it() {
    let (rig, of) = (Rig::with(config(), Fault::default()), bytes());
    fs::write(rig.root().join("x"), other()).unwrap();
    let mut client = Client::replaces(&rig, x(&of));
    assert!(client.partly);
    client.finishes(&rig, &of, &[0, 1, 2, 3, 4]);
}

#[test]
fn what_was_broken_off_goes_on_with_what_was_copied() {
    for restarts in [false, true] {
        let (mut rig, of) = (Rig::with(config(), Fault::default()), bytes());
        let there = rig.root().join("x");
        fs::write(&there, other()).unwrap();
        let mut client = Client::replaces(&rig, x(&of));
        client.asks(0, 2);
        assert_eq!(client.hears_nodes(), nodes(&of, &[0, 1])[..2]);
        client.send(&of, &[4]);
        drop(client);
        if restarts {
            rig.restart(config());
        }
        // What is there by now has nothing in common with it but a block.
        let mut now = vec![5; LEN];
        now[3 * 1024..4 * 1024].copy_from_slice(&of[3 * 1024..4 * 1024]);
        fs::write(&there, &now).unwrap();
        let mut again = Client::replaces(&rig, x(&of));
        // After a restart the copy is known by its pages, which have four blocks each.
        let rest: &[u64] = if restarts { &[2, 3] } else { &[2] };
        let spared = spared(&again.has(), &of);
        let is_left = |number: &u64| !spared.contains(number);
        assert_eq!((0..BLOCKS).filter(is_left).collect::<Vec<_>>(), rest);
        again.finishes(&rig, &of, rest);
    }
}

#[test]
fn what_is_not_replaced_is_not_told_of() {
    let (rig, of) = (Rig::with(config(), Fault::default()), bytes());
    fs::write(rig.root().join("x"), other()).unwrap();
    let mut client = Client::replaces(&rig, entry("y", &of));
    assert!(!client.partly);
    assert_eq!(client.has(), nodes(&of, &[]));
}
