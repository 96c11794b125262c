"""A connection to a fake host: commands run here, with FAKE_HOST naming its folder. A host with a file `down` in it is
out of reach; one that goes down while a command runs is lost with its answer."""

from __future__ import annotations

DOCUMENTATION = """
name: fakehost
short_description: A fake host
description: Commands run on the controller.
extends_documentation_fragment: [connection_pipelining]
options:
  become_success_timeout: {type: int, default: 10, description: As for local.}
  become_strip_preamble: {type: bool, default: true, description: As for local.}
  folder:
    type: path
    description: Folder of the host.
    vars: [{name: fake_folder}]
"""

import shlex
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as Local


class Connection(Local):
    transport = "fakehost"

    def _reach(self):
        if (Path(self.get_option("folder")) / "down").exists():
            raise AnsibleConnectionFailure("ssh: connect to host: No route to host")

    def exec_command(self, cmd, in_data=None, sudoable=True):
        self._reach()
        named = f"FAKE_HOST={shlex.quote(self.get_option('folder'))} {cmd}"
        done = super().exec_command(named, in_data=in_data, sudoable=sudoable)
        self._reach()
        return done

    def put_file(self, in_path, out_path):
        self._reach()
        return super().put_file(in_path, out_path)

    def reset(self):
        self._reach()
