// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VMAs that have an extent map: how they come to be, and what becomes of the map.
 * The map as such is in nonuniform.c.
 */

#include "include/remap.h"

/* What the VMAs of a test map. */
static struct file *nv_file;

static struct mm_struct *nv_begin(int page, int pages, vm_flags_t flags,
				  pgoff_t pgoff)
{
	struct mm_struct *mm = mm_create();

	nv_file = file_of(NULL);
	ASSERT_EQ(mmap_file_at(mm, nv_file, page, pages, flags, pgoff),
		  MM_ADDR(page));
	return mm;
}

static void nv_end(struct mm_struct *mm)
{
	check_world();
	mm_destroy(mm);
	ASSERT_EQ(alloc_nr_live_of("nonuniform_node"), 0);
	fput(nv_file);
}

static long nv_remap(struct mm_struct *mm, int page, int pages, pgoff_t pgoff,
		     vm_flags_t access)
{
	return op_remap(mm, MM_ADDR(page), MM_LEN(pages), pgoff, access);
}

static void assert_maps(struct mm_struct *mm, int page, pgoff_t pgoff,
			vm_flags_t access)
{
	struct vm_area_struct *vma = vma_at(mm, page);

	ASSERT_EQ(vma_pgoff_at(vma, MM_ADDR(page)), pgoff);
	ASSERT_EQ(vma_access_at(vma, MM_ADDR(page)), access);
}

static bool found_in_i_mmap(struct vm_area_struct *vma, pgoff_t first,
			    pgoff_t last)
{
	struct rb_root_cached *root = &vma->vm_file->f_mapping->i_mmap;
	struct vm_area_struct *i;

	for (i = vma_interval_tree_iter_first(root, first, last); i;
	     i = vma_interval_tree_iter_next(i, first, last))
		if (i == vma)
			return true;
	return false;
}

/* How many addresses of all VMAs of the file map a page. */
static int nr_found(struct file *file, pgoff_t pgoff)
{
	struct rb_root_cached *root = &file->f_mapping->i_mmap;
	struct vm_area_struct *vma;
	int nr = 0;

	for (vma = vma_interval_tree_iter_first(root, pgoff, pgoff); vma;
	     vma = vma_interval_tree_iter_next(vma, pgoff, pgoff)) {
		struct vma_file_iter iter;
		struct vma_extent extent;

		if (!vma_is_nonuniform(vma)) {
			nr++;
			continue;
		}
		vma_file_iter_init(&iter, vma, pgoff, pgoff);
		while (vma_file_iter_next(&iter, &extent))
			nr += (extent.end - extent.start) >> PAGE_SHIFT;
	}
	return nr;
}

/* What the OOM killer is told is about what the extents take. */
TEST(bytes)
{
	struct mm_struct *mm = nv_begin(0, 256, SHARED_RW, 0);
	int i;

	ASSERT_EQ(mm_nonuniform_bytes(mm), 0);
	for (i = 0; i < 256; i++)
		ASSERT_EQ(nv_remap(mm, i, 1, 1000 - i, VM_READ), 0);
	ASSERT_GE(mm_nonuniform_bytes(mm), 256 * 96 / 2);
	ASSERT_LE(mm_nonuniform_bytes(mm), 256 * 96 * 2);
	ASSERT_EQ(op_munmap(mm, MM_ADDR(0), MM_LEN(256)), 0);
	ASSERT_EQ(mm_nonuniform_bytes(mm), 0);
	nv_end(mm);
}

/* One page of another offset: the VMA stays one, and the page is gone from it. */
TEST(remap)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = nv_begin(0, 8, SHARED_RW, 100);
		long ret;

		fault_in(mm, 0, 8, true);
		alloc_walk_begin(walk, mm);
		ret = nv_remap(mm, 3, 2, 50, VM_READ);
		if (alloc_walk_end(walk, ret)) {
			assert_pages(mm, 0, 8);
			assert_maps(mm, 2, 102, VM_READ | VM_WRITE);
			assert_maps(mm, 3, 50, VM_READ);
			assert_maps(mm, 4, 51, VM_READ);
			assert_maps(mm, 5, 105, VM_READ | VM_WRITE);
			ASSERT_EQ(token_at(mm, 3), 0);
			ASSERT_EQ(token_at(mm, 4), 0);
			ASSERT_NE(token_at(mm, 5), 0);
			ASSERT_EQ(op_fault(mm, MM_ADDR(3), PAGE_SIZE, true),
				  -EFAULT);
			fault_in(mm, 3, 2, false);
			ASSERT_EQ(token_at(mm, 4), pt_file_token(nv_file, 51));
			fault_in(mm, 2, 1, true);
		}
		nv_end(mm);
	}
}

