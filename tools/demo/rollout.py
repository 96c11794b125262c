"""Steps 5 and 6: a good release in waves under load, and a bad one that the gate stops."""

from __future__ import annotations

import re

from tools.demo.begin import DATABASE, expect_release
from tools.demo.releases import BAD, NEXT
from tools.demo.scene import Scene

BAKE = 8
WAVE = re.compile(r"wave (\d+): ([\w., -]+)")


def good_canary(scene: Scene) -> None:
    web, db = scene.lab.members("web")[0], scene.lab.members("db")[0]
    scene.say(f"canary.yml to {NEXT}, {BAKE} s of bake for each wave, while {web} talks to {db}")
    with scene.traffic.stream(web, scene.lab.address(db), DATABASE) as stream:
        outcome = scene.plays.run("canary", "-e", f"release={NEXT}", "-e", f"bake={BAKE}")
    scene.succeed("canary.yml", outcome)
    waves = [
        " ".join(hosts) for number in range(1, 9) if (hosts := wave_of(outcome.output, number))
    ]
    scene.expect("waves", "; ".join(waves), holds=len(waves) > 1)
    expect_release(scene, NEXT)
    scene.expect(
        f"{web} → {db}:{DATABASE} held open all the while", stream.flow, holds=stream.flow.intact
    )


def wave_of(output: str, number: int) -> list[str]:
    """Hosts of a wave, as the plan at the start of canary.yml names them."""
    named = {int(wave): hosts for wave, hosts in WAVE.findall(output)}
    return sorted(name.strip() for name in named.get(number, "").split(",") if name.strip())


def invocations(scene: Scene) -> dict[str, str]:
    """systemd's id of each host's running agent; a host that was touched has another one."""
    command = "systemctl show -p InvocationID --value tcmicro-agent"
    return {host: scene.lab.ssh(host, command).out for host in scene.lab.hosts()}


def bad_canary(scene: Scene) -> None:
    before = invocations(scene)
    scene.say(f"canary.yml to {BAD}, whose agent dies a few seconds after each start")
    outcome = scene.plays.run("canary", "-e", f"release={BAD}", "-e", f"bake={BAKE}")
    scene.expect(
        "canary.yml to the bad release ends with",
        f"exit code {outcome.code}",
        holds=outcome.code != 0,
    )
    why = re.search(r"canary of .*? by the gate: [^;]*", outcome.output)
    scene.expect("and says why", why[0][:200] if why else outcome.failure(), holds=why is not None)
    after = invocations(scene)
    touched = sorted(host for host in before if before[host] != after[host])
    first_wave = wave_of(outcome.output, 1)
    scene.expect("hosts touched", " ".join(touched), holds=touched == first_wave != [])
    scene.expect(
        "hosts never touched", len(before) - len(touched), holds=len(touched) < len(before)
    )
    expect_release(scene, NEXT)
