/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one public face of the kernel programs: every struct and enum that user space shares with them.
 * tcmicro_agent/abi.py mirrors this file; tests/unit/test_abi.py compares both with the BTF of the built
 * object. A change of layout is a new TCM_ABI, and with it a new pin directory.
 *
 * Byte order: __be16/__be32 and address bytes are network order, everything else host order.
 */
#ifndef TCM_ABI_H
#define TCM_ABI_H

#include <linux/bpf.h>
#include <linux/types.h>

#define TCM_ABI 2
#define TCM_SLOTS 4 /* active, previous, staged, building */
#define TCM_WORLD 0 /* identity of every address that no policy names */

/* Directions are seen from the host, and from the one who opened the flow: ingress = a peer calls us. */
enum tcm_direction { TCM_INGRESS = 0, TCM_EGRESS = 1, TCM_DIRECTIONS = 2 };

enum tcm_verdict { TCM_DENY = 0, TCM_ALLOW = 1 };

enum tcm_mode { TCM_MONITOR = 0, TCM_PROTECT = 1 };

/* Why a packet passed or was refused. Append only: the number is counter index, event field and doc anchor. */
enum tcm_reason {
	TCM_SESSION = 0,	     /* belongs to a tracked flow */
	TCM_RULE_ALLOW = 1,	     /* first packet of a flow that a rule allows */
	TCM_DEFAULT_ALLOW = 2,	     /* no rule named it, the default of the direction allows */
	TCM_RULE_DENY = 3,	     /* a rule denies it */
	TCM_DEFAULT_DENY = 4,	     /* no rule named it, the default of the direction denies */
	TCM_NO_SESSION = 5,	     /* mid-flow TCP that is neither tracked nor known to the socket table */
	TCM_REVOKED = 6,	     /* tracked flow that the present generation no longer allows */
	TCM_MALFORMED = 7,	     /* a header is truncated or contradicts itself */
	TCM_FRAGMENT = 8,	     /* later fragment: useless without its judged first one */
	TCM_FRAGMENT_TINY = 9,	     /* first fragment without its whole L4 header, or one that rewrites it (RFC 1858) */
	TCM_ICMP_ERROR = 10,	     /* ICMP error that quotes a tracked flow */
	TCM_ICMP_ERROR_UNKNOWN = 11, /* ICMP error that quotes nothing we track */
	TCM_NEIGHBOUR = 12,	     /* IPv6 neighbour discovery, hop limit 255 (RFC 4861), and MLD, hop limit 1 (RFC 3810) */
	TCM_NON_IP = 13,	     /* ARP and other ethertypes: not ours to judge */
	TCM_FAILSAFE = 14,	     /* policy would refuse it, the failsafe keeps it open */
	TCM_UNENFORCED = 15,	     /* no policy is active on this host */
	TCM_FORWARD_ALLOW = 16,	     /* routed through this host, and the default for forwarded traffic allows */
	TCM_FORWARD_DENY = 17,	     /* routed through this host, and the default for forwarded traffic denies */
	TCM_SYN_FLOOD = 18,	     /* allowed by policy, but its source opens too many connections */
	TCM_DHCP = 19,		     /* policy would refuse it, but this host gets its address by it */
	TCM_VLAN = 20,		     /* tagged frame of a VLAN interface that is guarded itself: judged there */
};
#define TCM_REASONS 32 /* room in the counters */

/* Three kinds of default: for flows to us, from us, and routed through us. */
enum tcm_default { TCM_DEFAULT_INGRESS = 0, TCM_DEFAULT_EGRESS = 1, TCM_DEFAULT_FORWARD = 2, TCM_DEFAULTS = 3 };

/* Under whose authority a packet was counted. */
enum tcm_bank {
	TCM_ENFORCED = 0, /* the live policy, or none */
	TCM_AUDITED = 1,  /* refused, and let pass because the mode of the host or of the policy is monitor */
	TCM_TRIAL = 2,	  /* the staged policy: a share of the new flows is judged by it */
	TCM_BANKS = 3,
};

/* --- control: which slot is live ------------------------------------------------------------------- */

/*
 * word = active:4 | fallback:4 | deadline:56 (boottime ms; 0 = committed). Read once per packet; past the
 * deadline the fallback slot rules, without help from user space. Written only by tcm_transition, which
 * compares and swaps under the lock. All slots empty (word 0) means: slot 0, whose header says nothing is enforced.
 */