/* The VMA has no more than its pages, the file's counter has nothing to do with it. */
TEST(flags)
{
	struct mm_struct *mm = nv_begin(0, 8, SHARED_RW | VM_EXEC, 0);
	struct vm_area_struct *vma = vma_at(mm, 0);
	int writable = nv_file->mapping.i_mmap_writable;

	vm_flags_clear(vma, VM_SOFTDIRTY);
	vma_set_page_prot(vma);
	ASSERT_EQ(nv_remap(mm, 1, 1, 1, VM_READ | VM_EXEC), 0);
	ASSERT_EQ(vma->vm_flags & VM_ACCESS_FLAGS, VM_READ | VM_EXEC);
	ASSERT_TRUE(vma->vm_flags & VM_SOFTDIRTY);
	/* It counts as executable from now on. */
	ASSERT_EQ(mm->exec_vm, 8);
	ASSERT_EQ(nv_remap(mm, 1, 1, 1, VM_WRITE | VM_EXEC), 0);
	ASSERT_EQ(vma->vm_flags & VM_ACCESS_FLAGS, VM_EXEC);
	/* What is back does not come back. */
	ASSERT_EQ(nv_remap(mm, 1, 1, 1, VM_ACCESS_FLAGS), 0);
	ASSERT_EQ(vma_nr_extents(vma), 1);
	ASSERT_EQ(vma->vm_flags & VM_ACCESS_FLAGS, VM_EXEC);
	ASSERT_EQ(nv_file->mapping.i_mmap_writable, writable);
	nv_end(mm);
}

/* Page table entries get what an ordinary VMA with that protection has. */
TEST(page_prots)
{
	vm_flags_t access;

	for (access = VM_NONE; access <= VM_ACCESS_FLAGS; access++) {
		bool writeback, clean;
		int i;

		for (i = 0; i < 4; i++) {
			struct mm_struct *mm = nv_begin(0, 2, SHARED_R, 0);
			struct vm_area_struct *vma, *ordinary;

			writeback = i & 1;
			clean = i & 2;
			nv_file->mapping.can_writeback = writeback;
			mmap_file_at(mm, nv_file, 4, 2,
				     (SHARED_R & ~VM_ACCESS_FLAGS) | access, 0);
			ASSERT_EQ(nv_remap(mm, 0, 1, 7, access), 0);
			vma = vma_at(mm, 0);
			ordinary = vma_at(mm, 4);
			if (clean) {
				vm_flags_clear(vma, VM_SOFTDIRTY);
				vm_flags_clear(ordinary, VM_SOFTDIRTY);
				vma_set_page_prot(vma);
				vma_set_page_prot(ordinary);
			}
			ASSERT_EQ(pgprot_val(vma_page_prot_at(vma, MM_ADDR(0))),
				  pgprot_val(ordinary->vm_page_prot));
			nv_end(mm);
		}
	}
}

/* It is in i_mmap for the whole file, and what it maps is found. */
TEST(i_mmap)
{
	struct mm_struct *mm = nv_begin(0, 8, SHARED_RW, 100);
	struct vm_area_struct *vma = vma_at(mm, 0);

	ASSERT_FALSE(found_in_i_mmap(vma, 0, 99));
	ASSERT_FALSE(found_in_i_mmap(vma, 108, ULONG_MAX));
	ASSERT_EQ(nv_remap(mm, 3, 1, 5000, VM_READ), 0);
	ASSERT_TRUE(found_in_i_mmap(vma, 0, 0));
	ASSERT_TRUE(found_in_i_mmap(vma, ULONG_MAX, ULONG_MAX));
	ASSERT_EQ(nr_found(nv_file, 5000), 1);
	ASSERT_EQ(nr_found(nv_file, 103), 0);
	ASSERT_EQ(nr_found(nv_file, 104), 1);
	ASSERT_EQ(nv_remap(mm, 4, 2, 5000, VM_READ), 0);
	ASSERT_EQ(nr_found(nv_file, 5000), 2);
	ASSERT_EQ(nr_found(nv_file, 5001), 1);

	/* Each part finds its own, and no more than that. */
	ASSERT_EQ(op_change_flags(mm, MM_ADDR(4), MM_LEN(1), VM_DONTDUMP, 0), 0);
	ASSERT_EQ(mm->map_count, 3);
	ASSERT_TRUE(found_in_i_mmap(vma_at(mm, 4), ULONG_MAX, ULONG_MAX));
	ASSERT_EQ(nr_found(nv_file, 5000), 2);
	ASSERT_EQ(nr_found(nv_file, 5001), 1);
	nv_end(mm);
}

