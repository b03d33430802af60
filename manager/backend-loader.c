/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process that loads, attaches and pins programs on demand, so that the daemon, which others talk
 * to, need not be able to. It is forked from the daemon and holds the same state, policies apart;
 * all it is ever told is a program's number, and all it says is what became of it.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "backend-internal.h"
#include "macro.h"

/* In place of a program's number: put back pins that are gone. */
#define REPAIR UINT32_MAX

struct answer {
	int32_t error;
	char reason[1020];
};

static void serve(struct backend *b, int socket)
{
	uint32_t i;

	while (recv(socket, &i, sizeof(i), 0) == sizeof(i)) {
		_cleanup_free_ char *reason = NULL;
		struct answer a = {.error = -EINVAL};

		/* one that is attached already could not be pinned, the last time */
		if (i == REPAIR)
			a.error = backend_pins_repair(b);
		else if (i < n_backend_programs && backend_program_belongs(b, &backend_programs[i]))
			a.error = b->links[i] ? backend_pin_link(b, i)
					      : backend_attach_here(b, i, &reason);
		if (reason)
			strncpy(a.reason, reason, sizeof(a.reason) - 1);
		malloc_trim(0); /* what loading took */
		if (send(socket, &a, sizeof(a), MSG_NOSIGNAL) < 0)
			break;
	}
}

/* Maps are what new programs share; links and maps are what it puts back where pins are gone. */
static _Noreturn void run_loader(struct backend *b, int socket, pid_t daemon,
				 enum sandbox_mode mode)
{
	int32_t r = 0;
	const char *step = "";

	(void)prctl(PR_SET_NAME, "revshell-loader");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != daemon)
		_exit(1);
	sandbox_close_others(socket, "anon_inode:bpf");
	malloc_trim(0);
	r = sandbox_enter(b->kind == BACKEND_KPROBE ? SANDBOX_PROBER : SANDBOX_LOADER, mode, &step);
	if (send(socket, &r, sizeof(r), MSG_NOSIGNAL) < 0 || r < 0)
		_exit(1);
	serve(b, socket);
	_exit(0);
}

int backend_confine(struct backend *b, enum sandbox_mode mode, void (*forget)(void *userdata),
		    void *userdata)
{
	int ends[2], r;
	int32_t status;
	pid_t pid;

	if (b->kind == BACKEND_NONE)
		return 0;
	/* what a reload asks of the kernel by iterators, so that none has to be attached then */
	r = backend_files_prepare(b);
	if (r < 0)
		return r;
	backend_release_object(b);
	if (mode == SANDBOX_OFF)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	r = getpid();
	pid = fork();
	if (pid == 0) {
		forget(userdata);
		run_loader(b, ends[1], r, mode);
	}
	r = pid < 0 ? -errno : 0;
	close(ends[1]);
	if (r == 0 && recv(ends[0], &status, sizeof(status), 0) == sizeof(status))
		r = status;
	else if (r == 0)
		r = -ECHILD;
	if (r < 0) {
		close(ends[0]);
		return r;
	}
	b->loader.pid = pid;
	b->loader.socket = ends[0];
	return 0;
}

static int ask(struct backend *b, uint32_t number, struct answer *ret_answer)
{
	if (send(b->loader.socket, &number, sizeof(number), MSG_NOSIGNAL) >= 0 &&
	    recv(b->loader.socket, ret_answer, sizeof(*ret_answer), 0) == sizeof(*ret_answer))
		return 0;
	/* an answer that comes late must not be taken for that to another question */
	closep(&b->loader.socket);
	b->loader.socket = -EBADF;
	return -EPIPE;
}

int backend_loader_repair(struct backend *b)
{
	struct answer a;
	int r = ask(b, REPAIR, &a);

	return r < 0 ? r : a.error;
}

int backend_loader_attach(struct backend *b, size_t i, char **reason)
{
	struct answer a;

	if (ask(b, (uint32_t)i, &a) < 0) {
		backend_reason(reason,
			       "program %s is needed, and the process that loads programs is "
			       "gone: restart revshelld",
			       backend_programs[i].name);
		return -EPIPE;
	}
	a.reason[sizeof(a.reason) - 1] = '\0';
	if (a.error < 0) {
		backend_reason(reason, "%s", *a.reason ? a.reason : strerror(-a.error));
		return a.error;
	}
	b->loader.attached[i] = true;
	return 0;
}

pid_t backend_loader_pid(const struct backend *b)
{
	siginfo_t info = {};

	if (b->loader.pid > 0 &&
	    (waitid(P_PID, (id_t)b->loader.pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	     info.si_pid))
		return -ESRCH;
	return b->loader.pid;
}

/* Waits for its end, so that what it alone holds is detached by then. */
void backend_loader_done(struct backend *b)
{
	if (b->loader.pid <= 0)
		return;
	closep(&b->loader.socket);
	while (waitpid(b->loader.pid, NULL, 0) < 0 && errno == EINTR)
		;
}
