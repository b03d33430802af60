/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loads and attaches the programs, publishes rule sets, reads events and counters. */
#include "backend-internal.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "macro.h"
#include "revshell.skel.h"

_Static_assert(sizeof(struct revshell_event) % 8 == 0, "ring records are whole words");

static const char *const kind_names[BACKEND_MAX] = {
	[BACKEND_AUTO] = "auto",     [BACKEND_LSM] = "lsm",   [BACKEND_FMOD_RET] = "fmod-ret",
	[BACKEND_KPROBE] = "kprobe", [BACKEND_NONE] = "none",
};

const char *backend_kind_name(enum backend_kind kind)
{
	return (unsigned int)kind < BACKEND_MAX ? kind_names[kind] : "unknown";
}

enum backend_kind backend_kind_parse(const char *s)
{
	for (size_t i = 0; i < BACKEND_MAX; i++)
		if (strcmp(s, kind_names[i]) == 0)
			return i;
	return BACKEND_MAX;
}

static const char *const stat_names[REVSHELL_STAT_MAX] = {
#define X(id, name) [REVSHELL_STAT_##id] = name,
	REVSHELL_STATS(X)
#undef X
};

const char *backend_stat_name(enum revshell_stat stat)
{
	return (unsigned int)stat < REVSHELL_STAT_MAX ? stat_names[stat] : "unknown";
}

/*
 * Verdict programs on connect and listen stay attached for good, so that a policy change never
 * patches kernel text. The others are loaded and attached when a rule set first needs them.
 */
#define VERDICT(name, hook, ...)                                     \
	{"rs_lsm_" name, hook, .lsm = true, __VA_ARGS__},            \
	{                                                            \
		"rs_fmod_" name, hook, .fmod_ret = true, __VA_ARGS__ \
	}
#define OBSERVE(name, hook)                                                  \
	{                                                                    \
		name, hook, .lsm = true, .fmod_ret = true, .on_demand = true \
	}

const struct backend_program backend_programs[] = {
	{"rs_lsm_exec", REVSHELL_HOOK_MAX, .lsm = true},
	{"rs_exec", REVSHELL_HOOK_MAX, .fmod_ret = true},
	{"rs_fork", REVSHELL_HOOK_MAX, .lsm = true, .fmod_ret = true},
	{"rs_free", REVSHELL_HOOK_MAX, .lsm = true, .fmod_ret = true},
	VERDICT("connect", REVSHELL_HOOK_CONNECT),
	VERDICT("sendto", REVSHELL_HOOK_CONNECT),
	VERDICT("listen", REVSHELL_HOOK_LISTEN),
	VERDICT("bind", REVSHELL_HOOK_BIND, .on_demand = true),
	VERDICT("send", REVSHELL_HOOK_SENDMSG, .on_demand = true),
	VERDICT("create", REVSHELL_HOOK_CREATE, .on_demand = true),
	VERDICT("accept", REVSHELL_HOOK_ACCEPT, .on_demand = true),
	VERDICT("option", REVSHELL_HOOK_SETSOCKOPT, .on_demand = true),
	VERDICT("sctp", REVSHELL_HOOK_SCTP_BIND_CONNECT, .on_demand = true),
	VERDICT("receive", REVSHELL_HOOK_FILE_RECEIVE, .on_demand = true),
	VERDICT("tun", REVSHELL_HOOK_TUN_DEV_CREATE, .on_demand = true),
	{"rs_owner", REVSHELL_HOOK_MAX, .lsm = true, .fmod_ret = true, .on_demand = true,
	 .track_sock = true},
	OBSERVE("rs_fentry_tcp_connect", REVSHELL_HOOK_TCP_CONNECT),
	OBSERVE("rs_fexit_listen_start", REVSHELL_HOOK_LISTEN_START),
	OBSERVE("rs_fentry_tcp_close", REVSHELL_HOOK_TCP_CLOSE),
	OBSERVE("rs_fentry_tcp_sendmsg", REVSHELL_HOOK_TCP_SENDMSG),
	OBSERVE("rs_fentry_tcp_set_state", REVSHELL_HOOK_TCP_SET_STATE),
	OBSERVE("rs_fentry_udp_sendmsg", REVSHELL_HOOK_UDP_SENDMSG),
	OBSERVE("rs_fexit_sk_alloc", REVSHELL_HOOK_SK_ALLOC),
	OBSERVE("rs_fentry_sk_free", REVSHELL_HOOK_SK_FREE),
	OBSERVE("rs_fentry_under_sk_free", REVSHELL_HOOK_UNDER_SK_FREE),
};
const size_t n_backend_programs = ARRAY_SIZE(backend_programs);
_Static_assert(ARRAY_SIZE(backend_programs) <= BACKEND_MAX_LINKS, "room for links");

