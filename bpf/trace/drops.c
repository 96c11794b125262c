/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packets that the kernel drops, counted by place, reason and protocol: compiled on the host by bcc, by
 * `tc-micro trace drops`. HAS_REASON: this kernel says why (5.17 and later).
 */
#ifdef HAS_REASON
enum skb_drop_reason { TCM_NO_DROP_REASON }; /* the tracepoint has a field of it; only its number is of interest */
#endif

struct drop {
	u64 location;
	u32 reason;
	u32 protocol;
};

BPF_HASH(drops, struct drop, u64, 4096);

TRACEPOINT_PROBE(skb, kfree_skb)
{
	struct drop drop = {};

	drop.location = (u64)args->location;
	drop.protocol = args->protocol;
#ifdef HAS_REASON
	drop.reason = args->reason;
#endif
	drops.increment(drop);
	return 0;
}
