"""Our programs on the interfaces of this host, kept as configured while links come and go."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tcmicro_agent import interfaces, messages
from tcmicro_agent.config import Config, HookKind
from tcmicro_agent.datapath import hooks
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.errors import KernelError
from tcmicro_agent.interfaces import Interface, Link
from tcmicro_agent.messages import Event


@dataclass(frozen=True)
class Survey:
    """What there is and what of it to guard. With `problems` nothing that is guarded is let go."""

    links: tuple[Link, ...] = ()
    guarded: tuple[Interface, ...] = ()
    problems: tuple[str, ...] = ()


def survey(kernel: Kernel, config: Config) -> Survey:
    found = kernel.links()
    wanted = interfaces.guardable(found, config.interfaces)
    problems = interfaces.problems(found, config.interfaces)
    if problems:
        # a name that fits nothing is no order to leave an interface unguarded
        hooked = {index for _, index in kernel.hooked()} - {one.index for one in wanted}
        wanted += [
            Interface(link.name, link.index, link.framing)
            for link in found
            if link.index in hooked and link.framing
        ]
    return Survey(found, tuple(wanted), tuple(problems))


def attach(kernel: Kernel, config: Config) -> None:
    """Attaches or swaps the programs everywhere. Raises when that fails everywhere; what is missing is drift."""
    guarded = survey(kernel, config).guarded
    faults = []
    for interface in guarded:
        try:
            kernel.attach(config.hook.value, interface)
        except (KernelError, OSError) as exc:
            faults.append(exc)
    if faults and len(faults) == len(guarded):
        raise faults[0]


def detach(kernel: Kernel) -> list[str]:
    """Takes everything of ours off every interface, guarded now or once; the names of those that are still there."""
    names = {link.index: link.name for link in kernel.links()}
    found = kernel.hooked()
    for hook, index in found:
        hooks.remove(hook, index)
    return sorted({names[index] for _, index in found if index in names})


class Attachments:
    """Repairs what differs. `repairs` counts programs that were gone though their interface was not."""

    def __init__(self, kernel: Kernel) -> None:
        self.repairs: Counter[tuple[str, str]] = Counter()  # by interface and direction
        self._kernel = kernel
        self._hook = HookKind.AUTO
        self._seen: set[int] = set()  # indexes of interfaces that had both programs
        self._faults: list[Event] = []
        self._settled: tuple[tuple[Link, ...], Config] | None = None
        self._guarded: tuple[Interface, ...] = ()

    def intact(self, config: Config) -> bool:
        """Whether all is as `converge` left it, as far as nobody announces it: tcx links go silently. Cheap."""
        return self._settled is not None and all(
            all(self._kernel.attached(config.hook.value, interface).values())
            for interface in self._guarded
            if self._kernel.hook(config.hook.value, interface).name == "tcx"
        )

    def converge(self, config: Config, *, newcomers: bool = True) -> list[Event]:
        """Attaches what is missing, then lets go what is not ours to guard; returns what it did.

        Without `newcomers` links that were never attached to wait, and only what is gone is let go: many are made in
        several steps, and end as a port of a bridge or in a container.
        """
        found = survey(self._kernel, config)
        self._guarded = found.guarded
        self._forget(found.links, config.hook)
        wanted = [one for one in found.guarded if newcomers or one.index in self._seen]
        done, faults, attached = self._attach(config, wanted)
        # frames of a VLAN pass its parent from after they are judged on the VLAN until before they are not
        if self._kernel.set_vlans(interfaces.vlan_keys(found.links, attached)):
            done.append(messages.VLANS_UPDATED())
        if self._settled != (found.links, config):
            done += self._let_go(config, found, attached if newcomers else None)
            self._settled = (found.links, config) if newcomers and not faults else None
        done += faults if faults != self._faults else []
        self._faults = faults
        return done

    def _forget(self, present: tuple[Link, ...], hook: HookKind) -> None:
        """What goes with its interface, or with another configuration, is no repair when it comes back."""
        self._seen &= {link.index for link in present} if hook is self._hook else set()
        self._hook = hook

    def _attach(
        self, config: Config, wanted: list[Interface]
    ) -> tuple[list[Event], list[Event], set[int]]:
        """What was done, what failed, and the indexes of the interfaces that have both programs."""
        done: list[Event] = []
        faults: list[Event] = []
        attached = set()
        for interface in wanted:
            try:
                done += self._keep(config.hook, interface)
                attached.add(interface.index)
            except (KernelError, OSError) as exc:
                faults.append(messages.ATTACH_FAILED(interface=interface.name, problem=exc))
        return done, faults, attached

    def _keep(self, hook: HookKind, interface: Interface) -> list[Event]:
        there = self._kernel.attached(hook.value, interface)
        missing = [way.name.lower() for way, on in there.items() if not on]
        known = interface.index in self._seen
        if missing:
            self._kernel.attach(hook.value, interface)
        self._seen.add(interface.index)
        if not missing:
            return []
        if not known:
            return [messages.ATTACHED(interface=interface.name)]
        self.repairs.update((interface.name, way) for way in missing)
        return [messages.PUT_BACK(interface=interface.name, directions=" and ".join(missing))]

    def _let_go(self, config: Config, found: Survey, attached: set[int] | None) -> list[Event]:
        """What hangs where it should not; with no `attached` only what is gone, as others may have no new judge yet."""
        names = {link.index: link.name for link in found.links}
        guarded = {interface.index: interface for interface in found.guarded}
        done = []
        for hook, index in self._kernel.hooked():
            interface = guarded.get(index)
            if index not in names:
                reason = f"interface {index} is gone"
            elif attached is None:
                continue
            elif interface is None:
                reason = f"{names[index]} is not guarded any more"
            elif (
                index in attached
                and self._kernel.hook(config.hook.value, interface).name != hook.name
            ):
                reason = f"{names[index]} is guarded by another hook"
            else:
                continue
            hooks.remove(hook, index)
            done.append(messages.LET_GO(reason=reason, hook=hook.name))
        return done
