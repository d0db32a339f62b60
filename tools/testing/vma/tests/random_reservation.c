// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The random sequences of tests/random.c with reservations: another array says
 * whose each page is, also where it is a hole.
 */

/* From when it is made until it is gone, it does not change. */
struct random_reservation {
	struct vma_reservation *reserv;
	unsigned long start, end;
};

/* There is one world in a process. */
static struct {
	int owner[RANDOM_PAGES];	/* a number below; 0: nobody */
	int nr;
	struct random_reservation reservations[3 * RANDOM_OPS];
} owners;

static int owners_new(void)
{
	ASSERT_LE(owners.nr + 1, ARRAY_SIZE(owners.reservations) - 1);
	return ++owners.nr;
}

/*
 * Keep reservations from now on. What is mapped below the stack and its guard
 * gap ends the stack's own.
 */
static void owners_begin(struct random_world *w)
{
	unsigned long below = random_addr(RANDOM_PAGES - RANDOM_SIDE) -
			      stack_guard_gap - PAGE_SIZE;
	int page, owner;

	memset(&owners, 0, sizeof(owners));
	owner = owners_new();
	ASSERT_EQ(op_mmap(w->mm, NULL, below, PAGE_SIZE, VM_MAYRWX, 0), below);
	w->mm->start_stack = random_addr(RANDOM_PAGES - 1);
	ASSERT_EQ(reservations_enable(w->mm, PR_RESERVATIONS_INHERIT), 0);
	for (page = RANDOM_PAGES - RANDOM_SIDE; page < RANDOM_PAGES; page++)
		owners.owner[page] = owner;
}

/* A reservation that has no mapping left is gone. */
static void owners_settle(struct random_world *w)
{
	bool alive[ARRAY_SIZE(owners.reservations)] = {};
	int page;

	for (page = 0; page < RANDOM_PAGES; page++)
		if (w->pages[page].mapped)
			alive[owners.owner[page]] = true;
	for (page = 0; page < RANDOM_PAGES; page++)
		if (!alive[owners.owner[page]])
			owners.owner[page] = 0;
}

/* Is it the same one as ever, and for as far as the model says? */
static void owners_compare_page(struct random_world *w, int page)
{
	int number = owners.owner[page];
	struct random_reservation *owner = &owners.reservations[number];
	unsigned long addr = random_addr(page);
	struct vma_reservation *reserv = __reservation_find(w->mm, addr);

	if (reserv && reserv->start > addr)
		reserv = NULL;
	if (reserv && !owner->reserv && number)
		*owner = (struct random_reservation) {
			.reserv = reserv,
			.start = reserv->start,
			.end = reserv->end,
		};
	if (!number != !reserv || owner->reserv != reserv ||
	    (reserv && (reserv->start != owner->start ||
			reserv->end != owner->end)))
		test_failed(__FILE__, __LINE__,
			    "page %d should belong to reservation %d %lx-%lx, but is of %lx-%lx",
			    page, number, owner->start, owner->end,
			    reserv ? reserv->start : 0,
			    reserv ? reserv->end : 0);
}

/* No two are the same one. */
static void owners_compare(struct random_world *w)
{
	int page;

	owners_settle(w);
	ASSERT_EQ(owners.reservations[0].reserv, NULL);
	for (page = 0; page < RANDOM_PAGES; page++) {
		int owner = owners.owner[page], last;

		owners_compare_page(w, page);
		last = page ? owners.owner[page - 1] : owner;
		if (owner && owner != last)
			ASSERT_NE(owners.reservations[owner].start,
				  owners.reservations[last].start);
	}
}

/* Within one reservation, or touching none */
static bool owners_cover(int page, int pages)
{
	int owner = owners.owner[page];

	while (pages--)
		if (owners.owner[page++] != owner)
			return false;
	return true;
}

/* What is put there joins, or gets another. */
static void owners_join(int page, int pages)
{
	int owner = owners.owner[page];

	if (owner)
		return;
	owner = owners_new();
	while (pages--)
		owners.owner[page++] = owner;
}

static bool owners_none(int page, int pages)
{
	while (pages--)
		if (owners.owner[page++])
			return false;
	return true;
}

static long reserved_mmap(struct random_world *w, const struct random_op *op)
{
	long ret;

	if (owners_cover(op->page, op->pages)) {
		ret = random_mmap(w, op);
		if (!IS_ERR_VALUE(ret))
			owners_join(op->page, op->pages);
		return ret;
	}

	ret = op_mmap(w->mm, random_mmap_file(w, op), random_addr(op->page),
		      MM_LEN(op->pages), random_mmap_flags(op), op->page);
	/* A shared one gets its file before. */
	ASSERT_TRUE(ret == -EEXIST || (ret == -ENOMEM && op->chance));
	return ret;
}

/* Where the search has to end: at the highest place, or at the lowest. */
static long reserved_room(int pages, bool down)
{
	int page;

	for (page = 0; page + pages <= RANDOM_MAIN; page++) {
		int at = down ? RANDOM_MAIN - pages - page : page;

		if (owners_none(at, pages))
			return at;
	}
	return -ENOMEM;
}

