#!/usr/bin/python3
# WANT_JSON
"""A fault on a fake host: what a crash loop does is scripted, of all else nothing is seen."""

import json
import sys

sys.path.insert(0, __import__("os").environ["FAKE_HOST"] + "/..")
from fakehost_state import Host, answer, arguments

host, args = Host(), arguments()
file, script = host.folder / "drill.json", host.folder / "script.json"
planted = json.loads(file.read_text()) if file.exists() else None
ran = planted and (host.state["transaction"] or {}).get("version") == planted["version"]
began = {"problem": ""} if ran else None
check = args["_ansible_check_mode"]
if args.get("state") == "absent":
    changed = planted is not None
    if changed and not check:
        file.unlink()
        host.script.pop("restarts", None)
        host.note("remove fault", True)
    planted = None
else:
    host.fault("plant")
    changed = planted is None
    if not check:
        planted = {key: args[key] for key in ("drill", "fault", "version")}
        file.write_text(json.dumps(planted))
        if args["fault"] == "crash_loop":
            host.script["restarts"] = 3
        host.note("plant fault", True)
script.write_text(json.dumps(host.script))
answer({"changed": changed, "planted": planted, "began": began, "left": []})
