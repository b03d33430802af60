/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine as compiled natively, asked about one call of a rule set that is in no kernel. */
#include <string.h>
#include <sys/socket.h>

#include "macro.h"
#include "simulate.h"

/* A rule set, and the rows of what is not known of the call; NULL: all is. */
struct view {
	const struct ruleset *rs;
	const struct sim_more *more;
	uint64_t unknown;
};

#define RS_VIEW	  const struct view *
#define RS_OBJECT const struct sim_call *

/* A row that is missing has every bit set, as in the kernel. */
static const struct revshell_row *find_row(const struct view *view, __u32 index)
{
	static const struct revshell_row missing = {~0ULL, {[0 ... REVSHELL_WORDS - 1] = ~0ULL}};

	if (view->more && index >= SIM_MORE_ROWS &&
	    index - SIM_MORE_ROWS < ARRAY_SIZE(view->more->rows))
		return &view->more->rows[index - SIM_MORE_ROWS];
	return index < view->rs->n_rows ? &view->rs->rows[index] : &missing;
}

static __u64 rs_row_fold(const struct view *view, __u32 hook, __u32 index)
{
	return find_row(view, index)->fold;
}

static __u64 rs_row_word(const struct view *view, __u32 index, __u32 w)
{
	return find_row(view, index)->words[w];
}

/* Rows as the engine has them, four to an argument. */
static __u64 rs_rows_word(const struct view *view, __u32 at, __u64 a, __u64 b, __u64 c)
{
	const __u64 fours[] = {a, b, c};
	const __u32 w = at % REVSHELL_WORDS;
	__u64 word = ~0ULL;

	for (size_t i = 0; i < ARRAY_SIZE(fours) * 4; i++)
		word &= rs_row_word(view, (__u16)(fours[i / 4] >> i % 4 * 16), w);
	return word;
}

/* Bit by word: which of eight, from that of at on, have a bit in all the rows. */
static __u64 rs_rows_alive(const struct view *view, __u32 at, __u64 a, __u64 b, __u64 c)
{
	__u64 alive = 0;

	for (__u32 i = 0; i < 8; i++)
		alive |= (__u64)(rs_rows_word(view, at + i, a, b, c) != 0) << i;
	return alive;
}

static __u32 rs_page_row(const struct view *view, __u32 page, __u32 port)
{
	if (page + REVSHELL_HOOK_PAGES >= SIM_MORE_PAGES)
		return SIM_MORE_ROWS + REVSHELL_DIM_SK_SPORT +
		       (page + REVSHELL_HOOK_PAGES - SIM_MORE_PAGES);
	return page < view->rs->n_pages ? view->rs->pages[page].row[port & 255] : ~0U;
}

static __u32 rs_node_find(const struct revshell_addr_node *node, __u32 addr);

static __u32 rs_nodes_find(const struct view *view, __u32 index, __u32 addr, __u32 levels)
{
	for (; levels && index < view->rs->n_nodes; levels--)
		index = rs_node_find(&view->rs->nodes[index], addr);
	return levels ? ~0U : index;
}

static __u32 rs_cidr6_row(const struct view *view, const struct revshell_hook_cfg *cfg, __u32 hook,
			  __u32 dim, const __u32 *addr)
{
	const struct ruleset_trie *trie = &view->rs->tries[hook][dim - REVSHELL_DIM_SK_SADDR];
	const struct ruleset_cidr *c =
		ruleset_lookup_cidr(trie->v6, trie->n_v6, (const uint8_t *)addr);

	return c ? c->row : cfg->dim_default[dim];
}

/* What is not known is a number that no table goes up to, and so has the dimension's default row.
 */
#define OR_NONE(obj, dim, value) ((obj)->unknown & SIM_DIM(dim) ? ~0U : (value))

