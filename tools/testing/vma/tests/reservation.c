// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mm/reservation.c, and who asks it: address ranges that belong to one allocation
 * each.
 */

#define RESERV_PAGES	24	/* of the space that is looked at */
#define RESERV_MAX	RESERV_PAGES

static struct mm_struct *mm_reserved(unsigned int flags)
{
	struct mm_struct *mm = mm_create();

	ASSERT_EQ(reservations_enable(mm, flags), 0);
	check_world();
	return mm;
}

static struct vma_reservation *reserv_of(struct mm_struct *mm, int page)
{
	ASSERT_NE(vma_at(mm, page), NULL);
	return vma_at(mm, page)->vm_reserv;
}

/* Exactly these pages are a reservation. */
static struct vma_reservation *assert_reserved(struct mm_struct *mm, int page,
					       int pages)
{
	struct vma_reservation *reserv = __reservation_find(mm, MM_ADDR(page));

	ASSERT_NE(reserv, NULL);
	ASSERT_EQ(reserv->start, MM_ADDR(page));
	ASSERT_EQ(reserv->end, MM_ADDR(page + pages));
	return reserv;
}

static void assert_free(struct mm_struct *mm, int page, int pages)
{
	ASSERT_FALSE(__reservation_overlaps(mm, MM_ADDR(page),
					    MM_ADDR(page + pages)));
}

static struct vma_reservation *reserv_hold(struct mm_struct *mm, int page,
					   int pages)
{
	return __reservation_hold(mm, MM_ADDR(page), MM_ADDR(page + pages),
				  VM_NONE);
}

/*
 * The index against an array that says who owns each page: 0 nobody, otherwise
 * one more than a number in @held.
 */
struct reserv_model {
	struct mm_struct *mm;
	int owner[RESERV_PAGES];
	struct vma_reservation *held[RESERV_MAX];
};

static bool model_overlaps(const struct reserv_model *m, int start, int end)
{
	while (start < end)
		if (m->owner[start++])
			return true;
	return false;
}

static bool model_covers(const struct reserv_model *m, int start, int end)
{
	int page;

	for (page = start + 1; page < end; page++)
		if (m->owner[page] != m->owner[start])
			return false;
	return true;
}

static void model_compare(const struct reserv_model *m)
{
	const char *mistake = reservations_mistake(m->mm, false);
	int start, end;

	if (mistake)
		test_failed(__FILE__, __LINE__, "%s", mistake);

	for (start = 0; start < RESERV_PAGES; start++) {
		struct vma_reservation *want = NULL;

		for (end = start; end < RESERV_PAGES && !want; end++)
			if (m->owner[end])
				want = m->held[m->owner[end] - 1];
		ASSERT_EQ(__reservation_find(m->mm, MM_ADDR(start)), want);
		ASSERT_EQ(__reservation_find(m->mm, MM_ADDR(start + 1) - 1),
			  want);

		for (end = start; end <= RESERV_PAGES; end++) {
			ASSERT_EQ(__reservation_overlaps(m->mm, MM_ADDR(start),
							 MM_ADDR(end)),
				  model_overlaps(m, start, end));
			ASSERT_EQ(__reservation_covers(m->mm, MM_ADDR(start),
						       MM_ADDR(end)),
				  model_covers(m, start, end));
		}
	}
}

/* Reserve where nothing is; elsewhere it is as the array says. */
static void model_hold(struct reserv_model *m, int n, int page, int pages)
{
	struct vma_reservation *reserv = reserv_hold(m->mm, page, pages);

	if (model_overlaps(m, page, page + pages)) {
		if (!model_covers(m, page, page + pages)) {
			ASSERT_EQ(PTR_ERR(reserv), -EEXIST);
			return;
		}
		ASSERT_EQ(reserv, m->held[m->owner[page] - 1]);
		__reservation_release(m->mm, reserv);
		return;
	}
	ASSERT_FALSE(IS_ERR(reserv));
	ASSERT_EQ(reserv->count, 1);
	m->held[n] = reserv;
	while (pages--)
		m->owner[page++] = n + 1;
}

static void model_release(struct reserv_model *m, int n)
{
	int page;

	__reservation_release(m->mm, m->held[n]);
	m->held[n] = NULL;
	for (page = 0; page < RESERV_PAGES; page++)
		if (m->owner[page] == n + 1)
			m->owner[page] = 0;
}

/* The @n-th order of so many things. */
static void permutation(int *order, int nr, int n)
{
	int i, j, k;

	for (i = 0; i < nr; i++)
		order[i] = i;
	for (i = nr; i > 1; n /= i--) {
		j = n % i;
		k = order[j];
		order[j] = order[i - 1];
		order[i - 1] = k;
	}
}

/* Six reservations, next to each other or not, in all orders there are. */
TEST(index_orders)
{
	static const int pages[] = { 0, 1, 3, 8, 12, 20, 23 };
	static const int lens[] = { 1, 2, 1, 4, 1, 3 };
	struct reserv_model m = { .mm = mm_reserved(0) };
	int order[6], in, out, i;

	for (in = 0; in < 720; in++) {
		permutation(order, 6, in);
		for (i = 0; i < 6; i++) {
			model_hold(&m, order[i], pages[order[i]],
				   lens[order[i]]);
			ASSERT_EQ(reservations_mistake(m.mm, false), NULL);
		}
		if (in % 16 == 0)
			model_compare(&m);
		out = in * 307 % 720;
		permutation(order, 6, out);
		for (i = 0; i < 6; i++) {
			model_release(&m, order[i]);
			ASSERT_EQ(reservations_mistake(m.mm, false), NULL);
			if (in % 16 == 0 && i == 2)
				model_compare(&m);
		}
	}
	ASSERT_TRUE(RB_EMPTY_ROOT(&m.mm->reservations->tree));
	ASSERT_EQ(reservations_created, 720 * 6);
	ASSERT_EQ(reservations_destroyed, 720 * 6);
	mm_destroy(m.mm);
}

static void model_step(struct reserv_model *m, unsigned long *state)
{
	int n = gap_random(state) % RESERV_MAX;
	int page = gap_random(state) % RESERV_PAGES;
	int pages = 1 + gap_random(state) % 4;

	if (m->held[n])
		model_release(m, n);
	else
		model_hold(m, n, page, min(pages, RESERV_PAGES - page));
}

static void model_end(struct reserv_model *m)
{
	int n;

	for (n = 0; n < RESERV_MAX; n++)
		if (m->held[n])
			model_release(m, n);
	mm_destroy(m->mm);
}

TEST(index_random)
{
	struct reserv_model m = { .mm = mm_reserved(0) };
	unsigned long state = 0x853c49e6748fea9bUL;
	int i;

	for (i = 0; i < 2000; i++) {
		model_step(&m, &state);
		model_compare(&m);
	}
	model_end(&m);
}

/* A range that is none is nobody's business. */
TEST(empty_range)
{
	struct mm_struct *mm = mm_reserved(0);
	struct vma_reservation *reserv = reserv_hold(mm, 4, 4);

	ASSERT_TRUE(reservation_covers(mm, MM_ADDR(5), MM_ADDR(5)));
	ASSERT_TRUE(reservation_covers(mm, MM_ADDR(6), MM_ADDR(2)));
	ASSERT_TRUE(reservation_covers(mm, MM_ADDR(6), 0));
	ASSERT_FALSE(reservation_overlaps(mm, MM_ADDR(5), MM_ADDR(5)));
	ASSERT_FALSE(reservation_overlaps(mm, MM_ADDR(6), MM_ADDR(2)));
	ASSERT_FALSE(reservation_covers(mm, MM_ADDR(7), MM_ADDR(8) + 1));
	reservation_release(mm, reserv);
	mm_destroy(mm);
}

/* Without reservations, everything is covered and nothing reserved. */
TEST(not_enabled)
{
	struct mm_struct *mm = mm_create();

	mmap_anon(mm, 0, 2, PRIVATE_RW);
	mmap_anon(mm, 4, 2, STACK_RW);
	ASSERT_FALSE(mm_has_reservations(mm));
	ASSERT_EQ(vma_at(mm, 0)->vm_reserv, NULL);
	ASSERT_TRUE(reservation_covers(mm, 0, TASK_SIZE));
	ASSERT_FALSE(reservation_overlaps(mm, 0, TASK_SIZE));
	ASSERT_EQ(reservation_hold(mm, 0, PAGE_SIZE, 0), NULL);
	ASSERT_EQ(reservation_at(mm, MM_ADDR(0)), NULL);
	mmap_write_unlock(mm);
	ASSERT_EQ(reservation_check(mm, 0, TASK_SIZE), 0);
	ASSERT_EQ(vm_reserve(MM_ADDR(8), MM_LEN(2)), NULL);
	vm_unreserve(NULL);
	ASSERT_EQ(vm_reservation_end(MM_ADDR(0)), MM_ADDR(0));
	mmap_write_lock(mm);
	ASSERT_EQ(op_mmap(mm, NULL, MM_ADDR(1), MM_LEN(2), PRIVATE_R, 0),
		  MM_ADDR(1));
	check_world();
	mm_destroy(mm);
}

/* Whether it is free, for all that the search has been asked to respect */
static bool room_at(const struct reserv_model *m,
		    const struct vm_unmapped_area_info *info,
		    unsigned long addr)
{
	unsigned long low = max(info->low_limit, mmap_min_addr);

	if ((addr - info->align_offset) & info->align_mask)
		return false;
	if (addr < low + info->start_gap || addr + info->length < addr ||
	    addr + info->length > info->high_limit)
		return false;
	return !__reservation_overlaps(m->mm, addr - info->start_gap,
				       addr + info->length);
}

/* The simplest search. */
static long room_brute(const struct reserv_model *m,
		       const struct vm_unmapped_area_info *info)
{
	int page;

	if (info->flags & VM_UNMAPPED_AREA_TOPDOWN) {
		for (page = RESERV_PAGES + 8; page >= -8; page--)
			if (room_at(m, info, MM_ADDR(page)))
				return MM_ADDR(page);
	} else {
		for (page = -8; page <= RESERV_PAGES + 8; page++)
			if (room_at(m, info, MM_ADDR(page)))
				return MM_ADDR(page);
	}
	return -ENOMEM;
}

