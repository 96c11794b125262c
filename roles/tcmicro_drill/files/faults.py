"""What the agent's service starts while a drill is under way on a host.

Of the release under test, and until the drill's time is over, that is the agent with a fault in its own process; else,
and in any doubt, it is the agent as it is. Nothing of a fault outlasts the process. Python 3.9, standard library.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import runpy
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

MB = 2**20
MOST_MB = 384  # that a leak holds

Plan = dict[str, Any]


def lasts(plan: Plan) -> bool:
    """By the time since boot; no clock that somebody sets."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) < int(plan["until_ms"]) * 1_000_000


def beside(act: Callable[[], None]) -> None:
    """In a thread that holds up no end of the process."""
    threading.Thread(target=act, name="drill", daemon=True).start()


# --- the faults


def crash_loop(plan: Plan) -> None:
    """Dies `amount` seconds after each start."""

    def die() -> None:
        time.sleep(plan["amount"])
        if lasts(plan):
            os._exit(1)

    beside(die)


def memory_leak(plan: Plan) -> None:
    """Takes `amount` MB more every second, up to MOST_MB."""

    def leak() -> None:
        kept: list[bytes] = []
        while lasts(plan):
            if len(kept) < MOST_MB:
                kept.append(b"\1" * MB)
            time.sleep(1 / plan["amount"])

    beside(leak)


def cpu_burn(plan: Plan) -> None:
    """Computes for `amount` % of the time."""

    def burn() -> None:
        while lasts(plan):
            end = time.monotonic() + plan["amount"] / 1000
            while time.monotonic() < end:
                pass
            time.sleep(max(0, 100 - plan["amount"]) / 1000)

    beside(burn)


def exporter_dead(plan: Plan) -> None:
    """Records no samples and serves no metrics."""

    def refuse(event: str, arguments: Any) -> None:
        if event not in ("open", "socket.bind") or not lasts(plan):
            return
        if event == "socket.bind":
            dead = arguments[0].family in (socket.AF_INET, socket.AF_INET6)
        else:
            dead = str(arguments[0]).endswith("/samples/current") and "a" in str(arguments[1])
        if dead:
            raise OSError(errno.EIO, "a drill is under way")

    sys.addaudithook(refuse)


def packet_drop(plan: Plan) -> None:
    """Drops `amount` % of the packets that come in."""
    attach(dropping(plan["amount"], plan["until_ms"] * 1_000_000))


def added_latency(plan: Plan) -> None:
    """Holds every packet that comes in for `amount` microseconds."""
    attach(holding(plan["amount"] * 1000, plan["until_ms"] * 1_000_000))


FAULTS = {
    act.__name__: act
    for act in (crash_loop, memory_leak, cpu_burn, exporter_dead, packet_drop, added_latency)
}

# --- programs on XDP: the kernel ends them with this process, and they look at its clock themselves

R0, R1, R6, R7 = 0, 1, 6, 7
DROP, PASS = 1, 2
RANDOM, BOOT_NS = 7, 125  # helpers
TURNS = 4000  # of the loop that holds a packet, which is about as many as the verifier follows
WAITS = (
    16  # looks at the clock in a turn, of 20 ns or more each: all turns take a millisecond or more
)


def op(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhI", code, target | source << 4, offset, value & 0xFFFFFFFF)


def wide(target: int, value: int) -> bytes:
    return op(0x18, target, value=value) + op(0, value=value >> 32)


def ending(verdict: int) -> bytes:
    return op(0xB7, R0, value=verdict) + op(0x95)


def dropping(percent: int, until_ns: int) -> bytes:
    return b"".join(
        [
            op(0x85, value=RANDOM),
            op(0x97, R0, value=100),
            op(0x35, R0, offset=6, value=percent),  # not this one
            op(0x85, value=BOOT_NS),
            wide(R1, until_ns),
            op(0x2D, R0, R1, offset=2),  # its time is over
            ending(DROP),
            ending(PASS),
        ]
    )


def holding(delay_ns: int, until_ns: int) -> bytes:
    turn = b"".join(
        [
            *[op(0x85, value=BOOT_NS)] * WAITS,
            op(0x1F, R0, R6),
            op(0x35, R0, offset=2, value=delay_ns),
            op(0x07, R7, value=1),
        ]
    )
    return b"".join(
        [
            op(0x85, value=BOOT_NS),
            op(0xBF, R6, R0),
            wide(R1, until_ns),
            op(0x2D, R0, R1, offset=1 + len(turn) // 8 + 1),  # its time is over
            op(0xB7, R7),
            turn,
            op(0xA5, R7, offset=-(len(turn) // 8 + 1), value=TURNS),
            ending(PASS),
        ]
    )


CALL = {"x86_64": 321, "aarch64": 280}
LOAD, LINK = 5, 28
XDP, ON_XDP, GENERIC = 6, 37, 2


def attach(program: bytes) -> None:
    """On every interface but lo, by links that nobody else holds."""
    code, license_ = ctypes.create_string_buffer(program), ctypes.create_string_buffer(b"GPL")
    words = (XDP, len(program) // 8, ctypes.addressof(code), ctypes.addressof(license_))
    descriptor = bpf(LOAD, struct.pack("=IIQQ", *words) + bytes(104))
    for number, name in socket.if_nameindex():
        if name != "lo":
            bpf(LINK, struct.pack("=IIII", descriptor, number, ON_XDP, GENERIC))


def bpf(verb: int, attributes: bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes)
    found = int(libc.syscall(CALL[platform.machine()], verb, buffer, len(attributes)))
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


# --- in the place of the agent


def due(plan_file: Path, current: Path) -> Plan | None:
    """The fault that belongs into this process now."""
    try:
        plan: Plan = json.loads(plan_file.read_text())
        ours = os.path.basename(os.path.realpath(current)) == plan["version"]
        return plan if ours and plan["fault"] in FAULTS and lasts(plan) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def begin(plan: Plan, told: Path) -> None:
    """Plants it and notes that it is, or why not: a drill that was none must not count as one."""
    problem = ""
    try:
        FAULTS[plan["fault"]](plan)
    except (OSError, KeyError, TypeError, struct.error) as exc:
        problem = f"{type(exc).__name__}: {exc}"
    with suppress(OSError):
        told.write_text(json.dumps({"drill": plan["drill"], "problem": problem}))


def main(root: Path = Path("/")) -> None:
    current = root / "opt/tcmicro/current"
    launcher = str(current / "bin/tc-micro")
    plan = due(Path(__file__).with_name("fault.json"), current)
    if plan is None:
        os.execv(launcher, [launcher, "run"])
    else:
        begin(plan, root / "run/tcmicro/drill.json")  # the one place where the agent may write
        sys.argv = [launcher, "run"]
        runpy.run_path(launcher, run_name="__main__")


if __name__ == "__main__":
    main()
