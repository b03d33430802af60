/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The programs of all backends: which belong where, and how they are loaded and attached. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend-internal.h"
#include "macro.h"
#include "revshell.skel.h"

/*
 * Verdict programs on connect and listen stay attached for good, so that a policy change never
 * patches kernel text. The others are loaded and attached when a rule set first needs them.
 */
#define LSM	 (1U << BACKEND_LSM)
#define FMOD_RET (1U << BACKEND_FMOD_RET)
#define KPROBE	 (1U << BACKEND_KPROBE)
#define VERDICT(name, hook, ...)                                                                  \
	{"rs_lsm_" name, hook, LSM, __VA_ARGS__}, {"rs_fmod_" name, hook, FMOD_RET, __VA_ARGS__}, \
	{                                                                                         \
		"rs_kprobe_" name, hook, KPROBE, __VA_ARGS__                                      \
	}
#define OBSERVE(kind, name, hook)                                       \
	{"rs_" kind "_" name, hook, LSM | FMOD_RET, .on_demand = true}, \
	{                                                               \
		"rs_kprobe_" name, hook, KPROBE, .on_demand = true      \
	}
#define LOCK(name)                                                                                 \
	{"rs_lsm_lock_" name, REVSHELL_HOOK_MAX, LSM, .on_demand = true, .lock = true},            \
	{                                                                                          \
		"rs_fmod_lock_" name, REVSHELL_HOOK_MAX, FMOD_RET, .on_demand = true, .lock = true \
	}

const struct backend_program backend_programs[] = {
	{"rs_lsm_exec", REVSHELL_HOOK_MAX, LSM},
	{"rs_exec", REVSHELL_HOOK_MAX, FMOD_RET},
	{"rs_kprobe_exec", REVSHELL_HOOK_MAX, KPROBE},
	{"rs_fork", REVSHELL_HOOK_MAX, LSM | FMOD_RET | KPROBE},
	{"rs_free", REVSHELL_HOOK_MAX, LSM | FMOD_RET | KPROBE},
	VERDICT("connect", REVSHELL_HOOK_CONNECT),
	VERDICT("sendto", REVSHELL_HOOK_CONNECT),
	VERDICT("listen", REVSHELL_HOOK_LISTEN),
	VERDICT("bind", REVSHELL_HOOK_BIND, .on_demand = true),
	VERDICT("send", REVSHELL_HOOK_SENDMSG, .on_demand = true),
	VERDICT("create", REVSHELL_HOOK_CREATE, .on_demand = true),
	VERDICT("accept", REVSHELL_HOOK_ACCEPT, .on_demand = true),
	VERDICT("option", REVSHELL_HOOK_SETSOCKOPT, .on_demand = true),
	VERDICT("sctp", REVSHELL_HOOK_SCTP_BIND_CONNECT, .on_demand = true),
	VERDICT("connectx", REVSHELL_HOOK_CONNECT, .on_demand = true, .sctp = true),
	VERDICT("receive", REVSHELL_HOOK_FILE_RECEIVE, .on_demand = true),
	VERDICT("tun", REVSHELL_HOOK_TUN_DEV_CREATE, .on_demand = true),
	VERDICT("ptrace", REVSHELL_HOOK_PTRACE_ACCESS, .on_demand = true),
	VERDICT("traceme", REVSHELL_HOOK_PTRACE_TRACEME, .on_demand = true),
	{"rs_owner", REVSHELL_HOOK_MAX, LSM | FMOD_RET, .on_demand = true, .track_sock = true},
	OBSERVE("fentry", "tcp_connect", REVSHELL_HOOK_TCP_CONNECT),
	OBSERVE("fexit", "listen_start", REVSHELL_HOOK_LISTEN_START),
	{"rs_kretprobe_listen_start", REVSHELL_HOOK_LISTEN_START, KPROBE, .on_demand = true},
	OBSERVE("fentry", "tcp_close", REVSHELL_HOOK_TCP_CLOSE),
	OBSERVE("fentry", "tcp_sendmsg", REVSHELL_HOOK_TCP_SENDMSG),
	OBSERVE("fentry", "tcp_set_state", REVSHELL_HOOK_TCP_SET_STATE),
	OBSERVE("fentry", "udp_sendmsg", REVSHELL_HOOK_UDP_SENDMSG),
	OBSERVE("fexit", "sk_alloc", REVSHELL_HOOK_SK_ALLOC),
	{"rs_kretprobe_sk_alloc", REVSHELL_HOOK_SK_ALLOC, KPROBE, .on_demand = true},
	OBSERVE("fentry", "sk_free", REVSHELL_HOOK_SK_FREE),
	OBSERVE("fentry", "under_sk_free", REVSHELL_HOOK_UNDER_SK_FREE),
	{"rs_lsm_lock_exec", REVSHELL_HOOK_MAX, LSM, .on_demand = true, .lock = true},
	{"rs_fentry_lock_exec", REVSHELL_HOOK_MAX, FMOD_RET, .on_demand = true, .lock = true},
	{"rs_lock_exit", REVSHELL_HOOK_MAX, LSM | FMOD_RET, .on_demand = true, .lock = true},
	LOCK("bpf"),
	LOCK("map"),
	LOCK("prog"),
	LOCK("kill"),
	LOCK("ptrace"),
	LOCK("create"),
	LOCK("link"),
	LOCK("symlink"),
	LOCK("unlink"),
	LOCK("rmdir"),
	LOCK("rename"),
	LOCK("umount"),
	LOCK("mount"),
	LOCK("move"),
	LOCK("open"),
	LOCK("mmap"),
};
const size_t n_backend_programs = ARRAY_SIZE(backend_programs);
_Static_assert(ARRAY_SIZE(backend_programs) <= BACKEND_MAX_LINKS, "room for links");

