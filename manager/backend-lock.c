/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lock: what the programs in bpf/lsm/lock.bpf.c have to know, and their attachment. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend-internal.h"
#include "clock.h"
#include "macro.h"
#include "siphash.h"

#define MAX_FILES 128

/* Descriptors of what the lock is to know, until the kernel has said what it calls them. */
struct files {
	int fds[MAX_FILES];
	uint32_t flags[MAX_FILES];
	size_t n;
};

static void files_done(struct files *f)
{
	for (size_t i = 0; i < f->n; i++)
		close(f->fds[i]);
}

static int files_add(struct files *f, const char *path, uint32_t flags)
{
	int fd;

	if (f->n == MAX_FILES)
		return -E2BIG;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	f->flags[f->n] = flags;
	f->fds[f->n++] = fd;
	return 0;
}

/* The program, and whatever else is mapped to be run: the C library, libbpf and so on. */
static int add_code(struct files *f)
{
	_cleanup_fclose_ FILE *maps = fopen("/proc/self/maps", "re");
	char line[PATH_MAX + 128], before[PATH_MAX] = "";
	int r;

	if (!maps)
		return -errno;
	r = files_add(f, "/proc/self/exe", REVSHELL_LOCK_PROGRAM | REVSHELL_LOCK_CODE);
	while (r == 0 && fgets(line, sizeof(line), maps)) {
		char *path = strchr(line, '/'), rights[5];

		if (sscanf(line, "%*s %4s", rights) != 1 || rights[2] != 'x' || !path)
			continue;
		path[strcspn(path, "\n")] = '\0';
		if (strcmp(path, before) == 0)
			continue;
		strncpy(before, path, sizeof(before) - 1);
		r = files_add(f, path, REVSHELL_LOCK_CODE);
		/* one that was replaced since: whoever starts next runs the new one, and is not let
		 */
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

/* The folders of the pins, and what they are mounted in, up to the root. */
static int add_folders(struct files *f, const struct backend *b)
{
	uint32_t flags = REVSHELL_LOCK_MOUNT;
	char path[PATH_MAX];
	struct stat st;
	dev_t dev;
	int r;

	if (stat(b->pins.base, &st) < 0)
		return -errno;
	dev = st.st_dev;
	r = files_add(f, b->pins.dir, REVSHELL_LOCK_PINS | REVSHELL_LOCK_MOUNT);
	if (r == 0)
		r = files_add(f, b->pins.base, REVSHELL_LOCK_PINS | REVSHELL_LOCK_MOUNT);
	if (r < 0 || strlen(b->pins.base) >= sizeof(path))
		return r < 0 ? r : -ENAMETOOLONG;
	strcpy(path, b->pins.base);
	while (r == 0 && path[1]) {
		char *slash = strrchr(path, '/');

		slash[slash == path] = '\0';
		if (stat(path, &st) < 0)
			return -errno;
		if (st.st_dev != dev)
			flags = REVSHELL_LOCK_ABOVE;
		r = files_add(f, path, flags);
	}
	return r;
}

/* A folder above only stands for its file system, one that has the pins for both. */
static int put_file(int map, const struct revshell_file_id *id, uint32_t flags)
{
	struct revshell_lock_key key = {.ino = id->ino, .dev = id->dev};
	uint32_t whole = flags & (REVSHELL_LOCK_MOUNT | REVSHELL_LOCK_ABOVE), known = 0;
	int r = 0;

	if (!(flags & REVSHELL_LOCK_ABOVE)) {
		(void)bpf_map_lookup_elem(map, &key, &known);
		flags |= known;
		r = bpf_map_update_elem(map, &key, &flags, BPF_ANY);
	}
	key.ino = 0;
	return r < 0 || !whole ? r : bpf_map_update_elem(map, &key, &whole, BPF_ANY);
}

static int learn(struct backend *b, struct revshell_lock *lock)
{
	struct revshell_file_id ids[MAX_FILES];
	int map = backend_map(b, "rs_lock_files"), r;
	struct files f = {};

	r = add_code(&f);
	if (r == 0)
		r = add_folders(&f, b);
	if (r == 0)
		r = backend_identify(b, f.fds, f.n, ids);
	for (size_t i = 0; r == 0 && i < f.n; i++)
		r = ids[i].ino ? put_file(map, &ids[i], f.flags[i]) : -ESRCH;
	if (r == 0)
		lock->start_ns = ids[0].start_ns;
	files_done(&f);
	return r;
}

static int put_lock(struct backend *b, const struct revshell_lock *lock)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(backend_map(b, "rs_lock"), &zero, lock, BPF_ANY);
}

const char *backend_why_no_lock(const struct backend *b)
{
	if (b->kind == BACKEND_NONE || !b->ops->can_deny)
		return "the backend cannot deny";
	if (!b->pins.active)
		return "nothing is pinned, so that enforcement ends with the daemon";
	return NULL;
}

int backend_lock(struct backend *b, char **reason)
{
	struct revshell_lock lock = {
		.tgid = (uint32_t)getpid(),
		.host_mnt_ns = (uint32_t)b->secret.host_mnt_ns,
	};
	int r;

	if (b->lock.since_ns)
		return 0;
	if (backend_why_no_lock(b)) {
		backend_reason(reason, "%s", backend_why_no_lock(b));
		return -EOPNOTSUPP;
	}
	r = learn(b, &lock);
	if (r == 0 && getrandom(lock.key, sizeof(lock.key), 0) != sizeof(lock.key))
		r = -errno;
	if (r == 0)
		r = put_lock(b, &lock);
	if (r < 0) {
		backend_reason(reason, "cannot learn what is to be locked: %s", strerror(-r));
		return r;
	}
	/* until all are, and the lock is on, they let everything pass */
	for (size_t i = 0; r == 0 && i < n_backend_programs; i++)
		if (backend_programs[i].lock && backend_program_belongs(b, &backend_programs[i]) &&
		    !backend_program_is_attached(b, i))
			r = backend_attach(b, i, reason);
	if (r < 0)
		return r;
	lock.since_ns = clock_ns(CLOCK_BOOTTIME);
	r = put_lock(b, &lock);
	if (r == 0)
		b->lock = lock;
	return r;
}

bool backend_is_locked(const struct backend *b)
{
	return b->lock.since_ns;
}

static void held_key(struct revshell_override_key *key, const char *name)
{
	memset(key, 0, sizeof(*key));
	strncpy(key->name, name, sizeof(key->name) - 1);
}

static uint64_t held_hash(const struct backend *b, const char *text)
{
	const uint64_t key[2] = {b->lock.key[0], b->lock.key[1]};

	return siphash13(text, strlen(text), key);
}

int backend_hold(struct backend *b, const char *name, const char *text)
{
	struct revshell_override_key key;
	uint64_t hash = held_hash(b, text);

	held_key(&key, name);
	return bpf_map_update_elem(backend_map(b, "rs_held"), &key, &hash, BPF_ANY);
}

int backend_holds(struct backend *b, const char *name, const char *text)
{
	struct revshell_override_key key;
	uint64_t hash;
	int r;

	held_key(&key, name);
	r = bpf_map_lookup_elem(backend_map(b, "rs_held"), &key, &hash);
	return r < 0 ? r : hash == held_hash(b, text);
}

int backend_each_held(struct backend *b, backend_held_fn fn, void *userdata)
{
	struct revshell_override_key key, *previous = NULL;
	int fd = backend_map(b, "rs_held"), r = 0;

	while (r >= 0 && bpf_map_get_next_key(fd, previous, &key) == 0) {
		previous = &key;
		key.name[sizeof(key.name) - 1] = '\0';
		r = fn(key.name, userdata);
	}
	return r;
}
