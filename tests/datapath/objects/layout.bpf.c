// SPDX-License-Identifier: GPL-3.0-or-later
/* A map by the name of one of ours, of another layout: it cannot take over what is pinned. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} tcm_slots SEC(".maps");

SEC("tc")
int tcm_ingress(struct __sk_buff *skb __attribute__((unused)))
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&tcm_slots, &zero) ? -1 : 0;
}

char LICENSE[] SEC("license") = "GPL";
