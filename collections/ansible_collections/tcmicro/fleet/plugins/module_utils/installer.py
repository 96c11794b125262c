# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a host to a release and its service up, or leave it on the release it had.

What is to do exists first as a list of steps that check mode can print; every step may be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import (
    Agent,
    Service,
    ServiceError,
)
from ansible_collections.tcmicro.fleet.plugins.module_utils.guard import Guard
from ansible_collections.tcmicro.fleet.plugins.module_utils.releases import Layout, ReleaseError

LOOK_EVERY_S = 0.5
CRASH_LOOP = 3  # restarts by systemd within one start
FAILED = "the service failed"
START = "start the service"
RESTART = "restart the service"
WITHIN_S = 300  # what a release has to be confirmed, unless told otherwise


@dataclass(frozen=True)
class Step:
    """One thing to do and how to say it."""

    text: str
    act: Callable[[], object]


@dataclass(frozen=True)
class Clock:
    """Time, handed in: seconds that only grow, and waiting."""

    now: Callable[[], float]
    sleep: Callable[[float], None]


class Installer:
    """Joins the files of a release with the service that runs them."""

    def __init__(
        self,
        layout: Layout,
        service: Service,
        agent: Callable[[Path], Agent],
        guard: Guard,
        clock: Clock,
    ) -> None:
        self.layout = layout
        self.guard = guard
        self.service = service
        self._agent_at = agent
        self._clock = clock

    # --- what is to do

    def unpack_steps(
        self,
        version: str,
        digest: str,
        artifact: Path | None,
        verify: Callable[[], Path | None] = lambda: None,
    ) -> list[Step]:
        """Unpacking, unless this very artifact is there. A release of another content is refused. `verify` raises
        ReleaseError for an artifact that must not be unpacked, and gives the signature to keep with it."""
        have = self.layout.digest(version)
        if have == digest:
            return []
        if have is not None or self.layout.release(version).exists():
            raise ReleaseError(
                f"release {version} is installed from an artifact with sha256 {have}, the controller has {digest}: "
                f"a release never changes. Build it under a new version, or remove {self.layout.release(version)}"
            )
        if artifact is None:  # check mode predicts without it
            return [Step(f"unpack release {version}", _nothing)]
        return [
            Step(
                f"unpack release {version}",
                lambda: self.layout.unpack(artifact, version, digest, verify()),
            )
        ]

    def run_steps(self, version: str, *, back: bool = False, within: int = WITHIN_S) -> list[Step]:
        """From the release being on disk to its service running; with one before it, until it is confirmed."""
        layout, service = self.layout, self.service.show()
        current, steps = layout.linked(layout.current), []
        guard = [] if back else self._guard_steps(current or version, version)
        if current != version:
            kept = back or current is None or not (guard or self.guard.installed())
            steps.append(self._switch_step(current, version, None if kept else within, back=back))
        if layout.unit_differs(version):
            steps.append(Step("install tcmicro-agent.service", lambda: self._install_unit(version)))
        if layout.command_differs():
            steps.append(Step(f"link {layout.command}", layout.link_command))
        if not service["enabled"]:
            steps.append(Step("enable the service", lambda: self.service.act("enable")))
        if service["active"] and (steps or self._reported() != version):
            steps.append(Step(RESTART, lambda: self.service.launch("restart")))
        elif not service["active"]:
            steps.append(Step(START, lambda: self.service.launch("start")))
        return [*guard, *steps]

    def _switch_step(
        self, current: str | None, version: str, within: int | None, *, back: bool
    ) -> Step:
        """`within`: seconds to confirm it in, None where it is kept, as a release that ran here before."""
        text = f"switch from {current or 'nothing'} to {version}"
        undone = back or (current and self.guard.pending(current))
        if undone and self.guard.leads_back(current, version):
            return Step(f"take {current} back, to {version}", self.guard.revert)
        if within:
            return Step(
                f"{text}, for {within} s unless it is confirmed",
                lambda: self.guard.switch(version, within),
            )
        move = self.layout.take_back if back else self.layout.switch
        return Step(text, lambda: move(version))

    def _guard_steps(self, trusted: str, version: str) -> list[Step]:
        """The guard is that of the release that runs and was confirmed; where none is there, that of the new one."""
        if self.guard.pending(trusted):
            return []
        sources = [trusted] if self.guard.installed() else [trusted, version]
        found = next((release for release in sources if self.guard.differs(release)), None)
        return [Step("install the guard", lambda: self.guard.install(found))] if found else []

    def confirm_steps(self, version: str, evidence: dict[str, Any]) -> list[Step]:
        """To keep a release that waits. Its guard is trusted from then on."""
        pending, steps = self.guard.pending(version), []
        if pending:
            steps.append(
                Step(f"confirm {version}", lambda: self.guard.confirm(pending["id"], evidence))
            )
        if self.guard.differs(version):
            steps.append(Step("install the guard", lambda: self.guard.install(version)))
        return steps

    # --- doing it

    def preflight(self, version: str) -> None:
        """Ask the candidate itself whether it may run here, before it replaces anything."""
        program = self.layout.release(version) / "bin/tc-micro"
        reply = self._agent_at(program).call("preflight")
        if reply.ok:
            return
        findings = (reply.document or {}).get("findings") or []
        failed = [
            f"{f['check']}: {f['found']}, needed {f['needed']}"
            for f in findings
            if f["level"] == "fail"
        ]
        reason = "; ".join(failed) or reply.complaint()
        raise ReleaseError(
            f"release {version} does not fit this host, nothing was switched: {reason}"
        )

    def carry_out(self, steps: list[Step], version: str, timeout: float) -> None:
        """Take the steps and wait for the release to report. On failure: what was before, and say so."""
        current = self.layout.linked(self.layout.current)
        previous = self.layout.linked(self.layout.previous)
        restarted = any(step.text == RESTART for step in steps)
        stale = self.service.show()["pid"] if restarted else None
        try:
            for step in steps:
                step.act()
            self._wait(version, timeout, stale)
        except (ServiceError, OSError) as exc:
            journal = self.service.journal()
            now = self._undo(version, current, previous, timeout)
            words = f"release {version} does not run: {exc}; {now}\n{journal}"
            raise ReleaseError(words.rstrip()) from exc

    def _undo(self, version: str, current: str | None, previous: str | None, timeout: float) -> str:
        if current is None:
            self.service.act("stop")
            self.layout.restore(current, previous)
            return "there is no earlier release to go back to"
        if current == version and not self.guard.taken_back(version):
            return "it was current before"
        try:
            current = self._back(version, current, previous)
            self._wait(current, timeout, None)
        except (ServiceError, OSError) as exc:
            return f"release {current} is current again, and does not run either: {exc}"
        return f"release {current} is current again and runs"

    def _back(self, version: str, current: str, previous: str | None) -> str:
        """By the guard, which may have done it already, or here. Returns the release that is current then."""
        if self.guard.taken_back(version) or self.guard.pending(version):
            self.guard.revert()
            return self.layout.linked(self.layout.current) or current
        self.layout.restore(current, previous)
        self._install_unit(current)
        self.service.launch("restart")
        return current

    def health(self, version: str, timeout: float) -> dict[str, Any]:
        """Wait until the release reports; what was seen is evidence that it runs."""
        self._wait(version, timeout, None)
        service = self.service.show()
        return {key: service[key] for key in ("pid", "restarts", "state")}

    def _wait(self, version: str, timeout: float, stale: int | None) -> None:
        """Until two looks in a row find the same process well; `stale` is the one being replaced."""
        deadline, last = self._clock.now() + timeout, None
        while True:
            pid, reason = self._look(version)
            if not reason and pid == last:
                return
            if reason.startswith(FAILED) or self._clock.now() >= deadline:
                raise ServiceError(reason or "its process keeps changing")
            last = None if reason or pid == stale else pid
            self._clock.sleep(LOOK_EVERY_S)

    def _look(self, version: str) -> tuple[int | None, str]:
        """Process of the service, and what is wrong with it ("" when nothing)."""
        cause = self.guard.taken_back(version)
        if cause:
            return None, f"{FAILED}, and the host took the release back: {cause}"
        service = self.service.show()
        if not service["active"]:
            given_up = service["failed"] or (service["restarts"] or 0) >= CRASH_LOOP
            state = FAILED if given_up else f"the service is {service['state']}"
            return None, f"{state}, result {service['result']}, {service['restarts']} restarts"
        reported = self._reported()
        return service["pid"], "" if reported == version else f"it reports release {reported}"

    def _reported(self) -> str | None:
        """Release that the running agent names, None when it does not answer."""
        agent = self._agent_at(self.layout.command)
        if not agent.installed():
            return None
        document = agent.call("status").document or {}
        running = document.get("agent") or {}
        return running.get("release") if running.get("running") else None

    def _install_unit(self, version: str) -> None:
        self.layout.install_unit(version)
        self.service.reload_units()


def _nothing() -> None:
    """What a step does that only check mode sees."""
