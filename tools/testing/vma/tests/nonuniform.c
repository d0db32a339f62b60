// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The extent map, mm/nonuniform.c, against an array that says what each page maps.
 */
#include <unistd.h>

#include <sys/wait.h>

/* What a test knows of a map: pages from 0 on; all others are as created. */
struct nu_page {
	pgoff_t file;
	vm_flags_t prot;
};

struct nu_model {
	struct nonuniform_map *map;
	struct mm_struct *mm;
	vm_flags_t default_prot;
	unsigned long nr;
	struct nu_page *pages;
};

#define NU_R	VM_READ
#define NU_RW	(VM_READ | VM_WRITE)
#define NU_RX	(VM_READ | VM_EXEC)
#define NU_NONE	VM_NONE

static const struct nonuniform_page_prots nu_prots;

static void nu_model_reset(struct nu_model *model)
{
	unsigned long i;

	for (i = 0; i < model->nr; i++)
		model->pages[i] = (struct nu_page) { i, model->default_prot };
}

static struct nu_model nu_begin(struct mm_struct *mm, unsigned long nr)
{
	struct nu_model model = {
		.map = nonuniform_create(mm, NU_R, &nu_prots),
		.mm = mm,
		.default_prot = NU_R,
		.nr = nr,
		.pages = calloc(nr, sizeof(struct nu_page)),
	};

	ASSERT_TRUE(model.map && model.pages);
	nu_model_reset(&model);
	return model;
}

static void nu_end(struct nu_model *model)
{
	nonuniform_put(model->map);
	free(model->pages);
	rcu_barrier();
	ASSERT_EQ(alloc_nr_live(), 0);
	mm_destroy(model->mm);
}

/*
 * Changes of a map, and of the model if it succeeds.
 */
enum nu_kind {
	NU_SET,
	NU_CLEAR,
	NU_PROTECT,
	NU_PROTECT_ALL,
	NR_NU_KINDS,
};

struct nu_change {
	enum nu_kind kind;
	unsigned long first;
	unsigned long nr;
	long diff;
	vm_flags_t prot;
};

static int nu_prepare(struct nonuniform_op *op, struct nonuniform_map *map,
		      const struct nu_change *change)
{
	switch (change->kind) {
	case NU_SET:
		return nonuniform_prepare_set(op, map, change->first,
					      change->nr,
					      change->first + change->diff,
					      change->prot);
	case NU_CLEAR:
		return nonuniform_prepare_clear(op, map, change->first,
						change->nr);
	case NU_PROTECT:
		return nonuniform_prepare_protect(op, map, change->first,
						  change->nr, change->prot);
	default:
		nonuniform_prepare_protect_all(op, map, change->prot);
		return 0;
	}
}

/* A commit neither fails nor allocates. */
static void nu_commit(struct nonuniform_op *op)
{
	unsigned long seen = alloc_nr_seen();

	nonuniform_commit(op);
	ASSERT_EQ(alloc_nr_seen(), seen);
}

static int nu_do(struct nonuniform_map *map, const struct nu_change *change)
{
	struct nonuniform_op op;
	int err = nu_prepare(&op, map, change);

	if (err)
		return err;
	nu_commit(&op);
	nonuniform_finish(&op);
	return 0;
}

static void nu_model_do(struct nu_model *model, const struct nu_change *change)
{
	unsigned long i, first = change->first, nr = change->nr;

	if (change->kind == NU_PROTECT_ALL) {
		model->default_prot = change->prot;
		first = 0;
		nr = model->nr;
	}
	for (i = first; i < first + nr; i++) {
		if (change->kind == NU_SET)
			model->pages[i].file = i + change->diff;
		if (change->kind == NU_CLEAR)
			model->pages[i].file = i;
		model->pages[i].prot = change->kind == NU_CLEAR ?
				       model->default_prot : change->prot;
	}
}

/*
 * Comparisons
 */
static bool nu_goes_on(const struct nu_model *model, unsigned long i)
{
	const struct nu_page *page = &model->pages[i];

	return page[-1].file + 1 == page->file && page[-1].prot == page->prot;
}

static bool nu_is_default(const struct nu_model *model, unsigned long i)
{
	return model->pages[i].file == i &&
	       model->pages[i].prot == model->default_prot;
}

/* Each extent is as long as it can be, and says what the array says. */
static void nu_check_extents(struct nu_model *model)
{
	struct nonuniform_extent extent;
	struct nonuniform_iter iter;
	unsigned long i = 0, nr_extents = 0;

	nonuniform_iter_init(&iter, model->map, 0, model->nr - 1);
	while (nonuniform_iter_next(&iter, &extent)) {
		ASSERT_EQ(extent.first, i);
		if (i)
			ASSERT_FALSE(nu_goes_on(model, i));
		nr_extents += !nu_is_default(model, i);
		for (; i <= extent.last; i++) {
			ASSERT_EQ(model->pages[i].file,
				  extent.file + (i - extent.first));
			ASSERT_EQ(model->pages[i].prot, extent.prot);
		}
	}
	ASSERT_EQ(i, model->nr);
	ASSERT_EQ(nonuniform_nr_extents(model->map), nr_extents);
}

static void nu_check_lookup(struct nu_model *model, unsigned long i)
{
	struct nonuniform_extent extent;

	nonuniform_lookup(model->map, i, &extent);
	ASSERT_EQ(extent.first, i);
	ASSERT_EQ(extent.file, model->pages[i].file);
	ASSERT_EQ(extent.prot, model->pages[i].prot);
	if (extent.last < model->nr - 1)
		ASSERT_FALSE(nu_goes_on(model, extent.last + 1));
	else
		ASSERT_TRUE(extent.last == model->nr - 1 ||
			    nu_is_default(model, model->nr - 1));
}

/* Each page of a range that maps one of these pages comes once, no other does. */
static void nu_check_file(struct nu_model *model, pgoff_t file,
			  pgoff_t last_file, pgoff_t first, pgoff_t last)
{
	struct nonuniform_extent extent;
	struct nonuniform_file_iter iter;
	unsigned long i, nr = 0, nr_found = 0;

	for (i = first; i <= min(last, model->nr - 1); i++)
		nr += model->pages[i].file >= file &&
		      model->pages[i].file <= last_file;

	nonuniform_file_iter_init(&iter, model->map, file, last_file, first,
				  last);
	while (nonuniform_file_iter_next(&iter, &extent)) {
		ASSERT_GE(extent.first, first);
		ASSERT_LE(extent.last, last);
		ASSERT_LE(extent.first, extent.last);
		ASSERT_GE(extent.file, file);
		ASSERT_LE(extent.file + (extent.last - extent.first), last_file);
		for (i = extent.first; i <= min(extent.last, model->nr - 1); i++) {
			ASSERT_EQ(model->pages[i].file,
				  extent.file + (i - extent.first));
			nr_found++;
		}
	}
	/* None comes twice: the runs do not overlap, or the next one fails. */
	ASSERT_EQ(nr_found, nr);
}

