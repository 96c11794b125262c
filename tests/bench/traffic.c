// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Traffic between two network namespaces, in C because the sender's own cost would hide that of a filter. Usage:
 *   traffic MODE CLIENT_NS SERVER_NS ADDRESS PORT AMOUNT
 * MODE and what is printed for AMOUNT:
 *   rr       median ns of one byte there and back over one TCP connection, of AMOUNT times
 *   connect  median ns of connect, one byte there and back, close, of AMOUNT times
 *   udp      median ns per 64-byte datagram of an answered flow (AMOUNT datagrams), then how many arrived
 *   refused  the same without waiting for an answer: for a port nobody may reach
 *   stream   bytes per second over one TCP connection, AMOUNT MB of it: by the median time per MB
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LONGEST_S 60 /* no measurement takes longer: something hangs */
#define BATCH 64     /* datagrams between two looks at the clock */
#define DATAGRAM 64
#define BUFFER 65536
#define MEGABYTE (16L * BUFFER)

static char buffer[BUFFER];
static struct sockaddr_in server;

static int check(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return result;
}

static void enter(const char *namespace)
{
	int fd = check(open(namespace, O_RDONLY), namespace);

	check(setns(fd, CLONE_NEWNET), "setns");
	close(fd);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t median(uint64_t *values, long count)
{
	qsort(values, count, sizeof(*values), ascending);
	return values[count / 2];
}

static int tcp_socket(void)
{
	int fd = check(socket(AF_INET, SOCK_STREAM, 0), "socket"), on = 1;

	check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "TCP_NODELAY");
	return fd;
}

static int connected(int kind)
{
	int fd = kind == SOCK_STREAM ? tcp_socket() : check(socket(AF_INET, kind, 0), "socket");

	check(connect(fd, (struct sockaddr *)&server, sizeof(server)), "connect");
	return fd;
}

static int bound(int kind)
{
	int fd = check(socket(AF_INET, kind, 0), "socket"), on = 1;

	check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "SO_REUSEADDR");
	check(bind(fd, (struct sockaddr *)&server, sizeof(server)), "bind");
	if (kind == SOCK_STREAM)
		check(listen(fd, 64), "listen");
	return fd;
}

/* --- the server: a child that lives as long as its client --- */

static void echo(int fd)
{
	ssize_t got;

	while ((got = read(fd, buffer, BUFFER)) > 0)
		check(write(fd, buffer, got), "write");
}

static void answer_forever(int listener)
{
	int on = 1;

	for (;;) {
		int fd = check(accept(listener, NULL, NULL), "accept");

		check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "TCP_NODELAY");
		echo(fd);
		close(fd);
	}
}

/* Reads `count` MB of one connection and notes how long each took. Woken up for much, not for every packet. */
static void swallow(int listener, uint64_t *taken, long count)
{
	int fd = check(accept(listener, NULL, NULL), "accept"), enough = BUFFER;
	uint64_t start = now();
	long left;
	ssize_t got;

	check(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &enough, sizeof(enough)), "SO_RCVLOWAT");
	for (long i = 0; i < count; i++) {
		for (left = MEGABYTE; left > 0; left -= got) {
			got = check(read(fd, buffer, left < BUFFER ? left : BUFFER), "read");
			if (!got)
				exit(1);
		}
		taken[i] = now() - start;
		start += taken[i];
	}
}

