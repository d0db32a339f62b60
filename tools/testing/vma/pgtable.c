// SPDX-License-Identifier: GPL-2.0-or-later
/* A model of page tables: see include/pgtable.h. */
#include "maple-shared.h"
#include "vma_internal.h"

static unsigned long nr_anon_pages;

/* Where a table for this address is, or belongs. */
static struct pt_table **pt_slot(struct mm_struct *mm, unsigned long addr)
{
	struct pt_table **slot = &mm->pt_tables;

	while (*slot && (*slot)->start < (addr & PMD_MASK))
		slot = &(*slot)->next;

	return slot;
}

static struct pt_table *pt_lookup(struct mm_struct *mm, unsigned long addr)
{
	struct pt_table *table = *pt_slot(mm, addr);

	return table && table->start == (addr & PMD_MASK) ? table : NULL;
}

static struct pt_entry *pt_at(struct pt_table *table, unsigned long addr)
{
	return &table->entries[(addr - table->start) >> PAGE_SHIFT];
}

static struct pt_table *pt_alloc(struct mm_struct *mm, unsigned long addr)
{
	struct pt_table **slot = pt_slot(mm, addr);
	struct pt_table *table;

	if (*slot && (*slot)->start == (addr & PMD_MASK))
		return *slot;

	table = alloc_object("page_table", sizeof(*table), GFP_KERNEL);
	if (!table)
		return NULL;

	table->start = addr & PMD_MASK;
	table->next = *slot;
	*slot = table;
	return table;
}

int pt_alloc_range(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	unsigned long addr;

	for (addr = start & PMD_MASK; addr < end; addr += PMD_SIZE)
		if (!pt_alloc(mm, addr))
			return -ENOMEM;

	return 0;
}

struct pt_entry *pt_entry(struct mm_struct *mm, unsigned long addr)
{
	struct pt_table *table = pt_lookup(mm, addr);
	struct pt_entry *entry = table ? pt_at(table, addr) : NULL;

	return entry && entry->token ? entry : NULL;
}

unsigned long pt_token(struct mm_struct *mm, unsigned long addr)
{
	struct pt_entry *entry = pt_entry(mm, addr);

	return entry ? entry->token : 0;
}

bool pt_table_exists(struct mm_struct *mm, unsigned long addr)
{
	return pt_lookup(mm, addr);
}

unsigned long pt_nr_tables(struct mm_struct *mm)
{
	struct pt_table *table;
	unsigned long n = 0;

	for (table = mm->pt_tables; table; table = table->next)
		n++;

	return n;
}

unsigned long pt_nr_pages(struct mm_struct *mm)
{
	struct pt_table *table;
	unsigned long n = 0;

	for (table = mm->pt_tables; table; table = table->next)
		n += table->nr_used;

	return n;
}

void pt_for_each(struct mm_struct *mm,
		 void (*fn)(unsigned long addr, struct pt_entry *entry,
			    void *data), void *data)
{
	struct pt_table *table;
	int i;

	for (table = mm->pt_tables; table; table = table->next) {
		for (i = 0; table->nr_used && i < PTRS_PER_TABLE; i++)
			if (table->entries[i].token)
				fn(table->start + i * PAGE_SIZE,
				   &table->entries[i], data);
	}
}

static void pt_set(struct pt_table *table, unsigned long addr,
		   struct pt_entry new)
{
	struct pt_entry *entry = pt_at(table, addr);

	table->nr_used += !!new.token - !!entry->token;
	*entry = new;
}

/* What a subject may define. */
pgoff_t __weak pt_pgoff(struct vm_area_struct *vma, unsigned long addr)
{
	return vma->vm_pgoff + ((addr - vma->vm_start) >> PAGE_SHIFT);
}

vm_flags_t __weak pt_access(struct vm_area_struct *vma, unsigned long addr)
{
	return vma->vm_flags;
}

int pt_fault(struct mm_struct *mm, unsigned long addr, bool write)
{
	struct vm_area_struct *vma = vma_lookup(mm, addr);
	struct pt_entry new = {};
	struct pt_table *table;
	bool cow;

	mmap_assert_locked(mm);
	if (!vma || !(pt_access(vma, addr) & (write ? VM_WRITE : VM_READ)))
		return -EFAULT;

	addr &= PAGE_MASK;
	cow = write && !(vma->vm_flags & VM_SHARED);
	if (!cow && (!vma->vm_file || pt_token(mm, addr)))
		return 0;

	new.index = pt_pgoff(vma, addr);
	if (cow) {
		struct pt_entry *old = pt_entry(mm, addr);

		if (old && old->anon_vma)
			return 0;	/* has a page of its own already */
		if (anon_vma_prepare(vma))
			return -ENOMEM;
	}

	table = pt_alloc(mm, addr);
	if (!table)
		return -ENOMEM;

	if (cow) {
		new.anon_vma = vma->anon_vma;
		new.token = ++nr_anon_pages;
	} else {
		new.token = pt_file_token(vma->vm_file, new.index);
	}
	pt_set(table, addr, new);
	return 0;
}

