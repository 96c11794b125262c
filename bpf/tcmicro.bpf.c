// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The two tc programs, and the one that moves the control word. They only judge: no packet is ever changed.
 * Allow is TC_ACT_UNSPEC, so that other people's programs on the hook still run; deny is TC_ACT_SHOT.
 */
#include <stdbool.h>
#include <stddef.h>

#include "abi.h"
#include "maps.h"
#include "parse.h"
#include "policy.h"
#include "session.h"
#include <linux/pkt_cls.h>

/* One packet on its way through: what it is, where it is and by which policy it is judged. */
struct context {
	struct __sk_buff *skb;
	const struct tcm_slot *slot;
	__u32 number; /* of the slot */
	__u32 direction;
	__u64 now; /* jiffies */
};

static __always_inline void count(__u32 audit, __u32 direction, __u32 reason, __u32 bytes)
{
	__u32 index = TCM_COUNTER(audit, direction, reason);
	struct tcm_count *c = bpf_map_lookup_elem(&tcm_counters, &index);

	if (c) {
		c->packets++;
		c->bytes += bytes;
	}
}

static __always_inline void count_rule(__u32 rule, __u32 bytes)
{
	struct tcm_count *c = bpf_map_lookup_elem(&tcm_rule_hits, &rule);

	if (c) {
		c->packets++;
		c->bytes += bytes;
	}
}

static __always_inline int allow(const struct context *ctx, __u32 reason)
{
	count(0, ctx->direction, reason, ctx->skb->len);
	return TC_ACT_UNSPEC;
}

