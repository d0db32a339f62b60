// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What finds a VMA from a page: i_mmap and anon_vma. And what goes by it:
 * whether writes have to be noticed.
 */

/* A neighbour's anon_vma is shared if the two might be one again. */
TEST(mergeable_anon_vma)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 6, PRIVATE_RW | VM_NORESERVE);
	op_mprotect(mm, MM_ADDR(2), MM_LEN(2), VM_READ);
	/* The next one first, then the previous one. */
	fault_in(mm, 4, 1, true);
	ASSERT_EQ(find_mergeable_anon_vma(vma_at(mm, 2)),
		  vma_at(mm, 4)->anon_vma);
	ASSERT_EQ(anon_vma_prepare(vma_at(mm, 2)), 0);
	ASSERT_EQ(vma_at(mm, 2)->anon_vma, vma_at(mm, 4)->anon_vma);
	ASSERT_EQ(find_mergeable_anon_vma(vma_at(mm, 0)),
		  vma_at(mm, 2)->anon_vma);
	fault_in(mm, 0, 1, true);
	check_world();
	/* So they can. */
	op_mprotect(mm, MM_ADDR(2), MM_LEN(2), VM_READ | VM_WRITE);
	assert_pages(mm, 0, 6);
	check_world();
	mm_destroy(mm);
}

TEST(mergeable_prev)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 4, PRIVATE_RW);
	fault_in(mm, 0, 1, true);
	mmap_anon(mm, 4, 2, PRIVATE_R);
	ASSERT_EQ(vma_at(mm, 4)->anon_vma, NULL);
	vm_flags_set(vma_at(mm, 4), VM_ACCOUNT);
	vm_acct_memory(2);
	ASSERT_EQ(find_mergeable_anon_vma(vma_at(mm, 4)),
		  vma_at(mm, 0)->anon_vma);
	check_world();
	mm_destroy(mm);
}

/* It is not shared over a gap, with other flags, file, offset or policy. */
TEST(not_mergeable)
{
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(NULL);

	mmap_anon(mm, 0, 2, PRIVATE_RW);
	fault_in(mm, 0, 2, true);
	mmap_anon(mm, 2, 2, PRIVATE_RW | VM_DONTDUMP);
	ASSERT_EQ(find_mergeable_anon_vma(vma_at(mm, 2)), NULL);
	mmap_anon(mm, 5, 2, PRIVATE_RW);
	ASSERT_EQ(find_mergeable_anon_vma(vma_at(mm, 5)), NULL);

	mmap_file_at(mm, file, 10, 2, PRIVATE_RW, 0);
	mmap_file_at(mm, file, 12, 2, PRIVATE_RW, 7);
	mmap_anon(mm, 14, 2, PRIVATE_RW);
	fault_in(mm, 12, 1, true);
	ASSERT_EQ(find_mergeable_anon_vma(vma_at(mm, 10)), NULL);
	ASSERT_EQ(find_mergeable_anon_vma(vma_at(mm, 14)), NULL);

	mmap_anon(mm, 20, 4, PRIVATE_RW);
	op_mprotect(mm, MM_ADDR(22), MM_LEN(2), VM_READ);
	vma_policy(vma_at(mm, 20)) = mpol_create(2);
	fault_in(mm, 20, 1, true);
	ASSERT_EQ(find_mergeable_anon_vma(vma_at(mm, 22)), NULL);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* A child, with a VMA of its own chained to both anon_vmas. */
static struct mm_struct *mm_fork(struct mm_struct *parent)
{
	VMA_ITERATOR(vmi, parent, 0);
	struct mm_struct *mm = mm_create();
	struct vm_area_struct *vma, *copy;

	for_each_vma(vmi, vma) {
		copy = vm_area_dup(vma);
		ASSERT_NE(copy, NULL);
		copy->vm_mm = mm;
		ASSERT_EQ(anon_vma_fork(copy, vma), 0);
		ASSERT_EQ(vma_link(mm, copy), 0);
		vm_stat_account(mm, copy->vm_flags, vma_pages(copy));
		if (copy->vm_flags & VM_ACCOUNT)
			vm_acct_memory(vma_pages(copy));
	}
	return mm;
}

/* After fork(), a VMA is chained to its parent's: that does not spread. */
TEST(forked)
{
	struct mm_struct *parent = mm_create(), *child;
	struct vm_area_struct *vma;

	mmap_anon(parent, 0, 4, PRIVATE_RW);
	fault_in(parent, 0, 4, true);
	child = mm_fork(parent);
	vma = vma_at(child, 0);
	ASSERT_NE(vma->anon_vma, vma_at(parent, 0)->anon_vma);
	ASSERT_FALSE(list_is_singular(&vma->anon_vma_chain));
	check_world();

	/* What is mapped next to it does not merge, and gets its own. */
	mmap_anon(child, 4, 2, PRIVATE_RW);
	assert_pages(child, 0, 4);
	ASSERT_EQ(find_mergeable_anon_vma(vma_at(child, 4)), NULL);
	fault_in(child, 4, 2, true);
	check_world();

	/* Split and unmapped, both chains are kept and dropped. */
	ASSERT_EQ(op_munmap(child, MM_ADDR(1), MM_LEN(2)), 0);
	check_world();
	current->mm = parent;
	ASSERT_EQ(op_munmap(parent, MM_ADDR(0), MM_LEN(4)), 0);
	check_world();
	mm_destroy(parent);
	current->mm = child;
	check_world();
	mm_destroy(child);
}

/* The same VMA, split with every allocation failing in turn. */
TEST(forked_failures)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *parent = mm_create(), *child;
		long ret;

		mmap_anon(parent, 0, 4, PRIVATE_RW);
		fault_in(parent, 0, 4, true);
		child = mm_fork(parent);
		fault_in(child, 0, 2, true);
		alloc_walk_begin(walk, child);
		ret = op_munmap(child, MM_ADDR(1), MM_LEN(2));
		if (alloc_walk_end(walk, ret))
			ASSERT_EQ(child->total_vm, 2);
		mm_destroy(child);
		current->mm = parent;
		mm_destroy(parent);
	}
}

