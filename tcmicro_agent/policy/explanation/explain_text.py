"""Explanations in words and as documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tcmicro_agent.policy.difference.diff_document import cause_document
from tcmicro_agent.policy.explanation.answers import (
    Answer,
    EndAnswer,
    Explanation,
    Outcome,
    Question,
)
from tcmicro_agent.policy.explanation.crews import Crew
from tcmicro_agent.policy.explanation.misses import PING, Miss
from tcmicro_agent.policy.model import Direction, Mode, Protocol, Service
from tcmicro_agent.policy.reach.naming import Naming
from tcmicro_agent.policy.reach.spans import service_text

SHOWN_MISSES = 3


def text(found: Explanation, naming: Naming) -> str:
    return "\n".join(
        line for answer in found.answers for line in _answer(answer, found.question, naming)
    )


def service_asked(service: Service) -> str:
    """As policies write it; a question about ICMP is about ping."""
    return PING if service.protocol is Protocol.ICMP else service_text(service)


def _answer(answer: Answer, question: Question, naming: Naming) -> Iterator[str]:
    ends = [_who(crew, naming) for crew in (answer.sources, answer.targets)]
    service = service_asked(question.service)
    yield f"{_word(answer.outcome)}  {ends[0]} -> {ends[1]} {service}{_addresses(answer)}"
    if not answer.ends:
        yield f"  {answer.note}"
        return
    yield from _ends(answer)
    for end in answer.ends:
        yield from _advice(end, question.service)


def _ends(answer: Answer) -> Iterator[str]:
    """A line for each end: whose it is, what it decides and why."""
    by_direction = {end.direction: end for end in answer.ends}
    names = {Direction.EGRESS: answer.sources, Direction.INGRESS: answer.targets}
    cells = [
        (
            direction.value,
            found.host if (found := by_direction.get(direction)) else str(crew.addresses[0]),
            _end_word(found),
            _why(found),
        )
        for direction, crew in names.items()
    ]
    yield from (f"  {line}" for line in aligned(cells))


def _end_word(end: EndAnswer | None) -> str:
    if end is None:
        return "not ours"
    if end.cause.allows:
        return "ALLOWED"
    return "DENIED" if end.cause.mode is Mode.PROTECT else "WOULD BE DENIED (monitor)"


def _why(end: EndAnswer | None) -> str:
    """What decides, and file:line of it."""
    if end is None:
        return ""
    if end.cause.rule:
        return f"rule {end.cause.rule}  {end.place}"
    if not end.cause.policy:
        return "under no policy"
    return f"default {end.cause.action.value} of {end.cause.policy}  {end.place}"


def _advice(end: EndAnswer, service: Service) -> Iterator[str]:
    if end.cause.allows:
        return
    if end.misses:
        nearest = end.misses[0]
        yield f"  nearest miss: rule {nearest.rule} ({nearest.source}) {nearest.text}"
    yield f"  to allow: {advice(end, service)}"


def advice(end: EndAnswer, service: Service) -> str:
    """What to write where."""
    if end.misses and end.misses[0].edit:
        return str(end.misses[0].edit)
    if end.cause.rule:
        return f"narrow rule {end.cause.rule} at {end.place}, or allow it in a tier above"
    return f"add to {end.direction.value} of policy {end.cause.policy} ({end.place}): {new_rule(end, service)}"


def new_rule(end: EndAnswer, service: Service) -> str:
    """A rule that allows it, as YAML."""
    assert end.peer is not None  # every end has one
    peer = end.peer.as_peer()
    port = service_asked(service)
    side = "from" if end.direction is Direction.INGRESS else "to"
    name = end.peer.groups[0] if end.peer.groups else end.peer.name
    words = "".join(c if c.isalnum() else "-" for c in f"{port}-{side}-{name}".lower())
    return f"- {{id: {words.strip('-')[:63]}, {side}: [{peer}], ports: [{port}]}}"


def document(found: Explanation) -> dict[str, Any]:
    """Nothing shortened but the misses."""
    verdict = found.verdict
    return {
        "verdict": verdict.value if verdict else "undecidable",
        "service": service_asked(found.question.service),
        "answers": [_answer_document(answer, found.question) for answer in found.answers],
    }


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return [line.rstrip() for line in lines]


def _answer_document(answer: Answer, question: Question) -> dict[str, Any]:
    return {
        "outcome": answer.outcome.value,
        "from": _crew_document(answer.sources),
        "to": _crew_document(answer.targets),
        "addresses": [{"from": str(one), "to": str(other)} for one, other in answer.addresses],
        "ends": [_end_document(end, question.service) for end in answer.ends],
        "note": answer.note,
    }


def _end_document(end: EndAnswer, service: Service) -> dict[str, Any]:
    return {
        "direction": end.direction.value,
        "host": end.host,
        **cause_document(end.cause),
        "source": end.place,
        "misses": [_miss_document(miss) for miss in end.misses[:SHOWN_MISSES]],
        "advice": "" if end.cause.allows else advice(end, service),
    }


def _miss_document(miss: Miss) -> dict[str, str]:
    return {
        "rule": miss.rule,
        "source": miss.source,
        "lack": miss.lack.name.lower(),
        "text": miss.text,
        "edit": str(miss.edit or ""),
    }


def _crew_document(crew: Crew) -> dict[str, Any]:
    return {"hosts": list(crew.names), "addresses": [] if crew.host else [str(crew.addresses[0])]}


def _who(crew: Crew, naming: Naming) -> str:
    if crew.host is None:
        return str(crew.addresses[0])
    if not crew.is_one_host:
        return f"{naming.name(frozenset(crew.names))} ({len(crew.names)} hosts)"
    groups = ",".join(naming.groups[crew.names[0]])
    return f"{crew.names[0]} ({groups})" if groups else crew.names[0]


def _addresses(answer: Answer) -> str:
    """Which addresses it is about, where they are not all."""
    if answer.of_all or not answer.addresses:
        return ""
    return "  by " + ", ".join(f"{one} -> {other}" for one, other in answer.addresses[:2])


def _word(outcome: Outcome) -> str:
    return outcome.value.upper()
