"""Pulls of a host in memory from a mirror in memory: real keys and files, the agent's own apply and confirm."""

from __future__ import annotations

import io
from dataclasses import replace
from ipaddress import ip_address

import pytest
from builders import bundle, rule
from fakes import FakeKernel
from signatures import new_key, pem, policy, signed

from tcmicro_agent import abi, pull, signing
from tcmicro_agent.errors import MirrorError, RefusedError, TcmicroError
from tcmicro_agent.executor import TakenBackError
from tcmicro_agent.journal import Journal
from tcmicro_agent.metrics.pull import pulls
from tcmicro_agent.mirror import Ends
from tcmicro_agent.pointer import Check, Confirmation, Evidence, Pointer, bundle_path, path_of
from tcmicro_agent.policy.bundle import canonical, digest, to_document
from tcmicro_agent.policy.model import Mode
from tcmicro_agent.pull_book import MOST_TRIES, PullBook, Result
from tcmicro_agent.store import write_document
from tcmicro_agent.trust import Trust

OLD = bundle(rule("p/ssh", "tcp/22"), endpoints={"10.0.0.1": 1})
NEW = bundle(rule("p/web", "tcp/80"), endpoints={"10.0.0.1": 1})
HOST = OLD.host
KEY, OTHER_KEY = new_key(), new_key()
NEVER = 2**40
WITHIN_S = 60


class Kernel(FakeKernel):
    """With tables of sessions, in which the test says what was judged."""

    def __init__(self, clock):
        super().__init__(clock)
        self.sessions = {}

    def map(self, name):
        return self.sessions if name in ("tcm_half4", "tcm_tcp4") else super().map(name)

    def judge(self, ends, opener=abi.Direction.EGRESS, flags=0, back=0):
        """An entry of a connection, as the live generation, or one so many before, makes it."""
        ports = [port.to_bytes(2, "big") for port in (ends.local_port, ends.remote_port)]
        key = abi.SESSION4_KEY.pack(ends.local.packed, ends.remote.packed, *ports, 6)
        generation = self.live().generation - back
        self.sessions[key] = abi.SESSION.pack(
            *(generation, 1, 1, opener, 0, 0, flags, 0), *(0,) * 4
        )


class Web:
    """A mirror: files by path, and how it and its hosts fare."""

    def __init__(self, kernel):
        self.files, self.asked = {}, []
        self.kernel = kernel
        self.judges = kernel.judge
        self.down = lambda: False
        self.closed = set()

    def fetch(self, path, most, look=lambda _: None):
        self.asked.append(path)
        if self.down() or path not in self.files:
            raise MirrorError(f"{path}: nobody there")
        assert len(self.files[path]) <= most
        self._open(80, look)
        return self.files[path]

    def touch(self, address, port, timeout_s, look):
        if port in self.closed:
            raise MirrorError(f"tcp {address} port {port}: refused")
        self._open(port, look)

    def _open(self, port, look):
        self.kernel.sessions.clear()
        ends = Ends(ip_address("10.0.0.1"), 40000, ip_address("10.0.0.9"), port)
        self.judges(ends)
        look(ends)

    def publish(self, content, serial, key=KEY, **said):
        """A bundle with its signature, and a pointer to it."""
        named = {"subject": HOST, "digest": digest(content), "expires": NEVER, **said}
        path = bundle_path(digest(content))
        self.files[path] = canonical(to_document(content))
        self.files[f"{path}.sig"] = signed(policy(content, serial), key).content()
        found = Pointer(serial=serial, **named)
        self.files[path_of(HOST)] = signing.sign(found, key.sign).content()


@pytest.fixture
def kernel(clock):
    return Kernel(clock)


@pytest.fixture
def web(kernel):
    return Web(kernel)


@pytest.fixture
def store(agent):
    directory = agent.store.etc / "keys/policy"
    directory.mkdir(parents=True)
    (directory / "lab.pem").write_text(pem(KEY))
    (agent.store.etc / "host").write_text(f"{HOST}\n")
    return agent.store


@pytest.fixture
def log():
    return io.StringIO()