#define rs_obj_sk_family(obj)	 OR_NONE(obj, SK_FAMILY, (obj)->object.sk_family)
#define rs_obj_sk_type(obj)	 OR_NONE(obj, SK_TYPE, (obj)->object.sk_type)
#define rs_obj_sk_protocol(obj)	 OR_NONE(obj, SK_PROTOCOL, (obj)->object.sk_protocol)
#define rs_obj_sk_state(obj)	 OR_NONE(obj, SK_STATE, (obj)->object.sk_state)
#define rs_obj_sa_family(obj)	 OR_NONE(obj, SA_FAMILY, (obj)->object.sa_family)

#define rs_obj_int(obj, n)	 ((obj)->object.ints[n])

static __u32 rs_obj_port(const struct sim_call *call, __u32 dim)
{
	const struct sim_object *obj = &call->object;

	if (dim == REVSHELL_DIM_SK_SPORT)
		return obj->sport;
	return dim == REVSHELL_DIM_SK_DPORT ? obj->dport : obj->sa_port;
}

static __u32 rs_obj_addr(const struct sim_call *call, __u32 dim, __u32 *addr);

/* The engine looks for the rows of integer arguments only, whose number is the space's last byte.
 */
static __u32 rs_number_row(const struct view *view, __u32 space, __u64 value, __u32 otherwise)
{
	const struct ruleset_number *n = ruleset_lookup_number(view->rs, space, value);

	if (view->unknown & SIM_DIM_BIT(REVSHELL_DIM_INT0 + (space & 0xff)))
		return otherwise;
	return n ? n->result : otherwise;
}

static __u32 rs_obj_unix_row(const struct view *view, const struct revshell_hook_cfg *cfg,
			     __u32 hook, const struct sim_call *call)
{
	const struct sim_object *obj = &call->object;
	const struct ruleset_unix *u = NULL;

	if (view->unknown & (SIM_DIM(SA_FAMILY) | SIM_DIM(UN_PATH)))
		return cfg->dim_default[REVSHELL_DIM_UN_PATH];
	if (obj->sa_family == AF_UNIX && obj->un_path)
		u = ruleset_lookup_unix(view->rs, hook, obj->un_path, strlen(obj->un_path) + 1);
	return u ? u->row : cfg->dim_default[REVSHELL_DIM_UN_PATH];
}

static __u64 number_word(const struct ruleset *rs, __u32 space, __u64 value)
{
	const struct ruleset_number *n = ruleset_lookup_number(rs, space, value);

	return n ? n->result : 0;
}

static __u64 lineage_word(const struct ruleset *rs, enum revshell_fact fact,
			  const struct sim_exe *exe)
{
	for (size_t i = 0; exe->path && i < rs->n_lineage; i++)
		if (rs->lineage[i].fact == fact && !strcmp(rs->lineage[i].path, exe->path))
			return exe->foreign ? rs->lineage[i].foreign : rs->lineage[i].host;
	return 0;
}

static __u64 unit_word(const struct ruleset *rs, const char *name)
{
	for (size_t i = 0; name && i < rs->n_units; i++)
		if (!strcmp(rs->units[i].name, name))
			return rs->units[i].word;
	return 0;
}

