"""The lab as the demo sees it: hosts with groups and addresses, reached by ssh."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.process import ToolError


@dataclass(frozen=True)
class Reply:
    """What a command on a host said; `code` 255 is ssh's own failure."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0


def _groups(node: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every group below a node of the inventory, with its hosts."""
    found: dict[str, dict[str, Any]] = {}
    for name, group in (node.get("children") or {}).items():
        found[name] = (group or {}).get("hosts") or {}
        found.update(_groups(group or {}))
    return found


class Lab:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / ".lab"
        self.config = self.home / "ssh_config"
        self.inventory = root / "inventories" / "lab" / "hosts.yml"

    def groups(self) -> dict[str, dict[str, Any]]:
        if not self.inventory.is_file():
            raise ToolError(
                f"the lab is down: no {self.inventory.relative_to(self.root)}; run 'make lab-up'"
            )
        document = yaml.safe_load(self.inventory.read_text())
        return _groups({"children": document})

    def members(self, group: str) -> list[str]:
        return sorted(self.groups().get(group, {}))

    def hosts(self) -> list[str]:
        return sorted({name for members in self.groups().values() for name in members})

    def address(self, host: str) -> str:
        for members in self.groups().values():
            if (members.get(host) or {}).get("ansible_host"):
                return str(members[host]["ansible_host"])
        raise ToolError(f"{host}: no ansible_host in {self.inventory}")

    def namespace(self) -> str:
        """The network namespace that the lab's connections are opened in."""
        found = re.search(r"/run/netns/(\S+)", self.config.read_text())
        if found is None:
            raise ToolError(f"{self.config}: names no network namespace")
        return found[1]

    def ssh_argv(self, host: str, command: str, *, connect: float = 5) -> list[str]:
        """A connection of its own: nothing is shared with Ansible's or an earlier one."""
        options = [
            f"ConnectTimeout={connect:.0f}",
            "ControlMaster=no",
            "ControlPath=none",
            "BatchMode=yes",
        ]
        flags = [part for option in options for part in ("-o", option)]
        return ["ssh", "-F", str(self.config), *flags, host, command]

    def ssh(self, host: str, command: str, *, timeout: float = 30, send: str = "") -> Reply:
        try:
            done = subprocess.run(
                self.ssh_argv(host, command),
                input=send,
                timeout=timeout,
                capture_output=True,
                text=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Reply(255, "", f"no answer within {timeout:.0f} s")
        return Reply(done.returncode, done.stdout.strip(), done.stderr.strip())

    def reachable(self, host: str, *, within: float = 2) -> bool:
        return self.ssh(host, "true", timeout=within).ok

    def agent(self, host: str, *words: str) -> dict[str, Any]:
        """The document that `tc-micro WORDS --json` prints on a host."""
        reply = self.ssh(host, shlex.join(["tc-micro", *words, "--json"]))
        try:
            document = json.loads(reply.out)
        except ValueError:
            raise ToolError(
                f"{host}: tc-micro {' '.join(words)}: {reply.err or reply.out}"
            ) from None
        if not isinstance(document, dict):
            raise ToolError(f"{host}: tc-micro {' '.join(words)} printed no document")
        return document
