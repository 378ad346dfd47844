//! Files that say in every thirty-two bytes who wrote them, so that a mixture is seen by
//! looking.

use std::fs;
use std::path::Path;

/// What repeats: who, how much of it, when, and where it stands.
const SIGNATURE: usize = 32;

/// Who wrote a file, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Author {
    pub who: u64,
    pub round: u64,
    /// Signatures in the file.
    pub len: u64,
}

impl Author {
    /// The author of a file of nearly so many bytes, the last block of which is not whole.
    pub fn of(who: u64, round: u64, bytes: usize) -> Self {
        let len = (bytes / SIGNATURE) as u64 - 3;
        Self { who, round, len }
    }

    pub fn text(self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.len as usize * SIGNATURE);
        for at in 0..self.len {
            for number in [self.who, self.len, self.round, at] {
                text.extend_from_slice(&number.to_le_bytes());
            }
        }
        text
    }

    /// Writes the file at this place.
    pub fn write(self, path: &Path) {
        fs::write(path, self.text()).unwrap();
    }

    /// Whose file this is, whole and of nobody else. None where there is none.
    #[track_caller]
    pub fn at(path: &Path) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        let author = Self::signed(&bytes);
        assert!(author.is_some(), "a mixture: {:?}", signatures(&bytes));
        author
    }

    fn signed(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| {
            let number = bytes.get(at * 8..)?.first_chunk()?;
            Some(u64::from_le_bytes(*number))
        };
        let author = Self {
            who: number(0)?,
            len: number(1)?,
            round: number(2)?,
        };
        let is_so_long = author.len.checked_mul(SIGNATURE as u64) == Some(bytes.len() as u64);
        (is_so_long && author.text() == bytes).then_some(author)
    }
}

/// The signatures that change from one to the next, for whoever reads of a mixture.
fn signatures(bytes: &[u8]) -> Vec<&[u8]> {
    let mut all: Vec<_> = bytes.chunks(SIGNATURE).collect();
    all.dedup_by_key(|signature| signature.get(..24).map(<[u8]>::to_vec));
    all
}

#[test]
fn a_mixture_is_seen_by_looking() {
    const BLOCK: usize = 1 << 10;
    let [one, other] = [1, 2].map(|who| Author::of(who, 7, 3 * BLOCK));
    let [text, theirs] = [one.text(), other.text()];
    assert_eq!(Author::signed(&text), Some(one));
    let mut mixed = text.clone();
    mixed[BLOCK..2 * BLOCK].copy_from_slice(&theirs[BLOCK..2 * BLOCK]);
    let mut moved = text.clone();
    moved.copy_within(..BLOCK, BLOCK);
    let later = Author { round: 8, ..one }.text();
    let end = [&text[..2 * BLOCK], &later[2 * BLOCK..]].concat();
    for wrong in [&mixed, &moved, &end, &text[..BLOCK].to_vec(), &Vec::new()] {
        assert_eq!(Author::signed(wrong), None);
    }
}