/* Whatever is done to it, it merges neither with an ordinary one nor with its kind. */
TEST(never_merges)
{
	struct mm_struct *mm = nv_begin(4, 4, SHARED_RW, 4);
	vm_flags_t rw = VM_READ | VM_WRITE;

	ASSERT_EQ(nv_remap(mm, 5, 1, 90, rw), 0);
	/* New ones on either side, and between two of them. */
	mmap_file_at(mm, nv_file, 0, 4, SHARED_RW, 0);
	mmap_file_at(mm, nv_file, 8, 4, SHARED_RW, 8);
	ASSERT_EQ(mm->map_count, 3);
	/* A part of it with the flags of its neighbour, then all of it. */
	ASSERT_EQ(op_change_flags(mm, MM_ADDR(0), MM_LEN(12), VM_DONTDUMP, 0), 0);
	ASSERT_EQ(op_change_flags(mm, MM_ADDR(4), MM_LEN(1), 0, VM_DONTDUMP), 0);
	ASSERT_EQ(op_change_flags(mm, MM_ADDR(4), MM_LEN(1), VM_DONTDUMP, 0), 0);
	ASSERT_EQ(op_change_flags(mm, MM_ADDR(7), MM_LEN(1), 0, VM_DONTDUMP), 0);
	ASSERT_EQ(op_change_flags(mm, MM_ADDR(7), MM_LEN(1), VM_DONTDUMP, 0), 0);
	assert_pages(mm, 0, 4);
	assert_pages(mm, 4, 1);
	assert_pages(mm, 5, 2);
	assert_pages(mm, 7, 1);
	assert_pages(mm, 8, 4);
	assert_maps(mm, 5, 90, rw);
	check_world();

	/* Nor does it where it would go on in the file. */
	mmap_file_at(mm, nv_file, 40, 2, SHARED_RW | VM_DONTDUMP, 2);
	ASSERT_EQ(op_mremap(mm, MM_ADDR(4), MM_LEN(1), MM_ADDR(42)), MM_ADDR(42));
	assert_pages(mm, 40, 2);
	assert_maps(mm, 42, 4, rw);
	ASSERT_TRUE(vma_is_nonuniform(vma_at(mm, 42)));
	nv_end(mm);
}

/* The parts of a VMA have one map, and what spans them is one change. */
TEST(split_shares)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = nv_begin(0, 12, SHARED_RW, 0);
		struct nonuniform_map *map;
		long ret;

		ASSERT_EQ(nv_remap(mm, 4, 4, 50, VM_READ), 0);
		map = vma_at(mm, 0)->vm_nonuniform;
		ASSERT_EQ(op_change_flags(mm, MM_ADDR(5), MM_LEN(2), VM_DONTDUMP,
					  0), 0);
		ASSERT_EQ(mm->map_count, 3);
		ASSERT_EQ(vma_at(mm, 5)->vm_nonuniform, map);
		ASSERT_EQ(vma_at(mm, 7)->vm_nonuniform, map);
		assert_maps(mm, 4, 50, VM_READ);
		assert_maps(mm, 5, 51, VM_READ);
		assert_maps(mm, 7, 53, VM_READ);
		fault_in(mm, 0, 12, false);

		alloc_walk_begin(walk, mm);
		ret = nv_remap(mm, 2, 8, 80, VM_WRITE);
		if (alloc_walk_end(walk, ret)) {
			assert_maps(mm, 2, 80, VM_WRITE);
			assert_maps(mm, 6, 84, VM_WRITE);
			assert_maps(mm, 9, 87, VM_WRITE);
			assert_maps(mm, 10, 10, VM_READ | VM_WRITE);
			ASSERT_EQ(pt_nr_pages(mm), 4);
			ASSERT_EQ(vma_at(mm, 6)->vm_flags & VM_ACCESS_FLAGS,
				  VM_NONE);
			ASSERT_EQ(nonuniform_nr_extents(map), 1);
		}
		nv_end(mm);
	}
}

