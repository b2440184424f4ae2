"""As much of the Redis protocol as the two JVM applications need."""

from __future__ import annotations

import os
import socket
import threading

from .web import within


class RedisError(OSError):
    """Redis answered with an error."""


class Redis:
    """One connection, made when needed, with a deadline of two seconds a call (lettuce's time-out)."""

    DEADLINE = 2.0

    def __init__(self) -> None:
        self.address = (os.environ["REDIS_HOST"], int(os.environ["REDIS_PORT"]))
        self.password = os.environ.get("REDIS_PASSWORD", "")
        self.lock = threading.Lock()
        self.connection: socket.socket | None = None

    def call(self, *words: str) -> str:
        """Send one command and return its answer as text; OSError where Redis is away or complains."""
        with self.lock:
            try:
                answer: str = within(self.DEADLINE, lambda: self.exchange(words))
                return answer
            except (OSError, EOFError) as error:
                self.close()
                raise OSError(str(error) or type(error).__name__) from error

    def exchange(self, words: tuple[str, ...]) -> str:
        """Send on the connection, opening it first where there is none."""
        if self.connection is None:
            self.connection = socket.create_connection(self.address, self.DEADLINE)
            self.connection.settimeout(self.DEADLINE)
            if self.password:
                send(self.connection, ("AUTH", self.password))
        return send(self.connection, words)

    def close(self) -> None:
        """Forget the connection; the next call makes a new one."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def send(connection: socket.socket, words: tuple[str, ...]) -> str:
    """Send one command, and read one simple, integer or bulk answer."""
    payload = b"*%d\r\n" % len(words)
    for word in words:
        payload += b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode())
    connection.sendall(payload)
    answer = b""
    while not answer.endswith(b"\r\n"):
        more = connection.recv(4096)
        if not more:
            raise ConnectionResetError("Redis closed the connection")
        answer += more
    if answer.startswith(b"-"):
        raise RedisError(answer[1:].strip().decode(errors="replace"))
    return answer[1:].strip().decode(errors="replace")
