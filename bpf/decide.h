/* SPDX-License-Identifier: GPL-2.0-only */
/* The decision engine: which selectors match, which of them count, what follows. Pure. */
#pragma once

/*
 * Compiles for BPF and natively. The includer provides the access to a generation's tables:
 *   rs_row_fold(view, hook, index)       -> fold of a row; all ones for a row that is missing,
 *   rs_row_word(view, index, w)          -> word w of a row    so that a hole denies, not allows
 *   rs_rows_word(view, at, a, b, c)      -> AND of that of twelve; at: RS_AT(hook, w)
 *   rs_rows_alive(view, at, a, b, c)     -> which of the eight words from w on are not 0 then
 *   rs_page_row(view, page, port)        -> row index for port & 255
 *   rs_nodes_find(view, index, addr, levels)   -> row index, as rs_node_find() from a node that
 *                                                 has levels - 1 of them below; addr: host order
 *   rs_cidr6_row(view, cfg, hook, dim, addr)   -> row index; addr: const __u32[4], network order
 *   rs_number_row(view, space, value, otherwise)   -> row index, otherwise without an entry
 * with RS_VIEW the type of view, and the object's fields, read only when a dimension asks:
 *   rs_obj_sk_family(obj) rs_obj_sk_type(obj) rs_obj_sk_protocol(obj) rs_obj_sk_state(obj)
 *   rs_obj_sa_family(obj) rs_obj_port(obj, dim)
 *   rs_obj_int(obj, n)          -> __s64, integer argument n
 *   rs_obj_unix_row(view, cfg, hook, obj)  -> row index for its UNIX address
 *   rs_obj_predicates(view, cfg, obj)      -> answers to the generation's predicates
 *   rs_ask_predicates(view, cfg, hook, answers, w)   -> rs_predicate_rows()
 *   rs_obj_addr(obj, dim, addr) -> AF_INET or AF_INET6 with addr filled in, or another family
 * with RS_OBJECT the type of obj. Ports in host, addresses in network byte order.
 */

#ifdef __bpf__
#define RS_INLINE      static __always_inline
#define RS_OPAQUE(var) barrier_var(var)
#define RS_NOINLINE    static __noinline __attribute__((unused))
/*
 * For loops over words: verifiers before 6.8 drop the states of an instruction that a loop comes
 * to again and again, and then follow what they have already seen.
 */
#define RS_UNROLL      _Pragma("unroll")
#else
#define RS_INLINE   static inline
#define RS_NOINLINE static
#define RS_UNROLL
#define RS_OPAQUE(var)
#endif

/* Words in network byte order: ffff of ::ffff:0:0, the last of ::1, 127.0.0.1. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define RS_MAPPED_WORD	  0xffff0000U
#define RS_LOOPBACK6_WORD 0x01000000U
#define RS_LOOPBACK4_WORD 0x0100007fU
#define RS_HOST32(x)	  __builtin_bswap32(x)
#else
#define RS_MAPPED_WORD	  0x0000ffffU
#define RS_LOOPBACK6_WORD 0x00000001U
#define RS_LOOPBACK4_WORD 0x7f000001U
#define RS_HOST32(x)	  (x)
#endif

/*
 * Reads a bound anew each time: what a comparison told the verifier about an earlier reading would
 * make it follow a loop once for every value.
 */
#define RS_READ(x)	(*(const volatile __typeof__(x) *)&(x))

#define RS_DIM_BIT(dim) (1ULL << (dim))

/* A hook, for the counter of look-ups that fail there, and a word's number, as one argument. */
#define RS_AT(hook, w)	((hook)*REVSHELL_WORDS + (w))

#define RS_DIMS_INTS                                                     \
	(RS_DIM_BIT(REVSHELL_DIM_INT0) | RS_DIM_BIT(REVSHELL_DIM_INT1) | \
	 RS_DIM_BIT(REVSHELL_DIM_INT2) | RS_DIM_BIT(REVSHELL_DIM_INT3))
#define RS_DIMS_ALWAYS (RS_DIMS_PATH | RS_DIM_BIT(REVSHELL_DIM_PREDICATE))

