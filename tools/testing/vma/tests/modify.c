// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vma_modify_*(): a range of a VMA gets other attributes. It merges with what is
 * like it then, or is split off.
 */

/* @neighbours: 1 below, 2 above. @faulted: 1 it, 2 below, 4 above. */
static void modify_part(int start, int len, int neighbours, int faulted)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		long ret;
		int i;

		if (neighbours & 1)
			mmap_anon(mm, 0, 4, PRIVATE_R | VM_ACCOUNT);
		mmap_anon(mm, 4, 4, PRIVATE_RW);
		if (neighbours & 2)
			mmap_anon(mm, 8, 4, PRIVATE_R | VM_ACCOUNT);
		/* A mapping that was writable once has been charged. */
		vm_acct_memory(4 * !!(neighbours & 1));
		vm_acct_memory(4 * !!(neighbours & 2));
		if (faulted & 1)
			fault_in(mm, 4, 4, true);
		if ((faulted & 2) && (neighbours & 1))
			ASSERT_EQ(anon_vma_prepare(vma_at(mm, 0)), 0);
		if ((faulted & 4) && (neighbours & 2))
			ASSERT_EQ(anon_vma_prepare(vma_at(mm, 8)), 0);

		/* All of it, and nothing to merge with. */
		if (len == 4)
			alloc_walk_may_need_none(walk);
		alloc_walk_begin(walk, mm);
		ret = op_mprotect(mm, MM_ADDR(4 + start), MM_LEN(len), VM_READ);
		if (alloc_walk_end(walk, ret)) {
			for (i = 0; i < 4; i++)
				ASSERT_EQ(!!(vma_at(mm, 4 + i)->vm_flags &
					     VM_WRITE),
					  i < start || i >= start + len);
			ASSERT_EQ(mm->data_vm, 4 - len);
			ASSERT_LE(mm->map_count, 5);
		}
		mm_destroy(mm);
	}
}

/* Every part of a mapping, written or not, between neighbours or without. */
TEST(flags_everywhere)
{
	int start, len, i;

	for (start = 0; start < 4; start++)
		for (len = 1; start + len <= 4; len++)
			for (i = 0; i < 32; i++)
				modify_part(start, len, i & 3, i >> 2);
}

/* Forth and back again, it is one VMA as before. */
TEST(and_back)
{
	struct mm_struct *mm = mm_create();
	struct snapshot *before;
	int start, len;

	mmap_anon(mm, 0, 6, PRIVATE_RW);
	fault_in(mm, 0, 6, true);
	before = snapshot_take(mm);
	for (start = 0; start < 6; start++) {
		for (len = 1; start + len <= 6; len++) {
			ASSERT_EQ(op_mprotect(mm, MM_ADDR(start), MM_LEN(len),
					      VM_READ), 0);
			ASSERT_EQ(mm->map_count, 1 + (start > 0) * (len < 6) +
				  (start + len < 6));
			check_world();
			ASSERT_EQ(op_mprotect(mm, MM_ADDR(start), MM_LEN(len),
					      VM_READ | VM_WRITE), 0);
			assert_pages(mm, 0, 6);
			check_world();
			snapshot_compare(before, mm, 0, 0);
		}
	}
	snapshot_free(before);
	mm_destroy(mm);
}

/* Across several VMAs, those that become alike become one. */
TEST(across)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 2, PRIVATE_RW);
	mmap_anon(mm, 2, 2, PRIVATE_RX | VM_ACCOUNT);
	vm_acct_memory(2);
	mmap_anon(mm, 4, 2, PRIVATE_RW);
	fault_in(mm, 0, 2, true);
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(0), MM_LEN(6), VM_READ | VM_WRITE), 0);
	assert_pages(mm, 0, 6);
	check_world();
	/* A hole stops it, before anything is done here. */
	ASSERT_EQ(op_munmap(mm, MM_ADDR(2), MM_LEN(1)), 0);
	ASSERT_REFUSED(mm, op_mprotect(mm, MM_ADDR(0), MM_LEN(6), VM_READ),
		       -ENOMEM);
	mm_destroy(mm);
}

/* Files: the offset and the file have to go on, and writers are counted. */
TEST(file)
{
	for_each_alloc_failure(walk) {
		struct driver plain = { .no_hooks = true };
		struct mm_struct *mm = mm_create();
		struct file *file = file_of(&plain);
		long ret;

		mmap_file_at(mm, file, 0, 4, SHARED_RW, 10);
		mmap_file_at(mm, file, 4, 4, SHARED_R, 14);
		mmap_file_at(mm, file, 8, 4, SHARED_R, 30);
		fault_in(mm, 0, 8, false);
		alloc_walk_begin(walk, mm);
		ret = op_mprotect(mm, MM_ADDR(2), MM_LEN(2), VM_READ);
		if (alloc_walk_end(walk, ret)) {
			assert_pages(mm, 0, 2);
			ASSERT_EQ(assert_pages(mm, 2, 6)->vm_pgoff, 12);
			assert_pages(mm, 8, 4);
			ASSERT_EQ(file->mapping.i_mmap_writable, 3);
		}
		mm_destroy(mm);
		fput(file);
	}
}