static void nu_check(struct nu_model *model)
{
	const char *mistake = nonuniform_validate(model->map);

	if (mistake)
		test_failed(__FILE__, __LINE__, "%s", mistake);
	nu_check_extents(model);
	nu_check_file(model, 0, ULONG_MAX, 0, model->nr - 1);
}

static void nu_change(struct nu_model *model, struct nu_change change)
{
	ASSERT_EQ(nu_do(model->map, &change), 0);
	nu_model_do(model, &change);
	nu_check(model);
}

static void nu_set(struct nu_model *model, pgoff_t first, unsigned long nr,
		   long diff, vm_flags_t prot)
{
	nu_change(model, (struct nu_change) { NU_SET, first, nr, diff, prot });
}

static void nu_clear(struct nu_model *model, pgoff_t first, unsigned long nr)
{
	nu_change(model, (struct nu_change) { NU_CLEAR, first, nr });
}

static void nu_protect(struct nu_model *model, pgoff_t first, unsigned long nr,
		       vm_flags_t prot)
{
	nu_change(model, (struct nu_change) { NU_PROTECT, first, nr, 0, prot });
}

static void nu_protect_all(struct nu_model *model, vm_flags_t prot)
{
	nu_change(model, (struct nu_change) { NU_PROTECT_ALL, .prot = prot });
}

/* One page of many: the test checks them all in the end. */
static void nu_quick(struct nu_model *model, pgoff_t first, long diff,
		     vm_flags_t prot)
{
	struct nu_change change = { NU_SET, first, 1, diff, prot };

	ASSERT_EQ(nu_do(model->map, &change), 0);
	nu_model_do(model, &change);
}

static long nu_nr_nodes(void)
{
	return alloc_nr_live_of("nonuniform_node");
}

/*
 * What is stored how
 */

/* A new map is linear, has the default protection and takes no memory. */
TEST(nothing)
{
	struct nu_model model = nu_begin(mm_create(), 8);

	nu_check(&model);
	nu_check_lookup(&model, 0);
	nu_check_lookup(&model, 7);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 0);
	ASSERT_EQ(alloc_nr_live(), 1);
	nu_end(&model);
}

/* One page in the middle of a run cuts it in two, forward and backward. */
TEST(middle_of_run)
{
	struct nu_model model = nu_begin(mm_create(), 100);

	nu_set(&model, 10, 80, 1000, NU_RW);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 1);
	ASSERT_EQ(nu_nr_nodes(), 1);
	nu_set(&model, 50, 1, 5000, NU_RW);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 3);
	ASSERT_EQ(nu_nr_nodes(), 3);
	/* A page that is linear and has the default protection leaves a hole. */
	nu_clear(&model, 30, 1);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 4);
	ASSERT_EQ(nu_nr_nodes(), 4);
	/* Linear with another protection: an entry, and no node. */
	nu_set(&model, 70, 1, 0, NU_RW);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 6);
	ASSERT_EQ(nu_nr_nodes(), 5);
	/* A protection of its own: two more entries, and no more nodes. */
	nu_protect(&model, 20, 1, NU_RX);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 8);
	ASSERT_EQ(nu_nr_nodes(), 5);
	nu_end(&model);
}

/* One store takes the place of many runs, whole ones and parts on both sides. */
TEST(overwrite_many)
{
	struct nu_model model = nu_begin(mm_create(), 3000);
	int i;

	for (i = 0; i < 3000; i += 3)
		nu_set(&model, i, 3, 10000 + (i * 7919) % 5000, NU_RW);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 1000);
	ASSERT_EQ(nu_nr_nodes(), 1000);
	nu_set(&model, 100, 2800, 7, NU_R);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 34 + 1 + 34);
	ASSERT_EQ(nu_nr_nodes(), 34 + 1 + 34);
	nu_set(&model, 0, 3000, 1000000, NU_R);
	ASSERT_EQ(nu_nr_nodes(), 1);
	nu_end(&model);
}

/* Equal neighbours become one entry; equal differences become one node. */
TEST(coalesce)
{
	struct nu_model model = nu_begin(mm_create(), 100);

	/* From the left, from the right, and the gap between. */
	nu_set(&model, 10, 10, 500, NU_RW);
	nu_set(&model, 20, 10, 500, NU_RW);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 1);
	nu_set(&model, 50, 10, 500, NU_RW);
	nu_set(&model, 40, 10, 500, NU_RW);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 2);
	ASSERT_EQ(nu_nr_nodes(), 2);
	nu_set(&model, 30, 10, 500, NU_RW);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 1);
	ASSERT_EQ(nu_nr_nodes(), 1);

	/* Another protection in between: one node, three entries. */
	nu_set(&model, 30, 10, 500, NU_RX);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 3);
	ASSERT_EQ(nu_nr_nodes(), 1);
	/* What overlaps on both sides, with one difference. */
	nu_set(&model, 25, 20, 500, NU_RX);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 3);
	ASSERT_EQ(nu_nr_nodes(), 1);
	nu_protect(&model, 20, 40, NU_RW);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 1);

	/* File pages that go on in another direction do not coalesce. */
	nu_set(&model, 60, 1, 499, NU_RW);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 2);
	ASSERT_EQ(nu_nr_nodes(), 2);
	nu_end(&model);
}

/* A run at the very edge of another difference is joined with one beyond it. */
TEST(join_across_cut)
{
	struct nu_model model = nu_begin(mm_create(), 32);

	nu_set(&model, 4, 4, 100, NU_R);
	nu_set(&model, 8, 4, 200, NU_R);
	nu_set(&model, 12, 4, 100, NU_RW);
	/* From the middle of the first run to the middle of the last one. */
	nu_set(&model, 6, 8, 100, NU_RX);
	ASSERT_EQ(nu_nr_nodes(), 1);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 3);
	nu_set(&model, 0, 6, 200, NU_RX);
	nu_set(&model, 4, 4, 200, NU_RX);
	ASSERT_EQ(nu_nr_nodes(), 2);
	nu_end(&model);
}

/* What is linear again takes no memory: not a node is left. */
TEST(linear_again)
{
	struct nu_model model = nu_begin(mm_create(), 2000);
	int i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 2000; i++)
			nu_quick(&model, i, (i * 7919) % 2003, NU_RW);
		nu_check(&model);
		ASSERT_GE(nu_nr_nodes(), 1900);

		/* In one go; page by page; by protection, offsets being linear. */
		if (round == 0) {
			nu_clear(&model, 0, 2000);
		} else if (round == 1) {
			for (i = 0; i < 2000; i++)
				nu_quick(&model, (i * 773) % 2000, 0, NU_R);
			nu_check(&model);
		} else {
			for (i = 0; i < 2000; i++)
				nu_quick(&model, i, 0, i % 2 ? NU_RW : NU_RX);
			nu_check(&model);
			ASSERT_EQ(nonuniform_nr_extents(model.map), 2000);
			ASSERT_EQ(nu_nr_nodes(), 0);
			nu_protect(&model, 0, 2000, NU_R);
		}
		rcu_barrier();
		ASSERT_EQ(nonuniform_nr_extents(model.map), 0);
		ASSERT_EQ(alloc_nr_live(), 1);
	}
	nu_end(&model);
}

