#!/usr/bin/python3 -I
"""The dead-man of agent releases: a release that nobody confirms is taken back, by the host alone.

One self-contained file for Python 3.9 and its standard library. The installer copies it from a release that is
trusted to /opt/tcmicro/guard/tcmicro-guard, so that a broken release has no part in taking itself back. The same code
switches, so a host where it does not work is never switched. `settle` decides, `Host` acts, `Guard` joins the two;
every verb may be cut at any line and repeated.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

AGENT, TIMER = "tcmicro-agent.service", "tcmicro-guard.timer"
LOCK_PATIENCE_S = 10.0
RETRY_S = 10.0  # a confirmed release that fails is tried again after that
MIN_WITHIN_S, MAX_WITHIN_S = 5, 86400
SYSTEMCTL_LIMIT_S = 60


class GuardError(Exception):
    """What is, what is allowed; `code` is the exit code, as in the agent's command line."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


REFUSED, BUSY, TAKEN_BACK = 3, 7, 8


class State(Enum):
    """Of a release transaction: pending has a deadline ahead, reverting is latched, the others are final."""

    PENDING = "pending"
    REVERTING = "reverting"
    CONFIRMED = "confirmed"
    REVERTED = "reverted"


class Seen(Enum):
    """What becomes of a pending release is decided by one of these."""

    WAITING = "its deadline lies ahead"
    OVERDUE = "nobody confirmed it in time"
    REBOOTED = "the host was booted before it was confirmed"
    FAILED = "its service failed"
    ASKED = "it was asked for"


@dataclass(frozen=True)
class Transaction:
    """One change of release; `deadline_ms` counts milliseconds since boot `boot_id`."""

    id: str
    version: str
    previous: str
    deadline_ms: int
    boot_id: str
    state: State = State.PENDING
    cause: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        return {**asdict(self), "state": self.state.value}


# Where a transaction goes by what is seen; final states stay, and what is being taken back is not confirmed any more.
SETTLEMENT: Mapping[State, Mapping[Seen, State]] = {
    State.PENDING: {
        Seen.WAITING: State.PENDING,
        Seen.OVERDUE: State.REVERTING,
        Seen.REBOOTED: State.REVERTING,
        Seen.FAILED: State.REVERTING,
        Seen.ASKED: State.REVERTING,
    },
    State.REVERTING: dict.fromkeys(Seen, State.REVERTING),
    State.CONFIRMED: {
        **dict.fromkeys(Seen, State.CONFIRMED),
        Seen.ASKED: State.REVERTING,
    },
    State.REVERTED: dict.fromkeys(Seen, State.REVERTED),
}


def settle(transaction: Transaction, seen: Seen) -> Transaction:
    """The transaction as it stands now."""
    state = SETTLEMENT[transaction.state][seen]
    if state is transaction.state:
        return transaction
    return replace(transaction, state=state, cause=seen.value)


def look(transaction: Transaction, now_ms: int, boot_id: str) -> Seen:
    if transaction.boot_id != boot_id:
        return Seen.REBOOTED
    return Seen.OVERDUE if now_ms >= transaction.deadline_ms else Seen.WAITING


def parse(text: bytes) -> Transaction:
    """Raises ValueError for what is no transaction."""
    try:
        document = json.loads(text)
        found = Transaction(**{**document, "state": State(document["state"])})
    except (KeyError, TypeError) as exc:
        raise ValueError(str(exc)) from exc
    words = (found.id, found.version, found.previous, found.boot_id)
    if not (all(isinstance(w, str) and w for w in words) and isinstance(found.deadline_ms, int)):
        raise ValueError("a field is missing or of another type")
    return found


def systemctl(words: Sequence[str]) -> None:
    argv = ["systemctl", *words]
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=SYSTEMCTL_LIMIT_S, check=False
    )
    if done.returncode:
        raise GuardError(f"{' '.join(argv)}: exit code {done.returncode}: {done.stderr.strip()}")


