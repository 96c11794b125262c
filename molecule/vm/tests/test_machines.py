"""What is there on virtual machines alone: a kernel for each."""

from __future__ import annotations

KERNELS = {"web1": "6.1.", "db1": "6.12.", "client1": "5.10."}


def test_machine_has_the_kernel_it_is_there_for(host):
    name, kernel = host.check_output("uname -n -r").split()
    assert kernel.startswith(KERNELS[name])
