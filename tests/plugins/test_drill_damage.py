"""An artifact that is made to be bad is whole but for its programs, and a policy of a drill ends by itself."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill import damage, policies

from tcmicro_agent.policy.inventory import parse_inventory
from tcmicro_agent.policy.resolve import resolve
from tcmicro_agent.policy.source import parse_policies
from tools import archive


def section(kind, flags, offset, size):
    return struct.pack("<IIQQQQIIQQ", 0, kind, flags, 0, offset, size, 0, 0, 8, 0)


def elf(flags=6):
    """Three sections: nothing, a program of two instructions, a map."""
    program, data = b"\xb7" + bytes(7) + b"\x95" + bytes(7), b"map" + bytes(5)
    table = section(0, 0, 0, 0) + section(1, flags, 64, 16) + section(1, 3, 80, 8)
    head = struct.pack("<HHIQQQIHHHHHH", 1, 247, 1, 0, 0, 88, 0, 64, 0, 0, 64, 3, 0)
    return b"\x7fELF" + bytes(12) + head + program + data + table


def artifact(version="0.1.1", **more):
    files = {
        "bin/tc-micro": b"#!/usr/bin/python3\n",
        "lib/tcmicro_agent/version.py": b'"""The version."""\nVERSION = "0.1.1"\n',
        "tcmicro.bpf.o": elf(),
        **more,
    }
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = json.dumps({"name": "tcmicro", "version": version, "files": sums}).encode()
    return archive.pack(
        f"tcmicro-{version}", {**files, "manifest.json": manifest}, frozenset({"bin/tc-micro"})
    )


def unpacked(content):
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content))) as tar:
        return {m.name: (m.mode, tar.extractfile(m).read()) for m in tar.getmembers()}


def test_programs_begin_with_what_no_verifier_takes_and_nothing_else_is_touched():
    good, bad = elf(), damage.broken(elf())
    changed = [place for place in range(len(good)) if good[place] != bad[place]]
    assert changed == [64, 65]
    assert bad[64:72] == damage.UNREADABLE
    assert bad[72:80] == good[72:80]


@pytest.mark.parametrize("content", [b"", b"no object", elf(flags=2)])
def test_object_without_programs_is_refused(content):
    with pytest.raises(damage.DamageError, match="no artifact of release 0.1.1 with programs"):
        damage.damaged(artifact(**{"tcmicro.bpf.o": content}), "0.1.1", "0.1.1-drill")


@pytest.mark.parametrize("content", [b"", b"no archive", gzip.compress(b"no tar", mtime=0)])
def test_what_is_no_artifact_is_refused(content):
    with pytest.raises(damage.DamageError):
        damage.damaged(content, "0.1.1", "0.1.1-drill")


def test_release_has_its_own_version_everywhere_and_a_manifest_that_fits():
    found = unpacked(damage.damaged(artifact(), "0.1.1", "0.1.1-drill"))
    top = "tcmicro-0.1.1-drill/"
    assert {name.removeprefix(top) for name in found} == {
        *("bin/tc-micro", "lib/tcmicro_agent/version.py", "tcmicro.bpf.o", "manifest.json")
    }
    assert found[f"{top}bin/tc-micro"][0] == 0o755
    assert b'VERSION = "0.1.1-drill"' in found[f"{top}lib/tcmicro_agent/version.py"][1]
    manifest = json.loads(found[f"{top}manifest.json"][1])
    assert manifest["version"] == "0.1.1-drill"
    for name, digest in manifest["files"].items():
        assert hashlib.sha256(found[top + name][1]).hexdigest() == digest


def test_same_artifact_gives_the_same_bytes():
    first, second = (damage.damaged(artifact(), "0.1.1", "0.1.1-drill") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("fault", policies.RULES)
def test_policy_of_a_drill_is_one_for_its_hosts_alone_and_ends(fault):
    text = policies.text(fault, ["h1"], "2026-12-01T08:00:00Z")
    hosts = {name: {"addresses": [f"10.0.0.{n}"]} for n, name in enumerate(("h1", "h2"), 1)}
    inventory = parse_inventory(
        {name: {**host, "groups": [], "labels": {}} for name, host in hosts.items()}
    )
    bundles = resolve(parse_policies([("drill.yml", text)]), inventory)
    assert bundles["h2"].rules == ()
    assert bundles["h1"].rules
    assert all(rule.window.end is not None for rule in bundles["h1"].rules)
    assert {rule.action.value for rule in bundles["h1"].rules} == {"deny"}
