"""How this host is, for eyes: status, the last changes, counters, fitness."""

from __future__ import annotations

from typing import Any

from tcmicro_agent.cli import samples, staged_text
from tcmicro_agent.cli.table import table


def status(doc: dict[str, Any]) -> str:
    policy, datapath, agent = doc["policy"], doc["datapath"], doc["agent"]
    interfaces = ", ".join(
        f"{i['name']} ({'ok' if i['ingress'] and i['egress'] else 'NOT ATTACHED'})"
        for i in datapath["interfaces"]
    )
    rows = [
        ("release", doc["release"]),
        ("agent", _agent_line(agent)),
        ("datapath", f"{datapath['hook']} on {interfaces}" if datapath["loaded"] else "NOT LOADED"),
        *(("not guarded", f"{i['name']}: {i['reason']}") for i in datapath["unguarded"]),
        ("policy", _policy_line(policy)),
        ("staged", staged_text.status_line(policy["staged"])),
        ("transaction", _transaction_line(doc["transaction"])),
        ("sessions", doc["sessions"]),
        ("SYN flood", _flood_line(doc["syn_flood"])),
        *(
            (name, f"{c['allowed']} allowed, {c['denied']} denied, {c['audited']} would be denied")
            for name, c in doc["counters"].items()
        ),
        ("drift", "; ".join(doc["drift"]) or "none"),
    ]
    shown = "\n".join(f"{name:<12} {value}" for name, value in rows)
    return f"{shown}\n\n{samples.text(doc['samples'])}" if "samples" in doc else shown


def _agent_line(agent: dict[str, Any]) -> str:
    if not agent["running"]:
        return "NOT RUNNING"
    problem = agent["enforcing_problem"]
    return f"running, pid {agent['pid']}{', NOT ENFORCING: ' + problem if problem else ''}"


def _policy_line(policy: dict[str, Any]) -> str:
    if policy["state"] == "none":
        return "none: nothing is enforced"
    monitoring = ", ".join(policy["monitoring"])
    mode = f"{policy['mode']} (monitor: {monitoring})" if monitoring else policy["mode"]
    return (
        f"generation {policy['generation']} ({policy['digest'][:12]}), {policy['rules']} rules, "
        f"{mode}, {policy['state']}"
    )


def _transaction_line(transaction: dict[str, Any] | None) -> str:
    if transaction is None:
        return "none"
    left = transaction["deadline_in_s"]
    waiting = f", {left} s left" if left is not None else ""
    return f"{transaction['id']}: generation {transaction['generation']} {transaction['state']}{waiting}"


def transactions(doc: dict[str, Any]) -> str:
    release = doc["release"]
    if release is None:
        return f"policy   {_transaction_line(doc['policy'])}\nrelease  none"
    left = release["deadline_in_s"]
    waiting = f", {left} s left" if left is not None else ""
    cause = f" ({release['cause']})" if release["cause"] else ""
    line = f"{release['id']}: {release['previous']} to {release['version']} {release['state']}{cause}{waiting}"
    return f"policy   {_transaction_line(doc['policy'])}\nrelease  {line}"


def stats(doc: dict[str, Any]) -> str:
    rates = any("packets_per_s" in c for c in doc["counters"])
    rows = [
        (
            c["direction"],
            c["reason"],
            c["verdict"] + (f" ({c['bank']})" if c["bank"] != "enforced" else ""),
            c["packets"],
            *((c["packets_per_s"],) if rates else ()),
            c["bytes"],
        )
        for c in doc["counters"]
    ]
    header = ("DIRECTION", "REASON", "VERDICT", "PACKETS", *(("/S",) if rates else ()), "BYTES")
    events = doc["events"]
    return (
        f"{table(header, rows)}\n"
        f"events: {events['sent']} sent, {events['summed']} summed, {events['unsummed']} unsummed\n"
        f"SYN flood: {_flood_line(doc['syn_flood'])}"
    )


def _flood_line(flood: dict[str, Any] | None) -> str:
    if not flood or not (flood["listeners"] or flood["sources"]):
        return "none"
    ports = ", ".join(str(listener["port"]) for listener in flood["listener"])
    return f"{flood['listeners']} ports ({ports or '-'}), {flood['sources']} source networks"


def preflight(doc: dict[str, Any]) -> str:
    rows = [(f["level"], f["check"], f["found"], f["needed"], f["hint"]) for f in doc["findings"]]
    verdict = "this host is fit" if doc["ok"] else "this host is NOT fit"
    return f"{table(('LEVEL', 'CHECK', 'FOUND', 'NEEDED', 'WHAT TO DO'), rows)}\n{verdict}"


def done(doc: dict[str, Any]) -> str:
    return "\n".join(doc["done"]) or "nothing to do"
