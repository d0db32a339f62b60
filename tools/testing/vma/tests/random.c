// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Long random sequences of operations, against an array of pages that says what
 * each page has to be.
 *
 * An operation is a few random numbers that mean something in any state, so
 * that any part of a sequence is a sequence. When one fails, it is cut down to
 * as few operations as possible that still fail, and these are printed.
 */
#include <fcntl.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/wait.h>

#define RANDOM_OPS	1000	/* in a sequence, which begins with nothing */
#define RANDOM_MAIN	64	/* pages where anything may happen */
#define RANDOM_SIDE	16	/* pages of the heap, and of the stack */
#define RANDOM_PAGES	(RANDOM_MAIN + 2 * RANDOM_SIDE)
#define RANDOM_FILES	3
#define RANDOM_MAPPINGS	8	/* combinations of flags */
#define RANDOM_FLAGS	(VM_ACCESS_FLAGS | VM_SHARED | VM_LOCKED | \
			 VM_DONTDUMP | VM_SEALED | VM_GROWSDOWN)

#define RANDOM_MAX_KINDS	16

struct random_world;
struct random_op;

/* A kind of operation, chosen in proportion to its weight */
struct random_kind {
	const char *name;
	long (*fn)(struct random_world *w, const struct random_op *op);
	unsigned int weight;
};

/*
 * What a sequence is like. A file that comes after this one may have a mode with
 * kinds of its own, which do more than those below or something else, and with a
 * model besides: it begins when the world is made, and is compared with what is
 * so after each operation.
 */
struct random_mode {
	const char *name;		/* of the test */
	bool failures;			/* an allocation fails now and then */
	const struct random_kind *kinds;
	int nr_kinds;
	void (*begin)(struct random_world *w);
	void (*compare)(struct random_world *w);
};

struct random_op {
	unsigned char kind;
	unsigned char page;
	unsigned char pages;
	unsigned char to;	/* of a move; otherwise a choice */
	unsigned int chance;	/* seed of failures; 0: none */
};

struct model_page {
	bool mapped;
	vm_flags_t flags;
	struct file *file;
	pgoff_t pgoff;
	unsigned long token;
};

struct random_world {
	struct mm_struct *mm;
	struct driver driver, plain;
	struct file *files[RANDOM_FILES];
	struct model_page pages[RANDOM_PAGES];
};

/* For whoever forked us: which operation is being done, and what has been. */
static struct {
	int progress;
	unsigned long nr_done[RANDOM_MAX_KINDS];	/* without an error */
	unsigned long nr_vmas;			/* at each operation, summed up */
	unsigned long nr_failed;		/* allocations */
} *random_shared;

/* The main part lies across the boundary of two page tables. */
static unsigned long random_addr(int page)
{
	if (page < RANDOM_MAIN)
		return MM_ADDR(PTRS_PER_TABLE - RANDOM_MAIN / 2 + page);
	if (page < RANDOM_MAIN + RANDOM_SIDE)
		return MM_ADDR(4 * PTRS_PER_TABLE + page - RANDOM_MAIN);
	return MM_ADDR(8 * PTRS_PER_TABLE + page - RANDOM_MAIN - RANDOM_SIDE);
}

static void random_show(int i, const struct random_op *op,
			const struct random_mode *mode)
{
	printf("  %d: %s page %d pages %d choice %d%s\n", i,
	       mode->kinds[op->kind].name, op->page, op->pages, op->to,
	       op->chance ? " with failures" : "");
}

static unsigned int random_weights(const struct random_mode *mode)
{
	unsigned int sum = 0;
	int i;

	for (i = 0; i < mode->nr_kinds; i++)
		sum += mode->kinds[i].weight;
	return sum;
}

static int random_pick(const struct random_mode *mode, unsigned int r)
{
	int kind = 0;

	for (; r >= mode->kinds[kind].weight; kind++)
		r -= mode->kinds[kind].weight;
	return kind;
}

static void random_make(struct random_op *ops, unsigned long seed,
			const struct random_mode *mode)
{
	unsigned long state = seed * 0x9e3779b97f4a7c15UL | 1;
	unsigned int weights = random_weights(mode);
	int i;

	for (i = 0; i < 10; i++)
		gap_random(&state);

	for (i = 0; i < RANDOM_OPS; i++) {
		unsigned long r = gap_random(&state);

		ops[i].kind = random_pick(mode, r % weights);
		ops[i].page = (r >> 8) % RANDOM_MAIN;
		ops[i].pages = 1 + (r >> 16) % ((r >> 24) % 4 ? 4 : 20);
		if (ops[i].page + ops[i].pages > RANDOM_MAIN)
			ops[i].pages = RANDOM_MAIN - ops[i].page;
		ops[i].to = r >> 32;
		ops[i].chance = mode->failures ? (r >> 40) | 1 : 0;
	}
}

