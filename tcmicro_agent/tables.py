"""A bundle as the exact content of the policy maps for one slot. Pure: bytes in, bytes out, no kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from ipaddress import ip_network
from itertools import compress, count
from struct import Struct, iter_unpack

from tcmicro_agent import abi
from tcmicro_agent.policy import notation
from tcmicro_agent.policy.bundle import digest
from tcmicro_agent.policy.compile import Group, Shape, compile_bundle
from tcmicro_agent.policy.model import (
    WORLD,
    Action,
    Bundle,
    Direction,
    Identity,
    Log,
    Mode,
    Rule,
)

DIRECTIONS = {Direction.INGRESS: abi.Direction.INGRESS, Direction.EGRESS: abi.Direction.EGRESS}
MODES = {Mode.MONITOR: abi.Mode.MONITOR, Mode.PROTECT: abi.Mode.PROTECT}
VERDICTS = {Action.ALLOW: abi.Verdict.ALLOW, Action.DENY: abi.Verdict.DENY}
LOGS = {Log.NONE: abi.RuleFlag.LOG_NONE, Log.DENY: 0, Log.ALL: abi.RuleFlag.LOG_ALL}
AUDITS = abi.RuleFlag.AUDITS
POLICY_MAPS = ("tcm_hosts4", "tcm_hosts6", "tcm_cidrs4", "tcm_cidrs6", "tcm_rules")
_LOW = abi.U32.pack(1).index(1)  # slots are small numbers: of a u32 only this byte is not 0
SLOT_BYTE = {  # place in the key
    "tcm_hosts4": _LOW,
    "tcm_hosts6": _LOW,
    "tcm_cidrs4": abi.U32.size + _LOW,
    "tcm_cidrs6": abi.U32.size + _LOW,
    "tcm_rules": abi.U32.size,
}
DEFAULT_UID = "default/{}"
FORWARD_UID = DEFAULT_UID.format("forward")


@dataclass(frozen=True)
class Entries:
    """Content of one map: pairs of key and value. Kept as the kernel takes many at once, all keys in a row and all
    values in a row.
    """

    key_bytes: bytes
    value_bytes: bytes
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        if not self.count:
            return iter(())
        key_size, value_size = (len(b) // self.count for b in (self.key_bytes, self.value_bytes))
        return zip(rows(self.key_bytes, key_size), rows(self.value_bytes, value_size))

    def checksum(self) -> int:
        return checksum(map(b"".join, self))


@dataclass(frozen=True)
class Tables:
    """Content of the policy maps for one slot, and the header that switches it on."""

    slot: int
    header: abi.SlotHeader
    entries: Mapping[str, Entries]

    @property
    def size(self) -> int:
        return sum(map(len, self.entries.values()))


def rule_uids(bundle: Bundle) -> list[str]:
    """Everything that owns a counter: the rules and the defaults."""
    defaults = [*(DEFAULT_UID.format(d.value) for d in Direction), FORWARD_UID]
    return defaults + [rule.uid for rule in bundle.rules]


def number_rules(known: Mapping[str, int], uids: list[str], in_use: set[str]) -> dict[str, int]:
    """Counter indices for `uids`: kept where known, so counts survive generations, else the lowest free one.

    Indices of rules that neither `uids` nor `in_use` (other live slots) name are given back.
    """
    needed = in_use.union(uids)
    kept = {uid: number for uid, number in known.items() if uid in needed}
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
    groups = compile_bundle(bundle)
    shapes = [_of_identities(groups, direction, _shapes) for direction in Direction]
    classes = [_of_identities(groups, direction, _classes) for direction in Direction]
    peers = {n: abi.PEER.pack(n, *(bits[n] for bits in (*shapes, *classes))) for n in shapes[0]}
    decided = {r.uid: _decision(r, numbers[r.uid]) for r in bundle.rules}
    entries = {
        **_endpoints(bundle.endpoints, slot, peers),
        "tcm_rules": _rules(groups, slot, decided),
    }
    header = abi.SlotHeader(
        generation=generation,
        defaults=(
            VERDICTS[bundle.default_ingress],
            VERDICTS[bundle.default_egress],
            VERDICTS[bundle.default_forward],
        ),
        mode=MODES[mode],
        has_cidr=bool(entries["tcm_cidrs4"]) | bool(entries["tcm_cidrs6"]) << 1,
        default_rules=(
            numbers[DEFAULT_UID.format(Direction.INGRESS.value)],
            numbers[DEFAULT_UID.format(Direction.EGRESS.value)],
            numbers[FORWARD_UID],
        ),
        world_shapes=(shapes[0][WORLD], shapes[1][WORLD]),
        world_classes=(classes[0][WORLD], classes[1][WORLD]),
        digest=digest(bundle),
        flags=_default_flags(bundle),
    )
    return Tables(slot, header, entries)


def _decision(rule: Rule, number: int) -> bytes:
    audits = rule.audits and rule.action is Action.DENY
    return abi.RULE.pack(number, VERDICTS[rule.action], LOGS[rule.log] | AUDITS * audits)


def _default_flags(bundle: Bundle) -> tuple[int, int, int]:
    ingress, egress, forward = (
        AUDITS * (way in bundle.audited_defaults) for way in ("ingress", "egress", "forward")
    )
    return ingress, egress, forward


def rows(data: bytes, size: int) -> Iterator[bytes]:
    """A string of equally long keys or values, one by one."""
    return (row for (row,) in iter_unpack(f"{size}s", data))


def checksum(entries: Iterable[bytes]) -> int:
    """One number for the content of a map, whatever order it comes in: the sum of a hash of each key with its value.

    Python hashes bytes by SipHash with a key of its own in every process, so two contents with one sum are an accident
    of 1 in 2**60.
    """
    return sum(map(hash, entries))


def in_slot(name: str, keys: bytes, size: int, slot: int) -> Iterator[int]:
    """Where among the keys of a policy map, `size` bytes each, those stand that belong to the slot."""
    is_slot = bytes(slot) + b"\1" + bytes(255 - slot)
    return compress(count(), keys[SLOT_BYTE[name] :: size].translate(is_slot))


def _of_identities(
    groups: Iterable[Group], direction: Direction, bits: Callable[[Group], int]
) -> dict[Identity, int]:
    """What `bits` says of its group, per identity."""
    found: dict[Identity, int] = {}
    for group in groups:
        if group.direction is direction:
            found.update(dict.fromkeys(group.identities, bits(group)))
    return found


def _shapes(group: Group) -> int:
    return group.shapes


def _classes(group: Group) -> int:
    """The bits of the classes of its keys."""
    return sum({1 << abi.rule_class(*shape) for shape in group.decisions})


def _endpoints(
    endpoints: Mapping[str, Identity], slot: int, peers: Mapping[Identity, bytes]
) -> dict[str, Entries]:
    networks: dict[str, list[str]] = {name: [] for name in POLICY_MAPS if name != "tcm_rules"}
    for network in endpoints:
        if ":" in network:
            networks["tcm_hosts6" if network.endswith("/128") else "tcm_cidrs6"].append(network)
        else:
            networks["tcm_hosts4" if network.endswith("/32") else "tcm_cidrs4"].append(network)
    head = abi.U32.pack(slot)
    keys = {
        "tcm_hosts4": _behind(head, notation.pack_hosts4(networks["tcm_hosts4"])),
        "tcm_hosts6": _behind(head, notation.pack_hosts6(networks["tcm_hosts6"])),
        "tcm_cidrs4": _cidr_keys(abi.CIDR4_KEY, slot, networks["tcm_cidrs4"]),
        "tcm_cidrs6": _cidr_keys(abi.CIDR6_KEY, slot, networks["tcm_cidrs6"]),
    }
    return {
        name: Entries(keys[name], b"".join([peers[endpoints[n]] for n in found]), len(found))
        for name, found in networks.items()
    }


def _behind(head: bytes, tails: Sequence[bytes]) -> bytes:
    """Keys that begin alike."""
    return head.join((b"", *tails))


def _cidr_keys(layout: Struct, slot: int, networks: Iterable[str]) -> bytes:
    found = map(ip_network, networks)
    return b"".join(layout.pack(32 + n.prefixlen, slot, n.network_address.packed) for n in found)


def _rules(groups: Iterable[Group], slot: int, decided: Mapping[str, bytes]) -> Entries:
    """`decided` are the values by the uid of the rule that decides."""
    tail_of = {d: cache(partial(_rule_tail, slot, DIRECTIONS[d])) for d in Direction}
    keys: list[bytes] = []
    values: list[bytes] = []
    for group in groups:
        tails = list(map(tail_of[group.direction], group.decisions))
        keys += (_behind(abi.U32.pack(number), tails) for number in group.identities)
        shared = b"".join([decided[rule.uid] for rule in group.decisions.values()])
        values.append(shared * len(group.identities))
    all_keys = b"".join(keys)
    return Entries(all_keys, b"".join(values), len(all_keys) // abi.RULE_KEY.size)


def _rule_tail(slot: int, direction: abi.Direction, shape: Shape) -> bytes:
    """A key of tcm_rules without the identity that it begins with."""
    port = shape.port.to_bytes(2, "big")
    key = abi.RULE_KEY.pack(0, slot, direction, shape.protocol, shape.prefix, port, 0)
    return key[abi.U32.size :]