@pytest.fixture
def run(agent, store, clock, web, log):
    def once(*, dry_run=False):
        found = pull.Pull(agent, web, clock.pass_seconds, web.touch)
        return found.run(Journal(log, {}), dry_run=dry_run).result

    return once


@pytest.fixture
def book(store):
    return PullBook(store)


@pytest.fixture
def ruling(run, web):
    """The old policy was pulled and rules."""
    web.publish(OLD, 5)
    assert run() is Result.CHANGED


def state(agent):
    return agent.kernel.word, list(agent.kernel.slots), agent.store.books(), agent.store.epoch()


def live(agent):
    return agent.observe().live.digest


def test_a_good_bundle_is_kept(run, web, agent, book, log):
    web.publish(OLD, 5)
    assert run() is Result.CHANGED
    assert live(agent) == digest(OLD)
    assert not agent.observe().pending
    assert Trust(agent.store).floor() == 5
    record = book.read()
    assert (record.result, record.serial, record.digest) == (Result.CHANGED, 5, digest(OLD))
    assert record.well_at == record.at
    assert "TCMA0501" in log.getvalue()


def test_the_second_pull_reads_the_pointer_alone(run, web, ruling):
    web.asked.clear()
    assert run() is Result.CURRENT
    assert web.asked == [path_of(HOST)]


def test_a_dry_run_verifies_and_changes_nothing(run, web, agent, book, ruling):
    before, record = state(agent), book.read()
    web.publish(NEW, 6)
    assert run(dry_run=True) is Result.CHANGED
    assert (state(agent), book.read()) == (before, record)


@pytest.mark.parametrize(
    ("spoil", "result", "code", "says"),
    [
        (lambda w: w.files.clear(), Result.UNREACHABLE, 1, "nobody there"),
        (lambda w: w.files.update({path_of(HOST): b"<html>"}), Result.DAMAGED, 6, "not JSON"),
        (lambda w: w.files.update({bundle_path(digest(NEW)): b"{}"}), Result.DAMAGED, 6, ""),
        (
            lambda w: w.files.update({bundle_path(digest(NEW)): canonical(to_document(OLD))}),
            *(Result.REFUSED, 3, "digest: it is for"),
        ),
        (
            lambda w: w.files.pop(f"{bundle_path(digest(NEW))}.sig"),
            *(Result.UNREACHABLE, 1, "nobody there"),
        ),
        (
            lambda w: w.publish(NEW, 6, key=OTHER_KEY),
            *(Result.REFUSED, 3, "by none of the policy keys"),
        ),
        (lambda w: w.publish(NEW, 4), Result.REFUSED, 3, "serial: 4 is older than 5"),
        (lambda w: w.publish(NEW, 6, expires=1000), Result.REFUSED, 3, "expires: it was good"),
        (lambda w: w.publish(NEW, 6, subject="web9"), Result.REFUSED, 3, "subject: it is for"),
    ],
    ids=[
        *("mirror down", "pointer damaged", "bundle damaged", "other bundle", "no signature"),
        *("other key", "older", "expired", "other host"),
    ],
)
def test_what_is_amiss_changes_nothing_and_is_said(
    run, web, agent, book, log, ruling, spoil, result, code, says
):
    web.publish(NEW, 6)
    before, well_at = state(agent), book.read().well_at
    spoil(web)
    with pytest.raises(TcmicroError) as caught:
        run()
    assert (caught.value.exit_code, says in str(caught.value)) == (code, True), caught.value
    assert state(agent) == before
    record = book.read()
    assert (record.result, record.well_at) == (result, well_at)
    assert record.why == caught.value.message
    assert "TCMA0502" in log.getvalue()


def test_a_signature_of_another_bundle_is_refused(run, web, agent, ruling):
    web.publish(NEW, 6)
    web.files[f"{bundle_path(digest(NEW))}.sig"] = signed(policy(OLD, 6), KEY).content()
    with pytest.raises(RefusedError, match="digest: it is for"):
        run()
    assert live(agent) == digest(OLD)


def test_a_pointer_that_was_replaced_is_refused_even_before_anything_was_confirmed(run, web):
    web.publish(OLD, 5, share=1)
    old = dict(web.files)
    assert run() in (Result.WAITING, Result.CHANGED)
    web.publish(NEW, 6, share=1)
    run()
    web.files.update(old)
    with pytest.raises(RefusedError, match=r"the mirror named 6 before 5|5 is older than 6"):
        run()


