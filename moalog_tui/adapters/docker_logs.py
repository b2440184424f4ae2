"""Following a container's log on a thread of its own, through floods, restarts of the engine and long silences."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from moalog_tui.adapters.docker_client import RawStream, open_stream
from moalog_tui.adapters.docker_frames import LogParser
from moalog_tui.platform.containers import Container, EngineError
from moalog_tui.platform.logs import KEEP_LINES, LogRing, RawLine, Stream
from moalog_tui.platform.matching import parse_time

if TYPE_CHECKING:
    from docker import APIClient

CONNECTING: Final = "connecting"
FOLLOWING: Final = "following"
ENDED: Final = "ended"

PAUSE_S: Final = 0.05
"""Between two reads: the thread competes with the screen for the interpreter, so it wakes 20 times a second."""
_SHORTEST_PAUSE_S: Final = 0.001
_BATCH_LINES: Final = 120
_BATCH_BYTES: Final = 48 * 1024
"""What the socket's buffer holds is about twice this; fuller batches shorten the pause, or the engine would wait."""
_FIRST_RETRY_S: Final = 0.25
_LAST_RETRY_S: Final = 2.0
_SETTLED_S: Final = 5.0


class LogFollower:
    """Fills a ring with a container's log lines until stopped or until the container stops.

    `open_client` returns a fresh client (raises EngineError), `name_error` tells the SDK's exceptions, `on_end`
    is called from the thread when it ends.
    """

    def __init__(
        self,
        container: Container,
        ring: LogRing,
        since_ns: int | None,
        tail: int,
        timeout: float,
        open_client: Callable[[], APIClient],
        name_error: Callable[[BaseException], EngineError],
        on_end: Callable[[LogFollower], None],
    ) -> None:
        self._container = container
        self._ring = ring
        self._since_ns = since_ns
        self._tail = tail
        self._timeout = timeout
        self._open_client = open_client
        self._name_error = name_error
        self._on_end = on_end
        self._state = CONNECTING
        self._stopped = threading.Event()
        self._guard = threading.Lock()
        self._stream: RawStream | None = None
        self._pause = _SHORTEST_PAUSE_S
        self._lost_at: float | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"logs-{container.name}")

    def start(self) -> None:
        """Start the thread. Where the system starts no more, `state` says so."""
        try:
            self._thread.start()
        except RuntimeError:
            self._state = "the system starts no more threads"
            self._on_end(self)

    @property
    def state(self) -> str:
        """`connecting`, `following`, `ended`, or a sentence on why it does not follow; kept as received."""
        return self._state

    def stop(self) -> None:
        """End it; returns at once. The ring gets no line after this."""
        self._stopped.set()
        with self._guard:
            stream = self._stream
        if stream is not None:
            stream.close()

    def join(self, timeout: float) -> bool:
        """Wait for the thread and return whether it has ended; for tests and for measuring."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        retry = _FIRST_RETRY_S
        try:
            while not self._stopped.is_set():
                began = time.monotonic()
                try:
                    over = self._follow_once()
                except EngineError as error:
                    self._state = error.sentence
                    over = error.kind == "gone"
                if over:
                    return
                if time.monotonic() - began > _SETTLED_S:
                    retry = _FIRST_RETRY_S
                self._stopped.wait(retry)
                retry = min(retry * 2, _LAST_RETRY_S)
        finally:
            self._on_end(self)

    def _follow_once(self) -> bool:
        """Follow one connection to its end. True where there is nothing more to come."""
        stream = self._open()
        if stream is None:
            return True
        parser = LogParser(is_raw(stream, self._container))
        try:
            self._mark_gap()
            self._state = FOLLOWING
            self._drain(stream, parser)
        finally:
            with self._guard:
                self._stream = None
            stream.dispose()
        if self._stopped.is_set():
            return True
        if not stream.ended:
            self._lose("the connection to the engine was lost; trying again")
            return False
        if self._still_runs():
            self._lose("the engine ended the stream; trying again")
            return False
        self._append(parser.flush())
        self._state = ENDED
        return True

    def _open(self) -> RawStream | None:
        """Open the stream, or return None once stopped."""
        try:
            stream = open_stream(
                self._open_client(), f"/containers/{self._container.id}/logs", self._params(), self._timeout
            )
        except EngineError:
            raise
        except Exception as error:
            raise refusal(error, self._container, self._name_error) from error
        with self._guard:
            self._stream = stream
        if self._stopped.is_set():
            with self._guard:
                self._stream = None
            stream.dispose()
            return None
        return stream

    def _params(self) -> dict[str, str]:
        params = {"stdout": "1", "stderr": "1", "follow": "1", "timestamps": "1", "tail": str(self._tail)}
        if self._since_ns is not None:
            # Inclusive on the engine's side, and exact only as a decimal string: a float loses nanoseconds.
            params |= {"since": since_text(self._since_ns + 1), "tail": str(max(self._tail, KEEP_LINES))}
        return params

    def _drain(self, stream: RawStream, parser: LogParser) -> None:
        self._pause = _SHORTEST_PAUSE_S  # the last lines first, and fast
        while True:
            data = stream.read()
            if not data:
                return
            lines = parser.feed(data)
            self._append(lines)
            if parser.last_ns:
                self._since_ns = max(self._since_ns or 0, parser.last_ns)
            load = max(len(lines) / _BATCH_LINES, len(data) / _BATCH_BYTES, 0.5)
            self._pause = min(PAUSE_S, max(_SHORTEST_PAUSE_S, self._pause / load))
            if self._stopped.wait(self._pause if stream.coalesces else 0):
                return

    def _append(self, lines: list[RawLine]) -> None:
        if lines:
            with self._guard:
                if not self._stopped.is_set():
                    self._ring.extend(lines)

    def _lose(self, why: str) -> None:
        self._state = why
        if self._lost_at is None:
            self._lost_at = time.monotonic()

    def _mark_gap(self) -> None:
        if self._lost_at is None:
            return
        away, self._lost_at = time.monotonic() - self._lost_at, None
        text = f"log interrupted for {away:.1f} s: the connection to the engine was lost; lines may be missing"
        self._append([RawLine(self._since_ns or time.time_ns(), Stream.MARKER, text, "gap")])

    def _still_runs(self) -> bool:
        """True where the container runs on as the same run: then the end of the stream was not its end."""
        try:
            client = self._open_client()
            try:
                told = client.inspect_container(self._container.id)
            finally:
                client.close()
        except EngineError:
            return True  # the engine went away together with the stream: ask again when it is back
        except Exception as error:
            return getattr(error, "response", None) is None  # an answer, though no inspection: it is gone
        state = told.get("State") or {}
        started: datetime | None = parse_time(state.get("StartedAt"))
        known = self._container.started_at
        same_run = known is None or started is None or abs((started - known.astimezone(UTC)).total_seconds()) < 0.001
        return bool(state.get("Running")) and same_run


def since_text(since_ns: int) -> str:
    """Return a time as the engine takes it: lines of that nanosecond and later."""
    return f"{since_ns // 10**9}.{since_ns % 10**9:09d}"


def is_raw(stream: RawStream, container: Container) -> bool:
    """True where the stream of this container has no frames: that of a terminal."""
    if "multiplexed-stream" in stream.content_type:
        return False
    return "raw-stream" in stream.content_type or container.tty


def refusal(
    error: BaseException, container: Container, name_error: Callable[[BaseException], EngineError]
) -> EngineError:
    """Return why the engine gives no log; kind `gone` where asking again is of no use."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    why = getattr(error, "explanation", None) or ""
    if status == 404:
        return EngineError(f"the container {container.short_id} no longer exists", "gone")
    if status == 501 or "does not support reading" in why:
        return EngineError(f"its logging driver keeps no log that can be read ({why or 'not implemented'})", "gone")
    return name_error(error)
