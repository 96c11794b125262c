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
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tcm_host4_key);
	__type(value, struct tcm_peer);
} tcm_hosts4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
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
	__uint(max_entries, 262144);
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

/*
 * Sessions: flows that nobody answered yet live apart, so that a SYN flood evicts only itself (a single LRU
 * loses every live session when each flood SYN comes twice). LRU with the common list: the per-CPU one halves
 * the capacity. Full: the least recently used flow goes and is judged again with its next packet.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct tcm_session4_key);
	__type(value, struct tcm_session);
} tcm_half4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tcm_session6_key);
	__type(value, struct tcm_session);
} tcm_half6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072); /* (*) */
	__type(key, struct tcm_session4_key);
	__type(value, struct tcm_session);
} tcm_sessions4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768); /* (*) */
	__type(key, struct tcm_session6_key);
	__type(value, struct tcm_session);
} tcm_sessions6 SEC(".maps");

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

#endif
