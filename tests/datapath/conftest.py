"""A loaded datapath of its own for every test module: own bpf file system, own namespace, nothing shared."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Datapath
from keeping import need_tcx

from tcmicro_agent import abi
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.tuning import Tuning

OBJECT = Path(__file__).parents[2] / "build/tcmicro.bpf.o"
CLONE_NEWNET = 0x40000000


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


@pytest.fixture(scope="module")
def bpffs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("bpffs")
    subprocess.run(["mount", "-t", "bpf", "bpf", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.fixture(scope="module")
def kernel(bpffs: Path) -> Iterator[Kernel]:
    loaded = Kernel(bpffs / "tcmicro" / str(abi.ABI))
    loaded.load(OBJECT, Tuning(capacity=4096).map_sizes(0))
    yield loaded
    loaded.close()
    loaded.unpin()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints what a reader of a green run wants to know, too: seeds and numbers."""

    def speak(text: str) -> None:
        with capsys.disabled():
            print(f" {text} ", end="", flush=True)

    return speak


@pytest.fixture
def datapath(kernel: Kernel) -> Iterator[Datapath]:
    """An empty datapath in an empty network namespace, so that no socket of this machine is in the way."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(CLONE_NEWNET) == 0
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    fresh = Datapath(kernel)
    yield fresh
    fresh.close()
    assert libc.setns(home, CLONE_NEWNET) == 0
    os.close(home)
