/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two processes connect without pause while the rule set is swapped: no decision out of a mixture.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "expect.h"
#include "world.h"

#define N_SWAPS	   200U
#define N_WARM	   20U /* swaps before memory is first looked at, whole rounds of A B B A */
#define N_FLIPS	   200U
#define N_CALLERS  2U
#define N_POINTS   8U /* addresses, and ports: all pairs are tried */
#define N_TUPLES   (N_POINTS * N_POINTS)
#define FIRST_PORT 7000U

static const char *const caller_names[N_CALLERS] = {"left", "right"};

/* Who may not reach which pair of address and port: point i stands for 127.0.1.i and port 7000 + i.
 */
struct rule {
	const char *caller; /* NULL: anybody */
	unsigned int addr;
	unsigned int port;
};

/*
 * Each value is denied by some rule of either set, in another pairing: a mixture of the two sets
 * denies, or lets through, what neither of them does.
 */
static const struct rule rules_a[] = {
	{NULL, 0, 0}, {NULL, 1, 1}, {"left", 2, 2}, {"right", 3, 3}, {"left", 4, 5}, {NULL, 7, 7},
};
static const struct rule rules_b[] = {
	{"right", 4, 4}, {NULL, 7, 7}, {"left", 3, 2}, {"right", 2, 3}, {NULL, 1, 0}, {NULL, 6, 1},
};

struct rule_set {
	const char *name;
	const struct rule *rules;
	size_t n_rules;
	size_t n_fillers; /* policies that match nothing: other rows, other words */
	struct ruleset *rs;
};

static struct rule_set sets[] = {
	{.name = "A", .rules = rules_a, .n_rules = ARRAY_SIZE(rules_a)},
	{.name = "B", .rules = rules_b, .n_rules = ARRAY_SIZE(rules_b), .n_fillers = 150},
};

enum phase {
	PHASE_SWAPS, /* enforcing all the time */
	PHASE_FLIPS, /* the mode changes too */
	PHASE_END,
};

/* Shared with the callers, who write their own part only. */
struct storm_shared {
	volatile unsigned int phase;
	struct storm_counts {
		volatile unsigned int phase; /* that it has seen */
		volatile uint64_t allowed[PHASE_END][N_TUPLES];
		volatile uint64_t denied[PHASE_END][N_TUPLES];
		volatile uint64_t failed; /* with another error */
	} counts[N_CALLERS];
};

struct storm {
	struct storm_shared *shared;
	struct backend *backend;
	char self[512];
	char paths[N_CALLERS][128];
	pid_t pids[N_CALLERS];
	size_t n_wrong_at_once; /* decisions right after a swap that were not the new set's */
	size_t n_swaps;
};

static void tuple_connect(unsigned int tuple, struct world_connect *ret_c)
{
	*ret_c = (struct world_connect){
		.family = AF_INET,
		.type = SOCK_DGRAM,
		.addrlen = sizeof(ret_c->in),
		.in =
			{
				.sin_family = AF_INET,
				.sin_port = htons(FIRST_PORT + tuple % N_POINTS),
				.sin_addr.s_addr = htonl(0x7f000100 + tuple / N_POINTS),
			},
	};
}

static char *write_set(const struct storm *s, const struct rule_set *set)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		world_die("no memory");
	for (size_t i = 0; i < set->n_fillers + set->n_rules; i++) {
		const struct rule *rule =
			i < set->n_fillers ? NULL : &set->rules[i - set->n_fillers];

		fprintf(f,
			"---\napiVersion: cilium.io/v1alpha1\nkind: TracingPolicy\n"
			"metadata: {name: %s%zu}\n"
			"spec:\n  options:\n  - {name: policy-mode, value: enforce}\n"
			"  kprobes:\n  - call: security_socket_connect\n    syscall: false\n"
			"    args:\n    - {index: 0, type: socket}\n"
			"    - {index: 1, type: sockaddr}\n    selectors:\n    - matchArgs:\n",
			rule ? "rule" : "filler", i);
		if (rule)
			fprintf(f,
				"      - {index: 1, operator: SAddr, values: [127.0.1.%u]}\n"
				"      - {index: 1, operator: SPort, values: [\"%u\"]}\n",
				rule->addr, FIRST_PORT + rule->port);
		else
			fprintf(f,
				"      - {index: 1, operator: SAddr, values: [10.%zu.0.0/16]}\n"
				"      - {index: 1, operator: SPort, values: [\"%zu\"]}\n",
				i, i + 1);
		if (rule && rule->caller)
			fprintf(f,
				"      matchBinaries:\n"
				"      - {operator: In, values: [\"%s/%s\"]}\n",
				s->self, rule->caller);
		fputs("      matchActions:\n      - {action: Override, argError: -1}\n", f);
	}
	fclose(f);
	return text;
}