bool backend_program_belongs(const struct backend *b, const struct backend_program *p)
{
	if (strcmp(p->name, "rs_free") == 0 && b->kernel_has & HAS_TASK_STORAGE)
		return false;
	/* so did the helper that finds a file's socket */
	if (p->hook == REVSHELL_HOOK_FILE_RECEIVE && !(b->kernel_has & HAS_SOCK_FROM_FILE) &&
	    b->kind != BACKEND_KPROBE)
		return false;
	/* tracing programs came to socket storage and to task storage in the same release */
	if (p->track_sock && !(b->kernel_has & HAS_TASK_STORAGE))
		return false;
	return p->kinds >> b->kind & 1;
}

void backend_reason(char **reason, const char *fmt, ...)
{
	va_list ap;

	if (!reason)
		return;
	free(*reason);
	va_start(ap, fmt);
	if (vasprintf(reason, fmt, ap) < 0)
		*reason = NULL;
	va_end(ap);
}

/* Helpers are functions of the kernel like others; without BTF nothing could be loaded anyway. */
static unsigned int find_helpers(void)
{
	static const struct {
		const char *name;
		unsigned int bit;
	} helpers[] = {
		{"bpf_sock_from_file", HAS_SOCK_FROM_FILE},
		{"bpf_get_socket_ptr_cookie", HAS_SOCKET_COOKIE},
	};
	struct btf *btf = btf__load_vmlinux_btf();
	unsigned int has = 0;

	for (size_t i = 0; btf && i < ARRAY_SIZE(helpers); i++)
		if (btf__find_by_name_kind(btf, helpers[i].name, BTF_KIND_FUNC) > 0)
			has |= helpers[i].bit;
	btf__free(btf);
	return has;
}

void backend_learn_kernel(struct backend *b)
{
	if (b->pins.programs_adopted) {
		b->kernel_has = b->pins.found.kernel_has;
		return;
	}
	b->kernel_has = find_helpers();
	if (libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, NULL) == 1)
		b->kernel_has |= HAS_TASK_STORAGE;
}

