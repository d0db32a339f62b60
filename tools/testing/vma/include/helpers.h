/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For tests that think in pages: page 0 is at an address where a page table
 * page begins.
 */
#ifndef _VMA_HELPERS_H
#define _VMA_HELPERS_H

#define MM_ADDR(page)	(0x10000000UL + ((unsigned long)(page) << PAGE_SHIFT))
#define MM_LEN(pages)	((unsigned long)(pages) << PAGE_SHIFT)

/* An operation is refused, and everything is as it was. */
#define ASSERT_REFUSED(_mm, _expr, _err)				\
	do {								\
		struct snapshot *__before = snapshot_take(_mm);		\
									\
		ASSERT_EQ((long)(_expr), _err);				\
		check_world();						\
		snapshot_compare(__before, _mm, 0, 0);			\
		snapshot_free(__before);				\
	} while (0)

static inline long mmap_anon(struct mm_struct *mm, int page, int pages,
			     vm_flags_t flags)
{
	return op_mmap(mm, NULL, MM_ADDR(page), MM_LEN(pages), flags, 0);
}

static inline long mmap_file_at(struct mm_struct *mm, struct file *file,
				int page, int pages, vm_flags_t flags,
				pgoff_t pgoff)
{
	return op_mmap(mm, file, MM_ADDR(page), MM_LEN(pages), flags, pgoff);
}

static inline void fault_in(struct mm_struct *mm, int page, int pages,
			    bool write)
{
	ASSERT_EQ(op_fault(mm, MM_ADDR(page), MM_LEN(pages), write), 0);
}

static inline unsigned long token_at(struct mm_struct *mm, int page)
{
	return pt_token(mm, MM_ADDR(page));
}

static inline struct vm_area_struct *vma_at(struct mm_struct *mm, int page)
{
	return vma_lookup(mm, MM_ADDR(page));
}

/* A VMA covers exactly these pages. */
static inline struct vm_area_struct *assert_pages(struct mm_struct *mm,
						  int page, int pages)
{
	return assert_vma(mm, MM_ADDR(page), MM_ADDR(page + pages));
}

#endif /* _VMA_HELPERS_H */
