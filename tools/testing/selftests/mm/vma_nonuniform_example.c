// SPDX-License-Identifier: GPL-2.0
/*
 * The example of Documentation/mm/remap_file_pages.rst, which includes what is between
 * the lines "doc:". It is run as a test, too, and shows what it is good for: with the
 * number of pages as an argument, it maps them one by one in both ways there are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_NOINHERIT
#define MAP_NOINHERIT	0x200000
#endif

#define DEFAULT_PAGES	1000

/* For the script that runs the tests: skipped */
#define KSFT_SKIP	4

static size_t page_size;

/* doc: helpers */
static void check(int ok, const char *what)
{
	printf("%s: %s\n", ok ? "yes" : "NO", what);
	if (!ok)
		exit(EXIT_FAILURE);
}

/* How many mappings there are between two addresses */
static unsigned int count_mappings(const char *from, const char *to)
{
	FILE *file = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	unsigned int nr = 0;
	char line[512];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
		    start < (unsigned long)to && end > (unsigned long)from)
			nr++;
	if (file)
		fclose(file);
	return nr;
}

/*
 * Guest memory is a file. Each page of an address space of the guest is some page of that
 * file, and may be readable only, or not at all: here, by a rule that has no pattern.
 */
struct guest_page {
	unsigned int frame;
	int prot;
};

static struct guest_page guest_page(unsigned int page, unsigned int nr)
{
	const int prots[] = { PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE };
	unsigned int frame = (page * 7919ULL + 13) % nr;

	return (struct guest_page){ frame, prots[page % 3] };
}

/* As it has always been done: a mapping for each page */
static int map_by_mmap(char *addr, int memory, struct guest_page g)
{
	void *p = mmap(addr, page_size, g.prot, MAP_SHARED | MAP_FIXED, memory,
		       (off_t)g.frame * page_size);

	return p == MAP_FAILED ? -1 : 0;
}

/* One mapping that knows an offset and a protection for each page */
static int map_by_remap(char *addr, int memory, struct guest_page g)
{
	(void)memory;
	return syscall(SYS_remap_file_pages, addr, page_size, g.prot, g.frame,
		       MAP_NOINHERIT | MAP_NONBLOCK);
}

/* doc: program */
/* What the guest sees of a page: 0, or the signal that it gets */
static int touch(unsigned int *p, unsigned int frame, int write)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		if (__atomic_load_n(p, __ATOMIC_SEQ_CST) != frame)
			_exit(1);
		if (write)
			__atomic_store_n(p, frame, __ATOMIC_SEQ_CST);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static int right(char *space, int memory, unsigned int page, unsigned int nr)
{
	unsigned int *p = (unsigned int *)(space + page * page_size);
	struct guest_page g = guest_page(page, nr);
	int denied_read = g.prot & PROT_READ ? 0 : SIGSEGV;
	int denied_write = g.prot & PROT_WRITE ? 0 : SIGSEGV;

	/* The first word of the page says which one it is. */
	if (pwrite(memory, &g.frame, sizeof(g.frame), (off_t)g.frame * page_size) !=
	    sizeof(g.frame))
		return 0;
	return touch(p, g.frame, 0) == denied_read &&
	       touch(p, g.frame, 1) == denied_write;
}

/* Map all pages of a guest, and say what that has cost. */
static int run(const char *name, int memory, unsigned int nr,
	       int (*map_page)(char *addr, int memory, struct guest_page g))
{
	char *space = mmap(NULL, nr * page_size, PROT_NONE, MAP_SHARED, memory, 0);
	struct timespec begin, end;
	unsigned int i, mappings;
	int error = 0;

	check(space != MAP_FAILED, "the guest has an address space");
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (i = 0; i < nr && !error; i++)
		if (map_page(space + i * page_size, memory, guest_page(i, nr)))
			error = errno;
	clock_gettime(CLOCK_MONOTONIC, &end);
	mappings = count_mappings(space, space + nr * page_size);
	if (error)
		i--;
	if (i)
		printf("%s: %u pages in %u mappings, %lld ns for each page\n", name, i,
		       mappings, ((end.tv_sec - begin.tv_sec) * 1000000000LL +
				  end.tv_nsec - begin.tv_nsec) / i);
	if (error)
		printf("%s: page %u: %s\n", name, i, strerror(error));
	else
		check(right(space, memory, 0, nr) && right(space, memory, 1, nr) &&
		      right(space, memory, nr / 2, nr) && right(space, memory, nr - 1, nr),
		      "each page is the right one, and allows what it shall");
	munmap(space, nr * page_size);
	return error;
}

int main(int argc, char **argv)
{
	unsigned int nr = argc > 1 ? atoi(argv[1]) : DEFAULT_PAGES;
	int memory = memfd_create("guest memory", MFD_CLOEXEC);
	int error;

	page_size = sysconf(_SC_PAGESIZE);
	if (nr < 2 || memory < 0 || ftruncate(memory, (off_t)nr * page_size)) {
		fprintf(stderr, "usage: %s [PAGES]\n", argv[0]);
		return EXIT_FAILURE;
	}
	/* It may run into the limit of mappings, which is what this is about. */
	run("mmap", memory, nr, map_by_mmap);
	error = run("remap_file_pages", memory, nr, map_by_remap);
	if (error == EINVAL) {
		printf("SKIP: this kernel does not know MAP_NOINHERIT\n");
		return KSFT_SKIP;
	}
	check(!error, "all pages are mapped");
	return EXIT_SUCCESS;
}

/* doc: end */
