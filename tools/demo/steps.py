"""The main job as a table: what each step shows and who carries it out."""

from __future__ import annotations

from tools.demo import begin, leave, lockout, rollout
from tools.demo.scene import Step

STEPS = (
    Step(1, "Lab", "a fleet of Debian hosts boots on this machine", begin.lab_up),
    Step(2, "Prerequisites", "every host says whether it can run the agent", begin.prerequisites),
    Step(3, "Deploy", "release A runs everywhere, again changes nothing", begin.deploy),
    Step(4, "Policy", "web reaches the database, client is refused", begin.policies),
    Step(
        5,
        "Good release",
        "release B in waves, an open connection unharmed",
        rollout.good_canary,
    ),
    Step(
        6,
        "Bad release",
        "release C is stopped in wave 1 and taken back",
        rollout.bad_canary,
    ),
    Step(7, "Lockout", "a lockout is taken back by the kernel in time", lockout.lockout),
    Step(
        8,
        "Lockout, nobody there",
        "also with the agent stopped, controller killed",
        lockout.lockout_alone,
    ),
    Step(9, "Leave", "nothing is left on hosts and on this machine", leave.farewell),
)
