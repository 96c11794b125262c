"""Where /metrics is served, and to whom: the key `metrics` of agent.json. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from tcmicro_agent.jsonutil import Reader, show
from tcmicro_agent.policy.model import Network

DEFAULT_PORT = 9931


@dataclass(frozen=True)
class Tls:
    """Files in PEM on this host. With `client_ca` only clients with a certificate of it are served."""

    certificate: str
    key: str
    client_ca: str | None = None


@dataclass(frozen=True)
class Listening:
    """`networks`: clients from elsewhere are turned away; empty means everybody who gets there. `aliases`: the
    names of the earlier system are served too."""

    address: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    networks: tuple[Network, ...] = ()
    tls: Tls | None = None
    aliases: bool = False

    def admits(self, client: str) -> bool:
        """`client` as the socket tells it; an IPv4 client of an IPv6 socket is one of IPv4."""
        if not self.networks:
            return True
        found = ip_address(client.partition("%")[0])
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return any(found.version == net.version and found in net for net in self.networks)


def read_listening(doc: Reader) -> Listening:
    """The value of the key `metrics`."""
    default = Listening()
    return Listening(
        address=doc.get_value("address", _address, default.address, default.address),
        port=doc.get_int("port", 1, 65535, "port", default.port),
        networks=doc.get_values("networks", ip_network) if doc.has("networks") else (),
        tls=_read_tls(doc.get_object("tls")) if doc.has("tls") else None,
        aliases=doc.get_bool("aliases", default.aliases),
    )


def _read_tls(item: Reader) -> Tls:
    return Tls(
        certificate=item.get_value("certificate", _path, ""),
        key=item.get_value("key", _path, ""),
        client_ca=item.get_value("client_ca", _path, "") if item.has("client_ca") else None,
    )


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f'{show(text)} is not an IP address; "0.0.0.0" and "::" are all') from None


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{show(text)} is not an absolute path")
    return text
