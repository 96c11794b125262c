/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the rules of one slot say about a flow. Precedence was resolved when the slot was built: every key holds
 * the decision of the best rule that covers it, so the most specific key that exists is the answer.
 */
#ifndef TCM_POLICY_H
#define TCM_POLICY_H

#include "events.h"

_Static_assert(TCM_AUDITS == TCM_ALLOW, "the flag turns what a rule says into what becomes of the packet");

/* The key of a host is that of a prefix without its length: one for both lookups, as there is little stack. */
_Static_assert(sizeof(struct tcm_cidr4_key) == sizeof(struct tcm_host4_key) + offsetof(struct tcm_cidr4_key, slot),
	       "a host's key is the rest of a prefix's");
_Static_assert(sizeof(struct tcm_cidr6_key) == sizeof(struct tcm_host6_key) + offsetof(struct tcm_cidr6_key, slot),
	       "a host's key is the rest of a prefix's");

static __always_inline const struct tcm_peer *find_peer4(const struct tcm_slot *slot, __u32 number, __be32 address)
{
	struct tcm_cidr4_key key = { .prefix = 64, .slot = number, .address = address };
	const struct tcm_peer *peer = bpf_map_lookup_elem(&tcm_hosts4, &key.slot);

	if (!peer && slot->has_cidr & 1)
		peer = bpf_map_lookup_elem(&tcm_cidrs4, &key);
	return peer;
}

static __always_inline const struct tcm_peer *find_peer6(const struct tcm_slot *slot, __u32 number, const __u8 *address)
{
	struct tcm_cidr6_key key = { .prefix = 160, .slot = number };
	const struct tcm_peer *peer;

	__builtin_memcpy(key.address, address, 16);
	peer = bpf_map_lookup_elem(&tcm_hosts6, &key.slot);
	if (!peer && slot->has_cidr & 2)
		peer = bpf_map_lookup_elem(&tcm_cidrs6, &key);
	return peer;
}

/* Which keys can exist for a peer in one direction; see abi.h. */
struct existing {
	__u32 shapes;
	__u64 classes;
};

static __always_inline const struct tcm_rule *find_rule(struct tcm_rule_key *key, struct existing keys, __be16 port)
{
	const struct tcm_rule *rule;
	__u8 protocol = key->protocol;
	__u16 number = bpf_ntohs(port), block;
	__u32 zero = keys.shapes >> 31; /* hides what was asked for last, as hide() in parse.h */

#pragma unroll
	for (int prefix = 16; prefix >= 0; prefix--) {
		if (prefix == 15 && !(keys.shapes & TCM_SHAPE_RANGES))
			break; /* most peers have single ports and nothing else */
		block = prefix ? number & (__u16)(0xffff << (16 - prefix)) : 0;
		if (!(keys.shapes >> prefix & keys.classes >> TCM_RULE_CLASS(protocol, prefix, block) & 1))
			continue;
		key->prefix = prefix | zero;
		key->port = bpf_htons(block);
		rule = bpf_map_lookup_elem(&tcm_rules, key);
		if (rule)
			return rule;
	}
	if (!(keys.shapes & 1U << TCM_SHAPE_ANY))
		return NULL;
	key->protocol = 0;
	key->prefix = 0;
	key->port = 0;
	rule = bpf_map_lookup_elem(&tcm_rules, key);
	key->protocol = protocol;
	return rule;
}

