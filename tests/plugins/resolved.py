"""An inventory as `tc-micro` reads it, in a process of its own: Ansible finds no plugin of a collection that Python has
imported already, as these tests have."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import json, sys
from tcmicro_agent.policy.bundle import Writer
from tcmicro_agent.policy.resolve import resolve
from tcmicro_agent.workspace import load
found = load([], sys.argv[1:])
bundles = resolve(found.policies, found.inventory)
print(json.dumps({
    name: {
        "groups": host.groups,
        "addresses": list(map(str, host.addresses)),
        "rules": len(bundles[name].rules),
        "digest": Writer().write(bundles[name]).digest,
    }
    for name, host in found.inventory.hosts.items()
}))
"""


def resolved(root, inventory):
    """Groups, addresses, number of rules and digest of the bundle, by host."""
    argv = [sys.executable, "-c", SCRIPT, str(inventory)]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
