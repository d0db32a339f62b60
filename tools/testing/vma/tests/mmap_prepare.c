// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * f_op->mmap_prepare(): what a file may ask for, what mm makes of it, and that
 * nothing remains of what fails. The rules are those of
 * Documentation/mm/mmap_prepare.rst and of mm/mmap_prepare.c.
 */

/* What a file asks for, and what has become of it. */
struct prepared {
	int error;			/* of the hook, after all of the rest */
	vm_flags_t set, clear;
	unsigned long prot;
	long pgoff_delta;
	struct file *replace;
	bool no_file;
	const struct vm_operations_struct *vm_ops;	/* else prepared_vm_ops */
	bool anonymous;
	void *private_data;
	enum mmap_action_type action;
	unsigned long action_start, action_pages, action_pfn;
	struct page **pages;
	bool call_open;
	struct mm_struct *look_at;	/* see prepared_saw */
	int map_count_seen;
	int hooks;
	long opens, closes;
	bool opened_in_tree;
};

static struct prepared *prepared_of(struct vm_area_struct *vma)
{
	return vma->vm_file->private_data;
}

static void prepared_open(struct vm_area_struct *vma)
{
	prepared_of(vma)->opens++;
	prepared_of(vma)->opened_in_tree =
		vma_lookup(vma->vm_mm, vma->vm_start) == vma;
}

static void prepared_close(struct vm_area_struct *vma)
{
	prepared_of(vma)->closes++;
}

static const struct vm_operations_struct prepared_vm_ops = {
	.open = prepared_open,
	.close = prepared_close,
};

static const struct vm_operations_struct other_vm_ops, hookless_vm_ops;

static int prepared_mmap_prepare(struct vm_area_desc *desc)
{
	struct prepared *p = desc->file->private_data;

	p->hooks++;
	if (p->look_at)
		p->map_count_seen = p->look_at->map_count;

	desc->vm_flags = (desc->vm_flags | p->set) & ~p->clear;
	desc->page_prot = __pgprot(pgprot_val(desc->page_prot) | p->prot);
	desc->pgoff += p->pgoff_delta;
	desc->vm_ops = p->vm_ops ?: &prepared_vm_ops;
	if (p->anonymous)
		desc->vm_ops = NULL;
	desc->private_data = p->private_data;
	desc->call_open = p->call_open;
	desc->action = (struct mmap_action) {
		.type = p->action,
		.start = desc->start + p->action_start,
		.nr_pages = p->action_pages,
		.pfn = p->action_pfn,
	};
	if (p->action == MMAP_INSERT_PAGES)
		desc->action.pages = p->pages;
	if (p->replace)
		desc->file = get_file(p->replace);
	if (p->no_file)
		desc->file = NULL;
	return p->error;
}

static const struct file_operations prepared_fops = {
	.mmap_prepare = prepared_mmap_prepare,
};

static struct file *prepared_file(struct prepared *p)
{
	struct file *file = file_create(&prepared_fops);

	file->private_data = p;
	return file;
}

/* A driver with f_op->mmap() that is stacked upon another file. */
static int stacked_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct file *lower = file->private_data;

	fput(vma->vm_file);
	vma->vm_file = get_file(lower);
	return call_mmap(lower, vma);
}

static const struct file_operations stacked_fops = {
	.mmap = stacked_mmap,
};

static struct page *some_pages[16];