/* A fork of a VMA that fails leaves the parent's as it was. */
TEST(fork_failures)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		struct vm_area_struct *copy;
		int ret = -ENOMEM;

		mmap_anon(mm, 0, 4, PRIVATE_RW);
		fault_in(mm, 0, 4, true);
		alloc_walk_begin(walk, mm);
		copy = vm_area_dup(vma_at(mm, 0));
		if (copy) {
			ret = anon_vma_fork(copy, vma_at(mm, 0));
			if (!ret) {
				ASSERT_NE(copy->anon_vma,
					  vma_at(mm, 0)->anon_vma);
				unlink_anon_vmas(copy);
			}
			vm_area_free(copy);
		}
		alloc_walk_end(walk, ret);
		mm_destroy(mm);
	}
}

/* The batch takes eight of one file at a time. */
TEST(unlink_batch)
{
	struct mm_struct *mm = mm_create();
	struct file *a = file_of(NULL), *b = file_of(NULL);
	struct unlink_vma_file_batch batch;
	struct vm_area_struct *vma;
	struct vma_iterator vmi;
	int i;

	vma_iter_init(&vmi, mm, 0);
	mmap_anon(mm, 0, 1, PRIVATE_RW);
	for (i = 1; i <= 20; i++)
		mmap_file_at(mm, i > 17 ? b : a, i, 1, SHARED_RW, 100 - i);

	unlink_file_vma_batch_init(&batch);
	for_each_vma(vmi, vma)
		unlink_file_vma_batch_add(&batch, vma);
	ASSERT_EQ(batch.count, 3);
	ASSERT_TRUE(RB_EMPTY_ROOT(&a->mapping.i_mmap.rb_root));
	ASSERT_FALSE(RB_EMPTY_ROOT(&b->mapping.i_mmap.rb_root));
	unlink_file_vma_batch_final(&batch);
	ASSERT_TRUE(RB_EMPTY_ROOT(&b->mapping.i_mmap.rb_root));
	ASSERT_EQ(a->mapping.i_mmap_writable, 0);
	ASSERT_EQ(b->mapping.i_mmap_writable, 0);

	vma_iter_set(&vmi, 0);
	for_each_vma(vmi, vma)
		vma_link_file(vma);
	check_world();
	mm_destroy(mm);
	fput(a);
	fput(b);
}

/* One by one. */
TEST(unlink_one)
{
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(NULL);

	mmap_anon(mm, 0, 2, PRIVATE_RW);
	mmap_file_at(mm, file, 4, 2, SHARED_RW, 0);
	mmap_file_at(mm, file, 8, 2, SHARED_RO, 0);
	unlink_file_vma(vma_at(mm, 0));
	unlink_file_vma(vma_at(mm, 4));
	ASSERT_EQ(file->mapping.i_mmap_writable, 0);
	unlink_file_vma(vma_at(mm, 8));
	ASSERT_TRUE(RB_EMPTY_ROOT(&file->mapping.i_mmap.rb_root));
	vma_link_file(vma_at(mm, 4));
	vma_link_file(vma_at(mm, 8));
	check_world();
	mm_destroy(mm);
	fput(file);
}

static vm_fault_t dummy_mkwrite(struct vm_fault *vmf)
{
	return 0;
}