bool backend_program_belongs(const struct backend *b, const struct backend_program *p)
{
	if (strcmp(p->name, "rs_free") == 0 && b->have_task_storage)
		return false;
	/* so did the helper that finds a file's socket */
	if (p->hook == REVSHELL_HOOK_FILE_RECEIVE && !b->have_sock_from_file)
		return false;
	/* tracing programs came to socket storage and to task storage in the same release */
	if (p->track_sock && !b->have_task_storage)
		return false;
	return b->kind == BACKEND_LSM ? p->lsm : p->fmod_ret;
}

_printf_(2, 3) static void set_reason(char **reason, const char *fmt, ...)
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
	if (wanted)
		return p == wanted;
	return !b->pins.programs_adopted && backend_program_belongs(b, p) && !p->on_demand;
}

/* Lets an object use the main one's maps instead of its own. */
static int share_maps(struct backend *b, struct bpf_object *obj)
{
	struct bpf_map *map;
	int r;

	bpf_object__for_each_map(map, obj)
	{
		const struct bpf_map *main =
			bpf_object__find_map_by_name(b->skel->obj, bpf_map__name(map));

		if (bpf_map__is_internal(map) || !bpf_map__autocreate(map))
			continue;
		r = bpf_map__reuse_fd(map, bpf_map__fd(main));
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * Opens and loads an object: the main one with all that is always attached, or one that holds a
 * single program and shares the main one's maps.
 */
static int load_object(struct backend *b, const struct backend_program *wanted, size_t ring_size,
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
		set_reason(reason, "cannot open the BPF object: %s", strerror(-r));
		return r;
	}
	for (size_t i = 0; i < n_backend_programs; i++) {
		struct bpf_program *prog =
			bpf_object__find_program_by_name(skel->obj, backend_programs[i].name);

		if (!prog) {
			set_reason(reason, "the BPF object lacks program %s",
				   backend_programs[i].name);
			r = -ENOENT;
			goto fail;
		}
		bpf_program__set_autoload(prog, object_holds(b, wanted, &backend_programs[i]));
	}
	bpf_program__set_autoload(skel->progs.rs_files, !wanted);
	bpf_program__set_autoload(skel->progs.rs_host, !wanted);
	skel->rodata->rs_have_task_storage = b->have_task_storage;
	skel->rodata->rs_have_sk_storage =
		b->have_task_storage && !(b->kind == BACKEND_FMOD_RET && (!wanted || !wanted->lsm));
	skel->rodata->rs_have_socket_cookie = b->have_socket_cookie;
	skel->bss->rs_files_tgid = getpid();
	bpf_map__set_autocreate(skel->maps.rs_labels, b->have_task_storage);
	bpf_map__set_autocreate(skel->maps.rs_labels_hash, !b->have_task_storage);
	bpf_map__set_autocreate(skel->maps.rs_owners, b->have_task_storage);
	if (ring_size)
		bpf_map__set_max_entries(skel->maps.rs_events, ring_size);
	if (wanted) {
		r = share_maps(b, skel->obj);
		if (r < 0) {
			set_reason(reason, "cannot share maps with program %s: %s", wanted->name,
				   strerror(-r));
			goto fail;
		}
	}
	if (!wanted && b->pins.maps_adopted) {
		r = backend_pins_reuse(b, skel->obj);
		if (r < 0) {
			set_reason(reason, "cannot take over the pinned maps: %s", strerror(-r));
			goto fail;
		}
	}
	r = revshell_bpf__load(skel);
	if (r < 0) {
		const char *cause = log_cause(log);

		set_reason(reason, "cannot load %s%s: %s%s%s", wanted ? "program " : "the programs",
			   wanted ? wanted->name : "", strerror(-r), *cause ? ": " : "", cause);
		if (getenv("REVSHELL_VERIFIER_LOG"))
			fputs(log, stderr);
		goto fail;
	}
	*ret_skel = skel;
	return 0;
fail:
	revshell_bpf__destroy(skel);
	return r;
}

static void fill_outer(struct backend *b)
{
	b->outer = (struct maps_outer){
		.active = bpf_map__fd(b->skel->maps.rs_active),
		.hooks = bpf_map__fd(b->skel->maps.rs_hooks),
		.rows = bpf_map__fd(b->skel->maps.rs_rows),
		.pages = bpf_map__fd(b->skel->maps.rs_pages),
		.denials = bpf_map__fd(b->skel->maps.rs_denials),
		.paths = bpf_map__fd(b->skel->maps.rs_paths),
		.prefixes = bpf_map__fd(b->skel->maps.rs_prefixes),
		.postfixes = bpf_map__fd(b->skel->maps.rs_postfixes),
		.cidr4 = bpf_map__fd(b->skel->maps.rs_cidr4),
		.cidr6 = bpf_map__fd(b->skel->maps.rs_cidr6),
		.numbers = bpf_map__fd(b->skel->maps.rs_numbers),
		.unix_paths = bpf_map__fd(b->skel->maps.rs_unix),
		.units = bpf_map__fd(b->skel->maps.rs_units),
	};
}

/*
 * The key for hashes of long paths, and what foreign mount namespaces are told from. Labels that
 * were taken over hold hashes under the key that was taken over with them.
 */
static int init_secret(struct backend *b)
{
	struct revshell_host host;
	uint32_t zero = 0;
	int r;

	r = backend_learn_host(b, &host);
	if (r < 0)
		return r;
	b->generation = host.generation;
	if (b->pins.maps_adopted)
		return bpf_map_lookup_elem(bpf_map__fd(b->skel->maps.rs_secret), &zero, &b->secret);
	if (getrandom(b->secret.key, sizeof(b->secret.key), 0) != sizeof(b->secret.key))
		return -errno;
	b->secret.host_mnt_ns = host.mnt_ns;
	r = bpf_map_update_elem(bpf_map__fd(b->skel->maps.rs_secret), &zero, &b->secret, BPF_ANY);
	return r < 0 ? r : 0;
}

static int attach_program(struct backend *b, size_t i, char **reason)
{
	const struct backend_program *p = &backend_programs[i];
	struct revshell_bpf *skel = b->skel;
	struct bpf_program *prog;
	struct bpf_link *link;
	int r;

	if (p->on_demand) {
		if (!b->extra[i]) {
			r = load_object(b, p, 0, &b->extra[i], reason);
			if (r < 0)
				return r;
		}
		skel = b->extra[i];
	}
	prog = bpf_object__find_program_by_name(skel->obj, p->name);
	link = bpf_program__attach(prog);
	if (!link) {
		r = -errno;
		set_reason(reason, "cannot attach program %s: %s", p->name, strerror(-r));
		return r;
	}
	b->links[i] = link;
	r = backend_pin_link(b, i);
	if (r < 0)
		set_reason(reason, "cannot pin program %s: %s", p->name, strerror(-r));
	return r;
}

static bool program_needed(const struct backend_program *p, const struct ruleset *rs)
{
	return p->track_sock ? rs->track_sock : rs->hooks[p->hook].n_selectors != 0;
}

/* Attaches what a rule set needs that is not attached yet; NULL: what is always needed. */
static int attach_needed(struct backend *b, const struct ruleset *rs, char **reason)
{
	for (size_t i = 0; i < n_backend_programs; i++) {
		const struct backend_program *p = &backend_programs[i];
		int r;

		if (b->links[i] || !backend_program_belongs(b, p))
			continue;
		if (p->on_demand && !(rs && program_needed(p, rs)))
			continue;
		r = attach_program(b, i, reason);
		if (r < 0)
			return r;
	}
	return 0;
}

static int ring_record(void *ctx, void *data, size_t size)
{
	struct backend *b = ctx;
	int r;

	if (size < sizeof(struct revshell_event))
		return 0;
	r = b->fn(data, size, b->userdata);
	if (r < 0)
		return r;
	return --b->budget == 0 ? -EAGAIN : 0;
}

static bool lsm_list_has_bpf(void)
{
	_cleanup_fclose_ FILE *f = fopen("/sys/kernel/security/lsm", "re");
	char line[512], *save = NULL;

	if (!f || !fgets(line, sizeof(line), f))
		return false;
	for (char *s = strtok_r(line, ",\n", &save); s; s = strtok_r(NULL, ",\n", &save))
		if (strcmp(s, "bpf") == 0)
			return true;
	return false;
}

/* The first line of a file. Returns false if it cannot be read. */
static bool first_line(const char *path, char *buf, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");

	return f && fgets(buf, (int)size, f);
}

#define PREEMPT_FILE "/sys/kernel/debug/sched/preempt"

/* In a child: mounts debugfs for itself alone and passes the line on. */
static void read_in_mount_of_its_own(int fd)
{
	char line[256];

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL) < 0 ||
	    !first_line(PREEMPT_FILE, line, sizeof(line)) || write(fd, line, strlen(line)) < 0)
		_exit(1);
	_exit(0);
}

