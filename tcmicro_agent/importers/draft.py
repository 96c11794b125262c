"""Policies that an import makes, as YAML; and what it could not carry over, each with its place and its effect."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from tcmicro_agent.policy.intent import Tier
from tcmicro_agent.policy.model import Action, Direction, Mode, Network, Protocol, Service

PEER_FIELDS = {Direction.INGRESS: "from", Direction.EGRESS: "to"}
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
WORDS = ("true", "false", "null", "yes", "no", "on", "off")
MAX_NAME = 63
WIDTH = 120
REJECTED = "what was rejected is now dropped: who sends it gets no answer"
LOGGED = "logging is not carried; tc-micro event tells what is refused"


class Effect(Enum):
    """What the policy does otherwise than the original, where something is left out."""

    WIDER = "may allow what was refused"
    NARROWER = "may refuse what was allowed"
    EITHER = "may allow what was refused, and refuse what was allowed"
    NONE = "no packet is judged otherwise"


@dataclass(frozen=True)
class LeftOut:
    where: str
    what: str
    why: str
    effect: Effect

    def __str__(self) -> str:
        return f"{self.where}: {self.what}: {self.why}; {self.effect.value}"


@dataclass
class Report:
    """What could not be carried over, and what is worth knowing although everything was."""

    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, where: str, what: str, why: str, effect: Effect) -> None:
        found = LeftOut(where, what, why, effect)
        if found not in self.left_out:
            self.left_out.append(found)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


@dataclass(frozen=True)
class Hosts:
    """Of the inventory; what is empty selects all."""

    groups: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Nets:
    networks: tuple[Network, ...]
    excluded: tuple[Network, ...] = ()


@dataclass(frozen=True)
class DraftRule:
    """`peers` empty: everybody. `origin`: where it comes from, for people."""

    id: str
    direction: Direction
    action: Action
    peers: tuple[Hosts | Nets, ...]
    services: tuple[Service, ...]
    origin: str


@dataclass(frozen=True)
class DraftPolicy:
    name: str
    tier: Tier
    subjects: Hosts
    ingress: Action
    egress: Action
    forward: Action
    rules: tuple[DraftRule, ...]
    description: str = ""


@dataclass(frozen=True)
class Import:
    """What became of one text."""

    policies: tuple[DraftPolicy, ...]
    report: Report


def name_from(text: str, fallback: str = "imported") -> str:
    """A name of ours out of one of theirs: lower-case letters, digits and inner dashes."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MAX_NAME].strip("-")
    return slug or fallback


def write(done: Import, what: str, mode: Mode) -> str:
    """The YAML text; `what` was imported. The report stands at its top as comments."""
    documents = [_policy(policy, mode) for policy in done.policies]
    return "\n".join([*_comments(done.report, what), "\n---\n".join(documents)]) + "\n"


def _comments(report: Report, what: str) -> list[str]:
    lines = [f"Imported from {what}. Read it before it is enforced."]
    lines += [f"NOT CARRIED OVER: {found}" for found in report.left_out]
    lines += [f"Note: {text}" for text in report.notes]
    return [row for line in lines for row in _wrapped(_printable(line))]


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(
        line, WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False
    )


def _policy(policy: DraftPolicy, mode: Mode) -> str:
    default = f"ingress: {policy.ingress.value}, egress: {policy.egress.value}"
    if policy.forward is Action.DENY:
        default += ", forward: deny"
    lines = ["apiVersion: tcmicro/v1", "kind: Policy", "metadata:", f"  name: {policy.name}"]
    if policy.description:
        lines.append(f"  description: {_text(policy.description)}")
    lines += [
        "spec:",
        f"  tier: {policy.tier.value}",
        f"  mode: {mode.value}",
        f"  applyTo: {_hosts(policy.subjects)}",
        f"  default: {{{default}}}",
    ]
    for direction in Direction:
        rules = [rule for rule in policy.rules if rule.direction is direction]
        lines += [f"  {direction.value}:"] if rules else []
        lines += [line for rule in rules for line in _rule(rule)]
    return "\n".join(lines)


def _rule(rule: DraftRule) -> list[str]:
    ports = ", ".join(dict.fromkeys(service_text(service) for service in rule.services))
    peers = [_peer(peer) for peer in rule.peers] or ["{entity: any}"]
    return [
        f"    - id: {rule.id}",
        f"      description: {_text(_short(rule.origin))}",
        *([f"      action: {rule.action.value}"] if rule.action is Action.DENY else []),
        f"      {PEER_FIELDS[rule.direction]}:",
        *(f"        - {peer}" for peer in dict.fromkeys(peers)),
        f"      ports: [{ports}]",
    ]


def _peer(peer: Hosts | Nets) -> str:
    if isinstance(peer, Hosts):
        return _hosts(peer)
    excluded = f", except: {_list(map(str, peer.excluded))}" if peer.excluded else ""
    return f"{{cidrs: {_list(map(str, peer.networks))}{excluded}}}"


def _hosts(hosts: Hosts) -> str:
    fields = (
        [f"groups: {_list(hosts.groups or ('all',))}"] if hosts.groups or not hosts.labels else []
    )
    if hosts.labels:
        pairs = ", ".join(f"{_text(key)}: {_text(value)}" for key, value in hosts.labels)
        fields.append(f"labels: {{{pairs}}}")
    return f"{{{', '.join(fields)}}}"


def _list(words: Iterable[str]) -> str:
    return f"[{', '.join(_network(word) for word in words)}]"


def _network(word: str) -> str:
    return word if re.fullmatch(r"[0-9./]+", word) else _text(word)


def _text(word: str) -> str:
    """As YAML reads it back: quoted where it could be taken for something else."""
    if PLAIN.fullmatch(word) and word.lower() not in WORDS:
        return word
    return json.dumps(_printable(word), ensure_ascii=True)


def _short(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def service_text(service: Service) -> str:
    name = service.protocol.value
    if service.protocol in (Protocol.ANY, Protocol.ICMP):
        return name
    first, last = max(service.first, 1), service.last
    return f"{name}/{first}" if first == last else f"{name}/{first}-{last}"


def by_policy(
    base: DraftPolicy, rules: Sequence[tuple[int, DraftRule]], tiers: Sequence[Tier]
) -> tuple[DraftPolicy, ...]:
    """One policy per level of precedence that has rules; level n stands in `tiers[n]`."""
    levels = sorted({level for level, _ in rules}) or [0]
    made = []
    for level in levels:
        name = (
            base.name if len(levels) == 1 else f"{base.name[: MAX_NAME - 11]}-{tiers[level].value}"
        )
        mine = tuple(rule for at, rule in rules if at == level)
        made.append(
            DraftPolicy(
                name,
                tiers[level],
                base.subjects,
                base.ingress,
                base.egress,
                base.forward,
                mine,
                base.description,
            )
        )
    return tuple(made)
