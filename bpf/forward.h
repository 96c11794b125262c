/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Traffic that is routed through this host, neither to nor from it. Asked only on hosts that route, and only for
 * packets of no tracked flow.
 */
#ifndef TCM_FORWARD_H
#define TCM_FORWARD_H

#include "parse.h"

#define TCM_AF_INET 2
#define TCM_AF_INET6 10

static __always_inline bool routes(const struct tcm_settings *settings, const struct flow *f)
{
	return settings->forwarding & (f->version == 4 ? 1 : 2);
}

/* What the routing table would do with a packet that came in: addresses of ours are "not forwarded". */
static __noinline int routed_on(struct __sk_buff *skb, const struct flow *f)
{
	struct bpf_fib_lookup fib = { .ifindex = skb->ifindex };
	int result;

	if (!f)
		return 0;
	if (f->version == 4) {
		fib.family = TCM_AF_INET;
		fib.ipv4_src = f->v4.remote;
		fib.ipv4_dst = f->v4.local;
	} else {
		fib.family = TCM_AF_INET6;
		__builtin_memcpy(fib.ipv6_src, f->v6.remote, 16);
		__builtin_memcpy(fib.ipv6_dst, f->v6.local, 16);
	}
	fib.l4_protocol = f->protocol;
	result = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	return result == BPF_FIB_LKUP_RET_SUCCESS || result == BPF_FIB_LKUP_RET_UNSUPP_LWT ||
	       result == BPF_FIB_LKUP_RET_NO_NEIGH || result == BPF_FIB_LKUP_RET_FRAG_NEEDED;
}

/* A packet that goes out and came in somewhere is on its way through. */
static __always_inline bool is_forwarded(struct __sk_buff *skb, const struct flow *f,
					 const struct tcm_settings *settings, __u32 direction)
{
	if (!f->version || !routes(settings, f))
		return false;
	return direction == TCM_EGRESS ? skb->ingress_ifindex != 0 : routed_on(skb, f);
}

#endif
