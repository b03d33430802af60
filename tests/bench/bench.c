/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counts the instructions of calls under QEMU's -icount, where the time stamp counter counts them.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <x86intrin.h>

#include "bench.h"
#include "empty.skel.h"
#include "random-policy.h"
#include "world.h"

#define N_BATCHES 30U

static size_t consume_all(struct backend *b);

/* A loop of 2,000,000 instructions: 1.0 if the counter counts them. */
static double calibrate(void)
{
	uint64_t best = ~0ULL;

	for (int i = 0; i < 5; i++) {
		uint64_t n = 1000000, begin = __rdtsc(), ticks;

		__asm__ volatile("1: dec %0; jnz 1b" : "+r"(n));
		ticks = __rdtsc() - begin;
		best = MIN(best, ticks);
	}
	return (double)best / 2e6;
}

static void destination(struct sockaddr_in *in)
{
	*in = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(BENCH_PORT),
		.sin_addr.s_addr = htonl(BENCH_ADDRESS),
	};
}

static int work_connect(struct bench *b, unsigned int n)
{
	struct sockaddr_in in;
	int r = 0;

	destination(&in);
	for (unsigned int i = 0; i < n; i++)
		r |= connect(b->udp, (struct sockaddr *)&in, sizeof(in));
	return r;
}

static int work_unix(struct bench *b, unsigned int n)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "\0nobody"};

	for (unsigned int i = 0; i < n; i++)
		if (connect(b->unix_socket, (struct sockaddr *)&un,
			    offsetof(struct sockaddr_un, sun_path) + 7) == 0)
			return -1;
	return 0;
}

static int work_send(struct bench *b, unsigned int n)
{
	/* what comes back from a port without a listener is an error of the next send: every other
	   call is refused, so that two make one that is sent */
	for (unsigned int i = 0; i < n; i++)
		if (send(b->udp, "", 1, 0) < 0 && errno != ECONNREFUSED)
			return -1;
	return 0;
}

static int work_sendto(struct bench *b, unsigned int n)
{
	struct sockaddr_in in;

	/* some cases are denied */
	destination(&in);
	for (unsigned int i = 0; i < n; i++)
		if (sendto(b->unconnected, "", 1, 0, (struct sockaddr *)&in, sizeof(in)) < 0 &&
		    errno != EPERM)
			return -1;
	return 0;
}

static int work_listen(struct bench *b, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (listen(b->tcp, 1) < 0 && errno != EPERM)
			return -1;
	return 0;
}

/* Ticks of fork() itself, as the parent sees them. */
static uint64_t fork_once(const struct bench *b)
{
	uint64_t begin = __rdtsc(), end;
	pid_t pid = fork();

	end = __rdtsc();
	if (pid == 0)
		_exit(0);
	if (pid < 0 || waitpid(pid, NULL, 0) < 0)
		return 0;
	return end - begin;
}

static uint64_t exec_once(const struct bench *b)
{
	char *argv[] = {(char *)b->execee, NULL}, *envp[] = {NULL};
	volatile uint64_t begin = 0;
	uint64_t end = 0;
	int fds[2];
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return 0;
	/* the child shares our memory until it is another program */
	pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
	if (pid == 0) {
		if (dup2(fds[1], 1) < 0) /* NOLINT(clang-analyzer-unix.Vfork) */
			_exit(126);
		begin = __rdtsc();
		execve(b->execee, argv, envp);
		_exit(127);
	}
	close(fds[1]);
	n = read(fds[0], &end, sizeof(end));
	close(fds[0]);
	if (pid < 0 || waitpid(pid, NULL, 0) < 0 || n != (ssize_t)sizeof(end))
		return 0;
	return end - begin;
}

static uint64_t process_once(const struct bench *b)
{
	char *argv[] = {(char *)b->loader, (char *)"--library-path", (char *)b->folder,
			(char *)b->true_path, NULL};
	char *envp[] = {NULL};
	uint64_t begin = __rdtsc();
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		execve(argv[0], argv, envp);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
		return 0;
	return __rdtsc() - begin;
}