struct tcm_control {
	__u64 word;
	__u64 jiffies; /* clock sample of the last transition, for user space to read session ages */
	__u64 boot_ms;
	struct bpf_spin_lock lock; /* around every write of word */
	__u32 pad;
};

#define TCM_WORD(active, fallback, deadline_ms) \
	((__u64)(active) | (__u64)(fallback) << 4 | (__u64)(deadline_ms) << 8)

/* Input of tcm_transition, behind 14 bytes of Ethernet padding in the test-run packet. */
struct tcm_transition_request {
	__u64 expected;
	__u64 desired;
};

enum tcm_transition_result {
	TCM_SWAPPED = 1,  /* word was `expected`, is now `desired` */
	TCM_CONFLICT = 2, /* word was something else: nothing changed */
	TCM_EXPIRED = 3,  /* the deadline had passed: latched to the fallback, nothing else changed */
};

/* Words of skb->cb when tcm_ask returns; when it is called, the first is the direction of the packet it is run on. */
enum tcm_answer {
	TCM_ANSWER_VERDICT = 0,	   /* enum tcm_verdict; ALLOW for a reason that denies: a rule that only audits would */
	TCM_ANSWER_REASON = 1,	   /* enum tcm_reason */
	TCM_ANSWER_RULE = 2,	   /* counter index, 0 = none */
	TCM_ANSWER_IDENTITY = 3,   /* of the peer */
	TCM_ANSWER_GENERATION = 4, /* of the slot that was asked */
};

/*
 * The staged slot. word = staged:4 (1: there is one) | slot:4 | share:8 (percent of new flows it judges) |
 * deadline:48 (boottime ms, 0 = none; past it the share is 0, the comparison goes on). 0 = nothing is staged.
 */
struct tcm_trial {
	__u64 word;
};

/* New flows by (direction, verdict of the live policy, verdict of the staged one). */
#define TCM_COMPARISON(direction, live, staged) (((direction) * 2 + (live)) * 2 + (staged))
#define TCM_COMPARISONS (TCM_DIRECTIONS * 4)

/* Where the staged policy decides otherwise: counted per pair of rules, peer and service. */
struct tcm_difference_key {
	__u32 rule;	    /* counter index in the live policy */
	__u32 staged_rule;
	__u32 identity;	    /* of the peer, as the live policy numbers it */
	__u32 generation;   /* of the staged policy */
	__be16 port;
	__u8 protocol;
	__u8 direction;
	__u8 verdict;	    /* of the live policy; the staged one says the opposite */
	__u8 pad[3];
};

/* --- policy, one copy per slot --------------------------------------------------------------------- */

/* Of a rule or a default. */
enum tcm_rule_flag {
	TCM_AUDITS = 1,	  /* its policy is in mode monitor: what it denies is counted and passes. Only where it denies */
	TCM_LOG_NONE = 2, /* nothing it decides is told */
	TCM_LOG_ALL = 4,  /* all it decides is told, whatever tcm_settings says of the reason */
};

struct tcm_slot {
	__u32 generation; /* 0 = empty: nothing is enforced */
	__u8 verdict[TCM_DEFAULTS]; /* enum tcm_verdict */
	__u8 mode;	  /* enum tcm_mode */
	__u8 has_cidr;	  /* bit 0: IPv4 prefixes exist, bit 1: IPv6 */
	__u8 flags[TCM_DEFAULTS]; /* enum tcm_rule_flag, of each default */
	__u32 default_rule[TCM_DEFAULTS]; /* counter index of each default */
	__u32 world_shapes[TCM_DIRECTIONS]; /* as tcm_peer, for identity 0 */
	__u64 world_classes[TCM_DIRECTIONS];
	__u8 digest[32]; /* sha256 of the bundle */
};

struct tcm_host4_key {
	__u32 slot;
	__be32 address;
};

struct tcm_host6_key {
	__u32 slot;
	__u8 address[16];
};

struct tcm_cidr4_key {
	__u32 prefix; /* LPM: 32 (slot) + prefix length */
	__u32 slot;
	__be32 address;
};

struct tcm_cidr6_key {
	__u32 prefix;
	__u32 slot;
	__u8 address[16];
};

/*
 * Shapes tell which rule keys can exist for a peer, so that the lookup asks only for those, most specific
 * first: bit n (0..16) = a rule with a port prefix of n bits for a named protocol; bit 17 = any protocol.
 */
#define TCM_SHAPE_ANY 17
#define TCM_SHAPES 18
#define TCM_SHAPE_RANGES 0xffff /* every prefix shorter than a whole port */

