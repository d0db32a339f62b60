/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What vma_relocate() needs of mm/mremap.c, on the model of page tables.
 */
#ifndef _VMA_RELOCATE_H
#define _VMA_RELOCATE_H

static inline int alloc_page_tables(struct mm_struct *mm, unsigned long start,
				    unsigned long end)
{
	mmap_assert_write_locked(mm);
	return pt_alloc_range(mm, start, end);
}

static inline unsigned long
move_page_tables(struct vm_area_struct *vma, unsigned long old_addr,
		 struct vm_area_struct *new_vma, unsigned long new_addr,
		 unsigned long len, bool need_rmap_locks, bool for_stack)
{
	mmap_assert_write_locked(vma->vm_mm);

	/* Both ranges belong to a VMA while entries are between them. */
	WARN_ON(vma->vm_start > old_addr || vma->vm_end < old_addr + len);
	WARN_ON(new_vma->vm_start > new_addr || new_vma->vm_end < new_addr + len);

	return pt_move(vma->vm_mm, old_addr, new_addr, len);
}

#endif /* _VMA_RELOCATE_H */
