"""Stock kernels: which package is fetched, how a guest is started, and what its results are judged by."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from tools.kernels import boot, figures, headers, image, outcome, packages
from tools.kernels.packages import Wanted
from tools.process import ToolError

SOURCES = """\
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
OLD = Wanted("5.10", "bullseye", "linux-image-cloud-amd64")
SHOWN = """\
Package: linux-image-cloud-amd64
Version: 5.10.262-1
Depends: linux-image-5.10.0-46-cloud-amd64 (= 5.10.262-1)
"""
LOG = """\
verification time 250106 usec
stack depth 144+128
processed 55733 insns (limit 1000000) max_states_per_insn 14 total_states 3701
"""
JUNIT = """\
<testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4" time="9.5">
<testcase classname="tests.datapath.test_a" name="test_good[tcx]" time="1.25" />
<testcase classname="tests.datapath.test_a" name="test_bad" time="2.0"><failure message="0"/></testcase>
<testcase classname="tests.datapath.test_a" name="test_torn" time="2.0"><error message="torn"/></testcase>
<testcase classname="tests.datapath.test_b" name="test_tcx" time="0.0"><skipped message="no tcx" /></testcase>
</testsuite></testsuites>
"""
RELEASE = "5.10.0-46-cloud-amd64"


def verifier(insns, refused=None, release=RELEASE) -> str:
    return json.dumps({"release": release, "insns": insns, "refused": refused or {}})


# --- packages ---


def test_sources_of_another_suite_come_from_the_machines_own():
    found = packages.sources({"debian.sources": SOURCES}, "bookworm", "bullseye")
    signed = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    assert found == (
        f"{signed} http://mirror.example/debian bullseye main",
        f"{signed} http://mirror.example/debian bullseye-updates main",
        "deb http://mirror.example/debian-security bullseye-security main",
    )


def test_a_mirror_named_like_the_suite_keeps_its_name():
    line = "deb http://bookworm.example/bookworm bookworm main\n"
    found = packages.sources({"sources.list": line}, "bookworm", "bullseye")
    assert found == ("deb http://bookworm.example/bookworm bullseye main",)


def test_a_machine_without_debian_sources_is_told_so():
    with pytest.raises(ToolError, match="no source of Debian's main archive for bookworm"):
        packages.sources(
            {"sources.list": "deb http://x.example/apt stable main\n"}, "bookworm", "x"
        )


def test_the_meta_package_names_the_image():
    assert packages.choose(SHOWN, OLD) == ("linux-image-5.10.0-46-cloud-amd64", "5.10.262-1")


def test_an_image_of_another_series_is_refused():
    with pytest.raises(ToolError, match=r"linux-image-5\.10\.0-46-cloud-amd64, wanted: 5\.1$"):
        packages.choose(SHOWN, Wanted("5.1", "bullseye", "linux-image-cloud-amd64"))


def test_a_meta_package_without_image_is_refused():
    with pytest.raises(ToolError, match="bullseye: linux-image-cloud-amd64 depends on no image"):
        packages.choose("N: Unable to locate package", OLD)


@pytest.mark.parametrize(
    ("name", "goes_in"),
    [
        ("kernel/net/sched/cls_bpf.ko", True),
        ("kernel/drivers/net/veth.ko.xz", True),
        ("kernel/drivers/net/ethernet/intel/e1000/e1000.ko", False),
        ("kernel/fs/xfs/xfs.ko", False),
    ],
)
def test_modules_of_networks_go_in_and_hardware_stays_out(name, goes_in):
    assert packages.has_use(Path(name)) is goes_in


def test_what_a_cache_is_made_from_is_its_name():
    assert packages.identity(OLD, ("a",)) == packages.identity(OLD, ("a",))
    assert packages.identity(OLD, ("a",)) != packages.identity(OLD, ("b",))


# --- image ---


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("pluggy<2,>=1.5", "pluggy"),
        ("sortedcontainers", "sortedcontainers"),
        ("a-b.c ; x", "a-b.c"),
    ],
)
def test_a_requirement_is_a_name_and_what_follows(line, name):
    assert image.required(line) == name


def test_the_environment_of_the_tests_is_complete():
    names = {found.metadata["Name"].lower() for found in image.distributions(image.DISTRIBUTIONS)}
    assert {"pytest", "pluggy", "iniconfig", "hypothesis", "pyroute2"} <= names
    assert "ansible-core" not in names


def test_a_distribution_that_is_not_installed_is_named():
    with pytest.raises(ToolError, match="no-such-thing is not in this environment"):
        list(image.distributions(["no-such-thing"]))


