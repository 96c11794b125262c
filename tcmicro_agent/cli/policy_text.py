"""Changes of the live policy, for eyes."""

from __future__ import annotations

from typing import Any


def applied(doc: dict[str, Any]) -> str:
    if not doc["changed"]:
        return (
            f"generation {doc['generation']} ({doc['digest'][:12]}) is live already: nothing to do"
        )
    lines = [f"  {op}" for op in doc["ops"]]
    pending = doc["transaction"]
    if pending:
        lines.append(
            f"generation {doc['generation']} is live for {pending['deadline_in_s']} s; to keep it: "
            f"tc-micro policy confirm {pending['id']} --token {pending['token']}"
        )
    else:
        lines.append(f"generation {doc['generation']} ({doc['digest'][:12]}): {doc['state']}")
    return "\n".join(lines)


def outcome(doc: dict[str, Any]) -> str:
    return f"generation {doc['generation']} ({doc['digest'][:12]}) rules"