def test_a_policy_that_cuts_the_mirror_goes_back_by_itself(run, web, agent, clock, book, ruling):
    web.publish(NEW, 6)
    web.down = lambda: agent.observe().pending
    before = clock.now_ms
    with pytest.raises(TakenBackError, match="mirror: .*nobody there") as caught:
        run()
    assert caught.value.exit_code == 8
    assert clock.now_ms - before >= WITHIN_S * 1000
    assert live(agent) == digest(OLD)
    assert not agent.observe().pending
    assert Trust(agent.store).floor() == 5
    assert book.read().result is Result.TAKEN_BACK


def test_what_went_back_is_not_tried_again_before_somebody_says_so(run, web, agent, book, ruling):
    web.publish(NEW, 6)
    web.down = lambda: agent.observe().pending
    with pytest.raises(TakenBackError):
        run()
    web.down = lambda: False
    for _ in range(2):
        with pytest.raises(TakenBackError, match="is not tried again: .*nobody there"):
            run()
        assert live(agent) == digest(OLD)
    assert book.read().why.count("not tried again") == 1
    web.publish(NEW, 6, expires=NEVER + 1)  # renewed, still the same
    with pytest.raises(TakenBackError):
        run()
    web.publish(NEW, 7)
    assert run() is Result.CHANGED
    assert book.read().went_back == ""


def test_it_is_still_not_tried_again_after_the_mirror_was_down(run, web, agent, ruling):
    web.publish(NEW, 6)
    web.down = lambda: agent.observe().pending
    with pytest.raises(TakenBackError):
        run()
    web.down = lambda: True
    with pytest.raises(MirrorError):
        run()
    web.down = lambda: False
    with pytest.raises(TakenBackError, match="is not tried again"):
        run()


def test_a_packet_may_be_lost(run, web, agent, ruling):
    web.publish(NEW, 6)
    answers = iter([True, True])
    web.down = lambda: agent.observe().pending and next(answers, False)
    assert run() is Result.CHANGED


@pytest.mark.parametrize(
    "judge",
    [
        lambda kernel: lambda _: None,
        lambda kernel: lambda ends: kernel.judge(ends, back=1),
        lambda kernel: lambda ends: kernel.judge(ends, opener=abi.Direction.INGRESS),
        lambda kernel: lambda ends: kernel.judge(ends, flags=abi.SessionFlag.ADOPTED),
        lambda kernel: lambda ends: kernel.judge(ends, flags=abi.SessionFlag.TRIED),
    ],
    ids=["failsafe alone", "policy before", "opened by the mirror", "adopted", "staged"],
)
def test_a_connection_that_the_policy_did_not_judge_shows_nothing(run, web, agent, ruling, judge):
    web.publish(NEW, 6)
    web.judges = judge(agent.kernel)
    with pytest.raises(TakenBackError, match="no connection of this host to them was judged"):
        run()
    assert live(agent) == digest(OLD)


def test_contact_alone_is_enough_where_the_pointer_says_so(run, web, ruling):
    web.publish(NEW, 6, confirm=Confirmation(evidence=Evidence.CONTACT))
    web.judges = lambda _: None
    assert run() is Result.CHANGED


def test_in_mode_monitor_contact_is_enough(run, web, agent, ruling):
    write_document(agent.store.etc / "agent.json", {"mode": "monitor"})
    web.publish(replace(NEW, mode=Mode.MONITOR), 6)
    web.judges = lambda _: None
    assert run() is Result.CHANGED


def test_every_check_has_to_pass(run, web, agent, ruling):
    checks = (Check("10.0.0.53", 53), Check("10.0.0.2", 5432))
    web.publish(NEW, 6, confirm=Confirmation(checks=checks))
    web.closed.add(5432)
    with pytest.raises(TakenBackError, match="check: tcp 10.0.0.2 port 5432: refused"):
        run()
    assert live(agent) == digest(OLD)
    web.closed.clear()
    web.publish(NEW, 7, confirm=Confirmation(checks=checks))
    assert run() is Result.CHANGED