/* One entry takes the place of another one: that takes no memory. */
TEST(replace)
{
	struct nu_model model = nu_begin(mm_create(), 16);
	struct nonuniform_op op;
	unsigned long seen;

	nu_set(&model, 3, 1, 10, NU_R);
	nu_set(&model, 4, 2, 20, NU_RW);
	nu_set(&model, 6, 1, 10, NU_RX);
	ASSERT_EQ(nonuniform_find(&op, model.map, 4, 2), BIT(NU_RW));
	ASSERT_EQ(nonuniform_find(&op, model.map, 3, 3), BIT(NU_R) | BIT(NU_RW));
	seen = alloc_nr_seen();
	nu_set(&model, 4, 2, 30, NU_R);
	ASSERT_EQ(alloc_nr_seen(), seen);
	nu_set(&model, 4, 2, 30, NU_RX);
	ASSERT_EQ(alloc_nr_seen(), seen);
	nu_end(&model);
}

/* The same again changes nothing and needs no memory. */
TEST(same_again)
{
	struct nu_model model = nu_begin(mm_create(), 64);
	unsigned long seen;

	nu_set(&model, 8, 8, 100, NU_RW);
	nu_set(&model, 16, 8, 200, NU_R);
	seen = alloc_nr_seen();
	nu_set(&model, 8, 8, 100, NU_RW);
	nu_set(&model, 10, 2, 100, NU_RW);
	nu_set(&model, 0, 8, 0, NU_R);
	nu_clear(&model, 30, 10);
	nu_protect(&model, 16, 8, NU_R);
	ASSERT_EQ(alloc_nr_seen(), seen);
	nu_end(&model);
}

/* A protection of many runs and gaps: offsets and nodes are as they were. */
TEST(protect_many)
{
	struct nu_model model = nu_begin(mm_create(), 400);
	struct rb_node *root;
	int i;

	for (i = 0; i < 400; i += 4)
		nu_set(&model, i, 3, 1000 + 5 * i, i % 8 ? NU_RW : NU_RX);
	root = model.map->nodes.rb_root.rb_node;
	/* Both edges within a run; both in a gap; whole runs. */
	nu_protect(&model, 101, 200, NU_NONE);
	nu_protect(&model, 103, 197, NU_RW);
	nu_protect(&model, 100, 200, NU_R);
	ASSERT_EQ(model.map->nodes.rb_root.rb_node, root);
	ASSERT_EQ(nu_nr_nodes(), 100);
	/* What is the default now needs entries for the runs only. */
	nu_protect(&model, 0, 400, NU_R);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 100);
	/* And with gaps that have another one, entries for these too. */
	nu_protect(&model, 0, 400, NU_RX);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 200);
	nu_end(&model);
}

/* What a protection makes equal is joined, whatever was between. */
TEST(protect_joins)
{
	struct nu_model model = nu_begin(mm_create(), 40);
	int i;

	nu_set(&model, 10, 10, 100, NU_R);
	nu_set(&model, 20, 10, 200, NU_R);
	for (i = 10; i < 30; i += 2)
		nu_protect(&model, i, 1, NU_RW);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 20);
	nu_protect(&model, 11, 18, NU_RW);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 3);
	nu_protect(&model, 0, 40, NU_RX);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 4);
	nu_protect(&model, 0, 40, NU_R);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 2);
	nu_end(&model);
}

/* The mapping as a whole: the default changes, for what is added later too. */
TEST(protect_all)
{
	struct nu_model model = nu_begin(mm_create(), 64);
	struct nonuniform_extent extent;

	nu_set(&model, 0, 1, 100, NU_RX);
	nu_protect_all(&model, NU_RW);
	nu_set(&model, 10, 10, 0, NU_RX);
	nu_set(&model, 20, 10, 300, NU_NONE);
	nu_set(&model, 30, 10, 300, NU_RX);
	nu_protect_all(&model, NU_RX);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 2);
	nonuniform_lookup(model.map, 1UL << 40, &extent);
	ASSERT_EQ(extent.prot, NU_RX);
	ASSERT_EQ(extent.file, 1UL << 40);
	nu_clear(&model, 0, 64);
	nu_protect_all(&model, NU_NONE);
	ASSERT_EQ(nonuniform_nr_extents(model.map), 0);
	nu_end(&model);
}

/*
 * Limits
 */

/* Ranges that wrap, empty ones and differences that do not fit are refused. */
TEST(limits)
{
	struct nu_model model = nu_begin(mm_create(), 8);
	const unsigned long max = LONG_MAX >> 4;
	struct nonuniform_map *map = model.map;
	struct nonuniform_extent extent;
	struct nonuniform_op op;
	int i;

	const struct {
		pgoff_t first;
		unsigned long nr;
		pgoff_t file;
		int err;
	} cases[] = {
		{ 0, 1, max, 0 },
		{ 0, 1, max + 1, -EOVERFLOW },
		{ 0, 1, ULONG_MAX - 1, -EOVERFLOW },
		{ max, 1, 0, 0 },
		{ max + 1, 1, 0, -EOVERFLOW },
		{ ULONG_MAX - 1, 1, 0, -EOVERFLOW },
		{ ULONG_MAX - 8, 8, ULONG_MAX - 100, 0 },
		{ ULONG_MAX - 7, 8, ULONG_MAX - 100, -EOVERFLOW },
		{ ULONG_MAX - 100, 8, ULONG_MAX - 8, 0 },
		{ ULONG_MAX - 100, 8, ULONG_MAX - 7, -EOVERFLOW },
		{ 1, ULONG_MAX - 1, 1, 0 },
		{ 1, ULONG_MAX, 1, -EOVERFLOW },
		{ 0, 0, 0, -EINVAL },
	};

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int err = nonuniform_prepare_set(&op, map, cases[i].first,
						 cases[i].nr, cases[i].file,
						 NU_RW);

		if (err != cases[i].err)
			test_failed(__FILE__, __LINE__, "case %d: %d", i, err);
		if (err)
			continue;
		nu_commit(&op);
		nonuniform_finish(&op);
		ASSERT_EQ(nonuniform_validate(map), NULL);
		nonuniform_lookup(map, cases[i].first, &extent);
		ASSERT_EQ(extent.file, cases[i].file);
		ASSERT_EQ(extent.prot, NU_RW);
		ASSERT_EQ(nonuniform_prepare_clear(&op, map, 0, ULONG_MAX), 0);
		nu_commit(&op);
		nonuniform_finish(&op);
		ASSERT_EQ(nonuniform_nr_extents(map), 0);
	}
	ASSERT_EQ(nonuniform_prepare_protect(&op, map, 1, ULONG_MAX, NU_R),
		  -EOVERFLOW);
	ASSERT_EQ(nonuniform_prepare_protect(&op, map, 1, 0, NU_R), -EINVAL);
	nu_check(&model);
	nu_end(&model);
}

