"""What documents of every kind have: a name, and fields for people."""

from __future__ import annotations

from tcmicro_agent.policy.intent import Word
from tcmicro_agent.policy.source.fields import Fields
from tcmicro_agent.policy.source.words import name_of

FOR_PEOPLE = ("owner", "ticket", "description")


def read_name(doc: Fields) -> Word:
    """The name of a document, out of its metadata."""
    metadata = doc.fields("metadata", "metadata")
    name = metadata.read("name", name_of, Word("", doc.where))
    describe(metadata)
    metadata.close()
    return name


def describe(fields: Fields) -> None:
    """Fields for people: they must be text and change nothing."""
    for key in FOR_PEOPLE:
        fields.text(key, "")
