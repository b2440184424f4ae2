"""The Docker Engine through its SDK: status, containers, stats, actions; events and logs by their own modules."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moalog_tui.adapters.blocking import BlockingCalls, NoSlot, StillRunning
from moalog_tui.adapters.docker_client import open_client
from moalog_tui.adapters.docker_endpoint import EngineEndpoint, resolve_endpoint
from moalog_tui.adapters.docker_errors import (
    is_connection_error,
    is_stale,
    is_version_refusal,
    name_error,
    timed_out,
)
from moalog_tui.adapters.docker_events import EventStream
from moalog_tui.adapters.docker_log_read import READ_S, LogRead
from moalog_tui.adapters.docker_logs import LogFollower
from moalog_tui.adapters.docker_values import container_of, listed_of, signature_of, stats_of, uptime_of
from moalog_tui.adapters.live_sockets import LiveSockets
from moalog_tui.platform.containers import (
    Container,
    ContainerEvent,
    ContainerListing,
    EngineError,
    EngineStatus,
    ProjectHint,
    StatsSample,
)
from moalog_tui.platform.logs import LogRing, RawLine
from moalog_tui.platform.matching import select

if TYPE_CHECKING:
    from docker import APIClient

T = TypeVar("T")

INSPECT_AGE_S: Final = 60.0
"""An inspection is asked again after this, whatever the list says: restart counts and health outputs are not in it."""
ACT_MARGIN_S: Final = 20.0
"""Seconds an action may take beyond the stop time-out: killing, network set-up, a loaded disk."""
STATS_AT_ONCE: Final = 6
_SLACK_S: Final = 0.25
"""How much longer the caller waits than the socket, so that the socket's own error is told."""
_UNRESOLVED: Final = EngineEndpoint("not resolved yet", "default")


@dataclass(frozen=True, slots=True)
class _Inspected:
    signature: tuple[object, ...]
    uptime: int | None
    at: float
    container: Container


