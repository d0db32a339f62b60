// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mmap_region(): what is mapped, what it merges with, what it costs, and that
 * nothing remains of what fails.
 */

/* A new anonymous mapping: one VMA, accounted for, dirty for soft-dirty. */
TEST(anonymous)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		struct vm_area_struct *vma;
		long ret;

		alloc_walk_begin(walk, mm);
		ret = mmap_anon(mm, 0, 5, PRIVATE_RW);
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(ret, MM_ADDR(0));
			vma = assert_pages(mm, 0, 5);
			ASSERT_TRUE(vma_is_anonymous(vma));
			ASSERT_EQ(vma->vm_flags,
				  PRIVATE_RW | VM_ACCOUNT | VM_SOFTDIRTY);
			ASSERT_EQ(vma->vm_pgoff, MM_ADDR(0) >> PAGE_SHIFT);
			ASSERT_EQ(mm->total_vm, 5);
			ASSERT_EQ(mm->data_vm, 5);
			ASSERT_EQ(vm_committed, 5);
			ASSERT_EQ(calls.khugepaged_enter, 1);
			ASSERT_EQ(calls.ksm_add, 1);
			ASSERT_EQ(calls.perf_mmap, 1);
		}
		mm_destroy(mm);
		memset(&calls, 0, sizeof(calls));
	}
}

/* Each kind of mapping is counted where it belongs, and is charged for or not. */
TEST(accounting)
{
	static const struct {
		vm_flags_t flags;
		int exec, data, stack, committed;
	} kinds[] = {
		{ PRIVATE_RW, 0, 3, 0, 3 },
		{ PRIVATE_R, 0, 0, 0, 0 },
		{ PRIVATE_RX, 3, 0, 0, 0 },
		{ PRIVATE_RX | VM_WRITE, 0, 3, 0, 3 },
		{ STACK_RW, 0, 0, 3, 3 },
		{ PRIVATE_RW | VM_NORESERVE, 0, 3, 0, 0 },
		{ SHARED_RW, 0, 0, 0, 0 },
		{ VM_MAYRWX, 0, 0, 0, 0 },
	};
	struct mm_struct *mm = mm_create();
	int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		ASSERT_EQ(mmap_anon(mm, 0, 3, kinds[i].flags), MM_ADDR(0));
		check_world();
		ASSERT_EQ(mm->total_vm, 3);
		ASSERT_EQ(mm->exec_vm, kinds[i].exec);
		ASSERT_EQ(mm->data_vm, kinds[i].data);
		ASSERT_EQ(mm->stack_vm, kinds[i].stack);
		ASSERT_EQ(vm_committed, kinds[i].committed);
		ASSERT_EQ(!!(vma_at(mm, 0)->vm_flags & VM_ACCOUNT),
			  !!kinds[i].committed);
		ASSERT_EQ(op_munmap(mm, MM_ADDR(0), MM_LEN(3)), 0);
		ASSERT_EQ(vm_committed, 0);
	}
	mm_destroy(mm);
}

/* hugetlb has an accounting of its own. */
TEST(hugetlb_not_charged)
{
	struct driver driver = { .set = VM_HUGETLB };
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(&driver);

	file->is_hugetlb = true;
	ASSERT_EQ(mmap_file_at(mm, file, 0, 4, PRIVATE_RW, 0), MM_ADDR(0));
	ASSERT_EQ(vm_committed, 0);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* What fills the space between two mappings like it makes them one. */
TEST(merges_both)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		unsigned long token;
		long ret;

		mmap_anon(mm, 0, 2, PRIVATE_RW);
		mmap_anon(mm, 4, 2, PRIVATE_RW);
		fault_in(mm, 4, 1, true);
		token = token_at(mm, 4);

		alloc_walk_begin(walk, mm);
		ret = mmap_anon(mm, 2, 2, PRIVATE_RW);
		if (alloc_walk_end(walk, ret)) {
			if (!walk->is_injected)
				assert_pages(mm, 0, 6);
			ASSERT_EQ(mm->total_vm, 6);
			ASSERT_EQ(token_at(mm, 4), token);
		}
		mm_destroy(mm);
	}
}

