// SPDX-License-Identifier: GPL-2.0
/*
 * Reservations while several threads map and unmap, and with each allocation of
 * prctl(), mmap(), mremap() and munmap() failing in turn. The same for fork() and
 * execve() is in vma_reserv_exec.c.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include "vma_reserv.h"

#define RACE_SECONDS		2

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

/*
 * Races
 */

#define RACE_SLOTS	8
#define SLOT_PAGES	8

static struct race {
	char *area;
	atomic_bool stop;
	atomic_ulong searched, fixed, refused, lists, wrong;
} race;

/* What mmap() has found is nobody else's, to the last page of it */
static void *race_search(void *arg)
{
	uint32_t state = (uintptr_t)arg;

	while (!race.stop) {
		unsigned int i, pages = 1 + next_random(&state) % SLOT_PAGES;
		char *hint = race.area + next_random(&state) %
			     (RACE_SLOTS * SLOT_PAGES) * page_size;
		char *p = map_at(next_random(&state) % 2 ? hint : NULL, pages, RW, ANON);

		if (p == MAP_FAILED) {
			race.wrong++;
			continue;
		}
		for (i = 0; i < pages; i++)
			*(void **)(p + i * page_size) = arg;
		/* A hole, for others to fall into */
		if (pages > 2 && unmap(p + page_size, pages - 2))
			race.wrong++;
		if (*(void **)p != arg || *(void **)(p + (pages - 1) * page_size) != arg)
			race.wrong++;
		if (unmap(p, pages))
			race.wrong++;
		race.searched++;
	}
	return NULL;
}

/* One thread for each slot: the reservation dies as often as it is made */
static void *race_fixed(void *arg)
{
	uint32_t state = RANDOM_SEED + (uintptr_t)arg;
	char *slot = race.area + (uintptr_t)arg % RACE_SLOTS * SLOT_PAGES * page_size;

	while (!race.stop) {
		unsigned int first = next_random(&state) % (SLOT_PAGES / 2);
		unsigned int pages = 1 + next_random(&state) % (SLOT_PAGES / 2);
		char *p = map_at(slot + first * page_size, pages, RW,
				 ANON | MAP_FIXED_NOREPLACE);

		if (p == MAP_FAILED) {
			/* A search has been there before */
			if (errno != EEXIST)
				race.wrong++;
			race.refused++;
			continue;
		}
		*(void **)p = arg;
		if (pages > 1 && unmap(p + page_size, pages - 1))
			race.wrong++;
		if (*(void **)p != arg || unmap(p, 1))
			race.wrong++;
		race.fixed++;
	}
	return NULL;
}

static void *race_list(void *arg)
{
	static struct reserv_list list;

	(void)arg;
	while (!race.stop) {
		/* Each line is right, even if others change meanwhile */
		if (list_read_file("/proc/self/reservations", &list))
			race.wrong++;
		race.lists++;
	}
	return NULL;
}

/* Rule: mmap against munmap of the last mapping */
TEST_F_TIMEOUT(on, race, TEST_SECONDS)
{
	void *(*const roles[])(void *) = {
		race_search, race_search, race_fixed, race_fixed, race_list,
	};
	pthread_t threads[ARRAY_SIZE(roles)];
	int failed = 0;
	uintptr_t i;

	race.area = self->p;
	for (i = 0; i < ARRAY_SIZE(roles); i++)
		failed += !!pthread_create(&threads[i], NULL, roles[i], (void *)(i + 1));
	ASSERT_EQ(0, failed);
	sleep(RACE_SECONDS);
	race.stop = true;
	for (i = 0; i < ARRAY_SIZE(roles); i++)
		failed += !!pthread_join(threads[i], NULL);
	ASSERT_EQ(0, failed);
	TH_LOG("%lu found, %lu fixed, %lu refused, %lu lists", race.searched, race.fixed,
	       race.refused, race.lists);
	EXPECT_EQ(0UL, race.wrong);
	EXPECT_LT(0UL, race.searched);
	EXPECT_LT(0UL, race.fixed);
	EXPECT_LT(0UL, race.lists);
	EXPECT_EQ(0U, count_vmas(race.area, RACE_SLOTS * SLOT_PAGES));
	EXPECT_NO_RESERV(race.area);
	check_lists(_metadata);
}

/*
 * Every allocation fails in turn
 */

struct enable_attempt {
	bool injected, failed, right;
};

