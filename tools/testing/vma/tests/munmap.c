// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * munmap(): exactly the range goes, with its pages, its tables and its charge.
 */

/* From the middle, from an end, across several mappings with holes, all of it. */
TEST(ranges)
{
	static const struct {
		int page, pages, vmas, left;
	} ranges[] = {
		{ 1, 2, 4, 10 },	/* in the middle of the first */
		{ 0, 2, 3, 10 },	/* its head */
		{ 2, 2, 3, 10 },	/* its tail */
		{ 0, 4, 2, 8 },		/* all of it */
		{ 2, 10, 2, 6 },	/* across a hole, both ends split */
		{ 0, 20, 0, 0 },	/* everything */
		{ 4, 2, 3, 12 },	/* the hole: there is nothing to do */
		{ 5, 2, 3, 11 },	/* from the hole into the second */
	};
	int i, page;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		int end = ranges[i].page + ranges[i].pages;

		for_each_alloc_failure(walk) {
			struct driver driver = {};
			struct mm_struct *mm = mm_create();
			struct file *file = file_of(&driver);
			long ret;

			mmap_anon(mm, 0, 4, PRIVATE_RW);
			mmap_file_at(mm, file, 6, 4, SHARED_RW, 3);
			mmap_anon(mm, 14, 4, PRIVATE_RX | VM_LOCKED);
			fault_in(mm, 0, 4, true);
			fault_in(mm, 6, 4, false);

			if (ranges[i].left == 12)
				alloc_walk_may_need_none(walk);
			alloc_walk_begin(walk, mm);
			ret = op_munmap(mm, MM_ADDR(ranges[i].page),
					MM_LEN(ranges[i].pages));
			if (alloc_walk_end(walk, ret)) {
				ASSERT_EQ(mm->map_count, ranges[i].vmas);
				ASSERT_EQ(mm->total_vm, ranges[i].left);
				for (page = ranges[i].page; page < end; page++)
					ASSERT_EQ(token_at(mm, page), 0);
			}
			mm_destroy(mm);
			ASSERT_EQ(driver.balance, 0);
			fput(file);
		}
	}
}

/* What is left keeps its content and its offsets. */
TEST(keeps_the_rest)
{
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(NULL);
	unsigned long first, last;

	mmap_file_at(mm, file, 0, 9, PRIVATE_RW, 100);
	fault_in(mm, 0, 9, true);
	first = token_at(mm, 0);
	last = token_at(mm, 8);
	ASSERT_EQ(op_munmap(mm, MM_ADDR(3), MM_LEN(3)), 0);
	ASSERT_EQ(assert_pages(mm, 0, 3)->vm_pgoff, 100);
	ASSERT_EQ(assert_pages(mm, 6, 3)->vm_pgoff, 106);
	ASSERT_EQ(token_at(mm, 0), first);
	ASSERT_EQ(token_at(mm, 8), last);
	ASSERT_EQ(pt_nr_pages(mm), 6);
	ASSERT_EQ(file_refs(file), 3);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* Arguments that make no sense. */
TEST(invalid)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 4, PRIVATE_RW);
	ASSERT_REFUSED(mm, op_munmap(mm, MM_ADDR(0) + 1, PAGE_SIZE), -EINVAL);
	ASSERT_REFUSED(mm, op_munmap(mm, MM_ADDR(0), 0), -EINVAL);
	ASSERT_REFUSED(mm, op_munmap(mm, MM_ADDR(0), TASK_SIZE), -EINVAL);
	ASSERT_REFUSED(mm, op_munmap(mm, TASK_SIZE + PAGE_SIZE, PAGE_SIZE),
		       -EINVAL);
	/* A length is rounded up. */
	ASSERT_EQ(op_munmap(mm, MM_ADDR(0), 1), 0);
	ASSERT_EQ(mm->total_vm, 3);
	check_world();
	mm_destroy(mm);
}