/* Nothing but read, write and execute is stored. */
TEST(no_other_flags)
{
	struct nu_model model = nu_begin(mm_create(), 8);
	struct nonuniform_op op;
	struct nonuniform_extent extent;

	expect_warnings(1);
	ASSERT_EQ(nonuniform_prepare_set(&op, model.map, 2, 2, 5,
					 NU_R | VM_SHARED), 0);
	nu_commit(&op);
	nonuniform_finish(&op);
	nonuniform_lookup(model.map, 2, &extent);
	ASSERT_EQ(extent.prot, NU_R);
	nu_end(&model);
}

/*
 * By page of the file
 */

/* Ranges of the file and of the mapping clip what is found. */
TEST(file_ranges)
{
	struct nu_model model = nu_begin(mm_create(), 24);
	pgoff_t file, last_file, first, last;

	nu_set(&model, 0, 4, 10, NU_RW);	/* 10-13 */
	nu_set(&model, 4, 8, 4, NU_R);		/* 8-15 */
	nu_set(&model, 14, 2, -4, NU_RX);	/* 10-11 */
	nu_set(&model, 16, 2, 0, NU_RX);	/* 16-17, linear */
	nu_set(&model, 20, 1, -10, NU_RX);	/* 10 */
	for (file = 0; file < 26; file++)
		for (last_file = file; last_file < 26; last_file++)
			for (first = 0; first < 24; first += 2)
				for (last = first; last < 24; last++)
					nu_check_file(&model, file, last_file,
						      first, last);
	nu_end(&model);
}

/* What is linear comes in one part, whatever its protections are. */
TEST(file_linear)
{
	struct nu_model model = nu_begin(mm_create(), 24);
	struct nonuniform_file_iter iter;
	struct nonuniform_extent extent;

	nu_set(&model, 4, 4, 0, NU_RW);
	nu_set(&model, 12, 2, 100, NU_RW);
	nonuniform_file_iter_init(&iter, model.map, 2, ULONG_MAX, 0, ULONG_MAX);
	ASSERT_TRUE(nonuniform_file_iter_next(&iter, &extent));
	ASSERT_EQ(extent.first, 2);
	ASSERT_EQ(extent.last, 11);
	ASSERT_EQ(extent.file, 2);
	ASSERT_EQ(extent.prot, VM_NONE);
	ASSERT_TRUE(nonuniform_file_iter_next(&iter, &extent));
	ASSERT_EQ(extent.first, 14);
	ASSERT_EQ(extent.last, ULONG_MAX - 1);
	ASSERT_TRUE(nonuniform_file_iter_next(&iter, &extent));
	ASSERT_EQ(extent.first, 12);
	ASSERT_EQ(extent.last, 13);
	ASSERT_FALSE(nonuniform_file_iter_next(&iter, &extent));
	ASSERT_FALSE(nonuniform_file_iter_next(&iter, &extent));
	nu_end(&model);
}

/*
 * The node of a page is found, however many runs map its file page and however
 * many protections its run has.
 */
TEST(find_node)
{
	struct nu_model model = nu_begin(mm_create(), 400);
	int i, j;

	/* Twenty times the same twenty pages of the file. */
	for (i = 0; i < 20; i++)
		nu_set(&model, 20 * i, 20, 1000 - 20 * i, NU_RW);
	for (i = 0; i < 400; i += 3)
		nu_protect(&model, i, 1, NU_RX);
	ASSERT_EQ(nu_nr_nodes(), 20);
	for (i = 0; i < 20; i++)
		for (j = 0; j < 20; j++)
			ASSERT_EQ(find_node(model.map, 20 * i + j, 1000 - 20 * i)->linear,
				  20 * i);
	/* One page of each is cut out. */
	for (i = 0; i < 20; i++)
		nu_set(&model, 20 * i + (i * 7) % 20, 1, 5, NU_RW);
	nu_end(&model);
}

/*
 * Maps as such
 */

/* The last reference destroys it, and no other. */
TEST(references)
{
	struct nu_model model = nu_begin(mm_create(), 8);

	nu_set(&model, 2, 2, 5, NU_RW);
	ASSERT_FALSE(nonuniform_is_shared(model.map));
	ASSERT_EQ(nonuniform_get(model.map), model.map);
	ASSERT_TRUE(nonuniform_is_shared(model.map));
	nonuniform_put(model.map);
	ASSERT_FALSE(nonuniform_is_shared(model.map));
	nu_check(&model);
	nu_end(&model);
}

/* The default of a map that is shared is not one VMA's to change. */
TEST(protect_all_shared)
{
	struct nu_model model = nu_begin(mm_create(), 8);
	struct nonuniform_op op;

	nonuniform_get(model.map);
	expect_warnings(1);
	nonuniform_prepare_protect_all(&op, model.map, NU_RW);
	nonuniform_finish(&op);
	nu_check(&model);
	nonuniform_put(model.map);
	nu_end(&model);
}

/* A copy says the same of its part, the default of the rest, and is its own. */
TEST(copy)
{
	struct nu_model model = nu_begin(mm_create(), 32), part;
	struct mm_struct *child = mm_create();
	pgoff_t first, last, i;

	nu_protect_all(&model, NU_RX);
	nu_set(&model, 2, 6, 100, NU_RW);
	nu_set(&model, 5, 6, 200, NU_RW);
	nu_set(&model, 11, 6, 0, NU_RW);
	nu_set(&model, 17, 5, -3, NU_R);
	nu_protect(&model, 18, 8, NU_NONE);
	nu_set(&model, 31, 1, 7, NU_R);

	for (first = 0; first < 32; first++) {
		for (last = first; last < 32; last++) {
			part = model;
			part.pages = calloc(32, sizeof(*part.pages));
			nu_model_reset(&part);
			for (i = first; i <= last; i++)
				part.pages[i] = model.pages[i];
			part.map = nonuniform_copy(model.map, child, first,
						   last - first + 1);
			ASSERT_TRUE(part.map);
			nu_check(&part);
			ASSERT_EQ(part.map->mm, child);
			nu_set(&part, 4, 20, 1000, NU_NONE);
			nonuniform_put(part.map);
			free(part.pages);
		}
	}
	nu_check(&model);
	mm_destroy(child);
	nu_end(&model);
}

/*
 * Allocations
 */