/* With a close hook, a VMA changes its size but is not merged away. */
TEST(close_hook)
{
	for_each_alloc_failure(walk) {
		struct driver driver = {};
		struct mm_struct *mm = mm_create();
		struct file *file = file_of(&driver);
		long ret;

		mmap_file_at(mm, file, 0, 4, SHARED_R, 0);
		mmap_file_at(mm, file, 4, 4, SHARED_RW, 4);
		mmap_file_at(mm, file, 8, 4, SHARED_R, 8);
		alloc_walk_may_need_none(walk);
		alloc_walk_begin(walk, mm);
		ret = op_mprotect(mm, MM_ADDR(4), MM_LEN(4), VM_READ);
		if (alloc_walk_end(walk, ret)) {
			assert_pages(mm, 0, 4);
			assert_pages(mm, 4, 4);
			assert_pages(mm, 8, 4);
			/* A part of it can move over. */
			ASSERT_EQ(op_mprotect(mm, MM_ADDR(6), MM_LEN(6),
					      VM_READ | VM_WRITE), 0);
			ASSERT_EQ(op_mprotect(mm, MM_ADDR(6), MM_LEN(1),
					      VM_READ), 0);
			assert_pages(mm, 4, 3);
			check_world();
		}
		mm_destroy(mm);
		ASSERT_EQ(driver.balance, 0);
		fput(file);
	}
}

/* Special mappings are split, but do not merge again. */
TEST(special)
{
	struct driver driver = { .set = VM_DONTEXPAND, .no_hooks = true };
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(&driver);

	mmap_file_at(mm, file, 0, 4, SHARED_RW, 0);
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(0), MM_LEN(2), VM_READ), 0);
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(0), MM_LEN(2), VM_READ | VM_WRITE), 0);
	assert_pages(mm, 0, 2);
	assert_pages(mm, 2, 2);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* Sealed memory keeps its protection. */
TEST(sealed)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 4, PRIVATE_RW);
	op_change_flags(mm, MM_ADDR(0), MM_LEN(2), VM_SEALED, 0);
	ASSERT_REFUSED(mm, op_mprotect(mm, MM_ADDR(0), MM_LEN(1), VM_READ),
		       -EPERM);
	mm_destroy(mm);
}

/* Private memory that becomes writable is charged, and so limited. */
TEST(charge)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 4, PRIVATE_R);
	vm_commit_limit = 1;
	ASSERT_REFUSED(mm, op_mprotect(mm, MM_ADDR(0), MM_LEN(2), VM_WRITE),
		       -ENOMEM);
	vm_commit_limit = 2;
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(0), MM_LEN(2), VM_WRITE), 0);
	ASSERT_EQ(vm_committed, 2);
	check_world();
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(0), MM_LEN(2), VM_READ), 0);
	ASSERT_EQ(vm_committed, 0);
	assert_pages(mm, 0, 4);
	check_world();
	mm_destroy(mm);
}

/* Splitting stops at the limit of VMAs. */
TEST(map_count)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 6, PRIVATE_RW);
	sysctl_max_map_count = 1;
	ASSERT_REFUSED(mm, op_mprotect(mm, MM_ADDR(0), MM_LEN(2), VM_READ),
		       -ENOMEM);
	ASSERT_REFUSED(mm, op_mprotect(mm, MM_ADDR(2), MM_LEN(4), VM_READ),
		       -ENOMEM);
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(0), MM_LEN(6), VM_READ), 0);
	check_world();
	mm_destroy(mm);
}

/* mlock() counts what it locks, once. */
TEST(locked)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 6, PRIVATE_RW);
	ASSERT_EQ(op_change_flags(mm, MM_ADDR(0), MM_LEN(4), VM_LOCKED, 0), 0);
	ASSERT_EQ(op_change_flags(mm, MM_ADDR(2), MM_LEN(4), VM_LOCKED, 0), 0);
	ASSERT_EQ(mm->locked_vm, 6);
	assert_pages(mm, 0, 6);
	ASSERT_EQ(op_change_flags(mm, MM_ADDR(1), MM_LEN(2), 0, VM_LOCKED), 0);
	ASSERT_EQ(mm->locked_vm, 4);
	ASSERT_EQ(mm->map_count, 3);
	check_world();
	ASSERT_EQ(op_munmap(mm, MM_ADDR(0), MM_LEN(2)), 0);
	ASSERT_EQ(mm->locked_vm, 3);
	check_world();
	mm_destroy(mm);
}

