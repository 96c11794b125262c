"""Every kind of line the agent logs: a code that never changes, how grave it is, its words, and what to do. Pure.

A message called with its fields is an Event: its text, which still knows what it is. `journal.py` writes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Level(IntEnum):
    """As syslog(3) numbers them."""

    ERROR = 3
    WARNING = 4
    INFO = 6


@dataclass(frozen=True)
class Message:
    """`text` names its fields as str.format does; `code` is never given anew."""

    code: str
    level: Level
    text: str
    advice: str

    @property
    def id(self) -> str:
        """The 128 bits that journald knows as MESSAGE_ID."""
        return hashlib.sha256(f"tcmicro {self.code}".encode()).hexdigest()[:32]

    def __call__(self, **fields: Any) -> Event:
        return Event(self, {name: str(value) for name, value in fields.items()})


class Event(str):
    """One line for the log; `fields` are the words of it that differ from time to time."""

    message: Message
    fields: dict[str, str]

    def __new__(cls, message: Message, fields: dict[str, str]) -> Event:
        made = super().__new__(cls, message.text.format(**fields))
        made.message, made.fields = message, fields
        return made


def events(message: Message, field: str, values: Iterable[object]) -> list[Event]:
    """An event per value, where the message has one field."""
    return [message(**{field: value}) for value in values]


# --- the agent itself ---

STARTED = Message(
    "TCMA0001",
    Level.INFO,
    "started release={release} pid={pid}",
    "nothing; many of them in a short time: look at the lines before each",
)
STOPPED = Message(
    "TCMA0002",
    Level.INFO,
    "stopped; enforcement goes on",
    "nothing, if somebody stopped or restarted it",
)
UPKEEP_FAILED = Message(
    "TCMA0003",
    Level.ERROR,
    "upkeep: {problem}",
    "what the problem says; the policy that rules goes on, and it is tried again every second",
)
SCRAPE_FAILED = Message(
    "TCMA0004",
    Level.ERROR,
    "metrics, {part}: {problem}",
    "what the problem says; the other metrics are served, tc_micro_scrape_failures_total counts",
)
TOOK_OVER = Message(
    "TCMA0005",
    Level.INFO,
    "{step}",
    "nothing: a step of taking over the datapath of another release or of maps of other sizes",
)

LISTEN_FAILED = Message(
    "TCMA0006",
    Level.ERROR,
    "metrics are not served: {problem}",
    "what the problem says; it is tried again every second",
)

# --- configuration ---

CONFIG_RELOADED = Message(
    "TCMA0101", Level.INFO, "configuration reloaded", "nothing: what it changed is told after it"
)
CONFIG_REFUSED = Message(
    "TCMA0102",
    Level.ERROR,
    "configuration refused, the one before goes on: {problem}",
    "put /etc/tcmicro/agent.json right, every fault is named, and run `systemctl reload tcmicro-agent`",
)
SETTINGS_WRITTEN = Message(
    "TCMA0103",
    Level.INFO,
    "settings written",
    "nothing: the programs read the configuration, who follows events, and whether this host routes",
)
FAILSAFE_CHANGED = Message(
    "TCMA0104",
    Level.INFO,
    "failsafe: {added} added, {removed} removed",
    "nothing, if the configuration was changed; else somebody else had changed the failsafe",
)

# --- policy ---

POLICY_CONFIRMED = Message(
    "TCMA0201",
    Level.INFO,
    "transaction {transaction}, generation {generation}: confirmed",
    "nothing",
)
POLICY_REVERTED = Message(
    "TCMA0202",
    Level.WARNING,
    "transaction {transaction}, generation {generation}: reverted",
    "nobody confirmed the policy in time, or it was taken back: see the play that applied it",
)
POLICY_RECORDED = Message(
    "TCMA0203",
    Level.INFO,
    "generation {generation} rules for good: recorded",
    "nothing: a command was cut between making it live and writing it down",
)
POLICY_RESTORED = Message(
    "TCMA0204",
    Level.INFO,
    "bundle {digest} is live again, as generation {generation}",
    "nothing after a boot, a change of mode, or when a rule with times began or ended",
)
STAGED_TENDED = Message(
    "TCMA0205",
    Level.INFO,
    "{op}",
    "nothing: the staged policy is put right after a cut, another policy or another mode",
)
LOCAL_ENDED = Message(
    "TCMA0206",
    Level.INFO,
    "local rule {rule} has ended",
    "nothing; where it is still needed, write it as policy",
)
LOCAL_REBUILT = Message(
    "TCMA0207",
    Level.INFO,
    "local rules as wanted, generation {generation}",
    "nothing: the policy was built anew with the temporary rules of this host that hold now",
)
POLICY_REBUILT = Message(
    "TCMA0208",
    Level.WARNING,
    "the tables of generation {was} did not hold what its bundle says: built anew, as generation {generation}",
    "find out who writes to our maps: `bpftool map update|delete` by hand, or another tool",
)
PINS_BACK = Message(
    "TCMA0209",
    Level.WARNING,
    "pins were gone, put back: {names}",
    "find out who removes files below /sys/fs/bpf/tcmicro",
)

# --- interfaces ---

ATTACHED = Message("TCMA0301", Level.INFO, "attached to {interface}", "nothing")
PUT_BACK = Message(
    "TCMA0302",
    Level.WARNING,
    "{interface}: our program was gone from {directions}, put back",
    "find out who removes it: another agent, or a script that replaces the clsact qdisc",
)
ATTACH_FAILED = Message(
    "TCMA0303",
    Level.ERROR,
    "{interface}: {problem}",
    "the interface is not guarded: do what the problem says; `tc-micro status` shows when it is",
)
LET_GO = Message(
    "TCMA0304",
    Level.INFO,
    "{reason}: {hook} let go",
    "nothing, if the interface went or the configuration was changed",
)
VLANS_UPDATED = Message(
    "TCMA0305", Level.INFO, "VLANs whose frames pass their parent: updated", "nothing"
)
HOOKS_FAILED = Message(
    "TCMA0306",
    Level.ERROR,
    "interfaces: {problem}",
    "what the problem says; programs that are attached stay, new interfaces may be without",
)

# --- floods and enforcement ---

FLOOD_BEGAN = Message(
    "TCMA0401",
    Level.WARNING,
    "SYN flood: port {port} is over its limit",
    "see who calls: `tc-micro event sums`; raise `syn_rate.listener` where so many are expected",
)
FLOOD_ENDED = Message(
    "TCMA0402", Level.INFO, "SYN flood: port {port} is below its limit again", "nothing"
)
FLOODS_MORE = Message(
    "TCMA0403",
    Level.WARNING,
    "SYN flood: and {changes} changes more",
    "many ports at once: a scan; `tc_micro_syn_flood_listeners` says how many are over",
)
ENFORCING = Message(
    "TCMA0404", Level.INFO, "enforcing: generation {generation} answers as it should", "nothing"
)
NOT_ENFORCING = Message(
    "TCMA0405",
    Level.WARNING,
    "not enforcing: {why}: {detail}",
    "the table of reasons in docs/metrics.md says what to do about each",
)
SAMPLES_FAILED = Message(
    "TCMA0406",
    Level.ERROR,
    "samples: {problem}",
    "what the problem says; a rollout counts a host that records nothing as failed",
)

# --- policies pulled from a mirror ---

PULLED = Message(
    "TCMA0501",
    Level.INFO,
    "bundle {digest} pulled, kept as generation {generation}",
    "nothing: the host found everything well under it",
)
PULL_FAILED = Message(
    "TCMA0502",
    Level.WARNING,
    "pull, {result}: {problem}",
    "what the problem says; what ruled before rules, and the next pull goes on (docs/pull.md)",
)

CATALOGUE = tuple(value for value in list(globals().values()) if isinstance(value, Message))
