"""What a bundle decides for each peer and direction over all services, worked out when asked and kept."""

from __future__ import annotations

from tcmicro_agent.policy.model import Bundle, Direction, Identity, Rule
from tcmicro_agent.policy.reach.spans import Cause, Span, spans_of

Spans = tuple[Span, ...]


class Decisions:
    """One bundle, whichever host it is for. Peers that the same rules match share one and the same spans."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._rules = {
            direction: [rule for rule in bundle.rules if rule.direction is direction]
            for direction in Direction
        }
        self._matching = {direction: _matching(self._rules[direction]) for direction in Direction}
        self._spans: dict[tuple[Direction, tuple[int, ...]], Spans] = {}

    def spans(self, direction: Direction, peer: Identity) -> Spans:
        everybody, named = self._matching[direction]
        positions = named.get(peer, everybody)
        found = self._spans.get((direction, positions))
        if found is None:
            rules = [self._rules[direction][position] for position in positions]
            found = spans_of(rules, default_cause(self.bundle, direction), self.bundle.mode)
            self._spans[direction, positions] = found
        return found


def default_cause(bundle: Bundle, direction: Direction) -> Cause:
    policy = bundle.default_source[0 if direction is Direction.INGRESS else 1]
    mode = bundle.default_mode(direction.value)
    return Cause(bundle.default(direction), "", "", policy, mode)


def _matching(rules: list[Rule]) -> tuple[tuple[int, ...], dict[Identity, tuple[int, ...]]]:
    """The positions of the rules that match everybody, and of all that match a peer, for the peers that some name."""
    everybody = [position for position, rule in enumerate(rules) if rule.any_peer]
    named: dict[Identity, list[int]] = {}
    for position, rule in enumerate(rules):
        if not rule.any_peer:
            for number in rule.identities:
                named.setdefault(number, []).append(position)
    return tuple(everybody), {
        number: tuple(sorted([*everybody, *positions])) for number, positions in named.items()
    }
