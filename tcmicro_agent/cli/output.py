"""Documents on stdout, as JSON for machines or tables for eyes."""

from __future__ import annotations

import sys
from typing import Any

from tcmicro_agent.cli import (
    about,
    counters,
    diagnostics,
    doctor,
    event_text,
    explain,
    formats,
    imports,
    local,
    rollouts,
    samples,
    session_text,
    sessions,
    staged_text,
    sysdump,
    top,
    trace,
)
from tcmicro_agent.cli.table import table
from tcmicro_agent.errors import InputErrors, TcmicroError
from tcmicro_agent.report import document


def show(content: dict[str, Any], form: str) -> None:
    """On stdout, in one of `formats.FORMATS`."""
    if problem := content.get("signature", {}).get("problem"):
        print(f"tc-micro: allowed though not signed as it should be: {problem}", file=sys.stderr)
    print(TEXT[content["kind"]](content) if form == "table" else formats.text(content, form))


def show_error(error: TcmicroError, form: str) -> None:
    print(f"tc-micro: {error}", file=sys.stderr)
    if form != "table":
        problems = error.problems if isinstance(error, InputErrors) else []
        body = {
            "type": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "problems": problems,
        }
        print(formats.text(document("Error", error=body), form))


def _status(doc: dict[str, Any]) -> str:
    policy, datapath, agent = doc["policy"], doc["datapath"], doc["agent"]
    interfaces = ", ".join(
        f"{i['name']} ({'ok' if i['ingress'] and i['egress'] else 'NOT ATTACHED'})"
        for i in datapath["interfaces"]
    )
    rows = [
        ("release", doc["release"]),
        ("agent", f"running, pid {agent['pid']}" if agent["running"] else "NOT RUNNING"),
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
    return "\n".join(f"{name:<12} {value}" for name, value in rows)


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


def _transactions(doc: dict[str, Any]) -> str:
    release = doc["release"]
    if release is None:
        return f"policy   {_transaction_line(doc['policy'])}\nrelease  none"
    left = release["deadline_in_s"]
    waiting = f", {left} s left" if left is not None else ""
    cause = f" ({release['cause']})" if release["cause"] else ""
    line = f"{release['id']}: {release['previous']} to {release['version']} {release['state']}{cause}{waiting}"
    return f"policy   {_transaction_line(doc['policy'])}\nrelease  {line}"


def _policy_list(doc: dict[str, Any]) -> str:
    rows = [
        (
            r["direction"],
            r["action"],
            ",".join(r["peers"]),
            ",".join(r["services"]),
            r["hits"],
            r["rule"],
            r["source"],
        )
        for r in doc["rules"]
    ]
    rules = table(("DIRECTION", "ACTION", "PEERS", "SERVICES", "HITS", "RULE", "SOURCE"), rows)
    if not doc["local"]:
        return rules
    return f"{local.list_text(doc['local'])}\n\n{rules}" if rows else local.list_text(doc["local"])


def _stats(doc: dict[str, Any]) -> str:
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


def _apply(doc: dict[str, Any]) -> str:
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


def _outcome(doc: dict[str, Any]) -> str:
    return f"generation {doc['generation']} ({doc['digest'][:12]}) rules"


def _preflight(doc: dict[str, Any]) -> str:
    rows = [(f["level"], f["check"], f["found"], f["needed"], f["hint"]) for f in doc["findings"]]
    verdict = "this host is fit" if doc["ok"] else "this host is NOT fit"
    return f"{table(('LEVEL', 'CHECK', 'FOUND', 'NEEDED', 'WHAT TO DO'), rows)}\n{verdict}"


def _done(doc: dict[str, Any]) -> str:
    return "\n".join(doc["done"]) or "nothing to do"


TEXT = {
    "Status": _status,
    "Explanation": explain.text,
    "PolicyList": _policy_list,
    "Sessions": session_text.text,
    "Stats": _stats,
    "Samples": samples.text,
    "EventSums": event_text.sums,
    "PolicyApply": _apply,
    "PolicyStage": staged_text.stage,
    "PolicyShare": staged_text.stage,
    "PolicyUnstage": staged_text.unstage,
    "PolicyPromote": _apply,
    "PolicyDifferences": staged_text.differences,
    "PolicyValidation": diagnostics.text,
    "PolicyFormat": diagnostics.formatted,
    "PolicyAdd": local.added_text,
    "PolicyDelete": local.deleted_text,
    "PolicyImport": imports.text,
    "PolicyConfirm": _outcome,
    "PolicyRevert": _outcome,
    "Preflight": _preflight,
    "Transactions": _transactions,
    "Detach": _done,
    "Restore": _done,
    "Failsafe": _done,
    "SessionFlush": _done,
    "SessionCount": sessions.count_text,
    "SessionKill": sessions.kill_text,
    "RuleHits": counters.hits_text,
    "Interfaces": about.interfaces_text,
    "Version": about.version_text,
    "Doctor": doctor.text,
    "Top": top.text,
    "Sysdump": sysdump.text,
    "TraceLatency": trace.latency_text,
    "TraceDrops": trace.drops_text,
    "RolloutList": rollouts.list_text,
    "RolloutRecord": rollouts.record_text,
    "RolloutReport": rollouts.report_text,
    "RolloutSaid": rollouts.said_text,
}
