# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases as files on a host: unpacked, verified, switched by one rename. Knows nothing of services.

`releases/<version>` is complete or not there: it is unpacked under another name and renamed at the end.
"""

from __future__ import annotations

import compileall
import hashlib
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.module_utils.atomic import point, replace_file

KEEP = 3
DIGEST_FILE = "artifact.sha256"  # of the artifact that a release was unpacked from
SIGNATURE_FILE = "artifact.sig"  # of the same, where it was verified


class ReleaseError(Exception):
    """A release cannot be used; nothing was switched."""


class Layout:
    """The paths of the host contract, below `root` (a test gives a directory of its own)."""

    def __init__(self, root: str = "/") -> None:
        base = Path(root)
        self.home = base / "opt/tcmicro"
        self.releases = self.home / "releases"
        self.current = self.home / "current"
        self.previous = self.home / "previous"
        self.command = base / "usr/local/bin/tc-micro"
        self.unit = base / "etc/systemd/system/tcmicro-agent.service"
        self.state = base / "var/lib/tcmicro"
        self.floor_file = base / "var/lib/tcmicro/floors/release"

    def release(self, version: str) -> Path:
        return self.releases / version

    def linked(self, link: Path) -> str | None:
        """Version that `current` or `previous` names."""
        try:
            return os.path.basename(os.readlink(link))
        except OSError:
            return None

    def installed(self) -> list[str]:
        if not self.releases.is_dir():
            return []
        return sorted(entry.name for entry in self.releases.iterdir() if entry.suffix != ".tmp")

    def digest(self, version: str) -> str | None:
        """Digest of the artifact that this release came from, None when it is not installed."""
        path = self.release(version) / DIGEST_FILE
        return path.read_text().strip() if path.is_file() else None

    # --- putting a release there

    def unpack(
        self, artifact: Path, version: str, digest: str, signature: Path | None = None
    ) -> None:
        """Verify the artifact and make `releases/<version>` of it, with its signature if that was verified."""
        found = sha256(artifact)
        if found != digest:
            raise ReleaseError(
                f"{artifact.name}: sha256 on the host is {found}, on the controller {digest}: "
                "damaged on the way. Run again"
            )
        scratch = self.release(f"{version}.tmp")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True, mode=0o755)
        try:
            _extract(artifact, scratch, f"tcmicro-{version}")
            check_manifest(scratch, version)
            _compile(scratch / "lib", self.release(version) / "lib")
            (scratch / DIGEST_FILE).write_text(digest + "\n")
            if signature:
                shutil.copyfile(signature, scratch / SIGNATURE_FILE)
            _sync(scratch)
            scratch.rename(self.release(version))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    # --- how far back a release may be

    def floor(self) -> int:
        """The highest serial of a release that ran here; nothing older is unpacked any more."""
        text = self.floor_file.read_text().strip() if self.floor_file.is_file() else "0"
        if not text.isdigit():
            raise ReleaseError(f"{self.floor_file}: {text[:40]!r} is no number")
        return int(text)

    def raise_floor(self, version: str) -> None:
        """To the serial of a release that runs; one that came unsigned has none."""
        signature = self.release(version) / SIGNATURE_FILE
        if not signature.is_file():
            return
        serial = int(json.loads(json.loads(signature.read_text())["statement"])["serial"])
        if serial > self.floor():
            self.floor_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_file(self.floor_file, f"{serial}\n".encode(), 0o644)

    # --- making one current

    def switch(self, version: str) -> None:
        """Make a release current and remember the one before; what ran stays on disk."""
        before = self.linked(self.current)
        if before not in (None, version):
            point(self.previous, f"releases/{before}")
        point(self.current, f"releases/{version}")

    def take_back(self, version: str) -> None:
        """Make an earlier release current. `previous` names it too: there is nothing left to take back."""
        point(self.current, f"releases/{version}")
        point(self.previous, f"releases/{version}")

    def restore(self, current: str | None, previous: str | None) -> None:
        """Put both links as they were, None meaning absent."""
        for link, version in ((self.current, current), (self.previous, previous)):
            if version is None:
                link.unlink(missing_ok=True)
            else:
                point(link, f"releases/{version}")

    def unit_differs(self, version: str) -> bool:
        wanted = self.release(version) / self.unit.name
        return not (wanted.is_file() and self.unit.is_file() and _same(wanted, self.unit))

    def install_unit(self, version: str) -> None:
        replace_file(self.unit, (self.release(version) / self.unit.name).read_bytes(), 0o644)

    def command_differs(self) -> bool:
        return not (
            self.command.is_symlink() and os.readlink(self.command) == self._command_target()
        )

    def link_command(self) -> None:
        self.command.parent.mkdir(parents=True, exist_ok=True)
        point(self.command, self._command_target())

    def _command_target(self) -> str:
        return str(self.current / "bin/tc-micro")

    def prunable(self, keep: int = KEEP) -> list[str]:
        """Releases beyond the newest `keep`; never those that current or previous name."""
        used = {self.linked(self.current), self.linked(self.previous)}
        spare = [version for version in self.installed() if version not in used]
        spare.sort(key=lambda version: self.release(version).stat().st_mtime, reverse=True)
        return spare[max(0, keep - len(used - {None})) :]

    def prune(self, keep: int = KEEP) -> None:
        for version in self.prunable(keep):
            shutil.rmtree(self.release(version))


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def check_manifest(release: Path, version: str) -> dict[str, Any]:
    """Every file the manifest names is there and as it names it, and there is no other."""
    try:
        manifest = json.loads((release / "manifest.json").read_text())
        files, named = manifest["files"], manifest["version"]
    except (OSError, ValueError, KeyError) as exc:
        raise ReleaseError(
            f"release {version}: manifest.json is missing or unreadable: {exc}"
        ) from exc
    if named != version:
        raise ReleaseError(f"release {version}: its manifest says it is {named}")
    found = {str(path.relative_to(release)) for path in release.rglob("*") if path.is_file()}
    found -= {"manifest.json", DIGEST_FILE}
    wrong = sorted(found ^ set(files))
    wrong += sorted(name for name in found & set(files) if sha256(release / name) != files[name])
    if wrong:
        raise ReleaseError(f"release {version}: not what its manifest says: {', '.join(wrong[:5])}")
    return dict(manifest)


def _extract(artifact: Path, target: Path, top: str) -> None:
    """Plain files and directories below the one top folder; anything else is refused before a byte is written."""
    with tarfile.open(artifact, "r:gz") as archive:
        members = archive.getmembers()
        for member in members:
            _check_member(member, top)
        for member in members:
            path = target.joinpath(*Path(member.name).parts[1:])
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True, mode=0o755)
                continue
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            content = archive.extractfile(member)
            if content is None:
                raise ReleaseError(f"{artifact}: {member.name} is no regular file")
            with path.open("wb") as stream:
                shutil.copyfileobj(content, stream)
            path.chmod(0o755 if member.mode & 0o100 else 0o644)


def _compile(library: Path, place: Path) -> None:
    """The agent may write nothing there, and would compile itself anew with every start. `place`: where it will be."""
    compileall.compile_dir(str(library), ddir=str(place), quiet=2)


def _check_member(member: tarfile.TarInfo, top: str) -> None:
    parts = Path(member.name).parts
    if not parts or parts[0] != top or ".." in parts:
        raise ReleaseError(f"artifact holds {member.name!r}; allowed is what lies below {top}/")
    if not (member.isfile() or member.isdir()):
        raise ReleaseError(
            f"artifact holds {member.name!r}; allowed are plain files and directories"
        )


def _same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def _sync(tree: Path) -> None:
    """Bring a tree to disk before its name says that it is complete."""
    for path in [tree, *tree.rglob("*")]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
