/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The shortest program: writes when it began to descriptor 1, and ends. */
#include <stdint.h>
#include <sys/syscall.h>

static long call(long number, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

__attribute__((force_align_arg_pointer, noreturn)) void _start(void);

void _start(void)
{
	uint32_t low, high;
	uint64_t now;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	now = (uint64_t)high << 32 | low;
	call(SYS_write, 1, (long)&now, sizeof(now));
	call(SYS_exit_group, 0, 0, 0);
	__builtin_unreachable();
}