static void random_begin(struct random_world *w)
{
	memset(w, 0, sizeof(*w));
	w->mm = mm_create();
	w->mm->start_brk = random_addr(RANDOM_MAIN);
	w->mm->brk = w->mm->start_brk;
	w->plain.no_hooks = true;
	w->files[0] = file_of(NULL);
	w->files[1] = file_of(&w->plain);
	w->files[2] = file_of(&w->driver);
	w->files[0]->mapping.can_writeback = false;

	/* The last two pages of its part are the stack. */
	ASSERT_EQ(op_mmap(w->mm, NULL, random_addr(RANDOM_PAGES - 2), MM_LEN(2),
			  STACK_RW, 0), random_addr(RANDOM_PAGES - 2));
	w->pages[RANDOM_PAGES - 2] = (struct model_page) {
		.mapped = true,
		.flags = (STACK_RW) & RANDOM_FLAGS,
	};
	w->pages[RANDOM_PAGES - 1] = w->pages[RANDOM_PAGES - 2];
}

static void random_end(struct random_world *w)
{
	int i;

	mm_destroy(w->mm);
	ASSERT_EQ(w->driver.balance, 0);
	for (i = 0; i < RANDOM_FILES; i++) {
		ASSERT_EQ(file_refs(w->files[i]), 1);
		fput(w->files[i]);
	}
	ASSERT_EQ(all_files, NULL);
}

/* What a page is, as far as the model knows about such things. */
static struct model_page random_read(struct random_world *w, int page)
{
	unsigned long addr = random_addr(page);
	struct vm_area_struct *vma = vma_lookup(w->mm, addr);
	struct model_page p = {};

	if (!vma)
		return p;

	p.mapped = true;
	p.flags = vma->vm_flags & RANDOM_FLAGS;
	p.file = vma->vm_file;
	if (p.file)
		p.pgoff = vma->vm_pgoff + PHYS_PFN(addr - vma->vm_start);
	p.token = pt_token(w->mm, addr);
	return p;
}

static bool pages_equal(const struct model_page *a, const struct model_page *b)
{
	return a->mapped == b->mapped && a->flags == b->flags &&
	       a->file == b->file && a->pgoff == b->pgoff &&
	       a->token == b->token;
}

static void random_compare(struct random_world *w)
{
	int page;

	for (page = 0; page < RANDOM_PAGES; page++) {
		struct model_page *a = &w->pages[page];
		struct model_page b = random_read(w, page);

		if (!pages_equal(a, &b))
			test_failed(__FILE__, __LINE__,
				    "page %d should be: mapped %d flags %lx file %u pgoff %lx token %lx, but is: mapped %d flags %lx file %u pgoff %lx token %lx",
				    page, a->mapped, a->flags,
				    a->file ? a->file->id : 0, a->pgoff,
				    a->token, b.mapped, b.flags,
				    b.file ? b.file->id : 0, b.pgoff, b.token);
	}
}

static bool random_any_sealed(struct random_world *w, int page, int pages)
{
	for (; pages--; page++)
		if (w->pages[page].mapped && w->pages[page].flags & VM_SEALED)
			return true;
	return false;
}

static int random_nr_mapped(struct random_world *w, int page, int pages)
{
	int n = 0;

	for (; pages--; page++)
		n += w->pages[page].mapped;
	return n;
}

/*
 * After a failed allocation, each page of the range is as it was or as @fn
 * says that it may have become.
 */
static void random_resync(struct random_world *w, int page, int pages,
			  bool (*fn)(const struct model_page *was,
				     const struct model_page *is, long arg),
			  long arg)
{
	for (; pages--; page++) {
		struct model_page is = random_read(w, page);

		if (!pages_equal(&is, &w->pages[page]) &&
		    !fn(&w->pages[page], &is, arg))
			test_failed(__FILE__, __LINE__,
				    "page %d has become neither", page);
		w->pages[page] = is;
	}
}

static bool random_is_gone(const struct model_page *was,
			   const struct model_page *is, long arg)
{
	return !is->mapped && !is->token;
}

