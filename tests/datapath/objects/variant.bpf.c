// SPDX-License-Identifier: GPL-3.0-or-later
/* The programs of a release that differs in one: what an upgrade of the same abi brings. */
#include "tcmicro.bpf.c"

SEC("tc")
int tcm_variant(struct __sk_buff *skb)
{
	return skb->len;
}
