"""Why each code is what it is, and what to do; docs/errors.md is written from it."""

from __future__ import annotations

from typing import NamedTuple

from tcmicro_agent.policy.codes import Code

PAGE = "docs/errors.md"


class Advice(NamedTuple):
    why: str
    fix: str


def link(code: Code) -> str:
    """Where the documentation of a code stands, in the repository."""
    return f"{PAGE}#{code.value.lower()}"


ADVICE = {
    Code.SYNTAX: Advice(
        "A file that is not YAML says nothing; to guess what was meant would change who may talk to whom.",
        "Look at the place that is named: mostly it is the indentation, a tab, an open quote or bracket, or a file "
        "that is not UTF-8.",
    ),
    Code.DUPLICATE_KEY: Advice(
        "YAML would silently take the last of the two, and half of a rule would be gone.",
        "Remove one, or join them: several rules are items of one `ingress` list.",
    ),
    Code.YAML_FEATURE: Advice(
        "A few lines of aliases can grow into gigabytes, and tags can name Python objects.",
        "Write the value out where it is used.",
    ),
    Code.TOO_LARGE: Advice(
        "Whatever text is handed to the controller, reading it must end soon.",
        "Split the file: its documents may stand in as many files as you like.",
    ),
    Code.UNREADABLE: Advice(
        "What cannot be read might hold a policy; to go on without it would open its hosts.",
        "Correct the path or the permissions. A directory without any file is refused too: one empty file in it says "
        "that no policy is meant.",
    ),
    Code.API_VERSION: Advice(
        "Another version of the language may mean other things by the same words.",
        "Write `apiVersion: tcmicro/v1`.",
    ),
    Code.KIND: Advice(
        "A document of a kind that nobody reads would have no effect, and nobody would notice.",
        "Correct the kind, or move the file out of `policies/`.",
    ),
    Code.MISSING: Advice(
        "What decides over traffic is written down, never implied: a default that nobody sees surprises.",
        "Add the field; docs/policy.md says which values it takes.",
    ),
    Code.WRONG_TYPE: Advice(
        "A list, a mapping and a text are different things, and only one of them makes sense here.",
        "Write the value in the form that the message names. Numbers, `true` and `false` are text only in quotes.",
    ),
    Code.UNKNOWN_KEY: Advice(
        "A misspelt field would be ignored, and the rule would mean something else.",
        "Correct the name or remove the field; docs/policy.md has all that exist.",
    ),
    Code.NOT_ALLOWED: Advice(
        "The field takes one of a few words, or cannot stand beside another field.",
        "Take one of the values that the message names.",
    ),
    Code.EMPTY: Advice(
        "It is not clear whether an empty list means nobody or everybody.",
        "Name at least one, write `entity: any` for everybody, or remove the rule.",
    ),
    Code.NOT_YET: Advice(
        "The language knows the field, this release does not enforce it; to ignore it would weaken the policy.",
        "Remove it, or use a release that supports it.",
    ),
    Code.CIDR: Advice(
        "Only a network in CIDR notation says exactly which addresses are meant.",
        "Write it like `10.0.0.0/8` or `fd00::/8`; one address is a `/32` or `/128`.",
    ),
    Code.HOST_BITS: Advice(
        "With bits behind the prefix it is unclear whether the network or the one address is meant.",
        "Write the network that the message names, or `/32` (`/128`) for the one address.",
    ),
    Code.PORT: Advice(
        "A port means nothing without its protocol.",
        "Write it like `tcp/5432`, `udp/8000-8080`, `icmp` or `any`.",
    ),
    Code.REPEATED: Advice(
        "What stands twice was probably meant to be something else once.",
        "Remove or correct one of them.",
    ),
    Code.TIME: Advice(
        "A time without its zone, or a window that is over before it begins, does not say when the rule holds.",
        'Write times in UTC, in quotes: "2026-12-01T08:00:00Z"; `startsAt` comes before `expires`.',
    ),
    Code.NAME: Advice(
        "Names stand in counters, file names and on command lines.",
        "Use lower-case letters, digits and dashes inside, at most 63.",
    ),
    Code.DUPLICATE_NAME: Advice(
        "Counters and reports know a rule by the name of its policy and its id.",
        "Rename one of them.",
    ),
    Code.UNKNOWN_SET: Advice(
        "A set that nobody defines names no address and no port.",
        "Correct the name, or give all files that belong together: sets may stand in another one.",
    ),
    Code.INVENTORY: Advice(
        "A host is recognised by its addresses: one that is wrong, or that two hosts have, judges the wrong flows.",
        "Correct `tcmicro_addresses`, `ansible_host` or `tcmicro_labels` of the host that is named.",
    ),
    Code.UNKNOWN_GROUP: Advice(
        "A selector that names nobody is a typing error or stale; as an empty set it would allow or refuse nothing.",
        "Correct the name, or put a host into the group.",
    ),
    Code.UNKNOWN_HOST: Advice(
        "The host was renamed or has gone, and the rule does not do what it says.",
        "Correct or remove the name.",
    ),
    Code.UNKNOWN_LABEL: Advice(
        "A label that no host has selects nobody.",
        "Correct the label, or set it in `tcmicro_labels`.",
    ),
    Code.NO_HOST: Advice(
        "Each word of the selector is known, but no host has all of it.",
        "Remove a condition; the fields of one item join by *and*, the items of a list by *or*.",
    ),
    Code.NO_ADDRESS: Advice(
        "Peers are recognised by their address; without one the rule matches nobody.",
        "Set `tcmicro_addresses`, or an address as `ansible_host`.",
    ),
    Code.NO_ENTITY: Advice(
        "`controller` and `resolvers` are other addresses on every host; without any the rule matches nobody.",
        "Set `tcmicro_controller_addresses` or `tcmicro_resolvers` for the hosts that are named.",
    ),
    Code.INVENTORY_UNREADABLE: Advice(
        "Without the inventory nobody knows who the groups are.",
        "Look at what Ansible says (`ansible-inventory -i … --list`), or name the inventory with `-i`.",
    ),
    Code.SHADOWED: Advice(
        "On every host a rule of a higher tier, or a deny of the same one, decides all its flows: whoever reads the "
        "rule is misled. This is about today's inventory: with other hosts the rule may decide something.",
        "Remove the rule, or narrow the one that the message names. Rules that expire shadow nothing.",
    ),
    Code.DUPLICATE_RULE: Advice(
        "One is enough, and whoever changes one of them changes nothing.",
        "Remove one of the two.",
    ),
    Code.HALF_OPEN: Advice(
        "A flow needs both ends: egress of the one who opens it and ingress of the other. Somebody wanted it and it "
        "does not work.",
        "Add the other half to the policy that the message names, or remove this one.",
    ),
    Code.NO_RESOLVER: Advice(
        "Almost nothing works without DNS, and it fails slowly: every lookup waits for its time-out.",
        "Allow `udp/53` and `tcp/53` to the resolvers.",
    ),
    Code.WORLD_OPEN: Advice(
        "In mode protect such a rule is the hole that everybody finds; it is right only for what is meant to be "
        "public.",
        "Name groups or networks. If it is meant: `--ignore TCM3005`.",
    ),
    Code.EXPIRED: Advice(
        "The rule has no effect any more, and whoever reads it may think otherwise.",
        "Remove it, or renew it.",
    ),
    Code.LONG_LIVED: Advice(
        "A date so far away is never checked again.",
        "Choose a date within a year, or leave `expires` out if the rule is to stay.",
    ),
    Code.IPV6_FORGOTTEN: Advice(
        "A peer comes by IPv6 if it can: a deny is walked around, an allow does not help.",
        "Add the IPv6 networks of the same peers, or name groups, which are known at all their addresses.",
    ),
    Code.TOO_MANY_ENTRIES: Advice(
        "The kernel's tables have a fixed size; a policy that does not fit is refused by the host.",
        "Raise `policy.hosts` or `policy.rules` in agent.json (`tcmicro_agent_policy`), or write wider selectors: a "
        "rule for a group costs no more than one for a host.",
    ),
    Code.CROWDED: Advice(
        "While a policy is changed the old one is kept to be taken back, and both have to fit.",
        "Raise `policy.hosts` or `policy.rules`, as for TCM3009.",
    ),
    Code.CONTROLLER_CUT: Advice(
        "Only the failsafe would let Ansible in, and the change that would mend it could not be made by policy.",
        "Allow `tcp/22` from the controller on these hosts.",
    ),
}