class Host:
    """The effects, below `root` (/ on a host). Decides nothing."""

    def __init__(
        self, root: Path = Path("/"), run: Callable[[Sequence[str]], None] = systemctl
    ) -> None:
        self.home = root / "opt/tcmicro"
        self.unit = root / "etc/systemd/system" / AGENT
        self.file = root / "var/lib/tcmicro/release.json"
        self.systemctl = run

    def now_ms(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def boot_id(self) -> str:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    @contextmanager
    def lock(self, patience_s: float = LOCK_PATIENCE_S) -> Iterator[None]:
        """Not the lock of policy changes: a frozen agent may hold that one."""
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        end = time.monotonic() + patience_s
        with self.file.with_name("release.lock").open("a") as handle:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end:
                        raise GuardError(f"{handle.name}: held by another change", BUSY) from None
                    time.sleep(0.05)
            yield

    def read(self) -> Transaction | None:
        try:
            return parse(self.file.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as exc:
            raise GuardError(f"{self.file}: no release transaction: {exc}") from exc

    def save(self, value: Transaction) -> None:
        text = json.dumps(value.to_document(), indent=1, sort_keys=True) + "\n"
        self._replace(self.file, text.encode(), 0o600)

    def usable(self, version: str) -> bool:
        return os.access(self.home / "releases" / version / "bin/tc-micro", os.X_OK)

    def linked(self, link: str) -> str | None:
        """Version that `current` or `previous` names."""
        try:
            return os.path.basename(os.readlink(self.home / link))
        except OSError:
            return None

    def point(self, link: str, version: str) -> None:
        path = self.home / link
        scratch = path.with_name(link + ".guard")
        scratch.unlink(missing_ok=True)
        scratch.symlink_to(f"releases/{version}")
        scratch.rename(path)
        self._sync(self.home)

    def install_unit(self, version: str) -> None:
        self._replace(self.unit, (self.home / "releases" / version / AGENT).read_bytes(), 0o644)

    def flush(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def _replace(self, path: Path, content: bytes, mode: int) -> None:
        """Writes a file whole or not at all."""
        scratch = path.with_name(f".{path.name}.guard")
        with scratch.open("wb") as handle:
            os.fchmod(handle.fileno(), mode)
            handle.write(content)
            handle.flush()
            self.flush(handle.fileno())
        scratch.rename(path)
        self._sync(path.parent)

    def _sync(self, directory: Path) -> None:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            self.flush(descriptor)
        finally:
            os.close(descriptor)


class Guard:
    """Each verb returns whether it changed something, and the transaction as it stands then."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def switch(self, version: str, within_s: int) -> tuple[bool, Transaction]:
        """Makes a release current until it is confirmed. Armed first; the caller restarts the service."""
        host = self._host
        with host.lock():
            self._refuse_if_pending()
            before = host.linked("current") or ""
            for release in (before, version):
                if not (release and host.usable(release)):
                    raise GuardError(f"release {release!r} is not there: nothing changed", REFUSED)
            deadline = host.now_ms() + within_s * 1000
            armed = Transaction(secrets.token_hex(4), version, before, deadline, host.boot_id())
            host.systemctl(["start", TIMER])
            host.save(armed)
            host.point("previous", before)
            host.point("current", version)
            host.install_unit(version)
            host.systemctl(["daemon-reload"])
            return True, armed

    def confirm(self, transaction_id: str, evidence: Mapping[str, Any]) -> tuple[bool, Transaction]:
        """Keeps a release that waits; late is late."""
        host = self._host
        with host.lock():
            found = self._settled()
            if found is None or found.id != transaction_id:
                raise GuardError(f"release transaction {transaction_id} is not known here", REFUSED)
            if found.state is State.REVERTED:
                words = f"release {found.version} was taken back: {found.cause}; release {found.previous} is current"
                raise GuardError(words, TAKEN_BACK)
            if found.state is State.CONFIRMED:
                return False, found
            current = host.linked("current")
            if current != found.version:
                raise GuardError(
                    f"release {current} is current, not {found.version}: not confirmed", REFUSED
                )
            confirmed = replace(found, state=State.CONFIRMED, evidence=dict(evidence))
            host.save(confirmed)
            self._stop_timer()
            return True, confirmed

    def revert(self) -> tuple[bool, Transaction]:
        """Takes the last release back, also when it was confirmed."""
        with self._host.lock():
            found = self._host.read()
            current = self._host.linked("current")
            if found is None or current not in (found.version, found.previous):
                raise GuardError("no change of release is known here that led to this", REFUSED)
            settled = settle(found, Seen.ASKED)
            return settled != found, self._finish(settled)

    def tick(self) -> tuple[bool, Transaction | None]:
        """What the timer does. It stops itself, under the lock, so that no release is armed in between."""
        with self._host.lock():
            before, after = self._host.read(), self._settled()
            if after is None or after.state is not State.PENDING:
                self._stop_timer()
            return after != before, after

    def boot(self) -> tuple[bool, Transaction | None]:
        """Before the agent is started for the first time: back to what was confirmed last."""
        host = self._host
        with host.lock():
            before, after = host.read(), self._settled(booting=True)
            lost = after and not host.usable(host.linked("current") or "")
            if after and lost:
                self._link(after.version if after.state is State.CONFIRMED else after.previous)
            return bool(lost) or after != before, after

    def failed(self) -> tuple[bool, Transaction | None]:
        """The service has failed too often. A confirmed release is tried again: there is none that is known better."""
        host = self._host
        with host.lock():
            found = self._settled()
            ours = found and host.linked("current") == found.version
            if found and ours and found.state is State.PENDING:
                return True, self._finish(settle(found, Seen.FAILED))
        host.sleep(RETRY_S)
        with suppress(GuardError):  # somebody started or stopped it meanwhile
            host.systemctl(["is-failed", "--quiet", AGENT])
            self._restart()
        return False, found

    # --- parts, under the lock

    def _refuse_if_pending(self) -> None:
        pending = self._settled()
        if pending and pending.state is State.PENDING:
            left = (pending.deadline_ms - self._host.now_ms()) / 1000
            raise GuardError(
                f"release {pending.version} waits to be confirmed for {left:.0f} s more: confirm it, or go back first",
                REFUSED,
            )

    def _settled(self, *, booting: bool = False) -> Transaction | None:
        """The transaction by the clock, with everything done that follows from it."""
        host = self._host
        found = host.read()
        if found is None:
            return None
        return self._finish(
            settle(found, look(found, host.now_ms(), host.boot_id())), booting=booting
        )

    def _finish(self, found: Transaction, *, booting: bool = False) -> Transaction:
        """Carries a latched revert to its end; anything else is left as it is."""
        host = self._host
        if found.state is not State.REVERTING:
            return found
        if not host.usable(found.previous):
            raise GuardError(f"release {found.previous} is not there to go back to")
        host.save(found)
        self._link(found.previous)
        if not booting:
            self._restart()
        done = replace(found, state=State.REVERTED)
        host.save(done)
        self._stop_timer()
        return done

    def _link(self, version: str) -> None:
        """`previous` names it too: there is nothing left to take back."""
        host = self._host
        host.point("current", version)
        host.point("previous", version)
        host.install_unit(version)
        host.systemctl(["daemon-reload"])

    def _restart(self) -> None:
        with suppress(GuardError):  # there may be no failure to forget
            self._host.systemctl(["reset-failed", AGENT])
        self._host.systemctl(["--no-block", "restart", AGENT])

    def _stop_timer(self) -> None:
        with suppress(GuardError):  # a timer that goes on finds nothing to do, and stops itself
            self._host.systemctl(["stop", TIMER])


def document(transaction: Transaction | None, **more: Any) -> dict[str, Any]:
    release = transaction.to_document() if transaction else None
    return {
        "apiVersion": "tcmicro/v1",
        "kind": "ReleaseTransaction",
        "transaction": release,
        **more,
    }


def act(arguments: Sequence[str], guard: Guard, host: Host) -> dict[str, Any]:
    """One verb; the document that says how it went."""
    args = parser().parse_args(arguments)
    if args.verb == "show":
        return document(host.read(), changed=False)
    if args.verb == "switch":
        done: tuple[bool, Transaction | None] = guard.switch(args.version, args.within)
    elif args.verb == "confirm":
        done = guard.confirm(args.id, args.evidence)
    else:
        done = getattr(guard, args.verb)()
    return document(done[1], changed=done[0])


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="one JSON document on stdout")
    top = argparse.ArgumentParser(prog="tcmicro-guard", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    for name in ("show", "revert", "tick", "boot", "failed"):
        verbs.add_parser(name, parents=[common], help=(getattr(Guard, name, parse).__doc__))
    switch = verbs.add_parser("switch", parents=[common], help=Guard.switch.__doc__)
    switch.add_argument("version")
    switch.add_argument("--within", type=_seconds, required=True, metavar="SECONDS")
    confirm = verbs.add_parser("confirm", parents=[common], help=Guard.confirm.__doc__)
    confirm.add_argument("id")
    confirm.add_argument("--evidence", type=_document, default={}, metavar="JSON")
    return top


def _document(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON object")
    return found


def _seconds(text: str) -> int:
    value = int(text) if text.isdigit() else -1
    if not MIN_WITHIN_S <= value <= MAX_WITHIN_S:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds from {MIN_WITHIN_S} to {MAX_WITHIN_S}"
        )
    return value


def sentence(found: Mapping[str, Any]) -> str:
    """For people and the journal; empty when nothing was done."""
    transaction = found["transaction"] or {}
    if not found["changed"]:
        return ""
    cause = f" ({transaction['cause']})" if transaction["cause"] else ""
    return f"release {transaction['version']}: {transaction['state']}{cause}; before it: {transaction['previous']}"


def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    host = Host()
    try:
        done = act(words, Guard(host), host)
    except (GuardError, OSError, subprocess.TimeoutExpired) as exc:
        if as_json:
            error = {"type": type(exc).__name__, "message": str(exc)}
            print(json.dumps({"apiVersion": "tcmicro/v1", "kind": "Error", "error": error}))
        else:
            print(f"tcmicro-guard: {exc}", file=sys.stderr)
        return exc.code if isinstance(exc, GuardError) else 1
    text = json.dumps(done) if as_json or words[:1] == ["show"] else sentence(done)
    if text:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
