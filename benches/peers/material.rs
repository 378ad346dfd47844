//! What is moved, and the proof that it arrived.
//!
//! Files are made once, of bytes that no link or disk could compress. What landed is compared
//! byte by byte with what was sent, so that nobody is fast by losing some.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

/// Small files in one directory.
const TOGETHER: u64 = 100;
/// Bytes made, or compared, at a time.
const PIECE: usize = 1 << 20;

/// What is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// One file of so many bytes.
    Big(u64),
    /// So many files of so many bytes, a hundred in a directory.
    Small { files: u64, size: u64 },
}

/// What was made of it.
#[derive(Clone, Debug)]
pub struct Material {
    pub load: Load,
    pub path: PathBuf,
}

impl Material {
    /// Its name, here and on the other side.
    pub fn name(&self) -> String {
        self.load.name()
    }

    pub fn is_a_tree(&self) -> bool {
        matches!(self.load, Load::Small { .. })
    }

    /// Has the same files under the same name in `dir` too: hard links, which cost no room.
    pub fn link_into(&self, dir: &Path) -> Result<()> {
        let mut pairs = vec![(self.path.clone(), dir.join(self.name()))];
        while let Some((here, there)) = pairs.pop() {
            if fs::symlink_metadata(&here)?.is_dir() {
                fs::create_dir(&there)?;
                let names = names(&here)?;
                pairs.extend(names.iter().map(|n| (here.join(n), there.join(n))));
            } else {
                fs::hard_link(&here, &there)?;
            }
        }
        Ok(())
    }
}

impl Load {
    fn name(self) -> String {
        match self {
            Self::Big(bytes) => format!("one-{bytes}"),
            Self::Small { files, size } => format!("{files}-of-{size}"),
        }
    }

    /// Its name for a person.
    pub fn title(self) -> String {
        match self {
            Self::Big(bytes) => format!("one file of {}", in_words(bytes)),
            Self::Small { files, size } => {
                format!("{} files of {}", grouped(files), in_words(size))
            }
        }
    }

    pub fn bytes(self) -> u64 {
        match self {
            Self::Big(bytes) => bytes,
            Self::Small { files, size } => files * size,
        }
    }

    /// Makes it in `dir`, if it is not there yet.
    pub fn make(self, dir: &Path) -> Result<Material> {
        let path = dir.join(self.name());
        if path.exists() {
            return Ok(Material { load: self, path });
        }
        let made = match self {
            Self::Big(bytes) => fill(&path, bytes),
            Self::Small { files, size } => (0..files).try_for_each(|n| {
                let above = path.join(format!("{:05}", n / TOGETHER));
                if n % TOGETHER == 0 {
                    fs::create_dir_all(&above)?;
                }
                fill(&above.join(format!("{n:06}.bin")), size)
            }),
        };
        made.with_context(|| path.display().to_string())?;
        Ok(Material { load: self, path })
    }
}

/// 2 GiB, 10 KiB, 1000 B.
pub fn in_words(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fits = |(shift, _): &&(u32, &str)| bytes > 0 && bytes.trailing_zeros() >= *shift;
    match units.iter().find(fits) {
        Some((shift, unit)) => format!("{} {unit}", grouped(bytes >> shift)),
        None => format!("{} B", grouped(bytes)),
    }
}

/// 10,000.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes bytes that are its name's own.
#[expect(
    clippy::disallowed_methods,
    reason = "a file in a private directory of this run"
)]
fn fill(path: &Path, bytes: u64) -> Result<()> {
    let mut file = BufWriter::with_capacity(PIECE, File::create(path)?);
    let name = path.file_name().unwrap_or_default();
    let mut random = blake3::Hasher::new()
        .update(name.as_encoded_bytes())
        .finalize_xof();
    std::io::copy(&mut random.by_ref().take(bytes), &mut file)?;
    file.flush()?;
    Ok(())
}

/// Changes one byte of a file, another one with each `turn`, and gives it another time: not
/// every program looks closer than at seconds.
pub fn change_a_byte(path: &Path, turn: u64) -> Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let at = turn * 7_919_993 % file.metadata()?.len();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[!byte[0]], at)?;
    let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + 10 * turn);
    file.set_modified(later)?;
    Ok(())
}

/// Fails unless the same files are at and beneath both paths, with the same bytes.
pub fn compare(sent: &Path, landed: &Path) -> Result<()> {
    let mut pairs = vec![(sent.to_owned(), landed.to_owned())];
    while let Some((sent, landed)) = pairs.pop() {
        let found = fs::symlink_metadata(&landed);
        let found = found.with_context(|| format!("{} did not arrive", landed.display()))?;
        if !fs::symlink_metadata(&sent)?.is_dir() {
            same_bytes(&sent, &landed)?;
            continue;
        }
        let names = names(&sent)?;
        if !found.is_dir() || names != self::names(&landed)? {
            bail!("{} has other files than what was sent", landed.display());
        }
        pairs.extend(names.iter().map(|n| (sent.join(n), landed.join(n))));
    }
    Ok(())
}

fn names(dir: &Path) -> Result<Vec<std::ffi::OsString>> {
    let names = fs::read_dir(dir)?.map(|item| Ok(item?.file_name()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn same_bytes(sent: &Path, landed: &Path) -> Result<()> {
    let (ours, theirs) = (File::open(sent)?, File::open(landed)?);
    let size = ours.metadata()?.len();
    if theirs.metadata()?.len() != size {
        bail!("{} has another size than what was sent", landed.display());
    }
    let (mut a, mut b) = (vec![0; PIECE], vec![0; PIECE]);
    let mut at = 0;
    while at < size {
        let n = PIECE.min(usize::try_from(size - at)?);
        ours.read_exact_at(&mut a[..n], at)?;
        theirs.read_exact_at(&mut b[..n], at)?;
        if a[..n] != b[..n] {
            bail!("{} has other bytes than what was sent", landed.display());
        }
        at += n as u64;
    }
    Ok(())
}