/* mmap() without an address */
static long reserved_search(struct random_world *w, const struct random_op *op)
{
	struct vm_unmapped_area_info info = {
		.length = MM_LEN(op->pages),
		.low_limit = random_addr(0),
		.high_limit = random_addr(RANDOM_MAIN - 1) + PAGE_SIZE,
		.flags = op->to & 0x80 ? VM_UNMAPPED_AREA_TOPDOWN : 0,
	};
	long page = reserved_room(op->pages, op->to & 0x80);
	long addr = reservation_unmapped_area(w->mm, &info);
	struct random_op mmap = *op;

	if (page < 0) {
		ASSERT_EQ(addr, page);
		return addr;
	}
	ASSERT_EQ(addr, random_addr(page));
	mmap.page = page;
	return reserved_mmap(w, &mmap);
}

/* What is left of a reservation keeps the holes. */
static long reserved_munmap(struct random_world *w, const struct random_op *op)
{
	if (owners_cover(op->page, op->pages))
		return random_munmap(w, op);

	ASSERT_EQ(op_munmap(w->mm, random_addr(op->page), MM_LEN(op->pages)),
		  -EINVAL);
	return -EINVAL;
}

static long reserved_protect(struct random_world *w, const struct random_op *op)
{
	if (owners_cover(op->page, op->pages))
		return random_protect(w, op);

	ASSERT_EQ(op_mprotect(w->mm, random_addr(op->page), MM_LEN(op->pages),
			      op->to & VM_ACCESS_FLAGS), -EINVAL);
	return -EINVAL;
}

static long reserved_flag(struct random_world *w, const struct random_op *op)
{
	if (owners_cover(op->page, op->pages))
		return random_flag(w, op);

	ASSERT_EQ(op_change_flags(w->mm, random_addr(op->page),
				  MM_LEN(op->pages), VM_LOCKED, 0), -EINVAL);
	return -EINVAL;
}

static long reserved_mremap(struct random_world *w, const struct random_op *op)
{
	int pages, to = random_move(op, &pages);
	long ret, refused = 0;

	if (!owners_cover(op->page, pages))
		refused = -EINVAL;
	else if (!owners_cover(to, pages))
		refused = -EEXIST;
	if (refused) {
		ASSERT_EQ(op_mremap(w->mm, random_addr(op->page), MM_LEN(pages),
				    random_addr(to)), refused);
		return refused;
	}

	ret = random_mremap(w, op);
	if (!IS_ERR_VALUE(ret))
		owners_join(to, pages);
	return ret;
}

static long reserved_extend(struct random_world *w, const struct random_op *op)
{
	struct vm_area_struct *vma = vma_lookup(w->mm, random_addr(op->page));
	int first = vma ? PHYS_PFN(vma->vm_end - random_addr(0)) : 0;
	long refused;

	if (!vma || first + op->pages > RANDOM_MAIN ||
	    owners_cover(first - 1, op->pages + 1))
		return random_extend(w, op);

	refused = w->pages[first - 1].flags & VM_SEALED ? -EPERM : -ENOMEM;
	ASSERT_EQ(op_extend(w->mm, random_addr(op->page), MM_LEN(op->pages)),
		  refused);
	return refused;
}

/* What is within the last one joins it, all of the rest has another. */
static long reserved_brk(struct random_world *w, const struct random_op *op)
{
	int old = PHYS_PFN(w->mm->brk - w->mm->start_brk), new;
	long ret = random_brk(w, op);

	if (ret)
		return ret;
	new = PHYS_PFN(w->mm->brk - w->mm->start_brk);
	if (old)
		while (old < new && owners.owner[RANDOM_MAIN + old])
			old++;
	if (old < new)
		owners_join(RANDOM_MAIN + old, new - old);
	return ret;
}

/* There is not often room to extend. */
static const struct random_kind reserved_kinds[] = {
	{ "mmap", reserved_mmap, 3 },
	{ "munmap", reserved_munmap, 1 },
	{ "mprotect", reserved_protect, 3 },
	{ "flags", reserved_flag, 2 },
	{ "fault", random_fault, 3 },
	{ "mremap", reserved_mremap, 3 },
	{ "extend", reserved_extend, 3 },
	{ "brk", reserved_brk, 1 },
	{ "stack", random_stack, 1 },
	{ "search", reserved_search, 2 },
};

TEST(operations)
{
	static const struct random_mode mode = {
		.name = "random_reservation.operations",
		.kinds = reserved_kinds,
		.nr_kinds = ARRAY_SIZE(reserved_kinds),
		.begin = owners_begin,
		.compare = owners_compare,
	};

	random_test(&mode);
}

/* An allocation fails now and then. */
TEST(with_failures)
{
	static const struct random_mode mode = {
		.name = "random_reservation.with_failures",
		.failures = true,
		.kinds = reserved_kinds,
		.nr_kinds = ARRAY_SIZE(reserved_kinds),
		.begin = owners_begin,
		.compare = owners_compare,
	};

	random_test(&mode);
}
