"""The main job as a table: what each step shows and who carries it out."""

from __future__ import annotations

from tools.demo import begin, leave, lockout, rollout
from tools.demo.scene import Step

STEPS = (
    Step(1, "Lab", "a fleet of Debian hosts boots on this machine", begin.lab_up),
    Step(2, "Prerequisites", "every host says whether it can run the agent", begin.prerequisites),
    Step(3, "Deploy", "release A runs on all hosts, a second run changes nothing", begin.deploy),
    Step(4, "Policy", "web reaches the database, client does not, ssh stays", begin.policies),
    Step(
        5,
        "Good release",
        "release B in waves, an open connection loses no byte",
        rollout.good_canary,
    ),
    Step(
        6,
        "Bad release",
        "the gate stops release C in the first wave and takes it back",
        rollout.bad_canary,
    ),
    Step(
        7, "Lockout", "a policy that cuts everything is taken back by its deadline", lockout.lockout
    ),
    Step(
        8,
        "Lockout, nobody there",
        "also with agent stopped, with controller killed",
        lockout.lockout_alone,
    ),
    Step(9, "Leave", "nothing is left on hosts and on this machine", leave.farewell),
)
