/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The world that a test happens in: address spaces and files. None of this is
 * known to the code under test.
 */
#ifndef _VMA_WORLD_H
#define _VMA_WORLD_H

/* The slab caches that fork_init() and others make in the kernel. */
void vma_caches_init(void);

/* All mms that there are. */
extern struct mm_struct *all_mms;

/* Knobs, limits and counters as they are when a test begins. */
void world_reset(void);
/* Those of a subject, which may define this. */
void world_reset_more(void);

/* Initialises an mm on somebody's stack, write-locked, and makes it current. */
struct mm_struct *mm_init(struct mm_struct *mm);
#define MM_ON_STACK(name)							\
	struct mm_struct name, *name##_ptr __maybe_unused =	\
		mm_init(&(name))

/* The same, allocated. */
struct mm_struct *mm_create(void);

/*
 * Unmaps everything and frees what mm_create() allocated. Warns if anything is
 * left over: a page, a page table page, a page that is still accounted for.
 */
void mm_destroy(struct mm_struct *mm);
/*
 * Frees what an mm has besides, now that nothing is mapped. A subject may define
 * this.
 */
void mm_destroy_more(struct mm_struct *mm);
/* What is left over then, in bytes, of a subject, which may define this. */
long mm_left_over(struct mm_struct *mm);

#endif /* _VMA_WORLD_H */
