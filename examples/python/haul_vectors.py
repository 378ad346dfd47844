#!/usr/bin/env python3
"""Holds every test vector of docs/protocol.md against the messages of this client.

    haul_vectors.py docs/protocol.md
"""

import ast
import io
import re
import sys
from base64 import b64encode, urlsafe_b64decode
from struct import pack

from haul_messages import (
    KINDS, NUMBERS, PREFACE, Problem, Refused, covered, exact, merge, must, node, read_message,
    write_message)


def read_vectors(document):
    """The fields of each vector; a line that begins with a space continues the one before."""
    for fence in re.findall(r"^```vector\n(.*?)^```", document, re.S | re.M):
        for paragraph in re.split(r"\n\s*\n", fence.strip()):
            fields = re.findall(r"^([a-z0-9-]+):((?:.|\n )*)$", paragraph, re.M)
            yield {key: value.strip() for key, value in fields}


def diagnostic(notation):
    """Maps in CBOR's diagnostic notation, by way of Python's own."""
    def python(token):
        if token[0].startswith("h'"):
            return repr(bytes.fromhex(token[0][2:-1]))
        words = {"true": "True", "false": "False", "null": "None", "} {": "}, {"}
        return words.get(token[0], token[0])
    tokens = r""""(?:\\.|[^"\\])*"|h'[^']*'|true|false|null|\} \{"""
    return ast.literal_eval("[" + re.sub(tokens, python, " ".join(notation.split())) + "]")


def read_whole(data):
    stream = io.BytesIO(data)
    message = read_message(exact(stream, "cut"))
    must(not stream.read(), "bytes behind the frame")
    return message


def holds(vector, vectors):
    """Whether a vector is what the code above makes of it."""
    data = {key: bytes.fromhex(vector[key]) for key in vector.keys() & {
        "hex", "prefix", "body", "blake3", "check", "checksum", "nodes", "not-haul"}}
    if "version" in vector:
        return data["hex"] == PREFACE[:6] + pack(">H", int(vector["version"]))
    if "not-haul" in vector:
        return not PREFACE.startswith(data["not-haul"])
    if "size" in vector:
        file = bytes((7 * i + 3) % 251 for i in range(int(vector["size"])))
        nodes = [node(file[at:at + 1024], at, len(file) <= 1024)
                 for at in range(0, len(file) or 1, 1024)]
        return (b"".join(nodes) == data["nodes"]
                and merge(nodes) == data["checksum"] == node(file, 0, True))
    if "link" in vector:
        introduction = re.fullmatch(r"haul://([\w-]{43})\.([0-9a-f]{8})\.([\w-]{22})@[^/]+/",
                                    vector["link"]).groups()
        server, secret = (urlsafe_b64decode(introduction[n] + "==="[:-len(introduction[n]) % 4])
                          for n in (0, 2))
        return (f"SHA256:{b64encode(server).decode().rstrip('=')}" == vector["fingerprint"]
                and [bytes.fromhex(introduction[1]), secret]
                == [bytes.fromhex(vector[key]) for key in ("id", "secret")])
    if "of" in vector:
        fields, whole = bytes.fromhex(vector["map"]), bytes.fromhex(vectors[vector["of"]]["hex"])
        return (whole == data["prefix"] + fields + data["check"] + data["body"]
                and data["check"] == data["blake3"][:8]
                and data["blake3"] == node(covered(data["prefix"], fields, data["body"]), 0, True))
    if "refused" in vector:
        try:
            return not read_whole(data["hex"])
        except Refused as refused:
            return refused.reason == vector["refused"]
    message = read_whole(data["hex"])
    if vector.get("reads-as") == "nothing":
        return message is None
    if "reads-as" in vector:
        return message == read_whole(bytes.fromhex(vectors[vector["reads-as"]]["hex"]))
    if message is None:
        return False
    if message.name == "Block" and message.header["node"] != node(
            message.body, 1024 * message.header["number"], "ticket" not in message.header):
        return False
    kind = KINDS[NUMBERS[vector["kind"]]]
    header, items = diagnostic(vector["map"]), diagnostic(vector.get("items", ""))
    return (write_message(*message) == data["hex"] and message.name == vector["kind"]
            and [message.header] == list(map(kind.header, header))
            and (not kind.items or message.body == list(map(kind.items, items))))


def main():
    if len(sys.argv) != 2:
        print("usage: haul_vectors.py docs/protocol.md", file=sys.stderr)
        return 2
    with open(sys.argv[1], encoding="utf-8") as file:
        found = {vector["name"]: vector for vector in read_vectors(file.read())}
    broken = []
    for name, vector in found.items():
        try:
            if not holds(vector, found):
                broken.append(name)
        except (Problem, ValueError, KeyError, SyntaxError) as error:
            broken.append(f"{name} ({error})")
    if broken or not found:
        print(f"{len(broken)} of {len(found)} vectors do not hold: {', '.join(broken)}",
              file=sys.stderr)
        return 1
    print(f"{len(found)} vectors hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())
