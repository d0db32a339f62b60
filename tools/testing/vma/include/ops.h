/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operations as user space knows them.
 *
 * Where the kernel's function around the VMA code is not in a file that the
 * harness compiles (do_mmap(), mprotect_fixup(), mlock_fixup(), move_vma(),
 * brk()), these do what it does to VMAs and counters, and nothing else. They
 * return an address, 0 or a negative error.
 */
#ifndef _VMA_OPS_H
#define _VMA_OPS_H

#define VM_MAYRWX		(VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC)
#define PRIVATE_R		(VM_READ | VM_MAYRWX)
#define PRIVATE_RW		(VM_READ | VM_WRITE | VM_MAYRWX)
#define PRIVATE_RX		(VM_READ | VM_EXEC | VM_MAYRWX)
#define SHARED_RW		(PRIVATE_RW | VM_SHARED | VM_MAYSHARE)
#define SHARED_R		(PRIVATE_R | VM_SHARED | VM_MAYSHARE)
/* Opened for reading only. */
#define SHARED_RO		(VM_READ | VM_MAYREAD | VM_SHARED | VM_MAYSHARE)
#define STACK_RW		(PRIVATE_RW | VM_GROWSDOWN)

/* MAP_FIXED at @addr; @pgoff is for files. */
long op_mmap(struct mm_struct *mm, struct file *file, unsigned long addr,
	     unsigned long len, vm_flags_t flags, pgoff_t pgoff);
long op_munmap(struct mm_struct *mm, unsigned long addr, unsigned long len);
/* @access is some of VM_ACCESS_FLAGS. */
long op_mprotect(struct mm_struct *mm, unsigned long start, unsigned long len,
		 vm_flags_t access);
/* What madvise(), mlock(), mseal() do to flags. */
long op_change_flags(struct mm_struct *mm, unsigned long start,
		     unsigned long len, vm_flags_t set, vm_flags_t clear);
/* MREMAP_MAYMOVE | MREMAP_FIXED to where nothing is mapped. */
long op_mremap(struct mm_struct *mm, unsigned long old_addr, unsigned long len,
	       unsigned long new_addr);
/* The same, and it grows. Not for private memory. */
long op_mremap_grow(struct mm_struct *mm, unsigned long old_addr,
		    unsigned long len, unsigned long new_addr,
		    unsigned long new_len);
/* mremap() in place: the whole of what is mapped at @addr grows. */
long op_extend(struct mm_struct *mm, unsigned long addr, unsigned long delta);
long op_brk(struct mm_struct *mm, unsigned long brk);
/* A fault below the VMA that begins at @start. */
long op_grow_stack(struct mm_struct *mm, unsigned long start,
		   unsigned long addr);
/* Touch each page. */
long op_fault(struct mm_struct *mm, unsigned long addr, unsigned long len,
	      bool write);

/*
 * What a subject may define, to have a say in the operations. The first ones
 * return an error before anything is done, or 0. By default all is allowed.
 */
long op_may_mmap(struct mm_struct *mm, vm_flags_t flags);
/* munmap(), mprotect() and the like, and what mremap() takes away. */
long op_may_change(struct mm_struct *mm, unsigned long start,
		   unsigned long end);
long op_may_extend(struct vm_area_struct *vma, unsigned long end);
long op_may_shrink_brk(struct mm_struct *mm, unsigned long newbrk,
		       unsigned long oldbrk);
/* What mremap() moves to, until it is done; an ERR_PTR() is its error. */
void *op_hold(struct mm_struct *mm, unsigned long start, unsigned long end);
void op_release(struct mm_struct *mm, void *held);
/* By default this is do_brk_flags(). */
long op_extend_brk(struct vma_iterator *vmi, struct vm_area_struct *prev,
		   struct mm_struct *mm, unsigned long oldbrk,
		   unsigned long newbrk);
/* mprotect() of a VMA, or of a part: true if it is done, with the result in *@ret. */
bool op_protect(struct vm_area_struct *vma, unsigned long start,
		unsigned long end, vm_flags_t new, long *ret);
/*
 * mremap() of a VMA, or of a part. When that is done, *@prepared comes back with the
 * VMA that goes, NULL if none has been made, and the one that stays.
 */
long op_prepare_move(struct vm_area_struct *vma, unsigned long start,
		     unsigned long end, void **prepared);
void op_finish_move(struct vm_area_struct *gone, struct vm_area_struct *vma,
		    void *prepared);
/* Prints what else there is about a VMA. */
void show_vma_more(struct vm_area_struct *vma);

/*
 * What a driver does in ->mmap(). Its VMAs are counted by open() and close(),
 * unless it has no such hooks: close() keeps VMAs from being merged away.
 */
struct driver {
	int error;			/* ->mmap() fails with this */
	int split_error;		/* ->may_split() does */
	vm_flags_t set, clear;		/* changes flags */
	unsigned long prot;		/* adds bits to vm_page_prot */
	struct file *replace;		/* maps this file instead */
	bool no_hooks;
	bool inserts_pages;		/* in all of it, before it fails */
	int nr_mmap;
	long balance;
};

extern const struct file_operations counted_fops;

/* A file of this driver; NULL: a file like that of a disk file system. */
struct file *file_of(struct driver *driver);
long counted_balance(struct file *file);
/* In all mms. */
long file_nr_vmas(struct file *file);

/* Prints all VMAs. */
void show_mm(struct mm_struct *mm);

#endif /* _VMA_OPS_H */
