#!/usr/bin/python3 -I
"""Run the agent of the release this file stands in, and nothing from anywhere else."""

import os
import sys

RELEASE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(RELEASE, "lib"))

from tcmicro_agent.cli import main  # noqa: E402

sys.exit(main())
