"""The lab's life, on a lab of its own beside the checkout's: up, twice, refused, rebooted, cut anywhere, and gone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.lab
HOSTS = 3


class Lab:
    """A lab in a directory of its own; it shares the root tree of the checkout where there is one."""

    def __init__(self, root, home):
        self.root, self.directory, self.inventory = root, home / ".lab", home / "hosts.yml"
        self.directory.mkdir(parents=True)
        for tree in (root / ".lab").glob("root-*"):
            if tree.suffix != ".partial":
                (self.directory / tree.name).symlink_to(tree)

    def argv(self, state, hosts, *words):
        extra = {
            "lab_state": state,
            "lab_hosts": hosts,
            "lab_host_directory": str(self.directory),
            "lab_host_inventory": str(self.inventory),
        }
        play = ("ansible-playbook", "playbooks/lab.yml", "-i", "localhost,")
        return [*play, "-e", json.dumps(extra), *words]

    def play(self, state, *words, hosts=HOSTS):
        """Exit code, what the play printed on one line, and how many tasks changed something."""
        argv = self.argv(state, hosts, *words)
        done = subprocess.run(argv, cwd=self.root, capture_output=True, text=True, timeout=300)
        text = " ".join((done.stdout + done.stderr).split())
        changed = re.search(r"changed=(\d+)", text)
        return done.returncode, text, int(changed[1]) if changed else None

    def ssh(self, host, command):
        argv = ["ssh", "-F", str(self.directory / "ssh_config"), "-o", "BatchMode=yes", host]
        return subprocess.run([*argv, command], capture_output=True, text=True, timeout=30)

    def name(self):
        """Name of the lab that is up or was cut."""
        return json.loads((self.directory / "lab.json").read_text())["acts"][0][1]

    def cut(self, seconds):
        """Kills a starting play and its module without mercy, some time after the first host's files appear."""
        play = subprocess.Popen(
            self.argv("present", HOSTS), cwd=self.root, stdout=subprocess.DEVNULL, stderr=-1
        )
        until(lambda: (self.directory / "hosts").exists())
        time.sleep(seconds)
        for pid in (play.pid, *holders(self.directory / "lock")):
            os.kill(pid, signal.SIGKILL)
        play.wait()

    def traces(self, name):
        """All that this machine shows of the lab, the cached tree apart."""
        cgroups = Path("/sys/fs/cgroup").glob(f"**/{name}")
        named = [Path("/run/netns") / name, Path("/run") / name]
        nspawn = Path("/run/systemd/nspawn/propagate").glob(f"*-{name.removeprefix('tcm-')}")
        mounts = [line for line in read("/proc/self/mountinfo") if str(self.directory) in line]
        kept = {"lock", "build.log"}
        files = [
            p for p in self.directory.iterdir() if p.name not in kept and p.name[:5] != "root-"
        ]
        found = [*cgroups, *(p for p in named if p.exists()), *nspawn, *mounts, *files]
        return [*map(str, found), *processes(str(self.directory))]


def read(path):
    return Path(path).read_text().splitlines()


def processes(word):
    """Command lines of other processes that mention a word."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line and path.parent.name != str(os.getpid()):
            lines.append(line)
    return lines


def holders(path):
    """Processes that have a file open."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == str(path):
                yield int(link.parts[2])
        except OSError:
            continue


def until(true, limit=60):
    """Waits for something to become true; a test that waited in vain says so."""
    deadline = time.monotonic() + limit
    while not true():
        assert time.monotonic() < deadline, f"not true within {limit} s"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def lab(root):
    """Under build/, which is on the disk of the checkout: overlays cannot stand on every temporary directory."""
    home = root / "build" / "lab-test"
    if (home / ".lab" / "lab.json").exists():
        pytest.fail(f"{home}: a lab of an earlier run is up; take it down with lab_state=absent")
    shutil.rmtree(home, ignore_errors=True)
    lab = Lab(root, home)
    yield lab
    code, text, _ = lab.play("absent")
    assert code == 0, text
    shutil.rmtree(home)


@pytest.fixture
def up(lab):
    code, text, _ = lab.play("present")
    assert code == 0, text
    return lab


def test_check_mode_prints_the_plan_and_changes_nothing(lab):
    assert lab.play("absent")[0] == 0
    code, text, _ = lab.play("present", "--check", "--diff")
    assert code == 0, text
    assert "+ machine client1" in text
    assert not (lab.directory / "lab.json").exists()


def test_hosts_are_debian_with_systemd_and_both_families(up):
    for host, group in (("web1", 1), ("db1", 2), ("client1", 3)):
        seen = up.ssh(host, "systemctl is-system-running --wait; hostname; ip -br address").stdout
        assert seen.startswith(f"running\n{host}\n"), seen
        assert f"10.77.{group}.1/16" in seen
        assert f"fd77::{group}:1/64" in seen
    ping = up.ssh("web1", "ping -q -c1 -W2 10.77.2.1 && ping -q -c1 -W2 fd77::2:1 && ping -c1 db1")
    assert ping.returncode == 0, ping.stdout


