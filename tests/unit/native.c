/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine as compiled natively, asked about one call of a rule set that is in no kernel. */
#include <string.h>
#include <sys/socket.h>

#include "native.h"

#define RS_VIEW	  const struct ruleset *
#define RS_OBJECT const struct naive_call *

/* A row that is missing has every bit set, as in the kernel. */
static __u64 rs_row_fold(const struct ruleset *rs, __u32 index)
{
	return index < rs->n_rows ? rs->rows[index].fold : ~0ULL;
}

static __u64 rs_row_word(const struct ruleset *rs, __u32 index, __u32 w)
{
	return index < rs->n_rows ? rs->rows[index].words[w] : ~0ULL;
}

/* Rows as the engine has them, two to an argument. */
static __u64 rs_rows_word(const struct ruleset *rs, __u32 w, __u64 a, __u64 b, __u64 c)
{
	const __u64 pairs[] = {a, b, c};
	__u64 word = ~0ULL;

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		word &= rs_row_word(rs, (__u32)pairs[i], w) & rs_row_word(rs, pairs[i] >> 32, w);
	return word;
}

static __u32 rs_page_row(const struct ruleset *rs, __u32 page, __u32 port)
{
	return page < rs->n_pages ? rs->pages[page].row[port & 255] : ~0U;
}

static __u32 rs_cidr4_row(const struct ruleset *rs, const struct revshell_hook_cfg *cfg, __u32 hook,
			  __u32 dim, __u32 addr)
{
	const struct ruleset_trie *trie = &rs->tries[hook][dim - REVSHELL_DIM_SK_SADDR];
	const struct ruleset_cidr *c =
		ruleset_lookup_cidr(trie->v4, trie->n_v4, (const uint8_t *)&addr, 32);

	return c ? c->row : cfg->dim_default[dim];
}

static __u32 rs_cidr6_row(const struct ruleset *rs, const struct revshell_hook_cfg *cfg, __u32 hook,
			  __u32 dim, const __u32 *addr)
{
	const struct ruleset_trie *trie = &rs->tries[hook][dim - REVSHELL_DIM_SK_SADDR];
	const struct ruleset_cidr *c =
		ruleset_lookup_cidr(trie->v6, trie->n_v6, (const uint8_t *)addr, 128);

	return c ? c->row : cfg->dim_default[dim];
}

#define rs_obj_sk_family(obj)	((obj)->object.sk_family)
#define rs_obj_sk_type(obj)	((obj)->object.sk_type)
#define rs_obj_sk_protocol(obj) ((obj)->object.sk_protocol)
#define rs_obj_sk_state(obj)	((obj)->object.sk_state)
#define rs_obj_sa_family(obj)	((obj)->object.sa_family)

#define rs_obj_int(obj, n)	((obj)->object.ints[n])

static __u32 rs_obj_port(const struct naive_call *call, __u32 dim)
{
	const struct naive_object *obj = &call->object;

	if (dim == REVSHELL_DIM_SK_SPORT)
		return obj->sport;
	return dim == REVSHELL_DIM_SK_DPORT ? obj->dport : obj->sa_port;
}

static __u32 rs_obj_addr(const struct naive_call *call, __u32 dim, __u32 *addr);

static __u32 rs_number_row(const struct ruleset *rs, __u32 space, __u64 value, __u32 otherwise)
{
	const struct ruleset_number *n = ruleset_lookup_number(rs, space, value);

	return n ? n->result : otherwise;
}

static __u32 rs_obj_unix_row(const struct ruleset *rs, const struct revshell_hook_cfg *cfg,
			     __u32 hook, const struct naive_call *call)
{
	const struct naive_object *obj = &call->object;
	const struct ruleset_unix *u = NULL;

	if (obj->sa_family == AF_UNIX && obj->un_path)
		u = ruleset_lookup_unix(rs, hook, obj->un_path, strlen(obj->un_path) + 1);
	return u ? u->row : cfg->dim_default[REVSHELL_DIM_UN_PATH];
}

static __u64 number_word(const struct ruleset *rs, __u32 space, __u64 value)
{
	const struct ruleset_number *n = ruleset_lookup_number(rs, space, value);

	return n ? n->result : 0;
}

static __u64 lineage_word(const struct ruleset *rs, enum revshell_fact fact,
			  const struct naive_exe *exe)
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

