"""Steps 5 and 6: a good release in waves under load, and a bad one that the gate stops."""

from __future__ import annotations

import re

from tools.demo.begin import DATABASE, expect_release
from tools.demo.releases import BAD, NEXT
from tools.demo.scene import Scene

BAKE = 8
WAVE = re.compile(r"[Ww]ave (\d+)")


def good_canary(scene: Scene) -> None:
    web, db = scene.lab.members("web")[0], scene.lab.members("db")[0]
    with scene.traffic.stream(web, scene.lab.address(db), DATABASE) as stream:
        outcome = scene.plays.run("canary", "-e", f"release={NEXT}", "-e", f"bake={BAKE}")
    scene.succeed("canary.yml", outcome)
    waves = sorted({int(number) for number in WAVE.findall(outcome.output)})
    scene.expect("waves", len(waves), holds=len(waves) > 1)
    expect_release(scene, NEXT)
    scene.expect(
        f"{web} → {db}:{DATABASE} held open all the while", stream.flow, holds=stream.flow.intact
    )


def invocations(scene: Scene) -> dict[str, str]:
    """systemd's id of each host's running agent; a host that was touched has another one."""
    command = "systemctl show -p InvocationID --value tcmicro-agent"
    return {host: scene.lab.ssh(host, command).out for host in scene.lab.hosts()}


def bad_canary(scene: Scene) -> None:
    before = invocations(scene)
    outcome = scene.plays.run("canary", "-e", f"release={BAD}", "-e", f"bake={BAKE}")
    scene.expect(
        "canary.yml to the bad release ends with",
        f"exit code {outcome.code}",
        holds=outcome.code != 0,
    )
    after = invocations(scene)
    touched = sorted(host for host in before if before[host] != after[host])
    untouched = len(before) - len(touched)
    scene.expect(
        "hosts of the first wave, touched", " ".join(touched), holds=0 < len(touched) < len(before)
    )
    scene.expect("hosts never touched", untouched, holds=untouched > 0)
    expect_release(scene, NEXT)
