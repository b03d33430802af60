/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Methods that change policies: Apply, and the short forms of it. */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "bus-internal.h"
#include "yaml.h"

#define MAX_CHANGES (2 * POLICY_MAX_FILES)

static int disk_error(sd_bus_error *error, int r)
{
	return sd_bus_error_set_errnof(error, r, "Failed to write to the policy directory: %s",
				       strerror(-r));
}

/* An error of manager_apply in the bus's terms. */
static int apply_error(struct bus *b, sd_bus_error *error, int r, const char *id,
		       const struct diag *d)
{
	if (d->n_errors > 0)
		return bus_commit_error(error, r, d);
	switch (r) {
	case -ENOENT:
		if (id)
			return bus_no_such_policy(error, id);
		break;
	case -EPERM:
		if (id)
			return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
						 "Policy '%s' holds no action that enforces", id);
		break;
	case -EROFS:
		if (id)
			return sd_bus_error_setf(error, BUS_ERROR_POLICY_IS_VENDOR,
						 "Policy '%s' is of a lower directory; option "
						 "'mask' hides it",
						 id);
		return disk_error(error, r);
	case -ENOSPC:
	case -EDQUOT:
		return disk_error(error, r);
	case -EEXIST:
		if (id)
			return sd_bus_error_setf(error, BUS_ERROR_POLICY_EXISTS,
						 "Policy '%s' is in a directory of higher "
						 "precedence",
						 id);
		break;
	case -ESTALE:
		return sd_bus_error_setf(error, BUS_ERROR_GENERATION_MISMATCH,
					 "Generation %" PRIu64 " is in force",
					 manager_current(b->manager)->number);
	case -EOPNOTSUPP:
		return sd_bus_error_set(error, SD_BUS_ERROR_NOT_SUPPORTED,
					"No policy directory is below /run");
	case -E2BIG:
		return sd_bus_error_set(error, BUS_ERROR_LIMIT_EXCEEDED, "Too many policies");
	}
	return bus_commit_error(error, r, d);
}

static int apply(struct bus *b, struct manager_transaction *t, const struct manager_who *who,
		 uint64_t *ret_generation, sd_bus_error *error)
{
	_cleanup_free_ char *id = NULL;
	struct diag d = {};
	int r;

	t->ret_id = &id;
	t->ret_generation = ret_generation;
	r = manager_apply(b->manager, t, who, &d);
	t->ret_id = NULL;
	t->ret_generation = NULL;
	if (r < 0)
		r = apply_error(b, error, r, id, &d);
	diag_done(&d);
	return r;
}

/* The options of everything that writes; single: of the methods for one policy. */
static int read_options(sd_bus_message *m, bool single, struct manager_transaction *t,
			struct manager_who *who, sd_bus_error *error)
{
	int dry_run = false, runtime = false, mask = false, replace_all = false;
	const struct bus_option options[] = {
		{"reason", "s", &who->reason},
		{"expected-generation", "t", &t->expected},
		{"runtime", "b", &runtime},
		{"dry-run", "b", &dry_run},
		{"mask", "b", &mask},
		{single ? NULL : "replace-all", "b", &replace_all},
		{},
	};
	int r;

	r = bus_read_options(m, options, error);
	if (r < 0)
		return r;
	t->dry_run = dry_run;
	t->runtime = runtime;
	t->mask = mask;
	t->replace_all = replace_all;
	return bus_check_reason(who, error);
}

/*
 * Copies a text out of a descriptor. Only files that cannot block are read, by position, so that
 * the caller's offset does not matter; what they do to the file meanwhile changes nothing later.
 */
