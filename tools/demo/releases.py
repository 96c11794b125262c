"""The three releases of the demo: the one here, the next, and one built to be bad."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tcmicro_agent.signing import Role
from tools import artifact, keys, signature
from tools.demo.scene import Scene

FIRST, NEXT, BAD = "0.1.0", "0.1.1", "0.1.2"
INPUTS = ("bpf", "tcmicro_agent", "tools", "requirements", "LICENSE")


def faulty_copy(root: Path, place: Path) -> Path:
    """What the artifact is made of, with the crash appended to the daemon."""
    for name in INPUTS:
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy
        copy(root / name, place / name)
    with (place / "tcmicro_agent/daemon.py").open("a") as daemon:
        daemon.write("\n\n" + (root / "tests/faults/crash.py").read_text())
    return place


def build(scene: Scene) -> None:
    """All three artifacts into build/, signed by the lab's key."""
    for version in (FIRST, NEXT):
        scene.artifacts[version] = artifact.build(scene.root, version)
    with tempfile.TemporaryDirectory(prefix="tcmicro-faulty-") as folder:
        scene.artifacts[BAD] = artifact.build(faulty_copy(scene.root, Path(folder)), BAD)
    keys.make(scene.root / ".keys")
    for path in scene.artifacts.values():
        signature.sign(path, keys.private(scene.root / ".keys", Role.RELEASE))
    scene.say(f"releases {', '.join(scene.artifacts)} built and signed, {BAD} to be bad")