/* It merges with the one side that fits. */
TEST(merges_one_side)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 2, PRIVATE_RW);
	mmap_anon(mm, 4, 2, PRIVATE_R);
	mmap_anon(mm, 2, 2, PRIVATE_RW);
	assert_pages(mm, 0, 4);
	assert_pages(mm, 4, 2);
	mmap_anon(mm, 10, 2, PRIVATE_RW);
	mmap_anon(mm, 8, 2, PRIVATE_RW);
	assert_pages(mm, 8, 4);
	check_world();
	mm_destroy(mm);
}

/* Neighbours with anon_vmas of their own stay apart, or one would lose pages. */
TEST(keeps_anon_vmas_apart)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 2, PRIVATE_RW);
	mmap_anon(mm, 4, 2, PRIVATE_RW);
	fault_in(mm, 0, 2, true);
	fault_in(mm, 4, 2, true);
	mmap_anon(mm, 2, 2, PRIVATE_RW);
	assert_pages(mm, 0, 4);
	assert_pages(mm, 4, 2);
	check_world();
	mm_destroy(mm);
}

/* File mappings merge where file, offset and flags go on. */
TEST(file_merge)
{
	struct driver plain = { .no_hooks = true };
	struct mm_struct *mm = mm_create();
	struct file *a = file_of(&plain), *b = file_of(NULL);

	mmap_file_at(mm, a, 0, 2, SHARED_RW, 10);
	/* goes on */
	mmap_file_at(mm, a, 2, 2, SHARED_RW, 12);
	assert_pages(mm, 0, 4);
	/* an offset that does not */
	mmap_file_at(mm, a, 4, 2, SHARED_RW, 15);
	assert_pages(mm, 4, 2);
	/* another file */
	mmap_file_at(mm, b, 6, 2, SHARED_RW, 17);
	assert_pages(mm, 6, 2);
	/* other flags */
	mmap_file_at(mm, b, 8, 2, SHARED_R, 19);
	assert_pages(mm, 8, 2);
	check_world();
	ASSERT_EQ(file_refs(a), 1 + 2);
	ASSERT_EQ(file_refs(b), 1 + 2);
	ASSERT_EQ(a->mapping.i_mmap_writable, 2);
	mm_destroy(mm);
	ASSERT_EQ(file_refs(a), 1);
	ASSERT_EQ(a->mapping.i_mmap_writable, 0);
	fput(a);
	fput(b);
}

/* A VMA with a close hook may grow, but is never merged away. */
TEST(close_hook)
{
	struct driver driver = {};
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(&driver);

	mmap_file_at(mm, file, 0, 2, SHARED_RW, 0);
	mmap_file_at(mm, file, 4, 2, SHARED_RW, 4);
	ASSERT_EQ(driver.balance, 2);
	mmap_file_at(mm, file, 2, 2, SHARED_RW, 2);
	assert_pages(mm, 0, 4);
	assert_pages(mm, 4, 2);
	ASSERT_EQ(driver.balance, 2);
	check_world();
	mm_destroy(mm);
	ASSERT_EQ(driver.balance, 0);
	fput(file);
}

