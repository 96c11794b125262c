"""`make test-kernels`: the datapath tests and the verifier's counts on stock kernels of every supported age.
`make test-trace`: what bcc compiles, on the same kernels with their headers."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tools.compile_bpf import OBJECT, compile_object
from tools.kernels import boot, figures, headers, image, outcome, packages, verifier
from tools.kernels.outcome import Outcome
from tools.process import ToolError

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".kernels"
BUILD = ROOT / "build"
TESTS = "tests/datapath"
BASELINE = ROOT / TESTS / "verifier.json"
INIT = Path(__file__).with_name("guest.sh")
GUESTS = len(packages.WANTED)  # at once: what they share of the CPUs is the same in the end
EXAMPLES_SCALE = "0.03"
REDUCED = (
    f"in the guests: TCM_EXAMPLES_SCALE={EXAMPLES_SCALE}, because an emulated packet costs some ten real ones and every"
    " random example was tried on the running kernel; one CPU, because guest time counts its instructions"
)


@dataclass(frozen=True)
class Job:
    """What guests are booted for, and what they have for it beside the kernel and the checkout."""

    tests: tuple[str, ...]
    memory_mb: int = boot.MEMORY
    packages: tuple[str, ...] = ()
    headers: bool = False


DATAPATH = Job((TESTS,))
TRACE = Job((f"{TESTS}/test_trace.py",), 3072, ("python3-bpfcc",), headers=True)

begun = time.monotonic()


def say(text: str) -> None:
    print(f"{time.monotonic() - begun:6.0f} s  {text}", flush=True)


def settings(job: Job) -> str:
    """Shell lines for the guest's init."""
    values = {
        "CHECKOUT": str(ROOT),
        "TESTS": " ".join(job.tests),
        "TCM_GUEST": ""
        if job.headers
        else "1",  # which leaves what the agent does to the running kernel
        "TCM_EXAMPLES_SCALE": EXAMPLES_SCALE,
        "TCM_HEADERS": "1" if job.headers else "",
        "CI": os.environ.get("CI", ""),
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def guest(
    kernel: packages.Kernel, job: Job, parts: list[Path], baseline: figures.Baseline
) -> Outcome:
    """Boots one kernel and keeps its console and its test results below build/."""
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=f"run-{kernel.series}-") as work:
        files = boot.Guest(Path(work), job.memory_mb)
        image.join([parts[0], kernel.modules, *parts[1:]], files.initrd)
        say(f"{kernel.series}: boots {kernel.release} (package {kernel.version})")
        try:
            results, used = boot.run(kernel.vmlinuz, files)
        except ToolError as exc:
            return outcome.failed(kernel.release, str(exc))
        finally:
            if files.console.exists():
                shutil.copy(files.console, BUILD / f"console-kernel-{kernel.series}.log")
    (BUILD / f"junit-kernel-{kernel.series}.xml").write_text(results.get("junit.xml", ""))
    judged = outcome.of_guest(results, kernel.release, baseline)
    for line in outcome.summary(judged):
        say(line)
    say(f"{kernel.series}: took {used:.0f} s of CPU")
    return judged


def run(series: list[str], job: Job, baseline: figures.Baseline) -> list[Outcome]:
    """The running kernel's verifier, then every wanted guest."""
    running = outcome.of_verifier(json.dumps(verifier.measure(OBJECT)), baseline)
    say(f"{running.series}: verifier counts of the running kernel, {running.release}")
    CACHE.mkdir(exist_ok=True)
    wanted = [kernel for kernel in packages.WANTED if kernel.series in series]
    kernels = [packages.fetch(kernel, CACHE) for kernel in wanted]
    more = [
        [headers.fetch(*pair)] if job.headers else [] for pair in zip(wanted, kernels, strict=True)
    ]
    userland = packages.userland(CACHE, job.packages)
    say(f"kernels and userland are in {CACHE.relative_to(ROOT)}/")
    compile_programs_of_tests()
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="checkout-") as work:
        checkout = Path(work) / "checkout.cpio"
        image.checkout(ROOT, INIT, settings(job), checkout)
        parts = [[userland, *own, checkout] for own in more]
        return [running, *boot_all(kernels, parts, job, baseline)]


def compile_programs_of_tests() -> None:
    for program in sorted((ROOT / TESTS).rglob("*.bpf.c")):
        compile_object(ROOT, BUILD / f"{program.stem}.o", str(program.relative_to(ROOT)))


def boot_all(
    kernels: list[packages.Kernel],
    parts: list[list[Path]],
    job: Job,
    baseline: figures.Baseline,
) -> list[Outcome]:
    """A guest for each kernel with its parts; where one cannot be booted, the others end as well."""
    with ThreadPoolExecutor(GUESTS) as pool:
        try:
            guests = [
                pool.submit(guest, kernel, job, own, baseline)
                for kernel, own in zip(kernels, parts, strict=True)
            ]
            return [each.result() for each in guests]
        finally:
            boot.given_up.set()


def report(outcomes: list[Outcome], baseline: figures.Baseline, *, accept: bool) -> list[str]:
    """Prints the table, writes build/kernels.json and, if asked to, the baseline; returns the faults."""
    measured = {one.series: one.insns for one in outcomes if one.insns}
    print("\n".join(figures.table(measured, baseline)))
    (BUILD / "kernels.json").write_text(json.dumps(outcome.document(outcomes), indent=1) + "\n")
    if accept:
        text = json.dumps(figures.accepted(baseline, measured), indent=1)
        BASELINE.write_text(text + "\n")
        print(f"accepted: {BASELINE.relative_to(ROOT)}")
    elif new := figures.unknown(measured, baseline):
        print(f"not in {BASELINE.relative_to(ROOT)}: {', '.join(new)}: make test-kernels ACCEPT=1")
    return [fault for one in outcomes for fault in one.faults]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make test-kernels", description=__doc__)
    known = [kernel.series for kernel in packages.WANTED]
    parser.add_argument("--kernel", action="append", choices=known, help="only this series")
    parser.add_argument("--accept", action="store_true", help="make the counts the new baseline")
    parser.add_argument("--trace", action="store_true", help="test what bcc compiles")
    parser.add_argument("tests", nargs="*", help="only these")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))  # no guest and no file stays behind
    job = TRACE if options.trace else DATAPATH
    if options.tests:
        job = replace(job, tests=tuple(options.tests))
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    try:
        if platform.machine() != "x86_64":
            raise ToolError(f"this machine is {platform.machine()}, the stock kernels are amd64")
        limits = {} if options.accept else baseline
        outcomes = run(options.kernel or known, job, limits)
    except ToolError as exc:
        print(f"test-kernels: {exc}", file=sys.stderr)
        return 1
    faults = report(outcomes, baseline, accept=options.accept)
    print(f"reduced {REDUCED}")
    for fault in faults:
        print(f"test-kernels: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
