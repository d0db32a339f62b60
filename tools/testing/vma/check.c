// SPDX-License-Identifier: GPL-2.0-or-later
/* Invariants, snapshots and the walk over failures: see include/check.h. */
#include <stdarg.h>

#include "maple-shared.h"
#include "vma_internal.h"

#include "../../../mm/vma.h"

#include "include/check.h"
#include "include/ops.h"
#include "include/test.h"

/* What a subject may define. */
void __weak check_world_more(void)
{
}

void __weak check_vma_more(struct mm_struct *mm, struct vm_area_struct *vma)
{
}

bool __weak vma_next_piece(struct vm_area_struct *vma, struct vma_piece *piece)
{
	if (piece->end)
		return false;
	*piece = (struct vma_piece) {
		.start = vma->vm_start,
		.end = vma->vm_end,
		.pgoff = vma->vm_pgoff,
		.flags = vma->vm_flags,
		.prot = vma->vm_page_prot,
	};
	return true;
}

unsigned long __weak vma_belongs_to(struct vm_area_struct *vma)
{
	return 0;
}

void *__weak snapshot_take_more(struct mm_struct *mm)
{
	return NULL;
}

void __weak snapshot_free_more(void *more)
{
}

void __weak snapshot_compare_more(void *before, void *after,
				  unsigned long except_start,
				  unsigned long except_end)
{
}

void check_broken(struct mm_struct *mm, struct vm_area_struct *vma,
		  const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);

	if (mm)
		show_mm(mm);
	if (vma)
		dump_vma(vma);
	test_failed(__FILE__, __LINE__, "what has to hold does not: %s", text);
}

struct totals {
	long vmas;
	long avcs;
	long tables;
	long committed;
};

static pgoff_t vma_last_index(struct vm_area_struct *vma)
{
	return vma->vm_pgoff + vma_pages(vma) - 1;
}

static bool is_in_i_mmap(struct vm_area_struct *vma)
{
	struct rb_root_cached *root = &vma->vm_file->f_mapping->i_mmap;
	struct vm_area_struct *i;

	for (i = vma_interval_tree_iter_first(root, vma->vm_pgoff,
					      vma->vm_pgoff);
	     i; i = vma_interval_tree_iter_next(i, vma->vm_pgoff,
						vma->vm_pgoff))
		if (i == vma)
			return true;

	return false;
}

/* Does the anon_vma find the VMA by its last page, and how many does it know? */
static long nr_in_anon_vma(struct anon_vma_chain *avc, bool *found)
{
	struct rb_root_cached *root = &avc->anon_vma->rb_root;
	pgoff_t last = vma_last_index(avc->vma);
	struct anon_vma_chain *i;
	long n = 0;

	*found = false;
	for (i = anon_vma_interval_tree_iter_first(root, last, last);
	     i; i = anon_vma_interval_tree_iter_next(i, last, last))
		*found |= i == avc;

	for (i = anon_vma_interval_tree_iter_first(root, 0, ULONG_MAX);
	     i; i = anon_vma_interval_tree_iter_next(i, 0, ULONG_MAX))
		n++;

	return n;
}

/* How many chains of all VMAs lead to the anon_vma, and how many use it. */
static void count_anon_vma(struct anon_vma *anon_vma, long *chained,
			   long *active)
{
	struct anon_vma_chain *avc;
	struct vm_area_struct *vma;
	struct mm_struct *mm;

	*chained = 0;
	*active = 0;
	for (mm = all_mms; mm; mm = mm->next) {
		VMA_ITERATOR(vmi, mm, 0);

		for_each_vma(vmi, vma) {
			if (vma->anon_vma == anon_vma)
				(*active)++;
			list_for_each_entry(avc, &vma->anon_vma_chain,
					    same_vma)
				if (avc->anon_vma == anon_vma)
					(*chained)++;
		}
	}
}

static bool is_chained(struct vm_area_struct *vma, struct anon_vma *anon_vma)
{
	struct anon_vma_chain *avc;

	list_for_each_entry(avc, &vma->anon_vma_chain, same_vma)
		if (avc->anon_vma == anon_vma)
			return true;

	return false;
}