/* Special mappings do not merge. */
TEST(special)
{
	struct driver driver = { .set = VM_PFNMAP | VM_IO, .no_hooks = true };
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(&driver);

	mmap_file_at(mm, file, 0, 2, SHARED_RW, 0);
	mmap_file_at(mm, file, 2, 2, SHARED_RW, 2);
	assert_pages(mm, 0, 2);
	assert_pages(mm, 2, 2);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* MAP_FIXED replaces what is there, and only what is in its range. */
TEST(fixed)
{
	struct driver driver = {};
	struct file *file = file_of(&driver);

	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		unsigned long before, after;
		long ret;
		int i;

		mmap_anon(mm, 0, 4, PRIVATE_RW);
		mmap_file_at(mm, file, 4, 3, SHARED_RW, 7);
		mmap_anon(mm, 8, 4, PRIVATE_R | VM_NORESERVE);
		fault_in(mm, 0, 4, true);
		fault_in(mm, 4, 3, false);
		before = token_at(mm, 1);
		after = token_at(mm, 10);

		alloc_walk_may_lose(walk, MM_ADDR(2), MM_ADDR(10));
		alloc_walk_begin(walk, mm);
		ret = mmap_anon(mm, 2, 8, PRIVATE_RX);
		if (alloc_walk_end(walk, ret)) {
			assert_pages(mm, 0, 2);
			assert_pages(mm, 2, 8);
			assert_pages(mm, 10, 2);
			for (i = 2; i < 10; i++)
				ASSERT_EQ(token_at(mm, i), 0);
			ASSERT_EQ(driver.balance, 0);
			ASSERT_EQ(mm->total_vm, 12);
			ASSERT_EQ(mm->exec_vm, 8);
			ASSERT_EQ(vm_committed, 2);
		}
		ASSERT_EQ(token_at(mm, 1), before);
		ASSERT_EQ(token_at(mm, 10), after);
		mm_destroy(mm);
		ASSERT_EQ(driver.balance, 0);
	}
	fput(file);
}

/* What is replaced is paid back: at the limit, it may be replaced by the like. */
TEST(fixed_at_limits)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 8, PRIVATE_RW);
	rlimits[RLIMIT_AS] = MM_LEN(8);
	rlimits[RLIMIT_DATA] = MM_LEN(12);
	vm_commit_limit = 8;
	ASSERT_EQ(mmap_anon(mm, 2, 4, PRIVATE_RW | VM_DONTDUMP), MM_ADDR(2));
	ASSERT_EQ(vm_committed, 8);
	check_world();
	/* Nor is a charge left when nothing is left to be charged. */
	ASSERT_EQ(mmap_anon(mm, 0, 8, PRIVATE_R), MM_ADDR(0));
	ASSERT_EQ(vm_committed, 0);
	check_world();
	mm_destroy(mm);
}

/* Each limit refuses what is one page too large, and takes what is not. */
TEST(limits)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 4, PRIVATE_RW);

	rlimits[RLIMIT_AS] = MM_LEN(7);
	ASSERT_REFUSED(mm, mmap_anon(mm, 10, 4, PRIVATE_R), -ENOMEM);
	ASSERT_EQ(mmap_anon(mm, 10, 3, PRIVATE_R), MM_ADDR(10));
	rlimits[RLIMIT_AS] = ULONG_MAX;

	rlimits[RLIMIT_DATA] = MM_LEN(7);
	ASSERT_REFUSED(mm, mmap_anon(mm, 20, 4, PRIVATE_RW), -ENOMEM);
	ASSERT_EQ(mmap_anon(mm, 20, 4, PRIVATE_R), MM_ADDR(20));
	ASSERT_EQ(mmap_anon(mm, 30, 3, PRIVATE_RW), MM_ADDR(30));
	ignore_rlimit_data = true;
	ASSERT_EQ(mmap_anon(mm, 40, 4, PRIVATE_RW), MM_ADDR(40));

	vm_commit_limit = vm_committed + 3;
	ASSERT_REFUSED(mm, mmap_anon(mm, 50, 4, PRIVATE_RW), -ENOMEM);
	ASSERT_EQ(mmap_anon(mm, 50, 3, PRIVATE_RW), MM_ADDR(50));

	rlimits[RLIMIT_MEMLOCK] = MM_LEN(2);
	ASSERT_REFUSED(mm, mmap_anon(mm, 60, 3, PRIVATE_R | VM_LOCKED),
		       -EAGAIN);
	ASSERT_EQ(mmap_anon(mm, 60, 2, PRIVATE_R | VM_LOCKED), MM_ADDR(60));
	ASSERT_EQ(mm->locked_vm, 2);
	may_ipc_lock = true;
	ASSERT_EQ(mmap_anon(mm, 70, 2, PRIVATE_R | VM_LOCKED), MM_ADDR(70));
	ASSERT_EQ(mm->locked_vm, 4);

	check_world();
	mm_destroy(mm);
}

