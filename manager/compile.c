/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From policies to a rule set: where each entry's selectors stand and what their matches do. */
#include <signal.h>
#include <string.h>

#include "compile.h"
#include "macro.h"

/* What a selector's actions ask for, wherever it stands. */
struct effect {
	bool report;
	bool denies;
	bool kills;
	int error; /* of the denial, -errno */
	int signals[2 * POLICY_MAX_ACTIONS];
	size_t n_signals;
};

static void effect_signal(struct effect *e, int signo)
{
	e->kills = e->kills || signo == SIGKILL;
	if (e->n_signals < ARRAY_SIZE(e->signals))
		e->signals[e->n_signals++] = signo;
}

static void effect_add(struct effect *e, const struct policy_action *a)
{
	int signo = 0;

	switch (a->kind) {
	case ACTION_NOPOST:
		e->report = false;
		break;
	case ACTION_SIGKILL:
		e->denies = true;
		signo = SIGKILL;
		break;
	case ACTION_SIGNAL:
		signo = a->signal;
		break;
	case ACTION_OVERRIDE:
		e->denies = true;
		e->error = a->error;
		break;
	case ACTION_NOTIFY_ENFORCER:
		if (a->error) {
			e->denies = true;
			e->error = a->error;
		}
		signo = a->signal;
		break;
	default:
		break;
	}
	if (signo)
		effect_signal(e, signo);
}

static void effect_of(const struct policy_selector *s, struct effect *ret_effect)
{
	struct effect e = {.report = true, .error = -EPERM};

	for (size_t i = 0; i < s->n_actions; i++)
		effect_add(&e, &s->actions[i]);
	for (size_t i = 0; i < s->n_return_actions; i++)
		effect_add(&e, &s->return_actions[i]);
	*ret_effect = e;
}

bool ruleset_selector_denies(const struct policy_selector *s)
{
	return compile_denial(s) != 0;
}

int compile_denial(const struct policy_selector *s)
{
	struct effect e;

	effect_of(s, &e);
	return e.denies ? e.error : 0;
}

/* Number of leading selectors up to the last that denies; 0: none does. */
static size_t count_denying(const struct policy_entry *e)
{
	size_t n = e->n_selectors;

	while (n && !ruleset_selector_denies(&e->selectors[n - 1]))
		n--;
	return n;
}

static void set_bit(__u64 *words, uint32_t bit)
{
	words[bit / 64] |= 1ULL << bit % 64;
}

static int set_signal(struct compile *c, const struct compile_group *g, uint32_t bit, int signo)
{
	struct revshell_hook_cfg *cfg = &c->rs->hooks[g->hook].cfg;
	uint32_t i = 0;

	while (i < cfg->n_signals && cfg->signals[i] != (uint32_t)signo)
		i++;
	if (i == REVSHELL_SIGNALS) {
		diag_error(c->d, g->entry->pos, "too-many-signals",
			   "more than %u different signals are sent from one hook "
			   "(REVSHELL_SIGNALS)",
			   REVSHELL_SIGNALS);
		return -E2BIG;
	}
	if (i == cfg->n_signals)
		cfg->signals[cfg->n_signals++] = signo;
	set_bit(cfg->signal[i], bit);
	return 0;
}

/* What its Post actions ask for besides an event; without a limit where one of several has none. */
static void place_post(struct revshell_hook_cfg *cfg, uint32_t bit, const struct policy_selector *s)
{
	const struct policy_action *limit = policy_selector_limit(s);

	for (size_t i = 0; i < s->n_actions; i++)
		cfg->stacks |= (s->actions[i].kernel_stack ? REVSHELL_STACK_KERNEL : 0U) |
			       (s->actions[i].user_stack ? REVSHELL_STACK_USER : 0U);
	if (!limit)
		return;
	set_bit(cfg->limited, bit);
	if (!cfg->rate_ms || limit->rate_limit_ms < cfg->rate_ms) {
		if (!cfg->rate_ms)
			cfg->rate_scope = REVSHELL_RATE_GLOBAL;
		cfg->rate_ms = (uint32_t)limit->rate_limit_ms;
	}
	cfg->rate_scope = MIN(cfg->rate_scope, (uint32_t)limit->rate_scope);
}

