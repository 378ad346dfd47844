#!/usr/bin/env python3
"""A small haul client, written from docs/protocol.md alone.

    haul_client.py put FILE HOST:PORT/PATH [--overwrite] [--content]
    haul_client.py get HOST:PORT/PATH FILE [--overwrite]
    haul_client.py check FILE HOST:PORT/PATH

It does not encrypt: the server is started with `haul serve --plaintext`.

It needs Python 3.9 and nothing besides, and moves one file over one connection. Names in
quotes are headings of the document. The exit code is the protocol's ("Codes"); 0 is done, 2 is
usage.

Limit: BLAKE3 is computed in Python, at some 20 MiB a second; that is for files of a few MiB.
A lost connection is reported, not resumed.
"""

import argparse
import errno
import os
import re
import select
import socket
import stat
import sys
import time
from contextlib import closing, suppress

from haul_messages import (
    CODES, FILE, HERE, MOST_BLOCK, PARTLY, PREFACE, REASONS, REFUSED, SAME_IF, SEND, Problem, Refused,
    block_count, is_path, merge, must, node, read_message, write_message)

STALL, FLOOR, WORKING = 60, 1024, 3600  # "Deadlines": seconds, bytes a second, seconds
PATIENCE = 5  # seconds after which whoever lets the other side wait says `Working`


class Connection:
    """ "Opening a connection": preface and `Hello` go out with the first request."""

    def __init__(self, host, port):
        try:
            self.socket = socket.create_connection((host, port), STALL)
        except OSError as error:
            raise Problem(3, f"cannot connect to {host}:{port}: {error}") from error
        self.close, self.requests, self.greeted = self.socket.close, 0, b""
        hello = {"request": 0, "program": "haul_client.py/1"}
        self.unsent = PREFACE + write_message("Hello", hello)

    def send(self, name, body=b"", **header):
        data, self.unsent = self.unsent + write_message(name, header, body), b""
        self.spoke = time.monotonic()
        try:
            self.socket.sendall(data)
        except OSError:
            while True:  # a client whose write fails reads to the end, where the cause may be
                raise_failure(self.receive())

    def ask(self, name, body=b"", **header):
        """Sends a request, and returns its number."""
        self.requests += 1
        self.send(name, body, request=self.requests, **header)
        return self.requests

    def keep_waiting(self):
        """ "Deadlines": says `Working` where the server has heard nothing for five seconds."""
        if time.monotonic() - self.spoke > PATIENCE:
            self.send("Working")

    def read(self, size):
        """Exactly `size` bytes, whose limit the caller has checked, within "Deadlines"."""
        data, last = bytearray(), time.monotonic() + STALL + size / FLOOR
        while len(data) < size:
            try:
                self.socket.settimeout(max(0.001, min(STALL, last - time.monotonic())))
                part = self.socket.recv(min(size - len(data), 1 << 18))
            except OSError as error:
                raise Problem(3, f"the connection was lost: {error}") from error
            if not part:
                raise Refused("cut", "the server closed the connection")
            data += part
        self.socket.settimeout(STALL)
        return bytes(data)

    def receive(self):
        """The next message; skips unknown kinds and `Working`, and raises a connection's `Fail`."""
        if not self.greeted:
            self.greeted = self.read(8)
            if self.greeted != PREFACE:
                raise Problem(9, f"no haul server of version 1: it begins with {self.greeted!r}")
        patience, message = time.monotonic() + WORKING, None
        while message is None or message.name == "Working":
            if time.monotonic() > patience:
                raise Problem(3, "the server has been working for too long")
            message = read_message(self.read)
        if not message.header.keys() & {"request", "entry"}:
            raise_failure(message)
        return message

    def answer(self, request, *names):
        """The next message of these names that answers the request; a failure is raised."""
        while True:
            message = self.receive()
            if message.name == "Fail" and "entry" in message.header:
                continue  # "When something fails": `Receipt` and `Sent` will say it
            must(message.header.get("request", request) == request, "an answer to another request")
            raise_failure(message)
            must(message.name in names, f"{message.name} does not answer {names[0]}")
            return message


def raise_failure(message):
    """Raises a `Fail`, or what a `Receipt` or `Sent` excepts: the job has one entry only."""
    if message.name == "Fail":
        raise Problem(message.header["code"], f"the server says: {message.header['text']}")
    if message.name in ("Receipt", "Sent") and message.body:
        must(message.body[0]["number"] == 0, "an exception for an entry that is not in the job")
        raise Problem(message.body[0]["code"], message.body[0]["text"])


# ---- "Putting files" ----------------------------------------------------------------------


