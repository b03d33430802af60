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

static const struct backend_ops ops_auto = {.name = "auto"};
static const struct backend_ops ops_none = {.name = "none"};

static const struct backend_ops *const backend_ops[BACKEND_MAX] = {
	[BACKEND_AUTO] = &ops_auto,
	[BACKEND_LSM] = &backend_ops_lsm,
	[BACKEND_FMOD_RET] = &backend_ops_fmod_ret,
	[BACKEND_KPROBE] = &backend_ops_kprobe,
	[BACKEND_NONE] = &ops_none,
};

const char *backend_kind_name(enum backend_kind kind)
{
	return (unsigned int)kind < BACKEND_MAX ? backend_ops[kind]->name : "unknown";
}

enum backend_kind backend_kind_parse(const char *s)
{
	for (size_t i = 0; i < BACKEND_MAX; i++)
		if (strcmp(s, backend_ops[i]->name) == 0)
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

static void fill_outer(struct backend *b)
{
	b->outer = (struct maps_outer){
		.active = backend_map(b, "rs_active"),
		.hooks = backend_map(b, "rs_hooks"),
		.rows = backend_map(b, "rs_rows"),
		.pages = backend_map(b, "rs_pages"),
		.nodes = backend_map(b, "rs_nodes"),
		.denials = backend_map(b, "rs_denials"),
		.paths = backend_map(b, "rs_paths"),
		.prefixes = backend_map(b, "rs_prefixes"),
		.postfixes = backend_map(b, "rs_postfixes"),
		.cidr6 = backend_map(b, "rs_cidr6"),
		.numbers = backend_map(b, "rs_numbers"),
		.unix_paths = backend_map(b, "rs_unix"),
		.units = backend_map(b, "rs_units"),
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
		return bpf_map_lookup_elem(backend_map(b, "rs_secret"), &zero, &b->secret);
	if (getrandom(b->secret.key, sizeof(b->secret.key), 0) != sizeof(b->secret.key))
		return -errno;
	b->secret.host_mnt_ns = host.mnt_ns;
	r = bpf_map_update_elem(backend_map(b, "rs_secret"), &zero, &b->secret, BPF_ANY);
	return r < 0 ? r : 0;
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

/* Ours, beside the maps that were taken over or with maps of their own. */
static int load_programs(struct backend *b, const struct backend_options *opts, char **reason)
{
	int r = backend_load_object(b, NULL, opts->ring_size, &b->skel, reason);

	if (r < 0)
		return r;
	b->selftest_area = &b->skel->bss->rs_selftest;
	r = backend_maps_keep(b);
	return r < 0 ? r : backend_iterators_keep(b);
}

static int learn_maps(struct backend *b, char **reason)
{
	int r;

	fill_outer(b);
	r = init_secret(b);
	if (r < 0) {
		backend_reason(reason, "cannot learn the host's mount namespace: %s", strerror(-r));
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

	r = load_programs(b, opts, reason);
	if (r == 0)
		r = learn_maps(b, reason);
	if (r < 0)
		return r;
	r = backend_fill_buffers(b);
	if (r < 0) {
		backend_reason(reason, "cannot say which buffers are free: %s", strerror(-r));
		return r;
	}
	r = ruleset_new_empty(&empty);
	if (r < 0)
		return r;
	r = backend_publish(b, empty, &d, &generation);
	if (r < 0)
		backend_reason(reason, "cannot publish the empty rule set: %s",
			       d.n_items ? d.items[0].message : strerror(-r));
	diag_done(&d);
	if (r < 0)
		return r;
	r = backend_set_mode(b, REVSHELL_MODE_MONITOR, 0);
	if (r < 0)
		return r;
	return backend_attach_needed(b, NULL, reason);
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
	r = backend_maps_adopt(b);
	if (r < 0)
		backend_reason(reason, "cannot take over the pinned maps: %s", strerror(-r));
	else if (b->pins.programs_adopted)
		r = backend_pins_adopt(b) < 0 ? -EUCLEAN : 0;
	else
		r = load_programs(b, opts, reason);
	if (r == 0)
		r = learn_maps(b, reason);
	if (r < 0)
		return r;
	/* before the first generation nothing was in force */
	if (b->generation == 0)
		return -EUCLEAN;
	r = bpf_map_lookup_elem(backend_map(b, "rs_mode"), &zero, &b->mode);
	if (r < 0)
		return r;
	r = bpf_map_lookup_elem(backend_map(b, "rs_lock"), &zero, &b->lock);
	if (r < 0)
		return r;
	/* nothing of it is to be replaced */
	if (b->lock.since_ns && !b->pins.programs_adopted)
		return -EUCLEAN;
	for (size_t i = 0; i < REVSHELL_SLOTS; i++)
		maps_slot_forget(&b->slots[i], true);
	b->pins.may_keep = b->pins.programs_adopted;
	return b->pins.programs_adopted ? 0 : backend_attach_needed(b, NULL, reason);
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
	backend_maps_forget(b);
	backend_iterators_forget(b);
	backend_close_object(b->skel);
	b->skel = NULL;
	if (b->pins.bss)
		munmap(b->pins.bss, b->pins.bss_size);
	b->pins.bss = NULL;
	b->pins.maps_adopted = b->pins.programs_adopted = b->pins.may_keep = false;
	b->generation = 0;
	for (size_t i = 0; i < REVSHELL_SLOTS; i++)
		maps_slot_forget(&b->slots[i], false);
}

static int open_kind(enum backend_kind kind, const struct backend_options *opts,
		     struct backend **ret_backend, char **reason)
{
	_cleanup_(backend_closep) struct backend *b = calloc(1, sizeof(*b));
	int r, locked;

	if (!b)
		return -ENOMEM;
	b->kind = kind;
	b->ops = backend_ops[kind];
	b->files_link = -EBADF;
	for (size_t i = 0; i < ITERATOR_MAX; i++)
		b->iterators[i] = -EBADF;
	if (kind == BACKEND_NONE) {
		backend_learn_namespaces(0, b->host_ns);
		b->selftest = strdup("not run: no backend");
		if (!b->selftest)
			return -ENOMEM;
		*ret_backend = TAKE_PTR(b);
		return 0;
	}
	r = b->ops->check(opts->kind != BACKEND_AUTO, reason);
	if (r < 0)
		return r;
	r = backend_pins_open(b, opts->pin_dir);
	if (r < 0) {
		backend_reason(reason, "cannot use %s: %s", opts->pin_dir, strerror(-r));
		return r;
	}
	r = b->ops->may_pin && b->pins.dir ? b->ops->may_pin(b, reason) : 0;
	if (r < 0)
		return r;
	locked = b->pins.base ? backend_pins_locked(b->pins.base) : 0;
	if (locked < 0) {
		backend_reason(reason,
			       "what is in force in %s is locked until the next boot, and only "
			       "the program that was locked may take it over",
			       b->pins.base);
		return locked;
	}
	b->pins.programs_adopted = b->pins.complete &&
				   b->pins.found.object_hash == backend_object_hash() &&
				   b->pins.found.kind == b->kind;
	backend_learn_kernel(b);
	r = take_over(b, opts, reason);
	if (locked && r == -EUCLEAN) {
		backend_reason(reason,
			       "what is in force in %s is locked until the next boot, and of "
			       "another make: it cannot be taken over",
			       b->pins.base);
		return -EPERM;
	}
	if (r == -EUCLEAN) {
		forget_pins(b);
		backend_learn_kernel(b);
		r = start_afresh(b, opts, reason);
	}
	if (r < 0)
		return r;
	r = backend_selftest(b, reason);
	if (r < 0)
		return r;
	b->ring = ring_buffer__new(backend_map(b, "rs_events"), ring_record, b, NULL);
	if (!b->ring) {
		r = -errno;
		backend_reason(reason, "cannot map the event ring: %s", strerror(-r));
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
		backend_reason(reasons, "%s%s%s: %s", before ? before : "", before ? "; " : "",
			       backend_kind_name(kind), reason ? reason : strerror(-r));
	return r;
}

int backend_open(const struct backend_options *opts, struct backend **ret_backend,
		 char **ret_reason)
{
	/* what denies comes before what only sees */
	static const enum backend_kind ladder[] = {BACKEND_LSM, BACKEND_FMOD_RET, BACKEND_KPROBE};
	_cleanup_free_ char *reasons = NULL;
	int r = -EOPNOTSUPP;

	libbpf_set_print(NULL);
	if (opts->kind != BACKEND_AUTO)
		r = try_kind(opts->kind, opts, ret_backend, &reasons);
	for (size_t i = 0; opts->kind == BACKEND_AUTO && r < 0 && i < ARRAY_SIZE(ladder); i++)
		r = try_kind(ladder[i], opts, ret_backend, &reasons);
	if (r < 0 && ret_reason)
		*ret_reason = TAKE_PTR(reasons);
	return r;
}

void backend_close(struct backend *b)
{
	if (!b)
		return;
	ring_buffer__free(b->ring);
	backend_loader_done(b);
	closep(&b->files_link);
	backend_iterators_forget(b);
	for (size_t i = 0; i < BACKEND_MAX_LINKS; i++)
		bpf_link__destroy(b->links[i]);
	backend_close_object(b->lock_skel);
	backend_close_object(b->skel);
	backend_maps_forget(b);
	for (size_t i = 0; i < REVSHELL_SLOTS; i++)
		maps_slot_forget(&b->slots[i], false);
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

	opts.cannot_deny = b->kind != BACKEND_NONE && !b->ops->can_deny;
	opts.no_track_sock = b->kind == BACKEND_KPROBE ||
			     (b->kind != BACKEND_NONE && !(b->kernel_has & HAS_TASK_STORAGE));
	/* without a backend nothing is carried out anyway, and any policy can be tried */
	for (size_t i = 0; b->kind != BACKEND_NONE && i < n_backend_programs; i++)
		if (backend_programs[i].hook < REVSHELL_HOOK_MAX &&
		    backend_program_belongs(b, &backend_programs[i]))
			opts.hooks |= 1ULL << backend_programs[i].hook;
	memcpy(opts.host_ns, b->host_ns, sizeof(opts.host_ns));
	return opts;
}

static int attach_needed(struct backend *b, const struct ruleset *rs, struct diag *d)
{
	_cleanup_free_ char *reason = NULL;
	int r = backend_attach_needed(b, rs, &reason);

	if (r < 0)
		diag_error(d, (struct diag_pos){}, "attach-failed", "%s",
			   reason ? reason : strerror(-r));
	return r;
}

static bool is_in_force(const struct backend *b, const struct ruleset *rs)
{
	struct revshell_in_force noted;
	uint32_t zero = 0;
	uint64_t digest;

	return bpf_map_lookup_elem(backend_map(b, "rs_in_force"), &zero, &noted) == 0 &&
	       noted.generation == b->generation &&
	       maps_digest(&b->outer, rs, b->generation % REVSHELL_SLOTS, &b->secret, &digest) ==
		       0 &&
	       noted.digest == digest;
}

/* Where this fails, what was noted before names another generation: the next daemon publishes. */
static void note_in_force(const struct backend *b, uint64_t digest)
{
	const struct revshell_in_force value = {b->generation, digest};
	uint32_t zero = 0;

	(void)bpf_map_update_elem(backend_map(b, "rs_in_force"), &zero, &value, BPF_ANY);
}

static int publish(struct backend *b, const struct ruleset *rs, struct diag *d)
{
	_cleanup_close_ int active = -EBADF;
	uint64_t generation = b->generation + 1;
	uint32_t slot = generation % REVSHELL_SLOTS;
	uint64_t digest;
	int r;

	r = maps_build(&b->outer, rs, slot, generation, &b->secret, b->slots, d, &active, &digest);
	if (r < 0)
		return r;
	/* before the rule set that needs them is current, so none of its calls is missed */
	r = attach_needed(b, rs, d);
	if (r < 0)
		return r;
	r = maps_activate(&b->outer, active);
	if (r < 0) {
		diag_error(d, (struct diag_pos){}, "map-failed",
			   "cannot make the rule set current: %s", strerror(-r));
		return r;
	}
	b->generation = generation;
	note_in_force(b, digest);
	return 0;
}

/* Keeps what was taken over where nothing is to change, else publishes. */
static int put_in_force(struct backend *b, struct ruleset *rs, struct diag *d)
{
	bool may_keep = b->pins.may_keep;
	int r;

	b->pins.may_keep = false;
	r = backend_learn_files(b, rs, d);
	if (r < 0)
		return r;
	if (may_keep && is_in_force(b, rs))
		return attach_needed(b, rs, d);
	return publish(b, rs, d);
}

int backend_publish(struct backend *b, struct ruleset *rs, struct diag *d, uint64_t *ret_generation)
{
	int r;

	if (b->kind == BACKEND_NONE) {
		*ret_generation = ++b->generation;
		return 0;
	}
	r = put_in_force(b, rs, d);
	if (r < 0)
		return r;
	/* after the rule set that needed them */
	backend_pins_sweep(b);
	*ret_generation = b->generation;
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
	fd = backend_map(b, "rs_overrides");
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
	fd = backend_map(b, "rs_overrides");
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
		r = bpf_map_update_elem(backend_map(b, "rs_mode"), &zero, &value, BPF_ANY);
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
	return bpf_map_lookup_elem(backend_map(b, "rs_mode"), &zero, ret_mode);
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

int backend_get_stats(struct backend *b, struct backend_stats *ret_stats)
{
	int n_cpus = libbpf_num_possible_cpus(), fd = backend_map(b, "rs_stats");
	_cleanup_free_ uint64_t *per_cpu = NULL;
	struct backend_stats stats = {};
	uint64_t *values = &stats.at[0][0];

	if (b->kind == BACKEND_NONE) {
		*ret_stats = stats;
		return 0;
	}
	if (n_cpus < 0)
		return n_cpus;
	per_cpu = calloc(n_cpus, sizeof(*per_cpu));
	if (!per_cpu)
		return -ENOMEM;
	for (uint32_t i = 0; i < REVSHELL_PLACES * REVSHELL_STAT_MAX; i++) {
		int r = bpf_map_lookup_elem(fd, &i, per_cpu);

		if (r < 0)
			return r;
		for (int cpu = 0; cpu < n_cpus; cpu++)
			values[i] += per_cpu[cpu];
	}
	*ret_stats = stats;
	return 0;
}

const char *backend_selftest_result(const struct backend *b)
{
	return b->selftest;
}
