"""What hosts meet in operation: floods, refusals, stops, mistakes in what they are told."""

from __future__ import annotations

import shlex

from tests.fleet.conditions import (
    CONFIG,
    KEPT,
    PUT_BACK,
    RELOAD,
    UNIT,
    Condition,
    datagrams,
    python,
    reconfigured,
)
from tests.fleet.monitor import HOST as MONITOR

DENY = "tc-micro policy add --direction ingress --action deny --ttl 15m"
LOCAL = "import json, sys; [print(rule['id']) for rule in json.load(sys.stdin)['local']]"
IDS = f"$(tc-micro policy list --local --json | python3 -c {shlex.quote(LOCAL)})"
UNDENY = f"for id in {IDS}; do tc-micro policy delete $id || exit; done"

NOWHERE = '{"mirror": "http://127.0.0.1:9"}'

# Against db1, bounded in number and time.
CONNECTS = """
import socket, time
for _ in range(600):
    with socket.socket() as s:
        s.setblocking(False); s.connect_ex(("10.77.2.1", 5432)); time.sleep(0.005)
"""
FILL = """
more = [dict(protocol="udp", port=port, cidr="192.0.2.1/32") for port in range(1, 901)]
document["failsafe"] = [*document.get("failsafe", ()), *more]
"""

CONDITIONS = (
    Condition(host="web1", command=python(CONNECTS), alerts=("TcMicroSynFlood",), at="db1"),
    Condition(
        host=MONITOR,
        command=datagrams("10.77.2.1", "[9] * 6000", 0.005),
        alerts=("TcMicroDropRateHigh", "TcMicroCacheHitRateLow"),
        at="db1",
    ),
    Condition(
        host="web1",
        command=f"systemctl stop {UNIT}",
        alerts=("TcMicroAgentDown",),
        at="web1",
        undo=f"systemctl start {UNIT}",
    ),
    Condition(
        host=MONITOR,
        command=f"cp {CONFIG} {KEPT}; echo '{{}}}}' > {CONFIG}; {RELOAD}",
        alerts=("TcMicroConfigRefused", "TcMicroStepFailing"),
        at=MONITOR,
        undo=PUT_BACK,
    ),
    Condition(
        host="db1",
        command=f"{DENY} --protocol udp --dst-port 9999",
        alerts=("TcMicroLocalRulesLinger",),
        at="db1",
        undo=UNDENY,
    ),
    Condition(  # the way in of whoever tests is the failsafe's from here on
        host="db1",
        command=f"{DENY} --protocol tcp --dst-port 22",
        alerts=("TcMicroFailsafeUsed",),
        at="db1",
        undo=UNDENY,
        lingers=True,
    ),
    Condition(
        host="db1",
        command="find /sys/fs/bpf/tcmicro -name '*_ingress' -delete",
        alerts=("TcMicroHooksRemoved",),
        at="db1",
    ),
    Condition(  # after the repair has been recorded and scraped: a restart counts anew
        host="db1",
        command=f"sleep 15; for n in 1 2 3; do sleep 12; systemctl restart {UNIT}; done",
        alerts=("TcMicroAgentRestarting",),
        at="db1",
    ),
    Condition(
        host="db1",
        command=f"echo '{NOWHERE}' > /etc/tcmicro/pull.json; tc-micro policy pull; test $? = 1",
        alerts=("TcMicroPullBehind",),
        at="db1",
        undo="rm /etc/tcmicro/pull.json /var/lib/tcmicro/pull.json",
    ),
    Condition(
        host="db1",
        command=reconfigured(FILL),
        alerts=("TcMicroMapAlmostFull",),
        at="db1",
        undo=PUT_BACK,
    ),
)
