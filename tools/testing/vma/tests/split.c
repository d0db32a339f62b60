// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * split_vma(): two VMAs where there was one, and nothing else changes.
 */

/* The new VMA is below or above; the iterator is left at the old one. */
TEST(sides)
{
	int below;

	for (below = 0; below <= 1; below++) {
		for_each_alloc_failure(walk) {
			struct driver driver = {};
			struct mm_struct *mm = mm_create();
			struct file *file = file_of(&driver);
			struct vm_area_struct *vma;
			struct snapshot *before;
			struct vma_iterator vmi;
			int ret;

			vma_iter_init(&vmi, mm, 0);
			mmap_file_at(mm, file, 0, 6, PRIVATE_RW, 50);
			fault_in(mm, 0, 6, true);
			vma = vma_at(mm, 0);
			before = snapshot_take(mm);
			alloc_walk_begin(walk, mm);
			vma_iter_set(&vmi, MM_ADDR(0));
			vma_iter_load(&vmi);
			ret = split_vma(&vmi, vma, MM_ADDR(2), below);
			if (alloc_walk_end(walk, ret)) {
				assert_pages(mm, 0, 2);
				assert_pages(mm, 2, 4);
				ASSERT_EQ(vma_at(mm, below ? 2 : 0), vma);
				ASSERT_EQ(vma_at(mm, 2)->vm_pgoff, 52);
				ASSERT_EQ(vma_iter_addr(&vmi), vma->vm_start);
				ASSERT_EQ(driver.balance, 2);
				ASSERT_EQ(calls.trans_huge_adjust, 1);
				snapshot_compare(before, mm, 0, 0);
			}
			snapshot_free(before);
			calls.trans_huge_adjust = 0;
			mm_destroy(mm);
			fput(file);
		}
	}
}

/* split_vma() keeps to the limit; the driver has a say. */
TEST(refused)
{
	struct driver driver = { .split_error = -EBUSY };
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(&driver);
	struct vma_iterator vmi;

	vma_iter_init(&vmi, mm, MM_ADDR(0));
	mmap_file_at(mm, file, 0, 4, SHARED_RW, 0);
	ASSERT_REFUSED(mm, split_vma(&vmi, vma_at(mm, 0), MM_ADDR(2), 0),
		       -EBUSY);
	driver.split_error = 0;
	sysctl_max_map_count = 1;
	ASSERT_REFUSED(mm, split_vma(&vmi, vma_at(mm, 0), MM_ADDR(2), 0),
		       -ENOMEM);
	sysctl_max_map_count = 2;
	vma_iter_load(&vmi);
	ASSERT_EQ(split_vma(&vmi, vma_at(mm, 0), MM_ADDR(2), 0), 0);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* A policy is copied; if that fails, so does the split. */
TEST(policy)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		struct vma_iterator vmi;
		int ret;

		vma_iter_init(&vmi, mm, MM_ADDR(0));
		mmap_anon(mm, 0, 4, PRIVATE_RW);
		vma_policy(vma_at(mm, 0)) = mpol_create(1);
		fault_in(mm, 1, 3, true);
		alloc_walk_begin(walk, mm);
		vma_iter_load(&vmi);
		ret = split_vma(&vmi, vma_at(mm, 0), MM_ADDR(2), 1);
		if (alloc_walk_end(walk, ret)) {
			ASSERT_NE(vma_policy(vma_at(mm, 0)),
				  vma_policy(vma_at(mm, 2)));
			ASSERT_EQ(alloc_nr_live_of("mempolicy"), 2);
		} else {
			ASSERT_EQ(alloc_nr_live_of("mempolicy"), 1);
		}
		mm_destroy(mm);
	}
}

/* hugetlb unshares its page tables at the new boundary. */
TEST(hugetlb)
{
	struct driver driver = { .set = VM_HUGETLB };
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(&driver);
	struct vma_iterator vmi;

	vma_iter_init(&vmi, mm, MM_ADDR(0));
	file->is_hugetlb = true;
	mmap_file_at(mm, file, 0, 4, SHARED_RW, 0);
	vma_iter_load(&vmi);
	ASSERT_EQ(split_vma(&vmi, vma_at(mm, 0), MM_ADDR(2), 0), 0);
	ASSERT_EQ(calls.hugetlb_split, 1);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* vma_shrink(), from either end. */
TEST(shrink)
{
	int head;

	for (head = 0; head <= 1; head++) {
		for_each_alloc_failure(walk) {
			struct mm_struct *mm = mm_create();
			struct vm_area_struct *vma;
			struct vma_iterator vmi;
			int ret;

			vma_iter_init(&vmi, mm, MM_ADDR(0));
			mmap_anon(mm, 0, 6, PRIVATE_R);
			vma = vma_at(mm, 0);
			alloc_walk_begin(walk, mm);
			if (head)
				ret = shrink_existing(&vmi, vma, MM_ADDR(2),
						      MM_ADDR(6),
						      vma->vm_pgoff + 2);
			else
				ret = shrink_existing(&vmi, vma, MM_ADDR(0),
						      MM_ADDR(4),
						      vma->vm_pgoff);
			/* The caller does the accounting. */
			if (!ret)
				vm_stat_account(mm, vma->vm_flags, -2);
			if (alloc_walk_end(walk, ret))
				assert_pages(mm, head ? 2 : 0, 4);
			mm_destroy(mm);
		}
	}
}
