/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long one program of ours runs, as a histogram: around it, by fentry and fexit. Loaded once per program, by
 * `tc-micro trace latency`, and gone with it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define TCM_BUCKETS 32 /* by powers of two: bucket n holds runs of 2^n to 2^(n+1) - 1 ns */

struct tcm_latency {
	__u64 runs[TCM_BUCKETS];
	__u64 total_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} tcm_started SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tcm_latency);
} tcm_latency SEC(".maps");

static __always_inline __u32 log2_of(__u64 value)
{
	__u32 bits = 0;

	for (__u32 width = 32; width; width /= 2) {
		if (value >> width) {
			value >>= width;
			bits += width;
		}
	}
	return bits;
}

SEC("fentry/target")
int tcm_enter(void *context __attribute__((unused)))
{
	__u32 zero = 0;
	__u64 *started = bpf_map_lookup_elem(&tcm_started, &zero);

	if (started)
		*started = bpf_ktime_get_ns();
	return 0;
}

SEC("fexit/target")
int tcm_leave(void *context __attribute__((unused)))
{
	__u32 zero = 0;
	__u64 *started = bpf_map_lookup_elem(&tcm_started, &zero);
	struct tcm_latency *latency = bpf_map_lookup_elem(&tcm_latency, &zero);

	if (!started || !latency || !*started)
		return 0;
	__u64 took = bpf_ktime_get_ns() - *started;
	__u32 bucket = log2_of(took);

	*started = 0; /* a run that began before we did has no beginning */
	latency->runs[bucket < TCM_BUCKETS ? bucket : TCM_BUCKETS - 1]++;
	latency->total_ns += took;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
