// SPDX-License-Identifier: GPL-3.0-or-later
/* Counts what passes a hook, and UDP by destination port. It shares nothing with the programs it checks. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct total {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct total);
} tally_total SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u64);
} tally_udp SEC(".maps");

static __always_inline __u32 udp_port(struct __sk_buff *skb)
{
	__u8 protocol = 0;
	__be16 type = 0, port = 0;

	bpf_skb_load_bytes(skb, 12, &type, 2);
	if (type != bpf_htons(ETH_P_IP))
		return 0;
	bpf_skb_load_bytes(skb, ETH_HLEN + 9, &protocol, 1);
	if (protocol != IPPROTO_UDP)
		return 0;
	bpf_skb_load_bytes(skb, ETH_HLEN + 22, &port, 2);
	return bpf_ntohs(port);
}

SEC("tc")
int tally(struct __sk_buff *skb)
{
	__u32 zero = 0, port = udp_port(skb);
	struct total *t = bpf_map_lookup_elem(&tally_total, &zero);
	__u64 *count = bpf_map_lookup_elem(&tally_udp, &port);

	if (t) {
		__sync_fetch_and_add(&t->packets, 1);
		__sync_fetch_and_add(&t->bytes, skb->len);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
	return -1; /* TC_ACT_UNSPEC: whoever comes next decides */
}

char LICENSE[] SEC("license") = "GPL";