def test_the_userland_is_built_from_the_given_sources():
    argv = image.bootstrap_argv(
        Path("/t"), "bookworm", ["deb http://a bookworm main"], ['A::b "1";'], ["python3", "kmod"]
    )
    assert "--include=python3,kmod" in argv
    assert argv[0] == "mmdebstrap"
    assert argv[-3:] == ["bookworm", "/t", "deb http://a bookworm main"]
    assert '--aptopt=A::b "1";' in argv


def test_archives_are_joined_in_order(tmp_path):
    parts = [tmp_path / "a", tmp_path / "b"]
    for part in parts:
        part.write_text(part.name)
    image.join(parts, tmp_path / "all")
    assert (tmp_path / "all").read_text() == "ab"


HEADERS = """Package: linux-headers-6.1.0-56-cloud-amd64
Depends: linux-headers-6.1.0-56-common (= 6.1.192-2), linux-kbuild-6.1 (>= 6.1.192-2), linux-compiler-gcc-12-x86
"""


def test_headers_of_a_kernel_name_those_that_its_flavours_share():
    kernel = "6.1.0-56-cloud-amd64"
    assert headers.common(HEADERS, kernel) == ("linux-headers-6.1.0-56-common", "6.1.192-2")


def test_a_kernel_that_its_archive_has_left_is_said_to_be_old():
    with pytest.raises(ToolError, match="6.1.0-50.*make clean-kernels"):
        headers.common("N: Unable to locate package", "6.1.0-50-cloud-amd64")


# --- boot ---


def test_a_guest_is_emulated_and_counts_its_own_time():
    guest = boot.Guest(Path("/guest"))
    argv = boot.argv(Path("/k/vmlinuz"), guest)
    assert argv[argv.index("-accel") + 1].startswith("tcg")
    assert argv[argv.index("-icount") + 1] == "shift=0,sleep=off"
    assert argv[argv.index("-kernel") + 1] == "/k/vmlinuz"
    assert argv[argv.index("-initrd") + 1] == "/guest/initrd"
    serial = [argv[n + 1] for n, word in enumerate(argv) if word == "-serial"]
    assert serial == ["file:/guest/console.log", "file:/guest/results.tar.gz"]


def test_a_panic_ends_the_machine():
    argv = boot.argv(Path("/k"), boot.Guest(Path("/guest")))
    assert "panic=-1" in argv[argv.index("-append") + 1].split()
    assert "-no-reboot" in argv


class Running:
    """A machine that never ends by itself."""

    pid = os.getpid()

    def poll(self) -> None:
        return None


def test_a_guest_that_nobody_waits_for_is_given_up(tmp_path):
    boot.given_up.set()
    try:
        reason, used = boot._wait(Running(), tmp_path / "console.log")
        assert reason == "given up"
        assert used > 0
    finally:
        boot.given_up.clear()


@pytest.mark.parametrize(
    ("used", "silent", "asleep", "reason"),
    [
        (boot.LIMIT, boot.STILL, boot.ASLEEP, ""),
        (boot.LIMIT + 1, 0, 0, "no end after 3600 CPU seconds"),
        (1000, boot.STILL + 1, 0, "hangs: no word on the console for 400 CPU seconds"),
        (1000, 0, boot.ASLEEP + 1, "sleeps: no CPU used for 300 s"),
    ],
)
def test_a_guest_is_given_up_by_what_it_used_and_not_by_how_busy_the_machine_is(
    used, silent, asleep, reason
):
    assert boot._past_limit(used, silent, asleep) == reason


