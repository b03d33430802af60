/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verb events: the last ones, and those to come, over a socket or (by ssh) by asking. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "ctl.h"

/* One event fits by far; what does not is no event. */
#define DATAGRAM_MAX	 (256 * 1024)

#define POLL_INTERVAL_MS 500 /* between questions where no socket can be passed */

static const char *const action = "get events";

/* Ends a verb that has nothing left to do: the reader of our output is gone. */
#define CTL_EPIPE (-EPIPE)

int ctl_append_filter(const struct ctl *c, sd_bus_message *m, uint64_t until)
{
	const char *const filter[][2] = {
		{"policy", c->policy},
		{"exe", c->words.told[SIM_WORD_EXE]},
		{"verdict", c->verdict},
	};
	int r;

	r = sd_bus_message_open_container(m, 'a', "{sv}");
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(filter); i++)
		if (filter[i][1])
			r = sd_bus_message_append(m, "{sv}", filter[i][0], "s", filter[i][1]);
	if (r >= 0 && until)
		r = sd_bus_message_append(m, "{sv}", "until", "t", until);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Prints one event as asked. Returns 0, CTL_EPIPE, or CTL_FAILED. */
static int print_event(const struct ctl *c, const char *text, size_t len)
{
	_cleanup_free_ char *line = NULL;
	json_t *event, *drops;

	event = json_loadb(text, len, 0, NULL);
	if (!event)
		return ctl_fail_reply(action, -EBADMSG);
	drops = json_object_get(event, "drops");
	if (drops) {
		fprintf(stderr,
			"revshellctl: %" JSON_INTEGER_FORMAT " events were lost: this was "
			"too slow to read them\n",
			json_integer_value(drops));
		json_decref(event);
		return 0;
	}
	/* texts of one form, of which the longer one is the later */
	if (*c->since && strcmp(ctl_text(event, "time"), c->since) < 0) {
		json_decref(event);
		return 0;
	}
	line = event_format(event, (enum event_format)c->format, ctl_use_color());
	json_decref(event);
	if (!line)
		return ctl_fail_reply(action, -EBADMSG);
	if (puts(line) < 0 || fflush(stdout) != 0)
		return errno == EPIPE ? CTL_EPIPE : ctl_fail("write", -errno, NULL);
	return 0;
}

/* Events numbered above after (0: the newest) and up to until; ret_last is where to go on. */
static int list_events(struct ctl *c, uint64_t after, uint64_t until, uint32_t max,
		       uint64_t *ret_last)
{
	sd_bus_message *m = NULL, *reply = NULL;
	const char *text;
	int r;

	r = ctl_new_call(c, NULL, "ListEvents", &m);
	if (r >= 0)
		r = sd_bus_message_append(m, "tu", after, max);
	if (r >= 0)
		r = ctl_append_filter(c, m, until);
	r = ctl_call(c, action, m, r, &reply);
	if (r != 0)
		return r;
	r = sd_bus_message_enter_container(reply, 'a', "s");
	while (r >= 0 && (r = sd_bus_message_read(reply, "s", &text)) > 0) {
		r = print_event(c, text, strlen(text));
		if (r != 0) {
			sd_bus_message_unref(reply);
			return r;
		}
	}
	if (r >= 0)
		r = sd_bus_message_exit_container(reply);
	if (r >= 0)
		r = sd_bus_message_read(reply, "t", ret_last);
	sd_bus_message_unref(reply);
	return r < 0 ? ctl_fail_reply(action, r) : 0;
}

/* Waits for input on fd (-1: none), an interrupt, or the end of our output's reader. */
static int wait_input(int fd, int signals, int timeout_ms, bool *ret_readable)
{
	struct pollfd p[] = {
		{.fd = signals, .events = POLLIN},
		{.fd = STDOUT_FILENO, .events = 0},
		{.fd = fd, .events = POLLIN},
	};

	if (poll(p, ARRAY_SIZE(p), timeout_ms) < 0 && errno != EINTR)
		return ctl_fail("wait for events", -errno, NULL);
	if (p[0].revents || (p[1].revents & POLLERR))
		return CTL_EPIPE;
	*ret_readable = p[2].revents != 0;
	return 0;
}