/* Runs vma_modify_*() on pages 2 and 3 of the VMA there. */
#define MODIFY(_mm, _fn, _args...) ({					\
	VMA_ITERATOR(__vmi, _mm, MM_ADDR(2));				\
	struct vm_area_struct *__vma = vma_find(&__vmi, MM_ADDR(4));	\
	struct vm_area_struct *__prev = vma_prev(&__vmi);		\
									\
	vma_iter_set(&__vmi, MM_ADDR(2));				\
	vma_iter_load(&__vmi);						\
	_fn(&__vmi, __vma->vm_start < MM_ADDR(2) ? __vma : __prev,	\
	    __vma, MM_ADDR(2), MM_ADDR(4), ##_args);			\
})

/* A name keeps VMAs apart, unless it is the same. */
TEST(name)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		struct anon_vma_name *name = anon_vma_name_alloc("stack of 7");
		struct vm_area_struct *vma;

		mmap_anon(mm, 0, 4, PRIVATE_RW);
		alloc_walk_begin(walk, mm);
		vma = MODIFY(mm, vma_modify_flags_name,
			     vma_at(mm, 2)->vm_flags, name);
		if (alloc_walk_end(walk, (long)vma)) {
			assert_pages(mm, 2, 2);
			vma->anon_name = anon_vma_name_alloc("stack of 7");
			/* The next one gets the same name: equal is enough. */
			vma = vma_at(mm, 0);
			vma->anon_name = name;
			anon_vma_name_get(name);
			vma = MODIFY(mm, vma_modify_flags_name, vma->vm_flags,
				     name);
			ASSERT_EQ(vma, vma_at(mm, 0));
			assert_pages(mm, 0, 4);
			check_world();
		}
		anon_vma_name_put(name);
		mm_destroy(mm);
		ASSERT_EQ(alloc_nr_live_of("anon_vma_name"), 0);
	}
}

/* So does a policy. */
TEST(policy)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		struct mempolicy *policy = mpol_create(2);
		struct vm_area_struct *vma;

		mmap_anon(mm, 0, 4, PRIVATE_RW);
		fault_in(mm, 0, 4, true);
		alloc_walk_begin(walk, mm);
		vma = MODIFY(mm, vma_modify_policy, policy);
		if (alloc_walk_end(walk, (long)vma)) {
			assert_pages(mm, 2, 2);
			vma_policy(vma) = mpol_create(2);
			vma_policy(vma_at(mm, 0)) = mpol_create(2);
			vma = MODIFY(mm, vma_modify_policy, policy);
			assert_pages(mm, 0, 4);
			ASSERT_EQ(alloc_nr_live_of("mempolicy"), 2);
			check_world();
		}
		mpol_put(policy);
		mm_destroy(mm);
	}
}

/* And userfaultfd. It may prefer no merge to an error. */
TEST(uffd)
{
	struct vm_userfaultfd_ctx none = {}, ctx = {};
	struct userfaultfd_ctx uffd = {};
	int give_up;

	ctx.ctx = &uffd;
	for (give_up = 0; give_up <= 1; give_up++) {
		for_each_alloc_failure(walk) {
			struct mm_struct *mm = mm_create();
			struct vm_area_struct *vma;
			unsigned long flags;

			/* Registered, between two that are not. */
			mmap_anon(mm, 2, 2, PRIVATE_RW);
			vma = vma_at(mm, 2);
			vma->vm_userfaultfd_ctx = ctx;
			mmap_anon(mm, 0, 2, PRIVATE_RW);
			mmap_anon(mm, 4, 2, PRIVATE_RW);
			fault_in(mm, 4, 1, true);
			flags = vma->vm_flags;
			ASSERT_EQ(mm->map_count, 3);

			alloc_walk_begin(walk, mm);
			vma = MODIFY(mm, vma_modify_flags_uffd, flags, none,
				     give_up);
			if (!IS_ERR(vma))
				vma->vm_userfaultfd_ctx = none;
			if (alloc_walk_end(walk, (long)vma)) {
				if (!walk->is_injected)
					assert_pages(mm, 0, 6);
			} else {
				ASSERT_FALSE(give_up);
			}
			mm_destroy(mm);
		}
	}
}

/* Named otherwise than its neighbours, it stays apart. */
TEST(name_differs)
{
	struct anon_vma_name *name = anon_vma_name_alloc("a");
	struct mm_struct *mm = mm_create();
	struct vm_area_struct *vma;

	mmap_anon(mm, 0, 2, PRIVATE_RW);
	vma_at(mm, 0)->anon_name = anon_vma_name_alloc("b");
	mmap_anon(mm, 2, 2, PRIVATE_RW);
	mmap_anon(mm, 4, 2, PRIVATE_RW | VM_DONTDUMP);
	assert_pages(mm, 2, 2);
	vma = MODIFY(mm, vma_modify_flags_name, vma_at(mm, 2)->vm_flags, name);
	ASSERT_EQ(vma, vma_at(mm, 2));
	assert_pages(mm, 2, 2);
	check_world();
	anon_vma_name_put(name);
	mm_destroy(mm);
}
