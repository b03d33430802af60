/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Call stacks in an event, as Tetragon shows them: numbers as text, what is empty left out. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "event-internal.h"
#include "macro.h"

static void put_decimal(json_t *frame, const char *key, uint64_t n, bool *oom)
{
	char buf[24];

	if (!n)
		return;
	snprintf(buf, sizeof(buf), "%" PRIu64, n);
	event_put(frame, key, json_string(buf), oom);
}

/* A kernel address tells where the kernel lies; it is shown only where nothing else is known. */
static json_t *frame_of(uint64_t address, const struct symbol *symbol, bool show_address)
{
	json_t *frame = json_object();
	bool oom = !frame;

	if (!frame)
		return NULL;
	if (show_address || !symbol->name[0])
		put_decimal(frame, "address", address, &oom);
	put_decimal(frame, "offset", symbol->offset, &oom);
	event_put_text(frame, "symbol", symbol->name, &oom);
	event_put_text(frame, "module", symbol->module, &oom);
	if (!oom)
		return frame;
	json_decref(frame);
	return NULL;
}

static json_t *stack_of(const uint64_t *addresses, size_t n, const struct symbol *symbols,
			bool show_address)
{
	json_t *stack = json_array();

	for (size_t i = 0; stack && i < n; i++)
		if (json_array_append_new(stack,
					  frame_of(addresses[i], &symbols[i], show_address)) < 0) {
			json_decref(stack);
			return NULL;
		}
	return stack;
}

json_t *event_kernel_stack(const struct revshell_event_more *more, struct symbols *symbols)
{
	struct symbol found[REVSHELL_STACK_FRAMES];
	uint64_t addresses[REVSHELL_STACK_FRAMES];
	size_t n = more->n_kernel_stack;

	for (size_t i = 0; i < n; i++)
		addresses[i] = more->kernel_stack[i];
	symbols_find_kernel(symbols, addresses, n, found);
	return stack_of(addresses, n, found, false);
}

json_t *event_user_stack(const struct revshell_event_more *more)
{
	struct symbol found[REVSHELL_STACK_FRAMES];
	uint64_t addresses[REVSHELL_STACK_FRAMES];
	size_t n = more->n_user_stack;

	for (size_t i = 0; i < n; i++)
		addresses[i] = more->user_stack[i];
	symbols_find_user((pid_t)more->ev.pid, NULL, addresses, n, found);
	return stack_of(addresses, n, found, true);
}
