"""A policy between being live and being kept: who may say so, what has to be shown, and leases. Safe to cut and to
repeat: the kernel holds the deadline, and what it holds is written down afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from tcmicro_agent import evidence
from tcmicro_agent.abi import Mode
from tcmicro_agent.config import Config
from tcmicro_agent.datapath import connection
from tcmicro_agent.datapath.sightings import Flow, Sightings
from tcmicro_agent.errors import RefusedError
from tcmicro_agent.evidence import Connection, Probe, Requirement, Sighting
from tcmicro_agent.policy.model import Action, Log
from tcmicro_agent.reconcile import Agent, Outcome, outcome_of
from tcmicro_agent.store import Store
from tcmicro_agent.transaction import State, Transaction

UNSEEN = (
    "until its deadline it may be confirmed again; where a firewall between lets ssh alone through, "
    "apply with --evidence ssh"
)
MS_NS = 1_000_000


def fence(store: Store, epoch: int | None, *, dry_run: bool = False) -> None:
    """Refuses a controller that another one has overtaken: epochs only grow here, over reboots too. Under the lock."""
    if epoch is None:
        return
    known = store.epoch()
    if epoch < known:
        raise RefusedError(
            f"epoch {epoch} is over: a controller of epoch {known} was here",
            hint="another controller has taken over; let it go on, or start anew with a higher epoch",
        )
    if epoch > known and not dry_run:
        store.save_epoch(epoch)


def connected() -> Connection | None:
    """The ssh connection that this command came by."""
    ends = connection.find()
    if ends is None:
        return None
    peer, local = (ip_address(text.partition("%")[0]) for text in (ends.peer, ends.local))
    return Connection(peer, ends.peer_port, local, ends.port, ends.born_ms)


@dataclass(frozen=True)
class Acceptance:
    """What a confirmation has to show, as the transaction demands it; refuses under the lock."""

    agent: Agent
    config: Config
    probes: Sequence[Probe] = ()
    find: Callable[[], Connection | None] = connected

    def __call__(self, found: Transaction) -> None:
        if found.evidence is Requirement.NONE:
            return
        fault = evidence.fault_of_connection(self.find(), found.flipped_ms)
        if not fault and found.evidence is Requirement.REQUIRED:
            fault = self._fault_of_probes(found)
        if fault:
            raise RefusedError(f"transaction {found.id} is not confirmed: {fault}", hint=UNSEEN)

    def _fault_of_probes(self, found: Transaction) -> str:
        telling = [p for p in self.probes if not evidence.is_failsafe(p, self.config.failsafe)]
        since_ns = found.flipped_ms * MS_NS
        seen = Sightings(self.agent.kernel, found.generation, since_ns, self._silent())
        sightings = [Sighting(probe, _verdict(seen, probe)) for probe in telling]
        return evidence.fault_of_probes(sightings, cut_off=self._cuts_off())

    def _silent(self) -> set[int]:
        """Counter indices of the rules whose decisions are not told."""
        bundle = self.agent.enforced(self.agent.observe().armed)
        rules, known = bundle.rules if bundle else (), self.agent.store.books().numbers
        return {known[r.uid] for r in rules if r.log is Log.NONE and r.uid in known}

    def _cuts_off(self) -> bool:
        """In mode monitor nothing is refused."""
        observed = self.agent.observe()
        after = self.agent.enforced(observed.armed)
        if observed.armed.mode is Mode.MONITOR or after is None:
            return False
        return evidence.cuts_off(
            self.agent.enforced(observed.previous), after, self.config.failsafe
        )


def _verdict(seen: Sightings, probe: Probe) -> Action | None:
    flow = Flow(probe.source, probe.source_port, probe.destination, probe.port, probe.protocol)
    if seen.allowed(flow):
        return Action.ALLOW
    return Action.DENY if seen.refused(flow) else None


def renew(agent: Agent, transaction_id: str, token: str, lease: int, epoch: int | None) -> Outcome:
    """Moves the end of a lease to so many seconds from now."""
    with agent.store.lock():
        fence(agent.store, epoch)
        found = _leased(agent, transaction_id, token)
        if found.state is State.CONFIRMED:
            return outcome_of(found, changed=False)
        agent.refuse_if_late(found)
        return agent.extend(found, lease)


def commit(agent: Agent, transaction_id: str, token: str, epoch: int | None) -> Outcome:
    """Keeps for good what is confirmed under a lease."""
    with agent.store.lock():
        fence(agent.store, epoch)
        found = _leased(agent, transaction_id, token)
        if found.state is State.CONFIRMED:
            return outcome_of(found, changed=False)
        return agent.extend(found, 0)


def _leased(agent: Agent, transaction_id: str, token: str) -> Transaction:
    found = agent.open_transaction(transaction_id, token)
    if found.state is State.PENDING:
        raise RefusedError(
            f"transaction {transaction_id} is not confirmed yet",
            hint="tc-micro policy confirm ID --token T --lease SECONDS comes first",
        )
    return found