/* A mapping in the middle of another needs two VMAs more. */
TEST(fixed_map_count)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 10, PRIVATE_RW);
	sysctl_max_map_count = 1;
	ASSERT_REFUSED(mm, mmap_anon(mm, 4, 2, PRIVATE_R), -ENOMEM);
	/* At an end it does not. */
	ASSERT_EQ(mmap_anon(mm, 8, 2, PRIVATE_R), MM_ADDR(8));
	ASSERT_EQ(mm->map_count, 2);
	check_world();
	mm_destroy(mm);
}

/* Locked memory is counted, unless the mapping cannot be locked. */
TEST(locked)
{
	struct driver pfnmap = { .set = VM_PFNMAP };
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(&pfnmap);

	mmap_anon(mm, 0, 3, PRIVATE_RW | VM_LOCKED);
	ASSERT_EQ(mm->locked_vm, 3);
	mmap_anon(mm, 3, 2, PRIVATE_RW | VM_LOCKED);
	assert_pages(mm, 0, 5);
	ASSERT_EQ(mm->locked_vm, 5);
	mmap_file_at(mm, file, 10, 2, SHARED_RW | VM_LOCKED | VM_LOCKONFAULT,
		     0);
	ASSERT_EQ(mm->locked_vm, 5);
	ASSERT_EQ(vma_at(mm, 10)->vm_flags & VM_LOCKED_MASK, 0);
	/* What is replaced is not locked any more. */
	mmap_anon(mm, 1, 2, PRIVATE_R);
	ASSERT_EQ(mm->locked_vm, 3);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* A driver that fails leaves nothing: no page, no reference, no charge. */
TEST(hook_fails)
{
	for_each_alloc_failure(walk) {
		struct driver driver = { .error = -ENODEV };
		struct mm_struct *mm = mm_create();
		struct file *file = file_of(&driver);
		long ret;

		driver.inserts_pages = true;
		mmap_anon(mm, 0, 2, PRIVATE_RW);
		alloc_walk_expect(walk, -ENODEV);
		alloc_walk_begin(walk, mm);
		ret = mmap_file_at(mm, file, 2, 3, PRIVATE_RW, 0);
		ASSERT_FALSE(alloc_walk_end(walk, ret));
		ASSERT_EQ(pt_nr_pages(mm), 0);
		ASSERT_EQ(driver.balance, 0);
		ASSERT_EQ(file_refs(file), 1);
		mm_destroy(mm);
		fput(file);
	}
}

/* The error that the driver gives is the one that is returned. */
TEST(hook_error)
{
	struct driver driver = { .error = -ENODEV, .inserts_pages = true };
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(&driver);

	mmap_anon(mm, 0, 2, PRIVATE_RW);
	mmap_anon(mm, 5, 2, PRIVATE_RW);
	ASSERT_REFUSED(mm, mmap_file_at(mm, file, 2, 3, SHARED_RW, 0), -ENODEV);
	ASSERT_REFUSED(mm, mmap_file_at(mm, file, 2, 3, PRIVATE_RW, 0),
		       -ENODEV);
	ASSERT_EQ(driver.nr_mmap, 2);
	ASSERT_EQ(file->mapping.i_mmap_writable, 0);

	/* With MAP_FIXED, what was there is gone by then. */
	ASSERT_EQ(mmap_file_at(mm, file, 0, 7, PRIVATE_RW, 0), -ENODEV);
	ASSERT_EQ(mm->map_count, 0);
	ASSERT_EQ(vm_committed, 0);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* After a driver has changed the flags, it may merge after all. */
TEST(hook_changes_flags)
{
	struct driver driver = { .set = VM_DONTDUMP, .no_hooks = true };
	struct file *file = file_of(&driver);

	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		long ret;

		mmap_file_at(mm, file, 0, 2, SHARED_RW, 0);
		alloc_walk_begin(walk, mm);
		ret = mmap_file_at(mm, file, 2, 2, SHARED_RW, 2);
		if (alloc_walk_end(walk, ret)) {
			struct vm_area_struct *vma;

			vma = vma_at(mm, 2);
			ASSERT_TRUE(vma->vm_flags & VM_DONTDUMP);
			if (!walk->is_injected)
				assert_pages(mm, 0, 4);
			ASSERT_EQ(file_refs(file), 1 + mm->map_count);
			ASSERT_EQ(mm->total_vm, 4);
		}
		mm_destroy(mm);
	}
	fput(file);
}

/* Locking, too, goes by the flags that the driver leaves. */
TEST(hook_merge_locked)
{
	struct driver driver = { .set = VM_LOCKED, .no_hooks = true };
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(&driver);

	mmap_file_at(mm, file, 0, 2, SHARED_RW, 0);
	ASSERT_EQ(mm->locked_vm, 2);
	mmap_file_at(mm, file, 2, 3, SHARED_RW, 2);
	assert_pages(mm, 0, 5);
	ASSERT_EQ(mm->locked_vm, 5);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* A driver may map another file, to which the VMA then belongs. */
TEST(hook_replaces_file)
{
	struct driver real = { .no_hooks = true };
	struct driver front = {};
	struct file *a = file_of(&front), *b = file_of(&real);

	front.replace = b;
	front.no_hooks = true;
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		long ret;

		alloc_walk_begin(walk, mm);
		ret = mmap_file_at(mm, a, 0, 3, SHARED_RW, 0);
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(vma_at(mm, 0)->vm_file, b);
			ASSERT_EQ(file_refs(a), 1);
			ASSERT_EQ(file_refs(b), 2);
			ASSERT_EQ(a->mapping.i_mmap_writable, 0);
			ASSERT_EQ(b->mapping.i_mmap_writable, 1);
		}
		mm_destroy(mm);
	}
	fput(a);
	fput(b);
}

