// SPDX-License-Identifier: GPL-2.0
/*
 * What each page of a nonuniform mapping maps, and what may be done there: all
 * protections, all kinds of access, in each state that a page can be in. By the CPU,
 * by system calls, and by the kernel for somebody else. And that the reverse mapping
 * finds each page: what is written gets to the disk, what is truncated is gone.
 *
 * tmpfs, ramfs and memfd need nothing. ext4, xfs and btrfs need the disks of vma_fs.
 * Reclaim needs swap for some of them, and a cgroup with a memory controller. Migration
 * is certain where there are two nodes.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ptrace.h>
#include <time.h>
#include "vma_nonuniform.h"

#ifndef MPOL_MF_MOVE_ALL
#define MPOL_MF_MOVE_ALL	4
#endif

/* The file that each test begins with */
#define FILE_PAGES		32U

/* Each protection, accessed in each way, has a page of its own. */
#define SLOTS			(NR_PROTS * NR_ACCESSES)

/*
 * PROT_EXEC comes last: where it takes a protection key, these pages are VMAs of their
 * own, and all before them is one.
 */
static const int prots[NR_PROTS] = {
	PROT_NONE, PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE,
	PROT_READ | PROT_EXEC, PROT_WRITE | PROT_EXEC, PROT_ALL, PROT_EXEC,
};

#define ONE_VMA_SLOTS		(nu_exec_only ? SLOTS - NR_ACCESSES : SLOTS)

static int slot_prot(unsigned int slot)
{
	return prots[slot / NR_ACCESSES];
}

static enum nu_access slot_access(unsigned int slot)
{
	return slot % NR_ACCESSES;
}

/* Where nobody else writes */
static unsigned int slot_word(unsigned int slot)
{
	return CODE_WORDS + 8 + slot;
}

/* What nobody else writes */
static uint64_t slot_value(unsigned int slot, unsigned int generation)
{
	return 0xfeed000000000000ULL | (uint64_t)generation << 16 | slot;
}

/* Each slot maps another page of the file, or all of them two pages. */
enum layout { PERMUTED, ALIASED, NR_LAYOUTS };

static unsigned int slot_file(unsigned int slot, enum layout layout, unsigned int pages)
{
	if (layout == ALIASED)
		return slot % 2 ? 23 : 11;
	return (slot * 37 + 5) % pages;
}

/* How pages get their protection */
enum how { BY_REMAP, BY_MPROTECT, NR_HOWS };

FIXTURE(nu)
{
	int fd;
	const char *no_cgroup;		/* why there is none, or NULL */
};

FIXTURE_VARIANT(nu)
{
	const struct nu_fs *fs;
};

FIXTURE_VARIANT_ADD(nu, tmpfs)
{
	.fs = &nu_tmpfs,
};

FIXTURE_VARIANT_ADD(nu, memfd)
{
	.fs = &nu_memfd,
};

FIXTURE_VARIANT_ADD(nu, ramfs)
{
	.fs = &nu_ramfs,
};

FIXTURE_VARIANT_ADD(nu, ext4)
{
	.fs = &nu_ext4,
};

FIXTURE_VARIANT_ADD(nu, xfs)
{
	.fs = &nu_xfs,
};

FIXTURE_VARIANT_ADD(nu, btrfs)
{
	.fs = &nu_btrfs,
};

/* What does not depend on the file system is done on two of them. */
FIXTURE(use)
{
	int fd;
	const char *no_cgroup;
};

FIXTURE_VARIANT(use)
{
	const struct nu_fs *fs;
};

FIXTURE_VARIANT_ADD(use, memfd)
{
	.fs = &nu_memfd,
};

FIXTURE_VARIANT_ADD(use, ext4)
{
	.fs = &nu_ext4,
};

static const char *no_setup(const struct nu_fs *fs)
{
	nu_probe_init();
	return nu_obstacle() ?: nu_fs_obstacle(fs);
}

static void setup(struct __test_metadata *_metadata, const struct nu_fs *fs, int *fd,
		  const char **no_cgroup)
{
	nu_stay_on_cpu();
	/* What is charged to it is all that is there from now on. */
	*no_cgroup = nu_cgroup_enter();
	*fd = nu_create(_metadata, fs, FILE_PAGES);
}

static void teardown(struct __test_metadata *_metadata, const struct nu_fs *fs, int fd,
		     const char *no_cgroup)
{
	nu_remove(_metadata, fs, fd);
	if (!no_cgroup)
		nu_cgroup_leave();
}

FIXTURE_SETUP(nu)
{
	const char *reason = no_setup(variant->fs);

	if (reason)
		SKIP(return, "%s", reason);
	setup(_metadata, variant->fs, &self->fd, &self->no_cgroup);
}

FIXTURE_TEARDOWN(nu)
{
	teardown(_metadata, variant->fs, self->fd, self->no_cgroup);
}

FIXTURE_SETUP(use)
{
	const char *reason = no_setup(variant->fs);

	if (reason)
		SKIP(return, "%s", reason);
	setup(_metadata, variant->fs, &self->fd, &self->no_cgroup);
}

FIXTURE_TEARDOWN(use)
{
	teardown(_metadata, variant->fs, self->fd, self->no_cgroup);
}

/* Map all slots. Not from the first to the last, which would join some. */
static void map_slots(struct __test_metadata *_metadata, struct nu_map *m, int fd,
		      enum layout layout, enum how how, unsigned int pages, int flags)
{
	unsigned int i;

	nu_map_file(_metadata, m, fd, 0, SLOTS, RW);
	for (i = 0; i < SLOTS; i++) {
		unsigned int slot = i * 5 % SLOTS;
		int prot = slot_prot(slot), file = slot_file(slot, layout, pages);
		/* With a key, PROT_EXEC is not to be had for a part of a mapping. */
		bool remap = how == BY_REMAP || (prot == PROT_EXEC && nu_exec_only);

		ASSERT_EQ(0, nu_set(m, slot, 1, file, remap ? prot : PROT_ALL, flags))
			TH_LOG("slot %u", slot);
		if (!remap)
			ASSERT_EQ(0, nu_protect(m, slot, 1, prot)) TH_LOG("slot %u", slot);
	}
	nu_check_one(_metadata, m, ONE_VMA_SLOTS);
}

/* How much of a range is in page tables */
static size_t count_present(const char *p, unsigned int pages)
{
	return pagemap_count(p, pages, PM_PRESENT, PM_PRESENT);
}

/*
 * The states that pages can be in. Each function brings all pages of a mapping there
 * and returns why it cannot, or NULL.
 */

/* What they need to know */
struct state_args {
	int fd;
	unsigned int pages;		/* of the file */
	enum layout layout;
	bool disk;
	bool swaps;
	const char *no_cgroup;
};

static struct state_args state_args(int fd, const struct nu_fs *fs, const char *no_cgroup)
{
	return (struct state_args) {
		.fd = fd,
		.pages = FILE_PAGES,
		.disk = fs->disk,
		.swaps = fs->swaps,
		.no_cgroup = no_cgroup,
	};
}

#define STATE_ARGS	state_args(self->fd, variant->fs, self->no_cgroup)

typedef const char *(*state_fn)(struct __test_metadata *_metadata, struct nu_map *m,
				const struct state_args *a);

static const char *state_present(struct __test_metadata *_metadata, struct nu_map *m,
				 const struct state_args *a)
{
	(void)a;
	nu_force(_metadata, m->p, m->nr);
	EXPECT_EQ(m->nr, count_present(m->p, m->nr));
	return NULL;
}

/* Present, and modified where that is possible */
static const char *state_dirty(struct __test_metadata *_metadata, struct nu_map *m,
			       const struct state_args *a)
{
	unsigned int i;
	uint64_t value;

	state_present(_metadata, m, a);
	for (i = 0; i < m->nr; i++)
		nu_touch(nu_at(m, i) + CODE_WORDS * sizeof(value), &value);
	return NULL;
}

static const char *reclaim_obstacle(const struct state_args *a)
{
	if (!a->disk && !a->swaps)
		return "nothing of this file system can be reclaimed";
	if (a->swaps && !nu_has_swap())
		return "no swap";
	return NULL;
}

#define RECLAIM_ROUNDS	20

/* Where each single page has to go, and how long to wait between two attempts */
#define PAGE_ROUNDS	100
#define PAGE_WAIT	10000		/* microseconds */

