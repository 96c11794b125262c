"""The bytes of `bpf/abi.h`, mirrored. tests/unit/test_abi.py compares every size, offset and number with the BTF
of the built object, so nothing here is kept in step by hand. Native byte order; addresses and ports as on the wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct
from typing import Union

ABI = 2
SLOTS = 4
MAX_RULES = 65536  # rule counters; index 0 means no policy
REASONS = 32  # room in the counters
RATES = 65536  # buckets of SYN rates
EXPIRE_MAX = 16  # sessions per run of tcm_expire

Address = Union[IPv4Address, IPv6Address]


class Direction(IntEnum):
    INGRESS = 0
    EGRESS = 1


class Verdict(IntEnum):
    DENY = 0
    ALLOW = 1


class Mode(IntEnum):
    MONITOR = 0
    PROTECT = 1


class Reason(IntEnum):
    """Why a packet passed or was refused; bpf/abi.h says what each one means."""

    SESSION = 0
    RULE_ALLOW = 1
    DEFAULT_ALLOW = 2
    RULE_DENY = 3
    DEFAULT_DENY = 4
    NO_SESSION = 5
    REVOKED = 6
    MALFORMED = 7
    FRAGMENT = 8
    FRAGMENT_TINY = 9
    ICMP_ERROR = 10
    ICMP_ERROR_UNKNOWN = 11
    NEIGHBOUR = 12
    NON_IP = 13
    FAILSAFE = 14
    UNENFORCED = 15
    FORWARD_ALLOW = 16
    FORWARD_DENY = 17
    SYN_FLOOD = 18
    DHCP = 19
    VLAN = 20


DENY_REASONS = frozenset(
    {
        Reason.RULE_DENY,
        Reason.DEFAULT_DENY,
        Reason.NO_SESSION,
        Reason.REVOKED,
        Reason.MALFORMED,
        Reason.FRAGMENT_TINY,
        Reason.ICMP_ERROR_UNKNOWN,
        Reason.FORWARD_DENY,
        Reason.SYN_FLOOD,
    }
)


class Bank(IntEnum):
    """Under whose authority a packet was counted."""

    ENFORCED = 0
    AUDITED = 1
    TRIAL = 2


class Default(IntEnum):
    """Flows to us, from us, and routed through us."""

    INGRESS = 0
    EGRESS = 1
    FORWARD = 2


class RuleFlag(IntFlag):
    """Of a rule or a default: what it denies passes; nothing, or all, that it decides is told."""

    AUDITS = 1
    LOG_NONE = 2
    LOG_ALL = 4


class TcpMode(IntEnum):
    """What becomes of TCP in mid-flow that is not tracked."""

    SOCKET = 0
    STRICT = 1
    LOOSE = 2


class Setting(IntEnum):
    """Place of a field of tcm_settings among the values of SETTINGS."""

    EVENT_REASONS = 10
    EVENT_RATE = 11
    SYN_WINDOW = 13
    SYN_SOURCE_ON = 14
    SYN_SOURCE_OFF = 15
    SYN_LISTENER_ON = 16
    SYN_LISTENER_OFF = 17


class TransitionResult(IntEnum):
    SWAPPED = 1
    CONFLICT = 2
    EXPIRED = 3


class AnswerWord(IntEnum):
    """Words of the context when tcm_ask returns."""

    VERDICT = 0
    REASON = 1
    RULE = 2
    IDENTITY = 3
    GENERATION = 4


class SessionState(IntEnum):
    OPENING = 0
    ANSWERED = 1
    ESTABLISHED = 2
    CLOSING = 3
    CLOSED = 4


class SessionFlag(IntFlag):
    ADOPTED = 1
    TRIED = 2
    FORWARDED = 4


class SessionTable(IntEnum):
    """Half-open flows, answered TCP, answered flows of other protocols; IPv6 has the odd numbers."""

    HALF4 = 0
    HALF6 = 1
    TCP4 = 2
    TCP6 = 3
    OTHER4 = 4
    OTHER6 = 5

    @property
    def map_name(self) -> str:
        return f"tcm_{self.name.lower()}"

    @property
    def is_ipv6(self) -> bool:
        return bool(self & 1)

    @property
    def key(self) -> Struct:
        return SESSION6_KEY if self.is_ipv6 else SESSION4_KEY


# Fields of each struct in order, as C names: what test_abi.py compares, and what the layouts below are made of.
CONTROL = Struct("=QQQII")
TRANSITION_REQUEST = Struct("=QQ")
SLOT = Struct("=I3BBB3B3I2I2Q32s")
HOST4_KEY = Struct("=I4s")
HOST6_KEY = Struct("=I16s")
CIDR4_KEY = Struct("=II4s")
CIDR6_KEY = Struct("=II16s")
PEER = Struct("=I2I4x2Q")
RULE_KEY = Struct("=IBBBB2sH")
RULE = Struct("=IBB2x")
FAILSAFE_KEY = Struct("=IBB2s16s")
NO_FAILSAFE = Struct("=Q")
SESSION4_KEY = Struct("=4s4s2s2sB3x")
SESSION6_KEY = Struct("=16s16s2s2sB3x")
SESSION = Struct("=IIIBBBBQ2Q2Q")
SETTINGS = Struct("=Q5Q2QIIIIIIIIII8x")
TRIAL = Struct("=Q")
DIFFERENCE_KEY = Struct("=IIII2sBBB3x")
EXPIRE_REQUEST = Struct("=II")
EVENT = Struct("=QIIIII2s2s16s16sBBBBBB2x")
BUDGET = Struct("=QQQQQ16s16s")  # then a SUM_KEY and a COUNT
SUM_KEY = Struct("=II2sBBBB2x")
RATE = Struct("=IIII")
VLAN_KEY = Struct("=II")
COUNT = Struct("=QQ")
U32 = Struct("=I")

# Where a session has what its age depends on, so that a scan need not decode it.
PROTOCOL_FROM_END = 4  # of the key
OPENER_OFFSET = 12
STATE_OFFSET = 13
LAST_SEEN_OFFSET = 16

COUNTERS = len(Bank) * len(Direction) * REASONS
COMPARISONS = len(Direction) * 4


@dataclass(frozen=True)
class Word:
    """The control word: which slot rules, and until when (boottime ms, 0 = committed) before `fallback` does."""

    active: int
    fallback: int
    deadline_ms: int

    @classmethod
    def decode(cls, value: int) -> Word:
        return cls(value & 15, value >> 4 & 15, value >> 8)

    def encode(self) -> int:
        return self.active | self.fallback << 4 | self.deadline_ms << 8

    @property
    def pending(self) -> bool:
        return self.deadline_ms != 0

    def expired(self, now_ms: int) -> bool:
        return self.pending and now_ms >= self.deadline_ms

    def live(self, now_ms: int) -> int:
        """The slot the datapath uses at that moment."""
        return self.fallback if self.expired(now_ms) else self.active


@dataclass(frozen=True)
class Control:
    word: Word
    jiffies: int
    boot_ms: int

    @classmethod
    def decode(cls, data: bytes) -> Control:
        word, jiffies, boot_ms, _, _ = CONTROL.unpack(data)
        return cls(Word.decode(word), jiffies, boot_ms)


@dataclass(frozen=True)
class SlotHeader:
    """What a slot holds; generation 0 = nothing, and then nothing is enforced."""

    generation: int
    defaults: tuple[Verdict, Verdict, Verdict]  # by Default
    mode: Mode
    has_cidr: int
    default_rules: tuple[int, int, int]
    world_shapes: tuple[int, int]
    world_classes: tuple[int, int]
    digest: str
    flags: tuple[int, int, int] = (0, 0, 0)  # RuleFlag of each default

    @classmethod
    def decode(cls, data: bytes) -> SlotHeader:
        gen, d0, d1, d2, mode, has_cidr, f0, f1, f2, *rest = SLOT.unpack(data)
        defaults = (Verdict(d0), Verdict(d1), Verdict(d2))
        r0, r1, r2, s0, s1, c0, c1, digest = rest
        rules, shapes, classes, flags = (r0, r1, r2), (s0, s1), (c0, c1), (f0, f1, f2)
        return cls(gen, defaults, Mode(mode), has_cidr, rules, shapes, classes, digest.hex(), flags)

    def encode(self) -> bytes:
        head = (self.generation, *self.defaults, self.mode, self.has_cidr, *self.flags)
        world = (*self.world_shapes, *self.world_classes)
        return SLOT.pack(*head, *self.default_rules, *world, bytes.fromhex(self.digest))


@dataclass(frozen=True)
class Session:
    """One tracked flow; `last_seen` is the time of its last packet in jiffies of this kernel."""

    local: Address
    remote: Address
    local_port: int
    remote_port: int
    protocol: int
    generation: int
    rule: int
    identity: int
    opener: Direction
    state: SessionState
    flags: SessionFlag
    last_seen: int
    packets: tuple[int, int]
    octets: tuple[int, int]

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> Session:
        layout = SESSION4_KEY if len(key) == SESSION4_KEY.size else SESSION6_KEY
        local, remote, local_port, remote_port, protocol = layout.unpack(key)
        gen, rule, identity, opener, state, _, flags, seen, p0, p1, b0, b1 = SESSION.unpack(value)
        return cls(
            local=ip_address(local),
            remote=ip_address(remote),
            local_port=int.from_bytes(local_port, "big"),
            remote_port=int.from_bytes(remote_port, "big"),
            protocol=protocol,
            generation=gen,
            rule=rule,
            identity=identity,
            opener=Direction(opener),
            state=SessionState(state),
            flags=SessionFlag(flags),
            last_seen=seen,
            packets=(p0, p1),
            octets=(b0, b1),
        )


@dataclass(frozen=True)
class TrialWord:
    """The staged slot (None: nothing is staged), its share of new flows in percent, and until when it has it."""

    slot: int | None
    share: int = 0
    deadline_ms: int = 0

    @classmethod
    def decode(cls, value: int) -> TrialWord:
        if not value & 1:
            return cls(None)
        return cls(value >> 4 & 15, value >> 8 & 0xFF, value >> 16)

    def encode(self) -> int:
        if self.slot is None:
            return 0
        return 1 | self.slot << 4 | self.share << 8 | self.deadline_ms << 16

    def share_at(self, now_ms: int) -> int:
        """Percent of the new flows that the staged policy judges at that moment."""
        return 0 if self.deadline_ms and now_ms >= self.deadline_ms else self.share


def counter_index(direction: Direction, reason: Reason, bank: Bank) -> int:
    """Place of a counter in tcm_counters, as TCM_COUNTER."""
    return (bank * len(Direction) + direction) * REASONS + reason


def sums_of_counts(block: bytes, entries: int, wanted: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Packets and bytes over all CPUs, of some entries of a block of counters."""
    words = memoryview(block).cast("Q")
    width = len(words) // entries
    for start in (n * width for n in wanted):
        packets, octets = words[start : start + width : 2], words[start + 1 : start + width : 2]
        yield sum(packets), sum(octets)