int pt_insert(struct vm_area_struct *vma, unsigned long addr)
{
	struct pt_table *table = pt_alloc(vma->vm_mm, addr);
	struct pt_entry new = {};

	if (!table)
		return -ENOMEM;

	new.index = vma->vm_pgoff + ((addr - vma->vm_start) >> PAGE_SHIFT);
	new.token = pt_file_token(vma->vm_file, new.index);
	pt_set(table, addr, new);
	return 0;
}

unsigned long pt_move(struct mm_struct *mm, unsigned long old_addr,
		      unsigned long new_addr, unsigned long len)
{
	unsigned long done;

	for (done = 0; done < len; done += PAGE_SIZE) {
		struct pt_table *from = pt_lookup(mm, old_addr + done);
		struct pt_table *to;

		if (!from || !pt_at(from, old_addr + done)->token)
			continue;

		to = pt_alloc(mm, new_addr + done);
		if (!to)
			break;

		/* Whatever is in the way would be lost. */
		WARN_ON(pt_at(to, new_addr + done)->token);
		pt_set(to, new_addr + done, *pt_at(from, old_addr + done));
		pt_set(from, old_addr + done, (struct pt_entry) {});
	}

	return done;
}

void pt_zap(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct pt_table *table;
	unsigned long addr;

	for (table = mm->pt_tables; table; table = table->next) {
		if (table->start >= end)
			break;
		if (table->start + PMD_SIZE <= start || !table->nr_used)
			continue;
		for (addr = max(start, table->start);
		     addr < min(end, table->start + PMD_SIZE);
		     addr += PAGE_SIZE)
			pt_set(table, addr, (struct pt_entry) {});
	}
}

void tlb_gather_mmu(struct mmu_gather *tlb, struct mm_struct *mm)
{
	mmap_assert_locked(mm);
	DIE_ON(mm->tlb_flush_pending);
	mm->tlb_flush_pending = true;
	tlb->mm = mm;
}

void tlb_finish_mmu(struct mmu_gather *tlb)
{
	DIE_ON(!tlb->mm->tlb_flush_pending);
	tlb->mm->tlb_flush_pending = false;
}

void unmap_page_range(struct mmu_gather *tlb, struct vm_area_struct *vma,
		      unsigned long addr, unsigned long end,
		      struct zap_details *details)
{
	DIE_ON(!tlb->mm->tlb_flush_pending);
	DIE_ON(vma->vm_file->f_mapping->i_mmap_rwsem.count != -1);
	vma_assert_write_locked(vma);
	DIE_ON(addr >= end || addr < vma->vm_start || end > vma->vm_end);
	pt_zap(tlb->mm, addr, end);
}

/* The loop is the kernel's, including how it gets from VMA to VMA. */
void unmap_vmas(struct mmu_gather *tlb, struct ma_state *mas,
		struct vm_area_struct *vma, unsigned long start_addr,
		unsigned long end_addr, unsigned long tree_end,
		bool mm_wr_locked)
{
	DIE_ON(!tlb->mm->tlb_flush_pending);
	if (mm_wr_locked)
		mmap_assert_write_locked(tlb->mm);

	do {
		unsigned long start = max(vma->vm_start, start_addr);
		unsigned long end = min(vma->vm_end, end_addr);

		if (start < end) {
			if (vma->vm_file)
				uprobe_munmap(vma, start, end);
			pt_zap(tlb->mm, start, end);
		}
		vma = mas_find(mas, tree_end - 1);
	} while (vma);
}

/*
 * Free the tables that [addr, end) covers and that nothing between @floor and
 * @ceiling, the ends of the neighbours, can need. It has to be empty by now.
 */
void free_pgd_range(struct mmu_gather *tlb, unsigned long addr,
		    unsigned long end, unsigned long floor,
		    unsigned long ceiling)
{
	struct pt_table **slot;

	DIE_ON(!tlb->mm->tlb_flush_pending);

	addr &= PMD_MASK;
	if (addr < floor) {
		addr += PMD_SIZE;
		if (!addr)
			return;
	}
	if (ceiling) {
		ceiling &= PMD_MASK;
		if (!ceiling)
			return;
	}
	if (end - 1 > ceiling - 1)
		end -= PMD_SIZE;
	if (addr > end - 1)
		return;

	slot = pt_slot(tlb->mm, addr);
	while (*slot && (*slot)->start < end) {
		struct pt_table *table = *slot;

		WARN_ON(table->nr_used);
		*slot = table->next;
		free_object("page_table", table);
	}
}
