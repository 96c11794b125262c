"""What became of the last pull, in `/var/lib/tcmicro/pull.json`, and the settings: files in a store's directories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from tcmicro_agent import mirror
from tcmicro_agent.errors import BundleError, RefusedError, TcmicroError
from tcmicro_agent.jsonutil import Reader, read
from tcmicro_agent.mirror import Settings
from tcmicro_agent.pointer import Pointer
from tcmicro_agent.signing import MAX_NUMBER
from tcmicro_agent.store import Store, read_document, write_document

MOST_TRIES = 2  # of a policy whose trial was cut short, as by a loss of power; one that went back is tried once


class Result(Enum):
    """Of a pull: what the pointer names rules already, or does now; its share has not come to this host; nothing was
    changed, because …; it was live and is not any more; it is live now, or was when somebody cut the pull."""

    CURRENT = "current"
    CHANGED = "changed"
    WAITING = "waiting"
    BUSY = "busy"
    UNREACHABLE = "unreachable"
    DAMAGED = "damaged"
    REFUSED = "refused"
    FAILED = "failed"
    TAKEN_BACK = "taken_back"
    TRYING = "trying"


WELL = frozenset((Result.CURRENT, Result.CHANGED, Result.WAITING))


@dataclass(frozen=True)
class Record:
    """Times in seconds since 1970: of the last pull, and of the last one that was well. `serial` and `digest` are those
    of the newest pointer that was verified here, `tries` how often its bundle was live without being kept, `went_back`
    why it is not any more."""

    at: int
    result: Result
    why: str = ""
    well_at: int = 0
    serial: int = 0
    digest: str = ""
    tries: int = 0
    went_back: str = ""

    def noted(self, pointer: Pointer) -> Record:
        """With a pointer that may be another one than before."""
        if (pointer.serial, pointer.digest) == (self.serial, self.digest):
            return self
        return replace(self, serial=pointer.serial, digest=pointer.digest, tries=0, went_back="")

    def begun(self, at: int) -> Record:
        """Written before the bundle is made live."""
        return replace(self, at=at, result=Result.TRYING, why="", tries=self.tries + 1)

    def ended(self, at: int, result: Result, why: str = "") -> Record:
        well_at = at if result in WELL else self.well_at
        return replace(self, at=at, result=result, why=why, well_at=well_at)

    @property
    def refusal(self) -> str:
        """Why the bundle of its pointer is not tried any more until there is a new pointer, "" when it is."""
        if self.went_back or self.tries < MOST_TRIES:
            return self.went_back
        return f"it was cut short {self.tries} times before the host could keep it"

    def to_document(self) -> dict[str, Any]:
        return {**vars(self), "result": self.result.value}


NOTHING = Record(0, Result.UNREACHABLE, "nothing was pulled yet")


class PullBook:
    """Of one host."""

    def __init__(self, store: Store) -> None:
        self._settings = store.etc / "pull.json"
        self._path = store.var / "pull.json"

    def settings(self, path: Path | None = None) -> Settings:
        """Raises RefusedError on a host that is not to pull, BundleError with every fault of the file, which may be
        another one that is to take its place."""
        found = path or self._settings
        if not found.exists():
            hint = "playbooks/pull_hosts.yml writes it (docs/pull.md)"
            raise RefusedError(f"{found} is not there: this host does not pull", hint=hint)
        return mirror.parse(read_document(found))

    @property
    def pulls(self) -> bool:
        return self._settings.exists()

    def read(self) -> Record:
        """A record that is damaged is none: what it says is in nobody's way."""
        if not self._path.exists():
            return NOTHING
        try:
            return read(read_document(self._path), _read, BundleError)
        except TcmicroError:
            return NOTHING

    def write(self, record: Record) -> None:
        document: Mapping[str, Any] = record.to_document()
        write_document(self._path, document)


def _read(doc: Reader) -> Record:
    return Record(
        at=doc.get_int("at", 0, MAX_NUMBER, "time"),
        result=doc.get_enum("result", Result),
        why=doc.get_str("why"),
        well_at=doc.get_int("well_at", 0, MAX_NUMBER, "time"),
        serial=doc.get_int("serial", 0, MAX_NUMBER, "serial"),
        digest=doc.get_str("digest"),
        tries=doc.get_int("tries", 0, MAX_NUMBER),
        went_back=doc.get_str("went_back"),
    )
