/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stubs: do nothing, because what they do in the kernel leaves no trace that VMA
 * code or a test of it could find.
 */
#ifndef _VMA_STUB_H
#define _VMA_STUB_H

/* Nothing is set that is not. */
#define __uninitialized

static inline void might_sleep(void)
{
}

static inline void cond_resched(void)
{
}

static inline void lru_add_drain(void)
{
}

static inline void update_hiwater_rss(struct mm_struct *mm)
{
}

static inline void update_hiwater_vm(struct mm_struct *mm)
{
}

static inline void flush_dcache_mmap_lock(struct address_space *mapping)
{
}

static inline void flush_dcache_mmap_unlock(struct address_space *mapping)
{
}

struct mmu_notifier_range {
};

#define mmu_notifier_range_init(...)	do { } while (0)

static inline void
mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range)
{
}

static inline void
mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
}

static inline void vma_numab_state_init(struct vm_area_struct *vma)
{
}

static inline void vma_numab_state_free(struct vm_area_struct *vma)
{
}

/* There is no DAX here, nor a gate VMA. */
static inline bool vma_is_dax(const struct vm_area_struct *vma)
{
	return false;
}

static inline struct vm_area_struct *get_gate_vma(struct mm_struct *mm)
{
	return NULL;
}

#endif /* _VMA_STUB_H */