/* Dimensions by what a program can ask its object. */
#define RS_DIMS_PATH                                                              \
	(RS_DIM_BIT(REVSHELL_DIM_EXE) | RS_DIM_BIT(REVSHELL_DIM_EXE_PREFIX) |     \
	 RS_DIM_BIT(REVSHELL_DIM_EXE_POSTFIX) | RS_DIM_BIT(REVSHELL_DIM_PARENT) | \
	 RS_DIM_BIT(REVSHELL_DIM_PARENT_PREFIX) | RS_DIM_BIT(REVSHELL_DIM_PARENT_POSTFIX))
#define RS_DIMS_SOCK                                                                \
	(RS_DIM_BIT(REVSHELL_DIM_SK_FAMILY) | RS_DIM_BIT(REVSHELL_DIM_SK_TYPE) |    \
	 RS_DIM_BIT(REVSHELL_DIM_SK_PROTOCOL) | RS_DIM_BIT(REVSHELL_DIM_SK_STATE) | \
	 RS_DIM_BIT(REVSHELL_DIM_SK_SPORT) | RS_DIM_BIT(REVSHELL_DIM_SK_DPORT) |    \
	 RS_DIM_BIT(REVSHELL_DIM_SK_SADDR) | RS_DIM_BIT(REVSHELL_DIM_SK_DADDR))
#define RS_DIMS_SOCKADDR                                                         \
	(RS_DIM_BIT(REVSHELL_DIM_SA_FAMILY) | RS_DIM_BIT(REVSHELL_DIM_SA_PORT) | \
	 RS_DIM_BIT(REVSHELL_DIM_SA_ADDR) | RS_DIM_BIT(REVSHELL_DIM_UN_PATH))

/* 0.0.0.0 as a destination is loopback. */
RS_INLINE __u32 rs_normalize_addr4(__u32 addr, bool destination)
{
	return !addr && destination ? RS_LOOPBACK4_WORD : addr;
}

/*
 * An IPv6 address that holds an IPv4 one is looked up as IPv4, and as a destination the
 * any-addresses mean loopback, as connect(2) treats them. Returns the family to look up.
 */
RS_INLINE __u32 rs_normalize_addr(__u32 family, __u32 *addr, bool destination)
{
	if (family == AF_INET6 && !addr[0] && !addr[1]) {
		if (addr[2] == RS_MAPPED_WORD) {
			addr[0] = addr[3];
			family = AF_INET;
		} else if (destination && !addr[2] && !addr[3]) {
			addr[3] = RS_LOOPBACK6_WORD;
		}
	}
	if (family == AF_INET)
		addr[0] = rs_normalize_addr4(addr[0], destination);
	return family;
}

/* Dimensions with a row each, in whole groups of those that rs_rows_word() takes at once. */
#define RS_ROWS_AT_ONCE	   12
#define RS_ROWS		   ((REVSHELL_DIM_PREDICATE + RS_ROWS_AT_ONCE - 1) / RS_ROWS_AT_ONCE * RS_ROWS_AT_ONCE)

/* Words that rs_rows_alive() takes at once. */
#define RS_WORDS_AT_ONCE   8

/* Where a dimension's row stands: those that most policies ask for are in the first group. */
#define RS_SWAP(dim, a, b) ((dim) == (a) ? (b) : (dim) == (b) ? (a) : (dim))
#define RS_PLACE(dim)                                                                            \
	RS_SWAP(RS_SWAP(dim, REVSHELL_DIM_SK_TYPE, REVSHELL_DIM_SA_PORT), REVSHELL_DIM_SK_SPORT, \
		REVSHELL_DIM_SA_ADDR)
#define RS_DIMS_SECOND_GROUP                                                    \
	(~(RS_DIM_BIT(RS_ROWS_AT_ONCE) - 1) ^                                   \
	 (RS_DIM_BIT(REVSHELL_DIM_SK_TYPE) | RS_DIM_BIT(REVSHELL_DIM_SA_PORT) | \
	  RS_DIM_BIT(REVSHELL_DIM_SK_SPORT) | RS_DIM_BIT(REVSHELL_DIM_SA_ADDR)))

/*
 * Row indices, not pointers: a verifier that tells pointers apart by where they came from would
 * follow every combination of dimensions in use.
 */
