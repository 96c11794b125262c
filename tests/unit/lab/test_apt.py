"""The host's apt sources and settings, as the root tree is built from them."""

from __future__ import annotations

import pytest
from tcmicro_lab import apt

DEB822 = """\
# a comment
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb-src
URIs: http://mirror.example/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""
ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb http://mirror.example/debian bookworm main  # and more
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian-security bookworm-security main
deb-src http://mirror.example/debian bookworm main
deb http://tools.example/apt bookworm stable
deb http://mirror.example/debian trixie main
"""


def test_deb822_becomes_one_line_per_suite_of_the_archive():
    signed = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian"
    assert apt.sources({"debian.sources": DEB822}, "bookworm") == (
        f"{signed} bookworm main contrib",
        f"{signed} bookworm-updates main contrib",
    )


def test_one_line_entries_of_other_suites_and_other_people_are_left_out():
    assert apt.sources({"/etc/apt/sources.list": ONE_LINE}, "bookworm") == (
        "deb http://mirror.example/debian bookworm main",
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian-security bookworm-security main",
    )


def test_a_host_of_another_suite_gives_no_sources():
    assert apt.sources({"sources.list": ONE_LINE, "debian.sources": DEB822}, "sid") == ()


def test_the_same_entry_counts_once():
    line = "deb http://mirror.example/debian bookworm main\n"
    assert len(apt.sources({"a.list": line, "b.list": line}, "bookworm")) == 1


@pytest.mark.parametrize(
    ("line", "passed_on"),
    [
        ('Acquire::Check-Valid-Until "false";', True),
        ('Acquire::http::Proxy "http://proxy.example:3128";', True),
        ('Acquire::http "";', False),
        ('Acquire::Languages:: "none";', False),
        ('Dir::Cache "var/cache/apt";', False),
    ],
)
def test_settings_that_a_download_needs_are_passed_on(line, passed_on):
    assert apt.options(line) == ((line,) if passed_on else ())
