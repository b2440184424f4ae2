"""Clients of the Docker SDK: how one is made, and a streamed answer that any thread can end."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from moalog_tui.adapters.docker_endpoint import EngineEndpoint
from moalog_tui.adapters.live_sockets import LiveSockets
from moalog_tui.platform.containers import EngineError

if TYPE_CHECKING:
    from docker import APIClient
    from requests import Response

POOL_SIZE: Final = 8
READ_SIZE: Final = 64 * 1024
_CHUNK_LIMIT: Final = 16 * 2**20
_OLDEST: Final = "1.24"


def open_client(endpoint: EngineEndpoint, timeout: float, live: LiveSockets) -> tuple[APIClient, str]:
    """Return a client that speaks an API version both sides know, and the server's version. Blocks.

    The version is the newest the SDK was written for, but no newer than the server's and no older than its
    minimum; the SDK by itself would speak the server's newest, whose shapes it does not know. `live` learns of
    its sockets. Raises what the SDK and its HTTP library raise; `name_error` tells it.
    """
    # Importing the SDK takes about 110 ms: on the first thread that needs it, after the screen is up.
    from docker import APIClient
    from docker.constants import DEFAULT_DOCKER_API_VERSION

    from moalog_tui.adapters.docker_transport import mend

    options = _options(endpoint, timeout)
    first = APIClient(version=_OLDEST, **options)
    try:
        _direct(first, endpoint)
        mend(first, live)
        told = first.version(api_version=False)
    finally:
        first.close()
    newest, oldest = str(told["ApiVersion"]), str(told.get("MinAPIVersion") or _OLDEST)
    version = max(oldest, min(newest, DEFAULT_DOCKER_API_VERSION, key=_rank), key=_rank)
    client = APIClient(version=version, **options)
    _direct(client, endpoint)
    mend(client, live)
    return client, str(told.get("Version") or "unknown")


def _options(endpoint: EngineEndpoint, timeout: float) -> dict[str, Any]:
    options: dict[str, Any] = {"base_url": endpoint.url, "timeout": timeout, "max_pool_size": POOL_SIZE}
    if endpoint.tls is not None:
        from docker.tls import TLSConfig

        files = endpoint.tls
        for file in (files.certificate, files.key, *([files.ca] if files.verify else [])):
            if not file.is_file():
                raise EngineError(f"the TLS connection to {endpoint.url} needs {file}, which does not exist")
        if not files.verify:
            # The environment waives the check; a warning for each request would be written across the screen.
            import urllib3

            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        options["tls"] = TLSConfig(
            client_cert=(str(files.certificate), str(files.key)), ca_cert=str(files.ca), verify=files.verify
        )
    return options


def _direct(client: APIClient, endpoint: EngineEndpoint) -> None:
    # A proxy of the environment must not catch a local engine; to another host it may be the only way.
    client.trust_env = endpoint.remote


def _rank(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


class Dechunker:
    """Takes HTTP's chunked framing off, however the bytes are cut. `ended` is true after the last chunk."""

    def __init__(self) -> None:
        self.ended = False
        self._held = b""
        self._left = 0
        """Bytes of the current chunk, with its closing line, that are still to come."""

    def feed(self, data: bytes) -> bytes:
        """Return the body bytes in `data`. Raises ValueError where the framing is broken."""
        if self._held:
            data = self._held + data
        parts: list[bytes] = []
        at, end = 0, len(data)
        while at < end and not self.ended:
            if self._left:
                stop = min(at + self._left, end)
                self._left -= stop - at
                # The last two bytes of a chunk are its closing line; they may arrive apart.
                body = stop - max(0, 2 - self._left)
                if body > at:
                    parts.append(data[at:body])
                at = stop
                continue
            line = data.find(b"\r\n", at, at + 64)
            if line < 0:
                if end - at > 64:
                    raise ValueError("broken chunk header")
                break
            size = int(data[at:line].partition(b";")[0], 16)
            if not 0 <= size <= _CHUNK_LIMIT:
                raise ValueError("chunk size out of bounds")
            at = line + 2
            self._left = size + 2 if size else 0
            self.ended = size == 0
        self._held = data[at:]
        return b"".join(parts)