/* The last line of a verifier log that says something: the cause stands near its end. */
static const char *log_cause(char *log)
{
	char *end = log + strlen(log), *line;

	for (;;) {
		while (end > log && end[-1] == '\n')
			*--end = '\0';
		line = strrchr(log, '\n');
		line = line ? line + 1 : log;
		if (strncmp(line, "processed ", 10) != 0 || line == log)
			return line;
		end = line;
		*end = '\0';
	}
}

/* Whether the object of program wanted, or the main one if that is NULL, holds program p. */
static bool object_holds(const struct backend *b, const struct backend_program *wanted,
			 const struct backend_program *p)
{
	if (wanted && wanted->lock)
		return p->lock && backend_program_belongs(b, p);
	if (wanted)
		return p == wanted;
	return backend_program_belongs(b, p) && !p->on_demand;
}

/* Which of its maps an object makes, where it shares none. */
static void choose_maps(const struct backend *b, struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		if (!bpf_map__is_internal(map))
			bpf_map__set_autocreate(map, backend_map_belongs(b, bpf_map__name(map)));
	}
}

/* Lets an object use maps that are there instead of its own. */
static int share_maps(struct backend *b, struct bpf_object *obj)
{
	struct bpf_map *map;
	int r;

	bpf_object__for_each_map(map, obj)
	{
		if (!backend_map_is_kept(map))
			continue;
		r = bpf_map__reuse_fd(map, backend_map(b, bpf_map__name(map)));
		if (r < 0)
			return r;
	}
	return 0;
}

int backend_load_object(struct backend *b, const struct backend_program *wanted, size_t ring_size,
			struct revshell_bpf **ret_skel, char **reason)
{
	/* the most that every kernel takes; touched only when a program is refused */
	const size_t log_size = (16U << 20) - 1;
	_cleanup_free_ char *log = calloc(1, log_size);
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "revshell", .kernel_log_buf = log,
		    .kernel_log_size = log_size, .kernel_log_level = 0);
	struct revshell_bpf *skel;
	int r;

	if (!log)
		return -ENOMEM;
	skel = revshell_bpf__open_opts(&opts);
	if (!skel) {
		r = -errno;
		if (r >= 0)
			r = -ENOMEM;
		backend_reason(reason, "cannot open the BPF object: %s", strerror(-r));
		return r;
	}
	for (size_t i = 0; i < n_backend_programs; i++) {
		struct bpf_program *prog =
			bpf_object__find_program_by_name(skel->obj, backend_programs[i].name);

		if (!prog) {
			backend_reason(reason, "the BPF object lacks program %s",
				       backend_programs[i].name);
			r = -ENOENT;
			goto fail;
		}
		bpf_program__set_autoload(prog, object_holds(b, wanted, &backend_programs[i]));
	}
	bpf_program__set_autoload(skel->progs.rs_files, !wanted);
	bpf_program__set_autoload(skel->progs.rs_host, !wanted);
	skel->rodata->rs_have_task_storage = !!(b->kernel_has & HAS_TASK_STORAGE);
	skel->rodata->rs_have_sk_storage =
		b->kernel_has & HAS_TASK_STORAGE &&
		!(b->kind == BACKEND_FMOD_RET && (!wanted || !(wanted->kinds & LSM)));
	skel->rodata->rs_have_socket_cookie = !!(b->kernel_has & HAS_SOCKET_COOKIE);
	choose_maps(b, skel->obj);
	backend_size_buffers(skel);
	if (ring_size)
		bpf_map__set_max_entries(skel->maps.rs_events, ring_size);
	if (wanted || b->pins.maps_adopted) {
		r = share_maps(b, skel->obj);
		if (r < 0) {
			backend_reason(reason, "cannot share maps with %s%s: %s",
				       wanted ? "program " : "the programs",
				       wanted ? wanted->name : "", strerror(-r));
			goto fail;
		}
	}
	r = revshell_bpf__load(skel);
	if (r < 0) {
		const char *cause = log_cause(log);

		backend_reason(reason, "cannot load %s%s: %s%s%s",
			       wanted ? "program " : "the programs", wanted ? wanted->name : "",
			       strerror(-r), *cause ? ": " : "", cause);
		if (getenv("REVSHELL_VERIFIER_LOG"))
			fputs(log, stderr);
		goto fail;
	}
	*ret_skel = skel;
	return 0;
