# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way in which a plan is refused."""

from __future__ import annotations


class RolloutError(Exception):
    """The rollout is refused; no host was touched."""