/* Sealed memory stays, and so does what else was in the range. */
TEST(sealed)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 12, PRIVATE_RW);
	fault_in(mm, 0, 12, true);
	ASSERT_EQ(op_change_flags(mm, MM_ADDR(4), MM_LEN(4), VM_SEALED, 0), 0);
	assert_pages(mm, 4, 4);
	ASSERT_REFUSED(mm, op_munmap(mm, MM_ADDR(4), MM_LEN(4)), -EPERM);
	ASSERT_REFUSED(mm, op_munmap(mm, MM_ADDR(5), MM_LEN(1)), -EPERM);
	ASSERT_REFUSED(mm, op_munmap(mm, MM_ADDR(0), MM_LEN(12)), -EPERM);
	ASSERT_REFUSED(mm, op_munmap(mm, MM_ADDR(2), MM_LEN(3)), -EPERM);
	ASSERT_REFUSED(mm, op_munmap(mm, MM_ADDR(7), MM_LEN(3)), -EPERM);
	mm_destroy(mm);
}

/* A driver that does not allow a split is asked, at both ends. */
TEST(may_split)
{
	struct driver driver = { .split_error = -EINVAL };
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(&driver);

	mmap_file_at(mm, file, 0, 4, SHARED_RW, 0);
	ASSERT_REFUSED(mm, op_munmap(mm, MM_ADDR(0), MM_LEN(2)), -EINVAL);
	ASSERT_REFUSED(mm, op_munmap(mm, MM_ADDR(2), MM_LEN(2)), -EINVAL);
	ASSERT_REFUSED(mm, op_munmap(mm, MM_ADDR(1), MM_LEN(2)), -EINVAL);
	ASSERT_EQ(op_munmap(mm, MM_ADDR(0), MM_LEN(4)), 0);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* A hole needs one VMA more; at the limit, there is none. */
TEST(map_count)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 10, PRIVATE_RW);
	sysctl_max_map_count = 1;
	ASSERT_REFUSED(mm, op_munmap(mm, MM_ADDR(4), MM_LEN(2)), -ENOMEM);
	/* But memory can be given back. */
	ASSERT_EQ(op_munmap(mm, MM_ADDR(8), MM_LEN(2)), 0);
	ASSERT_EQ(op_munmap(mm, MM_ADDR(0), MM_LEN(2)), 0);
	assert_pages(mm, 2, 6);
	check_world();
	mm_destroy(mm);
}

/* The lock is dropped on success if that was asked for, and only then. */
TEST(unlock)
{
	struct mm_struct *mm = mm_create();
	struct vma_iterator vmi;
	LIST_HEAD(uf);

	mmap_anon(mm, 0, 4, PRIVATE_RW);
	fault_in(mm, 0, 4, true);
	vma_iter_init(&vmi, mm, MM_ADDR(0));
	ASSERT_EQ(do_vmi_munmap(&vmi, mm, MM_ADDR(0), MM_LEN(2), &uf, true), 0);
	ASSERT_FALSE(rwsem_is_locked(&mm->mmap_lock));

	/* Nothing to unmap is a success. */
	mmap_write_lock(mm);
	vma_iter_init(&vmi, mm, MM_ADDR(0));
	ASSERT_EQ(do_vmi_munmap(&vmi, mm, MM_ADDR(0), MM_LEN(2), &uf, true), 0);
	ASSERT_FALSE(rwsem_is_locked(&mm->mmap_lock));

	mmap_write_lock(mm);
	vma_iter_init(&vmi, mm, MM_ADDR(0));
	ASSERT_EQ(do_vmi_munmap(&vmi, mm, MM_ADDR(0) + 1, MM_LEN(2), &uf, true),
		  -EINVAL);
	mmap_assert_write_locked(mm);
	check_world();
	mm_destroy(mm);
}