/* "none voluntary (full) lazy": the one in force in brackets; "" if it cannot be had. */
static void read_preemption(char *buf, size_t size)
{
	int fds[2];
	ssize_t n;
	pid_t pid;

	if (first_line(PREEMPT_FILE, buf, size))
		return;
	buf[0] = '\0';
	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	pid = fork();
	if (pid == 0)
		read_in_mount_of_its_own(fds[1]);
	close(fds[1]);
	if (pid > 0) {
		n = read(fds[0], buf, size - 1);
		buf[n > 0 ? n : 0] = '\0';
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(fds[0]);
}

/*
 * Whether a task may be preempted anywhere in the kernel by any other. The kernel then leaves out a
 * tracing program, fmod_ret ones included, while another task that was preempted on the same
 * processor is in it (the recursion check of kernel/bpf/trampoline.c); LSM programs always run.
 * Measured with preempt=full: of four processes that connect at once, hundreds of calls pass. What
 * cannot be found out of a kernel that may change is taken for the worse.
 */
static bool kernel_is_preemptible(void)
{
	char line[4096];
	struct utsname u;

	if (uname(&u) < 0 || strstr(u.version, "PREEMPT_RT"))
		return true;
	if (!strstr(u.version, "PREEMPT_DYNAMIC"))
		return strstr(u.version, " PREEMPT ");
	read_preemption(line, 256);
	if (line[0])
		return strstr(line, "(full)") || strstr(line, "(lazy)");
	return !first_line("/proc/cmdline", line, sizeof(line)) ||
	       !(strstr(line, "preempt=none") || strstr(line, "preempt=voluntary"));
}

/* Helpers are functions of the kernel like others; without BTF nothing could be loaded anyway. */
static void learn_helpers(struct backend *b)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct {
		const char *name;
		bool *found;
	} helpers[] = {
		{"bpf_sock_from_file", &b->have_sock_from_file},
		{"bpf_get_socket_ptr_cookie", &b->have_socket_cookie},
	};

	for (size_t i = 0; btf && i < ARRAY_SIZE(helpers); i++)
		*helpers[i].found = btf__find_by_name_kind(btf, helpers[i].name, BTF_KIND_FUNC) > 0;
	btf__free(btf);
}