static bool random_has_access(const struct model_page *was,
			      const struct model_page *is, long access)
{
	struct model_page want = *was;

	want.flags = (want.flags & ~VM_ACCESS_FLAGS) | access;
	return pages_equal(&want, is);
}

static bool random_has_token(const struct model_page *was,
			     const struct model_page *is, long write)
{
	struct model_page want = *was;

	want.token = is->token;
	return is->token && pages_equal(&want, is);
}

static vm_flags_t random_mmap_flags(const struct random_op *op)
{
	static const vm_flags_t kinds[RANDOM_MAPPINGS] = {
		PRIVATE_RW, PRIVATE_R, PRIVATE_RX, SHARED_RW,
		PRIVATE_RW | VM_NORESERVE, PRIVATE_RW | VM_LOCKED,
		PRIVATE_RW, VM_MAYRWX,
	};

	return kinds[op->to % RANDOM_MAPPINGS];
}

static struct file *random_mmap_file(struct random_world *w,
				     const struct random_op *op)
{
	int f = op->to / RANDOM_MAPPINGS % (2 * RANDOM_FILES);

	return f < RANDOM_FILES ? w->files[f] : NULL;
}

static long random_mmap(struct random_world *w, const struct random_op *op)
{
	vm_flags_t flags = random_mmap_flags(op);
	struct file *file = random_mmap_file(w, op);
	pgoff_t pgoff = op->page;
	long ret;
	int i;

	ret = op_mmap(w->mm, file, random_addr(op->page), MM_LEN(op->pages),
		      flags, pgoff);
	if (random_any_sealed(w, op->page, op->pages) && ret == -EPERM)
		return ret;
	if (ret == -ENOMEM && op->chance) {
		random_resync(w, op->page, op->pages, random_is_gone, 0);
		return ret;
	}
	ASSERT_FALSE(random_any_sealed(w, op->page, op->pages));
	ASSERT_EQ(ret, random_addr(op->page));

	if (!file && (flags & VM_SHARED)) {
		file = vma_lookup(w->mm, random_addr(op->page))->vm_file;
		pgoff = 0;
	}
	for (i = 0; i < op->pages; i++)
		w->pages[op->page + i] = (struct model_page) {
			.mapped = true,
			.flags = flags & RANDOM_FLAGS,
			.file = file,
			.pgoff = file ? pgoff + i : 0,
		};
	return ret;
}

static long random_munmap(struct random_world *w, const struct random_op *op)
{
	long ret = op_munmap(w->mm, random_addr(op->page), MM_LEN(op->pages));

	if (ret == -ENOMEM && op->chance)
		return ret;
	if (random_any_sealed(w, op->page, op->pages)) {
		ASSERT_EQ(ret, -EPERM);
		return ret;
	}
	ASSERT_EQ(ret, 0);
	memset(&w->pages[op->page], 0, op->pages * sizeof(w->pages[0]));
	return ret;
}

static long random_protect(struct random_world *w, const struct random_op *op)
{
	static const vm_flags_t kinds[] = {
		VM_READ, VM_READ | VM_WRITE, VM_NONE, VM_READ | VM_EXEC,
	};
	vm_flags_t access = kinds[op->to % ARRAY_SIZE(kinds)];
	int i, page;
	long ret;

	ret = op_mprotect(w->mm, random_addr(op->page), MM_LEN(op->pages),
			  access);
	if (random_nr_mapped(w, op->page, op->pages) < op->pages) {
		ASSERT_EQ(ret, -ENOMEM);
		return ret;
	}
	if (ret == -ENOMEM && op->chance) {
		random_resync(w, op->page, op->pages, random_has_access,
			      access);
		return ret;
	}
	/* It stops at the first page that is sealed. */
	ASSERT_EQ(ret, random_any_sealed(w, op->page, op->pages) ? -EPERM : 0);
	for (i = 0; i < op->pages; i++) {
		page = op->page + i;
		if (w->pages[page].flags & VM_SEALED)
			break;
		w->pages[page].flags &= ~VM_ACCESS_FLAGS;
		w->pages[page].flags |= access;
	}
	return ret;
}

