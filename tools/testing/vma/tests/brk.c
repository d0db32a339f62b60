// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * do_brk_flags(): the heap grows.
 */

static struct mm_struct *mm_with_brk(void)
{
	struct mm_struct *mm = mm_create();

	mm->start_brk = MM_ADDR(0);
	mm->brk = MM_ADDR(0);
	return mm;
}

/* It begins, and then it is one VMA that grows and shrinks. */
TEST(grows)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_with_brk();
		long ret;

		alloc_walk_begin(walk, mm);
		ret = op_brk(mm, MM_ADDR(2));
		if (alloc_walk_end(walk, ret)) {
			ASSERT_TRUE(vma_is_anonymous(assert_pages(mm, 0, 2)));
			ASSERT_EQ(vma_at(mm, 0)->vm_flags,
				  VM_DATA_DEFAULT_FLAGS | VM_ACCOUNT |
				  VM_SOFTDIRTY);
			ASSERT_EQ(vma_at(mm, 0)->vm_pgoff,
				  MM_ADDR(0) >> PAGE_SHIFT);
			ASSERT_EQ(op_brk(mm, MM_ADDR(4) + 5), 0);
			assert_pages(mm, 0, 5);
			ASSERT_EQ(mm->data_vm, 5);
			ASSERT_EQ(op_brk(mm, MM_ADDR(3)), 0);
			assert_pages(mm, 0, 3);
			ASSERT_EQ(vm_committed, 3);
			check_world();
		}
		mm_destroy(mm);
	}
}

/* Growing a heap that has been written to, with something far behind it. */
TEST(expands)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_with_brk();
		unsigned long token;
		long ret;

		ASSERT_EQ(op_brk(mm, MM_ADDR(2)), 0);
		mmap_anon(mm, 1000, 1, PRIVATE_RW);
		fault_in(mm, 0, 2, true);
		token = token_at(mm, 1);
		alloc_walk_begin(walk, mm);
		ret = op_brk(mm, MM_ADDR(6));
		if (alloc_walk_end(walk, ret)) {
			assert_pages(mm, 0, 6);
			ASSERT_EQ(token_at(mm, 1), token);
			fault_in(mm, 5, 1, true);
			check_world();
		}
		mm_destroy(mm);
	}
}

/* Where the heap's VMA has become another, a new one begins. */
TEST(new_vma)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_with_brk();
		long ret;

		ASSERT_EQ(op_brk(mm, MM_ADDR(4)), 0);
		mmap_anon(mm, 1000, 1, PRIVATE_RW);
		ASSERT_EQ(op_mprotect(mm, MM_ADDR(2), MM_LEN(2), VM_READ), 0);
		alloc_walk_begin(walk, mm);
		ret = op_brk(mm, MM_ADDR(6));
		if (alloc_walk_end(walk, ret)) {
			assert_pages(mm, 2, 2);
			assert_pages(mm, 4, 2);
			ASSERT_EQ(mm->map_count, 4);
		}
		mm_destroy(mm);
	}
}

/* Limits of address space, of data, of VMAs, of memory that may be promised. */
TEST(limits)
{
	struct mm_struct *mm = mm_with_brk();

	ASSERT_EQ(op_brk(mm, MM_ADDR(2)), 0);
	rlimits[RLIMIT_AS] = MM_LEN(3);
	ASSERT_REFUSED(mm, op_brk(mm, MM_ADDR(4)), -ENOMEM);
	rlimits[RLIMIT_AS] = ULONG_MAX;
	rlimits[RLIMIT_DATA] = MM_LEN(3);
	ASSERT_REFUSED(mm, op_brk(mm, MM_ADDR(4)), -ENOMEM);
	rlimits[RLIMIT_DATA] = ULONG_MAX;
	vm_commit_limit = 3;
	ASSERT_REFUSED(mm, op_brk(mm, MM_ADDR(4)), -ENOMEM);
	vm_commit_limit = LONG_MAX;
	sysctl_max_map_count = 0;
	ASSERT_REFUSED(mm, op_brk(mm, MM_ADDR(4)), -ENOMEM);
	sysctl_max_map_count = 1;
	ASSERT_EQ(op_brk(mm, MM_ADDR(4)), 0);
	check_world();
	mm_destroy(mm);
}

/* After mlockall(MCL_FUTURE), the heap is locked. */
TEST(locked)
{
	struct mm_struct *mm = mm_with_brk();

	mm->def_flags = VM_LOCKED;
	rlimits[RLIMIT_MEMLOCK] = MM_LEN(3);
	ASSERT_EQ(op_brk(mm, MM_ADDR(2)), 0);
	ASSERT_EQ(mm->locked_vm, 2);
	ASSERT_REFUSED(mm, op_brk(mm, MM_ADDR(4)), -EAGAIN);
	ASSERT_EQ(op_brk(mm, MM_ADDR(3)), 0);
	ASSERT_EQ(mm->locked_vm, 3);
	assert_pages(mm, 0, 3);
	check_world();
	mm_destroy(mm);
}

/* READ_IMPLIES_EXEC makes the heap executable. */
TEST(executable)
{
	struct mm_struct *mm = mm_with_brk();

	current->personality = READ_IMPLIES_EXEC;
	ASSERT_EQ(op_brk(mm, MM_ADDR(2)), 0);
	ASSERT_TRUE(vma_at(mm, 0)->vm_flags & VM_EXEC);
	check_world();
	mm_destroy(mm);
}