/* What follows when the selector is its group's first match. */
static int place_effect(struct compile *c, const struct compile_group *g, uint32_t bit,
			const struct policy_selector *s)
{
	struct ruleset_hook *h = &c->rs->hooks[g->hook];
	struct effect e;
	int err;

	effect_of(s, &e);
	place_post(&h->cfg, bit, s);
	if (g->placement == PLACE_COPY) {
		set_bit(h->cfg.early, bit);
		/* what does not deny is reported by the call's own hook */
		if (e.report && e.denies)
			set_bit(h->cfg.report, bit);
	} else if (e.report) {
		set_bit(h->cfg.report, bit);
	}
	if (e.denies)
		h->denials[bit].error = e.error;
	if (e.denies && !e.kills && c->rs->effective[g->policy_index].kills_instead)
		effect_signal(&e, SIGKILL);
	if (!g->enforce)
		return 0;
	/* programs on functions cannot refuse, they only see; kprobes never can */
	if (e.denies && g->hook < REVSHELL_HOOK_TCP_CONNECT && !c->opts->cannot_deny)
		set_bit(h->cfg.deny, bit);
	if (g->placement == PLACE_COPY && !e.denies)
		return 0;
	for (size_t i = 0; i < e.n_signals; i++) {
		err = set_signal(c, g, bit, e.signals[i]);
		if (err < 0)
			return err;
	}
	return 0;
}

static int too_many_selectors(struct compile *c, const struct compile_group *g)
{
	diag_error(c->d, g->entry->pos, "too-many-selectors",
		   "the policies have more than %u selectors on one hook, counting the places left "
		   "free because an entry's selectors stand in one word of 64 (REVSHELL_SELECTORS)",
		   REVSHELL_SELECTORS);
	return -E2BIG;
}

/* Finds adjacent bits within one word for a group. */
static int place_bits(struct compile *c, const struct compile_group *g, uint32_t *ret_first)
{
	struct ruleset_hook *h = &c->rs->hooks[g->hook];
	size_t first = h->n_selectors, n = g->n_selectors;
	struct ruleset_selector *selectors;
	struct revshell_denial *denials;

	if (n > REVSHELL_GROUP_SELECTORS) {
		diag_error(c->d, g->entry->pos, "too-many-selectors",
			   "the entry has %zu selectors, at most %u are possible "
			   "(REVSHELL_GROUP_SELECTORS)",
			   n, REVSHELL_GROUP_SELECTORS);
		return -E2BIG;
	}
	if (first / 64 != (first + n - 1) / 64)
		first = (first + 63) / 64 * 64;
	if (first + n > REVSHELL_SELECTORS)
		return too_many_selectors(c, g);

	selectors = reallocarray(h->selectors, first + n, sizeof(*selectors));
	if (!selectors)
		return -ENOMEM;
	h->selectors = selectors;
	denials = reallocarray(h->denials, first + n, sizeof(*denials));
	if (!denials)
		return -ENOMEM;
	h->denials = denials;
	for (size_t i = h->n_selectors; i < first + n; i++) {
		denials[i].error = 0;
		if (i < first) {
			selectors[i] = selectors[i - 1];
			selectors[i].selector = UINT32_MAX;
		} else {
			selectors[i] = (struct ruleset_selector){
				.policy = g->policy_index,
				.entry = g->entry_index,
				.selector = i - first,
				.early = g->placement == PLACE_COPY,
			};
		}
	}
	h->n_selectors = first + n;
	h->cfg.n_words = (h->n_selectors + 63) / 64;
	h->cfg.fold_bits = ruleset_fold_bits(h->cfg.n_words);
	set_bit(h->cfg.start, first);
	*ret_first = first;
	return 0;
}

static int place_group(struct compile *c, const struct compile_group *g)
{
	struct compile_hook *hook = &c->hooks[g->hook];
	size_t n_denying = count_denying(g->entry);
	uint32_t first;
	int err;

	err = place_bits(c, g, &first);
	if (err < 0)
		return err;
	for (size_t i = 0; i < g->n_selectors; i++) {
		const struct policy_selector *s = &g->entry->selectors[i];

		set_bit(hook->valid, first + i);
		hook->roles[first + i] = ruleset_selector_denies(s) ? ROLE_DENIES
					 : i < n_denying	    ? ROLE_SHIELDS
								    : ROLE_PLAIN;
		err = place_effect(c, g, first + i, s);
		if (err < 0)
			return err;
	}
	return compile_collect(c, g, first);
}

static int group_add(struct compile *c, const struct compile_group *g)
{
	int err =
		compile_grow((void **)&c->groups, &c->groups_size, c->n_groups, sizeof(*c->groups));

	if (err < 0)
		return err;
	c->groups[c->n_groups++] = *g;
	return 0;
}

/* Whether a program on the call's own hook exists. */
static bool is_observed(const struct ruleset_options *opts, enum revshell_hook hook)
{
	if (!compile_has_hook(opts, hook))
		return false;
	if (hook == REVSHELL_HOOK_TCP_CONNECT)
		return opts->observe_tcp_connect;
	if (hook == REVSHELL_HOOK_LISTEN_START)
		return opts->observe_listen_start;
	return true;
}