static int daemon_left(void)
{
	fprintf(stderr,
		"revshellctl: The daemon closed the event stream: it stopped or was restarted\n"
		"Hint: enforcement may go on without it; see 'systemctl status revshelld', "
		"then follow again.\n");
	return CTL_ABSENT;
}

static int follow_stream(struct ctl *c, int stream, int signals)
{
	_cleanup_free_ char *buffer = malloc(DATAGRAM_MAX);
	bool readable = false;
	ssize_t n;
	int r;

	if (!buffer)
		return ctl_fail(action, -ENOMEM, NULL);
	for (;;) {
		r = wait_input(stream, signals, -1, &readable);
		if (r != 0)
			return r;
		if (!readable)
			continue;
		n = recv(stream, buffer, DATAGRAM_MAX, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return daemon_left();
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return ctl_fail(action, -errno, NULL);
		r = n > 0 ? print_event(c, buffer, (size_t)n) : 0;
		if (r != 0)
			return r;
	}
}

static int open_stream(struct ctl *c, int *ret_fd, uint64_t *ret_last)
{
	sd_bus_message *m = NULL, *reply = NULL;
	int r, fd;

	r = ctl_new_call(c, NULL, "OpenEventStream", &m);
	if (r >= 0)
		r = ctl_append_filter(c, m, 0);
	r = ctl_call(c, action, m, r, &reply);
	if (r != 0)
		return r;
	r = sd_bus_message_read(reply, "ht", &fd, ret_last);
	if (r >= 0) {
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the message owns the other */
		r = fd < 0 ? -errno : 0;
	}
	sd_bus_message_unref(reply);
	if (r < 0)
		return ctl_fail_reply(action, r);
	*ret_fd = fd;
	return 0;
}

/* The stream is opened first: between it and the list nothing is lost and nothing comes twice. */
static int follow_local(struct ctl *c, int signals)
{
	_cleanup_close_ int stream = -EBADF;
	uint64_t last = 0, ignored;
	int r;

	r = open_stream(c, &stream, &last);
	if (r == 0 && c->lines > 0 && last > 0)
		r = list_events(c, 0, last, c->lines, &ignored);
	if (r == 0)
		r = follow_stream(c, stream, signals);
	return r;
}

static int follow_by_asking(struct ctl *c, int signals)
{
	uint64_t last = 0;
	bool readable;
	int r;

	r = list_events(c, 0, UINT64_MAX, c->lines, &last); /* of none: where the newest stands */
	while (r == 0) {
		r = wait_input(-1, signals, POLL_INTERVAL_MS, &readable);
		if (r == 0)
			r = list_events(c, last, UINT64_MAX, UINT32_MAX, &last);
	}
	return r;
}

static int follow(struct ctl *c)
{
	_cleanup_close_ int signals = -EBADF;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return ctl_fail("follow events", -errno, NULL);
	if (sd_bus_can_send(c->bus, 'h') > 0)
		return follow_local(c, signals);
	return follow_by_asking(c, signals);
}

int verb_events(struct ctl *c, int argc, char **argv)
{
	uint64_t last;
	int r;

	if (c->json != CTL_JSON_OFF && !ctl_has_option(c, CTL_OPT_OUTPUT))
		c->format = EVENT_JSON;
	if (!ctl_has_option(c, CTL_OPT_LINES) && (!c->follow || *c->since))
		c->lines = UINT32_MAX;
	signal(SIGPIPE, SIG_IGN); /* a reader that has seen enough is no failure */
	r = ctl_connect(c, action);
	if (r != 0)
		return r;
	if (c->follow)
		r = follow(c);
	else
		r = list_events(c, 0, UINT64_MAX, c->lines, &last);
	return r == CTL_EPIPE ? CTL_OK : r;
}
