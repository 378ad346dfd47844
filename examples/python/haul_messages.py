"""The messages of the haul protocol, and the checksums in them, from docs/protocol.md alone.

Names in quotes are headings of the document.
"""

import io
from collections import namedtuple
from struct import pack, unpack

PREFACE = b"haul\r\n" + pack(">H", 1)
MOST_HEADER, MOST_LIST, MOST_BLOCK = 16384, 65536, 16777216
CODES = {1: "something unexpected", 2: "refused", 3: "connection trouble", 4: "not authorised",
         5: "not found", 6: "exists with other content", 7: "checksum mismatch or changed source",
         8: "no space or over a limit", 9: "protocol error or unusable name", 10: "file error",
         11: "different reasons", 130: "interrupted"}
REASONS = {1: "exists with other content", 2: "something of another kind has or blocks the name",
           3: "a symbolic link stands on the way", 4: "it is on another file system",
           5: "the link would lead out of the tree", 6: "there is no space"}  # "6 Want"


class Problem(Exception):
    """What ends the program: a code ("Codes") and a text for a person."""

    def __init__(self, code, said):
        super().__init__(said or CODES[code])
        self.code = code


class Refused(Problem):
    """A frame or name that must not be taken ("Frames that must be refused")."""

    def __init__(self, reason, said):
        super().__init__(3 if reason == "cut" else 9, f"{reason}: {said}")
        self.reason = reason


def must(holds, said):
    if not holds:
        raise Refused("malformed", said)


# ---- "Nodes and checksums" ----------------------------------------------------------------
#
# BLAKE3 works on words of 32 bits. Here a "word" is an integer with a lane of 64 bits for each
# of many chunks: the upper half of a lane takes carries and shifted bits until `mask` removes
# them, so a thousand chunks are hashed by the same lines as one. `ones` has a 1 in each lane;
# `word * ones` puts the word into all of them.

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
      0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