/* As the flusher does, but now; nobody waits for it. */
static void start_writing(int fd)
{
	sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/*
 * Have each page that is in memory, and mapped by @m, in its page tables. Returns how
 * many those are, ~0U if that is not to be found out.
 */
static unsigned int force_cached(struct __test_metadata *_metadata, const struct nu_map *m)
{
	unsigned char vec[FILE_PAGES];
	unsigned int i, nr = 0;

	if (!which_cached(m->fd, vec, FILE_PAGES))
		return ~0U;
	for (i = 0; i < m->nr; i++) {
		if (!(vec[m->page[i].file] & 1))
			continue;
		nu_force(_metadata, nu_at(m, i), 1);
		nr++;
	}
	return nr;
}

/*
 * Page out by advice, again and again, but each page only until it is gone. What is on a
 * disk has to be written first, which reclaim leaves to others. Returns how many pages
 * are in memory nevertheless.
 */
static unsigned int page_out(struct __test_metadata *_metadata, const struct nu_map *m,
			     bool disk)
{
	unsigned int i, cached = ~0U;

	for (i = 0; i < PAGE_ROUNDS; i++) {
		if (disk) {
			start_writing(m->fd);
			/*
			 * Pages that another CPU has in a batch for its lists are not
			 * found. This leaves what is mapped, and then empties these.
			 */
			posix_fadvise(m->fd, 0, 0, POSIX_FADV_DONTNEED);
		}
		ASSERT_EQ(0, madvise(m->p, m->nr * page_size, MADV_PAGEOUT));
		cached = force_cached(_metadata, m);
		if (!cached)
			break;
		usleep(PAGE_WAIT);
	}
	return cached;
}

static const char *state_paged_out(struct __test_metadata *_metadata, struct nu_map *m,
				   const struct state_args *a)
{
	const char *reason = reclaim_obstacle(a);

	if (reason)
		return reason;
	if (a->layout == ALIASED)
		return "pages that are mapped several times are not taken by this advice";
	nu_force(_metadata, m->p, m->nr);
	EXPECT_EQ(0U, page_out(_metadata, m, a->disk));
	EXPECT_EQ(0U, count_present(m->p, m->nr));
	return NULL;
}

static const char *state_reclaimed(struct __test_metadata *_metadata, struct nu_map *m,
				   const struct state_args *a)
{
	const char *reason = reclaim_obstacle(a) ?: a->no_cgroup;
	unsigned int i, cached = a->pages;

	if (reason)
		return reason;
	nu_force(_metadata, m->p, m->nr);
	for (i = 0; i < RECLAIM_ROUNDS && cached; i++) {
		fsync(a->fd);
		nu_reclaim();
		cached = count_cached(a->fd, a->pages);
	}
	/* Each of them may be in use at some moment, but hardly one is always. */
	EXPECT_GT(a->pages / 2, cached);
	return NULL;
}

/* Where the pages of a range are in memory; 0 where they are not, or it is secret */
static void read_frames(struct __test_metadata *_metadata, char *p, unsigned int pages,
			unsigned long *frames)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	unsigned int i;

	ASSERT_LE(0, fd);
	for (i = 0; i < pages; i++) {
		uint64_t entry = pagemap_get_entry(fd, p + i * page_size);

		frames[i] = entry & PM_PRESENT ? PAGEMAP_PFN(entry) : 0;
	}
	close(fd);
}

/* Of those that were somewhere, how many are elsewhere now */
static unsigned int count_moved(const unsigned long *old, const unsigned long *new,
				unsigned int pages)
{
	unsigned int i, nr = 0;

	for (i = 0; i < pages; i++)
		nr += old[i] && new[i] && old[i] != new[i];
	return nr;
}

static bool has_node(unsigned int node)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u", node);
	return !access(path, F_OK);
}

static void move_to_node(struct nu_map *m, int node)
{
	int nodes[NU_MAX_PAGES], status[NU_MAX_PAGES];
	void *pages[NU_MAX_PAGES];
	unsigned int i;

	for (i = 0; i < m->nr; i++) {
		pages[i] = nu_at(m, i);
		nodes[i] = node;
	}
	syscall(SYS_move_pages, 0, m->nr, pages, nodes, status, MPOL_MF_MOVE_ALL);
}

static const char *state_migrated(struct __test_metadata *_metadata, struct nu_map *m,
				  const struct state_args *a)
{
	unsigned long old[NU_MAX_PAGES], new[NU_MAX_PAGES];
	unsigned int i, moved = 0;

	if (geteuid())
		return "where pages are in memory is only for root to know";
	if (!a->disk && !a->swaps)
		return "the pages of this file system are always dirty, and stay";
	/* Clean pages are the easiest to move. */
	fsync(a->fd);
	nu_force(_metadata, m->p, m->nr);
	read_frames(_metadata, m->p, m->nr, old);
	for (i = 0; i < 4 && !moved; i++) {
		if (has_node(1))
			move_to_node(m, 1 - i % 2);
		else if (!write_file("/proc/sys/vm/compact_memory", "1"))
			return "one node only, and no compaction";
		/* A migration entry becomes a page again when that is at its place. */
		nu_force(_metadata, m->p, m->nr);
		read_frames(_metadata, m->p, m->nr, new);
		moved = count_moved(old, new, m->nr);
	}
	if (!moved && !has_node(1))
		return "one node only, and compaction has left the pages where they are";
	EXPECT_LT(0U, moved);
	return NULL;
}

/* There is no code in a hole: what is executed is written anew. */
static void refill_code(struct __test_metadata *_metadata, const struct nu_map *m,
			const struct state_args *a)
{
	unsigned int i;

	for (i = 0; i < m->nr; i++)
		if (slot_access(i) == NU_EXEC)
			ASSERT_TRUE(fill_file(a->fd, 2, m->page[i].file, 1));
}

static const char *state_punched(struct __test_metadata *_metadata, struct nu_map *m,
				 const struct state_args *a)
{
	nu_force(_metadata, m->p, m->nr);
	if (fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      a->pages * page_size))
		return "this file system cannot punch holes";
	EXPECT_EQ(0U, count_present(m->p, m->nr));
	refill_code(_metadata, m, a);
	return NULL;
}

/* What is beyond the end of the file is in no page table any more. */
static void check_gone(struct __test_metadata *_metadata, const struct nu_map *m,
		       unsigned int end)
{
	unsigned int i;

	for (i = 0; i < m->nr; i++)
		if (m->page[i].file >= end)
			EXPECT_EQ(0U, count_present(nu_at(m, i), 1)) TH_LOG("page %u", i);
}

/* The second half of the file is gone. */
static const char *state_truncated(struct __test_metadata *_metadata, struct nu_map *m,
				   const struct state_args *a)
{
	unsigned int end = a->pages / 2;

	nu_force(_metadata, m->p, m->nr);
	ASSERT_EQ(0, ftruncate(a->fd, end * page_size));
	check_gone(_metadata, m, end);
	return NULL;
}

/* So is all of it. */
static const char *state_emptied(struct __test_metadata *_metadata, struct nu_map *m,
				 const struct state_args *a)
{
	nu_force(_metadata, m->p, m->nr);
	ASSERT_EQ(0, ftruncate(a->fd, 0));
	EXPECT_EQ(0U, count_present(m->p, m->nr));
	return NULL;
}

static const char *state_extended(struct __test_metadata *_metadata, struct nu_map *m,
				  const struct state_args *a)
{
	state_truncated(_metadata, m, a);
	ASSERT_EQ(0, ftruncate(a->fd, a->pages * page_size));
	refill_code(_metadata, m, a);
	return NULL;
}

/* As at the very beginning, whatever has become of the file */
static void restore_file(struct __test_metadata *_metadata, int fd, unsigned int pages)
{
	ASSERT_EQ(0, ftruncate(fd, pages * page_size));
	ASSERT_TRUE(fill_file(fd, 1, 0, pages));
	ASSERT_EQ(0, fsync(fd));
}

/* Writing, which has to arrive in the file, or what nu_try() does */
static struct nu_outcome access_slot(char *page, unsigned int slot)
{
	unsigned int word = slot_word(slot);
	struct nu_outcome o = { 0 };
	char *p = page + word * sizeof(uint64_t);

