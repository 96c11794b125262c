"""The monitoring host of the lab as tests see it: what runs there is asked from the host itself, over one ssh."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import time

import pytest

from tools import lab_packages

HOST = "client1"
INVENTORIES = ("-i", "inventories/lab", "-i", "inventories/lab-monitoring")
PACKAGES = ["prometheus", "prometheus-alertmanager", "python3-apt"]
PROMETHEUS = "http://127.0.0.1:9090"
ALERTMANAGER = "http://127.0.0.1:9093"
LIMIT_S = 240
# Of the rules as shipped, what a test cannot wait for; and no machine that it runs on needs 2 µs a packet.
SHORTENED = {
    r"(?m)for: \d+[mhd]$": "for: 1s",
    r"offset 10m": "offset 10s",
    r"(tc_micro_bpf_run\w+)\[5m\]": r"\1[30s]",
    r"> 2e-6": "> 2e-7",
}
SYN_RATE = {"listener": {"above": 20, "below": 5}}

# Reads what is asked on standard input, writes [status, text] for every URL; status 0 where there was no answer.
ASK = """
import base64, json, ssl, sys, urllib.error, urllib.request as u
asked = json.load(sys.stdin)
context = ssl.create_default_context(cafile=asked.get("ca"))
if asked.get("certificate"):
    context.load_cert_chain(asked["certificate"], asked["key"])
def answer(url):
    request = u.Request(url)
    if asked.get("user"):
        word = base64.b64encode(f"{asked['user']}:{asked['password']}".encode()).decode()
        request.add_header("Authorization", "Basic " + word)
    try:
        with u.urlopen(request, timeout=10, context=context) as reply:
            return [reply.status, reply.read().decode()]
    except urllib.error.HTTPError as exc:
        return [exc.code, ""]
    except OSError as exc:
        return [0, str(exc)]
json.dump([answer(url) for url in asked["urls"]], sys.stdout)
"""


class Monitor:
    """`ways`, where a server wants them: user, password, ca, certificate, key; files are on the host."""

    def __init__(self, lab) -> None:
        self.lab = lab

    def answers(self, urls, **ways):
        """A pair of status and text for each."""
        asked = json.dumps({"urls": list(urls), **ways})
        reply = self.lab.ssh(HOST, shlex.join(["python3", "-c", ASK]), send=asked, timeout=60)
        assert reply.ok, reply.err
        return [tuple(pair) for pair in json.loads(reply.out)]

    def ask(self, url, **ways):
        """The JSON document that a server answers with."""
        [(status, text)] = self.answers([url], **ways)
        assert status == 200, (url, status, text)
        return json.loads(text)

    def status(self, url, **ways):
        """0: no answer."""
        [(status, _)] = self.answers([url], **ways)
        return status

    def send(self, host, path, content):
        """Write a file that everybody may read."""
        command = f"mkdir -p $(dirname {path}) && cat > {path} && chmod 644 {path}"
        reply = self.lab.ssh(host, command, send=content)
        assert reply.ok, reply.err

    def do(self, command):
        reply = self.lab.ssh(HOST, command)
        assert reply.ok, reply.err
        return reply.out

    def carry(self, program, path):
        """Put a program of this machine into the host's tree."""
        shutil.copy(program, self.lab.home / "hosts" / HOST / "root" / path.lstrip("/"))


def until(holds, says):
    end = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < end, says()
        time.sleep(2)


@pytest.fixture(scope="module")
def monitor(play, scene):
    return Monitor(scene.lab)


@pytest.fixture(scope="module")
def rules(root, tmp_path_factory):
    """The rules as shipped, but for what is SHORTENED."""
    folder = tmp_path_factory.mktemp("rules")
    for path in (root / "monitoring/rules").glob("*.yml"):
        text = path.read_text()
        for shipped, shorter in SHORTENED.items():
            text = re.sub(shipped, shorter, text)
        (folder / path.name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def play(journey, rules, root):
    """The playbook over a fleet that has its policies; afterwards agents are as they were and nothing listens."""
    faults = [result.fault for result in journey.reach(4) if result.fault]
    assert not faults, faults[0]
    lab_packages.install(root, HOST, PACKAGES)
    scene = journey.scene

    def run(*words, **more):
        given = {"monitoring_rules": str(rules), "tcmicro_agent_syn_rate": SYN_RATE, **more}
        return scene.plays.run("monitoring", *INVENTORIES, "-e", json.dumps(given), *words)

    yield run
    scene.lab.ssh(HOST, "systemctl disable --now prometheus prometheus-alertmanager")
    running = scene.lab.agent(HOST, "status")["agent"]["release"]
    outcome = scene.plays.run("deploy", "-e", f"tcmicro_agent_release={running}")
    assert outcome.code == 0, outcome.failure()
