"""What the role monitoring writes, as filters make it of the inventory and the variables."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring import (
    alerting,
    documents,
    outcome,
    server,
    shown,
    targets,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring.faults import MonitoringError

HASH = "$2y$05$" + "a" * 53
HOSTS = {
    "web1": {
        "ansible_host": "10.0.0.1",
        "tcmicro_addresses": ["10.0.0.1", "fd00::1"],
        "group_names": ["web", "all", "tcmicro"],
        "tcmicro_labels": {"tier": "frontend"},
        "tcmicro_site": "north",
        "tcmicro_rack": None,
    },
    "db1": {"ansible_host": "fd00::2", "group_names": []},
    "named.example.com": {},
}


def only(host, **variables):
    return targets.scrape_targets([host], {host: {**HOSTS[host], **variables}})[0]


def test_inventory_becomes_targets_with_groups_and_places_as_labels():
    found = targets.scrape_targets(["web1", "db1", "named.example.com"], HOSTS)
    assert found == [
        {"targets": ["[fd00::2]:9931"], "labels": {"instance": "db1", "groups": ",,"}},
        {
            "targets": ["named.example.com:9931"],
            "labels": {"instance": "named.example.com", "groups": ",,"},
        },
        {
            "targets": ["10.0.0.1:9931"],
            "labels": {
                "instance": "web1",
                "groups": ",tcmicro,web,",
                "site": "north",
                "label_tier": "frontend",
            },
        },
    ]


@pytest.mark.parametrize(
    ("said", "target"),
    [
        ({"tcmicro_agent_metrics_port": 9000}, "10.0.0.1:9000"),
        ({"tcmicro_agent_metrics_address": "::"}, "10.0.0.1:9931"),
        ({"tcmicro_agent_metrics_address": "0.0.0.0"}, "10.0.0.1:9931"),
        ({"tcmicro_agent_metrics_address": "192.0.2.9"}, "192.0.2.9:9931"),
        ({"tcmicro_agent_metrics_address": "fd00::9"}, "[fd00::9]:9931"),
    ],
)
def test_target_is_where_the_agent_listens(said, target):
    assert only("web1", **said)["targets"] == [target]


def test_agent_with_tls_is_scraped_over_it():
    tls = {"tcmicro_agent_metrics_tls": {"certificate": "/c", "key": "/k"}}
    assert only("web1", **tls)["labels"]["__scheme__"] == "https"
    assert "__scheme__" not in only("web1")["labels"]


def test_hosts_that_nobody_can_scrape_are_named_all_at_once():
    wrong = {
        "a": {"tcmicro_agent_metrics_address": "127.0.0.1"},
        "b": {"tcmicro_agent_metrics_address": "::ffff:127.0.0.1"},
        "c": {"tcmicro_labels": {"good": 1, "not-good": 2}},
    }
    with pytest.raises(MonitoringError) as caught:
        targets.scrape_targets(wrong, wrong)
    for part in ("a: tcmicro_agent_metrics_address is 127.0.0.1", "b: ", "c: ", "'not-good'"):
        assert part in str(caught.value)
    assert "'good'" not in str(caught.value)


def test_monitoring_hosts_and_the_host_itself_may_scrape():
    found = targets.scrapers(["web1", "db1"], HOSTS)
    assert found == ["127.0.0.0/8", "::1/128", "fd00::2/128", "10.0.0.1/32", "fd00::1/128"]
    assert targets.scrapers([], HOSTS) == []


def test_scraper_without_an_address_is_refused():
    with pytest.raises(MonitoringError, match="named.example.com.*tcmicro_addresses"):
        targets.scrapers(["web1", "named.example.com"], HOSTS)


SETTINGS = {
    "scrape_interval": "10s",
    "targets": "/t.json",
    "rules": "/r/*.yml",
    "alertmanager": "127.0.0.1:9093",
}


def test_configuration_scrapes_the_targets_and_loads_the_rules():
    found = server.prometheus_config(SETTINGS)
    assert set(found) == {"global", "rule_files", "alerting", "scrape_configs"}
    assert found["rule_files"] == ["/r/*.yml"]
    assert found["scrape_configs"] == [
        {"job_name": "tcmicro", "file_sd_configs": [{"files": ["/t.json"]}]}
    ]


def test_what_is_configured_besides_stands_in_it():
    more = {
        "scrape_tls": {"ca": "/ca.pem"},
        "remote_write": [{"url": "http://x/"}],
        "external_labels": {"site": "n"},
    }
    found = server.prometheus_config({**SETTINGS, **more})
    assert found["scrape_configs"][0]["tls_config"] == {"ca_file": "/ca.pem"}
    assert found["remote_write"] == [{"url": "http://x/"}]
    assert found["global"]["external_labels"] == {"site": "n"}


STORE = {"url": "https://store.example.com/write", "basic_auth": {"username": "u", "password": "p"}}


def test_samples_are_sent_to_every_store_as_said():
    found = server.prometheus_config({**SETTINGS, "remote_write": [STORE, {"url": "http://b:1/"}]})
    assert found["remote_write"] == [STORE, {"url": "http://b:1/"}]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("http://x/", r"monitoring_remote_write\[0\]: no mapping"),
        ({}, r"monitoring_remote_write\[0\]\.url: not a URL"),
        ({"url": "store/write"}, "not a URL"),
        ({"url": "ftp://store/"}, "not a URL"),
        ({"url": "http://[::1/"}, "not a URL"),
        ({"url": "http://u:secret@store/"}, "url: holds a name or password"),
        ({**STORE, "user": "x"}, "user: unknown; allowed are authorization, basic_auth"),
        ({**STORE, "authorization": {"credentials": "t"}}, "authorization: there is basic_auth"),
        ({**STORE, "tls_config": {"cert_file": "/c"}}, "cert_file and key_file"),
    ],
)
def test_store_that_nothing_could_be_sent_to_is_refused(wrong, says):
    with pytest.raises(MonitoringError, match=says) as caught:
        server.prometheus_config({**SETTINGS, "remote_write": [wrong]})
    assert "secret" not in str(caught.value)


def test_faults_of_all_stores_are_said_together():
    stores = [{"name": "a"}, {**STORE, "name": "a", "x": 1}]
    with pytest.raises(MonitoringError, match=r"\[0\]\.url.*\[1\]\.x.*'a' is taken twice"):
        server.prometheus_config({**SETTINGS, "remote_write": stores})


def test_half_of_what_is_shown_to_agents_is_refused():
    with pytest.raises(MonitoringError, match="monitoring_scrape_tls"):
        server.prometheus_config({**SETTINGS, "scrape_tls": {"certificate": "/c.pem"}})


def test_a_scrape_ends_within_its_interval():
    timeouts = {
        every: server.prometheus_config({**SETTINGS, "scrape_interval": every})["global"]
        for every in ("2s", "10s", "1m")
    }
    assert [timeouts[every]["scrape_timeout"] for every in timeouts] == ["2s", "10s", "10s"]


@pytest.mark.parametrize("wrong", ["10", "soon", "", "10 s"])
def test_interval_that_is_none_is_refused(wrong):
    with pytest.raises(MonitoringError, match="monitoring_scrape_interval"):
        server.prometheus_config({**SETTINGS, "scrape_interval": wrong})


def test_web_configuration_has_tls_and_users():
    tls = {"certificate": "/c", "key": "/k", "client_ca": "/ca"}
    assert server.web_config({}, {}) == {}
    assert server.web_config(tls, {"gate": HASH}) == {
        "tls_server_config": {
            "cert_file": "/c",
            "key_file": "/k",
            "client_ca_file": "/ca",
            "client_auth_type": "RequireAndVerifyClientCert",
        },
        "basic_auth_users": {"gate": HASH},
    }


def test_password_is_no_hash_and_is_not_repeated():
    with pytest.raises(MonitoringError) as caught:
        server.web_config({}, {"gate": "hunter2", "good": HASH})
    assert "monitoring_users.gate" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_half_of_tls_is_refused_together_with_a_wrong_hash():
    with pytest.raises(MonitoringError, match="monitoring_tls: no key.*monitoring_users.gate"):
        server.web_config({"certificate": "/c"}, {"gate": ""})


COMMAND = {"address": "::1", "port": 9090, "retention_time": "15d", "retention_size": "", "web": ""}


def test_command_line_says_where_and_how_long():
    assert server.arguments(COMMAND) == (
        "--web.listen-address=[::1]:9090 --storage.tsdb.retention.time=15d"
    )
    full = server.arguments({**COMMAND, "retention_size": "20GB", "web": "/w.yml"})
    assert full.endswith("--storage.tsdb.retention.size=20GB --web.config.file=/w.yml")


def test_retention_that_is_none_is_refused_with_both_faults():
    with pytest.raises(MonitoringError, match="retention_time.*retention_size"):
        server.arguments({**COMMAND, "retention_time": "long", "retention_size": '1" --x'})


def test_existing_server_that_knows_us_lacks_nothing():
    config = {
        "rule_files": ["/other.yml", "/rules/*.yml"],
        "scrape_configs": [{"job_name": "other"}, server.job("/t.json", {})],
    }
    assert server.unregistered(config, "/t.json", "/rules") == {}


@pytest.mark.parametrize(
    ("config", "lacks"),
    [
        ({}, {"rule_files", "scrape_configs"}),
        ({"rule_files": ["/rules/*.yml"]}, {"scrape_configs"}),
        ({"scrape_configs": [server.job("/t.json", {})]}, {"rule_files"}),
        (
            {"scrape_configs": [{**server.job("/t.json", {}), "job_name": "x"}]},
            {"rule_files", "scrape_configs"},
        ),
    ],
)
def test_existing_server_is_told_what_to_add(config, lacks):
    assert set(server.unregistered(config, "/t.json", "/rules")) == lacks


def test_existing_server_is_told_how_agents_are_checked():
    lacks = server.unregistered({}, "/t.json", "/rules", {"ca": "/ca.pem"})
    assert lacks["scrape_configs"][0]["tls_config"] == {"ca_file": "/ca.pem"}


def test_what_is_no_configuration_is_refused():
    with pytest.raises(MonitoringError, match="monitoring_config"):
        server.unregistered([], "/t.json", "/rules")


PAGER = {"name": "pager", "webhook_configs": [{"url": "http://127.0.0.1:1/"}]}


def test_alerts_go_to_who_is_to_be_told_and_else_to_nobody():
    found = alerting.alertmanager_config([PAGER], {"critical": "pager", "info": ""})
    assert found["route"]["receiver"] == "nobody"
    assert found["route"]["routes"] == [{"receiver": "pager", "matchers": ['severity="critical"']}]
    assert [receiver["name"] for receiver in found["receivers"]] == ["nobody", "pager"]


def test_routes_of_the_operator_come_first():
    own = {"receiver": "pager", "matchers": ['groups=~".*,db,.*"']}
    found = alerting.alertmanager_config([PAGER], {"critical": "pager"}, [own])
    assert found["route"]["routes"][0] == own


def test_receivers_that_are_not_there_are_named_all_at_once():
    with pytest.raises(MonitoringError) as caught:
        alerting.alertmanager_config(
            [PAGER, PAGER], {"critical": "mail", "loud": "pager"}, [{"receiver": "chat"}]
        )
    for part in ("monitoring_receivers[1]", "'mail'", "'loud'", "monitoring_routes[0]", "pager"):
        assert part in str(caught.value)


def target(host, health, error=""):
    return {"labels": {"instance": host, "job": "tcmicro"}, "health": health, "lastError": error}


def test_who_is_not_scraped_is_named_with_why():
    active = [target("a", "up"), target("b", "down", "connection refused"), target("c", "unknown")]
    other = {"labels": {"instance": "d", "job": "node"}, "health": "up", "lastError": ""}
    answer = {"data": {"activeTargets": [*active, other]}}
    assert outcome.not_scraped(answer, "abcd") == [
        "b: connection refused",
        "c: not scraped yet",
        "d: the server has no such target",
    ]
    assert outcome.not_scraped(answer, ["a"]) == []
    assert outcome.not_scraped({}, ["a"]) == ["a: the server has no such target"]


EVERYTHING = {
    "prometheus": SETTINGS,
    "web": {"tls": {}, "users": {}},
    "arguments": COMMAND,
    "alertmanager": {"receivers": [], "told": {}, "routes": []},
}


def test_all_documents_are_made_together():
    found = documents.documents(EVERYTHING, ["web1"], HOSTS)
    assert list(found) == ["targets", "prometheus", "web", "arguments", "alertmanager"]


def test_faults_of_all_documents_are_said_together():
    wrong = {
        **EVERYTHING,
        "prometheus": {**SETTINGS, "scrape_interval": "x"},
        "alertmanager": {"receivers": [], "told": {"critical": "pager"}, "routes": []},
    }
    with pytest.raises(MonitoringError, match=r"monitoring_scrape_interval.*monitoring_told"):
        documents.documents(wrong, ["web1"], HOSTS)


@pytest.mark.parametrize(
    ("server_name", "secret"),
    [("prometheus", "remote_write:\n- url: x\n"), ("alertmanager", "webhook_configs: []\n")],
)
def test_configuration_is_shown_unless_it_holds_passwords_before_or_after(server_name, secret):
    plain = "global: {}\n"
    assert shown.may_be_shown(["", plain], server_name)
    assert not shown.may_be_shown([secret, plain], server_name)
    assert not shown.may_be_shown([plain, secret], server_name)


def test_scrapes_are_no_secret():
    assert shown.may_be_shown(["scrape_configs: []", "static_configs: []"], "prometheus")