/* Whether the set denies the tuple to the executable, by the policies taken literally. */
static bool denies(const struct storm *s, const struct rule_set *set, const char *exe,
		   unsigned int tuple)
{
	struct ruleset_options opts = backend_ruleset_options(s->backend);
	struct world_connect c;
	struct sim_call call;
	struct expected x;

	tuple_connect(tuple, &c);
	world_describe(&c, exe, s->self, &call);
	if (expect_call(set->rs, &opts, &call, true, &x) < 0)
		world_die("a selector has no number");
	return x.deny >= 0;
}

/* The callers' side: all tuples, round and round. */
static int caller_main(unsigned int number)
{
	struct storm_shared *shared =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, 0, 0);
	struct storm_counts *counts;
	struct world_connect c[N_TUPLES];
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (shared == MAP_FAILED || s < 0 || number >= N_CALLERS)
		return 1;
	counts = &shared->counts[number];
	world_pin(number);
	for (unsigned int i = 0; i < N_TUPLES; i++)
		tuple_connect(i, &c[i]);
	for (unsigned int i = 0;; i = (i + 1) % N_TUPLES) {
		unsigned int phase = shared->phase;

		counts->phase = phase;
		if (phase == PHASE_END)
			return 0;
		if (connect(s, &c[i].sa, c[i].addrlen) == 0)
			counts->allowed[phase][i]++;
		else if (errno == EPERM)
			counts->denied[phase][i]++;
		else
			counts->failed++;
	}
}

static void start_callers(struct storm *s, int shared_fd)
{
	for (unsigned int i = 0; i < N_CALLERS; i++) {
		char number[] = {(char)('0' + i), '\0'};
		char *argv[] = {s->paths[i], (char *)"caller", number, NULL};

		fflush(stdout);
		s->pids[i] = fork();
		if (s->pids[i] < 0)
			world_die("fork: %s", strerror(errno));
		if (s->pids[i] == 0) {
			if (dup2(shared_fd, 0) < 0)
				_exit(126);
			execv(s->paths[i], argv);
			_exit(127);
		}
	}
	for (unsigned int i = 0; i < N_CALLERS; i++)
		while (s->shared->counts[i].allowed[PHASE_SWAPS][N_TUPLES - 1] +
			       s->shared->counts[i].denied[PHASE_SWAPS][N_TUPLES - 1] ==
		       0)
			if (waitpid(s->pids[i], NULL, WNOHANG) != 0)
				world_die("a caller died");
}

/* Each caller has made its last call of the phase before when this returns. */
static void enter_phase(struct storm *s, enum phase phase)
{
	s->shared->phase = phase;
	for (unsigned int i = 0; i < N_CALLERS; i++)
		while (s->shared->counts[i].phase != phase)
			if (waitpid(s->pids[i], NULL, WNOHANG) != 0)
				world_die("a caller died");
}

static const struct rule_set *swap(struct storm *s)
{
	/* A B B A, so that either set stands in either slot, and follows itself too */
	const struct rule_set *set = &sets[((s->n_swaps + 1) / 2) % ARRAY_SIZE(sets)];

	world_publish(s->backend, set->rs);
	s->n_swaps++;
	return set;
}

/* When publishing returns, the new set decides and nothing else. */
static void probe_all(struct storm *s, const struct rule_set *set)
{
	for (unsigned int i = 0; i < N_TUPLES; i++) {
		struct world_connect c;

		tuple_connect(i, &c);
		if ((world_connect(&c) == -EPERM) != denies(s, set, s->self, i))
			s->n_wrong_at_once++;
	}
}