class Source:
    """An open local file, cut into blocks, that notices when it changes."""

    def __init__(self, name):
        if not stat.S_ISREG(os.stat(name).st_mode):
            raise Problem(10, f"{name} is no regular file")
        self.file = open(name, "rb")
        self.close = self.file.close
        self.stat = os.fstat(self.file.fileno())
        self.size, self.block_size = self.stat.st_size, 1 << 20
        while self.size > 65536 * self.block_size and self.block_size < MOST_BLOCK:
            self.block_size *= 2
        self.count = block_count(self.size, self.block_size)
        self.nodes = [b""] * self.count

    def check_unchanged(self):
        now = os.fstat(self.file.fileno())
        if any(getattr(now, key) != getattr(self.stat, key)
               for key in ("st_size", "st_mtime_ns", "st_ctime_ns")):
            raise Problem(7, f"{self.file.name} changed while it was read")

    def block(self, number):
        """A block's bytes; its node is kept for the merge."""
        offset = number * self.block_size
        length = min(self.block_size, self.size - offset)
        self.file.seek(offset)
        data = self.file.read(length)
        if len(data) < length:
            raise Problem(7, f"{self.file.name} became shorter while it was read")
        self.nodes[number] = node(data, offset, self.count == 1)
        return data

    def checksum(self, meanwhile):
        """The checksum of the whole file; meanwhile() is called after each block."""
        for number in range(self.count):
            self.block(number)
            meanwhile()
        self.check_unchanged()
        return merge(self.nodes)


def put(name, address, overwrite, content):
    """Puts a file: offer, blocks, commit, receipt. An error needs no `Drop`: the transfer ends
    with its only connection."""
    with closing(Source(name)) as source, closing(Connection(*address[:2])) as connection:
        transfer, place = os.urandom(16), address[2]
        entry = {"path": place, "kind": FILE, "size": source.size, "block_size": source.block_size,
                 "mode": source.stat.st_mode & 0o777,
                 "time": list(divmod(source.stat.st_mtime_ns, 10 ** 9))}
        offer = connection.ask("Offer", [{"number": 0, "entry": entry}], transfer=transfer,
                               policy=[2 if overwrite else 0, None], dry=False,
                               compare=1 if content else 0)
        durable = ", durable" if connection.answer(0, "Welcome").header["durable"] else ""
        wanted = connection.answer(offer, "Want").body
        must([item["number"] for item in wanted] == [0], "verdicts on something else than the file")
        verdict = wanted[0]["verdict"]
        if verdict["which"] == REFUSED:
            why = REASONS.get(verdict.get("reason"), CODES[verdict["code"]])
            raise Problem(verdict["code"], f"{place}: {why}")
        must(verdict["which"] in (SEND, HERE, SAME_IF, PARTLY),
             "a verdict that the offer does not allow")
        if verdict["which"] == PARTLY:  # what is there of it is sent again: that is allowed
            verdict["which"] = SEND
        done, committed = "already there", {"number": 0}
        if verdict["which"] == SAME_IF:
            committed["checksum"] = [1, source.checksum(connection.keep_waiting)]
        if verdict["which"] == SEND or committed.get("checksum") != verdict.get("checksum"):
            if verdict["which"] == SAME_IF and not overwrite:
                raise Problem(6, f"{place}: {REASONS[1]}")
            send_blocks(connection, source, transfer, verdict, place)
            done, committed["checksum"] = "stored", [1, merge(source.nodes)]
        request = connection.ask("Commit", [committed], transfer=transfer)
        connection.answer(request, "Receipt")
        return f"{done}{durable}: {place}, {source.size} bytes"


def send_blocks(connection, source, transfer, verdict, place):
    """ "Blocks": sends all of them; the first names ticket, path and size, if there is a ticket."""
    must(("ticket" in verdict) == (source.count > 1), "a ticket too many or too few")
    tag = {}
    if "ticket" in verdict:
        tag = {"ticket": verdict["ticket"], "path": place, "size": source.size}
    source.check_unchanged()
    for number in range(source.count):
        data = source.block(number)
        connection.send("Block", data, transfer=transfer, entry=0, number=number,
                        node=source.nodes[number], **tag)
        tag = {}
        while select.select([connection.socket], [], [], 0)[0]:
            raise_failure(connection.receive())
    source.check_unchanged()


# ---- "Getting files" ----------------------------------------------------------------------


def look_up(connection, place):
    """`Welcome`, and the listed entry of the file."""
    request = connection.ask("List", path=place, depth=0)
    welcome = connection.answer(0, "Welcome").header
    page = connection.answer(request, "Entries")
    must(not page.header["more"] and [it["path"] for it in page.body] in ([], [place]),
         "a listing of something else than was asked for")
    if not page.body or page.body[0]["kind"] != FILE:
        raise Problem(10, f"{place} is no regular file")
    must("version" in page.body[0], "a listed file without a version")
    return welcome, page.body[0]


def private(name, flags):
    return os.open(name, flags, 0o600)


