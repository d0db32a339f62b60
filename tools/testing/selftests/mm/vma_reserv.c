// SPDX-License-Identifier: GPL-2.0
/*
 * Reservations: ranges of addresses that belong to one allocation each. Two never
 * overlap, none ever grows or shrinks, a hole in one is not free, and one is gone when
 * its last mapping is. See Documentation/userspace-api/reservations.rst.
 *
 * Here are the rules about switching them on, about their life, and about heap, stack
 * and the search for free addresses. vma_reserv_calls.c has what each system call
 * makes of a range, vma_reserv_exec.c has fork, exec and whole programs, and
 * vma_reserv_stress.c has races and failing allocations.
 *
 * Switching on is one way. Each test is a process of its own, so that this is as good
 * as going back.
 */
#define _GNU_SOURCE
#include <linux/aio_abi.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/ipc.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include "vma_reserv.h"

#ifndef __NR_map_shadow_stack
#define __NR_map_shadow_stack	453
#endif
#ifndef MAP_ABOVE4G
#define MAP_ABOVE4G		0x80
#endif

/*
 * Off, and switching on
 */

FIXTURE(off)
{
};

FIXTURE_SETUP(off)
{
	stack_pregrow();
}

FIXTURE_TEARDOWN(off)
{
}

TEST_F_TIMEOUT(off, unknown_operation, TEST_SECONDS)
{
	static const unsigned long operations[] = {
		0, 3, 4, ~0UL, 1UL << 31, ~0xffUL | PR_RESERVATIONS_GET,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		EXPECT_ERRNO(EINVAL, prctl(PR_RESERVATIONS, operations[i], 0UL, 0UL, 0UL));
	EXPECT_EQ(0, reserv_state());
}

TEST_F_TIMEOUT(off, unknown_flags, TEST_SECONDS)
{
	unsigned int bit;

	for (bit = 0; bit < 8 * sizeof(long); bit++) {
		unsigned long flag = 1UL << bit;

		if (flag == PR_RESERVATIONS_INHERIT || flag == PR_RESERVATIONS_CHERI_BOUNDS)
			continue;
		EXPECT_ERRNO(EINVAL, reserv_enable(flag));
		EXPECT_ERRNO(EINVAL, reserv_enable(flag | PR_RESERVATIONS_INHERIT));
	}
	EXPECT_EQ(0, reserv_state());
}

TEST_F_TIMEOUT(off, spare_arguments, TEST_SECONDS)
{
	EXPECT_ERRNO(EINVAL, prctl(PR_RESERVATIONS, PR_RESERVATIONS_ENABLE, 0UL, 1UL, 0UL));
	EXPECT_ERRNO(EINVAL, prctl(PR_RESERVATIONS, PR_RESERVATIONS_ENABLE, 0UL, 0UL, 1UL));
	EXPECT_ERRNO(EINVAL, prctl(PR_RESERVATIONS, PR_RESERVATIONS_GET, 1UL, 0UL, 0UL));
	EXPECT_ERRNO(EINVAL, prctl(PR_RESERVATIONS, PR_RESERVATIONS_GET, 0UL, 1UL, 0UL));
	EXPECT_ERRNO(EINVAL, prctl(PR_RESERVATIONS, PR_RESERVATIONS_GET, 0UL, 0UL, 1UL));
	EXPECT_EQ(0, reserv_state());
	EXPECT_EQ(0U, list_count(_metadata));
}

TEST_F_TIMEOUT(off, state, TEST_SECONDS)
{
	EXPECT_EQ(0, reserv_state());
	ASSERT_EQ(0, reserv_enable(0));
	EXPECT_EQ((int)PR_RESERVATIONS_ON, reserv_state());
}

TEST_F_TIMEOUT(off, state_inherit, TEST_SECONDS)
{
	ASSERT_EQ(0, reserv_enable(PR_RESERVATIONS_INHERIT));
	EXPECT_EQ((int)(PR_RESERVATIONS_ON | PR_RESERVATIONS_INHERIT), reserv_state());
}

/* Rule: again with the same flags, or with INHERIT in addition, and nothing else */
TEST_F_TIMEOUT(off, enable_again, TEST_SECONDS)
{
	ASSERT_EQ(0, reserv_enable(0));
	EXPECT_EQ(0, reserv_enable(0));
	EXPECT_ERRNO(EINVAL, reserv_enable(PR_RESERVATIONS_CHERI_BOUNDS));
	EXPECT_ERRNO(EINVAL, reserv_enable(PR_RESERVATIONS_CHERI_BOUNDS |
					   PR_RESERVATIONS_INHERIT));
	EXPECT_EQ((int)PR_RESERVATIONS_ON, reserv_state());
	EXPECT_EQ(0, reserv_enable(PR_RESERVATIONS_INHERIT));
	EXPECT_EQ((int)(PR_RESERVATIONS_ON | PR_RESERVATIONS_INHERIT), reserv_state());
	EXPECT_EQ(0, reserv_enable(0));
	EXPECT_EQ(0, reserv_enable(PR_RESERVATIONS_INHERIT));
	EXPECT_EQ((int)(PR_RESERVATIONS_ON | PR_RESERVATIONS_INHERIT), reserv_state());
}

/* Rule: enabling again does not make one of what is there now */
TEST_F_TIMEOUT(off, enable_again_keeps, TEST_SECONDS)
{
	static struct reserv_snapshot before;

	ASSERT_EQ(0, reserv_enable(0));
	map_new(_metadata, free_space(_metadata), 2, RW);
	reserv_snapshot(_metadata, &before);
	EXPECT_EQ(0, reserv_enable(0));
	check_reserv_snapshot(_metadata, &before);
}

/* Rule: not enabled, nothing changes */
TEST_F_TIMEOUT(off, nothing_changes, TEST_SECONDS)
{
	char *p = free_space(_metadata);

	EXPECT_EQ(0U, list_count(_metadata));
	ASSERT_TRUE(read_file("/proc/self/smaps", smaps_text, sizeof(smaps_text)));
	EXPECT_EQ(NULL, strstr(smaps_text, "Reservation"));

	/* Neighbours merge, a range may span both, a hole is free */
	map_new(_metadata, p, 2, RW);
	map_new(_metadata, p + 2 * page_size, 2, RW);
	EXPECT_EQ(1U, count_vmas(p, 4));
	EXPECT_EQ(0, unmap(p + page_size, 2));
	EXPECT_EQ(p + page_size, map_at(p + page_size, 1, RW, ANON));
	EXPECT_EQ(0, mprotect(p, 2 * page_size, PROT_READ));
	EXPECT_EQ(p + page_size, map_at(p + page_size, 8, RW, ANON | MAP_FIXED));
	EXPECT_EQ(0, unmap(p - page_size, 16));
	EXPECT_EQ(0U, list_count(_metadata));
}

static void *enable_thread(void *arg)
{
	return (void *)(long)reserv_enable((unsigned long)arg);
}

/* Rule: it is the address space that has reservations, not a thread */
TEST_F_TIMEOUT(off, enable_in_thread, TEST_SECONDS)
{
	pthread_t thread;
	void *ret;

	ASSERT_EQ(0, pthread_create(&thread, NULL, enable_thread, NULL));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(NULL, ret);
	EXPECT_EQ((int)PR_RESERVATIONS_ON, reserv_state());
	check_lists(_metadata);
}

/* Rule: enabling covers whatever is there */
TEST_F_TIMEOUT(off, enable_covers_everything, TEST_SECONDS)
{
	ASSERT_EQ(0, reserv_enable(0));
	EXPECT_LT(2U, list_count(_metadata));
	check_lists(_metadata);
}

/* Rule: what was mapped without a gap is one reservation, whatever it is */
TEST_F_TIMEOUT(off, enable_one_per_run, TEST_SECONDS)
{
	char *p = free_space(_metadata), *q = p + 16 * page_size;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	map_new(_metadata, p, 2, RW);
	map_new(_metadata, p + 2 * page_size, 2, PROT_NONE);
	ASSERT_EQ(p + 4 * page_size,
		  mmap(p + 4 * page_size, page_size, PROT_READ, MAP_PRIVATE | MAP_FIXED,
		       fd, 0));
	ASSERT_EQ(p + 5 * page_size,
		  map_at(p + 5 * page_size, 1, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED));
	/* Behind a gap of one page, and two of them, beyond it */
	map_new(_metadata, p + 7 * page_size, 1, RW);
	map_new(_metadata, q, 2, RW);
	close(fd);

	ASSERT_EQ(0, reserv_enable(0));
	EXPECT_RESERV(p, p, 6 * page_size);
	EXPECT_RESERV(p + 5 * page_size, p, 6 * page_size);
	EXPECT_EQ(4UL, reserv_at(_metadata, p).nr);
	EXPECT_NO_RESERV(p + 6 * page_size);
	EXPECT_RESERV(p + 7 * page_size, p + 7 * page_size, page_size);
	EXPECT_RESERV(q, q, 2 * page_size);
	EXPECT_EQ(1UL, reserv_at(_metadata, q).nr);

	/* Neighbours of then are unmapped together, as a thread's stack and its guard */
	EXPECT_EQ(0, unmap(p, 6));
	EXPECT_NO_RESERV(p);
	EXPECT_RESERV(p + 7 * page_size, p + 7 * page_size, page_size);
}

static unsigned long raw_brk(unsigned long to)
{
	return syscall(SYS_brk, to);
}

/* The end of the heap, now at the end of a page */
static char *heap_end(struct __test_metadata *_metadata)
{
	unsigned long end = raw_brk(0);
	unsigned long aligned = (end + 2 * page_size - 1) & -page_size;

	ASSERT_EQ(aligned, raw_brk(aligned));
	return (char *)aligned;
}

/* Each mapping in the same reservation as one whose name begins like this does so */
static void check_apart(struct __test_metadata *_metadata, const char *prefix)
{
	static struct vma_list vmas;
	unsigned int i, j, nr = 0;

	vmas_read(_metadata, &vmas);
	for (i = 0; i < vmas.nr; i++) {
		const struct vma *a = &vmas.v[i];

		if (strncmp(a->name, prefix, strlen(prefix)) || vma_is_gate(a))
			continue;
		nr++;
		for (j = 0; j < vmas.nr; j++) {
			const struct vma *b = &vmas.v[j];

			if (a->reserv_start != b->reserv_start || vma_is_gate(b))
				continue;
			EXPECT_EQ(0, strncmp(b->name, prefix, strlen(prefix)))
				TH_LOG("%s and %#lx %s", a->name, b->start, b->name);
		}
	}
	EXPECT_LT(0U, nr)
		TH_LOG("nothing is called %s", prefix);
}

/* Rule: heap, stack and special mappings stay on their own, even with neighbours */
TEST_F_TIMEOUT(off, heap_stack_special_apart, TEST_SECONDS)
{
	char *end = heap_end(_metadata);

	map_new(_metadata, end, 2, PROT_READ);
	ASSERT_EQ(0, reserv_enable(0));
	EXPECT_RESERV(end, end, 2 * page_size);
	check_apart(_metadata, "[heap]");
	check_apart(_metadata, "[stack]");
	/* User-mode Linux has none of its own */
	if (getauxval(AT_SYSINFO_EHDR))
		check_apart(_metadata, "[v");
}

/* Rule: it is shown to those who may see the mappings */
TEST_F_TIMEOUT(off, list_permission, TEST_SECONDS)
{
	char path[64], maps[64];
	pid_t pid;
	int fd;

	if (geteuid())
		SKIP(return, "dropping privileges needs root");
	ASSERT_EQ(0, reserv_enable(0));
	snprintf(path, sizeof(path), "/proc/%d/reservations", getpid());
	snprintf(maps, sizeof(maps), "/proc/%d/maps", getpid());
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int error;

		if (syscall(SYS_setresgid, 65534, 65534, 65534) ||
		    syscall(SYS_setresuid, 65534, 65534, 65534))
			_exit(1);
		fd = open(maps, O_RDONLY);
		error = fd < 0 ? errno : 0;
		fd = open(path, O_RDONLY);
		_exit(error && (fd < 0 ? errno : 0) == error ? 0 : 2);
	}
	EXPECT_EQ(0, wait_status(pid));
}

