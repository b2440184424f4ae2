"""As much of the MySQL protocol as moalog-server needs: log in with a native password, and ping."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from urllib.parse import unquote, urlsplit

from .web import within

CAPABILITIES = 0x00088201
"""Long password, protocol 4.1, secure connection and the plug-in's name."""


class MySQL:
    """One connection that logs in as the URL says, with a deadline of three seconds a ping."""

    DEADLINE = 3.0

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.address = (parts.hostname or "mysql", parts.port or 3306)
        self.user = unquote(parts.username or "")
        self.password = unquote(parts.password or "")
        self.lock = threading.Lock()
        self.connection: socket.socket | None = None

    def ping(self) -> None:
        """Ping the server, logging in first where there is no connection; OSError where that fails."""
        with self.lock:
            try:
                within(self.DEADLINE, self.exchange)
            except (OSError, ValueError) as error:
                if self.connection is not None:
                    self.connection.close()
                    self.connection = None
                raise OSError(str(error) or type(error).__name__) from error

    def exchange(self) -> bool:
        """Log in where needed, send COM_PING, and read the OK packet."""
        if self.connection is None:
            connection = socket.create_connection(self.address, self.DEADLINE)
            connection.settimeout(self.DEADLINE)
            try:
                self.log_in(connection)
            except (OSError, ValueError):
                connection.close()
                raise
            self.connection = connection
        send(self.connection, 0, b"\x0e")
        complain(receive(self.connection)[1])
        return True

    def log_in(self, connection: socket.socket) -> None:
        """Answer the greeting with user and scrambled password."""
        _, greeting = receive(connection)
        complain(greeting)
        after_version = greeting.index(b"\0", 1) + 1
        rest = greeting[after_version + 4 :]
        nonce = rest[:8] + rest[9 + 18 : 9 + 18 + 12]
        proof = scramble(self.password, nonce)
        answer = struct.pack("<IIB23x", CAPABILITIES, 1 << 24, 45) + self.user.encode() + b"\0"
        answer += bytes([len(proof)]) + proof + b"mysql_native_password\0"
        send(connection, 1, answer)
        complain(receive(connection)[1])


def scramble(password: str, nonce: bytes) -> bytes:
    """Return the native password's proof for one greeting."""
    if not password:
        return b""
    once = hashlib.sha1(password.encode()).digest()
    twice = hashlib.sha1(once).digest()
    return bytes(a ^ b for a, b in zip(once, hashlib.sha1(nonce + twice).digest(), strict=True))


def send(connection: socket.socket, sequence: int, payload: bytes) -> None:
    """Send one packet."""
    connection.sendall(struct.pack("<I", len(payload))[:3] + bytes([sequence]) + payload)


def receive(connection: socket.socket) -> tuple[int, bytes]:
    """Read one packet: its sequence number and its payload."""
    head = exactly(connection, 4)
    return head[3], exactly(connection, int.from_bytes(head[:3], "little"))


def exactly(connection: socket.socket, count: int) -> bytes:
    """Read that many bytes."""
    answer = b""
    while len(answer) < count:
        more = connection.recv(count - len(answer))
        if not more:
            raise ConnectionResetError("MySQL closed the connection")
        answer += more
    return answer


def complain(packet: bytes) -> None:
    """Raise what an error packet says."""
    if packet[:1] == b"\xff":
        raise OSError(packet[3:].decode(errors="replace"))