/* The answers of facts that are numbers. */
static __u64 number_predicates(const struct ruleset *rs, const struct revshell_hook_cfg *cfg,
			       const struct sim_call *call)
{
	const struct sim_process *p = &call->process;
	__u64 word = 0;

#define FACT(id, value)                                                               \
	if (cfg->facts & 1U << REVSHELL_FACT_##id && !(call->unknown & SIM_FACT(id))) \
	word |= number_word(rs, REVSHELL_SPACE_FACT(REVSHELL_FACT_##id), value)
	FACT(UID, p->uid);
	FACT(GID, p->gid);
	FACT(LOGINUID, p->loginuid);
	FACT(PID, p->pids[0]);
	FACT(NSPID, p->nspids[0]);
	FACT(NS_UTS, p->ns[NS_UTS]);
	FACT(NS_IPC, p->ns[NS_IPC]);
	FACT(NS_MNT, p->ns[NS_MNT]);
	FACT(NS_PID, p->ns[NS_PID]);
	FACT(NS_PID_FOR_CHILDREN, p->ns[NS_PID_FOR_CHILDREN]);
	FACT(NS_NET, p->ns[NS_NET]);
	FACT(NS_TIME, p->ns[NS_TIME]);
	FACT(NS_TIME_FOR_CHILDREN, p->ns[NS_TIME_FOR_CHILDREN]);
	FACT(NS_CGROUP, p->ns[NS_CGROUP]);
	FACT(NS_USER, p->ns[NS_USER]);
#undef FACT
	return word;
}

/* Of facts that are any of several: what is known of them may be enough. */
static __u64 label_predicates(const struct ruleset *rs, const struct revshell_hook_cfg *cfg,
			      const struct sim_call *call)
{
	const struct sim_process *p = &call->process;
	uint64_t unknown = call->unknown;
	__u64 word = 0;

#define LABEL_FACT(id, own, value)                           \
	if (cfg->label_facts & 1U << REVSHELL_FACT_##id &&   \
	    !(unknown & (i ? SIM_FACT(id) : SIM_FACT(own)))) \
	word |= number_word(rs, REVSHELL_SPACE_FACT(REVSHELL_FACT_##id), value)
	for (size_t i = 0; i < SIM_ANCESTORS; i++) {
		LABEL_FACT(FORK, PID, p->pids[i]);
		LABEL_FACT(NSPID_FORK, NSPID, p->nspids[i]);
		if (!(unknown & SIM_FACT(LINEAGE)))
			word |= lineage_word(rs, REVSHELL_FACT_LINEAGE, &p->lineage[i]);
		if (!(unknown & SIM_FACT(PARENT_LINEAGE)) && i < p->n_inherited)
			word |= lineage_word(rs, REVSHELL_FACT_PARENT_LINEAGE, &p->lineage[i]);
		if (!(unknown & SIM_FACT(UNIT)))
			word |= unit_word(rs, p->units[i]);
	}
#undef LABEL_FACT
	if (!(unknown & SIM_DIM(EXE)))
		word |= lineage_word(rs, REVSHELL_FACT_LINEAGE, &call->exe);
	if (!(unknown & SIM_DIM(PARENT)))
		word |= lineage_word(rs, REVSHELL_FACT_PARENT_LINEAGE, &call->parent);
	if ((!call->parent.path && !(unknown & SIM_DIM(PARENT))) ||
	    (p->inherited_lost && !(unknown & SIM_FACT(PARENT_LINEAGE))))
		word |= number_word(rs, REVSHELL_SPACE_UNKNOWN(REVSHELL_FACT_PARENT_LINEAGE), 0);
	if ((!call->exe.path && !(unknown & SIM_DIM(EXE))) ||
	    (p->lineage_lost && !(unknown & SIM_FACT(LINEAGE))))
		word |= number_word(rs, REVSHELL_SPACE_UNKNOWN(REVSHELL_FACT_LINEAGE), 0);
	if (p->units_lost && !(unknown & SIM_FACT(UNIT)))
		word |= number_word(rs, REVSHELL_SPACE_UNKNOWN(REVSHELL_FACT_UNIT), 0);
	return word;
}

static __u64 mask_value(const struct sim_call *call, __u32 fact)
{
	switch (fact) {
	case REVSHELL_FACT_CAP_EFFECTIVE:
		return call->process.caps[CAP_SET_EFFECTIVE];
	case REVSHELL_FACT_CAP_INHERITABLE:
		return call->process.caps[CAP_SET_INHERITABLE];
	case REVSHELL_FACT_CAP_PERMITTED:
		return call->process.caps[CAP_SET_PERMITTED];
	case REVSHELL_FACT_STDIO:
		return call->process.stdio;
	default:
		return (__u64)call->object.ints[fact - REVSHELL_FACT_INT0];
	}
}

/* The answers to all predicates, as the programs find them. */
__u64 sim_predicates(const struct ruleset *rs, const struct sim_call *call)
{
	const struct revshell_hook_cfg *cfg = &rs->hooks[call->hook].cfg;
	__u64 word = number_predicates(rs, cfg, call) | label_predicates(rs, cfg, call);

	for (__u32 i = 0; i < cfg->n_masks; i++) {
		__u32 fact = cfg->masks[i].fact;
		uint64_t bit = fact >= REVSHELL_FACT_INT0
				       ? SIM_DIM_BIT(REVSHELL_DIM_INT0 + fact - REVSHELL_FACT_INT0)
				       : SIM_FACT_BIT(fact);

		if (!(call->unknown & bit) && mask_value(call, fact) & cfg->masks[i].mask)
			word |= 1ULL << cfg->masks[i].predicate;
	}
	return (word & ~call->answered) | (call->answers & call->answered);
}

static __u64 rs_obj_predicates(const struct view *view, const struct revshell_hook_cfg *cfg,
			       const struct sim_call *call)
{
	return sim_predicates(view->rs, call);
}

static __u64 rs_ask_predicates(const struct view *view, const struct revshell_hook_cfg *cfg,
			       __u32 hook, __u64 answers, __u32 w);

#include "decide.h"

static __u64 rs_ask_predicates(const struct view *view, const struct revshell_hook_cfg *cfg,
			       __u32 hook, __u64 answers, __u32 w)
{
	return rs_predicate_rows(view, cfg, answers, w);
}

static __u32 rs_obj_addr(const struct sim_call *call, __u32 dim, __u32 *addr)
{
	const struct sim_object *obj = &call->object;
	const uint8_t *raw = dim == REVSHELL_DIM_SK_SADDR   ? obj->saddr
			     : dim == REVSHELL_DIM_SK_DADDR ? obj->daddr
							    : obj->sa_addr;
	bool is_sa = dim == REVSHELL_DIM_SA_ADDR;

	/* all that an address without one has is the row for that */
	if (call->unknown & SIM_DIM_BIT(dim) ||
	    call->unknown & (is_sa ? SIM_DIM(SA_FAMILY) : SIM_DIM(SK_FAMILY)))
		return AF_UNSPEC;
	memcpy(addr, raw, 16);
	return rs_normalize_addr(is_sa ? obj->sa_family : obj->sk_family, addr,
				 is_sa && obj->sa_is_destination);
}

static const struct revshell_class *affix_class(const struct ruleset_affix *affixes, size_t n,
						const struct sim_exe *exe, bool postfix,
						const struct revshell_class *otherwise)
{
	const struct ruleset_affix *best = NULL;
	size_t len = strlen(exe->path);

	for (size_t i = 0; i < n; i++)
		if (affixes[i].len <= len && (!best || affixes[i].len > best->len) &&
		    !memcmp(affixes[i].text, exe->path + (postfix ? len - affixes[i].len : 0),
			    affixes[i].len))
			best = &affixes[i];
	if (!best)
		return otherwise;
	return exe->foreign ? &best->value.foreign : &best->value.host;
}

/* The classes of one executable, as the process label's cache would hold them. */
static __u32 classify(const struct ruleset *rs, const struct revshell_hook_cfg *cfg,
		      const struct sim_exe *exe, unsigned int parent, __u32 *class_id)
{
	enum revshell_dim dim = parent ? REVSHELL_DIM_PARENT : REVSHELL_DIM_EXE;
	const struct revshell_class *found[3];
	__u32 hooks = ~0U;

	for (unsigned int i = 0; i < 3; i++)
		found[i] = exe->path ? &cfg->path_default[dim + i] : &cfg->path_unknown[dim + i];
	if (exe->path) {
		for (size_t i = 0; i < rs->n_paths[parent]; i++) {
			const struct ruleset_path *p = &rs->paths[parent][i];

			if (!strcmp(p->path, exe->path))
				found[0] = exe->same_file || p->value.any ? &p->value.same
									  : &p->value.other;
		}
		found[1] = affix_class(rs->prefixes[parent], rs->n_prefixes[parent], exe, false,
				       found[1]);
		found[2] = affix_class(rs->postfixes[parent], rs->n_postfixes[parent], exe, true,
				       found[2]);
	}
	for (unsigned int i = 0; i < 3; i++) {
		class_id[dim + i] = found[i]->id;
		hooks &= found[i]->hooks;
	}
	return hooks;
}

/* Whether the hook's gate stops a call of this address family; one that is not known may pass. */
static bool gate_is_shut(const struct revshell_hook_cfg *cfg, const struct sim_call *call)
{
	bool by_address = call->hook == REVSHELL_HOOK_CONNECT ||
			  call->hook == REVSHELL_HOOK_SENDMSG || call->hook == REVSHELL_HOOK_BIND;
	__u32 family = by_address ? call->object.sa_family : call->object.sk_family;

	if (!cfg->n_words)
		return true;
	if (call->unknown & (by_address ? SIM_DIM(SA_FAMILY) : SIM_DIM(SK_FAMILY)))
		return false;
	return !(cfg->families >> (family < 63 ? family : 63) & 1);
}

/* All dimensions; the compiler has no constant to gain from here. */
static const __u64 dims = (1ULL << REVSHELL_DIM_MAX) - 1;

/* The engine's first part, and its selectors. Returns false if nothing matches. */
static bool match_call(const struct view *view, const struct revshell_hook_cfg *cfg,
		       const struct sim_call *call, struct rs_match *ret_match, __u64 *ret_words)
{
	static const enum revshell_dim first[] = {REVSHELL_DIM_EXE, REVSHELL_DIM_PARENT};
	const struct sim_exe *const exes[] = {&call->exe, &call->parent};
	__u32 class_id[REVSHELL_PATH_DIMS];

	memset(ret_words, 0, sizeof(__u64) * REVSHELL_WORDS);
	for (unsigned int parent = 0; parent < 2; parent++) {
		__u32 dim = first[parent];

		if (call->unknown & SIM_DIM_BIT(dim)) {
			for (__u32 i = dim; i < dim + 3; i++)
				class_id[i] = SIM_MORE_ROWS + i - cfg->path_rows[i];
		} else if (!(classify(view->rs, cfg, exes[parent], parent, class_id) >> call->hook &
			     1)) {
			return false;
		}
	}
	if (!rs_match(view, cfg, call->hook, dims, class_id,
		      rs_path_live(view, cfg, call->hook, class_id), call, 0, ret_match))
		return false;
	for (__u32 w = 0; w < cfg->n_words; w++)
		ret_words[w] = rs_match_word(view, cfg, ret_match, dims, w);
	return true;
}

/* With every fact at hand, all that follows is the engine's. */
static void decide_known(const struct ruleset *rs, const struct sim_call *call, __u64 late,
			 struct sim_decision *d)
{
	const struct revshell_hook_cfg *cfg = &rs->hooks[call->hook].cfg;
	const struct view view = {.rs = rs};
	struct rs_outcome outcome;
	struct rs_match match;

	if (!match_call(&view, cfg, call, &match, d->match))
		return;
	rs_conclude(&view, cfg, &match, dims, late, 0, &outcome);
	if (outcome.deny_words) {
		d->outcome.deny = (int)rs_deny_selector(&view, cfg, &match, dims, late, &outcome);
		d->denials[d->outcome.deny / 64] |= 1ULL << d->outcome.deny % 64;
	}
	d->outcome.signals = outcome.signals;
	d->outcome.report = outcome.report != 0;
	for (__u32 w = 0; w < cfg->n_words; w++)
		d->first[w] = rs_first_word(&view, cfg, &match, dims, w, late);
	memcpy(d->may_match, d->match, sizeof(d->match));
	memcpy(d->may_first, d->first, sizeof(d->first));
	d->may = d->outcome;
}

/*
 * Of two sets of matches the first within each group, surely and possibly. The engine's own way to
 * it knows one set only: the first of those that match surely is where possibility ends.
 */
static void find_first(const struct revshell_hook_cfg *cfg, __u64 late, struct sim_decision *d)
{
	for (__u32 w = 0; w < cfg->n_words; w++) {
		__u64 sure = rs_first_matches(d->match[w], cfg->start[w], cfg->high[w]);
		__u64 any = rs_first_matches(d->may_match[w], cfg->start[w], cfg->high[w]);
		bool open = true;

		for (unsigned int i = 0; i < 64; i++) {
			__u64 bit = 1ULL << i;

			if (cfg->start[w] & bit)
				open = true;
			if (open)
				d->may_first[w] |= d->may_match[w] & bit;
			if (sure & bit)
				open = false;
		}
		d->first[w] = sure & any & ~(cfg->early[w] & late);
		d->may_first[w] &= ~(cfg->early[w] & late);
	}
}

/* Which denial counts, group by group: the first one that cannot but deny is the last to look at.
 */
static void find_denials(const struct revshell_hook_cfg *cfg, __u64 late, struct sim_decision *d)
{
	__u64 left = 0, denials = 0, sure = 0;

	for (__u32 i = 0; i < cfg->n_words * 64; i++) {
		__u64 bit = 1ULL << i % 64;
		bool ends = cfg->high[i / 64] & bit;

		left |= d->may_first[i / 64] & ~cfg->deny[i / 64] & bit;
		denials |= d->may_first[i / 64] & cfg->deny[i / 64] & bit;
		sure |= d->match[i / 64] & ~(cfg->early[i / 64] & late) & bit;
		if (!ends)
			continue;
		d->denials[i / 64] |= denials;
		if (denials && d->may.deny < 0)
			d->may.deny = (int)(i / 64 * 64) + (int)rs_lowest_bit(denials);
		if (denials && sure && !left) {
			d->outcome.deny = d->may.deny;
			return;
		}
		left = denials = sure = 0;
	}
}

static void decide_unknown(const struct ruleset *rs, const struct sim_call *call, __u64 late,
			   struct sim_decision *d)
{
	const struct revshell_hook_cfg *cfg = &rs->hooks[call->hook].cfg;
	struct rs_match match;
	struct sim_more more;

	for (int all = 0; all < 2; all++) {
		const struct view view = {rs, &more, call->unknown};

		sim_more_fill(rs, call, all, &more);
		if (!match_call(&view, &more.cfg, call, &match, all ? d->match : d->may_match) &&
		    !all)
			return;
	}
	find_first(cfg, late, d);
	find_denials(cfg, late, d);
	for (__u32 w = 0; w < cfg->n_words; w++) {
		d->outcome.report |= (d->first[w] & cfg->report[w]) != 0;
		d->may.report |= (d->may_first[w] & cfg->report[w]) != 0;
		for (__u32 i = 0; i < cfg->n_signals; i++) {
			d->outcome.signals |= rs_is_set(d->first[w] & cfg->signal[i][w]) << i;
			d->may.signals |= rs_is_set(d->may_first[w] & cfg->signal[i][w]) << i;
		}
	}
}

void sim_decide(const struct ruleset *rs, const struct sim_call *call, bool enforcing,
		struct sim_decision *ret_decision)
{
	struct sim_decision d = {.outcome.deny = -1, .may.deny = -1};
	__u64 late = enforcing ? 0 : ~0ULL;
	struct sim_call c = *call;

	c.unknown = sim_open_facts(call);
	if (!gate_is_shut(&rs->hooks[c.hook].cfg, &c)) {
		if (c.unknown)
			decide_unknown(rs, &c, late, &d);
		else
			decide_known(rs, &c, late, &d);
	}
	*ret_decision = d;
}

__u32 sim_unix_row(const struct ruleset *rs, const struct sim_call *call)
{
	const struct view view = {.rs = rs, .unknown = call->unknown};

	return rs_obj_unix_row(&view, &rs->hooks[call->hook].cfg, call->hook, call);
}