static int learn_maps(struct backend *b, char **reason)
{
	int r;

	fill_outer(b);
	r = init_secret(b);
	if (r < 0) {
		set_reason(reason, "cannot learn the host's mount namespace: %s", strerror(-r));
		return r;
	}
	backend_learn_namespaces(b->secret.host_mnt_ns, b->host_ns);
	return 0;
}

/* With maps of our own: the rule set is empty, the mode is monitor. */
static int start_afresh(struct backend *b, const struct backend_options *opts, char **reason)
{
	_cleanup_(ruleset_freep) struct ruleset *empty = NULL;
	struct diag d = {};
	uint64_t generation;
	int r;

	r = load_object(b, NULL, opts->ring_size, &b->skel, reason);
	if (r < 0)
		return r;
	b->selftest_area = &b->skel->bss->rs_selftest;
	r = learn_maps(b, reason);
	if (r < 0)
		return r;
	r = ruleset_new_empty(&empty);
	if (r < 0)
		return r;
	r = backend_publish(b, empty, &d, &generation);
	if (r < 0)
		set_reason(reason, "cannot publish the empty rule set: %s",
			   d.n_items ? d.items[0].message : strerror(-r));
	diag_done(&d);
	if (r < 0)
		return r;
	r = backend_set_mode(b, REVSHELL_MODE_MONITOR, 0);
	if (r < 0)
		return r;
	return attach_needed(b, NULL, reason);
}

