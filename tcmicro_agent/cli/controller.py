"""`tc-micro` of a controller that has the collection alone: rollouts and policy files, nothing of a host.

The collection carries what is imported here; its `scripts/tc-micro` runs it.
"""

from __future__ import annotations

import sys

from tcmicro_agent.cli import answers, authoring, parts, rollouts
from tcmicro_agent.cli.main import main

MODULES = tuple(module.__name__.rpartition(".")[2] for module in (answers, authoring, rollouts))
PARTS = tuple(part for part in parts.PARTS if part.adder.partition(":")[0] in MODULES)

if __name__ == "__main__":
    sys.exit(main(parts=PARTS))
