"""What this machine lacks for a lab: everything at once, each with what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tcmicro_lab import preflight
from tcmicro_lab.cgroup import hierarchies
from tcmicro_lab.mounts import points

GOOD = preflight.Facts(
    directory=Path("/checkout/.lab"),
    uid=0,
    commands=frozenset(preflight.COMMANDS),
    filesystems=frozenset({"bpf", "overlay"}),
    directory_filesystem="ext4",
    cgroups=(Path("/sys/fs/cgroup"),),
    cgroups_writable=True,
    machine_id="3d1219c7",
    memory_mb=16000,
)
BARE = preflight.Facts(
    directory=Path("/my checkout/.lab"),
    uid=1000,
    commands=frozenset(),
    filesystems=frozenset(),
    directory_filesystem="overlay",
    cgroups=(),
    cgroups_writable=False,
    machine_id="",
    memory_mb=0,
)


def test_a_fit_machine_lacks_nothing():
    assert preflight.missing(GOOD) == []


def test_all_faults_are_told_at_once():
    assert len(preflight.missing(BARE)) == 8


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"uid": 1000}, "run as root"),
        (
            {"commands": GOOD.commands - {"mmdebstrap", "systemd-nspawn"}},
            "commands not found: mmdebstrap, systemd-nspawn: apt-get install mmdebstrap systemd-container",
        ),
        ({"filesystems": frozenset({"overlay"})}, "no bpffs"),
        ({"filesystems": frozenset({"bpf"})}, "modprobe overlay"),
        ({"cgroups": ()}, "no cgroup hierarchy is mounted"),
        ({"cgroups_writable": False}, "not writable at /sys/fs/cgroup"),
        ({"directory_filesystem": "overlay"}, "set lab_host_directory"),
        ({"directory": Path("/a:b/.lab")}, "only letters, digits"),
        ({"machine_id": ""}, "systemd-machine-id-setup"),
    ],
)
def test_each_fault_says_what_to_do(change, text):
    (fault,) = preflight.missing(replace(GOOD, **change))
    assert text in fault


V1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"
NAMED = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd"
HYBRID = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
PURE = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw"
DISK = "27 1 254:0 / / rw - ext4 /dev/vda rw"


@pytest.mark.parametrize(
    ("mounts", "found"),
    [
        ([DISK], []),
        ([DISK, PURE], ["/sys/fs/cgroup"]),
        (
            [V1, NAMED, HYBRID],
            ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/systemd"],
        ),
    ],
    ids=["none", "v2", "hybrid"],
)
def test_cgroup_hierarchies_are_found_the_unified_one_first(mounts, found):
    assert [str(path) for path in hierarchies("\n".join(mounts))] == found


def test_mounts_below_a_path_are_found_the_latest_first_and_no_neighbours():
    paths = ["/x/lab", "/x/lab/web1/root", "/x/lab2", "/x/lab/web1/root/sys"]
    mountinfo = "\n".join(f"1 1 0:1 / {path} rw - tmpfs tmpfs rw" for path in paths)
    found = [str(point) for point in points(mountinfo, Path("/x/lab"))]
    assert found == ["/x/lab/web1/root/sys", "/x/lab/web1/root", "/x/lab"]


def test_virtual_machines_need_memory_and_commands_of_their_own():
    assert preflight.missing(replace(GOOD, memory_mb=0)) == []
    memory, commands = preflight.missing(replace(GOOD, memory_mb=1000), machines=2)
    assert memory.startswith("2 virtual machines need 1536 MB of memory, 1000 MB are available")
    assert commands.endswith("apt-get install e2fsprogs qemu-system-x86")
