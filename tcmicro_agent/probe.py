"""Whether this host enforces its policy, found out by asking the kernel and not by what was configured.

The programs must hang on every guarded interface, the live policy must be in mode protect, and the kernel must say of
flows whose verdict is known what it has to. They are put to `tcm_ask`, which reads the same maps and leaves no trace.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tcmicro_agent import abi, canaries, takeover
from tcmicro_agent.abi import SlotHeader
from tcmicro_agent.attachments import survey
from tcmicro_agent.canaries import Canary
from tcmicro_agent.config import Config, Failsafe
from tcmicro_agent.datapath import host
from tcmicro_agent.datapath.ask import Answer, asking
from tcmicro_agent.errors import TcmicroError
from tcmicro_agent.policy import windows
from tcmicro_agent.policy.model import Bundle
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.tables import DIRECTIONS

INTERVAL_S = 15.0
RETRY_S = 1.0  # after a finding that is soon repaired, or was made while something changed
TRIES = 3  # while somebody makes another policy live between question and answer

Ask = Callable[[abi.Direction, bytes], Answer]


class Why(Enum):
    """Why a host does not enforce; `none`: it does."""

    NONE = "none"
    NOT_LOADED = "not_loaded"
    NO_POLICY = "no_policy"
    MONITOR = "monitor"
    NO_INTERFACE = "no_interface"
    NOT_ATTACHED = "not_attached"
    NO_BUNDLE = "no_bundle"
    WRONG_ANSWER = "wrong_answer"
    PROBE_FAILED = "probe_failed"


PASSING = frozenset({Why.NOT_LOADED, Why.NOT_ATTACHED, Why.WRONG_ANSWER, Why.PROBE_FAILED})
WANTED = frozenset({Why.NONE, Why.MONITOR, Why.NO_POLICY})  # or nobody's fault


@dataclass(frozen=True)
class Hooks:
    """Interfaces that are to be guarded, which of them lack a program of ours, and all that is not as configured."""

    guarded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    name: str = "none"


@dataclass(frozen=True)
class Finding:
    """What a probe found: `detail` names the interface or flow; `asked` is how many flows the kernel judged rightly."""

    why: Why
    detail: str = ""
    generation: int = 0
    asked: int = 0
    hooks: Hooks = Hooks()

    @property
    def enforcing(self) -> bool:
        return self.why is Why.NONE

    @property
    def problem(self) -> str | None:
        """For eyes; None where the host enforces, or is not to."""
        return None if self.why in WANTED else f"{self.why.value}: {self.detail}"


class Probe:
    """Looks again after INTERVAL_S, and at once when another policy or configuration is in force; whoever asks, from
    any thread. `release`: the object of the programs."""

    def __init__(
        self,
        agent: Agent,
        config: Callable[[], Config],
        release: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._agent = agent
        self._config = config
        self._object = release
        self._clock = clock
        self._lock = threading.Lock()
        self._next_s = 0.0
        self._last = Finding(Why.NOT_LOADED, "not looked yet")
        self._seen: object = None
        self._open = ExitStack()
        self._ask: Ask | None = None
        self._known: tuple[object, tuple[Canary, ...]] | None = None
        self.probes = 0

    def look(self) -> Finding:
        with self._lock:
            situation = self._situation()
            if self._clock() >= self._next_s or situation != self._seen:
                self._last, self._seen = self._probe(), situation
                self.probes += 1
                passing = self._last.why in PASSING
                self._next_s = self._clock() + (RETRY_S if passing else INTERVAL_S)
            return self._last

    def close(self) -> None:
        """Lets go of tcm_ask, and with it of the maps."""
        with self._lock:
            self._forget()

    def _situation(self) -> object:
        """What a finding is about, cheap to look at; None where that cannot be seen."""
        try:
            live = self._agent.observe().live if self._agent.kernel.loaded else None
        except (TcmicroError, OSError):
            return None
        return live, self._config()

    def _probe(self) -> Finding:
        try:
            if not self._agent.kernel.loaded:
                self._forget()
                return Finding(Why.NOT_LOADED, "no datapath is loaded")
            return self._judge()
        except (TcmicroError, OSError) as exc:
            self._forget()
            return Finding(Why.PROBE_FAILED, str(exc))

    def _judge(self) -> Finding:
        hooks = self._hooks()
        live = self._agent.observe().live
        if not live.generation:
            return Finding(Why.NO_POLICY, "no policy is live", hooks=hooks)
        why, detail = Why.NONE, ""
        if live.mode is not abi.Mode.PROTECT:
            why, detail = Why.MONITOR, "the live policy only counts"
        elif not hooks.guarded:
            why, detail = Why.NO_INTERFACE, "no interface is guarded"
        elif hooks.missing:
            why, detail = Why.NOT_ATTACHED, ", ".join(hooks.missing)
        if why is Why.NONE:
            return self._question(hooks)
        return Finding(why, detail, live.generation, hooks=hooks)

    def _hooks(self) -> Hooks:
        config, kernel = self._config(), self._agent.kernel
        found, kind = survey(kernel, config), config.hook.value
        on = {one.name: kernel.attached(kind, one) for one in found.guarded}
        missing = tuple(name for name, ways in on.items() if not all(ways.values()))
        sizes = config.tuning.map_sizes(host.memory_bytes())
        return Hooks(
            guarded=tuple(on),
            missing=missing,
            drift=(*missing, *found.problems, *takeover.drift(kernel, sizes)),
            name=kernel.hook(kind, found.guarded[0]).name if found.guarded else "none",
        )

    def _question(self, hooks: Hooks) -> Finding:
        """Again, where another policy was made live between question and answer."""
        for _ in range(TRIES):
            live = self._agent.observe().live
            found = self._put(live, hooks)
            if self._agent.observe().live == live:
                break
        return found

    def _put(self, live: SlotHeader, hooks: Hooks) -> Finding:
        known = self._canaries(live)
        if known is None:
            return Finding(Why.NO_BUNDLE, live.digest, live.generation, hooks=hooks)
        wrong = next(filter(None, (self._fault(one, live) for one in known)), None)
        if wrong:
            return Finding(Why.WRONG_ANSWER, wrong, live.generation, hooks=hooks)
        return Finding(Why.NONE, "", live.generation, len(known), hooks)

    def _fault(self, canary: Canary, live: SlotHeader) -> str | None:
        """How the kernel's answer differs from the one that is expected."""
        if self._ask is None:
            self._ask = self._open.enter_context(asking(self._agent.kernel, self._object))
        said = self._ask(DIRECTIONS[canary.asked.direction], canary.packet)
        heard, wanted = _words(said), _expected(canary, live.generation)
        return None if heard == wanted else f"{canary}: {heard}, expected {wanted}"

    def _canaries(self, live: SlotHeader) -> tuple[Canary, ...] | None:
        """Made once per policy and failsafe; None where the bundle is not kept."""
        failsafe = self._config().failsafe
        key = (live.generation, live.digest, failsafe)
        if self._known is None or self._known[0] != key:
            found = self._agent.store.apart(lambda: self._make_canaries(live, failsafe))
            if found is None:
                return None
            self._known = key, found
        return self._known[1]

    def _make_canaries(
        self, live: SlotHeader, failsafe: tuple[Failsafe, ...]
    ) -> tuple[Canary, ...] | None:
        bundle = self._agent.enforced(live)
        return canaries.canaries(self._in_force(bundle, live), failsafe) if bundle else None

    def _in_force(self, bundle: Bundle, live: SlotHeader) -> Bundle:
        """The rules that the generation was built with."""
        if not windows.has_times(bundle):
            return bundle
        phase = self._agent.store.books().phases.get(live.generation)
        now = self._agent.clock.wall_s()
        return windows.in_force(bundle, now if phase is None else windows.moment(bundle, phase))

    def _forget(self) -> None:
        self._open.close()
        self._open, self._ask, self._known = ExitStack(), None, None


def _words(said: Answer) -> str:
    """What is refused by policies in mode monitor alone passes, and is a refusal all the same."""
    verdict = "deny" if said.audited else said.verdict.name.lower()
    return _answer(verdict, said.reason.name.lower(), said.generation, audited=said.audited)


def _expected(canary: Canary, generation: int) -> str:
    expected = canary.expected
    action, reason = expected.action.value, expected.reason
    return _answer(action, reason, generation, audited=expected.audited)


def _answer(verdict: str, reason: str, generation: int, *, audited: bool) -> str:
    return f"{verdict}{' in monitor' if audited else ''} ({reason}, generation {generation})"
