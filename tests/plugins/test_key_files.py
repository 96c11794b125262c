"""Public keys of the inventory as files, and what is refused before a host has it."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.key_files import (
    KeyFilesError,
    key_files,
)
from signatures import new_key, pem

KEY = pem(new_key())


def test_each_key_is_a_file_with_one_newline_at_its_end():
    assert key_files({"ci": f"\n{KEY}\n\n"}, "/keys") == {"/keys/ci.pem": f"{KEY.strip()}\n"}
    assert key_files({}, "/keys") == {}


def test_all_that_is_no_key_is_named_at_once():
    keys = {"../up": KEY, "secret": KEY.replace("PUBLIC", "PRIVATE"), "none": None, "ok": KEY}
    with pytest.raises(KeyFilesError) as refused:
        key_files(keys, "/keys")
    said = str(refused.value)
    assert said.startswith("keys of /keys: '../up' is no name")
    assert "secret: is no public key in PEM" in said
    assert "none: is no public key in PEM" in said
    assert "ok:" not in said


def test_keys_that_are_no_mapping_are_refused():
    with pytest.raises(KeyFilesError, match="no mapping of names to PEM"):
        key_files([KEY], "/keys")
