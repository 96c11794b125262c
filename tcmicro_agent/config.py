"""The agent's configuration, /etc/tcmicro/agent.json as Ansible writes it; read whole or refused whole."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_network

from tcmicro_agent import abi
from tcmicro_agent.errors import BundleError
from tcmicro_agent.interfaces import parse_name
from tcmicro_agent.jsonutil import Reader, read
from tcmicro_agent.listening import Listening, read_listening
from tcmicro_agent.policy.evaluate import NUMBERS
from tcmicro_agent.policy.model import Direction, Mode, Network, Protocol
from tcmicro_agent.tables import DIRECTIONS
from tcmicro_agent.tuning import Tuning, read_tuning

FAILSAFE_ENTRIES = 1024  # what tcm_failsafe holds
FAILSAFE_FIXED_BITS = 32  # direction, protocol, port


class HookKind(Enum):
    AUTO = "auto"
    TCX = "tcx"
    CLSACT = "clsact"


@dataclass(frozen=True)
class Failsafe:
    """A flow that stays open whatever policy says; `port` is ours for ingress, the peer's for egress."""

    direction: Direction
    protocol: Protocol
    port: int
    network: Network

    def key(self) -> bytes:
        """Its key in tcm_failsafe; IPv4 peers as ::ffff:a.b.c.d."""
        packed = self.network.network_address.packed
        mapped = packed if self.network.version == 6 else bytes(10) + b"\xff\xff" + packed
        length = self.network.prefixlen + (96 if self.network.version == 4 else 0)
        return abi.FAILSAFE_KEY.pack(
            FAILSAFE_FIXED_BITS + length,
            DIRECTIONS[self.direction],
            NUMBERS[self.protocol],
            self.port.to_bytes(2, "big"),
            mapped,
        )


@dataclass(frozen=True)
class Config:
    """`mode` is the ceiling of this host: no policy enforces more than it. `allow_unsigned` takes bundles whose
    signature is missing or wrong."""

    mode: Mode = Mode.PROTECT
    interfaces: tuple[str, ...] = ("auto",)
    hook: HookKind = HookKind.AUTO
    metrics: Listening = Listening()
    failsafe: tuple[Failsafe, ...] = ()
    tuning: Tuning = Tuning()
    allow_unsigned: bool = False

    def failsafe_keys(self) -> frozenset[bytes]:
        return frozenset(entry.key() for entry in self.failsafe)


def parse(document: object) -> Config:
    """Raises BundleError with every fault of the document."""
    return read(document, _read_config, BundleError)


def parse_failsafe(document: object) -> tuple[Failsafe, ...]:
    """A document `{"failsafe": [...]}` alone."""
    return read(document, _read_failsafes, BundleError)


def _read_config(doc: Reader) -> Config:
    default = Config()
    return Config(
        mode=doc.get_enum("mode", Mode, default.mode),
        interfaces=_read_interfaces(doc) if doc.has("interfaces") else default.interfaces,
        hook=doc.get_enum("hook", HookKind, default.hook),
        metrics=read_listening(doc.get_object("metrics")) if doc.has("metrics") else Listening(),
        failsafe=_read_failsafes(doc) if doc.has("failsafe") else (),
        tuning=read_tuning(doc),
        allow_unsigned=doc.get_bool("allow_unsigned", default.allow_unsigned),
    )


def _read_interfaces(doc: Reader) -> tuple[str, ...]:
    names = doc.get_values("interfaces", parse_name)
    if not names:
        doc.fault("interfaces", 'names none; "auto" is every one that owns the packets it carries')
    return names


def _read_failsafes(doc: Reader) -> tuple[Failsafe, ...]:
    entries = tuple(_read_failsafe(item) for item in doc.get_objects("failsafe"))
    if len(entries) > FAILSAFE_ENTRIES:
        doc.fault("failsafe", f"{len(entries)} entries, at most {FAILSAFE_ENTRIES} are kept open")
    return entries


def _read_failsafe(item: Reader) -> Failsafe:
    protocol = item.get_enum("protocol", Protocol)
    if protocol is Protocol.ANY:
        item.fault("protocol", "a failsafe names one protocol: tcp, udp or icmp")
        protocol = Protocol.TCP
    port = item.get_int("port", 0, 65535, "port", 0)
    if protocol is not Protocol.ICMP and port == 0:
        item.fault("port", f"{protocol.value} needs a port (1-65535)")
    return Failsafe(
        direction=item.get_enum("direction", Direction, Direction.INGRESS),
        protocol=protocol,
        port=port,
        network=item.get_value("cidr", ip_network, ip_network("::/0")),
    )