	if (slot_access(slot) != NU_WRITE)
		return nu_try(page, word, slot_access(slot));
	o.sig = probe_write(p, slot_value(slot, 1));
	if (o.sig) {
		o.code = nu_fault_code;
		o.at = nu_fault_addr - p;
	}
	return o;
}

/* Each slot is accessed as it is there for, and has to behave as an ordinary mapping */
static void check_slots(struct __test_metadata *_metadata, const struct nu_map *m)
{
	struct nu_outcome got[SLOTS], want[SLOTS];
	uint64_t before[SLOTS];
	char *mirror, what[64];
	unsigned int i;

	for (i = 0; i < SLOTS; i++)
		before[i] = file_word(m->fd, m->page[i].file, slot_word(i));
	for (i = 0; i < SLOTS; i++)
		got[i] = access_slot(nu_at(m, i), i);
	for (i = 0; i < SLOTS; i++) {
		uint64_t value = before[i];

		if (slot_access(i) == NU_WRITE && !got[i].sig)
			value = slot_value(i, 1);
		EXPECT_EQ(value, file_word(m->fd, m->page[i].file, slot_word(i)))
			TH_LOG("slot %u", i);
	}

	mirror = nu_mirror(_metadata, m, 0);
	for (i = 0; i < SLOTS; i++)
		want[i] = access_slot(mirror + i * page_size, i);
	EXPECT_EQ(0, unmap(mirror, SLOTS));
	for (i = 0; i < SLOTS; i++) {
		snprintf(what, sizeof(what), "slot %u, of file page %u", i,
			 m->page[i].file);
		nu_check_outcome(_metadata, what, m->page[i].prot, slot_access(i),
				 &got[i], &want[i]);
		/* This much must be so on any CPU. */
		if (m->page[i].prot == PROT_NONE) {
			EXPECT_EQ(SIGSEGV, got[i].sig) TH_LOG("slot %u", i);
			EXPECT_EQ(SEGV_ACCERR, got[i].code) TH_LOG("slot %u", i);
		}
		if (slot_access(i) == NU_WRITE && !(m->page[i].prot & PROT_WRITE))
			EXPECT_EQ(SIGSEGV, got[i].sig) TH_LOG("slot %u", i);
	}
}

/* All of the above in one state, which @state brings about. Returns why it never did. */
static const char *matrix(struct __test_metadata *_metadata, struct state_args *a,
			  state_fn state, int flags)
{
	const char *reason = NULL;
	unsigned int tested = 0;
	struct nu_map m;
	int how;

	for (a->layout = 0; a->layout < NR_LAYOUTS; a->layout++) {
		for (how = 0; how < NR_HOWS && !reason; how++) {
			map_slots(_metadata, &m, a->fd, a->layout, how, a->pages, flags);
			reason = state ? state(_metadata, &m, a) : NULL;
			if (!reason) {
				check_slots(_metadata, &m);
				nu_check(_metadata, &m);
				nu_check_one(_metadata, &m, ONE_VMA_SLOTS);
				tested++;
			}
			nu_unmap(_metadata, &m);
			restore_file(_metadata, a->fd, a->pages);
		}
	}
	return tested ? NULL : reason;
}

static void test_state(struct __test_metadata *_metadata, struct state_args a,
		       state_fn state, int flags)
{
	const char *reason = matrix(_metadata, &a, state, flags);

	if (reason)
		SKIP(return, "%s", reason);
}

TEST_F_TIMEOUT(nu, never_touched, TEST_SECONDS)
{
	test_state(_metadata, STATE_ARGS, NULL, MAP_NONBLOCK);
}

TEST_F_TIMEOUT(nu, populated, TEST_SECONDS)
{
	test_state(_metadata, STATE_ARGS, NULL, 0);
}

TEST_F_TIMEOUT(nu, present, TEST_SECONDS)
{
	test_state(_metadata, STATE_ARGS, state_present, MAP_NONBLOCK);
}

TEST_F_TIMEOUT(nu, dirty, TEST_SECONDS)
{
	test_state(_metadata, STATE_ARGS, state_dirty, 0);
}

TEST_F_TIMEOUT(nu, paged_out, TEST_SECONDS)
{
	test_state(_metadata, STATE_ARGS, state_paged_out, 0);
}

TEST_F_TIMEOUT(nu, reclaimed, TEST_SECONDS)
{
	test_state(_metadata, STATE_ARGS, state_reclaimed, 0);
}

TEST_F_TIMEOUT(nu, migrated, TEST_SECONDS)
{
	test_state(_metadata, STATE_ARGS, state_migrated, 0);
}

TEST_F_TIMEOUT(nu, hole_punched, TEST_SECONDS)
{
	test_state(_metadata, STATE_ARGS, state_punched, 0);
}

TEST_F_TIMEOUT(nu, truncated, TEST_SECONDS)
{
	test_state(_metadata, STATE_ARGS, state_truncated, 0);
}

TEST_F_TIMEOUT(nu, emptied, TEST_SECONDS)
{
	test_state(_metadata, STATE_ARGS, state_emptied, 0);
}

TEST_F_TIMEOUT(nu, extended, TEST_SECONDS)
{
	test_state(_metadata, STATE_ARGS, state_extended, 0);
}

/*
 * Huge pages of the page cache: the mapping has single pages of one, in any order, and
 * they are found again when it is made, and when it is reclaimed.
 */
TEST_F_TIMEOUT(use, huge_page, TEST_SECONDS)
{
	const unsigned int pages = HPAGE_SIZE / page_size;
	struct state_args a = STATE_ARGS;
	struct nu_map m;
	char *p, *huge;

	if (!variant->fs->swaps)
		SKIP(return, "huge pages of this file system are not made at will");
	a.pages = pages;
	ASSERT_TRUE(fill_file(self->fd, 1, 0, pages));
	map_slots(_metadata, &m, self->fd, PERMUTED, BY_REMAP, pages, 0);
	nu_force(_metadata, m.p, m.nr);

	p = map_prot_none(2 * pages);
	ASSERT_NE(MAP_FAILED, (void *)p);
	huge = (char *)(((unsigned long)p + HPAGE_SIZE - 1) & ~(HPAGE_SIZE - 1UL));
	ASSERT_EQ((void *)huge, (void *)map(huge, pages, RW, MAP_SHARED | MAP_FIXED,
					    self->fd, 0));
	if (madvise(huge, HPAGE_SIZE, MADV_COLLAPSE)) {
		int error = errno;

		unmap(p, 2 * pages);
		nu_unmap(_metadata, &m);
		SKIP(return, "MADV_COLLAPSE: %s", strerror(error));
	}
	check_slots(_metadata, &m);
	nu_check(_metadata, &m);
	nu_check_one(_metadata, &m, ONE_VMA_SLOTS);
	EXPECT_EQ(0, unmap(p, 2 * pages));
	nu_unmap(_metadata, &m);
	restore_file(_metadata, self->fd, pages);

	/* Some rounds without it, with pages of it or of what is left of it */
	EXPECT_EQ(NULL, matrix(_metadata, &a, NULL, MAP_NONBLOCK));
	EXPECT_EQ(NULL, matrix(_metadata, &a, state_present, 0));
	if (!reclaim_obstacle(&a) && !a.no_cgroup)
		EXPECT_EQ(NULL, matrix(_metadata, &a, state_reclaimed, 0));
	EXPECT_EQ(NULL, matrix(_metadata, &a, state_truncated, 0));
}

/* Pages of @p that smaps has behind "KEY:"; ~0UL if there is no such line */
static unsigned long smaps_pages(const char *p, const char *key)
{
	char value[64];

	return nu_smaps(p, key, value, sizeof(value)) ?
	       strtoul(value, NULL, 10) * 1024 / page_size : ~0UL;
}

/*
 * Rule: what is locked stays in memory, and in page tables. That a mapping becomes
 * nonuniform splits its huge pages, and those of a locked one are not to be missed.
 */
