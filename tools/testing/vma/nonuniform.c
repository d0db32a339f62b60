// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Nonuniform VMAs: what they add to the operations, to the invariants and to
 * snapshots.
 */
#include "maple-shared.h"
#include "vma_internal.h"

#include "../../../mm/nonuniform.h"
#include "../../../mm/vma.h"

#include "include/check.h"
#include "include/ops.h"
#include "include/remap.h"
#include "include/test.h"

pgoff_t pt_pgoff(struct vm_area_struct *vma, unsigned long addr)
{
	return vma_pgoff_at(vma, addr);
}

vm_flags_t pt_access(struct vm_area_struct *vma, unsigned long addr)
{
	return vma_access_at(vma, addr);
}

long mm_left_over(struct mm_struct *mm)
{
	return mm_nonuniform_bytes(mm);
}

/* It is found for any page of the file, and is not more than its pages. */
void check_vma_more(struct mm_struct *mm, struct vm_area_struct *vma)
{
	struct vma_extent_iter iter;
	struct rb_root_cached *root;
	struct vma_extent extent;
	const char *mistake;

	if (!vma_is_nonuniform(vma))
		return;
	mistake = nonuniform_validate(vma->vm_nonuniform);
	CHECK(!mistake, mm, vma, "%s", mistake);
	root = &vma->vm_file->f_mapping->i_mmap;
	CHECK(vma_interval_tree_iter_first(root, ULONG_MAX, ULONG_MAX), mm, vma,
	      "not in i_mmap for the whole file");
	vma_extent_iter_init(&iter, vma, vma->vm_start, vma->vm_end);
	while (vma_extent_iter_next(&iter, &extent))
		CHECK(!(vma->vm_flags & VM_ACCESS_FLAGS & ~extent.access), mm,
		      vma, "the page at %lx does not allow what the VMA does",
		      extent.start);
}

/* Extent maps. Those that are of more than one VMA count once. */
static long nr_extent_maps(struct mm_struct *mm)
{
	VMA_ITERATOR(vmi, mm, 0);
	struct vm_area_struct *vma;
	long n = 0;

	for_each_vma(vmi, vma) {
		VMA_ITERATOR(before, mm, 0);
		struct vm_area_struct *i;

		if (!vma_is_nonuniform(vma))
			continue;
		for_each_vma(before, i)
			if (i->vm_nonuniform == vma->vm_nonuniform)
				break;
		n += i == vma;
	}
	return n;
}

long nr_kmalloced_more(void)
{
	struct mm_struct *mm;
	long n = 0;

	for (mm = all_mms; mm; mm = mm->next)
		n += nr_extent_maps(mm);
	return n;
}

/* What the VMA is as a whole is not what user space could tell. */
bool vma_next_piece(struct vm_area_struct *vma, struct vma_piece *piece)
{
	unsigned long start = piece->end ?: vma->vm_start;
	struct vma_extent_iter iter;
	struct vma_extent extent;

	if (start == vma->vm_end)
		return false;
	*piece = (struct vma_piece) {
		.start = vma->vm_start,
		.end = vma->vm_end,
		.pgoff = vma->vm_pgoff,
		.flags = vma->vm_flags,
		.prot = vma->vm_page_prot,
	};
	if (!vma_is_nonuniform(vma))
		return true;
	vma_extent_iter_init(&iter, vma, start, vma->vm_end);
	if (!vma_extent_iter_next(&iter, &extent))
		return false;
	piece->start = extent.start;
	piece->end = extent.end;
	piece->pgoff = extent.pgoff;
	piece->flags = (vma->vm_flags & ~VM_ACCESS_FLAGS) | extent.access;
	piece->prot = vma_page_prot_at(vma, extent.start);
	return true;
}

bool op_protect(struct vm_area_struct *vma, unsigned long start,
		unsigned long end, vm_flags_t new, long *ret)
{
	if (!vma_is_nonuniform(vma))
		return false;
	*ret = vma_protect_pages(vma, start, end, new & VM_ACCESS_FLAGS);
	return true;
}

/* As remap_file_pages(), where no emulation is needed. */
long op_remap(struct mm_struct *mm, unsigned long start, unsigned long len,
	      pgoff_t pgoff, vm_flags_t access)
{
	struct vm_area_struct *vma = vma_lookup(mm, start), *next;
	unsigned long end = start + len;
	struct nonuniform_op op = {};

	for (next = vma; next && next->vm_end < end;) {
		struct vm_area_struct *this = next;

		next = vma_lookup(mm, this->vm_end);
		if (!next || !vma_is_continued(this, next))
			return -EINVAL;
	}
	if (!next)
		return -EINVAL;
	if (vma_is_nonuniform(vma) && end <= vma->vm_end)
		vma_find_pages(&op, vma, start, end);
	return vma_remap_pages(&op, vma, start, end, pgoff, access);
}

/* A nonuniform VMA, and no other, is split ahead of a move. */
long op_prepare_move(struct vm_area_struct *vma, unsigned long start,
		     unsigned long end, void **prepared)
{
	VMA_ITERATOR(vmi, vma->vm_mm, start);
	struct nonuniform_map *spare;
	long ret = 0;

	if (!vma_is_nonuniform(vma))
		return 0;
	if (vma->vm_start != start)
		ret = split_vma(&vmi, vma, start, 1);
	if (!ret && vma->vm_end != end)
		ret = split_vma(&vmi, vma, end, 0);
	if (ret)
		return ret;

	vma_start_write(vma);
	ret = vma_prepare_move(vma, &spare);
	if (ret)
		vma_finish_move(NULL, vma, spare);
	*prepared = spare;
	return ret;
}

void op_finish_move(struct vm_area_struct *gone, struct vm_area_struct *vma,
		    void *prepared)
{
	vma_finish_move(gone, vma, prepared);
}