static long random_flag(struct random_world *w, const struct random_op *op)
{
	static const vm_flags_t kinds[] = {
		VM_LOCKED, VM_DONTDUMP, VM_DONTDUMP, VM_LOCKED, VM_SEALED,
	};
	/* Sealed is for the few, or soon nothing could be done any more. */
	vm_flags_t flag = kinds[(op->to >> 1) % ARRAY_SIZE(kinds)];
	bool clear = (op->to & 1) || (flag == VM_SEALED && op->to & 0xe0);
	int i;
	long ret;

	ret = op_change_flags(w->mm, random_addr(op->page), MM_LEN(op->pages),
			      clear ? 0 : flag, clear ? flag : 0);
	if (random_nr_mapped(w, op->page, op->pages) < op->pages) {
		ASSERT_EQ(ret, -ENOMEM);
		return ret;
	}
	for (i = 0; ret == -ENOMEM && op->chance && i < op->pages; i++) {
		struct model_page is = random_read(w, op->page + i);
		struct model_page *was = &w->pages[op->page + i];

		ASSERT_EQ((is.flags ^ was->flags) & ~flag, 0);
		was->flags = is.flags;
	}
	if (ret == -ENOMEM && op->chance)
		return ret;

	ASSERT_EQ(ret, 0);
	for (i = 0; i < op->pages; i++) {
		if (clear)
			w->pages[op->page + i].flags &= ~flag;
		else
			w->pages[op->page + i].flags |= flag;
	}
	return ret;
}

static long random_fault(struct random_world *w, const struct random_op *op)
{
	bool write = op->to & 1;
	int i, page, nr = 0;

	for (i = 0; i < op->pages; i++) {
		struct model_page *p;
		bool anon;
		long ret;

		page = op->page + i;
		p = &w->pages[page];
		ret = op_fault(w->mm, random_addr(page), PAGE_SIZE, write);
		if (!p->mapped || !(p->flags & (write ? VM_WRITE : VM_READ))) {
			ASSERT_EQ(ret, -EFAULT);
			continue;
		}
		if (ret == -ENOMEM && op->chance)
			continue;
		ASSERT_EQ(ret, 0);
		nr++;
		anon = p->token && !(p->token & PT_FILE_TOKEN);
		if (anon)
			continue;	/* stays what it is */
		if (write && !(p->flags & VM_SHARED))
			random_resync(w, page, 1, random_has_token, write);
		else if (p->file)
			p->token = pt_file_token(p->file, p->pgoff);
	}
	return nr ? 0 : -EFAULT;
}

/* Where it moves to, and how much of it there is room for. */
static int random_move(const struct random_op *op, int *pages)
{
	int to = op->to % RANDOM_MAIN;

	*pages = min_t(int, op->pages, RANDOM_MAIN - to);
	return to;
}

static long random_mremap(struct random_world *w, const struct random_op *op)
{
	struct model_page moved[RANDOM_MAIN];
	int pages, to = random_move(op, &pages);
	long ret;

	ret = op_mremap(w->mm, random_addr(op->page), MM_LEN(pages),
			random_addr(to));
	/* Not of one VMA, which the model does not know. */
	if (ret == -EFAULT || (ret == -ENOMEM && op->chance))
		return ret;
	ASSERT_EQ(random_nr_mapped(w, op->page, pages), pages);
	if (random_any_sealed(w, op->page, pages)) {
		ASSERT_EQ(ret, -EPERM);
		return ret;
	}
	if (random_nr_mapped(w, to, pages)) {
		ASSERT_EQ(ret, -EINVAL);
		return ret;
	}
	ASSERT_EQ(ret, random_addr(to));
	memcpy(moved, &w->pages[op->page], pages * sizeof(moved[0]));
	memset(&w->pages[op->page], 0, pages * sizeof(moved[0]));
	memcpy(&w->pages[to], moved, pages * sizeof(moved[0]));
	return ret;
}

static long random_extend(struct random_world *w, const struct random_op *op)
{
	struct vm_area_struct *vma = vma_lookup(w->mm, random_addr(op->page));
	int first, i;
	long ret;

	ret = vma ? PHYS_PFN(vma->vm_end - random_addr(0)) : 0;
	first = ret;
	if (first + op->pages > RANDOM_MAIN)
		return -EINVAL;

	ret = op_extend(w->mm, random_addr(op->page), MM_LEN(op->pages));
	if (!w->pages[op->page].mapped) {
		ASSERT_EQ(ret, -EFAULT);
		return ret;
	}
	if (w->pages[first - 1].flags & VM_SEALED) {
		ASSERT_EQ(ret, -EPERM);
		return ret;
	}
	if (random_nr_mapped(w, first, op->pages)) {
		ASSERT_EQ(ret, -ENOMEM);
		return ret;
	}
	if (ret == -ENOMEM && op->chance)
		return ret;
	ASSERT_EQ(ret, 0);
	for (i = 0; i < op->pages; i++) {
		struct model_page *p = &w->pages[first + i];

		*p = w->pages[first - 1];
		p->token = 0;
		if (p->file)
			p->pgoff += i + 1;
	}
	return ret;
}

