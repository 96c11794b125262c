// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The tc programs: two for Ethernet interfaces, two for those that carry bare IP (tun, wg, ppp); and the two that
 * user space runs to change what needs a compare and swap. They only judge: no packet is ever changed. Allow is
 * TC_ACT_UNSPEC, so that other people's programs on the hook still run; deny is TC_ACT_SHOT.
 */
#include <stdbool.h>
#include <stddef.h>

#include "decide.h"

/*
 * The slot that rules now. The word is read once, so a packet is judged by exactly one generation. A word that
 * names an empty slot cannot be written by us; should it be there, the other slot of the word is better than none.
 */
static __always_inline __u32 live_slot(const struct tcm_slot **slot)
{
	const struct tcm_control *control;
	__u32 zero = 0, number, other;
	__u64 word, deadline;

	control = bpf_map_lookup_elem(&tcm_control, &zero);
	word = control ? *(volatile __u64 *)&control->word : 0;
	deadline = word >> 8;
	number = word & (TCM_SLOTS - 1);
	other = word >> 4 & (TCM_SLOTS - 1);
	if (deadline && bpf_ktime_get_boot_ns() / 1000000 >= deadline)
		number = other;
	*slot = bpf_map_lookup_elem(&tcm_slots, &number);
	if (*slot && !(*slot)->generation) {
		number = other;
		*slot = bpf_map_lookup_elem(&tcm_slots, &number);
	}
	return number;
}

/* The way of almost every packet: a tracked flow that the live generation has judged. All inlined, nothing called. */
static __always_inline bool is_hit(const struct flow *f, struct tcm_session *s, const struct tcm_slot *slot,
				   const struct tcm_settings *settings, __u32 direction, __u64 now)
{
	return s && s->generation == slot->generation && !expired(settings, f, s, now) && !reopens(f, s, direction) &&
	       !(settings->event_reasons & 1U << TCM_SESSION);
}

static __always_inline int filter(struct __sk_buff *skb, __u32 direction, bool ethernet)
{
	const struct tcm_settings *settings;
	const struct tcm_slot *slot;
	struct tcm_session *s;
	struct flow f = {};
	__u32 number = live_slot(&slot), zero = 0;
	__u64 now = bpf_jiffies64();
	int parsed = TCM_UNENFORCED;

	settings = bpf_map_lookup_elem(&tcm_settings, &zero);
	if (!slot || !settings)
		return TC_ACT_UNSPEC;
	if (slot->generation)
		parsed = parse(skb, &f, settings, direction, ethernet);
	if (parsed == TCM_FLOW) {
		s = find_session(&f);
		if (is_hit(&f, s, slot, settings, direction, now)) {
			follow(&f, s, direction, skb->len, now);
			count(TCM_ENFORCED, direction, TCM_SESSION, skb->len);
			return TC_ACT_UNSPEC;
		}
		if (!s)
			parsed = TCM_NEW_FLOW;
	}
	hide_flow(&f, settings->zero);
	return decide(skb, &f, parsed | settings->zero, direction, number);
}

SEC("tc")
int tcm_ingress(struct __sk_buff *skb)
{
	return filter(skb, TCM_INGRESS, true);
}

SEC("tc")
int tcm_egress(struct __sk_buff *skb)
{
	return filter(skb, TCM_EGRESS, true);
}

SEC("tc")
int tcm_ingress_l3(struct __sk_buff *skb)
{
	return filter(skb, TCM_INGRESS, false);
}

SEC("tc")
int tcm_egress_l3(struct __sk_buff *skb)
{
	return filter(skb, TCM_EGRESS, false);
}

/*
 * Compare and swap of the control word, run by user space through BPF_PROG_TEST_RUN. Every change of the word
 * goes through here, so a commit that comes too late cannot bring an expired policy back. (A lock rather than
 * an atomic compare-exchange, because that needs kernel 5.12.)
 */
SEC("tc")
int tcm_transition(struct __sk_buff *skb)
{
	struct tcm_transition_request *in = bytes_at(skb, ETH_HLEN, sizeof(*in)), request;
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

static __always_inline void *session_table(__u32 table)
{
	switch (table) {
	case TCM_HALF4:
		return &tcm_half4;
	case TCM_HALF6:
		return &tcm_half6;
	case TCM_TCP4:
		return &tcm_tcp4;
	case TCM_TCP6:
		return &tcm_tcp6;
	case TCM_OTHER4:
		return &tcm_other4;
	default:
		return &tcm_other6;
	}
}

/*
 * Deletes sessions that user space found expired, each only if it was not used meanwhile. A scan from user space does
 * not touch the order of an LRU map; this lookup does, for an entry that goes. Returns how many went.
 */
SEC("tc")
int tcm_expire(struct __sk_buff *skb)
{
	__u32 offset = ETH_HLEN, gone = 0;
	struct tcm_expire_request request;
	struct tcm_session6_key key = {};
	struct tcm_session *s;
	__u64 last_seen;
	__u32 size;
	void *table;

	if (bpf_skb_load_bytes(skb, offset, &request, sizeof(request)))
		return 0;
	table = session_table(request.table);
	size = request.table & 1 ? sizeof(struct tcm_session6_key) : sizeof(struct tcm_session4_key);
	offset += sizeof(request);
	for (__u32 i = 0; i < TCM_EXPIRE_MAX && i < request.count; i++) {
		if (bpf_skb_load_bytes(skb, offset, &key, size) ||
		    bpf_skb_load_bytes(skb, offset + size, &last_seen, sizeof(last_seen)))
			break;
		s = bpf_map_lookup_elem(table, &key);
		if (s && s->last_seen == last_seen && !bpf_map_delete_elem(table, &key))
			gone++;
		offset += size + sizeof(last_seen);
	}
	return gone;
}

#include "ask.h" /* needs live_slot() */

char LICENSE[] SEC("license") = "GPL";