/* It merges with a mapping of the file that was put in. */
TEST(hook_replaces_file_and_merges)
{
	struct driver real = { .no_hooks = true };
	struct driver front = { .no_hooks = true, .set = VM_DONTDUMP };
	struct mm_struct *mm = mm_create();
	struct file *a = file_of(&front), *b = file_of(&real);

	front.replace = b;
	mmap_file_at(mm, a, 0, 2, SHARED_RW, 0);
	ASSERT_EQ(mmap_file_at(mm, a, 2, 2, SHARED_RW, 2), MM_ADDR(2));
	check_world();
	ASSERT_EQ(file_refs(a), 1);
	mm_destroy(mm);
	fput(a);
	fput(b);
}

/* Shared anonymous memory is a file of its own, which goes with its VMAs. */
TEST(shared_anonymous)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		struct file *file;
		long ret;

		alloc_walk_begin(walk, mm);
		ret = mmap_anon(mm, 0, 4, SHARED_RW);
		if (alloc_walk_end(walk, ret)) {
			file = vma_at(mm, 0)->vm_file;
			ASSERT_NE(file, NULL);
			ASSERT_EQ(file_refs(file), 1);
			ASSERT_EQ(vm_committed, 0);
			/* Another is another. */
			mmap_anon(mm, 4, 4, SHARED_RW);
			ASSERT_NE(vma_at(mm, 4)->vm_file, file);
			ASSERT_EQ(op_munmap(mm, MM_ADDR(1), MM_LEN(2)), 0);
			ASSERT_EQ(file_refs(file), 2);
		}
		mm_destroy(mm);
		ASSERT_EQ(all_files, NULL);
	}
}

