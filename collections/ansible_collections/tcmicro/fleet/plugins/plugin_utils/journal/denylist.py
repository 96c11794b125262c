# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests that failed a gate. They are refused for the whole fleet until somebody allows one by its name."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.database import note
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import Journal
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import JournalError


def deny(journal: Journal, rollout: str, digests: Iterable[str], reason: str) -> None:
    """Remember digests whose verdict was fail; not for an error, nor when a controller was lost."""
    record = journal.load(rollout)
    rows = [(d, record.kind, record.subject, rollout, reason, time.time()) for d in digests]
    with journal.database.write(journal.epoch) as connection:
        connection.executemany("INSERT OR REPLACE INTO denied VALUES (?, ?, ?, ?, ?, ?)", rows)
        note(connection, journal.epoch, rollout, "deny", ", ".join(row[0] for row in rows))


def refuse(journal: Journal, digests: Mapping[str, str], allowed: str) -> None:
    """Raises JournalError when one of the digests (by what it is for) is denied, but for the one that is `allowed`."""
    rows = journal.database.connection.execute("SELECT * FROM denied").fetchall()
    denied = {row["digest"]: row for row in rows}
    for name, digest in digests.items():
        row = denied.get(digest)
        if row is None or digest == allowed:
            continue
        raise JournalError(
            f"{name} (digest {digest}) failed before, in rollout {row['rollout']}: {row['reason']}; nothing was changed. "
            f"Roll out something else, or try it once more: -e allow_denied={digest}"
        )


def lift(journal: Journal, rollout: str, digest: str) -> None:
    """Somebody has said that it may be tried again."""
    with journal.database.write(journal.epoch) as connection:
        connection.execute("DELETE FROM denied WHERE digest = ?", (digest,))
        note(connection, journal.epoch, rollout, "allow", digest)


def forgive(journal: Journal, rollout: str) -> None:
    """What a rollout denied is not denied any more: it was made to fail."""
    with journal.database.write(journal.epoch) as connection:
        connection.execute("DELETE FROM denied WHERE rollout = ?", (rollout,))
        note(connection, journal.epoch, rollout, "allow", "it was a drill")
