/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cases that are measured, and the rule sets that make them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "backend.h"

/* What a policy of a case asks; all of it is true of the measuring process but for the last. */
enum bench_filter {
	ASK_EXE,
	ASK_EXE_PREFIX,
	ASK_EXE_POSTFIX,
	ASK_PARENT,
	ASK_PARENT_PREFIX,
	ASK_PARENT_POSTFIX,
	ASK_SK_FAMILY,
	ASK_SK_PROTOCOL,
	ASK_SK_STATE,
	ASK_SK_SPORT,
	ASK_SK_DPORT,
	ASK_SK_SADDR,
	ASK_SK_DADDR,
	ASK_SA_FAMILY,
	ASK_SA_PORT,
	ASK_SA_ADDR,
	ASK_OWN_ADDR, /* of the socket, with prefixes; for listen */
	ASK_MAX,
};

#define ASK(filter) (1U << ASK_##filter)

/* What is done while instructions are counted. */
enum bench_work {
	WORK_CONNECT,	   /* of a UDP socket over IPv4 */
	WORK_CONNECT_UNIX, /* nobody listens */
	WORK_SEND,	   /* of one byte on a connected UDP socket */
	WORK_SENDTO,	   /* of one byte on one that is not */
	WORK_LISTEN,	   /* of a TCP socket that does already */
	WORK_FORK,
	WORK_EXEC,    /* from execve(2) to the first instruction */
	WORK_PROCESS, /* fork, exec of true(1) with its libraries, exit, wait */
	WORK_MAX,
};

enum bench_outcome {
	OUTCOME_PASS,
	OUTCOME_REPORT,
	OUTCOME_DENY,
	OUTCOME_DENY_SILENTLY,
};

enum bench_daemon {
	DAEMON_NONE,
	DAEMON_EMPTY_PROGRAM, /* one that does nothing */
	DAEMON_OURS,
};

struct bench_case {
	const char *name;
	enum bench_work work;
	enum bench_daemon daemon;
	enum backend_kind kind;	 /* BACKEND_AUTO stands for BACKEND_LSM, BACKEND_NONE for fentry */
	unsigned int n_policies; /* 0: an empty rule set */
	unsigned int n_cidrs;	 /* different ones in all policies together, where ASK_SA_ADDR */
	unsigned int asks;	 /* ASK() bits */
	int fails;		 /* enum bench_filter that nothing satisfies, or -1 */
	int fails_odd;		 /* the same in every other policy */
	enum bench_outcome outcome;
	const char *call; /* NULL: security_socket_connect */
	bool apart;	  /* each policy names another program besides, so that none ask alike */
	bool scattered;	  /* and another port, and prefixes of its own: no order makes runs */
};

/* What most policies ask about a connect: who, what, where to. */
#define BENCH_USUAL (ASK(EXE) | ASK(SK_PROTOCOL) | ASK(SA_FAMILY) | ASK(SA_PORT) | ASK(SA_ADDR))
#define BENCH_ALL   (ASK(OWN_ADDR) - 1)

extern const struct bench_case bench_cases[];
extern const size_t n_bench_cases;

/* What the figures have to keep to: row, of what kind, against which other row. */
enum bench_limit {
	LIMIT_ADDED,	    /* instructions added, at most factor */
	LIMIT_ADDED_OF,	    /* added, at most factor times what other adds */
	LIMIT_TOTAL_OF,	    /* total, at most factor times other's total */
	LIMIT_ADDED_OF_ALL, /* added, at most factor times the work without a daemon */
};

struct bench_budget {
	const char *row;
	enum bench_limit limit;
	double factor;
	const char *other;
};

extern const struct bench_budget bench_budgets[];
extern const size_t n_bench_budgets;

#define BENCH_ADDRESS 0x7f4d4d4dU /* 127.77.77.77, where calls go */
#define BENCH_PORT    7777U

struct bench {
	char self[512];
	char parent[512];
	const char *folder; /* in memory: reading from the host's files would be waited for */
	char execee[128];
	char loader[128];
	char true_path[128];
	int udp;
	int unconnected;
	int unix_socket;
	int tcp;
	double totals[128]; /* by case: instructions of one call */
};

const char *bench_work_name(enum bench_work work);

/* Instructions of one call, the least over many batches; 0 if the work cannot be done. */
double bench_measure(struct bench *b, struct backend *backend, enum bench_work work);

struct ruleset *bench_make_ruleset(const struct bench *b, struct backend *backend,
				   const struct bench_case *c);

/* The case is what its name says: checked before it is measured. */
void bench_check_case(struct bench *b, struct backend *backend, const struct bench_case *c);

/*
 * bench-matrix.c: prints a line for every hook, case, number of policies and prefixes, backend.
 * edges: many policies with few prefixes, one with many, and most of both.
 */
void bench_matrix(struct bench *b, bool edges);

/* Writes policy number i of the case as YAML. */
void bench_write_policy(FILE *f, const struct bench_case *c, unsigned int i, const char *self,
			const char *parent);
