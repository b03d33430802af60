/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Call stacks in an event, as Tetragon shows them: numbers as text, what is empty left out. */
#include "event-internal.h"
#include "macro.h"

static void put_decimal(struct line *l, const char *key, uint64_t n)
{
	if (n)
		line_decimal(l, key, n);
}

/* A kernel address tells where the kernel lies; it is shown only where nothing else is known. */
static void put_frame(struct line *l, uint64_t address, const struct symbol *symbol,
		      bool show_address)
{
	line_open(l, NULL, '{');
	if (show_address || !symbol->name[0])
		put_decimal(l, "address", address);
	put_decimal(l, "offset", symbol->offset);
	line_text(l, "symbol", symbol->name);
	line_text(l, "module", symbol->module);
	line_close(l, '}');
}

static void put_stack(struct line *l, const char *key, const uint64_t *addresses, size_t n,
		      const struct symbol *symbols, bool show_address)
{
	line_open(l, key, '[');
	for (size_t i = 0; i < n; i++)
		put_frame(l, addresses[i], &symbols[i], show_address);
	line_close(l, ']');
}

void event_put_kernel_stack(struct line *l, const struct revshell_event_more *more,
			    struct symbols *symbols)
{
	struct symbol found[REVSHELL_STACK_FRAMES];
	uint64_t addresses[REVSHELL_STACK_FRAMES];
	size_t n = more->n_kernel_stack;

	for (size_t i = 0; i < n; i++)
		addresses[i] = more->kernel_stack[i];
	symbols_find_kernel(symbols, addresses, n, found);
	put_stack(l, "kernel_stack_trace", addresses, n, found, false);
}

void event_put_user_stack(struct line *l, const struct revshell_event_more *more)
{
	struct symbol found[REVSHELL_STACK_FRAMES];
	uint64_t addresses[REVSHELL_STACK_FRAMES];
	size_t n = more->n_user_stack;

	for (size_t i = 0; i < n; i++)
		addresses[i] = more->user_stack[i];
	symbols_find_user((pid_t)more->ev.pid, NULL, addresses, n, found);
	put_stack(l, "user_stack_trace", addresses, n, found, true);
}
