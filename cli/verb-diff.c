/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verb policy diff: what a reload, or an apply, would change. */
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "ctl.h"
#include "diag.h"
#include "macro.h"
#include "policy.h"

static const char *const action = "compare the policies";

extern char **environ;

/* Tells the mistakes that keep the files from being loaded. */
static int load(char *from, struct policy_set *set)
{
	const struct policy_options opts = {};
	struct diag d = {};
	int r;

	r = ctl_load_policies(from, &opts, &d, set);
	if (r < 0) {
		ctl_print_diag(stderr, &d);
		r = ctl_fail_text(action, d.n_errors ? "the files have errors" : strerror(-r),
				  NULL);
	}
	diag_done(&d);
	return r;
}

/* The ids of the policies in force. */
static int list(struct ctl *c, json_t **ret_ids)
{
	sd_bus_message *reply = NULL;
	struct ctl_policy line;
	int r;

	r = ctl_list_policies(c, action, &reply);
	if (r != 0)
		return r;
	*ret_ids = json_array();
	while ((r = ctl_read_policy(reply, &line)) > 0)
		if (json_array_append_new(*ret_ids, json_string(line.id)) < 0) {
			r = -ENOMEM;
			break;
		}
	sd_bus_message_unref(reply);
	if (r < 0)
		json_decref(*ret_ids);
	return r < 0 ? ctl_fail_reply(action, r) : 0;
}

/* A descriptor that diff inherits. */
static int text_fd(const char *text)
{
	size_t size = strlen(text);
	int fd = memfd_create("policy", 0);

	if (fd >= 0 && write(fd, text, size) != (ssize_t)size) {
		close(fd);
		return -EIO;
	}
	return fd < 0 ? -errno : fd;
}

/* By diff(1), as administrators read it. */
static int print_diff(const struct policy *p, const char *text)
{
	_cleanup_close_ int old = text_fd(text), new = text_fd(p->source);
	_cleanup_free_ char *label = NULL, *from = NULL, *to = NULL;
	pid_t pid;
	int r;

	if (old < 0 || new < 0)
		return ctl_fail(action, old < 0 ? old : new, NULL);
	if (asprintf(&label, "%s in force", p->name) < 0 ||
	    asprintf(&from, "/dev/fd/%d", old) < 0 || asprintf(&to, "/dev/fd/%d", new) < 0)
		return ctl_fail(action, -ENOMEM, NULL);

	char *const argv[] = {(char *)"diff",
			      (char *)"-u",
			      (char *)"--label",
			      label,
			      (char *)"--label",
			      p->origin,
			      from,
			      to,
			      NULL};

	fflush(stdout);
	r = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (r != 0)
		return ctl_fail_text(action, "diff cannot be run", strerror(r));
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

static int add(json_t *changes, const char *id, const char *change)
{
	if (json_array_append_new(changes, json_pack("{s:s, s:s}", "id", id, "change", change)) < 0)
		return ctl_fail(action, -ENOMEM, NULL);
	return 0;
}

static bool is_listed(const json_t *ids, const char *id)
{
	for (size_t i = 0; i < json_array_size(ids); i++)
		if (strcmp(json_string_value(json_array_get(ids, i)), id) == 0)
			return true;
	return false;
}

static const struct policy *find(const struct policy_set *set, const char *id)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->policies[i]->name, id) == 0)
			return set->policies[i];
	return NULL;
}

/* Of one policy that is in force. printed: the file whose difference was told last. */
static int compare(struct ctl *c, const struct policy_set *set, const char *id, json_t *changes,
		   const char **printed)
{
	const struct policy *p = find(set, id);
	_cleanup_free_ char *text = NULL;
	int r;

	if (!p) {
		if (c->json == CTL_JSON_OFF)
			printf("Only in force: %s\n", id);
		return add(changes, id, "removed");
	}
	r = ctl_get_source(c, action, id, &text);
	if (r != 0 || !text || strcmp(text, p->source) == 0)
		return r;
	if (c->json == CTL_JSON_OFF && (!*printed || strcmp(*printed, p->origin) != 0))
		r = print_diff(p, text);
	*printed = p->origin;
	return r != 0 ? r : add(changes, id, "changed");
}

static int compare_all(struct ctl *c, const struct policy_set *set, json_t *changes)
{
	const char *printed = NULL;
	json_t *ids;
	int r;

	r = list(c, &ids);
	if (r != 0)
		return r;
	for (size_t i = 0; r == 0 && i < json_array_size(ids); i++)
		r = compare(c, set, json_string_value(json_array_get(ids, i)), changes, &printed);
	for (size_t i = 0; r == 0 && i < set->n; i++) {
		const struct policy *p = set->policies[i];

		if (is_listed(ids, p->name))
			continue;
		if (c->json == CTL_JSON_OFF)
			printf("Only in %s: %s\n", p->origin, p->name);
		r = add(changes, p->name, "added");
	}
	json_decref(ids);
	return r;
}

int verb_policy_diff(struct ctl *c, int argc, char **argv)
{
	struct policy_set set = {};
	json_t *changes;
	bool same;
	int r;

	r = load(argc > 1 ? argv[1] : NULL, &set);
	if (r != 0)
		return r;
	changes = json_array();
	r = compare_all(c, &set, changes);
	policy_set_done(&set);
	same = json_array_size(changes) == 0;
	if (r == 0 && c->json != CTL_JSON_OFF)
		r = ctl_print_json(c, changes);
	else
		json_decref(changes);
	return r != 0 ? r : same ? CTL_OK : CTL_FAILED;
}
