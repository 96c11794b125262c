# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the agent off a host, also when it is broken or half installed: hooks, pins, unit, releases.

Only what is ours: pins below our own directory, and filters with our priority and our program names.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import UNIT, Agent, Run, Service
from ansible_collections.tcmicro.fleet.plugins.module_utils.guard import Guard
from ansible_collections.tcmicro.fleet.plugins.module_utils.installer import Step
from ansible_collections.tcmicro.fleet.plugins.module_utils.releases import Layout

PINS = Path("/sys/fs/bpf/tcmicro")
OUR_PRIORITY = 49000
OUR_PREFIX = "tcm_"


class Removal:
    """Every step looks first, so that the second run finds nothing to do."""

    def __init__(
        self, layout: Layout, service: Service, agent: Agent, run: Run, pins: Path = PINS
    ) -> None:
        self._layout = layout
        self._service = service
        self._agent = agent
        self._run = run
        self._pins = pins

    def steps(self) -> list[Step]:
        """In order: nothing runs, nothing hooks, nothing is left on disk."""
        return [*self._service_steps(), *self._datapath_steps(), *self._file_steps()]

    def _service_steps(self) -> Iterator[Step]:
        guard = Guard(self._layout, self._run)
        if guard.units():
            yield Step("remove the guard", guard.retire)
        service = self._service.show()
        if service["active"] or service["state"].startswith("activating"):
            yield Step("stop the service", lambda: self._service.act("stop"))
        if service["enabled"]:
            yield Step("disable the service", lambda: self._service.act("disable"))
        if service["failed"]:
            yield Step("clear the failed state", self._service.forget_failure)

    def _datapath_steps(self) -> Iterator[Step]:
        if self._pins.exists() or self._filters():
            yield Step("detach the datapath", self._detach)

    def _detach(self) -> None:
        """Ask the agent; whatever it leaves, or cannot do, is removed here. tcx links end with their pins."""
        if self._agent.installed():
            self._agent.call("detach")
        for device, hook in self._filters():
            self._run(["tc", "filter", "del", "dev", device, hook, "pref", str(OUR_PRIORITY)])
        if self._pins.exists():
            shutil.rmtree(self._pins)

    def _filters(self) -> list[list[str]]:
        """Device and hook of every clsact filter of ours."""
        if shutil.which("tc") is None:
            return []
        return [
            [device, hook]
            for device in sorted(os.listdir("/sys/class/net"))
            for hook in ("ingress", "egress")
            if _ours(self._run(["tc", "-j", "filter", "show", "dev", device, hook])[1])
        ]

    def _file_steps(self) -> Iterator[Step]:
        layout = self._layout
        if layout.unit.exists():
            yield Step(f"remove {UNIT}", self._remove_unit)
        if layout.command.is_symlink():
            yield Step(f"remove {layout.command}", layout.command.unlink)
        if layout.home.exists():
            yield Step(f"remove {layout.home}", lambda: shutil.rmtree(layout.home))

    def _remove_unit(self) -> None:
        """A unit that failed while it was stopped would stay listed as failed and not found."""
        self._layout.unit.unlink()
        self._service.reload_units()
        self._service.forget_failure()


def _ours(listing: str) -> bool:
    """Whether `tc -j filter show` lists a filter of ours."""
    try:
        filters = json.loads(listing or "[]")
    except ValueError:
        return False
    return any(
        row.get("pref") == OUR_PRIORITY
        and str(row.get("options", {}).get("bpf_name", "")).startswith(OUR_PREFIX)
        for row in filters
    )
