"""The verbs that run the agent: as a service, once at boot, and to the end of it.

Of their own module: a boot waits for `restore`, and most of what the looking verbs import is of no use to it.
"""

from __future__ import annotations

import argparse

from tcmicro_agent import attachments, release, report, upkeep
from tcmicro_agent.cli import verbs
from tcmicro_agent.cli.arguments import Adder
from tcmicro_agent.datapath import predecessors
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.documents import document
from tcmicro_agent.errors import RefusedError


def add_verbs(add: Adder) -> None:
    add("run", run, "the agent itself (tcmicro-agent.service)")
    add("restore", restore, "what the agent does first, once (tcmicro-boot.service)")
    add("detach", detach, "remove our programs and pins: nothing is enforced any more")


def run(_: argparse.Namespace) -> verbs.Result:
    # imported late: the metrics library is of no use to any other verb
    from tcmicro_agent.daemon import Daemon
    from tcmicro_agent.journal import Journal

    here = verbs.agent()
    Daemon(here, here.store, release.ROOT, Journal()).run()
    return {}, 0


def restore(_: argparse.Namespace) -> verbs.Result:
    """What the agent does first: programs, hooks, failsafe, the confirmed policy (tcmicro-boot.service)."""
    here = verbs.agent()
    config = here.store.config()
    done = [
        *upkeep.load(here, release.ROOT, config),
        *upkeep.converge(here, config),
        *attachments.Attachments(here.kernel).converge(config),
    ]
    return document("Restore", changed=bool(done), done=done), 0


def detach(_: argparse.Namespace) -> verbs.Result:
    """Raises RefusedError beside a running agent, which would put all of it back."""
    here = verbs.agent()
    if running := report.process(here.store.agent())["pid"]:
        raise RefusedError(
            f"the agent runs, pid {running}, and would put back what is detached",
            hint="systemctl stop tcmicro-agent, then tc-micro detach",
        )
    done = [f"detached from {name}" for name in attachments.detach(here.kernel)]
    if here.kernel.pins.exists():
        here.kernel.unpin()
        done.append(f"removed {here.kernel.pins}")
    for old in predecessors.find(here.kernel.pins):
        Kernel(old.pins).unpin()
        done.append(f"removed {old.pins}")
    return document("Detach", changed=bool(done), done=done), 0
