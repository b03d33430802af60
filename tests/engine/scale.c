/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* 512 policies and 100,000 prefixes in the real backend, asked by real calls of real processes. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "expect.h"
#include "random-policy.h"
#include "world.h"

#define N_POLICIES 512U
#define N_CIDRS	   100000U
#define N_CALLS	   1500U

/* The callers: copies of this program, which policies know by their paths. */
#define N_CALLERS  3U
static const char *const caller_names[N_CALLERS] = {"agent", "tool.bin", "other"};

struct cidr {
	uint8_t version; /* 4 or 6 */
	uint8_t prefix;
	uint8_t addr[16];
};

struct caller {
	char path[128];
	pid_t pid;
	int to;	  /* requests: struct world_connect */
	int from; /* answers: int, 0 or -errno */
};

struct scale {
	struct random_source random;
	struct cidr *cidrs;
	struct caller callers[N_CALLERS];
	char self[512];
	struct backend *backend;
	struct ruleset *rs;
};

static const unsigned int ports[] = {22, 53, 80, 443, 4444, 8080, 65535};

static bool one_in(struct random_source *r, size_t n)
{
	return random_below(r, n) == 0;
}

static void random_cidr(struct random_source *r, struct cidr *c)
{
	unsigned int bits;

	memset(c, 0, sizeof(*c));
	c->version = one_in(r, 3) ? 6 : 4;
	bits = c->version == 4 ? 32 : 128;
	for (size_t i = 0; i < bits / 8; i++)
		c->addr[i] = random_next(r);
	if (c->version == 4)
		c->addr[0] = 1 + random_below(r, 223);
	else
		memcpy(c->addr, "\x20\x01\x0d\xb8", 4);
	c->prefix = c->version == 4 ? 18 + random_below(r, 15) : 52 + random_below(r, 77);
	for (unsigned int i = c->prefix; i < bits; i++)
		c->addr[i / 8] &= (uint8_t) ~(0x80U >> i % 8);
}

static int cidr_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct cidr));
}

/*
 * Exactly so many, no two alike, in no order. Spread wide enough that those which lie in each other
 * need fewer than REVSHELL_MAX_ROWS different sets of selectors.
 */
static struct cidr *make_cidrs(struct random_source *r)
{
	size_t size = N_CIDRS + N_CIDRS / 10, n = 0;
	struct cidr *c = calloc(size, sizeof(*c));

	if (!c)
		world_die("no memory");
	for (size_t i = 0; i < size; i++)
		random_cidr(r, &c[i]);
	qsort(c, size, sizeof(*c), cidr_compare);
	for (size_t i = 0; i < size; i++)
		if (n == 0 || cidr_compare(&c[i], &c[n - 1]) != 0)
			c[n++] = c[i];
	if (n < N_CIDRS)
		world_die("too many prefixes were drawn twice");
	for (size_t i = n - 1; i > 0; i--) {
		size_t k = random_below(r, i + 1);
		struct cidr swap = c[i];

		c[i] = c[k];
		c[k] = swap;
	}
	return c;
}

static void write_cidr(FILE *f, const struct cidr *c)
{
	fputc('"', f);
	if (c->version == 4) {
		fprintf(f, "%u.%u.%u.%u", c->addr[0], c->addr[1], c->addr[2], c->addr[3]);
	} else {
		for (size_t i = 0; i < 16; i += 2)
			fprintf(f, "%s%x", i ? ":" : "", c->addr[i] << 8 | c->addr[i + 1]);
	}
	fprintf(f, "/%u\"", c->prefix);
}