/* A page table page goes with the last mapping that can use it. */
TEST(page_tables)
{
	const int per_table = PTRS_PER_TABLE;
	struct mm_struct *mm = mm_create();

	/* The first and the last table are shared with neighbours. */
	mmap_anon(mm, 0, 2, PRIVATE_RW);
	mmap_anon(mm, 2, 3 * per_table, PRIVATE_RW | VM_DONTDUMP);
	mmap_anon(mm, 2 + 3 * per_table, 2, PRIVATE_RW);
	fault_in(mm, 0, 1, true);
	fault_in(mm, 2, 1, true);
	fault_in(mm, per_table, 1, true);
	fault_in(mm, 2 * per_table, 1, true);
	fault_in(mm, 3 * per_table, 1, true);
	ASSERT_EQ(pt_nr_tables(mm), 4);

	ASSERT_EQ(op_munmap(mm, MM_ADDR(2), MM_LEN(3 * per_table)), 0);
	ASSERT_EQ(pt_nr_tables(mm), 2);
	ASSERT_TRUE(pt_table_exists(mm, MM_ADDR(0)));
	ASSERT_TRUE(pt_table_exists(mm, MM_ADDR(3 * per_table)));
	check_world();

	ASSERT_EQ(op_munmap(mm, MM_ADDR(0), MM_LEN(2)), 0);
	ASSERT_EQ(pt_nr_tables(mm), 1);
	check_world();
	mm_destroy(mm);
}

/* userfaultfd hears of each VMA; where it fails, nothing is unmapped. */
TEST(uffd)
{
	struct userfaultfd_ctx ctx = {};

	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		long ret;

		mmap_anon(mm, 0, 2, PRIVATE_RW);
		mmap_anon(mm, 2, 2, PRIVATE_R);
		mmap_anon(mm, 4, 2, PRIVATE_RW);
		vma_at(mm, 0)->vm_userfaultfd_ctx.ctx = &ctx;
		vma_at(mm, 4)->vm_userfaultfd_ctx.ctx = &ctx;
		calls.uffd_unmap_prep = 0;
		alloc_walk_begin(walk, mm);
		ret = op_munmap(mm, MM_ADDR(0), MM_LEN(6));
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(calls.uffd_unmap_prep, 3);
			ASSERT_EQ(mm->map_count, 0);
		}
		mm_destroy(mm);
	}
}

/* Many small mappings of two files: more than unlink_file_vma_batch() takes. */
TEST(many_files)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		struct file *a = file_of(NULL), *b = file_of(NULL);
		long ret;
		int i;

		for (i = 0; i < 12; i++)
			mmap_file_at(mm, a, i, 1, SHARED_RW, 100 - i);
		for (i = 12; i < 16; i++)
			mmap_file_at(mm, i & 1 ? a : b, i, 1, SHARED_RW, i);
		ASSERT_EQ(mm->map_count, 16);
		ASSERT_EQ(a->mapping.i_mmap_writable, 14);

		alloc_walk_begin(walk, mm);
		ret = op_munmap(mm, MM_ADDR(0), MM_LEN(15));
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(file_refs(a), 2);
			ASSERT_EQ(file_refs(b), 1);
		}
		mm_destroy(mm);
		fput(a);
		fput(b);
	}
}

/* What a VMA refers to beside its file: each part has its own. */
TEST(policy_and_name)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		struct vm_area_struct *vma;
		long ret;

		mmap_anon(mm, 0, 6, PRIVATE_RW);
		vma = vma_at(mm, 0);
		vma_policy(vma) = mpol_create(3);
		vma->anon_name = anon_vma_name_alloc("heap");
		fault_in(mm, 0, 6, true);

		alloc_walk_begin(walk, mm);
		ret = op_munmap(mm, MM_ADDR(2), MM_LEN(2));
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(vma_policy(vma_at(mm, 4))->mode, 3);
			ASSERT_EQ(alloc_nr_live_of("mempolicy"), 2);
			ASSERT_EQ(kref_read(&vma_at(mm, 4)->anon_name->kref),
				  2);
		}
		mm_destroy(mm);
	}
}