/* Without an alignment, the first place is found; with one, some place is. */
static bool room_compare(const struct reserv_model *m,
			 const struct vm_unmapped_area_info *info)
{
	long want = room_brute(m, info);
	long addr = reservation_unmapped_area(m->mm, info);

	if (!info->align_mask || want == -ENOMEM || addr == -ENOMEM)
		ASSERT_EQ(addr, want);
	else
		ASSERT_TRUE(room_at(m, info, addr));
	return addr != -ENOMEM;
}

static int room_compare_all(const struct reserv_model *m, int low, int high)
{
	struct vm_unmapped_area_info info = {
		.low_limit = MM_ADDR(low),
		.high_limit = MM_ADDR(high),
	};
	int len, i, nr = 0;

	for (len = 1; len <= 6; len++) {
		info.length = MM_LEN(len);
		for (i = 0; i < 24; i++) {
			info.flags = i & 1 ? VM_UNMAPPED_AREA_TOPDOWN : 0;
			info.start_gap = i & 2 ? MM_LEN(1) : 0;
			info.align_mask = MM_LEN(1 << (i >> 2) % 3) - PAGE_SIZE;
			info.align_offset = i >= 12 ? MM_LEN(i % 5) : 0;
			nr += room_compare(m, &info);
		}
	}
	return nr;
}

/*
 * The search, against one that tries each page: all lengths, alignments, offsets
 * and gaps, in all parts of the space, upwards and downwards.
 */
TEST(search)
{
	unsigned long state = 0xda3e39cb94b95bdbUL, nr_found = 0, nr_tried = 0;
	int layout, low, high, i;

	for (layout = 0; layout < 40; layout++) {
		struct reserv_model m = { .mm = mm_reserved(0) };

		mmap_min_addr = layout % 4 ? 0 : MM_ADDR(3);
		for (i = 0; i < layout; i++)
			model_step(&m, &state);
		for (low = -4; low < RESERV_PAGES + 2; low += 1 + layout % 5) {
			for (high = low; high <= RESERV_PAGES + 4;
			     high += 1 + layout % 3) {
				nr_found += room_compare_all(&m, low, high);
				nr_tried += 6 * 24;
			}
		}
		model_end(&m);
	}
	/* Or this would not mean much. */
	ASSERT_GE(nr_found, 50000);
	ASSERT_GE(nr_tried - nr_found, 50000);
}

/* Nothing overflows. */
TEST(search_limits)
{
	struct vm_unmapped_area_info info = {
		.length = ULONG_MAX & PAGE_MASK,
		.high_limit = MM_ADDR(8),
		.align_mask = PMD_SIZE - PAGE_SIZE,
	};
	struct mm_struct *mm = mm_reserved(PR_RESERVATIONS_CHERI_BOUNDS);
	int down;

	for (down = 0; down <= 1; down++) {
		info.flags = down ? VM_UNMAPPED_AREA_TOPDOWN : 0;
		info.length = ULONG_MAX & PAGE_MASK;
		info.high_limit = MM_ADDR(8);
		ASSERT_EQ(reservation_unmapped_area(mm, &info), -ENOMEM);
		info.length = TASK_SIZE;
		info.high_limit = TASK_SIZE;
		ASSERT_EQ(reservation_unmapped_area(mm, &info), -ENOMEM);
		info.length = PAGE_SIZE;
		info.high_limit = PAGE_SIZE;
		info.start_gap = PAGE_SIZE;
		ASSERT_EQ(reservation_unmapped_area(mm, &info), -ENOMEM);
		info.start_gap = 0;
		info.high_limit = PAGE_SIZE;
		ASSERT_EQ(reservation_unmapped_area(mm, &info), 0);
		info.high_limit = 0;
		ASSERT_EQ(reservation_unmapped_area(mm, &info), -ENOMEM);
	}
	mm_destroy(mm);
}

/* A hole is not free, however large it is. */
TEST(hole)
{
	struct vm_unmapped_area_info info = {
		.length = MM_LEN(2),
		.low_limit = MM_ADDR(0),
		.high_limit = MM_ADDR(12),
	};
	struct mm_struct *mm = mm_reserved(0);

	mmap_anon(mm, 0, 10, PRIVATE_RW);
	ASSERT_EQ(op_munmap(mm, MM_ADDR(1), MM_LEN(8)), 0);
	check_world();
	assert_reserved(mm, 0, 10);
	ASSERT_EQ(reservation_unmapped_area(mm, &info), MM_ADDR(10));
	info.flags = VM_UNMAPPED_AREA_TOPDOWN;
	ASSERT_EQ(reservation_unmapped_area(mm, &info), MM_ADDR(10));
	info.length = MM_LEN(3);
	ASSERT_EQ(reservation_unmapped_area(mm, &info), -ENOMEM);
	/* Nor for those that ask the VMAs. */
	ASSERT_EQ(vm_end_gap(vma_at(mm, 0)), MM_ADDR(10));
	ASSERT_EQ(vm_start_gap(vma_at(mm, 9)), MM_ADDR(0));
	mm_destroy(mm);
}

/* What get_unmapped_area() has settled on, and what it says without a hint */
static unsigned long hooked_with_hint, hooked_without;
static int hooked;

static unsigned long fixed_area(unsigned long addr, unsigned long len)
{
	hooked++;
	return addr ? hooked_with_hint : hooked_without;
}

static long reservable_area(struct mm_struct *mm, int hint, int pages)
{
	hooked = 0;
	unmapped_area_hook = fixed_area;
	return find_reservable_area(NULL, hint ? MM_ADDR(hint) : 0,
				    MM_LEN(pages), 0, 0, VM_NONE);
}

/*
 * A hint that was checked on one side only is not used; another search is made,
 * which does not fail.
 */
TEST(bad_hint)
{
	struct mm_struct *mm = mm_reserved(0);

	mmap_anon(mm, 0, 10, PRIVATE_RW);
	op_munmap(mm, MM_ADDR(1), MM_LEN(9));
	/* It fits. */
	hooked_with_hint = MM_ADDR(20);
	hooked_without = MM_ADDR(30);
	ASSERT_EQ(reservable_area(mm, 20, 2), MM_ADDR(20));
	ASSERT_EQ(hooked, 1);
	/* It does not. */
	hooked_with_hint = MM_ADDR(5);
	ASSERT_EQ(reservable_area(mm, 5, 2), MM_ADDR(30));
	ASSERT_EQ(hooked, 2);
	hooked_with_hint = MM_ADDR(9);
	ASSERT_EQ(reservable_area(mm, 9, 2), MM_ADDR(30));
	/* Neither does what is found without. */
	hooked_without = MM_ADDR(6);
	ASSERT_EQ(reservable_area(mm, 5, 2), PAGE_SIZE);
	ASSERT_EQ(hooked, 2);
	ASSERT_EQ(reservable_area(mm, 0, 2), PAGE_SIZE);
	ASSERT_EQ(hooked, 1);
	mm->flags |= BIT(MMF_TOPDOWN);
	ASSERT_EQ(reservable_area(mm, 0, 2), TASK_SIZE - MM_LEN(2));
	/* An error remains what it is. */
	hooked_without = -ENOMEM;
	ASSERT_EQ(reservable_area(mm, 5, 2), -ENOMEM);
	hooked_with_hint = -EINVAL;
	ASSERT_EQ(reservable_area(mm, 5, 2), -EINVAL);
	ASSERT_EQ(reservable_area(mm, 0, 2), -ENOMEM);
	mm_destroy(mm);
}

/* Nor does it forget the guard page of a shadow stack. */
TEST(bad_hint_guard)
{
	struct mm_struct *mm = mm_reserved(0);

	ASSERT_EQ(op_mmap(mm, NULL, PAGE_SIZE, MM_LEN(1), PRIVATE_RW, 0),
		  PAGE_SIZE);
	unmapped_area_hook = fixed_area;
	hooked_without = PAGE_SIZE;
	ASSERT_EQ(find_reservable_area(NULL, 0, MM_LEN(2), 0, 0, VM_NONE),
		  MM_LEN(2));
	ASSERT_EQ(find_reservable_area(NULL, 0, MM_LEN(2), 0, 0,
				       VM_SHADOW_STACK), MM_LEN(3));
	mm_destroy(mm);
}

static void test_created(struct file *file, vm_flags_t flags)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_reserved(0);
		long ret;

		mmap_anon(mm, 0, 2, PRIVATE_RW);
		alloc_walk_begin(walk, mm);
		ret = mmap_file_at(mm, file, 4, 3, flags, 0);
		if (alloc_walk_end(walk, ret)) {
			assert_reserved(mm, 0, 2);
			ASSERT_EQ(assert_reserved(mm, 4, 3),
				  reserv_of(mm, 4));
			assert_free(mm, 2, 2);
			assert_free(mm, 7, 10);
		}
		mm_destroy(mm);
	}
}

/* A mapping where nothing is reserved creates a reservation of its size. */
TEST(created)
{
	struct driver driver = {};
	struct file *plain = file_of(NULL), *counted = file_of(&driver);

	test_created(NULL, PRIVATE_RW);
	test_created(NULL, SHARED_RW);
	test_created(plain, SHARED_RW);
	test_created(counted, PRIVATE_R);
	fput(plain);
	fput(counted);
}

/* It goes with its last mapping, and not before. */
TEST(dies_with_last)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_reserved(0);
		long ret;

		mmap_anon(mm, 0, 6, PRIVATE_RW);
		ASSERT_EQ(op_munmap(mm, MM_ADDR(0), MM_LEN(3)), 0);
		ASSERT_EQ(op_munmap(mm, MM_ADDR(4), MM_LEN(2)), 0);
		check_world();
		assert_reserved(mm, 0, 6);
		alloc_walk_begin(walk, mm);
		/* All of it, holes included. */
		ret = op_munmap(mm, MM_ADDR(0), MM_LEN(6));
		if (alloc_walk_end(walk, ret)) {
			assert_free(mm, 0, 6);
			ASSERT_EQ(reservations_created,
				  reservations_destroyed);
			/* Others can have it. */
			mmap_anon(mm, 2, 10, PRIVATE_RW);
			assert_reserved(mm, 2, 10);
		}
		mm_destroy(mm);
	}
}

