/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tracked flows: finding, opening, following their state. Half-open flows live in tcm_half*, answered ones
 * in tcm_tcp* and tcm_other*. No window checks: offloads and asymmetric paths make them wrong more often than useful.
 */
#ifndef TCM_SESSION_H
#define TCM_SESSION_H

#include "maps.h"
#include "parse.h"

#define TCM_TCP_LISTEN 10 /* include/net/tcp_states.h */
#define TCM_TCP_CLOSE 7

/*
 * One lookup with a map the verifier can see. Left alone, clang merges lookups that differ in nothing but the map,
 * and the verifier then calls the map's own lookup through a pointer instead of inlining it: 10 ns more.
 */
#define TCM_LOOKUP(map, key)                                        \
	({                                                          \
		void *__found = bpf_map_lookup_elem(map, key);      \
		asm volatile("" : "+r"(__found) : "i"(__COUNTER__)); \
		__found;                                            \
	})

static __always_inline struct tcm_session *find_session4(const struct flow *f)
{
	struct tcm_session *s;

	if (f->protocol == IPPROTO_TCP)
		s = TCM_LOOKUP(&tcm_tcp4, &f->v4);
	else
		s = TCM_LOOKUP(&tcm_other4, &f->v4);
	return s ? s : TCM_LOOKUP(&tcm_half4, &f->v4);
}

static __always_inline struct tcm_session *find_session6(const struct flow *f)
{
	struct tcm_session *s;

	if (f->protocol == IPPROTO_TCP)
		s = TCM_LOOKUP(&tcm_tcp6, &f->v6);
	else
		s = TCM_LOOKUP(&tcm_other6, &f->v6);
	return s ? s : TCM_LOOKUP(&tcm_half6, &f->v6);
}

static __always_inline struct tcm_session *find_session(const struct flow *f)
{
	return f->version == 4 ? find_session4(f) : find_session6(f);
}

/* A copy of the entry: with a pointer into one of six tables the verifier checks all that follows six times. */
static __always_inline bool copy_session(const struct flow *f, struct tcm_session *copy)
{
	const struct tcm_session *s = find_session(f);

	if (!s)
		return false;
	*copy = *s;
	return true;
}

/* The table of flows that were answered. */
static __always_inline void *answered_table(const struct flow *f)
{
	if (f->version == 4)
		return f->protocol == IPPROTO_TCP ? (void *)&tcm_tcp4 : (void *)&tcm_other4;
	return f->protocol == IPPROTO_TCP ? (void *)&tcm_tcp6 : (void *)&tcm_other6;
}

static __always_inline void *half_open_table(const struct flow *f)
{
	return f->version == 4 ? (void *)&tcm_half4 : (void *)&tcm_half6;
}

static __always_inline const void *session_key(const struct flow *f)
{
	return f->version == 4 ? (const void *)&f->v4 : (const void *)&f->v6;
}

static __always_inline void forget(const struct flow *f)
{
	bpf_map_delete_elem(answered_table(f), session_key(f));
	bpf_map_delete_elem(half_open_table(f), session_key(f));
}

static __always_inline void remember(const struct flow *f, const struct tcm_session *s)
{
	void *table = s->state < TCM_ESTABLISHED ? half_open_table(f) : answered_table(f);

	bpf_map_update_elem(table, session_key(f), s, BPF_ANY);
}

/* Out of the half-open table. A copy, because the entry may be evicted while we move it. */
static __noinline int promote(const struct flow *f, const struct tcm_session *half, enum tcm_session_state state)
{
	struct tcm_session s;

	if (!f || !half)
		return 0;
	s = *half;
	s.state = state;
	bpf_map_update_elem(answered_table(f), session_key(f), &s, BPF_ANY);
	bpf_map_delete_elem(half_open_table(f), session_key(f));
	return 0;
}

/* Signed, because the other CPU may have seen the flow a jiffy later than we looked at the clock. */
static __always_inline bool expired(const struct tcm_settings *settings, const struct flow *f,
				    const struct tcm_session *s, __u64 now)
{
	__u32 state = s->state;
	__u64 limit;

	if (state >= TCM_SESSION_STATES)
		return true;
	if (f->protocol == IPPROTO_TCP)
		limit = settings->timeout[state];
	else
		limit = settings->timeout_datagram[state >= TCM_ESTABLISHED];
	return (__s64)(now - s->last_seen) > (__s64)limit;
}

