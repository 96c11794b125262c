"""What somebody works on: policy files and an Ansible inventory, read as `playbooks/policy.yml` reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tcmicro_agent.policy.intent import Documents, Policy
from tcmicro_agent.policy.inventory import Inventory
from tcmicro_agent.policy.source import parse_documents
from tcmicro_agent.workspace.files import Files, policy_directories, read_files
from tcmicro_agent.workspace.inventories import HOSTS_GROUP, default_inventories, read_inventory

__all__ = ["HOSTS_GROUP", "Files", "Workspace", "load", "read_files", "read_inventory"]


@dataclass(frozen=True)
class Workspace:
    """Files by the name that faults, rules and bundles give them, and what they say about which hosts."""

    texts: Mapping[str, str]
    paths: Mapping[str, Path]
    documents: Documents
    inventory: Inventory

    @property
    def policies(self) -> tuple[Policy, ...]:
        return self.documents.policies


def load(
    paths: Sequence[Path], inventories: Sequence[str], hosts_group: str = HOSTS_GROUP
) -> Workspace:
    """Policies below `paths` (none: `policies/` beside the inventories) and the hosts of a group of the inventories
    (none: those of ansible.cfg). PolicyError (exit 6) with all that cannot be read."""
    sources = tuple(inventories) or default_inventories()
    files = read_files(tuple(paths) or policy_directories(sources))
    documents = parse_documents(files.texts.items())
    return Workspace(files.texts, files.paths, documents, read_inventory(sources, hosts_group))
