// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mm_take_all_locks(): every lock once, and every lock back.
 */

static void assert_locks(struct mm_struct *mm, bool locked)
{
	VMA_ITERATOR(vmi, mm, 0);
	struct vm_area_struct *vma;

	for_each_vma(vmi, vma) {
		if (vma->vm_file) {
			struct address_space *mapping = vma->vm_file->f_mapping;

			ASSERT_EQ(mapping->i_mmap_rwsem.count, locked ? -1 : 0);
			ASSERT_EQ(!!test_bit(AS_MM_ALL_LOCKS, &mapping->flags),
				  locked);
		}
		if (vma->anon_vma)
			ASSERT_EQ(vma->anon_vma->root->rwsem.count,
				  locked ? -1 : 0);
		if (locked)
			vma_assert_write_locked(vma);
	}
	ASSERT_EQ(mm_all_locks_mutex.locked, locked);
}

static struct mm_struct *mm_with_everything(struct file *file,
					    struct file *huge)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 4, PRIVATE_RW);
	fault_in(mm, 0, 4, true);
	/* Two VMAs of one anon_vma, and one that has its own. */
	op_mprotect(mm, MM_ADDR(2), MM_LEN(2), VM_READ);
	mmap_anon(mm, 10, 4, PRIVATE_RW);
	fault_in(mm, 10, 4, true);
	mmap_anon(mm, 20, 4, PRIVATE_R);
	/* Two VMAs of one file, one of them with pages of its own. */
	mmap_file_at(mm, file, 30, 4, SHARED_RW, 0);
	mmap_file_at(mm, file, 40, 4, PRIVATE_RW, 0);
	fault_in(mm, 40, 4, true);
	mmap_file_at(mm, huge, 50, 4, SHARED_RW, 0);
	mmap_write_unlock(mm);
	mmap_write_lock(mm);
	return mm;
}

TEST(all)
{
	struct driver hugetlb = { .set = VM_HUGETLB };
	struct file *file = file_of(NULL), *huge = file_of(&hugetlb);
	struct mm_struct *mm = mm_with_everything(file, huge);

	check_world();
	assert_locks(mm, false);
	ASSERT_EQ(mm_take_all_locks(mm), 0);
	assert_locks(mm, true);
	mm_drop_all_locks(mm);
	assert_locks(mm, false);
	check_world();
	mm_destroy(mm);
	fput(file);
	fput(huge);
}

/* Interrupted anywhere, it drops what it has got. */
TEST(interrupted)
{
	struct driver hugetlb = { .set = VM_HUGETLB };
	struct file *file = file_of(NULL), *huge = file_of(&hugetlb);
	struct mm_struct *mm = mm_with_everything(file, huge);
	int n, ret;

	for (n = 1;; n++) {
		signal_after = n;
		ret = mm_take_all_locks(mm);
		if (!ret)
			break;
		ASSERT_EQ(ret, -EINTR);
		signal_after = 0;
		assert_locks(mm, false);
		check_world();
	}
	/* It looks for a signal at each VMA, four times over. */
	ASSERT_EQ(n, 4 * mm->map_count + 1);
	signal_after = 0;
	mm_drop_all_locks(mm);
	check_world();
	mm_destroy(mm);
	fput(file);
	fput(huge);
}
