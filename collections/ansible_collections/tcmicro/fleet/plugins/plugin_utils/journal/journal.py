# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollouts in the journal: what was meant is written before it is done, what became of it after."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal import lock
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.database import (
    LOCK,
    Database,
    note,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.holds import Said, Word
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import (
    INTENTS,
    OPEN,
    Host,
    JournalError,
    Rollout,
    Wave,
)


@dataclass(frozen=True)
class HostRow:
    """A host of a rollout. `before`: release or digest it had, `look`: what it said of itself then; `ticket`: id and token by
    which a policy under a lease is kept."""

    host: str
    wave: int
    state: Host
    wanted: str
    before: str
    look: Mapping[str, Any]
    failure: str = ""
    retries: int = 0
    back_by: float | None = None
    ticket: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Record:
    """A rollout as it stands in the journal; hosts in the order of the plan."""

    id: str
    kind: str
    subject: str
    state: Rollout
    reason: str
    request: Mapping[str, Any]
    plan: Mapping[str, Any]
    waves: Mapping[int, Wave]
    looks: Mapping[int, int]
    hosts: Mapping[str, HostRow]
    verdicts: Sequence[Mapping[str, Any]] = ()
    created: float = 0.0
    ended: float | None = None

    def of_wave(self, number: int) -> list[HostRow]:
        return [row for row in self.hosts.values() if row.wave == number]


class Journal:
    """What one controller writes. `epoch` is its turn: 0 only reads."""

    def __init__(self, directory: Path, epoch: int = 0) -> None:
        self.directory = directory
        self.database = Database(directory)
        self.epoch = epoch

    def claim(self, controller: int) -> int:
        """Take the turn for the process `controller`, until it ends."""
        lock.take(self.directory / LOCK, controller)
        self.epoch = self.database.claim(controller)
        return self.epoch

    def close(self) -> None:
        self.database.close()

    # --- what there is

    def load(self, rollout: str) -> Record:
        found = self._rows("SELECT * FROM rollouts WHERE id = ?", rollout)
        if not found:
            known = ", ".join(row["id"] for row in self.recent()) or "none"
            raise JournalError(
                f"rollout: {rollout!r} is not in {self.database.path}; the last ones there: {known}"
            )
        row = found[0]
        waves = self._rows("SELECT * FROM waves WHERE rollout = ? ORDER BY number", rollout)
        hosts = self._rows("SELECT * FROM hosts WHERE rollout = ? ORDER BY place", rollout)
        return Record(
            row["id"],
            row["kind"],
            row["subject"],
            Rollout(row["state"]),
            row["reason"],
            json.loads(row["request"]),
            json.loads(row["plan"]),
            {wave["number"]: Wave(wave["state"]) for wave in waves},
            {wave["number"]: wave["looks"] for wave in waves},
            {host["host"]: _host(host) for host in hosts},
            self.verdicts(rollout),
            row["created"],
            row["ended"],
        )

    def taken_back_to(self, host: str) -> str:
        """The policy that the host was taken back to, if that is the last that a rollout did with it; else ""."""
        query = (
            "SELECT hosts.state, hosts.before FROM hosts JOIN rollouts ON rollouts.id = hosts.rollout "
            "WHERE host = ? AND kind = 'policy' AND hosts.state != ? ORDER BY created DESC LIMIT 1"
        )
        found = self._rows(query, host, Host.PLANNED.value)
        return str(found[0]["before"]) if found and found[0]["state"] == Host.RESTORED.value else ""

    def knows(self, rollout: str) -> bool:
        return bool(self._rows("SELECT id FROM rollouts WHERE id = ?", rollout))

    def said(self, rollout: str) -> list[Said]:
        """What people said to it, in order."""
        rows = self._rows("SELECT * FROM said WHERE rollout = ? ORDER BY id", rollout)
        return [Said(Word(r["word"]), r["who"], r["why"], r["wave"], r["time"]) for r in rows]

    def recent(self, number: int = 5) -> list[sqlite3.Row]:
        return self._rows("SELECT * FROM rollouts ORDER BY created DESC LIMIT ?", number)

    def unfinished(self) -> list[sqlite3.Row]:
        states = [state.value for state in OPEN]
        return self._rows("SELECT * FROM rollouts WHERE state IN (?, ?) ORDER BY created", *states)

    def verdicts(self, rollout: str) -> list[dict[str, Any]]:
        """What was judged, in order."""
        rows = self._rows("SELECT * FROM verdicts WHERE rollout = ? ORDER BY id", rollout)
        return [{"wave": row["wave"], **json.loads(row["document"])} for row in rows]

    def _rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        return self.database.connection.execute(query, values).fetchall()

    # --- a rollout

    def begin(self, rollout: str, kind: str, subject: str, request: Mapping[str, Any]) -> None:
        row = (
            rollout,
            kind,
            subject,
            Rollout.RUNNING.value,
            json.dumps(request),
            "{}",
            time.time(),
        )
        with self.database.write(self.epoch) as connection:
            connection.execute(
                "INSERT INTO rollouts (id, kind, subject, state, request, plan, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            note(connection, self.epoch, rollout, "begin", f"{kind} {subject}")

    def plan(self, rollout: str, document: Mapping[str, Any], hosts: Sequence[HostRow]) -> None:
        """The plan is written once and holds for the whole rollout."""
        rows = [
            (rollout, h.host, h.wave, place, h.state.value, h.wanted, h.before, json.dumps(h.look))
            for place, h in enumerate(hosts)
        ]
        waves = [(rollout, n, Wave.PLANNED.value) for n in sorted({h.wave for h in hosts})]
        with self.database.write(self.epoch) as connection:
            connection.execute(
                "UPDATE rollouts SET plan = ? WHERE id = ?", (json.dumps(document), rollout)
            )
            connection.executemany(
                "INSERT INTO waves (rollout, number, state) VALUES (?, ?, ?)", waves
            )
            connection.executemany(
                "INSERT INTO hosts (rollout, host, wave, place, state, wanted, before, look) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            note(connection, self.epoch, rollout, "plan", f"{len(hosts)} hosts, {len(waves)} waves")

    def state(self, rollout: str, state: Rollout, reason: str) -> None:
        ended = None if state in OPEN else time.time()
        with self.database.write(self.epoch) as connection:
            connection.execute(
                "UPDATE rollouts SET state = ?, ended = ?, "
                "reason = CASE WHEN reason = '' THEN ? ELSE reason END WHERE id = ?",
                (state.value, ended, reason, rollout),
            )
            note(connection, self.epoch, rollout, state.value, reason)

    def say(self, rollout: str, said: Said) -> None:
        """Needs no turn: whoever holds it hears of it between two steps. Raises JournalError when it is over."""
        state = self.load(rollout).state
        if state is not Rollout.RUNNING:
            raise JournalError(
                f"rollout {rollout} is {state.value}: there is nothing to {said.word.value}"
            )
        row = (rollout, said.word.value, said.who, said.why, said.wave, said.time)
        with self.database.anybody() as connection:
            connection.execute(
                "INSERT INTO said (rollout, word, who, why, wave, time) VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
            note(connection, self.epoch, rollout, said.word.value, f"{said.who}: {said.why}")

    # --- what is done to hosts

    def intend(self, rollout: str, action: str, hosts: Iterable[str]) -> None:
        """Before the act."""
        named, now = list(hosts), time.time()
        rows = [(rollout, host, action, self.epoch, now) for host in named]
        with self.database.write(self.epoch) as connection:
            connection.executemany(
                "INSERT INTO actions (rollout, host, action, epoch, intent) VALUES (?, ?, ?, ?, ?)",
                rows,
            )
            connection.executemany(
                "UPDATE hosts SET state = ? WHERE rollout = ? AND host = ?",
                [(INTENTS[action].value, rollout, host) for host in named],
            )
            note(connection, self.epoch, rollout, f"{action} intent", ", ".join(named))

    def done(self, rollout: str, action: str, outcomes: Mapping[str, tuple[Host, str]]) -> None:
        """After it: the state that each host is in now, and what went wrong there."""
        now = time.time()
        with self.database.write(self.epoch) as connection:
            connection.executemany(
                "UPDATE actions SET done = ?, result = ? "
                "WHERE rollout = ? AND host = ? AND action = ? AND done IS NULL",
                [(now, text or "ok", rollout, h, action) for h, (_, text) in outcomes.items()],
            )
            connection.executemany(
                "UPDATE hosts SET state = ?, failure = ? WHERE rollout = ? AND host = ?",
                [(state.value, text, rollout, h) for h, (state, text) in outcomes.items()],
            )
            told = "; ".join(
                f"{host}: {state.value}{f' ({text})' if text else ''}"
                for host, (state, text) in outcomes.items()
            )
            note(connection, self.epoch, rollout, f"{action} done", told)

    def due(self, rollout: str, deadlines: Mapping[str, float | None]) -> None:
        """By when (seconds since 1970) hosts go back by themselves; None for those that are on trial no more."""
        with self.database.write(self.epoch) as connection:
            connection.executemany(
                "UPDATE hosts SET back_by = ? WHERE rollout = ? AND host = ?",
                [(when, rollout, host) for host, when in deadlines.items()],
            )

    def tickets(self, rollout: str, tickets: Mapping[str, Mapping[str, Any] | None]) -> None:
        """By what each host is told to keep a policy that it has under a lease."""
        with self.database.write(self.epoch) as connection:
            connection.executemany(
                "UPDATE hosts SET ticket = ? WHERE rollout = ? AND host = ?",
                [(json.dumps(ticket), rollout, host) for host, ticket in tickets.items()],
            )

    def found(self, rollout: str, hosts: Mapping[str, tuple[Host, str]]) -> None:
        """What hosts say of themselves after another controller was lost."""
        with self.database.write(self.epoch) as connection:
            connection.executemany(
                "UPDATE hosts SET state = ?, failure = ? WHERE rollout = ? AND host = ?",
                [(state.value, text, rollout, host) for host, (state, text) in hosts.items()],
            )
            told = "; ".join(f"{host}: {state.value}" for host, (state, _) in hosts.items())
            note(connection, self.epoch, rollout, "found", told)

    def retry(self, rollout: str, hosts: Mapping[str, str]) -> None:
        """They went back because the controller was gone; that says nothing against what is rolled out."""
        with self.database.write(self.epoch) as connection:
            connection.executemany(
                "UPDATE hosts SET state = ?, retries = retries + 1 WHERE rollout = ? AND host = ?",
                [(Host.PLANNED.value, rollout, host) for host in hosts],
            )
            told = "; ".join(f"{host}: {cause}" for host, cause in hosts.items())
            note(connection, self.epoch, rollout, "controller loss", told)

    # --- waves

    def share(self, rollout: str, number: int, percent: int, seconds: int) -> None:
        """Before the staged policies of a wave are given a share of the new flows."""
        with self.database.write(self.epoch) as connection:
            told = f"{percent} % of the new flows, for {seconds} s at most"
            note(connection, self.epoch, rollout, f"share in wave {number}", told)

    def wave(self, rollout: str, number: int, state: Wave) -> None:
        with self.database.write(self.epoch) as connection:
            connection.execute(
                "UPDATE waves SET state = ? WHERE rollout = ? AND number = ?",
                (state.value, rollout, number),
            )
            note(connection, self.epoch, rollout, f"wave {number}", state.value)

    def verdict(
        self, rollout: str, number: int, document: Mapping[str, Any], *, counted: bool = True
    ) -> None:
        """`counted`: whether it is one of those that a bake may be extended by."""
        outcome = str(document["outcome"])
        with self.database.write(self.epoch) as connection:
            connection.execute(
                "UPDATE waves SET looks = looks + ? WHERE rollout = ? AND number = ?",
                (int(counted), rollout, number),
            )
            connection.execute(
                "INSERT INTO verdicts (rollout, wave, look, outcome, document, time) VALUES (?, ?, "
                "(SELECT looks FROM waves WHERE rollout = ? AND number = ?), ?, ?, ?)",
                (rollout, number, rollout, number, outcome, json.dumps(document), time.time()),
            )
            note(connection, self.epoch, rollout, f"verdict on wave {number}", outcome)


def _host(row: sqlite3.Row) -> HostRow:
    return HostRow(
        row["host"],
        row["wave"],
        Host(row["state"]),
        row["wanted"],
        row["before"],
        json.loads(row["look"]),
        row["failure"],
        row["retries"],
        row["back_by"],
        json.loads(row["ticket"] or "null"),
    )