/* munmap() in the middle splits: both parts share it. */
TEST(split_shares)
{
	int file;

	for (file = 0; file <= 1; file++) {
		for_each_alloc_failure(walk) {
			struct mm_struct *mm = mm_reserved(0);
			struct file *f = file ? file_of(NULL) : NULL;
			long ret;

			mmap_file_at(mm, f, 0, 9, PRIVATE_RW, 0);
			fault_in(mm, 0, 9, true);
			alloc_walk_begin(walk, mm);
			ret = op_munmap(mm, MM_ADDR(3), MM_LEN(3));
			if (alloc_walk_end(walk, ret)) {
				ASSERT_EQ(assert_reserved(mm, 0, 9)->count, 2);
				ASSERT_EQ(reserv_of(mm, 0), reserv_of(mm, 6));
			}
			mm_destroy(mm);
			if (f)
				fput(f);
		}
	}
}

/* mprotect() splits and merges within one. */
TEST(protect)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_reserved(0);
		long ret;

		mmap_anon(mm, 0, 9, PRIVATE_RW);
		ASSERT_EQ(op_mprotect(mm, MM_ADDR(3), MM_LEN(3), VM_READ), 0);
		ASSERT_EQ(assert_reserved(mm, 0, 9)->count, 3);
		alloc_walk_begin(walk, mm);
		ret = op_mprotect(mm, MM_ADDR(3), MM_LEN(3),
				  VM_READ | VM_WRITE);
		if (alloc_walk_end(walk, ret)) {
			assert_pages(mm, 0, 9);
			ASSERT_EQ(assert_reserved(mm, 0, 9)->count, 1);
		}
		mm_destroy(mm);
	}
}

/* Two mappings that are alike and next to each other remain two. */
TEST(merge_needs_same)
{
	struct mm_struct *mm = mm_reserved(0);

	mmap_anon(mm, 0, 4, PRIVATE_RW);
	mmap_anon(mm, 8, 4, PRIVATE_RW);
	mmap_anon(mm, 4, 4, PRIVATE_RW);
	check_world();
	assert_pages(mm, 0, 4);
	assert_pages(mm, 4, 4);
	assert_pages(mm, 8, 4);

	/* What is one mapping again within one does not get further. */
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(4), MM_LEN(2), VM_READ), 0);
	ASSERT_EQ(op_mprotect(mm, MM_ADDR(4), MM_LEN(2), VM_READ | VM_WRITE),
		  0);
	assert_pages(mm, 4, 4);
	check_world();

	/* In a hole, the new one is merged with both sides. */
	ASSERT_EQ(op_munmap(mm, MM_ADDR(5), MM_LEN(2)), 0);
	ASSERT_EQ(mmap_anon(mm, 5, 2, PRIVATE_RW), MM_ADDR(5));
	assert_pages(mm, 4, 4);
	ASSERT_EQ(reserv_of(mm, 4)->count, 1);
	check_world();
	mm_destroy(mm);
}

/* MAP_FIXED within a reservation joins it, also if it replaces all of it. */
TEST(fixed_joins)
{
	int page;

	for (page = 2; page <= 8; page += 3) {
		int pages = page == 2 ? 8 : 2;

		for_each_alloc_failure(walk) {
			struct mm_struct *mm = mm_reserved(0);
			struct vma_reservation *reserv;
			long ret;

			mmap_anon(mm, 2, 8, PRIVATE_RW);
			mmap_anon(mm, 10, 2, PRIVATE_RW);
			fault_in(mm, 2, 8, true);
			reserv = reserv_of(mm, 2);
			alloc_walk_may_lose(walk, MM_ADDR(page),
					    MM_ADDR(page + pages));
			alloc_walk_begin(walk, mm);
			ret = mmap_anon(mm, page, pages, PRIVATE_R);
			if (alloc_walk_end(walk, ret)) {
				ASSERT_EQ(assert_reserved(mm, 2, 8), reserv);
				ASSERT_EQ(reserv_of(mm, page), reserv);
			}
			mm_destroy(mm);
		}
	}
}

/* ->mmap() fails: what was there is gone, and the reservation if it was all. */
TEST(fixed_fails)
{
	struct driver driver = { .error = -ENODEV };
	struct file *file = file_of(&driver);
	struct mm_struct *mm = mm_reserved(0);

	mmap_anon(mm, 0, 4, PRIVATE_RW);
	ASSERT_EQ(mmap_file_at(mm, file, 1, 1, PRIVATE_R, 0), -ENODEV);
	check_world();
	assert_reserved(mm, 0, 4);
	ASSERT_EQ(mmap_file_at(mm, file, 0, 4, PRIVATE_R, 0), -ENODEV);
	check_world();
	if (!vma_at(mm, 0))
		assert_free(mm, 0, 4);
	ASSERT_EQ(mmap_file_at(mm, file, 8, 4, PRIVATE_R, 0), -ENODEV);
	check_world();
	assert_free(mm, 8, 4);
	mm_destroy(mm);
	fput(file);
}

/* A range that is not within one is refused, before anything is changed. */
TEST(straddling)
{
	static const struct {
		int page, pages;
	} ranges[] = {
		{ 3, 2 }, { 3, 8 }, { 0, 20 }, { 8, 3 }, { 9, 4 }, { 2, 9 },
		{ 11, 3 }, { 3, 1 + 1 },
	};
	struct mm_struct *mm = mm_reserved(0);
	int i;

	mmap_anon(mm, 4, 6, PRIVATE_RW);	/* 4..9, a hole at 6 and 7 */
	op_munmap(mm, MM_ADDR(6), MM_LEN(2));
	mmap_anon(mm, 12, 4, PRIVATE_RW);
	fault_in(mm, 4, 2, true);
	mmap_anon(mm, 30, 20, PRIVATE_RW);
	check_world();

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		unsigned long addr = MM_ADDR(ranges[i].page);
		unsigned long len = MM_LEN(ranges[i].pages);

		ASSERT_REFUSED(mm, op_mmap(mm, NULL, addr, len, PRIVATE_R, 0),
			       -EEXIST);
		ASSERT_REFUSED(mm, op_munmap(mm, addr, len), -EINVAL);
		ASSERT_REFUSED(mm, op_mprotect(mm, addr, len, VM_READ),
			       -EINVAL);
		ASSERT_REFUSED(mm, op_change_flags(mm, addr, len, VM_LOCKED, 0),
			       -EINVAL);
		ASSERT_REFUSED(mm, op_mremap(mm, addr, len, MM_ADDR(60)),
			       -EINVAL);
		ASSERT_REFUSED(mm, op_mremap(mm, MM_ADDR(30), len, addr),
			       -EEXIST);
		mmap_write_unlock(mm);
		ASSERT_EQ(reservation_check(mm, addr, addr + len), -EINVAL);
		mmap_write_lock(mm);
	}
	/* Within one, or touching none. */
	ASSERT_EQ(op_munmap(mm, MM_ADDR(0), MM_LEN(4)), 0);
	ASSERT_EQ(op_munmap(mm, MM_ADDR(6), MM_LEN(4)), 0);
	mmap_write_unlock(mm);
	ASSERT_EQ(reservation_check(mm, MM_ADDR(4), MM_ADDR(10)), 0);
	ASSERT_EQ(reservation_check(mm, MM_ADDR(10), MM_ADDR(12)), 0);
	signal_is_pending = true;
	ASSERT_EQ(reservation_check(mm, MM_ADDR(10), MM_ADDR(12)), -EINTR);
	signal_is_pending = false;
	mmap_write_lock(mm);
	check_world();
	mm_destroy(mm);
}

/* MAP_GROWSDOWN could not grow. */
TEST(growsdown)
{
	struct mm_struct *mm = mm_reserved(0);

	ASSERT_REFUSED(mm, mmap_anon(mm, 10, 2, STACK_RW), -EINVAL);
	mm_destroy(mm);
}

/* mremap() to where nothing is: a new reservation; the old one goes. */
TEST(move)
{
	int part;

	for (part = 0; part <= 1; part++) {
		for_each_alloc_failure(walk) {
			struct mm_struct *mm = mm_reserved(0);
			unsigned long token;
			long ret;

			mmap_anon(mm, 0, 6, PRIVATE_RW);
			fault_in(mm, 0, 6, true);
			token = token_at(mm, 2);
			/* As far apart as not to share a page table. */
			alloc_walk_begin(walk, mm);
			ret = op_mremap(mm, MM_ADDR(part ? 2 : 0),
					MM_LEN(part ? 2 : 6), MM_ADDR(600));
			if (alloc_walk_end(walk, ret)) {
				assert_reserved(mm, 600, part ? 2 : 6);
				if (part)
					ASSERT_EQ(assert_reserved(mm, 0, 6)->count, 2);
				else
					assert_free(mm, 0, 6);
				ASSERT_EQ(token_at(mm, part ? 600 : 602),
					  token);
			}
			mm_destroy(mm);
		}
	}
}

/* mremap() into a hole: it joins, and merges with what is there. */
TEST(move_into_hole)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_reserved(0);
		long ret;

		mmap_anon(mm, 0, 6, PRIVATE_RW);
		mmap_anon(mm, 10, 6, PRIVATE_RW);
		op_munmap(mm, MM_ADDR(12), MM_LEN(2));
		alloc_walk_begin(walk, mm);
		ret = op_mremap(mm, MM_ADDR(2), MM_LEN(2), MM_ADDR(12));
		if (alloc_walk_end(walk, ret)) {
			/* It does without a merge if that fails. */
			if (!walk->is_injected)
				assert_pages(mm, 10, 6);
			assert_reserved(mm, 10, 6);
			ASSERT_EQ(reserv_of(mm, 12), reserv_of(mm, 10));
			ASSERT_EQ(assert_reserved(mm, 0, 6)->count, 2);
		}
		mm_destroy(mm);
	}
}