/* The hook comes first: what is in the way is still there, in one piece. */
TEST(hook_before_anything)
{
	struct mm_struct *mm = mm_create();
	struct prepared p = { .look_at = mm };
	struct file *file = prepared_file(&p);

	mmap_anon(mm, 0, 10, PRIVATE_RW);
	ASSERT_EQ(mmap_file_at(mm, file, 3, 3, SHARED_RW, 0), MM_ADDR(3));
	ASSERT_EQ(p.hooks, 1);
	ASSERT_EQ(p.map_count_seen, 1);
	ASSERT_EQ(mm->map_count, 3);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* An error of the hook changes nothing. Not even a VMA is split. */
TEST(hook_error)
{
	struct mm_struct *mm = mm_create();
	struct prepared p = { .error = -EIO };
	struct file *file = prepared_file(&p);

	mmap_anon(mm, 0, 10, PRIVATE_RW);
	fault_in(mm, 0, 10, true);
	ASSERT_REFUSED(mm, mmap_file_at(mm, file, 3, 3, SHARED_RW, 0), -EIO);
	ASSERT_EQ(p.hooks, 1);
	assert_pages(mm, 0, 10);
	ASSERT_EQ(mm->map_count, 1);
	ASSERT_EQ(file_refs(file), 1);
	mm_destroy(mm);
	fput(file);
}

/* The VMA becomes what the hook has said. */
TEST(state)
{
	int cookie;
	struct prepared p = {
		.set = VM_DONTDUMP | VM_NORESERVE,
		.clear = VM_MAYEXEC,
		.prot = PGPROT_DRIVER,
		.pgoff_delta = 100,
		.private_data = &cookie,
	};
	struct mm_struct *mm = mm_create();
	struct file *file = prepared_file(&p);
	struct vm_area_struct *vma;

	ASSERT_EQ(mmap_file_at(mm, file, 0, 3, PRIVATE_RW, 7), MM_ADDR(0));
	vma = assert_pages(mm, 0, 3);
	ASSERT_EQ(vma->vm_flags, (PRIVATE_RW | VM_DONTDUMP | VM_NORESERVE |
				  VM_SOFTDIRTY) & ~VM_MAYEXEC);
	ASSERT_EQ(vma->vm_pgoff, 107);
	ASSERT_EQ(vma->vm_ops, &prepared_vm_ops);
	ASSERT_EQ(vma->vm_private_data, (void *)&cookie);
	ASSERT_TRUE(pgprot_val(vma->vm_page_prot) & PGPROT_DRIVER);
	ASSERT_EQ(file_refs(file), 2);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* What comes back decides about the merge, and there is one attempt. */
TEST(merge_by_what_came_back)
{
	struct mm_struct *mm = mm_create();
	struct prepared p = {
		.set = VM_DONTDUMP, .pgoff_delta = 50, .vm_ops = &hookless_vm_ops,
	};
	struct file *file = prepared_file(&p);

	mmap_file_at(mm, file, 0, 2, SHARED_RW, 0);
	mmap_file_at(mm, file, 4, 2, SHARED_RW, 4);
	mmap_file_at(mm, file, 2, 2, SHARED_RW, 2);
	assert_pages(mm, 0, 6);
	ASSERT_EQ(vma_at(mm, 0)->vm_pgoff, 50);
	ASSERT_EQ(file_refs(file), 2);

	/* An offset that would go on, if the hook had let it. */
	p.pgoff_delta = 51;
	mmap_file_at(mm, file, 6, 2, SHARED_RW, 6);
	assert_pages(mm, 6, 2);
	ASSERT_EQ(p.hooks, 4);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* Flags, vm_ops, private data and caching attributes keep mappings apart. */
TEST(no_merge_of_what_differs)
{
	struct mm_struct *mm = mm_create();
	struct prepared p = { .vm_ops = &hookless_vm_ops };
	struct file *file = prepared_file(&p);
	int cookie;

	mmap_file_at(mm, file, 0, 2, SHARED_RW, 0);
	p.set = VM_DONTDUMP;
	mmap_file_at(mm, file, 2, 2, SHARED_RW, 2);
	assert_pages(mm, 2, 2);
	p.vm_ops = &other_vm_ops;
	mmap_file_at(mm, file, 4, 2, SHARED_RW, 4);
	assert_pages(mm, 4, 2);
	p.private_data = &cookie;
	mmap_file_at(mm, file, 6, 2, SHARED_RW, 6);
	assert_pages(mm, 6, 2);
	p.prot = PGPROT_DRIVER;
	mmap_file_at(mm, file, 8, 2, SHARED_RW, 8);
	assert_pages(mm, 8, 2);
	mmap_file_at(mm, file, 10, 2, SHARED_RW, 10);
	assert_pages(mm, 8, 4);
	check_world();

	/* Nor when mprotect() has made their flags the same. */
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(4), MM_LEN(8), VM_READ), 0);
	assert_pages(mm, 4, 2);
	assert_pages(mm, 6, 2);
	assert_pages(mm, 8, 4);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* What was split merges again, as its state is the same. */
TEST(merge_of_what_was_split)
{
	struct mm_struct *mm = mm_create();
	int cookie;
	struct prepared p = {
		.vm_ops = &hookless_vm_ops, .private_data = &cookie,
		.prot = PGPROT_DRIVER,
	};
	struct file *file = prepared_file(&p);

	mmap_file_at(mm, file, 0, 6, SHARED_RW, 0);
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(2), MM_LEN(2), VM_READ), 0);
	assert_pages(mm, 2, 2);
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(2), MM_LEN(2), VM_READ | VM_WRITE), 0);
	assert_pages(mm, 0, 6);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* Whatever allocation fails: what is outside stays, nothing is leaked. */
