/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the programs that drive the real backend share: rule sets from text, real calls, figures. */
#include <bpf/bpf.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "world.h"

bool world_check(bool ok, const char *fmt, ...)
{
	va_list ap;

	fputs(ok ? "ok: " : "not ok: ", stdout);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	return ok;
}

void world_die(const char *fmt, ...)
{
	va_list ap;

	fputs("not ok: ", stdout);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

double world_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

struct backend *world_open(const struct backend_options *opts)
{
	_cleanup_free_ char *reason = NULL;
	struct backend *b = NULL;
	int r = backend_open(opts, &b, &reason);

	if (r < 0)
		world_die("the backend opens: %s", reason ? reason : strerror(-r));
	return b;
}

static _Noreturn void die_of(const char *what, const struct diag *d, int r)
{
	for (size_t i = 0; i < d->n_items; i++)
		if (d->items[i].severity == DIAG_ERROR) {
			char *text = diag_format(&d->items[i]);

			world_die("%s: %s", what, text ? text : "");
		}
	world_die("%s: %s", what, strerror(-r));
}

void world_load(const char *text, const char *origin, struct policy_set *set)
{
	const struct policy_options opts = {};
	struct diag d = {};
	int r = policy_load_text(text, strlen(text), origin, &opts, &d, set);

	if (r < 0)
		die_of("the policies load", &d, r);
	diag_done(&d);
}

struct ruleset *world_compile(struct backend *b, struct policy_set *set)
{
	struct ruleset_options opts = backend_ruleset_options(b);
	struct ruleset *rs = NULL;
	struct diag d = {};
	int r = ruleset_compile(set, &opts, NULL, &d, &rs);

	if (r < 0)
		die_of("the policies compile", &d, r);
	diag_done(&d);
	return rs;
}

void world_publish(struct backend *b, struct ruleset *rs)
{
	uint64_t generation;
	struct diag d = {};
	int r = backend_publish(b, rs, &d, &generation);

	if (r < 0)
		die_of("the rule set is published", &d, r);
	diag_done(&d);
}

/* The number behind "key:" in a file of /proc, or 0. */
static size_t proc_number(const char *path, const char *key)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	size_t len = strlen(key);
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, key, len) == 0 && line[len] == ':')
			return strtoull(line + len + 1, NULL, 10);
	return 0;
}

size_t world_map_bytes(size_t *ret_n_maps)
{
	uint32_t id = 0;
	size_t bytes = 0;

	*ret_n_maps = 0;
	while (bpf_map_get_next_id(id, &id) == 0) {
		_cleanup_close_ int fd = bpf_map_get_fd_by_id(id);
		char path[64];

		if (fd < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		bytes += proc_number(path, "memlock");
		++*ret_n_maps;
	}
	return bytes;
}

size_t world_rss_bytes(void)
{
	return proc_number("/proc/self/status", "VmRSS") * 1024;
}

size_t world_anon_bytes(void)
{
	return proc_number("/proc/self/status", "RssAnon") * 1024;
}

int world_connect(const struct world_connect *c)
{
	_cleanup_close_ int s =
		socket(c->family, c->type | SOCK_CLOEXEC | SOCK_NONBLOCK, c->protocol);

	if (s < 0)
		return -errno;
	return connect(s, &c->sa, c->addrlen) < 0 ? -errno : 0;
}

static unsigned int protocol_of(const struct world_connect *c)
{
	if (c->protocol || c->family == AF_UNIX)
		return c->protocol;
	return c->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
}

void world_describe(const struct world_connect *c, const char *exe, const char *parent,
		    struct sim_call *ret_call)
{
	struct sim_object *o = &ret_call->object;

	*ret_call = (struct sim_call){
		.hook = REVSHELL_HOOK_CONNECT,
		.exe = {exe, .same_file = true},
		.parent = {parent, .same_file = true},
		.object =
			{
				.sk_family = c->family,
				.sk_type = c->type,
				.sk_protocol = protocol_of(c),
				.sk_state = 7, /* TCP_CLOSE, which all begin with */
				.sa_family = c->sa.sa_family,
				.sa_is_destination = true,
			},
	};
	if (c->sa.sa_family == AF_INET) {
		o->sa_port = ntohs(c->in.sin_port);
		memcpy(o->sa_addr, &c->in.sin_addr, 4);
	} else if (c->sa.sa_family == AF_INET6) {
		o->sa_port = ntohs(c->in6.sin6_port);
		memcpy(o->sa_addr, &c->in6.sin6_addr, 16);
	}
}

void world_copy(const char *from, const char *to)
{
	_cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	struct stat st;

	if (in < 0 || out < 0 || fstat(in, &st) < 0)
		world_die("%s is made of %s: %s", to, from, strerror(errno));
	while (st.st_size > 0) {
		ssize_t n = sendfile(out, in, NULL, st.st_size);

		if (n <= 0)
			world_die("%s is written: %s", to, strerror(errno));
		st.st_size -= n;
	}
}

void world_pin(unsigned int n)
{
	cpu_set_t all, one;
	unsigned int cpus, seen = 0;

	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		return;
	cpus = CPU_COUNT(&all);
	for (unsigned int cpu = 0; cpus > 0 && cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all) || seen++ != n % cpus)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}
