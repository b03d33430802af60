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
static void put_action(struct line *l, const char *key, const struct policy_action *actions,
		       size_t n)
{
	const char *name = policy_action_name(n ? actions[n - 1].kind : ACTION_POST);
	char text[64] = "KPROBE_ACTION_";
	size_t len = strlen(text);

	for (; *name && len < sizeof(text) - 1; name++)
		text[len++] = (char)toupper((unsigned char)*name);
	line_bytes(l, key, text, len);
}

static void put_tags(struct line *l, const struct policy_entry *e)
{
	line_open(l, "tags", '[');
	for (size_t i = 0; i < e->n_tags; i++)
		line_string(l, NULL, e->tags[i]);
	line_close(l, ']');
}

/* The hook that carried an address to what policies say of connect. */
static const char *const via_names[REVSHELL_VIA_MAX] = {
	[REVSHELL_VIA_SENDMSG] = "sendmsg",
	[REVSHELL_VIA_SCTP] = "sctp_bind_connect",
};

/* An event in the making, of one selector of a record. */
struct making {
	const struct revshell_event *ev;
	const struct revshell_event_more *more; /* the same record, or NULL */
	const struct ruleset *rs;
	unsigned int bit;
	const struct event_host *host;
	struct line line;
	char exe[REVSHELL_PATH_INLINE * sizeof(EVENT_REPLACEMENT)];
};

/* The facts that Tetragon's events do not have, in keys of their own. */
static void put_added(struct making *m)
{
	const struct revshell_event *ev = m->ev;
	const struct ruleset *rs = m->rs;
	const struct ruleset_selector *sel = &rs->hooks[ev->hook].selectors[m->bit];
	const struct policy_selector *s = selector_of(rs, sel);
	enum event_verdict verdict = event_get_verdict(ev, rs, m->bit);
	const char *via = ev->via < REVSHELL_VIA_MAX ? via_names[ev->via] : NULL;
	bool enforce = rs->effective[sel->policy].mode == POLICY_MODE_ENFORCE;
	struct line *l = &m->line;
	char buf[24];

	line_string(l, "verdict", event_verdict_name(verdict));
	if (ev->error && (verdict == EVENT_DENIED || verdict == EVENT_KILLED))
		line_string(l, "errno", event_errno_name(ev->error, buf));
	line_string(l, "policy_mode", enforce ? "enforce" : "monitor");
	line_string(l, "mode", ev->mode == REVSHELL_MODE_ENFORCE ? "enforce" : "monitor");
	line_number(l, "generation", ev->generation);
	line_string(l, "hook", ruleset_hook_name(ev->hook));
	line_integer(l, "gid", ev->gid);
	line_number(l, "cgroup_id", ev->cgroup_id);
	if (rs->hooks[ev->hook].cfg.predicates) { /* for explain: they settle what is not shown */
		snprintf(buf, sizeof(buf), "0x%llx", (unsigned long long)ev->predicates);
		line_string(l, "predicates", buf);
	}
	if (via)
		line_string(l, "via", via);
	line_integer(l, "selector", sel->selector);
	if (s->label)
		line_text(l, "selector_label", s->label);
	if (m->host->last_number)
		line_integer(l, "number", (int64_t)*m->host->last_number + 1);
}

static void put_process(struct making *m, const struct revshell_event *ev)
{
	int64_t offset = m->host->boot_offset_ns;
	const char *node = m->host->node;

	m->exe[event_clean(ev->exe.path, event_exe_length(&ev->exe), m->exe)] = '\0';
	event_put_process(&m->line, "process", ev, offset, node);
	if (ev->parent_pid)
		event_put_parent(&m->line, ev, offset, node);
}

/*
 * Where the policy tracks sockets, the process of an event is the one that created the socket; the
 * caller is told in a key of its own.
 */
static void put_processes(struct making *m, bool track_sock)
{
	const struct revshell_owner *owner = m->more && track_sock ? &m->more->owner : NULL;
	const struct revshell_event *ev = m->ev;
	struct revshell_event creator;

	if (!owner || !owner->pid) {
		put_process(m, ev);
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
	put_process(m, &creator);
	event_put_process(&m->line, "current", ev, m->host->boot_offset_ns, m->host->node);
}

/* The call stacks that the selector asks for. */
static void put_stacks(struct making *m, const struct policy_selector *s)
{
	bool kernel = false, user = false;

	for (size_t i = 0; i < s->n_actions; i++) {
		kernel = kernel || s->actions[i].kernel_stack;
		user = user || s->actions[i].user_stack;
	}
	if (kernel && m->more)
		event_put_kernel_stack(&m->line, m->more, m->host->symbols);
	if (user && m->more)
		event_put_user_stack(&m->line, m->more);
}

static void put_body(struct making *m)
{
	const struct ruleset_selector *sel = &m->rs->hooks[m->ev->hook].selectors[m->bit];
	const struct policy *p = m->rs->policies.policies[sel->policy];
	const struct policy_entry *e = &p->entries[sel->entry];
	const struct policy_selector *s = selector_of(m->rs, sel);
	struct line *l = &m->line;

	line_open(l, e->section == SECTION_LSMHOOKS ? "process_lsm" : "process_kprobe", '{');
	put_processes(m, m->rs->effective[sel->policy].track_sock);
	line_text(l, "function_name", e->call->name);
	if (e->n_args)
		event_put_args(l, m->ev, e);
	if (e->return_arg.type == ARG_SOCK)
		event_put_return(l, m->ev, e);
	put_action(l, "action", s->actions, s->n_actions);
	put_stacks(m, s);
	if (e->section != SECTION_LSMHOOKS)
		put_action(l, "return_action", s->return_actions, s->n_return_actions);
	line_text(l, "policy_name", p->name);
	if (e->message)
		line_text(l, "message", e->message);
	if (e->n_tags)
		put_tags(l, e);
	put_added(m);
	line_close(l, '}');
}

static int make_event(struct making *m)
{
	struct line *l = &m->line;

	l->len = 0;
	line_open(l, NULL, '{');
	put_body(m);
	line_text(l, "node_name", m->host->node);
	event_put_time(l, "time", m->ev->time_ns, m->host->boot_offset_ns);
	line_close(l, '}');
	return line_finish(l);
}

int event_expand(const struct revshell_event *ev, size_t size, const struct ruleset *rs,
		 const struct event_host *host, event_want_fn want, event_fn fn, void *userdata)
{
	struct making m; /* its buffers are filled as they are used */
	int n = 0, err;

	err = event_validate(ev, size, rs);
	m.ev = ev;
	m.more = size >= sizeof(*m.more) ? (const struct revshell_event_more *)ev : NULL;
	m.rs = rs;
	m.host = host;
	m.line = (struct line){};
	for (unsigned int w = 0; err >= 0 && w < ev->n_words; w++)
		for (__u64 left = ev->match[w]; err >= 0 && left; left &= left - 1) {
			const struct ruleset_selector *sel;

			m.bit = w * 64 + (unsigned int)__builtin_ctzll(left);
			sel = &rs->hooks[ev->hook].selectors[m.bit];
			if (want && !want(sel, userdata))
				continue;
			err = make_event(&m);
			if (err >= 0)
				err = fn(&(struct event_line){m.line.text, m.line.len, m.exe}, sel,
					 userdata);
			n++;
		}
	line_done(&m.line);
	return err < 0 ? err : n;
}
