"""Who follows the events of this host: one at a time. What it asked to be told ends when its process does."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from tcmicro_agent.abi import Reason
from tcmicro_agent.datapath.host import start_of
from tcmicro_agent.errors import TcmicroError
from tcmicro_agent.store import LockedError, Store, read_document, write_document


@contextmanager
def alone(store: Store, reasons: Iterable[Reason]) -> Iterator[None]:
    """Follows for the length of a `with`; the agent sees to it that `reasons` are told. Raises LockedError at once."""
    store.run.mkdir(parents=True, exist_ok=True)
    said = store.follower
    with (store.run / "events.lock").open("a") as lock:
        _lock(lock, store)
        names = [reason.name.lower() for reason in reasons]
        pid = os.getpid()
        write_document(said, {"pid": pid, "start": start_of(pid), "reasons": names})
        try:
            yield
        finally:
            said.unlink(missing_ok=True)


def asked(store: Store) -> frozenset[Reason]:
    """What a follower that lives wants to be told, besides what is configured."""
    said = _said(store)
    if not said or start_of(int(said["pid"])) != said["start"]:
        return frozenset()
    known = {reason.name.lower(): reason for reason in Reason}
    return frozenset(known[name] for name in said["reasons"] if name in known)


def _lock(lock: IO[str], store: Store) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        said = _said(store)
        raise LockedError(
            f"{lock.name}: process {said['pid'] if said else '(unknown)'} follows the events",
            hint="one at a time takes them out of the kernel: end that one first",
        ) from None


def _said(store: Store) -> dict[str, Any] | None:
    path = store.follower
    try:
        found = read_document(path) if path.exists() else None
    except TcmicroError:
        return None
    return found if isinstance(found, dict) and {"pid", "start", "reasons"} <= set(found) else None
