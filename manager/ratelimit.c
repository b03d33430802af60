/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rateLimit of Post: of events that are alike, one in a period. */
#include "ratelimit.h"

#include <string.h>
#include <sys/random.h>

#include "siphash.h"

/* As much of an argument as Tetragon compares. */
#define ARG_BYTES 40

#define NONE	  UINT32_MAX

struct entry {
	uint64_t key;
	uint64_t time_ns; /* of the last event that was sent */
	uint32_t next;	  /* of the same bucket */
	uint32_t newer;
	uint32_t older;
};

struct ratelimit {
	uint64_t secret[2]; /* or callers could choose arguments that fall together */
	uint32_t n;
	uint32_t newest;
	uint32_t oldest;
	uint32_t buckets[RATELIMIT_ENTRIES];
	struct entry entries[RATELIMIT_ENTRIES];
};

int ratelimit_new(struct ratelimit **ret_limit)
{
	_cleanup_(ratelimit_freep) struct ratelimit *l = malloc(sizeof(*l));

	if (!l)
		return -ENOMEM;
	if (getrandom(l->secret, sizeof(l->secret), 0) != sizeof(l->secret))
		return -errno;
	l->n = 0;
	l->newest = l->oldest = NONE;
	memset(l->buckets, 0xff, sizeof(l->buckets));
	*ret_limit = TAKE_PTR(l);
	return 0;
}

void ratelimit_free(struct ratelimit *l)
{
	free(l);
}

static uint32_t *bucket_of(struct ratelimit *l, uint64_t key)
{
	return &l->buckets[key % RATELIMIT_ENTRIES];
}

static void unlink_age(struct ratelimit *l, uint32_t i)
{
	struct entry *e = &l->entries[i];

	if (e->newer == NONE)
		l->newest = e->older;
	else
		l->entries[e->newer].older = e->older;
	if (e->older == NONE)
		l->oldest = e->newer;
	else
		l->entries[e->older].newer = e->newer;
}

static void make_newest(struct ratelimit *l, uint32_t i)
{
	struct entry *e = &l->entries[i];

	e->newer = NONE;
	e->older = l->newest;
	if (l->newest == NONE)
		l->oldest = i;
	else
		l->entries[l->newest].newer = i;
	l->newest = i;
}

static uint32_t find(struct ratelimit *l, uint64_t key)
{
	uint32_t i = *bucket_of(l, key);

	while (i != NONE && l->entries[i].key != key)
		i = l->entries[i].next;
	return i;
}

/* A place for a new key: a free one, or that of the oldest. */
static uint32_t claim(struct ratelimit *l, uint64_t key)
{
	uint32_t i = l->n, *link;

	if (i < RATELIMIT_ENTRIES) {
		l->n++;
	} else {
		i = l->oldest;
		unlink_age(l, i);
		for (link = bucket_of(l, l->entries[i].key); *link != i;
		     link = &l->entries[*link].next)
			;
		*link = l->entries[i].next;
	}
	link = bucket_of(l, key);
	l->entries[i].key = key;
	l->entries[i].next = *link;
	*link = i;
	return i;
}

/* What two events have to share: bytes one after the other. */
struct sample {
	uint8_t data[512];
	size_t n;
};

static void put(struct sample *s, const void *data, size_t n)
{
	n = MIN(n, sizeof(s->data) - s->n);
	memcpy(s->data + s->n, data, n);
	s->n += n;
}

/* A connection's two ends, which are the first 40 bytes of Tetragon's socket. */
static void put_sock(struct sample *s, const struct revshell_event *ev,
		     const struct policy_entry *e)
{
	const struct revshell_sock *sk = &ev->sk;
	/* seen ahead or not, and whatever port the kernel chose, it is the same attempt */
	bool connects = e->call->early == REVSHELL_HOOK_CONNECT;
	bool ahead = connects && ev->hook == REVSHELL_HOOK_CONNECT;
	uint16_t numbers[] = {
		ahead ? ev->sa.family : sk->family,
		sk->protocol,
		connects ? 0 : sk->sport,
		ahead ? ev->sa.port : sk->dport,
	};

	put(s, numbers, sizeof(numbers));
	if (!connects)
		put(s, sk->saddr, sizeof(sk->saddr));
	put(s, ahead ? ev->sa.addr : sk->daddr, sizeof(sk->daddr));
}

static void put_arg(struct sample *s, const struct revshell_event *ev, const struct policy_entry *e,
		    const struct policy_arg *arg)
{
	uint8_t type = arg->type;

	put(s, &type, sizeof(type));
	switch (arg->type) {
	case ARG_SOCK:
	case ARG_SOCKET:
		put_sock(s, ev, e);
		break;
	case ARG_SOCKADDR:
		put(s, &ev->sa.family, sizeof(ev->sa.family));
		put(s, &ev->sa.port, sizeof(ev->sa.port));
		put(s, ev->sa.addr, sizeof(ev->sa.addr));
		break;
	case ARG_SOCKADDR_UN:
		put(s, &ev->sa.family, sizeof(ev->sa.family));
		put(s, ev->sa.path, ARG_BYTES - sizeof(ev->sa.family));
		break;
	case ARG_NONE:
	case ARG_NOP:
		break;
	default:
		put(s, &ev->ints[REVSHELL_INT_SLOT(arg->index)], sizeof(ev->ints[0]));
	}
}

bool ratelimit_allows(struct ratelimit *l, const struct revshell_event *ev,
		      const struct ruleset *rs, const struct ruleset_selector *sel)
{
	const struct policy *p = rs->policies.policies[sel->policy];
	const struct policy_entry *e = &p->entries[sel->entry];
	const struct policy_action *limit = policy_selector_limit(&e->selectors[sel->selector]);
	uint32_t scope, i;
	struct sample s;
	uint64_t key;
	int64_t age;

	if (!limit)
		return true;
	s.n = 0;
	scope = limit->rate_scope == RATE_THREAD    ? ev->tid
		: limit->rate_scope == RATE_PROCESS ? ev->pid
						    : 0;
	put(&s, &sel->entry, sizeof(sel->entry));
	put(&s, &sel->selector, sizeof(sel->selector));
	put(&s, &scope, sizeof(scope));
	for (size_t k = 0; k < e->n_args; k++)
		put_arg(&s, ev, e, &e->args[k]);
	put(&s, p->name, strlen(p->name));
	key = siphash13(s.data, s.n, l->secret);

	i = find(l, key);
	if (i == NONE) {
		i = claim(l, key);
	} else {
		unlink_age(l, i);
		/* below zero where two CPUs' records come out of order */
		age = (int64_t)(ev->time_ns - l->entries[i].time_ns);
		if (age < (int64_t)limit->rate_limit_ms * 1000000) {
			make_newest(l, i);
			return false;
		}
	}
	make_newest(l, i);
	l->entries[i].time_ns = ev->time_ns;
	return true;
}