static void check_anon_vma(struct mm_struct *mm, struct vm_area_struct *vma,
			   struct totals *totals)
{
	struct anon_vma_chain *avc;

	list_for_each_entry(avc, &vma->anon_vma_chain, same_vma) {
		struct anon_vma *anon_vma = avc->anon_vma;
		long known, chained, active;
		bool found;

		totals->avcs++;
		CHECK(avc->vma == vma, mm, vma, "avc of another VMA");
		CHECK(!rwsem_is_locked(&anon_vma->root->rwsem), mm, vma,
		      "anon_vma left locked");
		CHECK(anon_vma->refcount > 0, mm, vma,
		      "anon_vma refcount %d", anon_vma->refcount);
		known = nr_in_anon_vma(avc, &found);
		CHECK(found, mm, vma, "anon_vma does not find the VMA");
		count_anon_vma(anon_vma, &chained, &active);
		CHECK(known == chained, mm, vma,
		      "anon_vma knows %ld VMAs of %ld", known, chained);
		CHECK(anon_vma->num_active_vmas == active, mm, vma,
		      "anon_vma has %ld active VMAs, not %ld",
		      anon_vma->num_active_vmas, active);
	}

	CHECK(!vma->anon_vma || is_chained(vma, vma->anon_vma), mm, vma,
	      "anon_vma is not in the VMA's chain");
	CHECK(vma->anon_vma || list_empty(&vma->anon_vma_chain), mm, vma,
	      "a chain, but no anon_vma");
}

static void check_prot(struct mm_struct *mm, struct vm_area_struct *vma)
{
	unsigned long prot = pgprot_val(vma->vm_page_prot);

	CHECK(!((prot ^ vma->vm_flags) & VM_ACCESS_FLAGS), mm, vma,
	      "vm_page_prot %lx", prot);
	CHECK(!(prot & VM_SHARED) || (vma->vm_flags & VM_SHARED), mm, vma,
	      "vm_page_prot of a private mapping is shared");
}

struct page_check {
	struct mm_struct *mm;
	unsigned long nr;
};

static void check_page(unsigned long addr, struct pt_entry *entry, void *data)
{
	struct page_check *check = data;
	struct vm_area_struct *vma = vma_lookup(check->mm, addr);
	pgoff_t index;

	check->nr++;
	CHECK(vma, check->mm, NULL, "a page at %lx without a VMA", addr);
	index = pt_pgoff(vma, addr);
	CHECK(entry->index == index, check->mm, vma,
	      "page at %lx has index %lx, rmap looks for it at %lx", addr,
	      entry->index, index);
	if (entry->anon_vma)
		CHECK(is_chained(vma, entry->anon_vma), check->mm, vma,
		      "rmap does not find the page at %lx", addr);
	else
		CHECK(vma->vm_file &&
		      entry->token == pt_file_token(vma->vm_file, index),
		      check->mm, vma, "page of another file at %lx", addr);
}

static void check_tables(struct mm_struct *mm, struct totals *totals)
{
	struct page_check check = { .mm = mm };
	struct pt_table *table;

	pt_for_each(mm, check_page, &check);
	CHECK(check.nr == pt_nr_pages(mm), mm, NULL, "page tables miscounted");

	for (table = mm->pt_tables; table; table = table->next) {
		totals->tables++;
		CHECK(find_vma_intersection(mm, table->start,
					    table->start + PMD_SIZE),
		      mm, NULL, "page table at %lx is not needed",
		      table->start);
	}
}

