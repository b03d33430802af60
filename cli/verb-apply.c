/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verbs apply, policy add, remove and show. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "bus.h"
#include "ctl.h"
#include "yaml.h"

/* Appends one text to out, as documents of their own. */
static int copy_text(int fd, FILE *out)
{
	char buffer[16384], last = '\n';
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		last = buffer[n - 1];
		if (fwrite(buffer, 1, (size_t)n, out) != (size_t)n)
			return -EIO;
		if (ftello(out) > (off_t)YAML_MAX_SIZE)
			return -EFBIG;
	}
	return last == '\n' || fputc('\n', out) != EOF ? 0 : -EIO;
}

static int is_policy(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return e->d_name[0] != '.' && dot &&
	       (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static int copy_dir(int dir, FILE *out)
{
	struct dirent **entries;
	int n, r = 0;

	n = scandirat(dir, ".", &entries, is_policy, alphasort);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		_cleanup_close_ int fd = -EBADF;

		if (r >= 0) {
			fd = openat(dir, entries[i]->d_name, O_RDONLY | O_CLOEXEC);
			r = fd < 0 ? -errno : 0;
		}
		if (r >= 0 && fputs("---\n", out) == EOF)
			r = -EIO;
		if (r >= 0)
			r = copy_text(fd, out);
		free(entries[i]);
	}
	free(entries);
	return r < 0 ? r : n == 0 ? -ENOENT : 0;
}

/* A memfd with the text of a file, of standard input, or of a directory's files. */
static int gather(const char *from, int *ret_fd)
{
	_cleanup_close_ int in = -EBADF, fd = -EBADF;
	_cleanup_fclose_ FILE *out = NULL;
	struct stat st;
	int r;

	in = strcmp(from, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
				    : open(from, O_RDONLY | O_CLOEXEC);
	if (in < 0 || fstat(in, &st) < 0)
		return -errno;
	fd = memfd_create("policies", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (r < 0)
		return -errno;
	out = fdopen(r, "w");
	if (!out) {
		close(r);
		return -ENOMEM;
	}
	r = S_ISDIR(st.st_mode) ? copy_dir(in, out) : copy_text(in, out);
	if (r >= 0 && fflush(out) != 0)
		r = -errno;
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int apply_from(struct ctl *c, const char *from, uint64_t *ret_generation)
{
	const char *action = "apply the policies";
	sd_bus_message *m = NULL, *reply = NULL;
	_cleanup_close_ int fd = -EBADF;
	int r;

	r = gather(from, &fd);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", from, r == -EFBIG ? "more than 1 MiB" : strerror(-r));
		return ctl_fail_text(action, "the policies cannot be read", NULL);
	}
	r = ctl_connect(c, action);
	if (r != 0)
		return r;
	r = ctl_new_call(c, NULL, "ApplyFd", &m);
	if (r >= 0)
		r = sd_bus_message_append(m, "h", fd);
	if (r >= 0)
		r = ctl_append_change_options(c, m);
	r = ctl_call(c, action, m, r, &reply);
	if (r != 0)
		return r;
	r = sd_bus_message_read(reply, "t", ret_generation);
	sd_bus_message_unref(reply);
	if (r < 0)
		return ctl_fail_reply(action, r);
	if (!c->dry_run)
		ctl_tell_warnings(c);
	return CTL_OK;
}

int verb_apply(struct ctl *c, int argc, char **argv)
{
	uint64_t generation = 0;
	int r;

	r = apply_from(c, argv[1], &generation);
	if (r != CTL_OK)
		return r;
	if (c->json != CTL_JSON_OFF)
		return ctl_print_json(c, json_pack("{s:I, s:b}", "generation",
						   (json_int_t)generation, "dry_run", c->dry_run));
	printf("generation %" PRIu64 "%s\n", generation, c->dry_run ? " stays" : "");
	return CTL_OK;
}

int verb_policy_add(struct ctl *c, int argc, char **argv)
{
	uint64_t generation;

	return apply_from(c, argv[1], &generation);
}

int verb_policy_remove(struct ctl *c, int argc, char **argv)
{
	const char *action = "remove the policy";
	sd_bus_message *m = NULL, *reply = NULL;
	int r;

	r = ctl_connect(c, action);
	if (r != 0)
		return r;
	r = ctl_new_call(c, NULL, "RemovePolicy", &m);
	if (r >= 0)
		r = sd_bus_message_append(m, "s", argv[1]);
	if (r >= 0)
		r = ctl_append_change_options(c, m);
	r = ctl_call(c, action, m, r, &reply);
	sd_bus_message_unref(reply);
	return r;
}

static const struct {
	const char *property, *label, *key, *type;
} shown[] = {
	{"Id", "Policy", "id", "s"},
	{"Description", "Description", "description", "s"},
	{"Path", "File", "path", "s"},
	{"Origin", "Origin", "origin", "s"},
	{"Mode", "Mode", "mode", "s"},
	{"EffectiveMode", "In effect", "effective_mode", "s"},
	{"Digest", "Digest", "digest", "s"},
	{"NRules", "Rules", "rules", "u"},
	{"Matches", "Matches", "matches", "t"},
	{"Denials", "Denials", "denials", "t"},
};

/* The value of one property as JSON. */
static int get_property(struct ctl *c, const char *path, const char *name, const char *type,
			sd_bus_error *error, json_t **ret_value)
{
	sd_bus_message *reply = NULL;
	const char *s;
	uint64_t n64;
	uint32_t n32;
	int r;

	r = sd_bus_get_property(c->bus, BUS_NAME, path, BUS_POLICY_INTERFACE, name, error, &reply,
				type);
	if (r < 0)
		return r;
	switch (type[0]) {
	case 's':
		r = sd_bus_message_read(reply, "s", &s);
		*ret_value = r < 0 ? NULL : json_string(s);
		break;
	case 'u':
		r = sd_bus_message_read(reply, "u", &n32);
		*ret_value = r < 0 ? NULL : json_integer(n32);
		break;
	default:
		r = sd_bus_message_read(reply, "t", &n64);
		*ret_value = r < 0 ? NULL : json_integer((json_int_t)n64);
	}
	sd_bus_message_unref(reply);
	return r < 0 ? r : *ret_value ? 0 : -ENOMEM;
}

static void print_properties(const json_t *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++) {
		const json_t *value = json_object_get(o, shown[i].key);

		if (!json_is_string(value))
			printf("%11s: %" JSON_INTEGER_FORMAT "\n", shown[i].label,
			       json_integer_value(value));
		else if (*json_string_value(value))
			printf("%11s: %s\n", shown[i].label, json_string_value(value));
	}
}

/* The path by the daemon, so that an id that is not loaded is told as such. */
static int get_path(struct ctl *c, const char *action, const char *id, char **ret_path)
{
	sd_bus_message *m = NULL, *reply = NULL;
	const char *path;
	int r;

	r = ctl_connect(c, action);
	if (r != 0)
		return r;
	r = ctl_new_call(c, NULL, "GetPolicy", &m);
	if (r >= 0)
		r = sd_bus_message_append(m, "s", id);
	r = ctl_call(c, action, m, r, &reply);
	if (r != 0)
		return r;
	r = sd_bus_message_read(reply, "o", &path);
	*ret_path = r < 0 ? NULL : strdup(path);
	sd_bus_message_unref(reply);
	return *ret_path ? 0 : ctl_fail_reply(action, r < 0 ? r : -ENOMEM);
}

int verb_policy_show(struct ctl *c, int argc, char **argv)
{
	const char *action = "show the policy";
	sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_free_ char *path = NULL;
	json_t *o;
	int r;

	r = get_path(c, action, argv[1], &path);
	if (r != 0)
		return r;
	o = json_object();
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(shown); i++) {
		json_t *value;

		r = get_property(c, path, shown[i].property, shown[i].type, &error, &value);
		if (r >= 0)
			json_object_set_new(o, shown[i].key, value);
	}
	if (r < 0) {
		json_decref(o);
		r = ctl_fail(action, r, sd_bus_error_is_set(&error) ? &error : NULL);
		sd_bus_error_free(&error);
		return r;
	}
	if (c->json != CTL_JSON_OFF)
		return ctl_print_json(c, o);
	print_properties(o);
	json_decref(o);
	return CTL_OK;
}
