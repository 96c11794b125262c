"""Step 9: hosts are clean after uninstall.yml, the machine is clean after the lab."""

from __future__ import annotations

from tools.demo.machine import Holdings, holdings, mounts_below, processes_naming, settled
from tools.demo.scene import Scene

# Everything of ours that a host could still hold, one line each.
LEFTOVERS = r"""
for path in /opt/tcmicro /etc/tcmicro /var/lib/tcmicro /run/tcmicro /sys/fs/bpf/tcmicro \
    /usr/local/bin/tc-micro /etc/systemd/system/tcmicro*; do
    [ -e "$path" ] || [ -L "$path" ] && echo "file $path"
done
systemctl list-units --all --plain --no-legend 'tcmicro-agent*' | sed 's/^/unit /'
getent passwd tcmicro | sed 's/^/user /'
pgrep -af tc-micro | sed 's/^/process /'
for link in $(ls /sys/class/net); do
    for way in ingress egress; do
        tc filter show dev "$link" "$way" 2>/dev/null | grep -i tcm | sed "s/^/filter $link /"
    done
done
true
"""


def uninstall(scene: Scene) -> None:
    scene.traffic.quiet(scene.lab.hosts())
    scene.succeed("uninstall.yml", scene.plays.run("uninstall"))
    left = {host: scene.lab.ssh(host, "sh -s", send=LEFTOVERS).out for host in scene.lab.hosts()}
    found = "; ".join(f"{host}: {lines}" for host, lines in left.items() if lines)
    scene.expect(
        "filters, pins, units, users, processes, files left on hosts",
        found or "none",
        holds=not found,
    )
    during = Holdings(scene.before.programs, holdings().namespaces)
    programs = settled(during).programs
    scene.expect("programs left in the kernel", len(programs), holds=not programs)


def lab_down(scene: Scene) -> None:
    scene.succeed("lab goes down", scene.plays.lab("absent"))
    folder = scene.root / ".lab"
    namespaces = sorted(settled(scene.before).namespaces)
    left = [*mounts_below(folder), *processes_naming(folder), *namespaces]
    scene.expect(
        "mounts, processes, namespaces left on this machine",
        "; ".join(left) or "none",
        holds=not left,
    )


def farewell(scene: Scene) -> None:
    uninstall(scene)
    lab_down(scene)
