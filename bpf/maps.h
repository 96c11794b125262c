/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every map, pinned by its name under /sys/fs/bpf/tcmicro/<abi>/. One map, one purpose. Sizes marked (*) are
 * set by the loader from the host's configuration; the others are fixed.
 */
#ifndef TCM_MAPS_H
#define TCM_MAPS_H

#include "abi.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcm_control);
} tcm_control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TCM_SLOTS);
	__type(key, __u32);
	__type(value, struct tcm_slot);
} tcm_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcm_settings);
} tcm_settings SEC(".maps");

/*
 * Policy: the slot number is part of every key, rather than one inner map per slot. Equal on the hit path by
 * measurement, and one pin, one size and one batch update instead of four. Full (*): the build of the slot
 * fails in user space and the live generation keeps running.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536); /* (*) */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tcm_host4_key);
	__type(value, struct tcm_peer);
} tcm_hosts4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536); /* (*) */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tcm_host6_key);
	__type(value, struct tcm_peer);
} tcm_hosts6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tcm_cidr4_key);
	__type(value, struct tcm_peer);
} tcm_cidrs4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tcm_cidr6_key);
	__type(value, struct tcm_peer);
} tcm_cidrs6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144); /* (*) */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tcm_rule_key);
	__type(value, struct tcm_rule);
} tcm_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tcm_failsafe_key);
	__type(value, __u32);
} tcm_failsafe SEC(".maps");

/* What tcm_failsafe is not searched for. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcm_no_failsafe);
} tcm_no_failsafe SEC(".maps");

/* The staged slot, and which share of the new flows it judges. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcm_trial);
} tcm_trial SEC(".maps");

/* VLAN interfaces that have programs of ours: their frames are judged there, not on the way through the parent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tcm_vlan_key);
	__type(value, __u32);
} tcm_vlans SEC(".maps");

/*
 * Sessions: flows that nobody answered yet live apart, so that a SYN flood evicts only itself (a single LRU
 * loses every live session when each flood SYN comes twice); answered datagrams live apart from TCP, so that a
 * storm of name lookups evicts no connection. LRU with the common list: the per-CPU one halves the capacity.
 * Full: the least recently used flow goes and is judged again with its next packet.
 */
#define TCM_SESSION_MAP(name, size, key_type)           \
	struct {                                        \
		__uint(type, BPF_MAP_TYPE_LRU_HASH);    \
		__uint(max_entries, size);              \
		__type(key, struct key_type);           \
		__type(value, struct tcm_session);      \
	} name SEC(".maps")

TCM_SESSION_MAP(tcm_half4, 65536, tcm_session4_key);
TCM_SESSION_MAP(tcm_half6, 16384, tcm_session6_key);
TCM_SESSION_MAP(tcm_tcp4, 131072, tcm_session4_key);   /* (*) */
TCM_SESSION_MAP(tcm_tcp6, 65536, tcm_session6_key);    /* (*) */
TCM_SESSION_MAP(tcm_other4, 32768, tcm_session4_key);  /* (*) */
TCM_SESSION_MAP(tcm_other6, 16384, tcm_session6_key);  /* (*) */

/*
 * SYN rates: arrays, because inserting every spoofed source somewhere costs more than all the rest. Readers map them:
 * by system calls, reading one takes 20 ms.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TCM_RATES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct tcm_rate);
} tcm_syn_sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TCM_RATES); /* by port, host order */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct tcm_rate);
} tcm_syn_listeners SEC(".maps");

/* Counters. Per CPU, never reset: readers take differences. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TCM_COUNTERS);
	__type(key, __u32);
	__type(value, struct tcm_count);
} tcm_counters SEC(".maps");

/* Decisions by rule: first packets of flows it allowed, every packet it refused. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TCM_MAX_RULES);
	__type(key, __u32);
	__type(value, struct tcm_count);
} tcm_rule_hits SEC(".maps");

/* New flows as the live and the staged policy see them. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TCM_COMPARISONS);
	__type(key, __u32);
	__type(value, struct tcm_count);
} tcm_comparisons SEC(".maps");

/* Full: the difference seen longest ago goes; tcm_comparisons still has it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tcm_difference_key);
	__type(value, struct tcm_count);
} tcm_differences SEC(".maps");

/* Events: what a token bucket per CPU lets through; the rest is summed, and counted where even that has no room. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20); /* bytes */
} tcm_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcm_budget);
} tcm_budget SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct tcm_sum_key);
	__type(value, struct tcm_count);
} tcm_sums SEC(".maps");

#endif
