"""What becomes of one new flow, as a document: asked of the kernel, compared with the model. Changes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tcmicro_agent import abi, decisions, question
from tcmicro_agent.config import Config
from tcmicro_agent.datapath.ask import Answer, asking
from tcmicro_agent.documents import document
from tcmicro_agent.listing import PROTOCOLS
from tcmicro_agent.plan import Observed
from tcmicro_agent.policy import windows
from tcmicro_agent.question import Opinion, Question
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.tables import DIRECTIONS, VERDICTS


@dataclass(frozen=True)
class Side:
    """What the kernel or the model says: `rule` a uid, `source` file:line, `peer` the name of its identity; `audited`:
    denied by policies in mode monitor alone, so that it passes."""

    verdict: str
    reason: str
    rule: str
    source: str
    peer: str
    audited: bool


def explain(agent: Agent, config: Config, release: Path, asked: Question) -> dict[str, Any]:
    """The Explanation document; `agrees` is None where the bundle is not kept any more."""
    with asking(agent.kernel, release / "tcmicro.bpf.o") as ask:
        answer = ask(DIRECTIONS[asked.direction], question.packet(asked))
    observed = agent.observe()
    header = _header(observed, answer.generation)
    bundle = agent.enforced(header)
    names = decisions.Generations(agent).names(answer.generation)
    kernel = _of_kernel(answer, names)
    model = None
    if bundle is not None or not answer.generation:
        now = agent.clock.wall_s()
        meant = windows.in_force(bundle, now) if bundle else None
        model = _of_model(question.model(asked, meant, config.failsafe), names)
    return document(
        "Explanation",
        **asdict(kernel),
        direction=asked.direction.value,
        protocol=PROTOCOLS.get(asked.protocol, str(asked.protocol)),
        port=asked.port,
        address=str(asked.peer),
        **_in_force(observed, header, kernel),
        model=asdict(model) if model else None,
        agrees=model == kernel if model else None,
    )


def _header(observed: Observed, generation: int) -> abi.SlotHeader:
    """Of the slot that answered: what rules may have changed since."""
    found = (h for h in observed.headers if h.generation == generation)
    return next(found, observed.live)


def _in_force(observed: Observed, header: abi.SlotHeader, kernel: Side) -> dict[str, Any]:
    """Under which policy, and whether it drops what it refuses."""
    nothing = not header.generation
    pending = observed.pending and header.generation == observed.armed.generation
    mode = "none" if nothing else header.mode.name.lower()
    return {
        "generation": header.generation,
        "digest": "" if nothing else header.digest,
        "state": "none" if nothing else "pending" if pending else "committed",
        "mode": mode,
        "passes": kernel.verdict == "allow" or kernel.audited or mode == "monitor",
        "staged_share": observed.trial.share_at(observed.now_ms) if observed.staged else 0,
    }


def _of_kernel(answer: Answer, names: decisions.Names) -> Side:
    rule, source = names.rule(answer.rule)
    return Side(
        verdict="deny" if answer.audited else answer.verdict.name.lower(),
        reason=answer.reason.name.lower(),
        rule=rule,
        source=source,
        peer=names.identity(answer.identity),
        audited=answer.audited,
    )


def _of_model(said: Opinion, names: decisions.Names) -> Side:
    sources = dict(names.rules.values())
    return Side(
        verdict=VERDICTS[said.action].name.lower(),
        reason=said.reason,
        rule=said.rule,
        source=sources.get(said.rule, ""),
        peer=names.identity(said.identity),
        audited=said.audited,
    )