/* munmap() of a part: the rest is as it was, and the map forgets the part. */
TEST(munmap_forgets)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = nv_begin(0, 12, SHARED_RW, 0);
		struct nonuniform_map *map;
		long ret;
		int i;

		for (i = 0; i < 12; i++)
			ASSERT_EQ(nv_remap(mm, i, 1, 100 - 2 * i, VM_READ), 0);
		map = vma_at(mm, 0)->vm_nonuniform;
		ASSERT_EQ(nonuniform_nr_extents(map), 12);
		fault_in(mm, 0, 12, false);

		alloc_walk_begin(walk, mm);
		ret = op_munmap(mm, MM_ADDR(3), MM_LEN(5));
		if (alloc_walk_end(walk, ret)) {
			assert_pages(mm, 0, 3);
			assert_pages(mm, 8, 4);
			assert_maps(mm, 2, 96, VM_READ);
			assert_maps(mm, 8, 84, VM_READ);
			ASSERT_EQ(nr_found(nv_file, 94), 0);
			if (!walk->is_injected) {
				ASSERT_EQ(nonuniform_nr_extents(map), 7);
				ASSERT_EQ(alloc_nr_live_of("nonuniform_node"), 7);
			}
			/* With the last part, it is gone. */
			ASSERT_EQ(op_munmap(mm, MM_ADDR(0), MM_LEN(3)), 0);
			ASSERT_EQ(op_munmap(mm, MM_ADDR(8), MM_LEN(4)), 0);
			ASSERT_EQ(alloc_nr_live_of("nonuniform_node"), 0);
		}
		nv_end(mm);
	}
}

/* So does mmap() over a part of it. */
TEST(mmap_forgets)
{
	struct mm_struct *mm = nv_begin(0, 8, SHARED_RW, 0);
	struct nonuniform_map *map;

	ASSERT_EQ(nv_remap(mm, 2, 4, 100, VM_READ), 0);
	map = vma_at(mm, 0)->vm_nonuniform;
	mmap_file_at(mm, nv_file, 3, 2, SHARED_RW, 3);
	ASSERT_FALSE(vma_is_nonuniform(vma_at(mm, 3)));
	ASSERT_EQ(nonuniform_nr_extents(map), 2);
	assert_maps(mm, 2, 100, VM_READ);
	assert_maps(mm, 3, 3, VM_READ | VM_WRITE);
	assert_maps(mm, 5, 103, VM_READ);
	nv_end(mm);
}

/* The lock is kept for writing for as long as the map of another VMA changes. */
TEST(munmap_unlock)
{
	int whole;

	for (whole = 0; whole < 2; whole++) {
		struct mm_struct *mm = nv_begin(0, 8, SHARED_RW, 0);
		struct vma_iterator vmi;
		LIST_HEAD(uf);

		ASSERT_EQ(nv_remap(mm, 2, 4, 100, VM_READ), 0);
		fault_in(mm, 0, 8, false);
		vma_iter_init(&vmi, mm, MM_ADDR(0));
		ASSERT_EQ(do_vmi_munmap(&vmi, mm, MM_ADDR(0),
					MM_LEN(whole ? 8 : 4), &uf, true), 0);
		ASSERT_FALSE(rwsem_is_locked(&mm->mmap_lock));
		mmap_write_lock(mm);
		nv_end(mm);
	}
}

