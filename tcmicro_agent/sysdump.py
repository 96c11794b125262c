"""What somebody far away needs to find a fault of this host, in one file; no secrets, and never over its bound."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tcmicro_agent import (
    census,
    decisions,
    examination,
    guard,
    listing,
    placement,
    preflight,
    report,
    service,
)
from tcmicro_agent.config import Config
from tcmicro_agent.datapath import inspection
from tcmicro_agent.errors import TcmicroError
from tcmicro_agent.parcel import Parcel
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.redaction import Redaction
from tcmicro_agent.sessions import Query
from tcmicro_agent.store import read_bytes, read_document

LOG_LINES = 5000
SERVICES = 50
NEVER = (
    (
        "private keys",
        "never read: hosts have none, and of public keys only names and digests are here",
    ),
    ("tokens of transactions", "who has one can confirm a change"),
    ("tracked flows one by one", "tc-micro session list; here they are counted"),
    ("packets", "nothing is captured"),
)
Section = Callable[[], Any]


def write(agent: Agent, path: Path, most: int, *, bundles: bool, since: str) -> dict[str, Any]:
    """Writes the archive; what is in it and what was left out. One section that fails hides no other."""
    redaction = Redaction(_secrets(agent))
    now = time.time()
    with Parcel(path, path.name.split(".")[0], most, now) as parcel:
        for name, look in _sections(agent):
            _add(parcel, redaction, name, look)
        _add_log(parcel, redaction, since)
        _add_bundles(parcel, agent, redaction, wanted=bundles)
        for what, why in NEVER:
            parcel.leave_out(what, why)
        contents = {
            "files": dict(parcel.contents.files),
            "left_out": parcel.contents.left_out,
            "redactions": redaction.count,
            "max_bytes": most,
        }
        parcel.add_last("contents.json", _json({"time": now, **contents}))
    return {"file": str(path), "bytes": path.stat().st_size, **contents}


def _sections(agent: Agent) -> Iterator[tuple[str, Section]]:
    """In the order of their use, should room run out."""
    store, kernel = agent.store, agent.kernel
    yield "status.json", lambda: report.status(agent, _config(agent))
    yield "doctor.json", lambda: examination.examine(agent)
    yield "preflight.json", _preflight
    yield "interfaces.json", lambda: placement.document(agent, _config(agent))
    yield "stats.json", lambda: listing.stats(agent)
    yield "transactions.json", lambda: _transactions(agent)
    yield "config.json", lambda: read_document(store.etc / "agent.json")
    yield "state.json", lambda: read_document(store.var / "state.json")
    yield "staged.json", lambda: read_document(store.var / "staged.json")
    yield "local.json", lambda: read_document(store.var / "local.json")
    yield "keys.json", lambda: _digests(store.etc / "keys", "**/*.pem")
    yield "bundles.json", lambda: _digests(store.var / "bundles", "*")
    yield (
        "sessions.json",
        lambda: {
            kind: census.document(agent, Query(), kind, SERVICES)
            for kind in ("state", "protocol", "port")
        },
    )
    yield "programs.json", lambda: inspection.programs(kernel.pins)
    yield "maps.json", lambda: inspection.maps(kernel.pins)
    yield "slots.json", lambda: [vars(header) for header in kernel.headers()]
    yield "kernel.json", inspection.kernel
    yield "service.json", lambda: {unit: service.state(unit) for unit in service.UNITS}
    yield "network.json", inspection.network
    yield "event-sums.json", lambda: decisions.sums(agent)
    yield "policy.json", lambda: listing.policy(agent)


def _add(parcel: Parcel, redaction: Redaction, name: str, look: Section) -> None:
    try:
        found = look()
    except (TcmicroError, guard.GuardError, OSError, ValueError) as exc:
        parcel.leave_out(name, redaction.text(str(exc)))
        return
    parcel.add(name, _json(redaction.document(json.loads(_json(found)))))


def _add_log(parcel: Parcel, redaction: Redaction, since: str) -> None:
    lines = service.journal(service.UNITS, f"--since=-{since}", most=LOG_LINES)
    if lines is None:
        parcel.leave_out("journal.txt", "there is no journal here, or it cannot be read")
        return
    parcel.add_tail("journal.txt", redaction.text("\n".join(lines) + "\n"))


def _add_bundles(parcel: Parcel, agent: Agent, redaction: Redaction, *, wanted: bool) -> None:
    """They say who may talk to whom: only where somebody asked for them."""
    if not wanted:
        parcel.leave_out("bundles", "not asked for: --bundles")
        return
    for path in sorted((agent.store.var / "bundles").glob("*.json")):
        _add(parcel, redaction, f"bundles/{path.name}", lambda path=path: read_document(path))  # type: ignore[misc]


def _transactions(agent: Agent) -> dict[str, Any]:
    now_ms = agent.clock.boot_ms()
    return {
        "policy": report.transaction(agent.transaction(), now_ms),
        "release": report.release_transaction(guard.Host().read(), now_ms),
    }


def _config(agent: Agent) -> Config:
    """That of this host, or the default where it is broken: the doctor says how."""
    try:
        return agent.store.config()
    except TcmicroError:
        return Config()


def _preflight() -> dict[str, object]:
    needs = preflight.Needs()
    return preflight.document(preflight.judge(preflight.collect_facts(needs), needs))


def _digests(directory: Path, pattern: str) -> list[dict[str, Any]]:
    """Files by name, size, time and sha256; nothing of their content."""
    return [
        {
            "name": str(path.relative_to(directory)),
            "bytes": path.stat().st_size,
            "modified": int(path.stat().st_mtime),
            "sha256": hashlib.sha256(read_bytes(path)).hexdigest(),
        }
        for path in sorted(directory.glob(pattern))
        if path.is_file()
    ]


def _secrets(agent: Agent) -> Iterator[str]:
    """Tokens that this host knows, to be found wherever they were written."""
    for path in (agent.store.var / "txn.json", guard.Host().file):
        try:
            found = read_document(path)
        except TcmicroError:
            continue
        token = found.get("token") if isinstance(found, dict) else None
        if isinstance(token, str):
            yield token


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, default=str).encode() + b"\n"
