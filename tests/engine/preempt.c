/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Many processes inside the programs of one processor: the kernel may not leave out a run of any.
 */
#include <bpf/bpf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "world.h"

#define N_ROUNDS  40U
#define N_EXECS	  16U /* at once */
#define N_CALLERS 4U  /* at once */

static void destination(struct world_connect *ret_c)
{
	*ret_c = (struct world_connect){
		.family = AF_INET,
		.type = SOCK_DGRAM,
		.addrlen = sizeof(ret_c->in),
		.in = {.sin_family = AF_INET,
		       .sin_port = htons(7000),
		       .sin_addr.s_addr = htonl(0x7f000101)},
	};
}

/* The denied program: makes n calls, and leaves the number that were not denied (at most 100). */
static int denied_main(unsigned int n)
{
	struct world_connect c;
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned int passed = 0;

	destination(&c);
	for (unsigned int i = 0; i < n; i++)
		passed += connect(s, &c.sa, c.addrlen) == 0 || errno != EPERM;
	return MIN(passed, 100U);
}

/* Runs of our programs that the kernel left out because the same program was running already. */
static uint64_t missed_runs(void)
{
	uint64_t missed = 0;
	uint32_t id = 0;

	while (bpf_prog_get_next_id(id, &id) == 0) {
		_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
		struct bpf_prog_info info = {};
		uint32_t size = sizeof(info);

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0 ||
		    strncmp(info.name, "rs_", 3) != 0 || info.recursion_misses == 0)
			continue;
		printf("# %s: %llu runs left out\n", info.name,
		       (unsigned long long)info.recursion_misses);
		missed += info.recursion_misses;
	}
	return missed;
}

/* Starts so many at the same time on one processor. Returns the sum of their exit statuses. */
static unsigned int start_at_once(const char *path, unsigned int n, const char *n_calls)
{
	char *argv[] = {(char *)path, (char *)"denied", (char *)n_calls, NULL};
	unsigned int sum = 0;
	int go[2], status;
	char byte;

	if (pipe2(go, O_CLOEXEC) < 0)
		world_die("pipe: %s", strerror(errno));
	fflush(stdout);
	for (unsigned int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			world_die("fork: %s", strerror(errno));
		if (pid == 0) {
			close(go[1]);
			world_pin(0);
			if (read(go[0], &byte, 1) < 0)
				_exit(120);
			execv(path, argv);
			_exit(121);
		}
	}
	close(go[0]);
	close(go[1]);
	for (unsigned int i = 0; i < n; i++)
		if (wait(&status) > 0)
			sum += WIFEXITED(status) ? (unsigned int)WEXITSTATUS(status) : 1000;
	return sum;
}

/*
 * Programs of type LSM are never left out. Those on functions are, since 5.12, while the same one
 * stands preempted on the processor (kernel/bpf/trampoline.c, __bpf_prog_enter_recur).
 */
static void run(enum backend_kind kind, const char *path)
{
	const char *name = backend_kind_name(kind);
	_cleanup_(ruleset_freep) struct ruleset *rs = NULL;
	_cleanup_free_ char *text = NULL;
	struct policy_set set = {};
	unsigned int unknown = 0, passed;
	struct backend *b;

	if (asprintf(&text,
		     "apiVersion: cilium.io/v1alpha1\nkind: TracingPolicy\nmetadata: {name: p}\n"
		     "spec:\n  kprobes:\n  - call: security_socket_connect\n    syscall: false\n"
		     "    selectors:\n    - matchBinaries: [{operator: In, values: [\"%s\"]}]\n"
		     "      matchActions:\n      - {action: Override, argError: -1}\n"
		     "      - action: NoPost\n",
		     path) < 0)
		world_die("no memory");
	b = world_open(&(struct backend_options){.kind = kind});
	world_load(text, "preempt", &set);
	rs = world_compile(b, &set);
	world_publish(b, rs);
	if (backend_set_mode(b, REVSHELL_MODE_ENFORCE, 0) < 0)
		world_die("the mode is set");
	for (unsigned int i = 0; i < N_ROUNDS; i++)
		unknown += start_at_once(path, N_EXECS, "1");
	passed = start_at_once(path, N_CALLERS, "30000");
	printf("# %s: %u of %u programs not known, %u calls passed (at most 100 a process)\n", name,
	       unknown, N_ROUNDS * N_EXECS, passed);
	world_check(unknown == 0, "%s: programs started at once are all known", name);
	world_check(passed == 0, "%s: processes at once are denied every call", name);
	printf("# %s: %llu runs of programs left out\n", name, (unsigned long long)missed_runs());
	backend_close(b);
}

/* The kernel leaves out tracing programs in these circumstances: their backend has to refuse. */
static void check_refused(void)
{
	struct backend_options opts = {.kind = BACKEND_FMOD_RET};
	struct backend *b = NULL;
	char *reason = NULL;
	int r = backend_open(&opts, &b, &reason);

	printf("%s: fmod-ret refuses a fully preemptible kernel (%s)\n",
	       r == -EOPNOTSUPP && reason && strstr(reason, "preempt") ? "ok" : "not ok",
	       reason ? reason : "no reason");
	backend_close(b);
	free(reason);
}

/* Debian's 5.10 is built without preemption, whatever the command line says. */
static bool kernel_can_preempt(void)
{
	struct utsname u;

	if (uname(&u) < 0)
		world_die("uname: %s", strerror(errno));
	return strstr(u.version, "PREEMPT");
}

int main(int argc, char **argv)
{
	char path[256];

	if (argc == 3 && strcmp(argv[1], "denied") == 0)
		return denied_main(strtoul(argv[2], NULL, 10));
	if (argc != 2) {
		fprintf(stderr, "usage: preempt FOLDER\n");
		return 2;
	}
	snprintf(path, sizeof(path), "%s/denied", argv[1]);
	world_copy("/proc/self/exe", path);
	run(BACKEND_LSM, path);
	if (kernel_can_preempt())
		check_refused();
	else
		run(BACKEND_FMOD_RET, path);
	return 0;
}
