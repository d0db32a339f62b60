// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vma_relocate(): execve() moves its stack, all of it or nothing.
 */

#define PAGES_PER_TABLE	((int)PTRS_PER_TABLE)

/* A stack under construction of these pages. */
static void map_exec_stack(struct mm_struct *mm, int page, int pages)
{
	long ret = mmap_anon(mm, page, pages,
			     STACK_RW | VM_STACK_INCOMPLETE_SETUP);

	ASSERT_EQ(ret, MM_ADDR(page));
}

/* Enough mappings far away for the tree to have several levels. */
static void map_many(struct mm_struct *mm)
{
	int i;

	for (i = 0; i < 40; i++) {
		mmap_anon(mm, 100000 + 3 * i, 1, PRIVATE_R);
		mmap_anon(mm, -2000 + 3 * i, 1, PRIVATE_R);
	}
}

static long relocate(struct mm_struct *mm, int page, int shift)
{
	return vma_relocate(vma_at(mm, page), MM_LEN(shift));
}

static void grow_by_a_page(struct mm_struct *mm, int page)
{
	ASSERT_EQ(op_grow_stack(mm, MM_ADDR(page), MM_ADDR(page - 1)), 0);
}

/* One relocation, with what is next to it. */
struct relocation {
	int page;		/* the stack */
	int pages;
	int shift;
	int touched_from;	/* the first page with a content, as from @page */
	int below;		/* pages mapped directly below the new range */
	int above;		/* pages mapped directly above the old range */
};

static void check_relocation(const struct relocation *r)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		struct vm_area_struct *vma;
		unsigned long tokens[3 * PTRS_PER_TABLE];
		unsigned long pgoff;
		long ret;
		int i;

		map_many(mm);
		map_exec_stack(mm, r->page, r->pages);
		if (r->below)
			mmap_anon(mm, r->page - r->shift - r->below, r->below,
				  PRIVATE_RW);
		if (r->above)
			mmap_anon(mm, r->page + r->pages, r->above, PRIVATE_RW);
		fault_in(mm, r->page + r->touched_from,
			 r->pages - r->touched_from, true);
		if (r->below)
			fault_in(mm, r->page - r->shift - r->below, r->below,
				 true);
		if (r->above)
			fault_in(mm, r->page + r->pages, r->above, true);
		for (i = 0; i < r->pages; i++)
			tokens[i] = token_at(mm, r->page + i);
		vma = vma_at(mm, r->page);
		pgoff = vma->vm_pgoff;
		/* Within one table, and with a gap below, nothing is allocated. */
		if (pt_table_exists(mm, MM_ADDR(r->page - r->shift)) && !r->below)
			alloc_walk_may_need_none(walk);

		alloc_walk_begin(walk, mm);
		ret = relocate(mm, r->page, r->shift);
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(assert_pages(mm, r->page - r->shift, r->pages),
				  vma);
			ASSERT_EQ(vma->vm_pgoff, pgoff);
			ASSERT_TRUE(vma_is_temporary_stack(vma));
			vma_assert_write_locked(vma);
			for (i = 0; i < r->pages; i++)
				ASSERT_EQ(token_at(mm, r->page - r->shift + i),
					  tokens[i]);
			for (i = max(0, r->pages - r->shift); i < r->pages; i++)
				ASSERT_EQ(token_at(mm, r->page + i), 0);
			ASSERT_EQ(pt_nr_pages(mm),
				  r->pages - r->touched_from + r->above + r->below);
			ASSERT_EQ(mm->stack_vm, r->pages);
			/* No table stays behind, and none of a neighbour goes. */
			ASSERT_EQ(pt_table_exists(mm, MM_ADDR(r->page +
							      r->pages)),
				  r->above ||
				  (r->page + r->pages) / PAGES_PER_TABLE ==
				  (r->page + r->pages - r->shift - 1) /
				  PAGES_PER_TABLE);
			/* Its place in the tree is where it can grow from. */
			if (!r->below)
				grow_by_a_page(mm, r->page - r->shift);
			check_world();
		}
		/* The tables, the range that covers both, the shrink. */
		ASSERT_LE(walk->nr_errors, 3 + 3 * 8);
		mm_destroy(mm);
	}
}

