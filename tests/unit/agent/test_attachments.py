"""Programs kept on interfaces while links, configuration and other people change them."""

from __future__ import annotations

from collections import Counter

import pytest

from tcmicro_agent import attachments
from tcmicro_agent.abi import Direction
from tcmicro_agent.attachments import Attachments, survey
from tcmicro_agent.config import Config, HookKind
from tcmicro_agent.errors import KernelError
from tcmicro_agent.interfaces import Framing, Interface, Link

ETH0, ETH1 = Link("eth0", 2), Link("eth1", 3)
BR0 = Link("br0", 11, "bridge")
VLAN7 = Link("eth0.7", 5, "vlan", parent=2, vlan=7)
AUTO = Config()


class FakeHook:
    """`journal` gets a line for every change, of all hooks and the VLANs in their order."""

    def __init__(self, name: str, journal: list[str]) -> None:
        self.name = name
        self.on: set[tuple[int, Direction]] = set()
        self._journal = journal

    def detach(self, index: int, direction: Direction) -> None:
        self.on.discard((index, direction))
        if direction is Direction.EGRESS:
            self._journal.append(f"-{self.name} {index}")

    def present(self) -> set[int]:
        return {index for index, _ in self.on}


class FakeKernel:
    """Interfaces with two kinds of hook; attaching to those in `broken` fails."""

    def __init__(self, *links: Link) -> None:
        self.present = links
        self.journal: list[str] = []
        self.tcx, self.clsact = FakeHook("tcx", self.journal), FakeHook("clsact", self.journal)
        self.keys: set[tuple[int, int]] = set()
        self.broken: set[int] = set()

    def links(self) -> tuple[Link, ...]:
        return tuple(self.present)

    def hook(self, kind: str, interface: Interface) -> FakeHook:
        return self.clsact if kind == "clsact" else self.tcx

    def hooked(self) -> list[tuple[FakeHook, int]]:
        return [(hook, index) for hook in (self.tcx, self.clsact) for index in hook.present()]

    def attached(self, kind: str, interface: Interface) -> dict[Direction, bool]:
        on = self.hook(kind, interface).on
        return {way: (interface.index, way) in on for way in Direction}

    def attach(self, kind: str, interface: Interface) -> None:
        if interface.index in self.broken:
            raise KernelError("no such device")
        hook = self.hook(kind, interface)
        hook.on |= {(interface.index, way) for way in Direction}
        self.journal.append(f"+{hook.name} {interface.index}")

    def set_vlans(self, wanted: set[tuple[int, int]]) -> bool:
        changed, self.keys = wanted != self.keys, wanted
        if changed:
            self.journal.append(f"vlans {sorted(wanted)}")
        return changed

    def did(self) -> list[str]:
        done, self.journal[:] = list(self.journal), []
        return done


def kept(kernel: FakeKernel, config: Config = AUTO) -> Attachments:
    made = Attachments(kernel)
    made.converge(config)
    kernel.did()
    return made


def test_attaches_once_and_says_so():
    kernel = FakeKernel(ETH0, ETH1)
    made = Attachments(kernel)
    assert made.converge(AUTO) == ["attached to eth0", "attached to eth1"]
    assert made.converge(AUTO) == []
    assert kernel.did() == ["+tcx 2", "+tcx 3"]
    assert made.repairs == Counter()


def test_a_removed_program_is_put_back_and_counted():
    kernel = FakeKernel(ETH0, ETH1)
    made = kept(kernel)
    kernel.tcx.on.discard((2, Direction.EGRESS))
    assert made.converge(AUTO) == ["eth0: our program was gone from egress, put back"]
    kernel.tcx.on.clear()
    made.converge(AUTO)
    expected = {("eth0", "ingress"): 1, ("eth0", "egress"): 2}
    assert made.repairs == expected | {("eth1", "ingress"): 1, ("eth1", "egress"): 1}


def test_a_link_that_comes_back_was_not_robbed():
    kernel = FakeKernel(ETH0, ETH1)
    made = kept(kernel)
    kernel.present = (ETH0,)
    assert made.converge(AUTO) == ["interface 3 is gone: tcx let go"]
    kernel.present = (ETH0, ETH1)
    assert made.converge(AUTO) == ["attached to eth1"]
    assert made.repairs == Counter()


def test_a_new_judge_is_there_before_the_old_one_goes():
    kernel = FakeKernel(ETH0)
    made = kept(kernel)
    kernel.present = (Link("eth0", 2, master=11), BR0)
    assert made.converge(AUTO, newcomers=False) == []
    made.converge(AUTO)
    assert kernel.did() == ["+tcx 11", "-tcx 2"]