static void check_mm(struct mm_struct *mm, struct totals *totals)
{
	VMA_ITERATOR(vmi, mm, 0);
	struct mm_struct sum = {};
	struct vm_area_struct *vma;

	mt_validate(&mm->mm_mt);
	CHECK(!mm->tlb_flush_pending, mm, NULL, "mmu_gather left open");
	CHECK(!pthread_mutex_trylock(&mm->page_table_lock), mm, NULL,
	      "page_table_lock left locked");
	spin_unlock(&mm->page_table_lock);

	for_each_vma(vmi, vma) {
		unsigned long pages = vma_pages(vma);

		sum.map_count++;
		CHECK(vma->vm_start < vma->vm_end &&
		      !offset_in_page(vma->vm_start | vma->vm_end), mm, vma,
		      "range");
		CHECK(vma->vm_start == vmi.mas.index &&
		      vma->vm_end - 1 == vmi.mas.last, mm, vma,
		      "the tree has it at %lx-%lx", vmi.mas.index,
		      vmi.mas.last + 1);
		CHECK(vma->vm_mm == mm, mm, vma, "VMA of another mm");
		CHECK(!vma->detached, mm, vma, "detached VMA in the tree");
		CHECK(!rwsem_is_locked(&vma->vm_lock->lock), mm, vma,
		      "VMA left locked");
		vm_stat_account(&sum, vma->vm_flags, pages);
		if (vma->vm_flags & VM_LOCKED)
			sum.locked_vm += pages;
		if (vma->vm_flags & VM_ACCOUNT)
			totals->committed += pages;
		if (vma->vm_file)
			CHECK(is_in_i_mmap(vma), mm, vma,
			      "VMA is not in i_mmap");
		else
			CHECK(RB_EMPTY_NODE(&vma->shared.rb) ||
			      !vma->shared.rb.__rb_parent_color, mm, vma,
			      "VMA without a file is in i_mmap");
		check_anon_vma(mm, vma, totals);
		check_prot(mm, vma);
		check_vma_more(mm, vma);
	}
	totals->vmas += sum.map_count;

	CHECK(mm->map_count == sum.map_count, mm, NULL, "map_count is %d",
	      mm->map_count);
	CHECK(mm->total_vm == sum.total_vm, mm, NULL, "total_vm is %lx, not %lx",
	      mm->total_vm, sum.total_vm);
	CHECK(mm->data_vm == sum.data_vm, mm, NULL, "data_vm is %lx, not %lx",
	      mm->data_vm, sum.data_vm);
	CHECK(mm->exec_vm == sum.exec_vm, mm, NULL, "exec_vm is %lx, not %lx",
	      mm->exec_vm, sum.exec_vm);
	CHECK(mm->stack_vm == sum.stack_vm, mm, NULL, "stack_vm is %lx, not %lx",
	      mm->stack_vm, sum.stack_vm);
	CHECK(mm->locked_vm == sum.locked_vm, mm, NULL,
	      "locked_vm is %lx, not %lx", mm->locked_vm, sum.locked_vm);
	check_tables(mm, totals);
}

long file_nr_vmas(struct file *file)
{
	struct vm_area_struct *vma;
	struct mm_struct *mm;
	long n = 0;

	for (mm = all_mms; mm; mm = mm->next) {
		VMA_ITERATOR(vmi, mm, 0);

		for_each_vma(vmi, vma)
			n += vma->vm_file == file;
	}
	return n;
}

static void check_file(struct file *file)
{
	struct address_space *mapping = file->f_mapping;
	long mapped = file_nr_vmas(file), known = 0, writable = 0;
	long held = file->is_shmem_zero ? 0 : 1;
	struct vm_area_struct *vma;

	for (vma = vma_interval_tree_iter_first(&mapping->i_mmap, 0, ULONG_MAX);
	     vma; vma = vma_interval_tree_iter_next(vma, 0, ULONG_MAX)) {
		known++;
		writable += vma_is_shared_maywrite(vma);
	}

	CHECK(known == mapped, NULL, NULL, "i_mmap of file %u has %ld VMAs of %ld",
	      file->id, known, mapped);
	CHECK(file_refs(file) == mapped + held, NULL, NULL,
	      "file %u has %ld references, not %ld", file->id, file_refs(file),
	      mapped + held);
	CHECK(mapping->i_mmap_writable < 0 ||
	      mapping->i_mmap_writable == writable, NULL, NULL,
	      "file %u has i_mmap_writable %d, not %ld", file->id,
	      mapping->i_mmap_writable, writable);
	CHECK(!rwsem_is_locked(&mapping->i_mmap_rwsem), NULL, NULL,
	      "i_mmap of file %u left locked", file->id);
	CHECK(!mapping->flags, NULL, NULL, "file %u has mapping flags %lx",
	      file->id, mapping->flags);
	if (file->f_op == &counted_fops)
		CHECK(counted_balance(file) == mapped, NULL, NULL,
		      "the driver of file %u counts %ld VMAs, not %ld",
		      file->id, counted_balance(file), mapped);
}