static long random_brk(struct random_world *w, const struct random_op *op)
{
	int old = PHYS_PFN(w->mm->brk - w->mm->start_brk);
	int new = op->to % (RANDOM_SIDE + 1), i;
	long ret;

	ret = op_brk(w->mm, w->mm->start_brk + MM_LEN(new));
	if (ret == -ENOMEM && op->chance)
		return ret;
	ASSERT_EQ(ret, 0);
	for (i = old; i < new; i++)
		w->pages[RANDOM_MAIN + i] = (struct model_page) {
			.mapped = true,
			.flags = VM_READ | VM_WRITE,
		};
	for (i = new; i < old; i++)
		w->pages[RANDOM_MAIN + i] = (struct model_page) {};

	/* Something to lose. */
	for (i = 0; i < new; i++) {
		int page = RANDOM_MAIN + i;

		if (!w->pages[page].token && (op->pages & 1) &&
		    !op_fault(w->mm, random_addr(page), PAGE_SIZE, true))
			random_resync(w, page, 1, random_has_token, 1);
	}
	return ret;
}

static long random_stack(struct random_world *w, const struct random_op *op)
{
	int page = RANDOM_PAGES - 1 - op->to % RANDOM_SIDE, i;
	struct vm_area_struct *vma;
	long ret;

	vma = vma_lookup(w->mm, random_addr(RANDOM_PAGES - 1));
	if (op->pages > 10) {
		/* It begins again. */
		if (vma->vm_start == random_addr(RANDOM_PAGES - 2))
			return -EINVAL;
		ret = op_munmap(w->mm, vma->vm_start,
				random_addr(RANDOM_PAGES - 2) - vma->vm_start);
		if (ret == -ENOMEM && op->chance)
			return ret;
		ASSERT_EQ(ret, 0);
		for (i = RANDOM_PAGES - RANDOM_SIDE; i < RANDOM_PAGES - 2; i++)
			w->pages[i] = (struct model_page) {};
		return ret;
	}

	/* As in a fault: a failure may have left the stack in two pieces. */
	vma = find_vma(w->mm, random_addr(page));
	if (random_addr(page) >= vma->vm_start)
		return -EINVAL;
	ret = op_grow_stack(w->mm, vma->vm_start, random_addr(page));
	if (ret == -ENOMEM && op->chance)
		return ret;
	ASSERT_EQ(ret, 0);
	for (i = page; i < RANDOM_PAGES - 2; i++)
		if (!w->pages[i].mapped)
			w->pages[i] = (struct model_page) {
				.mapped = true,
				.flags = (STACK_RW) & RANDOM_FLAGS,
			};
	if (!w->pages[page].token &&
	    !op_fault(w->mm, random_addr(page), PAGE_SIZE, true))
		random_resync(w, page, 1, random_has_token, 1);
	return ret;
}

static const struct random_kind random_kinds[] = {
	{ "mmap", random_mmap, 3 },
	{ "munmap", random_munmap, 1 },
	{ "mprotect", random_protect, 3 },
	{ "flags", random_flag, 2 },
	{ "fault", random_fault, 3 },
	{ "mremap", random_mremap, 3 },
	{ "extend", random_extend, 1 },
	{ "brk", random_brk, 1 },
	{ "stack", random_stack, 1 },
};

static void random_do(struct random_world *w, const struct random_op *op,
		      const struct random_mode *mode)
{
	if (op->chance)
		alloc_fail_random(24, op->chance);
	if (!IS_ERR_VALUE(mode->kinds[op->kind].fn(w, op)))
		random_shared->nr_done[op->kind]++;
	random_shared->nr_failed += alloc_nr_failed();
	random_shared->nr_vmas += w->mm->map_count;
	alloc_fail_nth(0);
}