static int connect_batch(struct bench *b, unsigned int n)
{
	/* some cases are denied */
	work_connect(b, n);
	return 0;
}

/* Exactly one of the two: n calls at once, or the ticks of one. */
static const struct {
	const char *name;
	int (*batch)(struct bench *b, unsigned int n);
	uint64_t (*once)(const struct bench *b);
} works[WORK_MAX] = {
	[WORK_CONNECT] = {"connect", .batch = connect_batch},
	[WORK_CONNECT_UNIX] = {"unix", .batch = work_unix},
	[WORK_SEND] = {"send", .batch = work_send},
	[WORK_SENDTO] = {"sendto", .batch = work_sendto},
	[WORK_LISTEN] = {"listen", .batch = work_listen},
	[WORK_FORK] = {"fork", .once = fork_once},
	[WORK_EXEC] = {"exec", .once = exec_once},
	[WORK_PROCESS] = {"process", .once = process_once},
};

const char *bench_work_name(enum bench_work work)
{
	return works[work].name;
}

/* Instructions of one call, the least over many batches; 0 if the work cannot be done. */
static double measure_here(struct bench *b, struct backend *backend, enum bench_work work)
{
	const unsigned int n_calls = 100;
	double best = 0;

	for (unsigned int i = 0; i < N_BATCHES + 2; i++) {
		double each = 0;

		if (works[work].batch) {
			uint64_t begin = __rdtsc();

			if (works[work].batch(b, n_calls) < 0)
				return 0;
			each = (double)(__rdtsc() - begin) / n_calls;
		} else if (works[work].once) {
			each = (double)works[work].once(b);
		}
		if (each == 0)
			return 0;
		/* the first ones fill caches: labels, pages */
		if (i >= 2 && (best == 0 || each < best))
			best = each;
		if (backend)
			consume_all(backend);
	}
	return best;
}

/*
 * What a fork costs depends on the memory that the process has: a new one, always laid out alike,
 * does the work.
 */
static double measure_apart(struct bench *b, enum bench_work work)
{
	char *argv[] = {b->self, (char *)b->folder, (char *)works[work].name, NULL},
	     *envp[] = {NULL};
	double insns = 0;
	int fds[2], status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return 0;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		personality(ADDR_NO_RANDOMIZE);
		if (dup2(fds[1], 3) < 0)
			_exit(126);
		execve(b->self, argv, envp);
		_exit(127);
	}
	close(fds[1]);
	if (read(fds[0], &insns, sizeof(insns)) != (ssize_t)sizeof(insns))
		insns = 0;
	close(fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
		return 0;
	return insns;
}

static int measure_main(struct bench *b, const char *name)
{
	for (int work = 0; work < WORK_MAX; work++)
		if (strcmp(works[work].name, name) == 0) {
			double insns = measure_here(b, NULL, work);

			return write(3, &insns, sizeof(insns)) != (ssize_t)sizeof(insns);
		}
	return 2;
}

double bench_measure(struct bench *b, struct backend *backend, enum bench_work work)
{
	return works[work].once ? measure_apart(b, work) : measure_here(b, backend, work);
}

/* Distinct /28s around the destination, none of which holds it. */
static void make_cidrs(size_t n, struct policy_cidr *c)
{
	const uint32_t size = 1U << 20; /* of 127.0.0.0/8 */
	_cleanup_free_ uint8_t *taken = calloc(size, 1);
	struct random_source r;

	if (!taken)
		world_die("no memory");
	random_seed(&r, 1);
	taken[(BENCH_ADDRESS & 0xffffff) >> 4] = 1;
	for (size_t i = 0; i < n;) {
		uint32_t net = random_below(&r, size), addr;

		if (taken[net]++)
			continue;
		addr = htonl(0x7f000000U | net << 4);
		c[i] = (struct policy_cidr){.family = 4, .prefix = 28};
		memcpy(c[i++].addr, &addr, 4);
	}
}