/*
 * With the maps that another daemon pinned: rule set, mode and labels stay in force. So do its
 * programs, if they are the ones that this daemon has; else ours are attached before theirs go.
 * -EUCLEAN: what is there cannot be taken over.
 */
static int take_over(struct backend *b, const struct backend_options *opts, char **reason)
{
	uint32_t zero = 0;
	int r;

	if (!b->pins.complete)
		return -EUCLEAN;
	b->pins.maps_adopted = true;
	b->pins.programs_adopted = b->pins.found.object_hash == backend_object_hash() &&
				   b->pins.found.kind == (uint32_t)b->kind;
	r = load_object(b, NULL, opts->ring_size, &b->skel, reason);
	/* maps that are gone or have another form; whatever else failed would fail again */
	if (r == -ENOENT || r == -EUCLEAN)
		return -EUCLEAN;
	if (r < 0)
		return r;
	b->selftest_area = &b->skel->bss->rs_selftest;
	r = learn_maps(b, reason);
	if (r < 0)
		return r;
	/* before the first generation nothing was in force */
	if (b->generation == 0)
		return -EUCLEAN;
	r = bpf_map_lookup_elem(bpf_map__fd(b->skel->maps.rs_mode), &zero, &b->mode);
	if (r < 0)
		return r;
	for (size_t i = 0; i < REVSHELL_SLOTS; i++)
		memset(&b->slots[i], 1, offsetof(struct maps_slot, bytes));
	if (b->pins.programs_adopted)
		return backend_pins_adopt(b) < 0 ? -EUCLEAN : 0;
	return attach_needed(b, NULL, reason);
}

/* What could not be taken over is left as it is until our own is attached. */
static void forget_pins(struct backend *b)
{
	if (b->pins.present && !b->pins.note &&
	    asprintf(&b->pins.note,
		     "the pins in %s are incomplete or of another make: replacing them",
		     b->pins.dir) < 0)
		b->pins.note = NULL;
	for (size_t i = 0; i < BACKEND_MAX_LINKS; i++) {
		bpf_link__destroy(b->links[i]);
		b->links[i] = NULL;
	}
	revshell_bpf__destroy(b->skel);
	b->skel = NULL;
	if (b->pins.bss)
		munmap(b->pins.bss, b->pins.bss_size);
	b->pins.bss = NULL;
	b->pins.maps_adopted = b->pins.programs_adopted = false;
	b->generation = 0;
	memset(b->slots, 0, sizeof(b->slots));
}

static int open_kind(enum backend_kind kind, const struct backend_options *opts,
		     struct backend **ret_backend, char **reason)
{
	_cleanup_(backend_closep) struct backend *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	b->kind = kind;
	if (kind == BACKEND_NONE) {
		backend_learn_namespaces(0, b->host_ns);
		b->selftest = strdup("not run: no backend");
		if (!b->selftest)
			return -ENOMEM;
		*ret_backend = TAKE_PTR(b);
		return 0;
	}
	if (kind == BACKEND_KPROBE) {
		set_reason(reason,
			   "the kprobe backend cannot deny and is not part of this version");
		return -EOPNOTSUPP;
	}
	if (kind == BACKEND_FMOD_RET && kernel_is_preemptible()) {
		set_reason(reason,
			   "on a preemptible kernel its programs are left out at times, and this "
			   "one is, or does not say; boot with lsm=...,bpf, or with "
			   "preempt=voluntary");
		return -EOPNOTSUPP;
	}
	b->have_task_storage = libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, NULL) == 1;
	learn_helpers(b);
	r = backend_pins_open(b, opts->pin_dir);
	if (r < 0) {
		set_reason(reason, "cannot use %s: %s", opts->pin_dir, strerror(-r));
		return r;
	}
	r = take_over(b, opts, reason);
	if (r == -EUCLEAN) {
		forget_pins(b);
		r = start_afresh(b, opts, reason);
	}
	if (r < 0)
		return r;
	r = backend_selftest(b, reason);
	if (r < 0)
		return r;
	b->ring = ring_buffer__new(bpf_map__fd(b->skel->maps.rs_events), ring_record, b, NULL);
	if (!b->ring) {
		r = -errno;
		set_reason(reason, "cannot map the event ring: %s", strerror(-r));
		return r;
	}
	*ret_backend = TAKE_PTR(b);
	return 0;
}

