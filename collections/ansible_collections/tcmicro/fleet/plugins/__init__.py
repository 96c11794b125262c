# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plugins of the controller import the pure part of `tcmicro_agent`. A tarball of the collection carries it (docs/adr/0019);
a checkout has it in its environment. Ansible sends this file to no host."""

from __future__ import annotations

import sys
from pathlib import Path

CARRIED = Path(__file__).parent / "plugin_utils" / "_vendor"

# In front: plugins and package are of one release, whatever else is installed.
if CARRIED.is_dir() and str(CARRIED) not in sys.path:
    sys.path.insert(0, str(CARRIED))
