"""Steps 7 and 8: a policy that locks everybody out is taken back by the kernel of the host itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tools.demo.begin import DATABASE
from tools.demo.playbook import Run
from tools.demo.releases import NEXT
from tools.demo.scene import Scene, StepError

DEADLINE = 20
GRACE = 5  # seconds on top: one probe is up to three seconds long
MAIN_PID = "$(systemctl show -p MainPID --value tcmicro-agent)"
POLICIES = "tests/faults/lockout/policies"


@dataclass(frozen=True)
class Outage:
    """How long nothing got in, and how often that was tried."""

    seconds: float
    tries: int
    peers: tuple[str, ...]  # what another host saw meanwhile

    def __str__(self) -> str:
        return f"{self.tries} tries from two hosts in {self.seconds:.0f} s, none answered"


def victim_of(scene: Scene) -> str:
    return scene.lab.members("db")[-1]


@contextmanager
def without_failsafe(scene: Scene, host: str) -> Iterator[None]:
    """Only for the block: a host whose management rules are emptied, on purpose."""
    words = ("deploy", "--limit", host, "-e", f"tcmicro_agent_release={NEXT}")
    emptied = scene.plays.run(*words, "-e", '{"tcmicro_agent_failsafe": []}')
    scene.succeed(f"failsafe of {host} emptied", emptied)
    yield
    scene.succeed(f"failsafe of {host} restored", scene.plays.run(*words))


def push(scene: Scene, host: str) -> Run:
    policies = f"tcmicro_policies={scene.root / POLICIES}"
    confirm = f"tcmicro_policy_confirm_within={DEADLINE}"
    return scene.plays.start("policy", "--limit", host, "-e", policies, "-e", confirm)


def reached(scene: Scene, host: str) -> tuple[bool, str]:
    """Whether ssh gets in, and what a web host hears from the database."""
    web = scene.lab.members("web")[0]
    answer = scene.traffic.ask(web, scene.lab.address(host), DATABASE, timeout=1)
    return scene.lab.reachable(host), answer


def await_cut(scene: Scene, host: str, run: Run) -> float:
    """Until nothing gets in any more; the moment the last probe began that still might have."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        began = time.monotonic()
        inside, answer = reached(scene, host)
        if not inside and answer != "answered":
            scene.say(f"{host} is cut off: ssh gets no answer, its database neither ({answer})")
            return began
        if run.process.poll() is not None:
            break
    outcome = run.wait()
    raise StepError(f"the policy never cut {host} off: {outcome.failure()} ({outcome.log})")


def await_return(scene: Scene, host: str, began: float) -> Outage:
    """Until both get in again; every try before is part of the outage."""
    tries, heard = 1, set[str]()
    while time.monotonic() < began + DEADLINE + GRACE + 30:
        inside, answer = reached(scene, host)
        if inside and answer == "answered":
            return Outage(time.monotonic() - began, tries, tuple(sorted(heard)))
        tries += 1
        heard.add(answer)
    raise StepError(
        f"{host} is still cut off {time.monotonic() - began:.0f} s after the policy went live"
    )


def cut_and_back(scene: Scene, host: str, meanwhile: Callable[[Run], None]) -> Run:
    """Push the policy, watch the host vanish and come back with its former policy."""
    former = scene.lab.agent(host, "status")["policy"]["digest"]
    run = push(scene, host)
    began = await_cut(scene, host, run)
    meanwhile(run)
    outage = await_return(scene, host, began)
    within = outage.seconds <= DEADLINE + GRACE
    scene.expect(
        f"{host} back by itself within {DEADLINE} s (+{GRACE} s to notice)", outage, holds=within
    )
    now = scene.lab.agent(host, "status")["policy"]["digest"]
    scene.expect(f"{host} enforces its former policy", now[:12], holds=now == former)
    return run


def expect_said(scene: Scene, host: str, run: Run) -> None:
    outcome = run.wait()
    said = [line.strip() for line in outcome.output.splitlines() if "kernel restored" in line]
    scene.expect("policy.yml ends with", f"exit code {outcome.code}", holds=outcome.code != 0)
    scene.expect("and says so", (said or [outcome.failure()])[0][:200], holds=bool(said))


def lockout(scene: Scene) -> None:
    host = victim_of(scene)
    with without_failsafe(scene, host):
        run = cut_and_back(scene, host, lambda _: None)
        expect_said(scene, host, run)


def lockout_alone(scene: Scene) -> None:
    """The same without the agent, then without the controller."""
    host = victim_of(scene)
    with without_failsafe(scene, host):
        scene.lab.ssh(host, f"kill -STOP {MAIN_PID}")
        state = scene.lab.ssh(host, f"ps -o stat= -p {MAIN_PID}").out
        scene.expect(f"agent of {host} stopped, process state", state, holds=state.startswith("T"))
        try:
            expect_said(scene, host, cut_and_back(scene, host, lambda _: None))
        finally:
            scene.lab.ssh(host, f"kill -CONT {MAIN_PID}")
        run = cut_and_back(scene, host, lambda run: run.kill())
        code = run.wait().code
        scene.expect("ansible-playbook killed in the middle, exit code", code, holds=code == -9)
