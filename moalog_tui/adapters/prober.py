"""One probe for each service, by the client made for its system: bounded, and never an exception."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from moalog_tui.adapters.blocking import BlockingCalls, NoSlot, StillRunning
from moalog_tui.adapters.bounded import NameUnknown, is_address, resolve
from moalog_tui.adapters.outcomes import Target, cannot_tell, without_secret
from moalog_tui.platform.health import Outcome, ProbeResult, Reason
from moalog_tui.platform.services import DEFAULT_DEADLINE_S, Endpoint, ProbeKind, Service, Sourced

if TYPE_CHECKING:
    import httpx

GRACE_S: Final = 0.3
"""Seconds past the deadline in which a probe that bounds itself has long ended."""
LOAD_DEADLINE_S: Final = 20.0
"""Seconds for loading the clients' code once, which takes 0.1 to 0.6 s each on a quick machine."""
LOAD_FIRST_S: Final = 1.5
"""Seconds in which the first probes wait for the other systems' clients: loading slows whatever is timed beside it."""
TURN_S: Final = 0.01
"""So long an HTTP probe has the loop to itself; asked all at once, each would measure our own work for the others."""
TURN_WAIT_S: Final = 0.15
"""So long it waits for its turn at most, however many others hang."""
CLOSE_DEADLINE_S: Final = 0.2

_OVER_HTTP: Final = frozenset({ProbeKind.HTTP, ProbeKind.METRICS})


def _on_thread(kind: ProbeKind) -> Callable[[Target], ProbeResult]:
    """Return the probe of a blocking client, importing it: 0.1 s or more each, so never on the event loop."""
    match kind:
        case ProbeKind.REDIS:
            from moalog_tui.adapters import redis

            return redis.probe
        case ProbeKind.MYSQL:
            from moalog_tui.adapters import mysql

            return mysql.probe
        case ProbeKind.POSTGRES:
            from moalog_tui.adapters import postgres

            return postgres.probe
        case ProbeKind.KAFKA:
            from moalog_tui.adapters import kafka

            return kafka.probe
        case ProbeKind.ZOOKEEPER:
            from moalog_tui.adapters import zookeeper

            return zookeeper.probe
    raise LookupError(f"no probe for {kind}")


def _load_http() -> None:
    from moalog_tui.adapters import http  # noqa: F401 - imported on a thread, so that the loop finds it loaded