def get(address, target, overwrite):
    """Gets a file under a temporary name, and renames it when all of it is proved."""
    if os.path.lexists(target) and not overwrite:
        raise Problem(6, f"{target} exists (--overwrite replaces it)")
    directory = os.path.dirname(os.path.abspath(target))
    temporary = os.path.join(directory, f".haul-{os.urandom(8).hex()}.part")
    with closing(Connection(*address[:2])) as connection:
        welcome, entry = look_up(connection, address[2])
        try:
            with open(temporary, "xb", opener=private) as out:
                whole = fetch(connection, welcome["segment"], entry, out)
                out.flush()
                os.fchmod(out.fileno(), entry["mode"])
                os.utime(out.fileno(), ns=(entry["time"][0] * 10 ** 9 + entry["time"][1],) * 2)
                os.fsync(out.fileno())
            (os.replace if overwrite else os.link)(temporary, target)  # a link never replaces
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
    opened = os.open(directory, os.O_RDONLY)
    os.fsync(opened)
    os.close(opened)
    return f"fetched and verified: {target}, {entry['size']} bytes, blake3 {whole.hex()}"


def fetch(connection, segment, entry, out):
    """Asks for segment after segment, and writes what is proved; returns the checksum."""
    transfer, of, nodes = os.urandom(16), entry["block_size"], []
    count = block_count(entry["size"], of)
    step = max(1, segment // of)
    for first in range(0, count, step):
        run = range(first, min(count, first + step))
        wanted = {"number": 0, "path": entry["path"], "version": entry["version"], "block_size": of,
                  "first": first, "count": len(run)}
        request = connection.ask("Fetch", [wanted], transfer=transfer)
        for number in run:
            message = connection.answer(request, "Block", "Sent")
            must(message.name == "Block", "`Sent` before all blocks came")
            header, length = message.header, min(of, entry["size"] - number * of)
            came = header["transfer"], header["entry"], header["number"], len(message.body)
            must(came == (transfer, 0, number, length), f"not block {number}, whose turn it was")
            if node(message.body, number * of, count == 1) != header["node"]:
                raise Problem(7, f"{entry['path']}: block {number} was damaged on its way")
            nodes.append(header["node"])
            out.write(message.body)
        connection.answer(request, "Sent")
    whole = merge(nodes)
    if entry.get("checksum", [None])[0] == 1 and entry["checksum"] != [1, whole]:
        raise Problem(7, f"{entry['path']} has not the checksum that the server recorded")
    return whole


def check(name, address):
    """Compares a local file's BLAKE3 with the server's ("20 Sum")."""
    with closing(Source(name)) as source:
        here = source.checksum(lambda: None)
    with closing(Connection(*address[:2])) as connection:
        _, entry = look_up(connection, address[2])
        request = connection.ask("Sum", path=entry["path"], version=entry["version"], algorithm=1)
        which, there = connection.answer(request, "SumIs").header["checksum"]
    must(which == 1, "a checksum that was not asked for")
    if here != there:
        raise Problem(7, f"{name} differs: here {here.hex()}, there {there.hex()}")
    return f"same: {entry['path']}, blake3 {here.hex()}"


# ---- The command line ---------------------------------------------------------------------


FLAGS = [("overwrite", "replace a file that exists with other content"),
         ("content", "take a file as the same only with equal checksums, whatever its time")]


def address_of(spelled):
    """HOST:PORT/PATH, where the port may be left out."""
    match = re.fullmatch(r"(?:\[([^]]+)\]|([^:/\[\]]+))(?::([0-9]{1,5}))?/(.*)", spelled, re.S)
    if not match or int(match[3] or 0) > 65535:
        raise argparse.ArgumentTypeError(f"{spelled!r} is not HOST:PORT/PATH")
    return match[1] or match[2], int(match[3] or 4285), match[4]


def shown(said):
    """ "Codes": whoever shows a text escapes it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in said)


def main():
    parser = argparse.ArgumentParser(description="A small haul client.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run, *names in ((put, "file", "address"), (get, "address", "file"),
                        (check, "file", "address")):
        command = commands.add_parser(run.__name__, help=run.__doc__)
        for name in names:
            command.add_argument(name, type=address_of if name == "address" else str)
        flags = {put: FLAGS, get: FLAGS[:1], check: []}[run]
        for name, meaning in flags:
            names.append(name)
            command.add_argument(f"--{name}", action="store_true", help=meaning)
        command.set_defaults(run=run, names=names)
    options = parser.parse_args()
    try:
        path = options.address[2]
        must(is_path(path), f"{path!r} cannot be a path on the server")
        print(shown(options.run(*(getattr(options, name) for name in options.names))))
        return 0
    except Problem as problem:
        code, said = problem.code, str(problem)
    except FileExistsError as error:
        code, said = 6, str(error)
    except (OSError, OverflowError) as error:
        no_space = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        code, said = 8 if no_space else 10, str(error)
    except KeyboardInterrupt:
        code, said = 130, CODES[130]
    print(f"haul_client.py: {shown(said)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
