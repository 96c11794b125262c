"""A policy that lets nobody in or out, on all hosts at once, and no controller any more: how soon is each back?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.bench.measure import MeasurementError
from tests.bench_drills.fleet import Fleet, Prober

WITHIN_S = 90  # long enough for all to be cut off at once
ALLOWED_S = 5.0  # after the deadline
ARMING_S = 300  # that the controller may take to reach all of them
STAYS_S = 5.0  # without an answer, until a host counts as cut off: a busy machine leaves out some


def cut_off(fleet: Fleet) -> dict[str, Any]:
    """When each host fell silent and answered again, against the deadline that its kernel had."""
    silent: dict[str, float] = {}
    with Prober(fleet) as prober:

        def until(runs: Callable[[], bool]) -> None:
            """Every host is cut off; the controller has told nobody to keep it."""
            end = time.monotonic() + ARMING_S
            while not _all_cut(fleet, silent):
                for when, host, answers in prober.changes():
                    silent.pop(host, None) if answers else silent.setdefault(host, when)
                if time.monotonic() > end or not runs():
                    raise MeasurementError(
                        f"only {len(silent)} of {len(fleet.hosts)} hosts were cut off: {fleet.folder}/cut.log"
                    )

        fleet.cut_everybody(WITHIN_S, until)
        back = _answering(fleet, prober, silent)
    late = {host: round(back[host] - silent[host] - WITHIN_S, 2) for host in back}
    return _figures(fleet, silent, late)


def _all_cut(fleet: Fleet, silent: dict[str, float]) -> bool:
    lasting = time.monotonic() - STAYS_S
    return len(silent) == len(fleet.hosts) and max(silent.values()) < lasting


def _answering(fleet: Fleet, prober: Prober, silent: dict[str, float]) -> dict[str, float]:
    """When each host answered again after it had fallen silent."""
    back: dict[str, float] = {}
    end = max(silent.values()) + WITHIN_S + 60
    while len(back) < len(silent) and time.monotonic() < end:
        for when, host, answers in prober.changes():
            if answers:
                back.setdefault(host, when)
    return back


def _figures(fleet: Fleet, silent: dict[str, float], late: dict[str, float]) -> dict[str, Any]:
    worst = max(late.values(), default=float("inf"))
    missing = sorted(set(silent) - set(late))
    early = sorted(host for host in late if late[host] < -ALLOWED_S)  # not by its deadline, then
    passed = not missing and not early and worst <= ALLOWED_S
    print(
        f"{'ok    ' if passed else 'FAILED'} all {len(silent)} hosts cut off at once, controller gone: "
        f"{len(late)} back, the last {worst:.1f} s after its deadline (allowed {ALLOWED_S:g}); "
        f"not back: {', '.join(missing) or 'none'}; before it: {', '.join(early) or 'none'}",
        flush=True,
    )
    return {
        "passed": passed,
        "hosts": len(fleet.hosts),
        "within_s": WITHIN_S,
        "back_after_deadline_s": dict(sorted(late.items())),
        "worst_s": worst,
        "not_back": missing,
    }