/* In a child, because it may succeed; what is wrong is reported from there */
static void enable_fail_nth(struct __test_metadata *_metadata, unsigned int n,
			    struct enable_attempt *a)
{
	int nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	static struct reserv_snapshot before;
	int ret, error;
	bool injected;

	ASSERT_LE(0, nth);
	reserv_snapshot(_metadata, &before);
	ASSERT_TRUE(fail_nth_begin(nth, n));
	ret = reserv_enable(PR_RESERVATIONS_INHERIT);
	error = errno;
	ASSERT_TRUE(fail_nth_end(nth, &injected));
	a->injected = injected;
	a->failed = ret;
	if (ret) {
		EXPECT_EQ(ENOMEM, error);
		EXPECT_TRUE(injected);
		EXPECT_EQ(0, reserv_state());
		EXPECT_EQ(0U, list_count(_metadata));
		check_reserv_snapshot(_metadata, &before);
		EXPECT_EQ(0, reserv_enable(0));
	}
	check_lists(_metadata);
	a->right = true;
}

/* Rule: enabling succeeds wholly or not at all */
TEST_F_TIMEOUT(off, fail_nth_enable, WALK_SECONDS)
{
	unsigned int i, n, missed = 0, injected = 0, failed = 0;
	const char *obstacle = fault_settings_apply();
	struct enable_attempt *a;
	pid_t pid;
	char *p;

	if (obstacle)
		SKIP(return, "%s", obstacle);
	a = mmap(NULL, sizeof(*a), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)a);
	p = free_space(_metadata);
	for (i = 0; i < 20; i++)
		map_new(_metadata, p + 2 * i * page_size, 1, RW);
	for (n = 1; missed < FAIL_NTH_MISSES; n++) {
		memset(a, 0, sizeof(*a));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			enable_fail_nth(_metadata, n, a);
			_exit(0);
		}
		ASSERT_EQ(0, wait_status(pid));
		ASSERT_TRUE(a->right);
		injected += a->injected;
		failed += a->failed;
		missed = a->injected ? 0 : missed + 1;
	}
	TH_LOG("%u injected, %u calls failed", injected, failed);
	/* One for each of those mappings at least */
	EXPECT_LE(20U, injected);
	EXPECT_LE(20U, failed);
}

/* A call, each allocation of which fails */
struct walk {
	char *base;		/* a reservation */
	char *addr;		/* of mmap() */
	int flags;
	char *p;		/* what the call returned, if that is an address */
	int error;		/* 0 if it succeeded */
	unsigned int failed;
	struct reserv_snapshot before;
};

/* What holds for each of them, and how often it was the case */
static void walk_check(struct __test_metadata *_metadata, struct walk *w, bool injected)
{
	if (!w->error)
		return;
	w->failed++;
	EXPECT_TRUE(injected);
}

static void mmap_prepare(struct __test_metadata *_metadata, void *arg)
{
	struct walk *w = arg;

	w->error = 0;
	reserv_snapshot(_metadata, &w->before);
}

/* Not like its neighbours: it would merge, and allocate less */
static void mmap_attempt(void *arg)
{
	struct walk *w = arg;

	w->p = map_at(w->addr, 4, PROT_READ, ANON | w->flags);
	w->error = w->p == MAP_FAILED ? errno : 0;
}

static void mmap_check(struct __test_metadata *_metadata, void *arg, unsigned int n,
		       bool injected)
{
	struct walk *w = arg;

	(void)n;
	walk_check(_metadata, w, injected);
	if (w->error) {
		EXPECT_EQ(ENOMEM, w->error);
	} else {
		EXPECT_RESERV(w->p, w->flags == MAP_FIXED ? w->base : w->p,
			      (w->flags == MAP_FIXED ? 16 : 4) * page_size);
		ASSERT_EQ(0, unmap(w->p, 4));
	}
	check_reserv_snapshot(_metadata, &w->before);
}

