"""The verbs about temporary rules of this host alone: `tc-micro policy add|delete`, and `policy list --local`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

from tcmicro_agent import local_policy
from tcmicro_agent.cli import verbs
from tcmicro_agent.cli.table import table
from tcmicro_agent.documents import document
from tcmicro_agent.errors import BundleError
from tcmicro_agent.local import MAX_TTL_S, LocalRule, Moment
from tcmicro_agent.policy.model import Action, Direction, Network, Protocol, Service
from tcmicro_agent.policy.notation import canonical

Adder = Callable[[str, object, str], argparse.ArgumentParser]
UNITS = {"s": 1, "m": 60, "h": 3600}
LATER = Moment(0, 0, "")  # it is made when it is added
EXAMPLES = """A local rule stands above every rule of the bundle and below the failsafe, and ends by itself. It is for
what cannot wait for a policy; status shows it as drift until it has ended. A new bundle keeps it. See docs/host.md.

examples:
  tc-micro policy add --direction ingress --action deny --src-ip 203.0.113.0/24 --protocol any --ttl 2h --comment abuse
  tc-micro policy add --direction egress --action allow --dst-ip 10.0.9.9/32 --protocol tcp --dst-port 443 --ttl 10m
  tc-micro policy list
  tc-micro policy delete 3f9c2a10

exit codes:
  0 done   3 no policy is live, or no such rule   6 not a rule   7 a change is pending or staged, or under way
"""


def add_verbs(add: Adder) -> None:
    adding = add("add", policy_add, "a temporary rule of this host, above its policy")
    adding.epilog, adding.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    adding.add_argument("--direction", required=True, choices=[d.value for d in Direction])
    adding.add_argument("--action", required=True, choices=[a.value for a in Action])
    adding.add_argument("--src-ip", metavar="CIDR", help="the peer of ingress (default: everybody)")
    adding.add_argument("--dst-ip", metavar="CIDR", help="the peer of egress (default: everybody)")
    adding.add_argument("--protocol", required=True, choices=["tcp", "udp", "icmp", "any"])
    adding.add_argument("--dst-port", metavar="N[-M]", help="tcp and udp (default: all)")
    adding.add_argument("--ttl", required=True, metavar="10m", help="30s, 10m, 1h30m; at most 24h")
    adding.add_argument("--comment", default="", help="why, for whoever finds it")
    deleting = add("delete", policy_delete, "end a temporary rule of this host now")
    deleting.add_argument("id", metavar="ID", help="as policy list shows it")
    for verb in (adding, deleting):
        verb.add_argument("--local", action="store_true", help="understood: there are no others")


def policy_add(args: argparse.Namespace) -> verbs.Result:
    wanted = read(args)
    rule, done = local_policy.add(verbs.agent_for_change(), wanted)
    said = {"id": rule.id, "expires_in_s": rule.ttl_s}
    return document("PolicyAdd", **verbs.outcome(done), **said), 0


def policy_delete(args: argparse.Namespace) -> verbs.Result:
    done = local_policy.delete(verbs.agent_for_change(), args.id)
    return document("PolicyDelete", **verbs.outcome(done), id=args.id), 0


def read(args: argparse.Namespace) -> LocalRule:
    """Raises BundleError with every fault of the arguments."""
    problems: list[str] = []

    def attempt(parse: Callable[[], Any], stand_in: Any) -> Any:
        try:
            return parse()
        except ValueError as exc:
            problems.append(str(exc))
            return stand_in

    found = LocalRule(
        id="",
        direction=Direction(args.direction),
        action=Action(args.action),
        network=attempt(lambda: _peer(args), None),
        service=attempt(lambda: _service(args.protocol, args.dst_port), Service(Protocol.ANY)),
        comment=attempt(lambda: _comment(args.comment), ""),
        made=LATER,
        ttl_s=attempt(lambda: seconds(args.ttl), 1),
    )
    if problems:
        raise BundleError(problems)
    return found


def _peer(args: argparse.Namespace) -> Network | None:
    ingress = args.direction == Direction.INGRESS.value
    peer, other = (args.src_ip, args.dst_ip) if ingress else (args.dst_ip, args.src_ip)
    names = ("--src-ip", "--dst-ip") if ingress else ("--dst-ip", "--src-ip")
    if other is not None:
        raise ValueError(f"{names[1]}: a rule for {args.direction} names its peer by {names[0]}")
    if peer is None:
        return None
    try:
        return ip_network(canonical(peer))
    except ValueError as exc:
        raise ValueError(f"{names[0]}: {exc}") from None


def _service(protocol: str, text: str | None) -> Service:
    if text is None:
        return Service(Protocol(protocol))
    if protocol not in ("tcp", "udp"):
        raise ValueError(f"--dst-port: {protocol} has no ports")
    found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last <= 65535:
        raise ValueError(f"--dst-port: {text!r} is not N or N-M (1-65535)")
    return Service(Protocol(protocol), first, last)


def seconds(text: str) -> int:
    """`90s`, `10m`, `1h30m`."""
    if not re.fullmatch(r"(?:[0-9]{1,6}[smh])+", text):
        raise ValueError(f"--ttl: {text!r} is not a time such as 30s, 10m or 1h30m")
    total = sum(int(n) * UNITS[unit] for n, unit in re.findall(r"([0-9]+)([smh])", text))
    if not 1 <= total <= MAX_TTL_S:
        raise ValueError(f"--ttl: {text} is not from 1s to 24h; what lasts longer is a policy")
    return total


def _comment(text: str) -> str:
    if len(text) > 200 or not text.isprintable():
        raise ValueError("--comment: at most 200 printable characters")
    return text


def added_text(doc: dict[str, Any]) -> str:
    return (
        f"local rule {doc['id']} is in force for {doc['expires_in_s']} s, "
        f"in generation {doc['generation']}; to end it now: tc-micro policy delete {doc['id']}"
    )


def deleted_text(doc: dict[str, Any]) -> str:
    return f"local rule {doc['id']} has ended, generation {doc['generation']} rules"


def list_text(rules: list[dict[str, Any]]) -> str:
    """The temporary rules, apart from those of the bundle."""
    header = ("LOCAL", "DIRECTION", "ACTION", "PEER", "SERVICE", "HITS", "ENDS IN", "COMMENT")
    rows = [
        (
            r["id"],
            r["direction"],
            r["action"],
            r["peer"],
            r["service"],
            r["hits"],
            f"{r['expires_in_s']} s" if r["expires_in_s"] else "OVERDUE",
            r["comment"],
        )
        for r in rules
    ]
    return table(header, rows)
