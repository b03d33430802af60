/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as up to four calls of org.revshell1.Manager, whose arguments have the right types and
 * any contents. Each is answered; what is answered by an error has changed nothing, neither in
 * force nor on disk; and what is in force is what a reload would read.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bus-internal.h"
#include "fnv.h"
#include "fuzz.h"
#include "simulate-facts.h"

#define MAX_CALLS 4

/* The rest of the input. Beyond its end everything is zero. */
struct input {
	const uint8_t *data;
	size_t size;
};

struct world {
	char dir[64];	  /* policies */
	char socket[128]; /* of the fake backend */
	char *dirs[2];
	struct log log;
	sd_event *event;
	struct manager *manager;
	struct bus *bus;
	sd_bus *client;
};

/* What must not change while a call fails. */
struct state {
	uint64_t generation, digest, files;
	enum revshell_mode mode;
	uint64_t deadline_ns; /* of a trial */
	size_t n_overrides;
};

#define POLICY_OF(id, cidr)                                                               \
	"apiVersion: cilium.io/v1alpha1\nkind: TracingPolicy\nmetadata: {name: " id "}\n" \
	"spec: {lsmhooks: [{hook: socket_connect, args: [{index: 1, type: sockaddr}],\n"  \
	"  selectors: [{matchArgs: [{index: 1, operator: SAddr, values: [" cidr "]}],\n"  \
	"    matchActions: [{action: Override}]}]}]}\n"

/* Strings that get somewhere, by their number in the input. */
static const char *const words[] = {
	"",
	"one",
	"two",
	"new",
	"put",
	"remove",
	"set-mode",
	"enforce",
	"monitor",
	"default",
	"denied",
	"reason",
	"confirm-usec",
	"expected-generation",
	"dry-run",
	"runtime",
	"replace-all",
	"mask",
	"policy",
	"exe",
	"verdict",
	"until",
	POLICY_OF("one", "192.0.2.0/24"),
	POLICY_OF("two", "192.0.2.7/32"),
	POLICY_OF("new", "198.51.100.0/24"),
	POLICY_OF("one", "192.0.2.0/24") "---\n" POLICY_OF("new", "192.0.2.0/25"),
	"kind: Nonsense\n",
	"../one",
	"%s%n",
#define X(id, name) name,
	SIM_WORDS(X)
#undef X
		"/usr/bin/nc",
	"socket_connect",
	"connect",
	"198.51.100.7:4444",
	"[2001:db8::1]:443",
	"192.0.2.7:22",
	"inet",
	"stream",
	"tcp",
	"ESTABLISHED",
	"1=16,2=-1",
	"0",
	"4294967296",
	"1,2,3",
	"ssh.service",
	"socket,tty,pipe",
	"effective=CAP_NET_RAW",
	"net=host",
	"@abstract",
	"unix:/run/x",
};
#define WORD_BASE 0x80 /* smaller: the length of a string that follows */

static uint8_t take_byte(struct input *in)
{
	if (in->size == 0)
		return 0;
	in->size--;
	return *in->data++;
}

static uint64_t take_number(struct input *in)
{
	uint8_t n = take_byte(in);
	uint64_t x = 0;

	if (n < WORD_BASE)
		return n;
	for (int i = 0; i < 8; i++)
		x = x << 8 | take_byte(in);
	return x;
}

/* ASCII: what is no UTF-8 or holds a NUL does not get through a bus. */
static char *take_string(struct input *in)
{
	uint8_t n = take_byte(in);
	char *s;

	if (n >= WORD_BASE)
		return strdup(words[(n - WORD_BASE) % (sizeof(words) / sizeof(words[0]))]);
	s = calloc(1, n + 1U);
	for (uint8_t i = 0; s && i < n; i++) {
		s[i] = (char)(take_byte(in) & 0x7f);
		if (!s[i])
			s[i] = ' ';
	}
	return s;
}