static void nu_some_extents(struct nu_model *model)
{
	int i;

	/* Enough for a tree of two levels. */
	for (i = 0; i < 120; i += 3)
		nu_set(model, i, 2 + i % 2, 1000 + i, i % 4 ? NU_RW : NU_RX);
	nu_set(model, 120, 40, 500, NU_RW);
	nu_protect(model, 130, 10, NU_RX);
}

/*
 * Each allocation of a change fails, and all from there on: no page has changed,
 * nor will it have when the failure is over, and the map is in order.
 */
static void nu_fail_each(const struct nu_change *change)
{
	unsigned long n, nr_failed = 0;
	bool lasting;

	for (lasting = false;; lasting = true) {
		for (n = 1;; n++) {
			struct nu_model model = nu_begin(mm_create(), 200);
			unsigned long failed;
			int err;

			nu_some_extents(&model);
			if (lasting)
				alloc_fail_from(n);
			else
				alloc_fail_nth(n);
			err = nu_do(model.map, change);
			failed = alloc_nr_failed();
			alloc_fail_nth(0);

			ASSERT_EQ(err, failed ? -ENOMEM : 0);
			if (!err)
				nu_model_do(&model, change);
			nu_check(&model);
			nu_end(&model);
			if (!failed)
				break;
			nr_failed += failed;
		}
		if (lasting)
			break;
	}
	ASSERT_GE(nr_failed, 1);
}

TEST(allocation_failure)
{
	static const struct nu_change changes[] = {
		{ NU_SET, 60, 1, 3000, NU_RW },		/* in a tree */
		{ NU_SET, 140, 1, 3000, NU_RW },	/* cuts a run in two */
		{ NU_SET, 30, 60, 3000, NU_RW },	/* over several nodes */
		{ NU_SET, 100, 20, 500, NU_RW },	/* goes on */
		{ NU_SET, 0, 200, 1, NU_RW },		/* all */
		{ NU_CLEAR, 145, 2 },
		{ NU_CLEAR, 10, 100 },
		{ NU_PROTECT, 1, 150, NU_NONE },	/* many: two splits */
		{ NU_PROTECT, 125, 10, 0, NU_R },	/* one run */
		{ NU_PROTECT, 119, 70, 0, NU_R },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(changes); i++)
		nu_fail_each(&changes[i]);
}

TEST(allocation_failure_of_maps)
{
	struct nu_model model = nu_begin(mm_create(), 200), copy;
	struct mm_struct *child = mm_create();
	unsigned long n, nr_copied;

	nu_some_extents(&model);
	alloc_fail_nth(1);
	ASSERT_EQ(nonuniform_create(child, NU_R, &nu_prots), NULL);

	for (n = 1;; n++) {
		long live = alloc_nr_live();

		rcu_barrier();
		live = alloc_nr_live();
		alloc_fail_nth(n);
		copy = model;
		copy.map = nonuniform_copy(model.map, child, 0, 200);
		if (copy.map)
			break;
		rcu_barrier();
		ASSERT_EQ(alloc_nr_live(), live);
	}
	nr_copied = nonuniform_nr_extents(copy.map);
	ASSERT_GE(n, nr_copied);
	alloc_fail_nth(0);
	nu_check(&copy);
	nonuniform_put(copy.map);
	nu_check(&model);
	mm_destroy(child);
	nu_end(&model);
}

/* What is prepared and not committed has changed nothing, nor kept memory. */
TEST(abort)
{
	struct nu_model model = nu_begin(mm_create(), 200);
	unsigned int kind, first, nr;
	struct nonuniform_op op;
	long live, nr_extents;

	nu_some_extents(&model);
	rcu_barrier();
	live = alloc_nr_live();
	nr_extents = nonuniform_nr_extents(model.map);
	for (kind = 0; kind < NR_NU_KINDS; kind++) {
		for (first = 0; first < 200; first += 3) {
			for (nr = 1; first + nr <= 200; nr += 7) {
				struct nu_change change = {
					kind, first, nr, 500, NU_NONE
				};

				ASSERT_EQ(nu_prepare(&op, model.map, &change), 0);
				nonuniform_finish(&op);
				ASSERT_EQ(nonuniform_nr_extents(model.map),
					  nr_extents);
				rcu_barrier();
			}
			nu_check(&model);
		}
	}
	/* The tree may have become larger, or smaller, by the splits. */
	ASSERT_LE(alloc_nr_live(), live + 4);
	nu_end(&model);
}

/* There is no lock that could be forgotten. */
TEST(locks)
{
	struct nu_model model = nu_begin(mm_create(), 8);
	struct nonuniform_op op;
	pid_t pid;
	int step, status;

	/* Each of the three steps dies without mmap_lock for writing. */
	for (step = 0; step < 3; step++) {
		fflush(NULL);
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			freopen("/dev/null", "w", stdout);
			if (step == 0)
				mmap_write_unlock(model.mm);
			ASSERT_EQ(nonuniform_prepare_set(&op, model.map, 1, 1, 5,
							 NU_R), 0);
			if (step == 1)
				mmap_write_unlock(model.mm);
			nonuniform_commit(&op);
			mmap_write_unlock(model.mm);
			nonuniform_finish(&op);
			test_exit(true);
		}
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	}
	nu_end(&model);
}

/* A map is destroyed without memory too; large ones are in parts, with some. */
TEST(destroy)
{
	struct mm_struct *mm = mm_create();
	int round, i;

	for (round = 0; round < 3; round++) {
		struct nonuniform_map *map = nonuniform_create(mm, NU_R, &nu_prots);

		for (i = 0; i < 3 * DESTROY_BATCH; i++) {
			struct nu_change change = {
				NU_SET, i, 1, (i * 7919) % 10007, NU_RW
			};

			ASSERT_EQ(nu_do(map, &change), 0);
		}
		rcu_barrier();
		/* Never; from the beginning; in the middle. */
		if (round)
			alloc_fail_from(round == 1 ? 1 : 10);
		nonuniform_put(map);
		ASSERT_TRUE(!!alloc_nr_failed() == !!round);
		alloc_fail_nth(0);
		rcu_barrier();
		ASSERT_EQ(alloc_nr_live(), 0);
	}
	mm_destroy(mm);
}

/*
 * What takes the place of many entries does so in parts, as far as there is memory
 * for them: for none of them, for some, for all. Then all of it is protected, and what
 * is equal then is joined in parts.
 */
