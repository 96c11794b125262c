#!/usr/bin/python3
# WANT_JSON
"""A change of policy on a fake host."""

import sys

sys.path.insert(0, __import__("os").environ["FAKE_HOST"] + "/..")
from fakehost_state import Host, answer, arguments

host, args = Host(), arguments()
answer(host.policy_stage(args))