fail:
	backend_close_object(skel);
	return r;
}

void backend_close_object(struct revshell_bpf *skel)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin, end;
	size_t size = 0;

	if (!skel)
		return;
	revshell_bpf__destroy(skel);
	/* whole pages of the daemon's file, which are read again when they are asked for */
	begin = (uintptr_t)revshell_bpf__elf_bytes(&size);
	end = (begin + size) / page * page;
	begin = (begin + page - 1) / page * page;
	if (begin < end)
		(void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* The lock's programs come and stay together: one object holds them all, until the last. */
static bool lock_is_attached(const struct backend *b)
{
	for (size_t i = 0; i < n_backend_programs; i++)
		if (backend_programs[i].lock && backend_program_belongs(b, &backend_programs[i]) &&
		    !b->links[i])
			return false;
	return true;
}

static int attach_from(struct backend *b, const struct revshell_bpf *skel, size_t i, char **reason)
{
	const char *name = backend_programs[i].name;
	struct bpf_link *link;
	int r;

	link = bpf_program__attach(bpf_object__find_program_by_name(skel->obj, name));
	if (!link) {
		r = -errno;
		backend_reason(reason, "cannot attach program %s: %s", name, strerror(-r));
		return r;
	}
	b->links[i] = link;
	r = backend_pin_link(b, i);
	if (r < 0)
		backend_reason(reason, "cannot pin program %s: %s", name, strerror(-r));
	return r;
}

/* A link is all that is kept of a program on demand. */
int backend_attach_here(struct backend *b, size_t i, char **reason)
{
	const struct backend_program *p = &backend_programs[i];
	struct revshell_bpf *skel = p->lock ? b->lock_skel : NULL;
	int r = 0;

	if (!p->on_demand)
		return attach_from(b, b->skel, i, reason);
	if (!skel)
		r = backend_load_object(b, p, 0, &skel, reason);
	if (r < 0)
		return r;
	r = attach_from(b, skel, i, reason);
	b->lock_skel = p->lock && !lock_is_attached(b) ? skel : NULL;
	if (!b->lock_skel)
		backend_close_object(skel);
	return r;
}

bool backend_program_is_attached(const struct backend *b, size_t i)
{
	return b->links[i] || b->loader.attached[i];
}

static bool is_needed(const struct backend_program *p, const struct ruleset *rs)
{
	if (p->lock)
		return false;
	if (p->track_sock)
		return rs->track_sock;
	if (p->sctp)
		return ruleset_admits_protocol(rs, p->hook, IPPROTO_SCTP);
	return rs->hooks[p->hook].n_selectors != 0;
}

int backend_attach(struct backend *b, size_t i, char **reason)
{
	return b->loader.pid ? backend_loader_attach(b, i, reason)
			     : backend_attach_here(b, i, reason);
}

int backend_attach_needed(struct backend *b, const struct ruleset *rs, char **reason)
{
	for (size_t i = 0; i < n_backend_programs; i++) {
		const struct backend_program *p = &backend_programs[i];
		int r;

		if (backend_program_is_attached(b, i) || !backend_program_belongs(b, p))
			continue;
		if (p->on_demand && !(rs && is_needed(p, rs)))
			continue;
		r = backend_attach(b, i, reason);
		if (r < 0)
			return r;
	}
	return 0;
}

uint64_t backend_attached_hooks(const struct backend *b)
{
	uint64_t hooks = 0;

	for (size_t i = 0; i < n_backend_programs; i++)
		if (backend_program_is_attached(b, i) &&
		    backend_programs[i].hook < REVSHELL_HOOK_MAX)
			hooks |= 1ULL << backend_programs[i].hook;
	return hooks;
}
