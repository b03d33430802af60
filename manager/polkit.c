/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a caller who is not root may: by the group that is let, else asked of polkit, without
 * waiting for the answer.
 *
 * A method knows nothing of this. Its message is kept back before it is dispatched, and put in the
 * queue once more when polkit has said yes; a method that has no row here stays with root.
 */
#include <string.h>

#include "bus.h"
#include "polkit.h"

#define POLKIT_NAME	 "org.freedesktop.PolicyKit1"
#define POLKIT_PATH	 "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define POLKIT_TIMEOUT	 (120 * 1000 * 1000ULL) /* somebody may have to type a password */

#define INSPECT		 "org.revshell1.inspect"
#define RELOAD		 "org.revshell1.reload"
#define SET		 "org.revshell1.set-mode"
#define RELAX		 "org.revshell1.relax-mode"
#define MANAGE		 "org.revshell1.manage-policies"
#define LOCK		 "org.revshell1.lock"

/* Where in a message the word stands that tells strengthening from weakening. */
enum mode_place {
	MODE_NONE,
	MODE_FIRST_STRING,
	MODE_SECOND_STRING,
	MODE_BOOLEAN,
};

static const struct rule {
	const char *interface, *member, *action;
	enum mode_place mode;
} rules[] = {
	{BUS_MANAGER_INTERFACE, "SetEnforce", SET, MODE_BOOLEAN},
	{BUS_MANAGER_INTERFACE, "SetMode", SET, MODE_FIRST_STRING},
	{BUS_MANAGER_INTERFACE, "Confirm", SET, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "Rollback", RELAX, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "Stop", RELAX, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "SetPolicyMode", SET, MODE_SECOND_STRING},
	{BUS_MANAGER_INTERFACE, "Reload", RELOAD, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "Lock", LOCK, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "PutPolicy", MANAGE, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "PutPolicyFd", MANAGE, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "RemovePolicy", MANAGE, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "Apply", MANAGE, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "ApplyFd", MANAGE, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "ListPolicies", INSPECT, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "GetPolicy", INSPECT, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "GetPolicySource", INSPECT, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "ValidatePolicy", INSPECT, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "ValidatePolicyFd", INSPECT, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "GetCapabilities", INSPECT, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "Diagnose", INSPECT, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "GetStatistics", INSPECT, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "OpenEventStream", INSPECT, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "ListEvents", INSPECT, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "Explain", INSPECT, MODE_NONE},
	{BUS_MANAGER_INTERFACE, "Simulate", INSPECT, MODE_NONE},
	{BUS_POLICY_INTERFACE, "SetMode", SET, MODE_FIRST_STRING},
	{BUS_POLICY_INTERFACE, "Remove", MANAGE, MODE_NONE},
	{BUS_POLICY_INTERFACE, "GetSource", INSPECT, MODE_NONE},
	{"org.freedesktop.DBus.Properties", "Get", INSPECT, MODE_NONE},
	{"org.freedesktop.DBus.Properties", "GetAll", INSPECT, MODE_NONE},
	{"org.freedesktop.DBus.ObjectManager", "GetManagedObjects", INSPECT, MODE_NONE},
};

struct question {
	struct polkit *polkit;
	sd_bus_message *m; /* kept back */
	sd_bus_slot *slot;
	sd_bus_track *caller;
	const char *action;
	uid_t uid;
	bool passed;  /* answered yes, and in the queue once more */
	bool handled; /* came out of the queue: the next message ends it */
	struct question *next;
};

struct polkit {
	const struct log *log;
	bool have_group;
	gid_t group;
	struct question *questions;
	size_t n;
};

int polkit_new(const struct log *log, struct polkit **ret_polkit)
{
	struct polkit *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->log = log;
	*ret_polkit = p;
	return 0;
}

void polkit_allow_group(struct polkit *p, gid_t gid)
{
	p->have_group = true;
	p->group = gid;
}

static void question_drop(struct question *q)
{
	struct question **at = &q->polkit->questions;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	q->polkit->n--;
	sd_bus_slot_unref(q->slot);
	sd_bus_track_unref(q->caller);
	sd_bus_message_unref(q->m);
	free(q);
}