/* Next to its own place and alike, but another's: no merge. */
TEST(move_beside)
{
	struct mm_struct *mm = mm_reserved(0);

	mmap_anon(mm, 0, 6, PRIVATE_RW);
	mmap_anon(mm, 20, 4, PRIVATE_RW);
	ASSERT_EQ(op_mremap(mm, MM_ADDR(20), MM_LEN(4), MM_ADDR(6)),
		  MM_ADDR(6));
	check_world();
	assert_pages(mm, 0, 6);
	assert_pages(mm, 6, 4);
	assert_reserved(mm, 6, 4);
	/* From one end of a reservation to its hole. */
	op_munmap(mm, MM_ADDR(0), MM_LEN(2));
	ASSERT_EQ(op_mremap(mm, MM_ADDR(4), MM_LEN(2), MM_ADDR(0)),
		  MM_ADDR(0));
	check_world();
	assert_reserved(mm, 0, 6);
	mm_destroy(mm);
}

/*
 * MREMAP_FIXED unmaps what is at the destination first: held, the reservation is
 * there when the mapping arrives.
 */
TEST(move_onto_last)
{
	struct mm_struct *mm = mm_reserved(0);
	struct vma_reservation *reserv;

	mmap_anon(mm, 0, 8, PRIVATE_RW);
	op_munmap(mm, MM_ADDR(0), MM_LEN(6));
	mmap_anon(mm, 20, 2, PRIVATE_RW);

	reserv = reserv_hold(mm, 6, 2);
	ASSERT_EQ(op_munmap(mm, MM_ADDR(6), MM_LEN(2)), 0);
	ASSERT_EQ(reservations_mistake(mm, false), NULL);
	ASSERT_NE(reservations_mistake(mm, true), NULL);
	ASSERT_EQ(op_mremap(mm, MM_ADDR(20), MM_LEN(2), MM_ADDR(6)),
		  MM_ADDR(6));
	reservation_release(mm, reserv);
	check_world();
	ASSERT_EQ(assert_reserved(mm, 0, 8), reserv);
	assert_free(mm, 20, 2);
	mm_destroy(mm);
}

/* In place, up to the end of the reservation and no further. */
TEST(extend)
{
	struct mm_struct *mm = mm_reserved(0);

	mmap_anon(mm, 0, 6, PRIVATE_RW);
	op_munmap(mm, MM_ADDR(2), MM_LEN(4));
	ASSERT_REFUSED(mm, op_extend(mm, MM_ADDR(0), MM_LEN(5)), -ENOMEM);
	ASSERT_EQ(op_extend(mm, MM_ADDR(0), MM_LEN(3)), 0);
	ASSERT_EQ(op_extend(mm, MM_ADDR(0), MM_LEN(1)), 0);
	ASSERT_REFUSED(mm, op_extend(mm, MM_ADDR(0), MM_LEN(1)), -ENOMEM);
	check_world();
	mm_destroy(mm);
}

static struct mm_struct *mm_with_heap(unsigned int flags)
{
	struct mm_struct *mm = mm_reserved(flags);

	mm->start_brk = MM_ADDR(0);
	mm->brk = MM_ADDR(0);
	return mm;
}

/* The heap begins: a reservation that is the heap's. */
TEST(brk_begins)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_with_heap(0);
		long ret;

		alloc_walk_begin(walk, mm);
		ret = op_brk(mm, MM_ADDR(4));
		if (alloc_walk_end(walk, ret))
			ASSERT_TRUE(assert_reserved(mm, 0, 4)->heap);
		mm_destroy(mm);
	}
}

/* Each time that it grows it gets another, and is not merged with the last. */
TEST(brk_grows)
{
	struct mm_struct *mm = mm_with_heap(0);

	ASSERT_EQ(op_brk(mm, MM_ADDR(4)), 0);
	ASSERT_EQ(op_brk(mm, MM_ADDR(6)), 0);
	check_world();
	assert_reserved(mm, 0, 4);
	ASSERT_TRUE(assert_reserved(mm, 4, 2)->heap);
	assert_pages(mm, 0, 4);
	assert_pages(mm, 4, 2);

	/* Shrinking goes across several. */
	ASSERT_EQ(op_brk(mm, MM_ADDR(1)), 0);
	check_world();
	assert_reserved(mm, 0, 4);
	assert_free(mm, 4, 2);

	/* Growing again, the last is filled first: malloc() trims and grows. */
	ASSERT_EQ(op_brk(mm, MM_ADDR(3)), 0);
	check_world();
	assert_pages(mm, 0, 3);
	ASSERT_EQ(op_brk(mm, MM_ADDR(4)), 0);
	assert_pages(mm, 0, 4);
	assert_free(mm, 4, 2);

	ASSERT_EQ(op_brk(mm, MM_ADDR(0)), 0);
	assert_free(mm, 0, 20);
	ASSERT_EQ(op_brk(mm, MM_ADDR(2)), 0);
	assert_reserved(mm, 0, 2);
	check_world();
	mm_destroy(mm);
}

/* What does not fit into the last one gets another: all of it or nothing. */
TEST(brk_joins)
{
	int locked;

	for (locked = 0; locked <= 1; locked++) {
		for_each_alloc_failure(walk) {
			struct mm_struct *mm = mm_with_heap(0);
			long ret;

			mm->def_flags = locked ? VM_LOCKED : 0;
			ASSERT_EQ(op_brk(mm, MM_ADDR(6)), 0);
			ASSERT_EQ(op_brk(mm, MM_ADDR(2)), 0);
			fault_in(mm, 0, 2, true);
			alloc_walk_begin(walk, mm);
			ret = op_brk(mm, MM_ADDR(9));
			if (alloc_walk_end(walk, ret)) {
				ASSERT_EQ(assert_reserved(mm, 0, 6)->count, 1);
				ASSERT_TRUE(assert_reserved(mm, 6, 3)->heap);
				assert_pages(mm, 0, 6);
				assert_pages(mm, 6, 3);
			}
			mm_destroy(mm);
		}
	}
}

/* The second half meets a limit: the first one is taken back. */
TEST(brk_limit)
{
	struct mm_struct *mm = mm_with_heap(0);

	ASSERT_EQ(op_brk(mm, MM_ADDR(6)), 0);
	ASSERT_EQ(op_brk(mm, MM_ADDR(2)), 0);
	vm_commit_limit = 7;
	ASSERT_REFUSED(mm, op_brk(mm, MM_ADDR(9)), -ENOMEM);
	ASSERT_REFUSED(mm, op_brk(mm, MM_ADDR(8)), -ENOMEM);
	ASSERT_EQ(op_brk(mm, MM_ADDR(7)), 0);
	check_world();
	mm_destroy(mm);
}

/* It never gets into another one's hole, nor back over what is another's. */
TEST(brk_others)
{
	struct mm_struct *mm = mm_with_heap(0);

	ASSERT_EQ(op_brk(mm, MM_ADDR(2)), 0);
	stack_guard_gap = 0;
	mmap_anon(mm, 4, 20, PRIVATE_RW);
	op_munmap(mm, MM_ADDR(4), MM_LEN(19));
	check_world();
	ASSERT_REFUSED(mm, op_brk(mm, MM_ADDR(5)), -EEXIST);
	ASSERT_REFUSED(mm, op_brk(mm, MM_ADDR(12)), -EEXIST);
	ASSERT_REFUSED(mm, op_brk(mm, MM_ADDR(24)), -ENOMEM);
	/* From right below it. */
	ASSERT_EQ(op_brk(mm, MM_ADDR(4)), 0);
	ASSERT_REFUSED(mm, op_brk(mm, MM_ADDR(6)), -EEXIST);

	/* Something else has been mapped where there was heap. */
	ASSERT_EQ(op_brk(mm, MM_ADDR(3)), 0);
	ASSERT_EQ(op_munmap(mm, MM_ADDR(2), MM_LEN(1)), 0);
	mmap_anon(mm, 2, 2, PRIVATE_RW);
	op_munmap(mm, MM_ADDR(3), MM_LEN(1));
	check_world();
	ASSERT_REFUSED(mm, op_brk(mm, MM_ADDR(1)), -EINVAL);
	ASSERT_REFUSED(mm, op_brk(mm, MM_ADDR(2)), -EINVAL);
	/* It is not the heap's last one, either. */
	ASSERT_REFUSED(mm, op_brk(mm, MM_ADDR(4)), -EEXIST);
	mm_destroy(mm);
}

/* As vm_brk_flags(), which is told where, and holds the reservation. */
static long brk_at(struct vma_iterator *vmi, struct mm_struct *mm,
		   unsigned long addr, unsigned long len)
{
	struct vma_reservation *reserv;
	long ret;

	reserv = reservation_hold(mm, addr, addr + len, VM_NONE);
	if (IS_ERR(reserv))
		return PTR_ERR(reserv);

	ret = do_brk_flags(vmi, vma_prev(vmi), addr, len, 0);
	reservation_release(mm, reserv);
	return ret;
}

/* Within one or touching none. */
TEST(brk_at)
{
	struct mm_struct *mm = mm_with_heap(0);
	struct vma_iterator vmi;

	vma_iter_init(&vmi, mm, MM_ADDR(2));
	mmap_anon(mm, 0, 2, PRIVATE_RW);
	mmap_anon(mm, 4, 4, PRIVATE_RW);
	op_munmap(mm, MM_ADDR(4), MM_LEN(3));
	ASSERT_REFUSED(mm, brk_at(&vmi, mm, MM_ADDR(2), MM_LEN(3)), -EEXIST);
	vma_iter_set(&vmi, MM_ADDR(4));
	ASSERT_EQ(brk_at(&vmi, mm, MM_ADDR(4), MM_LEN(2)), 0);
	ASSERT_EQ(reserv_of(mm, 4), reserv_of(mm, 7));
	ASSERT_FALSE(reserv_of(mm, 4)->heap);
	check_world();
	mm_destroy(mm);
}

