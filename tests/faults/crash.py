"""A fault for drills, appended to tcmicro_agent/daemon.py: the daemon dies a few seconds after each start."""

import os
import sys
import threading

if sys.argv[1:2] == ["run"]:
    threading.Timer(4, os._exit, (1,)).start()
