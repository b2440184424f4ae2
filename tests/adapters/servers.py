"""Small servers on real sockets that do to a client what networks and sick programs do."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Final, Self, TypeAlias

from moalog_tui.platform.services import Endpoint

Handler: TypeAlias = Callable[["Peer"], None]
"""What a server does with one connection, which is closed when it returns."""

GIGABYTE: Final = 1024**3
DRIP_S: Final = 0.05


class Peer:
    """One accepted connection. Ends quietly when the client goes away or the server stops."""

    def __init__(self, sock: socket.socket, stopped: threading.Event) -> None:
        self.sock = sock
        self._stopped = stopped

    def hold(self) -> None:
        """Say nothing more until the client leaves or the server stops."""
        while not self._stopped.is_set() and self._readable():
            if not self.sock.recv(65536):
                # Half-closed by the client; a stubborn server keeps its own half.
                self._stopped.wait()

    def _readable(self) -> bool:
        self.sock.settimeout(0.02)
        while not self._stopped.is_set():
            try:
                self.sock.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                continue
            return True
        return False

    def read(self, size: int = 65536) -> bytes:
        """Read what the client says; empty where it left."""
        return self.sock.recv(size) if self._readable() else b""

    def exactly(self, size: int) -> bytes:
        """Read exactly `size` bytes; raises EOFError where the client left."""
        found = b""
        while len(found) < size:
            more = self.read(size - len(found))
            if not more:
                raise EOFError
            found += more
        return found

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.settimeout(5)
        self.sock.sendall(data)

    def drip(self, data: bytes = b"") -> None:
        """Send one byte after another without end: first those of `data`, then zeros written as text."""
        position = 0
        while not self._stopped.wait(DRIP_S):
            self.send(data[position : position + 1] or b"0")
            position += 1

    def flood(self, chunk: bytes = b"x" * 65536, total: int = GIGABYTE) -> int:
        """Send a gigabyte as fast as it is taken; returns how much was."""
        sent = 0
        self.sock.settimeout(0.2)
        while sent < total and not self._stopped.is_set():
            try:
                sent += self.sock.send(chunk)
            except TimeoutError:
                continue
            except OSError:
                break
        return sent

    def reset(self) -> None:
        """Close with a reset, as a port proxy does whose program is not there."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Server:
    """Accepts on 127.0.0.1 and gives each connection to a handler on a thread of its own."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._threads: list[threading.Thread] = []
        self.connections = 0

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        return Endpoint("127.0.0.1", self._listener.getsockname()[1], "test")

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a test server does not end"

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="test-server", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        self._listener.settimeout(0.05)
        while not self._stopped.is_set():
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.connections += 1
            self._start(lambda sock=sock: self._serve(sock))  # type: ignore[misc]

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError, EOFError):
            self._handler(Peer(sock, self._stopped))


def accept_and_close(_peer: Peer) -> None:
    """Accept, and close at once."""


def accept_and_reset(peer: Peer) -> None:
    """Accept, and reset at once."""
    peer.reset()


def silent(peer: Peer) -> None:
    """Accept, read, and never answer."""
    peer.hold()


def says(data: bytes, then: Handler = accept_and_close, *, after_reading: bool = False) -> Handler:
    """Return a handler that sends `data`, then does something else."""

    def handler(peer: Peer) -> None:
        if after_reading:
            peer.read()
        peer.send(data)
        then(peer)

    return handler


def drips(data: bytes = b"") -> Handler:
    """Return a handler that sends byte after byte without end."""
    return lambda peer: peer.drip(data)


@contextlib.contextmanager
def never_accepts() -> Iterator[Endpoint]:
    """A listener whose queue is full: a connection attempt is neither taken nor refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(address)
        yield Endpoint("127.0.0.1", address[1], "test")


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
