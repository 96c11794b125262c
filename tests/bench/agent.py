"""What the agent takes as it is installed: its processes, from the command line of a release to the service's start."""

from __future__ import annotations

import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tcmicro_agent import abi
from tcmicro_agent.datapath import batches
from tcmicro_agent.policy import bundle as bundles
from tests.bench.goals import Result
from tests.bench.host import Host, Spent, installed
from tests.bench.measure import MeasurementError, Spread, spread
from tests.bench.policies import fleet
from tests.bench.testrun import session_key

BUNDLE = "/etc/tcmicro/bundle.json"
LARGE, MIDDLE, SMALL = 10_000, 1_000, 500  # rules
TRACKED, MANY = 150_000, 1_000_000  # sessions
IDENTITIES = 100
METRICS = "http://127.0.0.1:9931/metrics"
SETTLED_S = 5  # after a change, until what it set off is done


def run(bpffs: Path, *, quick: bool) -> list[Result]:
    with installed("agent", bpffs) as host:
        host.start()
        applied = _applying(host, 3 if quick else 11)
        scraped = _scraping(host, 3 if quick else 11)
        started = _starting(host, 2 if quick else 7)
        idle = _idling(host, 10 if quick else 60)
        return [*idle, scraped, *started, applied, *_listing(host, 1 if quick else 3)]


def _apply(host: Host, rules: int, *, port: int = 8000) -> Spent:
    """`policy apply` of a bundle file that is there: what it took, until it rules for good."""
    made = fleet(min(rules, 10 * MIDDLE), IDENTITIES, rules, port=port)
    (host.root / "etc/bundle.json").write_bytes(bundles.write(made).content)
    return host.run("policy", "apply", BUNDLE, "--json")


def _applying(host: Host, rounds: int) -> Result:
    """Bundles that differ in every port; the first one is not counted."""
    taken = [_apply(host, MIDDLE, port=8000 + n) for n in range(rounds + 1)][1:]
    return Result("apply_1000_rules_ms", spread([t.wall * 1000 for t in taken]), _cpu_ms(taken))


def _scraping(host: Host, rounds: int) -> Result:
    _apply(host, SMALL - 2)  # the defaults are counted as rules are
    host.space.server.inside(_scrape)
    before = host.cpu_s()
    taken = [host.space.server.inside(_scrape) for _ in range(rounds)]
    raw = {"cpu_ms": (host.cpu_s() - before) / rounds * 1000}
    return Result("scrape_500_rules_ms", spread(taken), raw)


def _scrape() -> float:
    """Milliseconds for an answer that names every rule."""
    start = time.perf_counter()
    with urllib.request.urlopen(METRICS, timeout=30) as answer:
        content = answer.read().decode()
    taken = (time.perf_counter() - start) * 1000
    if content.count("tc_micro_rule_hits_total{") < SMALL:
        raise MeasurementError("the scrape does not name every rule")
    return taken


def _starting(host: Host, rounds: int) -> list[Result]:
    """From the start of the process until it says that it is ready: programs attached, the policy in force."""
    _apply(host, MIDDLE)

    def cold() -> Spent:
        host.unload()
        return host.start()

    def warm() -> Spent:
        host.stop(signal.SIGKILL)
        return host.start()

    return [
        _start("start_to_enforcing_s", cold, rounds),
        _start("restart_to_enforcing_s", warm, rounds),
    ]


def _start(key: str, start: Callable[[], Spent], rounds: int) -> Result:
    taken = [start() for _ in range(rounds)]
    return Result(key, spread([t.wall for t in taken]), _cpu_ms(taken))


def _idling(host: Host, seconds: float) -> list[Result]:
    """With a large policy and many sessions, over one sweep and more."""
    _apply(host, LARGE)
    _track(host, TRACKED)
    time.sleep(SETTLED_S)
    before, start = host.cpu_s(), time.perf_counter()
    time.sleep(seconds)
    share = (host.cpu_s() - before) / (time.perf_counter() - start) * 100
    raw = {"seconds": seconds, "peak_rss_mb": host.peak_mb()}
    resident = host.resident_mb()
    return [
        Result("agent_rss_mb", Spread(resident, resident, resident), raw),
        Result("agent_idle_cpu", Spread(share, share, share), raw),
    ]


def _track(host: Host, count: int) -> None:
    """So many established sessions, used now."""
    with host.kernel() as kernel:
        state = abi.SessionState.ESTABLISHED
        value = abi.SESSION.pack(1, 1, 1, 0, state, 0, 0, kernel.jiffies(), 2, 1, 200, 100)
        keys = (session_key("tcm_tcp4", number) for number in range(count))
        batches.put(kernel.map("tcm_tcp4"), b"".join(keys), value * count)


def _listing(host: Host, rounds: int) -> list[Result]:
    """All of a million sessions as lines; the first one, and the memory of the process at its end."""
    host.unload()
    host.configure(sessions={"capacity": MANY * 5 // 4})
    host.start()
    _track(host, MANY)
    taken = [_list(host) for _ in range(rounds)]
    first, peak, whole = (list(column) for column in zip(*taken, strict=True))
    raw = {"whole_s": spread(whole).middle}
    return [
        Result("session_list_1m_first_line_s", spread(first), raw),
        Result("session_list_1m_rss_mb", spread(peak), raw),
    ]


def _list(host: Host) -> tuple[float, float, float]:
    """Seconds to the first session, peak memory in MB, seconds to the last."""
    argv = host.command("session", "list", "--limit", str(2 * MANY))
    start = time.perf_counter()
    with ExitStack() as stack:
        listing = stack.enter_context(subprocess.Popen(argv, stdout=subprocess.PIPE))
        assert listing.stdout is not None
        listing.stdout.readline()  # the heading
        listing.stdout.readline()
        first = time.perf_counter() - start
        last = _count(listing, MANY)
    return first, last, time.perf_counter() - start


def _count(listing: subprocess.Popen[bytes], least: int) -> float:
    """Reads to the end; the peak memory of the process in MB, looked up while it still writes."""
    assert listing.stdout is not None
    peak, lines = 0, 0
    status = Path(f"/proc/{listing.pid}/status")
    while block := listing.stdout.read(1 << 22):
        lines += block.count(b"\n")
        found = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        peak = max(peak, *(int(line.split()[1]) for line in found), 0)
    if lines < least - 1:
        raise MeasurementError(f"{lines} lines of {least} sessions")
    return peak / 1024


def _cpu_ms(taken: list[Spent]) -> dict[str, float]:
    return {"cpu_ms": spread([t.cpu * 1000 for t in taken]).middle}
