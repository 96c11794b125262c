"""What is not signed as it should be, on a fleet that is deployed: refused by the hosts themselves, nothing changed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.policy.model import Action
from tcmicro_agent.signing import Role
from tools import artifact, keys, signature
from tools.demo.releases import NEXT

pytestmark = pytest.mark.lab
UNUSED = "0.1.9"  # a release that no host has


@pytest.fixture
def put(scene):
    """Writes a file on a host."""

    def write(host, path, content):
        assert scene.lab.ssh(host, f"cat > {path}", send=content).ok

    return write


def private(scene, role):
    return keys.private(scene.root / ".keys", role)


def test_hosts_have_the_public_keys_alone(reach, scene):
    reach(4)
    found = scene.lab.ssh(scene.lab.hosts()[0], "cd /etc/tcmicro && grep -rl . keys").out
    assert sorted(found.split()) == ["keys/policy/lab.pem", "keys/release/lab.pem"]
    assert scene.lab.ssh(scene.lab.hosts()[0], "grep -rl PRIVATE /etc/tcmicro").out == ""


def test_policy_signed_with_the_key_of_releases(refused, scene):
    words = ("-e", f"tcmicro_policy_signing_key={private(scene, Role.RELEASE)}")
    refused("policy", *words, says=["nothing was changed", "by none of the policy keys"])


def test_policy_that_is_unsigned(refused):
    words = ("-e", '{"tcmicro_policy_signing_key": null}')
    refused("policy", *words, says=["nothing was changed", "is unsigned"])


def kept(scene, host, suffix):
    """The bundle that rules on a host, or its signature."""
    digest = scene.lab.agent(host, "status")["policy"]["digest"]
    return scene.lab.ssh(host, f"cat /var/lib/tcmicro/bundles/{digest}.{suffix}").out


def test_bundle_that_was_tampered_with(unchanged, scene, put):
    host = scene.lab.members("db")[0]
    good = bundles.load(kept(scene, host, "json").encode(), "kept")
    bad = bundles.write(replace(good, default_ingress=Action.ALLOW))
    put(host, "/root/b.json.sig", kept(scene, host, "sig"))
    put(host, "/root/b.json", bad.content.decode().replace(bad.digest, bundles.digest(good)))
    reply = scene.lab.ssh(host, "tc-micro policy apply /root/b.json")
    assert (reply.code, "does not name this content" in reply.err) == (6, True), reply.err
    put(host, "/root/b.json", bad.content.decode())
    reply = scene.lab.ssh(host, "tc-micro policy apply /root/b.json")
    assert (reply.code, "digest: it is for" in reply.err) == (3, True), reply.err


def test_bundle_of_another_host(unchanged, scene, put):
    one, other = scene.lab.members("db")[0], scene.lab.members("web")[0]
    put(one, "/root/b.json", kept(scene, other, "json"))
    put(one, "/root/b.json.sig", kept(scene, other, "sig"))
    reply = scene.lab.ssh(one, "tc-micro policy apply /root/b.json")
    assert (reply.code, f"this host is '{one}'" in reply.err) == (3, True), reply.err


def test_artifact_that_is_unsigned_stops_a_rollout_before_it_begins(refused, scene, tmp_path):
    path = scene.artifacts[NEXT]
    for file in (path, path.with_name(f"{path.name}.sha256")):
        shutil.copy(file, tmp_path)
    words = ("-e", f"release={NEXT}", "-e", f"tcmicro_artifacts_dir={tmp_path}")
    refused("canary", *words, says=[f"{path.name} is unsigned", "nothing was sent"])


@pytest.fixture
def deploy_unused(scene, tmp_path):
    """Words for deploy.yml to bring one host to a release that it does not have, signed as told."""

    def words(host, key):
        path = artifact.build(scene.root, UNUSED, tmp_path)
        if key:
            signature.sign(path, key)
        said = {
            "tcmicro_agent_release": UNUSED,
            "tcmicro_agent_change_release": True,
            "tcmicro_agent_artifacts_dir": str(tmp_path),
        }
        return ("--limit", host, "-e", json.dumps(said))

    return words


def test_artifact_that_is_unsigned_is_refused_by_the_host(refused, scene, deploy_unused):
    host = scene.lab.members("web")[0]
    refused("deploy", *deploy_unused(host, None), says=["nothing was changed: it is unsigned"])
    assert scene.lab.ssh(host, "ls /opt/tcmicro/releases").out.split().count(UNUSED) == 0


def test_artifact_signed_with_the_key_of_policies(refused, scene, deploy_unused):
    host = scene.lab.members("web")[0]
    words = deploy_unused(host, private(scene, Role.POLICY))
    refused("deploy", *words, says=["by none of the release keys that are trusted here (lab)"])
    assert scene.lab.ssh(host, "ls /opt/tcmicro/releases").out.split().count(UNUSED) == 0


def test_where_it_is_allowed_an_unsigned_policy_is_taken_with_a_warning(reach, scene):
    reach(4)
    host = scene.lab.members("web")[0]
    release = scene.lab.agent(host, "status")["release"]
    deploy = ("--limit", host, "-e", f"tcmicro_agent_release={release}")
    scene.succeed(
        "allowed", scene.plays.run("deploy", *deploy, "-e", "tcmicro_allow_unsigned=true")
    )
    try:
        words = ("--limit", host, "-e", '{"tcmicro_policy_signing_key": null}')
        outcome = scene.succeed("unsigned policy", scene.plays.run("policy", *words))
        assert "the bundle is taken though it is not signed" in " ".join(outcome.output.split())
    finally:
        scene.succeed("not allowed any more", scene.plays.run("deploy", *deploy))
    assert "allow_unsigned" not in scene.lab.ssh(host, "cat /etc/tcmicro/agent.json").out
