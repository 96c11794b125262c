"""A bundle as the exact content of the policy maps for one slot. Pure: bytes in, bytes out, no kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tcmicro_agent import abi
from tcmicro_agent.policy.bundle import digest
from tcmicro_agent.policy.compile import Compiled, Decision, compile_bundle
from tcmicro_agent.policy.model import (
    WORLD,
    Action,
    Bundle,
    Direction,
    Endpoint,
    Identity,
    Mode,
)

Entries = tuple[tuple[bytes, bytes], ...]

DIRECTIONS = {Direction.INGRESS: abi.Direction.INGRESS, Direction.EGRESS: abi.Direction.EGRESS}
MODES = {Mode.MONITOR: abi.Mode.MONITOR, Mode.PROTECT: abi.Mode.PROTECT}
VERDICTS = {Action.ALLOW: abi.Verdict.ALLOW, Action.DENY: abi.Verdict.DENY}
POLICY_MAPS = ("tcm_hosts4", "tcm_hosts6", "tcm_cidrs4", "tcm_cidrs6", "tcm_rules")
DEFAULT_UID = "default/{}"
FORWARD_UID = DEFAULT_UID.format("forward")


@dataclass(frozen=True)
class Tables:
    """Content of the policy maps for one slot, and the header that switches it on."""

    slot: int
    header: abi.SlotHeader
    entries: Mapping[str, Entries]

    @property
    def size(self) -> int:
        return sum(len(entries) for entries in self.entries.values())


def rule_uids(bundle: Bundle) -> list[str]:
    """Everything that owns a counter: the rules and the defaults."""
    defaults = [*(DEFAULT_UID.format(d.value) for d in Direction), FORWARD_UID]
    return defaults + [rule.uid for rule in bundle.rules]


def number_rules(known: Mapping[str, int], uids: list[str], in_use: set[str]) -> dict[str, int]:
    """Counter indices for `uids`: kept where known, so counts survive generations, else the lowest free one.

    Indices of rules that neither `uids` nor `in_use` (other live slots) name are given back.
    """
    kept = {uid: number for uid, number in known.items() if uid in in_use or uid in uids}
    taken = set(kept.values())
    free = iter(n for n in range(1, abi.MAX_RULES) if n not in taken)
    for uid in uids:
        if uid not in kept:
            kept[uid] = next(free)
    return kept


def encode(
    bundle: Bundle, *, slot: int, generation: int, mode: Mode, numbers: Mapping[str, int]
) -> Tables:
    """The bundle in one slot. `mode` is the effective one; `numbers` gives the counter of each rule."""
    compiled = compile_bundle(bundle)
    hosts, cidrs = _split(bundle.endpoints)
    header = abi.SlotHeader(
        generation=generation,
        defaults=(
            VERDICTS[bundle.default_ingress],
            VERDICTS[bundle.default_egress],
            VERDICTS[bundle.default_forward],
        ),
        mode=MODES[mode],
        has_cidr=any(e.network.version == 4 for e in cidrs)
        | any(e.network.version == 6 for e in cidrs) << 1,
        default_rules=(
            *_per_direction({d: numbers[DEFAULT_UID.format(d.value)] for d in Direction}),
            numbers[FORWARD_UID],
        ),
        world_shapes=_shapes(compiled, WORLD),
        digest=digest(bundle),
    )
    entries = {
        "tcm_hosts4": tuple(_host(e, slot, compiled) for e in hosts if e.network.version == 4),
        "tcm_hosts6": tuple(_host(e, slot, compiled) for e in hosts if e.network.version == 6),
        "tcm_cidrs4": tuple(_cidr(e, slot, compiled) for e in cidrs if e.network.version == 4),
        "tcm_cidrs6": tuple(_cidr(e, slot, compiled) for e in cidrs if e.network.version == 6),
        "tcm_rules": tuple(_rule(d, slot, numbers) for d in compiled.decisions),
    }
    return Tables(slot, header, entries)


def entry_slot(name: str, key: bytes) -> int:
    """The slot a key of a policy map belongs to."""
    if name == "tcm_rules":
        return key[4]
    offset = 0 if name.startswith("tcm_hosts") else 4
    return int(abi.U32.unpack_from(key, offset)[0])


def _split(endpoints: tuple[Endpoint, ...]) -> tuple[list[Endpoint], list[Endpoint]]:
    whole = [e for e in endpoints if e.network.prefixlen == e.network.max_prefixlen]
    return whole, [e for e in endpoints if e.network.prefixlen < e.network.max_prefixlen]


def _per_direction(values: Mapping[Direction, int]) -> tuple[int, int]:
    return values[Direction.INGRESS], values[Direction.EGRESS]


def _shapes(compiled: Compiled, identity: Identity) -> tuple[int, int]:
    return _per_direction({d: compiled.shapes[identity, d] for d in Direction})


def _peer(compiled: Compiled, identity: Identity) -> bytes:
    return abi.PEER.pack(identity, *_shapes(compiled, identity))


def _host(endpoint: Endpoint, slot: int, compiled: Compiled) -> tuple[bytes, bytes]:
    layout = abi.HOST4_KEY if endpoint.network.version == 4 else abi.HOST6_KEY
    key = layout.pack(slot, endpoint.network.network_address.packed)
    return key, _peer(compiled, endpoint.identity)


def _cidr(endpoint: Endpoint, slot: int, compiled: Compiled) -> tuple[bytes, bytes]:
    layout = abi.CIDR4_KEY if endpoint.network.version == 4 else abi.CIDR6_KEY
    prefix = 32 + endpoint.network.prefixlen
    key = layout.pack(prefix, slot, endpoint.network.network_address.packed)
    return key, _peer(compiled, endpoint.identity)


def _rule(decision: Decision, slot: int, numbers: Mapping[str, int]) -> tuple[bytes, bytes]:
    shape = decision.shape
    direction = DIRECTIONS[decision.direction]
    port = shape.port.to_bytes(2, "big")
    key = abi.RULE_KEY.pack(
        decision.identity, slot, direction, shape.protocol, shape.prefix, port, 0
    )
    return key, abi.RULE.pack(numbers[decision.uid], VERDICTS[decision.action])