/* Deals the prefixes out to the policies' last argument filter, or the same few to many. */
static void put_cidrs(const struct bench_case *c, struct policy_set *set)
{
	_cleanup_free_ struct policy_cidr *all = calloc(c->n_cidrs, sizeof(*all));

	if (!all)
		world_die("no memory");
	make_cidrs(c->n_cidrs, all);
	for (size_t i = 0; i < set->n; i++) {
		struct policy_selector *s = &set->policies[i]->entries[0].selectors[0];
		struct policy_values *v = &s->args[s->n_args - 1].values;
		size_t n = 0, each = c->n_cidrs / set->n + 1;

		free(v->cidrs);
		v->cidrs = calloc(each, sizeof(*v->cidrs));
		if (!v->cidrs)
			world_die("no memory");
		for (size_t k = i % c->n_cidrs; k < c->n_cidrs && n < each; k += set->n)
			v->cidrs[n++] = all[k];
		v->n_cidrs = n;
	}
}

struct ruleset *bench_make_ruleset(const struct bench *b, struct backend *backend,
				   const struct bench_case *c)
{
	struct policy_set set = {};

	for (unsigned int i = 0; i < c->n_policies; i++) {
		char *text = NULL;
		size_t size;
		FILE *f = open_memstream(&text, &size);

		if (!f)
			world_die("no memory");
		bench_write_policy(f, c, i, b->self, b->parent);
		fclose(f);
		world_load(text, c->name, &set);
		free(text);
	}
	if (c->asks & (ASK(SA_ADDR) | ASK(OWN_ADDR)) && c->n_cidrs > 0)
		put_cidrs(c, &set);
	return world_compile(backend, &set);
}

static int ignore_event(const struct revshell_event *ev, size_t size, void *userdata)
{
	++*(size_t *)userdata;
	return 0;
}

static size_t consume_all(struct backend *b)
{
	size_t n = 0;

	while (backend_events_consume(b, ignore_event, &n) > 0)
		;
	return n;
}

void bench_check_case(struct bench *b, struct backend *backend, const struct bench_case *c)
{
	bool deny = c->outcome == OUTCOME_DENY || c->outcome == OUTCOME_DENY_SILENTLY;
	bool report = c->outcome == OUTCOME_REPORT || c->outcome == OUTCOME_DENY;
	int r;

	if (c->work != WORK_CONNECT)
		return;
	consume_all(backend);
	errno = 0;
	r = work_connect(b, 1);
	if ((r < 0 && errno == EPERM) != deny || (r < 0) != deny)
		world_die("%s: connect gives %d, %s", c->name, r, strerror(errno));
	if (consume_all(backend) != report)
		world_die("%s: %s", c->name, report ? "there is no event" : "there are events");
}

static double run_ours(struct bench *b, struct backend *backend, const struct bench_case *c)
{
	_cleanup_(ruleset_freep) struct ruleset *rs = bench_make_ruleset(b, backend, c);

	world_publish(backend, rs);
	bench_check_case(b, backend, c);
	return bench_measure(b, backend, c->work);
}

static double run_empty_program(struct bench *b, const struct bench_case *c)
{
	struct empty_bpf *skel = empty_bpf__open();
	struct bpf_program *prog;
	double insns = 0;

	if (!skel)
		world_die("the empty program: %s", strerror(errno));
	prog = c->work == WORK_SEND	     ? skel->progs.empty_sendmsg
	       : c->kind == BACKEND_FMOD_RET ? skel->progs.empty_fmod_ret
	       : c->kind == BACKEND_KPROBE   ? skel->progs.empty_kprobe
	       : c->kind == BACKEND_NONE     ? skel->progs.empty_fentry
					     : skel->progs.empty_connect;
	bpf_program__set_autoload(prog, true);
	if (empty_bpf__load(skel) == 0 && empty_bpf__attach(skel) == 0)
		insns = bench_measure(b, NULL, c->work);
	empty_bpf__destroy(skel);
	if (insns == 0)
		world_die("the empty program cannot be attached");
	return insns;
}

