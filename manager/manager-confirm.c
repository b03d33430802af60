/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Enforcement on trial: unless somebody confirms it in time, the mode before comes back. And the
 * end of enforcement, on purpose.
 */
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "manager.h"
#include "manager-internal.h"
#include "messages.h"
#include "mode-file.h"
#include "mode.h"

void manager_trial_end(struct manager *m)
{
	sd_event_source_disable_unref(m->trial.timer);
	m->trial = (struct manager_trial){};
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	const struct manager_who who = {.via = "nobody confirmed in time"};
	struct manager *m = userdata;

	(void)manager_rollback(m,
			       &who); /* it has logged what went wrong; the kernel keeps time too */
	return 0;
}

static int start_timer(struct manager *m)
{
	return sd_event_add_time(m->event, &m->trial.timer, CLOCK_BOOTTIME,
				 m->trial.deadline_ns / 1000, 0, on_deadline, m);
}

int manager_try_enforce(struct manager *m, uint64_t confirm_usec, const struct manager_who *who)
{
	enum revshell_mode previous = m->mode;
	uint64_t deadline_ns;
	int r;

	if (m->trial.deadline_ns)
		return -EBUSY;
	if (confirm_usec == 0 || confirm_usec > MANAGER_MAX_TRIAL_USEC)
		return -ERANGE;
	/* past its deadline the kernel would fall back below what is in force already */
	if (previous == REVSHELL_MODE_ENFORCE)
		return 0;
	if (manager_count_degraded(m))
		return -EOPNOTSUPP;
	deadline_ns = clock_ns(CLOCK_BOOTTIME) + confirm_usec * 1000;
	r = manager_put_mode(m, REVSHELL_MODE_ENFORCE, deadline_ns, who);
	if (r < 0)
		return r;
	m->trial = (struct manager_trial){.deadline_ns = deadline_ns, .previous = previous};
	r = start_timer(m);
	if (r < 0) {
		manager_trial_end(m);
		(void)manager_put_mode(m, previous, 0, who);
	}
	return r;
}

int manager_resume_trial(struct manager *m)
{
	struct revshell_mode_value v;

	if (backend_get_mode(m->backend, &v) < 0 || !v.deadline_ns)
		return 0;
	m->trial = (struct manager_trial){.deadline_ns = v.deadline_ns,
					  .previous = REVSHELL_MODE_MONITOR};
	m->mode_source = "trial";
	return start_timer(m);
}

int manager_confirm(struct manager *m, const struct manager_who *who)
{
	enum revshell_mode mode = m->mode;

	if (!m->trial.deadline_ns)
		return -ENODATA;
	if (clock_ns(CLOCK_BOOTTIME) >= m->trial.deadline_ns) {
		/* the kernel has fallen back; so has the daemon, once its timer comes round */
		(void)manager_rollback(m, who);
		return -ENODATA;
	}
	manager_trial_end(m);
	return manager_put_mode(m, mode, 0, who);
}

int manager_rollback(struct manager *m, const struct manager_who *who)
{
	enum revshell_mode previous = m->trial.previous;

	if (!m->trial.deadline_ns)
		return -ENODATA;
	manager_trial_end(m);
	return manager_put_mode(m, previous, 0, who);
}

int manager_persist_mode(struct manager *m, enum revshell_mode mode, const struct manager_who *who,
			 int *ret_kept)
{
	enum revshell_mode before;
	bool was_kept;
	int r;

	*ret_kept = 0;
	if (m->trial.deadline_ns)
		return -EBUSY;
	if (mode == REVSHELL_MODE_ENFORCE && manager_count_degraded(m))
		return -EOPNOTSUPP;
	was_kept = m->state_dir && mode_file_read(m->state_dir, &before) == 0;
	*ret_kept = m->state_dir ? mode_file_write(m->state_dir, mode) : -EOPNOTSUPP;
	if (*ret_kept < 0) {
		manager_log_change(m, LOG_ERR, who, "Failed to keep mode %s in %s: %s",
				   mode_name(mode), m->state_dir ? m->state_dir : "no directory",
				   strerror(-*ret_kept));
		return *ret_kept;
	}
	r = manager_set_mode(m, mode, who);
	if (r < 0) {
		(void)mode_file_write(m->state_dir, was_kept ? (int)before : -1);
		return r;
	}
	manager_log_change(m, LOG_NOTICE, who, "Mode %s is kept for the next boot",
			   mode_name(mode));
	if (m->mode_is_configured)
		log_warning(m->log, "What is configured as mode stands above it at each start");
	return 0;
}

bool manager_persisted_mode(const struct manager *m, enum revshell_mode *ret_mode)
{
	int r = m->state_dir ? mode_file_read(m->state_dir, ret_mode) : -ENOENT;

	if (r < 0 && r != -ENOENT)
		log_warning(m->log, "The mode kept in %s does not count: %s", m->state_dir,
			    r == -EUCLEAN ? "it is neither enforce nor monitor"
			    : r == -EPERM ? "others may have written it"
					  : strerror(-r));
	return r >= 0;
}

int manager_stop(struct manager *m, bool disarm, const struct manager_who *who)
{
	const char *pins = backend_pin_dir(m->backend);
	int r;

	if (disarm && backend_is_locked(m->backend)) {
		manager_log_change(m, LOG_ERR, who,
				   "Refused to disarm: locked until the next boot");
		return MANAGER_LOCKED;
	}
	if (disarm && pins) {
		r = backend_disarm(m->backend, pins);
		if (r < 0) {
			manager_log_change(m, LOG_ERR, who, "Failed to remove the pins in %s: %s",
					   pins, strerror(-r));
			return r;
		}
	}
	manager_log_message(m, LOG_NOTICE, MESSAGE_STOPPING, who, "Stopping; %s",
			    disarm || !backend_is_persistent(m->backend)
				    ? "nothing is enforced from here on"
				    : "what is in force stays in force");
	return sd_event_exit(m->event, 0);
}
