/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operations of nonuniform VMAs. */
#ifndef _VMA_REMAP_H
#define _VMA_REMAP_H

/* remap_file_pages() with MAP_NOINHERIT, by an extent map. */
long op_remap(struct mm_struct *mm, unsigned long start, unsigned long len,
	      pgoff_t pgoff, vm_flags_t access);

#endif /* _VMA_REMAP_H */
