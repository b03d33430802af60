// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * launch FIFO COMMAND...: becomes COMMAND, and writes "ready" into FIFO once it tells its service
 * manager so (sd_notify(3)), or "gone" if it ends before.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *fifo, const char *word)
{
	int fd = open(fifo, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, word, strlen(word)) < 0)
		perror(fifo);
	_exit(0);
}

/* Whether one of the lines of the datagram that waits is READY=1. */
static int is_ready(int notify)
{
	char text[4096];
	ssize_t n = recv(notify, text, sizeof(text) - 1, 0);

	if (n < 0)
		return 0;
	text[n] = '\0';
	return !strncmp(text, "READY=1\n", 8) || strstr(text, "\nREADY=1\n");
}

static void watch(const char *fifo, int notify, int process)
{
	struct pollfd p[] = {{.fd = notify, .events = POLLIN}, {.fd = process, .events = POLLIN}};

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			say(fifo, "gone\n");
		if (p[0].revents && is_ready(notify))
			say(fifo, "ready\n");
		if (p[1].revents)
			say(fifo, "gone\n");
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int notify, process;
	pid_t pid;

	if (argc < 3) {
		fputs("Usage: launch FIFO COMMAND...\n", stderr);
		return 2;
	}
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s.notify", argv[1]);
	(void)unlink(addr.sun_path);
	notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	process = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (notify < 0 || process < 0 || setenv("NOTIFY_SOCKET", addr.sun_path, 1) < 0 ||
	    bind(notify, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		perror("launch");
		return 1;
	}
	/* twice, so that the command gets no child that it does not know of */
	pid = fork();
	if (pid == 0) {
		if (fork() == 0)
			watch(argv[1], notify, process);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) < 0) {
		perror("launch");
		return 1;
	}
	close(process);
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
