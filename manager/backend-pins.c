/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What outlives the daemon: maps and links pinned in a BPF file system, under v<ABI>/. A new daemon
 * takes over the maps with the rule set in force, and the programs too if it was built of the same
 * ones. What it finds incomplete or unknown it replaces, after its own programs are attached.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backend-internal.h"
#include "macro.h"
#include "object.h"
#include "revshell.skel.h"

/* bpffs takes no dots in names. */
static int pin_path(char *buf, size_t size, const char *dir, const char *kind, const char *name)
{
	int n = snprintf(buf, size, "%s/%s%s", dir, kind, name);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* Removes a folder of pins with all that is in it; one that is not there is as good. */
static int remove_folder(const char *path)
{
	struct dirent *e;
	DIR *d = opendir(path);
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) < 0 && errno != ENOENT)
			r = -errno;
	}
	closedir(d);
	if (rmdir(path) < 0 && errno != ENOENT && r == 0)
		r = -errno;
	return r;
}

/* Removes the folders of all versions but keep, or of all if that is NULL. */
static int remove_versions(const char *base, const char *keep)
{
	struct dirent *e;
	DIR *d = opendir(base);
	int r = 0, n = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		char path[PATH_MAX];
		int err;

		if (e->d_name[0] != 'v' || (keep && strcmp(e->d_name, keep) == 0))
			continue;
		err = pin_path(path, sizeof(path), base, "", e->d_name);
		if (err == 0)
			err = remove_folder(path);
		if (err < 0)
			r = err;
		else
			n++;
	}
	closedir(d);
	return r < 0 ? r : n;
}

/*
 * Opens a pinned array of one element. The kernel copies as much as the map says, so one of another
 * form is -EUCLEAN.
 */
static int open_array(const char *dir, const char *kind, const char *name, size_t value_size)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	_cleanup_close_ int fd = -EBADF;
	char path[PATH_MAX];
	int r;

	r = pin_path(path, sizeof(path), dir, kind, name);
	if (r < 0)
		return r;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0 || info.type != BPF_MAP_TYPE_ARRAY ||
	    info.key_size != sizeof(__u32) || info.value_size != value_size ||
	    info.max_entries != 1)
		return -EUCLEAN;
	return TAKE_FD(fd);
}

static int read_array(const char *dir, const char *name, void *ret_value, size_t value_size)
{
	_cleanup_close_ int fd = open_array(dir, "map_", name, value_size);
	__u32 zero = 0;

	return fd < 0 ? fd : bpf_map_lookup_elem(fd, &zero, ret_value);
}

/* Says of the pins in a folder that they are no whole set. A map that is not ours tells as much. */
static void mark_incomplete(const char *dir)
{
	const struct revshell_meta meta = {};
	_cleanup_close_ int fd = open_array(dir, "map_", "rs_meta", sizeof(meta));
	__u32 zero = 0;

	if (fd >= 0)
		(void)bpf_map_update_elem(fd, &zero, &meta, BPF_ANY);
}

/*
 * Before the first pin goes, so that no daemon takes over what is left if this is interrupted. In
 * the daemon, whose sandbox opens no pins, by the map that it has.
 */
static void mark_all_incomplete(const struct backend *b, const char *base)
{
	const struct revshell_meta meta = {};
	__u32 zero = 0;
	struct dirent *e;
	DIR *d;

	if (b) {
		if (b->n_maps)
			(void)bpf_map_update_elem(backend_map(b, "rs_meta"), &zero, &meta, BPF_ANY);
		return;
	}
	d = opendir(base);
	while (d && (e = readdir(d))) {
		char dir[PATH_MAX];

		if (e->d_name[0] == 'v' && pin_path(dir, sizeof(dir), base, "", e->d_name) == 0)
			mark_incomplete(dir);
	}
	if (d)
		closedir(d);
}

int backend_disarm(const struct backend *b, const char *base)
{
	char path[PATH_MAX];
	int n, r;

	mark_all_incomplete(b, base);
	n = remove_versions(base, NULL);
	/* what a start that was interrupted left behind */
	r = pin_path(path, sizeof(path), base, "", "new");
	if (r == 0)
		r = remove_folder(path);
	if (r < 0)
		return r;
	if (n >= 0)
		rmdir(base); /* which the package may own */
	return n;
}

