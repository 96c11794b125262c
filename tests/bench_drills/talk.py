"""Hosts that talk to each other, so that a drill has something to damage: `talk.py PORT PEER...`, on each of them.

Echoes on PORT; keeps one connection to each peer, a message a second over each, and opens another every few seconds.
What does not answer is left alone and tried again. Standard library; ends with its unit.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys

MESSAGE = b"x" * 64
PAUSE_S, OPEN_EVERY_S, PATIENCE_S = 1.0, 4.0, 5.0


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            writer.write(await reader.readexactly(len(MESSAGE)))
    writer.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(MESSAGE)
    await asyncio.wait_for(reader.readexactly(len(MESSAGE)), PATIENCE_S)


async def keep(peer: str, port: int) -> None:
    """One connection that lasts."""
    reader, writer = await asyncio.open_connection(peer, port)
    try:
        while True:
            await ask(reader, writer)
            await asyncio.sleep(PAUSE_S)
    finally:
        writer.close()


async def visit(peer: str, port: int) -> None:
    """One connection after the other."""
    while True:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(peer, port), 3 * PATIENCE_S)
        try:
            await ask(reader, writer)
        finally:
            writer.close()
        await asyncio.sleep(OPEN_EVERY_S)


async def always(act, peer: str, port: int) -> None:
    """Again, however it ended; not all at the same moment."""
    while True:
        await asyncio.sleep(random.uniform(0, OPEN_EVERY_S))  # noqa: S311 no secret
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            await act(peer, port)


async def talk(port: int, peers: list[str]) -> None:
    server = await asyncio.start_server(echo, "0.0.0.0", port)
    await asyncio.gather(
        server.serve_forever(),
        *(always(act, peer, port) for peer in peers for act in (keep, visit)),
    )


if __name__ == "__main__":
    asyncio.run(talk(int(sys.argv[1]), sys.argv[2:]))