/* The only place the entry can have is ahead of its own hook. */
static int place_moved(struct compile *c, struct compile_group *g)
{
	size_t n = compile_count_early(g->entry);

	if (n < count_denying(g->entry) && g->enforce) {
		diag_error(
			c->d, g->entry->selectors[n].pos, "backend-cannot",
			"the selector asks what is known only at %s, which this backend does not "
			"see: the entry's denials could not be carried out",
			g->entry->call->name);
		return -EINVAL;
	}
	if (n < g->entry->n_selectors)
		diag_warning(c->d, g->entry->selectors[n].pos, "backend-cannot",
			     "this selector and those after it ask what is known only at %s, which "
			     "this backend does not see: they have no effect",
			     g->entry->call->name);
	if (!n)
		return 0;
	g->hook = g->entry->call->early;
	g->n_selectors = n;
	g->placement = PLACE_MOVED;
	return group_add(c, g);
}

static int place_entry(struct compile *c, struct compile_group *g)
{
	const struct policy_call *call = g->entry->call;
	size_t n_denying = count_denying(g->entry);
	int err;

	if (!is_observed(c->opts, call->hook))
		return place_moved(c, g);
	g->hook = call->hook;
	g->n_selectors = g->entry->n_selectors;
	g->placement = PLACE_OWN;
	err = group_add(c, g);
	if (err < 0)
		return err;
	if (call->early == REVSHELL_HOOK_MAX || !compile_has_hook(c->opts, call->early) ||
	    !g->enforce || !n_denying || compile_count_early(g->entry) < n_denying)
		return 0;
	g->hook = call->early;
	g->n_selectors = n_denying;
	g->placement = PLACE_COPY;
	return group_add(c, g);
}

/* Errors of all entries are collected; a limit ends the work at once. */
static int place_policies(struct compile *c)
{
	int ret = 0, err;

	for (size_t i = 0; i < c->set->n; i++) {
		const struct policy *p = c->set->policies[i];

		for (size_t k = 0; k < p->n_entries; k++) {
			struct compile_group g = {
				.policy = p,
				.entry = &p->entries[k],
				.policy_index = i,
				.entry_index = k,
				.enforce = c->rs->effective[i].mode == POLICY_MODE_ENFORCE,
			};
			bool place;

			err = compile_check_entry(c, i, g.entry, &place);
			if (err == 0 && place && c->rs->effective[i].enabled)
				err = place_entry(c, &g);
			if (err < 0 && err != -EINVAL)
				return err;
			if (err < 0)
				ret = err;
		}
	}
	err = compile_order(c);
	for (size_t i = 0; err >= 0 && i < c->n_groups; i++) {
		err = place_group(c, &c->groups[i]);
		if (err == -EINVAL) {
			ret = err;
			err = 0;
		}
	}
	return err < 0 ? err : ret;
}

/* The first selector that denies without killing, or NULL. */
static const struct policy_selector *find_denial(const struct policy *p)
{
	for (size_t i = 0; i < p->n_entries; i++)
		for (size_t k = 0; k < p->entries[i].n_selectors; k++) {
			struct effect e;

			effect_of(&p->entries[i].selectors[k], &e);
			if (e.denies && !e.kills)
				return &p->entries[i].selectors[k];
		}
	return NULL;
}

/* Where the backend cannot deny, a policy that wants to does what was named in its place. */
static void resolve_fallback(struct compile *c, const struct policy *p,
			     struct policy_effective *effective)
{
	const struct policy_selector *denial = find_denial(p);
	enum policy_fallback fallback = p->fallback ?: c->opts->fallback;

	if (!denial || effective->mode != POLICY_MODE_ENFORCE)
		return;
	if (fallback == FALLBACK_SIGKILL) {
		effective->kills_instead = true;
		return;
	}
	effective->mode = POLICY_MODE_MONITOR;
	effective->degraded = fallback == FALLBACK_NONE;
	diag_warning(c->d, denial->pos, "backend-cannot",
		     "this backend cannot deny: policy %s only monitors%s", p->name,
		     effective->degraded ? " (option override-fallback names what to do instead)"
					 : ", as its override-fallback says");
}

static int resolve_modes(struct compile *c, const struct ruleset_mode *modes)
{
	struct ruleset *rs = c->rs;

	rs->effective = calloc(MAX(c->set->n, 1U), sizeof(*rs->effective));
	if (!rs->effective)
		return -ENOMEM;
	for (size_t i = 0; i < c->set->n; i++) {
		const struct policy *p = c->set->policies[i];
		enum policy_mode mode = p->mode;

		for (const struct ruleset_mode *m = modes; m && m->name; m++)
			if (!strcmp(m->name, p->name))
				mode = m->mode;
		rs->effective[i].enabled = mode != POLICY_MODE_OFF;
		rs->effective[i].mode =
			p->can_deny && rs->effective[i].enabled ? mode : POLICY_MODE_MONITOR;
		if (c->opts->cannot_deny)
			resolve_fallback(c, p, &rs->effective[i]);
	}
	return 0;
}