/* Source and destination overlap: by most, by one page, within one table. */
TEST(relocate_overlapping)
{
	static const struct relocation cases[] = {
		{ .page = 2000, .pages = 20, .shift = 1 },
		{ .page = 2000, .pages = 20, .shift = 19 },
		{ .page = 2048, .pages = 4, .shift = 2 },
		{ .page = 2000, .pages = 600, .shift = 512 },
		{ .page = 2048, .pages = 1024, .shift = 512 },
		{ .page = 2048, .pages = 1024, .shift = 513 },
		{ .page = 2100, .pages = 1100, .shift = 1 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		check_relocation(&cases[i]);
}

/* They do not: they touch, are in the same table, or far apart. */
TEST(relocate_disjoint)
{
	static const struct relocation cases[] = {
		{ .page = 2000, .pages = 20, .shift = 20 },
		{ .page = 2000, .pages = 20, .shift = 21 },
		{ .page = 2000, .pages = 1, .shift = 100 },
		{ .page = 4096, .pages = 512, .shift = 512 },
		{ .page = 4096, .pages = 512, .shift = 1024 },
		{ .page = 4100, .pages = 700, .shift = 3000 },
		{ .page = 90000, .pages = 3, .shift = 80000 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		check_relocation(&cases[i]);
}

/* Neighbours that share a table with it, and leave no gap, keep what is theirs. */
TEST(relocate_neighbours)
{
	static const struct relocation cases[] = {
		{ .page = 2000, .pages = 20, .shift = 5, .below = 3 },
		{ .page = 2000, .pages = 20, .shift = 5, .above = 3 },
		{ .page = 2000, .pages = 20, .shift = 50, .below = 3, .above = 3 },
		{ .page = 2048, .pages = 512, .shift = 512, .below = 1, .above = 1 },
		{ .page = 2050, .pages = 510, .shift = 1000, .below = 1, .above = 1 },
		{ .page = 2040, .pages = 20, .shift = 100, .above = 3 },
		{ .page = 4100, .pages = 700, .shift = 3000, .below = 1 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		check_relocation(&cases[i]);
}

/* Only the top of it has been written to: there are tables without an entry. */
TEST(relocate_sparse)
{
	static const struct relocation cases[] = {
		{ .page = 2000, .pages = 1200, .shift = 100, .touched_from = 1199 },
		{ .page = 2000, .pages = 1200, .shift = 1300, .touched_from = 600 },
		{ .page = 2048, .pages = 1024, .shift = 512, .touched_from = 1000 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		check_relocation(&cases[i]);
}

/* Nothing may be mapped between where it is and where it goes: -EFAULT. */
TEST(relocate_in_the_way)
{
	/* The stack is at 2000 and goes to 1900. */
	static const struct { int page, pages; } obstacles[] = {
		{ 1900, 20 }, { 1890, 11 }, { 1890, 100 }, { 1910, 1 },
		{ 1919, 1 }, { 1920, 1 }, { 1950, 10 }, { 1999, 1 },
		{ 1890, 110 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(obstacles); i++) {
		struct mm_struct *mm = mm_create();

		map_exec_stack(mm, 2000, 20);
		mmap_anon(mm, obstacles[i].page, obstacles[i].pages, PRIVATE_RW);
		fault_in(mm, 2000, 20, true);
		fault_in(mm, obstacles[i].page, obstacles[i].pages, true);
		ASSERT_REFUSED(mm, relocate(mm, 2000, 100), -EFAULT);
		mm_destroy(mm);
	}
}

/* A shift of nothing, or of a part of a page, is a mistake: -EINVAL. */
TEST(relocate_shift)
{
	struct mm_struct *mm = mm_create();

	map_exec_stack(mm, 2000, 20);
	fault_in(mm, 2000, 20, true);
	ASSERT_REFUSED(mm, vma_relocate(vma_at(mm, 2000), 0), -EINVAL);
	ASSERT_REFUSED(mm, vma_relocate(vma_at(mm, 2000), 1), -EINVAL);
	ASSERT_REFUSED(mm, vma_relocate(vma_at(mm, 2000), PAGE_SIZE + 8),
		       -EINVAL);
	ASSERT_REFUSED(mm, vma_relocate(vma_at(mm, 2000), -1UL), -EINVAL);
	mm_destroy(mm);
}

/* It cannot go below the first address: -EINVAL. It can go right there. */
TEST(relocate_underflow)
{
	struct mm_struct *mm = mm_create();

	map_exec_stack(mm, 2000, 20);
	fault_in(mm, 2000, 20, true);
	ASSERT_REFUSED(mm, vma_relocate(vma_at(mm, 2000),
					MM_ADDR(2000) + PAGE_SIZE), -EINVAL);
	ASSERT_REFUSED(mm, vma_relocate(vma_at(mm, 2000), PAGE_MASK), -EINVAL);
	ASSERT_EQ(vma_relocate(vma_at(mm, 2000), MM_ADDR(2000)), 0);
	assert_vma(mm, 0, MM_LEN(20));
	check_world();
	mm_destroy(mm);
}

/* Only the stack of an execve() that is not finished yet: -EINVAL. */
TEST(relocate_not_exec_stack)
{
	static const vm_flags_t flags[] = {
		PRIVATE_RW, STACK_RW, PRIVATE_RW | VM_STACK_INCOMPLETE_SETUP,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct mm_struct *mm = mm_create();

		mmap_anon(mm, 2000, 20, flags[i]);
		fault_in(mm, 2000, 20, true);
		ASSERT_REFUSED(mm, relocate(mm, 2000, 100), -EINVAL);
		mm_destroy(mm);
	}
}

/* Undoing needs memory, and gets it when there is none. */
TEST(relocate_undo_without_memory)
{
	struct vma_relocate_struct vmr;
	struct mm_struct *mm = mm_create();
	struct snapshot *before;

	map_many(mm);
	map_exec_stack(mm, 2000, 20);
	/* With no gap below, it takes one more entry in the tree. */
	mmap_anon(mm, 1800, 100, PRIVATE_R);
	fault_in(mm, 2000, 20, true);
	before = snapshot_take(mm);
	ASSERT_EQ(vma_relocate_init(&vmr, vma_at(mm, 2000), MM_LEN(100)), 0);
	ASSERT_EQ(vma_relocate_cover(&vmr), 0);
	assert_pages(mm, 1900, 120);

	alloc_fail_random(1, 0);
	vma_relocate_uncover(&vmr);
	alloc_fail_random(0, 0);

	assert_pages(mm, 2000, 20);
	check_world();
	snapshot_compare(before, mm, 0, 0);
	snapshot_free(before);
	mm_destroy(mm);
}

/* A second relocation finds everything as if it were the first. */
TEST(relocate_twice)
{
	struct mm_struct *mm = mm_create();
	unsigned long token;

	map_exec_stack(mm, 4000, 20);
	fault_in(mm, 4000, 20, true);
	token = token_at(mm, 4019);
	ASSERT_EQ(relocate(mm, 4000, 1), 0);
	ASSERT_EQ(relocate(mm, 3999, 999), 0);
	ASSERT_EQ(token_at(mm, 3019), token);
	assert_pages(mm, 3000, 20);
	check_world();
	mm_destroy(mm);
}
