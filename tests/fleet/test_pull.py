"""Hosts that fetch their policies by themselves: a web server on the controller, three hosts with timers, no push."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.lab
HOSTS = ("client1", "db1", "web1")
LIMIT = ("--limit", ",".join(HOSTS))
PORT = 8088
CONTROLLER = "10.77.0.1"
WITHIN_S = 30
PATIENCE_S = 240
OFTEN = ("-e", "tcmicro_policy_pull_calendar=*:*:0/5", "-e", "tcmicro_policy_pull_splay_s=4")


class Server:
    """What the mirror's directory holds, for whoever asks in the lab's network."""

    def __init__(self, lab, directory):
        self._lab, self._directory, self._process = lab, directory, None

    def start(self):
        where = ["nsenter", f"--net=/run/netns/{self._lab.namespace()}"]
        what = [sys.executable, "-m", "http.server", str(PORT), "--bind", CONTROLLER]
        self._process = subprocess.Popen(
            [*where, *what, "--directory", str(self._directory)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self):
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    directory = tmp_path_factory.mktemp("mirror")
    directory.chmod(0o755)
    return directory


@pytest.fixture(scope="module")
def server(scene, journey, mirror):
    assert not [result.fault for result in journey.reach(4) if result.fault]
    found = Server(scene.lab, mirror)
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def pulling(scene, server):
    """Three hosts that look at the mirror all the time; afterwards all is as before."""
    before = policies(scene)
    words = ("-e", f"tcmicro_pull_mirror=http://{CONTROLLER}:{PORT}/", *OFTEN)
    foreseen = scene.plays.run("pull_hosts", *words, *LIMIT, "--check")
    done = scene.plays.run("pull_hosts", *words, *LIMIT)
    again = scene.plays.run("pull_hosts", *words, *LIMIT)
    yield foreseen, done, again
    gone = scene.plays.run("pull_hosts", "-e", "tcmicro_policy_pull_state=absent", *LIMIT)
    assert gone.code == 0, gone.failure()
    assert scene.plays.run("policy").code == 0
    assert policies(scene) == before
    for host in HOSTS:
        assert scene.lab.ssh(host, "ls /etc/systemd/system/tcmicro-pull.*").code != 0


@pytest.fixture
def publish(scene, mirror, pulling, tmp_path):
    """The inventory's policies, or these with one text of the fleet's replaced, for the three hosts."""

    def run(old="", new="", *words):
        source = scene.root / "inventories/lab/policies"
        changed = shutil.copytree(source, tmp_path / f"policies{time.monotonic_ns()}")
        text = (changed / "fleet.yml").read_text()
        assert old in text
        (changed / "fleet.yml").write_text(text.replace(old, new))
        confirm = json.dumps({"tcmicro_pull_confirm": {"within_s": WITHIN_S}})
        where = ("-e", f"tcmicro_policies={changed}", "-e", f"tcmicro_pull_directory={mirror}")
        return scene.plays.run("pull", *where, "-e", confirm, *LIMIT, *words)

    return run


def policies(scene):
    return {h: scene.lab.agent(h, "status")["policy"]["digest"] for h in scene.lab.hosts()}


def pulled(scene):
    return {host: scene.lab.agent(host, "policy", "pulled") for host in HOSTS}


def live(scene):
    return {host: scene.lab.agent(host, "status")["policy"]["digest"] for host in HOSTS}


def wait(scene, says):
    """What the hosts say of their pulls, once it is so on all of them."""
    end = time.monotonic() + PATIENCE_S
    while True:
        found = pulled(scene)
        if all(says(one) for one in found.values()):
            return found
        assert time.monotonic() < end, found
        time.sleep(1)


def result(name):
    return lambda said: said["result"] == name


def runs(serials):
    """Whether a host runs what it was told by one of these."""
    return lambda said: said["serial"] in serials and said["live"] == said["digest"]


def serials(mirror):
    """Of the pointers that are published."""
    texts = (json.loads(path.read_text()) for path in (mirror / "pointers").glob("*.json"))
    return {json.loads(text["statement"])["serial"] for text in texts}


def sweep(scene, mirror, *words):
    return scene.plays.run("pull_status", "-e", f"tcmicro_pull_directory={mirror}", *LIMIT, *words)


WIDER = ("ports: [icmp]", "ports: [icmp, tcp/7]")


def test_hosts_are_set_up_as_foreseen_and_only_once(pulling, scene):
    foreseen, done, again = pulling
    assert (foreseen.code, done.code, again.code) == (0, 0, 0), done.failure()
    assert sorted(done.recap) == sorted(HOSTS)
    assert done.total("changed") > 0
    assert again.total("changed") == 0
    for host in HOSTS:
        assert foreseen.recap[host]["changed"] == done.recap[host]["changed"]


def test_a_mirror_address_that_is_wrong_changes_nothing(pulling, scene):
    outcome = scene.plays.run("pull_hosts", "-e", "tcmicro_pull_mirror=ftp://x", *LIMIT)
    assert outcome.code != 0
    assert outcome.total("changed") == 0
    assert "is not like https://" in outcome.output


def test_a_good_policy_converges_and_a_second_run_changes_nothing(publish, scene, mirror, say):
    before, started = live(scene), time.monotonic()
    foreseen = publish(*WIDER, "--check")
    assert (foreseen.code, list(mirror.glob("pointers/*"))) == (0, []), foreseen.failure()
    assert publish(*WIDER).total("changed") == foreseen.total("changed") == 1
    wait(scene, runs(serials(mirror)))
    say(f"3 hosts run it {time.monotonic() - started:.0f} s after the play began")
    after = live(scene)
    assert all(before[host] != after[host] for host in HOSTS)
    for host in HOSTS:
        assert scene.lab.agent(host, "status")["policy"]["state"] == "committed"
    assert publish(*WIDER).total("changed") == 0
    outcome = sweep(scene, mirror, "-e", "strict=true")
    assert outcome.code == 0, outcome.output
    assert outcome.total("changed") == 0
    assert len([line for line in outcome.output.splitlines() if " current " in line]) == 3


def test_a_policy_that_cuts_the_mirror_off_goes_back_by_itself(publish, scene, mirror):
    before = live(scene)
    outcome = publish("egress: allow", "egress: deny")
    assert outcome.code == 0, outcome.failure()
    found = wait(scene, lambda said: said["went_back"] and said["serial"] in serials(mirror))
    assert live(scene) == before
    for said in found.values():
        assert said["went_back"].startswith("generation ")
        assert "mirror: " in said["went_back"]
    time.sleep(6)  # they have looked once more, and left it alone
    for host in HOSTS:
        state = scene.lab.agent(host, "status")
        assert (state["policy"]["state"], state["policy"]["digest"]) == ("committed", before[host])
    seen = sweep(scene, mirror, "-e", "strict=true")
    assert seen.code != 0
    assert "3 hosts went back: client1, db1, web1" in " ".join(seen.output.split())
    journal = scene.lab.ssh("web1", "journalctl -u tcmicro-pull.service -o cat").out
    assert "was taken back" in journal


def test_what_is_damaged_is_refused_and_harmless(publish, scene, mirror):
    assert publish(*WIDER).code == 0
    wait(scene, runs(serials(mirror)))
    before = live(scene)
    for host in HOSTS:
        assert scene.lab.ssh(host, "systemctl stop tcmicro-pull.timer").ok
    assert publish("ports: [icmp]", "ports: [icmp, tcp/9]").code == 0
    for path in mirror.glob("bundles/*.json"):
        path.write_bytes(path.read_bytes().replace(b'"allow"', b'"deny"', 1))
    for host in HOSTS:
        assert scene.lab.ssh(host, "systemctl start tcmicro-pull.timer").ok
    wait(scene, result("damaged"))
    assert live(scene) == before


def test_what_is_old_is_refused_and_harmless(publish, scene, mirror, tmp_path):
    assert publish(*WIDER).code == 0
    wait(scene, runs(serials(mirror)))
    kept = shutil.copytree(mirror, tmp_path / "kept")
    assert publish("ports: [icmp]", "ports: [icmp, tcp/13]").code == 0
    wait(scene, runs(serials(mirror)))
    before = live(scene)
    shutil.copytree(kept, mirror, dirs_exist_ok=True)
    found = wait(scene, result("refused"))
    assert all("is older than" in said["why"] for said in found.values())
    assert live(scene) == before


def test_a_mirror_that_is_down_is_harmless(publish, scene, server, mirror):
    before = live(scene)
    server.stop()
    try:
        found = wait(scene, result("unreachable"))
        assert all(str(PORT) in said["why"] for said in found.values())
        assert live(scene) == before
        code = scene.lab.ssh("web1", "tc-micro policy pull").code
        assert code in (1, 7)  # 7: the timer's own was faster
    finally:
        server.start()
    # the mirror has the old pointers of the test before; who publishes cannot know that hosts saw newer ones
    assert publish(*WIDER, "-e", "again=true").code == 0
    wait(scene, runs(serials(mirror)))


def test_hosts_look_at_different_moments_and_each_at_its_own(pulling, scene):
    """By systemd's word on a timer that is spread over half a day."""
    unit = "/run/systemd/system/spread.timer"
    timer = (
        "[Timer]\nOnCalendar=daily\nRandomizedDelaySec=12h\nFixedRandomDelay=yes\nUnit=x.service\n"
    )

    def next_of(host):
        ask = f"cat > {unit}; systemctl daemon-reload; systemctl restart spread.timer; "
        ask += "systemctl show -P NextElapseUSecRealtime spread.timer; systemctl stop spread.timer"
        scene.lab.ssh(
            host, "printf '[Service]\\nExecStart=true\\n' > /run/systemd/system/x.service"
        )
        return scene.lab.ssh(host, ask, send=timer).out

    first = {host: next_of(host) for host in HOSTS}
    assert len(set(first.values())) == len(HOSTS), first
    assert {host: next_of(host) for host in HOSTS} == first