/* The answers to all predicates, as the programs find them. */
static __u64 rs_obj_predicates(const struct ruleset *rs, const struct revshell_hook_cfg *cfg,
			       const struct naive_call *call)
{
	const struct naive_process *p = &call->process;
	__u64 word = 0;

#define FACT(id, value)                            \
	if (cfg->facts & 1U << REVSHELL_FACT_##id) \
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
#define LABEL_FACT(id, value)                            \
	if (cfg->label_facts & 1U << REVSHELL_FACT_##id) \
	word |= number_word(rs, REVSHELL_SPACE_FACT(REVSHELL_FACT_##id), value)
	for (size_t i = 0; i < NAIVE_ANCESTORS; i++) {
		LABEL_FACT(FORK, p->pids[i]);
		LABEL_FACT(NSPID_FORK, p->nspids[i]);
		word |= lineage_word(rs, REVSHELL_FACT_LINEAGE, &p->lineage[i]);
		if (i < p->n_inherited)
			word |= lineage_word(rs, REVSHELL_FACT_PARENT_LINEAGE, &p->lineage[i]);
		word |= unit_word(rs, p->units[i]);
	}
#undef LABEL_FACT
	word |= lineage_word(rs, REVSHELL_FACT_LINEAGE, &call->exe);
	word |= lineage_word(rs, REVSHELL_FACT_PARENT_LINEAGE, &call->parent);
	if (!call->parent.path || p->inherited_lost)
		word |= number_word(rs, REVSHELL_SPACE_UNKNOWN(REVSHELL_FACT_PARENT_LINEAGE), 0);
	if (!call->exe.path || p->lineage_lost)
		word |= number_word(rs, REVSHELL_SPACE_UNKNOWN(REVSHELL_FACT_LINEAGE), 0);
	if (p->units_lost)
		word |= number_word(rs, REVSHELL_SPACE_UNKNOWN(REVSHELL_FACT_UNIT), 0);
	for (__u32 i = 0; i < cfg->n_masks; i++) {
		__u32 fact = cfg->masks[i].fact;
		__u64 value =
			fact >= REVSHELL_FACT_INT0
				? (__u64)call->object.ints[fact - REVSHELL_FACT_INT0]
			: fact == REVSHELL_FACT_STDIO
				? p->stdio
				: p->caps[fact == REVSHELL_FACT_CAP_EFFECTIVE ? CAP_SET_EFFECTIVE
					  : fact == REVSHELL_FACT_CAP_PERMITTED
						  ? CAP_SET_PERMITTED
						  : CAP_SET_INHERITABLE];

		if (value & cfg->masks[i].mask)
			word |= 1ULL << cfg->masks[i].predicate;
	}
	return word;
}

static __u64 rs_ask_predicates(const struct ruleset *rs, const struct revshell_hook_cfg *cfg,
			       __u32 hook, __u64 answers, __u32 w);

#include "decide.h"

static __u64 rs_ask_predicates(const struct ruleset *rs, const struct revshell_hook_cfg *cfg,
			       __u32 hook, __u64 answers, __u32 w)
{
	return rs_predicate_rows(rs, cfg, answers, w);
}

static __u32 rs_obj_addr(const struct naive_call *call, __u32 dim, __u32 *addr)
{
	const struct naive_object *obj = &call->object;
	const uint8_t *raw = dim == REVSHELL_DIM_SK_SADDR   ? obj->saddr
			     : dim == REVSHELL_DIM_SK_DADDR ? obj->daddr
							    : obj->sa_addr;
	bool is_sa = dim == REVSHELL_DIM_SA_ADDR;

	memcpy(addr, raw, 16);
	return rs_normalize_addr(is_sa ? obj->sa_family : obj->sk_family, addr,
				 is_sa && obj->sa_is_destination);
}

static const struct revshell_class *affix_class(const struct ruleset_affix *affixes, size_t n,
						const struct naive_exe *exe, bool postfix,
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
		      const struct naive_exe *exe, unsigned int parent, __u32 *class_id)
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

void native_decide(const struct ruleset *rs, const struct naive_call *call, bool enforcing,
		   struct native_decision *ret_decision)
{
	const struct revshell_hook_cfg *cfg = &rs->hooks[call->hook].cfg;
	const __u64 dims = (1ULL << REVSHELL_DIM_MAX) - 1;
	struct native_decision d = {.outcome.deny = -1};
	__u32 class_id[REVSHELL_PATH_DIMS], hooks;
	bool by_address = call->hook == REVSHELL_HOOK_CONNECT ||
			  call->hook == REVSHELL_HOOK_SENDMSG || call->hook == REVSHELL_HOOK_BIND;
	__u32 family = by_address ? call->object.sa_family : call->object.sk_family;
	__u64 late = enforcing ? 0 : ~0ULL;
	struct rs_outcome outcome;
	struct rs_match match;

	*ret_decision = d;
	if (!cfg->n_words || !(cfg->families >> (family < 63 ? family : 63) & 1))
		return;
	hooks = classify(rs, cfg, &call->exe, 0, class_id);
	hooks &= classify(rs, cfg, &call->parent, 1, class_id);
	if (!(hooks >> call->hook & 1))
		return;
	if (!rs_match(rs, cfg, call->hook, dims, class_id, call, 0, &match))
		return;
	rs_conclude(rs, cfg, &match, dims, late, 0, &outcome);
	if (outcome.deny_words)
		d.outcome.deny = rs_deny_selector(rs, cfg, &match, dims, late, &outcome);
	d.outcome.signals = outcome.signals;
	d.outcome.report = outcome.report != 0;
	for (__u32 w = 0; w < cfg->n_words; w++)
		d.first[w] = rs_first_word(rs, cfg, &match, dims, w, late);
	*ret_decision = d;
}

__u64 native_predicates(const struct ruleset *rs, const struct naive_call *call)
{
	return rs_obj_predicates(rs, &rs->hooks[call->hook].cfg, call);
}

__u32 native_unix_row(const struct ruleset *rs, const struct naive_call *call)
{
	return rs_obj_unix_row(rs, &rs->hooks[call->hook].cfg, call->hook, call);
}
