"""The connections under way, held so that any thread can end them."""

from __future__ import annotations

import socket
import threading
import weakref
from contextlib import suppress


class LiveSockets:
    """The sockets in use, so that any thread can end what waits on them."""

    def __init__(self) -> None:
        self._held: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._closed = False

    def add(self, one: socket.socket) -> None:
        """Keep a weak hold of a connected socket. Raises ConnectionAbortedError once closed."""
        with self._lock:
            if self._closed:
                raise ConnectionAbortedError("the connection to the engine was closed")
            self._held.add(one)

    def close(self) -> None:
        """End every request under way, and every one to come."""
        with self._lock:
            self._closed = True
            held = list(self._held)
        for one in held:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
