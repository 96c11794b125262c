"""Steps 1 to 4: from nothing to a fleet that enforces policies written over groups."""

from __future__ import annotations

import json

from tools.demo import releases
from tools.demo.scene import Scene, StepError

DATABASE = 5432


def lab_up(scene: Scene) -> None:
    if scene.lab.inventory.exists():
        raise StepError(
            "a lab is up already, maybe somebody works with it; run 'make lab-down' first"
        )
    scene.owns_lab = True
    releases.build(scene)
    scene.say(
        f"booting {scene.size} hosts; the first time their root tree is built, about a minute"
    )
    scene.succeed("lab boots", scene.plays.lab("present", "-e", f"lab_hosts={scene.size}"))
    hosts = scene.lab.hosts()
    answering = [
        host
        for host in hosts
        if scene.lab.ssh(host, "systemctl is-system-running").out == "running"
    ]
    scene.expect(
        "hosts run systemd and answer over ssh",
        " ".join(answering),
        holds=len(answering) == scene.size,
    )


def prerequisites(scene: Scene) -> None:
    """Every host's findings, then Ansible's own rehearsal; neither leaves anything behind."""
    probe = (scene.root / "tcmicro_agent/preflight.py").read_text()
    unfit = []
    for host in scene.lab.hosts():
        report = json.loads(scene.lab.ssh(host, "python3 - --json", send=probe).out or "{}")
        findings = report.get("findings", [])
        open_ones = [
            f"{item['level']} {item['check']}" for item in findings if item["level"] != "ok"
        ]
        scene.say(f"{host}: {len(findings)} findings, {', '.join(open_ones) or 'all ok'}")
        unfit += [] if report.get("ok") else [host]
    scene.expect("hosts that cannot run the agent", " ".join(unfit) or "none", holds=not unfit)
    outcome = scene.succeed("deploy.yml --check", scene.plays.run("deploy", "--check"))
    reported = sorted(outcome.recap)
    scene.expect("hosts rehearsed", len(reported), holds=reported == scene.lab.hosts())
    left = [host for host in reported if scene.lab.ssh(host, "test -e /opt/tcmicro").ok]
    scene.expect("hosts changed by that", len(left), holds=not left)


def deploy(scene: Scene) -> None:
    scene.succeed("deploy.yml", scene.plays.run("deploy"))
    expect_release(scene, releases.FIRST)
    again = scene.plays.run("deploy")
    scene.succeed("deploy.yml once more", again)
    scene.expect("the second run changes nothing", holds=again.total("changed") == 0)


def expect_release(scene: Scene, release: str) -> None:
    """Every host runs this release, its programs are attached."""
    states = {host: scene.lab.agent(host, "status") for host in scene.lab.hosts()}
    on = [
        host
        for host, state in states.items()
        if state["release"] == release and state["agent"]["running"]
    ]
    scene.expect(
        f"hosts that run {release}", f"{len(on)} of {len(states)}", holds=len(on) == len(states)
    )
    hooked = [
        host
        for host, state in states.items()
        if any(port["ingress"] and port["egress"] for port in state["datapath"]["interfaces"])
    ]
    scene.expect(
        "hosts with both hooks in the kernel", f"{len(hooked)} of {len(states)}", holds=hooked == on
    )


def policies(scene: Scene) -> None:
    scene.succeed("policy.yml", scene.plays.run("policy"))
    again = scene.succeed("policy.yml once more", scene.plays.run("policy"))
    scene.expect("the second run changes nothing", holds=again.total("changed") == 0)
    web, db, client = (scene.lab.members(group)[0] for group in ("web", "db", "client"))
    scene.traffic.install(scene.lab.hosts())
    for host in scene.lab.members("db"):
        scene.traffic.serve(host, DATABASE)
    expect_segmented(scene, web, db, client)
    inside = [host for host in scene.lab.hosts() if scene.lab.reachable(host, within=5)]
    scene.expect(
        "hosts that still let the controller's ssh in",
        len(inside),
        holds=inside == scene.lab.hosts(),
    )


def expect_segmented(scene: Scene, web: str, db: str, client: str) -> None:
    """web reaches the database, client is refused, and the refusal is the kernel program's."""
    address = scene.lab.address(db)
    found = scene.traffic.ask(web, address, DATABASE)
    scene.expect(f"{web} → {db}:{DATABASE}", found, holds=found == "answered")
    before = denied(scene, db)
    found = scene.traffic.ask(client, address, DATABASE)
    scene.expect(f"{client} → {db}:{DATABASE}", found, holds=found == "timeout")
    count = denied(scene, db) - before
    scene.expect(f"packets that the program on {db} refused meanwhile", count, holds=count > 0)


def denied(scene: Scene, host: str) -> int:
    return int(scene.lab.agent(host, "status")["counters"]["ingress"]["denied"])