/* A shrunk heap: what else is mapped in the hole is in the heap's own. */
TEST(brk_hole_used)
{
	struct mm_struct *mm = mm_with_heap(0);

	stack_guard_gap = 0;
	ASSERT_EQ(op_brk(mm, MM_ADDR(8)), 0);
	ASSERT_EQ(op_brk(mm, MM_ADDR(2)), 0);
	ASSERT_EQ(mmap_anon(mm, 5, 1, PRIVATE_RW), MM_ADDR(5));
	check_world();
	ASSERT_REFUSED(mm, op_brk(mm, MM_ADDR(7)), -ENOMEM);
	ASSERT_EQ(op_brk(mm, MM_ADDR(4)), 0);
	check_world();
	mm_destroy(mm);
}

static struct vm_area_struct *new_special(struct mm_struct *mm, int page,
					  int pages, vm_flags_t flags)
{
	struct vm_area_struct *vma = vm_area_alloc(mm);

	if (!vma)
		return NULL;
	vma_set_range(vma, MM_ADDR(page), MM_ADDR(page + pages), 0);
	vm_flags_init(vma, flags);
	vma->vm_page_prot = vm_get_page_prot(flags);
	vma->vm_ops = &special_mapping_vmops;
	return vma;
}

static long insert_special(struct mm_struct *mm, int page, int pages,
			   vm_flags_t flags)
{
	struct vm_area_struct *vma = new_special(mm, page, pages, flags);
	long ret;

	if (!vma)
		return -ENOMEM;
	ret = insert_vm_struct(mm, vma);
	if (ret)
		vm_area_free(vma);
	else
		vm_stat_account(mm, flags, pages);
	return ret;
}

/* insert_vm_struct(): a reservation of its own, never in another one. */
TEST(insert)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_reserved(0);
		long ret;

		mmap_anon(mm, 0, 8, PRIVATE_RW);
		op_munmap(mm, MM_ADDR(2), MM_LEN(4));
		alloc_walk_begin(walk, mm);
		ret = insert_special(mm, 8, 2, PRIVATE_R | VM_ACCOUNT);
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(assert_reserved(mm, 8, 2)->count, 1);
			ASSERT_REFUSED(mm, insert_special(mm, 3, 2, PRIVATE_R),
				       -ENOMEM);
			ASSERT_REFUSED(mm, insert_special(mm, 9, 4, PRIVATE_R),
				       -ENOMEM);
			vm_commit_limit = vm_committed;
			ASSERT_REFUSED(mm, insert_special(mm, 20, 2, PRIVATE_R |
							  VM_ACCOUNT),
				       -ENOMEM);
			vm_commit_limit = LONG_MAX;
		}
		mm_destroy(mm);
	}
}

/* A shadow stack has a guard page below it, which is its own. */
TEST(shadow_stack)
{
	struct vm_unmapped_area_info info = {
		.length = MM_LEN(1),
		.low_limit = MM_ADDR(0),
		.high_limit = MM_ADDR(20),
	};
	struct mm_struct *mm = mm_reserved(0);
	vm_flags_t flags = PRIVATE_RW | VM_SHADOW_STACK;

	mmap_anon(mm, 0, 2, PRIVATE_RW);
	mmap_anon(mm, 3, 2, flags);
	assert_reserved(mm, 2, 3);
	check_world();
	ASSERT_EQ(reservation_unmapped_area(mm, &info), MM_ADDR(5));
	/* As far as there is room. */
	mmap_anon(mm, 5, 2, flags);
	assert_reserved(mm, 5, 2);
	mmap_anon(mm, 12, 2, flags);
	assert_reserved(mm, 11, 3);
	mmap_anon(mm, 9, 1, flags);
	assert_reserved(mm, 8, 2);
	check_world();
	mm_destroy(mm);
}

#define RESERV_MB(_n)	((unsigned long)(_n) << 20)

/*
 * What the search finds is good for a reservation there, bounds and all, also
 * where lengths have to be rounded; and if there is such a place, it finds one.
 */
static bool representable_compare(struct mm_struct *mm, unsigned long len,
				  unsigned long start_gap, bool down)
{
	struct vm_unmapped_area_info info = {
		.length = len,
		.low_limit = MM_ADDR(0),
		.high_limit = MM_ADDR(0) + RESERV_MB(96),
		.start_gap = start_gap,
		.flags = down ? VM_UNMAPPED_AREA_TOPDOWN : 0,
	};
	unsigned long align = -cheri_representable_alignment_mask(len,
						CHERI128_MANTISSA_WIDTH);
	long addr = reservation_unmapped_area(mm, &info);
	struct vma_reservation *reserv;
	unsigned long low, high;

	align = max(align, PAGE_SIZE);
	if (IS_ERR_VALUE(addr)) {
		ASSERT_EQ(addr, -ENOMEM);
		for (addr = ALIGN(info.low_limit + start_gap, align);
		     addr + len <= info.high_limit; addr += align) {
			low = addr - start_gap;
			high = addr + len;
			reservation_round(mm, &low, &high);
			if (low >= info.low_limit && high <= info.high_limit)
				ASSERT_TRUE(__reservation_overlaps(mm, low,
								   high));
		}
		return false;
	}

	ASSERT_EQ(addr % align, 0);
	ASSERT_GE((unsigned long)addr, info.low_limit + start_gap);
	ASSERT_TRUE(__reservation_fits(mm, addr, len));
	reserv = __reservation_hold(mm, addr, addr + len,
				    start_gap ? VM_SHADOW_STACK : VM_NONE);
	ASSERT_FALSE(IS_ERR(reserv));
	if (!start_gap)
		ASSERT_EQ(reserv->start, (unsigned long)addr);
	ASSERT_LE(reserv->start, addr - start_gap);
	ASSERT_LE(reserv->end, info.high_limit);
	ASSERT_EQ(cheri_representable_length(reserv->end - reserv->start,
					     CHERI128_MANTISSA_WIDTH),
		  reserv->end - reserv->start);
	ASSERT_EQ(reserv->start &
		  ~cheri_representable_alignment_mask(reserv->end - reserv->start,
						      CHERI128_MANTISSA_WIDTH),
		  0);
	ASSERT_EQ(reservations_mistake(mm, false), NULL);
	__reservation_release(mm, reserv);
	return true;
}

static void representable_test(unsigned long start_gap)
{
	unsigned long state = 0x14057b7ef767814fUL, nr = 0;
	struct vma_reservation *held[8];
	int layout, i;

	for (layout = 0; layout < 60; layout++) {
		struct mm_struct *mm = mm_reserved(PR_RESERVATIONS_CHERI_BOUNDS);

		for (i = 0; i < ARRAY_SIZE(held); i++) {
			int page = gap_random(&state) % 24000;

			held[i] = reserv_hold(mm, page,
					      1 + gap_random(&state) % 40);
		}
		for (i = 0; i < 40; i++) {
			unsigned long len = MM_LEN(1 + gap_random(&state) %
						   (i % 4 ? 3000 : 9000));

			nr += representable_compare(mm, len, start_gap, i & 1);
		}
		for (i = 0; i < ARRAY_SIZE(held); i++)
			if (!IS_ERR(held[i]))
				__reservation_release(mm, held[i]);
		mm_destroy(mm);
	}
	ASSERT_GE(nr, 1000);
	ASSERT_LE(nr, 60 * 40 - 50);
}

TEST(search_representable)
{
	representable_test(0);
}

/* The same with the guard page of a shadow stack. */
TEST(search_representable_guard)
{
	representable_test(PAGE_SIZE);
}

/* The bounds that a capability can have: no wider than needed. */
TEST(bounds)
{
	struct mm_struct *mm = mm_reserved(PR_RESERVATIONS_CHERI_BOUNDS);
	unsigned long addr = MM_ADDR(0) + RESERV_MB(16);
	struct vma_reservation *reserv;

	/* Of 8 MiB and a page: multiples of 16 KiB. */
	ASSERT_EQ(op_mmap(mm, NULL, addr, RESERV_MB(8) + PAGE_SIZE, PRIVATE_RW,
			  0), addr);
	check_world();
	reserv = vma_lookup(mm, addr)->vm_reserv;
	ASSERT_EQ(reserv->start, addr);
	ASSERT_EQ(reserv->end, addr + RESERV_MB(8) + 0x4000);
	ASSERT_EQ(op_munmap(mm, addr, RESERV_MB(8) + PAGE_SIZE), 0);

	/* In the middle, padded on both sides. */
	addr += 0x3000;
	ASSERT_EQ(op_mmap(mm, NULL, addr, RESERV_MB(8) + PAGE_SIZE, PRIVATE_RW,
			  0), addr);
	reserv = vma_lookup(mm, addr)->vm_reserv;
	ASSERT_EQ(reserv->start, addr - 0x3000);
	ASSERT_EQ(reserv->end, addr - 0x3000 + RESERV_MB(8) + 0x4000);
	/* The padding is the owner's, to extend to or to map into. */
	ASSERT_EQ(op_mmap(mm, NULL, addr - 0x1000, PAGE_SIZE, PRIVATE_R, 0),
		  addr - 0x1000);
	ASSERT_EQ(vma_lookup(mm, addr - 0x1000)->vm_reserv, reserv);
	check_world();

	/* Small ones are exact: next to it. */
	ASSERT_EQ(op_mmap(mm, NULL, reserv->end, PAGE_SIZE, PRIVATE_R, 0),
		  reserv->end);
	ASSERT_EQ(op_mmap(mm, NULL, reserv->start - PAGE_SIZE, PAGE_SIZE,
			  PRIVATE_R, 0), reserv->start - PAGE_SIZE);
	check_world();
	mm_destroy(mm);
}

