#!/usr/bin/env python3
"""Names the hosts that the asset database knows, for Ansible. Here that is the export in cmdb.txt; ask yours instead.

It says what the database says, as host variables, and nothing about groups: 2_groups.yml does that.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

EXPORT = Path(__file__).with_name("cmdb.txt")
PREFIX = "cmdb_"


def inventory(rows: list[dict[str, str]]) -> dict[str, object]:
    """The document of an inventory script, with all variables at once so that it is called only once."""
    variables = {
        row["name"]: {
            "ansible_host": row["address"],
            **{PREFIX + column: value for column, value in row.items() if column != "name"},
        }
        for row in rows
    }
    return {"cmdb": {"hosts": sorted(variables)}, "_meta": {"hostvars": variables}}


def main() -> None:
    with EXPORT.open(newline="") as export:
        rows = list(csv.DictReader(export, delimiter="\t"))
    print(json.dumps(inventory(rows) if sys.argv[1:2] == ["--list"] else {}, indent=2))


if __name__ == "__main__":
    main()
