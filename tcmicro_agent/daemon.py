"""The long-running agent: load, attach, then keep the host as configured and serve metrics.

It enforces nothing itself. Stopped, killed or frozen, the datapath goes on, deadlines included.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from tcmicro_agent import apart, messages, upkeep
from tcmicro_agent.attachments import Attachments
from tcmicro_agent.config import Config
from tcmicro_agent.datapath import links
from tcmicro_agent.datapath.host import start_of
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.errors import TcmicroError
from tcmicro_agent.journal import Journal
from tcmicro_agent.messages import Event
from tcmicro_agent.metrics.collector import AgentCollector, Sources
from tcmicro_agent.metrics.listener import Listener
from tcmicro_agent.metrics.vitals import Vitals
from tcmicro_agent.probe import Finding, Probe
from tcmicro_agent.rebuilding import Rebuilding
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.recorder import Recorder
from tcmicro_agent.store import Store
from tcmicro_agent.sweep import Sweep
from tcmicro_agent.version import VERSION
from tcmicro_agent.watch import Watch

TICK_S = 1.0
LOOK_S = 30.0  # hooks are looked at that often even when nothing is announced: netlink costs 4 ms
SETTLE_S = 0.2  # a new link is given the time to become what it is made for
STEPS = {  # of the loop, by what the log says when one fails
    "configuration": messages.CONFIG_REFUSED,
    "hooks": messages.HOOKS_FAILED,
    "upkeep": messages.UPKEEP_FAILED,
    "enforcement": messages.UPKEEP_FAILED,
    "samples": messages.SAMPLES_FAILED,
    "metrics": messages.LISTEN_FAILED,
}


class Daemon:
    """Signals only set flags; everything happens in `run`."""

    def __init__(self, agent: Agent, store: Store, release: Path, journal: Journal) -> None:
        self._agent = agent
        self._store = store
        store.apart = (
            apart.in_child
        )  # for years this process would hold what one look at a bundle takes
        self._release = release
        self._journal = journal
        self._config = Config()
        self._attachments = Attachments(agent.kernel)
        self._links = links.Announcements()
        self._next_look = 0.0
        self._looking = (
            True  # this tick looks at everything, whether anything seems to have changed or not
        )
        self._upkeep = upkeep.Upkeep(agent)
        self._rebuilding = Rebuilding(agent)
        self._sweep = Sweep(agent.kernel)
        self._watch = Watch()
        self._recorder = Recorder(agent, self._sweep, self._own_numbers)
        self._woken, self._waker = socket.socketpair()
        self._stop = False
        self._reload = False
        self._faults: dict[str, str] = {}
        self._failed = 0  # steps, since this process started
        self._vitals = Vitals(failing=dict.fromkeys(STEPS, False))
        self._probe = Probe(self._own_agent(), lambda: self._config, release / "tcmicro.bpf.o")
        self._found: Finding | None = None  # when it was told last
        self._introduction = _introduction()
        self._listener = self._make_listener()

    def run(self) -> None:
        """Returns when told to stop. Raises only for what makes a start pointless."""
        self._take_signals()
        self._config = config = self._store.config()
        self._say(upkeep.load(self._agent, self._release, config))
        self._say(upkeep.converge(self._agent, config))
        self._attempt("hooks", self._keep_attached)
        self._begin()
        notify("READY=1")
        self._say([messages.STARTED(release=VERSION, pid=os.getpid())])
        while not self._stop:
            with self._vitals.timed():
                self._tick()
            if self._wait():
                self._follow_links()
        notify("STOPPING=1")
        self._say([messages.STOPPED()])

    def _begin(self) -> None:
        """A file that is refused, or a port that is taken, ends no agent: the last configuration that was accepted is
        in force, and the listener is tried again."""
        self._attempt("configuration", lambda: self._accept_config(lambda _: None))
        self._attempt("metrics", self._listen)
        self._introduce()

    def _tick(self) -> None:
        if self._reload:
            self._reload = False
            self._faults.pop("configuration", None)  # asked for again, so told again
            self._attempt("configuration", self._read_config)
            self._introduce()
        if not self._listener.serving:
            self._attempt("metrics", self._listen)
        self._attempt("hooks", self._keep_attached)
        self._attempt("upkeep", self._keep_up)
        self._attempt("enforcement", self._look_whether_it_enforces)
        self._attempt("samples", self._record)

    def _attempt(self, step: str, act: Callable[[], list[Event]]) -> None:
        """One step fails alone, and says so once."""
        try:
            self._say(act())
            self._faults.pop(step, None)
        except (TcmicroError, OSError) as exc:
            self._failed += 1
            if str(exc) != self._faults.get(step):
                self._say([STEPS[step](problem=exc)])
            self._faults[step] = str(exc)
        self._vitals.failing[step] = step in self._faults

    def _accept_config(self, follow: Callable[[Config], None]) -> list[Event]:
        self._vitals.config_failed = True  # until it is accepted
        self._config = self._store.accept_config(follow)
        self._vitals.config_failed = False
        self._vitals.config_read_s = time.time()
        return []

    def _read_config(self) -> list[Event]:
        self._accept_config(lambda found: self._listener.follow(found.metrics))
        self._next_look = 0.0
        return [messages.CONFIG_RELOADED()]

    def _listen(self) -> list[Event]:
        self._listener.follow(self._config.metrics)
        return []

    def _keep_attached(self) -> list[Event]:
        now = time.monotonic()
        self._looking = now >= self._next_look
        if not self._looking and self._attachments.intact(self._config):
            return []
        self._say(upkeep.mend(self._agent))
        done = self._attachments.converge(self._config)
        self._next_look = now + LOOK_S
        return done

    def _keep_up(self) -> list[Event]:
        self._say(self._upkeep.converge(self._config, anew=self._looking))
        self._say(self._watch.look(self._agent, time.monotonic()))
        self._sweep.step(self._agent.clock.boot_ms(), self._config.tuning.sweep_s * 1000)
        self._vitals.changes.look(self._store)
        return []

    def _look_whether_it_enforces(self) -> list[Event]:
        """Told when it begins, ends, or fails to for another reason."""
        found = self._probe.look()
        if self._found is None or found.why is not self._found.why:
            self._found = found
            self._say([_told(found)])
            self._introduce()
        return self._rebuilding.follow(found)

    def _record(self) -> list[Event]:
        self._recorder.step(self._agent.clock.boot_ms() / 1000)
        return []

    def _own_numbers(self) -> dict[str, float]:
        repairs = sum(self._attachments.repairs.values())
        return {"agent_faults": self._failed, "agent_hook_repairs": repairs}

    def _wait(self) -> bool:
        """Until the next tick, a signal or a change of links; whether it was that."""
        changed, woken = self._links.fileno(), self._woken.fileno()
        ready, _, _ = select.select([changed, woken], [], [], TICK_S)
        if woken in ready:
            self._woken.recv(4096)
        return changed in ready and self._links.drain()

    def _follow_links(self) -> None:
        """What is gone is let go at once, what is new is attached to with the next tick, which comes soon."""
        self._attempt("hooks", lambda: self._attachments.converge(self._config, newcomers=False))
        time.sleep(SETTLE_S)
        self._links.drain()
        self._next_look = 0.0

    def _make_listener(self) -> Listener:
        sources = Sources(
            agent=self._own_agent(),
            config=lambda: self._config,
            probe=self._probe,
            journal=self._journal,
            vitals=self._vitals,
            sweep=self._sweep,
            watch=self._watch,
            repairs=self._attachments.repairs,
            requests=self._vitals.requests,
            sample=lambda: self._recorder.latest(self._agent.clock.boot_ms() / 1000),
        )
        return Listener(AgentCollector(sources), self._vitals.requests)

    def _own_agent(self) -> Agent:
        """Other threads have handles of their own."""
        return Agent(Kernel(self._agent.kernel.pins), self._store)

    def _introduce(self) -> None:
        """What `tc-micro status` says of the agent."""
        self._store.save_agent(
            {
                **self._introduction,
                "config_problem": self._faults.get("configuration"),
                "enforcing_problem": self._found.problem if self._found else None,
            }
        )

    def _take_signals(self) -> None:
        for end in (self._woken, self._waker):
            end.settimeout(0)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._reload = self._reload or number == signal.SIGHUP
        self._stop = self._stop or number != signal.SIGHUP

    def _say(self, done: list[Event]) -> None:
        for event in done:
            self._journal.say(event)


def _told(found: Finding) -> Event:
    if found.enforcing:
        return messages.ENFORCING(generation=found.generation)
    return messages.NOT_ENFORCING(why=found.why.value, detail=found.detail)


def _introduction() -> dict[str, object]:
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    pid = os.getpid()
    return {"pid": pid, "start": start_of(pid), "release": VERSION, "started_at": started}


def notify(state: str) -> None:
    """sd_notify(3): one datagram to the service manager, when there is one."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), target)
