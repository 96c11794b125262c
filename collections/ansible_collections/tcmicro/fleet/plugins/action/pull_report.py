# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold what hosts say of their pulls against the pointers of a mirror's directory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import pulls
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.once import OnceAction
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.pulls import Named

from tcmicro_agent import pointer, signing
from tcmicro_agent.errors import TcmicroError

ARGUMENTS = {
    "mirror": {"type": "path", "required": True},
    "hosts": {"type": "list", "elements": "str", "required": True},
    "looks": {"type": "dict", "required": True},
    "grace_s": {"type": "int", "default": 1800},
}


class ActionModule(OnceAction):
    ARGUMENTS = ARGUMENTS
    REFUSALS = (TcmicroError, OSError)

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        now = time.time()
        named = dict(_pointers(Path(args["mirror"]), args["hosts"]))
        found = pulls.rows(args["hosts"], args["looks"], named, now, args["grace_s"])
        return {
            "rows": found,
            "table": pulls.lines(found, now),
            "summary": pulls.summary(found),
            "complaint": pulls.complaint(found),
        }


def _pointers(mirror: Path, hosts: list[str]) -> Iterator[tuple[str, Named]]:
    """Those that are there. Who signed them is for the hosts to find out."""
    for host in hosts:
        path = mirror / pointer.path_of(host)
        if path.is_file():
            signed = signing.parse(path.read_bytes(), str(path))
            yield host, Named(pointer.parse(signed), path.stat().st_mtime)
