/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a kernel record to one event for each selector that matched. */
#include <ctype.h>
#include <signal.h>
#include <string.h>

#include "event-internal.h"
#include "macro.h"

static const char *const verdict_names[] = {
	[EVENT_ALLOWED] = "allowed",
	[EVENT_WOULD_DENY] = "would-deny",
	[EVENT_DENIED] = "denied",
	[EVENT_KILLED] = "killed",
};

const char *event_verdict_name(enum event_verdict v)
{
	return v < ARRAY_SIZE(verdict_names) ? verdict_names[v] : "unknown";
}

static bool have_kill(const struct policy_action *actions, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (actions[i].kind == ACTION_SIGKILL || actions[i].signal == SIGKILL)
			return true;
	return false;
}

static bool wants_kill(const struct policy_selector *s)
{
	return have_kill(s->actions, s->n_actions) ||
	       have_kill(s->return_actions, s->n_return_actions);
}

static const struct policy_selector *selector_of(const struct ruleset *rs,
						 const struct ruleset_selector *sel)
{
	return &rs->policies.policies[sel->policy]->entries[sel->entry].selectors[sel->selector];
}

enum event_verdict event_get_verdict(const struct revshell_event *ev, const struct ruleset *rs,
				     unsigned int selector)
{
	const struct ruleset_hook *h = &rs->hooks[ev->hook];
	const struct policy_selector *s = selector_of(rs, &h->selectors[selector]);

	if (ev->verdict & REVSHELL_VERDICT_SIGNAL)
		for (uint32_t i = 0; i < h->cfg.n_signals; i++)
			if (h->cfg.signals[i] == SIGKILL &&
			    ruleset_has_bit(h->cfg.signal[i], selector))
				return EVENT_KILLED;
	if (ev->verdict & REVSHELL_VERDICT_DENY && ruleset_has_bit(h->cfg.deny, selector))
		return EVENT_DENIED;
	if (ruleset_selector_denies(s) || wants_kill(s))
		return EVENT_WOULD_DENY;
	return EVENT_ALLOWED;
}

static bool more_is_valid(const struct revshell_event_more *more)
{
	const struct revshell_owner *owner = &more->owner;

	if (more->n_kernel_stack > REVSHELL_STACK_FRAMES ||
	    more->n_user_stack > REVSHELL_STACK_FRAMES)
		return false;
	/* without a creator, all that follows is random */
	return !owner->pid ||
	       (owner->args_len <= sizeof(owner->args) && owner->cwd_len <= sizeof(owner->cwd) &&
		owner->exe.path_len <= REVSHELL_PATH_MAX &&
		owner->parent.path_len <= REVSHELL_PATH_MAX);
}

/* What the rest relies on. A record comes from the kernel, but not always from ours. */
static int event_validate(const struct revshell_event *ev, size_t size, const struct ruleset *rs)
{
	const struct ruleset_hook *h;

	if (size < sizeof(*ev))
		return -EBADMSG;
	if (ev->hook >= REVSHELL_HOOK_MAX || ev->n_words > REVSHELL_WORDS)
		return -EBADMSG;
	if (ev->verdict & ~(REVSHELL_VERDICT_DENY | REVSHELL_VERDICT_SIGNAL))
		return -EBADMSG;
	if (ev->error > 0 || ev->error < -4095 || ev->mode > REVSHELL_MODE_ENFORCE)
		return -EBADMSG;
	if (ev->args_len > sizeof(ev->args) || ev->cwd_len > sizeof(ev->cwd) ||
	    ev->sa.path_len > sizeof(ev->sa.path) || ev->exe.path_len > REVSHELL_PATH_MAX ||
	    ev->parent.path_len > REVSHELL_PATH_MAX)
		return -EBADMSG;
	if (size >= sizeof(struct revshell_event_more) &&
	    !more_is_valid((const struct revshell_event_more *)ev))
		return -EBADMSG;
	h = &rs->hooks[ev->hook];
	for (size_t w = 0; w < REVSHELL_WORDS; w++)
		for (__u64 left = ev->match[w]; left; left &= left - 1) {
			size_t bit = w * 64 + (size_t)__builtin_ctzll(left);

			if (w >= ev->n_words || bit >= h->n_selectors ||
			    h->selectors[bit].selector == UINT32_MAX)
				return -EBADMSG;
		}
	return 0;
}