/* In free space, and into a hole. Neither leaves a trace when it fails. */
TEST_F_TIMEOUT(on, fail_nth_mmap, WALK_SECONDS)
{
	const int flags[] = { 0, MAP_FIXED, MAP_FIXED_NOREPLACE };
	char *hole = self->p + 4 * page_size;
	char *const addrs[] = { NULL, hole, self->p + 32 * page_size };
	static struct walk w;
	const struct fail_nth op = {
		.prepare = mmap_prepare, .attempt = mmap_attempt, .check = mmap_check,
		.arg = &w,
	};
	unsigned int i, injected;

	w.base = self->p;
	map_new(_metadata, w.base, 16, RW);
	ASSERT_EQ(0, unmap(hole, 8));
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		w.addr = addrs[i];
		w.flags = flags[i];
		injected = fail_nth_walk(_metadata, &op);
		if (!injected)
			return;
		TH_LOG("flags %#x: %u injected, %u calls have failed", flags[i], injected,
		       w.failed);
	}
	EXPECT_LT(0U, w.failed);
}

static void part_prepare(struct __test_metadata *_metadata, void *arg)
{
	struct walk *w = arg;

	w->error = 0;
	map_new(_metadata, w->base, 8, RW);
	w->base[2 * page_size] = 'a';
}

/* A call that acts upon a part of the eight pages at @base */
static void walk_part(struct __test_metadata *_metadata, char *base,
		      void (*attempt)(void *arg),
		      void (*check)(struct __test_metadata *_metadata, void *arg,
				    unsigned int n, bool injected))
{
	static struct walk w;
	const struct fail_nth op = {
		.prepare = part_prepare, .attempt = attempt, .check = check, .arg = &w,
	};
	unsigned int injected;

	w.base = base;
	injected = fail_nth_walk(_metadata, &op);
	if (!injected)
		return;
	TH_LOG("%u injected, %u calls failed", injected, w.failed);
	EXPECT_LT(0U, w.failed);
}

/* A part: the old one is split, and stays */
static void mremap_attempt(void *arg)
{
	struct walk *w = arg;

	w->p = mremap(w->base + 2 * page_size, 4 * page_size, 16 * page_size,
		      MREMAP_MAYMOVE);
	w->error = w->p == MAP_FAILED ? errno : 0;
}

static void mremap_check(struct __test_metadata *_metadata, void *arg, unsigned int n,
			 bool injected)
{
	struct walk *w = arg;
	char *base = w->base;
	unsigned long kb;

	(void)n;
	walk_check(_metadata, w, injected);
	/* If it has failed, it may stay split */
	check_lists(_metadata);
	if (w->error) {
		EXPECT_EQ(ENOMEM, w->error);
		EXPECT_EQ('a', base[2 * page_size]);
		EXPECT_RESERV(base + 2 * page_size, base, 8 * page_size);
	} else {
		EXPECT_EQ('a', w->p[0]);
		EXPECT_RESERV(w->p, w->p, 16 * page_size);
		EXPECT_RESERV(base, base, 8 * page_size);
		/* The old one stays, without its pages, if it cannot be split then */
		kb = reserv_at(_metadata, base).kb;
		EXPECT_TRUE(kb == 4 * page_size / KB ||
			    (injected && kb == 8 * page_size / KB));
		ASSERT_EQ(0, unmap(w->p, 16));
	}
	ASSERT_EQ(0, unmap(base, 8));
	EXPECT_NO_RESERV(base);
}

TEST_F_TIMEOUT(on, fail_nth_mremap, WALK_SECONDS)
{
	walk_part(_metadata, self->p, mremap_attempt, mremap_check);
}

static void munmap_attempt(void *arg)
{
	struct walk *w = arg;

	w->error = unmap(w->base + 2 * page_size, 2) ? errno : 0;
}

static void munmap_check(struct __test_metadata *_metadata, void *arg, unsigned int n,
			 bool injected)
{
	struct walk *w = arg;
	char *base = w->base;

	(void)n;
	walk_check(_metadata, w, injected);
	if (w->error)
		EXPECT_EQ('a', base[2 * page_size]);
	EXPECT_RESERV(base, base, 8 * page_size);
	EXPECT_EQ((w->error ? 8 : 6) * page_size / KB, reserv_at(_metadata, base).kb);
	check_lists(_metadata);
	ASSERT_EQ(0, unmap(base, 8));
	EXPECT_NO_RESERV(base);
}

/* Rule: a munmap() that fails has unmapped nothing */
TEST_F_TIMEOUT(on, fail_nth_munmap, WALK_SECONDS)
{
	walk_part(_metadata, self->p, munmap_attempt, munmap_check);
}

int main(int argc, char **argv)
{
	reserv_init();
	fault_settings_save();
	return test_harness_run(argc, argv);
}
