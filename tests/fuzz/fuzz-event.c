/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a record of the kernel: refused, or events that print without control characters. */
#include <string.h>

#include "event.h"
#include "fuzz.h"

#define HEAD(name)                         \
	"apiVersion: cilium.io/v1alpha1\n" \
	"kind: TracingPolicy\n"            \
	"metadata: {name: " name "}\n"     \
	"spec:\n"

static const char policies[] =
	HEAD("kprobes") "  kprobes:\n"
			"  - call: tcp_connect\n"
			"    syscall: false\n"
			"    message: no way\n"
			"    tags: [network]\n"
			"    args: [{index: 0, type: sock, label: conn}]\n"
			"    selectors: [{label: first, matchActions: [{action: Sigkill}]}]\n"
			"  - call: security_socket_connect\n"
			"    syscall: false\n"
			"    args:\n"
			"    - {index: 0, type: socket}\n"
			"    - {index: 1, type: sockaddr}\n"
			"    - {index: 1, type: sockaddr_un}\n"
			"    - {index: 2, type: int8}\n"
			"  - call: tcp_sendmsg\n"
			"    syscall: false\n"
			"    args: [{index: 0, type: sock}, {index: 2, type: size_t}]\n"
			"  - call: sk_alloc\n"
			"    syscall: false\n"
			"    return: true\n"
			"    returnArg: {index: 0, type: sock}\n"
			"    returnArgAction: TrackSock\n"
			"    args: [{index: 1, type: int}, {index: 2, type: uint32}]\n"
			"---\n" HEAD("lsm") "  options: [{name: policy-mode, value: monitor}]\n"
					    "  lsmhooks:\n"
					    "  - hook: socket_connect\n"
					    "    args: [{index: 1, type: sockaddr}]\n"
					    "    selectors:\n"
					    "    - matchActions: [{action: Override}]\n"
					    "  - hook: socket_create\n"
					    "    args:\n"
					    "    - {index: 0, type: int}\n"
					    "    - {index: 1, type: uint16}\n"
					    "    - {index: 3, type: long}\n";

static struct ruleset *fixed_ruleset(void)
{
	static const struct policy_options options = {.offline = true};
	static const struct ruleset_options backend = {.observe_tcp_connect = true,
						       .observe_listen_start = true};
	static struct ruleset *rs;
	struct policy_set set = {};
	struct diag d = {};

	if (rs)
		return rs;
	fuzz_assert(policy_load_text(policies, strlen(policies), "f", &options, &d, &set) == 0);
	fuzz_assert(ruleset_compile(&set, &backend, NULL, &d, &rs) == 0);
	policy_set_done(&set);
	diag_done(&d);
	return rs;
}

struct seen {
	int n;
};

/* Colours are escape sequences; nothing else may be below a blank. */
static void check_line(const char *line, bool color)
{
	fuzz_assert(line && line[0]);
	for (const char *c = line; *c; c++)
		fuzz_assert(((unsigned char)*c >= 0x20 && *c != 0x7f) || (color && *c == '\033'));
}

static int check_event(const struct event_line *text, const struct ruleset_selector *sel,
		       void *userdata)
{
	json_t *event = json_loadb(text->text, text->len, JSON_REJECT_DUPLICATES, NULL);
	struct seen *seen = userdata;

	fuzz_assert(event && strlen(text->text) == text->len);
	fuzz_assert(sel->selector != UINT32_MAX);
	for (int format = EVENT_JSON; format <= EVENT_COMPACT; format++) {
		for (int color = 0; color < 2; color++) {
			char *line = event_format(event, format, color);

			check_line(line, format == EVENT_COMPACT && color);
			if (format != EVENT_COMPACT) {
				json_t *again = json_loads(line, 0, NULL);

				fuzz_assert(again);
				if (format == EVENT_TETRAGON)
					fuzz_assert(strcmp(line, text->text) == 0);
				json_decref(again);
			}
			free(line);
		}
	}
	json_decref(event);
	seen->n++;
	return 0;
}

/* An input shorter than a record is one whose end is zero, so that small inputs get somewhere. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ruleset *rs = fixed_ruleset();
	static const struct event_host host = {1700000000000000000LL, "node", NULL};
	struct revshell_event_more more = {};
	const struct revshell_event *ev = &more.ev;
	struct seen seen = {};
	int n, bits = 0;

	memcpy(&more, data, size < sizeof(more) ? size : sizeof(more));
	fuzz_assert(event_expand(ev, sizeof(*ev) - 1, rs, &host, NULL, check_event, &seen) ==
		    -EBADMSG);
	fuzz_assert(seen.n == 0);
	n = event_expand(ev, size & 1 ? sizeof(more) : sizeof(*ev), rs, &host, NULL, check_event,
			 &seen);
	fuzz_assert(n == -EBADMSG || n >= 0);
	if (n < 0)
		return 0;
	for (size_t w = 0; w < REVSHELL_WORDS; w++)
		bits += __builtin_popcountll(ev->match[w]);
	fuzz_assert(n == bits && n == seen.n);
	return 0;
}
