//! What a sender shows to find its staging again, over whichever connection.
//!
//! A ticket holds the staging's number and a proof that it was sealed here, for this
//! identity. The number is covered: as it stands it would tell how many files anybody has
//! offered since the server was started.

use crate::identity::Identity;
use crate::offer::Ticket;

/// Bytes of a proof.
const PROOF: usize = 16;

/// Seals a staging's number for an identity.
pub(super) fn seal(key: &[u8; 32], by: &Identity, number: u64) -> Ticket {
    let proof = proof(key, by, number);
    let covered = number ^ cover(key, &proof);
    let bytes = [&covered.to_be_bytes()[..], &proof].concat();
    Ticket::new(&bytes).expect("24 bytes are within a ticket's limit")
}

/// The number of the staging that a ticket was sealed for, if it was for this identity.
pub(super) fn open(key: &[u8; 32], by: &Identity, ticket: &Ticket) -> Option<u64> {
    let (covered, shown) = ticket.as_bytes().split_first_chunk()?;
    let shown: &[u8; PROOF] = shown.try_into().ok()?;
    let number = u64::from_be_bytes(*covered) ^ cover(key, shown);
    // Compared as hashes, which are compared in constant time.
    let same = blake3::Hash::from(padded(proof(key, by, number))) == padded(*shown);
    same.then_some(number)
}

fn proof(key: &[u8; 32], by: &Identity, number: u64) -> [u8; PROOF] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(b"proof").update(&number.to_be_bytes());
    first(&hasher.update(by.as_bytes()).finalize())
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
    fn a_ticket_is_opened_with_its_key_and_by_its_identity_alone() {
        let (key, by) = ([7; 32], Identity::Key([1; 32]));
        let ticket = seal(&key, &by, 5);
        assert_eq!(open(&key, &by, &ticket), Some(5));
        assert_eq!(open(&[8; 32], &by, &ticket), None);
        assert_eq!(open(&key, &Identity::Key([2; 32]), &ticket), None);
        for at in 0..ticket.as_bytes().len() {
            let mut bytes = ticket.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert_eq!(open(&key, &by, &Ticket::new(&bytes).unwrap()), None);
            let short = Ticket::new(&bytes[..at]).unwrap();
            assert_eq!(open(&key, &by, &short), None);
        }
    }

    #[test]
    fn nothing_of_a_number_is_seen_in_its_ticket() {
        let (key, by) = ([7; 32], Identity::Anyone);
        let covered = |number| seal(&key, &by, number).as_bytes()[..8].to_vec();
        // Two numbers that follow each other would differ in the last byte alone.
        assert_ne!(covered(0)[..7], covered(1)[..7]);
        assert_ne!(covered(0), [0; 8]);
    }
}