struct rs_match {
	__u64 live;    /* AND of the folds */
	__u64 answers; /* to the predicates; 0 if the hook asks none */
	union {
		__u16 row[RS_ROWS]; /* by RS_PLACE(); 0 where the dimension is not in use */
		__u64 four[RS_ROWS / 4];
	};
	__u32 hook;
};

/* What the first matches ask for; whether it is carried out is the mode's business. */
struct rs_outcome {
	__u64 report;	  /* nonzero: some match wants an event */
	__u64 unlimited;  /* nonzero: some of them whether or not there was one like it */
	__u64 mix;	  /* a hash of those that want an event */
	__u64 deny_words; /* bit w: a match of word w denies */
	__u64 signals;	  /* bit i: cfg->signals[i] is asked for */
};

#define RS_TABLE(table, size, value, otherwise) \
	({                                      \
		__u32 v_ = (value);             \
		__u64 r_ = (otherwise);         \
		if (v_ < (size))                \
			r_ = (table)[v_];       \
		r_;                             \
	})

/* A row's fold; the first rows' are at hand. */
RS_INLINE __u64 rs_fold(RS_VIEW view, const struct revshell_hook_cfg *cfg, __u32 hook, __u64 row)
{
	return row < REVSHELL_FOLDS ? cfg->fold[row] : rs_row_fold(view, hook, row);
}

/* Takes the row of one dimension into m, or leaves the caller when nothing can match any more. */
#define RS_ASK(dims, dim, index)                                            \
	do {                                                                \
		if (((dims)&RS_DIM_BIT(dim)) && (used & RS_DIM_BIT(dim))) { \
			/* 64 bits, which need no cutting off */            \
			__u64 row_ = (index);                               \
                                                                            \
			m->row[RS_PLACE(dim)] = row_;                       \
			live &= rs_fold(view, cfg, hook, row_);             \
			if (!live)                                          \
				return 0;                                   \
		}                                                           \
	} while (0)

/* Whether any of a few dimensions is in use: one test for those that seldom are. */
#define RS_ANY(dims, some) (((dims) & (some)) && (used & (dims) & (some)))

/*
 * Where the run of a node leads that holds addr, in host order. Each step halves what is left, by
 * arithmetic on the offset of the run at hand: a branch would double the verifier's ways.
 */
RS_INLINE __u32 rs_node_find(const struct revshell_addr_node *node, __u32 addr)
{
	const char *before = (const char *)node->before;
	__u64 at = 0;

	RS_UNROLL
	for (__u64 step = REVSHELL_NODE_RUNS / 2 * sizeof(__u32); step >= sizeof(__u32);
	     step /= 2) {
		__u64 below = *(const __u32 *)(before + at + step), half;

		/* negative where addr lies above */
		below -= addr;
		RS_OPAQUE(below);
		half = (below >> 63) * step;
		/* 5.10 knows bounds of sums, not of what the compiler would make of this one */
		RS_OPAQUE(half);
		at += half;
	}
	return *(const __u16 *)((const char *)node->to + at / 2);
}

/* The row of an IPv4 address in network order. */
RS_INLINE __u32 rs_addr4_row(RS_VIEW view, const struct revshell_hook_cfg *cfg, const __u32 dim,
			     __u32 addr)
{
	__u32 found;

	addr = RS_HOST32(addr);
	found = rs_node_find(&cfg->addr4[dim - REVSHELL_DIM_SK_SADDR], addr);
	if (cfg->addr4_below[dim - REVSHELL_DIM_SK_SADDR])
		found = rs_nodes_find(view, found, addr,
				      cfg->addr4_below[dim - REVSHELL_DIM_SK_SADDR]);
	return found;
}

/*
 * IPv4-mapped addresses have become AF_INET, and any-addresses loopback, before they come here.
 * A function of its own, for the sake of the stack.
 */