TEST_F_TIMEOUT(use, locked_huge_page, TEST_SECONDS)
{
	const unsigned int one = HPAGE_SIZE / page_size, pages = 2 * one;
	char *p, *huge;
	int error;

	if (!variant->fs->swaps)
		SKIP(return, "huge pages of this file system are not made at will");
	if (nu_split_obstacle())
		SKIP(return, "%s", nu_split_obstacle());
	/* And one page more, which nobody else maps */
	ASSERT_TRUE(fill_file(self->fd, 1, 0, pages + 1));
	p = map_prot_none(pages + one);
	ASSERT_NE(MAP_FAILED, (void *)p);
	huge = (char *)(((unsigned long)p + HPAGE_SIZE - 1) & ~(HPAGE_SIZE - 1UL));
	ASSERT_EQ((void *)huge, (void *)map(huge, pages, RW, MAP_SHARED | MAP_FIXED,
					    self->fd, 0));
	error = madvise(huge, 2 * HPAGE_SIZE, MADV_COLLAPSE) ? errno : 0;
	if (error) {
		unmap(p, pages + one);
		SKIP(return, "MADV_COLLAPSE: %s", strerror(error));
	}
	ASSERT_EQ(0, mlock(huge, 2 * HPAGE_SIZE)) TH_LOG("%s", strerror(errno));
	ASSERT_EQ(pages, count_present(huge, pages));
	if (smaps_pages(huge, "ShmemPmdMapped") != pages) {
		unmap(p, pages + one);
		SKIP(return, "huge pages are not mapped as such");
	}
	EXPECT_EQ(pages, smaps_pages(huge, "Locked"));

	ASSERT_EQ(0, nu_remap(self->fd, huge + 7 * page_size, page_size, PROT_READ, pages,
			      MAP_NOINHERIT));
	EXPECT_EQ(1U, count_vmas(huge, pages));
	EXPECT_EQ(0UL, smaps_pages(huge, "ShmemPmdMapped"));
	EXPECT_EQ(pages, count_present(huge, pages));
	EXPECT_EQ(pages, smaps_pages(huge, "Rss"));
	EXPECT_EQ(pages, smaps_pages(huge, "Locked"));

	/* A part of it is protected, which splits nothing any more. */
	ASSERT_EQ(0, mprotect(huge + HPAGE_SIZE, 8 * page_size, PROT_READ));
	EXPECT_EQ(pages, count_present(huge, pages));
	EXPECT_EQ(pages, smaps_pages(huge, "Locked"));
	EXPECT_EQ(0, munlock(huge, 2 * HPAGE_SIZE));
	EXPECT_EQ(0UL, smaps_pages(huge, "Locked"));
	EXPECT_EQ(0, unmap(p, pages + one));
}

/* What can only be executed may have a protection key, and is not populated then. */
static size_t ordinary_is_populated(struct __test_metadata *_metadata, int fd, int prot)
{
	char *p = mmap(NULL, page_size, prot, MAP_SHARED | MAP_POPULATE, fd, 0);
	size_t nr;

	ASSERT_NE(MAP_FAILED, p);
	nr = count_present(p, 1);
	ASSERT_EQ(0, munmap(p, page_size));
	return nr;
}

/* Populating maps what can be accessed at all; MAP_NONBLOCK maps nothing */
TEST_F_TIMEOUT(use, populate, TEST_SECONDS)
{
	struct nu_map m;
	unsigned int i;

	map_slots(_metadata, &m, self->fd, PERMUTED, BY_REMAP, FILE_PAGES, MAP_NONBLOCK);
	EXPECT_EQ(0U, count_present(m.p, m.nr));
	nu_unmap(_metadata, &m);
	map_slots(_metadata, &m, self->fd, PERMUTED, BY_REMAP, FILE_PAGES, 0);
	for (i = 0; i < SLOTS; i++) {
		EXPECT_EQ(ordinary_is_populated(_metadata, self->fd, slot_prot(i)),
			  count_present(nu_at(&m, i), 1))
			TH_LOG("slot %u, %s", i, nu_prot_name(slot_prot(i)));
	}
	nu_unmap(_metadata, &m);
}

/*
 * Reverse mapping: wherever pages are mapped, truncation finds them. This ends with a
 * file that is complete, of @generation.
 */
static void check_rmap(struct __test_metadata *_metadata, struct nu_map *m,
		       unsigned int generation)
{
	unsigned int end = FILE_PAGES / 2, i;
	struct nu_outcome o;

	nu_force(_metadata, m->p, m->nr);
	ASSERT_EQ(0, ftruncate(m->fd, end * page_size));
	check_gone(_metadata, m, end);
	for (i = 0; i < m->nr; i++) {
		if (m->page[i].file < end || !(m->page[i].prot & PROT_READ))
			continue;
		o = nu_try(nu_at(m, i), CODE_WORDS, NU_READ);
		EXPECT_EQ(SIGBUS, o.sig) TH_LOG("page %u", i);
		EXPECT_EQ(BUS_ADRERR, o.code) TH_LOG("page %u", i);
	}
	ASSERT_EQ(0, ftruncate(m->fd, FILE_PAGES * page_size));
	ASSERT_TRUE(fill_file(m->fd, generation, 0, FILE_PAGES));
	nu_check(_metadata, m);
}

/* After fork(), both have the same, and neither what the other one changes later */
TEST_F_TIMEOUT(use, fork, TEST_SECONDS)
{
	int to_child[2], to_parent[2], status;
	struct nu_map m;
	char byte = 0;
	pid_t pid;

	ASSERT_EQ(0, pipe(to_child));
	ASSERT_EQ(0, pipe(to_parent));
	map_slots(_metadata, &m, self->fd, PERMUTED, BY_REMAP, FILE_PAGES, 0);
	nu_force(_metadata, m.p, m.nr / 2);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		nu_check(_metadata, &m);
		nu_check_one(_metadata, &m, ONE_VMA_SLOTS);
		EXPECT_EQ(0, nu_set(&m, 1, 1, 30, PROT_READ, 0));
		EXPECT_EQ(0, nu_set(&m, 4, 2, 28, RW, MAP_NONBLOCK));
		EXPECT_EQ(0, nu_protect(&m, 6, 4, PROT_READ));
		nu_check(_metadata, &m);
		EXPECT_EQ(1, write(to_parent[1], &byte, 1));
		EXPECT_EQ(1, read(to_child[0], &byte, 1));
		/* The parent has changed others. */
		nu_check(_metadata, &m);
		check_rmap(_metadata, &m, 2);
		nu_force(_metadata, m.p, m.nr);
		EXPECT_EQ(1, write(to_parent[1], &byte, 1));
		EXPECT_EQ(1, read(to_child[0], &byte, 1));
		/* What the parent has truncated is gone here, too. */
		EXPECT_EQ(0U, count_present(m.p, m.nr));
		_exit(0);
	}
	ASSERT_EQ(1, read(to_parent[0], &byte, 1));
	nu_check(_metadata, &m);
	check_slots(_metadata, &m);
	EXPECT_EQ(0, nu_set(&m, 10, 3, 3, RW, 0));
	EXPECT_EQ(0, nu_protect(&m, 0, 3, PROT_READ));
	nu_check(_metadata, &m);
	ASSERT_EQ(1, write(to_child[1], &byte, 1));
	ASSERT_EQ(1, read(to_parent[0], &byte, 1));
	/* The child has truncated and extended. */
	nu_check(_metadata, &m);
	check_rmap(_metadata, &m, 3);
	nu_force(_metadata, m.p, m.nr);
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	EXPECT_EQ(0U, count_present(m.p, m.nr));
	ASSERT_EQ(1, write(to_child[1], &byte, 1));
	status = wait_status(pid);
	EXPECT_EQ(0, status);
	restore_file(_metadata, self->fd, FILE_PAGES);
	nu_check(_metadata, &m);
	nu_unmap(_metadata, &m);
	close(to_child[0]);
	close(to_child[1]);
	close(to_parent[0]);
	close(to_parent[1]);
}

/*
 * A mapping that has been moved is the same elsewhere. Not those pages that are VMAs of
 * their own, as mremap() takes one VMA at a time.
 */
