/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SYN rates: per source network (IPv4 /24, IPv6 /64) and per port of ours, in windows of about a second. An
 * offender is one who passed `on` and has not yet spent a whole window below `off`.
 */
#ifndef TCM_FLOOD_H
#define TCM_FLOOD_H

#include "parse.h"

struct limits {
	__u32 on;
	__u32 off;
};

/*
 * One more SYN for the owner of a bucket: whether that makes it an offender. Somebody else wears the owner's count
 * down and takes the bucket over at zero (majority vote), so the busiest holds it and no bystander is blamed.
 */
static __always_inline bool note_syn(struct tcm_rate *rate, __u32 tag, __u32 window, struct limits limits)
{
	if (rate->window != window) {
		if (rate->window + 1 != window || rate->count < limits.off)
			rate->over = 0;
		rate->window = window;
		rate->count = 0;
	}
	if (rate->tag != tag) {
		if (rate->count || rate->over) {
			rate->count -= !!rate->count;
			return false;
		}
		rate->tag = tag;
	}
	if (++rate->count >= limits.on)
		rate->over = 1;
	return rate->over;
}

/* 64 well mixed bits of the source network (the finalizer of splitmix64): 16 for the bucket, 32 for the tag. */
static __always_inline __u64 mixed(__u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static __always_inline __u64 source_network(const struct flow *f)
{
	__u64 network;

	if (f->version == 4)
		return f->v4.remote & bpf_htonl(0xffffff00);
	__builtin_memcpy(&network, f->v6.remote, 8);
	return network;
}

/* Notes a new connection to a port of ours; whether it comes from an offender. Whom policy knows is never one. */
static __noinline int floods(const struct flow *f, const struct tcm_settings *settings, __u64 now, __u32 identity)
{
	__u32 window, bucket, port;
	struct tcm_rate *rate;
	__u64 hash;

	if (!f || !settings)
		return 0;
	window = now >> (settings->syn_window & 31);
	port = bpf_ntohs(f->local_port);
	rate = settings->syn_listener_on ? bpf_map_lookup_elem(&tcm_syn_listeners, &port) : NULL;
	if (rate)
		note_syn(rate, port, window, (struct limits){ settings->syn_listener_on, settings->syn_listener_off });
	if (identity != TCM_WORLD || !settings->syn_source_on)
		return 0;
	hash = mixed(source_network(f));
	bucket = hash & (TCM_RATES - 1);
	rate = bpf_map_lookup_elem(&tcm_syn_sources, &bucket);
	return rate && note_syn(rate, hash >> 32, window,
				(struct limits){ settings->syn_source_on, settings->syn_source_off });
}

#endif