/* The last action of those that ran, by Tetragon's name. */
static json_t *action_of(const struct policy_action *actions, size_t n)
{
	const char *name = policy_action_name(n ? actions[n - 1].kind : ACTION_POST);
	char text[64] = "KPROBE_ACTION_";
	size_t len = strlen(text);

	for (; *name && len < sizeof(text) - 1; name++)
		text[len++] = (char)toupper((unsigned char)*name);
	return json_stringn(text, len);
}

static json_t *tags_of(const struct policy_entry *e)
{
	json_t *tags = json_array();

	for (size_t i = 0; i < e->n_tags; i++)
		if (json_array_append_new(tags, event_text(e->tags[i], strlen(e->tags[i]))) < 0) {
			json_decref(tags);
			return NULL;
		}
	return tags;
}

/* The hook that carried an address to what policies say of connect. */
static const char *const via_names[REVSHELL_VIA_MAX] = {
	[REVSHELL_VIA_SENDMSG] = "sendmsg",
	[REVSHELL_VIA_SCTP] = "sctp_bind_connect",
};

/* The facts that Tetragon's events do not have, in keys of their own. */
static void put_added(json_t *body, const struct revshell_event *ev, const struct ruleset *rs,
		      unsigned int bit, bool *oom)
{
	const struct ruleset_selector *sel = &rs->hooks[ev->hook].selectors[bit];
	const struct policy_selector *s = selector_of(rs, sel);
	enum event_verdict verdict = event_get_verdict(ev, rs, bit);
	const char *via = ev->via < REVSHELL_VIA_MAX ? via_names[ev->via] : NULL;
	bool enforce = rs->effective[sel->policy].mode == POLICY_MODE_ENFORCE;

	event_put(body, "verdict", json_string(event_verdict_name(verdict)), oom);
	if (ev->error && (verdict == EVENT_DENIED || verdict == EVENT_KILLED)) {
		char buf[12];

		event_put(body, "errno", json_string(event_errno_name(ev->error, buf)), oom);
	}
	event_put(body, "policy_mode", json_string(enforce ? "enforce" : "monitor"), oom);
	event_put(body, "mode",
		  json_string(ev->mode == REVSHELL_MODE_ENFORCE ? "enforce" : "monitor"), oom);
	event_put_number(body, "generation", ev->generation, oom);
	event_put(body, "hook", json_string(ruleset_hook_name(ev->hook)), oom);
	event_put(body, "gid", json_integer(ev->gid), oom);
	event_put_number(body, "cgroup_id", ev->cgroup_id, oom);
	if (rs->hooks[ev->hook].cfg.predicates) /* for explain: they settle what is not shown */
		event_put(body, "predicates",
			  json_sprintf("0x%llx", (unsigned long long)ev->predicates), oom);
	if (via)
		event_put(body, "via", json_string(via), oom);
	event_put(body, "selector", json_integer(sel->selector), oom);
	if (s->label)
		event_put_text(body, "selector_label", s->label, oom);
}

/* An event in the making, of one selector of a record. */
struct making {
	const struct revshell_event *ev;
	const struct revshell_event_more *more; /* the same record, or NULL */
	const struct ruleset *rs;
	unsigned int bit;
	const struct event_host *host;
};

/*
 * Where the policy tracks sockets, the process of an event is the one that created the socket; the
 * caller is told in a key of its own.
 */
static void put_processes(json_t *body, const struct making *m, bool track_sock, bool *oom)
{
	const struct revshell_owner *owner = m->more && track_sock ? &m->more->owner : NULL;
	int64_t offset = m->host->boot_offset_ns;
	const struct revshell_event *ev = m->ev;
	const char *node = m->host->node;
	struct revshell_event creator;

	if (!owner || !owner->pid) {
		event_put(body, "process", event_process(ev, offset, node), oom);
		if (ev->parent_pid)
			event_put(body, "parent", event_parent(ev, offset, node), oom);
		return;
	}
	if (owner->pid == ev->pid && owner->start_ns == ev->start_ns) {
		/* all that is known of the caller holds */
		creator = *ev;
	} else {
		creator = (struct revshell_event){
			.label_flags = owner->label_flags,
			.exec_ns = owner->exec_ns,
			.exe = owner->exe,
			.parent = owner->parent,
			.parent_pid = owner->parent_pid,
			.parent_start_ns = owner->parent_start_ns,
			.args_len = owner->args_len,
			.cwd_len = owner->cwd_len,
		};
		memcpy(creator.args, owner->args, sizeof(creator.args));
		memcpy(creator.cwd, owner->cwd, sizeof(creator.cwd));
	}
	creator.pid = owner->pid;
	creator.tid = owner->tid;
	creator.uid = owner->uid;
	creator.loginuid = owner->loginuid;
	creator.start_ns = owner->start_ns;
	event_put(body, "process", event_process(&creator, offset, node), oom);
	if (creator.parent_pid)
		event_put(body, "parent", event_parent(&creator, offset, node), oom);
	event_put(body, "current", event_process(ev, offset, node), oom);
}