/* Filters and actions by chance; the first selector holds the policy's share of the prefixes. */
static void write_selector(struct scale *s, FILE *f, const struct cidr *cidrs, size_t n)
{
	struct random_source *r = &s->random;
	static const char *const binary_ops[] = {"In",	      "NotIn",	 "Prefix",
						 "NotPrefix", "Postfix", "NotPostfix"};

	fputs("    - matchArgs:\n", f);
	if (n > 0) {
		/* a few say what they let through: they would match nearly every call */
		fprintf(f, "      - {index: 1, operator: %s, values: [",
			one_in(r, 256) ? "NotSAddr" : "SAddr");
		for (size_t i = 0; i < n; i++) {
			fputs(i ? ", " : "", f);
			write_cidr(f, &cidrs[i]);
		}
		fputs("]}\n", f);
	} else {
		fprintf(f, "      - {index: 1, operator: SPort, values: [\"%zu:%zu\"]}\n",
			random_below(r, 60000), 60000 + random_below(r, 5535));
		fputs("      - {index: 0, operator: Protocol, values: [\"253\"]}\n", f);
	}
	if (one_in(r, 2))
		fprintf(f, "      - {index: 1, operator: %s, values: [\"%u\", \"%u\"]}\n",
			one_in(r, 3) ? "SPort" : "NotSPort", ports[random_below(r, 7)],
			ports[random_below(r, 7)]);
	if (one_in(r, 3))
		fprintf(f, "      - {index: 0, operator: Protocol, values: [%s]}\n",
			one_in(r, 2) ? "IPPROTO_UDP" : "IPPROTO_TCP");
	if (one_in(r, 4))
		fprintf(f, "      - {index: 1, operator: Family, values: [%s]}\n",
			one_in(r, 2) ? "AF_INET" : "AF_INET6");
	if (one_in(r, 2)) {
		size_t op = random_below(r, ARRAY_SIZE(binary_ops));
		const char *path = s->callers[random_below(r, N_CALLERS)].path;

		fprintf(f, "      matchBinaries:\n      - {operator: %s, values: [\"%s\"]}\n",
			binary_ops[op],
			op < 2	 ? path
			: op < 4 ? "/tmp"
				 : strrchr(path, '/'));
	}
	fputs("      matchActions:\n", f);
	if (one_in(r, 6))
		fprintf(f, "      - {action: Override, argError: -1}\n");
	else
		fprintf(f, "      - action: Post\n");
	if (one_in(r, 8))
		fputs("      - action: NoPost\n", f);
}

static char *write_policy(struct scale *s, size_t number, const struct cidr *cidrs, size_t n)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		world_die("no memory");
	fprintf(f,
		"apiVersion: cilium.io/v1alpha1\nkind: TracingPolicy\nmetadata: {name: p%zu}\n"
		"spec:\n  options:\n  - {name: policy-mode, value: %s}\n  kprobes:\n"
		"  - call: security_socket_connect\n    syscall: false\n    args:\n"
		"    - {index: 0, type: socket}\n    - {index: 1, type: sockaddr}\n    "
		"selectors:\n",
		number, one_in(&s->random, 8) ? "monitor" : "enforce");
	write_selector(s, f, cidrs, n);
	if (number % 2)
		write_selector(s, f, NULL, 0);
	fclose(f);
	return text;
}

/* The other process's side: makes the calls that it is told to. */
static int caller_main(void)
{
	struct world_connect c;

	while (read(0, &c, sizeof(c)) == (ssize_t)sizeof(c)) {
		int r = world_connect(&c);

		if (write(1, &r, sizeof(r)) != (ssize_t)sizeof(r))
			return 1;
	}
	return 0;
}