/* What grows is linear, whatever the map has there, and siblings do not matter. */
TEST(grows)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = nv_begin(0, 12, SHARED_RW, 0);
		long ret;

		ASSERT_EQ(nv_remap(mm, 2, 8, 100, VM_READ), 0);
		/* The second half goes elsewhere, with its extents. */
		ASSERT_EQ(op_mremap(mm, MM_ADDR(6), MM_LEN(6), MM_ADDR(40)),
			  MM_ADDR(40));
		ASSERT_EQ(vma_at(mm, 0)->vm_nonuniform,
			  vma_at(mm, 40)->vm_nonuniform);
		fault_in(mm, 0, 6, false);
		fault_in(mm, 40, 6, false);

		alloc_walk_begin(walk, mm);
		ret = op_extend(mm, MM_ADDR(0), MM_LEN(4));
		if (alloc_walk_end(walk, ret)) {
			assert_pages(mm, 0, 10);
			ASSERT_NE(vma_at(mm, 0)->vm_nonuniform,
				  vma_at(mm, 40)->vm_nonuniform);
			assert_maps(mm, 5, 103, VM_READ);
			assert_maps(mm, 6, 6, VM_READ | VM_WRITE);
			assert_maps(mm, 9, 9, VM_READ | VM_WRITE);
			assert_maps(mm, 40, 104, VM_READ);
			ASSERT_EQ(nr_found(nv_file, 104), 1);
			ASSERT_EQ(nr_found(nv_file, 6), 1);
			fault_in(mm, 6, 4, true);
		}
		nv_end(mm);
	}
}

/* Extents that could not be forgotten are not found by what grows. */
TEST(grows_over_what_was_kept)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = nv_begin(0, 8, SHARED_RW, 0);
		struct nonuniform_map *map;
		struct nonuniform_op op;
		long ret;

		ASSERT_EQ(nv_remap(mm, 2, 2, 100, VM_READ), 0);
		ASSERT_EQ(op_munmap(mm, MM_ADDR(4), MM_LEN(4)), 0);
		map = vma_at(mm, 0)->vm_nonuniform;
		ASSERT_FALSE(nonuniform_is_shared(map));
		ASSERT_EQ(nonuniform_prepare_set(&op, map, 4, 4, 200, VM_EXEC), 0);
		nonuniform_commit(&op);
		nonuniform_finish(&op);

		alloc_walk_begin(walk, mm);
		ret = op_extend(mm, MM_ADDR(0), MM_LEN(4));
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(vma_at(mm, 0)->vm_nonuniform, map);
			assert_maps(mm, 3, 101, VM_READ);
			assert_maps(mm, 4, 4, VM_READ | VM_WRITE);
			ASSERT_EQ(nr_found(nv_file, 200), 0);
		}
		nv_end(mm);
	}
}

/* What grows has what the mapping was last given as a whole; the VMA not more. */
TEST(grows_with_default)
{
	struct mm_struct *mm = nv_begin(0, 8, SHARED_R | VM_EXEC, 0);
	vm_flags_t rw = VM_READ | VM_WRITE;

	ASSERT_EQ(nv_remap(mm, 2, 2, 100, VM_READ | VM_EXEC), 0);
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(0), MM_LEN(8), rw), 0);
	ASSERT_EQ(op_extend(mm, MM_ADDR(0), MM_LEN(2)), 0);
	assert_maps(mm, 9, 9, rw);
	ASSERT_EQ(vma_at(mm, 0)->vm_flags & VM_ACCESS_FLAGS, rw);

	/* With a sibling, a part is no less a whole. */
	ASSERT_EQ(op_munmap(mm, MM_ADDR(4), MM_LEN(2)), 0);
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(0), MM_LEN(4), VM_READ | VM_EXEC), 0);
	ASSERT_EQ(vma_at(mm, 0)->vm_flags & VM_ACCESS_FLAGS, VM_READ | VM_EXEC);
	ASSERT_EQ(mm->exec_vm, 4);
	ASSERT_EQ(op_extend(mm, MM_ADDR(0), MM_LEN(1)), 0);
	assert_maps(mm, 3, 101, VM_READ | VM_EXEC);
	assert_maps(mm, 4, 4, VM_READ | VM_EXEC);
	ASSERT_EQ(vma_at(mm, 0)->vm_flags & VM_ACCESS_FLAGS, VM_READ | VM_EXEC);
	ASSERT_EQ(mm->exec_vm, 5);
	/* That one has what both had before. */
	assert_maps(mm, 6, 6, rw);
	ASSERT_EQ(op_extend(mm, MM_ADDR(6), MM_LEN(1)), 0);
	assert_maps(mm, 10, 10, rw);
	nv_end(mm);
}