/* Sealed memory is not replaced, not even a page of it. */
TEST(sealed)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 4, PRIVATE_RW);
	mmap_anon(mm, 4, 4, PRIVATE_R);
	mmap_anon(mm, 8, 4, PRIVATE_RW);
	fault_in(mm, 0, 4, true);
	ASSERT_EQ(op_change_flags(mm, MM_ADDR(4), MM_LEN(4), VM_SEALED, 0), 0);

	ASSERT_REFUSED(mm, mmap_anon(mm, 4, 4, PRIVATE_RW), -EPERM);
	ASSERT_REFUSED(mm, mmap_anon(mm, 5, 1, PRIVATE_RW), -EPERM);
	ASSERT_REFUSED(mm, mmap_anon(mm, 2, 4, PRIVATE_RW), -EPERM);
	ASSERT_REFUSED(mm, mmap_anon(mm, 0, 12, PRIVATE_RW), -EPERM);
	ASSERT_EQ(mmap_anon(mm, 2, 2, PRIVATE_R), MM_ADDR(2));
	check_world();
	mm_destroy(mm);
}

/* Memory-deny-write-execute, and what the architecture has to say. */
TEST(denied)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 4, PRIVATE_RW);
	mm->flags |= 1UL << MMF_HAS_MDWE;
	ASSERT_REFUSED(mm, mmap_anon(mm, 4, 1, PRIVATE_RX | VM_WRITE), -EACCES);
	ASSERT_EQ(mmap_anon(mm, 4, 1, PRIVATE_RX), MM_ADDR(4));
	arch_flags_are_valid = false;
	ASSERT_REFUSED(mm, mmap_anon(mm, 8, 1, PRIVATE_RW), -EINVAL);
	mm_destroy(mm);
}

/* A file sealed against writing cannot be mapped so that it might be. */
TEST(write_sealed_file)
{
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(NULL);

	file->mapping.i_mmap_writable = -1;
	ASSERT_REFUSED(mm, mmap_file_at(mm, file, 0, 2, SHARED_RW, 0), -EPERM);
	ASSERT_REFUSED(mm, mmap_file_at(mm, file, 0, 2, SHARED_R, 0), -EPERM);
	ASSERT_EQ(mmap_file_at(mm, file, 0, 2, SHARED_RO, 0), MM_ADDR(0));
	ASSERT_EQ(mmap_file_at(mm, file, 4, 2, PRIVATE_RW, 0), MM_ADDR(4));
	ASSERT_EQ(file->mapping.i_mmap_writable, -1);
	check_world();
	mm_destroy(mm);
	file->mapping.i_mmap_writable = 0;
	fput(file);
}

/* Where writes have to be noticed, the page protection is that of a copy. */
TEST(write_notify)
{
	struct mm_struct *mm = mm_create();
	struct file *disk = file_of(NULL), *ram = file_of(NULL);

	ram->mapping.can_writeback = false;
	mmap_file_at(mm, disk, 0, 2, SHARED_RW, 0);
	mmap_file_at(mm, ram, 4, 2, SHARED_RW, 0);
	ASSERT_EQ(pgprot_val(vma_at(mm, 0)->vm_page_prot),
		  VM_READ | VM_WRITE);
	ASSERT_EQ(pgprot_val(vma_at(mm, 4)->vm_page_prot),
		  VM_READ | VM_WRITE | VM_SHARED);
	check_world();
	mm_destroy(mm);
	fput(disk);
	fput(ram);
}

