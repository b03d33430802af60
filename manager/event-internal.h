/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of event share: JSON helpers, text that may be hostile, names of numbers. */
#pragma once

#include <netinet/in.h>

#include "event.h"
#include "event-line.h"

/* Room for an address as text, IPv4 inside IPv6 included. */
#define EVENT_ADDR_SIZE INET6_ADDRSTRLEN

/* Takes value over into obj. On lack of memory, value NULL included, sets *oom. */
void event_put(json_t *obj, const char *key, json_t *value, bool *oom);

/* The same for text; an empty one is left out, as Tetragon's encoder does with zero values. */
void event_put_text(json_t *obj, const char *key, const char *s, bool *oom);
void event_put_number(json_t *obj, const char *key, uint64_t n, bool *oom);

/* Instead of what is not UTF-8, and of NUL: U+FFFD. */
#define EVENT_REPLACEMENT "\xef\xbf\xbd"

/* n bytes from outside with that done, into out of n * 3; their number. */
size_t event_clean(const char *s, size_t n, char *out);

/* The same as a JSON string. */
json_t *event_text(const char *s, size_t n);

/* A record's CLOCK_BOOTTIME, which may be any number, as text: sums beyond 64 bits wrap. */
void event_put_time(struct line *l, const char *key, uint64_t boot_ns, int64_t boot_offset_ns);

/* Text of an address in buf; "invalid IP" for other families. */
const char *event_address(unsigned int family, const uint8_t *addr, char buf[EVENT_ADDR_SIZE]);

/* Names such as AF_INET, or the number in buf. */
const char *event_errno_name(int error, char buf[12]); /* of -errno: "EPERM" */
const char *event_family_name(unsigned int family, char buf[12]);
const char *event_type_name(unsigned int type, char buf[12]);
const char *event_protocol_name(unsigned int protocol, char buf[12]);
const char *event_state_name(unsigned int state, char buf[12]);

/* event-process.c */
void event_put_process(struct line *l, const char *key, const struct revshell_event *ev,
		       int64_t boot_offset_ns, const char *node);
void event_put_parent(struct line *l, const struct revshell_event *ev, int64_t boot_offset_ns,
		      const char *node);
/* Inline bytes of an executable's path; a path that could not be had is empty. */
size_t event_exe_length(const struct revshell_exe *exe);

/* event-args.c: one object per argument in the entry's order. */
void event_put_args(struct line *l, const struct revshell_event *ev, const struct policy_entry *e);

/* The socket that the call returned, in the same form. */
void event_put_return(struct line *l, const struct revshell_event *ev,
		      const struct policy_entry *e);

/* event-stack.c: frames, innermost first. */
void event_put_kernel_stack(struct line *l, const struct revshell_event_more *more,
			    struct symbols *symbols);
void event_put_user_stack(struct line *l, const struct revshell_event_more *more);

/* event-compact.c */
char *event_compact(const json_t *event, bool color);
/* Text from outside: quoted as Go quotes it where it holds anything unusual. */
void event_put_quoted(FILE *f, const char *s);
/* "ADDRESS:PORT" of two members of an argument, "[ADDRESS]:PORT" for IPv6. */
void event_put_address(FILE *f, const json_t *arg, const char *addr, const char *port);
