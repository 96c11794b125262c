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


def make(root: Path) -> dict[str, Path]:
    """All three artifacts into build/, by release, signed by the lab's key."""
    made = {version: artifact.build(root, version) for version in (FIRST, NEXT)}
    with tempfile.TemporaryDirectory(prefix="tcmicro-faulty-") as folder:
        made[BAD] = artifact.build(faulty_copy(root, Path(folder)), BAD)
    keys.make(root / ".keys")
    for path in made.values():
        signature.sign(path, keys.private(root / ".keys", Role.RELEASE))
    return made


def build(scene: Scene) -> None:
    scene.artifacts.update(make(scene.root))
    scene.say(f"releases {', '.join(scene.artifacts)} built and signed, {BAD} to be bad")


if __name__ == "__main__":  # for labs that are driven by playbooks alone
    make(Path(__file__).resolve().parents[2])
