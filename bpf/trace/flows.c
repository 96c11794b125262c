/* SPDX-License-Identifier: GPL-3.0-or-later */
/* New TCP flows with who opens them: compiled on the host by bcc, by `tc-micro trace flows`.
 *
 * A socket that begins to connect does so in the process that asked for it, but has no port of its own yet: the process
 * is remembered by the socket, and told when the connection came about or failed, which is in a soft interrupt, where the
 * current process is anybody's. So of a flow that a peer opened nobody is known here: user space looks up who listens.
 * SCTP and MPTCP tell such changes too; their flows are left out.
 */
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7
#define IPPROTO_TCP 6
#define AF_INET 2

struct opener {
	u32 pid;
	u32 uid;
	char comm[16];
};

struct flow {
	u64 boot_ns;
	struct opener opener;
	u16 local_port;
	u16 remote_port;
	u16 family;
	u8 called; /* 1: the peer opened it */
	u8 failed; /* 1: refused, reset or timed out */
	u8 local[16];
	u8 remote[16];
};

BPF_TABLE("lru_hash", u64, struct opener, opening, 16384);
BPF_RINGBUF_OUTPUT(flows, 64); /* pages */
BPF_ARRAY(lost, u64, 1);

TRACEPOINT_PROBE(sock, inet_sock_set_state)
{
	u64 socket = (u64)args->skaddr;

	if (args->protocol != IPPROTO_TCP)
		return 0;
	if (args->newstate == TCP_SYN_SENT) {
		struct opener opener = {};

		opener.pid = bpf_get_current_pid_tgid() >> 32;
		opener.uid = bpf_get_current_uid_gid();
		bpf_get_current_comm(opener.comm, sizeof(opener.comm));
		opening.update(&socket, &opener);
		return 0;
	}

	struct flow flow = {};

	flow.called = args->oldstate == TCP_SYN_RECV && args->newstate == TCP_ESTABLISHED;
	if (args->oldstate == TCP_SYN_SENT) {
		struct opener *opener = opening.lookup(&socket);

		if (!opener)
			return 0; /* it began before we did */
		flow.opener = *opener;
		opening.delete(&socket);
	} else if (!flow.called) {
		return 0;
	}
	flow.boot_ns = bpf_ktime_get_ns();
	flow.failed = args->newstate == TCP_CLOSE;
	flow.local_port = args->sport;
	flow.remote_port = args->dport;
	flow.family = args->family;
	if (args->family == AF_INET) {
		__builtin_memcpy(flow.local, args->saddr, 4);
		__builtin_memcpy(flow.remote, args->daddr, 4);
	} else {
		__builtin_memcpy(flow.local, args->saddr_v6, 16);
		__builtin_memcpy(flow.remote, args->daddr_v6, 16);
	}
	if (flows.ringbuf_output(&flow, sizeof(flow), 0))
		lost.increment(0);
	return 0;
}
