/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The caller and its parent in an event. */
#include <string.h>

#include "event-internal.h"
#include "macro.h"

size_t event_exe_length(const struct revshell_exe *exe)
{
	if (!(exe->flags & REVSHELL_EXE_KNOWN))
		return 0;
	return MIN(exe->path_len, REVSHELL_PATH_INLINE - 1U);
}

static void put_exe(struct line *l, const struct revshell_exe *exe)
{
	size_t len = event_exe_length(exe);
	const struct {
		bool applies;
		const char *note;
	} rows[] = {
		{!(exe->flags & REVSHELL_EXE_KNOWN), "path-unknown"},
		{len && exe->path_len >= REVSHELL_PATH_INLINE, "path-cut"},
		{exe->flags & REVSHELL_EXE_FOREIGN, "foreign-mount-namespace"},
		{exe->flags & REVSHELL_EXE_DELETED, "deleted"},
	};
	bool any = false;

	line_bytes(l, "binary", exe->path, len);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!rows[i].applies)
			continue;
		if (!any)
			line_open(l, "binary_identity", '[');
		any = true;
		line_string(l, NULL, rows[i].note);
	}
	if (any)
		line_close(l, ']');
}

/* argv[1..] joined with blanks; one that holds a blank stands in double quotes. */
static void put_arguments(struct line *l, const struct revshell_event *ev)
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
		line_bytes(l, "arguments", text, len);
}

static void put_flags(struct line *l, const struct revshell_event *ev)
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
	line_string(l, "flags", *text ? text + 1 : text);
}

void event_put_process(struct line *l, const char *key, const struct revshell_event *ev,
		       int64_t boot_offset_ns, const char *node)
{
	/* a process that forked after its exec is younger than that exec */
	uint64_t start_ns = MAX(ev->start_ns, ev->exec_ns);

	line_open(l, key, '{');
	line_exec_id(l, "exec_id", node, ev->start_ns, ev->pid);
	line_integer(l, "pid", ev->pid);
	line_integer(l, "uid", ev->uid);
	if (ev->cwd_len)
		line_bytes(l, "cwd", ev->cwd, strnlen(ev->cwd, ev->cwd_len));
	put_exe(l, &ev->exe);
	put_arguments(l, ev);
	put_flags(l, ev);
	event_put_time(l, "start_time", start_ns, boot_offset_ns);
	line_integer(l, "auid", ev->loginuid);
	if (ev->parent_pid)
		line_exec_id(l, "parent_exec_id", node, ev->parent_start_ns, ev->parent_pid);
	line_integer(l, "tid", ev->tid);
	line_false(l, "in_init_tree");
	line_close(l, '}');
}

void event_put_parent(struct line *l, const struct revshell_event *ev, int64_t boot_offset_ns,
		      const char *node)
{
	line_open(l, "parent", '{');
	line_exec_id(l, "exec_id", node, ev->parent_start_ns, ev->parent_pid);
	line_integer(l, "pid", ev->parent_pid);
	line_integer(l, "uid", ev->parent_uid);
	put_exe(l, &ev->parent);
	if (!(ev->parent.flags & REVSHELL_EXE_KNOWN))
		line_string(l, "flags", "unknown");
	event_put_time(l, "start_time", ev->parent_start_ns, boot_offset_ns);
	line_integer(l, "tid", ev->parent_pid);
	line_close(l, '}');
}
