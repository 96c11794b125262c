"""What changes, in words: lines that begin with + (opens), - (closes) or ~ (a setting), Markdown, and a document."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tcmicro_agent.policy.difference.diff import Changes, Turn
from tcmicro_agent.policy.difference.host_diff import BundleChanges, names
from tcmicro_agent.policy.difference.rows import WORLD, Row, rows_of
from tcmicro_agent.policy.model import Direction, Mode, Network, Protocol
from tcmicro_agent.policy.reach.naming import Naming
from tcmicro_agent.policy.reach.parties import Party
from tcmicro_agent.policy.reach.spans import PORTS, Cause, text_of

SHOWN_POLICIES = 3
SHOWN_HOLES = 2
SAME = "nothing changes in meaning"


@dataclass(frozen=True)
class Line:
    """One row: who reaches whom, at what, and what decided and decides that."""

    opens: bool
    source: str
    target: str
    services: str
    family: str
    was: str
    now: str

    @property
    def sign(self) -> str:
        return "+" if self.opens else "-"

    @property
    def connection(self) -> str:
        return f"{self.source} -> {self.target}"


def fleet_lines(changes: Changes, naming: Naming) -> list[Line]:
    """One line for all that differs only by whose default decides, and for both families where both change."""
    known = [network for network in networks_of(changes.parties) if network not in WORLD]
    return [
        _line(
            row,
            party_text(row.sources, naming, known),
            party_text(row.targets, naming, known),
            _family(row, changes.parties),
        )
        for row in rows_of(changes.connections)
    ]


def host_lines(changes: BundleChanges) -> list[Line]:
    """The same for one host, which is one end of every line."""
    host, lines = changes.new.host, []
    for found in changes.connections:
        peers = ", ".join(names(changes, found.peers))
        incoming = found.direction is Direction.INGRESS
        ends = (peers, host) if incoming else (host, peers)
        lines.append(_line(Row((found.shift,), found.peers, ()), *ends, ""))
    return lines


def turn_text(turn: Turn, hosts: str) -> str:
    return f"{turn.setting} of {hosts}: {turn.was} -> {turn.now}"


def plain(lines: Sequence[Line], turns: Sequence[str]) -> str:
    """Aligned columns; what decides stands below its line."""
    widths = [
        max((len(cell) for cell in column), default=0)
        for column in zip(*((line.connection, line.services + line.family) for line in lines))
    ]
    rows = [f"~ {turn}" for turn in turns]
    for line in lines:
        cells = (line.connection.ljust(widths[0]), (line.services + line.family).ljust(widths[1]))
        rows.append(f"{line.sign} {'  '.join(cells)}  now {line.now}; was {line.was}")
    return "\n".join([*rows, summary(lines, turns)])


def summary(lines: Sequence[Line], turns: Sequence[str]) -> str:
    if not lines and not turns:
        return SAME
    opening = sum(line.opens for line in lines)
    found = [(opening, "open"), (len(lines) - opening, "close"), (len(turns), "other")]
    kinds = (f"{count} {_verb(count, word)}" for count, word in found if count)
    return ", ".join(kinds)


def markdown(lines: Sequence[Line], turns: Sequence[str]) -> str:
    """A table, for a merge request."""
    rows = [f"**{summary(lines, turns)}**", ""]
    rows += [f"- {_escaped(turn)}" for turn in turns] + [""] * bool(turns)
    if lines:
        rows += ["| | From | To | Service | Now | Was |", "|---|---|---|---|---|---|"]
    for line in lines:
        verb = "opens" if line.opens else "closes"
        service = f"`{line.services}`{line.family}"
        cells = map(_escaped, (line.source, line.target, service, line.now, line.was))
        rows.append(f"| {verb} | {' | '.join(cells)} |")
    return "\n".join(rows).rstrip()


def causes_text(causes: Sequence[Cause]) -> str:
    """`db-in/pg (policies/db.yml:14)`, `default deny of db-in, web-in`, `no policy`."""
    first = causes[0]
    if first.rule:
        text = f"{first.rule} ({first.source})"
    else:
        policies = sorted({cause.policy for cause in causes if cause.policy})
        more = f" and {len(policies) - SHOWN_POLICIES} more" * (len(policies) > SHOWN_POLICIES)
        text = f"default {first.action.value} of {', '.join(policies[:SHOWN_POLICIES])}{more}"
        text = text if policies else "no policy"
    refused = not first.allows and first.mode is Mode.MONITOR
    return text + ", monitor only" * refused


def party_text(
    parties: Iterable[Party], naming: Naming, known: Collection[Network] = frozenset()
) -> str:
    """Hosts first, by their groups; then networks, less those of all `known` ones that are told apart in them; then
    the world.
    """
    found = list(parties)
    hosts = frozenset().union(*(party.hosts for party in found))
    networks = [network for party in found for network in party.networks]
    around = [_less(n, known, networks) for n in networks if n not in WORLD]
    world = ["world"] if len(around) < len(networks) else []
    return ", ".join([*([naming.name(hosts)] if hosts else []), *around, *world])


def networks_of(parties: Iterable[Party]) -> list[Network]:
    return [network for party in parties for network in party.networks]


def _less(network: Network, known: Collection[Network], here: Collection[Network]) -> str:
    inner = [n for n in known if n != network and _is_in(n, network)]
    holes = [n for n in inner if not any(m != n and _is_in(n, m) for m in inner)]
    missing = [str(hole) for hole in holes if hole not in here]
    if len(missing) > SHOWN_HOLES:
        missing = [f"{len(missing)} networks in it"]
    return f"{network} except {', '.join(missing)}" if missing else str(network)


def _is_in(network: Network, other: Network) -> bool:
    return network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]


def _line(row: Row, source: str, target: str, family: str) -> Line:
    services = text_of(row.shifts[0].services)
    return Line(
        row.opens, source, target, services, family, causes_text(row.was), causes_text(row.now)
    )


def _family(row: Row, parties: Sequence[Party]) -> str:
    """Which family it is about, where both ends have the other one too and there nothing changes."""
    only_icmp = all(part.protocol is Protocol.ICMP for part in row.shifts[0].services)
    if len(row.versions) > 1 or (only_icmp and row.shifts[0].services[0][1:] != PORTS):
        return ""
    [version] = row.versions
    there = frozenset().union(*(party.hosts for party in parties if party.version != version))
    one_alone = _reaches(row.sources, there) and _reaches(row.targets, there)
    return f" (IPv{version} only)" if one_alone else ""


def _reaches(ends: Iterable[Party], there: frozenset[str]) -> bool:
    """Whether any of them has an address of the family that the hosts in `there` have; a network has none."""
    return any(party.hosts & there or WORLD & set(party.networks) for party in ends)


def _verb(count: int, word: str) -> str:
    if word == "other":
        return "setting changes" if count == 1 else "settings change"
    return word + "s" * (count == 1)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("->", "→")
