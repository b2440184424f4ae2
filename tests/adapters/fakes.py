"""Servers that speak just enough of each protocol to say what a real one says rarely."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from tests.adapters.servers import Handler, Peer

# ---------------------------------------------------------------- Redis


def redis_fake(answers: Mapping[str, bytes]) -> Handler:
    """Return a Redis that gives each command (upper case) its answer, and an error for others."""

    def handler(peer: Peer) -> None:
        while request := peer.read():
            words = [line for line in request.split(b"\r\n")[1:] if not line.startswith(b"$")]
            peer.send(answers.get(words[0].decode().upper(), b"-ERR unknown command\r\n"))

    return handler


def bulk(text: str) -> bytes:
    """Return a Redis bulk string."""
    data = text.encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)


# ---------------------------------------------------------------- HTTP


def http_answer(body: bytes | str, status: str = "200 OK", headers: str = "") -> bytes:
    """Return a whole HTTP response."""
    data = body.encode() if isinstance(body, str) else body
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n{headers}\r\n".encode() + data


def http_fake(pages: Mapping[str, bytes], asked: list[str] | None = None) -> Handler:
    """Return an HTTP server with these responses by path; requests as received are appended to `asked`."""

    def handler(peer: Peer) -> None:
        request = peer.read().decode("latin-1")
        if asked is not None:
            asked.append(request)
        path = request.split(" ")[1] if " " in request else ""
        peer.send(pages.get(path, http_answer("no such page", "404 Not Found")))

    return handler


# ---------------------------------------------------------------- MySQL

_PLUGIN = b"mysql_native_password\0"
_CAPABILITIES = 0x0000_0001 | 0x0000_0200 | 0x0000_8000 | 0x0008_0000  # long password, 4.1, secure, plugin names


def mysql_packet(number: int, payload: bytes) -> bytes:
    """Return a packet with its header."""
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


_TLS = 0x0000_0800


def mysql_greeting(*, tls: bool = False) -> bytes:
    """Return the greeting of a server, with TLS on offer or not."""
    capabilities = _CAPABILITIES | (_TLS if tls else 0)
    low, high = capabilities & 0xFFFF, capabilities >> 16
    fixed = struct.pack("<HBHHB10x", low, 45, 2, high, 21)
    return mysql_packet(
        0, b"\x0a8.0.99-fake\0" + struct.pack("<I", 7) + b"saltsalt\0" + fixed + b"saltsaltsalt\0" + _PLUGIN
    )


def mysql_error(number: int, code: int, state: str, text: str) -> bytes:
    """Return an error packet."""
    return mysql_packet(number, b"\xff" + struct.pack("<H", code) + b"#" + state.encode() + text.encode())


def mysql_row(*values: str) -> bytes:
    """Return a whole text result of one row."""
    packets = [bytes([len(values)])]
    for _ in values:
        packets.append(b"\x03def\0\0\0\x01c\x01c\x0c" + struct.pack("<HIBHBH", 45, 64, 253, 0, 0, 0))
    packets.append(b"\xfe\0\0\x02\0")
    packets.append(b"".join(bytes([len(value)]) + value.encode() for value in values))
    packets.append(b"\xfe\0\0\x02\0")
    return b"".join(mysql_packet(number + 1, payload) for number, payload in enumerate(packets))


OK_PACKET = b"\0\0\0\x02\0\0\0"


def mysql_fake(read_only: str = "0", most: str = "100", taken: str = "3", login: bytes = b"") -> Handler:
    """Return a MySQL with these facts; `login` replaces its answer to the log-in."""

    def handler(peer: Peer) -> None:
        peer.send(mysql_greeting())
        if not _mysql_read(peer):
            return
        if login:
            peer.send(login)
            return
        peer.send(mysql_packet(2, OK_PACKET))
        while command := _mysql_read(peer):
            if command.startswith(b"\x03SELECT @@global"):
                peer.send(mysql_row(read_only, most))
            elif command.startswith(b"\x03SHOW GLOBAL STATUS"):
                peer.send(mysql_row("Threads_connected", taken))
            else:
                peer.send(mysql_packet(1, OK_PACKET))

    return handler


def _mysql_read(peer: Peer) -> bytes:
    header = peer.exactly(4)
    return peer.exactly(int.from_bytes(header[:3], "little"))


# ---------------------------------------------------------------- Postgres

_SSL_REQUEST = 80877103


def pg_message(kind: bytes, payload: bytes) -> bytes:
    """Return a message with its header."""
    return kind + struct.pack(">I", len(payload) + 4) + payload


def pg_error(code: str, text: str, severity: str = "FATAL") -> bytes:
    """Return an error message as a server sends it."""
    fields = f"S{severity}\0V{severity}\0C{code}\0M{text}\0\0"
    return pg_message(b"E", fields.encode())


PG_WELCOME = pg_message(b"R", struct.pack(">I", 0)) + pg_message(b"Z", b"I")
"""Authentication done, ready for a query."""


def pg_row(values: Sequence[str]) -> bytes:
    """Return a whole result of one row, and readiness for the next query."""
    names = b"".join(b"c\0" + struct.pack(">IHIHIH", 0, 0, 25, 0xFFFF, 0xFFFFFFFF, 0) for _ in values)
    cells = b"".join(struct.pack(">I", len(value)) + value.encode() for value in values)
    count = struct.pack(">H", len(values))
    return (
        pg_message(b"T", count + names)
        + pg_message(b"D", count + cells)
        + pg_message(b"C", b"SELECT 1\0")
        + pg_message(b"Z", b"I")
    )


def pg_startup(peer: Peer) -> None:
    """Read the client's start-up message, telling it first that there is no TLS."""
    while True:
        length, version = struct.unpack(">II", peer.exactly(8))
        rest = peer.exactly(length - 8)
        if version != _SSL_REQUEST or rest:
            return
        peer.send(b"N")


def pg_fake(login: bytes = PG_WELCOME, answer: bytes = b"") -> Handler:
    """Return a Postgres with this answer to the start-up message, then this one to each query."""

    def handler(peer: Peer) -> None:
        pg_startup(peer)
        peer.send(login)
        while peer.read():
            peer.send(answer)

    return handler
