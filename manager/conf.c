/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration's form, and where its files lie. What keys mean is config.c's business. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "file-list.h"
#include "policy.h"

#define SECTION_MAX 64U

struct parser {
	const char *file;
	uint32_t line;
	char section[SECTION_MAX];
	conf_fn fn;
	void *userdata;
	struct diag *d;
	int ret; /* the first failure */
};

static void fail(struct parser *p, int err)
{
	if (p->ret == 0 || err == -ENOMEM)
		p->ret = err;
}

static void error_at(struct parser *p, size_t column, const char *code, const char *message)
{
	diag_error(p->d, (struct diag_pos){p->file, p->line, (uint32_t)column + 1}, code, "%s",
		   message);
	fail(p, -EINVAL);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool key_is_valid(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isascii((unsigned char)s[i]) || !isalnum((unsigned char)s[i]))
			return false;
	return n > 0 && n < SECTION_MAX;
}

/* [NAME] */
static void parse_section(struct parser *p, const char *line, size_t begin, size_t end)
{
	size_t n = end - begin - 2;

	if (end - begin < 2 || line[end - 1] != ']' || !key_is_valid(line + begin + 1, n)) {
		error_at(p, begin, "bad-section", "a section is a word in brackets, [Daemon]");
		p->section[0] = '\0';
		return;
	}
	memcpy(p->section, line + begin + 1, n);
	p->section[n] = '\0';
}

/* strndup() for text without a NUL behind it: strict sanitizers let strndup() look for one. */
static char *copy_text(const char *text, size_t n)
{
	char *copy = malloc(n + 1);

	if (copy) {
		memcpy(copy, text, n);
		copy[n] = '\0';
	}
	return copy;
}

static void parse_pair(struct parser *p, const char *line, size_t begin, size_t end)
{
	const char *equals = memchr(line + begin, '=', end - begin);
	_cleanup_free_ char *key = NULL, *value = NULL;
	size_t key_end, value_begin;
	int err;

	if (!equals) {
		error_at(p, begin, "no-value", "neither a section nor KEY=VALUE");
		return;
	}
	key_end = (size_t)(equals - line);
	value_begin = key_end + 1;
	while (key_end > begin && is_blank(line[key_end - 1]))
		key_end--;
	while (value_begin < end && is_blank(line[value_begin]))
		value_begin++;
	if (!key_is_valid(line + begin, key_end - begin)) {
		error_at(p, begin, "bad-key", "a key consists of letters and digits");
		return;
	}
	key = copy_text(line + begin, key_end - begin);
	value = copy_text(line + value_begin, end - value_begin);
	if (!key || !value) {
		fail(p, -ENOMEM);
		return;
	}
	err = p->fn(p->section, key, value,
		    (struct diag_pos){p->file, p->line, (uint32_t)begin + 1}, p->d, p->userdata);
	if (err < 0)
		fail(p, err);
}

static void parse_line(struct parser *p, const char *line, size_t n)
{
	size_t begin = 0, end = n;

	while (begin < end && is_blank(line[begin]))
		begin++;
	while (end > begin && is_blank(line[end - 1]))
		end--;
	if (begin == end || line[begin] == '#' || line[begin] == ';')
		return;
	if (line[begin] == '[')
		parse_section(p, line, begin, end);
	else
		parse_pair(p, line, begin, end);
}

int conf_parse(const char *text, size_t size, const char *file, conf_fn fn, void *userdata,
	       struct diag *d)
{
	struct parser p = {.file = file, .fn = fn, .userdata = userdata, .d = d};

	if (size > CONF_MAX_SIZE || memchr(text, '\0', size)) {
		error_at(&p, 0, "not-text",
			 size > CONF_MAX_SIZE ? "more than the 65536 bytes allowed" : "a NUL byte");
		return p.ret;
	}
	for (size_t begin = 0; begin < size && p.ret != -ENOMEM;) {
		const char *newline = memchr(text + begin, '\n', size - begin);
		size_t end = newline ? (size_t)(newline - text) : size;

		p.line++;
		parse_line(&p, text + begin, end - begin);
		begin = end + 1;
	}
	return p.ret;
}

static int read_one(const char *path, bool required, conf_fn fn, void *userdata, struct diag *d)
{
	const struct policy_options opts = {};
	_cleanup_free_ char *text = NULL;
	size_t size;
	int err;

	if (!required && access(path, F_OK) < 0 && errno == ENOENT)
		return -ENOENT;
	err = policy_read_file(path, &opts, d, &text, &size);
	if (err < 0 || !text)
		return err;
	return conf_parse(text, size, path, fn, userdata, d);
}

int conf_read_file(const char *path, conf_fn fn, void *userdata, struct diag *d)
{
	return read_one(path, true, fn, userdata, d);
}

static int list_dropins(const char *dir, const char *name, size_t index, struct file_list *l)
{
	_cleanup_free_ char *folder = NULL;
	struct dirent *e;
	int err = 0;
	DIR *stream;

	if (asprintf(&folder, "%s/%s.conf.d", dir, name) < 0) {
		folder = NULL;
		return -ENOMEM;
	}
	stream = opendir(folder);
	/* whose it is shows in its files, which are looked at one by one */
	while (stream && err == 0 && (e = readdir(stream))) {
		const char *dot = strrchr(e->d_name, '.');

		if (e->d_name[0] != '.' && dot && strcmp(dot, ".conf") == 0)
			err = file_list_add(l, folder, index, e->d_name);
	}
	if (stream)
		closedir(stream);
	return err;
}

static int read_main(const char *const *dirs, size_t n_dirs, const char *name, conf_fn fn,
		     void *userdata, struct diag *d)
{
	int err = -ENOENT;

	for (size_t i = 0; i < n_dirs && err == -ENOENT; i++) {
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, "%s/%s.conf", dirs[i], name) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		err = read_one(path, false, fn, userdata, d);
	}
	return err == -ENOENT ? 0 : err;
}

int conf_read_dirs(const char *const *dirs, size_t n_dirs, const char *name, conf_fn fn,
		   void *userdata, struct diag *d)
{
	struct file_list l = {};
	int err = 0, failed;

	failed = read_main(dirs, n_dirs, name, fn, userdata, d);
	for (size_t i = 0; i < n_dirs && err == 0; i++)
		err = list_dropins(dirs[i], name, i, &l);
	file_list_settle(&l);
	for (size_t i = 0; i < l.n && err != -ENOMEM; i++) {
		err = read_one(l.files[i].path, true, fn, userdata, d);
		if (err < 0)
			failed = err;
	}
	file_list_done(&l);
	return err == -ENOMEM ? err : failed;
}