static void run_case(struct bench *b, struct backend *backend, size_t i)
{
	const struct bench_case *c = &bench_cases[i];

	b->totals[i] = c->daemon == DAEMON_OURS		   ? run_ours(b, backend, c)
		       : c->daemon == DAEMON_EMPTY_PROGRAM ? run_empty_program(b, c)
							   : bench_measure(b, NULL, c->work);
	if (b->totals[i] == 0)
		world_die("%s cannot be measured", c->name);
}

static enum backend_kind kind_of(const struct bench_case *c)
{
	return c->kind == BACKEND_AUTO ? BACKEND_LSM : c->kind;
}

/* No daemon and empty programs first; then ours, one backend after the other. */
static void run_all(struct bench *b)
{
	static const enum backend_kind kinds[] = {BACKEND_LSM, BACKEND_FMOD_RET, BACKEND_KPROBE};

	for (int daemon = DAEMON_NONE; daemon < DAEMON_OURS; daemon++)
		for (size_t i = 0; i < n_bench_cases; i++)
			if ((int)bench_cases[i].daemon == daemon)
				run_case(b, NULL, i);
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct backend *backend = world_open(&(struct backend_options){.kind = kinds[k]});

		backend_set_mode(backend, REVSHELL_MODE_ENFORCE, 0);
		for (size_t i = 0; i < n_bench_cases; i++)
			if (bench_cases[i].daemon == DAEMON_OURS &&
			    kind_of(&bench_cases[i]) == kinds[k])
				run_case(b, backend, i);
		backend_close(backend);
	}
}

/* The case of the same work, and kind of program, that others are compared with. */
static double reference(const struct bench *b, enum bench_work work, enum bench_daemon daemon,
			enum backend_kind kind)
{
	for (size_t i = 0; i < n_bench_cases; i++)
		if (bench_cases[i].work == work && bench_cases[i].daemon == daemon &&
		    (daemon == DAEMON_NONE || kind_of(&bench_cases[i]) == kind))
			return b->totals[i];
	return 0;
}

static void print_table(const struct bench *b)
{
	printf("%-50s %10s %10s %8s\n", "case", "total", "added", "x empty");
	for (size_t i = 0; i < n_bench_cases; i++) {
		const struct bench_case *c = &bench_cases[i];
		double none = reference(b, c->work, DAEMON_NONE, BACKEND_LSM);
		double empty = reference(b, c->work, DAEMON_EMPTY_PROGRAM, kind_of(c));

		printf("%-50s %10.0f", c->name, b->totals[i]);
		if (c->daemon != DAEMON_NONE)
			printf(" %+10.0f", b->totals[i] - none);
		if (c->daemon == DAEMON_OURS && empty > none)
			printf(" %8.2f", (b->totals[i] - none) / (empty - none));
		putchar('\n');
	}
}

static size_t find_case(const char *name)
{
	for (size_t i = 0; i < n_bench_cases; i++)
		if (strcmp(bench_cases[i].name, name) == 0)
			return i;
	world_die("no case is called %s", name);
}

/* Prints what each budget says of these figures. Returns the number of those that are missed. */
static size_t print_budgets(const struct bench *b)
{
	size_t n_missed = 0;

	putchar('\n');
	for (size_t i = 0; i < n_bench_budgets; i++) {
		const struct bench_budget *budget = &bench_budgets[i];
		size_t row = find_case(budget->row);
		double total = b->totals[row], limit = budget->factor, value;
		double none = reference(b, bench_cases[row].work, DAEMON_NONE, BACKEND_LSM);
		const char *unit = "added";

		value = total - none;
		if (budget->other) {
			double other = b->totals[find_case(budget->other)];

			if (budget->limit == LIMIT_ADDED_OF)
				limit *= other - none;
			else
				limit *= other;
		}
		if (budget->limit == LIMIT_TOTAL_OF) {
			value = total;
			unit = "in all";
		}
		printf("%-6s %-44s %8.0f %s, at most %.0f", value <= limit ? "meets" : "MISSES",
		       budget->row, value, unit, limit);
		if (budget->other)
			printf(" (%g x %s)", budget->factor, budget->other);
		putchar('\n');
		n_missed += value > limit;
	}
	return n_missed;
}

