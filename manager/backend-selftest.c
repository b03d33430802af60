/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The proof that verdict programs run: a child whose calls a private rule denies. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "backend-internal.h"
#include "macro.h"

/* What the child found, as bits of its exit status. */
enum {
	FOUND_CONNECT_DENIED = 1,
	FOUND_LISTEN_DENIED = 2,
	FOUND_SEND_DENIED = 4,
	FOUND_NO_SOCKET = 8,
};

/*
 * A UNIX socket passes the same hooks as any other, and a sandboxed daemon may have no other. The
 * abstract address is one that nobody listens on, so nothing is reached even if nothing denies.
 */
static int child_try(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "\0revshell-selftest"};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int datagrams = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int found = 0;

	if (s < 0 || datagrams < 0)
		return FOUND_NO_SOCKET;
	if (connect(s, (struct sockaddr *)&un, sizeof(un)) < 0 && errno == EPERM)
		found |= FOUND_CONNECT_DENIED;
	if (listen(s, 1) < 0 && errno == EPERM)
		found |= FOUND_LISTEN_DENIED;
	if (sendto(datagrams, "", 1, 0, (struct sockaddr *)&un, sizeof(un)) < 0 && errno == EPERM)
		found |= FOUND_SEND_DENIED;
	return found;
}

/* Runs the child with the private rule armed or not. Returns its findings or -errno. */
static int run_child(struct backend *b, bool armed)
{
	int go[2], status;
	char c = 0;
	pid_t pid;

	if (pipe(go) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		close(go[0]);
		close(go[1]);
		return r;
	}
	if (pid == 0) {
		close(go[1]);
		if (read(go[0], &c, 1) != 1)
			_exit(FOUND_NO_SOCKET);
		_exit(child_try());
	}
	close(go[0]);
	if (armed)
		b->selftest_area->tgid = pid;
	if (write(go[1], &c, 1) != 1)
		status = 0;
	close(go[1]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			break;
	b->selftest_area->tgid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}

int backend_selftest(struct backend *b, char **ret_reason)
{
	const int all = FOUND_CONNECT_DENIED | FOUND_LISTEN_DENIED | FOUND_SEND_DENIED;
	int control, found;
	uint32_t n;

	memset(b->selftest_area, 0, sizeof(*b->selftest_area));
	control = run_child(b, false);
	if (control < 0)
		return control;
	found = run_child(b, true);
	if (found < 0)
		return found;
	n = b->selftest_area->hits[REVSHELL_HOOK_CONNECT] +
	    b->selftest_area->hits[REVSHELL_HOOK_LISTEN] +
	    b->selftest_area->hits[REVSHELL_HOOK_SENDMSG];
	if (control == 0 && found == (b->ops->can_deny ? all : 0) && n == 3) {
		b->selftest =
			strdup(b->ops->can_deny ? "passed: connect, listen and sendto of a test "
						  "process were denied"
						: "passed: connect, listen and sendto of a test "
						  "process were seen; nothing can be denied");
		return b->selftest ? 0 : -ENOMEM;
	}
	if (asprintf(
		    ret_reason,
		    "self-test failed: the programs are attached, but of a test process's calls %s "
		    "(%u seen by the programs)%s",
		    found & FOUND_NO_SOCKET ? "none could be made"
		    : !b->ops->can_deny	    ? "not all of connect, listen and sendto were seen"
		    : found == 0	    ? "connect, listen and sendto were not denied"
		    : found == all	    ? "some were denied without cause"
					    : "one of connect, listen and sendto was not denied",
		    n, b->ops->remedy ? b->ops->remedy : "") < 0)
		*ret_reason = NULL;
	return -EOPNOTSUPP;
}