static void random_run(const struct random_op *ops, int nr,
		       const struct random_mode *mode)
{
	struct random_world *w = malloc(sizeof(*w));
	int i;

	random_begin(w);
	if (mode->begin)
		mode->begin(w);
	for (i = 0; i < nr; i++) {
		random_shared->progress = i;
		random_do(w, &ops[i], mode);
		random_compare(w);
		if (mode->compare)
			mode->compare(w);
		check_world();
	}
	random_shared->progress = nr;
	random_end(w);
	free(w);
}

/* In a child, whose end is not ours. Returns whether it failed. */
static bool random_fails(const struct random_op *ops, int nr,
			 const struct random_mode *mode, bool quiet)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		test_failed(__FILE__, __LINE__, "fork");
	if (!pid) {
		if (quiet) {
			int fd = open("/dev/null", O_WRONLY);

			dup2(fd, STDOUT_FILENO);
			dup2(fd, STDERR_FILENO);
		}
		random_run(ops, nr, mode);
		test_exit(!alloc_nr_live() && !vm_committed);
	}
	waitpid(pid, &status, 0);
	return status;
}

/* Leave out what can be left out: large parts first, then single operations. */
static int random_reduce(struct random_op *ops, int nr,
			 const struct random_mode *mode)
{
	struct random_op *fewer = malloc(nr * sizeof(*ops));
	int part, i, budget = 3000;

	for (part = nr / 2; part; part = part > 1 ? (part + 1) / 2 : 0) {
		for (i = 0; i < nr && budget--;) {
			int drop = min(part, nr - i);

			memcpy(fewer, ops, i * sizeof(*ops));
			memcpy(fewer + i, ops + i + drop,
			       (nr - i - drop) * sizeof(*ops));
			if (nr > drop &&
			    random_fails(fewer, nr - drop, mode, true)) {
				nr -= drop;
				memcpy(ops, fewer, nr * sizeof(*ops));
			} else {
				i += drop;
			}
		}
	}
	free(fewer);
	return nr;
}

static void random_sequence(unsigned long seed, const struct random_mode *mode)
{
	struct random_op *ops = calloc(RANDOM_OPS, sizeof(*ops));
	int nr, i;

	random_make(ops, seed, mode);
	if (!random_fails(ops, RANDOM_OPS, mode, true)) {
		free(ops);
		return;
	}

	nr = min(random_shared->progress + 1, RANDOM_OPS);
	printf("SEED=%#lx fails at operation %d. Reducing ...\n", seed, nr - 1);
	nr = random_reduce(ops, nr, mode);
	printf("These %d operations are enough:\n", nr);
	for (i = 0; i < nr; i++)
		random_show(i, &ops[i], mode);
	random_fails(ops, nr, mode, false);
	printf("To see it again: SEED=%#lx ./vma %s\n", seed, mode->name);
	test_exit(false);
}

static void random_test(const struct random_mode *mode)
{
	unsigned long seed = test_seed(), end = 0;
	int i, nr = 30000 / RANDOM_OPS;

	if (test_soak_minutes()) {
		end = time(NULL) + test_soak_minutes() * 60 / 2;
		test_set_time_limit(test_soak_minutes() * 60 + 300);
	}
	random_shared = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(random_shared, MAP_FAILED);
	ASSERT_LE(mode->nr_kinds, RANDOM_MAX_KINDS);

	printf("SEED=%#lx\n", seed);
	for (i = 0; i < nr || time(NULL) < end; i++)
		random_sequence(seed + i, mode);
	printf("%d operations, %lu allocations failed, %lu VMAs on the average\n",
	       i * RANDOM_OPS, random_shared->nr_failed,
	       random_shared->nr_vmas / (i * RANDOM_OPS));
	for (i = 0; i < mode->nr_kinds; i++) {
		printf("%lu times %s\n", random_shared->nr_done[i],
		       mode->kinds[i].name);
		/* Each has to be possible, or it is not tested. */
		ASSERT_GE(random_shared->nr_done[i], 30);
	}
	if (mode->failures)
		ASSERT_GE(random_shared->nr_failed, 1000);
	munmap(random_shared, PAGE_SIZE);
}

TEST(operations)
{
	static const struct random_mode mode = {
		.name = "random.operations",
		.kinds = random_kinds,
		.nr_kinds = ARRAY_SIZE(random_kinds),
	};

	random_test(&mode);
}

/* An allocation fails now and then. */
TEST(with_failures)
{
	static const struct random_mode mode = {
		.name = "random.with_failures",
		.failures = true,
		.kinds = random_kinds,
		.nr_kinds = ARRAY_SIZE(random_kinds),
	};

	random_test(&mode);
}