class DockerEngine:
    """One engine. Connects when first asked, and again by itself whenever the engine was away.

    Every call ends within its time-out (seconds) plus a quarter of a second and raises EngineError, but `status`,
    which never raises.
    """

    def __init__(self, calls: BlockingCalls, environment: Mapping[str, str], timeout: float = 3.0) -> None:
        self._calls = calls
        self._environment = dict(environment)
        self._timeout = timeout
        self._endpoint: EngineEndpoint | None = None
        self._client: APIClient | None = None
        self._server_version: str | None = None
        self._last_seen: datetime | None = None
        self._lock = threading.Lock()
        self._connecting = threading.Lock()
        self._closed = False
        self._live = LiveSockets()
        self._inspected: dict[str, _Inspected] = {}
        self._changes = 0
        self._followers: set[LogFollower] = set()
        self._event_streams: set[EventStream] = set()
        self._stats_slots = asyncio.Semaphore(STATS_AT_ONCE)
        self._status_turn = asyncio.Lock()

    async def status(self) -> EngineStatus:
        """Connect where needed, ping, and tell: the resolved endpoint, versions, or why not and what to do."""
        version: str | None = None
        error: EngineError | None = None
        try:
            # Two may ask at the same time (doctor, and the monitor's round): the second is no call that hangs.
            async with self._status_turn:
                version = await self._ask("status", lambda: self._read(_ping))
        except EngineError as caught:
            error = caught
        endpoint = self._endpoint
        return EngineStatus(
            endpoint=str(endpoint) if endpoint else "not resolved",
            connected=error is None,
            api_version=version,
            server_version=self._server_version,
            error=error.sentence if error else None,
            kind=error.kind if error else None,
            last_seen=self._last_seen,
            remote=endpoint.remote if endpoint else False,
        )

    async def containers(self, hint: ProjectHint) -> ContainerListing:
        """List the platform's containers: one list, then an inspection of what changed since the last."""
        deadline = time.monotonic() + self._timeout
        return await self._ask("list", lambda: self._read(lambda client: self._list(client, hint, deadline)))

    def forget(self, container_id: str) -> None:
        """Inspect this container anew at the next listing: an event told that it changed."""
        with self._lock:
            self._changes += 1
            self._inspected.pop(container_id, None)

    async def events(
        self, project: str, names: tuple[str, ...], since_ns: int | None
    ) -> AsyncGenerator[ContainerEvent, None]:
        """Yield the project's container events, from after `since_ns` (the engine's clock) or from now.

        `names` select by container name where no container carries the project's label. Raises EngineError when
        the stream is lost: list anew, then resume from the last event's `at_ns`.
        """
        if self._closed:
            raise _closed_error()
        stream = EventStream(project, names, since_ns, self._timeout, self._fresh_client, self._named)
        with self._lock:
            self._event_streams.add(stream)
        try:
            stream.start()
            while True:
                yield await stream.next()
        finally:
            stream.stop()
            with self._lock:
                self._event_streams.discard(stream)

    async def stats(self, container_id: str) -> StatsSample | None:
        """Read the counters once (about a second on older engines); None for a container that does not run."""

        def question(client: APIClient) -> StatsSample | None:
            from docker.errors import NotFound
            from docker.utils import version_gte

            once = True if version_gte(client.api_version, "1.41") else None
            try:
                told = client.stats(container_id, stream=False, one_shot=once)
            except NotFound:
                return None
            return stats_of(told, time.monotonic())

        async with self._stats_slots:
            return await self._ask(f"stats {container_id}", lambda: self._read(question))

    async def start(self, container_id: str) -> None:
        """Start a container; one that runs already is no error."""
        await self._act(container_id, "start", 0.0, lambda client: client.start(container_id))

    async def stop(self, container_id: str, timeout_s: float) -> None:
        """Stop a container, killing it after `timeout_s`; takes that long where it ignores the signal."""
        whole = math.ceil(timeout_s)
        await self._act(container_id, "stop", whole, lambda client: client.stop(container_id, timeout=whole))

    async def restart(self, container_id: str, timeout_s: float) -> None:
        """Stop as `stop` does, and start again; returns when the engine has started it, not when it is healthy."""
        whole = math.ceil(timeout_s)
        await self._act(container_id, "restart", whole, lambda client: client.restart(container_id, timeout=whole))

    def follow(self, container: Container, ring: LogRing, since_ns: int | None, tail: int = 500) -> LogFollower:
        """Follow a container's log into a ring, from after `since_ns` or from its last `tail` lines."""
        follower = LogFollower(
            container, ring, since_ns, tail, self._timeout, self._fresh_client, self._named, self._forget_follower
        )
        with self._lock:
            self._followers.add(follower)
        follower.start()
        return follower

    async def read_logs(self, container: Container, since_ns: int | None, tail: int) -> list[RawLine]:
        """Read a container's log up to now: its last `tail` lines, those from `since_ns` on where given.

        Bounded by `tail`, by the bytes of a ring and by READ_S seconds; a `drop` marker tells what is left out.
        """
        read = LogRead(container, since_ns, tail, self._timeout, self._fresh_client, self._named)
        try:
            return await self._ask(f"logs {container.id}", read.run, READ_S)
        finally:
            read.stop()

    def close(self) -> None:
        """End every stream and give the connections back; returns at once. Calls fail from here on.

        Threads are not waited for. Those that wait on a Unix socket end with it, others at their time-out.
        """
        with self._lock:
            self._closed = True
            followers, streams = list(self._followers), list(self._event_streams)
            client, self._client = self._client, None
        for follower in followers:
            follower.stop()
        for stream in streams:
            stream.stop()
        self._live.close()
        if client is not None:
            client.close()

    # From here on: on the threads of the blocking calls, unless it is async.

    async def _ask(self, what: str, call: Callable[[], T], seconds: float | None = None) -> T:
        if self._closed:
            raise _closed_error()
        seconds = self._timeout if seconds is None else seconds
        try:
            return await self._calls.run(f"docker {what}", call, seconds + _SLACK_S)
        except TimeoutError:
            raise timed_out(self._endpoint or _UNRESOLVED, seconds) from None
        except StillRunning:
            raise EngineError("the engine has not answered the previous question yet", "timeout") from None
        except NoSlot as error:
            raise EngineError(str(error)) from None

    async def _act(self, container_id: str, verb: str, extra: float, action: Callable[[APIClient], None]) -> None:
        def call() -> None:
            # A connection of its own: none that was kept alive can turn out stale, and so none is ever
            # asked twice to act.
            client = self._fresh_client(ACT_MARGIN_S)
            try:
                action(client)
            except Exception as error:
                raise self._refused(error, verb, container_id, extra + ACT_MARGIN_S) from error
            finally:
                client.close()
                self.forget(container_id)

        try:
            await self._ask(f"act {container_id}", call, extra + ACT_MARGIN_S)
        except EngineError as error:
            if error.kind == "timeout":
                raise EngineError(
                    f"{verb} of {container_id[:12]}: {error.sentence}; it may be under way", "timeout"
                ) from None
            raise

    def _refused(self, error: Exception, verb: str, container_id: str, seconds: float) -> EngineError:
        named = name_error(error, self._endpoint or _UNRESOLVED, seconds)
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 404:
            return EngineError(
                f"{verb} of {container_id[:12]}: the container no longer exists; it may have been recreated"
            )
        if is_stale(error):
            what = "the engine closed the connection before it answered; whether it was done is not known"
            return EngineError(f"{verb} of {container_id[:12]}: {what}", "lost")
        return EngineError(f"{verb} of {container_id[:12]}: {named.sentence}", named.kind) if status else named

    def _read(self, question: Callable[[APIClient], T]) -> T:
        """Ask on the kept connections; once more on fresh ones where a kept one was dead or another engine answers."""
        again = True
        while True:
            client = self._connected()
            try:
                answer = question(client)
            except Exception as error:
                if is_connection_error(error) or is_version_refusal(error):
                    self._disconnect(client)
                if again and not self._closed and (is_stale(error) or is_version_refusal(error)):
                    again = False
                    continue
                raise self._named(error) from error
            self._last_seen = datetime.now(UTC)
            return answer

    def _connected(self) -> APIClient:
        if not self._connecting.acquire(timeout=self._timeout):
            raise timed_out(self._endpoint or _UNRESOLVED, self._timeout)
        try:
            with self._lock:
                if self._client is not None:
                    return self._client
            client = self._fresh_client()
            with self._lock:
                if not self._closed:
                    self._client = client
                    return client
            client.close()
            raise _closed_error()
        finally:
            self._connecting.release()

    def _fresh_client(self, timeout: float | None = None) -> APIClient:
        """Return a client of its own, negotiated now; the caller closes it. Raises EngineError."""
        if self._closed:
            raise _closed_error()
        if self._endpoint is None:
            self._endpoint = resolve_endpoint(self._environment)
        try:
            client, self._server_version = open_client(self._endpoint, self._timeout, self._live)
        except Exception as error:
            raise self._named(error) from error
        if timeout is not None:
            client.timeout = math.ceil(timeout)
        return client

    def _disconnect(self, client: APIClient) -> None:
        with self._lock:
            if self._client is client:
                self._client = None
        with suppress(OSError):
            client.close()

    def _named(self, error: BaseException) -> EngineError:
        return name_error(error, self._endpoint or _UNRESOLVED, self._timeout)

    def _forget_follower(self, follower: LogFollower) -> None:
        with self._lock:
            self._followers.discard(follower)

    def _list(self, client: APIClient, hint: ProjectHint, deadline: float) -> ContainerListing:
        rows: dict[str, Mapping[str, Any]] = {row["Id"]: row for row in client.containers(all=True)}
        project, by_label, chosen = select(hint, [listed_of(row) for row in rows.values()])
        found: list[tuple[str, Container]] = []
        for service, listed in chosen:
            if time.monotonic() > deadline:
                raise timed_out(self._endpoint or _UNRESOLVED, self._timeout)
            container = self._inspect(client, rows[listed.id])
            if container is not None:
                found.append((service, container))
        with self._lock:
            kept = {listed.id for _, listed in chosen}
            self._inspected = {key: value for key, value in self._inspected.items() if key in kept}
        return ContainerListing(project, by_label, tuple(found))

    def _inspect(self, client: APIClient, row: Mapping[str, Any]) -> Container | None:
        from docker.errors import APIError, NotFound

        key, signature, uptime, now = str(row["Id"]), signature_of(row), uptime_of(row), time.monotonic()
        with self._lock:
            held, changes = self._inspected.get(key), self._changes
        if held is not None and held.signature == signature and now - held.at < INSPECT_AGE_S:
            restarted = uptime is not None and held.uptime is not None and uptime < held.uptime
            if not restarted:
                with self._lock:
                    if key in self._inspected:
                        self._inspected[key] = _Inspected(signature, uptime, held.at, held.container)
                return held.container
        try:
            container = container_of(row, client.inspect_container(key))
        except NotFound:
            return None  # removed since the list
        except APIError:
            return container_of(row, {})  # one that cannot be inspected must not hide the others
        with self._lock:
            # Not what was read while an event told of a change: it may be from before.
            if changes == self._changes:
                self._inspected[key] = _Inspected(signature, uptime, now, container)
        return container


def _ping(client: APIClient) -> str:
    client.ping()
    return client.api_version


def _closed_error() -> EngineError:
    return EngineError("the connection to the Docker Engine is closed")
