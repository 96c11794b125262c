"""What should not happen to hosts: files that are lost or spoiled, an agent that hangs."""

from __future__ import annotations

from tests.fleet.conditions import (
    CONFIG,
    KEPT,
    PUT_BACK,
    RELOAD,
    UNIT,
    Condition,
    datagrams,
    reconfigured,
)
from tests.fleet.monitor import HOST as MONITOR

START, STOP = f"systemctl start {UNIT}", f"systemctl stop {UNIT}"
STATE = "/var/lib/tcmicro"
BUNDLES = f"{STATE}/bundles"

CONDITIONS = (
    Condition(  # whoever opens a pipe to read waits until somebody writes
        host="client2",
        command=f"mv {CONFIG} {KEPT}; mkfifo {CONFIG}; {RELOAD}",
        alerts=("TcMicroAgentStuck", "TcMicroSamplesMissing"),
        at="client2",
        undo=f"cat {KEPT} > {CONFIG}; {PUT_BACK}",
    ),
    Condition(  # the ring takes some ten thousand; then every port is another sum, and nobody takes these away
        host=MONITOR,
        command=datagrams("10.77.3.2", "range(1, 60001)", 0.0003),
        alerts=("TcMicroEventsLost",),
        at="client2",
    ),
    Condition(
        host="web2",
        command=f"mv {BUNDLES} {BUNDLES}.kept; systemctl restart {UNIT}",
        alerts=("TcMicroNotEnforcing",),
        at="web2",
        undo=f"mv {BUNDLES}.kept {BUNDLES}",
    ),
    Condition(
        host="db2",
        command=f"{STOP}; tc-micro detach && mv {STATE} {STATE}.kept; {START}",
        alerts=("TcMicroNoPolicy",),
        at="db2",
        undo=f"{STOP}; tc-micro detach; rm -r {STATE} && mv {STATE}.kept {STATE}; {START}",
    ),
    Condition(
        host="db2",
        command=reconfigured('document["interfaces"] = ["host0", "nosuch0"]'),
        alerts=("TcMicroDrift",),
        at="db2",
        undo=PUT_BACK,
    ),
    Condition(
        host=MONITOR,
        command=f"echo '{{' > {STATE}/local.json",
        alerts=("TcMicroScrapeIncomplete",),
        at=MONITOR,
        undo=f"rm {STATE}/local.json",
        lingers=True,
    ),
)