/*
 * And of the keys of a shape, which can exist: they fall into 64 classes, and a key whose class has no bit does not. Most
 * peers have few rules, so that most of their keys that do not exist are not asked for.
 */
#define TCM_RULE_CLASS(protocol, prefix, port) \
	(((__u32)(protocol) << 21 | (__u32)(prefix) << 16 | (port)) * 0x9e3779b1U >> 26)

struct tcm_peer {
	__u32 identity;
	__u32 shapes[TCM_DIRECTIONS];
	__u32 pad;
	__u64 classes[TCM_DIRECTIONS];
};

/* A port range is kept as the prefixes that cover it, so ranges cost no more than ports. */
struct tcm_rule_key {
	__u32 identity;
	__u8 slot;
	__u8 direction;	 /* enum tcm_direction */
	__u8 protocol;	 /* 0 = any; ICMPv6 is filed under ICMP */
	__u8 prefix;	 /* bits of port that count */
	__be16 port;	 /* destination port (ICMP: type << 8 | code of the request), bits beyond prefix zero */
	__u16 pad;
};

struct tcm_rule {
	__u32 rule; /* counter index */
	__u8 verdict;
	__u8 flags; /* enum tcm_rule_flag */
	__u8 pad[2];
};

/* Failsafe: stays open whatever the slots say. Covers both legs of the flow. */
struct tcm_failsafe_key {
	__u32 prefix; /* LPM: 32 (direction, protocol, port) + prefix length of the 128-bit address */
	__u8 direction;
	__u8 protocol;
	__be16 port;	  /* ours for ingress, the peer's for egress */
	__u8 address[16]; /* the peer's; IPv4 as ::ffff:a.b.c.d */
};

/*
 * Services fall into 64 classes; a bit is set when the failsafe has no entry for any service of its class, so that most
 * refusals need not search it. No bit set, as in a new map, means: search.
 */
#define TCM_FAILSAFE_CLASS(direction, protocol, port) \
	(((port) ^ (port) >> 6 ^ (port) >> 12 ^ (protocol) << 1 ^ (direction)) & 63)
struct tcm_no_failsafe {
	__u64 classes;
};

/* --- sessions -------------------------------------------------------------------------------------- */

/* Keyed by hook direction (local, remote), so both directions of a flow find one entry without comparing. */
struct tcm_session4_key {
	__be32 local;
	__be32 remote;
	__be16 local_port; /* ICMP: type and code of the request at who is asked, an identifier at who asks */
	__be16 remote_port;
	__u8 protocol;
	__u8 pad[3];
};

struct tcm_session6_key {
	__u8 local[16];
	__u8 remote[16];
	__be16 local_port;
	__be16 remote_port;
	__u8 protocol;
	__u8 pad[3];
};

enum tcm_session_flag {
	TCM_ADOPTED = 1,   /* taken over mid-flow */
	TCM_TRIED = 2,	   /* opened under the staged policy */
	TCM_FORWARDED = 4, /* routed through this host */
};

enum tcm_session_state {
	TCM_OPENING = 0,     /* half-open: SYN seen, or a datagram nobody answered yet */
	TCM_ANSWERED = 1,    /* half-open: SYN-ACK seen */
	TCM_ESTABLISHED = 2, /* both sides have spoken */
	TCM_CLOSING = 3,     /* a FIN was seen */
	TCM_CLOSED = 4,	     /* RST, or FIN from both */
	TCM_SESSION_STATES = 5,
};

struct tcm_session {
	__u32 generation; /* that judged it last */
	__u32 rule;	  /* counter index of the rule or default that allowed it */
	__u32 identity;	  /* of the remote */
	__u8 opener;	  /* enum tcm_direction */
	__u8 state;
	__u8 fins;	  /* bit per direction that sent FIN */
	__u8 flags;	  /* enum tcm_session_flag */
	__u64 last_seen;  /* jiffies */
	__u64 packets[TCM_DIRECTIONS];
	__u64 bytes[TCM_DIRECTIONS];
};

/* Input of tcm_expire, behind 14 bytes of padding: `count` keys, each followed by the last_seen it was judged by. */
#define TCM_EXPIRE_MAX 16 /* the verifier walks every round of the loop */
struct tcm_expire_request {
	__u32 table; /* enum tcm_session_table */
	__u32 count;
};

