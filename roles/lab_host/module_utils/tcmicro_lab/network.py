"""The lab's network: one namespace with one bridge, the controller's end of it. Nothing of the host's is touched."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from .model import Act
from .plan import CONTROLLER_V4, CONTROLLER_V6, PREFIX_V4, PREFIX_V6
from .run import run, succeeds

BRIDGE = "br0"


class Network:
    """Effect of Kind.NETWORK; the target is the namespace's name."""

    def exists(self, act: Act) -> bool:
        show = ["ip", "-n", act.target, "-o", "address", "show", "dev", BRIDGE]
        return _namespace(act).exists() and succeeds(show) and CONTROLLER_V6 in run(show)

    def make(self, act: Act) -> None:
        self.remove(act)  # half of one, left by a cut attempt
        run(["ip", "netns", "add", act.target])
        for words in (
            "link set lo up",
            # Snooping without a querier loses neighbour discovery after a while.
            f"link add {BRIDGE} type bridge forward_delay 0 mcast_snooping 0",
            f"address add {CONTROLLER_V4}/{PREFIX_V4} dev {BRIDGE}",
            f"link set {BRIDGE} up",
            f"address add {CONTROLLER_V6}/{PREFIX_V6} dev {BRIDGE} nodad",
        ):
            run(["ip", "-n", act.target, *words.split()])

    def remove(self, act: Act) -> None:
        """The bridge goes first by name: a connection still open would keep a deleted namespace alive."""
        if succeeds(["ip", "-n", act.target, "link", "show", BRIDGE]):
            run(["ip", "-n", act.target, "link", "delete", BRIDGE])
        if _namespace(act).exists() and not succeeds(["ip", "netns", "delete", act.target]):
            _namespace(act).unlink()  # created and never mounted: a cut `ip netns add`


def _namespace(act: Act) -> Path:
    return Path("/run/netns") / act.target


class Directory:
    """Effect of Kind.DIRECTORY: the short path for ssh control sockets, which must fit in 108 bytes."""

    def exists(self, act: Act) -> bool:
        return Path(act.target).is_dir()

    def make(self, act: Act) -> None:
        Path(act.target).mkdir(mode=0o700, exist_ok=True)

    def remove(self, act: Act) -> None:
        """Ends the ssh masters of this lab, then the directory."""
        path = Path(act.target)
        if not path.is_dir():
            return
        for socket in path.iterdir():
            succeeds(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "lab"], limit=5)
            with contextlib.suppress(FileNotFoundError):
                socket.unlink()
        os.rmdir(path)
