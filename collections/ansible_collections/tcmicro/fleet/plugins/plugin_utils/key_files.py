# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Public keys of the inventory as files of a host. Pure.

A host with one file that is no key verifies nothing at all, so what is none is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tcmicro_agent import signing

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class KeyFilesError(Exception):
    """Keys cannot be trusted as they are given; the text names all of them and is meant for people."""


def key_files(keys: Any, directory: str) -> dict[str, str]:
    """The text of each key's file by its path; keys are Ed25519 public keys, as PEM by name. Raises KeyFilesError."""
    if not isinstance(keys, dict):
        raise KeyFilesError(f"keys of {directory}: {keys!r} is no mapping of names to PEM")
    faults = [fault for name, pem in keys.items() for fault in _faults(name, pem)]
    if faults:
        raise KeyFilesError(f"keys of {directory}: {'; '.join(faults)}")
    return {f"{directory}/{name}.pem": f"{pem.strip()}\n" for name, pem in keys.items()}


def _faults(name: Any, pem: Any) -> Iterator[str]:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        yield f"{name!r} is no name: letters, digits and . _ - are allowed"
    try:
        signing.parse_public_key(str(pem).strip())
    except ValueError as exc:
        yield f"{name}: {exc}"
