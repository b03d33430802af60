/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a host could still be managed: its ways to the bus and to ssh, tried by simulation. */
#include "plane.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "macro.h"
#include "simulate-facts.h"

static const char daemon_path[] = REVSHELL_SBINDIR "/revshelld";
static const char client_path[] = REVSHELL_BINDIR "/revshellctl";

#define BUS_SOCKET "/run/dbus/system_bus_socket"

/* Words of a call, as of revshellctl simulate. Of dbus-daemon's user the name alone is known. */
#define TO_BUS                                                                                \
	[SIM_WORD_HOOK] = "connect", [SIM_WORD_DST] = BUS_SOCKET, [SIM_WORD_TYPE] = "stream", \
	[SIM_WORD_PROTOCOL] = "0", [SIM_WORD_UID] = "0", [SIM_WORD_GID] = "0"
#define ON_BUS(hook)                                                                     \
	[SIM_WORD_HOOK] = hook, [SIM_WORD_SRC] = BUS_SOCKET, [SIM_WORD_TYPE] = "stream", \
	[SIM_WORD_PROTOCOL] = "0"
#define SSH(hook, family)                                                                  \
	[SIM_WORD_EXE] = "/usr/sbin/sshd", [SIM_WORD_HOOK] = hook, [SIM_WORD_SRC] = ":22", \
	[SIM_WORD_FAMILY] = family, [SIM_WORD_PROTOCOL] = "tcp", [SIM_WORD_UID] = "0",     \
	[SIM_WORD_GID] = "0"

static const struct way {
	const char *what;
	const char *told[SIM_WORD_MAX];
} ways[] = {
	{"connect to the bus", {[SIM_WORD_EXE] = daemon_path, TO_BUS}},
	{"connect to the bus", {[SIM_WORD_EXE] = client_path, TO_BUS}},
	{"connect to the bus", {[SIM_WORD_EXE] = "/usr/lib/systemd/systemd", TO_BUS}},
	{"listen on the bus's socket",
	 {[SIM_WORD_EXE] = "/usr/lib/systemd/systemd", ON_BUS("listen")}},
	{"accept on the bus's socket", {[SIM_WORD_EXE] = "/usr/bin/dbus-daemon", ON_BUS("accept")}},
	{"accept on the bus's socket", {[SIM_WORD_EXE] = "/usr/bin/dbus-broker", ON_BUS("accept")}},
	{"listen on port 22", {SSH("listen", "inet")}},
	{"listen on port 22", {SSH("listen", "inet6")}},
	{"accept on port 22", {SSH("accept", "inet")}},
	{"accept on port 22", {SSH("accept", "inet6")}},
};

static bool kills(const struct ruleset_hook *h, const struct sim_outcome *outcome)
{
	for (uint32_t i = 0; i < h->cfg.n_signals; i++)
		if (outcome->signals >> i & 1 && h->cfg.signals[i] == SIGKILL)
			return true;
	return false;
}

static void warn(const struct ruleset *rs, const struct way *way, const struct sim_call *call,
		 const struct sim_decision *decision, struct diag *d)
{
	const struct ruleset_hook *h = &rs->hooks[call->hook];
	const struct ruleset_selector *by =
		decision->outcome.deny >= 0 ? &h->selectors[decision->outcome.deny] : NULL;
	const struct policy *p = by ? rs->policies.policies[by->policy] : NULL;
	const struct diag_pos pos =
		p ? p->entries[by->entry].selectors[by->selector].pos : (struct diag_pos){};

	diag_warning(d, pos, "plane-closed", "under enforce %s could not %s%s%s",
		     way->told[SIM_WORD_EXE], way->what,
		     p ? ": denied by policy " : " and would be killed", p ? p->name : "");
}

/* Up to the first call that is refused: there is one warning a way. */
static int try_way(const struct ruleset *rs, const struct way *way, struct diag *d)
{
	struct sim_words words = {.numeric = true};
	struct sim_mistake mistake;
	struct sim_decision decision;
	struct sim_facts facts;
	int r;

	memcpy(words.told, way->told, sizeof(words.told));
	r = sim_facts_read(&words, &facts, &mistake);
	if (r < 0)
		return r;
	for (size_t i = 0; i < facts.op.n_calls; i++) {
		const struct sim_call *call = &facts.op.calls[i];

		if (!rs->hooks[call->hook].n_selectors)
			continue;
		sim_decide(rs, call, true, &decision);
		if (decision.outcome.deny < 0 && !kills(&rs->hooks[call->hook], &decision.outcome))
			continue;
		warn(rs, way, call, &decision, d);
		break;
	}
	sim_facts_done(&facts);
	return 0;
}

int plane_check(const struct ruleset *rs, const char *root, struct diag *d)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ways) && r >= 0; i++) {
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, "%s%s", root, ways[i].told[SIM_WORD_EXE]) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		if (access(path, F_OK) == 0)
			r = try_way(rs, &ways[i], d);
	}
	return r;
}