MIX = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
       (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
START, END, PARENT, ROOT = 1, 2, 4, 8
CHUNK, SIDE_BY_SIDE = 1024, 1024  # bytes in a chunk, chunks in one go


def lanes(words):
    return int.from_bytes(pack(f"<{len(words)}Q", *words), "little")


def compress(value, words, low, high, length, flags, ones):
    """In every lane: a chaining value (8 words) and 16 words of input give a chaining value."""
    mask = 0xFFFFFFFF * ones
    s = [*value, *(word * ones for word in IV[:4]), low, high, length * ones, flags * ones]
    for _ in range(7):
        for n, (a, b, c, d) in enumerate(MIX):
            for word, x, y in ((words[2 * n], 16, 12), (words[2 * n + 1], 8, 7)):
                s[a] = (s[a] + s[b] + word) & mask
                mixed = s[d] ^ s[a]
                s[d] = (mixed >> x | mixed << 32 - x) & mask
                s[c] = (s[c] + s[d]) & mask
                mixed = s[b] ^ s[c]
                s[b] = (mixed >> y | mixed << 32 - y) & mask
        words = [words[n] for n in ORDER]
    return [s[n] ^ s[n + 8] for n in range(8)]


def chaining_values(data, count, length, counters, start, end):
    """The values, 32 bytes each, of `count` inputs of `length` bytes that stand in `data`.

    start and end: the flags of an input's first and last 64 bytes.
    """
    blocks = max(1, -(-length // 64))
    words = unpack(f"<{16 * blocks * count}I", data.ljust(64 * blocks * count, b"\0"))
    ones = lanes([1] * count)
    low, high = lanes([c & 0xFFFFFFFF for c in counters]), lanes([c >> 32 for c in counters])
    value = [word * ones for word in IV]
    for n in range(blocks):
        inputs = [lanes(words[16 * n + j::16 * blocks]) for j in range(16)]
        flags = (start if n == 0 else 0) | (end if n == blocks - 1 else 0)
        value = compress(value, inputs, low, high, min(64, length - 64 * n), flags, ones)
    columns = [unpack(f"<{count}Q", word.to_bytes(8 * count, "little")) for word in value]
    return b"".join(pack("<8I", *row) for row in zip(*columns))


def tree(values, top):
    """Merges chaining values. To pair neighbours and carry an odd last one up makes every left
    side the greatest power of two."""
    while len(values) > 32:
        pairs, root = len(values) // 64, top if len(values) == 64 else 0
        merged = chaining_values(values[:64 * pairs], pairs, 64, [0] * pairs, PARENT, root)
        values = merged + values[64 * pairs:]
    return values


def node(block, offset, is_only):
    """The node of a block that begins at `offset`; is_only: it is the whole file."""
    first, whole, root = offset // CHUNK, len(block) // CHUNK, ROOT if is_only else 0
    if len(block) <= CHUNK:
        return chaining_values(block, 1, len(block), [first], START, END | root)
    values = b""
    for at in range(0, whole, SIDE_BY_SIDE):
        end = min(whole, at + SIDE_BY_SIDE)
        values += chaining_values(block[CHUNK * at:CHUNK * end], end - at, CHUNK,
                                  range(first + at, first + end), START, END)
    rest = block[CHUNK * whole:]
    if rest:
        values += chaining_values(rest, 1, len(rest), [first + whole], START, END)
    return tree(values, root)


def merge(nodes):
    """A file's checksum from all its nodes, in order."""
    return tree(b"".join(nodes), ROOT)


# ---- "Headers and lists: the CBOR rules" --------------------------------------------------

OPAQUE = object()  # a tag, a float or a simple value: no known key holds one


def head(major, argument):
    """A value's first bytes, with the argument in its shortest form."""
    if argument < 24:
        return bytes([major << 5 | argument])
    size = next(n for n in range(4) if argument < 1 << 8 * 2 ** n)
    return bytes([major << 5 | 24 + size]) + argument.to_bytes(2 ** size, "big")


def encode(value):
    if value is None or isinstance(value, bool):
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(encode, value))
    return head(5, len(value)) + b"".join(encode(k) + encode(v) for k, v in sorted(value.items()))


def decode(read, around=0):
    """The next value; read(n) gives n bytes, and so many containers stand around it."""
    must(around <= 8, "nested too deep")
    major, info = divmod(read(1)[0], 32)
    must(info <= 27, "an indefinite length, a break or a reserved form")
    argument = info if info < 24 else int.from_bytes(read(1 << info - 24), "big")
    if major <= 1:
        return argument if major == 0 else -1 - argument
    if major == 2:
        return read(argument)
    if major == 3:
        try:
            return read(argument).decode()
        except UnicodeDecodeError:
            must(False, "a text that is not UTF-8")
    if major == 4:
        return [decode(read, around + 1) for _ in range(argument)]
    if major == 5:
        found, before = {}, -1
        for _ in range(argument):
            key = decode(read, around + 1)
            must(type(key) is int, "a key that is no integer")
            if key < 0:
                raise Refused("critical", f"the key {key} is not known here")
            must(key > before, "keys out of order")
            found[key], before = decode(read, around + 1), key
        return found
    if major == 6:
        decode(read, around + 1)
        return OPAQUE
    must(info != 24 or argument >= 32, "a simple value in a form that it cannot have")
    return {20: False, 21: True, 22: None}.get(info, OPAQUE)


def exact(stream, reason):
    """read(n) for a stream in memory: exactly n bytes, or a refusal."""
    def read(size):
        data = stream.read(min(size, MOST_BLOCK))
        if len(data) < size:
            raise Refused(reason, "it ends too early")
        return data
    return read


def decode_maps(data):
    """The maps that stand one behind the other, to the end."""
    stream, found = io.BytesIO(data), []
    while stream.tell() < len(data):
        found.append(decode(exact(stream, "malformed")))
    return found


# ---- "Shared values" and "Messages" -------------------------------------------------------
#
# A type is a function that returns a decoded value, or refuses it.


def typed(kind, holds=lambda value: True):
    def read(value):
        must(type(value) is kind and holds(value), f"{value!r:.80} is not what must be here")
        return value
    return read


def integer(low, high):
    return typed(int, lambda value: low <= value <= high)


def octets(least, most):
    return typed(bytes, lambda value: least <= len(value) <= most)


def pair(first, second):
    def read(value):
        typed(list, lambda value: len(value) == 2)(value)
        return [first(value[0]), second(value[1])]
    return read


def is_path(value):
    """ "Names" """
    data = value.encode("utf-8", "replace")
    return len(data) <= 4095 and b"\0" not in data and data.decode() == value and all(
        len(name) <= 255 and name not in (b"", b".", b"..", b".haul") for name in data.split(b"/"))


def policy(value):
    """ "5 Offer": only policy 3 goes with a version."""
    of_version, plain = pair(integer(3, 3), octets(16, 16)), pair(integer(0, 2), typed(type(None)))
    return of_version(value) if 3 in typed(list)(value)[:1] else plain(value)


def block_count(size, of):
    """ "Block": how many blocks a file has; an empty one has one."""
    return max(1, -(-size // of))


class Record:
    """A map whose keys count from 0: a "name:type" for each, with "?" behind what is optional."""

    def __init__(self, fields, rule=lambda found: True):
        named = [field.split(":") for field in fields.split()]
        self.fields = [(key, name, TYPES[kind.rstrip("?")], "?" in kind)
                       for key, (name, kind) in enumerate(named)]
        self.rule = rule

    def __call__(self, value):
        found = {}
        typed(dict)(value)
        for key, name, kind, optional in self.fields:
            if not optional or value.get(key) is not None:
                must(key in value, f"{name}, key {key}, is missing")
                found[name] = kind(value[key])
        must(self.rule(found), f"{found!r:.80} has too much or too little")
        return found

    def write(self, values):
        return {key: getattr(kind, "write", lambda value: value)(values[name])
                for key, name, kind, _ in self.fields if name in values}


def several(kind):
    def read(value):
        return [kind(item) for item in typed(list)(value)]
    read.write = lambda values: [kind.write(value) for value in values]
    return read


def entry_rule(entry):
    is_file, limited = entry["kind"] == FILE, {"size", "block_size"}
    return (limited & entry.keys() == (limited if is_file else set())
            and ("target" in entry) == (entry["kind"] == LINK)
            and (not is_file or entry["block_size"] == MOST_BLOCK
                 or block_count(entry["size"], entry["block_size"]) <= 65536))


FILE, LINK = 1, 3
SEND, HERE, SAME_IF, PARTLY, REFUSED = 0, 1, 2, 3, 4  # verdicts; below, what may go with each
WITH_VERDICT = [
    [set(), {"ticket"}], [set()], [{"checksum"}, {"ticket", "checksum"}], [{"ticket"}],
    [{"code"}, {"code", "reason"}, {"code", "reason", "bytes"}], [set()], [set()]]
TYPES = {
    "text": typed(str), "bool": typed(bool), "path": typed(str, is_path), "policy": policy,
    "uint": integer(0, 2 ** 64 - 1), "uint32": integer(0, 2 ** 32 - 1),
    "uint16": integer(0, 2 ** 16 - 1), "size": integer(0, 2 ** 63 - 1), "kind": integer(1, 3),
    "which": integer(0, 6), "algorithm": integer(1, 2), "compare": integer(0, 1),
    "state": integer(1, 4),
    "ids": typed(bytes, lambda value: len(value) <= 16 * 64 and len(value) % 16 == 0),
    "id16": octets(16, 16), "hash": octets(32, 32), "ticket": octets(0, 40),
    "block_size": typed(int, lambda value: 1024 <= value <= MOST_BLOCK and not value & value - 1),
    "time": pair(integer(-2 ** 63, 2 ** 63 - 1), integer(0, 999_999_999)),
    "checksum": pair(integer(1, 2), octets(32, 32)),
    "invitation": pair(octets(4, 4), octets(16, 16)),
    "mode": lambda value: integer(0, 2 ** 32 - 1)(value) & 0o777,
    "code": lambda value: value if integer(0, 255)(value) in CODES else 1,
    "target": typed(str, lambda value: 1 <= len(value.encode()) <= 4095 and "\0" not in value)}
TYPES["runs"] = several(Record("first:uint count:uint"))
TYPES["entry"] = Record("path:path kind:kind size:size? block_size:block_size? mode:mode time:time "
                        "version:id16? checksum:checksum? target:target? touched:bool?", entry_rule)
TYPES["offered"] = Record("number:uint entry:entry base:uint16?")
TYPES["verdict"] = Record("which:which ticket:ticket? checksum:checksum? code:code? reason:uint? "
                          "bytes:uint?",
                          lambda it: it.keys() - {"which"} in WITH_VERDICT[it["which"]])

# A kind's `items` are those of the list that is its body.
Kind = namedtuple("Kind", "name header items limit", defaults=(None, 0))
Message = namedtuple("Message", "name header body")  # body: the list, or bytes


def listing(name, header, items):
    return Kind(name, Record(header), items, MOST_LIST)


UNKNOWN = Kind("", None, None, MOST_LIST)
KINDS = {
    1: Kind("Hello", Record("request:uint program:text invitation:invitation?")),
    2: Kind("Welcome", Record("request:uint program:text rights:uint32 segment:uint store:id16 "
                              "durable:bool above:ids?")),
    3: Kind("List", Record("request:uint path:path? depth:uint32? cursor:text? itself:bool?")),
    4: listing("Entries", "request:uint more:bool unnameable:uint unreadable:uint special:uint?",
               TYPES["entry"]),
    5: listing("Offer", "request:uint transfer:id16 policy:policy dry:bool compare:compare?",
               TYPES["offered"]),
    6: listing("Want", "request:uint", Record("number:uint verdict:verdict")),
    7: Kind("Block", Record("transfer:id16 entry:uint number:uint node:hash ticket:ticket? "
                            "path:path? size:size?"), None, MOST_BLOCK),
    8: Kind("Drop", Record("transfer:id16 entry:uint")),
    9: listing("Commit", "request:uint transfer:id16",
               Record("number:uint checksum:checksum? second:checksum?")),
    10: listing("Receipt", "request:uint", Record("number:uint code:code text:text missing:runs")),
    11: listing("End", "request:uint transfer:id16", TYPES["offered"]),
    12: Kind("Done", Record("request:uint")),
    13: listing("Fetch", "request:uint transfer:id16",
                Record("number:uint path:path version:id16 block_size:uint first:uint count:uint")),
    14: listing("Sent", "request:uint", Record("number:uint code:code text:text")),
    15: Kind("Nodes", Record("request:uint path:path? version:id16? first:uint count:uint "
                          "transfer:id16? entry:uint?")),
    16: Kind("NodesAre", Record("request:uint first:uint more:bool"), None, MOST_LIST),
    17: Kind("Stop", Record("request:uint")),
    18: Kind("Working", Record("")),
    19: Kind("Fail", Record("request:uint? code:code text:text transfer:id16? entry:uint?",
                            lambda it: ("transfer" in it) == ("entry" in it))),
    20: Kind("Sum", Record("request:uint path:path version:id16 algorithm:algorithm")),
    21: Kind("SumIs", Record("request:uint checksum:checksum")),
    22: Kind("MakeDir", Record("request:uint path:path parents:bool")),
    23: Kind("Rename", Record("request:uint path:path to:path")),
    24: Kind("Remove", Record("request:uint path:path whole:bool")),
    25: Kind("Verify", Record("request:uint path:path version:id16")),
    26: listing("Finding", "request:uint state:state checksum:checksum? block_size:block_size? "
                "decayed:uint?", Record("first:uint count:uint")),
}
NUMBERS = {kind.name: number for number, kind in KINDS.items()}


def covered(prefix, fields, body):
    """What the check bytes are the hash of; a block's body is covered by its node."""
    return prefix + fields + (b"" if prefix[0] == NUMBERS["Block"] else body)


def write_message(name, header, body=b""):
    """ "Frames": prefix, map, check bytes and body."""
    kind = KINDS[NUMBERS[name]]
    if kind.items:
        body = b"".join(encode(kind.items.write(item)) for item in body)
    fields = encode(kind.header.write(header))
    prefix = pack(">BBHI", NUMBERS[name], 0, len(fields) + 8, len(body))
    return prefix + fields + node(covered(prefix, fields, body), 0, True)[:8] + body


def read_message(read):
    """One message, or None for an unknown kind; read(n) gives n bytes ("Frames", 1 to 4)."""
    prefix = read(8)
    number, flags, header_length, body_length = unpack(">BBHI", prefix)
    kind = KINDS.get(number, UNKNOWN)
    if flags:
        raise Refused("flags", f"unknown flags {flags:#04x}")
    if not 8 <= header_length <= MOST_HEADER or body_length > kind.limit:
        raise Refused("length", f"a header of {header_length} and a body of {body_length} bytes")
    header = read(header_length)
    fields, check = header[:-8], header[-8:]
    body = b"" if kind.name == "Block" else read(body_length)
    if node(covered(prefix, fields, body), 0, True)[:8] != check:
        raise Refused("damage", "the check bytes of a message do not fit")
    if kind is UNKNOWN:
        return None
    maps = decode_maps(fields)
    must(len(maps) == 1, "a header that is not one map")
    values = kind.header(maps[0])
    if kind.name == "Block":
        body = read(body_length)
    must(kind.name != "NodesAre" or len(body) % 32 == 0, "part of a node")
    if kind.items:
        body = list(map(kind.items, decode_maps(body)))
    return Message(kind.name, values, body)
