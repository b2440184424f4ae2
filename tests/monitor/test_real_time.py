"""On the real clock: a process that is really stopped, and what the monitor itself costs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress

STOPPED_S = 3.0
STOPS = 2


async def test_a_process_stopped_while_it_asks_turns_nothing_down_when_it_goes_on() -> None:
    stops = 0
    child: asyncio.subprocess.Process | None = None

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal stops
        stop = child is not None and counted >= 2 * (stops + 1) and stops < STOPS
        if stop and child is not None:
            # In the middle of its question: its own time-outs pass while it cannot look.
            stops += 1
            child.send_signal(signal.SIGSTOP)
            await asyncio.sleep(STOPPED_S)
            child.send_signal(signal.SIGCONT)
        with suppress(OSError):
            writer.write(b"well\n")
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    counted = 0
    lines = []
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.monitor.stopped_process", str(port), str(2 * STOPPED_S + 7),
            stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert child.stdout is not None
        try:
            async with asyncio.timeout(60):
                async for line in child.stdout:
                    lines.append(json.loads(line))
                    counted = lines[-1]["n"]
                await child.wait()
        finally:
            if child.returncode is None:
                child.send_signal(signal.SIGCONT)
                child.kill()
                await child.wait()
    assert child.returncode == 0
    assert stops == STOPS
    states = [line["state"] for line in lines]
    assert set(states[states.index("healthy") :]) == {"healthy"}
    assert {line["failed"] for line in lines} == {0}
    assert any("our own loop stood still" in (line["own"] or "") for line in lines)
    assert lines[-1]["own"] is None
