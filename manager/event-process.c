/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The caller and its parent in an event. */
#include <string.h>

#include "event-internal.h"
#include "macro.h"

/* Inline bytes of an executable's path; a path that could not be had is empty. */
static size_t exe_length(const struct revshell_exe *exe)
{
	if (!(exe->flags & REVSHELL_EXE_KNOWN))
		return 0;
	return MIN(exe->path_len, REVSHELL_PATH_INLINE - 1U);
}

static void put_exe(json_t *obj, const struct revshell_exe *exe, bool *oom)
{
	json_t *notes = NULL;
	const struct {
		bool applies;
		const char *note;
	} rows[] = {
		{!(exe->flags & REVSHELL_EXE_KNOWN), "path-unknown"},
		{exe_length(exe) && exe->path_len >= REVSHELL_PATH_INLINE, "path-cut"},
		{exe->flags & REVSHELL_EXE_FOREIGN, "foreign-mount-namespace"},
		{exe->flags & REVSHELL_EXE_DELETED, "deleted"},
	};

	event_put(obj, "binary", event_text(exe->path, exe_length(exe)), oom);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!rows[i].applies)
			continue;
		if (!notes)
			notes = json_array();
		if (json_array_append_new(notes, json_string(rows[i].note)) < 0)
			*oom = true;
	}
	if (notes)
		event_put(obj, "binary_identity", notes, oom);
}

/* argv[1..] joined with blanks; one that holds a blank stands in double quotes. */
static void put_arguments(json_t *process, const struct revshell_event *ev, bool *oom)
{
	/* at worst every byte is an argument of its own, and each may gain two quotes and a blank
	 */
	char text[REVSHELL_ARGS_SIZE * 3];
	size_t len = 0, start = strnlen(ev->args, ev->args_len) + 1;

	while (start < ev->args_len) {
		size_t n = strnlen(ev->args + start, ev->args_len - start);
		bool quote = memchr(ev->args + start, ' ', n);

		if (len)
			text[len++] = ' ';
		if (quote)
			text[len++] = '"';
		memcpy(text + len, ev->args + start, n);
		len += n;
		if (quote)
			text[len++] = '"';
		start += n + 1;
	}
	if (len)
		event_put(process, "arguments", event_text(text, len), oom);
}

static void put_flags(json_t *process, const struct revshell_event *ev, bool *oom)
{
	char text[128] = "";
	const struct {
		bool applies;
		const char *word;
	} rows[] = {
		{ev->label_flags & REVSHELL_LABEL_EXEC, " execve"},
		{!ev->label_flags, " procFS"},
		{ev->label_flags & REVSHELL_LABEL_FORK, " clone"},
		{!(ev->exe.flags & REVSHELL_EXE_KNOWN), " unknown"},
		{ev->cwd_len == 1 && ev->cwd[0] == '/', " rootcwd"},
		{ev->cwd_len == 0, " nocwd"},
		{ev->args_len >= REVSHELL_ARGS_SIZE - 1, " truncArgs"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].applies)
			strcat(text, rows[i].word);
	event_put(process, "flags", json_string(text + 1), oom);
}

json_t *event_process(const struct revshell_event *ev, int64_t boot_offset_ns, const char *node)
{
	json_t *p = json_object();
	/* a process that forked after its exec is younger than that exec */
	uint64_t start_ns = MAX(ev->start_ns, ev->exec_ns);
	bool oom = !p;

	if (!p)
		return NULL;
	event_put(p, "exec_id", event_exec_id(node, ev->start_ns, ev->pid), &oom);
	event_put(p, "pid", json_integer(ev->pid), &oom);
	event_put(p, "uid", json_integer(ev->uid), &oom);
	if (ev->cwd_len)
		event_put(p, "cwd", event_text(ev->cwd, strnlen(ev->cwd, ev->cwd_len)), &oom);
	put_exe(p, &ev->exe, &oom);
	put_arguments(p, ev, &oom);
	put_flags(p, ev, &oom);
	event_put(p, "start_time", event_boot_time(start_ns, boot_offset_ns), &oom);
	event_put(p, "auid", json_integer(ev->loginuid), &oom);
	if (ev->parent_pid)
		event_put(p, "parent_exec_id",
			  event_exec_id(node, ev->parent_start_ns, ev->parent_pid), &oom);
	event_put(p, "tid", json_integer(ev->tid), &oom);
	event_put(p, "in_init_tree", json_false(), &oom);
	if (oom) {
		json_decref(p);
		return NULL;
	}
	return p;
}

json_t *event_parent(const struct revshell_event *ev, int64_t boot_offset_ns, const char *node)
{
	json_t *p = json_object();
	bool oom = !p;

	if (!p)
		return NULL;
	event_put(p, "exec_id", event_exec_id(node, ev->parent_start_ns, ev->parent_pid), &oom);
	event_put(p, "pid", json_integer(ev->parent_pid), &oom);
	event_put(p, "uid", json_integer(ev->parent_uid), &oom);
	put_exe(p, &ev->parent, &oom);
	if (!(ev->parent.flags & REVSHELL_EXE_KNOWN))
		event_put(p, "flags", json_string("unknown"), &oom);
	event_put(p, "start_time", event_boot_time(ev->parent_start_ns, boot_offset_ns), &oom);
	event_put(p, "tid", json_integer(ev->parent_pid), &oom);
	if (oom) {
		json_decref(p);
		return NULL;
	}
	return p;
}
