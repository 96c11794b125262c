"""How much random tests try, and from which seed: both can be set from outside, both are printed."""

from __future__ import annotations

import os
import random


def base_seed() -> int:
    """TCM_SEED, or one nobody has seen yet."""
    return int(os.environ.get("TCM_SEED") or random.SystemRandom().randrange(2**32))


def scaled(number: int) -> int:
    """A number of examples, times TCM_EXAMPLES_SCALE: less than 1 on slow machines."""
    return max(1, round(number * float(os.environ.get("TCM_EXAMPLES_SCALE", "1.0"))))
