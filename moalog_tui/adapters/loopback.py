"""Is our own side well? A listener and a client of our own, through the same loop and network as the probes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Final

_NONCE_BYTES: Final = 16


async def self_probe(deadline: float) -> bool:
    """Return whether a listener of our own on 127.0.0.1 accepts and echoes within `deadline` seconds.

    False means that probes' failures in this round say nothing about the other side.
    """
    try:
        async with asyncio.timeout(deadline):
            return await _echoes(os.urandom(_NONCE_BYTES))
    except (OSError, TimeoutError):
        return False


async def _echoes(nonce: bytes) -> bool:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            writer.write(await reader.readexactly(_NONCE_BYTES))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(nonce)
            return await reader.readexactly(_NONCE_BYTES) == nonce
        except asyncio.IncompleteReadError:
            return False
        finally:
            writer.close()
    finally:
        server.close()