/* Padding that would overlap another one: -ERANGE, nothing changed. */
TEST(bounds_overlap)
{
	struct mm_struct *mm = mm_reserved(PR_RESERVATIONS_CHERI_BOUNDS);
	unsigned long addr = MM_ADDR(0) + RESERV_MB(16);

	op_mmap(mm, NULL, addr, PAGE_SIZE, PRIVATE_RW, 0);
	check_world();
	ASSERT_REFUSED(mm, op_mmap(mm, NULL, addr + PAGE_SIZE,
				   RESERV_MB(8) + PAGE_SIZE, PRIVATE_RW, 0),
		       -ERANGE);
	op_mmap(mm, NULL, addr + RESERV_MB(32) + PAGE_SIZE, PAGE_SIZE,
		PRIVATE_RW, 0);
	ASSERT_REFUSED(mm, op_mmap(mm, NULL, addr + RESERV_MB(24),
				   RESERV_MB(8) + PAGE_SIZE, PRIVATE_RW, 0),
		       -ERANGE);
	ASSERT_FALSE(__reservation_fits(mm, addr + PAGE_SIZE,
					RESERV_MB(8) + PAGE_SIZE));
	/* Misaligned, even where there is room. */
	ASSERT_FALSE(__reservation_fits(mm, addr + RESERV_MB(2) + PAGE_SIZE,
					RESERV_MB(8) + PAGE_SIZE));
	ASSERT_TRUE(__reservation_fits(mm, addr + RESERV_MB(2),
				       RESERV_MB(8) + PAGE_SIZE));
	mm_destroy(mm);
}

/* At the end of the address space, padding has no room either. */
TEST(bounds_at_end)
{
	struct mm_struct *mm = mm_reserved(PR_RESERVATIONS_CHERI_BOUNDS);
	unsigned long len = RESERV_MB(8) + PAGE_SIZE;
	unsigned long addr = (TASK_SIZE - len) & ~0x3fffUL;

	/* TASK_SIZE is an odd number of pages. */
	ASSERT_FALSE(__reservation_fits(mm, addr, len));
	ASSERT_REFUSED(mm, op_mmap(mm, NULL, addr, len, PRIVATE_RW, 0),
		       -ERANGE);
	hooked_with_hint = addr;
	hooked_without = addr - RESERV_MB(1);
	unmapped_area_hook = fixed_area;
	ASSERT_EQ(find_reservable_area(NULL, addr, len, 0, 0, VM_NONE),
		  hooked_without);
	mm_destroy(mm);
}

/*
 * exec: the stack is made, with reservations to be kept, moved to its place,
 * extended to what it begins with, and then gets a reservation.
 */
#define RESERV_STACK	0x7ffff0000000UL
#define RESERV_STACK_MIN	(RESERV_MB(128) + stack_guard_gap)

static struct mm_struct *mm_exec(unsigned int flags)
{
	struct mm_struct *old = mm_reserved(flags | PR_RESERVATIONS_INHERIT);
	struct mm_struct *mm = mm_create();

	ASSERT_EQ(op_mmap(mm, NULL, RESERV_STACK - MM_LEN(4), MM_LEN(4),
			  STACK_RW | VM_STACK_INCOMPLETE_SETUP, 0),
		  RESERV_STACK - MM_LEN(4));
	mmap_write_unlock(old);
	ASSERT_EQ(reservations_exec(mm, old), 0);
	mmap_write_lock(old);
	ASSERT_EQ(mm->reservations->flags, flags | PR_RESERVATIONS_INHERIT);
	check_world();
	mm_destroy(old);
	current->mm = mm;
	return mm;
}

static struct vm_area_struct *exec_stack(struct mm_struct *mm)
{
	return vma_lookup(mm, RESERV_STACK - PAGE_SIZE);
}

static long exec_reserve_stack(struct mm_struct *mm, unsigned long limit)
{
	struct vm_area_struct *vma = exec_stack(mm);

	vm_flags_clear(vma, VM_STACK_INCOMPLETE_SETUP);
	return vma_reserve_stack(vma, limit);
}

/* Its reservation is what mmap_base leaves for it, and the guard gap. */
TEST(stack_limits)
{
	static const struct {
		unsigned long limit, size;
	} limits[] = {
		{ 0, RESERV_MB(128) },
		{ RESERV_MB(8), RESERV_MB(128) },
		{ RESERV_MB(300) + 1, RESERV_MB(300) + PAGE_SIZE },
		{ ULONG_MAX, 0 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		struct mm_struct *mm = mm_exec(0);
		unsigned long size = limits[i].size ?:
				     PAGE_ALIGN(TASK_SIZE / 6);

		ASSERT_EQ(exec_reserve_stack(mm, limits[i].limit), 0);
		check_world();
		ASSERT_EQ(exec_stack(mm)->vm_reserv->end, RESERV_STACK);
		ASSERT_EQ(exec_stack(mm)->vm_reserv->start,
			  RESERV_STACK - size - stack_guard_gap);
		mm_destroy(mm);
	}
}

TEST(stack_failures)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_exec(0);
		long ret;

		alloc_walk_begin(walk, mm);
		ret = exec_reserve_stack(mm, 0);
		if (ret)
			vm_flags_set(exec_stack(mm), VM_STACK_INCOMPLETE_SETUP);
		alloc_walk_end(walk, ret);
		mm_destroy(mm);
	}
}

/* As exec does: it is reserved, and extended to what it begins with. */
TEST(stack_begins)
{
	struct mm_struct *mm = mm_exec(0);

	ASSERT_EQ(exec_reserve_stack(mm, 0), 0);
	ASSERT_EQ(op_grow_stack(mm, RESERV_STACK - MM_LEN(4),
				RESERV_STACK - MM_LEN(36)), 0);
	ASSERT_EQ(exec_stack(mm)->vm_start, RESERV_STACK - MM_LEN(36));
	check_world();
	mm_destroy(mm);

	/* The other way round, the check between the two would complain. */
	mm = mm_exec(0);
	vm_flags_clear(exec_stack(mm), VM_STACK_INCOMPLETE_SETUP);
	ASSERT_NE(reservations_mistake(mm, false), NULL);
	ASSERT_EQ(exec_reserve_stack(mm, 0), 0);
	check_world();
	mm_destroy(mm);
}

/* It grows as far as its reservation, less the guard gap, goes. */
TEST(stack_grows)
{
	struct mm_struct *mm = mm_exec(0);
	unsigned long low;

	ASSERT_EQ(exec_reserve_stack(mm, 0), 0);
	low = exec_stack(mm)->vm_reserv->start + stack_guard_gap;
	ASSERT_EQ(low, RESERV_STACK - RESERV_MB(128));
	ASSERT_EQ(op_fault(mm, RESERV_STACK - PAGE_SIZE, PAGE_SIZE, true), 0);
	ASSERT_REFUSED(mm, expand_downwards(exec_stack(mm), low - PAGE_SIZE),
		       -ENOMEM);
	ASSERT_EQ(expand_downwards(exec_stack(mm), low + 5), 0);
	check_world();
	ASSERT_EQ(exec_stack(mm)->vm_start, low);
	ASSERT_REFUSED(mm, expand_downwards(exec_stack(mm), low - 1), -ENOMEM);
	/* Nothing else gets there. */
	ASSERT_EQ(vm_start_gap(exec_stack(mm)), low - stack_guard_gap);
	mm_destroy(mm);
}

/* It is clipped at what is below, and still has what it has. */
TEST(stack_clipped)
{
	struct mm_struct *mm = mm_exec(0);
	unsigned long addr = RESERV_STACK - RESERV_MB(64);
	struct vma_reservation *image;

	/* As the image of a program that has its address. */
	mmap_write_unlock(mm);
	image = vm_reserve(addr, MM_LEN(8));
	ASSERT_FALSE(IS_ERR_OR_NULL(image));
	mmap_write_lock(mm);
	ASSERT_EQ(exec_reserve_stack(mm, 0), 0);
	ASSERT_EQ(exec_stack(mm)->vm_reserv->start, addr + MM_LEN(8));
	ASSERT_EQ(reservations_mistake(mm, false), NULL);
	mmap_write_unlock(mm);
	vm_unreserve(image);
	mmap_write_lock(mm);
	check_world();
	mm_destroy(mm);
}

/* Right below it: no room to grow. */
TEST(stack_no_room)
{
	struct mm_struct *mm = mm_exec(0);
	struct vma_reservation *image;

	image = __reservation_hold(mm, RESERV_STACK - MM_LEN(10),
				   RESERV_STACK - MM_LEN(4), VM_NONE);
	ASSERT_EQ(exec_reserve_stack(mm, 0), 0);
	ASSERT_EQ(exec_stack(mm)->vm_reserv->start, RESERV_STACK - MM_LEN(4));
	reservation_release(mm, image);
	check_world();
	ASSERT_REFUSED(mm, expand_downwards(exec_stack(mm),
					    RESERV_STACK - MM_LEN(5)),
		       -ENOMEM);
	mm_destroy(mm);
}

/* In the way of the stack itself. */
TEST(stack_in_the_way)
{
	struct mm_struct *mm = mm_exec(0);
	struct vma_reservation *image;

	image = __reservation_hold(mm, RESERV_STACK - MM_LEN(10),
				   RESERV_STACK - MM_LEN(3), VM_NONE);
	ASSERT_EQ(exec_reserve_stack(mm, 0), -EEXIST);
	reservation_release(mm, image);
	/* Of all of it. */
	image = __reservation_hold(mm, RESERV_STACK - MM_LEN(10),
				   RESERV_STACK + MM_LEN(3), VM_NONE);
	ASSERT_EQ(exec_reserve_stack(mm, 0), -EEXIST);
	vm_flags_set(exec_stack(mm), VM_STACK_INCOMPLETE_SETUP);
	reservation_release(mm, image);
	check_world();
	mm_destroy(mm);
}

/* With bounds to be rounded, it is clipped at where these can begin. */
TEST(stack_clipped_bounds)
{
	int pages;

	for (pages = 1; pages < 70; pages++) {
		struct mm_struct *mm = mm_exec(PR_RESERVATIONS_CHERI_BOUNDS);
		unsigned long addr = RESERV_STACK - RESERV_MB(64);
		struct vma_reservation *image;

		image = __reservation_hold(mm, addr, addr + MM_LEN(pages),
					   VM_NONE);
		ASSERT_EQ(exec_reserve_stack(mm, 0), 0);
		ASSERT_GE(exec_stack(mm)->vm_reserv->start, image->end);
		ASSERT_LE(exec_stack(mm)->vm_reserv->start,
			  image->end + RESERV_MB(1));
		ASSERT_EQ(reservations_mistake(mm, false), NULL);
		reservation_release(mm, image);
		mm_destroy(mm);
	}
}

