"""The long-running agent: load, attach, then keep the host as configured and serve metrics.

It enforces nothing itself. Stopped, killed or frozen, the datapath goes on, deadlines included.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

from tcmicro_agent import metrics, upkeep
from tcmicro_agent.config import Config
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.errors import TcmicroError
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.report import start_of
from tcmicro_agent.store import Store
from tcmicro_agent.sweep import Sweep
from tcmicro_agent.version import VERSION
from tcmicro_agent.watch import Watch

TICK_S = 1.0
log = logging.getLogger("tcmicro")


class Daemon:
    """Signals only set flags; everything happens in `run`."""

    def __init__(self, agent: Agent, store: Store, release: Path) -> None:
        self._agent = agent
        self._store = store
        self._release = release
        self._sweep = Sweep(agent.kernel)
        self._wake = threading.Event()
        self._stop = False
        self._reload = False
        self._last_fault = ""
        self._watch = Watch()

    def run(self) -> None:
        """Returns when told to stop. Raises only for what makes a start pointless."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        config = self._store.config()
        self._say(upkeep.load(self._agent, self._release, config))
        self._say(upkeep.converge(self._agent, config))
        collector = metrics.AgentCollector(self._own_agent(), config, self._sweep)
        metrics.serve(config.metrics_address, config.metrics_port, collector)
        self._store.save_agent(_introduction())
        notify("READY=1")
        log.info("started release=%s pid=%d", VERSION, os.getpid())
        while not self._stop:
            config = self._tick(config)
            self._wake.wait(TICK_S)
            self._wake.clear()
        notify("STOPPING=1")
        log.info("stopped; enforcement goes on")

    def _tick(self, config: Config) -> Config:
        try:
            if self._reload:
                self._reload = False
                config = self._store.config()
                log.info("configuration reloaded")
            self._say(upkeep.converge(self._agent, config))
            self._say(self._watch.look(self._agent, time.monotonic()))
            self._sweep.step(self._agent.clock.boot_ms(), config.tuning.sweep_s * 1000)
            self._last_fault = ""
        except (TcmicroError, OSError) as exc:
            if str(exc) != self._last_fault:
                log.error("%s", exc)
            self._last_fault = str(exc)
        return config

    def _own_agent(self) -> Agent:
        """The metrics thread has handles of its own."""
        return Agent(Kernel(self._agent.kernel.pins), self._store)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._reload = self._reload or number == signal.SIGHUP
        self._stop = self._stop or number != signal.SIGHUP
        self._wake.set()

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