TEST(fixed_alloc_failures)
{
	struct prepared p = { .call_open = true };
	struct file *file = prepared_file(&p);

	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		long ret;

		mmap_anon(mm, 0, 10, PRIVATE_RW);
		fault_in(mm, 0, 10, true);
		p.opens = 0;
		p.closes = 0;

		alloc_walk_may_lose(walk, MM_ADDR(3), MM_ADDR(6));
		alloc_walk_begin(walk, mm);
		ret = mmap_file_at(mm, file, 3, 3, SHARED_RW, 0);
		if (alloc_walk_end(walk, ret)) {
			assert_pages(mm, 3, 3);
			ASSERT_EQ(p.opens, 1);
			ASSERT_EQ(file_refs(file), 2);
		} else {
			ASSERT_EQ(p.opens, 0);
			ASSERT_EQ(p.closes, 0);
			ASSERT_EQ(file_refs(file), 1);
		}
		mm_destroy(mm);
		ASSERT_EQ(p.opens, p.closes);
	}
	fput(file);
}

/* open() counts VMAs: once for the first, once per copy, never for a merge. */
TEST(call_open)
{
	struct mm_struct *mm = mm_create();
	struct prepared p = { .call_open = true };
	struct file *file = prepared_file(&p);

	mmap_file_at(mm, file, 0, 4, SHARED_RW, 0);
	ASSERT_EQ(p.opens, 1);
	/* As after a fork: nothing can fail any more. */
	ASSERT_TRUE(p.opened_in_tree);
	mmap_file_at(mm, file, 4, 2, SHARED_RW, 4);
	assert_pages(mm, 0, 6);
	ASSERT_EQ(p.opens, 1);
	ASSERT_EQ(op_munmap(mm, MM_ADDR(2), MM_LEN(1)), 0);
	ASSERT_EQ(p.opens - p.closes, 2);
	check_world();
	mm_destroy(mm);
	ASSERT_EQ(p.opens, p.closes);

	/* And not if nobody has asked. */
	mm = mm_create();
	p = (struct prepared) {};
	mmap_file_at(mm, file, 0, 4, SHARED_RW, 0);
	ASSERT_EQ(p.opens, 0);
	mm_destroy(mm);
	fput(file);
}

/* Another file comes with a reference, which is dropped on every path. */
TEST(replaced_file)
{
	struct prepared target = {};
	struct file *other = prepared_file(&target);
	struct prepared p = { .replace = other };
	struct file *file = prepared_file(&p);

	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		long ret;

		alloc_walk_begin(walk, mm);
		ret = mmap_file_at(mm, file, 0, 4, SHARED_RW, 2);
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(vma_at(mm, 0)->vm_file, other);
			ASSERT_EQ(file_refs(other), 2);
			ASSERT_EQ(other->mapping.i_mmap_writable, 1);
		} else {
			ASSERT_EQ(file_refs(other), 1);
		}
		ASSERT_EQ(file_refs(file), 1);
		ASSERT_EQ(file->mapping.i_mmap_writable, 0);
		mm_destroy(mm);
		ASSERT_EQ(file_refs(other), 1);
		ASSERT_EQ(other->mapping.i_mmap_writable, 0);
	}
	/* Its own hook has no say: it has been replaced, not asked. */
	ASSERT_EQ(target.hooks, 0);
	fput(file);
	fput(other);
}

/* The same when the mapping extends another, and when the hook fails after it. */
TEST(replaced_file_merge_and_error)
{
	struct mm_struct *mm = mm_create();
	struct prepared target = {};
	struct file *other = prepared_file(&target);
	struct prepared p = { .replace = other, .vm_ops = &hookless_vm_ops };
	struct file *file = prepared_file(&p);

	mmap_file_at(mm, file, 0, 2, SHARED_RW, 0);
	mmap_file_at(mm, file, 2, 2, SHARED_RW, 2);
	assert_pages(mm, 0, 4);
	ASSERT_EQ(file_refs(other), 2);

	p.error = -EBUSY;
	ASSERT_REFUSED(mm, mmap_file_at(mm, file, 8, 2, SHARED_RW, 8), -EBUSY);
	ASSERT_EQ(file_refs(other), 2);
	mm_destroy(mm);
	ASSERT_EQ(file_refs(other), 1);
	fput(file);
	fput(other);
}