void polkit_forget(struct polkit *p)
{
	while (p->questions)
		question_drop(p->questions);
}

void polkit_free(struct polkit *p)
{
	if (!p)
		return;
	polkit_forget(p);
	free(p);
}

static struct question *find_question(const struct polkit *p, sd_bus_message *m)
{
	struct question *q = p->questions;

	while (q && q->m != m)
		q = q->next;
	return q;
}

bool polkit_has_passed(const struct polkit *p, sd_bus_message *m)
{
	const struct question *q = find_question(p, m);

	return q && q->handled;
}

/* A mode that is read wrongly counts as weakening; the method will refuse it anyway. */
static bool weakens(sd_bus_message *m, enum mode_place place)
{
	const char *mode = "";
	int on = 0, r;

	if (place == MODE_BOOLEAN) {
		r = sd_bus_message_read(m, "b", &on);
	} else {
		r = place == MODE_SECOND_STRING ? sd_bus_message_skip(m, "s") : 0;
		if (r >= 0)
			r = sd_bus_message_read(m, "s", &mode);
		on = r >= 0 && strcmp(mode, "enforce") == 0;
	}
	(void)sd_bus_message_rewind(m, true);
	return r < 0 || !on;
}

static const struct rule *find_rule(sd_bus_message *m)
{
	const char *member = sd_bus_message_get_member(m);
	const char *interface = sd_bus_message_get_interface(m);

	/* D-Bus lets the interface be left out: what it would then be is not for us to guess. */
	for (size_t i = 0; interface && member && i < ARRAY_SIZE(rules); i++)
		if (strcmp(rules[i].member, member) == 0 &&
		    strcmp(rules[i].interface, interface) == 0)
			return &rules[i];
	return NULL;
}

static void refuse(struct question *q, const char *why)
{
	int r;

	log_info(q->polkit->log, "Refused %s to uid %u: %s", q->action, q->uid, why);
	r = sd_bus_reply_method_errorf(q->m, SD_BUS_ERROR_ACCESS_DENIED, "%s: %s", q->action, why);
	if (r < 0)
		log_warning(q->polkit->log, "Failed to reply: %s", strerror(-r));
	question_drop(q);
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct question *q = userdata;
	int r, yes = false, challenge = false;

	if (sd_bus_message_is_method_error(reply, NULL)) {
		refuse(q, "polkit does not answer, only root may");
		return 1;
	}
	r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
	if (r >= 0)
		r = sd_bus_message_read(reply, "bb", &yes, &challenge);
	if (r < 0 || !yes) {
		refuse(q, r >= 0 && challenge ? "interactive authorization is needed"
					      : "polkit says no");
		return 1;
	}
	q->passed = true;
	log_info(q->polkit->log, "Granted %s to uid %u", q->action, q->uid);
	r = sd_bus_enqueue_for_read(sd_bus_message_get_bus(q->m), q->m);
	if (r < 0) {
		q->passed = false;
		refuse(q, "out of memory");
	}
	return 1;
}

/* Nobody waits for the answer any more. */
static int on_caller_gone(sd_bus_track *track, void *userdata)
{
	struct question *q = userdata;

	log_debug(q->polkit->log, "uid %u has gone before %s was decided", q->uid, q->action);
	question_drop(q);
	return 1;
}

static int ask(struct question *q, sd_bus_message *m)
{
	sd_bus *bus = sd_bus_message_get_bus(m);
	sd_bus_message *call = NULL;
	uint32_t flags = sd_bus_message_get_allow_interactive_authorization(m) > 0;
	int r;

	r = sd_bus_track_new(bus, &q->caller, on_caller_gone, q);
	if (r >= 0)
		r = sd_bus_track_add_sender(q->caller, m);
	if (r < 0)
		return r;
	r = sd_bus_message_new_method_call(bus, &call, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
					   "CheckAuthorization");
	/* polkit finds out by itself who has that name: it cannot be somebody else's by now. */
	if (r >= 0)
		r = sd_bus_message_append(call, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name",
					  "s", sd_bus_message_get_sender(m), q->action, 0, flags,
					  "");
	if (r >= 0)
		r = sd_bus_call_async(bus, &q->slot, call, on_answer, q, POLKIT_TIMEOUT);
	sd_bus_message_unref(call);
	return r;
}