/*
 * The life of a reservation
 */

FIXTURE(on)
{
	char *p;		/* free, and so is much on both sides */
};

FIXTURE_SETUP(on)
{
	stack_pregrow();
	ASSERT_EQ(0, reserv_enable(0));
	self->p = free_space(_metadata);
}

FIXTURE_TEARDOWN(on)
{
}

/* Rule: a mapping creates one, neighbours are of different ones and never merge */
TEST_F_TIMEOUT(on, neighbours_do_not_merge, TEST_SECONDS)
{
	char *p = self->p, *q = p + 4 * page_size;

	map_new(_metadata, p, 4, RW);
	map_new(_metadata, q, 4, RW);
	EXPECT_RESERV(p, p, 4 * page_size);
	EXPECT_RESERV(q, q, 4 * page_size);
	EXPECT_EQ(2U, count_vmas(p, 8));

	/* Not by becoming equal either */
	ASSERT_EQ(0, mprotect(q, 4 * page_size, PROT_READ));
	ASSERT_EQ(0, mprotect(q, 4 * page_size, RW));
	ASSERT_EQ(0, mlock(p, 4 * page_size));
	ASSERT_EQ(0, munlock(p, 4 * page_size));
	EXPECT_EQ(2U, count_vmas(p, 8));
	/* and not by filling a gap between two that would all be one */
	map_new(_metadata, q + 8 * page_size, 4, RW);
	map_new(_metadata, q + 4 * page_size, 4, RW);
	EXPECT_EQ(4U, count_vmas(p, 16));
	check_lists(_metadata);
}

