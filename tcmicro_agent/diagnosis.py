"""What is wrong with an installed agent, and what to do about each of it: judged from facts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

OK, WARN, FAIL = "ok", "warn", "fail"
NEARLY_FULL, FULL = 0.8, 0.97
RESTARTS = 3
EARLIEST = 1767225600  # 2026-01-01: a clock that says less was never set
LOG = "journalctl -u tcmicro-agent -n 50"


@dataclass(frozen=True)
class Finding:
    """One line of the answer; `hint` says what to do where the level is not ok."""

    check: str
    level: str
    found: str
    hint: str = ""


@dataclass(frozen=True)
class Facts:
    """What was seen. None: nobody could say, which is no fault."""

    status: Mapping[str, Any]  # the Status document
    unit: Mapping[str, str] | None = None  # systemctl show tcmicro-agent.service
    release_pending: Mapping[str, Any] | None = None  # as in Transactions
    pressure: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # map: entries, room
    events: Mapping[str, int] = field(default_factory=dict)  # sent, summed, unsummed
    failsafe: int = 0  # entries in the kernel
    failsafe_wanted: int = 0  # as configured
    keys: Sequence[str] = ()
    allow_unsigned: bool = False
    floor: int = 0
    wall_s: float = 0
    synchronised: bool | None = None
    log: Sequence[str] | None = None  # errors of the last hour


def judge(facts: Facts) -> list[Finding]:
    """In a fixed order: what enforces, what is enforced, what may run out, what is around it."""
    return [
        *_service(facts),
        *_datapath(facts),
        *_policy(facts),
        *_room(facts),
        *_trust(facts),
        *_surroundings(facts),
    ]


def healthy(findings: Sequence[Finding]) -> bool:
    """A warning is something to know, not something that is wrong."""
    return all(finding.level != FAIL for finding in findings)


def _service(facts: Facts) -> Iterator[Finding]:
    agent, unit = facts.status["agent"], facts.unit
    if agent["running"]:
        yield Finding("agent", OK, f"running, pid {agent['pid']}")
        if agent["release"] != facts.status["release"]:
            text = f"release {agent['release']} runs, {facts.status['release']} is installed"
            yield Finding("release", WARN, text, "systemctl restart tcmicro-agent")
    else:
        text = "not running: the kernel enforces what it holds; nothing new is followed"
        yield Finding("agent", FAIL, text, f"systemctl start tcmicro-agent; why: {LOG}")
    if unit is None:
        yield Finding("service", OK, "not known: no systemd here")
    elif unit.get("LoadState") != "loaded":
        text = f"tcmicro-agent.service is {unit.get('LoadState', 'unknown')}"
        yield Finding("service", FAIL, text, "ansible-playbook playbooks/deploy.yml")
    else:
        yield _unit(unit)


def _unit(unit: Mapping[str, str]) -> Finding:
    state, restarts = unit.get("ActiveState", ""), int(unit.get("NRestarts") or 0)
    if unit.get("UnitFileState") != "enabled":
        hint = "systemctl enable tcmicro-agent"
        return Finding("service", FAIL, f"{state}, does not start at boot", hint)
    if state != "active":
        return Finding("service", FAIL, state, f"systemctl restart tcmicro-agent; why: {LOG}")
    if restarts >= RESTARTS:
        return Finding("service", WARN, f"active, restarted {restarts} times", f"why: {LOG}")
    return Finding("service", OK, f"active, restarted {restarts} times")


def _datapath(facts: Facts) -> Iterator[Finding]:
    datapath, drift = facts.status["datapath"], list(facts.status["drift"])
    if not datapath["loaded"]:
        text = "not loaded: nothing is enforced"
        yield Finding("datapath", FAIL, text, "systemctl restart tcmicro-agent")
        return
    names = [interface["name"] for interface in datapath["interfaces"]]
    if names:
        yield Finding("datapath", OK, f"{datapath['hook']} on {', '.join(names)}")
    else:
        hint = "name them in interfaces of /etc/tcmicro/agent.json; why not: tc-micro interfaces"
        yield Finding("datapath", FAIL, "no interface is guarded", hint)
    problem = facts.status["agent"]["enforcing_problem"]
    if problem:
        hint = "the table of reasons in docs/metrics.md"
        yield Finding("enforcing", FAIL, f"no: {problem}", hint)
    for link in datapath["unguarded"]:
        hint = "if its packets matter: interfaces in /etc/tcmicro/agent.json"
        yield Finding("interface", WARN, f"{link['name']} is not guarded: {link['reason']}", hint)
    for text in drift:
        local = text.startswith("local rule") and "should have" not in text
        hint = (
            "tc-micro policy list --local" if local else f"the agent repairs it; if it stays: {LOG}"
        )
        yield Finding("drift", WARN if local else FAIL, text, hint)
    if not drift:
        yield Finding("drift", OK, "none")


def _policy(facts: Facts) -> Iterator[Finding]:
    policy, pending = facts.status["policy"], facts.status["transaction"]
    if policy["state"] == "none":
        hint = "ansible-playbook playbooks/policy.yml"
        yield Finding("policy", WARN, "none: nothing is enforced", hint)
    elif not policy["rules"] and policy["state"] == "committed" and not policy["digest"]:
        yield Finding("policy", FAIL, "its bundle is not kept here", "apply the policy again")
    else:
        text = f"generation {policy['generation']}, {policy['mode']}, {policy['state']}"
        yield Finding("policy", OK, text)
    if pending and pending["state"] == "pending":
        text = f"{pending['id']}: generation {pending['generation']}, {pending['deadline_in_s']} s left"
        hint = "tc-micro policy confirm ID --token T, or: tc-micro policy revert"
        yield Finding("transaction", WARN, text, hint)
    else:
        yield Finding("transaction", OK, "nothing waits to be confirmed")
    release = facts.release_pending
    if release and release["state"] in ("pending", "reverting"):
        text = f"{release['version']} is {release['state']}, {release['deadline_in_s']} s left"
        hint = "the rollout that began it confirms it, or the guard takes it back"
        yield Finding("release", WARN, text, hint)
    yield _failsafe(facts)


def _failsafe(facts: Facts) -> Finding:
    if facts.failsafe < facts.failsafe_wanted:
        text = f"{facts.failsafe} of {facts.failsafe_wanted} configured entries are in the kernel"
        return Finding("failsafe", FAIL, text, "systemctl reload tcmicro-agent")
    if not facts.failsafe:
        hint = "tcmicro_agent_failsafe in the inventory: ssh from where you administer"
        return Finding("failsafe", WARN, "empty: a wrong policy can lock you out for good", hint)
    return Finding("failsafe", OK, f"{facts.failsafe} entries")


def _room(facts: Facts) -> Iterator[Finding]:
    tight = {
        name: (n, room) for name, (n, room) in facts.pressure.items() if n > NEARLY_FULL * room
    }
    for name, (entries, room) in tight.items():
        level = FAIL if entries > FULL * room else WARN
        setting = "policy.hosts or policy.rules"
        if name.endswith(("_half4", "_half6", "_tcp4", "_tcp6", "_other4", "_other6")):
            setting = "sessions.capacity"
        hint = f"raise {setting} in /etc/tcmicro/agent.json and restart the agent"
        yield Finding("room", level, f"{name}: {entries} of {room} entries", hint)
    if facts.pressure and not tight:
        fullest = max(entries / room for entries, room in facts.pressure.values())
        yield Finding("room", OK, f"the fullest map is {fullest:.0%} full")
    lost = facts.events.get("unsummed", 0)
    if lost:
        hint = (
            "raise events.rate, or have fewer reasons told: events.reasons; counters are complete"
        )
        yield Finding("events", WARN, f"{lost} decisions were neither sent nor summed", hint)
    elif facts.events:
        text = f"{facts.events['sent']} sent, {facts.events['summed']} summed, none lost"
        yield Finding("events", OK, text)
    flood = facts.status["syn_flood"]
    if flood and (flood["listeners"] or flood["sources"]):
        text = f"{flood['listeners']} ports and {flood['sources']} source networks over their limit"
        yield Finding("SYN flood", WARN, text, "tc-micro top; tc-micro event sums")


def _trust(facts: Facts) -> Iterator[Finding]:
    if facts.allow_unsigned:
        text = "policies need no signature here (allow_unsigned)"
        yield Finding("signatures", WARN, text, "sign them: docs/signing.md")
    elif not facts.keys:
        text = "no key in /etc/tcmicro/keys/policy: every policy is refused"
        yield Finding("signatures", FAIL, text, "ansible-playbook playbooks/deploy.yml")
    else:
        text = f"by {', '.join(facts.keys)}; nothing older than serial {facts.floor}"
        yield Finding("signatures", OK, text)


def _surroundings(facts: Facts) -> Iterator[Finding]:
    now = datetime.fromtimestamp(facts.wall_s, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    if facts.wall_s < EARLIEST:
        hint = "set it: rules with times and signatures depend on it; deadlines do not"
        yield Finding("clock", FAIL, now, hint)
    elif facts.synchronised is False:
        hint = "systemctl enable --now systemd-timesyncd, or chrony"
        yield Finding("clock", WARN, f"{now}, not synchronised", hint)
    else:
        how = "synchronised" if facts.synchronised else "nobody says whether it is synchronised"
        yield Finding("clock", OK, f"{now}, {how}")
    if facts.log:
        for line in facts.log:
            yield Finding("log", WARN, line, LOG)
    else:
        text = (
            "no errors in the last hour" if facts.log is not None else "not known: no journal here"
        )
        yield Finding("log", OK, text)
