/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interface of backend.h without a kernel, for tests of what stands above it: events and
 * failures are dictated through a datagram socket, one JSON object each:
 *   {"generation": 1, "hook": 0, "match": 5, "mode": 1, "verdict": 1, "error": -1, "exe": "/bin/x"}
 *   {"ring-full": 3, "hook": 0}       (so many events had no room)
 *   {"fail-publish": 12}   {"fail-mode": 5}   (errno of every such call from now on, 0: none)
 *   {"spoil": "/file"}     (in whose place a folder stands, once the next rule set is published)
 *   {"health": 2}          (so many pins were put back), or an errno below 0, at each look
 *   {"deaf": 5}            (errno of every read of events from now on)
 *   {"try": "getpriority"}   {"try": "execve"}   (calls that no sandbox allows)
 * It is read by the daemon's event loop; events go on to whoever reads them through a pair of
 * sockets that plays the ring.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <jansson.h>
#include <systemd/sd-event.h>

#include "backend.h"

struct backend {
	enum backend_kind kind;
	struct revshell_mode_value mode;
	uint64_t generation;
	struct backend_stats stats;
	int control;
	int ring[2]; /* [0] is read */
	sd_event_source *source;
	int fail_publish, fail_mode;
	char *spoil;
	int health;
	int deaf; /* as who reads the ring knows */
	bool locked;
	json_t *held; /* text by name */
};

static const char *const kind_names[] = {
	[BACKEND_AUTO] = "auto",     [BACKEND_LSM] = "lsm",   [BACKEND_FMOD_RET] = "fmod-ret",
	[BACKEND_KPROBE] = "kprobe", [BACKEND_NONE] = "none",
};

const char *backend_kind_name(enum backend_kind kind)
{
	return kind_names[kind];
}

enum backend_kind backend_kind_parse(const char *s)
{
	for (int i = 0; i < BACKEND_MAX; i++)
		if (strcmp(s, kind_names[i]) == 0)
			return (enum backend_kind)i;
	return BACKEND_MAX;
}

static int on_control(sd_event_source *source, int fd, uint32_t revents, void *userdata);

/* The daemon's loop is the default one. */
static int listen_to_control(struct backend *b)
{
	sd_event *loop;
	int r = sd_event_default(&loop);

	if (r < 0)
		return r;
	r = sd_event_add_io(loop, &b->source, b->control, EPOLLIN, on_control, b);
	sd_event_unref(loop);
	return r;
}

int backend_open(const struct backend_options *opts, struct backend **ret_backend,
		 char **ret_reason)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const char *path = getenv("REVSHELL_FAKE_SOCKET");
	struct backend *b;

	if (opts->kind == BACKEND_FMOD_RET || !path || strlen(path) >= sizeof(sa.sun_path)) {
		*ret_reason = strdup("this kernel is only a fake");
		return -EOPNOTSUPP;
	}
	strcpy(sa.sun_path, path);
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->kind = opts->kind == BACKEND_AUTO ? BACKEND_LSM : opts->kind;
	b->control = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (b->control < 0 || bind(b->control, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, b->ring) < 0 ||
	    fcntl(b->ring[0], F_SETFL, O_NONBLOCK) < 0 || listen_to_control(b) < 0) {
		backend_close(b);
		return -errno;
	}
	*ret_backend = b;
	return 0;
}

void backend_close(struct backend *b)
{
	if (!b)
		return;
	sd_event_source_disable_unref(b->source);
	for (size_t i = 0; i < 2; i++)
		if (b->ring[i] > 0)
			close(b->ring[i]);
	if (b->control >= 0)
		close(b->control);
	json_decref(b->held);
	free(b->spoil);
	free(b);
}

enum backend_kind backend_get_kind(const struct backend *b)
{
	return b->kind;
}

struct ruleset_options backend_ruleset_options(const struct backend *b)
{
	return (struct ruleset_options){.cannot_deny = b->kind == BACKEND_KPROBE};
}

int backend_publish(struct backend *b, struct ruleset *rs, struct diag *d, uint64_t *ret_generation)
{
	if (b->fail_publish)
		return -b->fail_publish;
	if (b->spoil && unlink(b->spoil) == 0)
		(void)mkdir(b->spoil, 0700);
	free(b->spoil);
	b->spoil = NULL;
	*ret_generation = ++b->generation;
	return 0;
}

