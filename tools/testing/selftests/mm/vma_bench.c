// SPDX-License-Identifier: GPL-2.0
/*
 * What the operations on mappings cost.
 *
 *	vma_bench		measures every operation
 *	vma_bench NAME...	measures these
 *	vma_bench --list	prints the names and what they stand for
 *
 * Prints one line per operation, "name value": CLOCK_MONOTONIC nanoseconds for
 * one of it, bytes of slab if its name begins with "slab", or "name -" if the
 * kernel does not have what it needs. Under QEMU with one CPU and
 * -icount shift=0,sleep=off a nanosecond is one guest instruction, and the
 * figures repeat on any machine. To that end the number of iterations is fixed,
 * addresses are not randomised (except for exec, see there), and each operation
 * runs in processes of its own, so that it finds the same mappings whatever was
 * measured before.
 *
 * The operations on ext4 need a file there, of two pages at least and named in the
 * environment variable VMA_BENCH_EXT4.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/membarrier.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#ifndef MAP_NOINHERIT
#define MAP_NOINHERIT		0x200000
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT		21
#endif

#ifndef PR_RESERVATIONS
#define PR_RESERVATIONS			0x52535256
# define PR_RESERVATIONS_ENABLE		1
# define PR_RESERVATIONS_GET		2
#endif

#define EXT4_VARIABLE	"VMA_BENCH_EXT4"

/* argv[0] of the program that the exec operations start */
#define EXEC_CHILD	"vma_bench: exec"

/* Pages in the mapping that faults and remap_file_pages() work on */
#define NR_PAGES	1024
/* Mappings of the process that is forked; well below vm.max_map_count */
#define NR_MAPPINGS	10000
/* Mappings, or reservations, that mmap() finds; fewer than vm.max_map_count, too */
#define NR_NEIGHBOURS	50000
#define NR_FEW_NEIGHBOURS	10000
/* Mappings that stay while the slabs that they take are measured */
#define NR_SLAB_WARM_UP		10000
#define NR_SLAB_MAPPINGS	40000
/* Extents of a nonuniform mapping: some, as many as mappings may be, and many */
#define EXTENTS_1K		1024
#define EXTENTS_30K		30720
#define EXTENTS_1M		1048576
/* For what is reclaimed, and for what memory is counted */
#define EXTENTS_RECLAIM		204800
/* One page in so many has an extent of its own where they are sparse */
#define SPARSE			16
/* That many holes at most, each next to a page that stays */
#define NR_HOLES		10000
#define NR_LONG_ARGS	32
#define LONG_ARG_SIZE	(64 << 10)
/*
 * The slabs that an operation takes from and gives back to settle down in one of
 * several patterns, a different one for each process: the mean of some.
 */
#define NR_PROCESSES	8

static size_t page_size;
static int old_persona;

#define die(fmt, ...) do {						\
	fprintf(stderr, "vma_bench: " fmt "\n", ##__VA_ARGS__);	\
	exit(EXIT_FAILURE);						\
} while (0)

#define die_errno(what)	die("%s: %s", what, strerror(errno))

