# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a rollout begins: anew, or where another controller left it; never two in one journal at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import Journal
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import (
    JournalError,
    Rollout,
)

FALSE = ("", "false", "no", "0", "none")


def open_rollout(
    journal: Journal, where: Mapping[str, Any], request: Mapping[str, Any], name: str
) -> dict[str, Any]:
    """`where`: rollout, abandon, allow_denied as given; `name`: the id of a new rollout."""
    allowed = {"allow_denied": str(where.get("allow_denied") or "")}
    if where.get("rollout"):
        record = journal.load(str(where["rollout"]))
        known = {"id": record.id, "kind": record.kind, "subject": record.subject}
        hint = f"going on with rollout {record.id} ({record.kind} {record.subject})"
        return {**known, "resume": True, **allowed, "hint": hint}
    kind, subject = asked(request)
    _refuse_second(journal, str(where.get("abandon") or ""))
    hint = f"rollout {name}; should this controller be lost, go on with -e rollout={name}"
    known = {"id": name, "kind": kind, "subject": subject}
    return {**known, "resume": False, **allowed, "hint": hint}


def asked(request: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and release that were asked for; exactly one of both kinds."""
    release = request.get("release")
    policy = str(request.get("policy") or "").lower() not in FALSE
    if bool(release) == policy:
        raise JournalError(
            "what is to be rolled out? Name one: -e release=0.1.1, or -e policy=true for the policies of the "
            "inventory; or go on with a rollout: -e rollout=ID"
        )
    return ("policy", "") if policy else ("release", str(release))


def _refuse_second(journal: Journal, abandon: str) -> None:
    """A host has one change at a time, so a fleet has one rollout at a time."""
    for row in journal.unfinished():
        if row["id"] != abandon:
            what = f"{row['kind']} {row['subject']}"
            raise JournalError(
                f"rollout {row['id']} ({what}) has not ended; nothing was changed. Go on with it: -e rollout={row['id']}; "
                f"take its hosts back: playbooks/rollback.yml -e rollout={row['id']}; "
                f"or leave its hosts as they are: -e abandon={row['id']}"
            )
        journal.state(row["id"], Rollout.ABANDONED, "abandoned")
