/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where all memory of the code under test comes from, and how it runs out.
 */
#ifndef _VMA_ALLOC_H
#define _VMA_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/gfp.h>

struct kmem_cache;

/*
 * Everything that may fail for want of memory asks this first, under a name
 * that a report can show. __GFP_NOFAIL never fails.
 */
bool alloc_should_fail(const char *what, gfp_t gfp);

/* The n-th allocation from now on fails, counted from 1; 0: none does. */
void alloc_fail_nth(unsigned long n);
/* So does each one after it. */
void alloc_fail_from(unsigned long n);
/* Each allocation fails with a chance of one in @n; 0: none does. */
void alloc_fail_random(unsigned int n, unsigned long seed);
/* None fails between the two. */
void alloc_pause_failures(void);
void alloc_resume_failures(void);
/* How many have failed since either was called, and the name of the last. */
unsigned long alloc_nr_failed(void);
const char *alloc_last_failed(void);
/* How many allocations could have failed since then. */
unsigned long alloc_nr_seen(void);

/* Objects that have been allocated and not been freed. */
long alloc_nr_live(void);
long alloc_nr_live_of(const char *cache);
void alloc_show_live(void);

void *alloc_object(const char *what, size_t size, gfp_t gfp);
void free_object(const char *what, void *object);

#define KMEM_CACHE(__struct, __flags)					\
	kmem_cache_create(#__struct, sizeof(struct __struct),		\
			  __alignof__(struct __struct), (__flags), NULL)

#define SLAB_TYPESAFE_BY_RCU	0
#define SLAB_ACCOUNT		0

#endif /* _VMA_ALLOC_H */
