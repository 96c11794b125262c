"""What documents of every kind have: a name, and fields for people."""

from __future__ import annotations

from tcmicro_agent.policy.intent import About, Word
from tcmicro_agent.policy.source.fields import Fields
from tcmicro_agent.policy.source.words import name_of


def read_metadata(doc: Fields) -> tuple[Word, About]:
    """The name of a document and what is said about it."""
    metadata = doc.fields("metadata", "metadata")
    name = metadata.read("name", name_of, Word("", doc.where))
    about = read_about(metadata)
    metadata.close()
    return name, about


def read_about(fields: Fields) -> About:
    """Fields for people: they must be text and change nothing."""
    return About(
        fields.text("owner", ""), fields.text("ticket", ""), fields.text("description", "")
    )