struct memory {
	size_t n_maps;
	size_t map_bytes;
	size_t rss, anon;
};

static void measure(struct memory *m)
{
	m->map_bytes = world_map_bytes(&m->n_maps);
	m->rss = world_rss_bytes();
	m->anon = world_anon_bytes();
}

/* What the kernel frees it frees a little later: waits until memory is what it was, at most 10 s.
 */
static void measure_again(const struct memory *before, struct memory *m)
{
	double end = world_now() + 10;

	for (;;) {
		measure(m);
		if ((m->n_maps == before->n_maps && m->map_bytes == before->map_bytes) ||
		    world_now() > end)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	}
}

static void set_mode(struct storm *s, enum revshell_mode mode, uint64_t deadline_ns)
{
	if (backend_set_mode(s->backend, mode, deadline_ns) < 0)
		world_die("the mode is set");
}

static bool denied_now(unsigned int tuple)
{
	struct world_connect c;

	tuple_connect(tuple, &c);
	return world_connect(&c) == -EPERM;
}

#define TUPLE_ALWAYS (7 * N_POINTS + 7) /* denied by both sets, to anybody */

static void flip(struct storm *s)
{
	size_t wrong = 0;

	for (unsigned int i = 0; i < N_FLIPS; i++) {
		set_mode(s, i % 2 ? REVSHELL_MODE_ENFORCE : REVSHELL_MODE_MONITOR, 0);
		wrong += denied_now(TUPLE_ALWAYS) != (i % 2);
		if (i % 10 == 9)
			swap(s);
		wrong += denied_now(TUPLE_ALWAYS) != (i % 2);
	}
	world_check(wrong == 0, "a new mode counts from the next call on (%u changes, %zu wrong)",
		    N_FLIPS, wrong);
	set_mode(s, REVSHELL_MODE_ENFORCE, 1);
	world_check(!denied_now(TUPLE_ALWAYS), "past its deadline enforcing is monitoring");
	set_mode(s, REVSHELL_MODE_ENFORCE, ~0ULL >> 1);
	world_check(denied_now(TUPLE_ALWAYS), "before its deadline it is not");
}

struct verdicts {
	uint64_t probes, impossible_denials, impossible_passes;
	uint64_t swinging; /* tuples that one set denies and the other does not */
	uint64_t swung;	   /* those that met both */
};

/* What was denied though neither set denies it, or passed though both do. */
static void judge(const struct storm *s, enum phase phase, struct verdicts *v)
{
	*v = (struct verdicts){};
	for (unsigned int k = 0; k < N_CALLERS; k++)
		for (unsigned int i = 0; i < N_TUPLES; i++) {
			uint64_t allowed = s->shared->counts[k].allowed[phase][i];
			uint64_t denied = s->shared->counts[k].denied[phase][i];
			unsigned int n = denies(s, &sets[0], s->paths[k], i) +
					 denies(s, &sets[1], s->paths[k], i);

			v->probes += allowed + denied;
			if (n == 0)
				v->impossible_denials += denied;
			else if (n == ARRAY_SIZE(sets))
				v->impossible_passes += allowed;
			v->swinging += n == 1;
			v->swung += n == 1 && allowed && denied;
		}
}