/* Whether a path lies in a BPF file system; its last part need not be there yet. */
static bool is_bpffs(const char *path)
{
	char parent[PATH_MAX];
	struct statfs fs;
	char *slash;

	if (statfs(path, &fs) == 0)
		return fs.f_type == BPF_FS_MAGIC;
	if (errno != ENOENT || strlen(path) >= sizeof(parent))
		return false;
	strcpy(parent, path);
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return false;
	*slash = '\0';
	return statfs(parent, &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

int backend_pins_get(const struct backend *b, const char *kind, const char *name)
{
	char path[PATH_MAX];
	int r = pin_path(path, sizeof(path), b->pins.dir, kind, name);

	return r < 0 ? r : bpf_obj_get(path);
}

int backend_pins_open(struct backend *b, const char *base)
{
	struct stat st;

	if (!base)
		return 0;
	if (!is_bpffs(base)) {
		if (asprintf(&b->pins.note,
			     "%s is not in a BPF file system: enforcement ends with the daemon; "
			     "what helps: mount -t bpf bpf /sys/fs/bpf",
			     base) < 0)
			b->pins.note = NULL;
		return 0;
	}
	if (mkdir(base, 0700) < 0 && errno != EEXIST)
		return -errno;
	/* whoever may write here may take enforcement away */
	if (stat(base, &st) < 0)
		return -errno;
	if (st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	b->pins.base = strdup(base);
	if (!b->pins.base)
		return -ENOMEM;
	if (asprintf(&b->pins.dir, "%s/v%d", base, REVSHELL_ABI) < 0) {
		b->pins.dir = NULL;
		return -ENOMEM;
	}
	if (access(b->pins.dir, F_OK) < 0)
		return 0;
	b->pins.present = true;
	b->pins.complete =
		read_array(b->pins.dir, "rs_meta", &b->pins.found, sizeof(b->pins.found)) == 0 &&
		b->pins.found.complete;
	return 0;
}

/* The variables of the programs in force: an array of one element, of the size that ours have. */
static int adopt_bss(struct backend *b)
{
	_cleanup_close_ int fd = open_array(b->pins.dir, "", "bss", OBJECT_BSS);
	void *bss;

	if (fd < 0)
		return fd;
	bss = mmap(NULL, OBJECT_BSS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bss == MAP_FAILED)
		return -errno;
	b->pins.bss = bss;
	b->pins.bss_size = OBJECT_BSS;
	b->selftest_area =
		(struct revshell_selftest *)((char *)bss +
					     offsetof(struct revshell_bpf__bss, rs_selftest));
	return 0;
}

/* Opens the pinned links of the programs in force; all that are always attached must be there. */
int backend_pins_adopt(struct backend *b)
{
	char path[PATH_MAX];
	int r;

	for (size_t i = 0; i < n_backend_programs; i++) {
		const struct backend_program *p = &backend_programs[i];
		struct bpf_link *link;

		if (!backend_program_belongs(b, p))
			continue;
		r = pin_path(path, sizeof(path), b->pins.dir, "link_", p->name);
		if (r < 0)
			return r;
		link = bpf_link__open(path);
		if (link)
			b->links[i] = link;
		else if (!p->on_demand)
			return -errno;
	}
	r = backend_iterators_adopt(b);
	return r < 0 ? r : adopt_bss(b);
}

/* Pins a descriptor, in place of what may stand there: never a moment without either. */
static int pin_fd(const char *dir, const char *kind, const char *name, int fd)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	int r;

	r = pin_path(path, sizeof(path), dir, kind, name);
	if (r == 0)
		r = pin_path(fresh, sizeof(fresh), dir, "new_", name);
	if (r < 0)
		return r;
	if (unlink(fresh) < 0 && errno != ENOENT)
		return -errno;
	r = bpf_obj_pin(fd, fresh);
	if (r < 0)
		return r;
	if (rename(fresh, path) < 0) {
		r = -errno;
		unlink(fresh);
		return r;
	}
	return 0;
}

int backend_pin_link(struct backend *b, size_t i)
{
	if (!b->pins.active)
		return 0;
	return pin_fd(b->pins.dir, "link_", backend_programs[i].name, bpf_link__fd(b->links[i]));
}

void backend_pins_sweep(struct backend *b)
{
	char path[PATH_MAX];

	/* one that could not be opened, for want of descriptors, is no less needed */
	if (!b->pins.active || b->lock.since_ns)
		return;
	for (size_t i = 0; i < n_backend_programs; i++)
		if (!backend_program_is_attached(b, i) &&
		    pin_path(path, sizeof(path), b->pins.dir, "link_", backend_programs[i].name) ==
			    0)
			unlink(path);
}

static int write_meta(struct backend *b)
{
	const struct revshell_meta meta = {
		.object_hash = backend_object_hash(),
		.kind = b->kind,
		.kernel_has = (uint16_t)b->kernel_has,
		.complete = 1,
	};
	__u32 zero = 0;

	return bpf_map_update_elem(backend_map(b, "rs_meta"), &zero, &meta, BPF_ANY);
}

static int pin_programs(struct backend *b, const char *dir)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n_backend_programs; i++)
		if (b->links[i])
			r = pin_fd(dir, "link_", backend_programs[i].name,
				   bpf_link__fd(b->links[i]));
	for (size_t i = 0; r == 0 && i < ITERATOR_MAX; i++)
		r = pin_fd(dir, "prog_", backend_iterator_names[i], b->iterators[i]);
	return r;
}

