// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * copy_vma() and vma_merge_extend(): what mremap() needs.
 */

static void move_content(int page, int pages, int to, bool faulted)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		unsigned long tokens[6];
		long ret;
		int i;

		mmap_anon(mm, 10, 6, PRIVATE_RW);
		if (faulted)
			fault_in(mm, 10, 6, true);
		for (i = 0; i < 6; i++)
			tokens[i] = token_at(mm, 10 + i);

		alloc_walk_begin(walk, mm);
		ret = op_mremap(mm, MM_ADDR(page), MM_LEN(pages), MM_ADDR(to));
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(mm->total_vm, 6);
			for (i = 0; i < 6; i++) {
				int moved = 10 + i - page;

				if (moved >= 0 && moved < pages)
					ASSERT_EQ(token_at(mm, to + moved),
						  tokens[i]);
				else
					ASSERT_EQ(token_at(mm, 10 + i),
						  tokens[i]);
			}
		}
		mm_destroy(mm);
	}
}

/* Content moves with its mapping, in any direction, whole or in part. */
TEST(moves_content)
{
	static const struct {
		int page, pages, to;
	} moves[] = {
		{ 10, 6, 30 }, { 10, 6, 0 }, { 10, 2, 30 }, { 12, 2, 30 },
		{ 14, 2, 0 }, { 10, 6, 4 }, { 10, 6, 16 }, { 14, 2, 16 },
		{ 10, 2, 8 }, { 10, 6, 600 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(moves); i++) {
		move_content(moves[i].page, moves[i].pages, moves[i].to, false);
		move_content(moves[i].page, moves[i].pages, moves[i].to, true);
	}
}

/* A mapping of a file, next to one that goes on: they merge. */
TEST(file)
{
	for_each_alloc_failure(walk) {
		struct driver plain = { .no_hooks = true };
		struct mm_struct *mm = mm_create();
		struct file *file = file_of(&plain);
		unsigned long probes;
		long ret;

		mmap_file_at(mm, file, 0, 2, SHARED_RW, 0);
		mmap_file_at(mm, file, 10, 4, SHARED_RW, 2);
		fault_in(mm, 10, 4, false);
		probes = calls.uprobe_mmap;
		alloc_walk_begin(walk, mm);
		ret = op_mremap(mm, MM_ADDR(10), MM_LEN(4), MM_ADDR(2));
		if (alloc_walk_end(walk, ret)) {
			if (!walk->is_injected) {
				assert_pages(mm, 0, 6);
				ASSERT_EQ(file_refs(file), 2);
				/* The merge sets no breakpoint to be lost. */
				ASSERT_EQ(calls.uprobe_mmap, probes);
			}
			ASSERT_EQ(token_at(mm, 3), pt_file_token(file, 3));
		}
		mm_destroy(mm);
		fput(file);
	}
}

/* A driver sees the copy open before the original is closed. */
TEST(hooks)
{
	for_each_alloc_failure(walk) {
		struct driver driver = {};
		struct mm_struct *mm = mm_create();
		struct file *file = file_of(&driver);
		long ret;

		mmap_file_at(mm, file, 0, 4, SHARED_RW, 5);
		vma_policy(vma_at(mm, 0)) = mpol_create(1);
		fault_in(mm, 0, 4, false);
		alloc_walk_begin(walk, mm);
		ret = op_mremap(mm, MM_ADDR(0), MM_LEN(4), MM_ADDR(600));
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(assert_pages(mm, 600, 4)->vm_pgoff, 5);
			ASSERT_EQ(driver.balance, 1);
			ASSERT_EQ(alloc_nr_live_of("mempolicy"), 1);
		}
		mm_destroy(mm);
		fput(file);
	}
}

/*
 * The offset of anonymous memory follows its address until it has a page; then
 * it has to stay, for rmap.
 */
