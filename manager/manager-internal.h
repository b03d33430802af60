/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the manager share among themselves. */
#pragma once

#include <stdint.h>
#include <sys/epoll.h>

#include <systemd/sd-event.h>

/* sd-event handler of the backend's descriptor; userdata is the struct manager. */
int manager_on_events(sd_event_source *source, int fd, uint32_t revents, void *userdata);