def test_every_host_is_itself(up):
    ids = [up.ssh(host, "cat /etc/machine-id").stdout for host in ("web1", "db1", "client1")]
    assert len({*ids, ""}) == 4
    up.ssh("web1", "mkdir /sys/fs/bpf/mine && touch /root/mine")
    assert up.ssh("db1", "test -e /sys/fs/bpf/mine || test -e /root/mine").returncode == 1


def test_hosts_leave_the_kernel_settings_of_this_machine_alone(up):
    assert up.ssh("web1", "echo 1 > /proc/sys/kernel/printk_delay").returncode != 0
    assert up.ssh("web1", "echo 1 > /proc/sys/net/ipv4/ip_forward").returncode == 0
    assert up.ssh("db1", "cat /proc/sys/net/ipv4/ip_forward").stdout == "0\n"


def test_ansible_reaches_the_hosts_of_the_inventory(up):
    fleet = yaml.safe_load(up.inventory.read_text())["tcmicro"]["children"]
    assert {group: list(part["hosts"]) for group, part in fleet.items()} == {
        "web": ["web1"],
        "db": ["db1"],
        "client": ["client1"],
    }
    argv = ["ansible", "-i", str(up.inventory), "tcmicro", "-m", "ansible.builtin.ping"]
    done = subprocess.run(argv, cwd=up.root, capture_output=True, text=True, timeout=60)
    assert done.stdout.count("pong") == HOSTS, done.stdout + done.stderr


def test_a_host_with_another_key_is_not_trusted(up):
    known = up.directory / "known_hosts"
    swapped = (
        known.read_text().replace("web1,10.77.1.1", "x").replace("db1,10.77.2.1", "web1,10.77.1.1")
    )
    (up.directory / "swapped").write_text(swapped)
    argv = ["ssh", "-F", str(up.directory / "ssh_config"), "-o", "BatchMode=yes"]
    argv += ["-o", f"UserKnownHostsFile={up.directory}/swapped", "web1", "true"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    (up.directory / "swapped").unlink()
    assert done.returncode == 255
    assert "HOST IDENTIFICATION HAS CHANGED" in done.stderr


def test_the_same_lab_again_changes_nothing(up):
    code, text, changed = up.play("present")
    assert (code, changed) == (0, 0), text


def test_a_lab_of_another_size_is_refused_and_this_one_stays(up):
    before = (up.directory / "lab.json").read_text()
    code, text, changed = up.play("present", hosts=5)
    assert (code, changed) == (2, 0)
    assert "a lab of 3 hosts is up, 5 are wanted: run `make lab-down` first" in text
    assert (up.directory / "lab.json").read_text() == before
    assert up.ssh("web1", "true").returncode == 0


def test_status_shows_each_host(up):
    code, text, changed = up.play("status", "-v")
    assert (code, changed) == (0, 0), text
    assert ": up, 3 hosts" in text
    assert re.search(r"db1 +10\.77\.2\.1 +fd77::2:1 +north +north-1 +running +\d+m\d\ds", text)


def test_a_host_reboots_in_place(up):
    boot = "cat /proc/1/stat | cut -d' ' -f22"
    before = up.ssh("web1", boot).stdout
    up.ssh("web1", "systemctl reboot")
    until(lambda: up.ssh("web1", boot).stdout not in ("", before))
    assert up.ssh("web1", "ping -q -c1 -W2 db1").returncode == 0


def test_a_host_that_went_off_is_booted_again_alone(up):
    up.ssh("db1", "systemctl poweroff")
    until(lambda: "db1 10.77.2.1 fd77::2:1 north north-1 stopped" in up.play("status")[1])
    code, text, changed = up.play("present", "--diff")
    assert (code, changed) == (0, 1), text
    assert re.findall(r"\+ (\w+ \S+)", text) == ["machine db1"]


def test_down_leaves_nothing_even_with_a_connection_open(up):
    name = up.name()
    argv = ["ssh", "-F", str(up.directory / "ssh_config"), "-o", "ControlMaster=yes"]
    subprocess.run([*argv, "-o", "ControlPersist=60", "-f", "-N", "web1"], timeout=30, check=True)
    code, text, changed = up.play("absent")
    assert (code, changed) == (0, 1), text
    assert up.traces(name) == []
    assert not up.inventory.exists()
    assert up.play("absent")[2] == 0


@pytest.mark.parametrize("seconds", [0, 0.1, 1], ids=str)
def test_down_after_a_cut_leaves_nothing(lab, seconds):
    lab.play("absent")
    lab.cut(seconds)
    name = lab.name()
    code, text, _ = lab.play("absent")
    assert code == 0, text
    assert lab.traces(name) == []


def test_a_cut_boot_is_finished_by_the_next(lab):
    lab.play("absent")
    lab.cut(0.1)
    code, text, _ = lab.play("present")
    assert code == 0, text
    assert lab.ssh("client1", "hostname").stdout == "client1\n"