class Prober:
    """Probes services. `setting` gives a setting's value with its source, or None where it has none.

    `kinds` are those that will be asked for: their clients are loaded before the first answer is timed.
    """

    def __init__(
        self, calls: BlockingCalls, setting: Callable[[str], Sourced | None], kinds: Iterable[ProbeKind] = ()
    ) -> None:
        self._calls = calls
        self._setting = setting
        self._kinds = frozenset(kinds) - {ProbeKind.NONE}
        self._loading_all: asyncio.Task[object] | None = None
        self._loading: dict[str, asyncio.Task[object]] = {}
        self._client: httpx.AsyncClient | None = None
        self._turn = asyncio.Lock()
        self._closed = False

    async def probe(self, service: Service, endpoint: Endpoint, deadline: float = DEFAULT_DEADLINE_S) -> ProbeResult:
        """Probe one service; ends within `deadline` + 0.5 s whatever the other side does, and raises nothing.

        The first probe of each system loads its client, which counts against no deadline: it is our own time.
        """
        kind = service.probe.kind
        if kind is ProbeKind.NONE:
            return ProbeResult(Outcome.NONE, datetime.now(UTC), detail="it has no probe")
        try:
            target = self._target(service, endpoint, deadline)
            await self.load()
            await self._load(kind)
            if kind in _OVER_HTTP:
                async with self._in_turn(), asyncio.timeout(deadline + GRACE_S):
                    result = await self._over_http(service.name, target)
            else:
                async with asyncio.timeout(deadline + GRACE_S):
                    result = await self._by_client(service.name, target)
            return without_secret(result, target.password)
        except StillRunning:
            return cannot_tell(Reason.MONITOR, "previous call has not returned")
        except NoSlot as error:
            return cannot_tell(Reason.MONITOR, str(error))
        except NameUnknown as error:
            return cannot_tell(Reason.DNS, str(error))
        except TimeoutError:
            # The probes bound themselves; what they cannot bound is the system's resolver.
            if not is_address(endpoint.host):
                return cannot_tell(Reason.DNS, f"{endpoint.host} does not resolve here in time")
            return cannot_tell(Reason.MONITOR, "our own probe has not returned")
        except Exception as error:
            return cannot_tell(Reason.MONITOR, f"our own probe failed: {type(error).__name__}")

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        """Begin when the HTTP probe before has ended or had its time, or after waiting long enough."""
        held = True

        def give() -> None:
            nonlocal held
            if held:
                held = False
                self._turn.release()

        try:
            async with asyncio.timeout(TURN_WAIT_S):
                await self._turn.acquire()
        except TimeoutError:
            held = False
        timer = asyncio.get_running_loop().call_later(TURN_S, give)
        try:
            yield
        finally:
            timer.cancel()
            give()

    async def load(self) -> None:
        """Load the clients of all kinds, once; waits no longer than LOAD_FIRST_S for them, and raises nothing.

        A client that cannot be loaded, or takes longer, is told by its own probes.
        """
        if self._loading_all is None:
            self._loading_all = asyncio.create_task(self._load_all(), name="load clients")
        if not self._loading_all.done():
            await asyncio.wait({self._loading_all})

    async def _load_all(self) -> None:
        loads = [asyncio.create_task(self._load(kind)) for kind in sorted(self._kinds)]
        if not loads:
            return
        await asyncio.wait(loads, timeout=LOAD_FIRST_S)
        for load in loads:
            if load.done() and not load.cancelled():
                load.exception()  # seen; told by the probe of that kind
            load.cancel()

    async def aclose(self) -> None:
        """Close the HTTP client. Threads that still run are left: each ends by its own deadline."""
        self._closed = True
        client, self._client = self._client, None
        for task in filter(None, (self._loading_all, *self._loading.values())):
            task.cancel()
        if client is not None:
            try:
                async with asyncio.timeout(CLOSE_DEADLINE_S):
                    await client.aclose()
            except Exception:
                return  # nobody is served by waiting for a connection that will not close

    def _target(self, service: Service, endpoint: Endpoint, deadline: float) -> Target:
        spec = service.probe
        return Target(
            spec=spec,
            endpoint=endpoint,
            deadline=deadline,
            user=self._named(spec.user_setting) or spec.user,
            password=self._setting(spec.password_setting) if spec.password_setting else None,
            database=self._named(spec.database_setting) or spec.database,
        )

    def _named(self, name: str | None) -> str | None:
        found = self._setting(name) if name else None
        return found.plain if found is not None else None

    async def _load(self, kind: ProbeKind) -> None:
        """Import a client on a thread, once, whoever asks first."""
        name = "http" if kind in _OVER_HTTP else kind.value
        task = self._loading.get(name)
        if task is None or task.cancelled() or (task.done() and task.exception() is not None):
            load = _load_http if kind in _OVER_HTTP else lambda: _on_thread(kind)
            run = self._calls.run(f"load {name}", load, LOAD_DEADLINE_S)
            task = self._loading[name] = asyncio.create_task(run, name=f"load {name}")
        if not task.done():
            await asyncio.shield(task)

    async def _by_client(self, name: str, target: Target) -> ProbeResult:
        call = partial(_on_thread(target.spec.kind), target)
        return await self._calls.run(f"probe {name}", call, target.deadline + GRACE_S)

    async def _over_http(self, name: str, target: Target) -> ProbeResult:
        from moalog_tui.adapters import http  # its client is loaded by now, see _load

        address = target.endpoint.host
        if not is_address(address):
            found = await self._calls.run(f"probe {name}", lambda: resolve(target.endpoint), target.deadline)
            address = found[0]
        if self._closed:
            return cannot_tell(Reason.MONITOR, "the prober is closed")
        if self._client is None:
            self._client = http.new_client()
        ask = http.probe_metrics if target.spec.kind is ProbeKind.METRICS else http.probe_http
        return await ask(target, address, self._client)
