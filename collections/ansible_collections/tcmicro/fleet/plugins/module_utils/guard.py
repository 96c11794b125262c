# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's own guard: it switches releases until they are confirmed, and takes back what is not, with nobody there.

It is a copy out of a release that was confirmed, and replaced only by that of another one. A host whose releases have
none is switched without a dead-man, as before.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import (
    Agent,
    Reply,
    Run,
    ServiceError,
)
from ansible_collections.tcmicro.fleet.plugins.module_utils.atomic import replace_file
from ansible_collections.tcmicro.fleet.plugins.module_utils.releases import Layout, ReleaseError

SOURCE = "lib/tcmicro_agent/guard.py"  # within a release
TIMER, AT_BOOT, POLICY = (
    "tcmicro-guard.timer",
    "tcmicro-guard@boot.service",
    "tcmicro-boot.service",
)
UNITS = ("tcmicro-guard@.service", TIMER, POLICY)
ENABLED = (AT_BOOT, TIMER, POLICY)
REFUSED = 3

Document = dict[str, Any]


class Guard:
    """Program, units and record of the guard."""

    def __init__(self, layout: Layout, run: Run) -> None:
        self._layout = layout
        self._run = run
        self.program = layout.home / "guard/tcmicro-guard"
        self.record = layout.state / "release.json"

    # --- the guard itself

    def installed(self) -> bool:
        return self.program.is_file()

    def differs(self, version: str) -> bool:
        """Whether that release brings another guard than the one here."""
        wanted = self._files(version)
        return bool(wanted) and any(
            not target.is_file() or source.read_bytes() != target.read_bytes()
            for source, target in wanted.items()
        )

    def install(self, version: str) -> None:
        """Only if it runs here: a guard that does not must not replace one that does."""
        files = self._files(version)
        program = next(source for source, target in files.items() if target == self.program)
        code, _, stderr = self._run(["/usr/bin/python3", "-I", str(program), "show", "--json"])
        if code:
            words = stderr.strip() or f"exit code {code}"
            raise ReleaseError(f"the guard of release {version} does not run here: {words}")
        self.program.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        for source, target in files.items():
            replace_file(target, source.read_bytes(), 0o755 if target == self.program else 0o644)
        self._systemctl("daemon-reload")
        self._systemctl("enable", *ENABLED)

    def _files(self, version: str) -> dict[Path, Path]:
        """What a release has of the guard, and where it belongs; empty for a release that has none."""
        release, units = self._layout.release(version), self._layout.unit.parent
        files = {release / SOURCE: self.program}
        files.update({release / name: units / name for name in UNITS})
        return files if all(source.is_file() for source in files) else {}

    # --- what it does

    def transaction(self) -> Document | None:
        """The last change of release, as it was written down."""
        try:
            found = json.loads(self.record.read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def pending(self, version: str) -> Document | None:
        """The change to that release, while it waits to be confirmed."""
        found = self.transaction()
        waits = found and (found.get("version"), found.get("state")) == (version, "pending")
        return found if waits else None

    def taken_back(self, version: str) -> str:
        """Why the last change, to that release, was taken back; empty when it was not."""
        found = self.transaction() or {}
        gone = found.get("version") == version and found.get("state") in ("reverting", "reverted")
        return str(found.get("cause") or "it was asked for") if gone else ""

    def leads_back(self, current: str | None, version: str) -> bool:
        """Whether going from `current` to `version` is to undo the last change."""
        found = self.transaction() or {}
        undone = (found.get("version"), found.get("previous")) == (current, version)
        return self.installed() and undone and found.get("state") != "reverted"

    def switch(self, version: str, within: int) -> None:
        self._done(self._call("switch", version, "--within", str(within)))

    def confirm(self, transaction: str, evidence: Document) -> None:
        self._done(self._call("confirm", transaction, "--evidence", json.dumps(evidence)))

    def revert(self) -> None:
        self._done(self._call("revert"))

    def _call(self, *argv: str) -> Reply:
        return Agent(self._run, str(self.program)).call(*argv)

    @staticmethod
    def _done(reply: Reply) -> None:
        """Raises ReleaseError when it refused and changed nothing, ServiceError when it failed half way."""
        if reply.ok:
            return
        error = (reply.document or {}).get("error") or {}
        words = f"tcmicro-guard {reply.verb}: {error.get('message') or reply.stderr.strip()}"
        raise ReleaseError(words) if reply.code == REFUSED else ServiceError(words)

    # --- leaving

    def units(self) -> list[Path]:
        """Units of the guard that are installed."""
        return [path for name in UNITS if (path := self._layout.unit.with_name(name)).exists()]

    def retire(self) -> None:
        """Nothing ticks and nothing starts with the host any more."""
        # those of a boot are active to its end: without a file they would stay listed
        self._run(["systemctl", "stop", *ENABLED])
        self._run(["systemctl", "disable", *ENABLED])
        for path in self.units():
            path.unlink()
        self._systemctl("daemon-reload")
        self._run(["systemctl", "reset-failed", "tcmicro-*"])

    def _systemctl(self, *words: str) -> None:
        code, _, stderr = self._run(["systemctl", *words])
        if code:
            raise ServiceError(f"systemctl {' '.join(words)}: exit code {code}: {stderr.strip()}")
