"""Labs of virtual machines: their images, their plan, their record, their qemu."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tcmicro_lab import disk, image, images, plan, qemu, record
from tcmicro_lab.model import Act, Kind, LabError

ROLES = Path(__file__).resolve().parents[3] / "roles"
BOTH = ("debian-12", "debian-13")
SOURCES = {
    "debian.sources": "Types: deb\nURIs: http://packages.invalid/debian\n"
    "Suites: bookworm bookworm-updates\nComponents: main\n"
}


@pytest.fixture
def machines(wanted):
    """What somebody asks for: three machines of two images, or as the arguments say."""

    def build(hosts=3, names=BOTH):
        return replace(wanted(hosts), images=tuple(names))

    return build


def test_images_are_dealt_to_the_hosts_in_turn(machines):
    lab = plan.plan(machines())
    assert [(medium.host, medium.image) for medium in lab.media] == [
        ("web1", "debian-12"),
        ("db1", "debian-13"),
        ("client1", "debian-12"),
    ]


def test_each_image_is_made_once_and_before_all_machines(machines):
    kinds = [act.kind for act in plan.plan(machines()).acts]
    assert kinds.count(Kind.IMAGE) == 2
    assert kinds.count(Kind.DISK) == kinds.count(Kind.VM) == 3
    assert kinds.index(Kind.VM) > max(
        place for place, kind in enumerate(kinds) if kind is Kind.DISK
    )
    assert not {Kind.TREE, Kind.OVERLAY, Kind.BPFFS, Kind.MACHINE} & set(kinds)


def test_images_can_be_made_ahead(machines):
    kinds = [act.kind for act in plan.tree_only(plan.plan(machines()))]
    assert kinds == [Kind.CGROUP, Kind.CGROUP, Kind.IMAGE, Kind.IMAGE]


def test_record_of_machines_reads_back_as_the_lab(machines, tmp_path):
    lab = plan.plan(replace(machines(), directory=tmp_path))
    assert record.parse(record.dump(lab), tmp_path / "lab.json") == lab


def test_record_from_before_machines_and_mixed_suites_is_still_read(wanted, tmp_path):
    lab = plan.plan(replace(wanted(), directory=tmp_path))
    document = json.loads(record.dump(lab))
    del document["media"]
    (document["root"],) = document.pop("roots")
    assert record.parse(json.dumps(document), tmp_path / "lab.json") == lab


def test_what_is_hidden_needs_no_image_of_its_own():
    names = ("debian-12", "debian-12-no-btf", "debian-12-unfit")
    assert len({images.files_of(name, ()) for name in names}) == 1
    assert len({images.files_of(name, ()) for name in images.IMAGES}) == len(images.IMAGES) - 2


def test_unfit_machine_lacks_memory_and_files(machines, tmp_path, monkeypatch):
    lab = plan.plan(machines(2, ["debian-12", "debian-12-unfit"]))
    lines = [" ".join(qemu.command(lab, host, "tcg")) for host in plan.hosts(2)]
    assert ["-m 768" in lines[0], "-m 320" in lines[1]] == [True, True]
    (tmp_path / "files").mkdir()
    words = []
    monkeypatch.setattr(
        disk, "run", lambda argv, **_: words.append(Path(argv[3]).read_text().splitlines())
    )
    disk.write_into(tmp_path / "disk", tmp_path / "files", images.image("debian-12-unfit").without)
    assert words[0][-1] == f"rm {images.LIBBPF}"


def test_unknown_image_names_those_there_are(machines):
    with pytest.raises(LabError, match="'debian-9' is none of debian-12, debian-13"):
        plan.plan(machines(names=["debian-9"]))


@pytest.mark.parametrize("role", ["lab_host", "lab_vm"])
def test_role_offers_the_images_there_are(role):
    options = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())
    option = options["argument_specs"]["main"]["options"][f"{role}_images"]
    assert option["choices"] == list(images.IMAGES)


def test_kernel_of_another_suite_comes_from_its_archive():
    made = images.image("debian-12-linux-5.10")
    words = image.command(made, ("systemd",), Path("/t"), SOURCES, "")
    assert [word for word in words if word.startswith("deb ")] == [
        f"deb http://packages.invalid/debian {suite} main"
        for suite in ("bookworm", "bookworm-updates", "bullseye", "bullseye-updates")
    ]
    (hook,) = [word for word in words if word.startswith("--setup-hook=")]
    assert "Package: linux-image-*\nPin: release n=bullseye*" in hook
    assert "Package: *\nPin: release n=bookworm*" in hook


def test_machine_without_sources_is_told_so():
    with pytest.raises(LabError, match="/etc/apt: no source"):
        image.command(images.image("debian-12"), (), Path("/t"), {}, "")


def test_machines_differ_in_disk_tap_and_address(machines):
    lab, hosts = plan.plan(machines()), plan.hosts(3)
    lines = [" ".join(qemu.command(lab, host, "tcg")) for host in hosts]
    for host, line in zip(hosts, lines, strict=True):
        assert f"{lab.directory}/hosts/{host.name}/disk" in line
        assert f"ifname=tap-{host.name}" in line
    assert len({qemu.mac(host) for host in hosts}) == 3


def test_tap_names_fit_a_link():
    assert all(len(qemu.tap_name(host)) < 16 for host in plan.hosts(250))


class Probed:
    """A machine that answers after so many looks, or ends, or never does either."""

    def __init__(self, answers_after=None, ends_after=None, spoken=True):
        self.looks, self.answers_after, self.ends_after = 0, answers_after, ends_after
        self.spoken = spoken
        self.hosts, self.done = {"web1": None}, []

    def start(self, act, accelerator):
        self.done.append(accelerator)

    def exists(self, act):
        return self.ends_after is None or self.looks < self.ends_after

    def answers(self, act):
        self.looks += 1
        return self.answers_after is not None and self.looks > self.answers_after

    def speaks(self, act):
        return self.spoken

    def remove(self, act):
        self.done.append("removed")


class Ticking:
    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


@pytest.mark.parametrize(
    ("probed", "found"),
    [
        (Probed(answers_after=3), "kvm"),
        (Probed(ends_after=2), qemu.EMULATED),
        (Probed(answers_after=40), "kvm"),
        (Probed(), qemu.EMULATED),
        (Probed(answers_after=40, spoken=False), qemu.EMULATED),
    ],
    ids=["comes up", "ends", "takes its time", "hangs", "never says a word"],
)
def test_virtualization_is_used_where_a_machine_came_up_by_it(tmp_path, monkeypatch, probed, found):
    monkeypatch.setattr(qemu, "KVM", tmp_path)
    act = Act(Kind.ACCELERATOR, str(tmp_path / "accelerator"))
    qemu.Accelerator(probed, Ticking()).make(act)
    assert (tmp_path / "accelerator").read_text() == f"{found}\n"
    assert probed.done == ["kvm", "removed"]


def test_what_a_machine_said_outlives_it(machines, tmp_path):
    lab = plan.plan(replace(machines(), directory=tmp_path))
    home = tmp_path / "hosts/web1"
    home.mkdir(parents=True)
    (home / "console.log").write_text("panic\n")
    disks, act = disk.Disks(lab, plan.hosts(3)), Act(Kind.DISK, str(home))
    disks.remove(act)
    assert not home.exists()
    assert (tmp_path / "consoles/web1.log").read_text() == "panic\n"
    disks.remove(act)  # of a host that was never made: what is kept stays
    assert (tmp_path / "consoles/web1.log").exists()


def test_files_links_and_directories_are_written_into_the_disk(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostname").write_text("web1\n")
    (tmp_path / "etc/link").symlink_to("/etc/hostname")
    words = [
        disk._debugfs(path, f"/{path.relative_to(tmp_path)}")
        for path in sorted(tmp_path.rglob("*"))
    ]
    assert words == [
        "mkdir /etc",
        f"rm /etc/hostname\nwrite {tmp_path}/etc/hostname /etc/hostname",
        "symlink /etc/link /etc/hostname",
    ]
