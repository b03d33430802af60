/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of event share: JSON helpers, text that may be hostile, names of numbers. */
#pragma once

#include <netinet/in.h>

#include "event.h"

/* Room for an address as text, IPv4 inside IPv6 included. */
#define EVENT_ADDR_SIZE INET6_ADDRSTRLEN

/* Takes value over into obj. On lack of memory, value NULL included, sets *oom. */
void event_put(json_t *obj, const char *key, json_t *value, bool *oom);

/* The same for text; an empty one is left out, as Tetragon's encoder does with zero values. */
void event_put_text(json_t *obj, const char *key, const char *s, bool *oom);
void event_put_number(json_t *obj, const char *key, uint64_t n, bool *oom);

/* A JSON string of n bytes from outside: what is not UTF-8, and NUL, becomes U+FFFD. */
json_t *event_text(const char *s, size_t n);

/* RFC 3339 in UTC with nine digits; ns since 1970. NULL on lack of memory. */
json_t *event_time(int64_t ns);

/* The same of a record's CLOCK_BOOTTIME, which may be any number: sums beyond 64 bits wrap. */
json_t *event_boot_time(uint64_t boot_ns, int64_t boot_offset_ns);

/* base64("NODE:START:PID"). */
json_t *event_exec_id(const char *node, uint64_t start_ns, uint32_t pid);

/* Text of an address in buf; "invalid IP" for other families. */
const char *event_address(unsigned int family, const uint8_t *addr, char buf[EVENT_ADDR_SIZE]);

/* Names such as AF_INET, or the number in buf. */
const char *event_errno_name(int error, char buf[12]); /* of -errno: "EPERM" */
const char *event_family_name(unsigned int family, char buf[12]);
const char *event_type_name(unsigned int type, char buf[12]);
const char *event_protocol_name(unsigned int protocol, char buf[12]);
const char *event_state_name(unsigned int state, char buf[12]);

/* event-process.c */
json_t *event_process(const struct revshell_event *ev, int64_t boot_offset_ns, const char *node);
json_t *event_parent(const struct revshell_event *ev, int64_t boot_offset_ns, const char *node);

/* event-args.c: one object per argument in the entry's order. NULL on lack of memory. */
json_t *event_args(const struct revshell_event *ev, const struct policy_entry *e);

/* The socket that the call returned, in the same form. */
json_t *event_return(const struct revshell_event *ev, const struct policy_entry *e);

/* event-stack.c: frames, innermost first. NULL on lack of memory. */
json_t *event_kernel_stack(const struct revshell_event_more *more, struct symbols *symbols);
json_t *event_user_stack(const struct revshell_event_more *more);

/* event-compact.c */
char *event_compact(const json_t *event, bool color);
/* Text from outside: quoted as Go quotes it where it holds anything unusual. */
void event_put_quoted(FILE *f, const char *s);
/* "ADDRESS:PORT" of two members of an argument, "[ADDRESS]:PORT" for IPv6. */
void event_put_address(FILE *f, const json_t *arg, const char *addr, const char *port);
