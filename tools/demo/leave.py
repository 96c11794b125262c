"""Step 9: hosts are clean after uninstall.yml, the machine is clean after the lab."""

from __future__ import annotations

from tools.demo.machine import pinned_programs, still_loaded, traces_of
from tools.demo.scene import Scene

# Everything of ours that a host could still hold, one line each.
LEFTOVERS = r"""
for path in /opt/tcmicro /etc/tcmicro /var/lib/tcmicro /run/tcmicro /sys/fs/bpf/tcmicro \
    /usr/local/bin/tc-micro /etc/systemd/system/tcmicro* \
    /usr/local/share/man/man1/tc-micro.1 /usr/local/share/bash-completion/completions/tc-micro \
    /usr/local/share/zsh/site-functions/_tc-micro \
    /usr/local/share/fish/vendor_completions.d/tc-micro.fish; do
    [ -e "$path" ] || [ -L "$path" ] && echo "file $path"
done
systemctl list-units --all --plain --no-legend 'tcmicro*' | sed 's/^/unit /'
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
    programs = pinned_programs(scene.lab.home)
    scene.expect("programs of the hosts in this kernel", len(programs), holds=bool(programs))
    scene.succeed("uninstall.yml", scene.plays.run("uninstall"))
    left = {host: scene.lab.ssh(host, "sh -s", send=LEFTOVERS).out for host in scene.lab.hosts()}
    found = "; ".join(f"{host}: {lines}" for host, lines in left.items() if lines)
    claim = "filters, pins, units, users, processes, files left on hosts"
    scene.expect(claim, found or "none", holds=not found)
    loaded = still_loaded(programs)
    scene.expect("of these programs left in the kernel", len(loaded), holds=not loaded)


def lab_down(scene: Scene) -> None:
    namespace = scene.lab.namespace()
    scene.succeed("lab goes down", scene.plays.lab("absent"))
    scene.owns_lab = False
    left = "; ".join(traces_of(scene.lab.home, namespace))
    scene.expect(
        "mounts, processes, namespaces left on this machine", left or "none", holds=not left
    )


def farewell(scene: Scene) -> None:
    uninstall(scene)
    lab_down(scene)