static int append_string(sd_bus_message *m, struct input *in)
{
	_cleanup_free_ char *s = take_string(in);

	fuzz_assert(s);
	return sd_bus_message_append_basic(m, 's', s);
}

static int append_descriptor(sd_bus_message *m, struct input *in)
{
	_cleanup_close_ int fd = memfd_create("input", MFD_CLOEXEC);
	_cleanup_free_ char *s = take_string(in);

	fuzz_assert(fd >= 0 && s && write(fd, s, strlen(s)) == (ssize_t)strlen(s));
	return sd_bus_message_append_basic(m, 'h', &fd);
}

static int append_arguments(sd_bus_message *m, const char *types, struct input *in);

static int append_option(sd_bus_message *m, struct input *in)
{
	static const char *const types[] = {"s", "b", "t", "u", "h", "(sss)", "a(sss)"};
	const char *type = types[take_byte(in) % (sizeof(types) / sizeof(types[0]))];
	int r;

	r = sd_bus_message_open_container(m, 'e', "sv");
	if (r >= 0)
		r = append_string(m, in);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'v', type);
	if (r >= 0)
		r = append_arguments(m, type, in);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_triple(sd_bus_message *m, struct input *in)
{
	int r = sd_bus_message_open_container(m, 'r', "sss");

	for (int i = 0; r >= 0 && i < 3; i++)
		r = append_string(m, in);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_array(sd_bus_message *m, const char *type,
			int (*append)(sd_bus_message *m, struct input *in), struct input *in)
{
	int r = sd_bus_message_open_container(m, 'a', type);

	for (int n = take_byte(in) % 8; r >= 0 && n > 0; n--)
		r = append(m, in);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_basic(sd_bus_message *m, char type, struct input *in)
{
	uint64_t number;
	int on;

	switch (type) {
	case 's':
		return append_string(m, in);
	case 'h':
		return append_descriptor(m, in);
	case 'b':
		on = take_byte(in) & 1;
		return sd_bus_message_append_basic(m, 'b', &on);
	}
	number = take_number(in);
	if (type == 'u')
		return sd_bus_message_append(m, "u", (uint32_t)number);
	fuzz_assert(type == 't');
	return sd_bus_message_append(m, "t", number);
}

/* Of the types that our methods take, and a few that they do not. */
static int append_arguments(sd_bus_message *m, const char *types, struct input *in)
{
	int r = 0;

	while (r >= 0 && *types) {
		if (strncmp(types, "a{sv}", 5) == 0) {
			r = append_array(m, "{sv}", append_option, in);
			types += 5;
		} else if (strncmp(types, "a(sss)", 6) == 0) {
			r = append_array(m, "(sss)", append_triple, in);
			types += 6;
		} else if (strncmp(types, "(sss)", 5) == 0) {
			r = append_triple(m, in);
			types += 5;
		} else {
			r = append_basic(m, *types++, in);
		}
	}
	return r;
}

static const sd_bus_vtable *pick_method(uint8_t n)
{
	const sd_bus_vtable *methods[64];
	size_t count = 0;

	for (const sd_bus_vtable *v = bus_manager_vtable; v->type != _SD_BUS_VTABLE_END; v++)
		if (v->type == _SD_BUS_VTABLE_METHOD && count < 64)
			methods[count++] = v;
	fuzz_assert(count > 0);
	return methods[n % count];
}

static void write_file(const struct world *w, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	f = fopen(path, "we");
	fuzz_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* Of names and contents, in whatever order; and where remove is set they go. */
static uint64_t hash_files(const struct world *w, bool remove)
{
	DIR *d = opendir(w->dir);
	uint64_t sum = 0;
	struct dirent *e;

	fuzz_assert(d);
	while ((e = readdir(d))) {
		_cleanup_close_ int fd = -EBADF;
		char buf[4096];
		uint64_t h;
		ssize_t n;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		/* nothing of a transaction is left behind it */
		fuzz_assert(e->d_name[0] != '.');
		h = fnv1a_bytes(FNV1A_INIT, e->d_name, strlen(e->d_name));
		fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC);
		fuzz_assert(fd >= 0);
		while ((n = read(fd, buf, sizeof(buf))) > 0)
			h = fnv1a_bytes(h, buf, (size_t)n);
		sum += h;
		if (remove)
			fuzz_assert(unlinkat(dirfd(d), e->d_name, 0) == 0);
	}
	closedir(d);
	return sum;
}

static struct state take_state(const struct world *w)
{
	const struct manager_generation *g = manager_current(w->manager);

	fuzz_assert(g && g->rs->policies.n > 0);
	return (struct state){
		.generation = g->number,
		.digest = g->rs->digest,
		.files = hash_files(w, false),
		.mode = w->manager->mode,
		.deadline_ns = w->manager->trial.deadline_ns,
		.n_overrides = w->manager->n_overrides,
	};
}

/* Whoever comes too late to confirm a trial is told, and the mode falls back. */
static bool ran_out(const struct state *s)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return s->deadline_ns &&
	       (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec >= s->deadline_ns;
}

static void check_unchanged(const struct state *a, const struct state *b)
{
	fuzz_assert(a->generation == b->generation && a->digest == b->digest);
	fuzz_assert(a->files == b->files);
	fuzz_assert(a->n_overrides == b->n_overrides);
	fuzz_assert(ran_out(a) || (a->mode == b->mode && a->deadline_ns == b->deadline_ns));
}

/* Two ends of a socket, and nobody's but the object's own code between them. */
static void connect_both(struct world *w)
{
	sd_id128_t id =
		SD_ID128_MAKE(5b, 1c, 7d, 20, 4e, 0a, 4b, 6e, 9d, 1f, 33, 08, c2, 71, aa, e5);
	int pair[2];
	sd_bus *c;

	fuzz_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	fuzz_assert(sd_bus_new(&c) >= 0 && sd_bus_set_fd(c, pair[0], pair[0]) >= 0);
	fuzz_assert(sd_bus_set_server(c, true, id) >= 0 && sd_bus_negotiate_fds(c, true) >= 0);
	fuzz_assert(sd_bus_add_object_vtable(c, NULL, BUS_PATH, BUS_MANAGER_INTERFACE,
					     bus_manager_vtable, w->bus) >= 0);
	fuzz_assert(sd_bus_add_object_manager(c, NULL, BUS_PATH) >= 0);
	fuzz_assert(sd_bus_add_fallback_vtable(c, NULL, BUS_POLICY_PATH, BUS_POLICY_INTERFACE,
					       bus_policy_vtable, bus_policy_find, w->bus) >= 0);
	fuzz_assert(sd_bus_start(c) >= 0);
	w->bus->connection = c;
	w->bus->named = true; /* so that signals are sent as well */
	fuzz_assert(sd_bus_new(&w->client) >= 0);
	fuzz_assert(sd_bus_set_fd(w->client, pair[1], pair[1]) >= 0);
	fuzz_assert(sd_bus_negotiate_fds(w->client, true) >= 0 && sd_bus_start(w->client) >= 0);
	while (sd_bus_is_ready(w->client) == 0 || sd_bus_is_ready(c) == 0)
		fuzz_assert(sd_bus_process(c, NULL) >= 0 && sd_bus_process(w->client, NULL) >= 0);
}

static void start(struct world *w)
{
	const struct backend_options options = {.kind = BACKEND_LSM};
	const char *tmp = getenv("TMPDIR");
	struct policy_set set = {};
	struct backend *backend;
	char *reason = NULL;
	struct diag d = {};

	/* /dev/shm is quick: a transaction waits for the disk many times */
	snprintf(w->dir, sizeof(w->dir), "%s/revshell-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	fuzz_assert(mkdtemp(w->dir));
	snprintf(w->socket, sizeof(w->socket), "%s.socket", w->dir);
	setenv("REVSHELL_FAKE_SOCKET", w->socket, 1);
	write_file(w, "10-one.yaml", POLICY_OF("one", "203.0.113.0/24"));
	write_file(w, "20-two.yaml", POLICY_OF("two", "203.0.113.7/32"));
	w->dirs[0] = w->dir;
	w->log = (struct log){.max_level = -1};
	fuzz_assert(sd_event_new(&w->event) >= 0);
	fuzz_assert(manager_new(w->event, &w->log, w->dirs, 1, &w->manager) == 0);
	fuzz_assert(manager_read_policies(w->manager, &d, &set) == 0);
	fuzz_assert(backend_open(&options, &backend, &reason) == 0);
	fuzz_assert(manager_set_backend(w->manager, backend) == 0);
	fuzz_assert(manager_commit(w->manager, &set, &d) == 0);
	policy_set_done(&set);
	diag_done(&d);
	fuzz_assert(bus_new(w->event, w->manager, &w->log, "unix:path=/nonexistent", NULL, NULL,
			    &w->bus) >= 0);
	connect_both(w);
}

static void finish(struct world *w)
{
	sd_bus_close_unref(w->client);
	bus_free(w->bus);
	manager_free(w->manager);
	sd_event_unref(w->event);
	(void)hash_files(w, true);
	fuzz_assert(rmdir(w->dir) == 0 && unlink(w->socket) == 0);
}

/* The answer to the call with this cookie. Signals come by and are dropped. */
static sd_bus_message *wait_reply(struct world *w, uint64_t cookie)
{
	for (int i = 0; i < 10000; i++) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
		uint64_t to;

		fuzz_assert(sd_bus_process(w->bus->connection, NULL) >= 0);
		fuzz_assert(sd_bus_process(w->client, &m) >= 0);
		if (m && sd_bus_message_get_reply_cookie(m, &to) >= 0 && to == cookie)
			return TAKE_PTR(m);
	}
	return NULL;
}

static bool begins_with(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static void check_error(const sd_bus_error *e)
{
	fuzz_assert(begins_with(e->name, "org.revshell1.Error.") ||
		    begins_with(e->name, "org.freedesktop.DBus.Error.") ||
		    begins_with(e->name, "System.Error."));
	fuzz_assert(e->message && *e->message);
}

static void call(struct world *w, struct input *in)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
	const sd_bus_vtable *method = pick_method(take_byte(in));
	const char *types = method->x.method.signature; /* NULL: none */
	struct state before = take_state(w), after;
	uint64_t cookie;

	fuzz_assert(sd_bus_message_new_method_call(w->client, &m, NULL, BUS_PATH,
						   BUS_MANAGER_INTERFACE,
						   method->x.method.member) >= 0);
	/* which a client would be told by its own library */
	if (types && append_arguments(m, types, in) < 0)
		return;
	fuzz_assert(sd_bus_send(w->client, m, &cookie) >= 0);
	reply = wait_reply(w, cookie);
	fuzz_assert(reply);
	after = take_state(w);
	if (!sd_bus_message_is_method_error(reply, NULL))
		return;
	check_error(sd_bus_message_get_error(reply));
	check_unchanged(&before, &after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct manager_who who = {.via = "test"};
	struct input in = {data, size};
	struct world w = {};
	struct diag d = {};
	uint64_t digest;

	start(&w);
	for (int i = 0; i < MAX_CALLS && in.size > 0; i++)
		call(&w, &in);
	digest = manager_current(w.manager)->rs->digest;
	fuzz_assert(manager_reload(w.manager, &who, &d) == 0);
	fuzz_assert(manager_current(w.manager)->rs->digest == digest);
	diag_done(&d);
	finish(&w);
	return 0;
}
