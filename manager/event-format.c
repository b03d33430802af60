/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events as lines: JSON with or without wrapped numbers. */
#include <string.h>

#include "event-internal.h"
#include "macro.h"

/* Turns the numbers that protobuf wraps into {"value": n}. */
static int wrap_numbers(json_t *process)
{
	static const char *const keys[] = {"pid", "tid", "uid", "auid"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		json_t *n = json_object_get(process, keys[i]);

		if (json_is_integer(n) &&
		    json_object_set_new(process, keys[i], json_pack("{sO}", "value", n)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static json_t *wrapped_copy(const json_t *event)
{
	static const char *const bodies[] = {"process_kprobe", "process_lsm"};
	json_t *copy = json_deep_copy(event);

	for (size_t i = 0; copy && i < ARRAY_SIZE(bodies); i++) {
		json_t *body = json_object_get(copy, bodies[i]);

		if (wrap_numbers(json_object_get(body, "process")) < 0 ||
		    wrap_numbers(json_object_get(body, "parent")) < 0 ||
		    wrap_numbers(json_object_get(body, "current")) < 0) {
			json_decref(copy);
			return NULL;
		}
	}
	return copy;
}

/*
 * JSON text is dumped as UTF-8; DEL and the control characters above 127, which a terminal may
 * obey, are written as escapes. They can only stand inside strings.
 */
static char *escape_controls(char *json)
{
	size_t n = strlen(json), extra = 0, o = 0;
	char *out;

	for (size_t i = 0; i < n; i++)
		if (json[i] == 0x7f || json[i] == '\xc2')
			extra += 5;
	if (!extra)
		return json;
	out = malloc(n + extra + 1);
	for (size_t i = 0; out && i < n; i++) {
		if (json[i] == 0x7f) {
			o += (size_t)sprintf(out + o, "\\u007f");
		} else if (json[i] == '\xc2' && (unsigned char)json[i + 1] < 0xa0) {
			o += (size_t)sprintf(out + o, "\\u%04x", (unsigned char)json[i + 1]);
			i++;
		} else {
			out[o++] = json[i];
		}
	}
	if (out)
		out[o] = '\0';
	free(json);
	return out;
}

/* json_dumps() loses text when memory runs out while it grows its buffer; this one cannot. */
static char *dump(const json_t *event)
{
	size_t n = json_dumpb(event, NULL, 0, JSON_COMPACT);
	char *line = n ? malloc(n + 1) : NULL;

	if (!line)
		return NULL;
	if (json_dumpb(event, line, n, JSON_COMPACT) != n) {
		free(line);
		return NULL;
	}
	line[n] = '\0';
	return line;
}

char *event_format(const json_t *event, enum event_format format, bool color)
{
	json_t *wrapped;
	char *line;

	switch (format) {
	case EVENT_COMPACT:
		return event_compact(event, color);
	case EVENT_TETRAGON:
		line = dump(event);
		break;
	default:
		wrapped = wrapped_copy(event);
		line = wrapped ? dump(wrapped) : NULL;
		json_decref(wrapped);
		break;
	}
	return line ? escape_controls(line) : NULL;
}
