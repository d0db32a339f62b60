/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tracepoints count, and are told what is so. */
#ifndef _VMA_TRACE_MMAP_H
#define _VMA_TRACE_MMAP_H

static inline void trace_vma_reservation_create(struct mm_struct *mm,
						unsigned long start,
						unsigned long end)
{
	DIE_ON(start >= end);
	reservations_created++;
}

static inline void trace_vma_reservation_destroy(struct mm_struct *mm,
						 unsigned long start,
						 unsigned long end)
{
	DIE_ON(start >= end);
	reservations_destroyed++;
}

#endif /* _VMA_TRACE_MMAP_H */