static void nu_change_in_parts(const struct nu_change *change,
			       unsigned long fail_from)
{
	struct nu_model model = nu_begin(mm_create(), 5 * DESTROY_BATCH);
	struct nonuniform_op op;
	unsigned long i;

	for (i = 0; i < model.nr; i++)
		nu_quick(&model, (i * 7919) % model.nr, change->kind == NU_SET ?
			 (i * 773) % 10007 : 17, i % 2 ? NU_RW : NU_RX);
	rcu_barrier();

	ASSERT_EQ(nu_prepare(&op, model.map, change), 0);
	alloc_fail_from(fail_from);
	nonuniform_commit(&op);
	ASSERT_EQ(!!alloc_nr_failed(), fail_from != ULONG_MAX);
	ASSERT_TRUE(alloc_nr_seen());
	alloc_fail_nth(0);
	nonuniform_finish(&op);
	nu_model_do(&model, change);
	nu_check(&model);
	rcu_barrier();

	nu_protect_all(&model, NU_RX);
	nu_protect(&model, 1, model.nr - 2, NU_RW);
	nu_end(&model);
}

TEST(in_parts)
{
	static const struct nu_change changes[] = {
		{ NU_SET, 3, 5 * DESTROY_BATCH - 10, 123456, NU_R },
		{ NU_CLEAR, 0, 5 * DESTROY_BATCH },
		{ NU_PROTECT, 7, 5 * DESTROY_BATCH - 7, 0, NU_R },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		nu_change_in_parts(&changes[i], 1);
		nu_change_in_parts(&changes[i], 10);
		nu_change_in_parts(&changes[i], ULONG_MAX);
	}
}

/*
 * One store takes the place of whole subtrees, which go after a grace period, each
 * of their nodes once. There are nodes of the tree that are full, and some that have
 * room for one more, at each level.
 */
static void nu_replace(const unsigned long *order, unsigned long nr,
		       unsigned long first, unsigned long last)
{
	struct mm_struct *mm = mm_create();
	struct nonuniform_map *map = nonuniform_create(mm, NU_R, &nu_prots);
	unsigned long i;

	for (i = 0; i < nr; i++) {
		/* No two neighbours are equal. */
		ASSERT_EQ(store(map, order[i], order[i],
				make_entry(order[i] % 3, NU_RW), GFP_KERNEL), 0);
		if (!(i % 4096))
			rcu_barrier();
	}
	rcu_barrier();
	ASSERT_EQ(store(map, first, last, make_entry(5, NU_R), GFP_KERNEL), 0);
	rcu_barrier();
	ASSERT_EQ(nonuniform_nr_extents(map), nr - (last - first));
	nonuniform_put(map);
	rcu_barrier();
	ASSERT_EQ(alloc_nr_live(), 0);
	mm_destroy(mm);
}

TEST(replace_subtrees)
{
	unsigned long nr = 1UL << 16, *order = calloc(nr, sizeof(*order)), i;
	int how;

	ASSERT_TRUE(order);
	for (how = 0; how < 3; how++) {
		for (i = 0; i < nr; i++)
			order[i] = how == 0 ? i : how == 1 ? nr - 1 - i :
				   (i * 0x9e3779b1UL) % nr;
		nu_replace(order, nr, 0, nr - 1);
		nu_replace(order, nr, 100, nr - 1000);
	}
	free(order);
}

/*
 * Readers
 */

/* What a reader gets is what was there before or what is there after. */
static void nu_read_during(struct nu_change change, int after)
{
	struct nu_model model = nu_begin(mm_create(), 200);
	struct nonuniform_extent extent;
	struct nonuniform_iter iter;
	struct nu_page before[200];
	unsigned long i, next = 0;

	nu_some_extents(&model);
	memcpy(before, model.pages, sizeof(before));
	rcu_read_lock();
	nonuniform_iter_init(&iter, model.map, 0, 199);
	while (nonuniform_iter_next(&iter, &extent)) {
		ASSERT_EQ(extent.first, next);
		next = extent.last + 1;
		for (i = extent.first; i <= extent.last; i++) {
			struct nu_page page = {
				extent.file + (i - extent.first), extent.prot
			};

			ASSERT_TRUE((page.file == before[i].file &&
				     page.prot == before[i].prot) ||
				    (page.file == model.pages[i].file &&
				     page.prot == model.pages[i].prot));
		}
		if (!after--) {
			ASSERT_EQ(nu_do(model.map, &change), 0);
			nu_model_do(&model, &change);
		}
	}
	ASSERT_EQ(next, 200);
	rcu_read_unlock();
	nu_check(&model);
	nu_end(&model);
}

TEST(readers)
{
	int after, first;

	for (after = 0; after < 45; after += 4) {
		for (first = 0; first < 160; first += 11) {
			nu_read_during((struct nu_change) {
				NU_PROTECT, first, 40, 0, NU_NONE
			}, after);
			nu_read_during((struct nu_change) {
				NU_SET, first, 40, 9, NU_RX
			}, after);
			nu_read_during((struct nu_change) {
				NU_CLEAR, first, 40
			}, after);
		}
		nu_read_during((struct nu_change) {
			NU_PROTECT_ALL, .prot = NU_RX
		}, after);
	}
}

/*
 * Every sequence of three changes of eight pages
 */
#define NU_SMALL	8

struct nu_shape {
	enum nu_kind kind;
	long diff;
	vm_flags_t prot;
};

/* Each of the shapes with each range. */
static int nu_alphabet(struct nu_change *changes, const struct nu_shape *shapes,
		       int nr_shapes)
{
	int i, first, nr, n = 0;

	for (i = 0; i < nr_shapes; i++) {
		for (first = 0; first < NU_SMALL; first++) {
			for (nr = 1; first + nr <= NU_SMALL; nr++) {
				if (shapes[i].kind == NU_PROTECT_ALL &&
				    (first || nr > 1))
					continue;
				changes[n++] = (struct nu_change) {
					shapes[i].kind, first, nr,
					shapes[i].diff, shapes[i].prot
				};
			}
		}
	}
	return n;
}

static struct nu_model nu_branch(struct nu_model *from, struct nu_page *pages,
				 const struct nu_change *change)
{
	struct nu_model model = *from;

	memcpy(pages, from->pages, NU_SMALL * sizeof(*pages));
	model.pages = pages;
	model.map = nonuniform_copy(from->map, from->mm, 0, NU_SMALL);
	ASSERT_EQ(nu_do(model.map, change), 0);
	nu_model_do(&model, change);
	return model;
}

static unsigned long nu_exhaust(struct nu_model *model,
				const struct nu_change *changes, int nr,
				int depth)
{
	unsigned long nr_sequences = 0;
	struct nu_page pages[NU_SMALL];
	int i;

	if (!depth)
		return 1;
	for (i = 0; i < nr; i++) {
		struct nu_model next = nu_branch(model, pages, &changes[i]);

		/* The map has validated itself: it is small. */
		if (depth == 1) {
			nu_check_extents(&next);
			nu_check_file(&next, 0, ULONG_MAX, 0, NU_SMALL - 1);
		}
		nr_sequences += nu_exhaust(&next, changes, nr, depth - 1);
		nonuniform_put(next.map);
		if (depth > 1)
			rcu_barrier();
	}
	return nr_sequences;
}