def rule_class(protocol: int, prefix: int, port: int) -> int:
    """Of a key of tcm_rules, as TCM_RULE_CLASS."""
    return ((protocol << 21 | prefix << 16 | port) * 0x9E3779B1 & 0xFFFFFFFF) >> 26


def failsafe_class(key: bytes) -> int:
    """Of a key of tcm_failsafe, as TCM_FAILSAFE_CLASS."""
    _, direction, protocol, port_bytes, _ = FAILSAFE_KEY.unpack(key)
    port = int.from_bytes(port_bytes, "big")
    mixed: int = port ^ port >> 6 ^ port >> 12 ^ protocol << 1 ^ direction
    return mixed & 63


def no_failsafe(keys: Iterable[bytes]) -> bytes:
    """Content of tcm_no_failsafe when tcm_failsafe holds no other keys than these."""
    classes = 0
    for key in keys:
        classes |= 1 << failsafe_class(key)
    return NO_FAILSAFE.pack(~classes & (1 << 64) - 1)


def last_seen(value: bytes) -> bytes:
    """The raw field of a raw session."""
    return value[LAST_SEEN_OFFSET : LAST_SEEN_OFFSET + 8]


def dropped(reason: Reason, bank: Bank) -> bool:
    """Whether packets counted there were dropped."""
    return reason in DENY_REASONS and bank is not Bank.AUDITED


def comparison_index(direction: Direction, live: Verdict, staged: Verdict) -> int:
    """Place of a counter in tcm_comparisons, as TCM_COMPARISON."""
    return (direction * 2 + live) * 2 + staged
