"""Policy files in the one way to write them."""

from __future__ import annotations

from tcmicro_agent.policy.layout import canonical
from tcmicro_agent.policy.problems import Fault, PolicyFaults
from tcmicro_agent.workspace.files import Files


def formatted(files: Files) -> dict[str, str]:
    """The texts by name as they should be. PolicyError with the faults of all that are no YAML of ours."""
    faults: list[Fault] = []
    found: dict[str, str] = {}
    for name, text in files.texts.items():
        try:
            found[name] = canonical(name, text)
        except PolicyFaults as exc:
            faults += exc.faults
    if faults:
        raise PolicyFaults(faults)
    return found
