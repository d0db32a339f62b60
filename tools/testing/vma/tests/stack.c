// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * expand_downwards(): the stack grows towards a fault.
 */

#define STACK	10000		/* page of the stack, with room below */

static struct mm_struct *mm_with_stack(vm_flags_t flags)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, STACK, 4, STACK_RW | flags);
	return mm;
}

static long grow_to(struct mm_struct *mm, int page)
{
	return op_grow_stack(mm, MM_ADDR(STACK), MM_ADDR(page) + 8);
}

/* It is longer below; what was in it is where it was, for rmap too. */
TEST(grows)
{
	int faulted;

	for (faulted = 0; faulted <= 1; faulted++) {
		for_each_alloc_failure(walk) {
			struct mm_struct *mm = mm_with_stack(VM_LOCKED);
			unsigned long token;
			pgoff_t pgoff = vma_at(mm, STACK)->vm_pgoff;
			long ret;

			mmap_anon(mm, 0, 4, PRIVATE_RW);
			if (faulted)
				fault_in(mm, STACK, 4, true);
			token = token_at(mm, STACK + 1);
			alloc_walk_begin(walk, mm);
			ret = grow_to(mm, STACK - 3);
			if (alloc_walk_end(walk, ret)) {
				assert_pages(mm, STACK - 3, 7);
				ASSERT_EQ(vma_at(mm, STACK)->vm_pgoff,
					  pgoff - 3);
				ASSERT_EQ(token_at(mm, STACK + 1), token);
				ASSERT_EQ(mm->stack_vm, 7);
				ASSERT_EQ(mm->locked_vm, 7);
				ASSERT_EQ(vm_committed, 11);
				/* There is a page for the fault. */
				fault_in(mm, STACK - 3, 1, true);
				check_world();
			}
			mm_destroy(mm);
		}
	}
}

/* The guard gap keeps a stack away from what is accessible below it. */
TEST(guard_gap)
{
	struct mm_struct *mm = mm_with_stack(0);

	fault_in(mm, STACK, 1, true);
	stack_guard_gap = MM_LEN(10);
	mmap_anon(mm, STACK - 20, 2, PRIVATE_R);
	ASSERT_REFUSED(mm, grow_to(mm, STACK - 9), -ENOMEM);
	ASSERT_EQ(grow_to(mm, STACK - 8), 0);
	check_world();

	/* Nothing can be corrupted where nothing can be accessed. */
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(STACK - 20), MM_LEN(2), 0), 0);
	ASSERT_EQ(op_grow_stack(mm, MM_ADDR(STACK - 8), MM_ADDR(STACK - 18)),
		  0);
	check_world();
	mm_destroy(mm);
}

/* Two stacks may meet. */
TEST(above_stack)
{
	struct mm_struct *mm = mm_with_stack(0);

	mmap_anon(mm, STACK - 20, 10, STACK_RW);
	ASSERT_EQ(grow_to(mm, STACK - 9), 0);
	check_world();
	mm_destroy(mm);
}

/* Each limit, at the page. */
TEST(limits)
{
	struct mm_struct *mm = mm_with_stack(VM_LOCKED);

	fault_in(mm, STACK, 1, true);
	rlimits[RLIMIT_STACK] = MM_LEN(6);
	ASSERT_REFUSED(mm, grow_to(mm, STACK - 3), -ENOMEM);
	ASSERT_EQ(grow_to(mm, STACK - 2), 0);
	rlimits[RLIMIT_STACK] = ULONG_MAX;

	rlimits[RLIMIT_AS] = MM_LEN(7);
	ASSERT_REFUSED(mm, op_grow_stack(mm, MM_ADDR(STACK - 2),
					 MM_ADDR(STACK - 4)), -ENOMEM);
	rlimits[RLIMIT_AS] = ULONG_MAX;

	rlimits[RLIMIT_MEMLOCK] = MM_LEN(7);
	ASSERT_REFUSED(mm, op_grow_stack(mm, MM_ADDR(STACK - 2),
					 MM_ADDR(STACK - 4)), -ENOMEM);
	rlimits[RLIMIT_MEMLOCK] = ULONG_MAX;

	vm_commit_limit = 7;
	ASSERT_REFUSED(mm, op_grow_stack(mm, MM_ADDR(STACK - 2),
					 MM_ADDR(STACK - 4)), -ENOMEM);
	vm_commit_limit = LONG_MAX;

	hugepage_only_start = MM_ADDR(STACK - 4);
	hugepage_only_end = MM_ADDR(STACK - 3);
	ASSERT_REFUSED(mm, op_grow_stack(mm, MM_ADDR(STACK - 2),
					 MM_ADDR(STACK - 4)), -EFAULT);
	ASSERT_EQ(op_grow_stack(mm, MM_ADDR(STACK - 2), MM_ADDR(STACK - 3)), 0);
	check_world();
	mm_destroy(mm);
}

/* Not a stack, too low, or there already. */
TEST(refused)
{
	struct mm_struct *mm = mm_with_stack(0);

	mmap_anon(mm, STACK + 100, 4, PRIVATE_RW);
	ASSERT_REFUSED(mm, op_grow_stack(mm, MM_ADDR(STACK + 100),
					 MM_ADDR(STACK + 90)), -EFAULT);
	mmap_min_addr = MM_ADDR(10);
	ASSERT_REFUSED(mm, grow_to(mm, 9), -EPERM);
	fault_in(mm, STACK, 1, true);
	/* Another thread was faster. */
	ASSERT_EQ(grow_to(mm, STACK + 1), 0);
	assert_pages(mm, STACK, 4);
	check_world();
	mm_destroy(mm);
}

/* A stack that was moved down cannot have a negative offset. */
TEST(pgoff_underflow)
{
	struct mm_struct *mm = mm_with_stack(0);

	vma_at(mm, STACK)->vm_pgoff = 2;
	fault_in(mm, STACK, 1, true);
	ASSERT_REFUSED(mm, grow_to(mm, STACK - 3), -ENOMEM);
	ASSERT_EQ(grow_to(mm, STACK - 2), 0);
	check_world();
	mm_destroy(mm);
}
