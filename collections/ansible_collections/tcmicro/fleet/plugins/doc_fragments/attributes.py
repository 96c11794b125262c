# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all plugins of this collection say about themselves."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes of a module that changes hosts, of one that only looks (INFO), and of one of the controller (CONTROLLER)."""

    DOCUMENTATION = r"""
options: {}
requirements:
  - Linux with systemd on the host
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: full
  idempotent:
    description: The second invocation with the same options indicates no change.
    support: full
  platform:
    description: Target operating systems that can be operated against.
    support: full
    platforms: linux
"""

    INFO = r"""
options: {}
requirements:
  - Linux with systemd on the host
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
    details: This action does not modify state.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: N/A
    details: This action does not modify state.
  idempotent:
    description: The second invocation with the same options indicates no change.
    support: full
    details: This action does not modify state.
  platform:
    description: Target operating systems that can be operated against.
    support: full
    platforms: linux
"""

    CONTROLLER = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
    details: Never changes a host. What it writes on the controller it does not write then, or writes to a copy.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: N/A
    details: Never changes a host.
  idempotent:
    description: The second invocation with the same options indicates no change.
    support: full
    details: Never changes a host.
  platform:
    description: Target operating systems that can be operated against.
    support: full
    platforms: posix
    details: Runs on the controller alone, once for all hosts of the play.
"""
