"""Decisions as the kernel tells them: single events, sums of those it did not send, and how many of each. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address

from tcmicro_agent import abi
from tcmicro_agent.abi import Address, Bank, Direction, Reason

KEPT_SUMS = 4096  # half of what tcm_sums holds

Code = int  # of a reason; a number this release has no name for is kept as it is


@dataclass(frozen=True)
class Event:
    """One decision. `time_ns` since boot; no addresses when the packet has none (or was not parsed that far)."""

    time_ns: int
    generation: int
    rule: int
    identity: int
    octets: int
    ifindex: int
    local: Address | None
    remote: Address | None
    local_port: int
    remote_port: int
    protocol: int
    direction: Direction
    reason: Code
    bank: Bank
    tcp_flags: int

    @classmethod
    def decode(cls, data: bytes) -> Event:
        time, generation, rule, identity, octets, ifindex, *rest = abi.EVENT.unpack(data)
        local_port, remote_port, local, remote, protocol, *codes, version = rest
        direction, reason, bank, tcp_flags = codes
        return cls(
            time_ns=time,
            generation=generation,
            rule=rule,
            identity=identity,
            octets=octets,
            ifindex=ifindex,
            local=_address(local, version),
            remote=_address(remote, version),
            local_port=int.from_bytes(local_port, "big"),
            remote_port=int.from_bytes(remote_port, "big"),
            protocol=protocol,
            direction=Direction(direction),
            reason=reason,
            bank=Bank(bank),
            tcp_flags=tcp_flags,
        )


@dataclass(frozen=True)
class Sum:
    """Decisions that were not sent, by what they have in common. `port`: of the one who is called; none for ICMP."""

    generation: int
    rule: int
    port: int
    protocol: int
    direction: Direction
    reason: Code
    bank: Bank
    packets: int
    octets: int

    @classmethod
    def decode(cls, key: bytes, values: Iterable[bytes]) -> Sum:
        """From an entry of tcm_sums: one value per CPU."""
        generation, rule, port, protocol, direction, reason, bank = abi.SUM_KEY.unpack(key)
        counts = [abi.COUNT.unpack(value) for value in values]
        return cls(
            generation=generation,
            rule=rule,
            port=int.from_bytes(port, "big"),
            protocol=protocol,
            direction=Direction(direction),
            reason=reason,
            bank=Bank(bank),
            packets=sum(packets for packets, _ in counts),
            octets=sum(octets for _, octets in counts),
        )

    def key(self) -> bytes:
        port = self.port.to_bytes(2, "big")
        codes = (self.protocol, self.direction, self.reason, self.bank)
        return abi.SUM_KEY.pack(self.generation, self.rule, port, *codes)


@dataclass(frozen=True)
class Told:
    """What became of every decision that was to be told: one of the three."""

    sent: int
    summed: int
    unsummed: int

    @classmethod
    def decode(cls, values: Iterable[bytes]) -> Told:
        """From tcm_budget: one value per CPU."""
        budgets = [abi.BUDGET.unpack(value) for value in values]
        return cls(*(sum(budget[field] for budget in budgets) for field in (2, 3, 4)))


def unwanted(sums: Iterable[Sum], generations: Container[int]) -> list[Sum]:
    """Sums to forget: of generations that are gone, and the smallest, so that there is room for others."""
    gone: list[Sum] = []
    held: list[Sum] = []
    for entry in sums:
        (held if entry.generation in generations else gone).append(entry)
    return gone + sorted(held, key=lambda entry: -entry.packets)[KEPT_SUMS:]


def reason_name(code: Code) -> str:
    """As in metrics and documents; one that came with a later release has no name here."""
    try:
        return Reason(code).name.lower()
    except ValueError:
        return f"reason-{code}"


def parse_reason(name: str) -> Reason:
    """By its name in documents; raises ValueError with all there are."""
    try:
        return Reason[name.upper()]
    except KeyError:
        known = ", ".join(reason.name.lower() for reason in Reason)
        raise ValueError(f'"{name}" is no reason ({known})') from None


def verdict(code: Code, bank: Bank) -> abi.Verdict:
    """Whether such a packet passed."""
    known = code in set(Reason)
    return abi.Verdict(not (known and abi.dropped(Reason(code), bank)))


def reason_bits(reasons: Iterable[Reason]) -> int:
    """As in tcm_settings: a bit per reason that is told."""
    return sum(1 << reason for reason in set(reasons))


def _address(data: bytes, version: int) -> Address | None:
    if version == 4:
        return IPv6Address(data).ipv4_mapped
    return IPv6Address(data) if version == 6 else None
