"""Documents of the kinds AddressSet and PortSet → intent. A set names networks or ports and no other set."""

from __future__ import annotations

from tcmicro_agent.policy.intent import AddressSet, PortSet
from tcmicro_agent.policy.source.fields import Fields
from tcmicro_agent.policy.source.metadata import read_metadata
from tcmicro_agent.policy.source.words import network_of, services_of


def read_address_set(doc: Fields) -> AddressSet:
    name, spec = read_metadata(doc)[0], doc.fields("spec", "spec")
    found = AddressSet(name, spec.each("cidrs", network_of))
    spec.close()
    doc.close()
    return found


def read_port_set(doc: Fields) -> PortSet:
    name, spec = read_metadata(doc)[0], doc.fields("spec", "spec")
    found = PortSet(name, tuple(s for port in spec.each("ports", services_of) for s in port))
    spec.close()
    doc.close()
    return found