TEST_F_TIMEOUT(use, mremap, TEST_SECONDS)
{
	unsigned int nr = ONE_VMA_SLOTS;
	struct nu_map m;
	char *p, *q;

	if (nu_by_mmap)
		SKIP(return, "%s", nu_split_obstacle());
	if (!nu_in_one)
		nr = 1;
	map_slots(_metadata, &m, self->fd, PERMUTED, BY_MPROTECT, FILE_PAGES, 0);
	nu_force(_metadata, m.p, m.nr);
	p = m.p;
	q = map_prot_none(nr);
	ASSERT_NE(MAP_FAILED, (void *)q);
	ASSERT_EQ((void *)q, mremap(p, nr * page_size, nr * page_size,
				    MREMAP_MAYMOVE | MREMAP_FIXED, q));
	EXPECT_EQ(0U, count_vmas(p, nr));
	EXPECT_EQ(0, unmap(p, m.nr));
	m.p = q;
	m.nr = nr;
	/* They have come with their page tables. */
	EXPECT_EQ(nr, count_present(q, nr));
	nu_check(_metadata, &m);
	nu_check_one(_metadata, &m, nr);
	check_rmap(_metadata, &m, 2);
	if (nr > 8) {
		EXPECT_EQ(0, nu_set(&m, 2, 3, 20, RW, 0));
		EXPECT_EQ(0, nu_protect(&m, 4, 4, PROT_READ));
		nu_check(_metadata, &m);
	}
	nu_unmap(_metadata, &m);
}

/* What is left when a part is unmapped is as it was, on both sides */
TEST_F_TIMEOUT(use, munmap_part, TEST_SECONDS)
{
	struct nu_map m, left, right;
	char *hole;

	map_slots(_metadata, &m, self->fd, PERMUTED, BY_REMAP, FILE_PAGES, 0);
	nu_force(_metadata, m.p, m.nr);
	ASSERT_EQ(0, unmap(nu_at(&m, 9), 5));
	left = m;
	left.nr = 9;
	right = m;
	right.p = nu_at(&m, 14);
	right.nr = m.nr - 14;
	memmove(right.page, right.page + 14, right.nr * sizeof(right.page[0]));
	EXPECT_EQ(0U, count_vmas(nu_at(&m, 9), 5));
	nu_check(_metadata, &left);
	nu_check(_metadata, &right);
	check_rmap(_metadata, &left, 2);
	check_rmap(_metadata, &right, 3);

	/* What comes into the hole is linear, as any other mapping. */
	hole = map(nu_at(&m, 9), 5, RW, MAP_SHARED | MAP_FIXED, self->fd, 9);
	ASSERT_EQ((void *)nu_at(&m, 9), (void *)hole);
	nu_expect(&m, 9, 5, 9, RW);
	nu_check(_metadata, &m);
	check_rmap(_metadata, &m, 4);
	nu_check(_metadata, &left);
	EXPECT_EQ(0, nu_set(&left, 3, 2, 17, PROT_READ, 0));
	EXPECT_EQ(0, nu_protect(&right, 2, 2, PROT_READ));
	nu_check(_metadata, &left);
	nu_check(_metadata, &right);
	nu_unmap(_metadata, &m);
}

/* One page of the file at many addresses: who may write writes to all of them */
TEST_F_TIMEOUT(use, aliases, TEST_SECONDS)
{
	const unsigned int word = CODE_WORDS + 20;
	struct nu_outcome o;
	struct nu_map m;
	unsigned int i, j;
	uint64_t value;

	nu_map_file(_metadata, &m, self->fd, 0, SLOTS, RW);
	for (i = 0; i < SLOTS; i++)
		ASSERT_EQ(0, nu_set(&m, i, 1, 13, slot_prot(i), 0));
	for (i = 0; i < SLOTS; i++) {
		char *p = nu_at(&m, i) + word * sizeof(value);
		int sig = probe_write(p, slot_value(i, 1));

		EXPECT_EQ(slot_prot(i) & PROT_WRITE ? 0 : SIGSEGV, sig);
		if (sig)
			continue;
		for (j = 0; j < SLOTS; j++) {
			o = nu_try(nu_at(&m, j), word, NU_READ);
			if (slot_prot(j) & PROT_READ)
				EXPECT_EQ(0, o.sig);
			if (!o.sig)
				EXPECT_EQ(slot_value(i, 1), o.value);
		}
		EXPECT_EQ(slot_value(i, 1), file_word(self->fd, 13, word));
	}
	check_rmap(_metadata, &m, 2);
	nu_unmap(_metadata, &m);
}

/*
 * Pages on the move. Who puts one back in its place holds no lock of the mapping, and
 * goes by what the VMA says just then.
 */

#define MOVED_PAGES	16U
#define MOVE_SECONDS	8

struct mover {
	const struct nu_map *m;
	atomic_bool stop;
	unsigned long moved;
};

/* There and back, until it is told to stop */
static void *move_thread(void *arg)
{
	int nodes[MOVED_PAGES], status[MOVED_PAGES], node = 0;
	void *pages[MOVED_PAGES];
	struct mover *w = arg;
	cpu_set_t all;
	unsigned int i;

	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
	while (!atomic_load(&w->stop)) {
		node = !node;
		for (i = 0; i < MOVED_PAGES; i++) {
			pages[i] = nu_at(w->m, i);
			nodes[i] = node;
			status[i] = -1;
		}
		syscall(SYS_move_pages, 0, MOVED_PAGES, pages, nodes, status,
			MPOL_MF_MOVE_ALL);
		for (i = 0; i < MOVED_PAGES; i++)
			w->moved += status[i] == node;
	}
	return NULL;
}

/*
 * Each page allows what it is there for, and no more. Whoever finds a page that allows too
 * little faults for ever: then the time limit of the test ends it.
 */
static void check_moving(struct __test_metadata *_metadata, const struct nu_map *m)
{
	struct nu_outcome o;
	enum nu_access a;
	unsigned int i;

	for (i = 0; i < m->nr; i++) {
		const int prot = m->page[i].prot;
		const bool may[NR_ACCESSES] = {
			[NU_READ] = prot & PROT_READ, [NU_WRITE] = prot & PROT_WRITE,
			[NU_EXEC] = prot & PROT_EXEC,
		};

		for (a = 0; a < NR_ACCESSES; a++) {
			if (a == NU_EXEC && !HAS_CODE)
				continue;
			o = nu_try(nu_at(m, i), CODE_WORDS, a);
			EXPECT_EQ(may[a] ? 0 : SIGSEGV, o.sig)
				TH_LOG("page %u, %s, %s", i, nu_prot_name(prot),
				       nu_access_names[a]);
			if (o.sig)
				continue;
			EXPECT_EQ(a == NU_EXEC ? code_result(1, m->page[i].file) :
						 word_of(1, m->page[i].file, CODE_WORDS),
				  o.value)
				TH_LOG("page %u, %s, %s", i, nu_prot_name(prot),
				       nu_access_names[a]);
		}
	}
}

/*
 * Rule: a page that is moved while its VMA becomes nonuniform, with flags that are less
 * than what the page allows, has what its extent says when it is back: all of that, and
 * nothing else. So it is when its protection changes meanwhile.
 */
TEST_F_TIMEOUT(use, migrate_and_convert, TEST_SECONDS)
{
	static const int less[] = {
		PROT_READ, PROT_NONE, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE,
	};
	unsigned int rounds = 0, first;
	struct mover w = { 0 };
	struct nu_map m;
	pthread_t thread;
	time_t end;
	char *p;

	if (geteuid())
		SKIP(return, "to move the pages of others is only for root");
	if (!has_node(1))
		SKIP(return, "one node only: there is nowhere to move a page to");
	nu_map_file(_metadata, &m, self->fd, 0, MOVED_PAGES, PROT_ALL);
	w.m = &m;
	ASSERT_EQ(0, pthread_create(&thread, NULL, move_thread, &w));
	for (end = time(NULL) + MOVE_SECONDS; time(NULL) < end; rounds++) {
		/* An ordinary mapping, in which each page allows everything */
		p = map(m.p, m.nr, PROT_ALL, MAP_SHARED | MAP_FIXED, self->fd, 0);
		ASSERT_EQ((void *)m.p, (void *)p);
		nu_expect(&m, 0, m.nr, 0, PROT_ALL);
		check_moving(_metadata, &m);

		first = rounds % (m.nr - 4);
		ASSERT_EQ(0, nu_set(&m, first, 1, (rounds * 7 + 3) % FILE_PAGES,
				    less[rounds % ARRAY_SIZE(less)], MAP_NONBLOCK));
		check_moving(_metadata, &m);
		ASSERT_EQ(0, nu_protect(&m, first + 1, 3, PROT_READ));
		check_moving(_metadata, &m);
		ASSERT_EQ(0, nu_protect(&m, first + 2, 1, PROT_ALL));
		check_moving(_metadata, &m);
		/* All of them at once: then the VMA has all there is, too. */
		ASSERT_EQ(0, nu_protect(&m, 0, m.nr, PROT_ALL));
		check_moving(_metadata, &m);
		if (!__test_passed(_metadata))
			break;
	}
	atomic_store(&w.stop, true);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	TH_LOG("%u rounds, pages have arrived %lu times", rounds, w.moved);
	EXPECT_LT(0UL, w.moved);
	nu_check(_metadata, &m);
	nu_unmap(_metadata, &m);
}

