"""Bundles as they lie on a host: a change of what policies come to shows here, line by line.

When it is meant: `python -m tests.unit.policy.test_golden` writes the files anew; read the difference first.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.policy.inventory import parse_inventory
from tcmicro_agent.policy.resolve import resolve
from tcmicro_agent.policy.source import parse_policies

FOLDER = Path(__file__).parent / "golden"
HOSTS = ("db1", "web1")


def written(host: str) -> str:
    policies = parse_policies([("policies.yml", (FOLDER / "policies.yml").read_text())])
    inventory = parse_inventory(json.loads((FOLDER / "inventory.json").read_text()))
    document = bundles.to_document(resolve(policies, inventory)[host])
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


@pytest.mark.parametrize("host", HOSTS)
def test_bundle_is_what_it_was(host):
    assert written(host) == (FOLDER / f"{host}.json").read_text()


if __name__ == "__main__":
    for name in HOSTS:
        (FOLDER / f"{name}.json").write_text(written(name))
