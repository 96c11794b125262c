"""The part of the configuration that the kernel programs read: sizes of maps, time-outs, events, SYN rates. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from tcmicro_agent import abi
from tcmicro_agent.abi import Reason
from tcmicro_agent.events import parse_reason, reason_bits
from tcmicro_agent.jsonutil import Reader

TIMEOUTS_S = (30, 30, 7200, 60, 10)  # TCP, by session state
DATAGRAM_TIMEOUTS_S = (30, 180)  # unanswered, answered

SESSIONS_LEAST = 1024
SESSIONS_FLOOR = 150_000
SESSIONS_CEILING = 1 << 20
MEMORY_SHARE = 400  # IPv4 TCP sessions may take a 400th (0.25 %) of the host's memory
SESSION_BYTES = 148  # of kernel memory, IPv4; IPv6 takes 172

# Of every packet, not of a decision: told only where somebody asks for them.
PACKET_REASONS = frozenset(
    {
        Reason.SESSION,
        Reason.FRAGMENT,
        Reason.ICMP_ERROR,
        Reason.NEIGHBOUR,
        Reason.NON_IP,
        Reason.UNENFORCED,
        Reason.VLAN,
    }
)
DECISIONS = tuple(reason for reason in Reason if reason not in PACKET_REASONS)


class TcpMode(Enum):
    """What becomes of TCP in mid-flow that is not tracked; see enum tcm_tcp_mode."""

    SOCKET = "socket"
    STRICT = "strict"
    LOOSE = "loose"


@dataclass(frozen=True)
class Limits:
    """SYNs per second: an offender from `on`, none any more after a second below `off`. `on` 0: no detection."""

    on: int
    off: int


@dataclass(frozen=True)
class Tuning:
    """`capacity` 0: by the host's memory. Rates are per second (and CPU, for events)."""

    capacity: int = 0
    hosts: int = 65536
    rules: int = 262144
    tcp: TcpMode = TcpMode.SOCKET
    sweep_s: int = 60  # between the starts of two passes that delete expired sessions
    event_reasons: tuple[Reason, ...] = DECISIONS
    event_rate: int = 200
    event_burst: int = 1000
    syn_source: Limits = field(default=Limits(1000, 500))
    syn_listener: Limits = field(default=Limits(5000, 2500))

    def map_sizes(self, memory_bytes: int) -> dict[str, int]:
        """Entries of the maps sized by the host: IPv6 half of IPv4, other protocols a quarter of TCP."""
        sessions = self.capacity or sessions_for(memory_bytes)
        return {
            "tcm_tcp4": sessions,
            "tcm_tcp6": sessions // 2,
            "tcm_other4": sessions // 4,
            "tcm_other6": sessions // 8,
            "tcm_hosts4": self.hosts,
            "tcm_hosts6": self.hosts,
            "tcm_rules": self.rules,
        }

    def settings(self, hz: int, *, forwarding: int) -> bytes:
        """Content of tcm_settings. `hz`: jiffies per second; `forwarding`: bit 0 IPv4, bit 1 IPv6 is routed."""
        window = (hz - 1).bit_length()  # the power of two next above a second
        return abi.SETTINGS.pack(
            hz,
            *(seconds * hz for seconds in (*TIMEOUTS_S, *DATAGRAM_TIMEOUTS_S)),
            abi.TcpMode[self.tcp.name],
            forwarding,
            reason_bits(self.event_reasons),
            self.event_rate,
            self.event_burst,
            window,
            *(
                (limit << window) // hz
                for limits in (self.syn_source, self.syn_listener)
                for limit in (limits.on, limits.off)
            ),
        )


def sessions_for(memory_bytes: int) -> int:
    """How many IPv4 TCP sessions a host of that memory tracks, unless told otherwise."""
    affordable = memory_bytes // MEMORY_SHARE // SESSION_BYTES
    return max(SESSIONS_FLOOR, min(affordable, SESSIONS_CEILING))


def read_tuning(doc: Reader) -> Tuning:
    """From the keys `sessions`, `policy`, `events` and `syn_rate` of agent.json."""
    default = Tuning()
    sessions, policy = _part(doc, "sessions"), _part(doc, "policy")
    events, rates = _part(doc, "events"), _part(doc, "syn_rate")
    return Tuning(
        capacity=_capacity(sessions),
        hosts=_int(policy, "hosts", 1024, 2**22, default.hosts),
        rules=_int(policy, "rules", 1024, 2**22, default.rules),
        tcp=sessions.get_enum("tcp", TcpMode, default.tcp) if sessions else default.tcp,
        sweep_s=_int(sessions, "sweep_s", 1, 3600, default.sweep_s),
        event_reasons=_reasons(events) if events else default.event_reasons,
        event_rate=_int(events, "rate", 0, 100_000, default.event_rate),
        event_burst=_int(events, "burst", 1, 100_000, default.event_burst),
        syn_source=_limits(rates, "source", default.syn_source),
        syn_listener=_limits(rates, "listener", default.syn_listener),
    )


def _capacity(sessions: Reader | None) -> int:
    """0, which is the default: by the host's memory."""
    found = _int(sessions, "capacity", 0, 2**24, 0)
    if sessions and 0 < found < SESSIONS_LEAST:
        sessions.fault("capacity", f"{found} is neither 0 (by memory) nor {SESSIONS_LEAST} or more")
    return found


def _part(doc: Reader, key: str) -> Reader | None:
    return doc.get_object(key) if doc.has(key) else None


def _int(part: Reader | None, key: str, low: int, high: int, default: int) -> int:
    return part.get_int(key, low, high, "number", default) if part else default


def _reasons(events: Reader) -> tuple[Reason, ...]:
    if not events.has("reasons"):
        return DECISIONS
    return events.get_values("reasons", parse_reason)


def _limits(rates: Reader | None, key: str, default: Limits) -> Limits:
    part = _part(rates, key) if rates else None
    if part is None:
        return default
    found = Limits(part.get_int("on", 0, 2**20, "rate"), part.get_int("off", 0, 2**20, "rate"))
    if found.off > found.on:
        part.fault("off", f"{found.off} lies above on ({found.on}): it could never be left")
    return found
