// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The real programs, with one change behind the parser: every packet becomes one of another flow. A test run sends
 * one packet again and again, which shows a datapath with everything in its caches; this shows it without.
 */
#include <stdbool.h>
#include <stddef.h>

#include "../../bpf/parse.h"

/* Which flow comes next: number `counter >> repeats` of `count`, in a random order that visits them evenly. */
struct bench_cycle {
	__u32 counter;
	__u32 repeats; /* 1: each flow twice in a row */
	__u32 count;   /* of flows; 0 = leave the packet as it is */
	__u32 base;    /* first address of the peers, host order */
	__u32 in_turn; /* 1: in order of number, so that `count` packets are `count` flows */
	__u32 ports;   /* 1: and from another port with every packet: always a new flow */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_cycle);
} bench_cycle SEC(".maps");

static __always_inline __u32 next_flow(struct bench_cycle *cycle)
{
	__u32 turn = cycle->counter++ >> cycle->repeats;

	if (cycle->in_turn)
		return turn % cycle->count;
	return (__u64)(turn * 0x9e3779b1U) * cycle->count >> 32; /* a permutation of 32 bits, scaled */
}

static __always_inline void set_remote(struct flow *f, __u32 address)
{
	if (f->version == 4)
		f->v4.remote = bpf_htonl(address);
	else
		*(__be32 *)(f->v6.remote + 12) = bpf_htonl(address);
}

/* Called rather than inlined: the real programs leave no stack for it. */
static __noinline int cycled(int parsed, struct flow *f)
{
	struct bench_cycle *cycle;
	__u32 zero = 0;

	if (!f)
		return parsed;
	cycle = bpf_map_lookup_elem(&bench_cycle, &zero);
	if (parsed != TCM_FLOW || !cycle || !cycle->count)
		return parsed;
	if (cycle->ports)
		f->remote_port = cycle->counter;
	set_remote(f, cycle->base + next_flow(cycle));
	seal_key(f);
	return parsed;
}

#define parse(skb, f, ...) cycled(parse(skb, f, __VA_ARGS__), f)
#include "../../bpf/tcmicro.bpf.c"

/* A new flow up to its verdict and no further: parsed, not found among the sessions, judged; nothing is written. */
SEC("tc")
int bench_judge(struct __sk_buff *skb)
{
	const struct tcm_settings *settings;
	const struct tcm_slot *slot;
	__u32 number = live_slot(&slot), zero = 0;
	struct verdict v = {};
	struct flow f = {};

	settings = bpf_map_lookup_elem(&tcm_settings, &zero);
	if (!slot || !settings || parse(skb, &f, settings, TCM_INGRESS, true) != TCM_FLOW || find_session(&f))
		return TC_ACT_OK;
	judge(&f, number, TCM_INGRESS, &v);
	return v.verdict == TCM_ALLOW ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}
