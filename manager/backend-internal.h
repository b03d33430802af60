/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the backend share. */
#pragma once

#include <bpf/libbpf.h>

#include "backend.h"
#include "maps.h"

struct bpf_map;
struct revshell_bpf;

#define BACKEND_MAX_LINKS 128
#define BACKEND_MAX_MAPS  64

/* A program and the kernel hook that it serves. */
struct backend_program {
	const char *name;	 /* in the object */
	enum revshell_hook hook; /* or REVSHELL_HOOK_MAX: serves no hook, always attached */
	unsigned int kinds;	 /* backends it is part of: bits by enum backend_kind */
	bool on_demand;		 /* attached while the rule set has selectors on hook */
	bool track_sock;	 /* or, without a hook, while it tracks sockets */
	bool sctp;		 /* on demand of selectors that SCTP sockets can match */
	bool lock;		 /* on demand of the lock */
};

extern const struct backend_program backend_programs[];
extern const size_t n_backend_programs;

/* What sets one kind of backend apart. */
struct backend_ops {
	const char *name;
	bool can_deny;	    /* else it reports, and kills after the fact */
	const char *remedy; /* behind the reason of a self-test that failed, or NULL */

	/* Whether this kernel will do. forced: no other is tried. -EOPNOTSUPP, and why not. */
	int (*check)(bool forced, char **ret_reason);

	/* Whether links can be pinned, once it is known what is; or NULL: they always can. */
	int (*may_pin)(struct backend *b, char **ret_reason);
};

extern const struct backend_ops backend_ops_lsm;
extern const struct backend_ops backend_ops_fmod_ret;
extern const struct backend_ops backend_ops_kprobe;

/* Programs by which the kernel is asked. */
enum backend_iterator {
	ITERATOR_FILES, /* what it calls the daemon's open files */
	ITERATOR_HOST,
	ITERATOR_MAX,
};

/* What this kernel has, as bits. */
enum {
	HAS_TASK_STORAGE = 1,
	HAS_SOCKET_COOKIE = 2,
	HAS_SOCK_FROM_FILE = 4,
};

/* A map of the main object's, by a descriptor of our own. */
struct backend_map {
	char name[32];
	int fd;
	bool is_kept; /* across daemons */
};

struct backend {
	enum backend_kind kind;
	const struct backend_ops *ops;
	unsigned int kernel_has;
	struct revshell_bpf *skel; /* the main object, until the start is over; NULL: not opened */
	struct backend_map maps[BACKEND_MAX_MAPS];
	size_t n_maps;
	struct revshell_selftest *selftest_area; /* of the verdict programs, during the start */
	int iterators[ITERATOR_MAX];		 /* programs */
	struct backend_pins {
		char *base; /* NULL: nothing is pinned */
		char *dir;
		char *note;		    /* why nothing is, or what was wrong */
		struct revshell_meta found; /* of the pins that were there */
		bool present;		    /* there were some */
		bool complete;
		bool maps_adopted;
		bool programs_adopted;
		bool may_keep; /* the generation in force, until the first set is known */
		bool active;   /* ours are in place */
		void *bss;     /* of adopted programs */
		size_t bss_size;
	} pins;
	struct maps_outer outer;
	struct maps_slot slots[REVSHELL_SLOTS];
	struct revshell_secret secret;
	uint64_t host_ns[NS_MAX];		   /* inode numbers; 0: not known */
	struct bpf_link *links[BACKEND_MAX_LINKS]; /* by index into backend_programs */
	int files_link;				   /* of ITERATOR_FILES, once attached */
	struct backend_loader {
		pid_t pid; /* 0: there is none, and programs are loaded here */
		int socket;
		bool attached[BACKEND_MAX_LINKS]; /* by it */
	} loader;
	struct revshell_bpf *lock_skel; /* the lock's programs, until all are attached */
	struct ring_buffer *ring;
	uint64_t generation; /* current one; 0: none yet */
	struct revshell_mode_value mode;
	struct revshell_lock lock; /* since_ns: it is on */
	char *selftest;
	backend_event_fn fn; /* during backend_events_consume only */
	void *userdata;
	size_t budget;
};

/*
 * Makes a forked child call what the verdict programs guard and checks that they really denied it.
 * On failure ret_reason says which did not. 0 or -errno; -EOPNOTSUPP: attached, but never called.
 */
int backend_selftest(struct backend *b, char **ret_reason);

/*
 * Asks the kernel for the superblock and inode numbers of the executables that exempt, as its
 * programs will see them. A path that cannot be opened stays without, so it exempts nothing.
 */
int backend_learn_files(struct backend *b, struct ruleset *rs, struct diag *d);

/* What the kernel calls the daemon's own descriptors; zero for those below 0. */
int backend_identify(struct backend *b, const int *fds, size_t n, struct revshell_file_id *ret_ids);

