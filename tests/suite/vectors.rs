//! The specification's test vectors, read from the specification itself.
//!
//! A vector is a paragraph of a fenced block of `docs/protocol.md`, with fields
//! `key: value`; lines that begin with a space go on with the value above them. Each
//! is held against this crate in both directions, and each must have its counterpart
//! here, so neither the document nor the code can change alone.

mod counterparts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::Cursor;

use haul::code::Code;
use haul::content::block::{BLOCK_MAX, BLOCK_MIN, BLOCKS_MAX, SIZE_MAX};
use haul::content::{BlockSize, Checksum, Geometry, Node, merge, node_of};
use haul::offer::TICKET_MAX;
use haul::path::{COMPONENT_MAX, PATH_MAX};
use haul::trust::Introduction;
use haul::wire::frame::{HEADER_MAX, LIST_MAX};
use haul::wire::message::{Block, COMMIT_MAX, FETCH_MAX, Fail, OFFER_MAX, RUNS_MAX};
use haul::wire::{Error, Frames, Incoming, Kind, Message, preface};

use minicbor::Decoder;
use minicbor::data::Type;

use counterparts::counterparts;

const SPECIFICATION: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/protocol.md"));

/// One vector's fields.
struct Vector(BTreeMap<String, String>);

impl Vector {
    #[track_caller]
    fn text(&self, key: &str) -> &str {
        let found = self.0.get(key);
        found
            .unwrap_or_else(|| panic!("no {key} in {:?}", self.0))
            .trim()
    }

    fn bytes(&self, key: &str) -> Vec<u8> {
        unhex(self.text(key))
    }

    fn number(&self, key: &str) -> u64 {
        self.text(key).parse().unwrap()
    }
}

fn vectors() -> Vec<Vector> {
    let mut found: Vec<Vector> = Vec::new();
    let mut lines = SPECIFICATION.lines();
    while lines.by_ref().any(|line| line == "```vector") {
        let fenced: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let paragraphs = fenced.split(|line| line.is_empty());
        found.extend(paragraphs.map(|lines| Vector(fields(lines))));
    }
    found
}

fn fields(lines: &[&str]) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for line in lines {
        if let Some(more) = line.strip_prefix(' ') {
            let value = fields.get_mut(&last).expect("a value to go on with");
            value.push(' ');
            value.push_str(more.trim());
        } else {
            let (key, value) = line.split_once(':').expect("a field");
            key.clone_into(&mut last);
            let before = fields.insert(last.clone(), value.trim().to_owned());
            assert!(before.is_none(), "two fields {key}: {lines:?}");
        }
    }
    fields
}

/// The vectors that have a field: what they are is known by it.
fn with(key: &str) -> Vec<Vector> {
    let found: Vec<Vector> = vectors()
        .into_iter()
        .filter(|vector| vector.0.contains_key(key))
        .collect();
    assert!(!found.is_empty(), "no vector with {key}");
    found
}

