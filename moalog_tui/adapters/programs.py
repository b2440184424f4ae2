"""The host's programs: where they are, and what they say of themselves."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

OUTPUT_LIMIT: Final = 4096
"""Bytes read of a program's answer to a version question."""


def find_program(name: str, environment: Mapping[str, str]) -> str | None:
    """Return the path of a program on the PATH, or None."""
    return shutil.which(name, path=environment.get("PATH", os.defpath))


async def ask_program(argv: tuple[str, ...], environment: Mapping[str, str], deadline: float) -> str | None:
    """Run a program that prints its version; return the first line as received, or None where it fails or is late.

    It gets no stdin and its own session, so that all it started ends with it.
    """
    # A pipe of our own: asyncio's `wait` never returns while its pipe holds more than anybody reads.
    reading, writing = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=writing,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(environment),
            start_new_session=True,
        )
    except OSError:
        os.close(reading)
        return None
    finally:
        os.close(writing)
    try:
        async with asyncio.timeout(deadline):
            output = await _read(reading)
            os.close(reading)  # what goes on writing is ended by its broken pipe
            reading = -1
            code = await process.wait()
    except TimeoutError:
        return None
    finally:
        if reading >= 0:
            os.close(reading)
        if process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return (lines[0] if lines else "") if code == 0 else None


async def _read(descriptor: int) -> bytes:
    """Read up to OUTPUT_LIMIT bytes of a pipe, or to its end."""
    os.set_blocking(descriptor, False)
    ready = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ready.set)
    output = b""
    try:
        while len(output) < OUTPUT_LIMIT:
            await ready.wait()
            ready.clear()
            try:
                piece = os.read(descriptor, OUTPUT_LIMIT - len(output))
            except BlockingIOError:
                continue
            if not piece:
                break
            output += piece
    finally:
        loop.remove_reader(descriptor)
    return output
