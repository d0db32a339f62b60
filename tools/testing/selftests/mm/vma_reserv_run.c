// SPDX-License-Identifier: GPL-2.0
/*
 * Run a program with reservations that it, and whatever it executes, inherits:
 *
 *	vma_reserv_run PROGRAM [ARGUMENT...]
 *
 * For the tests that know nothing of reservations.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <linux/prctl.h>

#ifndef PR_RESERVATIONS
#define PR_RESERVATIONS			0x52535256
# define PR_RESERVATIONS_ENABLE		1
# define PR_RESERVATIONS_INHERIT	2UL
#endif

/* As a shell says it */
#define CANNOT_RUN			126

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s PROGRAM [ARGUMENT...]\n", argv[0]);
		return CANNOT_RUN;
	}
	if (prctl(PR_RESERVATIONS, PR_RESERVATIONS_ENABLE, PR_RESERVATIONS_INHERIT, 0UL, 0UL)) {
		fprintf(stderr, "PR_RESERVATIONS_ENABLE: %s\n", strerror(errno));
		return CANNOT_RUN;
	}
	execvp(argv[1], argv + 1);
	fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
	return CANNOT_RUN;
}
