"""Which variables a playbook reads from outside: what -e, a survey or the inventory gives it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, meta

from tests.awx.collection import ROOT

EXPRESSIONS = ("when", "that", "changed_when", "failed_when", "until")
INCLUDES = ("import_playbook", "import_tasks", "include_tasks")
ROLES = ("import_role", "include_role")
LOOKED_UP = re.compile(r"lookup\('ansible\.builtin\.vars', '(\w+)'")
MAGIC = re.compile(
    r"(ansible_.*|groups|hostvars|inventory_(dir|hostname)|playbook_dir|item|omit|lookup|query)"
)


class Known(dict):
    """Every filter and test is one; only names count here."""

    def get(self, name: Any, default: Any = None) -> Any:
        return str


ENVIRONMENT = Environment()
ENVIRONMENT.filters, ENVIRONMENT.tests = Known(), Known()


@dataclass
class Reads:
    """`free`: read, and defined nowhere in the playbook; `options`: those of the roles that it runs."""

    read: set[str] = field(default_factory=set)
    defined: set[str] = field(default_factory=set)
    options: set[str] = field(default_factory=set)
    seen: set[Path] = field(default_factory=set)

    @property
    def free(self) -> set[str]:
        return {name for name in self.read - self.defined if not MAGIC.fullmatch(name)}


def reads(playbook: str) -> Reads:
    found = Reads()
    _file(ROOT / playbook, found)
    return found


def _file(path: Path, found: Reads) -> None:
    if path in found.seen:
        return
    found.seen.add(path)
    document = yaml.safe_load(path.read_text())
    for key, value in pairs(document):
        short = key.rpartition(".")[2]
        if short in INCLUDES and isinstance(value, str):
            _file(path.parent / value, found)
        elif short in ROLES:
            _role(value["name"], found)
        elif key == "roles":
            for role in value:
                _role(role["role"], found)
        elif key == "register":
            found.defined.add(value)
        elif key in ("vars", "ansible.builtin.set_fact"):
            found.defined.update(value)
        for text in _texts(key, value):
            found.read |= names_in(text)
            found.read |= set(LOOKED_UP.findall(text))


def _role(name: str, found: Reads) -> None:
    found.options.update(specs_of(name))


def specs_of(role: str) -> set[str]:
    """Options of a role, of all its entry points."""
    specs = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())
    entries = specs["argument_specs"].values()
    return {name for entry in entries for name in entry.get("options", {})}


def names_in(text: str) -> set[str]:
    """Variables that a template reads."""
    return meta.find_undeclared_variables(ENVIRONMENT.parse(text))


def pairs(document: Any) -> Iterator[tuple[str, Any]]:
    """Every key of every mapping, with its value."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield str(key), value
            yield from pairs(value)
    elif isinstance(document, list):
        for value in document:
            yield from pairs(value)


def _texts(key: str, value: Any) -> Iterator[str]:
    """The templates of a value; conditions are templates without braces."""
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str):
            bare = key in EXPRESSIONS and "{{" not in text
            yield f"{{{{ {text} }}}}" if bare else text
