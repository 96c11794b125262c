"""Who answers: `prober.py PORT NAME=ADDRESS...` prints TIME NAME True|False whenever that changes, and a line
`TIME - -` a second. TIME is CLOCK_MONOTONIC. Standard library."""

from __future__ import annotations

import asyncio
import sys
import time

EVERY_S, PATIENCE_S = 0.25, 1.0


async def answers(address: str, port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), PATIENCE_S)
        writer.close()
    except (OSError, TimeoutError):
        return False
    return True


async def watch(name: str, address: str, port: int) -> None:
    """A host that falls silent is said to have done so when it was asked first without an answer."""
    known = None
    while True:
        asked = time.monotonic()
        found = await answers(address, port)
        if found is not known:
            known = found
            print(time.monotonic() if found else asked, name, found)
        await asyncio.sleep(EVERY_S)


async def beat() -> None:
    while True:
        print(time.monotonic(), "-", "-")
        await asyncio.sleep(1)


async def main(port: str, *targets: str) -> None:
    hosts = (target.split("=") for target in targets)
    await asyncio.gather(beat(), *(watch(name, address, int(port)) for name, address in hosts))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
