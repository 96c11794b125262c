/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Counters and events: what user space learns of a decision. Every packet is counted once; an event is told where
 * its reason asks for one, within the budget of this CPU; what is not told is summed, and nothing is lost uncounted.
 */
#ifndef TCM_EVENTS_H
#define TCM_EVENTS_H

#include "parse.h"

/* One packet that is being decided: where it is and by which policy. */
struct context {
	struct __sk_buff *skb;
	const struct tcm_slot *slot; /* whose generation, defaults and mode hold for it */
	const struct tcm_settings *settings;
	__u64 now; /* jiffies */
	__u32 number;	 /* of the live slot */
	__u32 direction; /* enum tcm_direction */
	__u32 bank;	 /* enum tcm_bank */
};

/* What is decided about it. */
struct verdict {
	__u32 identity; /* of the remote */
	__u32 rule;	/* counter index, 0 = none */
	enum tcm_verdict verdict; /* ALLOW too where a rule that only audits denies; then the reason is one that denies */
	enum tcm_reason reason;
	__u32 flags; /* enum tcm_rule_flag of the rule that decided */
};

static __always_inline void add(struct tcm_count *c, __u32 bytes)
{
	if (c) {
		c->packets++;
		c->bytes += bytes;
	}
}

static __always_inline void count(__u32 bank, __u32 direction, __u32 reason, __u32 bytes)
{
	__u32 index = TCM_COUNTER(bank, direction, reason);

	add(bpf_map_lookup_elem(&tcm_counters, &index), bytes);
}

static __always_inline void count_rule(__u32 rule, __u32 bytes)
{
	add(bpf_map_lookup_elem(&tcm_rule_hits, &rule), bytes);
}

/* Takes what an event costs out of the bucket, filled up first with what was earned since the last time. */
static __always_inline bool take_token(struct tcm_budget *budget, const struct tcm_settings *settings, __u64 now)
{
	__u64 full = settings->event_burst * settings->hz;

	if (budget->refilled != now) {
		budget->tokens += (now - budget->refilled) * settings->event_rate;
		if (budget->tokens > full)
			budget->tokens = full;
		budget->refilled = now;
	}
	if (budget->tokens < settings->hz)
		return false;
	budget->tokens -= settings->hz;
	return true;
}

static __always_inline bool send_event(const struct context *ctx, const struct flow *f, const struct verdict *v)
{
	struct tcm_event *e = bpf_ringbuf_reserve(&tcm_events, sizeof(*e), 0);

	if (!e)
		return false;
	__builtin_memset(e, 0, sizeof(*e));
	e->time = bpf_ktime_get_boot_ns();
	e->generation = ctx->slot->generation;
	e->rule = v->rule;
	e->identity = v->identity;
	e->bytes = ctx->skb->len;
	e->ifindex = ctx->skb->ifindex;
	e->local_port = f->local_port;
	e->remote_port = f->remote_port;
	e->protocol = f->protocol;
	e->direction = ctx->direction;
	e->reason = v->reason;
	e->bank = ctx->bank;
	e->tcp_flags = f->tcp_flags;
	e->version = f->version;
	if (f->version == 4) {
		e->local[10] = e->local[11] = e->remote[10] = e->remote[11] = 0xff;
		__builtin_memcpy(e->local + 12, &f->v4.local, 4);
		__builtin_memcpy(e->remote + 12, &f->v4.remote, 4);
	} else if (f->version == 6) {
		__builtin_memcpy(e->local, f->v6.local, 16);
		__builtin_memcpy(e->remote, f->v6.remote, 16);
	}
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP); /* readers poll: a wakeup costs more than the whole decision */
	return true;
}

/* Adds what is held to its sum, which user space may have deleted meanwhile. */
static __always_inline void add_held(struct tcm_budget *budget)
{
	struct tcm_count *sum;
	__u64 packets = budget->held.packets;

	if (!packets)
		return;
	sum = bpf_map_lookup_elem(&tcm_sums, &budget->last);
	if (sum) {
		sum->packets += packets;
		sum->bytes += budget->held.bytes;
	} else if (bpf_map_update_elem(&tcm_sums, &budget->last, &budget->held, BPF_ANY)) {
		budget->summed -= packets;
		budget->unsummed += packets;
	}
	budget->held.packets = 0;
	budget->held.bytes = 0;
}

static __always_inline bool same_sum(const struct tcm_sum_key *one, const struct tcm_sum_key *other)
{
	const __u64 *a = (const void *)one, *b = (const void *)other;

	_Static_assert(sizeof(*one) == 2 * sizeof(*a), "two words");
	return a[0] == b[0] && a[1] == b[1];
}

/*
 * False when there is no room for another sum. Every ping has an identifier of its own: ICMP is summed without. In a
 * flood one sum follows itself: it is held beside the budget, and looked up when another one comes.
 */
static __always_inline bool sum_event(const struct context *ctx, const struct flow *f, const struct verdict *v,
				      struct tcm_budget *budget)
{
	__be16 port = ctx->direction == TCM_INGRESS ? f->local_port : f->remote_port;
	struct tcm_count first = { .packets = 1, .bytes = ctx->skb->len }, *sum;
	struct tcm_sum_key key __attribute__((aligned(8))) = {
		.generation = ctx->slot->generation,
		.rule = v->rule,
		.port = f->protocol == IPPROTO_ICMP ? 0 : port,
		.protocol = f->protocol,
		.direction = ctx->direction,
		.reason = v->reason,
		.bank = ctx->bank,
	};

	if (same_sum(&key, &budget->last)) {
		add(&budget->held, ctx->skb->len);
		return true;
	}
	add_held(budget);
	sum = bpf_map_lookup_elem(&tcm_sums, &key);
	if (sum)
		add(sum, ctx->skb->len);
	else if (bpf_map_update_elem(&tcm_sums, &key, &first, BPF_ANY)) /* of this CPU alone */
		return false;
	budget->last = key;
	return true;
}

/* Tells a decision: as an event, or as part of a sum. */
static __always_inline void tell(const struct context *ctx, const struct flow *f, const struct verdict *v)
{
	struct tcm_budget *budget;
	__u32 zero = 0;

	budget = bpf_map_lookup_elem(&tcm_budget, &zero);
	if (!budget)
		return;
	if (take_token(budget, ctx->settings, ctx->now) && send_event(ctx, f, v))
		budget->sent++;
	else if (sum_event(ctx, f, v, budget))
		budget->summed++;
	else
		budget->unsummed++;
}

/* Whether a decision is to be told: as its rule says, else as its reason says. */
static __always_inline bool is_told(const struct context *ctx, const struct verdict *v)
{
	if (v->flags & TCM_LOG_NONE)
		return false;
	return v->flags & TCM_LOG_ALL || ctx->settings->event_reasons & 1U << (v->reason & 31);
}

/* Counts a decision and tells it where it is to be told. */
static __always_inline void record(const struct context *ctx, const struct flow *f, const struct verdict *v)
{
	count(ctx->bank, ctx->direction, v->reason, ctx->skb->len);
	if (is_told(ctx, v))
		tell(ctx, f, v);
}

#endif
