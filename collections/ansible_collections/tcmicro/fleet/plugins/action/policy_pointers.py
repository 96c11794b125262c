# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publish bundles, their signatures and a signed pointer for each host in a directory that a web server shows."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import (
    pointers,
    signatures,
    vault,
    whole_file,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.once import OnceAction
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.pointers import (
    PointerError,
    Request,
    Signer,
)

from tcmicro_agent import pointer
from tcmicro_agent.pointer import Confirmation, Pointer

ARGUMENTS = {
    "bundles": {"type": "dict", "required": True},
    "directory": {"type": "path", "required": True},
    "mirror": {"type": "path", "required": True},
    "hosts": {"type": "list", "elements": "str", "required": True},
    "signing_key": {"type": "path", "required": True, "no_log": False},
    "valid_s": {"type": "int", "default": 604800},
    "share": {"type": "int", "default": 100},
    "epoch": {"type": "int"},
    "confirm": {"type": "dict", "default": {}},
    "again": {"type": "bool", "default": False},
}


class ActionModule(OnceAction):
    ARGUMENTS = ARGUMENTS
    REFUSALS = (PointerError, signatures.SigningError, AnsibleError, OSError)

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        request = Request(args["share"], args["valid_s"], args["epoch"], args["again"])
        if problems := request.problems():
            raise PointerError("\n".join(problems))
        confirm = pointers.confirmations(args["hosts"], args["confirm"])
        sign = signatures.signer(vault.read(self._loader, args["signing_key"]), args["signing_key"])
        mirror = Mirror(Path(args["mirror"]), sign, write=not self._task.check_mode)
        with mirror.locked():
            done = {
                host: mirror.publish(
                    host, _bundle(args, host), confirm[host], request, int(time.time())
                )
                for host in args["hosts"]
            }
        return _result(done)


def _bundle(args: dict[str, Any], host: str) -> Path:
    digest = args["bundles"].get(host)
    if not digest:
        raise PointerError(f"bundles: there is none for {host}; tcmicro.fleet.bundles makes them")
    return Path(args["directory"]) / f"{digest}.json"


def _result(done: dict[str, tuple[Pointer, str]]) -> dict[str, Any]:
    by_fate = {fate: sorted(h for h, (_, f) in done.items() if f == fate) for fate in Mirror.FATES}
    found = {host: {"digest": p.digest, "serial": p.serial} for host, (p, _) in done.items()}
    return {
        "changed": bool(by_fate["published"] or by_fate["renewed"]),
        "published": by_fate["published"],
        "renewed": by_fate["renewed"],
        "pointers": found,
    }


class Mirror:
    """A directory; files appear whole, and a pointer after what it names."""

    FATES = ("published", "renewed", "unchanged")

    def __init__(self, directory: Path, sign: Signer, *, write: bool) -> None:
        self._directory = directory
        self._sign = sign
        self._write = write

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One publisher at a time: serials only grow."""
        if not self._write:
            yield
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / ".lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = f"mirror: {self._directory}: somebody else publishes there now; try again"
                raise PointerError(text) from None
            yield

    def publish(
        self, host: str, bundle: Path, confirm: Confirmation, request: Request, now: int
    ) -> tuple[Pointer, str]:
        """The pointer of a host and what became of it."""
        before = self._read(host)
        wanted, changes = pointers.next_pointer(host, bundle.stem, confirm, request, before, now)
        named = pointer.bundle_path(wanted.digest)
        there = all((self._directory / path).is_file() for path in (named, f"{named}.sig"))
        if there and not changes:
            return wanted, "unchanged"
        if self._write:
            for path, content in pointers.files(wanted, bundle.read_bytes(), self._sign).items():
                whole_file.write(self._directory / path, content)
            if before and before.digest != wanted.digest:
                self._forget(before.digest)
        same = before is not None and before.serial == wanted.serial
        return wanted, "renewed" if same else "published"

    def _read(self, host: str) -> Pointer | None:
        path = self._directory / pointer.path_of(host)
        return pointers.known(path.read_bytes(), self._sign) if path.is_file() else None

    def _forget(self, digest: str) -> None:
        """What no pointer names is not handed out any more. A bundle is of one host."""
        path = pointer.bundle_path(digest)
        for name in (path, f"{path}.sig"):
            (self._directory / name).unlink(missing_ok=True)
