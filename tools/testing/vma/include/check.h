/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What has to hold at any time, what must not change when an operation fails,
 * and how to make it fail everywhere.
 */
#ifndef _VMA_CHECK_H
#define _VMA_CHECK_H

/*
 * check_world() - every invariant there is, of every mm and every file
 *
 * Between two operations the tree is well-formed and says what its VMAs say; the
 * counters are the sums over the VMAs; i_mmap and the anon_vmas know exactly the
 * VMAs that there are, at the offsets that these have; every page is where rmap
 * looks for it; no page table page is kept without need; no lock is held but
 * mmap_lock; no object is live that belongs to nobody.
 *
 * The test fails at the first one that is broken.
 */
void check_world(void);

/* Are asked by check_world() too. A subject may define them, and uses CHECK(). */
void check_world_more(void);
void check_vma_more(struct mm_struct *mm, struct vm_area_struct *vma);

void check_broken(struct mm_struct *mm, struct vm_area_struct *vma,
		  const char *fmt, ...) __noreturn __printf(3, 4);

#define CHECK(_cond, _mm, _vma, _fmt...)				\
	do {								\
		if (!(_cond))						\
			check_broken(_mm, _vma, _fmt);			\
	} while (0)

/* There is a VMA from  to  exactly. */
struct vm_area_struct *assert_vma(struct mm_struct *mm, unsigned long start,
				  unsigned long end);

/*
 * A snapshot is what user space could tell, page by page: what is mapped, with
 * which rights, what it contains; and what the kernel accounts for. How it is
 * cut into VMAs is not part of it.
 */
struct snapshot;

struct snapshot *snapshot_take(struct mm_struct *mm);
void snapshot_free(struct snapshot *snap);
/* The test fails if anything outside of [except_start, except_end) differs. */
void snapshot_compare(struct snapshot *before, struct mm_struct *mm,
		      unsigned long except_start, unsigned long except_end);

/*
 * A piece of a VMA maps one page of the file after the other, all with the same
 * rights. A VMA is one piece, unless a subject says otherwise: it may define what the
 * piece behind *@piece is, the first one if that is zero.
 */
struct vma_piece {
	unsigned long start, end;
	pgoff_t pgoff;
	vm_flags_t flags;
	pgprot_t prot;
};

bool vma_next_piece(struct vm_area_struct *vma, struct vma_piece *piece);

#define for_each_piece(_piece, _vma)					\
	for (struct vma_piece _piece = {}; vma_next_piece(_vma, &_piece);)

/*
 * What a subject may define, to have more in a snapshot: whom a VMA belongs to,
 * as a number other than 0, and whatever else there is to compare.
 */
unsigned long vma_belongs_to(struct vm_area_struct *vma);
void *snapshot_take_more(struct mm_struct *mm);
void snapshot_free_more(void *more);
void snapshot_compare_more(void *before, void *after,
			   unsigned long except_start,
			   unsigned long except_end);

/*
 * Run a scenario with the first allocation failing, with the second one, and so
 * on until none fails any more; then again with all failing from there on,
 * since some allocations are tried twice:
 *
 *	for_each_alloc_failure(walk) {
 *		struct mm_struct *mm = mm_create();
 *		... set up what there is before ...
 *		alloc_walk_begin(walk, mm);
 *		err = operation();
 *		if (alloc_walk_end(walk, err))
 *			... assert what it has done ...
 *		mm_destroy(mm);
 *	}
 *
 * If the operation fails, everything is as before: alloc_walk_end() checks that,
 * and that the error is -ENOMEM; it returns true if the operation succeeded. It
 * may have met a failure and yet succeed. Not to have injected any is an error.
 */
struct alloc_walk {
	unsigned long n;
	bool is_lasting;		/* all fail from the n-th on */
	unsigned long nr_injected;
	unsigned long nr_errors;	/* of the operation */
	struct mm_struct *mm;
	struct snapshot *before;
	unsigned long lost_start, lost_end;
	bool is_injected;		/* into this run */
	bool may_need_none;
	long expected_error;
};

bool alloc_walk_next(struct alloc_walk *walk);
void alloc_walk_begin(struct alloc_walk *walk, struct mm_struct *mm);
bool alloc_walk_end(struct alloc_walk *walk, long ret);

/*
 * Say before alloc_walk_begin() that a failure may cost what was in a range:
 * MAP_FIXED unmaps before all that can fail is done.
 */
void alloc_walk_may_lose(struct alloc_walk *walk, unsigned long start,
			 unsigned long end);

/* The operation fails with this error in any case. */
void alloc_walk_expect(struct alloc_walk *walk, long error);

/* There are cases in which the operation needs no memory at all. */
void alloc_walk_may_need_none(struct alloc_walk *walk);

#define for_each_alloc_failure(_walk)					\
	for (struct alloc_walk __##_walk = {}, *_walk = &__##_walk;	\
	     alloc_walk_next(_walk);)

#endif /* _VMA_CHECK_H */