void check_world(void)
{
	struct totals totals = {};
	struct mm_struct *mm;
	struct file *file;

	rcu_barrier();
	for (mm = all_mms; mm; mm = mm->next)
		check_mm(mm, &totals);
	for (file = all_files; file; file = file->next)
		check_file(file);

	CHECK(vm_committed == totals.committed, all_mms, NULL,
	      "%ld pages are committed, not %ld", vm_committed,
	      totals.committed);
	CHECK(alloc_nr_live_of("vm_area_struct") == totals.vmas, all_mms, NULL,
	      "%ld VMAs are live, not %ld", alloc_nr_live_of("vm_area_struct"),
	      totals.vmas);
	CHECK(alloc_nr_live_of("vma_lock") == totals.vmas, all_mms, NULL,
	      "%ld VMA locks are live, not %ld", alloc_nr_live_of("vma_lock"),
	      totals.vmas);
	CHECK(alloc_nr_live_of("anon_vma_chain") == totals.avcs, all_mms, NULL,
	      "%ld avcs are live, not %ld", alloc_nr_live_of("anon_vma_chain"),
	      totals.avcs);
	CHECK(alloc_nr_live_of("page_table") == totals.tables, all_mms, NULL,
	      "%ld page tables are live, not %ld",
	      alloc_nr_live_of("page_table"), totals.tables);
	check_world_more();
	if (test_nr_warnings())
		check_broken(all_mms, NULL, "a kernel warning, see above");
}

/* Neighbouring extents differ in something, wherever VMAs begin or end. */
struct extent {
	unsigned long start, end;
	unsigned long flags;
	unsigned long prot;
	struct file *file;
	pgoff_t pgoff;
	const struct vm_operations_struct *vm_ops;
	void *private_data;
	int policy;
	const char *name;
	struct userfaultfd_ctx *uffd;
	unsigned long belongs_to;
};

struct page_state {
	unsigned long addr;
	struct pt_entry entry;
};

struct snapshot {
	unsigned long total_vm, data_vm, exec_vm, stack_vm, locked_vm;
	unsigned long brk;
	long committed;
	long nr_files, nr_uffd;
	unsigned long nr_extents, nr_pages;
	struct extent *extents;
	struct page_state *pages;
	void *more;
};

static struct extent vma_extent(struct vm_area_struct *vma,
				const struct vma_piece *piece)
{
	return (struct extent) {
		.start = piece->start,
		.end = piece->end,
		.flags = piece->flags,
		.prot = pgprot_val(piece->prot),
		.file = vma->vm_file,
		.pgoff = piece->pgoff,
		.vm_ops = vma->vm_ops,
		.private_data = vma->vm_private_data,
		.policy = vma_policy(vma) ? vma_policy(vma)->mode : -1,
		.name = anon_vma_name(vma) ? anon_vma_name(vma)->name : NULL,
		.uffd = vma->vm_userfaultfd_ctx.ctx,
		.belongs_to = vma_belongs_to(vma),
	};
}

static bool extents_alike(const struct extent *a, const struct extent *b)
{
	return a->flags == b->flags && a->prot == b->prot &&
	       a->file == b->file && a->vm_ops == b->vm_ops &&
	       a->private_data == b->private_data && a->policy == b->policy &&
	       a->name == b->name && a->uffd == b->uffd &&
	       a->belongs_to == b->belongs_to &&
	       a->pgoff - PHYS_PFN(a->start) == b->pgoff - PHYS_PFN(b->start);
}

static void snapshot_add(struct snapshot *snap, struct extent new)
{
	struct extent *last = &snap->extents[snap->nr_extents - 1];

	if (snap->nr_extents && last->end == new.start &&
	    extents_alike(last, &new))
		last->end = new.end;
	else
		snap->extents[snap->nr_extents++] = new;
}