fn named(name: &str) -> Vector {
    let found = vectors().into_iter().find(|v| v.text("name") == name);
    found.unwrap_or_else(|| panic!("no vector {name}"))
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A frame's map and list items in the diagnostic notation of RFC 8949, section 8.
fn spelled(frame: &[u8]) -> (String, String) {
    let header = usize::from(u16::from_be_bytes([frame[2], frame[3]]));
    let (header, body) = frame[8..].split_at(header);
    let kind = Kind::from_number(frame[0]).unwrap();
    let list = if matches!(kind, Kind::Block | Kind::NodesAre) {
        &[]
    } else {
        body
    };
    (notation(&header[..header.len() - 8]), notation(list))
}

fn notation(cbor: &[u8]) -> String {
    let mut decoder = Decoder::new(cbor);
    let mut items = Vec::new();
    while decoder.position() < cbor.len() {
        items.push(item(&mut decoder));
    }
    items.join(" ")
}

fn item(d: &mut Decoder<'_>) -> String {
    match d.datatype().unwrap() {
        Type::Map => {
            let pairs = d.map().unwrap().unwrap();
            let pairs: Vec<_> = (0..pairs)
                .map(|_| format!("{}: {}", item(d), item(d)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Type::Array => {
            let items = d.array().unwrap().unwrap();
            let items: Vec<_> = (0..items).map(|_| item(d)).collect();
            format!("[{}]", items.join(", "))
        }
        Type::Bytes => format!("h'{}'", hex(d.bytes().unwrap())),
        Type::String => format!("{:?}", d.str().unwrap()),
        Type::Bool => d.bool().unwrap().to_string(),
        Type::Null => d.null().map(|()| "null".to_owned()).unwrap(),
        _ => d.int().unwrap().to_string(),
    }
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// A message as this crate holds it.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Message(Message),
    Block(Block, Vec<u8>),
    Skipped(u8),
}

fn read(bytes: &[u8]) -> Result<Said, Error> {
    let mut frames = Frames::new(Cursor::new(bytes.to_vec()));
    let prefix = frames.prefix()?.expect("a frame");
    let said = match frames.message(prefix)? {
        Incoming::Message(message) => Said::Message(message),
        Incoming::Unknown(number, _) => Said::Skipped(number),
        Incoming::Block(header, len) => {
            let mut body = vec![0; len];
            frames.body(&mut body)?;
            Said::Block(header, body)
        }
    };
    assert!(frames.prefix()?.is_none(), "more than one frame");
    Ok(said)
}

/// The file of the specification's examples: byte `i` is `(7 * i + 3) mod 251`.
fn sample(size: u64) -> Vec<u8> {
    (0..size).map(|i| ((7 * i + 3) % 251) as u8).collect()
}

fn cut(size: u64) -> Geometry {
    Geometry::new(size, BlockSize::new(BLOCK_MIN).unwrap()).unwrap()
}

fn nodes(size: u64) -> Vec<Node> {
    let (geometry, bytes) = (cut(size), sample(size));
    let blocks = (0..geometry.blocks()).map(|number| geometry.index(number).unwrap());
    let node = |index| {
        let start = geometry.offset(index) as usize;
        node_of(geometry, index, &bytes[start..start + geometry.len(index)])
    };
    blocks.map(node).collect()
}

fn plain(size: u64) -> Checksum {
    merge(&nodes(size)).unwrap()
}

#[test]
fn every_message_is_read_and_written_as_specified_byte_for_byte() {
    let mut specified: BTreeMap<String, Vector> = BTreeMap::new();
    for vector in vectors() {
        let name = vector.text("name").to_owned();
        let before = specified.insert(name, vector);
        assert!(before.is_none(), "two vectors of one name");
    }
    specified.retain(|_, vector| vector.0.contains_key("kind"));
    let mut unseen: BTreeSet<String> = Kind::ALL.iter().map(Kind::to_string).collect();
    for (name, said, written) in counterparts() {
        let vector = specified.remove(name);
        let vector = vector.unwrap_or_else(|| panic!("{name} is not specified"));
        assert_eq!(hex(&vector.bytes("hex")), hex(&written), "{name}");
        assert_eq!(read(&written).unwrap(), said, "{name}");
        let kind = Kind::from_number(written[0]).unwrap().to_string();
        assert_eq!(vector.text("kind"), kind, "{name}");
        let (map, items) = spelled(&written);
        assert_eq!(squeezed(vector.text("map")), squeezed(&map), "{name}");
        let stated = vector.0.get("items").map_or("", String::as_str);
        assert_eq!(squeezed(stated), squeezed(&items), "{name}");
        unseen.remove(&kind);
    }
    let left: Vec<_> = specified.keys().collect();
    assert!(left.is_empty(), "vectors without a counterpart: {left:?}");
    assert!(unseen.is_empty(), "kinds without a vector: {unseen:?}");
}

#[test]
fn what_must_be_refused_is_refused_with_its_code() {
    for vector in with("refused") {
        let error = read(&vector.bytes("hex")).expect_err(vector.text("name"));
        let because = vector.text("refused");
        assert_eq!(reason(&error), because, "{error}");
        let code = if because == "cut" {
            Code::Connection
        } else {
            Code::Protocol
        };
        assert_eq!(error.code(), code, "{error}");
    }
}

fn reason(error: &Error) -> &'static str {
    match error {
        Error::UnknownFlags(_) => "flags",
        Error::HeaderTooLong { .. } | Error::HeaderTooShort(_) | Error::BodyTooLong { .. } => {
            "length"
        }
        Error::Damaged => "damage",
        Error::Cut => "cut",
        Error::Critical { .. } => "critical",
        Error::Malformed { .. } => "malformed",
        Error::Io(_) | Error::NotHaul(_) | Error::OtherVersion { .. } => "something else",
    }
}

#[test]
fn what_a_newer_side_may_add_is_skipped() {
    for vector in with("reads-as") {
        let said = read(&vector.bytes("hex")).unwrap();
        match vector.text("reads-as") {
            "nothing" => assert_eq!(said, Said::Skipped(vector.bytes("hex")[0])),
            name => assert_eq!(said, read(&named(name).bytes("hex")).unwrap(), "{name}"),
        }
    }
}

#[test]
fn prefaces_are_as_specified() {
    for vector in with("version") {
        let version = vector.number("version") as u16;
        let bytes = vector.bytes("hex");
        assert_eq!(preface::encode(version).to_vec(), bytes);
        assert_eq!(
            preface::decode(bytes.first_chunk().unwrap()).unwrap(),
            version
        );
    }
    for vector in with("not-haul") {
        let mut frames = Frames::new(Cursor::new(vector.bytes("not-haul")));
        assert!(matches!(frames.read_preface(), Err(Error::NotHaul(_))));
    }
}

#[test]
fn check_bytes_are_made_as_specified() {
    for vector in with("check") {
        let parts = ["prefix", "map", "body"].map(|key| vector.bytes(key));
        let [prefix, map, body] = &parts;
        let is_block = prefix[0] == Kind::Block as u8;
        let covered = [&prefix[..], map, if is_block { &[] } else { body }].concat();
        let hash = blake3::hash(&covered);
        assert_eq!(hex(&hash.as_bytes()[..8]), vector.text("check"));
        assert_eq!(hex(hash.as_bytes()), vector.text("blake3").replace(' ', ""));
        let frame = [prefix, map, &hash.as_bytes()[..8], body].concat();
        assert_eq!(frame, named(vector.text("of")).bytes("hex"));
    }
}

#[test]
fn nodes_and_their_merge_are_as_specified() {
    for vector in with("size") {
        let size = vector.number("size");
        let stated: Vec<&str> = vector.text("nodes").split(' ').collect();
        let made: Vec<String> = nodes(size).iter().map(|node| hex(&node.0)).collect();
        assert_eq!(made, stated, "{size}");
        assert_eq!(plain(size).to_hex(), vector.text("checksum"), "{size}");
        assert_eq!(
            plain(size).to_hex(),
            blake3::hash(&sample(size)).to_hex().as_str()
        );
    }
}

#[test]
fn the_tables_say_what_the_code_does() {
    let says = |row: String| assert!(SPECIFICATION.contains(&row), "no row {row:?}");
    for kind in Kind::ALL {
        says(format!(
            "\n| {} | `{kind}` | {} |",
            kind as u8,
            kind.body_max()
        ));
    }
    for code in (0..=u8::MAX).filter_map(Code::from_number) {
        says(format!("\n| {} | {code} |", code.number()));
    }
    let longest = Fail::connection(Code::Unexpected, "x".repeat(HEADER_MAX));
    for (what, limit) in [
        ("header, check bytes included", HEADER_MAX as u64),
        ("body that is a list", LIST_MAX as u64),
        ("least block size", BLOCK_MIN),
        ("greatest block size", BLOCK_MAX),
        (
            "blocks of a file, unless they are of the greatest size",
            BLOCKS_MAX,
        ),
        ("entries in an offer", OFFER_MAX as u64),
        ("entries in a commit", COMMIT_MAX as u64),
        ("runs in a fetch", FETCH_MAX as u64),
        ("runs in a finding", RUNS_MAX as u64),
        ("text of a `Fail`", longest.text.len() as u64),
        ("bytes in a file", SIZE_MAX),
        ("ticket", TICKET_MAX as u64),
        ("component of a path", COMPONENT_MAX as u64),
        ("path", PATH_MAX as u64),
    ] {
        says(format!("\n| {what} | {limit} |"));
    }
}

#[test]
fn a_link_is_read_and_written_as_specified() {
    for vector in with("link") {
        let rest = vector.text("link").strip_prefix("haul://").unwrap();
        let (introduced, place) = rest.split_once('@').unwrap();
        let read = Introduction::parse(introduced).unwrap();
        assert_eq!(read.server.to_string(), vector.text("fingerprint"));
        let token = read.token.unwrap();
        assert_eq!(token.id.0.to_vec(), vector.bytes("id"));
        assert_eq!(token.secret.bytes().to_vec(), vector.bytes("secret"));
        assert_eq!(read.reveal(), introduced);
        assert_eq!(place, "%5Bfe80::1%5D:4285/");
    }
}