/* The seals that count are those of the file that is mapped. */
TEST(replaced_file_sealed)
{
	struct mm_struct *mm = mm_create();
	struct prepared target = {};
	struct file *other = prepared_file(&target);
	struct prepared p = { .replace = other };
	struct file *file = prepared_file(&p);

	other->mapping.i_mmap_writable = -1;
	ASSERT_REFUSED(mm, mmap_file_at(mm, file, 0, 2, SHARED_RW, 0), -EPERM);
	ASSERT_EQ(file_refs(other), 1);
	ASSERT_EQ(other->mapping.i_mmap_writable, -1);

	/* For reading only, and it stays so. */
	ASSERT_EQ(mmap_file_at(mm, file, 0, 2, SHARED_R, 0), MM_ADDR(0));
	ASSERT_FALSE(vma_at(mm, 0)->vm_flags & VM_MAYWRITE);

	/* The first one's seals do not matter. */
	other->mapping.i_mmap_writable = 0;
	file->mapping.i_mmap_writable = -1;
	mm_destroy(mm);
	mm = mm_create();
	ASSERT_EQ(mmap_file_at(mm, file, 0, 2, SHARED_RW, 0), MM_ADDR(0));
	check_world();
	mm_destroy(mm);
	file->mapping.i_mmap_writable = 0;
	fput(file);
	fput(other);
}

/* What is charged for and counted goes by the flags that came back. */
TEST(accounting_by_what_came_back)
{
	static const struct {
		vm_flags_t flags, set, clear;
		int data, exec, committed;
	} cases[] = {
		{ PRIVATE_RW, 0, 0, 3, 0, 3 },
		{ PRIVATE_RW, VM_NORESERVE, 0, 3, 0, 0 },
		{ PRIVATE_RW, 0, VM_WRITE | VM_MAYWRITE, 0, 0, 0 },
		{ PRIVATE_RX | VM_WRITE, 0, VM_WRITE, 0, 3, 0 },
		{ PRIVATE_RX, 0, VM_EXEC, 0, 0, 0 },
	};
	struct mm_struct *mm = mm_create();
	struct prepared p = {};
	struct file *file = prepared_file(&p);
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		p.set = cases[i].set;
		p.clear = cases[i].clear;
		ASSERT_EQ(mmap_file_at(mm, file, 0, 3, cases[i].flags, 0),
			  MM_ADDR(0));
		check_world();
		ASSERT_EQ(mm->data_vm, cases[i].data);
		ASSERT_EQ(mm->exec_vm, cases[i].exec);
		ASSERT_EQ(vm_committed, cases[i].committed);
		/* Nor do page tables allow what the flags no longer do. */
		ASSERT_FALSE(pgprot_val(vma_at(mm, 0)->vm_page_prot) &
			     cases[i].clear & VM_ACCESS_FLAGS);
		ASSERT_EQ(op_munmap(mm, MM_ADDR(0), MM_LEN(3)), 0);
	}

	/* A limit that the mapping would meet if the hook had changed nothing. */
	p = (struct prepared) { .set = VM_NORESERVE };
	vm_commit_limit = 2;
	ASSERT_EQ(mmap_file_at(mm, file, 0, 3, PRIVATE_RW, 0), MM_ADDR(0));
	p.set = 0;
	ASSERT_REFUSED(mm, mmap_file_at(mm, file, 8, 3, PRIVATE_RW, 0), -ENOMEM);
	mm_destroy(mm);
	fput(file);
}