/* Judges the flow as opened in direction `opener` by the rules of slot `number`. */
static __noinline int judge(const struct flow *f, __u32 number, enum tcm_direction opener, struct verdict *out)
{
	const struct tcm_slot *slot = bpf_map_lookup_elem(&tcm_slots, &number);
	struct tcm_rule_key key = { .slot = number, .direction = opener };
	const struct tcm_rule *rule = NULL;
	const struct tcm_peer *peer;
	struct existing keys;
	__u32 says;
	__be16 port = opener == TCM_INGRESS ? f->local_port : f->remote_port;

	if (!slot || !out || opener >= TCM_DIRECTIONS)
		return 0;
	peer = f->version == 4 ? find_peer4(slot, number, f->v4.remote) : find_peer6(slot, number, f->v6.remote);
	keys.shapes = peer ? peer->shapes[opener] : slot->world_shapes[opener];
	keys.classes = peer ? peer->classes[opener] : slot->world_classes[opener];
	key.identity = (peer ? peer->identity : TCM_WORLD) | keys.shapes >> 31;
	key.protocol = f->protocol;
	rule = find_rule(&key, keys, port); /* of ICMP, type and code of the request: see parse_icmp() */
	out->identity = key.identity;
	out->rule = rule ? rule->rule : slot->default_rule[opener];
	says = (rule ? rule->verdict : slot->verdict[opener]) & 1;
	out->flags = rule ? rule->flags : slot->flags[opener];
	/* reckoned, not chosen: four branches would be checked to their end each */
	out->verdict = (says | out->flags) & TCM_AUDITS;
	out->reason = (TCM_RULE_ALLOW + !rule + 2 * !says) | keys.shapes >> 31;
	return 0;
}

/* The default for what is routed through this host; identities and rules are about flows of its own. */
static __always_inline void judge_forwarded(const struct tcm_slot *slot, struct verdict *out)
{
	out->identity = TCM_WORLD;
	out->rule = slot->default_rule[TCM_DEFAULT_FORWARD];
	out->flags = slot->flags[TCM_DEFAULT_FORWARD];
	out->verdict = (slot->verdict[TCM_DEFAULT_FORWARD] | out->flags) & TCM_AUDITS;
	out->reason = slot->verdict[TCM_DEFAULT_FORWARD] == TCM_ALLOW ? TCM_FORWARD_ALLOW : TCM_FORWARD_DENY;
}

/* Where the failsafe files a port of the flow. */
static __always_inline __be16 failsafe_port(const struct flow *f, __be16 port)
{
	return f->protocol == IPPROTO_ICMP ? 0 : port;
}

static __always_inline __u32 failsafe_class(const struct flow *f, __u32 direction, __be16 port)
{
	__u32 number = bpf_ntohs(failsafe_port(f, port));

	return TCM_FAILSAFE_CLASS(direction, (__u32)f->protocol, number);
}

/* False for most flows, at no cost: then the failsafe has nothing for either leg. */
static __always_inline bool may_be_failsafe(const struct flow *f)
{
	const struct tcm_no_failsafe *none;
	__u64 absent;
	__u32 zero = 0;

	none = bpf_map_lookup_elem(&tcm_no_failsafe, &zero);
	absent = none ? none->classes : 0;
	return !(absent >> failsafe_class(f, TCM_INGRESS, f->local_port) &
		 absent >> failsafe_class(f, TCM_EGRESS, f->remote_port) & 1);
}

static __always_inline bool failsafe_has(const struct flow *f, __u32 direction, __be16 port)
{
	struct tcm_failsafe_key key = { .prefix = 160, .direction = direction, .protocol = f->protocol };

	key.port = failsafe_port(f, port);
	if (f->version == 4) {
		key.address[10] = key.address[11] = 0xff;
		__builtin_memcpy(key.address + 12, &f->v4.remote, 4);
	} else {
		__builtin_memcpy(key.address, f->v6.remote, 16);
	}
	return bpf_map_lookup_elem(&tcm_failsafe, &key);
}

/* Both legs of a failsafe flow: ours by our port, theirs by their port. */
static __noinline int failsafe(const struct flow *f)
{
	if (!f || !f->version)
		return 0;
	return failsafe_has(f, TCM_INGRESS, f->local_port) || failsafe_has(f, TCM_EGRESS, f->remote_port);
}

/* What a host without an address sends and hears to get one; as client only (RFC 2131, RFC 8415). */
static __always_inline bool is_dhcp(const struct flow *f)
{
	if (f->protocol != IPPROTO_UDP)
		return false;
	if (f->version == 4)
		return f->local_port == bpf_htons(68) && f->remote_port == bpf_htons(67);
	return f->local_port == bpf_htons(546) && f->remote_port == bpf_htons(547);
}

#endif