static int pin_bss(struct backend *b, const char *dir)
{
	return pin_fd(dir, "", "bss", backend_map(b, "bss"));
}

static bool is_pinned(const struct backend *b, const char *kind, const char *name)
{
	char path[PATH_MAX];

	return pin_path(path, sizeof(path), b->pins.dir, kind, name) == 0 &&
	       access(path, F_OK) == 0;
}

int backend_pins_missing(const struct backend *b)
{
	int n = 0;

	if (!b->pins.active)
		return 0;
	for (size_t i = 0; i < b->n_maps; i++)
		n += b->maps[i].is_kept && !is_pinned(b, "map_", b->maps[i].name);
	for (size_t i = 0; i < n_backend_programs; i++)
		n += backend_program_is_attached(b, i) &&
		     !is_pinned(b, "link_", backend_programs[i].name);
	for (size_t i = 0; i < ITERATOR_MAX; i++)
		n += !is_pinned(b, "prog_", backend_iterator_names[i]);
	return n + !is_pinned(b, "", "bss");
}

/* The .bss of programs that were taken over is theirs: without a pin it is mapped, and no more. */
static int repair_bss(struct backend *b)
{
	if (is_pinned(b, "", "bss"))
		return 0;
	return b->pins.programs_adopted ? -ENOENT : pin_bss(b, b->pins.dir);
}

int backend_pins_repair(struct backend *b)
{
	int r = 0;

	if ((mkdir(b->pins.base, 0700) < 0 && errno != EEXIST) ||
	    (mkdir(b->pins.dir, 0700) < 0 && errno != EEXIST))
		return -errno;
	for (size_t i = 0; r == 0 && i < b->n_maps; i++)
		if (b->maps[i].is_kept && !is_pinned(b, "map_", b->maps[i].name))
			r = pin_fd(b->pins.dir, "map_", b->maps[i].name, b->maps[i].fd);
	for (size_t i = 0; r == 0 && i < n_backend_programs; i++)
		if (b->links[i] && !is_pinned(b, "link_", backend_programs[i].name))
			r = backend_pin_link(b, i);
	for (size_t i = 0; r == 0 && i < ITERATOR_MAX; i++)
		if (!is_pinned(b, "prog_", backend_iterator_names[i]))
			r = pin_fd(b->pins.dir, "prog_", backend_iterator_names[i],
				   b->iterators[i]);
	if (r == 0)
		r = repair_bss(b);
	/* whoever removed them may have marked the rest */
	return r < 0 ? r : write_meta(b);
}

