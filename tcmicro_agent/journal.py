"""The log: events as fields to journald, or as text to stderr where that is not the journal. Decides nothing."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from tcmicro_agent.messages import Event

SOCKET = Path("/run/systemd/journal/socket")
IDENTIFIER = "tc-micro"
LONGEST = 16_384  # characters; a datagram holds more, a reader not


class Journal:
    """`counts`: lines by code since this process started. Threads may write at once."""

    def __init__(
        self,
        stream: TextIO = sys.stderr,
        environment: Mapping[str, str] = os.environ,
        address: Path = SOCKET,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._stream = stream
        self._address = str(address)
        self._native = is_journal(stream, environment)
        self._lock = threading.Lock()

    def say(self, event: Event) -> None:
        """One event, one line: as fields, or as `LEVEL CODE text` when the journal does not take them."""
        with self._lock:
            self.counts[event.message.code] += 1
            if not (self._native and self._send(datagram(event))):
                print(line(event), file=self._stream, flush=True)

    def _send(self, content: bytes) -> bool:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.sendto(content, self._address)
        except OSError:
            return False
        return True


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether what is written there ends in the journal: systemd says so by device and inode (systemd.exec(5))."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def line(event: Event) -> str:
    message = event.message
    return f"{message.level.name} {message.code} {_one_line(event)}"


def datagram(event: Event) -> bytes:
    """The event in journald's native protocol: a field a line, as no value of ours has more than one."""
    message = event.message
    fields = {
        "MESSAGE": event,
        "MESSAGE_ID": message.id,
        "PRIORITY": str(int(message.level)),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "TCMICRO_CODE": message.code,
        **{f"TCMICRO_{name.upper()}": value for name, value in event.fields.items()},
    }
    return "".join(f"{name}={_one_line(value)}\n" for name, value in fields.items()).encode()


def _one_line(text: str) -> str:
    """Lines become one, and nothing in it can move a terminal's cursor."""
    joined = " | ".join(text.splitlines())
    shown = "".join(character if character.isprintable() else "?" for character in joined)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 3] + "..."
