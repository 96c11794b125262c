"""Work in a child process: its result comes back, and whatever becomes of the child, there is one."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tcmicro_agent.apart import in_child


def test_result_comes_from_another_process():
    pid, found = in_child(lambda: (os.getpid(), {"rules": 3}))
    assert pid != os.getpid()
    assert found == {"rules": 3}


def test_much_comes_back_whole():
    assert in_child(lambda: b"x" * (3 << 20)) == b"x" * (3 << 20)


def test_what_is_raised_is_raised_here():
    def work() -> None:
        raise ValueError(f"by {os.getpid()}")

    with pytest.raises(ValueError, match=str(os.getpid())):
        in_child(work)


@pytest.mark.parametrize(
    "end",
    [
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        lambda: os._exit(3),
        lambda: time.sleep(60),  # it hangs
    ],
)
def test_child_that_says_nothing_is_not_waited_for(end):
    here = os.getpid()

    def work() -> int:
        if os.getpid() != here:
            end()
        return os.getpid()

    assert in_child(work, patience_s=0.5) == here


def test_what_cannot_be_sent_is_made_here():
    assert in_child(lambda: lambda: os.getpid())() == os.getpid()


def test_no_process_and_no_descriptor_is_left():
    before = os.listdir("/proc/self/fd")
    pid = in_child(os.getpid)
    assert os.listdir("/proc/self/fd") == before
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # other tests of this process may have children of their own
