"""A pair of tun devices, one in each of two namespaces, whose packets are carried over by hand: links of bare IP."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import threading
from contextlib import suppress

from world import Namespace

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000


class Tunnel:
    """A device of that name in both namespaces until closed."""

    def __init__(self, name: str, *ends: Namespace) -> None:
        self._devices = [space.inside(_open, name) for space in ends]
        self._stop, self._stopped = os.pipe()
        self._carrier = threading.Thread(target=self._carry, daemon=True)
        self._carrier.start()

    def _carry(self) -> None:
        one, other = self._devices
        onward = {one: other, other: one}
        while True:
            ready, _, _ = select.select([*onward, self._stop], [], [])
            if self._stop in ready:
                return
            for device in ready:
                packet = os.read(device, 65536)
                with suppress(OSError):  # the other end is not up: lost, as on a wire
                    os.write(onward[device], packet)

    def close(self) -> None:
        os.write(self._stopped, b"x")
        self._carrier.join()
        for handle in (*self._devices, self._stop, self._stopped):
            os.close(handle)


def _open(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device
