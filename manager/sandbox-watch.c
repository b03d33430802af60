/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sandbox=log: a process of its own tells which calls the filter would refuse, and lets them on. */
#include <errno.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "macro.h"
#include "sandbox-internal.h"
#include "sandbox.h"

/* One descriptor beside one byte; and the other way round. */
union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

static int send_fd(int socket, int fd)
{
	char byte = 0;
	struct iovec iov = {&byte, 1};
	union control control = {};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(socket, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int receive_fd(int socket)
{
	char byte;
	struct iovec iov = {&byte, 1};
	union control control = {};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	const struct cmsghdr *c;
	int fd;

	if (recvmsg(socket, &m, MSG_CMSG_CLOEXEC) <= 0)
		return -ENODATA;
	c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -EBADMSG;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static void tell(const struct seccomp_notif *call)
{
	char *name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), call->data.nr);

	dprintf(STDERR_FILENO, "Sandbox: %s(%#llx, %#llx, %#llx) of process %u is not allowed\n",
		name ? name : "?", (unsigned long long)call->data.args[0],
		(unsigned long long)call->data.args[1], (unsigned long long)call->data.args[2],
		call->pid);
	free(name);
}

/* Until the last process under the filter is gone, which the descriptor tells since 5.9. */
static void watch(int notify)
{
	struct seccomp_notif *call = NULL;
	struct seccomp_notif_resp *answer = NULL;

	if (seccomp_notify_alloc(&call, &answer) < 0)
		return;
	for (;;) {
		struct pollfd p = {.fd = notify, .events = POLLIN};

		if (poll(&p, 1, -1) < 0 && errno == EINTR)
			continue;
		if (!(p.revents & POLLIN))
			break;
		memset(call, 0, sizeof(*call));
		if (seccomp_notify_receive(notify, call) < 0)
			continue;
		tell(call);
		*answer = (struct seccomp_notif_resp){
			.id = call->id,
			.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE,
		};
		(void)seccomp_notify_respond(notify, answer);
	}
	seccomp_notify_free(call, answer);
}

int sandbox_watch_begin(int *ret_watcher)
{
	int ends[2], notify;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		close(ends[0]);
		close(ends[1]);
		return r;
	}
	if (pid > 0) {
		close(ends[1]);
		*ret_watcher = ends[0];
		return 0;
	}
	/* nothing of the daemon's may live on by it */
	sandbox_close_others(ends[1], NULL);
	notify = receive_fd(ends[1]);
	if (notify >= 0) {
		close(ends[1]);
		watch(notify);
	}
	_exit(0);
}

int sandbox_watch_hand_over(int watcher, int notify)
{
	int r = notify < 0 ? notify : send_fd(watcher, notify);

	/* the watcher's is the only one: with it the notifications end */
	if (notify >= 0)
		close(notify);
	return r;
}
