/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a policy may say but this backend or the engine cannot do: errors and warnings by entry. */
#include "compile.h"
#include "macro.h"

static void unsupported(struct diag *d, struct diag_pos pos, const char *what)
{
	diag_error(d, pos, "not-supported", "%s is not supported yet", what);
}

bool compile_has_hook(const struct ruleset_options *opts, enum revshell_hook hook)
{
	return !opts->hooks || opts->hooks >> hook & 1;
}

/* The socket dimensions speak of a call's first socket, those of addresses of its first address. */
static bool is_first(const struct policy_call *call, unsigned int index)
{
	bool (*same)(enum policy_arg_type) =
		compile_is_sock(call->args[index]) ? compile_is_sock : compile_is_sockaddr;

	if (!same(call->args[index]))
		return true;
	for (unsigned int i = 0; i < index; i++)
		if (same(call->args[i]))
			return false;
	return true;
}

static void check_arg(const struct policy_entry *e, const struct policy_arg_filter *f,
		      struct diag *d)
{
	const struct policy_arg *arg = &e->args[f->arg];
	enum policy_arg_type natural = e->call->args[arg->index];

	if (compile_dim(e->call, arg->index, arg->type, f->op, e->call->hook) == COMPILE_NO_DIM)
		diag_error(d, f->pos, "not-supported",
			   "operator %s on argument %u of %s is not supported yet",
			   policy_op_name(f->op), arg->index, e->call->name);
	else if (!is_first(e->call, arg->index))
		diag_error(d, f->pos, "not-supported",
			   "filters on the second socket of %s are not supported yet",
			   e->call->name);
	else if (policy_arg_type_is_integer(arg->type) && f->op != OP_MASK &&
		 !compile_int_fits(natural, arg->type))
		diag_error(d, f->pos, "bad-type",
			   "argument %u of %s is of type %s and cannot be compared as %s, which "
			   "holds fewer numbers: use type %s",
			   arg->index, e->call->name, policy_arg_type_name(natural),
			   policy_arg_type_name(arg->type), policy_arg_type_name(natural));
}

/* A returned socket is looked at; what other calls return comes after they are decided. */
static bool returns_sock(const struct policy_entry *e)
{
	return e->call->hook == REVSHELL_HOOK_SK_ALLOC && compile_is_sock(e->return_arg.type);
}

static void check_return(const struct policy_entry *e, const struct policy_selector *s,
			 struct diag *d)
{
	if (returns_sock(e))
		return;
	if (s->n_return_args)
		unsupported(d, s->return_args[0].pos, "matchReturnArgs on calls but sk_alloc");
	if (s->n_return_actions)
		unsupported(d, s->return_actions[0].pos,
			    "matchReturnActions on calls but sk_alloc");
}

static void check_namespaces(struct compile *c, const struct policy_selector *s)
{
	for (size_t i = 0; i < s->n_namespaces; i++)
		if (s->namespaces[i].host && !c->opts->host_ns[s->namespaces[i].ns])
			diag_error(c->d, s->namespaces[i].pos, "no-host-ns",
				   "the host's namespace of this kind could not be found out");
	for (size_t i = 0; i < s->n_caps; i++)
		if (s->caps[i].is_namespace_capability && !c->opts->host_ns[NS_USER])
			diag_error(c->d, s->caps[i].pos, "no-host-ns",
				   "the host's user namespace could not be found out");
}

static void check_selector(struct compile *c, const struct policy_entry *e,
			   const struct policy_selector *s)
{
	for (size_t i = 0; i < s->n_args; i++)
		check_arg(e, &s->args[i], c->d);
	check_return(e, s, c->d);
	check_namespaces(c, s);
}

struct tracking {
	bool tracks;  /* something asks to track sockets */
	bool reports; /* something else is asked for */
};

static void look_at_actions(const struct policy_action *actions, size_t n, struct tracking *t)
{
	bool posts = true;

	for (size_t i = 0; i < n; i++)
		switch (actions[i].kind) {
		case ACTION_NOPOST:
			posts = false;
			break;
		case ACTION_TRACK_SOCK:
		case ACTION_UNTRACK_SOCK:
			t->tracks = true;
			break;
		case ACTION_POST:
		case ACTION_GET_URL:
		case ACTION_DNS_LOOKUP:
			break;
		default:
			t->reports = true;
		}
	if (posts)
		t->reports = true;
}

static struct tracking tracking_of(const struct policy_entry *e)
{
	struct tracking t = {.tracks = e->return_action != ACTION_NONE};

	for (size_t i = 0; i < e->n_selectors; i++) {
		const struct policy_selector *s = &e->selectors[i];

		look_at_actions(s->actions, s->n_actions, &t);
		if (s->n_return_actions)
			look_at_actions(s->return_actions, s->n_return_actions, &t);
	}
	return t;
}

/* Whether a program exists where the entry is decided. */
static int check_hook(struct compile *c, const struct policy_entry *e, bool *ret_place)
{
	static const char why[] = "this backend has no program for %s: %s";
	const struct policy_call *call = e->call;

	*ret_place = true;
	if (compile_has_hook(c->opts, call->hook) ||
	    (call->early != REVSHELL_HOOK_MAX && compile_has_hook(c->opts, call->early)))
		return 0;
	if (e->ignore_not_found) {
		diag_warning(c->d, e->pos, "no-hook", why, call->name,
			     "the entry has no effect, as ignore.callNotFound allows");
		*ret_place = false;
		return 0;
	}
	diag_error(c->d, e->pos, "no-hook", why, call->name, "its calls would go unseen");
	return -EINVAL;
}

int compile_check_entry(struct compile *c, size_t policy, const struct policy_entry *e,
			bool *ret_place)
{
	struct tracking t = tracking_of(e);
	size_t n_errors = c->d->n_errors;

	if (t.tracks && c->opts->no_track_sock) {
		diag_warning(c->d, e->pos, "no-effect",
			     "this kernel has no socket storage for it: %s on %s has no effect",
			     t.reports ? "the tracking of this entry" : "this entry",
			     e->call->name);
	} else if (t.tracks) {
		c->rs->track_sock = true;
		c->rs->effective[policy].track_sock = true;
	}
	if (t.tracks && !t.reports) {
		*ret_place = false;
		return 0;
	}
	for (size_t i = 0; i < e->n_selectors; i++)
		check_selector(c, e, &e->selectors[i]);
	if (c->d->n_errors > n_errors)
		return -EINVAL;
	if (e->has_return && !returns_sock(e))
		diag_warning(c->d, e->pos, "no-effect-yet",
			     "only the return value of sk_alloc is reported: return has no effect "
			     "on %s",
			     e->call->name);
	return check_hook(c, e, ret_place);
}