/* exec takes the flags along, if they are to be inherited. */
TEST(exec)
{
	struct mm_struct *old = mm_create(), *mm = mm_create();

	ASSERT_EQ(reservations_exec(mm, NULL), 0);
	ASSERT_EQ(reservations_exec(mm, old), 0);
	ASSERT_FALSE(mm_has_reservations(mm));

	ASSERT_EQ(reservations_enable(old, PR_RESERVATIONS_CHERI_BOUNDS), 0);
	mmap_write_unlock(old);
	ASSERT_EQ(reservations_exec(mm, old), 0);
	ASSERT_FALSE(mm_has_reservations(mm));
	mmap_write_lock(old);

	ASSERT_EQ(reservations_enable(old, PR_RESERVATIONS_INHERIT |
				      PR_RESERVATIONS_CHERI_BOUNDS), 0);
	mmap_write_unlock(old);
	alloc_fail_nth(1);
	ASSERT_EQ(reservations_exec(mm, old), -ENOMEM);
	ASSERT_FALSE(mm_has_reservations(mm));
	alloc_fail_nth(0);
	ASSERT_EQ(reservations_exec(mm, old), 0);
	ASSERT_EQ(mm->reservations->flags, PR_RESERVATIONS_INHERIT |
		  PR_RESERVATIONS_CHERI_BOUNDS);
	ASSERT_TRUE(RB_EMPTY_ROOT(&mm->reservations->tree));
	ASSERT_FALSE(rwsem_is_locked(&old->mmap_lock));
	mmap_write_lock(old);
	check_world();
	mm_destroy(mm);
	mm_destroy(old);
}

/* A process with all kinds of things in it */
static struct mm_struct *mm_live(void)
{
	struct mm_struct *mm = mm_create();

	/* A library: text, relocated data, data, bss. */
	mmap_anon(mm, 0, 4, PRIVATE_RX);
	mmap_anon(mm, 4, 2, PRIVATE_R);
	mmap_anon(mm, 6, 2, PRIVATE_RW);
	/* The heap, next to it, with a part that is executable. */
	mm->start_brk = MM_ADDR(8);
	mm->brk = MM_ADDR(8);
	ASSERT_EQ(op_brk(mm, MM_ADDR(12)), 0);
	op_mprotect(mm, MM_ADDR(9), MM_LEN(1), VM_READ | VM_EXEC);
	/* vvar and vdso: next to each other, and to something else. */
	mmap_anon(mm, 20, 2, PRIVATE_RW);
	ASSERT_EQ(insert_special(mm, 22, 2, PRIVATE_R), 0);
	ASSERT_EQ(insert_special(mm, 24, 1, PRIVATE_RX), 0);
	mmap_anon(mm, 25, 2, PRIVATE_RW);
	/* A stack of a thread with its guard page. */
	mmap_anon(mm, 30, 1, VM_MAYRWX);
	mmap_anon(mm, 31, 4, PRIVATE_RW);
	/* Something that grows, between others. */
	mmap_anon(mm, 40, 2, PRIVATE_RW);
	mmap_anon(mm, 43, 2, STACK_RW);
	mmap_anon(mm, 45, 2, PRIVATE_RW);
	/* The stack. */
	mmap_anon(mm, 1000, 4, STACK_RW);
	mm->start_stack = MM_ADDR(1003) + 16;
	mmap_anon(mm, 1004, 2, PRIVATE_RW);
	return mm;
}

/* One for each gap-free run; heap, stack and special mappings on their own. */
TEST(enable)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_live();
		int nr = mm->map_count;
		long ret;

		alloc_walk_begin(walk, mm);
		ret = reservations_enable(mm, PR_RESERVATIONS_INHERIT);
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(mm->map_count, nr);
			ASSERT_EQ(assert_reserved(mm, 0, 8)->count, 3);
			ASSERT_FALSE(assert_reserved(mm, 0, 8)->heap);
			ASSERT_TRUE(assert_reserved(mm, 8, 4)->heap);
			ASSERT_EQ(assert_reserved(mm, 8, 4)->count, 3);
			assert_reserved(mm, 20, 2);
			assert_reserved(mm, 22, 2);
			assert_reserved(mm, 24, 1);
			assert_reserved(mm, 25, 2);
			ASSERT_EQ(assert_reserved(mm, 30, 5)->count, 2);
			assert_reserved(mm, 40, 2);
			/* With what there is of its guard gap. */
			assert_reserved(mm, 42, 3);
			assert_reserved(mm, 45, 2);
			/* With all the room there is. */
			assert_reserved(mm, 47, 1004 - 47);
			assert_reserved(mm, 1004, 2);
			ASSERT_EQ(mm->reservations->flags,
				  PR_RESERVATIONS_INHERIT);
			/* The heap goes on. */
			ASSERT_EQ(op_brk(mm, MM_ADDR(14)), 0);
			assert_reserved(mm, 12, 2);
			check_world();
		}
		mm_destroy(mm);
	}
}

/* Twice is once; only inheritance can be added, and nothing taken back. */
TEST(enable_again)
{
	unsigned int cheri = PR_RESERVATIONS_CHERI_BOUNDS;
	unsigned int inherit = PR_RESERVATIONS_INHERIT;
	struct mm_struct *mm = mm_live();

	ASSERT_EQ(reservations_enable(mm, 0), 0);
	ASSERT_EQ(reservations_enable(mm, 0), 0);
	ASSERT_REFUSED(mm, reservations_enable(mm, cheri), -EINVAL);
	ASSERT_REFUSED(mm, reservations_enable(mm, cheri | inherit), -EINVAL);
	ASSERT_EQ(reservations_enable(mm, inherit), 0);
	ASSERT_EQ(mm->reservations->flags, inherit);
	ASSERT_EQ(reservations_enable(mm, 0), 0);
	ASSERT_EQ(mm->reservations->flags, inherit);
	ASSERT_REFUSED(mm, reservations_enable(mm, cheri | inherit), -EINVAL);
	check_world();
	mm_destroy(mm);

	mm = mm_reserved(cheri);
	ASSERT_REFUSED(mm, reservations_enable(mm, 0), -EINVAL);
	ASSERT_REFUSED(mm, reservations_enable(mm, inherit), -EINVAL);
	ASSERT_EQ(reservations_enable(mm, inherit | cheri), 0);
	mm_destroy(mm);
}

static long enable_cheri(struct mm_struct *mm)
{
	return reservations_enable(mm, PR_RESERVATIONS_CHERI_BOUNDS);
}

/*
 * Neighbours that are too close for bounds that can be represented: in the three
 * pages of padding, all of it or in part.
 */
TEST(enable_too_close)
{
	unsigned long addr = MM_ADDR(0) + RESERV_MB(16);
	unsigned long end = addr + RESERV_MB(8) + PAGE_SIZE;
	int gap;

	for (gap = 1; gap <= 4; gap++) {
		struct mm_struct *mm = mm_create();

		op_mmap(mm, NULL, addr, end - addr, PRIVATE_RW, 0);
		op_mmap(mm, NULL, end + MM_LEN(gap), PAGE_SIZE, PRIVATE_R, 0);
		op_mmap(mm, NULL, addr - PAGE_SIZE - MM_LEN(gap), PAGE_SIZE,
			PRIVATE_R, 0);
		if (gap < 3)
			ASSERT_REFUSED(mm, enable_cheri(mm), -ERANGE);
		else
			ASSERT_EQ(enable_cheri(mm), 0);
		check_world();
		mm_destroy(mm);
	}
}

/* A neighbour above that begins in the padding and ends beyond it */
TEST(enable_too_close_part)
{
	unsigned long addr = MM_ADDR(0) + RESERV_MB(16);
	unsigned long end = addr + RESERV_MB(8) + PAGE_SIZE;
	struct mm_struct *mm = mm_create();

	op_mmap(mm, NULL, addr, end - addr, PRIVATE_RW, 0);
	op_mmap(mm, NULL, end + PAGE_SIZE, MM_LEN(9), PRIVATE_R, 0);
	ASSERT_REFUSED(mm, enable_cheri(mm), -ERANGE);
	mm_destroy(mm);
}

/* What has to be rounded downwards gets into what is there already. */
TEST(enable_too_close_below)
{
	unsigned long addr = MM_ADDR(0) + RESERV_MB(16) + MM_LEN(2);
	struct mm_struct *mm = mm_create();

	op_mmap(mm, NULL, addr, RESERV_MB(8), PRIVATE_RW, 0);
	op_mmap(mm, NULL, addr - MM_LEN(2), PAGE_SIZE, PRIVATE_R, 0);
	ASSERT_REFUSED(mm, enable_cheri(mm), -ERANGE);
	ASSERT_EQ(reservations_enable(mm, 0), 0);
	check_world();
	mm_destroy(mm);
}

/* As dup_mmap(), and what becomes of a child that it fails for. */
static long reserv_fork(struct mm_struct *mm, struct mm_struct *oldmm)
{
	VMA_ITERATOR(vmi, oldmm, 0);
	struct vm_area_struct *vma, *copy;
	long ret;

	for_each_vma(vmi, vma) {
		if (vma->vm_flags & VM_DONTCOPY)
			continue;
		copy = vm_area_dup(vma);
		if (!copy)
			return -ENOMEM;
		copy->vm_mm = mm;
		ASSERT_EQ(copy->vm_reserv, NULL);
		ret = anon_vma_fork(copy, vma);
		if (!ret) {
			ret = vma_link(mm, copy);
			if (ret)
				unlink_anon_vmas(copy);
		}
		if (ret) {
			vm_area_free(copy);
			return ret;
		}
		vm_stat_account(mm, copy->vm_flags, vma_pages(copy));
		if (copy->vm_flags & VM_ACCOUNT)
			vm_acct_memory(vma_pages(copy));
	}
	return reservations_fork(mm, oldmm);
}

/* exit_mmap() does not count. */
static void reserv_fork_undo(struct mm_struct *mm)
{
	VMA_ITERATOR(vmi, mm, 0);
	struct vm_area_struct *vma;

	for_each_vma(vmi, vma)
		vma->vm_reserv = NULL;
	reservations_free(mm);
	ASSERT_EQ(mm->reservations, NULL);
	alloc_pause_failures();
	current->mm = mm;
	while ((vma = find_vma(mm, 0)))
		ASSERT_EQ(op_munmap(mm, vma->vm_start,
				    vma->vm_end - vma->vm_start), 0);
	alloc_resume_failures();
}

