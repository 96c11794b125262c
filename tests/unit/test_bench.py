"""The pure parts of `make bench`: statistics, how a figure is held against its goal, what is measured on."""

from __future__ import annotations

import json
import math
import re
from ipaddress import ip_address

import pytest

from tcmicro_agent import abi
from tcmicro_agent.policy.compile import compile_bundle
from tcmicro_agent.policy.evaluate import NewFlow, evaluate
from tcmicro_agent.policy.model import Action, Direction
from tcmicro_agent.tables import encode, number_rules, rule_uids
from tests.bench import live, measure, peers, policies, report, testrun
from tests.bench.__main__ import run_section
from tests.bench.goals import ABOVE, AT_LEAST, AT_MOST, GOALS, Goal, Result, complete
from tests.bench.measure import MeasurementError, Spread

ROUNDS = [{"a": 4.0, "b": 2.0, "floor": 1.0}, {"a": 9.0, "b": 3.0, "floor": 1.0}]


# --- statistics ---


def test_spread_is_median_and_quartiles():
    assert measure.spread([5.0, 1.0, 4.0, 2.0, 3.0]) == Spread(3.0, 2.0, 4.0)


def test_single_value_has_no_spread():
    assert measure.spread([7.0]) == Spread(7.0, 7.0, 7.0)


def test_infinite_value_stays_out_of_the_median():
    found = measure.spread([1.0, 2.0, math.inf])
    assert found.middle == 2.0
    assert found.high == math.inf


def test_ratio_is_taken_within_each_round():
    assert measure.ratio(ROUNDS, "a", "b").middle == pytest.approx(2.5)  # not 6.5 / 2.5


def test_net_ratio_takes_the_floor_off_both():
    assert measure.net_ratio(ROUNDS, "a", "b", "floor").middle == pytest.approx((3 + 4) / 2)


def test_base_that_costs_nothing_counts_against_us():
    rounds = [{"a": 2.0, "b": 0.9, "floor": 1.0}]
    assert measure.net_ratio(rounds, "a", "b", "floor").middle == math.inf


def test_every_variant_runs_once_a_round_in_changing_order():
    ran: list[str] = []
    variants = {name: (lambda name=name: float(ran.append(name) or len(ran))) for name in "abcd"}
    rounds = measure.alternate(variants, 6, warm_up=2)
    turns = ["".join(ran[at : at + 4]) for at in range(0, len(ran), 4)]
    assert [sorted(turn) for turn in turns] == [["a", "b", "c", "d"]] * 8
    assert len(set(turns)) > 1
    assert min(rounds[0].values()) == 9.0  # the warm-up rounds are gone
    assert len(rounds) == 6


# --- goals ---


@pytest.mark.parametrize(
    ("sense", "met", "missed"), [(AT_MOST, 2.0, 2.1), (AT_LEAST, 2.0, 1.9), (ABOVE, 2.1, 2.0)]
)
def test_goal_is_met_up_to_its_limit(sense, met, missed):
    goal = Goal(sense, 2.0, "")
    assert goal.met(met)
    assert goal.missed_by(met) == ""
    assert not goal.met(missed)
    assert goal.missed_by(missed)


def test_miss_is_told_as_share_of_the_limit():
    assert Goal(AT_MOST, 2.0, "").missed_by(3.0) == "50%"
    assert Goal(AT_LEAST, 2.0, "").missed_by(1.5) == "25%"


def test_miss_of_nothing_is_told_as_it_is():
    assert Goal(AT_MOST, 0, "").missed_by(17.0) == "17"


def test_infinite_figure_misses_its_goal():
    assert not Goal(AT_MOST, 2.0, "").met(math.inf)
    assert Goal(AT_MOST, 2.0, "").missed_by(math.inf)


def results(**values: float) -> list[Result]:
    figures = {key: values.get(key, 1.0) for key in GOALS}
    return [Result(key, Spread(x, x, x), {"raw": x}) for key, x in figures.items()]


