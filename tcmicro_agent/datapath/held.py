"""Maps of a datapath, held open so that one whose pin is removed can be pinned again with all it holds."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tcmicro_agent.datapath import libbpf


class Held:
    def __init__(self, pins: Path) -> None:
        self._pins = pins
        self._fds: dict[str, int] = {}

    def repin(self, names: Iterable[str]) -> list[str]:
        """Opens what is there and not held yet; pins again what is held and not there. Names of the latter."""
        back = []
        for name in names:
            pin = self._pins / name
            if pin.exists():
                if name not in self._fds:
                    self._fds[name] = libbpf.get(pin)
            elif name in self._fds:
                self._pins.mkdir(parents=True, exist_ok=True)
                libbpf.pin(self._fds[name], pin)
                back.append(name)
        return back

    def close(self) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
