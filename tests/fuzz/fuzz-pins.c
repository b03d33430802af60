/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as what a daemon finds pinned: maps of any form and contents. Asserted is that nothing
 * is copied out of a map of another form than expected (the kernel writes as much as the map says),
 * and that enforcement which stands in a map of the right form is found.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backend-internal.h"
#include "fuzz.h"
#include "revshell.skel.h"

#define N_CPUS 4

/* A pinned object as the input has it. */
struct pin {
	uint8_t error;	   /* of opening it, 0: none */
	uint8_t info;	   /* not 0: no map, the kernel tells nothing of its form */
	uint16_t type;	   /* enum bpf_map_type */
	uint16_t key_size; /* with 4, the value's size is what decides */
	uint16_t value_size;
	uint8_t contents[24];
};

static const struct place {
	const char *path; /* below the folder of pins */
	size_t value_size;
} places[] = {
	{"v%d/map_rs_meta", sizeof(struct revshell_meta)},
	{"v%d/map_rs_mode", sizeof(struct revshell_mode_value)},
	{"v9999/map_rs_mode", sizeof(struct revshell_mode_value)},
	{"new/map_rs_mode", sizeof(struct revshell_mode_value)},
};
#define N_PLACES (sizeof(places) / sizeof(places[0]))

static struct pin pins[N_PLACES];
static int fds[N_PLACES];
static char base[64];
static const uint8_t *overrides;
static size_t n_overrides;

static ssize_t find_place(int fd)
{
	for (size_t i = 0; i < N_PLACES; i++)
		if (fds[i] == fd)
			return (ssize_t)i;
	return -1;
}

int __wrap_statfs64(const char *path, struct statfs *ret);
int __wrap_statfs64(const char *path, struct statfs *ret)
{
	*ret = (struct statfs){.f_type = BPF_FS_MAGIC};
	return 0;
}

int __wrap_bpf_obj_get(const char *path);
int __wrap_bpf_obj_get(const char *path)
{
	for (size_t i = 0; i < N_PLACES; i++) {
		char name[64];
		int fd;

		snprintf(name, sizeof(name), places[i].path, REVSHELL_ABI);
		if (strcmp(path + strlen(base) + 1, name) != 0)
			continue;
		if (pins[i].error) {
			errno = pins[i].error;
			return -errno;
		}
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		fuzz_assert(fd >= 0);
		/* one that was closed since may have had the same number */
		for (size_t k = 0; k < N_PLACES; k++)
			if (fds[k] == fd)
				fds[k] = -1;
		fds[i] = fd;
		return fd;
	}
	errno = ENOENT;
	return -ENOENT;
}

int __wrap_bpf_obj_get_info_by_fd(int fd, void *ret_info, __u32 *size);
int __wrap_bpf_obj_get_info_by_fd(int fd, void *ret_info, __u32 *size)
{
	ssize_t i = find_place(fd);
	struct bpf_map_info *info = ret_info;

	fuzz_assert(i >= 0 && *size == sizeof(*info));
	if (pins[i].info)
		return -EINVAL;
	*info = (struct bpf_map_info){.type = pins[i].type,
				      .key_size = pins[i].key_size,
				      .value_size = pins[i].value_size,
				      .max_entries = 1};
	return 0;
}

static bool is_per_cpu(uint32_t type)
{
	return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *ret_value);
int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *ret_value)
{
	ssize_t i = find_place(fd);
	size_t size;

	if (i < 0) { /* rs_overrides: the mode behind the name */
		memcpy(ret_value, (const char *)key + sizeof(struct revshell_override_key) - 4, 4);
		return 0;
	}
	if (pins[i].info)
		return -EINVAL;
	size = pins[i].value_size;
	if (is_per_cpu(pins[i].type))
		size = (size + 7) / 8 * 8 * N_CPUS;
	fuzz_assert(size == places[i].value_size && pins[i].key_size == sizeof(__u32));
	memcpy(ret_value, pins[i].contents, size);
	return 0;
}

int __wrap_bpf_map_get_next_key(int fd, const void *key, void *ret_next);
int __wrap_bpf_map_get_next_key(int fd, const void *key, void *ret_next)
{
	if (n_overrides < sizeof(struct revshell_override_key))
		return -ENOENT;
	memcpy(ret_next, overrides, sizeof(struct revshell_override_key));
	overrides += sizeof(struct revshell_override_key);
	n_overrides -= sizeof(struct revshell_override_key);
	return 0;
}

static int check_override(const char *name, int mode, void *userdata)
{
	fuzz_assert(strlen(name) < sizeof(struct revshell_override_key));
	++*(size_t *)userdata;
	return 0;
}

static bool has_form(size_t i)
{
	return !pins[i].error && !pins[i].info && pins[i].type == BPF_MAP_TYPE_ARRAY &&
	       pins[i].key_size == sizeof(__u32) && pins[i].value_size == places[i].value_size;
}

static void check_mode(const struct backend *b)
{
	enum revshell_mode mode = REVSHELL_MODE_MONITOR;
	bool found, any = false, enforce = false;

	for (size_t i = 1; i < N_PLACES; i++) {
		struct revshell_mode_value value;

		memcpy(&value, pins[i].contents, sizeof(value));
		any |= has_form(i);
		enforce |= has_form(i) && value.mode == REVSHELL_MODE_ENFORCE && !value.deadline_ns;
	}
	found = backend_left_mode(b, &mode);
	fuzz_assert(found == any);
	fuzz_assert(mode == (enforce ? REVSHELL_MODE_ENFORCE : REVSHELL_MODE_MONITOR));
}

/* The versions' folders themselves are real, below a temporary one. */
static void make_folders(void)
{
	const char *const names[] = {"v9999", "new"};
	char path[128];

	if (base[0])
		return;
	strcpy(base, "/tmp/revshell-pins-XXXXXX");
	fuzz_assert(mkdtemp(base));
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", base, names[i]);
		fuzz_assert(mkdir(path, 0700) == 0);
	}
	snprintf(path, sizeof(path), "%s/v%d", base, REVSHELL_ABI);
	fuzz_assert(mkdir(path, 0700) == 0);
}

static void remove_folders(void)
{
	fuzz_assert(backend_disarm(NULL, base) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct revshell_bpf skel = {};
	struct backend b = {.kind = BACKEND_LSM, .skel = &skel};
	struct revshell_meta meta;
	size_t n = 0;

	if (!base[0])
		atexit(remove_folders);
	make_folders();
	memset(pins, 0, sizeof(pins));
	memcpy(pins, data, size < sizeof(pins) ? size : sizeof(pins));
	memset(fds, -1, sizeof(fds));
	overrides = data + sizeof(pins);
	n_overrides = size < sizeof(pins) ? 0 : size - sizeof(pins);

	/* folders belong to root, or the daemon looks no further */
	if (backend_pins_open(&b, base) == 0) {
		memcpy(&meta, pins[0].contents, sizeof(meta));
		fuzz_assert(b.pins.present);
		fuzz_assert(b.pins.complete == (has_form(0) && meta.complete));
		check_mode(&b);
	} else {
		fuzz_assert(geteuid() != 0);
	}
	fuzz_assert(backend_each_override(&b, check_override, &n) == 0);
	fuzz_assert(n == (size < sizeof(pins)
				  ? 0
				  : (size - sizeof(pins)) / sizeof(struct revshell_override_key)));
	backend_pins_done(&b);
	return 0;
}
