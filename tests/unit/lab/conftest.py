"""The lab's code lies in its role; Ansible puts it on the path there, this file does here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "roles/lab_host/module_utils"))


@pytest.fixture
def wanted():
    """What somebody asks for: a lab of six, or as the arguments say."""
    from tcmicro_lab.model import Wanted

    def build(
        hosts=6, packages=("systemd", "python3"), directory="/checkout/.lab", suites=("bookworm",)
    ):
        return Wanted(
            directory=Path(directory),
            inventory=Path("/checkout/inventories/lab/hosts.yml"),
            hosts=hosts,
            suites=tuple(suites),
            packages=tuple(packages),
        )

    return build
