"""The engine's event stream: filtered at the server, read on a thread of its own, bounded on its way to the loop."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from moalog_tui.adapters.docker_client import RawStream, open_stream
from moalog_tui.adapters.docker_values import EVENT_ACTIONS, PROJECT_LABEL, event_of
from moalog_tui.platform.containers import ContainerEvent, EngineError

if TYPE_CHECKING:
    from docker import APIClient

QUEUE_LIMIT: Final = 1024
"""Events that may wait for the loop. Past it the stream counts as lost: the caller lists anew and resumes."""
_EVENT_LIMIT: Final = 2**20


class EventStream:
    """One connection to the event stream: an asynchronous iterator that ends with EngineError when it is lost."""

    def __init__(
        self,
        project: str,
        names: tuple[str, ...],
        since_ns: int | None,
        timeout: float,
        open_client: Callable[[], APIClient],
        name_error: Callable[[BaseException], EngineError],
        limit: int = QUEUE_LIMIT,
    ) -> None:
        self._project = project
        self._names = names
        self._since_ns = since_ns
        self._timeout = timeout
        self._open_client = open_client
        self._name_error = name_error
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._lock = threading.Lock()
        self._waiting: deque[ContainerEvent] = deque()
        self._error: EngineError | None = None
        self._stopped = False
        self._stream: RawStream | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="engine-events")

    def start(self) -> None:
        """Start the reading thread. Raises EngineError where the system starts no more threads."""
        try:
            self._thread.start()
        except RuntimeError:
            raise EngineError("the system starts no more threads") from None

    async def next(self) -> ContainerEvent:
        """Return the next event. Raises EngineError once the stream is lost and every event was handed out."""
        while True:
            with self._lock:
                if self._waiting:
                    return self._waiting.popleft()
                if self._error is not None:
                    raise self._error
                self._ready.clear()
            await self._ready.wait()

    def stop(self) -> None:
        """End it from any thread; returns at once."""
        with self._lock:
            self._stopped = True
            stream = self._stream
        self._fail(EngineError("the event stream was closed"))
        if stream is not None:
            stream.close()

    def join(self, timeout: float) -> bool:
        """Wait for the thread and return whether it has ended; for tests."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            stream = self._open()
        except EngineError as error:
            self._fail(error)
            return
        except Exception as error:
            self._fail(self._name_error(error))
            return
        with self._lock:
            self._stream = stream
            stopped = self._stopped
        try:
            if not stopped:
                self._read(stream)
        except Exception as error:
            self._fail(EngineError(f"the event stream cannot be read: {error}"))
        finally:
            stream.dispose()

    def _open(self) -> RawStream:
        client = self._open_client()
        try:
            params = {"filters": json.dumps(self._filters(client))}
        except BaseException:
            client.close()
            raise
        if self._since_ns is not None:
            since = self._since_ns + 1
            params["since"] = f"{since // 10**9}.{since % 10**9:09d}"
        return open_stream(client, "/events", params, self._timeout)

    def _filters(self, client: APIClient) -> dict[str, list[str]]:
        filters = {"type": ["container"], "event": list(EVENT_ACTIONS)}
        label = f"{PROJECT_LABEL}={self._project}"
        # Names only where compose made nothing: the engine joins different filters with "and".
        if self._names and not client.containers(all=True, limit=1, filters={"label": [label]}):
            return filters | {"container": list(self._names)}
        return filters | {"label": [label]}

    def _read(self, stream: RawStream) -> None:
        held = b""
        while data := stream.read():
            *lines, held = (held + data).split(b"\n")
            if len(held) > _EVENT_LIMIT:
                self._fail(EngineError("the engine sent an event of more than 1 MiB"))
                return
            events = [event for line in lines if line.strip() and (event := event_of(json.loads(line))) is not None]
            if events and not self._deliver(events):
                return
        self._fail(EngineError("the event stream of the engine ended", "lost"))

    def _deliver(self, events: list[ContainerEvent]) -> bool:
        with self._lock:
            room = self._limit - len(self._waiting)
            self._waiting.extend(events[:room])
            overflow = len(events) > room
        if overflow:
            self._fail(EngineError("events came faster than they were read; some are lost", "lost"))
        else:
            self._wake()
        return not overflow and not self._stopped

    def _fail(self, error: EngineError) -> None:
        with self._lock:
            if self._error is None:
                self._error = error
        self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:
            return  # the loop is closed: we are quitting, nobody waits
