//! What a sender shows to find its staging again, over whichever connection.
//!
//! A ticket holds the staging's number and a proof that it was sealed here, for this
//! identity and the directory that it takes for the root. The number is covered: as it stands it would tell how many files anybody has
//! offered since the server was started.

use crate::identity::Identity;
use crate::offer::Ticket;
use crate::path::RemotePath;

/// Bytes of a proof.
const PROOF: usize = 16;

/// Whose a ticket is: an identity, where it takes this directory for the root.
pub(super) type Whose<'w> = (&'w Identity, Option<&'w RemotePath>);

/// Seals a staging's number for whoever staged it.
pub(super) fn seal(key: &[u8; 32], whose: Whose<'_>, number: u64) -> Ticket {
    let proof = proof(key, whose, number);
    let covered = number ^ cover(key, &proof);
    let bytes = [&covered.to_be_bytes()[..], &proof].concat();
    Ticket::new(&bytes).expect("24 bytes are within a ticket's limit")
}

/// The number of the staging that a ticket was sealed for, if it was sealed for them.
pub(super) fn open(key: &[u8; 32], whose: Whose<'_>, ticket: &Ticket) -> Option<u64> {
    let (covered, shown) = ticket.as_bytes().split_first_chunk()?;
    let shown: &[u8; PROOF] = shown.try_into().ok()?;
    let number = u64::from_be_bytes(*covered) ^ cover(key, shown);
    // Compared as hashes, which are compared in constant time.
    let same = blake3::Hash::from(padded(proof(key, whose, number))) == padded(*shown);
    same.then_some(number)
}

fn proof(key: &[u8; 32], (by, under): Whose<'_>, number: u64) -> [u8; PROOF] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(b"proof").update(&number.to_be_bytes());
    let by = by.as_bytes();
    hasher.update(&(by.len() as u64).to_be_bytes()).update(by);
    // No path is empty.
    hasher.update(under.map_or("", RemotePath::as_str).as_bytes());
    first(&hasher.finalize())
}

fn cover(key: &[u8; 32], proof: &[u8; PROOF]) -> u64 {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(b"cover").update(proof);
    u64::from_be_bytes(first(&hasher.finalize()))
}

fn first<const N: usize>(hash: &blake3::Hash) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&hash.as_bytes()[..N]);
    bytes
}

fn padded(proof: [u8; PROOF]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..PROOF].copy_from_slice(&proof);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_opened_with_its_key_and_by_whom_it_was_sealed_for_alone() {
        let (key, by) = ([7; 32], Identity::Key([1; 32]));
        let ticket = seal(&key, (&by, None), 5);
        assert_eq!(open(&key, (&by, None), &ticket), Some(5));
        assert_eq!(open(&[8; 32], (&by, None), &ticket), None);
        let other = Identity::Key([2; 32]);
        assert_eq!(open(&key, (&other, None), &ticket), None);
        let under = RemotePath::parse("under").unwrap();
        assert_eq!(open(&key, (&by, Some(&under)), &ticket), None);
        for at in 0..ticket.as_bytes().len() {
            let mut bytes = ticket.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert_eq!(open(&key, (&by, None), &Ticket::new(&bytes).unwrap()), None);
            let short = Ticket::new(&bytes[..at]).unwrap();
            assert_eq!(open(&key, (&by, None), &short), None);
        }
    }

    #[test]
    fn nothing_of_a_number_is_seen_in_its_ticket() {
        let (key, by) = ([7; 32], Identity::Anyone);
        let covered = |number| seal(&key, (&by, None), number).as_bytes()[..8].to_vec();
        // Two numbers that follow each other would differ in the last byte alone.
        assert_ne!(covered(0)[..7], covered(1)[..7]);
        assert_ne!(covered(0), [0; 8]);
    }
}
