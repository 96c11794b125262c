/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From packet bytes to a flow. Contract: parse() returns TCM_FLOW and fills the flow, TCM_QUOTED (an ICMP error;
 * the flow is the quoted packet's) or else the reason the packet is decided without a flow. For TCM_FRAGMENT the
 * flow has its addresses and protocol, but no ports.
 */
#ifndef TCM_PARSE_H
#define TCM_PARSE_H

#include "maps.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#define TCM_MAX_HEADERS 512 /* an L4 header that starts beyond this is malformed for us */
#define TCM_MAX_EXTENSIONS 6
#define TCM_FRAGMENT_OFFSET 0x1fff
#define TCM_MORE_FRAGMENTS 0x2000

enum tcm_parsed {
	TCM_FLOW = -1,
	TCM_QUOTED = -2,
	TCM_NEW_FLOW = -3, /* a flow that was looked for, and is not tracked */
};

enum tcm_tcp_flag { TCM_FIN = 1, TCM_SYN = 2, TCM_RST = 4, TCM_ACK = 16 };

/* RFC 792, RFC 4443; the headers that name these drag in the C library. */
enum tcm_icmp_type {
	ICMP_ECHO_REPLY = 0,
	ICMP_UNREACHABLE = 3,
	ICMP_SOURCE_QUENCH = 4,
	ICMP_REDIRECT = 5,
	ICMP_ECHO_REQUEST = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER_PROBLEM = 12,
	ICMP6_ECHO_REQUEST = 128,
	ICMP6_ECHO_REPLY = 129,
};

struct icmp_header {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 id;
	__be16 sequence;
};

struct flow {
	union {
		struct tcm_session4_key v4;
		struct tcm_session6_key v6;
	};
	__u8 version;	/* 4 or 6 */
	__u8 protocol;	/* ICMPv6 is filed under ICMP */
	__u8 tcp_flags; /* enum tcm_tcp_flag */
	__u8 no_opener; /* an answer by nature: opens no flow (echo reply) */
	__be16 local_port;
	__be16 remote_port;
} __attribute__((aligned(8)));

/* Where the next header starts and what it is, and where the IP packet ends; quoted: inside an ICMP error. */
struct cursor {
	__u32 offset;
	__u32 end; /* what lies behind it (padding of a short frame, or a sender's trick) belongs to no header */
	__u32 zero;
	__u8 protocol;
	__u8 hops;
	__u8 fragmented;
	__u8 quoted;
};

/* Loaded by hand: clang would share the address of a context field, which the verifier refuses. */
#define TCM_PACKET_FIELD(skb, field)                                                                              \
	({                                                                                                        \
		void *__value;                                                                                    \
		asm volatile("%0 = *(u32 *)(%1 + %2)"                                                             \
			     : "=r"(__value)                                                                      \
			     : "r"(skb), "i"(offsetof(struct __sk_buff, field)));                                 \
		__value;                                                                                          \
	})

/*
 * A value the verifier forgets what it knows about. Ways through the parser that differ only in constants (tags,
 * extension headers) look alike to it afterwards and are checked once: a tenth of the work, for a machine instruction.
 */
static __always_inline __u32 hide(const struct cursor *c, __u32 value)
{
	return value | c->zero;
}

/* `size` header bytes at `offset`, pulled into the linear part when they are not there; NULL when truncated. */
static __always_inline void *bytes_at(struct __sk_buff *skb, __u32 offset, __u32 size)
{
	void *data = TCM_PACKET_FIELD(skb, data);

	asm volatile("" : "+r"(offset)); /* what is compared is what is added, whatever clang knows of it */
	if (offset > TCM_MAX_HEADERS)
		return NULL;
	if (data + offset + size <= TCM_PACKET_FIELD(skb, data_end))
		return data + offset;
	if (offset + size > skb->len || bpf_skb_pull_data(skb, offset + size))
		return NULL;
	data = TCM_PACKET_FIELD(skb, data);
	return data + offset + size <= TCM_PACKET_FIELD(skb, data_end) ? data + offset : NULL;
}

/* The next header, NULL when the IP packet ends before it does. */
static __always_inline void *header(struct __sk_buff *skb, const struct cursor *c, __u32 size)
{
	return c->offset + size <= c->end ? bytes_at(skb, c->offset, size) : NULL;
}

static __always_inline int too_short(const struct cursor *c)
{
	return c->fragmented ? TCM_FRAGMENT_TINY : TCM_MALFORMED;
}

/* Local is the destination of what comes in; a quoted packet went the other way. */
static __always_inline bool source_is_local(const struct cursor *c, __u32 direction)
{
	return (direction == TCM_EGRESS) != c->quoted;
}

static __always_inline void set_ports(struct flow *f, const struct cursor *c, __u32 direction, __be16 source, __be16 dest)
{
	bool out = source_is_local(c, direction);

	f->local_port = out ? source : dest;
	f->remote_port = out ? dest : source;
}

static __always_inline int parse_tcp(struct __sk_buff *skb, struct flow *f, struct cursor *c, __u32 direction)
{
	struct tcphdr *tcp = header(skb, c, sizeof(*tcp));
	__u8 flags;

	if (!tcp || c->offset + tcp->doff * 4 > c->end)
		return too_short(c);
	flags = ((__u8 *)tcp)[13];
	if (tcp->doff < 5 || (flags & TCM_SYN && flags & (TCM_FIN | TCM_RST)) ||
	    !(flags & (TCM_SYN | TCM_RST | TCM_ACK)))
		return TCM_MALFORMED;
	f->tcp_flags = flags;
	set_ports(f, c, direction, tcp->source, tcp->dest);
	return TCM_FLOW;
}

/* UDP, SCTP, and TCP inside an ICMP error: the ports are the first four bytes, eight are always there. */
static __always_inline int parse_ports(struct __sk_buff *skb, struct flow *f, struct cursor *c, __u32 direction)
{
	__be16 *ports = header(skb, c, 8);

	if (!ports)
		return too_short(c);
	set_ports(f, c, direction, ports[0], ports[1]);
	return TCM_FLOW;
}

static __always_inline bool is_icmp_error(__u8 version, __u8 type)
{
	if (version == 6)
		return type < 128;
	return type == ICMP_UNREACHABLE || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
	       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
}

/* Neighbour discovery (RS, RA, NS, NA) and MLD: without them IPv6 does not work at all. */
static __always_inline bool is_neighbour(__u8 type, __u8 hops)
{
	return (type >= 133 && type <= 136 && hops == 255) ||
	       (((type >= 130 && type <= 132) || type == 143) && hops == 1);
}

/*
 * Who asks stands to who answers as a client to a server: the identifier is the port of the one, the type of the
 * request that of the other. So a request from the peer is no answer to ours, even with our identifier.
 */
static __always_inline int parse_icmp(struct __sk_buff *skb, struct flow *f, struct cursor *c, __u32 direction)
{
	struct icmp_header *icmp = header(skb, c, sizeof(*icmp));
	__u8 request = f->version == 6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO_REQUEST;
	__u8 reply = f->version == 6 ? ICMP6_ECHO_REPLY : ICMP_ECHO_REPLY;
	__be16 service;

	if (!icmp)
		return too_short(c);
	if (f->version == 6 && is_neighbour(icmp->type, c->hops))
		return TCM_NEIGHBOUR;
	if (is_icmp_error(f->version, icmp->type))
		return TCM_QUOTED;
	f->no_opener = icmp->type == reply;
	service = bpf_htons((__u16)(f->no_opener ? request : icmp->type) << 8 | icmp->code);
	set_ports(f, c, direction, icmp->type == request ? icmp->id : service, icmp->type == reply ? icmp->id : service);
	return TCM_FLOW;
}

/* ICMPv6 is filed under ICMP; each in the other family's IP is neither, and filed under ICMPv6. */
static __always_inline __u8 filed_under(__u8 version, __u8 protocol)
{
	if (protocol != IPPROTO_ICMP && protocol != IPPROTO_ICMPV6)
		return protocol;
	return (protocol == IPPROTO_ICMPV6) == (version == 6) ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

static __always_inline int parse_l4(struct __sk_buff *skb, struct flow *f, struct cursor *c, __u32 direction)
{
	f->protocol = filed_under(f->version, c->protocol);
	if (c->protocol == IPPROTO_IGMP && c->hops == 1 && f->version == 4)
		return TCM_NEIGHBOUR;
	if ((c->protocol == IPPROTO_ICMP && f->version == 4) || (c->protocol == IPPROTO_ICMPV6 && f->version == 6))
		return parse_icmp(skb, f, c, direction);
	if (c->protocol == IPPROTO_TCP && !c->quoted)
		return parse_tcp(skb, f, c, direction);
	if (c->protocol == IPPROTO_TCP || c->protocol == IPPROTO_UDP || c->protocol == IPPROTO_SCTP)
		return parse_ports(skb, f, c, direction);
	return TCM_FLOW;
}

static __always_inline int parse_ipv4(struct __sk_buff *skb, struct flow *f, struct cursor *c, __u32 direction)
{
	struct iphdr *ip = header(skb, c, sizeof(*ip));
	__u32 room = c->end - c->offset, length, head;
	__u16 fragment;

	if (!ip)
		return TCM_MALFORMED;
	head = ip->ihl * 4;
	length = bpf_ntohs(ip->tot_len);
	if (!length && skb->gso_size)
		length = room; /* BIG TCP: too long for the field */
	if (ip->version != 4 || head < sizeof(*ip) || length < head || (length > room && !c->quoted))
		return TCM_MALFORMED;
	if (length < room) /* a quoted packet is cut short by nature */
		c->end = c->offset + length;
	f->version = 4;
	f->v4.local = source_is_local(c, direction) ? ip->saddr : ip->daddr;
	f->v4.remote = source_is_local(c, direction) ? ip->daddr : ip->saddr;
	c->protocol = ip->protocol;
	c->hops = ip->ttl;
	c->offset = hide(c, c->offset + head);
	fragment = bpf_ntohs(ip->frag_off);
	c->fragmented = !!(fragment & (TCM_FRAGMENT_OFFSET | TCM_MORE_FRAGMENTS));
	if ((fragment & TCM_FRAGMENT_OFFSET) == 1 && c->protocol == IPPROTO_TCP)
		return TCM_FRAGMENT_TINY;
	return fragment & TCM_FRAGMENT_OFFSET ? TCM_FRAGMENT : TCM_FLOW;
}

/* Walks one extension header; returns true when it was one and there may be more. */
static __always_inline bool next_extension(struct __sk_buff *skb, struct cursor *c, int *result)
{
	__u8 *ext;
	__u16 fragment;

	if (c->protocol != IPPROTO_HOPOPTS && c->protocol != IPPROTO_ROUTING && c->protocol != IPPROTO_DSTOPTS &&
	    c->protocol != IPPROTO_FRAGMENT && c->protocol != IPPROTO_AH)
		return false;
	ext = header(skb, c, 8);
	if (!ext) {
		*result = too_short(c);
		return false;
	}
	if (c->protocol == IPPROTO_FRAGMENT) {
		fragment = (__u16)ext[2] << 8 | ext[3];
		c->fragmented = !!(fragment & 0xfff9); /* an atomic fragment (RFC 6946) is whole */
		c->offset += 8;
		if (fragment & 0xfff8)
			*result = fragment >> 3 == 1 && ext[0] == IPPROTO_TCP ? TCM_FRAGMENT_TINY : TCM_FRAGMENT;
	} else {
		c->offset += c->protocol == IPPROTO_AH ? (ext[1] + 2) * 4 : (ext[1] + 1) * 8;
	}
	c->offset = hide(c, c->offset);
	c->fragmented = hide(c, c->fragmented);
	c->protocol = ext[0];
	if (c->offset > c->end)
		*result = too_short(c);
	return *result == TCM_FLOW;
}

static __always_inline int parse_ipv6(struct __sk_buff *skb, struct flow *f, struct cursor *c, __u32 direction)
{
	struct ipv6hdr *ip = header(skb, c, sizeof(*ip));
	__u32 room = c->end - c->offset, length;
	int result = TCM_FLOW;

	if (!ip || ip->version != 6)
		return TCM_MALFORMED;
	length = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	if (length == sizeof(*ip) && skb->gso_size)
		length = room; /* BIG TCP: too long for the field */
	if (length > room && !c->quoted)
		return TCM_MALFORMED;
	if (length < room)
		c->end = c->offset + length;
	f->version = 6;
	__builtin_memcpy(source_is_local(c, direction) ? f->v6.local : f->v6.remote, &ip->saddr, 16);
	__builtin_memcpy(source_is_local(c, direction) ? f->v6.remote : f->v6.local, &ip->daddr, 16);
	c->protocol = ip->nexthdr;
	c->hops = ip->hop_limit;
	c->offset = hide(c, c->offset + sizeof(*ip));
#pragma unroll
	for (int i = 0; i < TCM_MAX_EXTENSIONS; i++)
		if (!next_extension(skb, c, &result))
			return result;
	return next_extension(skb, c, &result) ? TCM_MALFORMED : result;
}

static __always_inline void seal_key(struct flow *f)
{
	if (f->version == 4) {
		f->v4.local_port = f->local_port;
		f->v4.remote_port = f->remote_port;
		f->v4.protocol = f->protocol;
	} else {
		f->v6.local_port = f->local_port;
		f->v6.remote_port = f->remote_port;
		f->v6.protocol = f->protocol;
	}
}

/* The packet an ICMP error is about, seen as the packet it was: a flow of ours or not. */
static __always_inline int parse_quoted(struct __sk_buff *skb, struct flow *f, struct cursor *c, __u32 direction)
{
	__u8 version = f->version;
	int result;

	c->offset += 8;
	c->quoted = 1;
	__builtin_memset(f, 0, sizeof(*f));
	result = version == 4 ? parse_ipv4(skb, f, c, direction) : parse_ipv6(skb, f, c, direction);
	if (result == TCM_FLOW)
		result = parse_l4(skb, f, c, direction);
	seal_key(f);
	return result == TCM_FLOW ? TCM_QUOTED : TCM_ICMP_ERROR_UNKNOWN;
}

static __always_inline bool guarded_vlan(struct __sk_buff *skb, __u16 tag)
{
	struct tcm_vlan_key key = { .ifindex = skb->ifindex, .vlan = tag & 0xfff };

	return bpf_map_lookup_elem(&tcm_vlans, &key);
}

/*
 * Ethertype behind at most two VLAN tags that are still in the packet, or the negated reason that decides at once:
 * an interface of ours judges the frame, or it ends within its tags. Only the outer tag says whose frame it is; it is
 * beside the packet (always on the way in) or the first one in it.
 */
static __always_inline int ethertype(struct __sk_buff *skb, struct cursor *c)
{
	struct ethhdr *eth = bytes_at(skb, 0, sizeof(*eth));
	__be16 type = eth ? eth->h_proto : 0;

	c->offset = sizeof(*eth);
	if (skb->vlan_present && guarded_vlan(skb, skb->vlan_tci))
		return -TCM_VLAN;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		__be16 *tag;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		tag = bytes_at(skb, c->offset, 4);
		if (!tag)
			return -TCM_MALFORMED;
		if (i == 0 && !skb->vlan_present && guarded_vlan(skb, bpf_ntohs(tag[0])))
			return -TCM_VLAN;
		type = tag[1];
		c->offset += 4;
	}
	c->offset = hide(c, c->offset);
	return type;
}

/* `ethernet`: the packet starts with an Ethernet header; on other interfaces (tun, wg, ppp) with that of IP. */
static __always_inline int parse(struct __sk_buff *skb, struct flow *f, const struct tcm_settings *settings,
				 __u32 direction, bool ethernet)
{
	struct cursor c = { .end = skb->len, .zero = settings->zero };
	int type = ethernet ? ethertype(skb, &c) : (__be16)skb->protocol;
	int result;

	if (type == bpf_htons(ETH_P_IP))
		result = parse_ipv4(skb, f, &c, direction);
	else if (type == bpf_htons(ETH_P_IPV6))
		result = parse_ipv6(skb, f, &c, direction);
	else
		return type < 0 ? -type : TCM_NON_IP;
	if (result == TCM_FLOW)
		result = parse_l4(skb, f, &c, direction);
	else if (result == TCM_FRAGMENT)
		f->protocol = filed_under(f->version, c.protocol);
	if (result == TCM_QUOTED)
		return parse_quoted(skb, f, &c, direction);
	seal_key(f);
	return result;
}

/* As hide(), for a whole flow. */
static __always_inline void hide_flow(struct flow *f, __u64 zero)
{
	__u64 *words = (__u64 *)f;

	_Static_assert(sizeof(*f) % sizeof(*words) == 0, "a flow is whole words");
#pragma unroll
	for (__u32 i = 0; i < sizeof(*f) / sizeof(*words); i++)
		words[i] |= zero;
}

#endif