static void caller_start(struct caller *c)
{
	char *argv[] = {c->path, (char *)"caller", NULL};
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		world_die("pipes: %s", strerror(errno));
	fflush(stdout);
	c->pid = fork();
	if (c->pid < 0)
		world_die("fork: %s", strerror(errno));
	if (c->pid == 0) {
		if (dup2(to[0], 0) < 0 || dup2(from[1], 1) < 0)
			_exit(126);
		execv(c->path, argv);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	c->to = to[1];
	c->from = from[0];
}

static void put_addr(struct scale *s, unsigned int version, uint8_t *addr)
{
	struct random_source *r = &s->random;
	const struct cidr *c;
	unsigned int bits;

	do
		c = &s->cidrs[random_below(r, N_CIDRS)];
	while (c->version != version);
	bits = version == 4 ? 32 : 128;
	memcpy(addr, c->addr, bits / 8);
	for (unsigned int i = c->prefix; i < bits; i++)
		if (one_in(r, 2))
			addr[i / 8] ^= (uint8_t)(0x80U >> i % 8);
	/* just outside, or a shorter neighbour */
	if (one_in(r, 4)) {
		unsigned int bit = c->prefix - 1 - random_below(r, 4);

		addr[bit / 8] ^= (uint8_t)(0x80U >> bit % 8);
	}
}

static void random_connect(struct scale *s, struct world_connect *c)
{
	static const struct {
		int family, type, protocol, sa_family;
		bool mapped;
	} kinds[] = {
		{AF_INET, SOCK_DGRAM, 0, AF_INET, false},
		{AF_INET, SOCK_DGRAM, 0, AF_INET, false},
		{AF_INET6, SOCK_DGRAM, 0, AF_INET6, false},
		{AF_INET6, SOCK_DGRAM, 0, AF_INET6, true},
		{AF_INET6, SOCK_DGRAM, 0, AF_INET, false},
		{AF_INET, SOCK_STREAM, 0, AF_INET, false},
		{AF_INET6, SOCK_STREAM, 0, AF_INET6, false},
		{AF_INET6, SOCK_STREAM, 0, AF_INET6, true},
		{AF_INET, SOCK_RAW, 253, AF_INET, false},
		{AF_UNIX, SOCK_STREAM, 0, AF_UNIX, false},
	};
	size_t k = random_below(&s->random, ARRAY_SIZE(kinds));
	unsigned int port = ports[random_below(&s->random, ARRAY_SIZE(ports))];

	memset(c, 0, sizeof(*c));
	c->family = kinds[k].family;
	c->type = kinds[k].type;
	c->protocol = kinds[k].protocol;
	c->sa.sa_family = kinds[k].sa_family;
	if (c->sa.sa_family == AF_INET) {
		c->in.sin_port = htons(port);
		put_addr(s, 4, (uint8_t *)&c->in.sin_addr);
		c->addrlen = sizeof(c->in);
	} else if (c->sa.sa_family == AF_INET6) {
		uint8_t *addr = c->in6.sin6_addr.s6_addr;

		c->in6.sin6_port = htons(port);
		c->addrlen = sizeof(c->in6);
		if (kinds[k].mapped) {
			memset(addr + 10, 0xff, 2);
			put_addr(s, 4, addr + 12);
		} else {
			put_addr(s, 6, addr);
		}
	} else {
		memcpy(c->un.sun_path, "\0nobody", 7);
		c->addrlen = offsetof(struct sockaddr_un, sun_path) + 7;
	}
}

/* What one call's events say. */
struct seen {
	pid_t pid;
	unsigned int n;
	__u64 match[REVSHELL_WORDS];
	int error;
	char exe[REVSHELL_PATH_INLINE];
};

static int see_event(const struct revshell_event *ev, size_t size, void *userdata)
{
	struct seen *seen = userdata;

	if ((pid_t)ev->pid != seen->pid || ev->hook != REVSHELL_HOOK_CONNECT)
		return 0;
	seen->n++;
	memcpy(seen->match, ev->match, ev->n_words * sizeof(ev->match[0]));
	seen->error = ev->error;
	memcpy(seen->exe, ev->exe.path, sizeof(seen->exe));
	return 0;
}

struct tally {
	size_t calls, denied, matched, events;
	size_t wrong_verdict, wrong_event, wrong_exe;
};

static void describe(const struct sim_call *call, const struct expected *x, const struct seen *seen,
		     int answer)
{
	char text[1024];

	random_call_describe(call, text, sizeof(text));
	printf("# answer %d, expected denial %d, %u events: %s\n", answer, x->deny, seen->n, text);
	for (size_t w = 0; w < REVSHELL_WORDS; w++)
		if (seen->match[w] != x->report[w])
			printf("#   word %zu: reported %llx, expected %llx\n", w,
			       (unsigned long long)seen->match[w],
			       (unsigned long long)x->report[w]);
}

static void check_call(struct scale *s, bool enforcing, struct tally *t)
{
	struct ruleset_options opts = backend_ruleset_options(s->backend);
	struct caller *caller = &s->callers[random_below(&s->random, N_CALLERS)];
	struct seen seen = {.pid = caller->pid};
	size_t wrong = t->wrong_verdict + t->wrong_event;
	struct world_connect c;
	struct sim_call call;
	struct expected x;
	bool report = false, deny;
	int answer;

	random_connect(s, &c);
	world_describe(&c, caller->path, s->self, &call);
	if (expect_call(s->rs, &opts, &call, enforcing, &x) < 0)
		world_die("a selector has no number");
	for (size_t w = 0; w < REVSHELL_WORDS; w++)
		report |= x.report[w] != 0;
	deny = enforcing && x.deny >= 0;

	if (write(caller->to, &c, sizeof(c)) != (ssize_t)sizeof(c) ||
	    read(caller->from, &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
		world_die("a caller died");
	while (backend_events_consume(s->backend, see_event, &seen) > 0)
		;
	t->calls++;
	t->denied += deny;
	t->matched += x.n_matches > 0;
	t->events += seen.n;
	t->wrong_verdict += (answer == -EPERM) != deny;
	t->wrong_event += seen.n != (unsigned int)report ||
			  memcmp(seen.match, x.report, sizeof(x.report)) != 0 ||
			  seen.error != (seen.n && deny ? -EPERM : 0);
	t->wrong_exe += seen.n && strcmp(seen.exe, caller->path) != 0;
	if (t->wrong_verdict + t->wrong_event > wrong && t->wrong_verdict + t->wrong_event < 10)
		describe(&call, &x, &seen, answer);
}

static void check_mode(struct scale *s, enum revshell_mode mode, const char *name)
{
	struct tally t = {};
	double begin;

	if (backend_set_mode(s->backend, mode, 0) < 0)
		world_die("the mode is set");
	begin = world_now();
	for (size_t i = 0; i < N_CALLS; i++)
		check_call(s, mode == REVSHELL_MODE_ENFORCE, &t);
	printf("# %s: %zu calls, %zu that something matched, %zu denied, %zu events, %.1f s\n",
	       name, t.calls, t.matched, t.denied, t.events, world_now() - begin);
	world_check(t.wrong_verdict == 0, "%s: verdicts as the policies say (%zu of %zu wrong)",
		    name, t.wrong_verdict, t.calls);
	world_check(t.wrong_event == 0, "%s: events as the policies say (%zu of %zu wrong)", name,
		    t.wrong_event, t.calls);
	world_check(t.wrong_exe == 0, "%s: events name the executable (%zu wrong)", name,
		    t.wrong_exe);
	world_check(t.matched > t.calls / 20 && t.matched < t.calls,
		    "%s: some calls match, some do not", name);
	if (mode == REVSHELL_MODE_ENFORCE)
		world_check(t.denied > t.calls / 50, "%s: some calls are denied", name);
}

static void write_policies(struct scale *s, char *texts[N_POLICIES])
{
	size_t at = 0;

	for (size_t i = 0; i < N_POLICIES; i++) {
		size_t n = N_CIDRS / N_POLICIES + (i < N_CIDRS % N_POLICIES);

		texts[i] = write_policy(s, i, &s->cidrs[at], n);
		at += n;
	}
}

/* For a daemon to read. */
static void write_files(struct scale *s, const char *folder)
{
	char *texts[N_POLICIES], path[256];

	write_policies(s, texts);
	for (size_t i = 0; i < N_POLICIES; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/p%zu.yaml", folder, i);
		f = fopen(path, "we");
		if (!f || fputs(texts[i], f) < 0 || fclose(f) != 0)
			world_die("%s: %s", path, strerror(errno));
		free(texts[i]);
	}
}

static void load(struct scale *s)
{
	const struct backend_options opts = {.kind = BACKEND_AUTO};
	char *texts[N_POLICIES];
	struct policy_set set = {};
	size_t n_before, n_after, n_cidrs = 0, before, after, bytes = 0;
	double t[5];

	write_policies(s, texts);
	before = world_map_bytes(&n_before);
	s->backend = world_open(&opts);
	after = world_map_bytes(&n_after);
	printf("# backend %s; with an empty rule set %zu maps of %zu KiB, resident %zu KiB\n",
	       backend_kind_name(backend_get_kind(s->backend)), n_after - n_before,
	       (after - before) / 1024, world_rss_bytes() / 1024);
	t[0] = world_now();
	for (size_t i = 0; i < N_POLICIES; i++) {
		bytes += strlen(texts[i]);
		world_load(texts[i], "scale", &set);
		free(texts[i]);
	}
	t[1] = world_now();
	s->rs = world_compile(s->backend, &set);
	t[2] = world_now();
	world_publish(s->backend, s->rs);
	t[3] = world_now();
	world_publish(s->backend, s->rs);
	t[4] = world_now();
	for (size_t dim = 0; dim < REVSHELL_ADDR_DIMS; dim++)
		n_cidrs += s->rs->tries[REVSHELL_HOOK_CONNECT][dim].n_v4 +
			   s->rs->tries[REVSHELL_HOOK_CONNECT][dim].n_v6;
	after = world_map_bytes(&n_after);
	printf("# %u policies (%zu KiB of text), %zu selectors, %zu prefixes, %zu rows\n",
	       N_POLICIES, bytes / 1024, s->rs->hooks[REVSHELL_HOOK_CONNECT].n_selectors, n_cidrs,
	       s->rs->n_rows);
	printf("# read %.2f s, compiled %.2f s, published %.2f s, published again %.2f s\n",
	       t[1] - t[0], t[2] - t[1], t[3] - t[2], t[4] - t[3]);
	printf("# both generations in %zu maps of %zu KiB, resident %zu KiB\n", n_after - n_before,
	       (after - before) / 1024, world_rss_bytes() / 1024);
	world_check(s->rs->policies.n == N_POLICIES && n_cidrs == N_CIDRS,
		    "%u policies and %u prefixes are loaded", N_POLICIES, N_CIDRS);
}

int main(int argc, char **argv)
{
	const char *seed = getenv("REVSHELL_SEED");
	struct scale s = {};
	ssize_t n;

	if (argc == 2 && strcmp(argv[1], "caller") == 0)
		return caller_main();
	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: scale FOLDER [FOLDER-FOR-POLICIES]\n");
		return 2;
	}
	n = readlink("/proc/self/exe", s.self, sizeof(s.self) - 1);
	if (n < 0)
		world_die("/proc/self/exe: %s", strerror(errno));
	random_seed(&s.random, seed ? strtoull(seed, NULL, 0) : 1);
	printf("# REVSHELL_SEED=%s\n", seed ?: "1");
	s.cidrs = make_cidrs(&s.random);
	for (size_t i = 0; i < N_CALLERS; i++)
		snprintf(s.callers[i].path, sizeof(s.callers[i].path), "%s/%s", argv[1],
			 caller_names[i]);
	if (argc == 3) {
		write_files(&s, argv[2]);
		free(s.cidrs);
		return 0;
	}
	/* files that exempt have to be there when the rule set is published */
	for (size_t i = 0; i < N_CALLERS; i++)
		world_copy("/proc/self/exe", s.callers[i].path);
	load(&s);
	for (size_t i = 0; i < N_CALLERS; i++)
		caller_start(&s.callers[i]);
	check_mode(&s, REVSHELL_MODE_MONITOR, "monitor");
	check_mode(&s, REVSHELL_MODE_ENFORCE, "enforce");
	for (size_t i = 0; i < N_CALLERS; i++) {
		close(s.callers[i].to);
		close(s.callers[i].from);
		waitpid(s.callers[i].pid, NULL, 0);
	}
	ruleset_free(s.rs);
	backend_close(s.backend);
	free(s.cidrs);
	return 0;
}
