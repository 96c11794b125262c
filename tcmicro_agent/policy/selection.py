"""Which hosts of the inventory a selector names. A word that matches nothing is a fault: a typing error, or stale."""

from __future__ import annotations

from collections.abc import Iterable

from tcmicro_agent.jsonutil import did_you_mean, show
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.intent import HostSelector, Word
from tcmicro_agent.policy.inventory import EVERY_HOST, Inventory
from tcmicro_agent.policy.problems import Problems

Names = frozenset[str]


class Selection:
    """Looks hosts up by group, label and name, and notes every fault it meets."""

    def __init__(self, inventory: Inventory, problems: Problems) -> None:
        self._problems = problems
        self._hosts = frozenset(inventory.hosts)
        self._groups: dict[str, set[str]] = {EVERY_HOST: set(self._hosts)}
        self._labels: dict[str, dict[str, set[str]]] = {}
        for host in inventory.hosts.values():
            for group in host.telling_groups:
                self._groups.setdefault(group, set()).add(host.name)
            for key, value in host.labels:
                self._labels.setdefault(key, {}).setdefault(value, set()).add(host.name)

    def select(self, selector: HostSelector) -> Names:
        """The hosts that match; none only after a fault was noted."""
        if not self._known(selector):
            return frozenset()
        parts = [self._labels[key.text][value.text] for key, value in selector.labels]
        if selector.groups:
            parts.append(set().union(*(self._groups[word.text] for word in selector.groups)))
        if selector.hosts:
            parts.append({word.text for word in selector.hosts})
        found = set.intersection(*sorted(parts, key=len)) if parts else set(self._hosts)
        found -= {word.text for word in selector.except_hosts}
        if not found:
            self._problems.add(selector.where, Code.NO_HOST, "matches no host of the inventory")
        return frozenset(found)

    def _known(self, selector: HostSelector) -> bool:
        hosts = (*selector.hosts, *selector.except_hosts)
        return all(
            [
                *(self._has_group(word) for word in selector.groups),
                *(self._has_label(key, value) for key, value in selector.labels),
                *(self._has_host(word) for word in hosts),
            ]
        )

    def _has_group(self, word: Word) -> bool:
        return self._check(
            word, self._groups, Code.UNKNOWN_GROUP, f"no host is in group {show(word.text)}"
        )

    def _has_host(self, word: Word) -> bool:
        return self._check(
            word, self._hosts, Code.UNKNOWN_HOST, f"the inventory has no host {show(word.text)}"
        )

    def _has_label(self, key: Word, value: Word) -> bool:
        text = f"no host has a label {show(key.text)}"
        if not self._check(key, self._labels, Code.UNKNOWN_LABEL, text):
            return False
        text = f"no host has {key.text}={value.text}"
        return self._check(value, self._labels[key.text], Code.UNKNOWN_LABEL, text)

    def _check(self, word: Word, known: Iterable[str], code: Code, text: str) -> bool:
        if word.text in known:
            return True
        self._problems.add(word.where, code, text + did_you_mean(word.text, sorted(known)))
        return False
