/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel calls files and namespaces, asked through iterators. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "backend-internal.h"
#include "macro.h"
#include "revshell.skel.h"

/* So many descriptors are open at once while inode numbers are learned. */
#define BATCH 256

const char *const backend_iterator_names[ITERATOR_MAX] = {
	[ITERATOR_FILES] = "rs_files",
	[ITERATOR_HOST] = "rs_host",
};

int backend_iterators_keep(struct backend *b)
{
	for (size_t i = 0; i < ITERATOR_MAX; i++) {
		const struct bpf_program *prog =
			bpf_object__find_program_by_name(b->skel->obj, backend_iterator_names[i]);

		b->iterators[i] = prog ? fcntl(bpf_program__fd(prog), F_DUPFD_CLOEXEC, 0) : -EBADF;
		if (b->iterators[i] < 0)
			return prog ? -errno : -ENOENT;
	}
	return 0;
}

/* The kernel's number of a map, 0 if it cannot be had. */
static uint32_t map_id(int fd)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) < 0 ? 0 : info.id;
}

/*
 * Whether a pinned program is the iterator that it passes for: by name and type, and where it
 * reads a map, by that: one left behind by another daemon would tell of another rule set.
 */
static bool is_iterator(const struct backend *b, enum backend_iterator i, int fd)
{
	uint32_t maps[8] = {}, active = map_id(backend_map(b, "rs_active"));
	struct bpf_prog_info info = {.map_ids = (uintptr_t)maps, .nr_map_ids = ARRAY_SIZE(maps)};
	__u32 size = sizeof(info);
	bool reads = false;

	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0 || info.type != BPF_PROG_TYPE_TRACING ||
	    strcmp(info.name, backend_iterator_names[i]) != 0 || active == 0)
		return false;
	for (size_t k = 0; k < MIN(info.nr_map_ids, ARRAY_SIZE(maps)); k++)
		reads |= maps[k] == active;
	return reads == (i == ITERATOR_HOST);
}

int backend_iterators_adopt(struct backend *b)
{
	for (size_t i = 0; i < ITERATOR_MAX; i++) {
		int fd = backend_pins_get(b, "prog_", backend_iterator_names[i]);

		if (fd < 0)
			return fd;
		b->iterators[i] = fd;
		if (!is_iterator(b, i, fd))
			return -EUCLEAN;
	}
	return 0;
}

void backend_iterators_forget(struct backend *b)
{
	for (size_t i = 0; i < ITERATOR_MAX; i++) {
		closep(&b->iterators[i]);
		b->iterators[i] = -EBADF;
	}
}

/* Returns a link or -errno. */
static int attach_iterator(int prog, bool own_task)
{
	union bpf_iter_link_info info = {.task = {.pid = getpid()}};
	LIBBPF_OPTS(bpf_link_create_opts, opts, .iter_info = &info, .iter_info_len = sizeof(info));
	int link = -EINVAL;

	if (own_task)
		link = bpf_link_create(prog, 0, BPF_TRACE_ITER, &opts);
	/* before 6.1 the iterator cannot be told which task; the program looks for it anyway */
	return link >= 0 ? link : bpf_link_create(prog, 0, BPF_TRACE_ITER, NULL);
}

/* Runs an iterator and returns all that it writes, at most size bytes. */
static ssize_t run_iterator(int link, void *buf, size_t size)
{
	_cleanup_close_ int fd = bpf_iter_create(link);
	ssize_t total = 0;

	if (fd < 0)
		return fd;
	while ((size_t)total < size) {
		ssize_t n = read(fd, (char *)buf + total, size - total);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		total += n;
	}
	return total;
}

int backend_learn_host(struct backend *b, struct revshell_host *ret_host)
{
	_cleanup_close_ int link = attach_iterator(b->iterators[ITERATOR_HOST], false);
	struct revshell_host host = {};
	ssize_t n;

	if (link < 0)
		return link;
	n = run_iterator(link, &host, sizeof(host));
	if (n < 0)
		return n;
	if (n != sizeof(host))
		return -ESRCH;
	*ret_host = host;
	return 0;
}

