"""What `ansible-galaxy collection build` wrote, once more without clock and order of the file system."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

from tools.archive import member
from tools.collection.stage import PROGRAMS

LIST, MANIFEST = "FILES.json", "MANIFEST.json"


def settle(path: Path) -> None:
    """Rewrite the file in place: the same content gives the same bytes."""
    entries = _entries(path)
    listed = json.loads(entries[LIST] or b"")
    listed["files"].sort(key=lambda entry: entry["name"])
    entries[LIST] = _text(listed)
    manifest = json.loads(entries[MANIFEST] or b"")
    manifest["file_manifest_file"]["chksum_sha256"] = hashlib.sha256(
        entries[LIST] or b""
    ).hexdigest()
    entries[MANIFEST] = _text(manifest)
    path.write_bytes(_packed(entries))


def _entries(path: Path) -> dict[str, bytes | None]:
    """Content by name; a folder has none."""
    found: dict[str, bytes | None] = {}
    with tarfile.open(path) as tar:
        for info in tar:
            file = tar.extractfile(info)
            found[info.name] = file.read() if file else None
    return found


def _text(document: object) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()


def _packed(entries: dict[str, bytes | None]) -> bytes:
    """The two lists first, as ansible-galaxy has them; it looks at them before it unpacks."""
    buffer = io.BytesIO()
    names = [MANIFEST, LIST, *sorted(entries.keys() - {MANIFEST, LIST})]
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in names:
            content = entries[name]
            executable = content is None or name.startswith(PROGRAMS)
            info = member(name, len(content or b""), executable=executable)
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            tar.addfile(info, io.BytesIO(content or b""))
    return gzip.compress(buffer.getvalue(), compresslevel=9, mtime=0)