static int caller_uid(sd_bus_message *m, uid_t *ret_uid)
{
	sd_bus_creds *creds = NULL;
	int r;

	r = sd_bus_query_sender_creds(m, SD_BUS_CREDS_EUID, &creds);
	if (r >= 0)
		r = sd_bus_creds_get_euid(creds, ret_uid);
	sd_bus_creds_unref(creds);
	return r;
}

/* Whether an "au" holds a number. Of another type, or none at all, it does not. */
static bool read_groups(sd_bus_message *m, gid_t wanted)
{
	const uint32_t *groups;
	size_t size;

	if (sd_bus_message_enter_container(m, 'v', "au") <= 0 ||
	    sd_bus_message_read_array(m, 'u', (const void **)&groups, &size) < 0)
		return false;
	for (size_t i = 0; i < size / sizeof(*groups); i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

/*
 * Whether the sender was in a group when it connected, by the bus, which has it from the kernel.
 * What /proc says of its pid by now may be another process's, and what the group file says may not
 * hold for that one.
 */
static bool sender_is_in(sd_bus_message *m, gid_t group)
{
	sd_bus_message *reply = NULL;
	const char *key;
	bool found = false;

	if (sd_bus_call_method(sd_bus_message_get_bus(m), "org.freedesktop.DBus",
			       "/org/freedesktop/DBus", "org.freedesktop.DBus",
			       "GetConnectionCredentials", NULL, &reply, "s",
			       sd_bus_message_get_sender(m)) < 0)
		return false;
	if (sd_bus_message_enter_container(reply, 'a', "{sv}") > 0) {
		while (sd_bus_message_enter_container(reply, 'e', "sv") > 0) {
			if (sd_bus_message_read(reply, "s", &key) < 0)
				break;
			if (strcmp(key, "UnixGroupIDs") == 0) {
				found = read_groups(reply, group);
				break;
			}
			if (sd_bus_message_skip(reply, "v") < 0 ||
			    sd_bus_message_exit_container(reply) < 0)
				break;
		}
	}
	sd_bus_message_unref(reply);
	return found;
}

static bool group_may(const char *action)
{
	return strcmp(action, INSPECT) == 0 || strcmp(action, SET) == 0;
}

/* No message is handled while another is: what was let on before this one is done. */
static void drop_handled(struct polkit *p)
{
	struct question *next;

	for (struct question *q = p->questions; q; q = next) {
		next = q->next;
		if (q->handled)
			question_drop(q);
	}
}

int polkit_filter(struct polkit *p, sd_bus_message *m, sd_bus_error *error)
{
	const struct rule *rule;
	const char *action;
	struct question *q;
	uid_t uid;
	bool let;
	int r;

	drop_handled(p);
	if (!sd_bus_message_is_method_call(m, NULL, NULL))
		return 0;
	q = find_question(p, m);
	if (q && q->passed) {
		q->handled = true;
		return 0;
	}
	rule = find_rule(m);
	if (!rule)
		return 0;
	r = caller_uid(m, &uid);
	if (r < 0)
		return sd_bus_error_set_errnof(error, r, "Cannot tell who calls: %s", strerror(-r));
	if (uid == 0 || uid == geteuid())
		return 0;
	action = rule->mode != MODE_NONE && weakens(m, rule->mode) ? RELAX : rule->action;
	let = p->have_group && group_may(action) && sender_is_in(m, p->group);
	if (!let && p->n >= POLKIT_MAX_PENDING)
		return sd_bus_error_setf(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
					 "%u authorizations are pending already",
					 POLKIT_MAX_PENDING);
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	*q = (struct question){
		.polkit = p,
		.m = sd_bus_message_ref(m),
		.action = action,
		.uid = uid,
		.next = p->questions,
	};
	p->questions = q;
	p->n++;
	if (let) {
		q->passed = q->handled = true;
		log_info(p->log, "Granted %s to uid %u, by group %u", action, uid, p->group);
		return 0;
	}
	r = ask(q, m);
	if (r < 0) {
		question_drop(q);
		return r;
	}
	return 1;
}