/* So it has if all is protected at once, or nothing has changed. */
TEST(grows_with_default_of_parts)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = nv_begin(0, 8, SHARED_R | VM_EXEC, 0);
		vm_flags_t rw = VM_READ | VM_WRITE;
		struct nonuniform_map *map;
		struct vma_iterator vmi;
		long ret;

		ASSERT_EQ(nv_remap(mm, 2, 4, 100, VM_READ | VM_EXEC), 0);
		/* As mlock() of a part does. */
		vma_iter_init(&vmi, mm, MM_ADDR(0));
		ASSERT_EQ(split_vma(&vmi, vma_at(mm, 0), MM_ADDR(4), 0), 0);
		map = vma_at(mm, 4)->vm_nonuniform;
		ASSERT_EQ(vma_at(mm, 0)->vm_nonuniform, map);

		alloc_walk_begin(walk, mm);
		ret = op_mprotect(mm, MM_ADDR(4), MM_LEN(4), rw);
		if (alloc_walk_end(walk, ret)) {
			ASSERT_NE(vma_at(mm, 4)->vm_nonuniform, map);
			assert_maps(mm, 3, 101, VM_READ | VM_EXEC);
			assert_maps(mm, 5, 103, rw);
			ASSERT_EQ(nr_found(nv_file, 103), 1);
			ASSERT_EQ(nr_found(nv_file, 7), 1);
			ASSERT_EQ(op_extend(mm, MM_ADDR(4), MM_LEN(2)), 0);
			assert_maps(mm, 9, 9, rw);
		}
		nv_end(mm);
	}
}

/* Perf gets a record of each extent that can be executed, and of no other. */
TEST(perf)
{
	struct mm_struct *mm = nv_begin(0, 8, SHARED_RW, 0);
	unsigned long nr = calls.perf_mmap;

	ASSERT_EQ(nv_remap(mm, 2, 2, 100, VM_READ), 0);
	ASSERT_EQ(calls.perf_mmap, nr);
	ASSERT_EQ(nv_remap(mm, 3, 2, 50, VM_READ | VM_EXEC), 0);
	ASSERT_EQ(calls.perf_mmap, nr + 1);
	ASSERT_EQ(calls.perf_last.start, MM_ADDR(3));
	ASSERT_EQ(calls.perf_last.end, MM_ADDR(5));
	ASSERT_EQ(calls.perf_last.pgoff, 50);
	ASSERT_EQ(calls.perf_last.access, VM_READ | VM_EXEC);

	vma_report_exec(vma_at(mm, 0), MM_ADDR(0), MM_ADDR(4));
	ASSERT_EQ(calls.perf_mmap, nr + 2);
	ASSERT_EQ(calls.perf_last.end, MM_ADDR(4));
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(1), MM_LEN(7), VM_EXEC), 0);
	vma_report_exec(vma_at(mm, 0), MM_ADDR(0), MM_ADDR(8));
	ASSERT_EQ(calls.perf_mmap, nr + 6);
	ASSERT_EQ(calls.perf_last.start, MM_ADDR(5));
	ASSERT_EQ(calls.perf_last.end, MM_ADDR(8));
	ASSERT_EQ(calls.perf_last.pgoff, 5);
	ASSERT_EQ(calls.perf_last.access, VM_EXEC);
	/* Each is told as one of its own: the VMA is what it was. */
	assert_pages(mm, 0, 8);
	nv_end(mm);
}

/* mprotect() of a part splits nothing. */
TEST(mprotect)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = nv_begin(0, 12, SHARED_RW, 0);
		vm_flags_t rw = VM_READ | VM_WRITE;
		long ret;

		ASSERT_EQ(nv_remap(mm, 2, 2, 100, rw), 0);
		ASSERT_EQ(nv_remap(mm, 6, 2, 200, VM_READ), 0);
		fault_in(mm, 0, 12, false);
		alloc_walk_begin(walk, mm);
		ret = op_mprotect(mm, MM_ADDR(3), MM_LEN(4), VM_EXEC);
		if (alloc_walk_end(walk, ret)) {
			assert_pages(mm, 0, 12);
			assert_maps(mm, 2, 100, rw);
			assert_maps(mm, 3, 101, VM_EXEC);
			assert_maps(mm, 4, 4, VM_EXEC);
			assert_maps(mm, 6, 200, VM_EXEC);
			assert_maps(mm, 7, 201, VM_READ);
			ASSERT_EQ(vma_at(mm, 0)->vm_flags & VM_ACCESS_FLAGS,
				  VM_NONE);
			ASSERT_EQ(pt_nr_pages(mm), 12);
		}
		nv_end(mm);
	}
}