static void judge_all(const struct storm *s)
{
	struct verdicts v;
	uint64_t failed = 0;

	judge(s, PHASE_SWAPS, &v);
	printf("# %u swaps: %llu calls by %u processes\n", N_SWAPS, (unsigned long long)v.probes,
	       N_CALLERS);
	world_check(v.probes > 10000, "there was a storm: %llu calls",
		    (unsigned long long)v.probes);
	world_check(v.impossible_denials == 0, "nothing was denied that neither set denies (%llu)",
		    (unsigned long long)v.impossible_denials);
	world_check(v.impossible_passes == 0, "nothing passed that both sets deny (%llu)",
		    (unsigned long long)v.impossible_passes);
	world_check(v.swinging > 0 && v.swung == v.swinging,
		    "what only one set denies was denied and was not (%llu of %llu)",
		    (unsigned long long)v.swung, (unsigned long long)v.swinging);
	judge(s, PHASE_FLIPS, &v);
	printf("# %u mode changes: %llu calls\n", N_FLIPS, (unsigned long long)v.probes);
	world_check(v.impossible_denials == 0,
		    "with the mode changing, nothing was denied that neither set denies (%llu)",
		    (unsigned long long)v.impossible_denials);
	for (unsigned int i = 0; i < N_CALLERS; i++)
		failed += s->shared->counts[i].failed;
	world_check(failed == 0, "no call failed for another reason (%llu)",
		    (unsigned long long)failed);
}

static void check_memory(const struct memory *before, const struct memory *after)
{
	const size_t slack = 256 * 1024; /* what malloc may do */

	printf("# %zu maps of %zu KiB, resident %zu KiB, of which anonymous %zu KiB; before: %zu "
	       "maps of %zu KiB, %zu KiB, %zu KiB\n",
	       after->n_maps, after->map_bytes / 1024, after->rss / 1024, after->anon / 1024,
	       before->n_maps, before->map_bytes / 1024, before->rss / 1024, before->anon / 1024);
	world_check(after->n_maps == before->n_maps && after->map_bytes == before->map_bytes,
		    "the maps are what they were");
	/* file pages come and go with the page cache */
	world_check(after->anon <= before->anon + slack, "the daemon's memory is what it was");
}

static void run(struct storm *s, int shared_fd)
{
	struct memory before, after;
	double begin;

	set_mode(s, REVSHELL_MODE_ENFORCE, 0);
	/* before the callers are there, since each swap has to wait for them */
	while (s->n_swaps < N_WARM)
		probe_all(s, swap(s));
	measure(&before);
	start_callers(s, shared_fd);
	begin = world_now();
	while (s->n_swaps < N_WARM + N_SWAPS)
		probe_all(s, swap(s));
	printf("# %.3f s a swap\n", (world_now() - begin) / N_SWAPS);
	world_check(s->n_wrong_at_once == 0,
		    "when a swap is done, the new set decides (%zu wrong of %zu)",
		    s->n_wrong_at_once, s->n_swaps * N_TUPLES);
	enter_phase(s, PHASE_FLIPS);
	flip(s);
	enter_phase(s, PHASE_END);
	for (unsigned int i = 0; i < N_CALLERS; i++)
		waitpid(s->pids[i], NULL, 0);
	judge_all(s);
	measure_again(&before, &after);
	check_memory(&before, &after);
}

int main(int argc, char **argv)
{
	struct storm s = {};
	int fd;

	if (argc == 3 && strcmp(argv[1], "caller") == 0)
		return caller_main(argv[2][0] - '0');
	if (argc != 2) {
		fprintf(stderr, "usage: storm FOLDER\n");
		return 2;
	}
	/* khugepaged would add 2 MiB to what is resident, at a time of its own choosing */
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) < 0)
		world_die("huge pages: %s", strerror(errno));
	snprintf(s.self, sizeof(s.self), "%s", argv[1]);
	fd = memfd_create("storm", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, sizeof(*s.shared)) < 0)
		world_die("shared memory: %s", strerror(errno));
	s.shared = mmap(NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (s.shared == MAP_FAILED)
		world_die("shared memory: %s", strerror(errno));
	for (unsigned int i = 0; i < N_CALLERS; i++) {
		snprintf(s.paths[i], sizeof(s.paths[i]), "%s/%s", argv[1], caller_names[i]);
		world_copy("/proc/self/exe", s.paths[i]);
	}
	s.backend = world_open(&(struct backend_options){.kind = BACKEND_AUTO});
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		_cleanup_free_ char *text = write_set(&s, &sets[i]);
		struct policy_set set = {};

		world_load(text, sets[i].name, &set);
		sets[i].rs = world_compile(s.backend, &set);
	}
	run(&s, fd);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		ruleset_free(sets[i].rs);
	backend_close(s.backend);
	return 0;
}