/* Rule: those of one reservation do merge */
TEST_F_TIMEOUT(on, within_one_they_merge, TEST_SECONDS)
{
	char *p = self->p;

	map_new(_metadata, p, 6, RW);
	ASSERT_EQ(0, mprotect(p + 2 * page_size, 2 * page_size, PROT_READ));
	EXPECT_EQ(3U, count_vmas(p, 6));
	EXPECT_EQ(3UL, reserv_at(_metadata, p).nr);
	EXPECT_RESERV(p + 2 * page_size, p, 6 * page_size);
	ASSERT_EQ(0, mprotect(p + 2 * page_size, 2 * page_size, RW));
	EXPECT_EQ(1U, count_vmas(p, 6));
	EXPECT_EQ(1UL, reserv_at(_metadata, p).nr);
	ASSERT_EQ(0, unmap(p + 2 * page_size, 2));
	ASSERT_EQ(p + 2 * page_size, map_at(p + 2 * page_size, 2, RW, ANON | MAP_FIXED));
	EXPECT_EQ(1U, count_vmas(p, 6));
	check_lists(_metadata);
}

/* Rule: it neither shrinks nor grows, and is gone with its last mapping */
TEST_F_TIMEOUT(on, dies_with_last_mapping, TEST_SECONDS)
{
	static const unsigned int order[] = { 0, 7, 3, 1, 6, 4, 2, 5 };
	unsigned int i, nr = list_count(_metadata);
	char *p = self->p;

	map_new(_metadata, p, 8, RW);
	EXPECT_EQ(nr + 1, list_count(_metadata));
	for (i = 0; i < ARRAY_SIZE(order); i++) {
		struct reserv r = reserv_at(_metadata, p);

		EXPECT_EQ((unsigned long)p, r.start);
		EXPECT_EQ((unsigned long)p + 8 * page_size, r.end);
		EXPECT_EQ((8 - i) * page_size / KB, r.kb);
		ASSERT_EQ(0, unmap(p + order[i] * page_size, 1));
		check_lists(_metadata);
	}
	EXPECT_NO_RESERV(p);
	EXPECT_EQ(nr, list_count(_metadata));

	/* The addresses are free again: for a hint, and for another outline */
	EXPECT_EQ(p + 2 * page_size, map_at(p + 2 * page_size, 4, RW, ANON));
	ASSERT_EQ(0, unmap(p + 2 * page_size, 4));
	map_new(_metadata, p - 2 * page_size, 12, RW);
	EXPECT_RESERV(p, p - 2 * page_size, 12 * page_size);
}

/* Rule: replacing all of its mappings is not the end of it */
TEST_F_TIMEOUT(on, survives_replacement, TEST_SECONDS)
{
	char *p = self->p;

	map_new(_metadata, p, 4, RW);
	ASSERT_EQ(0, unmap(p + 3 * page_size, 1));
	ASSERT_EQ(p, map_at(p, 3, PROT_READ, ANON | MAP_FIXED));
	EXPECT_RESERV(p, p, 4 * page_size);
}

/* Rule: a thread's stack and its guard can be unmapped in one call */
TEST_F_TIMEOUT(on, stack_and_guard, TEST_SECONDS)
{
	char *p = map_at(NULL, 10, PROT_NONE, ANON | MAP_NORESERVE | MAP_STACK);

	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, mprotect(p + page_size, 9 * page_size, RW));
	EXPECT_EQ(2UL, reserv_at(_metadata, p).nr);
	EXPECT_RESERV(p + page_size, p, 10 * page_size);
	EXPECT_EQ(0, unmap(p, 10));
	EXPECT_NO_RESERV(p);
}

/* Rule: a mapping that could not grow is not made */
TEST_F_TIMEOUT(on, growsdown, TEST_SECONDS)
{
	char *p = self->p;

	map_new(_metadata, p, 4, RW);
	EXPECT_EQ(MAP_FAILED, (void *)map_at(NULL, 2, RW, ANON | MAP_GROWSDOWN));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, (void *)map_at(p + page_size, 2, RW,
					     ANON | MAP_GROWSDOWN | MAP_FIXED));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, (void *)map_at(p + 8 * page_size, 2, RW,
					     ANON | MAP_GROWSDOWN | MAP_FIXED));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(1U, count_vmas(p, 16));
	check_lists(_metadata);
}

/* Rule: the list is complete, however long */
TEST_F_TIMEOUT(on, long_list, TEST_SECONDS)
{
	unsigned int i, nr = list_count(_metadata);

	for (i = 0; i < 1000; i++)
		map_new(_metadata, self->p + 2 * i * page_size, 1, RW);
	EXPECT_EQ(nr + 1000, list_count(_metadata));
	check_lists(_metadata);
	for (i = 0; i < 1000; i++)
		ASSERT_EQ(0, unmap(self->p + 2 * i * page_size, 1));
	EXPECT_EQ(nr, list_count(_metadata));
}

/*
 * A hole is not free
 */

TEST_F_TIMEOUT(on, hole_hint, TEST_SECONDS)
{
	char *p = self->p, *q;
	unsigned int i;

	map_new(_metadata, p, 16, RW);
	ASSERT_EQ(0, unmap(p + 4 * page_size, 8));
	/* In the hole, from before it into it, and from it to what is behind */
	for (i = 0; i < 16; i++) {
		q = map_at(p + i * page_size, 2, RW, ANON);
		ASSERT_NE(MAP_FAILED, (void *)q);
		EXPECT_TRUE(q + 2 * page_size <= p || q >= p + 16 * page_size);
		EXPECT_RESERV(q, q, 2 * page_size);
	}
	/* A hint whose end would be in a reservation */
	q = map_at(p - page_size, 2, RW, ANON);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_TRUE(q + 2 * page_size <= p || q >= p + 16 * page_size);
	EXPECT_EQ((8UL * page_size) / KB, reserv_at(_metadata, p).kb);
	check_lists(_metadata);
}