/* A set of pins of our own, put in place of what may stand there by one rename. */
static int pin_afresh(struct backend *b)
{
	char fresh[PATH_MAX];
	int r;

	r = pin_path(fresh, sizeof(fresh), b->pins.base, "", "new");
	if (r == 0)
		r = remove_folder(fresh);
	if (r < 0)
		return r;
	if (mkdir(fresh, 0700) < 0)
		return -errno;
	for (size_t i = 0; r == 0 && i < b->n_maps; i++)
		if (b->maps[i].is_kept)
			r = pin_fd(fresh, "map_", b->maps[i].name, b->maps[i].fd);
	if (r == 0)
		r = pin_programs(b, fresh);
	if (r == 0)
		r = pin_bss(b, fresh);
	if (r == 0)
		r = write_meta(b);
	if (r == 0)
		r = remove_folder(b->pins.dir);
	if (r == 0 && rename(fresh, b->pins.dir) < 0)
		r = -errno;
	if (r < 0)
		remove_folder(fresh);
	return r;
}

/* Where maps were taken over. A crash in between leaves a hash that does not fit: all is redone. */
static int pin_anew(struct backend *b)
{
	int r = pin_programs(b, b->pins.dir);

	if (r == 0 && !b->pins.programs_adopted)
		r = pin_bss(b, b->pins.dir);
	return r < 0 ? r : write_meta(b);
}

int backend_settle(struct backend *b)
{
	char version[32];
	int r;

	if (!b->pins.dir)
		return 0;
	r = b->pins.maps_adopted ? pin_anew(b) : pin_afresh(b);
	if (r < 0)
		return r;
	b->pins.active = true;
	backend_pins_sweep(b);
	snprintf(version, sizeof(version), "v%d", REVSHELL_ABI);
	r = remove_versions(b->pins.base, version);
	return r < 0 ? r : 0;
}

int backend_pins_locked(const char *base)
{
	struct dirent *e;
	DIR *d = opendir(base);
	int r = 0;

	while (d && r == 0 && (e = readdir(d))) {
		struct revshell_lock lock = {};
		char dir[PATH_MAX];

		if (e->d_name[0] == '.' || pin_path(dir, sizeof(dir), base, "", e->d_name) < 0)
			continue;
		r = read_array(dir, "rs_lock", &lock, sizeof(lock));
		if (r != -EPERM && r != -EACCES)
			r = r == 0 && lock.since_ns;
	}
	if (d)
		closedir(d);
	return r < 0 ? -EPERM : r;
}

/*
 * The mode that pins of another layout, or incomplete ones, say. This one map keeps its form:
 * enforcement must not end by an upgrade.
 */
static bool find_mode(const char *base, enum revshell_mode *ret_mode)
{
	bool found = false;
	struct dirent *e;
	DIR *d = opendir(base);

	while (d && (e = readdir(d))) {
		struct revshell_mode_value value = {};
		char dir[PATH_MAX];
		bool enforce;

		if (e->d_name[0] == '.' || pin_path(dir, sizeof(dir), base, "", e->d_name) < 0 ||
		    read_array(dir, "rs_mode", &value, sizeof(value)) < 0)
			continue;
		/* of several the stricter one; one that was on trial has not been confirmed */
		enforce = value.mode == REVSHELL_MODE_ENFORCE && !value.deadline_ns;
		if (!found || enforce)
			*ret_mode = enforce ? REVSHELL_MODE_ENFORCE : REVSHELL_MODE_MONITOR;
		found = true;
	}
	if (d)
		closedir(d);
	return found;
}

bool backend_left_mode(const struct backend *b, enum revshell_mode *ret_mode)
{
	if (b->pins.maps_adopted) {
		*ret_mode = b->mode.mode;
		return true;
	}
	return b->pins.base && find_mode(b->pins.base, ret_mode);
}

void backend_pins_done(struct backend *b)
{
	if (b->pins.bss)
		munmap(b->pins.bss, b->pins.bss_size);
	free(b->pins.base);
	free(b->pins.dir);
	free(b->pins.note);
}
