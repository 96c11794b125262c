"""Three hosts in a row as network namespaces: `near` and `far` reach each other only through `router`."""

from __future__ import annotations

from pathlib import Path

from world import Namespace, World

NEAR, ROUTER_NEAR, ROUTER_FAR, FAR = "10.8.1.2", "10.8.1.1", "10.8.2.1", "10.8.2.2"
NEAR6, ROUTER_NEAR6, ROUTER_FAR6, FAR6 = "fd08:1::2", "fd08:1::1", "fd08:2::1", "fd08:2::2"
LINKS = {  # interface of the router: its addresses, those of the host behind it
    "eth0": ((ROUTER_NEAR, ROUTER_NEAR6), (NEAR, NEAR6)),
    "eth1": ((ROUTER_FAR, ROUTER_FAR6), (FAR, FAR6)),
}
SWITCHES = ("ipv4/ip_forward", "ipv6/conf/all/forwarding")


class Road(World):
    """The router routes both families; servers and sockets as in World."""

    def __init__(self, tag: str) -> None:
        self._servers = []
        self.near, self.router, self.far = (Namespace(f"{tag}{n}") for n in "nrf")
        for (interface, (ours, theirs)), host in zip(
            LINKS.items(), (self.near, self.far), strict=True
        ):
            veth = ("link", "add", interface, "type", "veth", "peer", "eth0", "netns", host.name)
            self.router.ip(*veth)
            _address(self.router, interface, ours)
            _address(host, "eth0", theirs)
            for family, gateway in zip(("-4", "-6"), ours, strict=True):
                host.ip(family, "route", "add", "default", "via", gateway)
        for switch in SWITCHES:
            self.router.inside((Path("/proc/sys/net") / switch).write_text, "1")

    def close(self) -> None:
        self.stop_serving()
        for space in (self.near, self.router, self.far):
            space.close()


def _address(space: Namespace, interface: str, addresses: tuple[str, str]) -> None:
    four, six = addresses
    space.ip("addr", "add", f"{four}/24", "dev", interface)
    space.ip("addr", "add", f"{six}/64", "dev", interface, "nodad")
    space.ip("link", "set", interface, "up")
