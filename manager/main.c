/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* revshelld: reads its options, loads policies, opens the backend, and runs the event loop. */
#include <grp.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "bus.h"
#include "clock.h"
#include "config.h"
#include "doctor.h"
#include "log.h"
#include "manager.h"
#include "mode.h"
#include "sandbox.h"

/* Exit statuses, as in revshelld(8). */
enum {
	EXIT_POLICY = 1,  /* the policies are bad */
	EXIT_USAGE = 2,	  /* the command line is */
	EXIT_BACKEND = 3, /* the kernel cannot */
	EXIT_OTHER = 4,
};

struct daemon {
	struct config config;
	struct log log;
	sd_event *event;
	struct manager *manager;
	struct bus *bus;
};

static void daemon_done(struct daemon *d)
{
	bus_free(d->bus);
	manager_free(d->manager);
	sd_event_unref(d->event);
	config_done(&d->config);
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	const struct daemon *d = userdata;

	log_info(&d->log, "Stopping on signal %u", si->ssi_signo);
	sd_notify(0, "STOPPING=1");
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	const struct manager_who who = {
		.via = "signal",
		.uid = si->ssi_uid,
		.pid = (pid_t)si->ssi_pid,
	};
	struct daemon *d = userdata;
	struct diag diag = {};

	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_ns(CLOCK_MONOTONIC) / 1000);
	sink_reopen(d->manager->sinks);
	(void)manager_reload(d->manager, &who, &diag); /* it has logged what went wrong */
	diag_done(&diag);
	manager_notify(d->manager, "READY=1\n");
	return 0;
}

static void on_settled(void *userdata)
{
	const struct daemon *d = userdata;

	manager_notify(d->manager, "READY=1\n");
	log_info(&d->log, "Ready: mode %s, %zu policies", mode_name(d->manager->mode),
		 manager_current(d->manager)->rs->policies.n);
}

static int setup_loop(struct daemon *d)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	sigset_t mask;
	int r;

	sigemptyset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&mask, signals[i]);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	r = sd_event_default(&d->event);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(signals); i++)
		r = sd_event_add_signal(d->event, NULL, signals[i],
					signals[i] == SIGHUP ? on_hangup : on_terminate, d);
	return r;
}

static int tell_cause(const struct doctor_finding *f, void *userdata)
{
	const struct log *log = userdata;

	log_error(log, "%s: %s; what helps: %s", f->name, f->text, f->hint);
	return 0;
}

/* The policies come first: a host must not be left with programs attached and nothing to decide. */
static int start_manager(struct daemon *d, struct diag *diag, struct policy_set *set)
{
	const struct backend_options options = {
		.kind = d->config.backend,
		.pin_dir = d->config.pin_dir,
		.ring_size = d->config.event_ring,
	};
	const struct manager_who who = {.via = "start"};
	_cleanup_free_ char *reason = NULL;
	struct backend *backend;
	int r;

	r = manager_new(d->event, &d->log, d->config.policy_dirs, d->config.n_policy_dirs,
			&d->manager);
	if (r < 0)
		return EXIT_OTHER;
	d->manager->may_be_empty = d->config.default_dirs;
	d->manager->state_dir = d->config.state_dir;
	d->manager->mode_is_configured = d->config.mode_source;
	d->manager->fallback = d->config.fallback;
	r = manager_open_sinks(d->manager, &d->config.sinks);
	if (r < 0)
		return EXIT_OTHER;
	manager_recover(d->manager);
	r = manager_read_policies(d->manager, diag, set);
	if (r < 0) {
		log_diag(&d->log, diag);
		log_error(&d->log, "Failed to load the policies: %s",
			  diag->n_errors > 0 ? "see above" : strerror(-r));
		return EXIT_POLICY;
	}
	r = backend_open(&options, &backend, &reason);
	if (r < 0) {
		log_error(&d->log, "Failed to open backend %s: %s",
			  backend_kind_name(d->config.backend), reason ? reason : strerror(-r));
		(void)doctor_causes("", tell_cause, &d->log);
		return EXIT_BACKEND;
	}
	if (backend_note(backend))
		log_warning(&d->log, "%s", backend_note(backend));
	if (backend_is_adopted(backend))
		log_notice(&d->log, "Took over what another daemon left in force");
	r = manager_set_backend(d->manager, backend);
	if (r < 0) {
		backend_close(backend);
		return EXIT_OTHER;
	}
	r = manager_commit(d->manager, set, diag);
	log_diag(&d->log, diag);
	if (r < 0) {
		log_error(&d->log, "Failed to put the policies in force: %s", strerror(-r));
		return diag->n_errors > 0 ? EXIT_POLICY : EXIT_BACKEND;
	}
	if (manager_current(d->manager)->rs->policies.n == 0)
		log_warning(&d->log, "No policy is loaded");
	/* what was in force before a crash, a restart, an upgrade is not weakened by a default */
	if (d->config.mode_source) {
		d->manager->mode_source = d->config.mode_source;
	} else if (backend_left_mode(backend, &d->config.mode)) {
		d->manager->mode_source = "kept";
		log_notice(&d->log, "Mode %s, as before", mode_name(d->config.mode));
	} else if (manager_persisted_mode(d->manager, &d->config.mode)) {
		d->manager->mode_source = "persisted";
		log_notice(&d->log, "Mode %s, as it was to persist", mode_name(d->config.mode));
	}
	if (!backend_is_adopted(backend) || d->config.mode_source)
		r = manager_start_mode(d->manager, d->config.mode, &who);
	/* what a file or an option says is no reason to leave what is locked without a daemon */
	if (r < 0 && r != MANAGER_LOCKED)
		return EXIT_BACKEND;
	r = backend_settle(backend);
	if (r < 0)
		log_warning(&d->log, "Failed to pin in %s, so enforcement ends with the daemon: %s",
			    d->config.pin_dir, strerror(-r));
	return 0;
}