/* Rule: a hole at the head or the tail is one as well */
TEST_F_TIMEOUT(on, hole_at_the_edge, TEST_SECONDS)
{
	char *p = self->p, *q;

	map_new(_metadata, p, 16, RW);
	ASSERT_EQ(0, unmap(p, 4));
	ASSERT_EQ(0, unmap(p + 12 * page_size, 4));
	EXPECT_RESERV(p + 4 * page_size, p, 16 * page_size);
	q = map_at(p, 2, RW, ANON);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_TRUE(q + 2 * page_size <= p || q >= p + 16 * page_size);
	q = map_at(p + 14 * page_size, 2, RW, ANON);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_TRUE(q + 2 * page_size <= p || q >= p + 16 * page_size);
	/* Next to it is free, as far as it is not part of it */
	EXPECT_EQ(p + 16 * page_size, map_at(p + 16 * page_size, 2, RW, ANON));
	EXPECT_EQ(p - 2 * page_size, map_at(p - 2 * page_size, 2, RW, ANON));
	check_lists(_metadata);
}

#define REGIONS		64
#define REGION_PAGES	16

static char *regions[REGIONS];

/* Most of them next to each other, each with a hole of half of it */
static bool make_regions(void)
{
	unsigned int i;

	for (i = 0; i < REGIONS; i++) {
		regions[i] = map_at(NULL, REGION_PAGES, RW, ANON);
		if (regions[i] == MAP_FAILED)
			return false;
	}
	for (i = 0; i < REGIONS; i++)
		if (unmap(regions[i] + REGION_PAGES / 4 * page_size, REGION_PAGES / 2))
			return false;
	return true;
}

/* How many of many mappings of all sizes land in a hole */
static int count_in_holes(int flags)
{
	unsigned int i, j, hits = 0;

	for (i = 0; i < 4 * REGIONS; i++) {
		size_t size = (1 + i % (REGION_PAGES / 2)) * page_size;
		char *p = mmap(NULL, size, RW, ANON | flags, -1, 0);

		if (p == MAP_FAILED)
			return -1;
		for (j = 0; j < REGIONS; j++)
			hits += p < regions[j] + REGION_PAGES * page_size &&
				p + size > regions[j];
	}
	return hits;
}

/* Rule: no search ends in a hole. Without reservations it does, right away. */
TEST_F_TIMEOUT(off, search_finds_holes, TEST_SECONDS)
{
	ASSERT_TRUE(make_regions());
	EXPECT_LT(0, count_in_holes(0));
}

TEST_F_TIMEOUT(on, search_avoids_holes, TEST_SECONDS)
{
	ASSERT_TRUE(make_regions());
	EXPECT_EQ(0, count_in_holes(0));
	check_lists(_metadata);
}

TEST_F_TIMEOUT(on, search_avoids_holes_above4g, TEST_SECONDS)
{
	ASSERT_TRUE(make_regions());
	EXPECT_EQ(0, count_in_holes(MAP_ABOVE4G));
	check_lists(_metadata);
}

/* What is as large as a huge page is aligned like one if it can be */
TEST_F_TIMEOUT(on, search_avoids_holes_thp, TEST_SECONDS)
{
	const size_t size = 16 * MB;
	char *p, *q;
	int i;

	p = mmap(NULL, size, RW, ANON | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, munmap(p + 2 * MB, size - 4 * MB));
	for (i = 0; i < 16; i++) {
		q = mmap(NULL, (i % 4 + 1) * 2 * MB, RW, ANON | MAP_NORESERVE, -1, 0);
		ASSERT_NE(MAP_FAILED, (void *)q);
		EXPECT_TRUE(q >= p + size || q + (i % 4 + 1) * 2 * MB <= p);
	}
	check_lists(_metadata);
}