/* For tools/bench --guard: a line for each case, what it adds and its name. */
static void print_figures(const struct bench *b)
{
	for (size_t i = 0; i < n_bench_cases; i++) {
		const struct bench_case *c = &bench_cases[i];

		if (c->daemon == DAEMON_OURS)
			printf("figure: %.0f %s\n",
			       b->totals[i] - reference(b, c->work, DAEMON_NONE, BACKEND_LSM),
			       c->name);
	}
	putchar('\n');
}

static void read_exe(pid_t pid, char *buf, size_t size)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	n = readlink(link, buf, size - 1);
	if (n < 0)
		world_die("%s: %s", link, strerror(errno));
	buf[n] = '\0';
}

/* The programs that are started, and what they load, where reading them takes no waiting. */
static void name_programs(struct bench *b, const char *folder)
{
	b->folder = folder;
	snprintf(b->execee, sizeof(b->execee), "%s/execee", folder);
	snprintf(b->loader, sizeof(b->loader), "%s/loader", folder);
	snprintf(b->true_path, sizeof(b->true_path), "%s/true", folder);
}

static void copy_programs(const struct bench *b)
{
	char from[1024], to[256];
	Dl_info libc;

	snprintf(from, sizeof(from), "%.*s/execee", (int)(strrchr(b->self, '/') - b->self),
		 b->self);
	world_copy(from, b->execee);
	world_copy("/lib64/ld-linux-x86-64.so.2", b->loader);
	world_copy("/bin/true", b->true_path);
	if (dladdr((void *)getppid, &libc) == 0)
		world_die("the C library has no file");
	snprintf(to, sizeof(to), "%s/libc.so.6", b->folder);
	world_copy(libc.dli_fname, to);
}

static void open_sockets(struct bench *b)
{
	struct sockaddr_in in;

	destination(&in);
	b->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	b->unconnected = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	b->unix_socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	b->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (b->udp < 0 || b->unconnected < 0 || b->unix_socket < 0 || b->tcp < 0 ||
	    bind(b->tcp, (struct sockaddr *)&in, sizeof(in)) < 0 ||
	    n_bench_cases > ARRAY_SIZE(b->totals))
		world_die("sockets: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	bool strict = argc > 2 && strcmp(argv[2], "--strict") == 0;
	bool matrix = argc > 2 && strcmp(argv[2], "--matrix") == 0;
	struct bench b = {};
	struct utsname uts;
	double scale = calibrate();
	size_t n_missed;
	char byte;

	if (argc < 2) {
		fprintf(stderr, "usage: bench FOLDER [--strict|--matrix [--edges]]\n");
		return 2;
	}
	read_exe(getpid(), b.self, sizeof(b.self));
	read_exe(getppid(), b.parent, sizeof(b.parent));
	name_programs(&b, argv[1]);
	if (argc > 2 && !strict && !matrix)
		return measure_main(&b, argv[2]);
	copy_programs(&b);
	open_sockets(&b);
	uname(&uts);
	printf("Linux %s, %.4f ticks an instruction\n", uts.release, scale);
	if (scale < 0.99 || scale > 1.01)
		world_die("the time stamp counter does not count instructions: use tools/bench");
	/* connect(2) draws a random number, which is much work until the kernel is ready for it */
	if (getrandom(&byte, 1, 0) != 1)
		world_die("getrandom: %s", strerror(errno));
	if (matrix) {
		bench_matrix(&b, argc > 3 && strcmp(argv[3], "--edges") == 0);
		return 0;
	}
	run_all(&b);
	print_table(&b);
	print_figures(&b);
	n_missed = print_budgets(&b);
	printf("\n%zu of %zu budgets are missed\n\n", n_missed, n_bench_budgets);
	return strict && n_missed > 0;
}
