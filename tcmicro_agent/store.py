"""Our files on a host: written whole or not at all, in our own directories, nowhere else."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

from tcmicro_agent import config as configuration
from tcmicro_agent import local, tables, trial
from tcmicro_agent import transaction as transactions
from tcmicro_agent.config import Config
from tcmicro_agent.errors import BundleError, StoreError, TcmicroError
from tcmicro_agent.jsonutil import Reader, loads, read
from tcmicro_agent.local import Local
from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.policy import windows
from tcmicro_agent.policy.model import Bundle, Mode
from tcmicro_agent.trial import Comparison

T = TypeVar("T")
Mark = tuple[int, int, int]  # inode, size and time of a file: another one when it is replaced

LOCK_PATIENCE_S = 5.0
KEPT_BUNDLES = 8


class LockedError(TcmicroError):
    """Somebody else is changing this host right now."""

    exit_code = 7


@dataclass(frozen=True)
class Applied:
    """A bundle that was in force for good."""

    digest: str
    generation: int


@dataclass(frozen=True)
class Books:
    """state.json: what this host confirmed last and before, the last generation number and the rules' counters.

    `phases`: for generations whose rules have times, the phase (`policy/windows.py`) they were built in.
    """

    generation: int = 0
    confirmed: Applied | None = None
    previous: Applied | None = None
    numbers: Mapping[str, int] = field(default_factory=dict)
    phases: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """What is asked of a kept bundle again and again; all of it takes a hundred times the memory."""

    mode: Mode
    rules: int
    instants: tuple[int, ...]  # when rules begin or cease to hold, see policy/windows.py
    monitoring: tuple[str, ...]  # policies that only watch
    actions: tuple[tuple[str, str], ...]  # of what owns a counter: rules and defaults, by uid
    modes: Mapping[Mode, int]  # how many rules have it
    policies: frozenset[tuple[str, Mode]]
    ends: tuple[tuple[str, int], ...]  # of rules that expire, in seconds since 1970


class Store:
    """The files below `root` (/ on a host, a temporary directory in tests).

    What is small is read anew only when its file was replaced: the agent looks every second. `apart` is how something
    small is made out of a whole bundle: here, or by the agent in a child process (`apart.py`).
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._known: dict[Path, tuple[Mark, Any]] = {}
        self.apart: Callable[[Callable[[], Any]], Any] = _here
        self.etc = root / "etc/tcmicro"
        self.var = root / "var/lib/tcmicro"
        self.run = root / "run/tcmicro"

    # --- what people configured ---

    def config(self) -> Config:
        """What is in force: the file, or while that is refused what was accepted last. Raises when there is neither."""
        try:
            return self.read_config()
        except TcmicroError:
            accepted = self._accepted_config
            if not accepted.exists():
                raise
            return configuration.parse(read_document(accepted))

    def read_config(self) -> Config:
        """What the file says. Raises with all its faults."""
        return configuration.parse(self._configured())

    def accept_config(self, follow: Callable[[Config], None]) -> Config:
        """The file, once `follow` could do as it says; a copy is kept, to be in force while a later one is refused."""
        found = self._configured()
        accepted = configuration.parse(found)
        follow(accepted)
        copy = self._accepted_config
        if not copy.exists() or read_document(copy) != found:
            write_document(copy, found)
        return accepted

    def _configured(self) -> Any:
        path = self.etc / "agent.json"
        return read_document(path) if path.exists() else {}

    @property
    def _accepted_config(self) -> Path:
        return self.var / "agent.json"

    # --- bundles ---

    def save_bundle(self, bundle: Bundle, digest: str) -> None:
        path = self._bundle(digest)
        if path.exists():
            os.utime(path)  # one of the youngest again, so not forgotten in the next line
        else:
            write(path, bundles.write(bundle).content)
        self._forget_old_bundles()

    def bundle(self, digest: str) -> Bundle | None:
        """A kept bundle, verified against its name; None when it is not kept."""
        path = self._bundle(digest)
        return read_bundle(path) if path.exists() else None

    def summary(self, digest: str) -> Summary | None:
        """Of a kept bundle, as `bundle` has it."""
        return self._read(self._bundle(digest), self._summarize)

    def _summarize(self, path: Path) -> Summary:
        found: Summary = self.apart(lambda: summary_of(read_bundle(path)))
        return found

    def _bundle(self, digest: str) -> Path:
        return self.var / "bundles" / f"{digest}.json"

    def _forget_old_bundles(self) -> None:
        books = self.books()
        needed = {a.digest for a in (books.confirmed, books.previous, self.comparison()) if a}
        kept = sorted((self.var / "bundles").glob("*.json"), key=lambda p: p.stat().st_mtime)
        for path in kept[:-KEPT_BUNDLES]:
            if path.stem not in needed:
                path.unlink()
                path.with_suffix(".sig").unlink(missing_ok=True)

    # --- books and transaction ---

    def books(self) -> Books:
        return self._read(self.var / "state.json", _load_books) or Books()

    def stamps(self) -> tuple[int, int]:
        """When the books and the transaction were written last, in ns since 1970; 0: never."""
        return _written(self.var / "state.json"), _written(self.var / "txn.json")

    def save_books(self, books: Books) -> None:
        write_document(
            self.var / "state.json",
            {
                "generation": books.generation,
                "numbers": dict(books.numbers),
                **(
                    {"phases": {str(g): p for g, p in books.phases.items()}} if books.phases else {}
                ),
                **({"confirmed": vars(books.confirmed)} if books.confirmed else {}),
                **({"previous": vars(books.previous)} if books.previous else {}),
            },
        )

    def transaction(self) -> transactions.Transaction | None:
        return self._read(self.var / "txn.json", _load_transaction)

    def save_transaction(self, value: transactions.Transaction) -> None:
        write_document(self.var / "txn.json", value.to_document())

    def epoch(self) -> int:
        """The highest epoch of a controller that was heard here; 0 before there was one."""
        path = self.var / "floors/epoch"
        text = read_bytes(path).decode(errors="replace").strip() if path.exists() else "0"
        if not text.isdigit():
            raise StoreError(f"{path}: {text[:40]!r} is no number")
        return int(text)

    def save_epoch(self, value: int) -> None:
        write(self.var / "floors/epoch", b"%d\n" % value)

    def comparison(self) -> Comparison | None:
        """What the staged policy is compared with, and since when; None when nothing is staged."""
        return self._read(self.var / "staged.json", _load_comparison)

    def save_comparison(self, value: Comparison | None) -> None:
        path = self.var / "staged.json"
        if value:
            write_document(path, value.to_document())
        else:
            path.unlink(missing_ok=True)

    def local(self) -> Local:
        """The temporary rules of this host; none where there never were any."""
        return self._read(self.var / "local.json", _load_local) or local.NOTHING

    def save_local(self, value: Local) -> None:
        write_document(self.var / "local.json", value.to_document())

    # --- the running agent ---

    def save_agent(self, document: Mapping[str, Any]) -> None:
        write_document(self.run / "agent.json", document)

    def agent(self) -> dict[str, Any]:
        """What the running agent said of itself; empty when none does."""
        path = self.run / "agent.json"
        try:
            found = read_document(path) if path.exists() else {}
        except TcmicroError:
            return {}
        return found if isinstance(found, dict) else {}

    def _open_lock(self) -> IO[str]:
        path = self.var / "lock"
        try:
            self.var.mkdir(parents=True, exist_ok=True, mode=0o700)
            return path.open("a")
        except OSError as exc:
            raise StoreError(f"{path}: {exc.strerror}; nothing was changed") from exc

    def marks(self) -> tuple[Mark | None, ...]:
        """Of the files that say what ought to rule: others than before when one of them was replaced."""
        names = ("state.json", "txn.json", "staged.json", "local.json")
        return tuple(_mark(path) for path in (*(self.var / n for n in names), self.follower))

    @property
    def follower(self) -> Path:
        """What the one who follows events says of itself."""
        return self.run / "follower.json"

    def _read(self, path: Path, load: Callable[[Path], T]) -> T | None:
        """What a file holds, None where there is none; loaded once, so it must not be changed."""
        mark = _mark(path)
        if mark is None:
            return None
        known = self._known.get(path)
        if known is None or known[0] != mark:
            known = self._known[path] = mark, load(path)
        found: T = known[1]
        return found

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Alone on this host among those who change something. Raises LockedError after five seconds."""
        deadline = time.monotonic() + LOCK_PATIENCE_S
        with self._open_lock() as handle:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise LockedError(
                            f"{handle.name}: another change is under way",
                            hint="try again when it is done",
                        ) from None
                    time.sleep(0.05)
            yield


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def read_document(path: Path) -> object:
    """The JSON value in a file."""
    return loads(read_bytes(path), BundleError, str(path))


def read_bundle(path: Path) -> Bundle:
    """The bundle in a file, verified."""
    return bundles.load(read_bytes(path), str(path))


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise StoreError(f"{path}: {exc.strerror}") from exc


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    write(path, json.dumps(document, indent=1, sort_keys=True).encode() + b"\n")


def write(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replaces a file in one step: temporary file in the same directory, fsync, rename, fsync of the directory."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with temporary.open("wb") as handle:
            os.fchmod(handle.fileno(), mode)
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as exc:
        with suppress(OSError):
            temporary.unlink()
        raise StoreError(f"{path}: {exc.strerror}; nothing was changed") from exc


def _mark(path: Path) -> Mark | None:
    """A file is replaced by one that was there beside it, so their inodes differ."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _here(work: Callable[[], Any]) -> Any:
    return work()


