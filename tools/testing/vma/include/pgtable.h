/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A model of page tables: customised, not stubbed, so that a test can see what
 * has become of each page.
 *
 * There is one level: page table pages of 2 MiB. An entry names its content by a
 * token, which stays with the page when the entry moves; an entry of an
 * anonymous page also has what rmap goes by, the anon_vma and the index.
 */
#ifndef _VMA_PGTABLE_H
#define _VMA_PGTABLE_H

#define PTRS_PER_TABLE		(PMD_SIZE / PAGE_SIZE)

struct pt_entry {
	unsigned long token;		/* 0: nothing is mapped here */
	struct anon_vma *anon_vma;	/* NULL: a page of a file */
	pgoff_t index;
};

struct pt_table {
	unsigned long start;		/* address of the first entry */
	unsigned int nr_used;
	struct pt_table *next;		/* sorted by address */
	struct pt_entry entries[PTRS_PER_TABLE];
};

struct mmu_gather {
	struct mm_struct *mm;
};

/* A token of a page of a file says which. */
#define PT_FILE_TOKEN		BIT(62)

static inline unsigned long pt_file_token(const struct file *file, pgoff_t pgoff)
{
	return PT_FILE_TOKEN | ((unsigned long)file->id << 40) | pgoff;
}

/*
 * pt_fault() - a page fault, for reading or for writing
 *
 * A write to a private mapping makes an anonymous page with a new token; a read
 * of memory that was never written maps nothing.
 *
 * Return: 0, -EFAULT if there is no such right, -ENOMEM
 */
int pt_fault(struct mm_struct *mm, unsigned long addr, bool write);

/* Which page of the file an address maps, and what may be done there. */
pgoff_t pt_pgoff(struct vm_area_struct *vma, unsigned long addr);
vm_flags_t pt_access(struct vm_area_struct *vma, unsigned long addr);

/* What a driver does that maps a page of its file, in ->mmap() for example. */
int pt_insert(struct vm_area_struct *vma, unsigned long addr);

/* The content at an address: 0 if nothing is mapped. */
unsigned long pt_token(struct mm_struct *mm, unsigned long addr);
struct pt_entry *pt_entry(struct mm_struct *mm, unsigned long addr);

/* Is there a page table page for this address, and how many are there? */
bool pt_table_exists(struct mm_struct *mm, unsigned long addr);
unsigned long pt_nr_tables(struct mm_struct *mm);
unsigned long pt_nr_pages(struct mm_struct *mm);

/* Page table pages for all of [start, end). What there is stays on -ENOMEM. */
int pt_alloc_range(struct mm_struct *mm, unsigned long start,
		   unsigned long end);

/*
 * Move entries upwards in address order, as move_page_tables() does, allocating
 * the tables that are missing. Returns how many bytes it got through.
 */
unsigned long pt_move(struct mm_struct *mm, unsigned long old_addr,
		      unsigned long new_addr, unsigned long len);

void pt_zap(struct mm_struct *mm, unsigned long start, unsigned long end);

/* Called for each entry, in address order. */
void pt_for_each(struct mm_struct *mm,
		 void (*fn)(unsigned long addr, struct pt_entry *entry,
			    void *data), void *data);

/* The kernel's names. */
void tlb_gather_mmu(struct mmu_gather *tlb, struct mm_struct *mm);
void tlb_finish_mmu(struct mmu_gather *tlb);
struct zap_details;
/* Of a VMA of a file, and nobody may look for pages of the file meanwhile. */
void unmap_page_range(struct mmu_gather *tlb, struct vm_area_struct *vma,
		      unsigned long addr, unsigned long end,
		      struct zap_details *details);
void unmap_vmas(struct mmu_gather *tlb, struct ma_state *mas,
		struct vm_area_struct *vma, unsigned long start_addr,
		unsigned long end_addr, unsigned long tree_end,
		bool mm_wr_locked);
void free_pgd_range(struct mmu_gather *tlb, unsigned long addr,
		    unsigned long end, unsigned long floor,
		    unsigned long ceiling);
void free_pgtables(struct mmu_gather *tlb, struct ma_state *mas,
		   struct vm_area_struct *vma, unsigned long floor,
		   unsigned long ceiling, bool mm_wr_locked);

#define hugetlb_free_pgd_range	free_pgd_range

#endif /* _VMA_PGTABLE_H */
