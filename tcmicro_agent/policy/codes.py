"""What can be wrong with policies. A code keeps its meaning for ever; `catalogue.py` says why and what to do."""

from __future__ import annotations

from enum import Enum


class Severity(Enum):
    """An error keeps bundles from being made; a warning says what is probably not meant."""

    ERROR = "error"
    WARNING = "warning"


class Code(Enum):
    """TCM10 reading · TCM11 documents · TCM12 fields · TCM13 values · TCM14 names · TCM20 inventory ·
    TCM21 its reading · TCM30 what policies come to on its hosts. TCM2007 was given when policies of one host had
    different modes, which they may have now; it is not used again."""

    SYNTAX = "TCM1001"
    DUPLICATE_KEY = "TCM1002"
    YAML_FEATURE = "TCM1003"
    TOO_LARGE = "TCM1004"
    UNREADABLE = "TCM1005"
    API_VERSION = "TCM1101"
    KIND = "TCM1102"
    MISSING = "TCM1201"
    WRONG_TYPE = "TCM1202"
    UNKNOWN_KEY = "TCM1203"
    NOT_ALLOWED = "TCM1204"
    EMPTY = "TCM1205"
    NOT_YET = "TCM1206"
    CIDR = "TCM1301"
    HOST_BITS = "TCM1302"
    PORT = "TCM1303"
    REPEATED = "TCM1304"
    TIME = "TCM1305"
    NAME = "TCM1401"
    DUPLICATE_NAME = "TCM1402"
    UNKNOWN_SET = "TCM1403"
    INVENTORY = "TCM2001"
    UNKNOWN_GROUP = "TCM2002"
    UNKNOWN_HOST = "TCM2003"
    UNKNOWN_LABEL = "TCM2004"
    NO_HOST = "TCM2005"
    NO_ADDRESS = "TCM2006"
    NO_ENTITY = "TCM2008"
    INVENTORY_UNREADABLE = "TCM2101"
    SHADOWED = "TCM3001"
    DUPLICATE_RULE = "TCM3002"
    HALF_OPEN = "TCM3003"
    NO_RESOLVER = "TCM3004"
    WORLD_OPEN = "TCM3005"
    EXPIRED = "TCM3006"
    LONG_LIVED = "TCM3007"
    IPV6_FORGOTTEN = "TCM3008"
    TOO_MANY_ENTRIES = "TCM3009"
    CROWDED = "TCM3010"
    CONTROLLER_CUT = "TCM3011"

    @property
    def title(self) -> str:
        return TITLES[self]

    @property
    def severity(self) -> Severity:
        return Severity.WARNING if self in WARNINGS else Severity.ERROR


TITLES = {
    Code.SYNTAX: "the text is not YAML",
    Code.DUPLICATE_KEY: "a key stands twice in one mapping",
    Code.YAML_FEATURE: "anchors, aliases and tags are not part of the language",
    Code.TOO_LARGE: "the file is too long or nested too deeply",
    Code.UNREADABLE: "a file or directory of policies cannot be read",
    Code.API_VERSION: "apiVersion is not one this release reads",
    Code.KIND: "kind is not one this release reads",
    Code.MISSING: "a required field is missing",
    Code.WRONG_TYPE: "a value has the wrong type",
    Code.UNKNOWN_KEY: "a field that does not exist",
    Code.NOT_ALLOWED: "a value that is not among the allowed ones",
    Code.EMPTY: "a list or selector that must name something is empty",
    Code.NOT_YET: "a field of the language that this release does not enforce yet",
    Code.CIDR: "not a network in CIDR notation",
    Code.HOST_BITS: "a network with host bits set",
    Code.PORT: "not a protocol and port",
    Code.REPEATED: "one value stands twice in a list",
    Code.TIME: "not a time in UTC, or a window that is never open",
    Code.NAME: "a name or id with characters that are not allowed",
    Code.DUPLICATE_NAME: "two documents of a kind, or two rules of a policy, have one name",
    Code.UNKNOWN_SET: "no document defines the set",
    Code.INVENTORY: "a fact of the inventory cannot be used",
    Code.UNKNOWN_GROUP: "no host is in the group",
    Code.UNKNOWN_HOST: "the inventory has no such host",
    Code.UNKNOWN_LABEL: "no host has the label",
    Code.NO_HOST: "a selector matches no host",
    Code.NO_ADDRESS: "a host that rules name has no address",
    Code.NO_ENTITY: "the inventory does not say which addresses an entity has",
    Code.INVENTORY_UNREADABLE: "the inventory cannot be read",
    Code.SHADOWED: "a rule that never decides",
    Code.DUPLICATE_RULE: "a rule that says what another says",
    Code.HALF_OPEN: "a flow that one end allows and the other refuses",
    Code.NO_RESOLVER: "hosts that cannot ask for names",
    Code.WORLD_OPEN: "a rule that opens a service to the whole world",
    Code.EXPIRED: "a rule whose time is over",
    Code.LONG_LIVED: "a rule that expires later than is reasonable",
    Code.IPV6_FORGOTTEN: "a rule for IPv4 networks on hosts that also speak IPv6",
    Code.TOO_MANY_ENTRIES: "a bundle that the tables of a host cannot hold",
    Code.CROWDED: "a bundle that can be live only if no other is kept",
    Code.CONTROLLER_CUT: "a policy that keeps the controller out",
}

WARNINGS = frozenset(
    {
        Code.SHADOWED,
        Code.DUPLICATE_RULE,
        Code.HALF_OPEN,
        Code.NO_RESOLVER,
        Code.WORLD_OPEN,
        Code.EXPIRED,
        Code.LONG_LIVED,
        Code.IPV6_FORGOTTEN,
        Code.CROWDED,
    }
)