/* A SYN on a flow that is past its handshake, or from the side that did not open it, is a new decision. */
static __always_inline bool reopens(const struct flow *f, const struct tcm_session *s, __u32 direction)
{
	if (f->protocol != IPPROTO_TCP || (f->tcp_flags & (TCM_SYN | TCM_ACK)) != TCM_SYN)
		return false;
	return s->state > TCM_ANSWERED || s->opener != direction;
}

static __always_inline void follow_tcp(const struct flow *f, struct tcm_session *s, __u32 direction)
{
	if (f->tcp_flags & TCM_RST) {
		s->state = TCM_CLOSED;
	} else if (s->state == TCM_OPENING && f->tcp_flags & TCM_SYN && f->tcp_flags & TCM_ACK &&
		   direction != s->opener) {
		s->state = TCM_ANSWERED;
	} else if (f->tcp_flags & TCM_FIN) {
		s->fins |= 1 << direction;
		s->state = s->fins == 3 ? TCM_CLOSED : TCM_CLOSING;
	} else if (s->state == TCM_ANSWERED && direction == s->opener) {
		promote(f, s, TCM_ESTABLISHED);
	}
}

/* Counts the packet into its flow and moves the flow's state on. */
static __always_inline void follow(const struct flow *f, struct tcm_session *s, __u32 direction, __u32 bytes, __u64 now)
{
	s->last_seen = now;
	if (direction == TCM_INGRESS) {
		s->packets[TCM_INGRESS]++;
		s->bytes[TCM_INGRESS] += bytes;
	} else {
		s->packets[TCM_EGRESS]++;
		s->bytes[TCM_EGRESS] += bytes;
	}
	if (f->protocol == IPPROTO_TCP) {
		if (f->tcp_flags & (TCM_SYN | TCM_FIN | TCM_RST) || s->state == TCM_ANSWERED)
			follow_tcp(f, s, direction);
	} else if (s->state == TCM_OPENING && direction != s->opener) {
		promote(f, s, TCM_ESTABLISHED);
	}
}

static __always_inline struct bpf_sock *find_socket(struct __sk_buff *skb, const struct flow *f, __be16 remote_port)
{
	struct bpf_sock_tuple tuple = {};

	if (f->version == 4) {
		tuple.ipv4.saddr = f->v4.remote;
		tuple.ipv4.daddr = f->v4.local;
		tuple.ipv4.sport = remote_port;
		tuple.ipv4.dport = f->local_port;
		return bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	__builtin_memcpy(tuple.ipv6.saddr, f->v6.remote, 16);
	__builtin_memcpy(tuple.ipv6.daddr, f->v6.local, 16);
	tuple.ipv6.sport = remote_port;
	tuple.ipv6.dport = f->local_port;
	return bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
}

/* The state of the socket of a flow, 0 when there is none. */
static __noinline int socket_state(struct __sk_buff *skb, const struct flow *f, __be16 remote_port)
{
	struct bpf_sock *sk;
	int state;

	if (!f)
		return 0;
	sk = find_socket(skb, f, remote_port);
	if (!sk)
		return 0;
	state = sk->state;
	bpf_sk_release(sk);
	return state;
}

/*
 * Who opened this flow, by the socket table: every genuine flow of a host has a socket that is not a listener,
 * so flows older than we are, or whose entry was evicted, are recognised, and an ACK out of the blue is not.
 * With a listener on our port (nobody sends from port 0, so that lookup finds only listeners) they called us.
 */
static __always_inline int socket_opener(struct __sk_buff *skb, const struct flow *f)
{
	int state = socket_state(skb, f, f->remote_port);

	if (!state || state == TCM_TCP_LISTEN || state == TCM_TCP_CLOSE)
		return TCM_DIRECTIONS;
	return socket_state(skb, f, 0) == TCM_TCP_LISTEN ? TCM_INGRESS : TCM_EGRESS;
}

#endif
