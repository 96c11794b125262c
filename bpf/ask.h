/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the live policy would say about a flow, without a trace: no session, no counter, no event, no SYN rate. User
 * space runs tcm_ask on the flow's first packet by BPF_PROG_TEST_RUN. It is loaded for the length of a question
 * (`?`: not with the others), pinned nowhere and attached nowhere, so no packet of a network ever meets it.
 */
#ifndef TCM_ASK_H
#define TCM_ASK_H

#include "decide.h"

static __always_inline void answer(struct __sk_buff *skb, const struct tcm_slot *slot, const struct verdict *v)
{
	skb->cb[TCM_ANSWER_VERDICT] = v->verdict;
	skb->cb[TCM_ANSWER_REASON] = v->reason;
	skb->cb[TCM_ANSWER_RULE] = v->rule;
	skb->cb[TCM_ANSWER_IDENTITY] = v->identity;
	skb->cb[TCM_ANSWER_GENERATION] = slot->generation;
}

/* As reach_verdict() for the first packet of a flow that nobody tracks; of anything else only what it is. */
static __always_inline void judge_first(const struct flow *f, int parsed, __u32 number, __u32 direction,
					struct verdict *v)
{
	if (parsed == TCM_FLOW && !in_mid_flow(f) && !f->no_opener) {
		judge(f, number, direction, v);
		if (v->verdict == TCM_DENY || v->flags & TCM_AUDITS)
			spare(f, v);
	} else {
		settle(v, parsed == TCM_UNENFORCED ? TCM_ALLOW : TCM_DENY, parsed < 0 ? TCM_NO_SESSION : parsed);
	}
}

/* TC_ACT_OK: answered in cb, see enum tcm_answer. TC_ACT_UNSPEC: our maps hold nothing to answer by. */
SEC("?tc")
int tcm_ask(struct __sk_buff *skb)
{
	const struct tcm_settings *settings;
	const struct tcm_slot *slot;
	struct verdict v = {};
	struct flow f = {};
	__u32 direction = skb->cb[TCM_ANSWER_VERDICT] & 1, number = live_slot(&slot), zero = 0;
	int parsed = TCM_UNENFORCED;

	settings = bpf_map_lookup_elem(&tcm_settings, &zero);
	if (!slot || !settings)
		return TC_ACT_UNSPEC;
	if (slot->generation)
		parsed = parse(skb, &f, settings, direction, true);
	hide_flow(&f, settings->zero);
	judge_first(&f, parsed | settings->zero, number, direction, &v);
	answer(skb, slot, &v);
	return TC_ACT_OK;
}

#endif