def test_results_come_in_the_order_of_the_table():
    assert [result.key for result in complete(results()[::-1])] == list(GOALS)


def test_missing_figure_is_an_error_that_names_it():
    with pytest.raises(MeasurementError, match="loader_rss_mb"):
        complete([result for result in results() if result.key != "loader_rss_mb"])


def test_figure_taken_twice_is_an_error():
    with pytest.raises(MeasurementError):
        complete([*results(), results()[0]])


def test_only_figures_of_test_runs_are_gates():
    gates = {key for key, goal in GOALS.items() if goal.gate}
    assert gates == {result.key for result in testrun.results([dict.fromkeys(TESTRUN, 2.0)])}


def test_section_that_cannot_measure_is_named_and_ends_nothing(tmp_path):
    def broken(_bpffs, *, quick):
        raise MeasurementError(f"no veth, quick {quick}")

    taken: list[Result] = []
    assert run_section("live", broken, tmp_path, taken, quick=True) == ["live: no veth, quick True"]
    assert run_section("rest", lambda *_, **__: results(), tmp_path, taken, quick=True) == []
    assert len(taken) == len(GOALS)


# --- what the sections make of their rounds ---

TESTRUN = ["floor", "hit_v4", "hit_v6", "flows_1", "flows_16k", "flows_131k", "deny"]
TESTRUN += ["denied_syn_flood", "new_session_under_flood", *testrun.JUDGED]


def test_test_runs_are_held_against_the_floor():
    rounds = [{**dict.fromkeys(TESTRUN, 30.0), "floor": 10.0, "deny": 45.0, "judge_1k_10k": 50.0}]
    found = {result.key: result.value.middle for result in testrun.results(rounds)}
    assert found["deny_over_floor"] == 4.5
    assert found["hit_v6_net_over_v4_net"] == 1.0
    assert found["lookup_growth_1k_hosts"] == 2.0  # (50 - 10) / (30 - 10)


def test_live_figures_are_held_against_none_and_the_peers():
    names = [
        "none",
        *(f"{f}_{n}" for f in ("tcmicro", "nft_set", "nft_linear") for n in LIVE_SIZES),
    ]
    taken = {**dict.fromkeys(names, 10.0), "tcmicro_1k": 11.0, "nft_set_1k": 14.0}
    found = {r.key: r.value.middle for r in live.results({m: [taken] for m in live.MEASURES})}
    assert found["rr_p50_over_nofilter"] == 1.1
    assert found["rr_extra_over_nft_set_extra"] == 0.25
    assert found["connect_p50_10k_over_10"] == 1.0
    assert set(found) < set(GOALS)


LIVE_SIZES = ("10", "1k", "10k")


# --- report ---


def test_report_is_json_even_of_what_is_infinite():
    document = report.document(results(deny_over_floor=math.inf), {"kernel": "6.1"})
    read = json.loads(json.dumps(document, allow_nan=False))
    assert read["results"]["deny_over_floor"]["ratio"] is None
    assert read["results"]["deny_over_floor"]["met"] is False
    wanted = {"ratio", "iqr_low", "iqr_high", "unit", "goal", "met", "gate", "raw"}
    assert all(set(entry) == wanted for entry in read["results"].values())


def test_table_says_by_how_much_a_goal_is_missed():
    text = report.table(results(hit_v4_over_floor=5.2))
    line = next(line for line in text.splitlines() if line.startswith("hit_v4_over_floor"))
    assert line.split()[-3:] == ["missed", "by", "100%"]


def test_filters_stand_beside_each_other():
    filters = {"none": 10.0, "tcmicro_1k": 11.5}
    key = report.COMPARED["rr ns"]
    text = report.comparison([Result(key, Spread(1, 1, 1), filters)])
    assert text.splitlines()[-1].split() == ["tcmicro_1k", "11.500"]


# --- what the others are given ---