static void snapshot_page(unsigned long addr, struct pt_entry *entry,
			  void *data)
{
	struct snapshot *snap = data;

	snap->pages[snap->nr_pages++] = (struct page_state) {
		.addr = addr,
		.entry = *entry,
	};
}

struct snapshot *snapshot_take(struct mm_struct *mm)
{
	VMA_ITERATOR(vmi, mm, 0);
	struct snapshot *snap = calloc(1, sizeof(*snap));
	unsigned long nr_pieces = 0;
	struct vm_area_struct *vma;
	struct file *file;

	snap->total_vm = mm->total_vm;
	snap->data_vm = mm->data_vm;
	snap->exec_vm = mm->exec_vm;
	snap->stack_vm = mm->stack_vm;
	snap->locked_vm = mm->locked_vm;
	snap->brk = mm->brk;
	snap->committed = vm_committed;
	snap->nr_uffd = alloc_nr_live_of("uffd_unmap");
	for (file = all_files; file; file = file->next)
		snap->nr_files++;

	for_each_vma(vmi, vma)
		for_each_piece(piece, vma)
			nr_pieces++;
	snap->extents = calloc(nr_pieces + 1, sizeof(*snap->extents));
	vma_iter_set(&vmi, 0);
	for_each_vma(vmi, vma)
		for_each_piece(piece, vma)
			snapshot_add(snap, vma_extent(vma, &piece));

	snap->pages = calloc(pt_nr_pages(mm) + 1, sizeof(*snap->pages));
	pt_for_each(mm, snapshot_page, snap);
	snap->more = snapshot_take_more(mm);
	return snap;
}

void snapshot_free(struct snapshot *snap)
{
	free(snap->extents);
	free(snap->pages);
	snapshot_free_more(snap->more);
	free(snap);
}

/* The next extent from @addr on, without what is in the range to ignore. */
static struct extent extent_at(struct snapshot *snap, unsigned long addr,
			       unsigned long except_start,
			       unsigned long except_end)
{
	unsigned long i;

	for (i = 0; i < snap->nr_extents; i++) {
		struct extent e = snap->extents[i];

		if (e.end <= addr)
			continue;
		if (e.start < addr) {
			e.pgoff += (addr - e.start) >> PAGE_SHIFT;
			e.start = addr;
		}
		if (e.start >= except_start && e.end <= except_end)
			continue;
		if (e.start >= except_start && e.start < except_end) {
			e.pgoff += (except_end - e.start) >> PAGE_SHIFT;
			e.start = except_end;
		} else if (e.start < except_start && e.end > except_start) {
			e.end = except_start;
		}
		return e;
	}

	return (struct extent) { .start = ULONG_MAX, .end = ULONG_MAX };
}

static void compare_extents(struct snapshot *a, struct snapshot *b,
			    unsigned long except_start,
			    unsigned long except_end)
{
	unsigned long addr = 0;

	while (addr < ULONG_MAX) {
		struct extent ea = extent_at(a, addr, except_start, except_end);
		struct extent eb = extent_at(b, addr, except_start, except_end);

		if (ea.start != eb.start || ea.end != eb.end ||
		    !extents_alike(&ea, &eb))
			test_failed(__FILE__, __LINE__,
				    "%lx-%lx flags %lx pgoff %lx has become %lx-%lx flags %lx pgoff %lx",
				    ea.start, ea.end, ea.flags, ea.pgoff,
				    eb.start, eb.end, eb.flags, eb.pgoff);
		addr = ea.end;
	}
}

