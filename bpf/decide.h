/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every packet that is no plain hit of a tracked flow: first packets, stale and expired flows, ICMP errors,
 * fragments, malformed ones. The way to a drop is refuse(), and there is no other.
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

static __always_inline int allow(const struct context *ctx, const struct flow *f, const struct verdict *v)
{
	record(ctx, f, v->reason, v->rule, v->identity);
	return TC_ACT_UNSPEC;
}

/* The failsafe has the last word, whatever policy said, and so has the host's own address; monitor lets pass. */
static __noinline int refuse(struct context *ctx, const struct flow *f, const struct verdict *v)
{
	struct verdict kept;

	if (!ctx || !f || !v)
		return TC_ACT_SHOT;
	kept = *v;
	if (f->version && (failsafe(f) || is_dhcp(f))) {
		kept.reason = is_dhcp(f) ? TCM_DHCP : TCM_FAILSAFE;
		return allow(ctx, f, &kept);
	}
	if (ctx->slot->mode == TCM_MONITOR)
		ctx->bank = TCM_AUDITED;
	record(ctx, f, v->reason, v->rule, v->identity);
	return ctx->bank == TCM_AUDITED ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

static __always_inline int refuse_for(struct context *ctx, const struct flow *f, enum tcm_reason reason)
{
	struct verdict v = { .reason = reason };

	return refuse(ctx, f, &v);
}

static __always_inline int allow_for(struct context *ctx, const struct flow *f, enum tcm_reason reason)
{
	struct verdict v = { .reason = reason };

	return allow(ctx, f, &v);
}

static __always_inline void open_session(const struct context *ctx, const struct flow *f, const struct verdict *v,
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
}

static __always_inline bool in_mid_flow(const struct flow *f)
{
	return f->protocol == IPPROTO_TCP && (f->tcp_flags & (TCM_SYN | TCM_ACK)) != TCM_SYN;
}

static __always_inline int forward(struct context *ctx, const struct flow *f)
{
	struct verdict v;

	judge_forwarded(ctx->slot, &v);
	count_rule(v.rule, ctx->skb->len);
	if (v.verdict != TCM_ALLOW)
		return refuse(ctx, f, &v);
	open_session(ctx, f, &v, ctx->direction, TCM_FORWARDED | (in_mid_flow(f) ? TCM_ADOPTED : 0));
	return allow(ctx, f, &v);
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
static __always_inline int adopt(struct context *ctx, const struct flow *f)
{
	__u32 opener = opener_of(ctx, f);
	struct verdict v = {};

	if (opener >= TCM_DIRECTIONS)
		return refuse_for(ctx, f, TCM_NO_SESSION);
	judge(f, ctx->number, opener, &v);
	if (v.verdict != TCM_ALLOW)
		return refuse(ctx, f, &v);
	open_session(ctx, f, &v, opener, TCM_ADOPTED);
	v.reason = TCM_SESSION;
	return allow(ctx, f, &v);
}

/* From here on the staged policy holds for this packet. */
static __always_inline void switch_to(struct context *ctx, __u32 number)
{
	const struct tcm_slot *staged = bpf_map_lookup_elem(&tcm_slots, &number);

	if (staged) {
		ctx->slot = staged;
		ctx->bank = TCM_TRIAL;
	}
}

static __always_inline bool from_offender(const struct context *ctx, const struct flow *f, const struct verdict *v)
{
	return f->protocol == IPPROTO_TCP && ctx->direction == TCM_INGRESS && v->identity == TCM_WORLD &&
	       floods(f, ctx->settings, ctx->now);
}

static __always_inline int open_flow(struct context *ctx, const struct flow *f)
{
	struct verdict v = {};
	int staged;

	if (is_forwarded(ctx->skb, f, ctx->settings, ctx->direction))
		return forward(ctx, f);
	if (in_mid_flow(f))
		return adopt(ctx, f);
	if (f->no_opener)
		return refuse_for(ctx, f, TCM_NO_SESSION);
	judge(f, ctx->number, ctx->direction, &v);
	staged = consult_staged(ctx, f, &v);
	if (staged >= 0)
		switch_to(ctx, staged);
	count_rule(v.rule, ctx->skb->len);
	if (v.verdict != TCM_ALLOW)
		return refuse(ctx, f, &v);
	if (from_offender(ctx, f, &v)) {
		v.reason = TCM_SYN_FLOOD;
		return refuse(ctx, f, &v);
	}
	open_session(ctx, f, &v, ctx->direction, 0);
	return allow(ctx, f, &v);
}

/*
 * A flow judged by another generation is judged again as its opener: a new policy revokes at once. A refused one
 * keeps its entry and its old stamp, so that who opened it is not forgotten; unrefreshed, it times out.
 */
static __always_inline bool still_allowed(struct context *ctx, const struct flow *f, struct tcm_session *s,
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
	if (v->verdict != TCM_ALLOW) {
		count_rule(v->rule, ctx->skb->len);
		return false;
	}
	s->rule = v->rule;
	s->identity = v->identity;
	s->generation = ctx->slot->generation;
	s->flags &= ~TCM_TRIED;
	return true;
}

static __always_inline int decide_flow(struct context *ctx, const struct flow *f)
{
	struct tcm_session *s = find_session(f);
	struct verdict v = {};

	if (!s || expired(ctx->settings, f, s, ctx->now) || reopens(f, s, ctx->direction)) {
		if (s)
			forget(f);
		return open_flow(ctx, f);
	}
	if (!still_allowed(ctx, f, s, &v)) {
		v.reason = TCM_REVOKED;
		return refuse(ctx, f, &v);
	}
	follow(f, s, ctx->direction, ctx->skb->len, ctx->now);
	v.reason = TCM_SESSION;
	return allow(ctx, f, &v);
}

/* An ICMP error passes when it quotes a flow that policy still allows; it neither opens nor refreshes one. */
static __always_inline int decide_quoted(struct context *ctx, const struct flow *f)
{
	struct tcm_session *s = find_session(f);
	struct verdict v = {};

	if (s && !expired(ctx->settings, f, s, ctx->now) && still_allowed(ctx, f, s, &v)) {
		v.reason = TCM_ICMP_ERROR;
		return allow(ctx, f, &v);
	}
	if (s || !is_forwarded(ctx->skb, f, ctx->settings, ctx->direction))
		return refuse_for(ctx, f, TCM_ICMP_ERROR_UNKNOWN);
	judge_forwarded(ctx->slot, &v);
	return v.verdict == TCM_ALLOW ? allow(ctx, f, &v) : refuse(ctx, f, &v);
}

/*
 * A later fragment has no ports. One for this host passes: without its judged first fragment the kernel completes no
 * datagram of it. One that is routed on has no such keeper, and gets the verdict of everything that is routed.
 */
static __always_inline int decide_fragment(struct context *ctx, const struct flow *f)
{
	struct verdict v = {};

	if (!is_forwarded(ctx->skb, f, ctx->settings, ctx->direction))
		return allow_for(ctx, f, TCM_FRAGMENT);
	judge_forwarded(ctx->slot, &v);
	return v.verdict == TCM_ALLOW ? allow(ctx, f, &v) : refuse(ctx, f, &v);
}

/* Decides what parse() made of the packet, by the slot of that number. */
static __noinline int decide(struct __sk_buff *skb, const struct flow *f, int parsed, __u32 direction, __u32 number)
{
	struct context ctx = { .skb = skb, .number = number, .direction = direction & 1 };
	__u32 zero = 0;

	ctx.slot = bpf_map_lookup_elem(&tcm_slots, &number);
	ctx.settings = bpf_map_lookup_elem(&tcm_settings, &zero);
	if (!ctx.slot || !ctx.settings || !f)
		return TC_ACT_UNSPEC;
	ctx.now = bpf_jiffies64();
	switch (parsed) {
	case TCM_FLOW:
		return decide_flow(&ctx, f);
	case TCM_QUOTED:
		return decide_quoted(&ctx, f);
	case TCM_FRAGMENT:
		return decide_fragment(&ctx, f);
	case TCM_NON_IP:
	case TCM_NEIGHBOUR:
	case TCM_VLAN:
	case TCM_UNENFORCED:
		return allow_for(&ctx, f, parsed);
	case TCM_ICMP_ERROR_UNKNOWN:
	case TCM_FRAGMENT_TINY:
		return refuse_for(&ctx, f, parsed);
	default:
		return refuse_for(&ctx, f, TCM_MALFORMED);
	}
}

#endif