/* A hook may have the memory locked, within the limit of it. */
TEST(lock_on_request)
{
	struct mm_struct *mm = mm_create();
	struct prepared p = { .set = VM_LOCKED };
	struct file *file = prepared_file(&p);

	rlimits[RLIMIT_MEMLOCK] = MM_LEN(3);
	ASSERT_EQ(mmap_file_at(mm, file, 0, 3, SHARED_RW, 0), MM_ADDR(0));
	ASSERT_EQ(mm->locked_vm, 3);
	ASSERT_REFUSED(mm, mmap_file_at(mm, file, 8, 1, SHARED_RW, 0), -EAGAIN);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* A private mapping of no vm_ops is anonymous memory, as of /dev/zero. */
TEST(anonymous_on_request)
{
	struct mm_struct *mm = mm_create();
	struct prepared p = { .anonymous = true };
	struct file *file = prepared_file(&p);

	ASSERT_EQ(mmap_file_at(mm, file, 0, 3, PRIVATE_RW, 0), MM_ADDR(0));
	ASSERT_TRUE(vma_is_anonymous(vma_at(mm, 0)));
	ASSERT_EQ(vma_at(mm, 0)->vm_file, file);
	fault_in(mm, 0, 3, true);
	/* MAP_SHARED of a file that is open for reading only is private in this. */
	ASSERT_EQ(mmap_file_at(mm, file, 8, 3, SHARED_RO & ~VM_SHARED, 0),
		  MM_ADDR(8));
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* The file's limit holds for the offset that came back too. */
TEST(offset_beyond_file)
{
	struct mm_struct *mm = mm_create();
	struct prepared p = { .pgoff_delta = FILE_MAX_PAGES - 3 };
	struct file *file = prepared_file(&p);

	ASSERT_EQ(mmap_file_at(mm, file, 0, 3, SHARED_RW, 0), MM_ADDR(0));
	p.pgoff_delta++;
	ASSERT_REFUSED(mm, mmap_file_at(mm, file, 8, 3, SHARED_RW, 0), -EOVERFLOW);
	mm_destroy(mm);
	fput(file);
}

/* What the CPU has no flags for, and memory that is written and executed. */
TEST(checked_after_the_hook)
{
	struct mm_struct *mm = mm_create();
	struct prepared p = {};
	struct file *file = prepared_file(&p);

	arch_flags_are_valid = false;
	ASSERT_REFUSED(mm, mmap_file_at(mm, file, 0, 3, SHARED_RW, 0), -EINVAL);
	arch_flags_are_valid = true;

	mm->flags |= BIT(MMF_HAS_MDWE);
	ASSERT_REFUSED(mm, mmap_file_at(mm, file, 0, 3,
					PRIVATE_RX | VM_WRITE, 0), -EACCES);
	/* The hook has seen to it. */
	p.clear = VM_EXEC | VM_MAYEXEC;
	ASSERT_EQ(mmap_file_at(mm, file, 0, 3, PRIVATE_RX | VM_WRITE, 0),
		  MM_ADDR(0));
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* Frames and pages are there from the start, in a VMA that is marked so. */
TEST(action)
{
	static const struct {
		enum mmap_action_type type;
		vm_flags_t flags, expected;
	} cases[] = {
		{ MMAP_REMAP_PFN, SHARED_RW,
		  VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP },
		{ MMAP_IO_REMAP_PFN, SHARED_RW,
		  VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP },
		{ MMAP_REMAP_PFN, PRIVATE_R & ~VM_MAYWRITE,
		  VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP },
		{ MMAP_INSERT_PAGES, SHARED_RW, VM_MIXEDMAP },
	};
	int i, page;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mm_struct *mm = mm_create();
		struct prepared p = {
			.action = cases[i].type,
			.action_start = MM_LEN(1),
			.action_pages = 3,
			.action_pfn = 0x1234,
			.pages = some_pages,
		};
		struct file *file = prepared_file(&p);

		ASSERT_EQ(mmap_file_at(mm, file, 0, 5, cases[i].flags, 0),
			  MM_ADDR(0));
		ASSERT_EQ(vma_at(mm, 0)->vm_flags,
			  cases[i].flags | cases[i].expected | VM_SOFTDIRTY);
		ASSERT_EQ(vma_at(mm, 0)->vm_pgoff, 0);
		for (page = 0; page < 5; page++)
			ASSERT_EQ(!!token_at(mm, page), page >= 1 && page <= 3);

		/* What is special does not merge. */
		ASSERT_EQ(mmap_file_at(mm, file, 5, 5, cases[i].flags, 5),
			  MM_ADDR(5));
		assert_pages(mm, 0, 5);
		check_world();
		mm_destroy(mm);
		fput(file);
	}
}

/* Access that the hook has taken away is not in what is mapped at once. */
TEST(action_without_access)
{
	enum mmap_action_type type;

	for (type = MMAP_REMAP_PFN; type <= MMAP_INSERT_PAGES; type++) {
		struct mm_struct *mm = mm_create();
		struct prepared p = {
			.clear = VM_WRITE | VM_MAYWRITE,
			.action = type, .action_pages = 4, .pages = some_pages,
		};
		struct file *file = prepared_file(&p);

		/* Who maps it warns if it is. */
		ASSERT_EQ(mmap_file_at(mm, file, 0, 4, SHARED_RW, 0), MM_ADDR(0));
		ASSERT_FALSE(vma_at(mm, 0)->vm_flags & VM_WRITE);
		ASSERT_TRUE(token_at(mm, 3));
		check_world();
		mm_destroy(mm);
		fput(file);
	}
}

/* A private mapping of frames: its offset is the frame, as rmap wants it. */
TEST(action_private)
{
	struct mm_struct *mm = mm_create();
	struct prepared p = {
		.action = MMAP_REMAP_PFN, .action_pages = 4, .action_pfn = 0x1234,
	};
	struct file *file = prepared_file(&p);

	ASSERT_EQ(mmap_file_at(mm, file, 0, 4, PRIVATE_RW, 0), MM_ADDR(0));
	ASSERT_EQ(vma_at(mm, 0)->vm_pgoff, 0x1234);
	check_world();
	mm_destroy(mm);
	fput(file);
}

/* Whatever fails in it: what it has mapped is unmapped, and not opened. */
TEST(action_alloc_failures)
{
	enum mmap_action_type type;

	for (type = MMAP_REMAP_PFN; type <= MMAP_INSERT_PAGES; type++) {
		struct prepared p = {
			.action = type, .action_pages = 16, .pages = some_pages,
			.call_open = true,
		};
		struct file *file = prepared_file(&p);

		for_each_alloc_failure(walk) {
			struct mm_struct *mm = mm_create();
			/* Over the end of a page table page: two are needed. */
			int page = PTRS_PER_TABLE - 8;
			long ret;

			mmap_anon(mm, page - 4, 30, PRIVATE_RW);
			fault_in(mm, page - 4, 2, true);
			p.opens = 0;
			p.closes = 0;

			alloc_walk_may_lose(walk, MM_ADDR(page), MM_ADDR(page + 16));
			alloc_walk_begin(walk, mm);
			ret = mmap_file_at(mm, file, page, 16, SHARED_RW, 0);
			if (alloc_walk_end(walk, ret)) {
				ASSERT_TRUE(token_at(mm, page + 15));
				ASSERT_EQ(p.opens, 1);
			} else {
				ASSERT_EQ(p.opens + p.closes, 0);
				ASSERT_EQ(file_refs(file), 1);
			}
			mm_destroy(mm);
			ASSERT_EQ(p.opens, p.closes);
		}
		fput(file);
	}
}

/* A page in the middle that cannot be inserted; what was replaced is gone. */
TEST(action_fails_half_way)
{
	struct page *pages[8] = { [5] = NO_PAGE };
	struct prepared p = {
		.action = MMAP_INSERT_PAGES, .action_pages = 8, .pages = pages,
		.call_open = true,
	};
	struct mm_struct *mm = mm_create();
	struct file *file = prepared_file(&p);
	struct snapshot *before;
	unsigned long committed;

	ASSERT_REFUSED(mm, mmap_file_at(mm, file, 0, 8, SHARED_RW, 0), -EINVAL);

	mmap_anon(mm, 0, 16, PRIVATE_RW);
	fault_in(mm, 0, 16, true);
	committed = vm_committed;
	before = snapshot_take(mm);
	ASSERT_EQ(mmap_file_at(mm, file, 4, 8, SHARED_RW, 0), -EINVAL);
	check_world();
	ASSERT_EQ(vma_at(mm, 4), NULL);
	ASSERT_EQ(vm_committed, committed - 8);
	ASSERT_EQ(pt_nr_pages(mm), 8);
	ASSERT_EQ(file_refs(file), 1);
	ASSERT_EQ(p.opens + p.closes, 0);
	snapshot_free(before);
	mm_destroy(mm);
	fput(file);
}

/* Each rule: who breaks it gets -EINVAL and a warning, and nothing changes. */
TEST(rules)
{
	struct file *unprepared = file_of(NULL), *unwritable;
	struct prepared target = {};
	const struct {
		const char *rule;
		vm_flags_t flags;
		struct prepared p;
	} cases[] = {
		{ "flags_write", SHARED_R, { .set = VM_WRITE } },
		{ "flags_exec", SHARED_RW, { .set = VM_EXEC } },
		{ "flags_maywrite", SHARED_RO, { .set = VM_MAYWRITE } },
		{ "flags_may", SHARED_RW, { .clear = VM_MAYWRITE } },
		{ "flags_may_exec", PRIVATE_RX, { .clear = VM_MAYEXEC } },
		{ "flags_shared", PRIVATE_RW, { .set = VM_SHARED } },
		{ "flags_unshared", SHARED_RW, { .clear = VM_SHARED } },
		{ "flags_mayshare", SHARED_RW, { .clear = VM_MAYSHARE } },
		{ "flags_grow", PRIVATE_RW, { .set = VM_GROWSDOWN } },
		{ "flags_account", PRIVATE_RW, { .set = VM_ACCOUNT } },
		{ "flags_hugetlb", PRIVATE_RW, { .set = VM_HUGETLB } },
		{ "flags_uffd", PRIVATE_RW, { .set = VM_UFFD_MISSING } },
		{ "flags_softdirty", PRIVATE_RW, { .set = VM_SOFTDIRTY } },
		{ "flags_special", SHARED_RW, { .set = VM_PFNMAP | VM_MIXEDMAP } },
		{ "pgoff", SHARED_RW, { .pgoff_delta = -2 } },
		{ "file_none", SHARED_RW, { .no_file = true } },
		{ "file_prepared", SHARED_RW, { .replace = unprepared } },
		{ "file_mode", SHARED_RW, { .replace = unwritable = prepared_file(&target) } },
		{ "ops_shared", SHARED_RW, { .anonymous = true } },
		{ "ops_open", SHARED_RW, { .vm_ops = &other_vm_ops, .call_open = true } },
		{ "ops_anonymous_open", PRIVATE_RW, { .anonymous = true, .call_open = true } },
		{ "ops_anonymous_action", PRIVATE_RW,
		  { .anonymous = true, .action = MMAP_REMAP_PFN, .action_pages = 4 } },
		{ "action_unknown", SHARED_RW, { .action = 99, .action_pages = 4 } },
		{ "action_empty", SHARED_RW, { .action = MMAP_REMAP_PFN } },
		{ "action_long", SHARED_RW,
		  { .action = MMAP_REMAP_PFN, .action_pages = 5 } },
		{ "action_outside", SHARED_RW,
		  { .action = MMAP_REMAP_PFN, .action_start = MM_LEN(4), .action_pages = 1 } },
		{ "action_before", SHARED_RW,
		  { .action = MMAP_REMAP_PFN, .action_start = -MM_LEN(1), .action_pages = 1 } },
		{ "action_unaligned", SHARED_RW,
		  { .action = MMAP_REMAP_PFN, .action_start = 8, .action_pages = 1 } },
		{ "action_pfn", SHARED_RW,
		  { .action = MMAP_IO_REMAP_PFN, .action_pages = 4, .action_pfn = -2UL } },
		{ "action_part", PRIVATE_RW,
		  { .action = MMAP_REMAP_PFN, .action_pages = 3 } },
		{ "action_pages", SHARED_RW,
		  { .action = MMAP_INSERT_PAGES, .action_pages = 4 } },
		{ "action_pfnmap", SHARED_RW,
		  { .set = VM_PFNMAP, .action = MMAP_INSERT_PAGES,
		    .pages = some_pages, .action_pages = 4 } },
		{ "action_mixedmap", SHARED_RW,
		  { .set = VM_MIXEDMAP, .action = MMAP_REMAP_PFN, .action_pages = 4 } },
	};
	struct mm_struct *mm = mm_create();
	struct prepared p;
	struct file *file = prepared_file(&p);
	int i;

	unwritable->f_mode = FMODE_READ;
	mmap_anon(mm, 0, 12, PRIVATE_RW);
	fault_in(mm, 0, 12, true);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int before = test_nr_warnings();
		long ret;

		p = cases[i].p;
		expect_warnings(1);
		ret = mmap_file_at(mm, file, 4, 4, cases[i].flags, 0);
		if (ret != -EINVAL)
			test_failed(__FILE__, __LINE__, "%s: %ld",
				    cases[i].rule, ret);
		ASSERT_EQ(test_nr_warnings(), before);
		ASSERT_EQ(mm->map_count, 1);
		ASSERT_EQ(pt_nr_pages(mm), 12);
		ASSERT_EQ(file_refs(file), 1);
		ASSERT_EQ(file_refs(unprepared), 1);
		ASSERT_EQ(file_refs(unwritable), 1);
		check_world();
	}
	mm_destroy(mm);
	fput(unwritable);
	fput(unprepared);
	fput(file);
}

/* What is stacked on such a file gets the same, in a VMA that it has. */
TEST(stacked)
{
	int cookie;
	struct prepared p = {
		.set = VM_DONTDUMP, .private_data = &cookie, .call_open = true,
		.action = MMAP_INSERT_PAGES, .action_pages = 4, .pages = some_pages,
	};
	struct file *lower = prepared_file(&p);
	struct file *upper = file_create(&stacked_fops);

	upper->private_data = lower;
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_create();
		struct vm_area_struct *vma;
		long ret;

		p.opens = 0;
		p.closes = 0;
		alloc_walk_begin(walk, mm);
		ret = mmap_file_at(mm, upper, 0, 4, SHARED_RW, 7);
		if (alloc_walk_end(walk, ret)) {
			vma = assert_pages(mm, 0, 4);
			ASSERT_EQ(vma->vm_file, lower);
			ASSERT_EQ(vma->vm_pgoff, 7);
			ASSERT_EQ(vma->vm_ops, &prepared_vm_ops);
			ASSERT_EQ(vma->vm_private_data, (void *)&cookie);
			ASSERT_TRUE(vma->vm_flags & VM_DONTDUMP);
			ASSERT_TRUE(vma->vm_flags & VM_MIXEDMAP);
			ASSERT_TRUE(token_at(mm, 3));
			ASSERT_EQ(p.opens, 1);
		} else {
			ASSERT_EQ(p.opens, 0);
			ASSERT_EQ(file_refs(lower), 1);
		}
		mm_destroy(mm);
		ASSERT_EQ(p.opens, p.closes);
		ASSERT_EQ(file_refs(lower), 1);
		ASSERT_EQ(file_refs(upper), 1);
	}
	fput(upper);
	fput(lower);
}

