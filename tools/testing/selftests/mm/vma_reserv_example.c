// SPDX-License-Identifier: GPL-2.0
/*
 * The example of Documentation/userspace-api/reservations.rst, which includes what
 * is between the lines "doc:". It is run as a test, too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <linux/prctl.h>

#ifndef PR_RESERVATIONS
#define PR_RESERVATIONS			0x52535256
# define PR_RESERVATIONS_ENABLE		1
# define PR_RESERVATIONS_GET		2
# define PR_RESERVATIONS_ON		1UL
#endif

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE		0x100000
#endif

/* For the script that runs the tests: skipped */
#define KSFT_SKIP			4

/* doc: helpers */
static void check(int ok, const char *what)
{
	printf("%s: %s\n", ok ? "yes" : "NO", what);
	if (!ok)
		exit(EXIT_FAILURE);
}

/* Print all reservations; return how many bytes that of an address has mapped. */
static size_t show(const char *p)
{
	FILE *file = fopen("/proc/self/reservations", "r");
	unsigned long start, end, kb, nr;
	size_t mapped = 0;
	char line[128];

	if (!file) {
		perror("/proc/self/reservations");
		exit(EXIT_FAILURE);
	}
	while (fgets(line, sizeof(line), file)) {
		int ours;

		if (sscanf(line, "%lx-%lx %lu kB %lu", &start, &end, &kb, &nr) != 4)
			check(0, "a line is: start-end, kB mapped, mappings");
		ours = start <= (unsigned long)p && (unsigned long)p < end;
		if (ours)
			mapped = kb * 1024;
		printf("%s %s", ours ? "->" : "  ", line);
	}
	fclose(file);
	return mapped;
}

static char *map(char *addr, size_t len, int flags)
{
	return mmap(addr, len, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

/* doc: program */
int main(void)
{
	const size_t page = sysconf(_SC_PAGESIZE), len = 16 * page;
	int state = prctl(PR_RESERVATIONS, PR_RESERVATIONS_GET, 0UL, 0UL, 0UL);
	char *area, *hole, *other;

	if (state < 0) {
		printf("SKIP: the kernel has no reservations: %s\n", strerror(errno));
		return KSFT_SKIP;
	}
	/* They are on already if they were inherited. */
	if (!(state & PR_RESERVATIONS_ON) &&
	    prctl(PR_RESERVATIONS, PR_RESERVATIONS_ENABLE, 0UL, 0UL, 0UL)) {
		perror("PR_RESERVATIONS_ENABLE");
		return EXIT_FAILURE;
	}

	/* One allocation, one reservation */
	area = map(NULL, len, 0);
	check(area != MAP_FAILED, "16 pages are mapped");
	check(show(area) == len, "they are in a reservation");

	/* What is unmapped from inside stays reserved. */
	hole = area + 4 * page;
	check(!munmap(hole, 4 * page), "a hole of 4 pages is punched");
	check(show(hole) == len - 4 * page, "the hole is in the reservation");

	/* Nobody else gets it: not as a hint, and not by force. */
	other = map(hole, 4 * page, 0);
	check(other != MAP_FAILED, "4 pages are mapped, with the hole as a hint");
	check(other + 4 * page <= area || other >= area + len, "they are elsewhere");
	check(map(hole, 4 * page, MAP_FIXED_NOREPLACE) == MAP_FAILED &&
	      errno == EEXIST, "MAP_FIXED_NOREPLACE in the hole is EEXIST");
	check(map(area - page, 2 * page, MAP_FIXED) == MAP_FAILED && errno == EEXIST,
	      "MAP_FIXED across the beginning is EEXIST");
	check(munmap(area - page, len + page) && errno == EINVAL,
	      "munmap() across the beginning is EINVAL");

	/* Who stays inside is the owner. */
	check(map(hole, page, MAP_FIXED) == hole, "MAP_FIXED puts a page into the hole");
	check(show(hole) == len - 3 * page, "it has joined the reservation");

	/* With its last mapping it is gone. */
	check(!munmap(area, len), "all of it is unmapped");
	check(!show(area), "the reservation is gone");
	return EXIT_SUCCESS;
}

/* doc: end */