static void forget_policies(void *userdata)
{
	manager_forget_generations(userdata);
}

/* From here on, what others send is dealt with by a process that can do little else. */
static int confine(struct daemon *d)
{
	_cleanup_free_ char *found = NULL;
	const char *step = "start the process that loads programs";
	int r;

	r = backend_confine(d->manager->backend, d->config.sandbox, forget_policies, d->manager);
	if (r >= 0)
		r = manager_listen(d->manager, d->config.sandbox, &step);
	if (r >= 0)
		r = sandbox_enter(SANDBOX_DAEMON, d->config.sandbox, &step);
	if (r < 0) {
		log_error(&d->log, "Failed to enter the sandbox: cannot %s: %s; see --sandbox",
			  step, strerror(-r));
		return EXIT_OTHER;
	}
	found = sandbox_describe(0);
	d->manager->sandbox = d->config.sandbox;
	log_print(&d->log, d->config.sandbox == SANDBOX_ENFORCE ? LOG_INFO : LOG_NOTICE,
		  "Sandbox %s: %s", sandbox_mode_name(d->config.sandbox),
		  found ? found : "what is in force cannot be seen");
	return 0;
}

/* A kernel that cannot is no reason to leave it without a daemon. */
static void lock(struct daemon *d)
{
	const struct manager_who who = {.via = "start"};
	_cleanup_free_ char *reason = NULL;

	if (d->config.lock && manager_lock(d->manager, &who, &reason) == -EBUSY)
		log_error(&d->log, "Failed to lock: a mode is on trial");
}

static int disarm(struct daemon *d)
{
	int r;

	if (d->config.pin_dir && backend_pins_locked(d->config.pin_dir)) {
		log_error(&d->log, "Refused to disarm: %s is locked until the next boot",
			  d->config.pin_dir);
		return EXIT_OTHER;
	}
	r = d->config.pin_dir ? backend_disarm(NULL, d->config.pin_dir) : 0;
	if (r < 0) {
		log_error(&d->log, "Failed to remove the pins in %s: %s", d->config.pin_dir,
			  strerror(-r));
		return EXIT_OTHER;
	}
	log_notice(&d->log, r > 0 ? "Disarmed: nothing is enforced once no daemon runs"
				  : "Nothing was pinned");
	return 0;
}

/* A name or a number. Nothing that files may say keeps the daemon from its work. */
static bool find_group(const struct daemon *d, gid_t *ret_gid)
{
	const char *name = d->config.allow_group;
	const struct group *g;
	unsigned long number;
	char *end;

	if (!name)
		return false;
	errno = 0;
	number = strtoul(name, &end, 10);
	if (*name >= '0' && *name <= '9' && !*end && errno == 0 && number < UINT32_MAX) {
		*ret_gid = (gid_t)number;
		return true;
	}
	g = getgrnam(name); /* NOLINT(concurrency-mt-unsafe): there is no other thread yet */
	if (!g)
		log_warning(&d->log,
			    "AllowGroup=%s: there is no such group, so nobody is let by it", name);
	else
		*ret_gid = g->gr_gid;
	return g;
}

static int run(struct daemon *d)
{
	struct policy_set set = {};
	struct diag diag = {};
	uint64_t watchdog_usec;
	bool have_group;
	gid_t gid = 0;
	int r;

	have_group = find_group(d, &gid);
	r = setup_loop(d);
	if (r < 0) {
		log_error(&d->log, "Failed to set up the event loop: %s", strerror(-r));
		return EXIT_OTHER;
	}
	r = start_manager(d, &diag, &set);
	policy_set_done(&set);
	diag_done(&diag);
	if (r == 0)
		r = confine(d);
	if (r != 0)
		return r;
	lock(d);
	if (sd_watchdog_enabled(0, &watchdog_usec) <= 0)
		watchdog_usec = 0;
	r = manager_watch(d->manager, watchdog_usec);
	if (r >= 0)
		r = bus_new(d->event, d->manager, &d->log, d->config.bus, on_settled, d, &d->bus);
	if (r >= 0 && have_group)
		bus_allow_group(d->bus, gid);
	if (r >= 0)
		r = sd_event_loop(d->event);
	if (r < 0) {
		log_error(&d->log, "Failed to run: %s", strerror(-r));
		return EXIT_OTHER;
	}
	return 0;
}

/* What is freed goes back to the kernel, which fills no holes with pages of 2 MiB either. */
static void keep_small(void)
{
	mallopt(M_MMAP_THRESHOLD, 64 << 10); /* fixed: else it rises with what was freed */
	mallopt(M_ARENA_MAX, 1);
	(void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

int main(int argc, char **argv)
{
	struct daemon d = {};
	int r;

	keep_small();
	log_init(&d.log, LOG_INFO);
	r = config_parse(argc, argv, &d.config);
	if (r < 0)
		return r == -EINVAL ? EXIT_USAGE : EXIT_OTHER;
	d.log.max_level = d.config.log_level;
	if (d.config.help)
		config_print_help();
	else if (d.config.version)
		printf("revshelld %s\n", REVSHELL_VERSION);
	else if (d.config.stop_disarm)
		r = disarm(&d);
	else
		r = run(&d);
	daemon_done(&d);
	return r;
}