/* Tries one kind and puts its reason, if it fails, behind those of the kinds before it. */
static int try_kind(enum backend_kind kind, const struct backend_options *opts,
		    struct backend **ret_backend, char **reasons)
{
	_cleanup_free_ char *reason = NULL, *before = TAKE_PTR(*reasons);
	int r = open_kind(kind, opts, ret_backend, &reason);

	if (r < 0)
		set_reason(reasons, "%s%s%s: %s", before ? before : "", before ? "; " : "",
			   backend_kind_name(kind), reason ? reason : strerror(-r));
	return r;
}

int backend_open(const struct backend_options *opts, struct backend **ret_backend,
		 char **ret_reason)
{
	_cleanup_free_ char *reasons = NULL;
	int r;

	libbpf_set_print(NULL);
	if (opts->kind == BACKEND_AUTO) {
		if (lsm_list_has_bpf()) {
			r = try_kind(BACKEND_LSM, opts, ret_backend, &reasons);
		} else {
			set_reason(&reasons, "lsm: bpf is not in /sys/kernel/security/lsm "
					     "(boot with lsm=...,bpf)");
			r = -EOPNOTSUPP;
		}
		if (r < 0)
			r = try_kind(BACKEND_FMOD_RET, opts, ret_backend, &reasons);
	} else {
		r = try_kind(opts->kind, opts, ret_backend, &reasons);
	}
	if (r < 0 && ret_reason)
		*ret_reason = TAKE_PTR(reasons);
	return r;
}

void backend_close(struct backend *b)
{
	if (!b)
		return;
	ring_buffer__free(b->ring);
	for (size_t i = 0; i < BACKEND_MAX_LINKS; i++)
		bpf_link__destroy(b->links[i]);
	for (size_t i = 0; i < BACKEND_MAX_LINKS; i++)
		revshell_bpf__destroy(b->extra[i]);
	revshell_bpf__destroy(b->skel);
	backend_pins_done(b);
	free(b->selftest);
	free(b);
}

enum backend_kind backend_get_kind(const struct backend *b)
{
	return b->kind;
}

struct ruleset_options backend_ruleset_options(const struct backend *b)
{
	struct ruleset_options opts = {.observe_tcp_connect = true, .observe_listen_start = true};

	opts.no_track_sock = b->kind != BACKEND_NONE && !b->have_task_storage;
	/* without a backend nothing is carried out anyway, and any policy can be tried */
	for (size_t i = 0; b->kind != BACKEND_NONE && i < n_backend_programs; i++)
		if (backend_programs[i].hook < REVSHELL_HOOK_MAX &&
		    backend_program_belongs(b, &backend_programs[i]))
			opts.hooks |= 1ULL << backend_programs[i].hook;
	memcpy(opts.host_ns, b->host_ns, sizeof(opts.host_ns));
	return opts;
}

int backend_publish(struct backend *b, struct ruleset *rs, struct diag *d, uint64_t *ret_generation)
{
	_cleanup_close_ int active = -EBADF;
	_cleanup_free_ char *reason = NULL;
	uint64_t generation = b->generation + 1;
	uint32_t slot = generation % REVSHELL_SLOTS;
	int r;

	if (b->kind != BACKEND_NONE) {
		r = backend_learn_files(b, rs, d);
		if (r < 0)
			return r;
		r = maps_build(&b->outer, rs, slot, generation, &b->secret, &b->slots[slot], d,
			       &active);
		if (r < 0)
			return r;
		/* before the rule set that needs them is current, so none of its calls is missed */
		r = attach_needed(b, rs, &reason);
		if (r < 0) {
			diag_error(d, (struct diag_pos){}, "attach-failed", "%s",
				   reason ? reason : strerror(-r));
			return r;
		}
		r = maps_activate(&b->outer, active);
		if (r < 0) {
			diag_error(d, (struct diag_pos){}, "map-failed",
				   "cannot make the rule set current: %s", strerror(-r));
			return r;
		}
	}
	b->generation = generation;
	/* after the rule set that needed them */
	backend_pins_sweep(b);
	*ret_generation = generation;
	return 0;
}

