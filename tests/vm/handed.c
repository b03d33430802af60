/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets that come from elsewhere: one program makes a connection or a listener and hands it to
 * another, which uses it. "handed WAY OTHER" plays the first and starts OTHER, a copy, as the
 * second.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PEER_PORT   4444
#define LISTEN_PORT 4445
#define OLD_PORT    4446 /* of a listener that stays while others come and go */

static const char *name = "?";

static void end(const char *what)
{
	printf("%s %s\n", name, what);
	fflush(stdout);
	_exit(0);
}

static void refused(const char *step)
{
	char text[64];

	snprintf(text, sizeof(text), "%s %s", strerrorname_np(errno) ?: "?", step);
	end(text);
}

static struct sockaddr_in local(unsigned short port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int make_connection(unsigned short port)
{
	struct sockaddr_in in = local(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		refused("connect");
	return fd;
}

static int make_listener(unsigned short port)
{
	struct sockaddr_in in = local(port);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0 || listen(fd, 1) < 0)
		refused("listen");
	return fd;
}

/* What the second program does with a connection, or with a listener that somebody calls. */
static void use(int fd, int listener)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	pid_t caller;
	int s, err;

	if (!listener) {
		if (send(fd, "taken\n", 6, MSG_NOSIGNAL) != 6)
			refused("send");
		end("through");
	}
	if (getsockname(fd, (struct sockaddr *)&in, &len) < 0)
		refused("getsockname");
	caller = fork();
	if (caller == 0) {
		close(fd);
		s = socket(AF_INET, SOCK_STREAM, 0);
		(void)connect(s, (struct sockaddr *)&in, len);
		_exit(0);
	}
	s = accept(fd, NULL, NULL);
	err = errno;
	/* the port is wanted again at once, and the caller may not have closed its listener yet */
	waitpid(caller, NULL, 0);
	errno = err;
	if (s < 0)
		refused("accept");
	end("through");
}

static void send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = {};
	struct iovec iov = {.iov_base = (char *)"x", .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(sock, &msg, 0) < 0)
		refused("SCM_RIGHTS");
}

static int receive_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	int fd;

	if (recvmsg(sock, &msg, 0) != 1)
		refused("recvmsg");
	c = CMSG_FIRSTHDR(&msg);
	/* a descriptor that is refused is left out, without an error */
	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(fd)))
		end("withheld");
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* The second program: how the socket comes, its number or whose it is, and what it is. */
static int second(char **argv)
{
	int number = atoi(argv[3]), listener = strcmp(argv[4], "listener") == 0, fd;

	name = argv[5];
	if (strcmp(argv[2], "scm-rights") == 0) {
		fd = receive_fd(number);
	} else if (strcmp(argv[2], "pidfd-getfd") == 0) {
		int pidfd = (int)syscall(SYS_pidfd_open, getppid(), 0);

		fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
		if (fd < 0)
			refused("pidfd_getfd");
	} else {
		fd = number;
	}
	use(fd, listener);
	return 1;
}

static void start_second(char *other, char *how, int number, int listener)
{
	char text[16];
	char *argv[] = {other,
			(char *)"second",
			how,
			text,
			(char *)(listener ? "listener" : "connection"),
			(char *)name,
			NULL};

	snprintf(text, sizeof(text), "%d", number);
	execv(other, argv);
	refused("exec");
}

/* Makes its connection at once, and uses it once it is told to. */
static int older(int listener)
{
	int fd = listener ? make_listener(OLD_PORT) : make_connection(PEER_PORT);
	char c;

	printf("ready\n");
	fflush(stdout);
	if (read(0, &c, 1) != 1)
		return 1;
	use(fd, listener);
	return 1;
}

int main(int argc, char **argv)
{
	int listener, fd, pair[2];
	char *how;

	if (argc == 6 && strcmp(argv[1], "second") == 0)
		return second(argv);
	if (argc != 3)
		return 2;
	name = argv[1];
	listener = strncmp(name, "listen-", 7) == 0;
	how = argv[1] + (listener ? 7 : 0);
	if (strcmp(how, "older") == 0)
		return older(listener);
	fd = listener ? make_listener(LISTEN_PORT) : make_connection(PEER_PORT);
	if (strcmp(how, "inherit") == 0)
		start_second(argv[2], how, fd, listener);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return 1;
	/* Yama lets a child take from its parent by permission only */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	if (strcmp(how, "scm-rights") == 0)
		send_fd(pair[0], fd);
	if (fork() == 0) {
		if (strcmp(how, "scm-rights") == 0) {
			close(fd);
			start_second(argv[2], how, pair[1], listener);
		}
		close(fd);
		start_second(argv[2], how, fd, listener);
	}
	wait(NULL);
	return 0;
}
