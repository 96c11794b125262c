# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the journal: what a rollout, a wave and a host of it can be. Pure."""

from __future__ import annotations

from enum import Enum


class JournalError(Exception):
    """The journal does not allow it; nothing was changed."""


class Rollout(Enum):
    """State of a rollout. Only the first two are gone on with."""

    RUNNING = "running"
    STOPPING = "stopping"  # it failed, and hosts are to be taken back
    DONE = "done"
    BACK = "back"  # everybody touched attests what it had before
    INCOMPLETE = "incomplete"  # some did not, or could not be reached
    HALTED = "halted"  # taking back failed on too many
    ABANDONED = "abandoned"


OPEN = (Rollout.RUNNING, Rollout.STOPPING)


class Wave(Enum):
    PLANNED = "planned"
    CHANGING = "changing"
    JUDGED = "judged"  # well; its hosts are being told to keep the change
    PASSED = "passed"
    FAILED = "failed"


class Host(Enum):
    """What was intended for a host last, and whether it is known to have happened."""

    PLANNED = "planned"
    APPLYING = "applying"  # intent
    APPLIED = "applied"
    KEEPING = "keeping"  # intent
    KEPT = "kept"
    TAKING_BACK = "taking back"  # intent
    RESTORED = "restored"
    STUCK = "stuck"  # it answers, and does not attest what it had before
    LOST = "lost"  # no contact


TOUCHED = tuple(state for state in Host if state is not Host.PLANNED)
INTENTS = {"apply": Host.APPLYING, "keep": Host.KEEPING, "back": Host.TAKING_BACK}
