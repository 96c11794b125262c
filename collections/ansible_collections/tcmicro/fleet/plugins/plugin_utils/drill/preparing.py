# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill rolls out, written where the rollout finds it: policies with one more, an artifact that is bad, or nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import artifacts, signatures
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill import policies
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill.damage import damaged
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill.faults import (
    ARTIFACT,
    POLICY,
    DrillRefused,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill.plan import SUFFIX, Plan

from tcmicro_agent import signing
from tcmicro_agent.signing import Role, Statement

DAY_S = 86400


def words(plan: Plan, where: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The variables by which canary.yml rolls it out. `where`: policies, artifacts_dir, release_key."""
    known: dict[str, Any] = {"seed": plan.seed}
    if plan.how == POLICY:
        return {**known, "policy": True, "tcmicro_policies": _policies(plan, where, folder)}
    if plan.how == ARTIFACT:
        place = _artifacts(plan, where, folder)
        known |= {"tcmicro_artifacts_dir": place, "tcmicro_agent_artifacts_dir": place}
    return {**known, "release": plan.version}


def _policies(plan: Plan, where: Mapping[str, Any], folder: Path) -> str:
    """A copy of the policies of the inventory with the drill's beside them."""
    place = folder / "policies"
    shutil.copytree(where["policies"], place, dirs_exist_ok=True)
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + plan.expires_s))
    (place / policies.FILE).write_text(policies.text(plan.fault, plan.hosts, expires))
    return str(place)


def _artifacts(plan: Plan, where: Mapping[str, Any], folder: Path) -> str:
    """Every artifact of the release, made to be bad."""
    place, release = folder / "artifacts", plan.version.removesuffix(SUFFIX)
    place.mkdir(parents=True, exist_ok=True)
    for arch, artifact in artifacts.find(release, Path(where["artifacts_dir"])).items():
        content = damaged(artifact.path.read_bytes(), release, plan.version)
        path = place / f"tcmicro-{plan.version}-{arch}.tar.gz"
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n")
        if where["release_key"]:
            signed = _signed(digest, f"{plan.version}/{arch}", _serial(artifact), where)
            path.with_name(f"{path.name}.sig").write_bytes(signed)
    return str(place)


def _serial(artifact: artifacts.Artifact) -> int:
    """That of the good one: a higher one would have hosts refuse the good one afterwards."""
    if artifact.signature is None:
        return 0
    return int(json.loads(json.loads(artifact.signature.read_text())["statement"])["serial"])


def _signed(digest: str, subject: str, serial: int, where: Mapping[str, Any]) -> bytes:
    key = Path(where["release_key"])
    try:
        sign = signatures.signer(key.read_bytes(), str(key))
    except (OSError, signatures.SigningError) as exc:
        raise DrillRefused(f"drill_release_key: {exc}") from exc
    statement = Statement(Role.RELEASE, digest, subject, serial, int(time.time()) + DAY_S)
    return signing.sign(statement, sign).content()
