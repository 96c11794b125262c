"""A fleet of fake hosts, and the real playbooks over it.

The collection is the real one but for the modules that would act on a host: those are replaced by fakes which keep the
state of a host in a file. Connections fail as ssh would. All else runs: ansible-playbook, the plays, the actions.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from tools.process import crash

ROOT = Path(__file__).resolve().parents[2]
FAKES = Path(__file__).parent / "fakes"
NETWORK = ip_network("10.0.0.0/16")
LIMIT_S = 120
OLD, NEW = "0.1.0", "0.1.1"


@dataclass(frozen=True)
class Outcome:
    code: int
    output: str

    def says(self, text: str) -> bool:
        return text in " ".join(self.output.split())


class Fleet:
    def __init__(self, folder: Path, hosts: list[str]) -> None:
        self.folder = folder
        self.hosts = hosts
        self.rollouts = folder / "rollouts"
        self.started: list[subprocess.Popen] = []
        self._collection()
        self._artifact(NEW)
        (folder / "hosts").mkdir()
        shutil.copy(FAKES / "fakehost_state.py", folder / "hosts")
        for host in hosts:
            self._host(host)
        self._inventory()

    # --- building it

    def _collection(self) -> None:
        fleet = "ansible_collections/tcmicro/fleet"
        target = self.folder / "collections" / fleet
        shutil.copytree(
            ROOT / "collections" / fleet, target, ignore=shutil.ignore_patterns("*.pyc")
        )
        for fake in (FAKES / "modules").glob("*.py"):
            shutil.copy(fake, target / "plugins/modules" / fake.name)
        database = target / "plugins/plugin_utils/journal/database.py"
        database.write_text(database.read_text() + (FAKES / "cut.py").read_text())

    def _artifact(self, version: str) -> None:
        (self.folder / "artifacts").mkdir(exist_ok=True)
        path = self.folder / f"artifacts/tcmicro-{version}-x86_64.tar.gz"
        path.write_text(f"artifact of {version}")
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(f"{path.name}.sha256").write_text(f"{self.digest}  {path.name}\n")

    def _host(self, host: str) -> None:
        folder = self.folder / "hosts" / host
        folder.mkdir()
        state = {
            "release": OLD,
            "releases": [OLD],
            "restarts": 0,
            "loaded": True,
            "generation": 3,
            "digest": "ab12",
            "transaction": None,
            "staged": "",
            "share": None,
            "judged": {name: {"allowed": 0, "refused": 0} for name in ("live", "staged")},
            "previous": None,
            "policy_change": None,
            "policies": [],
            "epoch": 0,
        }
        (folder / "state.json").write_text(json.dumps(state))
        (folder / "script.json").write_text("{}")

    def _inventory(self) -> None:
        shared = {
            "ansible_connection": "fakehost",
            "ansible_become": False,
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_remote_tmp": str(self.folder / "tmp"),
            "tcmicro_allow_unsigned": True,
            "tcmicro_artifacts_dir": str(self.folder / "artifacts"),
            "tcmicro_agent_artifacts_dir": str(self.folder / "artifacts"),
            "tcmicro_rollouts_dir": str(self.rollouts),
            "tcmicro_policies": str(self.folder / "policies"),
            "tcmicro_bundles_dir": str(self.folder / "bundles"),
        }
        half = len(self.hosts) // 2
        hosts = {
            host: {
                "tcmicro_ring": "canary" if number < half else "normal",
                "tcmicro_addresses": [str(NETWORK[number + 1])],
                "fake_folder": str(self.folder / "hosts" / host),
            }
            for number, host in enumerate(self.hosts)
        }
        group = {"hosts": hosts, "vars": shared}
        document = {"all": {"children": {"tcmicro": group}}}
        (self.folder / "inventory.json").write_text(json.dumps(document))

    def racks(self, racks: dict[str, str]) -> None:
        """Say in the inventory where hosts stand."""
        path = self.folder / "inventory.json"
        document = json.loads(path.read_text())
        hosts = document["all"]["children"]["tcmicro"]["hosts"]
        for host, rack in racks.items():
            hosts[host]["tcmicro_rack"] = rack
        path.write_text(json.dumps(document))

    def policies(self, port: int) -> dict[str, str]:
        """Policies that open a port on every host, with what rules now kept as a bundle; the digests there are."""
        (self.folder / "policies").mkdir(exist_ok=True)
        (self.folder / "policies/fleet.yml").write_text(POLICY.format(port=port))
        (self.folder / "bundles").mkdir(exist_ok=True)
        before = {"kind": "Bundle", "digest": "ab12"}
        (self.folder / "bundles/ab12.json").write_text(json.dumps(before))
        return {host: self.state(host)["digest"] for host in self.hosts}

    def begin_at(self, other: Fleet, moment: str) -> None:
        """Have the hosts and the journal that another fleet had, if its controller was run with FAKE_CUT=keep."""
        shutil.copytree(other.folder / "kept" / moment, self.folder, dirs_exist_ok=True)

    # --- what goes wrong, and what there is

    def script(self, host: str, **faults: object) -> None:
        (self.folder / "hosts" / host / "script.json").write_text(json.dumps(faults))

    def down(self, host: str) -> None:
        (self.folder / "hosts" / host / "down").touch()

    def up(self, host: str) -> None:
        (self.folder / "hosts" / host / "down").unlink()

    def state(self, host: str) -> dict:
        return json.loads((self.folder / "hosts" / host / "state.json").read_text())

    def change(self, host: str, **values: object) -> None:
        path = self.folder / "hosts" / host / "state.json"
        path.write_text(json.dumps({**self.state(host), **values}))

    def forget_trials(self) -> None:
        """The deadline of every host that still tries something has come."""
        for host in self.hosts:
            state = self.state(host)
            if (state["transaction"] or {}).get("state") == "pending":
                self.change(host, transaction={**state["transaction"], "deadline": 0})
            if (state["policy_change"] or {}).get("deadline"):
                self.change(host, policy_change={**state["policy_change"], "deadline": 1})

    def end_shares(self) -> None:
        """The deadline of every share of new flows has come."""
        for host in self.hosts:
            if share := self.state(host)["share"]:
                self.change(host, share={**share, "deadline": 0})

    def shorten_trials(self, seconds: int) -> None:
        for host in self.waiting():
            change = {**self.state(host)["transaction"], "deadline": time.time() + seconds}
            self.change(host, transaction=change)

    def settle(self) -> None:
        """What hosts had begun when the controller died, they end."""
        for host in self.hosts:
            with (self.folder / "hosts" / host / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)

    def waves_in_order(self) -> bool:
        """No wave was begun before the one before it had passed."""
        kinds = "kind IN ('wave 1', 'wave 2')"
        events = self.journal(f"SELECT kind, text FROM events WHERE {kinds} ORDER BY seq")
        passed = events.index(("wave 1", "passed"))
        return [kind for kind, _ in events[: passed + 1]].count("wave 2") == 0

    def calls(self, host: str, action: str | None = None) -> list[dict]:
        path = self.folder / "hosts" / host / "calls"
        found = (
            [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        )
        return [call for call in found if action in (None, call["action"])]

    def touched(self) -> list[str]:
        """Hosts on which anything was tried."""
        return [h for h in self.hosts if any(c["action"] != "look" for c in self.calls(h))]

    def applies(self) -> dict[str, int]:
        return {h: sum(c["changed"] for c in self.calls(h, "apply")) for h in self.hosts}

    def releases(self) -> dict[str, str]:
        return {host: self.state(host)["release"] for host in self.hosts}

    def waiting(self) -> list[str]:
        """Hosts that try something, and would go back by themselves."""
        states = {h: (self.state(h)["transaction"] or {}).get("state") for h in self.hosts}
        return [host for host, state in states.items() if state == "pending"]

    def journal(self, query: str) -> list[tuple]:
        with sqlite3.connect(self.rollouts / "journal.db") as connection:
            return connection.execute(query).fetchall()

    def applied(self) -> list[str]:
        """Hosts that the journal knows to be changed."""
        if not (self.rollouts / "journal.db").exists():
            return []
        query = "SELECT host FROM hosts WHERE state = 'applied' ORDER BY host"
        try:
            return [host for (host,) in self.journal(query)]
        except sqlite3.OperationalError:  # it is being made
            return []

    def expired(self, host: str) -> dict:
        """A host after it was asked once more, which is when it looks at its clock."""
        code = "import sys; sys.path.insert(0, sys.argv[1]); import fakehost_state as f; f.Host()"
        environment = {**os.environ, "FAKE_HOST": str(self.folder / "hosts" / host)}
        subprocess.run(
            [sys.executable, "-c", code, str(self.folder / "hosts")], env=environment, check=True
        )
        return self.state(host)

    def went_back(self) -> list[list[str]]:
        """Batches of hosts that were to be taken back, in order."""
        query = "SELECT text FROM events WHERE kind = 'back intent' ORDER BY seq"
        return [sorted(text.split(", ")) for (text,) in self.journal(query)]

    def rollout(self) -> str:
        return self.journal("SELECT id FROM rollouts ORDER BY created DESC")[0][0]

    def steps(self) -> int:
        return int((self.folder / "steps").read_text())

    # --- running it

    cwd = ROOT

    def command(self, playbook: str) -> list[str]:
        return [str(ROOT / ".venv/bin/ansible-playbook"), str(ROOT / f"playbooks/{playbook}.yml")]

    def start(self, playbook: str, *words: str, **environment: str) -> subprocess.Popen:
        (self.folder / "steps").unlink(missing_ok=True)
        known = {
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
            "ANSIBLE_CONNECTION_PLUGINS": str(FAKES / "connection"),
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "local"),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "FAKE_FLEET": str(self.folder),
        }
        self.log = (self.folder / "log").open("w+")
        inventory = ("-i", str(self.folder / "inventory.json"))
        process = subprocess.Popen(
            [*self.command(playbook), *inventory, *words],
            cwd=self.cwd,
            env={**os.environ, **known, **environment},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.started.append(process)
        (self.folder / "hosts/controller").write_text(str(process.pid))
        return process

    def end(self) -> None:
        """Workers of a controller that was killed outlive it; all of them know the folder."""
        for process in self.started:
            if process.poll() is None:
                crash(process.pid)
                process.wait()
        mark = f"FAKE_FLEET={self.folder}\0".encode()
        for environment in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):  # it has ended meanwhile
                if mark in environment.read_bytes():
                    os.kill(int(environment.parent.name), signal.SIGKILL)

    def wait(self, process: subprocess.Popen) -> Outcome:
        try:
            code = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            crash(process.pid)
            code = process.wait()
        self.log.seek(0)
        return Outcome(code, self.log.read())

    def run(self, playbook: str, *words: str, **environment: str) -> Outcome:
        return self.wait(self.start(playbook, *words, **environment))

    def canary(self, *words: str, **environment: str) -> Outcome:
        return self.run("canary", *CANARY, *words, **environment)

    def until(self, holds, process: subprocess.Popen) -> None:
        """Wait for something the playbook does; it must not have ended before."""
        end = time.monotonic() + LIMIT_S
        while not holds():
            assert process.poll() is None, "the playbook ended early"
            assert time.monotonic() < end, "it never came to that"
            time.sleep(0.02)


CANARY = ("-e", f"release={NEW}", "-e", "bake=0", "-e", "waves=[50,100]")
POLICY = """\
apiVersion: tcmicro/v1
kind: Policy
metadata:
  name: fleet
spec:
  mode: protect
  applyTo:
    groups: [tcmicro]
  default: {{ingress: deny, egress: allow}}
  ingress:
    - id: port
      from:
        - groups: [tcmicro]
      ports: [tcp/{port}]
"""