/* Copies the first pages of ports that the hook asks into its own part. */
static void keep_pages(struct compile *c, struct revshell_hook_cfg *cfg)
{
	uint16_t kept[REVSHELL_HOOK_PAGES];
	size_t n = 0;

	for (size_t i = 0; i < REVSHELL_PORT_DIMS * (size_t)256; i++) {
		__u16 *page = &cfg->port_page[i / 256][i % 256];
		size_t k = 0;

		if (!(cfg->used & 1ULL << (REVSHELL_DIM_SK_SPORT + i / 256)))
			continue;
		while (k < n && kept[k] != *page)
			k++;
		if (k == n && n < REVSHELL_HOOK_PAGES) {
			cfg->page[n] = c->rows.pages[*page];
			kept[n++] = *page;
		}
		*page = (__u16)(k < n ? k : (size_t)*page + REVSHELL_HOOK_PAGES);
	}
}

/* Everything about one hook that follows from its groups and filters, paths aside. */
static int finish_hook(struct compile *c, enum revshell_hook hook)
{
	struct revshell_hook_cfg *cfg = &c->rs->hooks[hook].cfg;
	int err;

	if (!cfg->n_words)
		return 0;
	for (uint32_t w = 0; w < cfg->n_words; w++)
		cfg->high[w] = cfg->start[w] >> 1 | 1ULL << 63;
	for (size_t dim = 0; dim < REVSHELL_DIM_MAX; dim++)
		if (c->hooks[hook].dims[dim].n)
			cfg->used |= 1ULL << dim;
	cfg->families = compile_families(c, hook);
	err = compile_numbers(c, hook);
	if (err < 0)
		return err;
	keep_pages(c, cfg);
	err = compile_cidrs(c, hook);
	if (err < 0)
		return err;
	err = compile_ints(c, hook);
	if (err < 0)
		return err;
	err = compile_unix(c, hook);
	if (err < 0)
		return err;
	return compile_predicate_rows(c, hook);
}

/* Once all rows are there. */
static void fill_folds(struct compile *c)
{
	for (enum revshell_hook hook = 0; hook < REVSHELL_HOOK_MAX; hook++) {
		struct revshell_hook_cfg *cfg = &c->rs->hooks[hook].cfg;

		for (size_t i = 0; cfg->n_words && i < MIN(c->rows.n, (size_t)REVSHELL_FOLDS); i++)
			cfg->fold[i] = c->rows.rows[i].fold;
	}
}

static void filters_done(struct compile_filters *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->items[i].owned)
			free((void *)f->items[i].ranges);
	free(f->items);
}

static void compile_done(struct compile *c)
{
	for (size_t h = 0; c->hooks && h < REVSHELL_HOOK_MAX; h++)
		for (size_t dim = 0; dim < REVSHELL_DIM_MAX; dim++)
			filters_done(&c->hooks[h].dims[dim]);
	free(c->hooks);
	free(c->groups);
	compile_predicates_done(c);
	compile_rows_done(&c->rows);
	ruleset_free(c->rs);
}

int ruleset_compile(struct policy_set *set, const struct ruleset_options *opts,
		    const struct ruleset_mode *modes, struct diag *d, struct ruleset **ret_rs)
{
	_cleanup_(compile_done) struct compile c = {.set = set, .opts = opts, .d = d};
	int err;

	err = ruleset_new_empty(&c.rs);
	if (err < 0)
		return err;
	c.hooks = calloc(REVSHELL_HOOK_MAX, sizeof(*c.hooks));
	if (!c.hooks)
		return -ENOMEM;
	err = compile_rows_init(&c);
	if (err < 0)
		return err;
	err = resolve_modes(&c, modes);
	if (err < 0)
		return err;
	err = place_policies(&c);
	if (err < 0)
		return err;
	for (enum revshell_hook hook = 0; hook < REVSHELL_HOOK_MAX; hook++) {
		err = finish_hook(&c, hook);
		if (err < 0)
			return err;
	}
	err = compile_facts(&c);
	if (err < 0)
		return err;
	err = compile_paths(&c);
	if (err < 0)
		return err;

	fill_folds(&c);
	for (size_t i = 0; i < set->n; i++) {
		const __u64 digest = set->policies[i]->digest;

		c.rs->digest = compile_hash(c.rs->digest, &digest, 1);
	}
	free(c.rs->rows);
	c.rs->rows = TAKE_PTR(c.rows.rows);
	c.rs->n_rows = c.rows.n;
	c.rs->pages = TAKE_PTR(c.rows.pages);
	c.rs->n_pages = c.rows.n_pages;
	c.rs->policies = *set;
	*set = (struct policy_set){};
	*ret_rs = TAKE_PTR(c.rs);
	return 0;
}