RS_NOINLINE __u32 rs_addr_row(RS_VIEW view, const struct revshell_hook_cfg *cfg, __u32 hook,
			      __u32 dim, RS_OBJECT obj)
{
	__u32 addr[4] = {};
	__u32 family = rs_obj_addr(obj, dim, addr);

	if (family == AF_INET)
		return rs_addr4_row(view, cfg, dim, addr[0]);
	if (family == AF_INET6)
		return rs_cidr6_row(view, cfg, hook, dim, addr);
	return cfg->no_address[dim - REVSHELL_DIM_SK_SADDR];
}

/* The same, without the way round by a function for IPv4 where the includer has its address. */
RS_INLINE __u32 rs_sa_addr_row(RS_VIEW view, const struct revshell_hook_cfg *cfg, __u32 hook,
			       RS_OBJECT obj)
{
#ifdef rs_obj_sa_addr4
	if (rs_obj_sa_family(obj) == AF_INET)
		return rs_addr4_row(view, cfg, REVSHELL_DIM_SA_ADDR, rs_obj_sa_addr4(obj));
#endif
	return rs_addr_row(view, cfg, hook, REVSHELL_DIM_SA_ADDR, obj);
}

RS_INLINE __u32 rs_sk_addr_row(RS_VIEW view, const struct revshell_hook_cfg *cfg, __u32 hook,
			       const __u32 dim, RS_OBJECT obj)
{
#ifdef rs_obj_sk_addr4
	if (rs_obj_sk_family(obj) == AF_INET)
		return rs_addr4_row(view, cfg, dim, rs_obj_sk_addr4(obj, dim));
#endif
	return rs_addr_row(view, cfg, hook, dim, obj);
}

RS_INLINE __u32 rs_port_row(RS_VIEW view, const struct revshell_hook_cfg *cfg, __u32 dim,
			    RS_OBJECT obj)
{
	__u32 port = rs_obj_port(obj, dim);
	__u32 page = cfg->port_page[dim - REVSHELL_DIM_SK_SPORT][(port >> 8) & 255];

	if (page < REVSHELL_HOOK_PAGES)
		return cfg->page[page].row[port & 255];
	return rs_page_row(view, page - REVSHELL_HOOK_PAGES, port & 255);
}