/* The only way to a drop. The failsafe has the last word, whatever policy said; monitor mode lets pass. */
static __always_inline int deny(const struct context *ctx, const struct flow *f, __u32 reason)
{
	if (failsafe(f))
		return allow(ctx, TCM_FAILSAFE);
	count(ctx->slot->mode == TCM_MONITOR, ctx->direction, reason, ctx->skb->len);
	return ctx->slot->mode == TCM_MONITOR ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

static __always_inline void open_session(const struct context *ctx, const struct flow *f, const struct verdict *v,
					 __u32 opener, __u32 state)
{
	struct tcm_session s = {
		.generation = ctx->slot->generation,
		.rule = v->rule,
		.identity = v->identity,
		.opener = opener,
		.state = state,
		.adopted = state == TCM_ESTABLISHED,
		.last_seen = ctx->now,
	};

	s.packets[ctx->direction & 1] = 1;
	s.bytes[ctx->direction & 1] = ctx->skb->len;
	remember(f, &s);
}

/* TCP in mid-flow that we do not track: ours if a socket knows it, and then judged as whoever opened it. */
static __always_inline int adopt(const struct context *ctx, const struct flow *f)
{
	struct verdict v = {};
	__u32 opener = socket_opener(ctx->skb, f);

	if (opener >= TCM_DIRECTIONS)
		return deny(ctx, f, TCM_NO_SESSION);
	judge(f, ctx->number, opener, &v);
	if (v.verdict != TCM_ALLOW)
		return deny(ctx, f, v.reason);
	open_session(ctx, f, &v, opener, TCM_ESTABLISHED);
	return allow(ctx, TCM_SESSION);
}

static __always_inline int open_flow(const struct context *ctx, const struct flow *f)
{
	struct verdict v = {};

	if (f->protocol == IPPROTO_TCP && (f->tcp_flags & (TCM_SYN | TCM_ACK)) != TCM_SYN)
		return adopt(ctx, f);
	if (f->no_opener)
		return deny(ctx, f, TCM_NO_SESSION);
	judge(f, ctx->number, ctx->direction, &v);
	count_rule(v.rule, ctx->skb->len);
	if (v.verdict != TCM_ALLOW)
		return deny(ctx, f, v.reason);
	open_session(ctx, f, &v, ctx->direction, TCM_OPENING);
	return allow(ctx, v.reason);
}

/*
 * A flow judged by another generation is judged again as its opener: a new policy revokes at once. A refused one
 * keeps its entry and its old stamp, so that who opened it is not forgotten; unrefreshed, it times out.
 */
static __always_inline bool still_allowed(const struct context *ctx, const struct flow *f, struct tcm_session *s)
{
	struct verdict v = {};

	if (s->generation == ctx->slot->generation)
		return true;
	judge(f, ctx->number, s->opener & 1, &v);
	if (v.verdict != TCM_ALLOW) {
		count_rule(v.rule, ctx->skb->len);
		return false;
	}
	s->rule = v.rule;
	s->identity = v.identity;
	s->generation = ctx->slot->generation;
	return true;
}

static __always_inline int judge_flow(const struct context *ctx, const struct flow *f)
{
	struct tcm_session *s = find_session(f);

	if (!s || expired(f, s, ctx->now) || reopens(f, s, ctx->direction)) {
		if (s)
			forget(f);
		return open_flow(ctx, f);
	}
	if (!still_allowed(ctx, f, s))
		return deny(ctx, f, TCM_REVOKED);
	follow(f, s, ctx->direction, ctx->skb->len, ctx->now);
	return allow(ctx, TCM_SESSION);
}

/* An ICMP error passes when it quotes a flow that policy still allows; it neither opens nor refreshes one. */
static __always_inline int judge_quoted(const struct context *ctx, const struct flow *f)
{
	struct tcm_session *s = find_session(f);

	if (s && !expired(f, s, ctx->now) && still_allowed(ctx, f, s))
		return allow(ctx, TCM_ICMP_ERROR);
	return deny(ctx, f, TCM_ICMP_ERROR_UNKNOWN);
}

/* The slot that rules now. The word is read once, so a packet is judged by exactly one generation. */
static __always_inline __u32 live_slot(void)
{
	__u32 zero = 0;
	const struct tcm_control *control = bpf_map_lookup_elem(&tcm_control, &zero);
	__u64 word, deadline;

	if (!control)
		return 0;
	word = *(volatile __u64 *)&control->word;
	deadline = word >> 8;
	if (deadline && bpf_ktime_get_boot_ns() / 1000000 >= deadline)
		word >>= 4;
	return word & (TCM_SLOTS - 1);
}

static __always_inline int filter(struct __sk_buff *skb, __u32 direction)
{
	struct context ctx = { .skb = skb, .number = live_slot(), .direction = direction };
	struct flow f = {};
	int parsed;

	ctx.slot = bpf_map_lookup_elem(&tcm_slots, &ctx.number);
	if (!ctx.slot || !ctx.slot->generation)
		return allow(&ctx, TCM_UNENFORCED);
	ctx.now = bpf_jiffies64();
	parsed = parse(skb, &f, direction);
	switch (parsed) {
	case TCM_FLOW:
		return judge_flow(&ctx, &f);
	case TCM_QUOTED:
		return judge_quoted(&ctx, &f);
	case TCM_NON_IP:
	case TCM_NEIGHBOUR:
	case TCM_FRAGMENT:
		return allow(&ctx, parsed);
	case TCM_ICMP_ERROR_UNKNOWN:
	case TCM_FRAGMENT_TINY:
		return deny(&ctx, &f, parsed);
	default:
		return deny(&ctx, &f, TCM_MALFORMED);
	}
}

SEC("tc")
int tcm_ingress(struct __sk_buff *skb)
{
	return filter(skb, TCM_INGRESS);
}

SEC("tc")
int tcm_egress(struct __sk_buff *skb)
{
	return filter(skb, TCM_EGRESS);
}

/*
 * Compare and swap of the control word, run by user space through BPF_PROG_TEST_RUN. Every change of the word
 * goes through here, so a commit that comes too late cannot bring an expired policy back. (A lock rather than
 * an atomic compare-exchange, because that needs kernel 5.12.)
 */
SEC("tc")
int tcm_transition(struct __sk_buff *skb)
{
	struct tcm_transition_request *in = header(skb, ETH_HLEN, sizeof(*in)), request;
	__u64 now = bpf_ktime_get_boot_ns() / 1000000, jiffies = bpf_jiffies64(), deadline;
	struct tcm_control *control;
	int result = TCM_CONFLICT;
	__u32 zero = 0;

	if (!in)
		return 0;
	__builtin_memcpy(&request, in, sizeof(request));
	control = bpf_map_lookup_elem(&tcm_control, &zero);
	if (!control)
		return 0;
	bpf_spin_lock(&control->lock);
	deadline = control->word >> 8;
	if (deadline && now >= deadline) {
		control->word = TCM_WORD(control->word >> 4 & 15, control->word >> 4 & 15, 0);
		result = TCM_EXPIRED;
	} else if (control->word == request.expected) {
		control->word = request.desired;
		result = TCM_SWAPPED;
	}
	control->jiffies = jiffies;
	control->boot_ms = now;
	bpf_spin_unlock(&control->lock);
	return result;
}

char LICENSE[] SEC("license") = "GPL";