/* Shared and writable, and somebody wants to know: the file or its vm_ops. */
TEST(dirty_tracking)
{
	static const struct vm_operations_struct none;
	static const struct vm_operations_struct mkwrite = {
		.page_mkwrite = dummy_mkwrite,
	};
	static const struct vm_operations_struct pfn_mkwrite = {
		.pfn_mkwrite = dummy_mkwrite,
	};
	static const struct {
		vm_flags_t flags;
		const struct vm_operations_struct *vm_ops;
		bool writeback, tracked;
	} cases[] = {
		{ SHARED_RW, &none, true, true },
		{ SHARED_RW, &none, false, false },
		{ SHARED_RW, &mkwrite, false, true },
		{ SHARED_RW, &pfn_mkwrite, false, true },
		{ SHARED_RW | VM_PFNMAP, &none, true, false },
		{ SHARED_RW | VM_PFNMAP, &pfn_mkwrite, true, true },
		{ SHARED_R, &mkwrite, true, false },
		{ PRIVATE_RW, &mkwrite, true, false },
	};
	struct mm_struct *mm = mm_create();
	struct file *file = file_of(NULL);
	struct vm_area_struct *vma;
	pgprot_t prot;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		file->mapping.can_writeback = cases[i].writeback;
		mmap_file_at(mm, file, 0, 2, cases[i].flags, 0);
		vma = vma_at(mm, 0);
		vma->vm_ops = cases[i].vm_ops;
		prot = vm_get_page_prot(vma->vm_flags);
		ASSERT_EQ(vma_needs_dirty_tracking(vma), cases[i].tracked);
		ASSERT_EQ(vma_wants_writenotify(vma, prot), cases[i].tracked);
	}

	/* Soft-dirty and userfaultfd want to know, too; not of hugetlb. */
	file->mapping.can_writeback = false;
	mmap_file_at(mm, file, 0, 2, SHARED_RW, 0);
	vma = vma_at(mm, 0);
	prot = vm_get_page_prot(vma->vm_flags);
	ASSERT_FALSE(vma_wants_writenotify(vma, prot));
	vm_flags_clear(vma, VM_SOFTDIRTY);
	ASSERT_TRUE(vma_wants_writenotify(vma, prot));
	ASSERT_FALSE(vma_needs_dirty_tracking(vma));
	vm_flags_set(vma, VM_HUGETLB);
	ASSERT_FALSE(vma_wants_writenotify(vma, prot));
	vm_flags_clear(vma, VM_HUGETLB);
	vm_flags_set(vma, VM_SOFTDIRTY | VM_UFFD_WP);
	ASSERT_TRUE(vma_wants_writenotify(vma, prot));
	/* A driver's own protection is left to it. */
	ASSERT_FALSE(vma_wants_writenotify(vma, __pgprot(VM_READ)));
	ASSERT_EQ(vma_wants_manual_pte_write_upgrade(vma), true);
	mmap_anon(mm, 8, 2, PRIVATE_RW);
	ASSERT_TRUE(vma_wants_manual_pte_write_upgrade(vma_at(mm, 8)));
	mmap_anon(mm, 8, 2, PRIVATE_R);
	ASSERT_FALSE(vma_wants_manual_pte_write_upgrade(vma_at(mm, 8)));
	mm_destroy(mm);
	fput(file);
}

static struct vm_area_struct *new_vma(struct mm_struct *mm, int page, int pages,
				      vm_flags_t flags)
{
	struct vm_area_struct *vma = vm_area_alloc(mm);

	if (vma) {
		vma_set_range(vma, MM_ADDR(page), MM_ADDR(page + pages), 0);
		vm_flags_init(vma, flags);
		vma->vm_page_prot = vm_get_page_prot(flags);
		vma_set_anonymous(vma);
	}
	return vma;
}

/* insert_vm_struct() charges, gives an offset, and takes back its charge. */
TEST(insert_vm_struct)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		struct vm_area_struct *vma;
		int ret = -ENOMEM;

		mmap_anon(mm, 0, 4, PRIVATE_RW);
		alloc_walk_begin(walk, mm);
		vma = new_vma(mm, 10, 4, PRIVATE_RW | VM_ACCOUNT);
		if (vma) {
			ret = insert_vm_struct(mm, vma);
			if (ret)
				vm_area_free(vma);
			else
				vm_stat_account(mm, vma->vm_flags, 4);
		}
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(assert_pages(mm, 10, 4)->vm_pgoff,
				  MM_ADDR(10) >> PAGE_SHIFT);
			ASSERT_EQ(vm_committed, 8);
		}
		mm_destroy(mm);
	}
}

TEST(insert_refused)
{
	struct mm_struct *mm = mm_create();
	struct vm_area_struct *vma;

	mmap_anon(mm, 0, 4, PRIVATE_RW);
	vma = new_vma(mm, 3, 4, PRIVATE_RW | VM_ACCOUNT);
	ASSERT_EQ(insert_vm_struct(mm, vma), -ENOMEM);
	vma_set_range(vma, MM_ADDR(10), MM_ADDR(14), 0);
	vm_commit_limit = 7;
	ASSERT_EQ(insert_vm_struct(mm, vma), -ENOMEM);
	ASSERT_EQ(vm_committed, 4);
	vm_area_free(vma);
	check_world();
	mm_destroy(mm);
}

/* The range of an anon_vma's VMA changes under its lock, in its tree. */
TEST(anon_vma_split)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		long ret;

		mmap_anon(mm, 0, 8, PRIVATE_RW);
		fault_in(mm, 0, 8, true);
		alloc_walk_begin(walk, mm);
		ret = op_mprotect(mm, MM_ADDR(2), MM_LEN(3), VM_READ);
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(vma_at(mm, 0)->anon_vma,
				  vma_at(mm, 2)->anon_vma);
			ASSERT_EQ(vma_at(mm, 0)->anon_vma->num_active_vmas, 3);
		}
		mm_destroy(mm);
	}
}