bool backend_is_adopted(const struct backend *b)
{
	return b->pins.maps_adopted;
}

bool backend_is_persistent(const struct backend *b)
{
	return b->pins.active;
}

const char *backend_pin_dir(const struct backend *b)
{
	return b->pins.base;
}

const char *backend_note(const struct backend *b)
{
	return b->pins.note;
}

int backend_set_override(struct backend *b, const char *name, int mode)
{
	struct revshell_override_key key = {};
	uint32_t value = (uint32_t)mode;
	int fd, r;

	if (b->kind == BACKEND_NONE)
		return 0;
	fd = bpf_map__fd(b->skel->maps.rs_overrides);
	strncpy(key.name, name, sizeof(key.name) - 1);
	r = mode < 0 ? bpf_map_delete_elem(fd, &key)
		     : bpf_map_update_elem(fd, &key, &value, BPF_ANY);
	return r == -ENOENT ? 0 : r;
}

int backend_each_override(struct backend *b, backend_override_fn fn, void *userdata)
{
	struct revshell_override_key key, *previous = NULL;
	int fd, r;

	if (b->kind == BACKEND_NONE)
		return 0;
	fd = bpf_map__fd(b->skel->maps.rs_overrides);
	while (bpf_map_get_next_key(fd, previous, &key) == 0) {
		uint32_t mode;

		previous = &key;
		key.name[sizeof(key.name) - 1] = '\0';
		if (bpf_map_lookup_elem(fd, &key, &mode) < 0)
			continue;
		r = fn(key.name, (int)mode, userdata);
		if (r < 0)
			return r;
	}
	return 0;
}

int backend_set_mode(struct backend *b, enum revshell_mode mode, uint64_t deadline_ns)
{
	struct revshell_mode_value value = {
		.mode = mode,
		.epoch = b->mode.epoch + 1,
		.deadline_ns = deadline_ns,
	};
	uint32_t zero = 0;
	int r;

	if (b->kind != BACKEND_NONE) {
		r = bpf_map_update_elem(bpf_map__fd(b->skel->maps.rs_mode), &zero, &value, BPF_ANY);
		if (r < 0)
			return r;
	}
	b->mode = value;
	return 0;
}

int backend_get_mode(struct backend *b, struct revshell_mode_value *ret_mode)
{
	uint32_t zero = 0;

	if (b->kind == BACKEND_NONE) {
		*ret_mode = b->mode;
		return 0;
	}
	return bpf_map_lookup_elem(bpf_map__fd(b->skel->maps.rs_mode), &zero, ret_mode);
}

int backend_events_fd(struct backend *b)
{
	return b->ring ? ring_buffer__epoll_fd(b->ring) : -EOPNOTSUPP;
}

int backend_events_consume(struct backend *b, backend_event_fn fn, void *userdata)
{
	/* so many at a time that the bus and the signals are served in between */
	const size_t budget = 256;
	int r;

	if (!b->ring)
		return 0;
	b->fn = fn;
	b->userdata = userdata;
	b->budget = budget;
	r = ring_buffer__consume(b->ring);
	b->fn = NULL;
	b->userdata = NULL;
	if (r == -EAGAIN)
		r = budget;
	return r;
}

int backend_get_stats(struct backend *b, uint64_t *values)
{
	int n_cpus = libbpf_num_possible_cpus();
	_cleanup_free_ uint64_t *per_cpu = NULL;

	memset(values, 0, REVSHELL_STAT_MAX * sizeof(*values));
	if (b->kind == BACKEND_NONE)
		return 0;
	if (n_cpus < 0)
		return n_cpus;
	per_cpu = calloc(n_cpus, sizeof(*per_cpu));
	if (!per_cpu)
		return -ENOMEM;
	for (uint32_t i = 0; i < REVSHELL_STAT_MAX; i++) {
		int r = bpf_map_lookup_elem(bpf_map__fd(b->skel->maps.rs_stats), &i, per_cpu);

		if (r < 0)
			return r;
		for (int cpu = 0; cpu < n_cpus; cpu++)
			values[i] += per_cpu[cpu];
	}
	return 0;
}

const char *backend_selftest_result(const struct backend *b)
{
	return b->selftest;
}
