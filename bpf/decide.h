/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every packet that is no plain hit of a tracked flow: first packets, stale and expired flows, ICMP errors,
 * fragments, malformed ones. Each case fills in one verdict; decide() carries it out, and there is no other drop.
 */
#ifndef TCM_DECIDE_H
#define TCM_DECIDE_H

#include "events.h"
#include "flood.h"
#include "forward.h"
#include "policy.h"
#include "session.h"
#include "trial.h"
#include <linux/pkt_cls.h>

/* Decides by something else than a rule. */
static __always_inline void settle(struct verdict *v, enum tcm_verdict verdict, enum tcm_reason reason)
{
	v->verdict = verdict;
	v->reason = reason;
	v->flags = 0;
}

static __noinline int open_session(const struct context *ctx, const struct flow *f, const struct verdict *v,
				   __u32 opener, __u32 flags)
{
	struct tcm_session s = {
		.generation = ctx->slot->generation,
		.rule = v->rule,
		.identity = v->identity,
		.opener = opener,
		.state = flags & TCM_ADOPTED ? TCM_ESTABLISHED : TCM_OPENING,
		.flags = flags | (ctx->bank == TCM_TRIAL ? TCM_TRIED : 0),
		.last_seen = ctx->now,
	};

	s.packets[ctx->direction & 1] = 1;
	s.bytes[ctx->direction & 1] = ctx->skb->len;
	remember(f, &s);
	return 0;
}

static __always_inline bool in_mid_flow(const struct flow *f)
{
	return f->protocol == IPPROTO_TCP && (f->tcp_flags & (TCM_SYN | TCM_ACK)) != TCM_SYN;
}

static __always_inline void open_forwarded(const struct context *ctx, const struct flow *f, struct verdict *v)
{
	judge_forwarded(ctx->slot, v);
	count_rule(v->rule, ctx->skb->len);
	if (v->verdict == TCM_ALLOW)
		open_session(ctx, f, v, ctx->direction, TCM_FORWARDED | (in_mid_flow(f) ? TCM_ADOPTED : 0));
}

/* Who opened TCP in mid-flow that we do not track, or TCM_DIRECTIONS: nobody we know. */
static __always_inline __u32 opener_of(const struct context *ctx, const struct flow *f)
{
	__u32 opener;

	if (ctx->settings->tcp == TCM_TCP_STRICT)
		return TCM_DIRECTIONS;
	opener = socket_opener(ctx->skb, f);
	if (opener == TCM_DIRECTIONS && ctx->settings->tcp == TCM_TCP_LOOSE)
		return ctx->direction;
	return opener;
}

/* TCP in mid-flow that we do not track: ours if a socket knows it, and then judged as whoever opened it. */
static __always_inline void adopt(const struct context *ctx, const struct flow *f, struct verdict *v)
{
	__u32 opener = opener_of(ctx, f);

	if (opener >= TCM_DIRECTIONS)
		return settle(v, TCM_DENY, TCM_NO_SESSION);
	judge(f, ctx->number, opener, v);
	if (v->verdict != TCM_ALLOW)
		return;
	open_session(ctx, f, v, opener, TCM_ADOPTED);
	if (!(v->flags & TCM_AUDITS))
		settle(v, TCM_ALLOW, TCM_SESSION);
}

/* The staged policy's view of a new flow; where the flow is of its share, it holds for this packet from here on. */
static __always_inline void try_staged(struct context *ctx, const struct flow *f, struct verdict *v)
{
	const struct tcm_slot *slot;
	__u64 word = trial_word();
	__u32 number = trial_slot(word);

	if (!(word & 1) || !consult_staged(ctx, f, word, v))
		return;
	slot = bpf_map_lookup_elem(&tcm_slots, &number);
	if (slot) {
		ctx->slot = slot;
		ctx->bank = TCM_TRIAL;
	}
}

static __always_inline bool from_offender(const struct context *ctx, const struct flow *f, const struct verdict *v)
{
	return f->protocol == IPPROTO_TCP && ctx->direction == TCM_INGRESS &&
	       floods(f, ctx->settings, ctx->now, v->identity);
}

static __always_inline void open_flow(struct context *ctx, const struct flow *f, struct verdict *v)
{
	if (is_forwarded(ctx->skb, f, ctx->settings, ctx->direction))
		return open_forwarded(ctx, f, v);
	if (in_mid_flow(f))
		return adopt(ctx, f, v);
	if (f->no_opener)
		return settle(v, TCM_DENY, TCM_NO_SESSION);
	judge(f, ctx->number, ctx->direction, v);
	try_staged(ctx, f, v);
	count_rule(v->rule, ctx->skb->len);
	if (v->verdict != TCM_ALLOW)
		return;
	if (from_offender(ctx, f, v))
		return settle(v, TCM_DENY, TCM_SYN_FLOOD);
	open_session(ctx, f, v, ctx->direction, 0);
}

/*
 * A flow judged by another generation is judged again as its opener: a new policy revokes at once. A refused one
 * keeps its entry and its old stamp, so that who opened it is not forgotten; unrefreshed, it times out.
 */
static __always_inline bool still_allowed(struct context *ctx, const struct flow *f, const struct tcm_session *s,
					  struct verdict *v)
{
	v->rule = s->rule;
	v->identity = s->identity;
	if (s->generation == ctx->slot->generation)
		return true;
	if (still_tried(s)) {
		ctx->bank = TCM_TRIAL;
		return true;
	}
	if (s->flags & TCM_FORWARDED)
		judge_forwarded(ctx->slot, v);
	else
		judge(f, ctx->number, s->opener & 1, v);
	if (v->verdict != TCM_ALLOW)
		count_rule(v->rule, ctx->skb->len);
	return v->verdict == TCM_ALLOW;
}