@pytest.mark.parametrize("text", [peers.nft_set(5), peers.nft_linear(5), peers.iptables(5)])
def test_peers_let_tracked_flows_pass_first_and_drop_by_default(text):
    lines = [line.removeprefix("-A INPUT ") for line in text.splitlines()]
    accepts = [line for line in lines if line.lower().endswith("accept")]
    assert re.search("established", accepts[0], re.IGNORECASE)
    assert len(re.findall(r"policy drop|:(?:INPUT|OUTPUT) DROP", text)) == 2


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        (peers.nft_set(1000), r"10\.[\d.]+ \. tcp \. 8000"),
        (peers.nft_linear(1000), r"ip saddr 10\.[\d.]+ tcp dport 8000 accept"),
        (peers.iptables(1000), r"-s 10\.[\d.]+/32 -p tcp --dport 8000 -j ACCEPT"),
    ],
)
def test_peers_have_every_rule_and_the_measured_one_last(text, pattern):
    found = re.findall(pattern, text)
    assert len(found) == len(set(found)) == 1000
    assert policies.address(policies.FIRST_PEER, 999) in found[-1]


def test_replacement_is_one_transaction_of_other_elements():
    old, new = peers.nft_replacement(10, 8000), peers.nft_replacement(10, 8001)
    assert old.splitlines()[0] == "flush set inet bench allowed"
    assert not set(re.findall(r"[\d.]+ \. tcp \. \d+", old)) & set(
        re.findall(r"[\d.]+ \. tcp \. \d+", new)
    )


# --- policies ---


def test_slot_has_as_many_hosts_and_rules_as_its_size_says():
    size = policies.Size(30, 4, protocols=(6, 17))
    built = policies.slot_tables(size, slot=2, generation=7)
    hosts, rules = dict(built.entries["tcm_hosts4"]), dict(built.entries["tcm_rules"])
    assert len(hosts) == 30
    assert len(rules) == size.entries == 240
    assert all(abi.RULE.unpack(rule)[0] < abi.MAX_RULES for rule in rules.values())


def test_generations_share_no_identity_when_numbered_anew():
    old, new = (
        policies.slot_tables(policies.Size(30), slot=n, generation=n, first_identity=1 + 30 * n)
        for n in (1, 2)
    )
    identities = [{abi.PEER.unpack(v)[0] for _, v in t.entries["tcm_hosts4"]} for t in (old, new)]
    assert not identities[0] & identities[1]


def test_directly_made_slot_equals_what_the_agent_makes_of_the_same_policy():
    fleet = policies.fleet(10, 10, 1, port=policies.PORT)
    numbers = number_rules({}, rule_uids(fleet), set())
    agents = encode(fleet, slot=1, generation=3, mode=fleet.mode, numbers=numbers)
    ours = policies.slot_tables(policies.Size(10), slot=1, generation=3)
    named = {key[:4] for key, _ in agents.entries["tcm_rules"]}
    assert named  # the fleet's one rule names a tenth of the identities
    assert {k for k, _ in agents.entries["tcm_rules"]} <= {k for k, _ in ours.entries["tcm_rules"]}
    assert {k for k, _ in agents.entries["tcm_hosts4"]} == {
        k for k, _ in ours.entries["tcm_hosts4"]
    }


def test_unnamed_port_costs_six_lookups_and_is_refused():
    bundle = policies.six_shapes((testrun.PEER,))
    (group,) = (
        group
        for group in compile_bundle(bundle)
        if group.direction is Direction.INGRESS and 1 in group.identities
    )
    assert group.shapes.bit_count() == 6
    peer = ip_address(testrun.PEER)
    flow = NewFlow(Direction.INGRESS, peer, 6, testrun.UNNAMED_PORT)
    assert evaluate(bundle, flow).action is Action.DENY


def test_fleet_makes_one_rule_entry_a_host():
    groups = compile_bundle(policies.fleet(1000, 100, 100, port=8000))
    assert sum(len(group.identities) * len(group.decisions) for group in groups) == 1000