static void nu_exhaust_shapes(const struct nu_shape *shapes, int nr_shapes)
{
	struct nu_change changes[8 * NU_SMALL * NU_SMALL];
	struct nu_model model = nu_begin(mm_create(), NU_SMALL);
	unsigned long nr_sequences;
	int nr;

	nr = nu_alphabet(changes, shapes, nr_shapes);
	nr_sequences = nu_exhaust(&model, changes, nr, 3);
	printf("%d changes, %lu sequences\n", nr, nr_sequences);
	ASSERT_EQ(nr_sequences, (unsigned long)nr * nr * nr);
	nu_end(&model);
}

/* Two offsets, one of them with the default protection. */
TEST(every_sequence_set)
{
	static const struct nu_shape shapes[] = {
		{ NU_SET, 2, NU_RW }, { NU_SET, 9, NU_R },
	};

	nu_exhaust_shapes(shapes, ARRAY_SIZE(shapes));
}

/* An offset and a protection, of a part and of all. */
TEST(every_sequence_protect)
{
	static const struct nu_shape shapes[] = {
		{ NU_SET, 2, NU_RW }, { NU_PROTECT, 0, NU_RX },
		{ NU_PROTECT_ALL, 0, NU_RX },
	};

	nu_exhaust_shapes(shapes, ARRAY_SIZE(shapes));
}

/* Everything, which takes a minute: with --soak. */
TEST(every_sequence)
{
	static const struct nu_shape shapes[] = {
		{ NU_SET, 2, NU_RW }, { NU_SET, 9, NU_R }, { NU_CLEAR },
		{ NU_PROTECT, 0, NU_RX }, { NU_PROTECT, 0, NU_R },
		{ NU_PROTECT_ALL, 0, NU_RX }, { NU_PROTECT_ALL, 0, NU_R },
	};

	if (!test_soak_minutes())
		test_skip("six million sequences are for --soak");
	nu_exhaust_shapes(shapes, ARRAY_SIZE(shapes));
}

/*
 * Random changes of a large space
 */
#define NU_LARGE	4096

static unsigned long nu_random_state;

static unsigned long nu_random(unsigned long n)
{
	nu_random_state ^= nu_random_state << 13;
	nu_random_state ^= nu_random_state >> 7;
	nu_random_state ^= nu_random_state << 17;
	return nu_random_state % n;
}

/* Mostly small ones; few differences and few protections, so that they meet. */
static struct nu_change nu_random_change(void)
{
	static const long diffs[] = { 0, 1, 2, 64, 1000, 5000 };
	static const vm_flags_t prots[] = { NU_R, NU_RW, NU_RX, NU_NONE };
	struct nu_change change = {
		.first = nu_random(NU_LARGE),
		.diff = nu_random(4) ? diffs[nu_random(ARRAY_SIZE(diffs))] :
				       (long)nu_random(NU_LARGE),
		.prot = prots[nu_random(ARRAY_SIZE(prots))],
	};
	unsigned long size = nu_random(128);

	change.nr = 1 + nu_random(size < 80 ? 3 : size < 127 ? 20 : 1000);
	change.nr = min(change.nr, NU_LARGE - change.first);
	/* Some go down. */
	if (!nu_random(3))
		change.diff = -(long)nu_random(change.first + 1);

	switch (nu_random(200)) {
	case 0 ... 119:
		change.kind = NU_SET;
		break;
	case 120 ... 149:
		change.kind = NU_CLEAR;
		break;
	case 150 ... 198:
		change.kind = NU_PROTECT;
		break;
	default:
		change.kind = NU_PROTECT_ALL;
		change.first = 0;
		change.nr = NU_LARGE;
		break;
	}
	return change;
}

/* The copy of a part takes the place of the map. */
static void nu_random_copy(struct nu_model *model)
{
	unsigned long first = nu_random(NU_LARGE / 2);
	unsigned long nr = 1 + nu_random(NU_LARGE - first);
	struct nonuniform_map *copy;
	unsigned long i;

	copy = nonuniform_copy(model->map, model->mm, first, nr);
	if (!copy) {
		ASSERT_GE(alloc_nr_failed(), 1);
		return;
	}
	nonuniform_put(model->map);
	model->map = copy;
	for (i = 0; i < model->nr; i++)
		if (i < first || i >= first + nr)
			model->pages[i] = (struct nu_page) {
				i, model->default_prot
			};
}

static void nu_random_check(struct nu_model *model, int i)
{
	pgoff_t file = nu_random(2 * NU_LARGE), first = nu_random(NU_LARGE);

	nu_check_lookup(model, nu_random(NU_LARGE));
	if (i % 16)
		return;
	nu_check(model);
	nu_check_file(model, file, file + nu_random(100), first,
		      first + nu_random(NU_LARGE - first));
}

static void nu_random_test(bool failures)
{
	struct nu_model model = nu_begin(mm_create(), NU_LARGE);
	unsigned long nr_failed = 0, nr_done = 0, nr_most = 0;
	int i, nr_changes = test_soak_minutes() ? 500000 : 10000;

	printf("SEED=%#lx\n", test_seed());
	nu_random_state = test_seed() | 1;
	for (i = 0; i < nr_changes; i++) {
		struct nu_change change = nu_random_change();
		struct nonuniform_op op;
		int err;

		if (failures)
			alloc_fail_random(20, nu_random(ULONG_MAX));
		err = nu_prepare(&op, model.map, &change);
		if (!err) {
			/* Some change their mind. */
			if (nu_random(16)) {
				nu_commit(&op);
				nu_model_do(&model, &change);
				nr_done++;
			}
			nonuniform_finish(&op);
		} else {
			ASSERT_EQ(err, -ENOMEM);
			ASSERT_GE(alloc_nr_failed(), 1);
			nr_failed++;
		}
		if (!nu_random(1000))
			nu_random_copy(&model);
		alloc_fail_nth(0);
		nu_random_check(&model, i);
		nr_most = max(nr_most, nonuniform_nr_extents(model.map));
		rcu_barrier();
	}
	printf("%lu changes of %d, %lu failed, %lu extents at most\n", nr_done,
	       nr_changes, nr_failed, nr_most);
	ASSERT_GE(nr_done, nr_changes / 2);
	ASSERT_GE(nr_most, 200);
	if (failures)
		ASSERT_GE(nr_failed, nr_changes / 50);
	nu_end(&model);
}

TEST(random)
{
	nu_random_test(false);
}

/* An allocation fails now and then. */
TEST(random_with_failures)
{
	nu_random_test(true);
}

/*
 * What it takes
 */

/* Nodes of the tree, and of the other one. What an allocator adds is not in it. */
static unsigned long nu_bytes(void)
{
	rcu_barrier();
	return alloc_nr_live_of("maple_node") * sizeof(struct maple_node) +
	       nu_nr_nodes() * sizeof(struct nonuniform_node);
}