/* Writes into the entry what was decided: who judged it now, and that a packet passed. */
static __always_inline void update_session(const struct context *ctx, const struct flow *f, const struct verdict *v,
					   bool packet)
{
	struct tcm_session *s = find_session(f);

	if (!s)
		return;
	if (ctx->bank != TCM_TRIAL) {
		s->rule = v->rule;
		s->identity = v->identity;
		s->generation = ctx->slot->generation;
		s->flags &= ~TCM_TRIED;
	}
	if (packet)
		follow(f, s, ctx->direction, ctx->skb->len, ctx->now);
}

/* False: it is not tracked, or not any more, or reused by a new connection. */
static __always_inline bool decide_tracked(struct context *ctx, const struct flow *f, struct verdict *v)
{
	struct tcm_session s;

	if (!copy_session(f, &s))
		return false;
	if (expired(ctx->settings, f, &s, ctx->now)) {
		forget(f);
		return false;
	}
	if (reopens(f, &s, ctx->direction))
		return false;
	if (still_allowed(ctx, f, &s, v)) {
		update_session(ctx, f, v, true);
		if (!(v->flags & TCM_AUDITS))
			settle(v, TCM_ALLOW, TCM_SESSION);
	}
	if (v->verdict != TCM_ALLOW || v->flags & TCM_AUDITS)
		v->reason = TCM_REVOKED;
	return true;
}

/* An ICMP error passes when it quotes a flow that policy still allows; it neither opens nor refreshes one. */
static __always_inline void decide_quoted(struct context *ctx, const struct flow *f, struct verdict *v)
{
	struct tcm_session s;

	if (copy_session(f, &s)) {
		if (!expired(ctx->settings, f, &s, ctx->now) && still_allowed(ctx, f, &s, v))
			settle(v, TCM_ALLOW, TCM_ICMP_ERROR);
		else
			settle(v, TCM_DENY, TCM_ICMP_ERROR_UNKNOWN);
	} else if (is_forwarded(ctx->skb, f, ctx->settings, ctx->direction)) {
		judge_forwarded(ctx->slot, v);
	} else {
		settle(v, TCM_DENY, TCM_ICMP_ERROR_UNKNOWN);
	}
}

/*
 * A later fragment has no ports. One for this host passes: without its judged first fragment the kernel completes no
 * datagram of it. One that is routed on has no such keeper, and gets the verdict of everything that is routed.
 */
static __always_inline void decide_fragment(const struct context *ctx, const struct flow *f, struct verdict *v)
{
	if (is_forwarded(ctx->skb, f, ctx->settings, ctx->direction))
		judge_forwarded(ctx->slot, v);
	else
		settle(v, TCM_ALLOW, TCM_FRAGMENT);
}

/* A SYN on a connection that lives ends it only if it is allowed: it may be forged. */
static __always_inline void replace_flow(struct context *ctx, const struct flow *f, int parsed, struct verdict *v)
{
	open_flow(ctx, f, v);
	if (parsed == TCM_FLOW && v->verdict == TCM_ALLOW && !in_mid_flow(f))
		bpf_map_delete_elem(answered_table(f), session_key(f));
}

static __always_inline void reach_verdict(struct context *ctx, const struct flow *f, int parsed, struct verdict *v)
{
	switch (parsed) {
	case TCM_FLOW:
	case TCM_NEW_FLOW:
		if (parsed == TCM_NEW_FLOW || !decide_tracked(ctx, f, v))
			replace_flow(ctx, f, parsed, v);
		return;
	case TCM_QUOTED:
		return decide_quoted(ctx, f, v);
	case TCM_FRAGMENT:
		return decide_fragment(ctx, f, v);
	case TCM_NON_IP:
	case TCM_NEIGHBOUR:
	case TCM_VLAN:
	case TCM_UNENFORCED:
		return settle(v, TCM_ALLOW, parsed);
	default: /* malformed, tiny fragment, ICMP error about nothing of ours */
		return settle(v, TCM_DENY, parsed);
	}
}

/* The failsafe has the last word on a refusal, whatever policy said, and so has the host's own address. */
static __always_inline void spare(const struct flow *f, struct verdict *v)
{
	if (!f->version)
		return;
	if (may_be_failsafe(f) && failsafe(f))
		settle(v, TCM_ALLOW, TCM_FAILSAFE);
	else if (is_dhcp(f))
		settle(v, TCM_ALLOW, TCM_DHCP);
}

/*
 * Decides what parse() made of the packet, by the slot of that number. Monitor mode lets pass what it counts; what a
 * rule that only audits denies is a flow like any that passes, and is counted with its first packet.
 */
static __noinline int decide(struct __sk_buff *skb, const struct flow *f, int parsed, __u32 direction, __u32 number)
{
	struct context ctx = { .skb = skb, .number = number, .direction = direction & 1 };
	struct verdict v = {};
	__u32 zero = 0;

	ctx.slot = bpf_map_lookup_elem(&tcm_slots, &number);
	ctx.settings = bpf_map_lookup_elem(&tcm_settings, &zero);
	if (!ctx.slot || !ctx.settings || !f)
		return TC_ACT_UNSPEC;
	ctx.now = bpf_jiffies64();
	reach_verdict(&ctx, f, parsed, &v);
	if (v.verdict == TCM_DENY || v.flags & TCM_AUDITS)
		spare(f, &v);
	if (v.flags & TCM_AUDITS || (v.verdict == TCM_DENY && ctx.slot->mode == TCM_MONITOR))
		ctx.bank = TCM_AUDITED;
	record(&ctx, f, &v);
	return v.verdict == TCM_DENY && ctx.bank != TCM_AUDITED ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

#endif