TEST_F_TIMEOUT(on, search_avoids_holes_hugetlb, TEST_SECONDS)
{
	const size_t size = 16 * MB;
	char *p, *q;
	int i;

	p = mmap(NULL, size, RW, ANON | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, munmap(p + page_size, size - 2 * page_size));
	for (i = 0; i < 4; i++) {
		q = mmap(NULL, 2 * MB, RW, ANON | MAP_HUGETLB | MAP_NORESERVE, -1, 0);
		if (q == MAP_FAILED)
			SKIP(return, "MAP_HUGETLB: %s", strerror(errno));
		EXPECT_TRUE(q >= p + size || q + 2 * MB <= p);
		EXPECT_RESERV(q, q, 2 * MB);
	}
	/* The hint is an address in the hole that is suitable for it */
	q = mmap((void *)(((unsigned long)p + 4 * MB) & -(2 * MB)), 2 * MB, RW,
		 ANON | MAP_HUGETLB | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_TRUE(q >= p + size || q + 2 * MB <= p);
	check_lists(_metadata);
}

#ifdef __x86_64__
/* The GiB that MAP_32BIT looks at, and somewhere in it */
#define LOW_START	((char *)0x40000000)
#define LOW_MIDDLE	((char *)0x60000000)
#define LOW_SIZE	(1024 * MB)
#define FULL_PAGES	64

/* A search begins at a random address: take everything, not just what it finds */
static bool fill(char *addr, size_t size)
{
	if (mmap(addr, size, PROT_NONE, ANON | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
		 -1, 0) == addr)
		return true;
	if (errno != EEXIST)
		return false;
	size /= 2;
	return size < page_size || (fill(addr, size) && fill(addr + size, size));
}

/* Leaves one hole of 16 pages. Returns the mapping that has it, or NULL. */
static char *fill_32bit(void)
{
	char *p = map_at(LOW_MIDDLE, FULL_PAGES, PROT_NONE, ANON | MAP_FIXED_NOREPLACE);

	if (p != LOW_MIDDLE || !fill(LOW_START, LOW_SIZE))
		return NULL;
	return unmap(p + 8 * page_size, 16) ? NULL : p;
}

/* Rule: if there is nothing but the hole, there is nothing */
TEST_F_TIMEOUT(off, only_the_hole, TEST_SECONDS)
{
	char *p = fill_32bit();

	ASSERT_NE(NULL, p);
	EXPECT_EQ(p + 8 * page_size, map_at(NULL, 16, RW, ANON | MAP_32BIT));
}

TEST_F_TIMEOUT(on, only_the_hole, TEST_SECONDS)
{
	static struct reserv_snapshot before;
	char *p = fill_32bit();
	unsigned int pages;

	ASSERT_NE(NULL, p);
	reserv_snapshot(_metadata, &before);
	for (pages = 1; pages <= 16; pages++) {
		EXPECT_EQ(MAP_FAILED, (void *)map_at(NULL, pages, RW, ANON | MAP_32BIT));
		EXPECT_EQ(ENOMEM, errno);
	}
	check_reserv_snapshot(_metadata, &before);
	/* From inside it can be filled; when all of it is gone, it is free. */
	EXPECT_EQ(p + 8 * page_size,
		  map_at(p + 8 * page_size, 2, RW, ANON | MAP_32BIT | MAP_FIXED));
	ASSERT_EQ(0, unmap(p, FULL_PAGES));
	EXPECT_EQ(p, map_at(NULL, FULL_PAGES, RW, ANON | MAP_32BIT));
}
#endif

/*
 * mremap
 */

TEST_F_TIMEOUT(on, mremap_grows_in_place_inside, TEST_SECONDS)
{
	char *p = self->p;

	map_new(_metadata, p, 8, RW);
	p[0] = 'a';
	ASSERT_EQ(0, unmap(p + 2 * page_size, 6));
	EXPECT_EQ(p, mremap(p, 2 * page_size, 8 * page_size, 0));
	EXPECT_EQ('a', p[0]);
	EXPECT_RESERV(p + 7 * page_size, p, 8 * page_size);
	check_lists(_metadata);
}

/* Rule: what does not fit moves, and free space behind is no reason to stay */
TEST_F_TIMEOUT(on, mremap_grow_moves, TEST_SECONDS)
{
	static struct reserv_snapshot before;
	char *p = self->p, *q;

	map_new(_metadata, p, 4, RW);
	p[0] = 'a';
	reserv_snapshot(_metadata, &before);
	EXPECT_EQ(MAP_FAILED, mremap(p, 4 * page_size, 8 * page_size, 0));
	EXPECT_EQ(ENOMEM, errno);
	check_reserv_snapshot(_metadata, &before);

	q = mremap(p, 4 * page_size, 8 * page_size, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_TRUE(q >= p + 4 * page_size || q + 8 * page_size <= p);
	EXPECT_EQ('a', q[0]);
	EXPECT_RESERV(q, q, 8 * page_size);
	EXPECT_NO_RESERV(p);
	check_lists(_metadata);
}

/* Rule: the part of a reservation that is left keeps it */
TEST_F_TIMEOUT(on, mremap_part_moves, TEST_SECONDS)
{
	char *p = self->p, *q;

	map_new(_metadata, p, 8, RW);
	p[4 * page_size] = 'b';
	q = mremap(p + 4 * page_size, 2 * page_size, 16 * page_size, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_TRUE(q >= p + 8 * page_size || q + 16 * page_size <= p);
	EXPECT_EQ('b', q[0]);
	EXPECT_RESERV(q, q, 16 * page_size);
	EXPECT_RESERV(p, p, 8 * page_size);
	EXPECT_EQ(6 * page_size / KB, reserv_at(_metadata, p).kb);
	check_lists(_metadata);
}

TEST_F_TIMEOUT(on, mremap_shrinks_inside, TEST_SECONDS)
{
	char *p = self->p;

	map_new(_metadata, p, 8, RW);
	EXPECT_EQ(p, mremap(p, 8 * page_size, 2 * page_size, 0));
	EXPECT_RESERV(p, p, 8 * page_size);
	EXPECT_EQ(2 * page_size / KB, reserv_at(_metadata, p).kb);
	check_lists(_metadata);
}

TEST_F_TIMEOUT(on, mremap_dontunmap_keeps, TEST_SECONDS)
{
	char *p = self->p, *q;

	map_new(_metadata, p, 4, RW);
	p[0] = 'a';
	q = mremap(p, 4 * page_size, 4 * page_size, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_EQ('a', q[0]);
	EXPECT_EQ(0, p[0]);
	EXPECT_RESERV(p, p, 4 * page_size);
	EXPECT_RESERV(q, q, 4 * page_size);
}

/* Rule: old size 0 duplicates a shared mapping, and the copy is another allocation */
TEST_F_TIMEOUT(on, mremap_duplicates, TEST_SECONDS)
{
	char *p = map_at(NULL, 4, RW, MAP_SHARED | MAP_ANONYMOUS), *q;

	ASSERT_NE(MAP_FAILED, (void *)p);
	q = mremap(p, 0, 4 * page_size, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_RESERV(p, p, 4 * page_size);
	EXPECT_RESERV(q, q, 4 * page_size);
}

/* Rule: a move to a place in the same reservation stays in it */
TEST_F_TIMEOUT(on, mremap_within_one, TEST_SECONDS)
{
	char *p = self->p;

	map_new(_metadata, p, 8, RW);
	p[0] = 'a';
	ASSERT_EQ(0, unmap(p + 2 * page_size, 6));
	EXPECT_EQ(p + 6 * page_size,
		  mremap(p, 2 * page_size, 2 * page_size, MREMAP_MAYMOVE | MREMAP_FIXED,
			 p + 6 * page_size));
	/* The destination was all that there was for a moment */
	EXPECT_EQ('a', p[6 * page_size]);
	EXPECT_RESERV(p + 6 * page_size, p, 8 * page_size);
	check_lists(_metadata);
}

/* Rule: an old size that reaches out of the reservation is not cut off quietly */
TEST_F_TIMEOUT(on, mremap_shrink_reaches_out, TEST_SECONDS)
{
	static struct reserv_snapshot before;
	char *p = self->p;

	map_new(_metadata, p, 4, RW);
	map_new(_metadata, p + 4 * page_size, 4, RW);
	reserv_snapshot(_metadata, &before);
	EXPECT_EQ(MAP_FAILED, mremap(p, 8 * page_size, 2 * page_size, 0));
	EXPECT_EQ(EINVAL, errno);
	check_reserv_snapshot(_metadata, &before);
}

/*
 * The heap
 */

/* Rule: it does not grow: what is new is one of its own */
TEST_F_TIMEOUT(on, brk_creates_another, TEST_SECONDS)
{
	char *end = heap_end(_metadata);
	struct reserv heap;

	ASSERT_EQ((unsigned long)end + 4 * page_size,
		  raw_brk((unsigned long)end + 4 * page_size));
	EXPECT_RESERV(end, end, 4 * page_size);
	heap = reserv_at(_metadata, end - 1);
	EXPECT_EQ((unsigned long)end, heap.end);
	memset(end, 'h', 4 * page_size);
	check_lists(_metadata);
}

/* Rule: shrinking takes what is behind, of however many */
TEST_F_TIMEOUT(on, brk_shrinks_across, TEST_SECONDS)
{
	char *end = heap_end(_metadata);
	unsigned long base = (unsigned long)end;

	ASSERT_EQ(base + 2 * page_size, raw_brk(base + 2 * page_size));
	ASSERT_EQ(base + 5 * page_size, raw_brk(base + 5 * page_size));
	ASSERT_EQ(base + 9 * page_size, raw_brk(base + 9 * page_size));
	EXPECT_RESERV(end + 5 * page_size, end + 5 * page_size, 4 * page_size);
	ASSERT_EQ(base + page_size, raw_brk(base + page_size));
	EXPECT_RESERV(end, end, 2 * page_size);
	EXPECT_NO_RESERV(end + 2 * page_size);
	EXPECT_NO_RESERV(end + 5 * page_size);
	/* Back to where it was before */
	ASSERT_EQ(base, raw_brk(base));
	EXPECT_NO_RESERV(end);
	check_lists(_metadata);
}

/* Rule: what fits into the last one joins it, the rest creates one */
TEST_F_TIMEOUT(on, brk_joins_the_last, TEST_SECONDS)
{
	char *end = heap_end(_metadata);
	unsigned long base = (unsigned long)end;
	unsigned int nr;

	ASSERT_EQ(base + 8 * page_size, raw_brk(base + 8 * page_size));
	nr = list_count(_metadata);
	ASSERT_EQ(base + 2 * page_size, raw_brk(base + 2 * page_size));
	EXPECT_RESERV(end, end, 8 * page_size);
	/* A part of what is free in it, all of it, and more */
	ASSERT_EQ(base + 5 * page_size, raw_brk(base + 5 * page_size));
	EXPECT_RESERV(end + 4 * page_size, end, 8 * page_size);
	ASSERT_EQ(base + 8 * page_size, raw_brk(base + 8 * page_size));
	EXPECT_EQ(nr, list_count(_metadata));
	ASSERT_EQ(base + 3 * page_size, raw_brk(base + 3 * page_size));
	ASSERT_EQ(base + 12 * page_size, raw_brk(base + 12 * page_size));
	EXPECT_EQ(nr + 1, list_count(_metadata));
	EXPECT_RESERV(end + 7 * page_size, end, 8 * page_size);
	EXPECT_RESERV(end + 8 * page_size, end + 8 * page_size, 4 * page_size);
	memset(end, 'h', 12 * page_size);
	check_lists(_metadata);
}

/* Rule: it never enters another one's hole, and nothing of it has changed then */
TEST_F_TIMEOUT(on, brk_stops_at_a_hole, TEST_SECONDS)
{
	char *end = heap_end(_metadata);
	unsigned long base = (unsigned long)end;
	static struct reserv_snapshot before;

	map_new(_metadata, end + 16 * page_size, 8, RW);
	ASSERT_EQ(0, unmap(end + 16 * page_size, 4));
	reserv_snapshot(_metadata, &before);
	EXPECT_EQ(base, raw_brk(base + 18 * page_size));
	EXPECT_EQ(base, raw_brk(base + 17 * page_size));
	EXPECT_EQ(base, raw_brk(base + 30 * page_size));
	check_reserv_snapshot(_metadata, &before);
	EXPECT_EQ(base + 16 * page_size, raw_brk(base + 16 * page_size));
	check_lists(_metadata);
}

/* Rule: malloc() can give back what it has taken in many steps */
TEST_F_TIMEOUT(on, malloc_trims, TEST_SECONDS)
{
	static void *chunks[256];
	unsigned int round, i;
	char *top;

	for (round = 0; round < 3; round++) {
		char *begin = sbrk(0);

		for (i = 0; i < ARRAY_SIZE(chunks); i++) {
			chunks[i] = malloc(60 * KB);
			ASSERT_NE(NULL, chunks[i]);
			memset(chunks[i], i, 60 * KB);
		}
		top = sbrk(0);
		EXPECT_LT(begin + 8 * MB, top);
		for (i = 0; i < ARRAY_SIZE(chunks); i++) {
			EXPECT_EQ((char)i, *((char *)chunks[i] + 60 * KB - 1));
			free(chunks[i]);
		}
		malloc_trim(0);
		EXPECT_GT(top - 8 * MB, (char *)sbrk(0));
		check_lists(_metadata);
	}
}

/* Rule: a locked heap and a limited one are refused as today */
TEST_F_TIMEOUT(on, brk_limit, TEST_SECONDS)
{
	char *end = heap_end(_metadata);
	static struct reserv_snapshot before;
	struct rlimit limit;

	ASSERT_EQ(0, getrlimit(RLIMIT_DATA, &limit));
	limit.rlim_cur = page_size;
	ASSERT_EQ(0, setrlimit(RLIMIT_DATA, &limit));
	reserv_snapshot(_metadata, &before);
	EXPECT_EQ((unsigned long)end, raw_brk((unsigned long)end + 64 * page_size));
	check_reserv_snapshot(_metadata, &before);
}

/*
 * The stack
 */

static struct vma stack_vma(struct __test_metadata *_metadata)
{
	static struct vma_list vmas;
	const struct vma *v;

	vmas_read(_metadata, &vmas);
	v = vmas_find(&vmas, (unsigned long)__builtin_frame_address(0));
	ASSERT_NE(NULL, v);
	EXPECT_STREQ("[stack]", v->name);
	return *v;
}

/* Rule: it grows inside its reservation, which does not */
TEST_F_TIMEOUT(on, stack_grows, TEST_SECONDS)
{
	struct vma before = stack_vma(_metadata), after;
	char *low = (char *)before.start - MB;
	struct rlimit limit;

	ASSERT_EQ(0, getrlimit(RLIMIT_STACK, &limit));
	if (limit.rlim_cur < before.end - before.start + 2 * MB)
		SKIP(return, "the limit of the stack is too low");
	EXPECT_EQ(before.end, before.reserv_end);
	EXPECT_GE(before.start - MB, before.reserv_start);
	__atomic_store_n(low, 1, __ATOMIC_RELAXED);
	after = stack_vma(_metadata);
	EXPECT_GE((unsigned long)low, after.start);
	EXPECT_EQ(before.reserv_start, after.reserv_start);
	EXPECT_EQ(before.reserv_end, after.reserv_end);
	check_lists(_metadata);
}

/* Rule: beyond its limit it is a fault, as today */
TEST_F_TIMEOUT(on, stack_limit, TEST_SECONDS)
{
	struct vma stack = stack_vma(_metadata);
	struct rlimit limit;

	ASSERT_EQ(0, getrlimit(RLIMIT_STACK, &limit));
	limit.rlim_cur = stack.end - stack.start + 64 * page_size;
	ASSERT_EQ(0, setrlimit(RLIMIT_STACK, &limit));
	EXPECT_EQ(0, touch_in_child((char *)stack.start - 32 * page_size));
	EXPECT_EQ(SIGSEGV, touch_in_child((char *)stack.start - 128 * page_size));
}

/* Rule: with a higher limit, it ends where its reservation does */
TEST_F_TIMEOUT(on, stack_ends_with_reservation, TEST_SECONDS)
{
	struct vma stack = stack_vma(_metadata);
	struct rlimit limit;

	ASSERT_EQ(0, getrlimit(RLIMIT_STACK, &limit));
	limit.rlim_cur = limit.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_STACK, &limit));
	if (limit.rlim_max != RLIM_INFINITY)
		SKIP(return, "the hard limit of the stack is too low");
	if (reserv_at(_metadata, (char *)stack.reserv_start - 1).start)
		SKIP(return, "another mapping is right below the reservation");
	EXPECT_EQ(SIGSEGV, touch_in_child((char *)stack.reserv_start - page_size));
}

/* Rule: nothing else gets between the stack and where it may grow to */
TEST_F_TIMEOUT(on, stack_hole_hint, TEST_SECONDS)
{
	struct vma stack = stack_vma(_metadata);
	char *hint = (char *)stack.start - MB, *p;

	ASSERT_GE(hint, (char *)stack.reserv_start);
	p = map_at(hint, 1, RW, ANON);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_TRUE(p < (char *)stack.reserv_start || p >= (char *)stack.reserv_end);
	EXPECT_EQ(MAP_FAILED, (void *)map_at(hint, 1, RW, ANON | MAP_FIXED_NOREPLACE));
	EXPECT_EQ(EEXIST, errno);
}

/*
 * Others that map
 */

/* Rule: what shmdt() takes is what shmat() made */
TEST_F_TIMEOUT(on, shm, TEST_SECONDS)
{
	int id = shmget(IPC_PRIVATE, 8 * page_size, IPC_CREAT | 0600);
	unsigned int nr = list_count(_metadata);
	char *p, *q;

	if (id < 0)
		SKIP(return, "shmget: %s", strerror(errno));
	p = shmat(id, NULL, 0);
	q = shmat(id, NULL, SHM_RDONLY);
	shmctl(id, IPC_RMID, NULL);
	ASSERT_NE(-1L, (long)p);
	ASSERT_NE(-1L, (long)q);
	EXPECT_RESERV(p, p, 8 * page_size);
	EXPECT_RESERV(q, q, 8 * page_size);
	EXPECT_EQ(nr + 2, list_count(_metadata));
	/* A hole in it, and a split, are no obstacle */
	ASSERT_EQ(0, unmap(p + 2 * page_size, 2));
	ASSERT_EQ(0, mprotect(p + 6 * page_size, page_size, PROT_READ));
	EXPECT_EQ(0, shmdt(p));
	EXPECT_NO_RESERV(p);
	EXPECT_EQ(0, shmdt(q));
	EXPECT_EQ(nr, list_count(_metadata));
	EXPECT_ERRNO(EINVAL, shmdt(p));
}

/* Rule: it does not take a part of the segment that is in another reservation */
TEST_F_TIMEOUT(on, shm_moved, TEST_SECONDS)
{
	int id = shmget(IPC_PRIVATE, 8 * page_size, IPC_CREAT | 0600);
	char *p = self->p;

	if (id < 0)
		SKIP(return, "shmget: %s", strerror(errno));
	p = shmat(id, p, 0);
	shmctl(id, IPC_RMID, NULL);
	ASSERT_EQ(self->p, p);
	ASSERT_EQ(p + 8 * page_size,
		  mremap(p + 4 * page_size, 4 * page_size, 4 * page_size,
			 MREMAP_MAYMOVE | MREMAP_FIXED, p + 8 * page_size));
	EXPECT_RESERV(p + 8 * page_size, p + 8 * page_size, 4 * page_size);
	EXPECT_EQ(0, shmdt(p));
	EXPECT_NO_RESERV(p);
	EXPECT_RESERV(p + 8 * page_size, p + 8 * page_size, 4 * page_size);
}

/* Rule: the ring of asynchronous I/O is a mapping like any other */
TEST_F_TIMEOUT(on, aio_ring, TEST_SECONDS)
{
	unsigned int nr = list_count(_metadata);
	aio_context_t ctx = 0;
	struct reserv r;

	if (syscall(SYS_io_setup, 8, &ctx))
		SKIP(return, "io_setup: %s", strerror(errno));
	EXPECT_EQ(nr + 1, list_count(_metadata));
	r = reserv_at(_metadata, (void *)ctx);
	EXPECT_EQ((unsigned long)ctx, r.start);
	EXPECT_EQ(1UL, r.nr);
	EXPECT_EQ((r.end - r.start) / KB, r.kb);
	EXPECT_EQ(0L, syscall(SYS_io_destroy, ctx));
	EXPECT_EQ(nr, list_count(_metadata));
	check_lists(_metadata);
}

TEST_F_TIMEOUT(on, map_shadow_stack, TEST_SECONDS)
{
	char *p = (char *)syscall(__NR_map_shadow_stack, NULL, 4 * page_size, 0), *q;
	static struct reserv_snapshot before;

	if ((long)p == -1)
		SKIP(return, "map_shadow_stack: %s", strerror(errno));
	EXPECT_RESERV(p, p, 4 * page_size);
	map_new(_metadata, self->p, 8, RW);
	ASSERT_EQ(0, unmap(self->p + 2 * page_size, 4));
	reserv_snapshot(_metadata, &before);
	q = (char *)syscall(__NR_map_shadow_stack, self->p + 2 * page_size,
			    4 * page_size, 0);
	EXPECT_EQ(-1L, (long)q);
	EXPECT_EQ(EEXIST, errno);
	check_reserv_snapshot(_metadata, &before);
}

/* Rule: what has no range is not restricted */
TEST_F_TIMEOUT(on, mlockall, TEST_SECONDS)
{
	struct rlimit limit;

	ASSERT_EQ(0, getrlimit(RLIMIT_MEMLOCK, &limit));
	if (geteuid() && limit.rlim_cur != RLIM_INFINITY)
		SKIP(return, "locking all memory needs root");
	map_new(_metadata, self->p, 4, RW);
	map_new(_metadata, self->p + 4 * page_size, 4, RW);
	ASSERT_EQ(0, mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
	map_new(_metadata, self->p + 8 * page_size, 4, RW);
	check_lists(_metadata);
	EXPECT_EQ(0, munlockall());
	EXPECT_EQ(3U, count_vmas(self->p, 12));
	check_lists(_metadata);
}

/*
 * Bounds that a capability of 128 bits can represent
 */

FIXTURE(cheri)
{
	char *p;
};

/* The length that a mapping of @len gets; its address is a multiple of @align */
static unsigned long cheri_length(unsigned long len, unsigned long *align)
{
	unsigned long rounded;
	unsigned int top;

	*align = 1;
	if (len < 1UL << 12)
		return len;
	top = 8 * sizeof(long) - 1 - __builtin_clzl(len);
	*align = 1UL << (top - 12 + 3);
	rounded = (len + *align - 1) & -*align;
	/* The carry makes the exponent larger */
	if (rounded >> (top + 1)) {
		*align *= 2;
		rounded = (len + *align - 1) & -*align;
	}
	return rounded;
}

FIXTURE_SETUP(cheri)
{
	stack_pregrow();
	/* Rule: one with neighbours closer than their bounds is refused, wholly */
	if (reserv_enable(PR_RESERVATIONS_CHERI_BOUNDS)) {
		ASSERT_EQ(ERANGE, errno);
		ASSERT_EQ(0, reserv_state());
		ASSERT_EQ(0U, list_count(_metadata));
		SKIP(return, "bounds of what this process has already would overlap");
	}
	ASSERT_EQ((int)(PR_RESERVATIONS_ON | PR_RESERVATIONS_CHERI_BOUNDS), reserv_state());
	self->p = mmap(NULL, 128 * MB, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->p);
	ASSERT_EQ(0, munmap(self->p, 128 * MB));
	/* Aligned for whatever is tried at an address */
	self->p = (char *)(((unsigned long)self->p + 64 * MB) & -(16 * MB));
}

FIXTURE_TEARDOWN(cheri)
{
}

struct cheri_fact {
	unsigned long len, align, rounded;
};

static const struct cheri_fact facts[] = {
	{ 0x1000,	0x1,		0x1000 },
	{ 0x200000,	0x1000,		0x200000 },
	{ 0x3ff000,	0x1000,		0x3ff000 },
	{ 0x401000,	0x2000,		0x402000 },
	{ 0x1001000,	0x8000,		0x1008000 },
	{ 0x1fff000,	0x10000,	0x2000000 },
	{ 0x40001000,	0x200000,	0x40200000 },
};

/* Rule: base and length are rounded, and what that adds belongs to it */
TEST_F_TIMEOUT(cheri, rounds, TEST_SECONDS)
{
	unsigned long align;
	unsigned int i;

	if (page_size != 0x1000)
		SKIP(return, "the facts are about pages of 4 KiB");
	for (i = 0; i < ARRAY_SIZE(facts); i++) {
		const struct cheri_fact *f = &facts[i];
		char *p = mmap(NULL, f->len, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
		struct reserv r;

		ASSERT_NE(MAP_FAILED, (void *)p);
		r = reserv_at(_metadata, p);
		EXPECT_EQ(0UL, (unsigned long)p % f->align);
		EXPECT_EQ((unsigned long)p, r.start);
		EXPECT_EQ(f->rounded, r.end - r.start)
			TH_LOG("length %#lx", f->len);
		EXPECT_EQ(f->len / KB, r.kb);
		EXPECT_EQ(f->rounded, cheri_length(f->len, &align));
		/* What was added is not free */
		if (f->rounded > f->len) {
			EXPECT_NE(p + f->len, map_at(p + f->len, 1, PROT_NONE, ANON));
			EXPECT_EQ(p + f->len, map_at(p + f->len, 1, PROT_NONE,
						     ANON | MAP_FIXED));
			EXPECT_RESERV(p + f->len, p, f->rounded);
		}
	}
	check_lists(_metadata);
}

/* Rule: the same for many lengths around powers of two */
TEST_F_TIMEOUT(cheri, rounds_around_powers, TEST_SECONDS)
{
	unsigned long bit, align, rounded, len;
	int off;

	for (bit = 22; bit < 31; bit++) {
		for (off = -3; off <= 3; off++) {
			char *p;

			len = (1UL << bit) + off * page_size;
			rounded = cheri_length(len, &align);
			/* A mapping cannot end within a page */
			rounded = (rounded + page_size - 1) & -page_size;
			p = mmap(NULL, len, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
			ASSERT_NE(MAP_FAILED, (void *)p);
			EXPECT_EQ(0UL, (unsigned long)p % align);
			EXPECT_EQ(rounded, reserv_at(_metadata, p).end - (unsigned long)p)
				TH_LOG("length %#lx", len);
			ASSERT_EQ(0, munmap(p, len));
			EXPECT_NO_RESERV(p);
		}
	}
}

/* Rule: at an address, the bounds go around it */
TEST_F_TIMEOUT(cheri, fixed, TEST_SECONDS)
{
	char *p = self->p;

	if (page_size != 0x1000)
		SKIP(return, "the facts are about pages of 4 KiB");
	/* A page too late to be representable */
	ASSERT_EQ(p + 0x1000, mmap(p + 0x1000, 0x1001000, PROT_NONE,
				   ANON | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0));
	EXPECT_RESERV(p + 0x1000, p, 0x1008000);
	/* In what was added it joins */
	EXPECT_EQ(p, map_at(p, 1, PROT_READ, ANON | MAP_FIXED));
	EXPECT_RESERV(p, p, 0x1008000);
	check_lists(_metadata);
}

/* Rule: bounds that overlap another reservation are refused */
TEST_F_TIMEOUT(cheri, fixed_overlap, TEST_SECONDS)
{
	static struct reserv_snapshot before;
	char *p = self->p;

	if (page_size != 0x1000)
		SKIP(return, "the facts are about pages of 4 KiB");
	map_new(_metadata, p + 0x1007000, 1, RW);
	reserv_snapshot(_metadata, &before);
	EXPECT_EQ(MAP_FAILED, mmap(p, 0x1001000, PROT_NONE,
				   ANON | MAP_NORESERVE | MAP_FIXED, -1, 0));
	EXPECT_EQ(ERANGE, errno);
	EXPECT_EQ(MAP_FAILED, mmap(p, 0x1001000, PROT_NONE,
				   ANON | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0));
	EXPECT_EQ(ERANGE, errno);
	check_reserv_snapshot(_metadata, &before);
	/* The same as a hint is no reason to fail */
	EXPECT_NE(p, mmap(p, 0x1001000, PROT_NONE, ANON | MAP_NORESERVE, -1, 0));
	/* One that ends where the other begins */
	EXPECT_EQ(p, mmap(p, 0x1000000, PROT_NONE, ANON | MAP_NORESERVE | MAP_FIXED, -1, 0));
	EXPECT_RESERV(p, p, 0x1000000);
	check_lists(_metadata);
}

/* Rule: so is switching them on for such neighbours, and nothing has changed */
TEST_F_TIMEOUT(off, cheri_neighbours, TEST_SECONDS)
{
	static struct reserv_snapshot before;
	char *p = free_space(_metadata);

	if (page_size != 0x1000)
		SKIP(return, "the facts are about pages of 4 KiB");
	p = (char *)((unsigned long)p & -(16 * MB));
	ASSERT_EQ(p, mmap(p, 0x1001000, PROT_NONE,
			  ANON | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0));
	map_new(_metadata, p + 0x1003000, 1, RW);
	reserv_snapshot(_metadata, &before);
	EXPECT_ERRNO(ERANGE, reserv_enable(PR_RESERVATIONS_CHERI_BOUNDS));
	EXPECT_EQ(0, reserv_state());
	check_reserv_snapshot(_metadata, &before);
	EXPECT_EQ(0, reserv_enable(0));
}

int main(int argc, char **argv)
{
	reserv_init();
	return test_harness_run(argc, argv);
}
