/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The staged policy: its verdict on every new flow is compared with the live one's, and for a share of the flows
 * it holds. Live traffic judges a candidate before it may drop anything.
 */
#ifndef TCM_TRIAL_H
#define TCM_TRIAL_H

#include "events.h"
#include "flood.h"
#include "policy.h"

static __always_inline __u64 trial_word(void)
{
	const struct tcm_trial *trial;
	__u32 zero = 0;

	trial = bpf_map_lookup_elem(&tcm_trial, &zero);
	return trial ? *(volatile __u64 *)&trial->word : 0;
}

static __always_inline __u32 trial_slot(__u64 word)
{
	return word >> 4 & (TCM_SLOTS - 1);
}

/* Percent of new flows that the staged policy judges now. */
static __always_inline __u32 trial_share(__u64 word)
{
	__u64 deadline = word >> 16;

	if (deadline && bpf_ktime_get_boot_ns() / 1000000 >= deadline)
		return 0;
	return word >> 8 & 0xff;
}

/* The same for every packet of a flow, so that a repeated SYN meets the same policy. */
static __always_inline __u32 flow_percentile(const struct flow *f)
{
	__u64 ports = (__u64)f->local_port << 32 | (__u64)f->remote_port << 16 | f->protocol, network;

	if (f->version == 4)
		return mixed(mixed(f->v4.remote ^ (__u64)f->v4.local << 32) ^ ports) % 100;
	__builtin_memcpy(&network, f->v6.remote + 8, 8);
	return mixed(mixed(network ^ source_network(f)) ^ ports) % 100;
}

/* What policy says of the flow, whatever the mode. */
static __always_inline __u32 says(const struct verdict *v)
{
	return v->verdict & ~v->flags & 1;
}

static __always_inline void note_difference(const struct context *ctx, const struct flow *f, const struct verdict *live,
					    const struct verdict *staged, __u32 generation)
{
	struct tcm_count none = {}, *seen;
	__be16 port = ctx->direction == TCM_INGRESS ? f->local_port : f->remote_port;
	struct tcm_difference_key key = {
		.rule = live->rule,
		.staged_rule = staged->rule,
		.identity = live->identity,
		.generation = generation,
		.port = f->protocol == IPPROTO_ICMP ? 0 : port,
		.protocol = f->protocol,
		.direction = ctx->direction,
		.verdict = says(live),
	};

	seen = bpf_map_lookup_elem(&tcm_differences, &key);
	if (!seen) { /* by another processor meanwhile: then it stays as it is */
		bpf_map_update_elem(&tcm_differences, &key, &none, BPF_NOEXIST);
		seen = bpf_map_lookup_elem(&tcm_differences, &key);
	}
	if (seen) { /* shared by all processors */
		__sync_fetch_and_add(&seen->packets, 1);
		__sync_fetch_and_add(&seen->bytes, ctx->skb->len);
	}
}

/* Compares both policies on a new flow; 1: the flow is of the staged one's share, and `v` is its verdict. */
static __noinline int consult_staged(const struct context *ctx, const struct flow *f, __u64 word, struct verdict *v)
{
	struct verdict staged = {};
	const struct tcm_slot *slot;
	__u32 number = trial_slot(word), index;

	if (!ctx || !f || !v)
		return 0;
	slot = bpf_map_lookup_elem(&tcm_slots, &number);
	if (!slot || !slot->generation)
		return 0;
	judge(f, number, ctx->direction, &staged);
	index = TCM_COMPARISON(ctx->direction & 1, says(v), says(&staged));
	add(bpf_map_lookup_elem(&tcm_comparisons, &index), ctx->skb->len);
	if (says(v) != says(&staged))
		note_difference(ctx, f, v, &staged, slot->generation);
	if (slot->mode == TCM_MONITOR && v->verdict == TCM_DENY)
		return 0; /* who only audits opens nothing either */
	if (!(word >> 8 & 0xff) || flow_percentile(f) >= trial_share(word))
		return 0;
	*v = staged;
	return 1;
}

/* Whether a flow opened under the staged policy still belongs to it. */
static __always_inline bool still_tried(const struct tcm_session *s)
{
	const struct tcm_slot *slot;
	__u64 word = trial_word();
	__u32 number = trial_slot(word);

	if (!(s->flags & TCM_TRIED) || !(word & 1) || !trial_share(word))
		return false;
	slot = bpf_map_lookup_elem(&tcm_slots, &number);
	return slot && slot->generation == s->generation;
}

#endif
