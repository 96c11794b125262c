"""Where our programs hang, interface by interface, and where not and why. Reads only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tcmicro_agent import abi, documents
from tcmicro_agent.attachments import Survey, survey
from tcmicro_agent.config import Config
from tcmicro_agent.datapath.hooks import Hook
from tcmicro_agent.interfaces import Interface, Link, left_out
from tcmicro_agent.reconcile import Agent

PACKETS = Path("/proc/self/net/dev")  # of the namespace we are in, unlike /sys/class/net
RECEIVED, SENT = 1, 9  # columns of packets there
NO_PACKETS = {"received": 0, "sent": 0}


def document(agent: Agent, config: Config) -> dict[str, Any]:
    """`packets`: what the link itself counted, judged or not."""
    loaded = agent.kernel.loaded
    found = survey(agent.kernel, config) if loaded else Survey(agent.kernel.links())
    links = {link.index: link for link in found.links}
    packets = read_packets(PACKETS.read_text())
    names = {interface.name for interface in found.guarded}
    reasons = left_out(found.links, config.interfaces)
    if not loaded:
        reasons = {link.name: "the datapath is not loaded" for link in found.links if link.up}
    return documents.document(
        "Interfaces",
        loaded=loaded,
        guarded=[
            _guarded(agent, config, interface, links[interface.index], packets)
            for interface in found.guarded
        ],
        unguarded=[
            {"name": name, "reason": reason, "packets": packets.get(name, NO_PACKETS)}
            for name, reason in reasons.items()
            if name not in names
        ],
    )


def _guarded(
    agent: Agent,
    config: Config,
    interface: Interface,
    link: Link,
    packets: dict[str, dict[str, int]],
) -> dict[str, Any]:
    hook = agent.kernel.hook(config.hook.value, interface)
    ours = agent.kernel.attached(config.hook.value, interface)
    return {
        "name": interface.name,
        "index": interface.index,
        "kind": link.kind or "hardware",
        "up": link.up,
        "framing": interface.framing.value,
        "hook": hook.name,
        **{way.name.lower(): _program(hook, interface, way, ours[way]) for way in abi.Direction},
        "packets": packets.get(interface.name, NO_PACKETS),
    }


def _program(hook: Hook, interface: Interface, way: abi.Direction, present: bool) -> dict[str, Any]:  # noqa: FBT001
    """`program`: the kernel's id of what hangs in our place; `present`: it is that of this release."""
    return {"program": hook.attached(interface, way), "present": present}


def read_packets(text: str) -> dict[str, dict[str, int]]:
    """Packets by name, out of /proc/net/dev."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, numbers = line.rpartition(":")
        fields = numbers.split()
        found[name.strip()] = {"received": int(fields[RECEIVED]), "sent": int(fields[SENT])}
    return found
