// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A datapath as of abi 1, as far as a takeover sees it: its session maps, programs by our names, and a policy that
 * one can test: of TCP all but port 22, of UDP the tracked flows.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

struct session4_key {
	__be32 local;
	__be32 remote;
	__be16 local_port;
	__be16 remote_port;
	__u8 protocol;
	__u8 pad[3];
};

struct session6_key {
	__u8 local[16];
	__u8 remote[16];
	__be16 local_port;
	__be16 remote_port;
	__u8 protocol;
	__u8 pad[3];
};

struct session {
	__u32 generation;
	__u32 rule;
	__u32 identity;
	__u8 opener;
	__u8 state;
	__u8 fins;
	__u8 adopted;
	__u64 last_seen;
	__u64 packets[2];
	__u64 bytes[2];
};

#define SESSION_MAP(name, key_type)                  \
	struct {                                     \
		__uint(type, BPF_MAP_TYPE_LRU_HASH); \
		__uint(max_entries, 4096);           \
		__type(key, struct key_type);        \
		__type(value, struct session);       \
	} name SEC(".maps")

SESSION_MAP(tcm_half4, session4_key);
SESSION_MAP(tcm_half6, session6_key);
SESSION_MAP(tcm_sessions4, session4_key);
SESSION_MAP(tcm_sessions6, session6_key);

SEC("tc")
int tcm_ingress(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	__be16 *ports = (void *)(ip + 1);
	struct session4_key key = {};

	if (skb->protocol != bpf_htons(ETH_P_IP) || (void *)(ports + 2) > end)
		return TC_ACT_UNSPEC;
	if (ip->protocol == IPPROTO_TCP)
		return ports[1] == bpf_htons(22) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
	if (ip->protocol != IPPROTO_UDP)
		return TC_ACT_UNSPEC;
	key.local = ip->daddr;
	key.remote = ip->saddr;
	key.local_port = ports[1];
	key.remote_port = ports[0];
	key.protocol = IPPROTO_UDP;
	return bpf_map_lookup_elem(&tcm_sessions4, &key) ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

SEC("tc")
int tcm_egress(struct __sk_buff *skb __attribute__((unused)))
{
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
