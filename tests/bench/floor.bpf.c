// SPDX-License-Identifier: GPL-3.0-or-later
/* The least a tc program can do: what every measurement is divided by. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <linux/pkt_cls.h>

SEC("tc")
int floor_ok(struct __sk_buff *skb __attribute__((unused)))
{
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "GPL";