def summary_of(bundle: Bundle) -> Summary:
    defaults = zip(("ingress", "egress"), (bundle.default_ingress, bundle.default_egress))
    named = [(rule.uid, rule.action.value) for rule in bundle.rules]
    named += [(tables.DEFAULT_UID.format(way), action.value) for way, action in defaults]
    return Summary(
        mode=bundle.mode,
        rules=len(bundle.rules),
        instants=windows.instants(bundle),
        monitoring=bundle.monitoring,
        actions=tuple(named),
        modes=Counter(map(bundle.mode_of, bundle.rules)),
        policies=frozenset((r.uid.partition("/")[0], bundle.mode_of(r)) for r in bundle.rules),
        ends=tuple((rule.uid, rule.window.end) for rule in bundle.rules if rule.window.end),
    )


def _load_books(path: Path) -> Books:
    return read(read_document(path), _read_books, BundleError)


def _load_transaction(path: Path) -> transactions.Transaction:
    return transactions.parse(read_document(path))


def _load_comparison(path: Path) -> Comparison:
    return trial.parse(read_document(path))


def _load_local(path: Path) -> Local:
    return local.parse(read_document(path))


def _read_books(doc: Reader) -> Books:
    numbers = doc.get_object("numbers")
    return Books(
        generation=doc.get_int("generation", 0, 2**32 - 1, "generation"),
        confirmed=_read_applied(doc, "confirmed"),
        previous=_read_applied(doc, "previous"),
        numbers={uid: numbers.get_int(uid, 1, 65535, "counter") for uid in numbers.names()},
        phases=_read_phases(doc.get_object("phases")) if doc.has("phases") else {},
    )


def _read_phases(item: Reader) -> dict[int, int]:
    return {
        int(key): item.get_int(key, 0, 2**32, "phase") for key in item.names() if key.isdecimal()
    }


def _read_applied(doc: Reader, key: str) -> Applied | None:
    if not doc.has(key):
        return None
    applied = doc.get_object(key)
    return Applied(
        applied.get_str("digest"), applied.get_int("generation", 1, 2**32 - 1, "generation")
    )
