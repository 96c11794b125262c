#!/usr/bin/python3
# WANT_JSON
"""What a fake host says of itself."""

import sys

sys.path.insert(0, __import__("os").environ["FAKE_HOST"] + "/..")
from fakehost_state import Host, answer, arguments

host = Host()
host.note("look")
answer(host.look(arguments()))
