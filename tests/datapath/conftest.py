"""A loaded datapath of its own for every test module: own bpf file system, own namespace, nothing shared.

In a guest of `make test-kernels` all modules share one: there its verifier needs half a minute to take the programs.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Datapath
from keeping import need_tcx

from tcmicro_agent import abi
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.tuning import Tuning

OBJECT = Path(__file__).parents[2] / "build/tcmicro.bpf.o"
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # linux/sockios.h, linux/if.h


@pytest.fixture(scope="session", autouse=True)
def _needs_root() -> None:
    if os.geteuid() != 0:
        pytest.fail("datapath tests load real programs: run them as root (make test)")
    if not OBJECT.exists():
        pytest.fail(f"{OBJECT} is missing: make bpf")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips, with the reason, what this kernel does not have and what a guest of `make test-kernels` leaves out."""
    mark = item.get_closest_marker("running_kernel")
    if mark and os.environ.get("TCM_GUEST"):
        pytest.skip(f"on the running kernel only: {mark.args[0]}")
    asked = getattr(item, "callspec", None)
    if asked and "tcx" in asked.params.values():
        need_tcx()


@contextmanager
def bpf_file_system(factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = factory.mktemp("bpffs")
    subprocess.run(["mount", "-t", "bpf", "bpf", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.fixture(scope="module")
def bpffs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with bpf_file_system(tmp_path_factory) as path:
        yield path


def life(fixture_name: str, config: pytest.Config) -> str:  # noqa: ARG001  (as pytest calls it)
    return "session" if os.environ.get("TCM_GUEST") else "module"


@pytest.fixture(scope=life)
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with bpf_file_system(tmp_path_factory) as path:
        loaded = Kernel(path / "tcmicro" / str(abi.ABI))
        loaded.load(OBJECT, Tuning(capacity=4096).map_sizes(0))
        yield loaded
        loaded.close()
        loaded.unpin()


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Notes what a reader of a green run wants to know, too: seeds and numbers. They are printed at the end."""
    return lambda text: record_property("said", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [r for outcome in ("passed", "failed") for r in terminalreporter.getreports(outcome)]
    for report in reports:
        for name, text in report.user_properties:
            if name == "said":
                terminalreporter.write_line(f"{report.nodeid}: {text}")


def switch_on_loopback() -> None:
    """Of this namespace; by the kernel's own call, as ip(8) takes longer than most tests."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


@pytest.fixture
def datapath(kernel: Kernel) -> Iterator[Datapath]:
    """An empty datapath in an empty network namespace, so that no socket of this machine is in the way."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(CLONE_NEWNET) == 0
    switch_on_loopback()
    fresh = Datapath(kernel)
    yield fresh
    fresh.close()
    assert libc.setns(home, CLONE_NEWNET) == 0
    os.close(home)
