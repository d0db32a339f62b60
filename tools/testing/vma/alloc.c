// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The one allocator of the harness, used instead of ../shared/linux.c: every
 * object comes from malloc(), so that ASan sees what happens to it; every
 * allocation can be made to fail; live objects are counted by kind.
 *
 * kmem_cache_alloc() on behalf of GFP_NOWAIT is no different from the rest. It
 * fails when its turn comes, and the code under test then has to fall back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bug.h>
#include <linux/kernel.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "include/alloc.h"

#define POISON_NEW	0x5a

struct kmem_cache {
	const char *name;
	size_t size;
	size_t align;
	void (*ctor)(void *object);
	long nr_live;
	struct kmem_cache *next;
};

/* Used by the shared headers. */
int nr_allocated;
int preempt_count;
int kmalloc_verbose;
int test_verbose;

static struct kmem_cache *caches;

static bool failures_paused;
static unsigned long fail_nth;
static bool fail_from_nth;
static unsigned int fail_one_in;
static unsigned long fail_state;
static unsigned long nr_seen;
static unsigned long nr_failed;
static const char *last_failed = "nothing";

int rcu_nesting;
static struct rcu_head *rcu_waiting;

static void alloc_reset_failures(void)
{
	fail_nth = 0;
	fail_from_nth = false;
	fail_one_in = 0;
	nr_seen = 0;
	nr_failed = 0;
	last_failed = "nothing";
}

void alloc_fail_nth(unsigned long n)
{
	alloc_reset_failures();
	fail_nth = n;
}

void alloc_fail_from(unsigned long n)
{
	alloc_reset_failures();
	fail_nth = n;
	fail_from_nth = true;
}

void alloc_fail_random(unsigned int n, unsigned long seed)
{
	alloc_reset_failures();
	fail_one_in = n;
	fail_state = seed | 1;
}

void alloc_pause_failures(void)
{
	failures_paused = true;
}

void alloc_resume_failures(void)
{
	failures_paused = false;
}

static bool fail_by_chance(void)
{
	if (!fail_one_in)
		return false;

	fail_state ^= fail_state << 13;
	fail_state ^= fail_state >> 7;
	fail_state ^= fail_state << 17;
	return fail_state % fail_one_in == 0;
}

bool alloc_should_fail(const char *what, gfp_t gfp)
{
	if ((gfp & __GFP_NOFAIL) || failures_paused)
		return false;

	nr_seen++;
	if (nr_seen != fail_nth && !(fail_from_nth && nr_seen > fail_nth) &&
	    !fail_by_chance())
		return false;

	nr_failed++;
	last_failed = what;
	return true;
}

unsigned long alloc_nr_failed(void)
{
	return nr_failed;
}

const char *alloc_last_failed(void)
{
	return last_failed;
}

unsigned long alloc_nr_seen(void)
{
	return nr_seen;
}

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size,
				     unsigned int align, unsigned int flags,
				     void (*ctor)(void *object))
{
	struct kmem_cache *cache = malloc(sizeof(*cache));

	DIE_ON(!cache);
	*cache = (struct kmem_cache) {
		.name = name,
		.align = align > sizeof(void *) ? align : sizeof(void *),
		.ctor = ctor,
		.next = caches,
	};
	cache->size = (size + cache->align - 1) & ~(cache->align - 1);
	caches = cache;
	return cache;
}

/* What a machine without memory cannot give is not what is tested here. */
static void *get_memory(struct kmem_cache *cache, gfp_t gfp)
{
	void *object = aligned_alloc(cache->align, cache->size);

	DIE_ON(!object);
	memset(object, gfp & __GFP_ZERO ? 0 : POISON_NEW, cache->size);
	if (cache->ctor)
		cache->ctor(object);
	cache->nr_live++;
	nr_allocated++;
	return object;
}

static void put_memory(struct kmem_cache *cache, void *object)
{
	DIE_ON(!object);
	DIE_ON(cache->nr_live <= 0);
	cache->nr_live--;
	nr_allocated--;
	free(object);
}

void *kmem_cache_alloc_lru(struct kmem_cache *cache, struct list_lru *lru,
			   int gfp)
{
	if (alloc_should_fail(cache->name, gfp))
		return NULL;

	return get_memory(cache, gfp);
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	put_memory(cache, object);
}

/* As in the kernel: all or nothing. */
int kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t gfp, size_t size,
			  void **list)
{
	size_t i;

	for (i = 0; i < size; i++) {
		list[i] = kmem_cache_alloc_lru(cache, NULL, gfp);
		if (!list[i])
			goto undo;
	}

	return size;

undo:
	while (i)
		put_memory(cache, list[--i]);
	return 0;
}

void kmem_cache_free_bulk(struct kmem_cache *cache, size_t size, void **list)
{
	size_t i;

	for (i = 0; i < size; i++)
		put_memory(cache, list[i]);
}

static struct kmem_cache *cache_of(const char *name)
{
	struct kmem_cache *cache;

	for (cache = caches; cache; cache = cache->next)
		if (!strcmp(cache->name, name))
			return cache;

	return kmem_cache_create(name, 0, 0, 0, NULL);
}

/* For what the kernel gets from kmalloc(), under a name of its own. */
void *alloc_object(const char *what, size_t size, gfp_t gfp)
{
	struct kmem_cache *cache;
	void *object;

	if (alloc_should_fail(what, gfp))
		return NULL;

	cache = cache_of(what);
	object = calloc(1, size);
	DIE_ON(!object);
	cache->nr_live++;
	nr_allocated++;
	return object;
}

void free_object(const char *what, void *object)
{
	put_memory(cache_of(what), object);
}

void *kmalloc(size_t size, gfp_t gfp)
{
	void *object = alloc_object("kmalloc", size, gfp);

	if (object && !(gfp & __GFP_ZERO))
		memset(object, POISON_NEW, size);
	return object;
}

void kfree(void *object)
{
	if (object)
		free_object("kmalloc", object);
}

long alloc_nr_live(void)
{
	return nr_allocated;
}

long alloc_nr_live_of(const char *name)
{
	return cache_of(name)->nr_live;
}

void alloc_show_live(void)
{
	struct kmem_cache *cache;

	for (cache = caches; cache; cache = cache->next)
		if (cache->nr_live)
			printf("%ld live: %s\n", cache->nr_live, cache->name);
}

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	head->func = func;
	head->next = rcu_waiting;
	rcu_waiting = head;
}

void rcu_barrier(void)
{
	DIE_ON(rcu_nesting);

	while (rcu_waiting) {
		struct rcu_head *head = rcu_waiting;

		rcu_waiting = head->next;
		head->func(head);
	}
}

/* For the maple tree's own test, which is not run here. */
void kmem_cache_set_non_kernel(struct kmem_cache *cache, unsigned int val)
{
}

void kmem_cache_set_callback(struct kmem_cache *cache,
			     void (*callback)(void *private))
{
}

void kmem_cache_set_private(struct kmem_cache *cache, void *private)
{
}

unsigned long kmem_cache_get_alloc(struct kmem_cache *cache)
{
	return cache->size * cache->nr_live;
}

unsigned long kmem_cache_nr_allocated(struct kmem_cache *cache)
{
	return cache->nr_live;
}

unsigned long kmem_cache_nr_tallocated(struct kmem_cache *cache)
{
	return 0;
}

void kmem_cache_zero_nr_tallocated(struct kmem_cache *cache)
{
}
