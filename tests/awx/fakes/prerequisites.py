#!/usr/bin/python3
# WANT_JSON
"""Whether a fake host may run the agent; `lacks` in its script says what is missing."""

import sys

sys.path.insert(0, __import__("os").environ["FAKE_HOST"] + "/..")
from fakehost_state import Host, answer, arguments

host, lacks = Host(), ""
arguments()
host.note("look")
lacks = host.script.get("lacks", "")
finding = {"check": "kernel", "level": "fail" if lacks else "ok", "found": lacks or "6.1.0"}
report = {"changed": False, "ok": not lacks, "connection": {}}
report["findings"] = [{**finding, "needed": ">= 5.10", "hint": ""}]
if lacks:
    report.update(
        failed=True, msg=f"this host cannot run tcmicro: kernel is {lacks}, needed >= 5.10"
    )
answer(report)
