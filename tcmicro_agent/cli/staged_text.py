"""The documents about a staged policy as text."""

from __future__ import annotations

from typing import Any

from tcmicro_agent.cli.table import table


def status_line(staged: dict[str, Any] | None) -> str:
    if staged is None:
        return "nothing"
    share = f", judges {staged['share']} % of new flows for {staged['share_left_s']} s"
    return (
        f"generation {staged['generation']} ({staged['digest'][:12]}), {staged['mode']}"
        f"{share if staged['share'] else ''}; {_compared(staged)}"
    )


def stage(doc: dict[str, Any]) -> str:
    lines = [f"  {op}" for op in doc.get("ops", [])]
    share = f"judges {doc['share']} % of the new flows for {doc['share_left_s']} s"
    lines.append(
        f"generation {doc['generation']} ({doc['digest'][:12]}) is staged: "
        f"it {share if doc['share'] else 'only compares'}"
    )
    return "\n".join(lines)


def unstage(doc: dict[str, Any]) -> str:
    if not doc["changed"]:
        return "nothing was staged: nothing to do"
    return f"generation {doc['generation']} ({doc['digest'][:12]}) is staged no more"


def differences(doc: dict[str, Any]) -> str:
    rows = [
        (
            d["direction"],
            f"{d['protocol']}/{d['port']}" if d["port"] else d["protocol"],
            d["peer"],
            *(cell for side in ("live", "staged") for cell in _decision(d[side])),
            d["flows"],
            d["bytes"],
        )
        for d in doc["differences"]
    ]
    header = ("DIRECTION", "SERVICE", "PEER", "LIVE", "BY", "STAGED", "BY", "FLOWS", "BYTES")
    return (
        f"{table(header, rows)}\n{len(rows)} of {doc['total']} kinds of flow\n"
        f"{_compared(doc['staged'])}"
    )


def _compared(staged: dict[str, Any]) -> str:
    """The sums over both directions."""
    if staged["comparisons"] is None:
        return "nothing is compared yet"
    both = [
        sum(counts[name] for counts in staged["comparisons"].values())
        for name in ("agree_allow", "agree_deny", "allow_to_deny", "deny_to_allow")
    ]
    return (
        f"of {sum(both)} new flows it allows {both[0]} and refuses {both[1]} as generation "
        f"{staged['against']} does, refuses {both[2]} and allows {both[3]} that it does not"
    )


def _decision(side: dict[str, str]) -> tuple[str, str]:
    source = f" ({side['source']})" if side["source"] else ""
    return side["verdict"], f"{side['rule'] or 'a rule of another generation'}{source}"