/*
 * What is written gets to the disk
 */

enum clean { BY_MSYNC, BY_FSYNC, BY_RANGE, NR_CLEANS };

static const char * const clean_names[] = { "msync", "fsync", "sync_file_range" };

static int clean_pages(const struct nu_map *m, enum clean how)
{
	switch (how) {
	case BY_MSYNC:
		return msync(m->p, m->nr * page_size, MS_SYNC);
	case BY_FSYNC:
		return fsync(m->fd);
	default:
		return sync_file_range(m->fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE |
				       SYNC_FILE_RANGE_WRITE |
				       SYNC_FILE_RANGE_WAIT_AFTER);
	}
}

static void write_slots(struct __test_metadata *_metadata, struct nu_map *m,
			unsigned int generation)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		char *p = nu_at(m, i) + slot_word(i) * sizeof(uint64_t);

		EXPECT_EQ(slot_prot(i) & PROT_WRITE ? 0 : SIGSEGV,
			  probe_write(p, slot_value(i, generation)))
			TH_LOG("slot %u, %s, generation %u", i,
			       nu_prot_name(slot_prot(i)), generation);
	}
}

/* By read(): what that finds in memory need not be on the disk. */
static void check_written(struct __test_metadata *_metadata, const struct nu_map *m,
			  unsigned int generation)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		unsigned int page = m->page[i].file, word = slot_word(i);

		EXPECT_EQ(slot_prot(i) & PROT_WRITE ? slot_value(i, generation) :
						      word_of(1, page, word),
			  file_word(m->fd, page, word))
			TH_LOG("slot %u, %s, generation %u", i,
			       nu_prot_name(slot_prot(i)), generation);
	}
}

/*
 * Forget each page of the file that is clean. What is in a page table first gets out of
 * it: if it has been written to since it was cleaned, nobody noticed so far, but now it
 * is dirty. Returns how many pages stay in memory, after @rounds attempts at most.
 */
static unsigned int drop_clean(struct __test_metadata *_metadata, const struct nu_map *m,
			       unsigned int rounds)
{
	unsigned int i, cached = ~0U;

	ASSERT_EQ(0, madvise(m->p, m->nr * page_size, MADV_DONTNEED));
	for (i = 0; i < rounds && cached; i++) {
		if (i)
			usleep(PAGE_WAIT);
		ASSERT_TRUE(write_file("/proc/sys/vm/drop_caches", "1"));
		cached = count_cached(m->fd, FILE_PAGES);
	}
	return cached;
}

/* How many pages of the file can be written to by way of @m */
static unsigned int count_writable(const struct nu_map *m)
{
	bool writable[FILE_PAGES] = { 0 };
	unsigned int i, nr = 0;

	for (i = 0; i < m->nr; i++)
		writable[m->page[i].file] |= m->page[i].prot & PROT_WRITE;
	for (i = 0; i < FILE_PAGES; i++)
		nr += writable[i];
	return nr;
}

/*
 * Rule: msync() and the like write what has been written by way of any extent. Once a
 * page is clean, the next write is noticed: a page table entry that was not found, and
 * stayed writable, would make it be lost.
 *
 * Nothing here asks for the file in a way that would write it: a page that is in memory
 * still is not clean, and what is not is read from the disk.
 */
TEST_F_TIMEOUT(nu, writeback, TEST_SECONDS)
{
	unsigned int generation = 1, i;
	int layout, how;
	struct nu_map m;

	if (!variant->fs->disk)
		SKIP(return, "this file system has no disk");
	for (layout = 0; layout < NR_LAYOUTS; layout++) {
		map_slots(_metadata, &m, self->fd, layout, BY_REMAP, FILE_PAGES, 0);
		/* What is not clean is not forgotten. */
		write_slots(_metadata, &m, ++generation);
		EXPECT_LE(count_writable(&m), drop_clean(_metadata, &m, 3));
		for (how = 0; how < NR_CLEANS; how++) {
			/* The first time it is clean or not; then it has been cleaned. */
			for (i = 0; i < 3; i++) {
				write_slots(_metadata, &m, ++generation);
				ASSERT_EQ(0, clean_pages(&m, how));
				check_written(_metadata, &m, generation);
			}
			EXPECT_EQ(0U, drop_clean(_metadata, &m, PAGE_ROUNDS))
				TH_LOG("%s", clean_names[how]);
			check_written(_metadata, &m, generation);
		}
		nu_unmap(_metadata, &m);
		restore_file(_metadata, self->fd, FILE_PAGES);
	}
}

/* Rule: what is dirty in page tables only is not lost when it is reclaimed by advice. */
TEST_F_TIMEOUT(nu, page_out_dirty, TEST_SECONDS)
{
	struct state_args a = STATE_ARGS;
	const char *reason = reclaim_obstacle(&a);
	struct nu_map m;
	unsigned int i;

	if (reason)
		SKIP(return, "%s", reason);
	map_slots(_metadata, &m, self->fd, PERMUTED, BY_REMAP, FILE_PAGES, 0);
	for (i = 2; i < 5; i++) {
		write_slots(_metadata, &m, i);
		EXPECT_EQ(0U, page_out(_metadata, &m, a.disk)) TH_LOG("generation %u", i);
		check_written(_metadata, &m, i);
		nu_check(_metadata, &m);
	}
	nu_unmap(_metadata, &m);
}

/* Rule: nor when memory is short, whichever way the pages are found then. */
TEST_F_TIMEOUT(nu, reclaim_dirty, TEST_SECONDS)
{
	struct state_args a = STATE_ARGS;
	const char *reason = reclaim_obstacle(&a) ?: a.no_cgroup;
	unsigned int i, j, layout, cached;
	struct nu_map m;

	if (reason)
		SKIP(return, "%s", reason);
	for (layout = 0; layout < NR_LAYOUTS; layout++) {
		map_slots(_metadata, &m, self->fd, layout, BY_REMAP, FILE_PAGES, 0);
		for (i = 2; i < 5; i++) {
			write_slots(_metadata, &m, i);
			cached = FILE_PAGES;
			for (j = 0; j < RECLAIM_ROUNDS && cached; j++) {
				if (a.disk)
					start_writing(self->fd);
				usleep(PAGE_WAIT);
				nu_reclaim();
				cached = count_cached(self->fd, FILE_PAGES);
			}
			/* A page may be in use at some moment, but not most of them. */
			EXPECT_GT(FILE_PAGES / 2, cached) TH_LOG("generation %u", i);
			check_written(_metadata, &m, i);
			nu_check(_metadata, &m);
		}
		nu_unmap(_metadata, &m);
		restore_file(_metadata, self->fd, FILE_PAGES);
	}
}

/*
 * Rule: nor when it is unmapped. Unmounting writes what nobody has written before, and
 * forgets the rest.
 */
