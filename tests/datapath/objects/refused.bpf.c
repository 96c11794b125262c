// SPDX-License-Identifier: GPL-3.0-or-later
/* No verifier lets this pass: it reads the packet without looking where it ends. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int tcm_ingress(struct __sk_buff *skb)
{
	return *(volatile int *)(long)skb->data;
}

char LICENSE[] SEC("license") = "GPL";
