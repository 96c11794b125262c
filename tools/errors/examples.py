"""The smallest files that provoke each code and no other; docs/errors.md shows them and a test runs them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.source.nodes import MAX_DEPTH

FILE = "policies/db.yml"
POLICY = """\
apiVersion: tcmicro/v1
kind: Policy
metadata: {name: db-in}
spec:
  mode: protect
  applyTo: {groups: [db]}
  default: {ingress: deny, egress: allow}
  ingress:
    - {id: pg, from: [{groups: [web]}], ports: [tcp/5432]}
"""
HOSTS = """\
tcmicro:
  children:
    web: {hosts: {web1: {ansible_host: 10.0.1.1}, web2: {ansible_host: 10.0.1.2}}}
    db: {hosts: {db1: {ansible_host: 10.0.2.1, tcmicro_labels: {tier: data}}}}
"""
WEB_OUT = """\
apiVersion: tcmicro/v1
kind: Policy
metadata: {name: web-out}
spec:
  mode: protect
  applyTo: {groups: [web]}
  default: {ingress: allow, egress: allow}
  egress:
    - {id: pool, to: [{groups: [db]}], ports: [tcp/6432]}
"""


@dataclass(frozen=True)
class Example:
    """One policy file, the inventory it is checked over, and more arguments for `policy validate`."""

    policy: str = POLICY
    hosts: str = HOSTS
    arguments: tuple[str, ...] = field(default=())


def changed(old: str, new: str) -> Example:
    """The usual policy with one thing changed."""
    return Example(_replaced(POLICY, old, new))


def more(rule: str) -> Example:
    """The usual policy with one more rule."""
    return Example(f"{POLICY}    - {rule}\n")


def _replaced(text: str, old: str, new: str) -> str:
    if old not in text:
        raise ValueError(f"{old!r} is not in the example")
    return text.replace(old, new)


EXAMPLES = {
    Code.SYNTAX: changed("[tcp/5432]}", "[tcp/5432}"),
    Code.DUPLICATE_KEY: changed("  mode: protect", "  mode: protect\n  mode: monitor"),
    Code.YAML_FEATURE: changed("[web]", "&all [web]"),
    Code.TOO_LARGE: changed("{groups: [web]}", "[" * MAX_DEPTH + "]" * MAX_DEPTH),
    Code.UNREADABLE: Example(arguments=("policies/web.yml",)),
    Code.API_VERSION: changed("tcmicro/v1", "tcmicro/v2"),
    Code.KIND: changed("kind: Policy", "kind: Polcy"),
    Code.MISSING: changed(", egress: allow}", "}"),
    Code.WRONG_TYPE: changed("groups: [db]", "groups: db"),
    Code.UNKNOWN_KEY: changed("id: pg,", "id: pg, acton: deny,"),
    Code.NOT_ALLOWED: changed("mode: protect", "mode: protekt"),
    Code.EMPTY: changed("[web]", "[]"),
    Code.NOT_YET: changed("id: pg,", "id: pg, http: [],"),
    Code.CIDR: changed("groups: [web]", "cidrs: [10.0.1.1]"),
    Code.HOST_BITS: changed("groups: [web]", "cidrs: [10.0.1.1/24]"),
    Code.PORT: changed("tcp/5432", "5432"),
    Code.REPEATED: changed("tcp/5432", "tcp/5432, tcp/5432"),
    Code.TIME: changed("[tcp/5432]}", "[tcp/5432], expires: 2027-12-01}"),
    Code.NAME: changed("db-in", "DB_in"),
    Code.DUPLICATE_NAME: more("{id: pg, from: [{hosts: [web1]}], ports: [tcp/5433]}"),
    Code.UNKNOWN_SET: changed("tcp/5432", "set:sql"),
    Code.INVENTORY: Example(hosts=_replaced(HOSTS, "10.0.1.2", "10.0.1.1")),
    Code.UNKNOWN_GROUP: changed("[web]", "[wbe]"),
    Code.UNKNOWN_HOST: changed("groups: [web]", "hosts: [web3]"),
    Code.UNKNOWN_LABEL: changed("groups: [web]", "labels: {tier: date}"),
    Code.NO_HOST: changed("{groups: [web]}", "{groups: [web], labels: {tier: data}}"),
    Code.NO_ADDRESS: Example(hosts=_replaced(HOSTS, "10.0.1.2", "web2.example.com")),
    Code.NO_ENTITY: changed("groups: [web]", "entity: controller"),
    Code.INVENTORY_UNREADABLE: Example(hosts="[tcmicro"),
    Code.SHADOWED: more("{id: none, action: deny, from: [{entity: any}], ports: [any]}"),
    Code.DUPLICATE_RULE: more("{id: sql, from: [{groups: [web]}], ports: [tcp/5432]}"),
    Code.HALF_OPEN: Example(f"{POLICY}---\n{WEB_OUT}"),
    Code.NO_RESOLVER: changed("egress: allow", "egress: deny"),
    Code.WORLD_OPEN: changed("{groups: [web]}", "{cidrs: [0.0.0.0/0]}"),
    Code.EXPIRED: changed("[tcp/5432]}", '[tcp/5432], expires: "2020-01-01T00:00:00Z"}'),
    Code.LONG_LIVED: changed("[tcp/5432]}", '[tcp/5432], expires: "2099-01-01T00:00:00Z"}'),
    Code.IPV6_FORGOTTEN: Example(
        _replaced(POLICY, "{groups: [web]}", "{cidrs: [10.0.1.0/24]}"),
        _replaced(HOSTS, "ansible_host: 10.0.2.1", 'tcmicro_addresses: [10.0.2.1, "2001:db8::1"]'),
    ),
    Code.TOO_MANY_ENTRIES: Example(arguments=("--table-hosts", "1")),
    Code.CROWDED: Example(arguments=("--table-hosts", "3")),
    Code.CONTROLLER_CUT: Example(arguments=("--controller", "10.0.0.1")),
}