int backend_files_prepare(struct backend *b)
{
	if (b->files_link < 0)
		b->files_link = attach_iterator(b->iterators[ITERATOR_FILES], true);
	return MIN(b->files_link, 0);
}

/*
 * inum: of the initial namespaces, where it is fixed (include/linux/proc_ns.h); /proc/1/ns may be
 * out of reach.
 */
static const struct {
	const char *name;
	uint64_t inum;
} namespaces[NS_MAX] = {
	[NS_UTS] = {"uts", 0xeffffffe},
	[NS_IPC] = {"ipc", 0xefffffff},
	[NS_MNT] = {"mnt"},
	[NS_PID] = {"pid", 0xeffffffc},
	[NS_PID_FOR_CHILDREN] = {"pid_for_children", 0xeffffffc},
	[NS_NET] = {"net"},
	[NS_TIME] = {"time", 0xeffffffa},
	[NS_TIME_FOR_CHILDREN] = {"time_for_children", 0xeffffffa},
	[NS_CGROUP] = {"cgroup", 0xeffffffb},
	[NS_USER] = {"user", 0xeffffffd},
};

void backend_learn_namespaces(uint64_t mnt_ns, uint64_t host_ns[NS_MAX])
{
	for (size_t i = 0; i < NS_MAX; i++) {
		char path[64];
		struct stat st;

		snprintf(path, sizeof(path), "/proc/1/ns/%s", namespaces[i].name);
		host_ns[i] = stat(path, &st) == 0 ? st.st_ino : namespaces[i].inum;
	}
	if (mnt_ns)
		host_ns[NS_MNT] = mnt_ns;
}

int backend_identify(struct backend *b, const int *fds, size_t n, struct revshell_file_id *ret_ids)
{
	/* the loader's other descriptors are listed as well */
	const size_t max = 4096;
	_cleanup_free_ struct revshell_file_id *ids = calloc(max, sizeof(*ids));
	ssize_t size;

	if (!ids)
		return -ENOMEM;
	memset(ret_ids, 0, n * sizeof(*ret_ids));
	size = backend_files_prepare(b);
	if (size == 0)
		size = run_iterator(b->files_link, ids, max * sizeof(*ids));
	for (ssize_t k = 0; k < size / (ssize_t)sizeof(*ids); k++)
		for (size_t i = 0; i < n; i++)
			if (fds[i] >= 0 && ids[k].fd == (uint32_t)fds[i])
				ret_ids[i] = ids[k];
	return size < 0 ? (int)size : 0;
}

static int learn_batch(struct backend *b, struct ruleset_path **paths, size_t n, struct diag *d)
{
	struct revshell_file_id ids[BATCH];
	int fds[BATCH] = {}, r;

	for (size_t i = 0; i < n; i++) {
		fds[i] = open(paths[i]->path, O_PATH | O_CLOEXEC);
		if (fds[i] < 0)
			diag_warning(d, (struct diag_pos){}, "no-file",
				     "%s cannot be opened (%s): it exempts nothing until a reload "
				     "finds it",
				     paths[i]->path, strerror(errno));
	}
	r = backend_identify(b, fds, n, ids);
	for (size_t i = 0; i < n; i++) {
		if (fds[i] < 0)
			continue;
		if (r == 0) {
			paths[i]->value.ino = ids[i].ino;
			paths[i]->value.dev = ids[i].dev;
		}
		close(fds[i]);
	}
	return r;
}

int backend_learn_files(struct backend *b, struct ruleset *rs, struct diag *d)
{
	struct ruleset_path *batch[BATCH];
	size_t n = 0;
	int r = 0;

	for (unsigned int parent = 0; parent < 2 && r == 0; parent++) {
		for (size_t i = 0; i < rs->n_paths[parent] && r == 0; i++) {
			if (!rs->paths[parent][i].exempts)
				continue;
			batch[n++] = &rs->paths[parent][i];
			if (n == BATCH) {
				r = learn_batch(b, batch, n, d);
				n = 0;
			}
		}
	}
	if (r == 0 && n > 0)
		r = learn_batch(b, batch, n, d);
	if (r < 0)
		diag_error(d, (struct diag_pos){}, "files-unknown",
			   "cannot learn the inode numbers of exempted executables: %s",
			   strerror(-r));
	return r;
}
