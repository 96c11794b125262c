# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Artifacts of releases on the controller: which there are, and that each is what its digest file says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = re.compile(r"tcmicro-(?P<version>.+)-(?P<arch>[^-]+)\.tar\.gz")
VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?")
ANY_ARCH = "any"


class ArtifactError(Exception):
    """A release cannot be sent; the message names what there is instead."""


@dataclass(frozen=True)
class Artifact:
    """An artifact that is what its digest file says, with its signature file where there is one."""

    path: Path
    digest: str
    signature: Path | None = None


def find(version: str, directory: Path) -> dict[str, Artifact]:
    """Artifacts of a release by machine type, each verified."""
    check_version(version)
    named = [
        (path, NAME.fullmatch(path.name)) for path in sorted(directory.glob("tcmicro-*.tar.gz"))
    ]
    parsed = [(path, match["version"], match["arch"]) for path, match in named if match]
    found = {arch: load(path) for path, release, arch in parsed if release == version}
    if not found:
        there = ", ".join(sorted({release for _, release, _ in parsed})) or "none"
        raise ArtifactError(
            f"release {version} is not there: {directory}/tcmicro-{version}-<arch>.tar.gz is missing; "
            f"there are: {there}. Build it: make artifact VERSION={version}"
        )
    return found


def missing(
    found: Mapping[str, Artifact], version: str, look: Mapping[str, Any]
) -> Artifact | None:
    """The artifact that a host lacks, by a look at it; None where it has it, or where only the host can say."""
    there = (look.get("releases") or {}).get("installed")
    if there is None or version in there:
        return None
    arch = str((look.get("facts") or {}).get("arch"))
    return found.get(arch) or found.get(ANY_ARCH)


def load(path: Path) -> Artifact:
    """One artifact, if it matches `<path>.sha256` (as sha256sum writes it)."""
    beside = path.with_name(path.name + ".sha256")
    if not path.is_file():
        raise ArtifactError(f"{path}: there is no such artifact")
    if not beside.is_file():
        raise ArtifactError(
            f"{path}: its digest file {beside.name} is missing; nothing is sent unverified"
        )
    wanted = beside.read_text().split(maxsplit=1)[:1]
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if wanted != [found]:
        raise ArtifactError(
            f"{path}: sha256 is {found}, {beside.name} says {''.join(wanted) or 'nothing'}; nothing was sent. "
            "Build the release again, and ask who changed the file"
        )
    signature = path.with_name(path.name + ".sig")
    return Artifact(path, found, signature if signature.is_file() else None)


def refuse_unsigned(found: Iterable[Artifact]) -> None:
    """Before hosts are touched; whether a signature is right they say themselves."""
    missing = [artifact.path.name for artifact in found if artifact.signature is None]
    if missing:
        raise ArtifactError(
            f"{missing[0]} is unsigned: there is no {missing[0]}.sig; nothing was sent. "
            "Sign it: make artifact KEY=…, or allow it: tcmicro_allow_unsigned: true"
        )


def check_version(version: object) -> None:
    if not (isinstance(version, str) and VERSION.fullmatch(version)):
        raise ArtifactError(
            f"release: {version!r} is not a version; allowed are text like '0.1.1' "
            "as in -e release=0.1.1"
        )
