"""Every text the lab writes, as a function of its hosts and keys. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import yaml

from .model import Host, Lab
from .plan import CONTROLLER_V4, CONTROLLER_V6, GROUPS, PREFIX_V4, PREFIX_V6

# A machine whose kernel shows no types, as one built without CONFIG_DEBUG_INFO_BTF: an empty file system over them.
HIDE_BTF = """[Unit]
Description=Hide the types of the kernel
DefaultDependencies=no
Before=sysinit.target

[Mount]
What=tmpfs
Where=/sys/kernel/btf
Type=tmpfs
"""
# An emulated machine beside others may not answer for half a minute, and is well all the same.
PATIENT_S = 60
PATIENCE = {
    "ansible_ssh_timeout": PATIENT_S,
    "ansible_ssh_args": "-o ControlMaster=auto -o ControlPersist=60s "
    f"-o ServerAliveInterval={PATIENT_S} -o ServerAliveCountMax=3",
}
GENERATED = "# Written by playbooks/lab.yml; removed by lab_state=absent. Edits are lost.\n"


def inventory(lab: Lab, members: tuple[Host, ...]) -> str:
    """The inventory: connection facts once for the fleet, identity facts for each host."""
    connection = {
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_common_args": f"-F {lab.directory}/ssh_config",
        # Addresses repeat in every lab: kept control connections must not.
        "ansible_control_path_dir": str(lab.sockets),
        "tcmicro_policy_probe_via": ["nsenter", f"--net=/run/netns/{lab.name}"],
        **(PATIENCE if lab.media else {}),
    }
    groups = {
        group: {"hosts": {host.name: _host_vars(host) for host in members if host.group == group}}
        for group in GROUPS
    }
    return _yaml({"tcmicro": {"vars": connection, "children": groups}})


def _host_vars(host: Host) -> dict[str, Any]:
    found = {
        "ansible_host": host.v4,
        "tcmicro_addresses": [host.v4, host.v6],
        "tcmicro_labels": dict(host.labels),
        "tcmicro_site": host.site,
        "tcmicro_rack": host.rack,
    }
    return {**found, "tcmicro_ha_group": host.ha_group} if host.ha_group else found


def _yaml(document: dict[str, Any]) -> str:
    return GENERATED + "---\n" + yaml.safe_dump(document, sort_keys=False, width=120)


def ssh_config(lab: Lab, members: tuple[Host, ...]) -> str:
    """One Host block per machine; the connection is opened inside the lab's namespace, by the tree's own nc."""
    blocks = [f"Host {host.name} {host.v4} {host.v6}\n  HostName {host.v4}\n" for host in members]
    shared = f"""Host *
  User root
  IdentityFile {lab.directory}/keys/lab
  IdentitiesOnly yes
  UserKnownHostsFile {lab.directory}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  ProxyCommand nsenter --net=/run/netns/{lab.name} --root={lab.tree} /usr/bin/nc -F %h %p
  ProxyUseFdpass yes
  ControlPath {lab.sockets}/%C
  ConnectTimeout {PATIENT_S if lab.media else 10}
  ServerAliveInterval 5
  ServerAliveCountMax 3
"""
    return GENERATED + "".join(blocks) + shared


def known_hosts(members: tuple[Host, ...], public_keys: Mapping[str, str]) -> str:
    """`public_keys` by host name, as `<type> <base64> …`."""
    lines = []
    for host in members:
        kind, key = public_keys[host.name].split()[:2]
        lines.append(f"{host.name},{host.v4},{host.v6} {kind} {key}\n")
    return "".join(lines)


def host_files(lab: Lab, host: Host, members: tuple[Host, ...]) -> dict[str, str]:
    """The files, by absolute path inside the host, that make one host out of the shared tree."""
    return {
        "/etc/hostname": f"{host.name}\n",
        "/etc/hosts": _etc_hosts(members),
        "/etc/machine-id": hashlib.sha256(f"{lab.name}/{host.name}".encode()).hexdigest()[:32]
        + "\n",
        "/etc/systemd/network/10-host0.network": _network(host),
    }


def _etc_hosts(members: tuple[Host, ...]) -> str:
    names = [(CONTROLLER_V4, CONTROLLER_V6, "controller"), *((h.v4, h.v6, h.name) for h in members)]
    lines = ["127.0.0.1 localhost\n", "::1 localhost ip6-localhost\n"]
    lines += [f"{address} {name}\n" for v4, v6, name in names for address in (v4, v6)]
    return "".join(lines)


def _network(host: Host) -> str:
    return f"""[Match]
Name=host0 eth0

[Link]
RequiredForOnline=no

[Network]
Address={host.v4}/{PREFIX_V4}
Address={host.v6}/{PREFIX_V6}
Gateway={CONTROLLER_V4}
Gateway={CONTROLLER_V6}
DHCP=no
LinkLocalAddressing=ipv6
IPv6AcceptRA=no
IPv6DuplicateAddressDetection=0
"""


def table(status: Mapping[str, Any]) -> list[str]:
    """The status document for people: a line for the lab, then one for each host."""
    if status["state"] == "none":
        return [f"no lab is up in {status['directory']} (make lab-up HOSTS=6)"]
    rows = [
        f"{'host':<12}{'address':<14}{'address v6':<14}{'site':<8}{'rack':<10}{'state':<10}uptime"
    ]
    for host in status["hosts"]:
        place = f"{host['site']:<8}{host['rack']:<10}"
        rows.append(
            f"{host['name']:<12}{host['v4']:<14}{host['v6']:<14}{place}{host['state']:<10}{_age(host['uptime'])}"
        )
    return [f"lab {status['name']}: {status['state']}, {len(status['hosts'])} hosts", *rows]


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"
