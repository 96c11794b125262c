# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of the journal: opened, and written whole or not at all by the controller whose turn it is."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal import chain, schema
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import JournalError

NAME, LOCK = "journal.db", "journal.lock"
PATIENCE_S = 30.0


class Database:
    """One connection. Every change is a transaction that is on disk when it returns."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.connection = sqlite3.connect(self.path, PATIENCE_S, isolation_level=None)
            self.connection.row_factory = sqlite3.Row
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA synchronous = FULL")
            self._prepare()
        except (sqlite3.Error, OSError) as exc:
            raise JournalError(
                f"{self.path}: the journal cannot be used: {exc}; no host was changed. "
                "Mend it, or name another folder: -e tcmicro_rollouts_dir=DIRECTORY"
            ) from exc

    def _prepare(self) -> None:
        if self._version() < schema.VERSION:
            with self._transaction() as connection:
                for statement in "".join(schema.VERSIONS[self._version() :]).split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {schema.VERSION}")
        if self._version() != schema.VERSION:
            raise JournalError(
                f"{self.path}: of version {self._version()}, this collection writes {schema.VERSION}; "
                "use the collection that wrote it, or name another folder"
            )

    def _version(self) -> int:
        return int(self.connection.execute("PRAGMA user_version").fetchone()[0])

    def close(self) -> None:
        self.connection.close()

    def claim(self, pid: int) -> int:
        """The epoch of a controller that has just taken the lock: whoever wrote before may not any more. Each has started
        later than the one before, also where the clock went back."""
        with self._transaction() as connection:
            last = connection.execute("SELECT max(started) FROM controllers").fetchone()[0] or 0
            row = (pid, os.uname().nodename, max(time.time(), int(last) + 1))
            found = connection.execute(
                "INSERT INTO controllers (pid, machine, started) VALUES (?, ?, ?)", row
            )
            return int(found.lastrowid or 0)

    def fence(self, epoch: int) -> int:
        """The epoch as hosts are told it: when that controller started. So one with a new journal is not refused by hosts that
        know an old one."""
        query = "SELECT started FROM controllers WHERE epoch = ?"
        started = self.connection.execute(query, (epoch,)).fetchone()[0]
        return max(epoch, int(started))

    @contextmanager
    def write(self, epoch: int) -> Iterator[sqlite3.Connection]:
        """A change by the controller of that epoch, if there is no later one. Within another one it is part of that."""
        if self.connection.in_transaction:
            yield self.connection
            return
        with self._transaction() as connection:
            last = connection.execute("SELECT max(epoch) FROM controllers").fetchone()[0]
            if last != epoch:
                raise JournalError(
                    f"another controller has taken over (epoch {last}, this one has {epoch}); "
                    "nothing more is done here"
                )
            yield connection

    @contextmanager
    def anybody(self) -> Iterator[sqlite3.Connection]:
        """A change that needs no turn: what people say to a rollout."""
        with self._transaction() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        commit(self.connection)

    def links(self, after: int = 0) -> list[tuple[chain.Event, str, str]]:
        """Every event behind that number with its place in the chain."""
        query = "SELECT * FROM events WHERE seq > ? ORDER BY seq"
        rows = self.connection.execute(query, (after,))
        return [(chain.Event(*tuple(row)[:6]), row["prev_hash"], row["hash"]) for row in rows]


def commit(connection: sqlite3.Connection) -> None:
    connection.execute("COMMIT")


def note(connection: sqlite3.Connection, epoch: int, rollout: str, kind: str, text: str) -> None:
    """Append an event to the chain, as part of the change that it tells of."""
    last = connection.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    seq, before = (last["seq"] + 1, last["hash"]) if last else (1, chain.FIRST)
    event = chain.Event(seq, time.time(), epoch, rollout, kind, text)
    row = (seq, event.time, epoch, rollout, kind, text, before, chain.digest(before, event))
    connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
