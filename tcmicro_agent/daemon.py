"""The long-running agent: load, attach, then keep the host as configured and serve metrics.

It enforces nothing itself. Stopped, killed or frozen, the datapath goes on, deadlines included.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from tcmicro_agent import metrics, upkeep
from tcmicro_agent.attachments import Attachments
from tcmicro_agent.config import Config
from tcmicro_agent.datapath import links
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.errors import TcmicroError
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.report import start_of
from tcmicro_agent.store import Store
from tcmicro_agent.sweep import Sweep
from tcmicro_agent.version import VERSION
from tcmicro_agent.watch import Watch

TICK_S = 1.0
LOOK_S = 30.0  # hooks are looked at that often even when nothing is announced: netlink costs 4 ms
SETTLE_S = 0.2  # a new link is given the time to become what it is made for
log = logging.getLogger("tcmicro")


class Daemon:
    """Signals only set flags; everything happens in `run`."""

    def __init__(self, agent: Agent, store: Store, release: Path) -> None:
        self._agent = agent
        self._store = store
        self._release = release
        self._config = Config()
        self._attachments = Attachments(agent.kernel)
        self._links = links.Announcements()
        self._next_look = 0.0
        self._sweep = Sweep(agent.kernel)
        self._watch = Watch()
        self._woken, self._waker = socket.socketpair()
        self._stop = False
        self._reload = False
        self._faults: dict[str, str] = {}

    def run(self) -> None:
        """Returns when told to stop. Raises only for what makes a start pointless."""
        self._take_signals()
        self._config = config = self._store.config()
        self._say(upkeep.load(self._agent, self._release, config))
        self._say(upkeep.converge(self._agent, config))
        self._attempt("hooks", self._keep_attached)
        collector = metrics.AgentCollector(
            self._own_agent(), lambda: self._config, self._sweep, self._attachments.repairs
        )
        metrics.serve(config.metrics_address, config.metrics_port, collector)
        self._store.save_agent(_introduction())
        notify("READY=1")
        log.info("started release=%s pid=%d", VERSION, os.getpid())
        while not self._stop:
            self._tick()
            if self._wait():
                self._follow_links()
        notify("STOPPING=1")
        log.info("stopped; enforcement goes on")

    def _tick(self) -> None:
        if self._reload:
            self._reload = False
            self._attempt("configuration", self._read_config)
        self._attempt("hooks", self._keep_attached)
        self._attempt("upkeep", self._keep_up)

    def _attempt(self, what: str, step: Callable[[], list[str]]) -> None:
        """One step fails alone, and says so once."""
        try:
            self._say(step())
            self._faults.pop(what, None)
        except (TcmicroError, OSError) as exc:
            if str(exc) != self._faults.get(what):
                log.error("%s", exc)
            self._faults[what] = str(exc)

    def _read_config(self) -> list[str]:
        self._config = self._store.config()
        self._next_look = 0.0
        return ["configuration reloaded"]

    def _keep_attached(self) -> list[str]:
        now = time.monotonic()
        if now < self._next_look and self._attachments.intact(self._config):
            return []
        done = self._attachments.converge(self._config)
        self._next_look = now + LOOK_S
        return done

    def _keep_up(self) -> list[str]:
        self._say(upkeep.converge(self._agent, self._config))
        self._say(self._watch.look(self._agent, time.monotonic()))
        self._sweep.step(self._agent.clock.boot_ms(), self._config.tuning.sweep_s * 1000)
        return []

    def _wait(self) -> bool:
        """Until the next tick, a signal or a change of links; whether it was that."""
        changed, woken = self._links.fileno(), self._woken.fileno()
        ready, _, _ = select.select([changed, woken], [], [], TICK_S)
        if woken in ready:
            self._woken.recv(4096)
        return changed in ready and self._links.drain()

    def _follow_links(self) -> None:
        """What is gone is let go at once, what is new is attached to with the next tick, which comes soon."""
        self._attempt("links", lambda: self._attachments.converge(self._config, newcomers=False))
        time.sleep(SETTLE_S)
        self._links.drain()
        self._next_look = 0.0

    def _own_agent(self) -> Agent:
        """The metrics thread has handles of its own."""
        return Agent(Kernel(self._agent.kernel.pins), self._store)

    def _take_signals(self) -> None:
        for end in (self._woken, self._waker):
            end.settimeout(0)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._reload = self._reload or number == signal.SIGHUP
        self._stop = self._stop or number != signal.SIGHUP

    @staticmethod
    def _say(done: list[str]) -> None:
        for line in done:
            log.info("%s", line)


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
