// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * unmapped_area() and unmapped_area_topdown(): where a mapping may go.
 */

#define GAP_PAGES	28	/* of the space that is searched */

static long find_gap(unsigned long pages, int low, int high, bool topdown,
		     unsigned long align_mask, unsigned long start_gap)
{
	struct vm_unmapped_area_info info = {
		.length = MM_LEN(pages),
		.low_limit = MM_ADDR(low),
		.high_limit = MM_ADDR(high),
		.align_mask = align_mask,
		.start_gap = start_gap,
	};

	return topdown ? unmapped_area_topdown(&info) : unmapped_area(&info);
}

/* Not mapped, and not in front of a stack that may want to grow there. */
static bool is_free(struct mm_struct *mm, int page, int pages)
{
	struct vm_area_struct *next = find_vma(mm, MM_ADDR(page));

	return !next || vm_start_gap(next) >= MM_ADDR(page + pages);
}

/* The simplest search: try each page. */
static long find_gap_brute(struct mm_struct *mm, int pages, int low, int high,
			   bool topdown)
{
	int page;

	if (topdown) {
		for (page = high - pages; page >= low; page--)
			if (is_free(mm, page, pages))
				return MM_ADDR(page);
	} else {
		for (page = low; page + pages <= high; page++)
			if (is_free(mm, page, pages))
				return MM_ADDR(page);
	}
	return -ENOMEM;
}