/* The call stacks that the selector asks for. */
static void put_stacks(json_t *body, const struct making *m, const struct policy_selector *s,
		       bool *oom)
{
	bool kernel = false, user = false;

	for (size_t i = 0; i < s->n_actions; i++) {
		kernel = kernel || s->actions[i].kernel_stack;
		user = user || s->actions[i].user_stack;
	}
	if (kernel && m->more)
		event_put(body, "kernel_stack_trace", event_kernel_stack(m->more, m->host->symbols),
			  oom);
	if (user && m->more)
		event_put(body, "user_stack_trace", event_user_stack(m->more), oom);
}

static json_t *body_of(const struct making *m)
{
	const struct ruleset_selector *sel = &m->rs->hooks[m->ev->hook].selectors[m->bit];
	const struct policy *p = m->rs->policies.policies[sel->policy];
	const struct policy_entry *e = &p->entries[sel->entry];
	const struct policy_selector *s = selector_of(m->rs, sel);
	json_t *body = json_object();
	bool oom = !body;

	if (!body)
		return NULL;
	put_processes(body, m, m->rs->effective[sel->policy].track_sock, &oom);
	event_put_text(body, "function_name", e->call->name, &oom);
	if (e->n_args)
		event_put(body, "args", event_args(m->ev, e), &oom);
	if (e->return_arg.type == ARG_SOCK)
		event_put(body, "return", event_return(m->ev, e), &oom);
	event_put(body, "action", action_of(s->actions, s->n_actions), &oom);
	put_stacks(body, m, s, &oom);
	if (e->section != SECTION_LSMHOOKS)
		event_put(body, "return_action", action_of(s->return_actions, s->n_return_actions),
			  &oom);
	event_put_text(body, "policy_name", p->name, &oom);
	if (e->message)
		event_put_text(body, "message", e->message, &oom);
	if (e->n_tags)
		event_put(body, "tags", tags_of(e), &oom);
	put_added(body, m->ev, m->rs, m->bit, &oom);
	if (oom) {
		json_decref(body);
		return NULL;
	}
	return body;
}

static json_t *event_of(const struct making *m)
{
	const struct ruleset_selector *sel = &m->rs->hooks[m->ev->hook].selectors[m->bit];
	const struct policy_entry *e = &m->rs->policies.policies[sel->policy]->entries[sel->entry];
	json_t *event = json_object();
	bool oom = !event;

	if (!event)
		return NULL;
	event_put(event, e->section == SECTION_LSMHOOKS ? "process_lsm" : "process_kprobe",
		  body_of(m), &oom);
	event_put_text(event, "node_name", m->host->node, &oom);
	event_put(event, "time", event_boot_time(m->ev->time_ns, m->host->boot_offset_ns), &oom);
	if (oom) {
		json_decref(event);
		return NULL;
	}
	return event;
}

int event_expand(const struct revshell_event *ev, size_t size, const struct ruleset *rs,
		 const struct event_host *host, event_want_fn want, event_fn fn, void *userdata)
{
	struct making m = {.ev = ev, .rs = rs, .host = host};
	int n = 0, err;

	err = event_validate(ev, size, rs);
	if (err < 0)
		return err;
	if (size >= sizeof(*m.more))
		m.more = (const struct revshell_event_more *)ev;
	for (unsigned int w = 0; w < ev->n_words; w++)
		for (__u64 left = ev->match[w]; left; left &= left - 1) {
			unsigned int bit = w * 64 + (unsigned int)__builtin_ctzll(left);
			const struct ruleset_selector *sel = &rs->hooks[ev->hook].selectors[bit];
			json_t *event;

			if (want && !want(sel, userdata))
				continue;
			m.bit = bit;
			event = event_of(&m);
			if (!event)
				return -ENOMEM;
			err = fn(event, sel, userdata);
			json_decref(event);
			if (err < 0)
				return err;
			n++;
		}
	return n;
}