enum tcm_session_table {
	TCM_HALF4 = 0,
	TCM_HALF6 = 1,
	TCM_TCP4 = 2,
	TCM_TCP6 = 3,
	TCM_OTHER4 = 4,
	TCM_OTHER6 = 5,
	TCM_SESSION_TABLES = 6,
};

/* --- settings -------------------------------------------------------------------------------------- */

/* What becomes of TCP in mid-flow that is not tracked. */
enum tcm_tcp_mode {
	TCM_TCP_SOCKET = 0, /* adopted when the kernel has a socket for it */
	TCM_TCP_STRICT = 1, /* refused: a connection starts with a SYN */
	TCM_TCP_LOOSE = 2,  /* as socket; without a socket judged as if this packet opened it */
};

struct tcm_settings {
	__u64 hz;			   /* jiffies per second of this kernel, measured by the loader */
	__u64 timeout[TCM_SESSION_STATES]; /* TCP, jiffies, by state */
	__u64 timeout_datagram[2];	   /* other protocols: unanswered, answered */
	__u32 tcp;			   /* enum tcm_tcp_mode */
	__u32 forwarding;		   /* this host routes: bit 0 IPv4, bit 1 IPv6 */
	__u32 event_reasons;		   /* bit per reason that is told as an event */
	__u32 event_rate;		   /* events per second and CPU */
	__u32 event_burst;
	__u32 syn_window;	  /* length of a window of the SYN rates: 2^n jiffies */
	__u32 syn_source_on;	  /* SYNs per window that make a source an offender; 0 = no detection */
	__u32 syn_source_off;	  /* below it for a whole window it is none any more */
	__u32 syn_listener_on;	  /* the same for a port of ours, over all sources: reported, nothing dropped */
	__u32 syn_listener_off;
	__u32 zero; /* is 0, which the verifier cannot know: see hide() in parse.h */
	__u32 pad;
};

/* --- counters and events --------------------------------------------------------------------------- */

struct tcm_count {
	__u64 packets;
	__u64 bytes;
};

#define TCM_COUNTER(bank, direction, reason) (((bank) * TCM_DIRECTIONS + (direction)) * TCM_REASONS + (reason))
#define TCM_COUNTERS (TCM_BANKS * TCM_DIRECTIONS * TCM_REASONS)

#define TCM_MAX_RULES 65536 /* counters; index 0 = no policy */

/* One decision as user space hears of it. IPv4 addresses as ::ffff:a.b.c.d; all zero when the packet has none. */
struct tcm_event {
	__u64 time; /* boottime ns */
	__u32 generation;
	__u32 rule;	/* counter index, 0 = none */
	__u32 identity;
	__u32 bytes;
	__u32 ifindex;
	__be16 local_port;
	__be16 remote_port;
	__u8 local[16];
	__u8 remote[16];
	__u8 protocol;
	__u8 direction; /* of the packet */
	__u8 reason;	/* enum tcm_reason */
	__u8 bank;	/* enum tcm_bank */
	__u8 tcp_flags;
	__u8 version;	/* 4, 6, or 0: not parsed that far */
	__u8 pad[2];
};

/* Events that were not sent, summed by what they have in common. */
struct tcm_sum_key {
	__u32 generation;
	__u32 rule;
	__be16 port; /* of the one who is called */
	__u8 protocol;
	__u8 direction;
	__u8 reason;
	__u8 bank;
	__u8 pad[2];
};

/* Token bucket of a CPU, and what became of every event it was asked for: sent + summed + unsummed. */
struct tcm_budget {
	__u64 refilled; /* jiffies */
	__u64 tokens;	/* an event costs `hz` of them, so that `event_rate` of them come with every jiffy */
	__u64 sent;
	__u64 summed;	/* throttled, or the ring was full: counted in tcm_sums */
	__u64 unsummed; /* and no room there: only the counters know */
	struct tcm_sum_key last; /* the sum that was added to last, */
	struct tcm_count held;	 /* and what is still to be added to it: readers count it in */
};

/* SYN rate of a source (IPv4 /24, IPv6 /64) or of a port of ours. Buckets by hash; the busiest source owns its bucket. */
#define TCM_RATES 65536
struct tcm_rate {
	__u32 tag;    /* whose it is */
	__u32 window; /* jiffies >> syn_window */
	__u32 count;  /* SYNs in this window */
	__u32 over;   /* 1: above `on` and not yet below `off` */
};

struct tcm_vlan_key {
	__u32 ifindex; /* of the interface that carries the tagged frames */
	__u32 vlan;
};

#endif
