//! Frames and CBOR written by hand, to say what haul's own types cannot hold.

/// A whole frame around any map and body.
pub fn frame(kind: u8, map: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0];
    bytes.extend(((map.len() + 8) as u16).to_be_bytes());
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend(map);
    let check = blake3::Hasher::new().update(&bytes).update(body).finalize();
    bytes.extend(&check.as_bytes()[..8]);
    bytes.extend(body);
    bytes
}

/// The head of a CBOR item: its major type and its number, in nine bytes.
pub fn head(major: u8, number: u64) -> Vec<u8> {
    let mut bytes = vec![(major << 5) | 0x1b];
    bytes.extend(number.to_be_bytes());
    bytes
}

pub fn number(number: u64) -> Vec<u8> {
    head(0, number)
}

pub fn bytes(of: &[u8]) -> Vec<u8> {
    [head(2, of.len() as u64), of.to_vec()].concat()
}

/// A text, whether or not it is one.
pub fn text(of: &[u8]) -> Vec<u8> {
    [head(3, of.len() as u64), of.to_vec()].concat()
}

pub fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len() as u64), items.concat()].concat()
}

/// A map; a key below zero is critical.
pub fn map(pairs: &[(i64, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = head(5, pairs.len() as u64);
    for (key, value) in pairs {
        let (major, number) = match u64::try_from(*key) {
            Ok(key) => (0, key),
            Err(_) => (1, key.unsigned_abs() - 1),
        };
        bytes.extend(head(major, number));
        bytes.extend(value);
    }
    bytes
}

/// An entry map of a file of so many bytes, in blocks of such a size.
pub fn entry_map(name: &[u8], (size, block): (u64, u64), mode: u64) -> Vec<u8> {
    map(&[
        (0, text(name)),
        (1, number(1)),
        (2, number(size)),
        (3, number(block)),
        (4, number(mode)),
        (5, array(&[number(1), number(0)])),
    ])
}

/// The same with a version, as it is listed.
pub fn listed_map(name: &[u8], cut: (u64, u64), mode: u64) -> Vec<u8> {
    let mut entry = entry_map(name, cut, mode);
    // The count of pairs is the last byte of the map's head.
    entry[8] += 1;
    entry.extend([number(6), bytes(&[1; 16])].concat());
    entry
}