/* A child has the same ones, each once, holes and all; and then its own. */
TEST(fork)
{
	for_each_alloc_failure(walk) {
		struct mm_struct *mm = mm_live(), *child;
		long ret;

		ASSERT_EQ(reservations_enable(mm, PR_RESERVATIONS_INHERIT), 0);
		op_munmap(mm, MM_ADDR(4), MM_LEN(2));
		/* MADV_DONTFORK: for all of one, for the first of another. */
		vm_flags_set(vma_at(mm, 20), VM_DONTCOPY);
		vm_flags_set(vma_at(mm, 30), VM_DONTCOPY);
		fault_in(mm, 6, 1, true);
		child = mm_create();
		current->mm = mm;
		alloc_walk_begin(walk, mm);
		ret = reserv_fork(child, mm);
		if (ret)
			reserv_fork_undo(child);
		current->mm = mm;
		if (alloc_walk_end(walk, ret)) {
			ASSERT_EQ(child->reservations->flags,
				  PR_RESERVATIONS_INHERIT);
			ASSERT_EQ(assert_reserved(child, 0, 8)->count, 2);
			ASSERT_NE(assert_reserved(child, 0, 8),
				  assert_reserved(mm, 0, 8));
			ASSERT_TRUE(assert_reserved(child, 8, 4)->heap);
			assert_free(child, 20, 2);
			ASSERT_EQ(assert_reserved(child, 30, 5)->count, 1);
			assert_reserved(child, 47, 1004 - 47);

			current->mm = child;
			ASSERT_EQ(op_munmap(child, MM_ADDR(0), MM_LEN(8)), 0);
			assert_free(child, 0, 8);
			assert_reserved(mm, 0, 8);
			check_world();
		}
		mm_destroy(child);
		current->mm = mm;
		mm_destroy(mm);
	}
}

/* Without reservations there is nothing to copy. */
TEST(fork_without)
{
	struct mm_struct *mm = mm_live(), *child = mm_create();

	ASSERT_EQ(reserv_fork(child, mm), 0);
	ASSERT_FALSE(mm_has_reservations(child));
	check_world();
	mm_destroy(child);
	mm_destroy(mm);
}

/* What several mappings are going to share, for the loader of a program */
TEST(vm_reserve)
{
	struct mm_struct *mm = mm_reserved(0);
	struct vma_reservation *reserv;

	mmap_anon(mm, 20, 2, PRIVATE_RW);
	mmap_write_unlock(mm);
	ASSERT_EQ(PTR_ERR(vm_reserve(MM_ADDR(18), MM_LEN(3))), -EEXIST);
	ASSERT_EQ(PTR_ERR(vm_reserve(MM_ADDR(20), MM_LEN(2))), -EEXIST);
	ASSERT_EQ(PTR_ERR(vm_reserve(MM_ADDR(20), 0)), -EINVAL);
	ASSERT_EQ(PTR_ERR(vm_reserve(MM_ADDR(20), -MM_ADDR(10))), -EINVAL);
	ASSERT_EQ(PTR_ERR(vm_reserve(TASK_SIZE - PAGE_SIZE, MM_LEN(2))),
		  -ERANGE);
	signal_is_pending = true;
	ASSERT_EQ(PTR_ERR(vm_reserve(MM_ADDR(0), MM_LEN(3))), -EINTR);
	signal_is_pending = false;
	alloc_fail_nth(1);
	ASSERT_EQ(PTR_ERR(vm_reserve(MM_ADDR(0), MM_LEN(3))), -ENOMEM);
	alloc_fail_nth(0);

	/* Whole pages. */
	reserv = vm_reserve(MM_ADDR(0) + 5, MM_LEN(7));
	ASSERT_FALSE(IS_ERR_OR_NULL(reserv));
	ASSERT_EQ(assert_reserved(mm, 0, 8), reserv);
	ASSERT_FALSE(rwsem_is_locked(&mm->mmap_lock));
	ASSERT_EQ(vm_reservation_end(MM_ADDR(0)), MM_ADDR(8));
	ASSERT_EQ(vm_reservation_end(MM_ADDR(7) + 4), MM_ADDR(8));
	ASSERT_EQ(vm_reservation_end(MM_ADDR(8)), MM_ADDR(8));
	ASSERT_EQ(vm_reservation_end(MM_ADDR(30)), MM_ADDR(30));

	mmap_write_lock(mm);
	mmap_anon(mm, 1, 2, PRIVATE_R);
	mmap_anon(mm, 5, 2, PRIVATE_RW);
	ASSERT_EQ(reserv_of(mm, 1), reserv);
	mmap_write_unlock(mm);
	vm_unreserve(reserv);
	ASSERT_FALSE(rwsem_is_locked(&mm->mmap_lock));
	mmap_write_lock(mm);
	check_world();
	assert_reserved(mm, 0, 8);
	mmap_write_unlock(mm);

	/* Nothing has come. */
	reserv = vm_reserve(MM_ADDR(40), MM_LEN(1));
	vm_unreserve(reserv);
	mmap_write_lock(mm);
	assert_free(mm, 40, 1);
	check_world();
	mm_destroy(mm);
}

/* The system call. */
TEST(prctl)
{
	unsigned long cheri = PR_RESERVATIONS_CHERI_BOUNDS;
	struct mm_struct *mm = mm_live();
	unsigned long bit;

	mmap_write_unlock(mm);
	ASSERT_EQ(prctl_reservations(PR_RESERVATIONS_GET, 0, 0, 0), 0);
	ASSERT_EQ(prctl_reservations(PR_RESERVATIONS_GET, 1, 0, 0), -EINVAL);
	ASSERT_EQ(prctl_reservations(PR_RESERVATIONS_GET, 0, 1, 0), -EINVAL);
	ASSERT_EQ(prctl_reservations(PR_RESERVATIONS_GET, 0, 0, 1), -EINVAL);
	ASSERT_EQ(prctl_reservations(PR_RESERVATIONS_ENABLE, 0, 1, 0),
		  -EINVAL);
	ASSERT_EQ(prctl_reservations(PR_RESERVATIONS_ENABLE, 0, 0, 1),
		  -EINVAL);
	ASSERT_EQ(prctl_reservations(0, 0, 0, 0), -EINVAL);
	ASSERT_EQ(prctl_reservations(3, 0, 0, 0), -EINVAL);
	for (bit = 1; bit; bit <<= 1)
		if (bit != cheri && bit != PR_RESERVATIONS_INHERIT)
			ASSERT_EQ(prctl_reservations(PR_RESERVATIONS_ENABLE,
						     bit, 0, 0), -EINVAL);
	signal_is_pending = true;
	ASSERT_EQ(prctl_reservations(PR_RESERVATIONS_GET, 0, 0, 0), -EINTR);
	ASSERT_EQ(prctl_reservations(PR_RESERVATIONS_ENABLE, 0, 0, 0), -EINTR);
	signal_is_pending = false;
	ASSERT_EQ(prctl_reservations(PR_RESERVATIONS_GET, 0, 0, 0), 0);

	ASSERT_EQ(prctl_reservations(PR_RESERVATIONS_ENABLE, 0, 0, 0), 0);
	ASSERT_EQ(prctl_reservations(PR_RESERVATIONS_GET, 0, 0, 0),
		  PR_RESERVATIONS_ON);
	ASSERT_EQ(prctl_reservations(PR_RESERVATIONS_ENABLE, cheri, 0, 0),
		  -EINVAL);
	ASSERT_EQ(prctl_reservations(PR_RESERVATIONS_ENABLE,
				     PR_RESERVATIONS_INHERIT, 0, 0), 0);
	ASSERT_EQ(prctl_reservations(PR_RESERVATIONS_GET, 0, 0, 0),
		  PR_RESERVATIONS_ON | PR_RESERVATIONS_INHERIT);
	ASSERT_FALSE(rwsem_is_locked(&mm->mmap_lock));
	mmap_write_lock(mm);
	check_world();
	mm_destroy(mm);
}

/* The function that validates would notice. */
TEST(mistakes)
{
	struct mm_struct *mm = mm_reserved(0);
	struct vma_reservation *a, *b;
	struct vm_area_struct *vma;

	mmap_anon(mm, 0, 2, PRIVATE_RW);
	mmap_anon(mm, 4, 2, PRIVATE_RW);
	a = reserv_of(mm, 0);
	b = reserv_of(mm, 4);
	vma = vma_at(mm, 4);
#define ASSERT_MISTAKE(_lvalue, _wrong)					\
	do {								\
		__auto_type __right = (_lvalue);			\
									\
		_lvalue = _wrong;					\
		ASSERT_NE(reservations_mistake(mm, true), NULL);	\
		_lvalue = __right;					\
		ASSERT_EQ(reservations_mistake(mm, true), NULL);	\
	} while (0)
	ASSERT_MISTAKE(vma->vm_reserv, NULL);
	ASSERT_MISTAKE(vma->vm_reserv, a);
	ASSERT_MISTAKE(b->start, MM_ADDR(5));
	ASSERT_MISTAKE(b->start, MM_ADDR(3));
	ASSERT_MISTAKE(b->start, MM_ADDR(1));
	ASSERT_MISTAKE(b->end, MM_ADDR(5));
	ASSERT_MISTAKE(a->end, MM_ADDR(5));
	ASSERT_MISTAKE(b->gap, 0);
	ASSERT_MISTAKE(b->subtree_gap, 0);
	ASSERT_MISTAKE(b->subtree_gap, MM_ADDR(9));
	ASSERT_MISTAKE(b->count, 0);
	ASSERT_MISTAKE(b->count, 2);
	ASSERT_MISTAKE(mm->reservations, NULL);
	/* Held by somebody. */
	b->count++;
	ASSERT_EQ(reservations_mistake(mm, false), NULL);
	b->count--;
	check_world();
	mm_destroy(mm);
}