def packed(**files: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()


def test_results_are_what_the_guest_packed():
    assert boot.results(packed(junit="<x/>", verifier="{}"), "") == {
        "junit": "<x/>",
        "verifier": "{}",
    }


@pytest.mark.parametrize("archive", [b"", b"\x1f\x8b\x08", packed(junit="x" * 5000)[:40]], ids=len)
def test_a_guest_without_whole_results_shows_the_end_of_its_console(archive):
    with pytest.raises(
        ToolError,
        match="without whole results; the console ends with:\n    up\n    Kernel panic - not",
    ):
        boot.results(archive, "up\n\nKernel panic - not syncing: Attempted to kill init!\n")


def test_the_tail_of_a_console_is_short_and_never_empty():
    assert boot.tail("") == "    nothing at all"
    lines = boot.tail("\n".join(str(n) for n in range(1000))).splitlines()
    assert (len(lines), lines[-1]) == (boot.TAIL, "    999")


# --- figures ---


def test_the_verifier_says_how_far_it_went():
    assert figures.processed(LOG) == 55733


def test_a_log_without_totals_is_an_error():
    with pytest.raises(ValueError, match="no line 'processed N insns'"):
        figures.processed("math between pkt pointer and register")


def test_test_results_are_read_from_junit():
    found = figures.tests(JUNIT)
    assert found.passed == 1
    assert found.failed == ("tests.datapath.test_a::test_bad", "tests.datapath.test_a::test_torn")
    assert found.skipped == {"tests.datapath.test_b::test_tcx": "no tcx"}
    assert found.seconds == 5.2


@pytest.mark.parametrize(("count", "faults"), [(999, 0), (1200, 0), (1201, 1)])
def test_growth_beyond_a_fifth_is_a_fault(count, faults):
    found = figures.growth_faults("5.10", {"tcm_ingress": count}, {"tcm_ingress": 1000})
    assert len(found) == faults


def test_a_growth_fault_says_how_to_accept_it():
    [fault] = figures.growth_faults("5.10", {"tcm_ingress": 1500}, {"tcm_ingress": 1000})
    assert "5.10: tcm_ingress" in fault
    assert "+50%" in fault
    assert "make test-kernels ACCEPT=1" in fault


def test_a_new_program_is_named_and_no_fault():
    measured = {"5.10": {"tcm_new": 7, "tcm_old": 1}}
    baseline = {"5.10": {"tcm_old": 1}}
    assert figures.growth_faults("5.10", measured["5.10"], baseline["5.10"]) == []
    assert figures.unknown(measured, baseline) == ["5.10/tcm_new"]


def test_accepting_takes_what_was_measured_and_keeps_the_rest():
    baseline = {"6.12": {"a": 1}, "5.10": {"a": 2, "gone": 3}}
    found = figures.accepted(baseline, {"5.10": {"b": 5, "a": 4}, "6.1": {"a": 9}})
    assert list(found) == ["5.10", "6.1", "6.12"]
    assert found["5.10"] == {"a": 4, "b": 5}
    assert found["6.12"] == {"a": 1}


def test_the_table_shows_growth_news_and_refusals():
    rows = figures.table({"5.10": {"a": 110}, "6.1": {"b": 5}}, {"5.10": {"a": 100}})
    assert rows[1].split() == ["a", "110", "+10%", "refused"]
    assert rows[2].split() == ["b", "refused", "5", "new"]


# --- outcome ---


def test_a_good_guest_has_no_fault():
    results = {
        "verifier.json": verifier({"a": 5}),
        "junit.xml": JUNIT.replace("<failure", "<x").replace("<error", "<x"),
    }
    found = outcome.of_guest(results, RELEASE, {"5.10": {"a": 5}})
    assert found.faults == ()
    assert found.series == "5.10"


def test_failed_tests_refused_and_grown_programs_are_faults():
    results = {"verifier.json": verifier({"a": 5}, {"b": "R1 !read_ok"}), "junit.xml": JUNIT}
    found = outcome.of_guest(results, RELEASE, {"5.10": {"a": 1}})
    text = "\n".join(found.faults)
    assert "5.10: b: refused:\nR1 !read_ok" in text
    assert "5.10: failed: tests.datapath.test_a::test_bad" in text
    assert "5.10: a: the verifier goes through 5 instructions" in text


@pytest.mark.parametrize("results", [{}, {"verifier.json": "", "junit.xml": JUNIT}])
def test_a_guest_without_its_results_failed(results):
    found = outcome.of_guest(results, RELEASE, {})
    assert "no verifier.json" in found.faults[0]


def test_a_run_of_no_test_is_a_fault():
    results = {"verifier.json": verifier({}), "junit.xml": "<testsuites><testsuite/></testsuites>"}
    assert "5.10: no test ran" in outcome.of_guest(results, RELEASE, {}).faults


def test_another_kernel_than_the_wanted_one_is_a_fault():
    results = {"verifier.json": verifier({}, release="6.1.0-1"), "junit.xml": JUNIT}
    assert (
        "6.1: the guest ran 6.1.0-1, wanted: " + RELEASE
        in outcome.of_guest(results, RELEASE, {}).faults
    )


def test_every_skip_is_printed_with_its_reason():
    results = {"verifier.json": verifier({}), "junit.xml": JUNIT}
    lines = outcome.summary(outcome.of_guest(results, RELEASE, {}))
    assert lines == [
        f"5.10: 1 passed, 2 failed, 1 skipped ({RELEASE})",
        "5.10: skipped: tests.datapath.test_b::test_tcx: no tcx",
    ]