/*
 * With f_op->mmap(): a VMA that its driver has counted is not merged away behind its
 * back, even if it could be with the flags that the driver has set.
 */
TEST(legacy_counted)
{
	struct driver driver = { .set = VM_DONTDUMP };
	struct file *file = file_of(&driver);
	struct mm_struct *mm = mm_create();

	mmap_file_at(mm, file, 0, 2, SHARED_RW, 0);
	mmap_file_at(mm, file, 2, 2, SHARED_RW, 2);
	assert_pages(mm, 0, 2);
	assert_pages(mm, 2, 2);
	ASSERT_EQ(driver.balance, 2);
	check_world();
	mm_destroy(mm);
	ASSERT_EQ(driver.balance, 0);
	fput(file);
}

/* Stacked, the rules are the same, and the file cannot be another one. */
TEST(stacked_rules)
{
	struct prepared p = {}, target = {};
	struct file *other = prepared_file(&target);
	struct file *lower = prepared_file(&p);
	struct file *upper = file_create(&stacked_fops);
	struct mm_struct *mm = mm_create();

	upper->private_data = lower;
	p.set = VM_PFNMAP | VM_MIXEDMAP;
	expect_warnings(1);
	ASSERT_REFUSED(mm, mmap_file_at(mm, upper, 0, 4, SHARED_RW, 0), -EINVAL);

	p = (struct prepared) { .error = -EIO, .call_open = true };
	ASSERT_REFUSED(mm, mmap_file_at(mm, upper, 0, 4, SHARED_RW, 0), -EIO);

	p = (struct prepared) { .replace = other };
	ASSERT_REFUSED(mm, mmap_file_at(mm, upper, 0, 4, SHARED_RW, 0), -EINVAL);
	p.error = -EIO;
	ASSERT_REFUSED(mm, mmap_file_at(mm, upper, 0, 4, SHARED_RW, 0), -EIO);
	p = (struct prepared) { .no_file = true };
	expect_warnings(1);
	ASSERT_REFUSED(mm, mmap_file_at(mm, upper, 0, 4, SHARED_RW, 0), -EINVAL);

	ASSERT_EQ(file_refs(other), 1);
	ASSERT_EQ(file_refs(lower), 1);
	ASSERT_EQ(p.opens + p.closes, 0);
	mm_destroy(mm);
	fput(upper);
	fput(lower);
	fput(other);
}