TEST(pgoff)
{
	struct mm_struct *mm = mm_create();
	pgoff_t pgoff;

	mmap_anon(mm, 0, 2, PRIVATE_RW);
	pgoff = vma_at(mm, 0)->vm_pgoff;
	ASSERT_EQ(op_mremap(mm, MM_ADDR(0), MM_LEN(2), MM_ADDR(10)),
		  MM_ADDR(10));
	ASSERT_EQ(vma_at(mm, 10)->vm_pgoff, pgoff + 10);
	fault_in(mm, 10, 1, true);
	ASSERT_EQ(op_mremap(mm, MM_ADDR(10), MM_LEN(2), MM_ADDR(20)),
		  MM_ADDR(20));
	ASSERT_EQ(vma_at(mm, 20)->vm_pgoff, pgoff + 10);
	check_world();
	/* So it does not merge with what is there by its address. */
	mmap_anon(mm, 18, 2, PRIVATE_RW);
	assert_pages(mm, 18, 2);
	assert_pages(mm, 20, 2);
	mm_destroy(mm);
}

/* Memory without pages that moves to its own end becomes one with itself. */
TEST(self_merge)
{
	struct mm_struct *mm = mm_create();
	struct vm_area_struct *vma, *new;
	bool locks;

	mmap_anon(mm, 0, 4, PRIVATE_RW);
	vma = vma_at(mm, 0);
	new = copy_vma(&vma, MM_ADDR(4), MM_LEN(4), vma->vm_pgoff, &locks,
		       false);
	ASSERT_EQ(new, vma);
	assert_pages(mm, 0, 8);
	ASSERT_TRUE(locks);
	vm_stat_account(mm, vma->vm_flags, 4);
	vm_acct_memory(4);
	check_world();

	/* Unless the original is to be kept. */
	new = copy_vma(&vma, MM_ADDR(8), MM_LEN(8), vma->vm_pgoff, &locks,
		       true);
	ASSERT_NE(new, vma);
	ASSERT_FALSE(locks);
	assert_pages(mm, 0, 8);
	assert_pages(mm, 8, 8);
	vm_stat_account(mm, vma->vm_flags, 8);
	vm_acct_memory(8);
	check_world();

	/* From below, it would be the next one. */
	mmap_anon(mm, 40, 4, PRIVATE_RW);
	vma = vma_at(mm, 40);
	new = copy_vma(&vma, MM_ADDR(36), MM_LEN(4), vma->vm_pgoff, &locks,
		       true);
	assert_pages(mm, 36, 4);
	assert_pages(mm, 40, 4);
	vm_stat_account(mm, vma->vm_flags, 4);
	vm_acct_memory(4);
	check_world();
	mm_destroy(mm);
}

/* The rmap walk has to be held off when it might miss an entry that moves. */
TEST(need_rmap_locks)
{
	struct driver plain = { .no_hooks = true };
	struct file *file = file_of(&plain);
	struct mm_struct *mm = mm_create();
	struct vm_area_struct *vma, *new;
	bool locks = false;

	/* Into a VMA that begins earlier in the file. */
	mmap_file_at(mm, file, 0, 2, PRIVATE_R, 0);
	mmap_file_at(mm, file, 10, 2, PRIVATE_R, 2);
	vma = vma_at(mm, 10);
	new = copy_vma(&vma, MM_ADDR(2), MM_LEN(2), 2, &locks, false);
	ASSERT_EQ(new, vma_at(mm, 0));
	ASSERT_TRUE(locks);
	vm_stat_account(mm, vma->vm_flags, 2);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* Where something is mapped already, nothing is copied. */
TEST(occupied)
{
	struct mm_struct *mm = mm_create();
	struct vm_area_struct *vma;
	bool locks;

	mmap_anon(mm, 0, 4, PRIVATE_RW);
	mmap_anon(mm, 10, 4, PRIVATE_R);
	vma = vma_at(mm, 0);
	ASSERT_EQ(copy_vma(&vma, MM_ADDR(12), MM_LEN(4), vma->vm_pgoff, &locks,
			   false), NULL);
	check_world();
	mm_destroy(mm);
}

/* mremap() in place: into the gap, and up to what follows. */
TEST(extend)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		long ret;

		mmap_anon(mm, 0, 2, PRIVATE_RW);
		mmap_anon(mm, 6, 2, PRIVATE_RW);
		fault_in(mm, 6, 1, true);
		alloc_walk_begin(walk, mm);
		ret = op_extend(mm, MM_ADDR(0), MM_LEN(4));
		if (alloc_walk_end(walk, ret)) {
			assert_pages(mm, 0, 8);
			ASSERT_EQ(vm_committed, 8);
		}
		mm_destroy(mm);
	}
}
