/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading an event back from its JSON. Members that are not there are "" or NULL. */
#pragma once

#include <jansson.h>

static inline const json_t *event_body(const json_t *event)
{
	const json_t *lsm = json_object_get(event, "process_lsm");

	return lsm ? lsm : json_object_get(event, "process_kprobe");
}

static inline const char *event_member(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

/* The first argument that has the member, and there the member's value. */
static inline const json_t *event_find_arg(const json_t *body, const char *member)
{
	const json_t *args = json_object_get(body, "args");

	for (size_t i = 0; i < json_array_size(args); i++) {
		const json_t *value = json_object_get(json_array_get(args, i), member);

		if (value)
			return value;
	}
	return NULL;
}
