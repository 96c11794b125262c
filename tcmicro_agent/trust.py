"""Whom this host trusts, and how far back it may go: its name, public keys, kept signatures and the floor, as files."""

from __future__ import annotations

from pathlib import Path

from tcmicro_agent import signing, verify
from tcmicro_agent.errors import RefusedError, StoreError, TcmicroError
from tcmicro_agent.signing import Role, Signed
from tcmicro_agent.store import Store, read_bytes, write


class Trust:
    """About policies, in the directories of a store."""

    def __init__(self, store: Store) -> None:
        self.keys_directory = store.etc / "keys" / Role.POLICY.value
        self._host = store.etc / "host"
        self._bundles = store.var / "bundles"
        self._floor = store.var / "floors" / Role.POLICY.value

    def host(self) -> str:
        """This host's name in the inventory, which bundles are made for."""
        try:
            return self._host.read_text().strip()
        except OSError as exc:
            hint = "playbooks/deploy.yml writes it"
            text = f"{self._host}: {exc.strerror}: this host has no name"
            raise RefusedError(text, hint=hint) from exc

    def keys(self) -> dict[str, bytes]:
        return verify.read_keys(self.keys_directory)

    def keep(self, digest: str, signed: Signed) -> None:
        """A verified signature, beside the bundle that it is of."""
        write(self._path(digest), signed.content())

    def signature(self, digest: str) -> Signed | None:
        """Of a kept bundle, as it was verified when the bundle came; None for one that came unsigned."""
        path = self._path(digest)
        return read_signed(path) if path.exists() else None

    def floor(self) -> int:
        """The highest serial of a policy that was confirmed here. Not in the books: earlier releases read those."""
        text = (
            read_bytes(self._floor).decode(errors="replace").strip()
            if self._floor.exists()
            else "0"
        )
        if not text.isdigit():
            raise StoreError(f"{self._floor}: {text[:40]!r} is no number")
        return int(text)

    def raise_floor(self, digest: str) -> None:
        """To the serial of a bundle that rules for good now; a file that is damaged must not be in the way of that."""
        try:
            signed, known = self.signature(digest), self.floor()
            serial = signed.statement().serial if signed else 0
        except TcmicroError:
            return
        if serial > known:
            write(self._floor, b"%d\n" % serial)

    def _path(self, digest: str) -> Path:
        return self._bundles / f"{digest}.sig"


def read_signed(path: Path) -> Signed:
    """The signature in a file, not verified."""
    return signing.parse(read_bytes(path), str(path))
