/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What mm/mmap_prepare.c needs of the rest of the kernel, on the model of files
 * and of page tables.
 */
#ifndef _VMA_MMAP_PREPARE_H
#define _VMA_MMAP_PREPARE_H

#include <linux/export.h>

int mmap_prepare_vma(struct file *file, struct vm_area_struct *vma,
		     int (*hook)(struct vm_area_desc *desc));

/* No file has more pages than this. */
#define FILE_MAX_PAGES		BIT(40)

static inline bool file_mmap_ok(struct file *file, struct inode *inode,
				unsigned long pgoff, unsigned long len)
{
	return pgoff + (len >> PAGE_SHIFT) <= FILE_MAX_PAGES;
}

static inline struct inode *file_inode(const struct file *file)
{
	return NULL;
}

/* Sealed against future writes: only a mapping for reading, and for ever. */
static inline int memfd_check_seals_mmap(struct file *file, vm_flags_t *flags)
{
	if (atomic_read(&file->f_mapping->i_mmap_writable) >= 0 ||
	    !(*flags & VM_SHARED))
		return 0;
	if (*flags & VM_WRITE)
		return -EPERM;
	*flags &= ~VM_MAYWRITE;
	return 0;
}

/* shmem_zero_setup() does it to a VMA. */
static inline int shmem_zero_setup_desc(struct vm_area_desc *desc)
{
	struct vm_area_struct vma = {};
	int error = shmem_zero_setup(&vma);

	desc->file = vma.vm_file;
	desc->vm_ops = vma.vm_ops;
	return error;
}

/* A page that cannot be inserted: free, or anonymous. */
#define NO_PAGE			((struct page *)-1L)

/* What becomes accessible must not be more than the flags say. */
static inline void check_access(struct vm_area_struct *vma, pgprot_t prot)
{
	WARN_ON(pgprot_val(prot) & ~vma->vm_flags & VM_ACCESS_FLAGS);
}

/* As in the kernel, what has been inserted before an error stays. */
static inline int vm_insert_pages(struct vm_area_struct *vma, unsigned long addr,
				  struct page **pages, unsigned long *num)
{
	DIE_ON(!(vma->vm_flags & VM_MIXEDMAP));
	check_access(vma, vma->vm_page_prot);

	for (; *num; --*num, ++pages, addr += PAGE_SIZE) {
		int error = *pages == NO_PAGE ? -EINVAL : pt_insert(vma, addr);

		if (error)
			return error;
	}
	return 0;
}

/* As in the kernel, what has been mapped before an error does not stay. */
static inline int remap_pfn_range(struct vm_area_struct *vma, unsigned long addr,
				  unsigned long pfn, unsigned long size,
				  pgprot_t prot)
{
	unsigned long done;

	DIE_ON(!(vma->vm_flags & VM_PFNMAP));
	check_access(vma, prot);
	for (done = 0; done < size; done += PAGE_SIZE) {
		int error = pt_insert(vma, addr + done);

		if (error) {
			pt_zap(vma->vm_mm, addr, addr + done);
			return error;
		}
	}
	return 0;
}

#define io_remap_pfn_range	remap_pfn_range

#endif /* _VMA_MMAP_PREPARE_H */