static void nu_fill(struct nonuniform_map *map, unsigned long nr,
		    unsigned long step, bool random)
{
	unsigned long i, page;

	for (i = 0; i < nr; i++) {
		/* An odd factor makes it a permutation of a power of two. */
		page = random ? (i * 0x9e3779b1UL) % nr : i;
		struct nu_change change = {
			NU_SET, page * step, 1,
			1 + (page * 0x85ebca6bUL) % nr, page % 2 ? NU_RW : NU_RX
		};

		ASSERT_EQ(nu_do(map, &change), 0);
		if (!(i % 4096))
			rcu_barrier();
	}
	ASSERT_EQ(nonuniform_nr_extents(map), nr);
}

static double nu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* At most so many bytes for a single page, whatever order they come in. */
static void nu_measure(const char *what, unsigned long nr, unsigned long step,
		       bool random, unsigned long limit)
{
	struct mm_struct *mm = mm_create();
	struct nonuniform_map *map = nonuniform_create(mm, NU_R, &nu_prots), *copy;
	double begin = nu_seconds(), filled, copied, destroyed;
	unsigned long bytes, copy_bytes;

	nu_fill(map, nr, step, random);
	filled = nu_seconds();
	bytes = nu_bytes();
	copy = nonuniform_copy(map, mm, 0, nr * step);
	ASSERT_TRUE(copy);
	copied = nu_seconds();
	copy_bytes = nu_bytes() - bytes;
	nonuniform_put(map);
	rcu_barrier();
	destroyed = nu_seconds();
	printf("%s: %lu extents, %.1f bytes each, copied %.1f\n", what, nr,
	       (double)bytes / nr, (double)copy_bytes / nr);
	printf("filled in %.2f s, copied in %.2f s, destroyed in %.2f s\n",
	       filled - begin, copied - filled, destroyed - copied);
	ASSERT_EQ(nonuniform_validate(copy), NULL);
	ASSERT_LE(bytes, nr * limit);
	ASSERT_LE(copy_bytes, nr * limit);
	nonuniform_put(copy);
	rcu_barrier();
	ASSERT_EQ(alloc_nr_live(), 0);
	mm_destroy(mm);
}

/* 2^14 extents of a page each; with --soak, 2^20. */
TEST(bytes_per_extent)
{
	unsigned long nr = test_soak_minutes() ? 1UL << 20 : 1UL << 14;

	test_set_time_limit(3600);
	nu_measure("dense, in order", nr, 1, false, 96);
	nu_measure("dense, at random", nr, 1, true, 96);
	nu_measure("sparse, in order", nr, 2, false, 128);
	nu_measure("sparse, at random", nr, 2, true, 128);
	nu_measure("very sparse, at random", nr, 1000, true, 128);
}

/* 2^17 of them, 2^24 with --soak. */
TEST(many)
{
	unsigned long nr = test_soak_minutes() ? 1UL << 24 : 1UL << 17;

	test_set_time_limit(3600);
	nu_measure("dense, at random", nr, 1, true, 96);
}

/*
 * nonuniform_validate() knows each mistake.
 */
static struct nonuniform_node *nu_first_node(struct nonuniform_map *map)
{
	return rb_entry(rb_first_cached(&map->nodes), struct nonuniform_node, rb);
}

static void nu_expect_mistake(struct nonuniform_map *map, const char *mistake)
{
	const char *found = nonuniform_validate(map);

	if (!found || strcmp(found, mistake))
		test_failed(__FILE__, __LINE__, "\"%s\" instead of \"%s\"",
			    found ?: "nothing", mistake);
}

static void nu_raw_store(struct nonuniform_map *map, pgoff_t first,
			 pgoff_t last, void *entry, const char *mistake)
{
	MA_STATE(mas, &map->extents, first, last);
	void *old = mas_walk(&mas);

	ASSERT_EQ(store(map, first, last, entry, GFP_KERNEL), 0);
	nu_expect_mistake(map, mistake);
	ASSERT_EQ(store(map, first, last, old, GFP_KERNEL), 0);
}

TEST(validate)
{
	struct nu_model model = nu_begin(mm_create(), 64);
	const struct nu_change nothing = { NU_CLEAR, 0, 1 };
	struct nonuniform_map *map = model.map;
	struct nonuniform_node *node;
	struct rb_node *leftmost;

	nu_set(&model, 10, 4, 100, NU_RW);
	nu_set(&model, 20, 4, 200, NU_RW);
	nu_set(&model, 30, 4, 300, NU_RW);
	nu_set(&model, 40, 4, 0, NU_RX);

	nu_raw_store(map, 50, 50, map, "an entry is not a value");
	nu_raw_store(map, 50, 50, make_entry(0, NU_R),
		     "an entry says what its absence says");
	nu_raw_store(map, 44, 44, make_entry(0, NU_RX), "two equal neighbours");
	nu_raw_store(map, ULONG_MAX, ULONG_MAX, make_entry(0, NU_RX),
		     "an entry goes beyond the last page");
	nu_raw_store(map, 50, 50, make_entry(-51, NU_RX),
		     "an entry maps what no file has");
	nu_raw_store(map, 50, 50, make_entry(5, NU_RX), "a run has no node");
	nu_raw_store(map, 24, 24, make_entry(200, NU_RX),
		     "a node ends elsewhere than its run");
	nu_raw_store(map, 20, 23, make_entry(0, NU_RX), "a node has no run");

	map->nr_extents++;
	nu_expect_mistake(map, "wrong number of extents");
	/* A kernel that looks for such mistakes says so at the next change. */
	expect_warnings(1);
	ASSERT_EQ(nu_do(map, &nothing), 0);
	map->nr_extents--;

	leftmost = map->nodes.rb_leftmost;
	map->nodes.rb_leftmost = rb_next(leftmost);
	nu_expect_mistake(map, "the leftmost node is another one");
	map->nodes.rb_leftmost = leftmost;

	node = nu_first_node(map);
	node->subtree_last++;
	nu_expect_mistake(map, "a node does not know where those below it end");
	node->subtree_last--;

	/* One that has no run, where it does not belong. */
	node = rb_entry(rb_next(leftmost), struct nonuniform_node, rb);
	node_tree_remove(node, &map->nodes);
	insert_node(map, node, 5, 8, 500);
	ASSERT_EQ(store(map, 20, 23, NULL, GFP_KERNEL), 0);
	nu_expect_mistake(map, "a node has no run");
	node->file = 1;
	node->linear = -499;
	nu_expect_mistake(map, "nodes are not in order");
	node->file = 505;
	node->linear = 5;
	node_tree_remove(node, &map->nodes);
	insert_node(map, node, 20, 23, 200);
	ASSERT_EQ(store(map, 20, 23, make_entry(200, NU_RW), GFP_KERNEL), 0);
	nu_check(&model);
	nu_end(&model);
}
