"""Takes the staged policy of a host to one step of its transaction, and notes which one must rule after a boot.

`python3 reach.py STEP`, as root on a host where a policy is staged: staged, armed, flipped, confirmed or committed.
Whoever calls it cuts the power after that. Exits with 0 only where the host is at that step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

LIBRARY = "/opt/tcmicro/current/lib"
NOTE = "/root/step.json"
TRANSACTION = "/var/lib/tcmicro/txn.json"
LONG_S = "3600"
STEPS = ("staged", "armed", "flipped", "confirmed", "committed")
CUT = 77  # exit code of the command that ended itself where the kernel would be asked


def call(*words: str) -> dict:
    done = subprocess.run(["tc-micro", *words, "--json"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"tc-micro {' '.join(words)}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def arm() -> None:
    """`policy promote`, ended in the middle: all is written, and the kernel not asked yet."""
    sys.path.insert(0, LIBRARY)
    from tcmicro_agent.cli.main import main
    from tcmicro_agent.executor import Executor

    Executor._flip = lambda *_: os._exit(CUT)
    sys.exit(main(["policy", "promote", "--confirm-within", LONG_S]))


def take(step: str) -> None:
    """From a staged policy to a step; `staged` is where it is already."""
    place = STEPS.index(step)
    if step == "armed":
        # the agent would see within a tick that nothing was flipped, and write that down
        subprocess.run(["systemctl", "stop", "tcmicro-agent"], check=True)
        code = subprocess.run([sys.executable, "-I", __file__, "arm"]).returncode
        return None if code == CUT else sys.exit(f"armed: exit {code}, {CUT} is expected")
    if place >= STEPS.index("flipped"):
        ticket = call("policy", "promote", "--confirm-within", LONG_S)["transaction"]
        words = [ticket["id"], "--token", ticket["token"]]
    if place >= STEPS.index("confirmed"):
        call("policy", "confirm", *words, "--lease", LONG_S)
    if place >= STEPS.index("committed"):
        call("policy", "commit", *words)
    return None


def seen() -> tuple[str | None, str]:
    """State of the transaction as it is written, and the digest that rules in the kernel."""
    with open(TRANSACTION) as file:
        return json.load(file)["state"], call("status")["policy"]["digest"]


def note(document: dict) -> None:
    """On the disk, not only on its way there."""
    with open(NOTE, "w") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())


def main(step: str) -> None:
    if step == "arm":
        arm()
    policy = call("status")["policy"]
    before, following = policy["digest"], policy["staged"]["digest"]
    take(step)
    states = {
        "armed": "pending",
        "flipped": "pending",
        "confirmed": "leased",
        "committed": "confirmed",
    }
    wanted = states.get(step), following if step in STEPS[2:] else before
    found = seen()
    if found[1] != wanted[1] or wanted[0] not in (None, found[0]):
        sys.exit(f"{step}: state and digest are {found}, not {wanted}")
    kept = following if step == "committed" else before
    note({"step": step, "digest": kept, "door": step == "committed"})
    print(f"{step}: {kept[:12]} must rule after the boot")


if __name__ == "__main__":
    main(sys.argv[1])
