//! Large files through the binary: the same bytes by checksums of other hands, and no more
//! memory for more bytes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::objects::objects;
use crate::place::Place;
use crate::program::{Ended, Running};

/// What neither side may ever hold at once, in KiB.
const MEMORY_MAX: u64 = 64 << 10;

/// Between two looks at how much memory a client holds.
const LOOK: Duration = Duration::from_millis(5);

const PIECE: usize = 1 << 20;

/// Both checksums of one file, as haul's receipts show them.
#[derive(Debug, PartialEq, Eq)]
struct Sums {
    blake3: String,
    sha256: String,
}

/// Reads a file in order, or makes one of noise on the way.
#[derive(Default)]
struct Summing {
    blake3: blake3::Hasher,
    sha256: Sha256,
}

impl Summing {
    fn update(&mut self, piece: &[u8]) {
        self.blake3.update(piece);
        self.sha256.update(piece);
    }

    fn finish(self) -> Sums {
        let sha256: [u8; 32] = self.sha256.finalize().into();
        Sums {
            blake3: format!("blake3:{}", self.blake3.finalize().to_hex()),
            sha256: format!("sha256:{}", blake3::Hash::from_bytes(sha256).to_hex()),
        }
    }
}

fn make(path: &Path, len: u64) -> Sums {
    let mut file = File::create(path).unwrap();
    let mut noise = blake3::Hasher::new().finalize_xof();
    let mut summing = Summing::default();
    let mut piece = vec![0; PIECE];
    let mut left = len;
    while left > 0 {
        let piece = &mut piece[..PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
        noise.fill(piece);
        file.write_all(piece).unwrap();
        summing.update(piece);
        left -= piece.len() as u64;
    }
    summing.finish()
}

fn sums(path: &Path) -> Sums {
    let mut file = File::open(path).unwrap();
    let mut summing = Summing::default();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece).unwrap() {
            0 => return summing.finish(),
            len => summing.update(&piece[..len]),
        }
    }
}

/// Runs a command to its end, and sees how much memory it held at most.
#[track_caller]
pub fn measured(place: &Place, line: &str) -> (Ended, u64) {
    let running = Running::start(place.haul(line));
    let mut peak = 0;
    loop {
        // The mark only rises, and is gone with the child: the last look is the one.
        peak = running.peak().unwrap_or(peak);
        if running.ends_by(Instant::now() + LOOK) {
            return (running.finish(), peak);
        }
    }
}

/// Puts and gets a file over one and four connections, with these checksums in this order.
#[track_caller]
fn goes_up_and_comes_back(len: u64, sums_of: [[&str; 2]; 2]) {
    let place = Place::serving("");
    let made = make(&place.here().join("x"), len);
    let mut clients = 0;
    for (connections, [up, down]) in [1, 4].into_iter().zip(sums_of) {
        let stored = place.root().join("x");
        let fetched = place.here().join("back/x");
        let put = format!("put --json --connections {connections} --checksum {up} x [ADDRESS]");
        let get =
            format!("get --json --connections {connections} --checksum {down} [ADDRESS]/x back/");
        for (line, checksum, arrived) in [(put, up, &stored), (get, down, &fetched)] {
            let (ended, peak) = measured(&place, &line);
            assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
            let receipt = &objects(&ended.stdout)[0]["checksum"];
            let expected = match checksum {
                "sha256" => &made.sha256,
                _ => &made.blake3,
            };
            assert_eq!(receipt, expected, "{line}");
            assert_eq!(sums(arrived), made, "{line}");
            assert!((1..MEMORY_MAX).contains(&peak), "{line}: {peak} KiB");
            clients = clients.max(peak);
        }
        fs::remove_file(stored).unwrap();
        fs::remove_file(fetched).unwrap();
    }
    let server = place.server.running.peak().expect("the server lives");
    println!("{len} bytes: at most {server} KiB in the server, {clients} KiB in a client");
    assert!(server < MEMORY_MAX, "the server: {server} KiB");
}

#[test]
fn forty_mebibytes_go_up_and_come_back_in_little_memory() {
    let len = (40 << 20) + 7;
    goes_up_and_comes_back(len, [["blake3", "sha256"], ["sha256", "blake3"]]);
    goes_up_and_comes_back(len, [["sha256", "blake3"], ["blake3", "sha256"]]);
}

/// Sizes and offsets beyond 32 bits: most of it is a hole, which is sent as any bytes are.
///
///     cargo test --release --test suite -- --ignored a_file_over_four_gib_is_exact
#[test]
#[ignore = "takes two minutes, and 9 GiB of disk"]
fn a_file_over_four_gib_is_exact() {
    let place = Place::serving("");
    let len = (1 << 32) + 5;
    place.sparse("x", len);
    let file = File::options()
        .write(true)
        .open(place.here().join("x"))
        .unwrap();
    for at in [0, (1 << 32) - 3] {
        file.write_all_at(b"noise", at).unwrap();
    }
    for line in ["put x [ADDRESS]", "get [ADDRESS]/x back"] {
        place.says(line, 0, "", "*");
    }
    let (made, back) = (place.here().join("x"), place.here().join("back"));
    assert_eq!(back.metadata().unwrap().len(), len);
    assert_eq!(sums(&back), sums(&made));
}

/// The same with 3 GiB: under two minutes on two cores, and 9 GiB in the temporary
/// directory.
///
///     cargo test --release --test suite -- --ignored three_gib_goes_up_and_comes_back
#[test]
#[ignore = "takes two minutes, and 9 GiB of disk"]
fn three_gib_goes_up_and_comes_back() {
    goes_up_and_comes_back(3 << 30, [["blake3", "sha256"], ["sha256", "blake3"]]);
}