int backend_set_mode(struct backend *b, enum revshell_mode mode, uint64_t deadline_ns)
{
	if (b->fail_mode)
		return -b->fail_mode;
	b->mode = (struct revshell_mode_value){mode, b->mode.epoch + 1, deadline_ns};
	return 0;
}

int backend_get_mode(struct backend *b, struct revshell_mode_value *ret_mode)
{
	*ret_mode = b->mode;
	return 0;
}

int backend_events_fd(struct backend *b)
{
	return b->ring[0];
}

static void fill_event(const struct backend *b, const json_t *o, struct revshell_event *ev)
{
	const json_t *generation = json_object_get(o, "generation");
	const char *exe = json_string_value(json_object_get(o, "exe"));
	const json_t *time_ns = json_object_get(o, "time-ns");

	*ev = (struct revshell_event){
		.time_ns = time_ns ? (uint64_t)json_integer_value(time_ns) : 1000000000,
		.generation = generation ? (uint64_t)json_integer_value(generation) : b->generation,
		.hook = (uint16_t)json_integer_value(json_object_get(o, "hook")),
		.verdict = (uint16_t)json_integer_value(json_object_get(o, "verdict")),
		.error = (int32_t)json_integer_value(json_object_get(o, "error")),
		.mode = (uint32_t)json_integer_value(json_object_get(o, "mode")),
		.n_words = 1,
		.match[0] = (uint64_t)json_integer_value(json_object_get(o, "match")),
		.pid = 4211,
		.tid = 4211,
		.uid = 1000,
		.gid = 100,
		.cgroup_id = (uint64_t)json_integer_value(json_object_get(o, "cgroup")),
		.predicates = (uint64_t)json_integer_value(json_object_get(o, "predicates")),
		.loginuid = 1000,
		.start_ns = 500000000,
		.parent_pid = 4200,
		.sk = {.family = 2, .type = 1, .protocol = 6, .state = 7},
		.sa = {.family = 2, .port = 4444, .len = 16, .addr = {198, 51, 100, 7}},
		.ints = {0, 0, 16},
	};
	snprintf(ev->comm, sizeof(ev->comm), "nc");
	snprintf(ev->exe.path, sizeof(ev->exe.path), "%s", exe ? exe : "/usr/bin/nc");
	ev->exe.path_len = (uint32_t)strlen(ev->exe.path);
	ev->exe.flags = REVSHELL_EXE_KNOWN;
}

static void try_call(const char *name)
{
	static char *const argv[] = {(char *)"true", NULL};

	errno = 0;
	if (strcmp(name, "execve") == 0)
		execv("/bin/true", argv);
	else
		(void)getpriority(PRIO_PROCESS, 0);
	fprintf(stderr, "%s: %s\n", name, strerror(errno));
}

/* Where a record counts; what is no hook counts as other. */
static size_t place_of(const json_t *o)
{
	return MIN((size_t)json_integer_value(json_object_get(o, "hook")),
		   (size_t)REVSHELL_PLACE_OTHER);
}

/* From here on the ring is readable and cannot be read. */
static void deafen(struct backend *b, int error)
{
	(void)!write(b->ring[1], &error, sizeof(error));
	close(b->ring[1]);
	b->ring[1] = 0;
}

static void obey(struct backend *b, const json_t *o)
{
	if (json_object_get(o, "fail-publish"))
		b->fail_publish = (int)json_integer_value(json_object_get(o, "fail-publish"));
	if (json_object_get(o, "spoil") && !b->spoil)
		b->spoil = strdup(json_string_value(json_object_get(o, "spoil")));
	if (json_object_get(o, "health"))
		b->health = (int)json_integer_value(json_object_get(o, "health"));
	if (json_object_get(o, "fail-mode"))
		b->fail_mode = (int)json_integer_value(json_object_get(o, "fail-mode"));
	b->stats.at[place_of(o)][REVSHELL_STAT_RING_FULL] +=
		(uint64_t)json_integer_value(json_object_get(o, "ring-full"));
	if (json_object_get(o, "try"))
		try_call(json_string_value(json_object_get(o, "try")));
	if (json_object_get(o, "deaf") && b->ring[1] > 0)
		deafen(b, (int)json_integer_value(json_object_get(o, "deaf")));
	if (json_object_get(o, "match") && b->ring[1] > 0) {
		struct revshell_event ev;

		fill_event(b, o, &ev);
		b->stats.at[place_of(o)][REVSHELL_STAT_EVENTS]++;
		(void)!write(b->ring[1], &ev, sizeof(ev));
	}
}