def test_a_vlans_frames_pass_the_parent_only_while_they_are_judged_on_the_vlan():
    kernel = FakeKernel(ETH0, VLAN7)
    made = Attachments(kernel)
    made.converge(AUTO)
    assert kernel.did() == ["+tcx 2", "+tcx 5", "vlans [(2, 7)]"]
    made.converge(Config(interfaces=("eth0",)))
    assert kernel.did() == ["vlans []", "-tcx 5"]


def test_a_vlan_that_cannot_be_attached_to_is_judged_on_its_parent():
    kernel = FakeKernel(ETH0, VLAN7)
    made = kept(kernel)
    kernel.tcx.on -= {(5, way) for way in Direction}
    kernel.broken = {5}
    said = made.converge(AUTO)
    assert kernel.keys == set()
    assert said[-1] == "eth0.7: no such device"
    assert made.converge(AUTO) == []  # said once
    kernel.broken = set()
    made.converge(AUTO)
    assert kernel.keys == {(2, 7)}


def test_what_is_gone_goes_at_once_what_is_new_waits():
    kernel = FakeKernel(ETH0, VLAN7)
    made = kept(kernel)
    kernel.present = (ETH0, Link("eth0.7", 6, "vlan", parent=2, vlan=7))  # made anew
    made.converge(AUTO, newcomers=False)
    assert kernel.did() == ["vlans []", "-tcx 5"]
    made.converge(AUTO)
    assert kernel.did() == ["+tcx 6", "vlans [(2, 7)]"]


@pytest.mark.parametrize(("before", "after"), [("tcx", "clsact"), ("clsact", "tcx")])
def test_another_kind_of_hook_takes_over_without_a_gap(before, after):
    kernel = FakeKernel(ETH0)
    made = kept(kernel, Config(hook=HookKind(before)))
    made.converge(Config(hook=HookKind(after)))
    assert kernel.did() == [f"+{after} 2", f"-{before} 2"]
    assert made.repairs == Counter()


def test_the_old_hook_stays_while_the_new_one_cannot_be_had():
    kernel = FakeKernel(ETH0)
    made = kept(kernel, Config(hook=HookKind.CLSACT))
    kernel.broken = {2}
    made.converge(Config(hook=HookKind.TCX))
    assert kernel.clsact.present() == {2}
    kernel.broken = set()
    made.converge(Config(hook=HookKind.TCX))
    assert (kernel.tcx.present(), kernel.clsact.present()) == ({2}, set())


def test_an_interface_out_of_the_configuration_is_let_go():
    kernel = FakeKernel(ETH0, ETH1)
    made = kept(kernel)
    said = made.converge(Config(interfaces=("eth1",)))
    assert said == ["eth0 is not guarded any more: tcx let go"]


@pytest.mark.parametrize("typed", ["eht0", "eht*"])
def test_a_mistyped_name_lets_nothing_go(typed):
    kernel = FakeKernel(ETH0, ETH1)
    made = kept(kernel)
    wrong = Config(interfaces=(typed,))
    made.converge(wrong)
    assert kernel.tcx.present() == {2, 3}
    assert len(survey(kernel, wrong).problems) == 1


def test_a_named_interface_that_becomes_a_port_stays_guarded_and_is_told():
    config = Config(interfaces=("eth0",))
    kernel = FakeKernel(ETH0)
    made = kept(kernel, config)
    kernel.present = (Link("eth0", 2, master=11), BR0)
    made.converge(config)
    assert kernel.tcx.present() == {2}
    assert "it is part of br0" in survey(kernel, config).problems[0]


def test_a_named_port_is_not_attached_to():
    kernel = FakeKernel(Link("eth0", 2, master=11), BR0)
    Attachments(kernel).converge(Config(interfaces=("eth0", "br0")))
    assert kernel.tcx.present() == {11}


def test_one_broken_interface_does_not_keep_the_others_waiting():
    kernel = FakeKernel(ETH0, ETH1)
    kernel.broken = {2}
    attachments.attach(kernel, AUTO)
    assert kernel.tcx.present() == {3}
    kernel.broken = {2, 3}
    with pytest.raises(KernelError):
        attachments.attach(kernel, AUTO)


def test_detach_finds_what_was_guarded_once():
    kernel = FakeKernel(ETH0, ETH1, Link("wg0", 4, "wireguard", Framing.IP))
    kept(kernel)
    kernel.clsact.on.add((3, Direction.INGRESS))
    kernel.present = (ETH0, Link("eth1", 3, master=9))
    assert attachments.detach(kernel) == ["eth0", "eth1"]
    assert kernel.hooked() == []