static void compare_pages(struct snapshot *a, struct snapshot *b,
			  unsigned long except_start, unsigned long except_end)
{
	unsigned long i = 0, j = 0;

	while (i < a->nr_pages || j < b->nr_pages) {
		struct page_state none = { .addr = ULONG_MAX };
		struct page_state pa = i < a->nr_pages ? a->pages[i] : none;
		struct page_state pb = j < b->nr_pages ? b->pages[j] : none;

		if (pa.addr >= except_start && pa.addr < except_end) {
			i++;
			continue;
		}
		if (pb.addr >= except_start && pb.addr < except_end) {
			j++;
			continue;
		}
		if (pa.addr != pb.addr || pa.entry.token != pb.entry.token ||
		    pa.entry.anon_vma != pb.entry.anon_vma ||
		    pa.entry.index != pb.entry.index)
			test_failed(__FILE__, __LINE__,
				    "page %lx at %lx has become page %lx at %lx",
				    pa.entry.token, pa.addr, pb.entry.token,
				    pb.addr);
		i++;
		j++;
	}
}

void snapshot_compare(struct snapshot *a, struct mm_struct *mm,
		      unsigned long except_start, unsigned long except_end)
{
	struct snapshot *b = snapshot_take(mm);

	compare_extents(a, b, except_start, except_end);
	compare_pages(a, b, except_start, except_end);
	snapshot_compare_more(a->more, b->more, except_start, except_end);
	ASSERT_EQ(b->brk, a->brk);
	ASSERT_EQ(b->nr_uffd, a->nr_uffd);
	/* check_world() has seen to it that this follows from the VMAs. */
	if (except_start == except_end) {
		ASSERT_EQ(b->total_vm, a->total_vm);
		ASSERT_EQ(b->data_vm, a->data_vm);
		ASSERT_EQ(b->exec_vm, a->exec_vm);
		ASSERT_EQ(b->stack_vm, a->stack_vm);
		ASSERT_EQ(b->locked_vm, a->locked_vm);
		ASSERT_EQ(b->committed, a->committed);
		ASSERT_EQ(b->nr_files, a->nr_files);
	}
	snapshot_free(b);
}

bool alloc_walk_next(struct alloc_walk *walk)
{
	/* Otherwise, what has been tested? */
	if (walk->n && !walk->nr_injected && !walk->may_need_none)
		test_failed(__FILE__, __LINE__,
			    "no allocation was made to fail");
	/* The last run met no failure: there is nothing left to fail. */
	if (walk->n > walk->nr_injected) {
		if (walk->is_lasting)
			return false;
		walk->is_lasting = true;
		walk->n = 0;
		walk->nr_injected = 0;
	}

	walk->n++;
	walk->lost_start = 0;
	walk->lost_end = 0;
	walk->expected_error = 0;
	return true;
}

void alloc_walk_may_lose(struct alloc_walk *walk, unsigned long start,
			 unsigned long end)
{
	walk->lost_start = start;
	walk->lost_end = end;
}

void alloc_walk_expect(struct alloc_walk *walk, long error)
{
	walk->expected_error = error;
}

void alloc_walk_may_need_none(struct alloc_walk *walk)
{
	walk->may_need_none = true;
}

void alloc_walk_begin(struct alloc_walk *walk, struct mm_struct *mm)
{
	check_world();
	walk->mm = mm;
	walk->before = snapshot_take(mm);
	if (walk->is_lasting)
		alloc_fail_from(walk->n);
	else
		alloc_fail_nth(walk->n);
}

bool alloc_walk_end(struct alloc_walk *walk, long ret)
{
	walk->is_injected = alloc_nr_failed();
	alloc_fail_nth(0);
	walk->nr_injected += walk->is_injected;
	check_world();

	if (!IS_ERR_VALUE(ret)) {
		snapshot_free(walk->before);
		return true;
	}

	walk->nr_errors++;
	if (ret != walk->expected_error && !walk->is_injected)
		test_failed(__FILE__, __LINE__, "error %ld, for no reason",
			    ret);
	if (ret != walk->expected_error)
		ASSERT_EQ(ret, -ENOMEM);
	snapshot_compare(walk->before, walk->mm, walk->lost_start,
			 walk->lost_end);
	snapshot_free(walk->before);
	return false;
}

struct vm_area_struct *assert_vma(struct mm_struct *mm, unsigned long start,
				  unsigned long end)
{
	struct vm_area_struct *vma = vma_lookup(mm, start);

	if (!vma || vma->vm_start != start || vma->vm_end != end)
		check_broken(mm, NULL, "no VMA %lx-%lx", start, end);
	return vma;
}