/* As a whole, it gets exactly what is asked for. */
TEST(mprotect_whole)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = nv_begin(0, 12, SHARED_RW, 0);
		long ret;

		ASSERT_EQ(nv_remap(mm, 2, 2, 100, VM_NONE), 0);
		alloc_walk_may_need_none(walk);
		alloc_walk_begin(walk, mm);
		ret = op_mprotect(mm, MM_ADDR(0), MM_LEN(12), VM_READ | VM_EXEC);
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(vma_at(mm, 0)->vm_flags & VM_ACCESS_FLAGS,
				  VM_READ | VM_EXEC);
			assert_maps(mm, 2, 100, VM_READ | VM_EXEC);
			assert_maps(mm, 4, 4, VM_READ | VM_EXEC);
			ASSERT_EQ(vma_nr_extents(vma_at(mm, 0)), 3);
			ASSERT_EQ(mm->exec_vm, 12);
		}
		nv_end(mm);
	}
}

/* mremap(): extents go with their pages, and the rest of the mapping keeps its own. */
TEST(moves)
{
	static const struct {
		int page, pages;
	} moves[] = { { 0, 12 }, { 0, 4 }, { 4, 4 }, { 8, 4 }, { 3, 6 } };
	int i;

	for (i = 0; i < ARRAY_SIZE(moves); i++) {
		for_each_alloc_failure(walk) {
			struct mm_struct *mm = nv_begin(0, 12, SHARED_RW, 0);
			int first = moves[i].page, nr = moves[i].pages, j;
			struct nonuniform_map *map;
			long ret;

			for (j = 0; j < 12; j++)
				ASSERT_EQ(nv_remap(mm, j, 1, 100 - 2 * j,
						   j % 8), 0);
			map = vma_at(mm, 0)->vm_nonuniform;
			alloc_walk_begin(walk, mm);
			ret = op_mremap(mm, MM_ADDR(first), MM_LEN(nr),
					MM_ADDR(600));
			if (alloc_walk_end(walk, ret)) {
				for (j = 0; j < 12; j++)
					assert_maps(mm, j < first ||
						    j >= first + nr ? j :
						    600 + j - first,
						    100 - 2 * j, j % 8);
				/* No copy has been made. */
				ASSERT_EQ(nonuniform_nr_extents(map), 12);
				ASSERT_EQ(vma_at(mm, 600)->vm_nonuniform, map);
				for (j = 0; j < 12; j++)
					ASSERT_EQ(nr_found(nv_file, 100 - 2 * j),
						  1);
			}
			nv_end(mm);
		}
	}
}

/* Moved and grown, it has a map of its own. The old one forgets. */
TEST(moves_and_grows)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = nv_begin(0, 12, SHARED_RW, 0);
		struct nonuniform_map *map;
		long ret;

		ASSERT_EQ(nv_remap(mm, 2, 8, 100, VM_READ), 0);
		fault_in(mm, 0, 12, false);
		map = vma_at(mm, 0)->vm_nonuniform;
		alloc_walk_begin(walk, mm);
		ret = op_mremap_grow(mm, MM_ADDR(4), MM_LEN(4), MM_ADDR(600),
				     MM_LEN(6));
		if (alloc_walk_end(walk, ret)) {
			assert_maps(mm, 600, 102, VM_READ);
			assert_maps(mm, 603, 105, VM_READ);
			assert_maps(mm, 604, 8, VM_READ | VM_WRITE);
			assert_maps(mm, 605, 9, VM_READ | VM_WRITE);
			assert_maps(mm, 3, 101, VM_READ);
			assert_maps(mm, 8, 106, VM_READ);
			ASSERT_NE(vma_at(mm, 600)->vm_nonuniform, map);
			ASSERT_EQ(nonuniform_nr_extents(map), 2);
			ASSERT_EQ(nr_found(nv_file, 102), 1);
			ASSERT_EQ(nr_found(nv_file, 8), 1);
		}
		nv_end(mm);
	}
}

/*
 * If what has been moved cannot be unmapped, as may happen in the kernel, two VMAs
 * stay, but not with one set of extents.
 */
