/* SPDX-License-Identifier: GPL-2.0-only */
/* All maps. Those of one generation hang in outer maps with a half for each slot. */
#pragma once

#include "compat.bpf.h"
#include "revshell-abi.h"

#define DEFINE_HOOK_MAPS(name, n)                                                     \
	struct {                                                                      \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);                             \
		__uint(max_entries, n);                                               \
		__type(key, __u32);                                                   \
		__array(                                                              \
			values, struct {                                              \
				__uint(type, BPF_MAP_TYPE_ARRAY);                     \
				__uint(max_entries, REVSHELL_HOOK_MAX);               \
				__uint(key_size, sizeof(__u32));                      \
				__uint(value_size, sizeof(struct revshell_hook_cfg)); \
			});                                                           \
	} name __weak SEC(".maps")

/*
 * The current generation: element 0 is the inner map with one revshell_hook_cfg per hook. Replacing
 * that one element is what makes a new rule set current. A program reads it once.
 */
DEFINE_HOOK_MAPS(rs_active, 1);

/* The same inner maps by slot, for a program that has read its slot and is in a function. */
DEFINE_HOOK_MAPS(rs_hooks, REVSHELL_SLOTS);

#define DEFINE_SLOT_ARRAYS(name, value_type)                            \
	struct {                                                        \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);               \
		__uint(max_entries, REVSHELL_SLOTS);                    \
		__type(key, __u32);                                     \
		__array(                                                \
			values, struct {                                \
				__uint(type, BPF_MAP_TYPE_ARRAY);       \
				__uint(map_flags, BPF_F_INNER_MAP);     \
				__uint(max_entries, 1);                 \
				__uint(key_size, sizeof(__u32));        \
				__uint(value_size, sizeof(value_type)); \
			});                                             \
	} name __weak SEC(".maps")

#define DEFINE_SLOT_TRIES(name, n, key_type, val_type)                \
	struct {                                                      \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);             \
		__uint(max_entries, n);                               \
		__type(key, __u32);                                   \
		__array(                                              \
			values, struct {                              \
				__uint(type, BPF_MAP_TYPE_LPM_TRIE);  \
				__uint(map_flags, BPF_F_NO_PREALLOC); \
				__uint(max_entries, 1);               \
				__uint(key_size, sizeof(key_type));   \
				__uint(value_size, sizeof(val_type)); \
			});                                           \
	} name __weak SEC(".maps")

DEFINE_SLOT_ARRAYS(rs_rows, struct revshell_row);
DEFINE_SLOT_ARRAYS(rs_pages, struct revshell_port_page);
DEFINE_SLOT_ARRAYS(rs_nodes, struct revshell_addr_node);
DEFINE_SLOT_ARRAYS(rs_denials, struct revshell_denial);
DEFINE_SLOT_TRIES(rs_cidr6, REVSHELL_TRIES, struct revshell_cidr6_key, __u32);
/* By REVSHELL_PATH_INDEX. */
DEFINE_SLOT_TRIES(rs_prefixes, REVSHELL_SLOTS * 2, struct revshell_prefix_key,
		  struct revshell_affix_value);
DEFINE_SLOT_TRIES(rs_postfixes, REVSHELL_SLOTS * 2, struct revshell_postfix_key,
		  struct revshell_affix_value);

DEFINE_SLOT_TRIES(rs_numbers, REVSHELL_SLOTS, struct revshell_number_key, __u64);
DEFINE_SLOT_TRIES(rs_unix, REVSHELL_SLOTS, struct revshell_unix_key, __u32);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, REVSHELL_SLOTS);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_HASH);
			__uint(max_entries, 1);
			__uint(key_size, sizeof(struct revshell_unit_key));
			__uint(value_size, sizeof(__u64));
		});
} rs_units __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, REVSHELL_SLOTS * 2);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_HASH);
			__uint(max_entries, 1);
			__uint(key_size, sizeof(struct revshell_path_key));
			__uint(value_size, sizeof(struct revshell_path_value));
		});
} rs_paths __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct revshell_mode_value);
} rs_mode __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct revshell_secret);
} rs_secret __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct revshell_meta);
} rs_meta __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct revshell_in_force);
} rs_in_force __weak SEC(".maps");

