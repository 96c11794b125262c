"""Policy files → documents, each by its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tcmicro_agent.jsonutil import did_you_mean, show
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.intent import Documents, Policy
from tcmicro_agent.policy.problems import Problems
from tcmicro_agent.policy.source.fields import Fields
from tcmicro_agent.policy.source.links import link
from tcmicro_agent.policy.source.nodes import Node, read_documents
from tcmicro_agent.policy.source.policies import read_policy
from tcmicro_agent.policy.source.policy_tests import read_policy_test
from tcmicro_agent.policy.source.sets import read_address_set, read_port_set

API_VERSION = "tcmicro/v1"
KINDS: Mapping[
    str, tuple[str, Callable[[Fields], Any]]
] = {  # member of Documents, and who reads it
    "Policy": ("policies", read_policy),
    "AddressSet": ("address_sets", read_address_set),
    "PortSet": ("port_sets", read_port_set),
    "PolicyTest": ("tests", read_policy_test),
}
LATER_KINDS = ("Fault",)


def parse_documents(sources: Iterable[tuple[str, str]]) -> Documents:
    """The documents of (file name, text) pairs, or PolicyError with every fault of all of them."""
    problems = Problems()
    found: dict[str, list[Any]] = {member: [] for member, _ in KINDS.values()}
    for file, text in sources:
        for node in read_documents(file, text, problems):
            _read(node, problems, found)
    documents = Documents(**{member: tuple(values) for member, values in found.items()})
    linked = link(documents, problems)
    problems.raise_any()
    return linked


def parse_policies(sources: Iterable[tuple[str, str]]) -> tuple[Policy, ...]:
    """The policies alone."""
    return parse_documents(sources).policies


def _read(node: Node, problems: Problems, found: Mapping[str, list[Any]]) -> None:
    doc = Fields(node, "a document", problems)
    version = doc.text("apiVersion")
    if version not in (API_VERSION, ""):
        text = f"{show(version)} is not known; this release reads {API_VERSION}"
        doc.add(doc.place("apiVersion"), Code.API_VERSION, text)
    kind = doc.text("kind")
    if kind in LATER_KINDS:
        text = f"kind {kind} is not supported in this release; remove the document"
        doc.add(doc.place("kind"), Code.NOT_YET, text)
    elif kind in KINDS or not kind:
        member, read = KINDS[kind or "Policy"]  # most probably, and the fault is noted
        found[member].append(read(doc))
    else:
        text = f"kind {show(kind)} does not exist{did_you_mean(kind, [*KINDS, *LATER_KINDS])}"
        doc.add(doc.place("kind"), Code.KIND, text)
