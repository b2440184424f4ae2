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
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(environment),
            start_new_session=True,
        )
    except OSError:
        return None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(deadline):
            output = await process.stdout.read(OUTPUT_LIMIT)
            code = await process.wait()
    except TimeoutError:
        return None
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return (lines[0] if lines else "") if code == 0 else None
