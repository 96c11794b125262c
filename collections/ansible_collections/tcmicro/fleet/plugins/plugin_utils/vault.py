# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the controller that may be in a vault."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def read(loader: Any, path: str) -> bytes:
    """What a file holds, opened by Ansible's DataLoader if it is in a vault. Raises AnsibleError, OSError."""
    plain = loader.get_real_file(path)
    try:
        return Path(plain).read_bytes()
    finally:
        loader.cleanup_tmp_file(plain)