def test_a_pointer_that_was_withdrawn_meanwhile_ends_the_trial(run, web, agent, ruling):
    web.publish(NEW, 6)
    fetch = web.fetch

    def withdraw(path, most, look=lambda _: None):
        if agent.observe().pending and path == path_of(HOST):
            web.publish(OLD, 7)
        return fetch(path, most, look)

    web.fetch = withdraw
    with pytest.raises(TakenBackError, match="it names .* now"):
        run()
    assert run() is Result.CURRENT


def test_only_its_share_of_the_hosts_goes_on(run, web, agent, ruling):
    named = Pointer(HOST, digest(NEW), 6, NEVER)
    web.publish(NEW, 6, share=max(1, named.bucket))
    assert run() is (Result.WAITING if named.bucket else Result.CHANGED)
    web.publish(NEW, 6, share=named.bucket + 1)
    assert run() is (Result.CHANGED if named.bucket else Result.CURRENT)


def test_a_controller_that_was_overtaken_changes_nothing(run, web, agent, ruling):
    agent.store.save_epoch(9)
    web.publish(NEW, 6, epoch=8)
    with pytest.raises(RefusedError, match="epoch 8 is over"):
        run()
    assert live(agent) == digest(OLD)
    web.publish(NEW, 7, epoch=10)
    assert run() is Result.CHANGED
    assert agent.store.epoch() == 10


def test_another_change_that_is_pending_is_not_disturbed(run, web, agent, book, ruling):
    web.publish(NEW, 6)
    agent.apply(bundle(rule("p/dns", "udp/53")), confirm_within=60)
    before = state(agent)
    with pytest.raises(TcmicroError, match="is waiting to be confirmed") as caught:
        run()
    assert caught.value.exit_code == 7
    assert state(agent) == before
    assert book.read().result is Result.BUSY


class PowerLossError(BaseException):
    """The host ends here."""


def test_a_trial_that_is_cut_short_is_tried_twice_at_most(run, web, agent, clock, ruling):
    web.publish(NEW, 6)

    def lose_power():
        if agent.observe().pending:
            raise PowerLossError
        return False

    web.down = lose_power
    for _ in range(MOST_TRIES):
        with pytest.raises(PowerLossError):
            run()
        clock.pass_seconds(WITHIN_S + 1)
        assert live(agent) == digest(OLD)
    with pytest.raises(TakenBackError, match=f"cut short {MOST_TRIES} times"):
        run()


def test_a_host_that_is_not_in_order_goes_back_at_once(run, web, agent, clock, examiner, ruling):
    web.publish(NEW, 6)
    examiner.wrong = "attachment: no program of ours on eth0"
    before = clock.now_ms
    with pytest.raises(TakenBackError, match="attachment: no program of ours"):
        run()
    assert clock.now_ms == before
    with pytest.raises(TakenBackError, match="is not tried again: .*attachment"):
        run()


def test_a_record_that_is_damaged_is_in_nobodys_way(run, web, store, ruling):
    (store.var / "pull.json").write_text("damaged")
    web.publish(NEW, 6)
    assert run() is Result.CHANGED


def test_a_host_that_is_not_to_pull_says_so(book):
    with pytest.raises(RefusedError, match="this host does not pull"):
        book.settings()


def told(book):
    """What of the metrics of pulls is not 0."""
    samples = [sample for family in pulls(book) for sample in family.samples]
    return {(s.name, s.labels.get("result", "")): s.value for s in samples if s.value}


def test_metrics_say_what_the_last_pull_came_to(run, web, book, store, clock):
    assert told(book) == {("tc_micro_pull_result", "none"): 1}
    store.etc.joinpath("pull.json").write_text('{"mirror": "https://m"}')
    assert told(book) == {("tc_micro_pull_result", "none"): 1}
    web.publish(OLD, 5)
    run()
    well_at = int(clock.wall_s())
    web.down = lambda: True
    clock.pass_seconds(10)
    with pytest.raises(MirrorError):
        run()
    assert told(book) == {
        ("tc_micro_pull_result", "unreachable"): 1,
        ("tc_micro_pull_last_timestamp_seconds", ""): well_at + 10,
        ("tc_micro_pull_last_well_timestamp_seconds", ""): well_at,
    }