static unsigned long long now(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts))
		die_errno("clock_gettime");
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static char *map(size_t size, int prot, int flags, int fd)
{
	char *p = mmap(NULL, size, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		die_errno("mmap");
	return p;
}

static void unmap(char *p, size_t size)
{
	if (munmap(p, size))
		die_errno("munmap");
}

/*
 * Room between two mappings that nothing merges with: the neighbours do not
 * depend on what libc has mapped.
 */
static char *map_apart(size_t size, int prot, int flags, int fd)
{
	char *p = map(size + 2 * page_size, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);

	p = mmap(p + page_size, size, prot, flags | MAP_FIXED, fd, 0);
	if (p == MAP_FAILED)
		die_errno("mmap");
	return p;
}

static int shmem_file(size_t size, bool fill)
{
	int fd = memfd_create("vma_bench", MFD_CLOEXEC);

	if (fd < 0)
		die_errno("memfd_create");
	if (ftruncate(fd, size))
		die_errno("ftruncate");
	if (fill) {
		char *p = map(size, PROT_READ | PROT_WRITE, MAP_SHARED, fd);

		memset(p, 1, size);
		unmap(p, size);
	}
	return fd;
}

static unsigned long long time_map_unmap(unsigned long count, int flags, int fd)
{
	unsigned long long start = now();

	while (count--)
		unmap(map(2 * page_size, PROT_READ | PROT_WRITE, flags, fd),
		      2 * page_size);
	return now() - start;
}

static unsigned long long mmap_anon(unsigned long count)
{
	return time_map_unmap(count, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static unsigned long long mmap_shmem_shared(unsigned long count)
{
	return time_map_unmap(count, MAP_SHARED, shmem_file(2 * page_size, false));
}

static unsigned long long mmap_shmem_private(unsigned long count)
{
	return time_map_unmap(count, MAP_PRIVATE, shmem_file(2 * page_size, false));
}

static int ext4_file(void)
{
	const char *name = getenv(EXT4_VARIABLE);
	int fd = open(name, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die_errno(name);
	return fd;
}

static bool has_ext4(void)
{
	const char *name = getenv(EXT4_VARIABLE);
	struct statfs fs;

	if (!name)
		return false;
	if (statfs(name, &fs))
		die_errno(name);
	if (fs.f_type != EXT4_SUPER_MAGIC)
		die("%s: not on ext4", name);
	return true;
}

static unsigned long long mmap_ext4_shared(unsigned long count)
{
	return time_map_unmap(count, MAP_SHARED, ext4_file());
}

static unsigned long long mmap_ext4_private(unsigned long count)
{
	return time_map_unmap(count, MAP_PRIVATE, ext4_file());
}

/* Again and again over what the time before has mapped; nothing was touched */
static unsigned long long time_map_fixed(unsigned long count, int flags, int fd)
{
	size_t size = 2 * page_size;
	char *p = map_apart(size, PROT_READ | PROT_WRITE, flags, fd);
	unsigned long long start = now();

	while (count--)
		if (mmap(p, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED,
			 fd, 0) == MAP_FAILED)
			die_errno("mmap(MAP_FIXED)");
	return now() - start;
}

static unsigned long long mmap_fixed(unsigned long count)
{
	return time_map_fixed(count, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static unsigned long long mmap_fixed_shmem(unsigned long count)
{
	return time_map_fixed(count, MAP_SHARED, shmem_file(2 * page_size, false));
}

static unsigned long long mmap_fixed_ext4(unsigned long count)
{
	return time_map_fixed(count, MAP_SHARED, ext4_file());
}

/* A page each. Nothing merges, so that each is a mapping. */
static void map_neighbours(size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		map(page_size, i % 2 ? PROT_READ : PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
}

static unsigned long long time_among(unsigned long count, size_t neighbours)
{
	static bool mapped;

	if (!mapped)
		map_neighbours(neighbours);
	mapped = true;
	return mmap_anon(count);
}

static unsigned long long mmap_among_few(unsigned long count)
{
	return time_among(count, NR_FEW_NEIGHBOURS);
}

static unsigned long long mmap_among(unsigned long count)
{
	return time_among(count, NR_NEIGHBOURS);
}

static bool has_reservations(void)
{
	return prctl(PR_RESERVATIONS, PR_RESERVATIONS_GET, 0UL, 0UL, 0UL) >= 0;
}

static unsigned long long mmap_reserved(unsigned long count)
{
	if (prctl(PR_RESERVATIONS, PR_RESERVATIONS_ENABLE, 0UL, 0UL, 0UL))
		die_errno("PR_RESERVATIONS_ENABLE");
	return mmap_anon(count);
}

/* Reservations of three pages, of which the last ones may be a hole */
static void reserve_neighbours(size_t hole)
{
	size_t i;

	for (i = 0; i < NR_NEIGHBOURS; i++) {
		char *p = map(3 * page_size, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);

		if (hole)
			unmap(p + 3 * page_size - hole, hole);
	}
}

static unsigned long long time_among_reserved(unsigned long count, size_t hole)
{
	static bool reserved;

	if (!reserved) {
		mmap_reserved(0);
		reserve_neighbours(hole);
	}
	reserved = true;
	return mmap_anon(count);
}

static unsigned long long mmap_among_reserved(unsigned long count)
{
	return time_among_reserved(count, 0);
}

static unsigned long long mmap_among_holes(unsigned long count)
{
	return time_among_reserved(count, 2 * page_size);
}

/* The middle page of three: one VMA becomes three and one again */
static unsigned long long mprotect_split(unsigned long count)
{
	char *p = map_apart(3 * page_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1) + page_size;
	unsigned long long start = now();

	while (count--) {
		if (mprotect(p, page_size, PROT_READ) ||
		    mprotect(p, page_size, PROT_READ | PROT_WRITE))
			die_errno("mprotect");
	}
	return now() - start;
}

/* Of two pages that are there: the last one goes, and room for it comes back */
static unsigned long long mremap_resize(unsigned long count)
{
	size_t size = 2 * page_size;
	char *p = map_apart(size + page_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1);
	unsigned long long start;

	/* What it grows into */
	unmap(p + size, page_size);
	memset(p, 1, size);
	start = now();
	while (count--)
		if (mremap(p, size, page_size, 0) != p ||
		    mremap(p, page_size, size, 0) != p)
			die_errno("mremap");
	return now() - start;
}

/* Two pages that are there, over what is mapped at the destination, and back */
static unsigned long long mremap_move(unsigned long count)
{
	size_t size = 2 * page_size;
	char *from = map_apart(size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char *to = map_apart(size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1);
	unsigned long long start;

	memset(from, 1, size);
	unmap(to, size);
	start = now();
	while (count--)
		if (mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to ||
		    mremap(to, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, from) != from)
			die_errno("mremap");
	return now() - start;
}

/* @count first writes, to NR_PAGES pages that are dropped between the rounds */
static unsigned long long time_faults(unsigned long count, int flags, int fd)
{
	size_t size = NR_PAGES * page_size;
	char *p = map_apart(size, PROT_READ | PROT_WRITE, flags, fd);
	unsigned long long start, total = 0;
	size_t i;

	if (madvise(p, size, MADV_NOHUGEPAGE) && errno != EINVAL)
		die_errno("madvise(MADV_NOHUGEPAGE)");
	for (; count; count -= NR_PAGES) {
		start = now();
		for (i = 0; i < size; i += page_size)
			__atomic_store_n(p + i, 1, __ATOMIC_RELAXED);
		total += now() - start;
		if (madvise(p, size, MADV_DONTNEED))
			die_errno("madvise(MADV_DONTNEED)");
	}
	return total;
}

static unsigned long long fault_anon(unsigned long count)
{
	return time_faults(count, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static unsigned long long fault_shmem(unsigned long count)
{
	return time_faults(count, MAP_SHARED, shmem_file(NR_PAGES * page_size, true));
}

/*
 * In mappings that start out linear, the pages in an order that leaves none
 * next to the one before, each given a page of the file that continues neither
 * neighbour.
 */
static unsigned long long time_remap(unsigned long count, int flags)
{
	size_t size = NR_PAGES * page_size;
	int fd = shmem_file(size, true);
	unsigned long long start, total = 0;
	unsigned long i;
	char *p;

	for (; count; count -= NR_PAGES) {
		p = map_apart(size, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
		start = now();
		for (i = 0; i < NR_PAGES; i++) {
			size_t page = 389 * i % NR_PAGES;

			if (syscall(SYS_remap_file_pages, p + page * page_size,
				    page_size, 0, (5 * page + 7) % NR_PAGES,
				    flags))
				die_errno("remap_file_pages");
		}
		total += now() - start;
		unmap(p, size);
	}
	return total;
}

static unsigned long long remap_populate(unsigned long count)
{
	return time_remap(count, 0);
}

static unsigned long long remap_nonblock(unsigned long count)
{
	return time_remap(count, MAP_NONBLOCK);
}

/*
 * Timer ticks, what RCU does in them and periodic work cost something too, and
 * how much depends on when they come: start at a full second, with nothing left
 * to free.
 */
static void settle(void)
{
	long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	struct timespec ts = { 0 };
	int error;

	/* Waits for a grace period; not every kernel has it */
	if (commands > 0 && (commands & MEMBARRIER_CMD_GLOBAL) &&
	    syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		die_errno("membarrier");
	ts.tv_sec = now() / 1000000000 + 2;
	error = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	if (error)
		die("clock_nanosleep: %s", strerror(error));
}

/*
 * Nonuniform mappings: each page maps another page of the file, none the one
 * behind that of its neighbour.
 */

/* A multiplier that is prime to any number of pages in use here */
#define SCATTER		7919UL

static int remap(char *p, size_t file_page, int flags)
{
	return syscall(SYS_remap_file_pages, p, page_size, PROT_READ | PROT_WRITE,
		       file_page, flags | MAP_NOINHERIT);
}

static bool has_nonuniform(void)
{
	int fd = shmem_file(2 * page_size, false);
	char *p = map(2 * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	bool has = !remap(p, 1, MAP_NONBLOCK);

	unmap(p, 2 * page_size);
	close(fd);
	return has;
}

static size_t scattered(size_t page, size_t nr)
{
	return (page * SCATTER + 13) % nr;
}

/* @nr pages of a new file; every @step-th page is not where it would be. */
static char *map_scattered(size_t nr, size_t step, int *fd)
{
	size_t i;
	char *p;

	*fd = shmem_file(nr * page_size, false);
	p = map_apart(nr * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd);
	for (i = 0; i < nr; i += step)
		if (remap(p + i * page_size, scattered(i, nr), MAP_NONBLOCK))
			die_errno("remap_file_pages");
	return p;
}

/* An ordinary mapping of as many pages, to compare that with */
static char *map_linear(size_t nr)
{
	return map_apart(nr * page_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 shmem_file(nr * page_size, false));
}

/* One byte of each of NR_PAGES pages of the file, @step apart, so that it has them */
static void fill_pages(int fd, size_t step)
{
	size_t i;

	for (i = 0; i < NR_PAGES; i++)
		if (pwrite(fd, "x", 1, i * step * page_size) != 1)
			die_errno("pwrite");
}

/*
 * Pages all over a mapping of @nr extents, one after the other: the number of
 * extents stays the same. What is populated are pages that the file has.
 */
static unsigned long long time_remap_among(unsigned long count, size_t nr, int flags)
{
	const size_t step = nr / NR_PAGES;
	static unsigned long round;
	unsigned long long start;
	static char *p;
	static int fd;

	if (!p) {
		p = map_scattered(nr, 1, &fd);
		fill_pages(fd, step);
	}
	start = now();
	for (; count; count--, round++) {
		size_t page = 389 * round % NR_PAGES * step + step / 2;
		size_t file = (5 * round + 7 + round / NR_PAGES) % NR_PAGES * step;

		if (remap(p + page * page_size, file, flags))
			die_errno("remap_file_pages");
	}
	return now() - start;
}

static unsigned long long remap_nonblock_1k(unsigned long count)
{
	return time_remap_among(count, EXTENTS_1K, MAP_NONBLOCK);
}

static unsigned long long remap_nonblock_30k(unsigned long count)
{
	return time_remap_among(count, EXTENTS_30K, MAP_NONBLOCK);
}

static unsigned long long remap_nonblock_1m(unsigned long count)
{
	return time_remap_among(count, EXTENTS_1M, MAP_NONBLOCK);
}

static unsigned long long remap_populate_1k(unsigned long count)
{
	return time_remap_among(count, EXTENTS_1K, 0);
}

static unsigned long long remap_populate_30k(unsigned long count)
{
	return time_remap_among(count, EXTENTS_30K, 0);
}

static unsigned long long remap_populate_1m(unsigned long count)
{
	return time_remap_among(count, EXTENTS_1M, 0);
}

/*
 * @count first writes to NR_PAGES pages of a mapping of @nr, in the same distance
 * from each other, which are dropped between the rounds; the file has them
 */
static unsigned long long time_faults_apart(unsigned long count, char *p, size_t nr)
{
	const size_t step = nr / NR_PAGES;
	unsigned long long start, total = 0;
	size_t i;

	for (i = 0; i < nr; i += step)
		p[i * page_size] = 1;
	for (; count; count -= NR_PAGES) {
		if (madvise(p, nr * page_size, MADV_DONTNEED))
			die_errno("madvise(MADV_DONTNEED)");
		start = now();
		for (i = 0; i < nr; i += step)
			__atomic_store_n(p + i * page_size, 1, __ATOMIC_RELAXED);
		total += now() - start;
	}
	return total;
}

static unsigned long long fault_nonuniform(unsigned long count)
{
	static char *p;
	static int fd;

	if (!p)
		p = map_scattered(NR_PAGES, 1, &fd);
	return time_faults_apart(count, p, NR_PAGES);
}

static unsigned long long fault_nonuniform_1m(unsigned long count)
{
	static char *p;
	static int fd;

	if (!p)
		p = map_scattered(EXTENTS_1M, 1, &fd);
	return time_faults_apart(count, p, EXTENTS_1M);
}

static unsigned long long fault_shmem_1m(unsigned long count)
{
	static char *p;

	if (!p)
		p = map_linear(EXTENTS_1M);
	return time_faults_apart(count, p, EXTENTS_1M);
}

/* The number behind "KEY:" in /proc/meminfo, in bytes */
static unsigned long long memory_stat(const char *key)
{
	FILE *file = fopen("/proc/meminfo", "r");
	unsigned long long kb = 0;
	bool found = false;
	char line[128];

	while (file && !found && fgets(line, sizeof(line), file))
		found = !strncmp(line, key, strlen(key)) &&
			sscanf(line + strlen(key), ": %llu", &kb) == 1;
	if (file)
		fclose(file);
	if (!found)
		die("there is no %s in /proc/meminfo", key);
	return kb * 1024;
}

/* Bytes in slabs. Counters that each CPU has of its own are added up first. */
static unsigned long long slab_bytes(void)
{
	int refresh = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);

	if (refresh >= 0) {
		if (write(refresh, "1", 1) != 1)
			die_errno("/proc/sys/vm/stat_refresh");
		close(refresh);
	}
	return memory_stat("Slab");
}

/* Not time, but what @count extents take. In between is what is linear, if anything. */
static unsigned long long count_slab(unsigned long count, size_t step)
{
	unsigned long long before;
	int fd;

	if (!count)
		return 0;
	before = slab_bytes();
	map_scattered(count * step, step, &fd);
	/* What has been replaced is freed after a grace period. */
	settle();
	return slab_bytes() - before;
}

static unsigned long long slab_dense(unsigned long count)
{
	return count_slab(count, 1);
}

static unsigned long long slab_sparse(unsigned long count)
{
	return count_slab(count, SPARSE);
}

static bool has_swap(void)
{
	return memory_stat("SwapFree") >= 2 * NR_PAGES * page_size;
}

static bool has_nonuniform_and_swap(void)
{
	return has_nonuniform() && has_swap();
}

/* How many of every @step-th page of a mapping are in memory */
static size_t count_resident(char *p, size_t nr, size_t step)
{
	unsigned char *vec = malloc(nr);
	size_t i, resident = 0;

	if (!vec || mincore(p, nr * page_size, vec))
		die_errno("mincore");
	for (i = 0; i < nr; i += step)
		resident += vec[i] & 1;
	free(vec);
	return resident;
}

/*
 * NR_PAGES pages of a mapping of many are paged out, by advice for all of it. Each
 * is found by reverse mapping. They are all the same, so that to store them costs
 * little.
 */
static unsigned long long time_reclaim(unsigned long count, char *p)
{
	const size_t nr = EXTENTS_RECLAIM, step = nr / NR_PAGES;
	unsigned long long start, total = 0;
	size_t i;

	for (; count; count -= NR_PAGES) {
		for (i = 0; i < nr; i += step)
			memset(p + i * page_size, 1, page_size);
		start = now();
		if (madvise(p, nr * page_size, MADV_PAGEOUT))
			die_errno("madvise(MADV_PAGEOUT)");
		total += now() - start;
		if (count_resident(p, nr, step) > NR_PAGES / 10)
			die("less than nine pages in ten have been reclaimed");
	}
	return total;
}

static unsigned long long reclaim_shmem(unsigned long count)
{
	static char *p;

	if (!p)
		p = map_linear(EXTENTS_RECLAIM);
	return time_reclaim(count, p);
}

static unsigned long long reclaim_nonuniform(unsigned long count)
{
	static char *p;
	static int fd;

	if (!p)
		p = map_scattered(EXTENTS_RECLAIM, 1, &fd);
	return time_reclaim(count, p);
}

/* @holes holes of a page in a mapping that is always the same, for each hole */
static unsigned long long time_holes(unsigned long count, size_t holes)
{
	const size_t nr = 2 * NR_HOLES, step = nr / holes;
	unsigned long long start, total = 0;
	size_t i;
	char *p;
	int fd;

	for (; count; count -= holes) {
		p = map_scattered(nr, 1, &fd);
		start = now();
		for (i = 1; i < nr; i += step)
			unmap(p + i * page_size, page_size);
		total += now() - start;
		unmap(p, nr * page_size);
		close(fd);
	}
	return total;
}

static unsigned long long holes_1000(unsigned long count)
{
	return time_holes(count, NR_HOLES / 10);
}

static unsigned long long holes_10000(unsigned long count)
{
	return time_holes(count, NR_HOLES);
}

static void wait_for(pid_t pid, const char *what)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die_errno("waitpid");
	if (WIFSIGNALED(status))
		die("%s: died of signal %d", what, WTERMSIG(status));
	if (WEXITSTATUS(status))
		die("%s: exit status %d", what, WEXITSTATUS(status));
}

/*
 * Counted in mappings: fork only. The child may be the first to run, and waits, lest
 * its exit be counted as far as it gets. Nor is what RCU frees of the one before it.
 */
static unsigned long long fork_mappings(unsigned long count)
{
	char *p = map_apart(NR_MAPPINGS * page_size, PROT_READ,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1);
	unsigned long long start, total = 0;
	int pipefd[2];
	size_t i;
	pid_t pid;
	char byte;

	for (i = 0; i < NR_MAPPINGS; i += 2)
		if (mprotect(p + i * page_size, page_size, PROT_READ | PROT_WRITE))
			die_errno("mprotect");

	for (; count; count -= NR_MAPPINGS) {
		if (pipe(pipefd))
			die_errno("pipe");
		settle();
		start = now();
		pid = fork();
		if (pid < 0)
			die_errno("fork");
		if (!pid) {
			close(pipefd[1]);
			_exit(read(pipefd[0], &byte, 1) != 0);
		}
		total += now() - start;
		close(pipefd[0]);
		close(pipefd[1]);
		wait_for(pid, "forked process");
	}
	return total;
}

/*
 * vfork(), execve() of this program, which exits at once, and wait. With
 * address randomisation if the system has it: without, the new stack may be
 * built where it stays, and its relocation is a part of what exec costs.
 */
static void exec_and_wait(char **argv)
{
	char *envp[1] = { NULL };
	pid_t pid = vfork();

	if (pid < 0)
		die_errno("vfork");
	if (!pid) {
		personality(old_persona);
		execve("/proc/self/exe", argv, envp);
		_exit(errno);
	}
	wait_for(pid, "exec");
}

/*
 * Of @count mappings of a page each, which stay. Those of the warm-up have filled
 * the slabs that were there.
 */
static unsigned long long slab_mapping(unsigned long count)
{
	unsigned long long before = slab_bytes();

	map_neighbours(count);
	return slab_bytes() - before;
}

static unsigned long long slab_reserved(unsigned long count)
{
	if (prctl(PR_RESERVATIONS, PR_RESERVATIONS_ENABLE, 0UL, 0UL, 0UL))
		die_errno("PR_RESERVATIONS_ENABLE");
	return slab_mapping(count);
}

static unsigned long long time_exec(unsigned long count, char **argv)
{
	unsigned long long start = now();

	while (count--)
		exec_and_wait(argv);
	return now() - start;
}

static unsigned long long exec_small(unsigned long count)
{
	char *argv[3] = { EXEC_CHILD, "x", NULL };

	return time_exec(count, argv);
}

static unsigned long long exec_2mb(unsigned long count)
{
	/* A quarter of it, which is what arguments may take, has to hold 2 MB */
	struct rlimit limit = { .rlim_cur = 16 << 20, .rlim_max = RLIM_INFINITY };
	char *argv[NR_LONG_ARGS + 2] = { EXEC_CHILD };
	struct rlimit old;
	size_t i;

	if (getrlimit(RLIMIT_STACK, &old))
		die_errno("getrlimit");
	limit.rlim_max = old.rlim_max;
	if (setrlimit(RLIMIT_STACK, &limit))
		die_errno("setrlimit(RLIMIT_STACK) to 16 MB");

	for (i = 1; i <= NR_LONG_ARGS; i++) {
		argv[i] = malloc(LONG_ARG_SIZE);
		if (!argv[i])
			die_errno("malloc");
		memset(argv[i], 'x', LONG_ARG_SIZE - 1);
		argv[i][LONG_ARG_SIZE - 1] = '\0';
	}
	return time_exec(count, argv);
}

/*
 * In each process @count operations are timed, after @warm_up of them that fill
 * the caches of the allocators. Both are multiples of what run() does between
 * two looks at the clock. @processes is 0 for NR_PROCESSES; what takes long to set
 * up is measured in fewer.
 */
static const struct bench {
	const char *name;
	const char *what;
	unsigned long long (*run)(unsigned long count);
	unsigned long warm_up;
	unsigned long count;
	bool (*possible)(void);
	unsigned int processes;
} benches[] = {
	{ "mmap-anon", "mmap and munmap of two anonymous pages",
	  mmap_anon, 2000, 10000 },
	{ "mmap-shmem-shared", "the same of a shmem file, shared",
	  mmap_shmem_shared, 2000, 10000 },
	{ "mmap-shmem-private", "the same of a shmem file, private",
	  mmap_shmem_private, 2000, 10000 },
	{ "mmap-ext4-shared", "the same of an ext4 file, shared",
	  mmap_ext4_shared, 2000, 10000, has_ext4 },
	{ "mmap-ext4-private", "the same of an ext4 file, private",
	  mmap_ext4_private, 2000, 10000, has_ext4 },
	{ "mmap-fixed", "mmap with MAP_FIXED of two anonymous pages over two others",
	  mmap_fixed, 2000, 10000 },
	{ "mmap-fixed-shmem", "the same of a shmem file, shared",
	  mmap_fixed_shmem, 2000, 10000 },
	{ "mmap-fixed-ext4", "the same of an ext4 file, shared",
	  mmap_fixed_ext4, 2000, 10000, has_ext4 },
	{ "mmap-among-10000", "mmap and munmap of two anonymous pages, among 10,000 mappings",
	  mmap_among_few, 2000, 10000 },
	{ "mmap-among-50000", "mmap and munmap of two anonymous pages, among 50,000 mappings",
	  mmap_among, 2000, 10000 },
	{ "mmap-reserved", "mmap-anon with reservations",
	  mmap_reserved, 2000, 10000, has_reservations },
	{ "mmap-reserved-50000", "the same among 50,000 reservations of three pages",
	  mmap_among_reserved, 2000, 10000, has_reservations },
	{ "mmap-reserved-holes", "the same, two of these pages are a hole",
	  mmap_among_holes, 2000, 10000, has_reservations },
	{ "mprotect-split-merge", "mprotect of a page in the middle, and back",
	  mprotect_split, 2000, 10000 },
	{ "mremap-resize", "mremap of two anonymous pages to one, and back",
	  mremap_resize, 2000, 10000 },
	{ "mremap-move", "mremap of two anonymous pages to another place, and back",
	  mremap_move, 2000, 10000 },
	{ "fault-anon", "first write to an anonymous page",
	  fault_anon, NR_PAGES, 5 * NR_PAGES },
	{ "fault-shmem", "first write to a shared page that the file has",
	  fault_shmem, NR_PAGES, 5 * NR_PAGES },
	{ "remap-populate", "remap_file_pages of one page",
	  remap_populate, NR_PAGES, 8 * NR_PAGES },
	{ "remap-nonblock", "the same with MAP_NONBLOCK",
	  remap_nonblock, NR_PAGES, 8 * NR_PAGES },
	{ "remap-nonblock-1k", "MAP_NOINHERIT and MAP_NONBLOCK, among 1,000 extents",
	  remap_nonblock_1k, NR_PAGES, 8 * NR_PAGES, has_nonuniform },
	{ "remap-nonblock-30k", "the same among 30,000",
	  remap_nonblock_30k, NR_PAGES, 8 * NR_PAGES, has_nonuniform },
	{ "remap-nonblock-1m", "the same among 1,000,000",
	  remap_nonblock_1m, NR_PAGES, 8 * NR_PAGES, has_nonuniform, 1 },
	{ "remap-populate-1k", "MAP_NOINHERIT, among 1,000 extents",
	  remap_populate_1k, NR_PAGES, 8 * NR_PAGES, has_nonuniform },
	{ "remap-populate-30k", "the same among 30,000",
	  remap_populate_30k, NR_PAGES, 8 * NR_PAGES, has_nonuniform },
	{ "remap-populate-1m", "the same among 1,000,000",
	  remap_populate_1m, NR_PAGES, 8 * NR_PAGES, has_nonuniform, 1 },
	{ "fault-nonuniform", "fault-shmem where each page is an extent",
	  fault_nonuniform, NR_PAGES, 5 * NR_PAGES, has_nonuniform },
	{ "fault-shmem-1m", "fault-shmem, every 1024th page of 1,000,000",
	  fault_shmem_1m, NR_PAGES, 5 * NR_PAGES },
	{ "fault-nonuniform-1m", "the same where each page is an extent",
	  fault_nonuniform_1m, NR_PAGES, 5 * NR_PAGES, has_nonuniform, 1 },
	{ "slab-extent-dense", "bytes of slab for an extent, next to each other",
	  slab_dense, 0, EXTENTS_RECLAIM, has_nonuniform, 1 },
	{ "slab-extent-sparse", "the same, one page in 16",
	  slab_sparse, 0, EXTENTS_RECLAIM, has_nonuniform, 1 },
	{ "reclaim-shmem", "page out a page, every 200th of 200,000; needs swap",
	  reclaim_shmem, NR_PAGES, 2 * NR_PAGES, has_swap, 2 },
	{ "reclaim-nonuniform", "the same where each page is an extent",
	  reclaim_nonuniform, NR_PAGES, 2 * NR_PAGES, has_nonuniform_and_swap, 2 },
	{ "holes-1000", "munmap of a page of 20,000 extents, for each of 1,000",
	  holes_1000, NR_HOLES / 10, NR_HOLES / 5, has_nonuniform, 2 },
	{ "holes-10000", "the same for each of 10,000",
	  holes_10000, NR_HOLES, NR_HOLES, has_nonuniform, 2 },
	{ "fork-per-mapping", "fork of 10,000 mappings, for each of them",
	  fork_mappings, NR_MAPPINGS, 3 * NR_MAPPINGS },
	{ "exec", "vfork and execve with one argument of a byte",
	  exec_small, 10, 150 },
	{ "exec-2mb", "vfork and execve with 2 MB of arguments",
	  exec_2mb, 2, 15 },
	{ "slab-mapping", "bytes of slab of an anonymous mapping of a page",
	  slab_mapping, NR_SLAB_WARM_UP, NR_SLAB_MAPPINGS },
	{ "slab-mapping-reserved", "the same, each a reservation",
	  slab_reserved, NR_SLAB_WARM_UP, NR_SLAB_MAPPINGS, has_reservations },
};

static unsigned long long measure_once(const struct bench *b)
{
	unsigned long long ns;
	int pipefd[2];
	pid_t pid;

	fflush(stdout);
	if (pipe(pipefd))
		die_errno("pipe");
	pid = fork();
	if (pid < 0)
		die_errno("fork");
	if (!pid) {
		b->run(b->warm_up);
		settle();
		ns = b->run(b->count);
		if (write(pipefd[1], &ns, sizeof(ns)) != sizeof(ns))
			die_errno("pipe");
		_exit(EXIT_SUCCESS);
	}
	wait_for(pid, b->name);
	if (read(pipefd[0], &ns, sizeof(ns)) != sizeof(ns))
		die_errno("pipe");
	close(pipefd[0]);
	close(pipefd[1]);
	return ns;
}

static void measure(const struct bench *b)
{
	const unsigned int processes = b->processes ? b->processes : NR_PROCESSES;
	double ns = 0;
	unsigned int i;

	if (b->possible && !b->possible()) {
		printf("%s -\n", b->name);
		return;
	}
	for (i = 0; i < processes; i++)
		ns += measure_once(b);
	printf("%s %.1f\n", b->name, ns / processes / b->count);
	if (fflush(stdout))
		die_errno("stdout");
}

static const struct bench *find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(benches); i++)
		if (!strcmp(benches[i].name, name))
			return &benches[i];
	die("no operation '%s', see vma_bench --list", name);
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc && !strcmp(argv[0], EXEC_CHILD))
		_exit(0);

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (i = 0; i < ARRAY_SIZE(benches); i++)
			printf("%-22s %s\n", benches[i].name, benches[i].what);
		return EXIT_SUCCESS;
	}
	if (argc > 1 && argv[1][0] == '-')
		die("usage: vma_bench [--list | NAME...]");
	for (i = 1; i < (size_t)argc; i++)
		find(argv[i]);

	page_size = sysconf(_SC_PAGESIZE);
	old_persona = personality(0xffffffff);
	if (old_persona < 0)
		die_errno("personality");
	if (!(old_persona & ADDR_NO_RANDOMIZE)) {
		if (personality(old_persona | ADDR_NO_RANDOMIZE) < 0)
			die_errno("personality(ADDR_NO_RANDOMIZE)");
		execv("/proc/self/exe", argv);
		die_errno("cannot execute itself through /proc/self/exe");
	}
	old_persona &= ~ADDR_NO_RANDOMIZE;

	for (i = 1; i < (size_t)argc; i++)
		measure(find(argv[i]));
	for (i = 0; argc < 2 && i < ARRAY_SIZE(benches); i++)
		measure(&benches[i]);
	return EXIT_SUCCESS;
}
