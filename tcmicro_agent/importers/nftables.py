"""`nft -j list ruleset` → chains. What is not understood to the last word is left out and said."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.importers import nft_match
from tcmicro_agent.importers.chains import Chain, Firewall, Line, Then, convert
from tcmicro_agent.importers.draft import LOGGED, REJECTED, Effect, Import, Report
from tcmicro_agent.importers.match import Match, UnclearError
from tcmicro_agent.policy.model import Action, Direction

FAMILIES = {"inet": frozenset({4, 6}), "ip": frozenset({4}), "ip6": frozenset({6})}
HOOKS = {"input": Direction.INGRESS, "output": Direction.EGRESS}
VERDICTS = {"accept": Then.ACCEPT, "drop": Then.DROP, "reject": Then.DROP, "return": Then.RETURN}
SILENT = ("counter", "comment", "continue")


Where = tuple[str, str, str]  # family, table, name


@dataclass
class Ruleset:
    """The objects of a dump by their names; rules by the chain they stand in."""

    chains: dict[Where, Mapping[str, Any]] = field(default_factory=dict)
    rules: dict[Where, list[Mapping[str, Any]]] = field(default_factory=dict)
    sets: dict[Where, Mapping[str, Any]] = field(default_factory=dict)


def read(text: str, name: str) -> Import:
    """Raises PolicyError for what is no ruleset as JSON."""
    report = Report()
    try:
        ruleset = _sorted(json.loads(text)["nftables"])
        chains = {way: _chains(ruleset, way, report) for way in Direction}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as exc:
        what = f"not a ruleset as JSON: {type(exc).__name__}: {exc}"
        raise PolicyError([what], hint="nft -j list ruleset > FILE") from exc
    if '"reject"' in text:
        report.note(REJECTED)
    return convert(Firewall(chains), name, report)


def _sorted(objects: Iterable[Mapping[str, Any]]) -> Ruleset:
    found = Ruleset()
    for entry in objects:
        [(kind, content)] = entry.items()
        if kind not in ("chain", "rule", "set"):
            continue
        family, table = content["family"], content["table"]
        if kind == "chain":
            found.chains[family, table, content["name"]] = content
        elif kind == "rule":
            found.rules.setdefault((family, table, content["chain"]), []).append(content)
        else:
            found.sets[family, table, content["name"]] = content
    return found


def _chains(ruleset: Ruleset, direction: Direction, report: Report) -> dict[str, Chain]:
    made = {}
    for where, content in ruleset.chains.items():
        rules = ruleset.rules.get(where, [])
        strange = _strange(where, content)
        if strange and (rules or content.get("policy") == "drop"):
            report.leave_out(f"chain {_name(where)}", f"{len(rules)} rules", strange, Effect.EITHER)
        elif not strange:
            made[_name(where)] = _chain(where, content, ruleset, direction)
    return made


def _strange(where: Where, content: Mapping[str, Any]) -> str:
    """Why a chain as a whole is none of ours, or ""."""
    hook, kind = content.get("hook"), content.get("type")
    if where[0] not in FAMILIES:
        return f"family {where[0]}"
    if hook and (kind != "filter" or hook not in (*HOOKS, "forward")):
        return f"{kind} at {hook}"
    return ""


def _name(where: Where) -> str:
    return " ".join(where)


def _chain(
    where: Where, content: Mapping[str, Any], ruleset: Ruleset, direction: Direction
) -> Chain:
    family, table, _ = where
    sets = {
        name: found for (f, t, name), found in ruleset.sets.items() if (f, t) == (family, table)
    }
    reader = nft_match.MatchReader(direction, FAMILIES[family], sets)
    rules = ruleset.rules.get(where, [])
    return Chain(
        _name(where),
        tuple(line for rule in rules for line in _lines(rule, where, reader)),
        FAMILIES[family],
        HOOKS.get(content.get("hook", "")),
        forward=content.get("hook") == "forward",
        default=Action.DENY if content.get("policy") == "drop" else Action.ALLOW,
        priority=content.get("prio", 0) if isinstance(content.get("prio", 0), int) else 0,
    )


def _lines(rule: Mapping[str, Any], where: Where, reader: nft_match.MatchReader) -> list[Line]:
    """A rule is one line, with a verdict map one per element."""
    text = nft_match.text(rule["expr"], rule.get("comment", ""))
    line = Line(f"handle {rule['handle']} in {_name(where)}", text, Match(), Then.NOTHING)
    lines = [line]
    for statement in rule["expr"]:
        [(kind, content)] = statement.items()
        lines = [after for line in lines for after in _after(line, kind, content, where, reader)]
    return [_checked(line) for line in lines]


def _after(
    line: Line, kind: str, content: Any, where: Where, reader: nft_match.MatchReader
) -> list[Line]:
    """A line with one statement more."""
    if kind == "match":
        return [_matching(line, reader, content["left"], content["op"], content["right"])]
    if kind == "vmap":
        return _mapped(line, content, where, reader)
    if kind in VERDICTS:
        return [replace(line, then=VERDICTS[kind])]
    if kind == "jump":
        return [replace(line, then=Then.CALL, target=_name((*where[:2], content["target"])))]
    if kind == "log":
        return [replace(line, lost=LOGGED)]
    if kind in SILENT:
        return [line]
    then = Then.CALL if kind == "goto" else line.then
    return [replace(line, then=then, unclear=line.unclear or f"{kind} is not carried")]


def _matching(line: Line, reader: nft_match.MatchReader, left: Any, op: str, right: Any) -> Line:
    try:
        return replace(line, match=line.match.also(reader.compare(left, op, right)))
    except UnclearError as exc:
        return replace(line, unclear=line.unclear or f"{exc} is not carried")


def _mapped(
    line: Line, content: Mapping[str, Any], where: Where, reader: nft_match.MatchReader
) -> list[Line]:
    """A verdict map: its keys are disjoint, so their order does not matter."""
    data = content["data"]
    if not isinstance(data, dict) or "set" not in data:
        return [
            replace(
                line, then=Then.CALL, unclear=line.unclear or "a map with a name is not carried"
            )
        ]
    made = []
    for key, verdict in data["set"]:
        [(kind, target)] = verdict.items()
        part = replace(line, text=f"{line.text}: {nft_match.value_text(key)}")
        part = _matching(part, reader, content["key"], "==", key)
        made += _after(part, kind, target, where, reader)
    return made


def _checked(line: Line) -> Line:
    if line.match.ports is not None and line.match.protocols is None:
        return replace(line, unclear=line.unclear or "a port of no named protocol is not carried")
    return line
