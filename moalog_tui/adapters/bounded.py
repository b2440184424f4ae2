"""Sockets that a blocking client cannot wait on past one deadline, nor fill memory from.

The clients' own timeouts hold for one read or write each: a server that sends a byte a second keeps them for
ever (FACTS C0). Here one `Bound` goes through a whole exchange, so the client's thread ends by itself.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, Final

from moalog_tui.platform.services import Endpoint

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

BUDGET: Final = 1024 * 1024
"""Bytes one exchange may receive. What a probe asks for fits in a hundredth of it."""
HEAD: Final = 1024
"""Bytes kept from the start of what was received, to tell what answered."""


class NameUnknown(Exception):
    """The endpoint's host name does not resolve here."""


class NotAccepted(Exception):
    """The endpoint took no connection; `__cause__` is the operating system's error, or None past the deadline."""


class Bound:
    """The deadline and budget of one exchange, and what was seen of it. Times are monotonic seconds."""

    def __init__(self, deadline: float, budget: int = BUDGET) -> None:
        self.deadline = deadline
        self.started = time.monotonic()
        self.expired = False
        """True once an operation ran into the deadline."""
        self.exceeded = False
        """True once the other side sent more than the budget."""
        self.closed = False
        """True once the other side closed or reset the connection."""
        self.received = 0
        self.head = b""
        self._budget = budget

    @property
    def left(self) -> float:
        """Seconds to the deadline; never negative."""
        return max(self.started + self.deadline - time.monotonic(), 0.0)

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the exchange began."""
        return (time.monotonic() - self.started) * 1000

    def remaining(self) -> float:
        """Return the seconds an operation may take; raises TimeoutError when there are none."""
        left = self.left
        if left <= 0:
            self.expired = True
            raise TimeoutError("the deadline has passed")
        return left

    def count(self, received: int, start: bytes = b"") -> None:
        """Take note of received bytes; raises ConnectionAbortedError over the budget."""
        if received == 0:
            self.closed = True
        if len(self.head) < HEAD:
            self.head += start[: HEAD - len(self.head)]
        self.received += received
        if self.received > self._budget:
            self.exceeded = True
            raise ConnectionAbortedError("the answer is larger than the budget")


class _Bounded(socket.socket):
    """Puts every operation of a socket under the bound; without one (while it is set up) it changes nothing."""

    bound: Bound | None = None

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into `buffer` within the bound."""
        if self.bound is None:
            return super().recv_into(buffer, nbytes, flags)
        self.settimeout(self.bound.remaining())
        try:
            received = super().recv_into(buffer, nbytes, flags)
        except OSError as error:
            raise self._seen(error) from None
        self.bound.count(received, bytes(memoryview(buffer)[: min(received, HEAD)]))
        return received

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Receive up to `bufsize` bytes within the bound."""
        if self.bound is None:
            return super().recv(bufsize, flags)
        self.settimeout(self.bound.remaining())
        try:
            received = super().recv(bufsize, flags)
        except OSError as error:
            raise self._seen(error) from None
        self.bound.count(len(received), received[:HEAD])
        return received

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        """Send all of `data` within the bound."""
        if self.bound is None:
            return super().sendall(data, flags)
        self.settimeout(self.bound.remaining())
        try:
            return super().sendall(data, flags)
        except OSError as error:
            raise self._seen(error) from None

    def _seen(self, error: OSError) -> OSError:
        assert self.bound is not None
        if isinstance(error, TimeoutError):
            self.bound.expired = True
        elif not self.bound.exceeded:
            self.bound.closed = True
        return error


class BoundedSocket(_Bounded):
    """A TCP socket whose every operation ends by the bound's deadline and counts against its budget."""

    bound: Bound


class BoundedTls(_Bounded, ssl.SSLSocket):  # type: ignore[misc] # its stubs name the same arguments otherwise
    """The same under TLS."""


class BoundedContext(ssl.SSLContext):
    """TLS that is taken where a server offers it, its certificate unchecked, within the bound of the socket.

    The platform's servers sign their own certificates, so that there is nothing to check one against; loading
    the system's authorities all the same would cost more than the rest of a probe.
    """

    sslsocket_class = BoundedTls

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> BoundedTls:
        """Wrap a bounded socket; the handshake as a whole ends by the deadline."""
        assert isinstance(sock, BoundedSocket)
        bound = sock.bound
        sock.settimeout(bound.remaining())
        try:
            wrapped = super().wrap_socket(sock, *args, **kwargs)
        except TimeoutError:
            bound.expired = True
            raise
        assert isinstance(wrapped, BoundedTls)
        wrapped.bound = bound
        return wrapped


def unchecked_tls() -> BoundedContext:
    """Return a context for TLS without authorities."""
    context = BoundedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def is_address(host: str) -> bool:
    """True for an IP address, which needs no resolver."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def resolve(endpoint: Endpoint) -> tuple[str, ...]:
    """Return the endpoint's addresses, IPv4 first; raises NameUnknown. The resolver knows no deadline."""
    if is_address(endpoint.host):
        return (endpoint.host,)
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NameUnknown(f"{endpoint.host} does not resolve here: {error}") from None
    # IPv4 first: it is what engines publish ports on, while `localhost` may well be `::1` before that.
    return tuple(sorted(dict.fromkeys(str(entry[4][0]) for entry in found), key=lambda address: ":" in address))


def open_bounded(endpoint: Endpoint, bound: Bound) -> BoundedSocket:
    """Connect to the endpoint; raises NameUnknown or NotAccepted."""
    refusal: OSError | None = None
    for address in resolve(endpoint):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = BoundedSocket(family, socket.SOCK_STREAM)
        try:
            # Before connecting: on a connection that was reset meanwhile it would fail.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(bound.remaining())
            sock.connect((address, endpoint.port))
        except OSError as error:
            sock.close()
            if isinstance(error, TimeoutError) and bound.left <= 0:
                bound.expired = True
            refusal = error
            continue
        sock.bound = bound
        return sock
    raise NotAccepted(str(refusal)) from refusal