/* Attaches the iterator that learning files takes, once and for all. */
int backend_files_prepare(struct backend *b);

/* In the object, and of their pins. */
extern const char *const backend_iterator_names[ITERATOR_MAX];

/* Takes descriptors of the iterators: out of the main object, or of their pins. After the maps. */
int backend_iterators_keep(struct backend *b);
int backend_iterators_adopt(struct backend *b);
void backend_iterators_forget(struct backend *b);

/* The host's mount namespace, by the first process, and the generation in force. */
int backend_learn_host(struct backend *b, struct revshell_host *ret_host);

/* Whether a program is part of the backend on this kernel. */
bool backend_program_belongs(const struct backend *b, const struct backend_program *p);

/* backend-programs.c */

/* Puts a new string into *reason, in place of what is there. reason may be NULL. */
void backend_reason(char **reason, const char *fmt, ...) _printf_(2, 3);

/* What the kernel has: as the pins say, if they are of this build, else by asking it. */
void backend_learn_kernel(struct backend *b);

/*
 * Opens and loads an object: the main one with all that is always attached (wanted NULL), or one
 * that holds a single program and shares the main one's maps. ring_size in bytes, 0: default.
 */
int backend_load_object(struct backend *b, const struct backend_program *wanted, size_t ring_size,
			struct revshell_bpf **ret_skel, char **reason);

/* Attaches what a rule set needs that is not attached yet; NULL: what is always needed. */
int backend_attach_needed(struct backend *b, const struct ruleset *rs, char **reason);

/* Attaches one program, by whichever process does. */
int backend_attach(struct backend *b, size_t i, char **reason);

/* Loads if need be, attaches and pins one program, in this process. */
int backend_attach_here(struct backend *b, size_t i, char **reason);

/* With what of it lies in memory; NULL: nothing. */
void backend_close_object(struct revshell_bpf *skel);

/* Whether a program is attached, by whichever process. */
bool backend_program_is_attached(const struct backend *b, size_t i);

/* backend-maps.c */

/* Gives an opened object as many buffers as the machine's processors need. */
void backend_size_buffers(struct revshell_bpf *skel);

/* Says of all of them that they are free; once, when object and maps are new. 0 or -errno. */
int backend_fill_buffers(const struct backend *b);

/* Of the programs that this daemon was built with. */
uint64_t backend_object_hash(void);

/* Whether a map of the object is part of the backend on this kernel. */
bool backend_map_belongs(const struct backend *b, const char *name);

/*
 * Takes descriptors of all pinned maps. -EUCLEAN: one is not there, or of another form than that
 * which this daemon was built with.
 */
int backend_maps_adopt(struct backend *b);

/* Takes descriptors of the main object's maps that outlive it. */
int backend_maps_keep(struct backend *b);
void backend_maps_forget(struct backend *b);

/* Whether all objects and daemons share a map of an object, not only its own programs. */
bool backend_map_is_kept(const struct bpf_map *map);

/* The descriptor of a map, "bss" being the programs' variables. -ENOENT: there is none. */
int backend_map(const struct backend *b, const char *name);

/*
 * Once all is attached that always is: libbpf keeps all programs' instructions and types, some
 * megabytes that only opening it anew asks for.
 */
void backend_release_object(struct backend *b);

/* backend-loader.c */
int backend_loader_attach(struct backend *b, size_t i, char **reason);
/* Has it put back pins that are gone. */
int backend_loader_repair(struct backend *b);
void backend_loader_done(struct backend *b);

/* backend-pins.c. The descriptors of the maps that are kept across daemons come from there. */

/* Looks for pins below base. 0, or -errno: they cannot be looked at, or are not ours alone. */
int backend_pins_open(struct backend *b, const char *base);

/* Opens what is pinned under a name, "map_" and "rs_mode". A descriptor or -errno. */
int backend_pins_get(const struct backend *b, const char *kind, const char *name);

/*
 * Takes over the pinned links, the self-test's part of the programs behind them, and the iterators.
 * After the maps.
 */
int backend_pins_adopt(struct backend *b);

/* Pins a link that was attached later. */
int backend_pin_link(struct backend *b, size_t i);

/* How many pins of what is in force are not there. */
int backend_pins_missing(const struct backend *b);

/* Pins anew what is missing, as far as this process holds it. 0 or -errno. */
int backend_pins_repair(struct backend *b);

/* Removes pinned links that are no longer in use. */
void backend_pins_sweep(struct backend *b);
void backend_pins_done(struct backend *b);

/* All of the host's namespaces, as far as they can be had; mnt_ns: 0 or what the kernel said. */
void backend_learn_namespaces(uint64_t mnt_ns, uint64_t host_ns[NS_MAX]);
