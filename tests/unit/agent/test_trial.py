"""The staged policy as values, as documents and as text."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import bundle, rule

from tcmicro_agent import abi, staging, trial_report
from tcmicro_agent.abi import Mode, TrialWord, Verdict
from tcmicro_agent.cli import staged_text
from tcmicro_agent.cli.arguments import MAX_CONFIRM_S
from tcmicro_agent.cli.parser import parser
from tcmicro_agent.cli.staged import EXAMPLES
from tcmicro_agent.errors import BundleError, RefusedError
from tcmicro_agent.policy.model import Action
from tcmicro_agent.trial import Comparison, SetMode, SetTrial, Share, parse

IN, OUT = abi.Direction
PAGE = (Path(__file__).parents[3] / "docs/staged.md").read_text()
VERBS = {"stage", "share", "unstage", "promote", "differences"}
LIVE = bundle(rule("p/ssh", "tcp/22"), endpoints={"10.0.0.1": 1}, egress=Action.ALLOW)
NEXT = bundle(rule("p/web", "tcp/80", (1,)), endpoints={"10.0.0.1": 1})


@pytest.mark.parametrize(
    ("share", "word"),
    [
        (Share(), TrialWord(3, 0, 0)),
        (Share(0, 600), TrialWord(3, 0, 0)),
        (Share(1, 5), TrialWord(3, 1, 6000)),
        (Share(100), TrialWord(3, 100, 61_000)),
    ],
)
def test_a_share_never_goes_without_a_deadline(share, word):
    assert share.word(3, 1000) == word
    assert TrialWord.decode(word.encode()) == word


def test_the_longest_time_after_ten_years_fits_the_word():
    word = Share(100, MAX_CONFIRM_S).word(3, 10 * 366 * 86_400_000)
    assert TrialWord.decode(word.encode()) == word
    assert word.encode() < 1 << 64


@pytest.mark.parametrize(("now", "share"), [(999, 40), (1000, 0), (2000, 0)])
def test_past_its_deadline_a_share_is_nothing(now, share):
    assert TrialWord(1, 40, 1000).share_at(now) == share
    assert TrialWord(1, 40, 0).share_at(now) == 40


def test_what_is_compared_is_the_difference_to_the_baseline():
    noted = Comparison("ab", 7, 5, tuple(range(8)))
    assert parse(noted.to_document()) == noted
    assert noted.since([10] * 8) == (10, 9, 8, 7, 6, 5, 4, 3)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"baseline": [1, 2]}, "baseline: has 2 counts, not 8"),
        ({"baseline": [-1] * 8}, "is not a count"),
        ({"generation": 0}, "generation: 0 is not a generation"),
        ({"share": 3}, 'unknown key "share"'),
    ],
)
def test_a_damaged_file_says_what_is_wrong(fault, message):
    document = Comparison("ab", 7, 5, (0,) * 8).to_document()
    with pytest.raises(BundleError, match=message):
        parse({**document, **fault})


def test_ops_are_told_in_words():
    assert str(SetTrial(TrialWord(2))) == "stage slot 2: it only compares"
    assert str(SetMode(2, Mode.MONITOR)) == "put slot 2 into mode monitor"


# --- documents ---


def differ(agent, live: tuple, staged: tuple, *, identity: int = 1, flows: int = 1) -> None:
    """A row of tcm_differences: (uid, verdict) of both, a new flow from an identity to tcp/80."""
    numbers = agent.store.books().numbers
    generation = agent.observe().staged.generation
    key = abi.DIFFERENCE_KEY.pack(
        numbers[live[0]],
        numbers[staged[0]],
        identity,
        generation,
        (80).to_bytes(2, "big"),
        6,
        IN,
        live[1],
    )
    agent.kernel.differences[key] = abi.COUNT.pack(flows, 60 * flows)


@pytest.fixture
def compared(agent, kernel):
    """Live refuses tcp/80 from id1 by default, the staged policy allows it; three flows were seen."""
    agent.apply(LIVE)
    kernel.compare(IN, Verdict.ALLOW, Verdict.ALLOW)  # before anything was staged
    staging.stage(agent, NEXT, Share(10, 600))
    for _ in range(3):
        kernel.compare(IN, Verdict.DENY, Verdict.ALLOW)
    kernel.compare(OUT, Verdict.ALLOW, Verdict.DENY)
    differ(agent, ("default/ingress", Verdict.DENY), ("p/web", Verdict.ALLOW), flows=3)
    return agent


def test_status_says_what_is_staged(compared, clock):
    clock.pass_seconds(60)
    found = trial_report.staged(compared, compared.observe())
    zero = {"agree_allow": 0, "agree_deny": 0, "allow_to_deny": 0, "deny_to_allow": 0}
    assert found["comparisons"] == {
        "ingress": {**zero, "deny_to_allow": 3},
        "egress": {**zero, "allow_to_deny": 1},
    }
    assert (found["mode"], found["share"], found["share_left_s"]) == ("protect", 10, 540.0)
    assert (found["generation"], found["against"]) == (2, 1)
    clock.pass_seconds(540)
    found = trial_report.staged(compared, compared.observe())
    assert (found["share"], found["share_left_s"]) == (0, None)


def test_status_says_which_policy_judged_new_flows_and_how(compared, kernel):
    for bank, reason, packets in (
        (abi.Bank.ENFORCED, abi.Reason.RULE_ALLOW, 90),
        (abi.Bank.ENFORCED, abi.Reason.DEFAULT_DENY, 9),
        (abi.Bank.AUDITED, abi.Reason.RULE_DENY, 1),
        (abi.Bank.ENFORCED, abi.Reason.SESSION, 5000),
        (abi.Bank.TRIAL, abi.Reason.DEFAULT_ALLOW, 7),
        (abi.Bank.TRIAL, abi.Reason.RULE_DENY, 3),
        (abi.Bank.TRIAL, abi.Reason.SESSION, 400),
    ):
        kernel.counted[abi.counter_index(IN, reason, bank)] = (packets, 60 * packets)
    assert trial_report.staged(compared, compared.observe())["judged"] == {
        "live": {"allowed": 90, "refused": 10},
        "staged": {"allowed": 7, "refused": 3},
    }


def test_a_difference_names_both_rules_with_their_sources(compared):
    found = trial_report.differences(compared, limit=10)
    assert found["total"] == 1
    assert found["differences"] == [
        {
            "direction": "ingress",
            "protocol": "tcp",
            "port": 80,
            "peer": "id1",
            "live": {"verdict": "deny", "rule": "default/ingress", "source": "p"},
            "staged": {"verdict": "allow", "rule": "p/web", "source": "test.yml:1"},
            "flows": 3,
            "bytes": 180,
        }
    ]


def test_the_most_frequent_differences_come_first(compared):
    differ(compared, ("p/ssh", Verdict.ALLOW), ("p/web", Verdict.DENY), identity=0, flows=9)
    found = trial_report.differences(compared, limit=1)
    assert [(d["peer"], d["flows"]) for d in found["differences"]] == [("world", 9)]
    assert found["total"] == 2


def test_differences_of_an_earlier_staged_policy_are_not_told(compared):
    staging.stage(compared, bundle(), Share())
    assert trial_report.differences(compared, limit=9)["total"] == 0


def test_with_nothing_staged_there_are_no_differences_to_tell(agent):
    agent.apply(LIVE)
    assert trial_report.staged(agent, agent.observe()) is None
    with pytest.raises(RefusedError, match="nothing is staged"):
        trial_report.differences(agent, limit=9)


def test_a_comparison_that_did_not_begin_is_told_as_none(compared):
    compared.store.save_comparison(None)
    found = trial_report.staged(compared, compared.observe())
    assert (found["comparisons"], found["against"]) == (None, None)
    assert "nothing is compared yet" in staged_text.status_line(found)


# --- the command line ---


def test_text_of_differences_and_status(compared):
    found = trial_report.differences(compared, limit=10)
    header, row, total, sums = staged_text.differences(found).splitlines()
    assert header.split() == [
        "DIRECTION",
        "SERVICE",
        "PEER",
        "LIVE",
        "BY",
        "STAGED",
        "BY",
        "FLOWS",
        "BYTES",
    ]
    assert row.split() == (
        [
            "ingress",
            "tcp/80",
            "id1",
            "deny",
            "default/ingress",
            "(p)",
            "allow",
            "p/web",
            "(test.yml:1)",
            "3",
            "180",
        ]
    )
    assert total == "1 of 1 kinds of flow"
    assert sums == (
        "of 4 new flows it allows 0 and refuses 0 as generation 1 does, "
        "refuses 1 and allows 3 that it does not"
    )
    line = staged_text.status_line(found["staged"])
    assert "protect, judges 10 % of new flows for 600.0 s; of 4 new flows" in line
    assert staged_text.status_line(None) == "nothing"


@pytest.mark.parametrize(
    "words",
    [
        ["policy", "share", "101"],
        ["policy", "share", "ten"],
        ["policy", "share", "10", "--for", "1"],
        ["policy", "stage", "x", "--share", "1.5"],
    ],
)
def test_a_share_is_a_whole_percentage_for_some_time(words, capsys):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(words)
    assert ended.value.code == 2
    assert "is not a" in capsys.readouterr().err


@pytest.mark.parametrize("text", [EXAMPLES, PAGE], ids=["help", "page"])
def test_examples_can_be_parsed(text):
    lines = [line.split("#")[0].split() for line in text.splitlines()]
    commands = [line for line in lines if line[:2] == ["tc-micro", "policy"]]
    assert {line[2] for line in commands} == VERBS
    for line in commands:
        assert parser().parse_args(line[1:]).verb