static int read_fd(int fd, char **ret_text, sd_bus_error *error)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t size = 0;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, &st) < 0)
		return sd_bus_error_set_errnof(error, errno, "Bad descriptor: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
					"The descriptor is no regular file or memfd");
	if ((flags & O_ACCMODE) == O_WRONLY || flags & O_PATH)
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
					"The descriptor is not open for reading");
	text = malloc(YAML_MAX_SIZE + 2);
	if (!text)
		return -ENOMEM;
	while (size <= YAML_MAX_SIZE) {
		ssize_t n = pread(fd, text + size, YAML_MAX_SIZE + 1 - size, (off_t)size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return sd_bus_error_set_errnof(error, errno, "Failed to read: %s",
						       strerror(errno));
		if (n == 0)
			break;
		size += (size_t)n;
	}
	if (size > YAML_MAX_SIZE)
		return sd_bus_error_setf(error, BUS_ERROR_LIMIT_EXCEEDED,
					 "The text has more than the %u bytes allowed",
					 YAML_MAX_SIZE);
	if (memchr(text, '\0', size))
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "The text holds a NUL");
	text[size] = '\0';
	*ret_text = TAKE_PTR(text);
	return 0;
}

static int reply_path(sd_bus_message *m, const char *id)
{
	_cleanup_free_ char *path = NULL;
	int r;

	r = sd_bus_path_encode(BUS_POLICY_PATH, id, &path);
	return r < 0 ? r : sd_bus_reply_method_return(m, "o", path);
}

static int put(struct bus *b, sd_bus_message *m, const char *id, const char *text,
	       struct manager_who *who, sd_bus_error *error)
{
	const struct manager_change change = {.kind = MANAGER_PUT, .id = id, .text = text};
	struct manager_transaction t = {.changes = &change, .n = 1};
	int r;

	if (!*id)
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "The id is empty");
	r = read_options(m, true, &t, who, error);
	if (r >= 0)
		r = apply(b, &t, who, NULL, error);
	return r < 0 ? r : reply_path(m, id);
}

int bus_method_put_policy(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct manager_who who;
	const char *id, *text;
	int r;

	r = bus_check_caller(m, &who, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "ss", &id, &text);
	return r < 0 ? r : put(userdata, m, id, text, &who, error);
}

int bus_method_put_policy_fd(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_free_ char *text = NULL;
	struct manager_who who;
	const char *id;
	int r, fd;

	r = bus_check_caller(m, &who, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "sh", &id, &fd);
	if (r >= 0)
		r = read_fd(fd, &text, error);
	return r < 0 ? r : put(userdata, m, id, text, &who, error);
}

int bus_method_validate_policy_fd(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;
	_cleanup_free_ char *text = NULL;
	sd_bus_message *reply = NULL;
	struct diag d = {};
	int r, fd;

	r = bus_check_caller(m, NULL, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "h", &fd);
	if (r >= 0)
		r = read_fd(fd, &text, error);
	if (r < 0)
		return r;
	r = manager_validate(b->manager, text, strlen(text), "policy", &d);
	if (r < 0 && d.n_errors == 0) {
		diag_done(&d);
		return sd_bus_error_set_errnof(error, r, "Failed to check: %s", strerror(-r));
	}
	r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = bus_append_diag(reply, &d);
	diag_done(&d);
	return bus_send_and_unref(reply, r);
}

int bus_remove_policy(struct bus *b, sd_bus_message *m, const char *id, sd_bus_error *error)
{
	const struct manager_change change = {.kind = MANAGER_REMOVE, .id = id};
	struct manager_transaction t = {.changes = &change, .n = 1};
	struct manager_who who;
	int r;

	r = bus_check_caller(m, &who, error);
	if (r >= 0)
		r = read_options(m, true, &t, &who, error);
	if (r >= 0)
		r = apply(b, &t, &who, NULL, error);
	return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

int bus_method_remove_policy(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *id;
	int r = sd_bus_message_read(m, "s", &id);

	return r < 0 ? r : bus_remove_policy(userdata, m, id, error);
}

static int read_mode(const char *s, enum manager_policy_mode *ret_mode, sd_bus_error *error)
{
	int mode = manager_policy_mode_parse(s);

	if (mode < 0)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
					 "Mode '%s' is none of enforce, monitor, off, default", s);
	*ret_mode = (enum manager_policy_mode)mode;
	return 0;
}