static int on_control(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	char text[4096];
	ssize_t len;

	while ((len = recv(fd, text, sizeof(text), 0)) >= 0) {
		json_t *o = json_loadb(text, (size_t)len, 0, NULL);

		obey(userdata, o);
		json_decref(o);
	}
	return errno == EAGAIN ? 0 : -errno;
}

int backend_events_consume(struct backend *b, backend_event_fn fn, void *userdata)
{
	struct revshell_event ev;
	int n = 0, r = 0;

	for (; r >= 0; n++) {
		ssize_t len = b->deaf ? -1 : read(b->ring[0], &ev, sizeof(ev));

		if (len == sizeof(b->deaf))
			memcpy(&b->deaf, &ev, sizeof(b->deaf));
		if (b->deaf)
			return -b->deaf;
		if (len < 0)
			return errno == EAGAIN ? n : -errno;
		r = fn(&ev, sizeof(ev), userdata);
	}
	return r;
}

int backend_get_stats(struct backend *b, struct backend_stats *ret_stats)
{
	*ret_stats = b->stats;
	return 0;
}

const char *backend_stat_name(enum revshell_stat stat)
{
	static const char *const names[] = {
#define X(id, name) [REVSHELL_STAT_##id] = name,
		REVSHELL_STATS(X)
#undef X
	};

	return names[stat];
}

const char *backend_selftest_result(const struct backend *b)
{
	return "passed by a fake";
}

bool backend_is_adopted(const struct backend *b)
{
	return false;
}

bool backend_is_persistent(const struct backend *b)
{
	return false;
}

const char *backend_note(const struct backend *b)
{
	return NULL;
}

int backend_set_override(struct backend *b, const char *name, int mode)
{
	return 0;
}

int backend_each_override(struct backend *b, backend_override_fn fn, void *userdata)
{
	return 0;
}

const char *backend_why_no_lock(const struct backend *b)
{
	return b->kind == BACKEND_KPROBE ? "the backend cannot deny" : NULL;
}

int backend_lock(struct backend *b, char **ret_reason)
{
	if (backend_why_no_lock(b)) {
		*ret_reason = strdup(backend_why_no_lock(b));
		return -EOPNOTSUPP;
	}
	if (!b->held)
		b->held = json_object();
	b->locked = true;
	return 0;
}

bool backend_is_locked(const struct backend *b)
{
	return b->locked;
}

int backend_hold(struct backend *b, const char *name, const char *text)
{
	return json_object_set_new(b->held, name, json_string(text)) < 0 ? -ENOMEM : 0;
}

int backend_holds(struct backend *b, const char *name, const char *text)
{
	const json_t *held = json_object_get(b->held, name);

	return held ? strcmp(json_string_value(held), text) == 0 : -ENOENT;
}

int backend_each_held(struct backend *b, backend_held_fn fn, void *userdata)
{
	const char *name;
	json_t *text;
	int r = 0;

	json_object_foreach(b->held, name, text)
	{
		if (r >= 0)
			r = fn(name, userdata);
	}
	return r;
}

int backend_pins_locked(const char *pin_dir)
{
	return 0;
}

int backend_disarm(const struct backend *b, const char *pin_dir)
{
	return 0;
}

bool backend_left_mode(const struct backend *b, enum revshell_mode *ret_mode)
{
	return false;
}

int backend_settle(struct backend *b)
{
	return 0;
}

int backend_confine(struct backend *b, enum sandbox_mode mode, void (*forget)(void *userdata),
		    void *userdata)
{
	return 0;
}

pid_t backend_loader_pid(const struct backend *b)
{
	return 0;
}

int backend_check(struct backend *b, char **ret_reason)
{
	if (b->health < 0)
		*ret_reason = strdup("a pin of the fake's is gone");
	return b->health;
}

const char *backend_pin_dir(const struct backend *b)
{
	return NULL;
}

uint64_t backend_attached_hooks(const struct backend *b)
{
	return 1ULL << REVSHELL_HOOK_CONNECT | 1ULL << REVSHELL_HOOK_LISTEN;
}

uint64_t backend_map_bytes(const struct backend *b)
{
	return 4096;
}
