"""Reading a container's log up to now: bounded in time, lines and bytes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from moalog_tui.adapters.docker_client import RawStream, open_stream
from moalog_tui.adapters.docker_frames import LogParser
from moalog_tui.adapters.docker_logs import is_raw, refusal, since_text
from moalog_tui.platform.containers import Container, EngineError
from moalog_tui.platform.logs import KEEP_BYTES, LogRing, RawLine, Stream

if TYPE_CHECKING:
    from docker import APIClient

READ_S: Final = 15.0
"""Seconds for one reading: the engine goes through rotated files from the oldest on."""


class LogRead:
    """One reading, run on a thread of the blocking calls; `stop` ends it from any other."""

    def __init__(
        self,
        container: Container,
        since_ns: int | None,
        tail: int,
        timeout: float,
        open_client: Callable[[], APIClient],
        name_error: Callable[[BaseException], EngineError],
    ) -> None:
        self._container = container
        self._since_ns = since_ns
        self._tail = tail
        self._timeout = timeout
        self._open_client = open_client
        self._name_error = name_error
        self._guard = threading.Lock()
        self._stream: RawStream | None = None
        self._stopped = False

    def run(self) -> list[RawLine]:
        """Return the lines, oldest first; where older ones are left out, a `drop` marker stands before them."""
        if self._tail == 0:
            return []
        stream = self._open()
        parser = LogParser(is_raw(stream, self._container))
        # One more than asked for tells whether there are more.
        ring = LogRing(self._tail + 1, KEEP_BYTES)
        try:
            while data := stream.read():
                ring.extend(parser.feed(data))
            if not stream.ended:
                why = "was ended" if self._stopped else "ended too early: the connection to the engine was lost"
                raise EngineError(f"reading the log of {self._container.name} {why}", "lost")
            ring.extend(parser.flush())
        finally:
            with self._guard:
                self._stream = None
            stream.dispose()
        return self._bounded(ring)

    def stop(self) -> None:
        """End it; returns at once."""
        with self._guard:
            self._stopped = True
            if self._stream is not None:
                self._stream.close()

    def _bounded(self, ring: LogRing) -> list[RawLine]:
        lines = [line for _, line in ring.slice(ring.first, ring.end)]
        if len(lines) > self._tail:
            lines = lines[-self._tail :]
        elif ring.first == 0:
            return lines
        text = f"earlier lines are left out; these are the last {len(lines)}"
        at = lines[0].ts_ns if lines else time.time_ns()
        return [RawLine(at, Stream.MARKER, text, "drop"), *lines]

    def _open(self) -> RawStream:
        params = {"stdout": "1", "stderr": "1", "follow": "0", "timestamps": "1", "tail": str(self._tail + 1)}
        if self._since_ns is not None:
            params["since"] = since_text(self._since_ns)
        path = f"/containers/{self._container.id}/logs"
        try:
            stream = open_stream(self._open_client(), path, params, self._timeout)
        except EngineError:
            raise
        except Exception as error:
            raise refusal(error, self._container, self._name_error) from error
        with self._guard:
            self._stream = stream
            if self._stopped:
                stream.close()
        return stream
