"""Real connections between lab hosts, made by peer.py on the hosts themselves."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tools.demo.lab import Lab
from tools.process import ToolError

PEER = Path(__file__).with_name("peer.py")
PLACE = "/run/tcmicro-demo"
UNIT = "tcmicro-demo-echo"


@dataclass(frozen=True)
class Flow:
    """What a long-lived connection saw from its start to its end."""

    sent: int
    received: int
    wrong: int
    longest_gap_ms: int
    error: str

    @property
    def intact(self) -> bool:
        return not self.error and self.sent == self.received > 0 and self.wrong == 0

    def __str__(self) -> str:
        lost = self.sent - self.received
        text = f"{self.sent} bytes sent, {lost} lost, {self.wrong} wrong, longest gap {self.longest_gap_ms} ms"
        return f"{text}, {self.error}" if self.error else text


class Stream:
    """A connection that stays open while the block runs; `flow` tells afterwards."""

    def __init__(self, lab: Lab, source: str, address: str, port: int) -> None:
        self.argv = lab.ssh_argv(source, f"python3 {PLACE}/peer.py stream {address} {port}")
        self.flow = Flow(0, 0, 0, 0, "never started")

    def __enter__(self) -> Stream:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(self.argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != "connected":
            raise ToolError(
                f"stream did not connect: {self.process.communicate()[1].strip()[-300:]}"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            out, err = self.process.communicate("", timeout=70)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
        try:
            self.flow = Flow(**json.loads(out.splitlines()[-1]))
        except (IndexError, ValueError, TypeError):
            self.flow = Flow(0, 0, 0, 0, f"broke off: {err.strip()[-200:]}")


class Traffic:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def install(self, hosts: Sequence[str]) -> None:
        """Put peer.py on hosts; it lives in /run and goes with the lab."""
        for host in hosts:
            command = f"mkdir -p {PLACE} && cat > {PLACE}/peer.py"
            reply = self.lab.ssh(host, command, send=PEER.read_text())
            if not reply.ok:
                raise ToolError(f"{host}: {reply.err}")

    def serve(self, host: str, *ports: int) -> None:
        """Answer on these ports until `quiet`."""
        words = " ".join(str(port) for port in ports)
        unit = f"systemd-run -q --collect --unit {UNIT} python3 {PLACE}/peer.py serve {words}"
        reply = self.lab.ssh(host, f"systemctl -q is-active {UNIT} || {unit}")
        if not reply.ok:
            raise ToolError(f"{host}: {reply.err}")
        self._await(host, ports[0])

    def _await(self, host: str, port: int) -> None:
        """Until the host itself reaches its own server."""
        for _ in range(20):
            if self.ask(host, "127.0.0.1", port) == "answered":
                return
            time.sleep(0.25)
        raise ToolError(f"{host}: nothing listens on port {port}")

    def ask(self, source: str, address: str, port: int, *, timeout: float = 2) -> str:
        """One connection: answered, refused, timeout, unreachable or closed."""
        command = f"python3 {PLACE}/peer.py ask {address} {port} {timeout}"
        reply = self.lab.ssh(source, command, timeout=timeout + 5)
        return reply.out or f"no answer from {source}: {reply.err}"

    def stream(self, source: str, address: str, port: int) -> Stream:
        return Stream(self.lab, source, address, port)

    def quiet(self, hosts: Sequence[str]) -> None:
        for host in hosts:
            self.lab.ssh(host, f"systemctl -q stop {UNIT}; rm -rf {PLACE}")