static pid_t serve(const char *namespace, uint64_t *taken, long count)
{
	int listener;
	pid_t child;

	enter(namespace);
	listener = bound(SOCK_STREAM);
	child = check(fork(), "fork");
	if (child) {
		close(listener);
		return child;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (taken)
		swallow(listener, taken, count);
	else
		answer_forever(listener);
	_exit(0);
}

/* --- the clients --- */

static void there_and_back(int fd)
{
	check(write(fd, "?", 1), "write");
	if (check(read(fd, buffer, 1), "read") != 1)
		errno = ECONNRESET, check(-1, "read");
}

static void rr(long count, uint64_t *taken)
{
	int fd = connected(SOCK_STREAM);

	for (long i = 0; i < count; i++) {
		uint64_t start = now();

		there_and_back(fd);
		taken[i] = now() - start;
	}
	printf("%lu\n", median(taken, count));
}

static void connections(long count, uint64_t *taken)
{
	for (long i = 0; i < count; i++) {
		uint64_t start = now();
		int fd = connected(SOCK_STREAM);

		there_and_back(fd);
		close(fd);
		taken[i] = now() - start;
	}
	printf("%lu\n", median(taken, count));
}

static long drain(int sink)
{
	long count = 0;

	while (recv(sink, buffer, BUFFER, MSG_DONTWAIT) >= 0)
		count++;
	return count;
}

/* A flow that was answered once is a tracked one, for us as for conntrack. */
static void answer_once(int sink, int sender)
{
	struct sockaddr_in from;
	socklen_t size = sizeof(from);

	check(send(sender, "?", 1, 0), "send");
	check(recvfrom(sink, buffer, 1, 0, (struct sockaddr *)&from, &size), "receive the datagram to be answered");
	check(sendto(sink, "!", 1, 0, (struct sockaddr *)&from, size), "answer");
	check(recv(sender, buffer, 1, 0), "receive the answer");
}

/*
 * Over veth the packet is received in the sender's context, so its time holds the whole way into the socket.
 * The median of small batches, emptied outside the clock: who preempts us spoils one of them.
 */
static void datagrams(long count, uint64_t *taken, int sink, int answered)
{
	struct timeval patience = { .tv_sec = 2 };
	int sender = connected(SOCK_DGRAM);
	long batches = count / BATCH, arrived = 0;

	setsockopt(sink, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(sender, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (answered)
		answer_once(sink, sender);
	for (long i = 0; i < batches; i++) {
		uint64_t start = now();

		for (int n = 0; n < BATCH; n++)
			if (send(sender, buffer, DATAGRAM, 0) < 0 && errno != ECONNREFUSED)
				check(-1, "send");
		taken[i] = now() - start;
		arrived += drain(sink);
	}
	printf("%.1f %ld\n", (double)median(taken, batches) / BATCH, arrived);
}

static void stream(long count, pid_t child, uint64_t *taken)
{
	int fd = connected(SOCK_STREAM), status = 1;

	for (long left = count * MEGABYTE; left > 0; left -= BUFFER)
		check(write(fd, buffer, BUFFER), "write");
	shutdown(fd, SHUT_WR);
	if (waitpid(child, &status, 0) < 0 || status)
		errno = ECONNRESET, check(-1, "read all of the stream");
	printf("%.0f\n", MEGABYTE * 1e9 / median(taken, count));
}

static void over_udp(char **argv, long amount, uint64_t *taken)
{
	int sink;

	enter(argv[3]);
	sink = bound(SOCK_DGRAM);
	enter(argv[2]);
	datagrams(amount, taken, sink, strcmp(argv[1], "refused"));
}

static void over_tcp(char **argv, long amount, uint64_t *taken)
{
	int streams = !strcmp(argv[1], "stream");
	pid_t child = serve(argv[3], streams ? taken : NULL, amount);

	enter(argv[2]);
	if (streams)
		stream(amount, child, taken);
	else if (!strcmp(argv[1], "rr"))
		rr(amount, taken);
	else
		connections(amount, taken);
	kill(child, SIGKILL);
}

/* Shared with a child, which does the measuring when it is the receiver. */
static uint64_t *shared(long count)
{
	return mmap(NULL, count * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

int main(int argc, char **argv)
{
	static const char *modes = " rr connect udp refused stream ";
	uint64_t *taken;
	long amount;

	if (argc != 7 || !strstr(modes, argv[1]) || (amount = atol(argv[6])) < BATCH) {
		fprintf(stderr, "usage: traffic MODE CLIENT_NS SERVER_NS ADDRESS PORT AMOUNT (modes:%s)\n", modes);
		return 2;
	}
	taken = shared(amount);
	server.sin_family = AF_INET;
	server.sin_port = htons(atoi(argv[5]));
	if (taken == MAP_FAILED || inet_pton(AF_INET, argv[4], &server.sin_addr) != 1)
		return 2;
	alarm(LONGEST_S);
	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(argv[1], "udp") || !strcmp(argv[1], "refused"))
		over_udp(argv, amount, taken);
	else
		over_tcp(argv, amount, taken);
	return 0;
}