int bus_set_policy_mode(struct bus *b, sd_bus_message *m, const char *id, sd_bus_error *error)
{
	struct manager_change change = {.kind = MANAGER_SET_MODE, .id = id};
	struct manager_transaction t = {.changes = &change, .n = 1};
	struct manager_who who;
	const char *text;
	int r;

	r = bus_check_caller(m, &who, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &text);
	if (r >= 0)
		r = read_mode(text, &change.mode, error);
	if (r >= 0)
		r = bus_read_reason(m, &who, error);
	if (r >= 0)
		r = apply(b, &t, &who, NULL, error);
	return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

int bus_method_set_policy_mode(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *id;
	int r = sd_bus_message_read(m, "s", &id);

	return r < 0 ? r : bus_set_policy_mode(userdata, m, id, error);
}

static int read_change(const char *verb, const char *id, const char *text,
		       struct manager_change *ret_change, sd_bus_error *error)
{
	*ret_change = (struct manager_change){.id = id};
	if (!*id)
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "The id is empty");
	if (strcmp(verb, "put") == 0) {
		ret_change->kind = MANAGER_PUT;
		ret_change->text = text;
		return 0;
	}
	if (strcmp(verb, "remove") == 0) {
		ret_change->kind = MANAGER_REMOVE;
		return !*text ? 0
			      : sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
						 "A removal takes no text");
	}
	if (strcmp(verb, "set-mode") == 0) {
		ret_change->kind = MANAGER_SET_MODE;
		return read_mode(text, &ret_change->mode, error);
	}
	return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
				 "Change '%s' is none of put, remove, set-mode", verb);
}

static int read_changes(sd_bus_message *m, struct manager_change *changes, size_t *ret_n,
			sd_bus_error *error)
{
	const char *verb, *id, *text;
	size_t n = 0;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "(sss)");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_read(m, "(sss)", &verb, &id, &text)) > 0) {
		if (n == MAX_CHANGES)
			return sd_bus_error_setf(error, BUS_ERROR_LIMIT_EXCEEDED,
						 "More than %u changes", MAX_CHANGES);
		r = read_change(verb, id, text, &changes[n++], error);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	*ret_n = n;
	return sd_bus_message_exit_container(m);
}

static int apply_and_reply(struct bus *b, sd_bus_message *m, struct manager_transaction *t,
			   struct manager_who *who, sd_bus_error *error)
{
	uint64_t generation;
	int r;

	r = read_options(m, false, t, who, error);
	if (r >= 0)
		r = apply(b, t, who, &generation, error);
	return r < 0 ? r : sd_bus_reply_method_return(m, "t", generation);
}

int bus_method_apply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_free_ struct manager_change *changes = NULL;
	struct manager_transaction t = {};
	struct manager_who who;
	int r;

	r = bus_check_caller(m, &who, error);
	if (r < 0)
		return r;
	changes = calloc(MAX_CHANGES, sizeof(*changes));
	if (!changes)
		return -ENOMEM;
	t.changes = changes;
	r = read_changes(m, changes, &t.n, error);
	return r < 0 ? r : apply_and_reply(userdata, m, &t, &who, error);
}

int bus_method_apply_fd(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct manager_change change = {.kind = MANAGER_PUT, .id = ""};
	struct manager_transaction t = {.changes = &change, .n = 1};
	_cleanup_free_ char *text = NULL;
	struct manager_who who;
	int r, fd;

	r = bus_check_caller(m, &who, error);
	if (r >= 0)
		r = sd_bus_message_read(m, "h", &fd);
	if (r >= 0)
		r = read_fd(fd, &text, error);
	change.text = text;
	return r < 0 ? r : apply_and_reply(userdata, m, &t, &who, error);
}