TEST_F_TIMEOUT(nu, unmap_dirty, TEST_SECONDS)
{
	struct nu_map m;

	if (!variant->fs->disk)
		SKIP(return, "this file system has no disk");
	map_slots(_metadata, &m, self->fd, PERMUTED, BY_REMAP, FILE_PAGES, 0);
	write_slots(_metadata, &m, 2);
	nu_unmap(_metadata, &m);
	close(self->fd);
	ASSERT_EQ(0, nu_umount());
	ASSERT_EQ(0, nu_mount(variant->fs, 0));
	self->fd = open(nu_file, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
	m.fd = self->fd;
	check_written(_metadata, &m, 2);
}

/*
 * Access by system calls, and by the kernel for somebody else: as with an ordinary
 * mapping with these protections
 */

/* What @page of a pipe or a file is read from, or written to */
static int scratch = -1, ring = -1;
static uint64_t next_value = 0xabcd000000000000ULL;

/* Each returns what the call does, or -errno, and says what it has read or written */
typedef long (*call_fn)(char *p, size_t len, uint64_t *value);

static long result(long ret)
{
	return ret < 0 ? -errno : ret;
}

static long call_process_vm_readv(char *p, size_t len, uint64_t *value)
{
	static uint64_t buf[8192 * SLOTS];
	struct iovec local = { buf, len }, remote = { p, len };
	long ret;

	buf[0] = 0;
	ret = result(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	*value = buf[0];
	return ret;
}

static long call_process_vm_writev(char *p, size_t len, uint64_t *value)
{
	struct iovec local = { value, sizeof(*value) };
	struct iovec remote = { p, sizeof(*value) };

	(void)len;
	return result(process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
}

static long call_mem_read(char *p, size_t len, uint64_t *value)
{
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	long ret;

	(void)len;
	*value = 0;
	ret = result(pread(fd, value, sizeof(*value), (unsigned long)p));
	close(fd);
	return ret;
}

static long call_mem_write(char *p, size_t len, uint64_t *value)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	long ret = result(pwrite(fd, value, sizeof(*value), (unsigned long)p));

	(void)len;
	close(fd);
	return ret;
}

/* write() reads */
static long call_write(char *p, size_t len, uint64_t *value)
{
	long ret = result(pwrite(scratch, p, len, 0));

	if (ret < (long)sizeof(*value) ||
	    pread(scratch, value, sizeof(*value), 0) != sizeof(*value))
		*value = 0;
	return ret;
}

/* and read() writes */
static long call_read(char *p, size_t len, uint64_t *value)
{
	(void)len;
	if (pwrite(scratch, value, sizeof(*value), 0) != sizeof(*value))
		return -EIO;
	return result(pread(scratch, p, sizeof(*value), 0));
}

static long call_futex_wake(char *p, size_t len, uint64_t *value)
{
	(void)len;
	(void)value;
	return result(syscall(SYS_futex, p, FUTEX_WAKE, 1, NULL, NULL, 0));
}

/* Compares, and does not wait if it differs, as it does where the page can be read */
static long call_futex_wait(char *p, size_t len, uint64_t *value)
{
	struct timespec timeout = { 0 };

	(void)len;
	(void)value;
	return result(syscall(SYS_futex, p, FUTEX_WAIT, 0x12345678, &timeout, NULL, 0));
}

/* Atomically writes to one */
static long call_futex_wake_op(char *p, size_t len, uint64_t *value)
{
	static uint32_t other;

	(void)len;
	(void)value;
	return result(syscall(SYS_futex, &other, FUTEX_WAKE_OP, 1, 0, p,
			      FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0)));
}

/* Pins it for long, for writing */
static long call_register_buffer(char *p, size_t len, uint64_t *value)
{
	struct iovec iov = { p, page_size };
	long ret;

	(void)len;
	(void)value;
	ret = result(syscall(__NR_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1));
	if (!ret)
		syscall(__NR_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0);
	return ret;
}

static long call_populate_read(char *p, size_t len, uint64_t *value)
{
	(void)value;
	return result(madvise(p, len, MADV_POPULATE_READ));
}

static long call_populate_write(char *p, size_t len, uint64_t *value)
{
	(void)value;
	return result(madvise(p, len, MADV_POPULATE_WRITE));
}

static long call_mincore(char *p, size_t len, uint64_t *value)
{
	unsigned char vec[SLOTS];

	*value = 0;
	return result(mincore(p, len, vec)) ?: vec[0] & 1;
}

struct user_call {
	const char *name;
	call_fn call;
	bool writes;
	bool pages;		/* is for whole pages */
	bool range;		/* can be asked of several pages at once */
};

static const struct user_call calls[] = {
	{ .name = "process_vm_readv", .call = call_process_vm_readv, .range = true },
	{ .name = "process_vm_writev", .call = call_process_vm_writev, .writes = true },
	{ .name = "/proc/self/mem, read", .call = call_mem_read },
	{ .name = "/proc/self/mem, write", .call = call_mem_write, .writes = true },
	{ .name = "write", .call = call_write, .range = true },
	{ .name = "read", .call = call_read, .writes = true },
	{ .name = "FUTEX_WAKE", .call = call_futex_wake },
	{ .name = "FUTEX_WAIT", .call = call_futex_wait },
	{ .name = "FUTEX_WAKE_OP", .call = call_futex_wake_op },
	{ .name = "MADV_POPULATE_READ", .call = call_populate_read, .pages = true,
	  .range = true },
	{ .name = "MADV_POPULATE_WRITE", .call = call_populate_write, .pages = true,
	  .range = true },
	{ .name = "mincore", .call = call_mincore, .pages = true },
};

static const struct user_call register_buffer = {
	.name = "IORING_REGISTER_BUFFERS", .call = call_register_buffer, .pages = true,
};

/* What a call finds in page tables: nothing, or all there is */
static void prepare_pages(struct __test_metadata *_metadata, char *p, unsigned int pages,
			  bool present)
{
	ASSERT_EQ(0, madvise(p, pages * page_size, MADV_DONTNEED));
	if (present)
		nu_force(_metadata, p, pages);
	EXPECT_EQ(present ? pages : 0U, count_present(p, pages));
}

/* The result for each page, and for the ranges that begin with it */
static void check_call(struct __test_metadata *_metadata, const struct nu_map *m,
		       const struct user_call *c, bool present)
{
	char *mirror = nu_mirror(_metadata, m, 0);
	unsigned int slot, len;

	for (slot = 0; slot < SLOTS; slot++) {
		size_t at = slot * page_size;
		unsigned int file = m->page[slot].file;
		uint64_t value = ++next_value, other = value, before;
		size_t size = page_size;
		long got, want;

		if (!c->pages) {
			at += slot_word(slot) * sizeof(uint64_t);
			size = page_size / 2;
		}
		prepare_pages(_metadata, nu_at(m, slot), 1, present);
		prepare_pages(_metadata, mirror + slot * page_size, 1, present);
		before = file_word(m->fd, file, slot_word(slot));
		got = c->call(m->p + at, size, &value);
		if (c->writes)
			EXPECT_EQ(got > 0 ? value : before,
				  file_word(m->fd, file, slot_word(slot)))
				TH_LOG("%s, slot %u", c->name, slot);
		want = c->call(mirror + at, size, &other);
		EXPECT_EQ(want, got)
			TH_LOG("%s, slot %u, %s", c->name, slot,
			       nu_prot_name(m->page[slot].prot));
		EXPECT_EQ(other, value)
			TH_LOG("%s, slot %u, %s", c->name, slot,
			       nu_prot_name(m->page[slot].prot));
	}
	for (slot = 0; c->range && slot < SLOTS; slot += 2) {
		char *p = nu_at(m, slot), *q = mirror + slot * page_size;
		uint64_t value = 0, other = 0;
		long got, want;

		len = SLOTS - slot < 7 ? SLOTS - slot : 7;
		prepare_pages(_metadata, p, len, present);
		prepare_pages(_metadata, q, len, present);
		got = c->call(p, len * page_size, &value);
		want = c->call(q, len * page_size, &other);
		EXPECT_EQ(want, got)
			TH_LOG("%s, slots %u to %u", c->name, slot, slot + len - 1);
	}
	EXPECT_EQ(0, unmap(mirror, SLOTS));
}

static void check_calls(struct __test_metadata *_metadata, int fd,
			const struct user_call *c, size_t nr)
{
	struct nu_map m;
	int layout;
	size_t i;

	for (layout = 0; layout < NR_LAYOUTS; layout++) {
		map_slots(_metadata, &m, fd, layout, BY_REMAP, FILE_PAGES, MAP_NONBLOCK);
		for (i = 0; i < nr; i++) {
			check_call(_metadata, &m, &c[i], false);
			check_call(_metadata, &m, &c[i], true);
		}
		nu_check(_metadata, &m);
		nu_unmap(_metadata, &m);
	}
}

/*
 * Rule: the kernel gets to a page on behalf of a process as it gets to one of an ordinary
 * mapping with this protection, whether the page is there already, or has to be found.
 */
TEST_F_TIMEOUT(use, system_calls, TEST_SECONDS)
{
	scratch = memfd_create("scratch", MFD_CLOEXEC);
	ASSERT_LE(0, scratch);
	check_calls(_metadata, self->fd, calls, ARRAY_SIZE(calls));
	close(scratch);
}

/* Rule: so does who pins it for long. */
TEST_F_TIMEOUT(use, register_buffers, TEST_SECONDS)
{
	struct io_uring_params params = { 0 };

	ring = syscall(__NR_io_uring_setup, 1, &params);
	if (ring < 0)
		SKIP(return, "io_uring_setup(): %s", strerror(errno));
	check_calls(_metadata, self->fd, &register_buffer, 1);
	close(ring);
}

/* A buffer that io_uring writes to is the page that it was when it was registered */
TEST_F_TIMEOUT(use, io_uring, TEST_SECONDS)
{
	struct io_uring_params params = { 0 };
	const uint64_t value = 0x10f0000000000001ULL;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqe;
	struct nu_map m;
	struct iovec iov;
	size_t ring_size;
	char *rings;
	int fd;

	fd = syscall(__NR_io_uring_setup, 1, &params);
	if (fd < 0)
		SKIP(return, "io_uring_setup(): %s", strerror(errno));
	if (!(params.features & IORING_FEAT_SINGLE_MMAP))
		SKIP(return, "this io_uring has two mappings for its rings");
	ring_size = params.cq_off.cqes + params.cq_entries * sizeof(*cqe);
	rings = mmap(NULL, ring_size, RW, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	ASSERT_NE(MAP_FAILED, (void *)rings);
	sqes = mmap(NULL, sizeof(*sqes), RW, MAP_SHARED, fd, IORING_OFF_SQES);
	ASSERT_NE(MAP_FAILED, (void *)sqes);
	scratch = memfd_create("scratch", MFD_CLOEXEC);
	ASSERT_LE(0, scratch);
	ASSERT_EQ((ssize_t)sizeof(value), pwrite(scratch, &value, sizeof(value), 0));

	map_slots(_metadata, &m, self->fd, PERMUTED, BY_REMAP, FILE_PAGES, 0);
	ASSERT_EQ(0, nu_set(&m, 3, 1, 29, RW, 0));
	iov = (struct iovec){ nu_at(&m, 3), page_size };
	if (syscall(__NR_io_uring_register, fd, IORING_REGISTER_BUFFERS, &iov, 1)) {
		int error = errno;

		close(fd);
		munmap(sqes, sizeof(*sqes));
		munmap(rings, ring_size);
		nu_unmap(_metadata, &m);
		SKIP(return, "pages of this file cannot be pinned for long: %s",
		     strerror(error));
	}
	/* From now on, this address is another page. */
	ASSERT_EQ(0, nu_set(&m, 3, 1, 31, PROT_READ, 0));

	memset(sqes, 0, sizeof(*sqes));
	sqes->opcode = IORING_OP_READ_FIXED;
	sqes->fd = scratch;
	sqes->addr = (unsigned long)iov.iov_base + 16 * sizeof(value);
	sqes->len = sizeof(value);
	*(uint32_t *)(rings + params.sq_off.array) = 0;
	__atomic_store_n((uint32_t *)(rings + params.sq_off.tail), 1, __ATOMIC_RELEASE);
	ASSERT_EQ(1, syscall(__NR_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	cqe = (struct io_uring_cqe *)(rings + params.cq_off.cqes);
	EXPECT_EQ((int)sizeof(value), cqe->res);
	EXPECT_EQ(value, file_word(self->fd, 29, 16));
	EXPECT_EQ(word_of(1, 31, 16), file_word(self->fd, 31, 16));
	nu_check(_metadata, &m);
	munmap(sqes, sizeof(*sqes));
	munmap(rings, ring_size);
	close(fd);
	nu_unmap(_metadata, &m);
	close(scratch);
}

/* A futex is a page of a file, not an address */
struct waiter {
	uint32_t *futex;
	uint32_t value;
	atomic_int ret;
};

static void *wait_thread(void *arg)
{
	struct timespec timeout = { .tv_sec = 20 };
	struct waiter *w = arg;

	w->ret = result(syscall(SYS_futex, w->futex, FUTEX_WAIT, w->value, &timeout, NULL,
				0));
	return NULL;
}

TEST_F_TIMEOUT(use, futex, TEST_SECONDS)
{
	const unsigned int slot = 2 * NR_ACCESSES + 1, word = slot_word(slot);
	struct waiter w = { .ret = 1 };
	uint32_t *wake[3], *wrong;
	struct nu_map m;
	pthread_t thread;
	unsigned int i;
	char *p, *q;

	map_slots(_metadata, &m, self->fd, PERMUTED, BY_REMAP, FILE_PAGES, 0);
	ASSERT_EQ(0, nu_set(&m, slot, 1, 17, PROT_READ, 0));
	ASSERT_EQ(0, nu_set(&m, 0, 1, 17, RW, 0));
	ASSERT_EQ(0, nu_set(&m, 1, 1, 18, RW, 0));
	p = map(NULL, 1, RW, MAP_SHARED, self->fd, 17);
	ASSERT_NE(MAP_FAILED, (void *)p);
	/* The page that it would be in a linear mapping has nothing to do with it. */
	q = map(NULL, 1, RW, MAP_SHARED, self->fd, slot);
	ASSERT_NE(MAP_FAILED, (void *)q);
	wake[0] = (uint32_t *)(p + word * sizeof(uint64_t));
	wake[1] = (uint32_t *)(nu_at(&m, 0) + word * sizeof(uint64_t));
	wake[2] = (uint32_t *)(nu_at(&m, slot) + word * sizeof(uint64_t));
	wrong = (uint32_t *)(q + word * sizeof(uint64_t));

	for (i = 0; i < ARRAY_SIZE(wake); i++) {
		long woken = 0, tries;

		w.futex = wake[2];
		w.value = *wake[0];
		w.ret = 1;
		ASSERT_EQ(0, pthread_create(&thread, NULL, wait_thread, &w));
		for (tries = 0; tries < 2000 && !woken && w.ret == 1; tries++) {
			EXPECT_EQ(0, result(syscall(SYS_futex, wrong, FUTEX_WAKE, 1, NULL,
						    NULL, 0)));
			woken = result(syscall(SYS_futex, wake[i], FUTEX_WAKE, 1, NULL,
					       NULL, 0));
			ASSERT_LE(0, woken);
			usleep(5000);
		}
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(1, woken) TH_LOG("wake by address %u", i);
		EXPECT_EQ(0, w.ret) TH_LOG("wake by address %u", i);
	}
	EXPECT_EQ(0, unmap(p, 1));
	EXPECT_EQ(0, unmap(q, 1));
	nu_unmap(_metadata, &m);
}

/* A debugger gets to where the program itself does not, but writes only where that may */
TEST_F_TIMEOUT(use, ptrace, TEST_SECONDS)
{
	struct nu_map m;
	unsigned int i;
	char *mirror;
	int status;
	pid_t pid;

	map_slots(_metadata, &m, self->fd, PERMUTED, BY_REMAP, FILE_PAGES, MAP_NONBLOCK);
	mirror = nu_mirror(_metadata, &m, 0);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
	for (i = 0; i < SLOTS; i++) {
		size_t at = i * page_size + slot_word(i) * sizeof(uint64_t);
		unsigned int file = m.page[i].file;
		uint64_t before = file_word(self->fd, file, slot_word(i));
		uint64_t value = slot_value(i, 3);
		long got, want;

		errno = 0;
		EXPECT_EQ(before, (uint64_t)ptrace(PTRACE_PEEKDATA, pid, m.p + at, NULL));
		EXPECT_EQ(0, errno) TH_LOG("slot %u", i);
		got = result(ptrace(PTRACE_POKEDATA, pid, m.p + at, value));
		EXPECT_EQ(got ? before : value, file_word(self->fd, file, slot_word(i)))
			TH_LOG("slot %u", i);
		want = result(ptrace(PTRACE_POKEDATA, pid, mirror + at, value));
		EXPECT_EQ(want, got) TH_LOG("slot %u, %s", i, nu_prot_name(slot_prot(i)));
		EXPECT_EQ(slot_prot(i) & PROT_WRITE, got ? 0 : PROT_WRITE)
			TH_LOG("slot %u, %s", i, nu_prot_name(slot_prot(i)));
	}
	EXPECT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, NULL));
	EXPECT_EQ(0, wait_status(pid));
	nu_check(_metadata, &m);
	EXPECT_EQ(0, unmap(mirror, SLOTS));
	nu_unmap(_metadata, &m);
}

int main(int argc, char **argv)
{
	nu_init();
	nu_make_root();
	nu_cgroup_name();
	return test_harness_run(argc, argv);
}