/* Value: enum policy_mode. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct revshell_override_key);
	__type(value, __u32);
} rs_overrides __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct revshell_lock);
} rs_lock __weak SEC(".maps");

/* Value: bits of enum revshell_lock_file. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 256);
	__type(key, struct revshell_lock_key);
	__type(value, __u32);
} rs_lock_files __weak SEC(".maps");

/* Policies that have to stay as they are. Value: SipHash of the text. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct revshell_override_key);
	__type(value, __u64);
} rs_held __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REVSHELL_PLACES *REVSHELL_STAT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} rs_stats __weak SEC(".maps");

/* Records are struct revshell_event. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);
} rs_events __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct revshell_label);
} rs_labels __weak SEC(".maps");

/* The same by tgid, for kernels without task storage. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct revshell_label);
} rs_labels_hash __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct revshell_owner);
} rs_owners __weak SEC(".maps");

/*
 * Buffers for what does not fit a program's stack. Programs may be preempted, so a buffer belongs
 * to whoever took its number from rs_scratch_free, and to nobody else until it is there again.
 * A path is written from the end of path[RS_PATH_END] towards its start. The loader makes two of
 * them for each processor, and no fewer than these.
 */
#define RS_SCRATCHES 8
#define RS_PATH_END  4095

/* What events have in common that a rate limit takes for alike. Addresses and ports as in events.
 */
struct rs_rate_key {
	__u64 generation;
	__u64 mix; /* of the selectors that want an event */
	__u32 hook;
	__u32 scope; /* tid, tgid or 0 */
	__u16 family;
	__u16 protocol;
	__u16 sport;
	__u16 dport;
	__u16 sa_family;
	__u16 sa_port;
	__u32 pad;
	__u8 saddr[16];
	__u8 daddr[16];
	__u8 sa_addr[16];
	__s64 ints[REVSHELL_INTS];
};

struct rs_rate {
	__u64 time_ns;	  /* of the last event that was sent, CLOCK_BOOTTIME */
	__u64 suppressed; /* since then */
};

/*
 * By the SipHash-1-3 of an rs_rate_key under the key of rs_secret. Full, the one asked for longest
 * ago goes: its next event is sent, which is the safe side.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, __u64);
	__type(value, struct rs_rate);
} rs_rates __weak SEC(".maps");

/* A dentry's parent and name, and a mount's place and root. */
struct rs_step {
	__u64 up;
	__u64 len; /* of the name, in the upper half; the hash is in the lower */
	__u64 name;
};

struct rs_mounted {
	__u64 parent;
	__u64 mountpoint;
	__u64 root;
};

struct rs_scratch {
	char path[RS_PATH_END + 1 + 256];
	struct revshell_label label;
	struct revshell_prefix_key prefix;
	struct revshell_postfix_key postfix;
	struct revshell_unit_key unit;
	struct rs_rate_key rate_key;
	__u64 rate_hash;
	struct rs_rate rate;
	struct rs_step step;
	struct rs_mounted mounted;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RS_SCRATCHES);
	__type(key, __u32);
	__type(value, struct rs_scratch);
} rs_scratch __weak SEC(".maps");

/* Numbers of the buffers that nobody uses; those of all at first. */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, RS_SCRATCHES);
	__type(value, __u32);
} rs_scratch_free __weak SEC(".maps");

/* place: enum revshell_hook or REVSHELL_PLACE_OTHER. */
static __always_inline void stat_add(__u32 place, const __u32 stat)
{
	__u32 index = REVSHELL_STAT_INDEX(place, stat);
	__u64 *value = bpf_map_lookup_elem(&rs_stats, &index);

	if (value)
		(*value)++;
}
