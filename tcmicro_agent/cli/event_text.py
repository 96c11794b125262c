"""Events and their sums as lines for eyes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tcmicro_agent.cli.table import columns, table

WIDTHS = (12, 7, 9, 18, 5, 24, 2, 24, 16)  # of all columns but the last
HEADER = ("TIME", "VERDICT", "DIRECTION", "REASON", "PROTO", "LOCAL", "", "REMOTE", "PEER", "RULE")
COLOURS = {"deny": 31, "audit": 33, "allow": 32}


def header() -> str:
    return columns(HEADER, WIDTHS)


def line(document: dict[str, Any], *, colours: bool) -> str:
    """One event for eyes: times are local, an audited refusal is told apart from an allowed packet."""
    verdict = "audit" if document["bank"] == "audited" else document["verdict"]
    rule = f"{document['rule']} ({document['source']})" if document["source"] else document["rule"]
    cells = (
        datetime.fromisoformat(document["time"]).astimezone().strftime("%H:%M:%S.%f")[:-3],
        verdict,
        document["direction"],
        document["reason"],
        document["protocol"],
        _end(document, "local"),
        "<-" if document["direction"] == "ingress" else "->",
        _end(document, "remote"),
        document["identity"],
        f"{rule} generation {document['generation']}".lstrip(),
    )
    text = columns(cells, WIDTHS)
    if not colours:
        return text
    start = len(columns(cells[:1], WIDTHS)) + 2
    painted = f"\033[{COLOURS[verdict]}m{verdict}\033[0m"
    return text[:start] + painted + text[start + len(verdict) :]


def _end(document: dict[str, Any], side: str) -> str:
    address, port = document[side], document[f"{side}_port"]
    if document["protocol"] == "icmp" or not port:
        return str(address)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def sums(doc: dict[str, Any]) -> str:
    rows = [
        (
            s["packets"],
            s["bytes"],
            s["verdict"] + (f" ({s['bank']})" if s["bank"] != "enforced" else ""),
            s["direction"],
            s["reason"],
            f"{s['protocol']}/{s['port']}" if s["port"] else s["protocol"],
            s["generation"],
            s["rule"],
            s["source"],
        )
        for s in doc["sums"]
    ]
    header = ("PACKETS", "BYTES", "VERDICT", "DIRECTION", "REASON", "SERVICE", "GENERATION")
    return (
        f"{table((*header, 'RULE', 'SOURCE'), rows)}\n{doc['sent']} sent, {doc['summed']} summed "
        f"({doc['forgotten']} of them forgotten), {doc['unsummed']} unsummed"
    )