TEST(move_leaves_linear)
{
	struct mm_struct *mm = nv_begin(0, 4, SHARED_RW, 0);
	struct vm_area_struct *vma = vma_at(mm, 0), *new;
	struct nonuniform_map *map, *spare;
	bool locks;

	ASSERT_EQ(nv_remap(mm, 1, 2, 100, VM_READ), 0);
	map = vma->vm_nonuniform;
	ASSERT_EQ(vma_prepare_move(vma, &spare), 0);
	new = copy_vma(&vma, MM_ADDR(600), MM_LEN(4), 0, &locks, false);
	ASSERT_EQ(new->vm_nonuniform, map);
	vma_finish_move(vma, new, spare);
	vm_stat_account(mm, new->vm_flags, 4);
	ASSERT_EQ(new->vm_nonuniform, map);
	assert_maps(mm, 601, 100, VM_READ);
	/* It allows what the VMA did as a whole. */
	assert_maps(mm, 1, 1, VM_READ);
	assert_maps(mm, 0, 0, VM_READ);
	ASSERT_EQ(nr_found(nv_file, 100), 1);
	check_world();

	/* MREMAP_DONTUNMAP, and an old length of 0: two that are alike. */
	vma = vma_at(mm, 600);
	new = copy_vma(&vma, MM_ADDR(700), MM_LEN(4), 0, &locks, true);
	vm_stat_account(mm, new->vm_flags, 4);
	ASSERT_NE(new->vm_nonuniform, map);
	assert_maps(mm, 601, 100, VM_READ);
	assert_maps(mm, 701, 100, VM_READ);
	ASSERT_EQ(nr_found(nv_file, 100), 2);
	nv_end(mm);
}

/* A page beyond what an extent can say: nothing happens. */
TEST(too_far)
{
	struct mm_struct *mm = nv_begin(0, 4, SHARED_RW, 0);

	fault_in(mm, 0, 4, true);
	ASSERT_REFUSED(mm, nv_remap(mm, 1, 1, 1UL << 60, VM_READ), -EOVERFLOW);
	ASSERT_FALSE(vma_is_nonuniform(vma_at(mm, 0)));
	ASSERT_EQ(nv_remap(mm, 1, 1, 9, VM_READ), 0);
	ASSERT_REFUSED(mm, nv_remap(mm, 2, 1, 1UL << 60, VM_READ), -EOVERFLOW);
	ASSERT_REFUSED(mm, nv_remap(mm, 3, 2, 7, VM_READ), -EINVAL);
	nv_end(mm);
}

/* Pages in no order with protections in no order are one VMA, and the model's. */
TEST(random)
{
	const int pages = 64, nr = 4000;
	struct mm_struct *mm = nv_begin(0, pages, SHARED_RW, 0);
	struct {
		pgoff_t pgoff;
		vm_flags_t access;
	} model[64];
	unsigned long seed = test_seed();
	int i, j;

	srand(seed);
	for (i = 0; i < pages; i++) {
		model[i].pgoff = i;
		model[i].access = VM_READ | VM_WRITE;
	}
	/* An ordinary VMA would be split. */
	model[0].pgoff = 7;
	ASSERT_EQ(nv_remap(mm, 0, 1, 7, model[0].access), 0);
	for (i = 0; i < nr; i++) {
		int first = rand() % pages, n = 1 + rand() % (pages - first);
		vm_flags_t access = rand() % (VM_ACCESS_FLAGS + 1);
		pgoff_t pgoff = rand() % 3 ? rand() % 200 : first;
		bool protect = rand() % 3 == 0;

		n = rand() % 4 ? min(n, 3) : n;
		alloc_fail_random(rand() % 2 ? 8 : 0, rand());
		if (protect)
			j = op_mprotect(mm, MM_ADDR(first), MM_LEN(n), access);
		else
			j = nv_remap(mm, first, n, pgoff, access);
		alloc_fail_random(0, 0);
		ASSERT_TRUE(j == 0 || j == -ENOMEM);
		for (; !j && n; first++, n--, pgoff++) {
			model[first].pgoff = protect ? model[first].pgoff : pgoff;
			model[first].access = access;
		}
		for (j = 0; j < pages; j++)
			assert_maps(mm, j, model[j].pgoff, model[j].access);
		op_fault(mm, MM_ADDR(rand() % pages), PAGE_SIZE, rand() % 2);
		if (i % 16 == 0)
			check_world();
	}
	ASSERT_EQ(mm->map_count, 1);
	nv_end(mm);
}
