/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What mm/reservation.c, and who asks it in mm/mmap.c, need of the rest of the
 * kernel.
 */
#ifndef _VMA_RESERVATION_H
#define _VMA_RESERVATION_H

#include <linux/vma_reservation.h>

#define STACK_TOP			TASK_SIZE
#define arch_get_mmap_end(...)		TASK_SIZE

extern const struct vm_operations_struct special_mapping_vmops;

/*
 * What find_unmapped_area() finds, whatever has been asked for: a hint, or what
 * an architecture or a driver likes. A test that calls it sets this.
 */
typedef unsigned long unmapped_area_hook_t(unsigned long addr, unsigned long len);
extern unmapped_area_hook_t *unmapped_area_hook;

unsigned long find_unmapped_area(struct file *file, unsigned long addr,
				 unsigned long len, unsigned long pgoff,
				 unsigned long flags, vm_flags_t vm_flags);

/* What the architecture finds, without a hint. */
unsigned long mm_get_unmapped_area_vmflags(struct mm_struct *mm, struct file *file,
					   unsigned long addr, unsigned long len,
					   unsigned long pgoff, unsigned long flags,
					   vm_flags_t vm_flags);

/* What the tracepoints have been told of. world_reset() resets these. */
extern unsigned long reservations_created;
extern unsigned long reservations_destroyed;

/* How many other objects of kmalloc() are live. A subject may define it. */
long nr_kmalloced_more(void);

#endif /* _VMA_RESERVATION_H */
