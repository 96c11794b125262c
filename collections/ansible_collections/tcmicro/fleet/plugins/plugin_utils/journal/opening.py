# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a rollout begins: anew, or where another controller left it; never two in one journal at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.course import POLICY_BEFORE
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import Journal
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import (
    JournalError,
    Rollout,
)

FALSE = ("", "false", "no", "0", "none")
NOTHING = "nothing, it was taken back before it began"
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def open_rollout(
    journal: Journal, where: Mapping[str, Any], request: Mapping[str, Any], name: str
) -> dict[str, Any]:
    """`where`: rollout, rollout_as, abandon, allow_denied, stop_after as given; `name`: the id of a new rollout."""
    allowed = {
        "allow_denied": str(where.get("allow_denied") or ""),
        "stop_after": last_wave(where.get("stop_after")),
    }
    own = own_id(where)
    begun = bool(own) and journal.knows(own)
    if where.get("rollout") or begun:
        record = journal.load(str(where.get("rollout") or own))
        if begun:
            _refuse_other(record.id, (record.kind, record.subject), asked(request))
        known = {"id": record.id, **named(record.kind, record.subject)}
        hint = f"going on with rollout {record.id} ({record.kind} {record.subject})"
        return {**known, "resume": True, **allowed, "hint": hint}
    kind, subject = asked(request)
    name = own or name
    _refuse_second(journal, str(where.get("abandon") or ""))
    hint = f"rollout {name}; should this controller be lost, go on with -e rollout={name}"
    known = {"id": name, **named(kind, subject)}
    return {**known, "resume": False, **allowed, "hint": hint}


def open_back(
    journal: Journal, where: Mapping[str, Any], request: Mapping[str, Any], name: str
) -> dict[str, Any]:
    """A rollout to take back; one that no journal knows any more is taken back by what hosts have recorded themselves.
    `rollout_as` takes back what its owner began, and nobody else's."""
    if own := own_id(where):
        return _open_own(journal, own)
    rollout, lost = str(where.get("rollout") or ""), not journal.recent(1)
    policy, release = is_yes(request.get("policy")), str(request.get("release") or "")
    if policy and (release or rollout):
        raise JournalError(
            "policy: what is taken back is a rollout, or a release, or the policies by each host's own record; name one of "
            "-e rollout=ID, -e release=0.1.0, -e policy=true; nothing was changed"
        )
    if rollout and not lost:
        return _known_back(journal, rollout)
    for row in journal.unfinished():
        journal.state(row["id"], Rollout.ABANDONED, f"hosts were taken back by {name}")
    hint = f"taking back as rollout {name}, each host by its own record"
    if rollout:
        hint += f"; the journal is empty and knows nothing of rollout {rollout}"
    subject = POLICY_BEFORE if policy else release or "the release before"
    kind = "policy" if policy else "release"
    return {"id": name, **named(kind, subject), "new": True, "asked": True, "hint": hint}


def _known_back(journal: Journal, rollout: str) -> dict[str, Any]:
    record = journal.load(rollout)
    return {
        "id": record.id,
        **named(record.kind, record.subject),
        "new": False,
        "asked": True,
        "hint": f"taking back rollout {record.id} ({record.kind} {record.subject})",
    }


def _open_own(journal: Journal, own: str) -> dict[str, Any]:
    """What was never begun is written down as taken back, so that whoever is late with it begins nothing."""
    known = journal.knows(own)
    if not known:
        journal.begin(own, "release", NOTHING, {})
        journal.plan(own, {"waves": []}, [])
    opened = _known_back(journal, own)
    return opened if known else {**opened, "hint": f"nothing was begun as rollout {own}"}


def own_id(where: Mapping[str, Any]) -> str:
    """The id that the caller gives a rollout, "" for none. It names a folder, too."""
    if where.get("rollout") and where.get("rollout_as"):
        raise JournalError("rollout, rollout_as: both are given, allowed is one of them")
    own = str(where.get("rollout_as") or "")
    if own and not ID.fullmatch(own):
        raise JournalError(
            f"rollout_as: {own!r} is not allowed; allowed are up to 64 letters, digits and . _ -, beginning with a "
            "letter or digit"
        )
    return own


def last_wave(value: Any) -> int:
    """The wave after which this run ends, 0 for none."""
    text = str(value if value is not None else "").strip()
    if text in ("", "0"):
        return 0
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()):
        raise JournalError(f"stop_after: {value!r} is not allowed; allowed is the number of a wave")
    return int(text)


def _refuse_other(rollout: str, has: tuple[str, str], wanted: tuple[str, str]) -> None:
    """An id is one rollout for good. The digest of policies is known later only, so those are compared by kind."""
    if has[0] != wanted[0] or (has[0] == "release" and has[1] != wanted[1]):
        raise JournalError(
            f"rollout_as: rollout {rollout} is {' '.join(has)}, not {' '.join(wanted).strip()}; nothing was changed. "
            "Ask for what it is, or give another id"
        )


RESULTS = {"release": "tcmicro_agent_installed", "policy": "tcmicro_policy_change"}
KEPT = {"release": "tcmicro_kept", "policy": "tcmicro_policy_kept"}


def named(kind: str, subject: str) -> dict[str, str]:
    """`result`, `kept`: the variables in which a host has the result of its change, and of being told to keep it."""
    return {"kind": kind, "subject": subject, "result": RESULTS[kind], "kept": KEPT[kind]}


def is_yes(value: Any) -> bool:
    return str(value or "").lower() not in FALSE


def asked(request: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and release that were asked for; exactly one of both kinds."""
    release = request.get("release")
    policy = is_yes(request.get("policy"))
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
