"""Documents of kind PolicyTest → intent."""

from __future__ import annotations

from tcmicro_agent.jsonutil import show
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.intent import Case, End, EndKind, PolicyTest, Word
from tcmicro_agent.policy.model import Action, Protocol, Service
from tcmicro_agent.policy.problems import Fault
from tcmicro_agent.policy.source.fields import NO_ITEMS, Fields, some_of
from tcmicro_agent.policy.source.metadata import read_about, read_metadata
from tcmicro_agent.policy.source.nodes import Node
from tcmicro_agent.policy.source.words import address_of, services_of, word_of

READERS = {EndKind.HOST: word_of, EndKind.GROUP: word_of, EndKind.ADDRESS: address_of}
PING = Service(Protocol.ICMP)
END_KEYS = tuple(kind.value for kind in EndKind)


def read_policy_test(doc: Fields) -> PolicyTest:
    name, spec = read_metadata(doc)[0], doc.fields("spec", "spec")
    nodes = spec.read("cases", some_of, NO_ITEMS)
    found = PolicyTest(name, tuple(_case(Fields(node, "a case", doc.problems)) for node in nodes))
    spec.close()
    doc.close()
    return found


def _case(fields: Fields) -> Case:
    case = Case(
        where=fields.where,
        source=_end(fields, "from"),
        target=_end(fields, "to"),
        service=fields.read("port", _one_port, PING),
        expect=fields.choice("expect", Action),
    )
    read_about(fields)
    fields.close()
    return case


def _end(fields: Fields, key: str) -> End:
    end = fields.fields(key, key)
    nobody = End(EndKind.HOST, Word("", end.where))
    end.need_one(END_KEYS)
    found = [
        End(kind, end.read(kind.value, READERS[kind], nobody.name))
        for kind in EndKind
        if end.has(kind.value)
    ]
    for other in found[1:]:
        text = f"{show(other.kind.value)} cannot stand beside {show(found[0].kind.value)}"
        end.add(other.name.where, Code.NOT_ALLOWED, text)
    end.close()
    return found[0] if found else nobody


def _one_port(node: Node) -> Service:
    """A flow has one protocol and port."""
    services = services_of(node)
    if services == (PING,) or services[0].first == services[0].last:
        return services[0]
    raise Fault(
        node.where, Code.PORT, f"{show(node.value)} is not one port; write it like tcp/5432 or icmp"
    )