/* The number of the lowest set bit of x, which is not 0; without a branch per bit. */
RS_INLINE __u32 rs_lowest_bit(__u64 x)
{
	__u64 below = (x & -x) - 1;

	/* counts the ones below it */
	RS_OPAQUE(below);
	below = below - ((below >> 1) & 0x5555555555555555ULL);
	below = (below & 0x3333333333333333ULL) + ((below >> 2) & 0x3333333333333333ULL);
	below = (below + (below >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (below * 0x0101010101010101ULL) >> 56;
}

/*
 * AND of word w of the rows that the answers to the hook's predicates select; of their folds if w
 * is REVSHELL_WORDS.
 */
RS_INLINE __u64 rs_predicate_rows(RS_VIEW view, const struct revshell_hook_cfg *cfg, __u64 answers,
				  __u32 w)
{
	__u64 left = cfg->predicates;
	__u64 all = ~0ULL;

	for (int i = 0; i < REVSHELL_PREDICATES; i++) {
		__u32 k = rs_lowest_bit(left) & (REVSHELL_PREDICATES - 1);
		__u32 row;

		if (!left)
			break;
		left &= left - 1;
		row = cfg->predicate_row[k][(answers >> k) & 1];
		if (w < REVSHELL_WORDS)
			all &= rs_row_word(view, row, w);
		else
			/* the stack of 5.10 has no room for the hook */
			all &= rs_row_fold(view, REVSHELL_PLACE_OTHER, row);
	}
	return all;
}

/* The row of an integer argument: signed ones sort as numbers when their top bit is flipped. */
RS_INLINE __u32 rs_int_row(RS_VIEW view, const struct revshell_hook_cfg *cfg, __u32 hook,
			   const __u32 n, RS_OBJECT obj)
{
	__u64 value = rs_obj_int(obj, n);

	if ((cfg->ints_low32 >> n) & 1)
		value = (__u32)value;
	if ((cfg->ints_signed >> n) & 1)
		value ^= 1ULL << 63;
	return rs_number_row(view, REVSHELL_SPACE_INT(hook, n), value,
			     cfg->dim_default[REVSHELL_DIM_INT0 + n]);
}

/* The process's side: AND of the folds of the rows that class_id stands for on a hook. */
RS_INLINE __u64 rs_path_live(RS_VIEW view, const struct revshell_hook_cfg *cfg, __u32 hook,
			     const __u32 *class_id)
{
	const __u64 used = RS_READ(cfg->used);
	__u64 live = ~0ULL;

	if (!(used & RS_DIMS_PATH))
		return live;
	RS_UNROLL
	for (__u32 dim = 0; dim < REVSHELL_PATH_DIMS; dim++)
		if (used & RS_DIM_BIT(dim))
			live &= rs_fold(view, cfg, hook,
					(__u64)cfg->path_rows[dim] + class_id[dim]);
	return live;
}

/* Whether some of n words, from w on, may have a selector left in a fold. */
RS_INLINE bool rs_words_live(const struct revshell_hook_cfg *cfg, __u64 live, __u32 w, __u32 n)
{
	__u32 bits = RS_READ(cfg->fold_bits), wide = bits * n;

	if (wide > 64)
		wide = 64;
	return ((live >> ((w * bits) & 63)) << ((64 - wide) & 63)) != 0;
}

/* A fold without the bits of those words that have no selector left when they are read. */
RS_INLINE __u64 rs_drop_words(const struct revshell_hook_cfg *cfg, __u64 live, __u32 w, __u64 alive)
{
	const __u32 bits = RS_READ(cfg->fold_bits);
	const __u64 one = ~0ULL >> ((64 - bits) & 63);

	/* those behind the last in use share their place in the fold with others */
	alive |= ~0ULL << ((RS_READ(cfg->n_words) - w) & 63);
	RS_UNROLL
	for (__u32 i = 0; i < RS_WORDS_AT_ONCE; i++)
		live &= ~((one * (1 - ((alive >> i) & 1))) << (((w + i) * bits) & 63));
	return live;
}

/*
 * What a fold leaves of several words is too much where selectors that ask unlike things share its
 * bits: the words tell, many of a row at once. With one word in use the folds are the words.
 */
RS_INLINE __u64 rs_narrow(RS_VIEW view, const struct revshell_hook_cfg *cfg,
			  const struct rs_match *m, const __u64 dims, __u64 live)
{
	if (RS_READ(cfg->n_words) == 1)
		return live;
	RS_UNROLL
	for (__u32 w = 0; w < REVSHELL_WORDS; w += RS_WORDS_AT_ONCE) {
		const __u64 *four = m->four;
		__u64 alive;

		if (w >= RS_READ(cfg->n_words))
			break;
		if (!rs_words_live(cfg, live, w, RS_WORDS_AT_ONCE))
			continue;
		alive = rs_rows_alive(view, RS_AT(m->hook, w), four[0], four[1], four[2]);
		if (dims & RS_DIMS_SECOND_GROUP & ~RS_DIMS_ALWAYS && (four[3] | four[4] | four[5]))
			alive &= rs_rows_alive(view, RS_AT(m->hook, w), four[3], four[4], four[5]);
		live = rs_drop_words(cfg, live, w, alive);
	}
	return live;
}

/*
 * Looks up every dimension that this hook's selectors ask, cheapest first, and stops as soon as
 * nothing is left. dims: the dimensions that the calling program can answer, a constant; paths:
 * what rs_path_live() says of class_id.
 * Returns 1 if something may match (m is complete), 0 if nothing does. zero: see rs_conclude().
 */
RS_INLINE int rs_match(RS_VIEW view, const struct revshell_hook_cfg *cfg, __u32 hook,
		       const __u64 dims, const __u32 *class_id, __u64 paths, RS_OBJECT obj,
		       __u64 zero, struct rs_match *m)
{
	const __u64 used = RS_READ(cfg->used);
	__u64 live = paths;

	for (int i = 0; i < RS_ROWS / 4; i++)
		m->four[i] = zero;
	if (!live)
		return 0;
	/* with one word in use their folds are all that is asked of them */
	if (RS_READ(cfg->n_words) > 1) {
		RS_UNROLL
		for (__u32 dim = 0; dim < REVSHELL_PATH_DIMS; dim++)
			if (used & RS_DIM_BIT(dim))
				m->row[dim] = cfg->path_rows[dim] + class_id[dim];
	}

#define ASK_TABLE(dim, table, size, value) \
	RS_ASK(dims, dim, RS_TABLE(cfg->table, size, value, cfg->dim_default[dim]))
	ASK_TABLE(REVSHELL_DIM_SK_FAMILY, sk_family, REVSHELL_FAMILIES, rs_obj_sk_family(obj));
	ASK_TABLE(REVSHELL_DIM_SK_TYPE, sk_type, REVSHELL_TYPES, rs_obj_sk_type(obj));
	ASK_TABLE(REVSHELL_DIM_SK_PROTOCOL, sk_protocol, REVSHELL_PROTOCOLS,
		  rs_obj_sk_protocol(obj));
	ASK_TABLE(REVSHELL_DIM_SK_STATE, sk_state, REVSHELL_STATES, rs_obj_sk_state(obj));
	ASK_TABLE(REVSHELL_DIM_SA_FAMILY, sa_family, REVSHELL_FAMILIES, rs_obj_sa_family(obj));
#undef ASK_TABLE

	if (RS_ANY(dims, RS_DIM_BIT(REVSHELL_DIM_SK_SPORT) | RS_DIM_BIT(REVSHELL_DIM_SK_DPORT))) {
		RS_ASK(dims, REVSHELL_DIM_SK_SPORT,
		       rs_port_row(view, cfg, REVSHELL_DIM_SK_SPORT, obj));
		RS_ASK(dims, REVSHELL_DIM_SK_DPORT,
		       rs_port_row(view, cfg, REVSHELL_DIM_SK_DPORT, obj));
	}
	RS_ASK(dims, REVSHELL_DIM_SA_PORT, rs_port_row(view, cfg, REVSHELL_DIM_SA_PORT, obj));

#define ASK_ADDR(dim) RS_ASK(dims, dim, rs_sk_addr_row(view, cfg, hook, dim, obj))
	if (RS_ANY(dims, RS_DIM_BIT(REVSHELL_DIM_SK_SADDR) | RS_DIM_BIT(REVSHELL_DIM_SK_DADDR))) {
		ASK_ADDR(REVSHELL_DIM_SK_SADDR);
		ASK_ADDR(REVSHELL_DIM_SK_DADDR);
	}
	RS_ASK(dims, REVSHELL_DIM_SA_ADDR, rs_sa_addr_row(view, cfg, hook, obj));
#undef ASK_ADDR

#define ASK_INT(n) RS_ASK(dims, REVSHELL_DIM_INT0 + (n), rs_int_row(view, cfg, hook, n, obj))
	if (RS_ANY(dims, RS_DIMS_INTS | RS_DIM_BIT(REVSHELL_DIM_UN_PATH))) {
		ASK_INT(0);
		ASK_INT(1);
		ASK_INT(2);
		ASK_INT(3);
		RS_ASK(dims, REVSHELL_DIM_UN_PATH, rs_obj_unix_row(view, cfg, hook, obj));
	}
#undef ASK_INT

	m->hook = hook;
	m->answers = zero;
	if (used & RS_DIM_BIT(REVSHELL_DIM_PREDICATE)) {
		m->answers = rs_obj_predicates(view, cfg, obj);
		live &= rs_ask_predicates(view, cfg, hook, m->answers, REVSHELL_WORDS);
		if (!live)
			return 0;
	}
	m->live = rs_narrow(view, cfg, m, dims, live);
	return m->live != 0;
}

/*
 * The selectors of word w that match. Dimensions not in use ask row 0, where all bits are set, and
 * which is known without looking it up.
 */
RS_NOINLINE __u64 rs_match_word(RS_VIEW view, const struct revshell_hook_cfg *cfg,
				const struct rs_match *m, const __u64 dims, __u32 w)
{
	__u64 word = m->live;

	/* with one word in use the folds are the words */
	if (RS_READ(cfg->n_words) > 1) {
		word = ~0ULL;
		RS_UNROLL
		for (int i = 0; i < RS_ROWS; i += RS_ROWS_AT_ONCE) {
			const __u64 *four = &m->four[i / 4];

			if ((!i || dims & RS_DIMS_SECOND_GROUP & ~RS_DIMS_ALWAYS) &&
			    (four[0] | four[1] | four[2]))
				word &= rs_rows_word(view, RS_AT(m->hook, w), four[0], four[1],
						     four[2]);
		}
		if (RS_READ(cfg->used) & RS_DIM_BIT(REVSHELL_DIM_PREDICATE))
			word &= rs_ask_predicates(view, cfg, m->hook, m->answers, w);
	}
	return word;
}

/*
 * The lowest set bit of x within each group of selectors, at once: x & -x, with the negation's
 * carry kept from crossing into the next group (high marks each group's last bit).
 */
RS_INLINE __u64 rs_first_matches(__u64 x, __u64 start, __u64 high)
{
	__u64 a = ~x;
	__u64 negated = ((a & ~high) + (start & ~high)) ^ ((a ^ start) & high);

	return x & negated;
}

/*
 * The first matches of word w. Groups that stand ahead of their own hook count only while
 * enforcing, otherwise that hook reports: late is then all ones, and 0 while enforcing.
 */
RS_INLINE __u64 rs_first_word(RS_VIEW view, const struct revshell_hook_cfg *cfg,
			      const struct rs_match *m, const __u64 dims, __u32 w, __u64 late)
{
	__u64 word = rs_match_word(view, cfg, m, dims, w);

	return rs_first_matches(word, cfg->start[w], cfg->high[w]) & ~(cfg->early[w] & late);
}

/*
 * 1 if x is not 0. Arithmetic that neither the compiler nor the verifier can turn into two ways to
 * follow (newer verifiers do for masks of all ones or none), in each of many words.
 */
RS_INLINE __u64 rs_is_set(__u64 x)
{
	__u64 negated = -x;

	RS_OPAQUE(negated);
	return (x | negated) >> 63;
}

/* Adds what word w's first matches ask for to out. */
RS_INLINE void rs_outcome_word(RS_VIEW view, const struct revshell_hook_cfg *cfg,
			       const struct rs_match *m, const __u64 dims, __u32 w, __u64 late,
			       struct rs_outcome *out)
{
	__u64 first = rs_first_word(view, cfg, m, dims, w, late);
	__u64 report = first & cfg->report[w];

	if (!first)
		return;
	out->report |= report;
	out->unlimited |= report & ~cfg->limited[w];
	out->mix = (out->mix ^ report) * 0x9e3779b97f4a7c15ULL;
	out->deny_words |= rs_is_set(first & cfg->deny[w]) << w;
	if (!cfg->n_signals)
		return;
	RS_UNROLL
	for (int i = 0; i < REVSHELL_SIGNALS; i++)
		out->signals |= rs_is_set(first & cfg->signal[i][w]) << i;
}

/*
 * What follows from a complete match. zero is 0 in a way that the verifier does not know, so that
 * it needs to follow the loop with unknown values only.
 */
RS_INLINE void rs_conclude(RS_VIEW view, const struct revshell_hook_cfg *cfg,
			   const struct rs_match *m, const __u64 dims, __u64 late, __u64 zero,
			   struct rs_outcome *out)
{
	out->report = zero;
	out->unlimited = zero;
	out->mix = zero;
	out->deny_words = zero;
	out->signals = zero;
	RS_UNROLL
	for (__u32 w = 0; w < REVSHELL_WORDS; w++) {
		if (w >= RS_READ(cfg->n_words))
			break;
		if (!rs_words_live(cfg, m->live, w, 1))
			continue;
		rs_outcome_word(view, cfg, m, dims, w, late, out);
	}
}

/* The number of the selector whose denial counts, the lowest; out->deny_words is not 0. */
RS_INLINE __u32 rs_deny_selector(RS_VIEW view, const struct revshell_hook_cfg *cfg,
				 const struct rs_match *m, const __u64 dims, __u64 late,
				 const struct rs_outcome *out)
{
	__u32 w = rs_lowest_bit(out->deny_words) & (REVSHELL_WORDS - 1);

	return w * 64 + rs_lowest_bit(rs_first_word(view, cfg, m, dims, w, late) & cfg->deny[w]);
}