static unsigned long gap_random(unsigned long *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Some mappings and some stacks, at random. */
static void gap_layout(struct mm_struct *mm, unsigned long *state)
{
	static const vm_flags_t kinds[] = {
		PRIVATE_RW, PRIVATE_R, SHARED_RW, STACK_RW,
		PRIVATE_RW | VM_SHADOW_STACK, VM_MAYRWX,
	};
	int page = 0;

	while (page < GAP_PAGES) {
		int pages = 1 + gap_random(state) % 3;

		page += gap_random(state) % 7;
		if (page + pages > GAP_PAGES)
			break;
		ASSERT_EQ(mmap_anon(mm, page, pages,
				    kinds[gap_random(state) %
					  ARRAY_SIZE(kinds)]), MM_ADDR(page));
		page += pages;
	}
}

/* All lengths in one part of the space. Returns how many can be had. */
static int gap_compare(struct mm_struct *mm, int low, int high)
{
	int len, nr_found = 0;

	for (len = 1; len <= 6; len++) {
		long up = find_gap_brute(mm, len, low, high, false);
		long down = find_gap_brute(mm, len, low, high, true);

		ASSERT_EQ(find_gap(len, low, high, false, 0, 0), up);
		ASSERT_EQ(find_gap(len, low, high, true, 0, 0), down);
		nr_found += up != -ENOMEM;
	}
	return nr_found;
}

/* All lengths in all parts of the space, against the simplest search. */
TEST(exhaustive)
{
	unsigned long state = 0x9e3779b97f4a7c15UL, nr_found = 0, nr_tried = 0;
	int layout, low, high;

	for (layout = 0; layout < 60; layout++) {
		struct mm_struct *mm = mm_create();

		stack_guard_gap = MM_LEN(layout % 4);
		gap_layout(mm, &state);
		for (low = 0; low < GAP_PAGES; low += 1 + layout % 3) {
			for (high = low + 1; high <= GAP_PAGES; high++) {
				nr_found += gap_compare(mm, low, high);
				nr_tried += 6;
			}
		}
		mm_destroy(mm);
	}
	/* Or this would not mean much. */
	ASSERT_GE(nr_found, 10000);
	ASSERT_GE(nr_tried - nr_found, 1000);
}

/*
 * With an alignment and a gap in front of the mapping, the search may give up
 * early, since it looks for the worst case; what it finds has to fit.
 */
static bool gap_fits(struct mm_struct *mm, int len, bool down, int align,
		     int gap)
{
	unsigned long mask = MM_LEN(align) - PAGE_SIZE;
	int page, worst = len + align - 1 + gap;
	long addr;

	addr = find_gap(len, 0, GAP_PAGES, down, mask, MM_LEN(gap));
	if (IS_ERR_VALUE(addr)) {
		/*
		 * Where a stack keeps its distance, even the worst case may be
		 * short by as much again.
		 */
		ASSERT_EQ(addr, -ENOMEM);
		ASSERT_EQ(find_gap_brute(mm, 2 * worst, 0, GAP_PAGES, down),
			  -ENOMEM);
		return false;
	}

	page = (addr - MM_ADDR(0)) >> PAGE_SHIFT;
	ASSERT_EQ(addr & mask, 0);
	ASSERT_GE(page, gap);
	ASSERT_LE(page + len, GAP_PAGES);
	ASSERT_TRUE(is_free(mm, page - gap, len + gap));
	return true;
}

TEST(aligned)
{
	unsigned long state = 0x2545f4914f6cdd1dUL, nr_found = 0;
	int layout, len, i;

	for (layout = 0; layout < 100; layout++) {
		struct mm_struct *mm = mm_create();

		stack_guard_gap = MM_LEN(layout % 3);
		gap_layout(mm, &state);
		for (len = 1; len < 6; len++)
			for (i = 0; i < 12; i++)
				nr_found += gap_fits(mm, len, i & 1,
						     1 << (i >> 2),
						     (i >> 1) & 1);
		mm_destroy(mm);
	}
	ASSERT_GE(nr_found, 1000);
}

/* An offset to be aligned to, as with a huge page in the middle of a file. */
TEST(align_offset)
{
	struct vm_unmapped_area_info info = {
		.length = MM_LEN(4),
		.low_limit = MM_ADDR(1),
		.high_limit = MM_ADDR(4 * PTRS_PER_TABLE),
		.align_mask = PMD_SIZE - PAGE_SIZE,
		.align_offset = MM_LEN(3),
	};
	struct mm_struct *mm = mm_create();

	ASSERT_EQ(unmapped_area(&info), MM_ADDR(3));
	ASSERT_EQ(unmapped_area_topdown(&info),
		  MM_ADDR(3 + 3 * PTRS_PER_TABLE));
	mm_destroy(mm);
}

/* Nothing below what may not be mapped, and no overflow. */
TEST(limits)
{
	struct vm_unmapped_area_info info = {
		.length = ULONG_MAX & PAGE_MASK,
		.high_limit = MM_ADDR(8),
		.align_mask = PMD_SIZE - PAGE_SIZE,
	};
	struct mm_struct *mm = mm_create();

	ASSERT_EQ(unmapped_area(&info), -ENOMEM);
	ASSERT_EQ(unmapped_area_topdown(&info), -ENOMEM);
	info.length = MM_LEN(2);
	info.align_mask = 0;
	mmap_min_addr = MM_ADDR(3);
	ASSERT_EQ(unmapped_area(&info), MM_ADDR(3));
	ASSERT_EQ(unmapped_area_topdown(&info), MM_ADDR(6));
	info.length = MM_LEN(6);
	ASSERT_EQ(unmapped_area(&info), -ENOMEM);
	ASSERT_EQ(unmapped_area_topdown(&info), -ENOMEM);
	mm_destroy(mm);
}

/* The gap in front of a stack is not for others, that of a shadow stack too. */
TEST(before_stack)
{
	struct mm_struct *mm = mm_create();

	stack_guard_gap = MM_LEN(4);
	mmap_anon(mm, 0, 2, PRIVATE_RW);
	mmap_anon(mm, 8, 2, STACK_RW);
	mmap_anon(mm, 14, 2, PRIVATE_RW | VM_SHADOW_STACK);
	ASSERT_EQ(find_gap(2, 0, 30, false, 0, 0), MM_ADDR(2));
	ASSERT_EQ(find_gap(3, 0, 30, false, 0, 0), MM_ADDR(10));
	ASSERT_EQ(find_gap(4, 0, 30, false, 0, 0), MM_ADDR(16));
	ASSERT_EQ(find_gap(4, 0, 14, true, 0, 0), -ENOMEM);
	ASSERT_EQ(find_gap(3, 0, 16, true, 0, 0), MM_ADDR(10));
	ASSERT_EQ(find_gap(2, 0, 10, true, 0, 0), MM_ADDR(2));
	mm_destroy(mm);
}