class RawStream:
    """A streamed answer of the engine, read in big pieces by one thread and closable from any other.

    It owns its client: one stream, one connection, so that nothing is left over when it ends.
    """

    def __init__(self, client: APIClient, response: Response) -> None:
        self._client = client
        self._response = response
        self._lock = threading.Lock()
        self._closed = False
        self.ended = False
        """True once the engine itself ended the stream; false where the connection was lost."""
        self.content_type = response.headers.get("Content-Type", "")
        raw = response.raw
        self._dechunker = Dechunker() if raw.chunked else None
        self._reader: Any = getattr(raw._fp, "fp", None)
        self._socket: socket.socket | None = getattr(getattr(self._reader, "raw", None), "_sock", None)
        self._slow: Iterator[bytes] | None = None
        self._ready = select.poll()
        self.coalesces = self._socket is not None
        """True where a read after a pause returns all that came meanwhile; otherwise it returns one chunk."""
        if self._socket is None:
            self._slow = raw.stream(READ_SIZE)  # over ssh: a channel, no socket
        else:
            self._socket.settimeout(None)
            self._ready.register(self._socket, select.POLLIN)
            if self._socket.family != socket.AF_UNIX:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def read(self) -> bytes:
        """Return the next bytes of the body, blocking until there are some; b"" once there are no more."""
        try:
            if self._slow is not None:
                data = next(self._slow, b"")
                self.ended = self.ended or (not data and not self._closed)
                return data
            while not self.ended:
                data = self._read_available()
                if not data:
                    # Without chunks the end of the connection is the end of the answer.
                    self.ended = self._dechunker is None and not self._closed
                    return b""
                body = self._dechunker.feed(data) if self._dechunker is not None else data
                self.ended = self._dechunker is not None and self._dechunker.ended
                if body:
                    return body
        except (OSError, ValueError, AttributeError):
            return b""  # closed under us, reset, or no HTTP any more: lost either way
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("urllib3", "paramiko"):
                raise
        return b""

    def _read_available(self) -> bytes:
        """Wait for bytes and return all there are, up to READ_SIZE or a little more."""
        data: bytes = self._reader.read1(READ_SIZE)
        # Over TLS one read returns one record, which is one log line.
        while data and len(data) < READ_SIZE and (self._pending() or self._ready.poll(0)):
            more: bytes = self._reader.read1(READ_SIZE)
            if not more:
                break
            data += more
        return data

    def _pending(self) -> int:
        return self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0

    def close(self) -> None:
        """End the stream from any thread: a blocked `read` returns at once."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._socket is None:
            self._client.close()
            return
        with suppress(OSError):
            # Not SSLSocket's own shutdown: that drops the TLS state under the reading thread.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def dispose(self) -> None:
        """Give everything back. Called by the reading thread alone, once it has stopped reading."""
        self.close()
        with suppress(OSError, ValueError, AttributeError):
            self._response.close()
        with suppress(OSError):
            self._client.close()


def open_stream(client: APIClient, path: str, params: dict[str, str], timeout: float) -> RawStream:
    """Ask for a streamed answer and return it once its head has arrived. Blocks, `timeout` for each step.

    The stream owns `client`, which is closed on failure too. Raises the SDK's APIError for a refusal.
    """
    from docker.errors import create_api_error_from_http_exception
    from requests import HTTPError

    try:
        response = client.get(
            f"{client.base_url}/v{client.api_version}{path}",
            params=params,
            stream=True,
            timeout=timeout,
            headers={"Accept-Encoding": "identity"},
        )
        try:
            response.raise_for_status()
        except HTTPError as error:
            with response:
                create_api_error_from_http_exception(error)
        return RawStream(client, response)
    except BaseException:
        client.close()
        raise