/* What a driver puts into the page protection is kept. */
TEST(hook_page_prot)
{
	struct driver driver = { .prot = PGPROT_DRIVER };
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(&driver);

	mmap_file_at(mm, file, 0, 2, SHARED_RW, 0);
	ASSERT_TRUE(pgprot_val(vma_at(mm, 0)->vm_page_prot) &
		    PGPROT_DRIVER);
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(0), MM_LEN(2), VM_READ), 0);
	ASSERT_TRUE(pgprot_val(vma_at(mm, 0)->vm_page_prot) &
		    PGPROT_DRIVER);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* userfaultfd is told about what MAP_FIXED replaces, for which it needs memory. */
TEST(fixed_over_uffd)
{
	struct userfaultfd_ctx ctx = {};

	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		long ret;

		mmap_anon(mm, 0, 6, PRIVATE_RW);
		vma_at(mm, 0)->vm_userfaultfd_ctx.ctx = &ctx;
		alloc_walk_may_lose(walk, MM_ADDR(2), MM_ADDR(4));
		memset(&calls, 0, sizeof(calls));
		alloc_walk_begin(walk, mm);
		ret = mmap_anon(mm, 2, 2, PRIVATE_RW);
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(calls.uffd_unmap_prep, 1);
			/* The new one is not registered, so it is apart. */
			assert_pages(mm, 2, 2);
		}
		mm_destroy(mm);
	}
}

/* A breakpoint is set in a new mapping of a file, and not in any other. */
TEST(uprobes)
{
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(NULL);

	mmap_anon(mm, 0, 2, PRIVATE_RX);
	ASSERT_EQ(calls.uprobe_mmap, 0);
	mmap_file_at(mm, file, 4, 2, PRIVATE_RX, 0);
	ASSERT_EQ(calls.uprobe_mmap, 1);
	ASSERT_EQ(op_munmap(mm, MM_ADDR(4), MM_LEN(2)), 0);
	ASSERT_EQ(calls.uprobe_munmap, 1);
	mm_destroy(mm);
	fput(file);
}

/* A charge that was taken over is given back when the new mapping fails. */
TEST(fixed_charge)
{
	struct driver driver = { .error = -ENODEV };
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(&driver);

	mmap_anon(mm, 0, 6, PRIVATE_RW);
	/* Less, as much and more than before. */
	ASSERT_EQ(mmap_file_at(mm, file, 4, 1, PRIVATE_RW, 0), -ENODEV);
	check_world();
	ASSERT_EQ(vm_committed, 5);
	ASSERT_EQ(mmap_file_at(mm, file, 5, 1, PRIVATE_RW, 0), -ENODEV);
	check_world();
	ASSERT_EQ(mmap_file_at(mm, file, 3, 8, PRIVATE_RW, 0), -ENODEV);
	check_world();
	ASSERT_EQ(vm_committed, 3);
	/* One that is not charged leaves it to munmap. */
	ASSERT_EQ(mmap_file_at(mm, file, 2, 1, PRIVATE_R, 0), -ENODEV);
	check_world();
	ASSERT_EQ(vm_committed, 2);
	mm_destroy(mm);
	fput(file);
}

/* A VMA that is merged away gives back its file. */
TEST(file_merges_both)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		struct file *file = file_of(NULL);
		long ret;

		mmap_file_at(mm, file, 0, 2, SHARED_RW, 0);
		mmap_file_at(mm, file, 4, 2, SHARED_RW, 4);
		alloc_walk_begin(walk, mm);
		ret = mmap_file_at(mm, file, 2, 2, SHARED_RW, 2);
		if (alloc_walk_end(walk, ret) && !walk->is_injected) {
			assert_pages(mm, 0, 6);
			ASSERT_EQ(file_refs(file), 2);
			ASSERT_EQ(file->mapping.i_mmap_writable, 1);
		}
		mm_destroy(mm);
		ASSERT_EQ(file_refs(file), 1);
		fput(file);
	}
}
