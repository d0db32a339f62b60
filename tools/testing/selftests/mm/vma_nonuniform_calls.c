// SPDX-License-Identifier: GPL-2.0
/*
 * The call that makes nonuniform mappings, each of its errors, and what other calls make
 * of such a mapping. After each of them, whether it succeeded or not, every page is what
 * it has to be: what it maps, and what may be done with it.
 *
 * With --legacy-table, nothing is tested. A table of calls without MAP_NOINHERIT and
 * their outcome is printed, which has to be the same on a kernel without nonuniform
 * mappings.
 *
 * VMA_NONUNIFORM_PAGES in the environment is how many pages the test "many" maps one by
 * one.
 */
#define _GNU_SOURCE
#include <linux/aio_abi.h>
#include <linux/elf.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include "vma_nonuniform.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE			65
#define PR_MDWE_REFUSE_EXEC_GAIN	1
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE		0x0010
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED		24
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE		101
#endif
#ifndef __NR_mseal
#define __NR_mseal			462
#endif
#ifndef __NR_set_mempolicy_home_node
#define __NR_set_mempolicy_home_node	450
#endif

#define PAGES_VARIABLE		"VMA_NONUNIFORM_PAGES"

/* More than the mappings that a process may have, 65530 */
#define MANY_PAGES		65600U

#define FILE_PAGES		64U
#define PAGES			24U

/* Where the mapping begins in the file: that it is not 0 makes a difference. */
#define BASE			8U

static int result(long ret)
{
	return ret < 0 ? errno : 0;
}

/* A few pages, each of its own kind, next to some that are linear still */
static void scramble(struct __test_metadata *_metadata, struct nu_map *m)
{
	const int prots[] = {
		PROT_READ, RW, PROT_NONE, PROT_READ | PROT_EXEC, PROT_WRITE, PROT_ALL,
	};
	unsigned int i;

	for (i = 1; i < m->nr; i++)
		if (i % 5 && i + 3 < m->nr)
			ASSERT_EQ(0, nu_set(m, i, 1, i * 11 % FILE_PAGES,
					    prots[i % ARRAY_SIZE(prots)],
					    i % 2 ? MAP_NONBLOCK : 0));
}

FIXTURE(call)
{
	int fd;
	struct nu_map m;
};

static void setup_file(struct __test_metadata *_metadata, int *fd)
{
	*fd = memfd_create("vma_nonuniform", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_LE(0, *fd);
	ASSERT_TRUE(fill_file(*fd, 1, 0, FILE_PAGES));
}

FIXTURE_SETUP(call)
{
	const char *reason;

	nu_probe_init();
	reason = nu_obstacle();
	if (reason)
		SKIP(return, "%s", reason);
	setup_file(_metadata, &self->fd);
	nu_map_file(_metadata, &self->m, self->fd, BASE, PAGES, RW);
	scramble(_metadata, &self->m);
}

FIXTURE_TEARDOWN(call)
{
	unmap(self->m.p, self->m.nr);
	close(self->fd);
}

/* It is one VMA still, and /proc says what is expected */
static void check_all(struct __test_metadata *_metadata, const struct nu_map *m)
{
	nu_check(_metadata, m);
	if (nu_split_obstacle())
		return;
	EXPECT_EQ(1U, count_vmas(m->p, m->nr));
	nu_check_listed(_metadata, m);
}

/* A call has failed, and has changed nothing. */
static void expect_refused(struct __test_metadata *_metadata, int want, int got,
			   const struct nu_map *m)
{
	EXPECT_EQ(want, got) TH_LOG("%s", strerror(got));
	nu_check(_metadata, m);
}

#define EXPECT_REFUSED(error, call, map)					\
	expect_refused(_metadata, error, call, map)

/* The call itself; what nu_set() would expect of it is nothing */
static int remap_bytes(char *p, size_t len, unsigned long prot, unsigned long pgoff,
		       unsigned long flags)
{
	return result(syscall(SYS_remap_file_pages, p, len, prot, pgoff, flags));
}

/*
 * Where there can be no ordinary mapping to compare it with. Where a page can be written
 * it can be read, and no page is for executing alone.
 */
static void check_alone(struct __test_metadata *_metadata, const struct nu_map *m)
{
	struct nu_outcome o;
	unsigned int i;

	for (i = 0; i < m->nr; i++) {
		o = nu_try(nu_at(m, i), CODE_WORDS, NU_READ);
		EXPECT_EQ(m->page[i].prot & PROT_READ ? 0 : SIGSEGV, o.sig)
			TH_LOG("page %u", i);
		if (!o.sig)
			EXPECT_EQ(word_of(1, m->page[i].file, CODE_WORDS), o.value)
				TH_LOG("page %u", i);
		o = nu_try(nu_at(m, i), CODE_WORDS, NU_WRITE);
		EXPECT_EQ(m->page[i].prot & PROT_WRITE ? 0 : SIGSEGV, o.sig)
			TH_LOG("page %u", i);
	}
}

/*
 * remap_file_pages()
 */

TEST_F_TIMEOUT(call, one_vma, TEST_SECONDS)
{
	const char *reason = nu_split_obstacle();
	char value[256];
	unsigned int i;

	if (reason)
		SKIP(return, "%s", reason);
	check_all(_metadata, &self->m);
	/* What is resident is what is in page tables. */
	nu_force(_metadata, self->m.p, self->m.nr);
	ASSERT_TRUE(nu_smaps(self->m.p, "Rss", value, sizeof(value)));
	EXPECT_EQ(PAGES * page_size / 1024, strtoul(value, NULL, 10));

	/* Linear again, with the protection that all of it had: one extent */
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(0, nu_set(&self->m, i, 1, BASE + i, RW, MAP_NONBLOCK));
	check_all(_metadata, &self->m);
	ASSERT_TRUE(nu_smaps(self->m.p, "Extents", value, sizeof(value)));
	EXPECT_EQ(1UL, strtoul(value, NULL, 10));
}

/* Ranges of all lengths, over each other */
TEST_F_TIMEOUT(call, ranges, TEST_SECONDS)
{
	uint32_t random = RANDOM_SEED;
	unsigned int i, first, nr, file;

	for (i = 0; i < 300; i++) {
		first = next_random(&random) % PAGES;
		nr = 1 + next_random(&random) % (PAGES - first);
		/* Beyond the end of the file is no error. */
		file = next_random(&random) % (FILE_PAGES + 4);
		/* Now and then where it is linear, or goes on where its neighbour ends */
		if (i % 3 == 0)
			file = BASE + first;
		else if (i % 3 == 1 && first)
			file = self->m.page[first - 1].file + 1;
		if (next_random(&random) % 3) {
			int prot = next_random(&random) % NR_PROTS;

			if (prot == PROT_EXEC && nu_exec_only)
				prot = PROT_NONE;
			ASSERT_EQ(0, nu_set(&self->m, first, nr, file, prot,
					    i % 2 ? MAP_NONBLOCK : 0));
		} else {
			int prot = self->m.page[first].prot | PROT_READ;

			ASSERT_EQ(0, nu_protect(&self->m, first, nr, prot));
		}
		if (i % 10 == 9)
			check_all(_metadata, &self->m);
	}
}

/* Not a page boundary: both are rounded down */
TEST_F_TIMEOUT(call, rounding, TEST_SECONDS)
{
	struct nu_map *m = &self->m;

	if (nu_by_mmap)
		SKIP(return, "%s", nu_split_obstacle());
	EXPECT_EQ(0, remap_bytes(nu_at(m, 2) + 100, page_size + 200, PROT_READ, 50,
				 MAP_NOINHERIT));
	nu_expect(m, 2, 1, 50, PROT_READ);
	EXPECT_EQ(0, remap_bytes(nu_at(m, 4) + page_size - 1, 3 * page_size - 1, RW, 40,
				 MAP_NOINHERIT | MAP_NONBLOCK));
	nu_expect(m, 4, 2, 40, RW);
	check_all(_metadata, m);
	EXPECT_REFUSED(EINVAL, remap_bytes(m->p, page_size - 1, RW, 0, MAP_NOINHERIT), m);
}

/* MAP_NONBLOCK: nothing is populated. Without it, what can be accessed is. */
TEST_F_TIMEOUT(call, nonblock, TEST_SECONDS)
{
	struct nu_map *m = &self->m;

	ASSERT_EQ(0, nu_set(m, 0, PAGES, 0, RW, MAP_NONBLOCK));
	EXPECT_EQ(0U, pagemap_count(m->p, PAGES, PM_PRESENT, PM_PRESENT));
	ASSERT_EQ(0, nu_set(m, 3, 4, 30, RW, 0));
	EXPECT_EQ(4U, pagemap_count(m->p, PAGES, PM_PRESENT, PM_PRESENT));
	ASSERT_EQ(0, nu_set(m, 10, 4, 30, PROT_NONE, 0));
	EXPECT_EQ(4U, pagemap_count(m->p, PAGES, PM_PRESENT, PM_PRESENT));
	/* What is replaced goes. */
	ASSERT_EQ(0, nu_set(m, 4, 2, 40, RW, MAP_NONBLOCK));
	EXPECT_EQ(2U, pagemap_count(m->p, PAGES, PM_PRESENT, PM_PRESENT));
	check_all(_metadata, m);
}

TEST_F_TIMEOUT(call, invalid, TEST_SECONDS)
{
	const unsigned long pages_max = ULONG_MAX / page_size;
	const unsigned long noinherit = MAP_NOINHERIT | MAP_NONBLOCK;
	struct nu_map *m = &self->m;
	char *end = nu_at(m, PAGES);
	int file;
	char *p;

	if (nu_by_mmap)
		SKIP(return, "%s", nu_split_obstacle());
	EXPECT_REFUSED(EINVAL, remap_bytes(m->p, 0, RW, 0, noinherit), m);
	EXPECT_REFUSED(EINVAL, remap_bytes(m->p, -page_size, RW, 0, noinherit), m);
	EXPECT_REFUSED(EINVAL, remap_bytes(m->p, ULONG_MAX, RW, 0, noinherit), m);
	EXPECT_REFUSED(EINVAL, remap_bytes(NULL, page_size, RW, 0, noinherit), m);

	/* Protections that there are not */
	EXPECT_REFUSED(EINVAL, remap_bytes(m->p, page_size, 0x1000, 0, noinherit), m);
	EXPECT_REFUSED(EINVAL, remap_bytes(m->p, page_size, ULONG_MAX, 0, noinherit), m);
	EXPECT_REFUSED(EINVAL, remap_bytes(m->p, page_size, RW | PROT_GROWSDOWN, 0,
					   noinherit), m);

	/* Flags that are for mmap(), or for nobody */
	EXPECT_REFUSED(EINVAL, remap_bytes(m->p, page_size, RW, 0, noinherit | MAP_SHARED), m);
	EXPECT_REFUSED(EINVAL, remap_bytes(m->p, page_size, RW, 0, noinherit | 1UL << 30), m);

	/* Offsets that there are not */
	EXPECT_REFUSED(EINVAL, remap_bytes(m->p, page_size, RW, ULONG_MAX, noinherit), m);
	EXPECT_REFUSED(EOVERFLOW, remap_bytes(m->p, page_size, RW, pages_max, noinherit), m);
	EXPECT_REFUSED(EOVERFLOW, remap_bytes(m->p, page_size, RW, ULONG_MAX - 1, noinherit),
		       m);

	/* Not all of it is mapped, or it is not the same file. */
	EXPECT_REFUSED(EINVAL, remap_bytes(m->p - page_size, page_size, RW, 0, noinherit), m);
	EXPECT_REFUSED(EINVAL, remap_bytes(m->p - page_size, 3 * page_size, RW, 0,
					   noinherit), m);
	EXPECT_REFUSED(EINVAL, remap_bytes(end - page_size, 2 * page_size, RW, 0, noinherit),
		       m);
	EXPECT_REFUSED(EINVAL, remap_bytes(end, page_size, RW, 0, noinherit), m);
	setup_file(_metadata, &file);
	p = map(end, 2, RW, MAP_SHARED | MAP_FIXED, file, 0);
	ASSERT_EQ((void *)end, (void *)p);
	EXPECT_REFUSED(EINVAL, remap_bytes(end - page_size, 2 * page_size, RW, 0, noinherit),
		       m);
	ASSERT_EQ(0, unmap(p, 2));
	close(file);

	/* There is no file, or nobody else would see it. */
	p = map(end, 2, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ASSERT_EQ((void *)end, (void *)p);
	EXPECT_REFUSED(EINVAL, remap_bytes(end, page_size, RW, 0, noinherit), m);
	EXPECT_REFUSED(EINVAL, remap_bytes(end - page_size, 2 * page_size, RW, 0, noinherit),
		       m);
	p = map(end, 2, RW, MAP_PRIVATE | MAP_FIXED, self->fd, 0);
	ASSERT_EQ((void *)end, (void *)p);
	EXPECT_REFUSED(EINVAL, remap_bytes(end, page_size, RW, 0, noinherit), m);
	EXPECT_REFUSED(EINVAL, remap_bytes(end - page_size, 2 * page_size, RW, 0, noinherit),
		       m);
	ASSERT_EQ(0, unmap(p, 2));
}

/* Mappings that are not what they seem to be */
TEST_F_TIMEOUT(call, special, TEST_SECONDS)
{
	aio_context_t ring = 0;
	char *p;

	if (nu_by_mmap)
		SKIP(return, "%s", nu_split_obstacle());
	p = mmap(NULL, HPAGE_SIZE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB |
		 MAP_NORESERVE, -1, 0);
	if (p != MAP_FAILED) {
		EXPECT_EQ(EINVAL, remap_bytes(p, HPAGE_SIZE, RW, 0,
					      MAP_NOINHERIT | MAP_NONBLOCK));
		EXPECT_EQ(EINVAL, remap_bytes(p, page_size, RW, 0,
					      MAP_NOINHERIT | MAP_NONBLOCK));
		EXPECT_EQ(1U, count_vmas(p, HPAGE_SIZE / page_size));
		EXPECT_EQ(0, munmap(p, HPAGE_SIZE));
	} else {
		TH_LOG("without huge pages: %s", strerror(errno));
	}
	/* Its ring is a mapping that must not grow. */
	if (!syscall(SYS_io_setup, 1, &ring)) {
		EXPECT_EQ(EINVAL, remap_bytes((char *)ring, page_size, PROT_READ, 0,
					      MAP_NOINHERIT));
		EXPECT_EQ(0, syscall(SYS_io_destroy, ring));
	} else {
		TH_LOG("without AIO: %s", strerror(errno));
	}
}

/* Who has the file open for reading cannot be given more, page by page */
TEST_F_TIMEOUT(call, read_only, TEST_SECONDS)
{
	char path[64];
	struct nu_map m;
	int ro;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, ro);
	nu_map_file(_metadata, &m, ro, 0, PAGES, PROT_READ);
	/* Whether such a mapping is taken for a shared one at all, or not */
	if (nu_set(&m, 4, 2, 20, PROT_READ | PROT_EXEC, 0) == EINVAL) {
		EXPECT_REFUSED(EINVAL, nu_set(&m, 5, 1, 0, PROT_WRITE, 0), &m);
		EXPECT_REFUSED(EINVAL, nu_set(&m, 0, PAGES, 0, RW, MAP_NONBLOCK), &m);
		EXPECT_REFUSED(EACCES, nu_protect(&m, 5, 1, RW), &m);
		nu_unmap(_metadata, &m);
		close(ro);
		return;
	}
	EXPECT_EQ(PROT_READ | PROT_EXEC, m.page[4].prot);
	ASSERT_EQ(0, nu_set(&m, 6, 2, 30, PROT_NONE, 0));
	EXPECT_REFUSED(EACCES, nu_set(&m, 5, 1, 0, PROT_WRITE, 0), &m);
	EXPECT_REFUSED(EACCES, nu_set(&m, 0, PAGES, 0, RW, 0), &m);
	EXPECT_REFUSED(EACCES, nu_protect(&m, 5, 1, RW), &m);
	EXPECT_REFUSED(EACCES, nu_protect(&m, 0, PAGES, PROT_ALL), &m);
	EXPECT_EQ(0, nu_set(&m, 5, 1, 9, PROT_READ, 0));
	EXPECT_EQ(0, nu_protect(&m, 4, 4, PROT_READ));
	check_all(_metadata, &m);
	nu_unmap(_metadata, &m);
	close(ro);
}

/* Nothing on such a file system can be executed, page by page or not */
TEST_F_TIMEOUT(call, noexec, TEST_SECONDS)
{
	const char *reason = nu_fs_obstacle(&nu_tmpfs);
	struct nu_map m;
	int fd, error;

	if (reason)
		SKIP(return, "%s", reason);
	fd = nu_create(_metadata, &nu_tmpfs, FILE_PAGES);
	ASSERT_EQ(0, mount(NULL, nu_root, NULL, MS_REMOUNT | MS_BIND | MS_NOEXEC, NULL));
	nu_map_file(_metadata, &m, fd, 0, PAGES, RW);
	ASSERT_EQ(0, nu_set(&m, 4, 2, 20, PROT_READ, 0));
	/* Where it is mmap() that is asked, it says EPERM. */
	error = nu_by_mmap ? EPERM : EACCES;
	EXPECT_REFUSED(error, nu_set(&m, 5, 1, 0, PROT_EXEC, 0), &m);
	EXPECT_REFUSED(error, nu_set(&m, 2, 3, 0, PROT_READ | PROT_EXEC, 0), &m);
	EXPECT_REFUSED(error, nu_set(&m, 0, PAGES, 0, PROT_ALL, 0), &m);
	EXPECT_REFUSED(EACCES, nu_protect(&m, 5, 1, PROT_READ | PROT_EXEC), &m);
	EXPECT_EQ(0, nu_set(&m, 5, 1, 0, PROT_READ, 0));
	check_all(_metadata, &m);
	nu_unmap(_metadata, &m);
	nu_remove(_metadata, &nu_tmpfs, fd);
}

/* A file that is sealed can be written by nobody new. */
TEST_F_TIMEOUT(call, seal_future_write, TEST_SECONDS)
{
	struct nu_map *m = &self->m;

	ASSERT_EQ(0, nu_set(m, 0, PAGES, 20, RW, 0));
	ASSERT_EQ(0, nu_set(m, 5, 4, 40, PROT_READ, 0));
	ASSERT_EQ(0, fcntl(self->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE))
		TH_LOG("%s", strerror(errno));
	EXPECT_EQ(EPERM, nu_set(m, 1, 1, 30, RW, 0));
	EXPECT_EQ(EPERM, nu_set(m, 1, 1, 30, PROT_WRITE, 0));
	EXPECT_EQ(EPERM, nu_set(m, 6, 1, 30, RW, MAP_NONBLOCK));
	check_alone(_metadata, m);
	/* What may be written stays so, and what is newly mapped never will. */
	EXPECT_EQ(0, nu_set(m, 2, 1, 31, PROT_READ, 0));
	EXPECT_EQ(EACCES, nu_protect(m, 2, 1, RW));
	check_alone(_metadata, m);
}

/* While it is mapped and may be written it cannot be sealed, and afterwards it can. */
TEST_F_TIMEOUT(call, seal_write, TEST_SECONDS)
{
	struct nu_map *m = &self->m, copy;
	char *p;

	EXPECT_EQ(-1, fcntl(self->fd, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(EBUSY, errno);
	/* That nothing of it can be written now is not enough. */
	EXPECT_EQ(0, nu_set(m, 0, PAGES, 20, PROT_READ, 0));
	EXPECT_EQ(-1, fcntl(self->fd, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(EBUSY, errno);
	scramble(_metadata, m);
	ASSERT_EQ(0, unmap(nu_at(m, 5), 3));
	p = mremap(m->p, 5 * page_size, 5 * page_size, MREMAP_MAYMOVE);
	ASSERT_EQ((void *)m->p, (void *)p);
	ASSERT_EQ(0, unmap(m->p, PAGES));
	EXPECT_EQ(0, fcntl(self->fd, F_ADD_SEALS, F_SEAL_WRITE));
	/* Who maps it now can only read, if at all. */
	p = map(NULL, PAGES, PROT_READ, MAP_SHARED, self->fd, 0);
	if (p == MAP_FAILED)
		return;
	EXPECT_EQ(0, unmap(p, PAGES));
	nu_map_file(_metadata, &copy, self->fd, 0, PAGES, PROT_READ);
	EXPECT_EQ(0, nu_set(&copy, 3, 1, 7, PROT_READ, 0));
	EXPECT_NE(0, nu_set(&copy, 4, 1, 7, RW, 0));
	EXPECT_NE(0, nu_protect(&copy, 3, 1, RW));
	nu_check(_metadata, &copy);
	nu_unmap(_metadata, &copy);
}

/* Memory that could be written is not made executable, page by page or not */
TEST_F_TIMEOUT(call, mdwe, TEST_SECONDS)
{
	const char *reason = nu_split_obstacle();
	struct nu_map *m = &self->m;

	if (reason)
		SKIP(return, "%s", reason);
	ASSERT_EQ(0, nu_set(m, 0, PAGES, 0, RW, 0));
	ASSERT_EQ(0, nu_set(m, 4, 4, 20, PROT_READ | PROT_EXEC, 0));
	ASSERT_EQ(0, nu_set(m, 8, 2, 30, PROT_READ, 0));
	if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0L, 0L, 0L))
		SKIP(return, "PR_SET_MDWE: %s", strerror(errno));
	EXPECT_EQ(EACCES, nu_set(m, 0, 1, 0, PROT_READ | PROT_EXEC, 0));
	EXPECT_EQ(EACCES, nu_set(m, 0, 1, 0, PROT_ALL, 0));
	EXPECT_EQ(EACCES, nu_set(m, 8, 1, 0, PROT_READ | PROT_EXEC, 0));
	/* Some could be executed before, but not all. */
	EXPECT_EQ(EACCES, nu_set(m, 6, 4, 0, PROT_READ | PROT_EXEC, 0));
	EXPECT_EQ(EACCES, nu_set(m, 5, 1, 0, PROT_ALL, 0));
	EXPECT_EQ(EACCES, nu_protect(m, 2, 1, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, nu_protect(m, 7, 2, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, nu_protect(m, 0, PAGES, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, nu_protect(m, 5, 1, PROT_ALL));
	EXPECT_EQ(0, nu_set(m, 5, 2, 40, PROT_READ | PROT_EXEC, 0));
	EXPECT_EQ(0, nu_set(m, 6, 1, 41, PROT_READ, 0));
	EXPECT_EQ(EACCES, nu_protect(m, 6, 1, PROT_READ | PROT_EXEC));
	check_alone(_metadata, m);
	nu_check_listed(_metadata, m);
}

/* Who is READ_IMPLIES_EXEC gets that here, too */
TEST_F_TIMEOUT(call, read_implies_exec, TEST_SECONDS)
{
	struct nu_map *m = &self->m;
	int old = personality(0xffffffff);

	ASSERT_LE(0, personality(old | READ_IMPLIES_EXEC));
	EXPECT_EQ(0, nu_set(m, 1, 1, 30, PROT_READ, 0));
	EXPECT_EQ(0, nu_set(m, 2, 1, 31, RW, 0));
	EXPECT_EQ(0, nu_set(m, 3, 1, 32, PROT_WRITE, 0));
	personality(old);
	/* That is what they are: ordinary mappings to compare them with are made so. */
	nu_expect_prot(m, 1, 1, PROT_READ | PROT_EXEC);
	nu_expect_prot(m, 2, 1, PROT_ALL);
	check_all(_metadata, m);
}

/* What is sealed stays as it is, and what is next to it can still be changed. */
TEST_F_TIMEOUT(call, mseal, TEST_SECONDS)
{
	struct nu_map m = self->m;
	char *p;

	if (nu_by_mmap)
		SKIP(return, "%s", nu_split_obstacle());
	if (syscall(__NR_mseal, nu_at(&m, 8), 4 * page_size, 0))
		SKIP(return, "mseal: %s", strerror(errno));
	EXPECT_REFUSED(EPERM, nu_set(&m, 8, 1, 30, PROT_READ, 0), &m);
	EXPECT_REFUSED(EPERM, nu_set(&m, 11, 1, 30, PROT_READ, MAP_NONBLOCK), &m);
	/* Ranges in mappings that are not alike are refused anyway. */
	EXPECT_NE(0, nu_set(&m, 7, 2, 30, RW, 0));
	EXPECT_NE(0, nu_set(&m, 11, 2, 30, RW, 0));
	EXPECT_NE(0, nu_set(&m, 0, PAGES, 30, RW, 0));
	EXPECT_REFUSED(EPERM, nu_protect(&m, 9, 1, PROT_READ), &m);
	EXPECT_REFUSED(EPERM, result(munmap(nu_at(&m, 10), page_size)), &m);
	p = mremap(nu_at(&m, 8), 4 * page_size, 4 * page_size,
		   MREMAP_MAYMOVE | MREMAP_FIXED, nu_at(&m, PAGES));
	EXPECT_EQ(MAP_FAILED, (void *)p);
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(0, nu_set(&m, 3, 5, 30, RW, 0));
	EXPECT_EQ(0, nu_set(&m, 12, 3, 31, PROT_READ, 0));
	EXPECT_EQ(0, nu_protect(&m, 5, 2, PROT_READ));
	nu_check(_metadata, &m);
	/* The rest goes with the process. */
	EXPECT_EQ(0, unmap(m.p, 8));
	EXPECT_EQ(0, unmap(nu_at(&m, 12), PAGES - 12));
}

/* userfaultfd knows no nonuniform mappings, and what it watches does not become one. */
TEST_F_TIMEOUT(call, userfaultfd, TEST_SECONDS)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct nu_map *m = &self->m, other;
	char *p;

	if (nu_by_mmap)
		SKIP(return, "%s", nu_split_obstacle());
	if (fd < 0)
		SKIP(return, "userfaultfd(): %s", strerror(errno));
	ASSERT_EQ(0, ioctl(fd, UFFDIO_API, &api));
	if (nu_in_one) {
		EXPECT_EQ(-EINVAL, uffd_register(fd, m->p, PAGES * page_size, true, false,
						 false));
		EXPECT_EQ(-EINVAL, uffd_register(fd, nu_at(m, 5), page_size, true, false,
						 false));
		EXPECT_EQ(-EINVAL, uffd_register(fd, m->p, page_size, false, true, false));
		EXPECT_EQ(-EINVAL, uffd_unregister(fd, m->p, PAGES * page_size));
		EXPECT_EQ(-EINVAL, uffd_unregister(fd, nu_at(m, 5), page_size));
		check_all(_metadata, m);
	}
	nu_map_file(_metadata, &other, self->fd, 0, PAGES, RW);
	nu_force(_metadata, other.p, other.nr);
	ASSERT_EQ(0, uffd_register(fd, other.p, PAGES * page_size, true, false, false));
	EXPECT_REFUSED(EINVAL, nu_set(&other, 3, 1, 30, PROT_READ, MAP_NONBLOCK), &other);
	ASSERT_EQ(0, uffd_unregister(fd, other.p, PAGES * page_size));
	EXPECT_EQ(0, nu_set(&other, 3, 1, 30, PROT_READ, MAP_NONBLOCK));
	check_all(_metadata, &other);
	nu_unmap(_metadata, &other);

	/* One that is registered, behind one that cannot be */
	p = nu_at(m, PAGES - 2);
	ASSERT_EQ(p, map(p, 2, RW, MAP_SHARED | MAP_FIXED, self->fd, 0));
	ASSERT_EQ(0, uffd_register(fd, p, 2 * page_size, true, false, false));
	if (nu_in_one)
		EXPECT_EQ(-EINVAL, uffd_unregister(fd, m->p, PAGES * page_size));
	/* It is still. */
	EXPECT_EQ(-1, nu_remap(self->fd, p, page_size, PROT_READ, 30,
			       MAP_NOINHERIT | MAP_NONBLOCK));
	EXPECT_EQ(0, uffd_unregister(fd, p, 2 * page_size));
	EXPECT_EQ(0, unmap(p, 2));
	m->nr = PAGES - 2;
	nu_check(_metadata, m);
	close(fd);
}

/* Anonymous shared memory and System V shared memory are files, too. */
TEST_F_TIMEOUT(call, other_files, TEST_SECONDS)
{
	unsigned int i, kind;
	uint64_t value;

	if (nu_by_mmap)
		SKIP(return, "%s", nu_split_obstacle());
	for (kind = 0; kind < 2; kind++) {
		int id = -1;
		char *p;

		if (kind) {
			id = shmget(IPC_PRIVATE, 8 * page_size, IPC_CREAT | 0700);
			if (id < 0) {
				TH_LOG("without shmget(): %s", strerror(errno));
				continue;
			}
			p = shmat(id, NULL, 0);
			shmctl(id, IPC_RMID, NULL);
		} else {
			p = map(NULL, 8, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		}
		ASSERT_NE(MAP_FAILED, (void *)p);
		for (i = 0; i < 8; i++)
			*(uint64_t *)(p + i * page_size) = i;
		for (i = 0; i < 7; i++)
			ASSERT_EQ(0, remap_bytes(p + i * page_size, page_size,
						 i % 2 ? RW : PROT_READ, 7 - i,
						 MAP_NOINHERIT)) TH_LOG("kind %u", kind);
		for (i = 0; i < 7; i++) {
			ASSERT_EQ(0, probe_read(p + i * page_size, &value));
			EXPECT_EQ(7 - i, value);
			EXPECT_EQ(i % 2 ? 0 : SIGSEGV,
				  probe_write(p + i * page_size, 7 - i));
		}
		EXPECT_EQ(0, unmap(p, 8));
	}
}

/* What a mapping on overlayfs maps is a file of another one */
TEST_F_TIMEOUT(call, overlay, TEST_SECONDS)
{
	const char *reason = nu_fs_obstacle(&nu_tmpfs);
	char list[4096], options[256], path[128];
	const char * const dirs[] = { "lower", "upper", "work", "merged" };
	struct nu_map m;
	int under, fd;
	size_t i;

	if (reason)
		SKIP(return, "%s", reason);
	if (!read_file("/proc/filesystems", list, sizeof(list)) || !strstr(list, "\toverlay\n"))
		SKIP(return, "the kernel has no overlay");
	under = nu_create(_metadata, &nu_tmpfs, 1);
	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", nu_dir, dirs[i]);
		ASSERT_EQ(0, mkdir(path, 0755));
	}
	snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
		 nu_dir, nu_dir, nu_dir);
	ASSERT_EQ(0, mount("vma_nonuniform", path, "overlay", 0, options));
	snprintf(path, sizeof(path), "%s/merged/file", nu_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0700);
	ASSERT_LE(0, fd);
	ASSERT_TRUE(fill_file(fd, 1, 0, FILE_PAGES));
	nu_map_file(_metadata, &m, fd, 0, PAGES, RW);
	scramble(_metadata, &m);
	nu_check(_metadata, &m);
	nu_unmap(_metadata, &m);
	close(fd);
	snprintf(path, sizeof(path), "%s/merged", nu_dir);
	EXPECT_EQ(0, umount(path));
	nu_remove(_metadata, &nu_tmpfs, under);
}

/*
 * Without MAP_NOINHERIT
 */

/* What the call would do to @m if each extent were a mapping. Returns false for EINVAL. */
static bool legacy_model(struct nu_map *m, unsigned int first, unsigned int nr,
			 unsigned long prot, unsigned long file)
{
	unsigned int i;

	if (prot || !nr || first >= m->nr || nr > m->nr - first || file + nr < file)
		return false;
	for (i = 1; i < nr; i++)
		if (m->page[first + i].prot != m->page[first].prot)
			return false;
	nu_expect(m, first, nr, file, m->page[first].prot);
	return true;
}

TEST_F_TIMEOUT(call, legacy, TEST_SECONDS)
{
	uint32_t random = RANDOM_SEED;
	struct nu_map *m = &self->m;
	unsigned int i, done = 0;

	for (i = 0; i < 400; i++) {
		unsigned int first = next_random(&random) % (PAGES + 1);
		unsigned int nr = next_random(&random) % 5;
		unsigned int file = next_random(&random) % FILE_PAGES;
		unsigned long prot = i % 20 ? 0 : PROT_READ;
		int flags = i % 2 ? MAP_NONBLOCK : 0;
		int error = remap_bytes(nu_at(m, first), nr * page_size, prot, file, flags);

		ASSERT_EQ(legacy_model(m, first, nr, prot, file) ? 0 : EINVAL, error)
			TH_LOG("%u: pages %u to %u, prot %lu, file page %u", i, first,
			       first + nr - 1, prot, file);
		done += !error;
		if (i % 20 == 19)
			check_all(_metadata, m);
	}
	EXPECT_LT(50U, done);
	EXPECT_GT(350U, done);
}

FIXTURE(file)
{
	int fd;
};

FIXTURE_SETUP(file)
{
	nu_probe_init();
	setup_file(_metadata, &self->fd);
}

FIXTURE_TEARDOWN(file)
{
	close(self->fd);
}

/* The same with a mapping that is an ordinary one to begin with */
TEST_F_TIMEOUT(file, legacy, TEST_SECONDS)
{
	uint32_t random = RANDOM_SEED;
	struct nu_map m;
	unsigned int i;
	int prot;

	for (prot = 0; prot < NR_PROTS; prot++) {
		nu_map_file(_metadata, &m, self->fd, BASE, PAGES, prot);
		for (i = 0; i < 40; i++) {
			unsigned int first = next_random(&random) % PAGES;
			unsigned int nr = 1 + next_random(&random) % (PAGES - first);
			unsigned int file = next_random(&random) % FILE_PAGES;

			/* Any other flag makes no difference. */
			ASSERT_EQ(0, remap_bytes(nu_at(&m, first), nr * page_size, 0, file,
						 i % 2 ? MAP_NONBLOCK | MAP_PRIVATE :
							 MAP_ANONYMOUS));
			ASSERT_TRUE(legacy_model(&m, first, nr, 0, file));
		}
		nu_check(_metadata, &m);
		nu_unmap(_metadata, &m);
	}
}

/*
 * Other calls
 */

/* mprotect() changes pages, not VMAs */
TEST_F_TIMEOUT(call, mprotect, TEST_SECONDS)
{
	struct nu_map *m = &self->m;
	uint32_t random = RANDOM_SEED;
	unsigned int i;
	char *end = nu_at(m, PAGES), *p;

	for (i = 0; i < 150; i++) {
		unsigned int first = next_random(&random) % PAGES;
		unsigned int nr = 1 + next_random(&random) % (PAGES - first);
		int prot = next_random(&random) % NR_PROTS;

		if (i % 25 == 0) {
			first = 0;
			nr = PAGES;
		}
		if (prot == PROT_EXEC && nu_exec_only)
			prot = PROT_READ;
		ASSERT_EQ(0, nu_protect(m, first, nr, prot));
		if (i % 2)
			nu_force(_metadata, m->p, m->nr);
		if (i % 8 == 7)
			check_all(_metadata, m);
	}

	/* Ordinary neighbours on both sides */
	scramble(_metadata, m);
	p = map(m->p - 2 * page_size, 2, PROT_READ, MAP_SHARED | MAP_FIXED, self->fd, 0);
	ASSERT_EQ((void *)(m->p - 2 * page_size), (void *)p);
	ASSERT_EQ((void *)end, (void *)map(end, 2, PROT_READ, MAP_SHARED | MAP_FIXED, self->fd,
					   BASE + PAGES));
	ASSERT_EQ(0, mprotect(p + page_size, (PAGES + 2) * page_size, RW));
	nu_expect_prot(m, 0, PAGES, RW);
	nu_check(_metadata, m);
	EXPECT_EQ(SIGSEGV, probe_write(p, 1));
	EXPECT_EQ(0, probe_write(p + page_size, 1));
	EXPECT_EQ(0, probe_write(end, 1));
	EXPECT_EQ(SIGSEGV, probe_write(end + page_size, 1));
	EXPECT_EQ(0, unmap(p, 2));
	EXPECT_EQ(0, unmap(end, 2));
}

/*
 * PROT_EXEC alone may take a protection key, which a part of a mapping cannot have. Then
 * it is refused, or it can be read as well, as when there is no key left. The call itself
 * makes a VMA of its own of such a page.
 */
TEST_F_TIMEOUT(call, exec_only, TEST_SECONDS)
{
	struct nu_map *m = &self->m;
	unsigned int i;
	int error = nu_protect(m, 5, 2, PROT_EXEC);

	if (!(error == EINVAL && nu_exec_only && nu_in_one))
		EXPECT_EQ(0, error);
	if (!error && nu_exec_only && nu_in_one && !nu_by_mmap)
		nu_expect_prot(m, 5, 2, PROT_READ | PROT_EXEC);
	nu_check(_metadata, m);
	EXPECT_EQ(0, nu_set(m, 8, 2, 30, PROT_EXEC, 0));
	nu_check(_metadata, m);
	/* One page at a time: mappings with different keys are not one range. */
	for (i = 7; i < 11; i++)
		EXPECT_EQ(0, nu_set(m, i, 1, 20 + i, RW, 0));
	nu_check(_metadata, m);
}

TEST_F_TIMEOUT(call, pkey, TEST_SECONDS)
{
	struct nu_map *m = &self->m;
	const char *reason = nu_split_obstacle();
	int key;

	if (reason)
		SKIP(return, "%s", reason);
	/* This is mprotect(). */
	EXPECT_EQ(0, syscall(SYS_pkey_mprotect, nu_at(m, 5), page_size, PROT_READ, -1));
	nu_expect_prot(m, 5, 1, PROT_READ);
	check_all(_metadata, m);
	key = syscall(SYS_pkey_alloc, 0, 0);
	if (key < 0)
		SKIP(return, "no protection keys: %s", strerror(errno));
	EXPECT_REFUSED(EINVAL, result(syscall(SYS_pkey_mprotect, nu_at(m, 5), page_size, RW,
					      key)), m);
	EXPECT_REFUSED(EINVAL, result(syscall(SYS_pkey_mprotect, m->p, PAGES * page_size, RW,
					      key)), m);
	syscall(SYS_pkey_free, key);
}

/* The new part is linear and has the protection that all of it was given last. */
static void expect_grown(struct nu_map *m, unsigned int nr)
{
	unsigned int old = m->nr;

	m->nr = nr;
	nu_expect(m, old, nr - old, m->base + old, m->whole);
}

static int resize(struct nu_map *m, unsigned int nr, int flags, void *to)
{
	char *p = mremap(m->p, m->nr * page_size, nr * page_size, flags, to);

	if (p == MAP_FAILED)
		return errno;
	m->p = p;
	if (nr > m->nr)
		expect_grown(m, nr);
	m->nr = nr;
	return 0;
}

TEST_F_TIMEOUT(call, mremap_grow, TEST_SECONDS)
{
	const char *reason = nu_split_obstacle();
	struct nu_map *m = &self->m;
	char *to, *neighbour;

	if (reason)
		SKIP(return, "%s", reason);
	/* In place */
	ASSERT_EQ(0, resize(m, PAGES + 4, 0, NULL));
	check_all(_metadata, m);
	EXPECT_EQ(0, nu_set(m, PAGES - 1, 3, 50, PROT_READ, 0));
	check_all(_metadata, m);

	/* What was there before has left no trace. */
	ASSERT_EQ(0, resize(m, PAGES - 6, 0, NULL));
	check_all(_metadata, m);
	ASSERT_EQ(0, resize(m, PAGES + 2, 0, NULL));
	check_all(_metadata, m);
	ASSERT_EQ(0, unmap(nu_at(m, PAGES - 4), 6));
	m->nr = PAGES - 4;
	ASSERT_EQ(0, resize(m, PAGES, 0, NULL));
	check_all(_metadata, m);

	/* With another protection */
	ASSERT_EQ(0, nu_protect(m, 0, m->nr, PROT_READ));
	scramble(_metadata, m);
	ASSERT_EQ(0, nu_protect(m, 1, m->nr - 1, RW));
	ASSERT_EQ(0, resize(m, PAGES + 1, 0, NULL));
	EXPECT_EQ(PROT_READ, m->page[PAGES].prot);
	check_all(_metadata, m);

	/* There is something in the way. */
	neighbour = map(nu_at(m, m->nr), 1, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)neighbour);
	EXPECT_REFUSED(ENOMEM, resize(m, PAGES + 8, 0, NULL), m);
	ASSERT_EQ(0, resize(m, PAGES + 8, MREMAP_MAYMOVE, NULL));
	EXPECT_NE((void *)neighbour, (void *)nu_at(m, PAGES + 1));
	check_all(_metadata, m);
	EXPECT_EQ(0, unmap(neighbour, 1));

	/* Both moved and grown, and moved and shrunk, upon another nonuniform mapping */
	to = map_prot_none(64);
	ASSERT_NE(MAP_FAILED, (void *)to);
	ASSERT_EQ((void *)to, (void *)map(to, 40, RW, MAP_SHARED | MAP_FIXED, self->fd, 0));
	ASSERT_EQ(0, nu_remap(self->fd, to + 3 * page_size, page_size, PROT_READ, 40,
			      MAP_NOINHERIT));
	ASSERT_EQ(0, resize(m, 36, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	check_all(_metadata, m);
	ASSERT_EQ(0, resize(m, 20, MREMAP_MAYMOVE | MREMAP_FIXED, to + 40 * page_size));
	check_all(_metadata, m);
	m->p = to;
	m->nr = 64;
}

/* One VMA is taken from the middle; it, and both that stay, are what they were. */
TEST_F_TIMEOUT(call, mremap_part, TEST_SECONDS)
{
	const char *reason = nu_split_obstacle();
	struct nu_map left = self->m, middle = self->m, right = self->m;
	char *to;

	if (reason)
		SKIP(return, "%s", reason);
	to = map_prot_none(12);
	ASSERT_NE(MAP_FAILED, (void *)to);
	left.nr = 7;
	middle.p = nu_at(&self->m, 7);
	middle.nr = 6;
	middle.base += 7;
	memmove(middle.page, middle.page + 7, 6 * sizeof(middle.page[0]));
	right.p = nu_at(&self->m, 13);
	right.nr = PAGES - 13;
	right.base += 13;
	memmove(right.page, right.page + 13, right.nr * sizeof(right.page[0]));
	/* And grows by two pages, which the old mapping has, too, but differently. */
	ASSERT_EQ(0, resize(&middle, 8, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(0U, count_vmas(nu_at(&self->m, 7), 6));
	nu_check(_metadata, &left);
	nu_check(_metadata, &middle);
	nu_check(_metadata, &right);
	/* Into the hole: what was there is not there again. */
	ASSERT_EQ(0, resize(&left, 9, 0, NULL));
	nu_check(_metadata, &left);
	/* None of them is another one's. */
	EXPECT_EQ(0, nu_set(&left, 2, 7, 40, PROT_READ, 0));
	EXPECT_EQ(0, nu_set(&middle, 0, 3, 44, RW, 0));
	EXPECT_EQ(0, nu_protect(&right, 0, right.nr, PROT_READ));
	nu_check(_metadata, &left);
	nu_check(_metadata, &middle);
	nu_check(_metadata, &right);
	EXPECT_EQ(0, unmap(to, 12));
}

/* The same once more, elsewhere: each has its own from then on. */
TEST_F_TIMEOUT(call, mremap_copy, TEST_SECONDS)
{
	const char *reason = nu_split_obstacle();
	struct nu_map *m = &self->m, copy, third;
	char *p;

	if (reason)
		SKIP(return, "%s", reason);
	nu_force(_metadata, m->p, m->nr);
	copy = *m;
	copy.p = mremap(m->p, PAGES * page_size, PAGES * page_size,
			MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	ASSERT_NE(MAP_FAILED, (void *)copy.p) TH_LOG("%s", strerror(errno));
	check_all(_metadata, &copy);
	check_all(_metadata, m);

	third = *m;
	third.p = mremap(m->p, 0, (PAGES + 2) * page_size, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, (void *)third.p) TH_LOG("%s", strerror(errno));
	expect_grown(&third, PAGES + 2);
	check_all(_metadata, &third);
	/* From the middle */
	p = mremap(nu_at(m, 4), 0, 6 * page_size, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(0, unmap(p, 6));

	EXPECT_EQ(0, nu_set(&copy, 3, 3, 30, PROT_READ, 0));
	EXPECT_EQ(0, nu_set(m, 6, 3, 31, RW, 0));
	EXPECT_EQ(0, nu_protect(m, 0, 3, PROT_NONE));
	EXPECT_EQ(0, nu_protect(&third, 0, third.nr, PROT_READ));
	check_all(_metadata, &copy);
	check_all(_metadata, m);
	check_all(_metadata, &third);
	nu_unmap(_metadata, &copy);
	nu_unmap(_metadata, &third);
	check_all(_metadata, m);
}

/* Holes, and what is mapped there later by others, in any order */
TEST_F_TIMEOUT(call, munmap, TEST_SECONDS)
{
	struct nu_map m = self->m, part;
	uint32_t random = RANDOM_SEED;
	unsigned int i, j, k, nr, first;
	char *at;

	for (i = 0; i < 20; i++) {
		nr = 1 + next_random(&random) % 5;
		first = next_random(&random) % (PAGES - nr);
		ASSERT_EQ(0, unmap(nu_at(&m, first), nr));
		EXPECT_EQ(0U, count_vmas(nu_at(&m, first), nr));
		/* What is left on both sides */
		for (j = 0; j < PAGES; j = k) {
			bool left = j < first;

			k = left ? first : PAGES;
			if (!left && j < first + nr) {
				k = first + nr;
				continue;
			}
			part = m;
			part.p = nu_at(&m, j);
			part.nr = k - j;
			memmove(part.page, part.page + j, part.nr * sizeof(part.page[0]));
			if (part.nr)
				nu_check(_metadata, &part);
		}
		at = nu_at(&m, first);
		ASSERT_EQ((void *)at, (void *)map(at, nr, RW, MAP_SHARED | MAP_FIXED, self->fd,
						  BASE + first));
		nu_expect(&m, first, nr, BASE + first, RW);
		nu_check(_metadata, &m);
		for (j = 0; j < nr; j++)
			ASSERT_EQ(0, nu_set(&m, first + j, 1, (i * 7 + j * 3) % FILE_PAGES,
					    i % 2 ? PROT_READ : RW, 0));
		nu_check(_metadata, &m);
	}
	self->m = m;
}

TEST_F_TIMEOUT(call, mlock, TEST_SECONDS)
{
	struct nu_map *m = &self->m;
	unsigned long locked = read_sizes().locked;

	if (nu_by_mmap)
		SKIP(return, "%s", nu_split_obstacle());
	/* All of these can be read. */
	ASSERT_EQ(0, nu_protect(m, 4, 8, PROT_READ));
	ASSERT_EQ(0, nu_set(m, 4, 8, 20, PROT_READ, MAP_NONBLOCK));
	ASSERT_EQ(0, nu_set(m, 6, 1, 50, RW, MAP_NONBLOCK));
	EXPECT_EQ(0, mlock(nu_at(m, 4), 8 * page_size)) TH_LOG("%s", strerror(errno));
	EXPECT_EQ(locked + 8 * page_size / 1024, read_sizes().locked);
	EXPECT_EQ(8U, pagemap_count(nu_at(m, 4), 8, PM_PRESENT, PM_PRESENT));
	nu_check(_metadata, m);
	/* What is locked is populated whatever is said. */
	EXPECT_EQ(0, nu_set(m, 7, 2, 30, RW, 0));
	EXPECT_EQ(8U, pagemap_count(nu_at(m, 4), 8, PM_PRESENT, PM_PRESENT));
	nu_check(_metadata, m);
	EXPECT_EQ(locked + 8 * page_size / 1024, read_sizes().locked);
	EXPECT_EQ(0, munlock(nu_at(m, 4), 8 * page_size));
	EXPECT_EQ(locked, read_sizes().locked);
	nu_check(_metadata, m);
	/* These VMAs share what they say about their pages. */
	EXPECT_EQ(0, nu_set(m, 2, 12, 10, PROT_READ, 0));
	EXPECT_EQ(0, nu_protect(m, 3, 9, RW));
	nu_check(_metadata, m);

	/* Some cannot be read: this need not succeed, but must not do any harm. */
	ASSERT_EQ(0, nu_set(m, 5, 1, 3, PROT_NONE, 0));
	mlock(m->p, PAGES * page_size);
	nu_check(_metadata, m);
	EXPECT_EQ(0, munlock(m->p, PAGES * page_size));
	EXPECT_EQ(locked, read_sizes().locked);
}

/* A part of a mapping, which is a VMA of its own */
static struct nu_map part_of(const struct nu_map *m, unsigned int first, unsigned int nr)
{
	struct nu_map part = *m;

	part.p = nu_at(m, first);
	part.nr = nr;
	part.base = m->base + first;
	memmove(part.page, part.page + first, nr * sizeof(part.page[0]));
	return part;
}

/*
 * Rule: what grows has the protection that all of its VMA was last given, also where
 * VMAs that have been split from one share what they say about their pages.
 */
static void grow_after_split(struct __test_metadata *_metadata, struct nu_map *m,
			     bool lock_left, bool protect_left)
{
	const unsigned int half = PAGES / 2, first = protect_left ? 0 : half;
	unsigned long locked = read_sizes().locked, more;
	struct nu_map left, right;

	/* So that all of it can be locked */
	ASSERT_EQ(0, nu_protect(m, 0, PAGES, RW));
	ASSERT_EQ(0, nu_set(m, 5, 2, 40, PROT_READ, 0));
	ASSERT_EQ(0, nu_set(m, half + 3, 2, 50, PROT_READ, 0));
	ASSERT_EQ(0, mlock(nu_at(m, lock_left ? 0 : half), half * page_size));
	EXPECT_EQ(2U, count_vmas(m->p, PAGES));
	ASSERT_EQ(0, nu_protect(m, first, PAGES - first, PROT_READ));
	left = part_of(m, 0, half);
	left.whole = protect_left ? PROT_READ : RW;
	right = part_of(m, half, PAGES - half);
	right.whole = PROT_READ;

	/* In place, and elsewhere as there is something in the way */
	ASSERT_EQ(0, resize(&right, right.nr + 4, 0, NULL));
	nu_check(_metadata, &right);
	ASSERT_EQ(0, resize(&left, left.nr + 4, MREMAP_MAYMOVE, NULL));
	nu_check(_metadata, &left);
	nu_check(_metadata, &right);
	more = (lock_left ? left.nr : right.nr) * page_size / 1024;
	EXPECT_EQ(locked + more, read_sizes().locked);
	EXPECT_EQ(lock_left ? left.nr : right.nr,
		  lock_left ? pagemap_count(left.p, left.nr, PM_PRESENT, PM_PRESENT) :
			      pagemap_count(right.p, right.nr, PM_PRESENT, PM_PRESENT));

	/* Neither has become the other one's. */
	EXPECT_EQ(0, nu_set(&left, 1, half, 20, PROT_READ, 0));
	EXPECT_EQ(0, nu_protect(&right, 1, 3, RW));
	nu_check(_metadata, &left);
	nu_check(_metadata, &right);
	nu_unmap(_metadata, &left);
	/* The rest goes with the fixture. */
	m->p = right.p;
	m->nr = right.nr;
}

TEST_F_TIMEOUT(call, grow_after_mlock, TEST_SECONDS)
{
	struct nu_map *m = &self->m;
	unsigned int i;

	if (nu_split_obstacle())
		SKIP(return, "%s", nu_split_obstacle());
	for (i = 0; i < 4; i++) {
		if (i) {
			nu_map_file(_metadata, m, self->fd, BASE, PAGES, RW);
			scramble(_metadata, m);
		}
		grow_after_split(_metadata, m, i & 1, i & 2);
		if (i < 3)
			nu_unmap(_metadata, m);
	}
}

/* MADV_REMOVE punches those pages that are mapped there, and no others. */
TEST_F_TIMEOUT(call, madvise_remove, TEST_SECONDS)
{
	struct nu_map *m = &self->m;
	bool gone[FILE_PAGES] = { 0 };
	unsigned int i;

	for (i = 7; i < 12; i++)
		gone[m->page[i].file] = true;
	ASSERT_EQ(0, madvise(nu_at(m, 7), 5 * page_size, MADV_REMOVE))
		TH_LOG("%s", strerror(errno));
	for (i = 0; i < FILE_PAGES; i++)
		EXPECT_EQ(gone[i] ? 0 : word_of(1, i, CODE_WORDS),
			  file_word(self->fd, i, CODE_WORDS)) TH_LOG("file page %u", i);
	nu_check(_metadata, m);
}

/* Advice that the mapping is no different after */
TEST_F_TIMEOUT(call, madvise, TEST_SECONDS)
{
	static const struct {
		const char *name;
		int advice;
		int error;
		const char *needs;	/* else it is EINVAL */
	} advices[] = {
		{ "NORMAL", MADV_NORMAL, 0 },
		{ "DONTNEED", MADV_DONTNEED, 0 },
		{ "DONTNEED_LOCKED", MADV_DONTNEED_LOCKED, 0 },
		{ "WILLNEED", MADV_WILLNEED, 0 },
		{ "COLD", MADV_COLD, 0 },
		{ "PAGEOUT", MADV_PAGEOUT, 0 },
		{ "RANDOM", MADV_RANDOM, 0 },
		{ "SEQUENTIAL", MADV_SEQUENTIAL, 0 },
		{ "NORMAL", MADV_NORMAL, 0 },
		{ "DONTDUMP", MADV_DONTDUMP, 0 },
		{ "DODUMP", MADV_DODUMP, 0 },
		{ "FREE", MADV_FREE, EINVAL },
		{ "WIPEONFORK", MADV_WIPEONFORK, EINVAL },
		{ "KEEPONFORK", MADV_KEEPONFORK, 0 },
		{ "HUGEPAGE", MADV_HUGEPAGE, EINVAL },
		{ "COLLAPSE", MADV_COLLAPSE, EINVAL },
		{ "MERGEABLE", MADV_MERGEABLE, 0, "/sys/kernel/mm/ksm" },
		{ "UNMERGEABLE", MADV_UNMERGEABLE, 0, "/sys/kernel/mm/ksm" },
		{ "DONTFORK", MADV_DONTFORK, 0 },
		{ "DOFORK", MADV_DOFORK, 0 },
	};
	const bool ordinary = nu_split_obstacle();
	struct nu_map *m = &self->m;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(advices); i++) {
		int advice = advices[i].advice, want = advices[i].error, error;

		if (advices[i].needs && access(advices[i].needs, F_OK))
			want = EINVAL;
		nu_force(_metadata, m->p, m->nr);
		error = result(madvise(nu_at(m, 6), 7 * page_size, advice));
		if (!(ordinary && (advice == MADV_HUGEPAGE || advice == MADV_COLLAPSE)))
			EXPECT_EQ(want, error) TH_LOG("%s", advices[i].name);
		if (advice == MADV_DONTNEED || advice == MADV_DONTNEED_LOCKED)
			EXPECT_EQ(0U, pagemap_count(nu_at(m, 6), 7, PM_PRESENT, PM_PRESENT));
		nu_check(_metadata, m);
	}
	EXPECT_EQ(0, madvise(m->p, PAGES * page_size, MADV_DONTNEED));
	nu_check(_metadata, m);
	/* They are several VMAs now, perhaps; that does not matter to the call. */
	EXPECT_EQ(0, nu_set(m, 3, 12, 20, RW, 0));
	EXPECT_EQ(0, nu_protect(m, 1, 8, PROT_READ));
	nu_check(_metadata, m);
}

/* Locked pages can be dropped, too, by who says that it knows. */
TEST_F_TIMEOUT(call, madvise_locked, TEST_SECONDS)
{
	struct nu_map *m = &self->m;

	/* All of these can be read. */
	if (mlock(nu_at(m, 9), 5 * page_size))
		SKIP(return, "mlock(): %s", strerror(errno));
	nu_force(_metadata, m->p, m->nr);
	EXPECT_EQ(EINVAL, result(madvise(nu_at(m, 9), 5 * page_size, MADV_DONTNEED)));
	EXPECT_EQ(5U, pagemap_count(nu_at(m, 9), 5, PM_PRESENT, PM_PRESENT));
	EXPECT_EQ(0, madvise(nu_at(m, 9), 5 * page_size, MADV_DONTNEED_LOCKED))
		TH_LOG("%s", strerror(errno));
	EXPECT_EQ(0U, pagemap_count(nu_at(m, 9), 5, PM_PRESENT, PM_PRESENT));
	nu_check(_metadata, m);
}

/* There are no huge pages anyway. It cannot be taken back: in the end all of it has it. */
TEST_F_TIMEOUT(call, nohugepage, TEST_SECONDS)
{
	struct nu_map *m = &self->m;

	if (access("/sys/kernel/mm/transparent_hugepage", F_OK))
		SKIP(return, "the kernel has no CONFIG_TRANSPARENT_HUGEPAGE");
	EXPECT_EQ(0, madvise(nu_at(m, 6), 7 * page_size, MADV_NOHUGEPAGE))
		TH_LOG("%s", strerror(errno));
	nu_check(_metadata, m);
	EXPECT_EQ(0, madvise(m->p, PAGES * page_size, MADV_NOHUGEPAGE))
		TH_LOG("%s", strerror(errno));
	nu_check(_metadata, m);
	EXPECT_EQ(0, nu_set(m, 3, 12, 20, RW, 0));
	nu_check(_metadata, m);
}

/*
 * Memory failure. Memory is poisoned in software only, and is given back in the end. Where
 * that cannot be done, nothing is poisoned.
 */
#define POISONED		40U	/* page of the file, which scramble() does not map */
#define UNPOISON		DEBUGFS "hwpoison/unpoison-pfn"

static const char *poison_obstacle(void)
{
	unsigned long kb = file_value("/proc/meminfo", NULL, "HardwareCorrupted");

	if (kb == ULONG_MAX)
		return "the kernel has no CONFIG_MEMORY_FAILURE";
	if (geteuid())
		return "to poison memory takes root";
	if (access(UNPOISON, W_OK))
		return "no " UNPOISON " to undo it: CONFIG_HWPOISON_INJECT or debugfs is missing";
	/* If that was the hardware, nothing can be undone any more. */
	return kb ? "there is poisoned memory already" : NULL;
}

/* Which page of memory is at an address; 0 if that is not to be found out */
static unsigned long frame_at(char *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	unsigned long pfn = fd < 0 ? -1UL : pagemap_get_pfn(fd, p);

	if (fd >= 0)
		close(fd);
	return pfn == -1UL ? 0 : pfn;
}

/* Two addresses of one page, which is not in use elsewhere. Returns where that is. */
static unsigned long map_twice(struct __test_metadata *_metadata, struct nu_map *m)
{
	unsigned long pfn;

	ASSERT_EQ(0, nu_set(m, 3, 1, POISONED, RW, 0));
	ASSERT_EQ(0, nu_set(m, 12, 1, POISONED, PROT_READ, 0));
	ASSERT_EQ(0, probe(nu_at(m, 3)));
	ASSERT_EQ(0, probe(nu_at(m, 12)));
	pfn = frame_at(nu_at(m, 3));
	ASSERT_NE(0UL, pfn);
	ASSERT_EQ(pfn, frame_at(nu_at(m, 12)));
	return pfn;
}

/* Nobody may map it or hold it. Those that hold it for a moment are waited for. */
static bool unpoison(unsigned long pfn)
{
	char text[32];
	int i;

	snprintf(text, sizeof(text), "%lu", pfn);
	for (i = 0; i < 100; i++) {
		if (write_file(UNPOISON, text))
			return true;
		usleep(10000);
	}
	return false;
}

/* madvise(), from which there may be a signal. Returns that, or 0 */
static int poison(char *p, int *error)
{
	int sig = sigsetjmp(probe_env, 0);

	if (!sig) {
		__atomic_store_n(&probing, 1, __ATOMIC_SEQ_CST);
		*error = result(madvise(p, page_size, MADV_HWPOISON));
	}
	__atomic_store_n(&probing, 0, __ATOMIC_SEQ_CST);
	return sig;
}

/* It is gone from both addresses. Who has asked is told one of them. */
TEST_F_TIMEOUT(call, hwpoison, TEST_SECONDS)
{
	const char *reason = poison_obstacle();
	struct nu_map *m = &self->m;
	unsigned long pfn;
	int error = 0;
	unsigned int i;

	if (reason)
		SKIP(return, "%s", reason);
	pfn = map_twice(_metadata, m);
	/* From here to unpoison(), nothing must end the test. */
	EXPECT_EQ(SIGBUS, poison(nu_at(m, 12), &error)) TH_LOG("%s", strerror(error));
	EXPECT_EQ(BUS_MCEERR_AR, nu_fault_code);
	EXPECT_TRUE(nu_fault_addr == nu_at(m, 3) || nu_fault_addr == nu_at(m, 12));
	for (i = 0; i < PAGES; i++)
		if (m->page[i].prot & PROT_READ)
			EXPECT_EQ(m->page[i].file == POISONED ? SIGBUS : 0,
				  probe(nu_at(m, i))) TH_LOG("page %u", i);
	/* An address is as good as any if it is given another page. */
	EXPECT_EQ(0, nu_set(m, 3, 1, POISONED + 1, RW, 0));
	EXPECT_EQ(0, probe(nu_at(m, 3)));
	EXPECT_EQ(SIGBUS, probe(nu_at(m, 12)));
	EXPECT_EQ(0, fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       POISONED * page_size, page_size));
	EXPECT_TRUE(unpoison(pfn));
	/* What page tables say of the poison stays as long as they do. */
	EXPECT_EQ(0, madvise(m->p, PAGES * page_size, MADV_DONTNEED));
	nu_check(_metadata, m);
}

/* What may fail soon is replaced, at both addresses. */
TEST_F_TIMEOUT(call, soft_offline, TEST_SECONDS)
{
	const char *reason = poison_obstacle();
	struct nu_map *m = &self->m;
	int i, error = EBUSY;
	unsigned long pfn;

	if (reason)
		SKIP(return, "%s", reason);
	/* A page that waits to be put on a list is busy. This puts all of them there. */
	write_file("/proc/sys/vm/compact_memory", "1");
	pfn = map_twice(_metadata, m);
	for (i = 0; i < 100 && error == EBUSY; i++) {
		if (i)
			usleep(10000);
		error = result(madvise(nu_at(m, 3), page_size, MADV_SOFT_OFFLINE));
	}
	if (error == EOPNOTSUPP)
		SKIP(return, "vm.enable_soft_offline is 0");
	ASSERT_EQ(0, error) TH_LOG("%s", strerror(error));
	EXPECT_TRUE(unpoison(pfn));
	nu_check(_metadata, m);
	EXPECT_EQ(word_of(1, POISONED, CODE_WORDS),
		  file_word(self->fd, POISONED, CODE_WORDS));
}

/* A child does not get what it shall not get, and the rest as it is */
TEST_F_TIMEOUT(call, dontfork, TEST_SECONDS)
{
	struct nu_map *m = &self->m;
	struct nu_map part;
	pid_t pid;

	ASSERT_EQ(0, madvise(nu_at(m, 6), 7 * page_size, MADV_DONTFORK));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		EXPECT_EQ(0U, count_vmas(nu_at(m, 6), 7));
		part = *m;
		part.nr = 6;
		nu_check(_metadata, &part);
		EXPECT_EQ(0, nu_set(&part, 0, 6, 3, PROT_READ, 0));
		nu_check(_metadata, &part);
		part = *m;
		part.p = nu_at(m, 13);
		part.nr = PAGES - 13;
		memmove(part.page, part.page + 13, part.nr * sizeof(part.page[0]));
		nu_check(_metadata, &part);
		_exit(0);
	}
	EXPECT_EQ(0, wait_status(pid));
	nu_check(_metadata, m);
}

TEST_F_TIMEOUT(call, msync, TEST_SECONDS)
{
	struct nu_map *m = &self->m;

	EXPECT_EQ(0, msync(m->p, PAGES * page_size, MS_SYNC));
	EXPECT_EQ(0, msync(nu_at(m, 3), 4 * page_size, MS_ASYNC));
	EXPECT_EQ(0, msync(nu_at(m, 3), 4 * page_size, MS_SYNC | MS_INVALIDATE));
	EXPECT_EQ(ENOMEM, result(msync(nu_at(m, PAGES - 1), 2 * page_size, MS_SYNC)));
	check_all(_metadata, m);
}

/* Which page is in memory, if it is in no page table */
TEST_F_TIMEOUT(call, mincore, TEST_SECONDS)
{
	unsigned char got[PAGES], want[PAGES];
	struct nu_map *m = &self->m;
	unsigned int i;
	char *mirror;

	ASSERT_EQ(0, fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       FILE_PAGES * page_size));
	for (i = 0; i < FILE_PAGES; i += 3)
		ASSERT_TRUE(fill_file(self->fd, 2, i, 1));
	ASSERT_EQ(0, mincore(m->p, PAGES * page_size, got));
	mirror = nu_mirror(_metadata, m, 0);
	ASSERT_EQ(0, mincore(mirror, PAGES * page_size, want));
	for (i = 0; i < PAGES; i++) {
		EXPECT_EQ(want[i] & 1, got[i] & 1) TH_LOG("page %u", i);
		EXPECT_EQ(m->page[i].file % 3 == 0, got[i] & 1) TH_LOG("page %u", i);
	}
	EXPECT_EQ(0, unmap(mirror, PAGES));
}

/* Memory policy is by file page, which no call gets right here: it is refused. */
TEST_F_TIMEOUT(call, mempolicy, TEST_SECONDS)
{
	const char *reason = nu_split_obstacle();
	unsigned long nodes = 1;
	struct nu_map *m = &self->m;
	int mode = -1;

	if (reason)
		SKIP(return, "%s", reason);
	if (access("/proc/self/numa_maps", F_OK))
		SKIP(return, "no /proc/self/numa_maps: CONFIG_NUMA is off");
	EXPECT_REFUSED(EINVAL, result(syscall(SYS_mbind, m->p, PAGES * page_size, MPOL_BIND,
					      &nodes, 8 * sizeof(nodes), 0)), m);
	EXPECT_REFUSED(EINVAL, result(syscall(SYS_mbind, nu_at(m, 3), page_size,
					      MPOL_PREFERRED, &nodes, 8 * sizeof(nodes), 0)),
		       m);
	EXPECT_REFUSED(EINVAL, result(syscall(__NR_set_mempolicy_home_node, m->p,
					      PAGES * page_size, 0, 0)), m);
	nu_force(_metadata, m->p, m->nr);
	/* Asking is allowed. */
	EXPECT_EQ(0, syscall(SYS_get_mempolicy, &mode, NULL, 0, nu_at(m, 3), MPOL_F_ADDR));
	EXPECT_EQ(MPOL_DEFAULT, mode);
	EXPECT_EQ(0, syscall(SYS_get_mempolicy, &mode, NULL, 0, nu_at(m, 3),
			     MPOL_F_NODE | MPOL_F_ADDR));
	check_all(_metadata, m);
}

/* What has been remapped is dirty, what is written after that, and nothing else */
TEST_F_TIMEOUT(call, soft_dirty, TEST_SECONDS)
{
	struct nu_map *m = &self->m;
	unsigned int i;

	if (!softdirty_supported())
		SKIP(return, "no soft-dirty bits: CONFIG_MEM_SOFT_DIRTY is off");
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(0, nu_set(m, i, 1, (i * 7 + 1) % FILE_PAGES, RW, 0));
	EXPECT_EQ(PAGES, pagemap_count(m->p, PAGES, PM_SOFT_DIRTY, PM_SOFT_DIRTY));
	for (i = 0; i < 3; i++) {
		clear_softdirty();
		EXPECT_EQ(0U, pagemap_count(m->p, PAGES, PM_SOFT_DIRTY, PM_SOFT_DIRTY));
		EXPECT_EQ(0, probe(nu_at(m, 3 + i)));
		EXPECT_EQ(0, probe_write(nu_at(m, 4 + i) + 8 * CODE_WORDS,
					 word_of(1, m->page[4 + i].file, CODE_WORDS)));
		EXPECT_EQ(1U, pagemap_count(m->p, PAGES, PM_SOFT_DIRTY, PM_SOFT_DIRTY));
		EXPECT_EQ(1U, pagemap_count(nu_at(m, 4 + i), 1, PM_SOFT_DIRTY,
					    PM_SOFT_DIRTY));
	}
	/* What may not be written stays so, even if writes are not watched any more. */
	ASSERT_EQ(0, nu_protect(m, 2, 1, PROT_READ));
	clear_softdirty();
	nu_check(_metadata, m);
	ASSERT_EQ(0, nu_set(m, 9, 1, 40, PROT_READ, 0));
	EXPECT_EQ(1U, pagemap_count(nu_at(m, 9), 1, PM_SOFT_DIRTY, PM_SOFT_DIRTY));
	check_all(_metadata, m);
}

/*
 * Core dumps
 */

#define CORE_PATTERN		"/proc/sys/kernel/core_pattern"

static char old_core_pattern[256];

static void restore_core_pattern(void)
{
	if (getpid() == main_pid && old_core_pattern[0])
		write_file(CORE_PATTERN, old_core_pattern);
}

static const struct elf64_hdr *read_core(struct __test_metadata *_metadata,
					 const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *core;

	ASSERT_LE(0, fd) TH_LOG("%s: %s", path, strerror(errno));
	ASSERT_EQ(0, fstat(fd, &st));
	core = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)core);
	close(fd);
	*size = st.st_size;
	return (const struct elf64_hdr *)core;
}

/* Is an address in NT_FILE, the list of files that are mapped? */
static bool in_file_note(const struct elf64_hdr *core, const struct elf64_phdr *notes,
			 unsigned long addr)
{
	const char *p = (const char *)core + notes->p_offset, *end = p + notes->p_filesz;

	while (p < end) {
		const struct elf64_note *note = (const struct elf64_note *)p;
		const unsigned long *desc;
		unsigned long i;

		p += sizeof(*note) + (note->n_namesz + 3) / 4 * 4;
		desc = (const unsigned long *)p;
		p += (note->n_descsz + 3) / 4 * 4;
		if (note->n_type != NT_FILE)
			continue;
		for (i = 0; i < desc[0]; i++)
			if (addr >= desc[2 + 3 * i] && addr < desc[3 + 3 * i])
				return true;
	}
	return false;
}

/* A debugger that is told of a file would look for the wrong pages there. */
TEST_F_TIMEOUT(call, core_dump, TEST_SECONDS)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct nu_map *m = &self->m, linear;
	const struct elf64_phdr *phdr, *notes = NULL;
	unsigned int i, j, found = 0;
	const struct elf64_hdr *core;
	char path[64];
	size_t size;
	int status;
	pid_t pid;

	if (sizeof(long) != 8 || geteuid())
		SKIP(return, "core dumps are for root, and 64 bits, here");
	if (!old_core_pattern[0])
		SKIP(return, "no " CORE_PATTERN);
	snprintf(path, sizeof(path), "%s/core", nu_root);
	ASSERT_TRUE(write_file(CORE_PATTERN, path));
	nu_map_file(_metadata, &linear, self->fd, 0, 4, RW);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		write_file("/proc/self/coredump_filter", "0x3f");
		if (setrlimit(RLIMIT_CORE, &unlimited))
			_exit(1);
		signal(SIGABRT, SIG_DFL);
		abort();
	}
	status = wait_status(pid);
	write_file(CORE_PATTERN, old_core_pattern);
	ASSERT_TRUE(WIFSIGNALED(status));
	if (!WCOREDUMP(status))
		SKIP(return, "the kernel dumps no core");
	core = read_core(_metadata, path, &size);
	phdr = (const struct elf64_phdr *)((const char *)core + core->e_phoff);
	for (i = 0; i < core->e_phnum; i++)
		if (phdr[i].p_type == PT_NOTE)
			notes = &phdr[i];
	ASSERT_NE(NULL, notes);
	EXPECT_TRUE(in_file_note(core, notes, (unsigned long)linear.p));
	if (!nu_split_obstacle())
		for (i = 0; i < PAGES; i++)
			EXPECT_FALSE(in_file_note(core, notes, (unsigned long)nu_at(m, i)));

	/* What is dumped is right, page by page, even what cannot be read. */
	for (i = 0; i < core->e_phnum; i++) {
		for (j = 0; j < PAGES; j++) {
			unsigned long at = (unsigned long)nu_at(m, j) - phdr[i].p_vaddr;
			const uint64_t *page;

			if (phdr[i].p_type != PT_LOAD || at >= phdr[i].p_filesz)
				continue;
			ASSERT_GE(size, phdr[i].p_offset + at + page_size);
			page = (const uint64_t *)((const char *)core + phdr[i].p_offset + at);
			EXPECT_EQ(word_of(1, m->page[j].file, 9), page[9])
				TH_LOG("page %u", j);
			found++;
		}
	}
	EXPECT_EQ(PAGES, found);
	EXPECT_EQ(0, munmap((void *)core, size));
	unlink(path);
	nu_unmap(_metadata, &linear);
}

/*
 * Each allocation fails in turn
 */

#define WALK_PAGES	16U

/* struct walk - an operation, and what it does to pages if it succeeds */
struct walk {
	int fd;
	struct nu_map old;		/* what it must be if it fails */
	struct nu_map new;		/* and if it succeeds */
	struct nu_map copy;		/* the other one if there are two then */
	bool ordinary;			/* it is not nonuniform yet */
	bool two;
	char *to;			/* where it is moved */
	pid_t pid;
	int error;
	unsigned int failed;
	int (*call)(struct walk *w);
};

static void walk_prepare(struct __test_metadata *_metadata, void *arg)
{
	struct walk *w = arg;

	w->error = 0;
	w->pid = -1;
	w->two = false;
	w->to = map_prot_none(WALK_PAGES + 4);
	ASSERT_NE(MAP_FAILED, (void *)w->to);
	nu_map_file(_metadata, &w->old, w->fd, BASE, WALK_PAGES, RW);
	if (!w->ordinary)
		scramble(_metadata, &w->old);
	nu_force(_metadata, w->old.p, WALK_PAGES / 2);
	w->new = w->old;
}

static void walk_attempt(void *arg)
{
	struct walk *w = arg;

	w->error = w->call(w);
}

static void walk_check(struct __test_metadata *_metadata, void *arg, unsigned int n,
		       bool injected)
{
	struct walk *w = arg;

	(void)n;
	if (w->error) {
		w->failed++;
		EXPECT_EQ(ENOMEM, w->error);
		EXPECT_TRUE(injected);
		nu_check(_metadata, &w->old);
	} else {
		if (w->pid > 0)
			EXPECT_EQ(0, wait_status(w->pid));
		nu_check(_metadata, &w->new);
		if (w->two)
			nu_check(_metadata, &w->copy);
	}
	EXPECT_EQ(0, unmap(w->old.p, WALK_PAGES));
	EXPECT_EQ(0, unmap(w->new.p, w->new.nr));
	EXPECT_EQ(0, unmap(w->to, WALK_PAGES + 4));
}

static void walk(struct __test_metadata *_metadata, const char *name, struct walk *w)
{
	const struct fail_nth op = {
		.prepare = walk_prepare, .attempt = walk_attempt, .check = walk_check,
		.arg = w,
	};
	unsigned int injected;

	w->failed = 0;
	injected = fail_nth_walk(_metadata, &op);
	if (injected)
		TH_LOG("%s: %u injected, %u calls have failed", name, injected, w->failed);
}

/* What needs no memory has nothing that could fail, and just has to work. */
static void without_walk(struct __test_metadata *_metadata, struct walk *w)
{
	walk_prepare(_metadata, w);
	walk_attempt(w);
	EXPECT_EQ(0, w->error);
	walk_check(_metadata, w, 0, false);
}

/* In the middle of a run, over several of them, and none that is populated */
static int walk_remap(struct walk *w)
{
	return nu_set(&w->new, 6, 5, 40, PROT_READ, MAP_NONBLOCK);
}

/* Once it is mapped, a lack of memory to populate it is no error. */
static int walk_remap_populate(struct walk *w)
{
	return nu_set(&w->new, 6, 5, 40, PROT_READ, 0);
}

/*
 * In the middle of the last pages, which are linear: what replaces one extent by another
 * needs no memory.
 */
static int walk_legacy(struct walk *w)
{
	int error = remap_bytes(nu_at(&w->new, WALK_PAGES - 2), page_size, 0, 40,
				MAP_NONBLOCK);

	if (!error)
		legacy_model(&w->new, WALK_PAGES - 2, 1, 0, 40);
	return error;
}

/* As far as the middle of these */
static int walk_mprotect(struct walk *w)
{
	return nu_protect(&w->new, 3, WALK_PAGES - 4, PROT_READ);
}

static int walk_mprotect_all(struct walk *w)
{
	return nu_protect(&w->new, 0, WALK_PAGES, PROT_READ);
}

static int walk_grow(struct walk *w)
{
	return resize(&w->new, WALK_PAGES + 4, 0, NULL);
}

static int walk_move(struct walk *w)
{
	return resize(&w->new, WALK_PAGES + 4, MREMAP_MAYMOVE | MREMAP_FIXED, w->to);
}

static int walk_dontunmap(struct walk *w)
{
	char *p = mremap(w->new.p, WALK_PAGES * page_size, WALK_PAGES * page_size,
			 MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED, w->to);

	w->two = p != MAP_FAILED;
	if (!w->two)
		return errno;
	w->copy = w->new;
	w->copy.p = p;
	return 0;
}

/* The end goes, and comes back: as if it had never been nonuniform */
static int walk_munmap(struct walk *w)
{
	if (unmap(nu_at(&w->new, 9), WALK_PAGES - 9))
		return errno;
	w->new.nr = 9;
	return 0;
}

static int walk_fork(struct walk *w)
{
	w->pid = fork();
	if (w->pid < 0)
		return errno;
	if (w->pid)
		return 0;
	/* The kernel lets nothing fail in the child. */
	nu_probe_init();
	_exit(count_vmas(w->new.p, WALK_PAGES) != count_vmas(w->new.p, 1));
}

FIXTURE(walk)
{
	struct walk w;
};

FIXTURE_SETUP(walk)
{
	const char *reason;

	nu_probe_init();
	reason = nu_obstacle() ?: nu_split_obstacle();
	if (reason)
		SKIP(return, "%s", reason);
	setup_file(_metadata, &self->w.fd);
	/* What a call needs once must not be missing in the first round. */
	walk_prepare(_metadata, &self->w);
	EXPECT_EQ(0, unmap(self->w.old.p, self->w.old.nr));
	EXPECT_EQ(0, unmap(self->w.to, WALK_PAGES + 4));
}

FIXTURE_TEARDOWN(walk)
{
	close(self->w.fd);
}

TEST_F_TIMEOUT(walk, fail_nth_remap, WALK_SECONDS)
{
	self->w.call = walk_remap;
	walk(_metadata, "remap", &self->w);
	self->w.call = walk_remap_populate;
	walk(_metadata, "remap and populate", &self->w);
	self->w.ordinary = true;
	self->w.call = walk_remap;
	walk(_metadata, "the first remap", &self->w);
}

TEST_F_TIMEOUT(walk, fail_nth_legacy, WALK_SECONDS)
{
	self->w.call = walk_legacy;
	walk(_metadata, "legacy remap", &self->w);
}

TEST_F_TIMEOUT(walk, fail_nth_mprotect, WALK_SECONDS)
{
	self->w.call = walk_mprotect;
	walk(_metadata, "mprotect", &self->w);
	self->w.call = walk_mprotect_all;
	without_walk(_metadata, &self->w);
}

TEST_F_TIMEOUT(walk, fail_nth_mremap, WALK_SECONDS)
{
	self->w.call = walk_grow;
	without_walk(_metadata, &self->w);
	self->w.call = walk_move;
	walk(_metadata, "mremap, move and grow", &self->w);
	self->w.call = walk_dontunmap;
	walk(_metadata, "mremap, MREMAP_DONTUNMAP", &self->w);
}

/* Check what is left, and then what comes where the rest was */
static void munmap_check(struct __test_metadata *_metadata, void *arg, unsigned int n,
			 bool injected)
{
	struct walk *w = arg;

	if (!w->error) {
		nu_check(_metadata, &w->new);
		ASSERT_EQ(0, resize(&w->new, WALK_PAGES, 0, NULL));
	}
	walk_check(_metadata, w, n, injected);
}

TEST_F_TIMEOUT(walk, fail_nth_munmap, WALK_SECONDS)
{
	const struct fail_nth op = {
		.prepare = walk_prepare, .attempt = walk_attempt, .check = munmap_check,
		.arg = &self->w,
	};

	self->w.call = walk_munmap;
	fail_nth_walk(_metadata, &op);
}

/* Whether the child has the mapping is tested by vma_nonuniform, fork. */
TEST_F_TIMEOUT(walk, fail_nth_fork, WALK_SECONDS)
{
	self->w.call = walk_fork;
	walk(_metadata, "fork", &self->w);
}

/*
 * More extents than there can be mappings
 */

static unsigned int many_pages(void)
{
	const char *pages = getenv(PAGES_VARIABLE);

	return pages && atoi(pages) > 1 ? (unsigned int)atoi(pages) : MANY_PAGES;
}

/* Each number below @nr once */
static uint32_t *shuffle(unsigned int nr, uint32_t *random)
{
	uint32_t *numbers = malloc(nr * sizeof(*numbers)), other;
	unsigned int i, j;

	for (i = 0; numbers && i < nr; i++)
		numbers[i] = i;
	for (i = nr - 1; numbers && i; i--) {
		j = next_random(random) % (i + 1);
		other = numbers[i];
		numbers[i] = numbers[j];
		numbers[j] = other;
	}
	return numbers;
}

/* Lines of a file, however long that is */
static unsigned int count_lines(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	static char buf[64 * 1024];
	unsigned int lines = 0;
	ssize_t len, i;

	if (fd < 0)
		return 0;
	while ((len = read(fd, buf, sizeof(buf))) > 0)
		for (i = 0; i < len; i++)
			lines += buf[i] == '\n';
	close(fd);
	return lines;
}

#define MANY_SAMPLES	512U

TEST_F_TIMEOUT(file, many, WALK_SECONDS)
{
	unsigned int nr = many_pages(), i, extents;
	uint32_t random = RANDOM_SEED, *order, *file;
	const char *reason;
	char value[256];
	uint64_t word;
	uint8_t *prot;
	char *p;
	int fd = self->fd;

	reason = nu_obstacle() ?: nu_split_obstacle();
	if (reason)
		SKIP(return, "%s", reason);
	ASSERT_EQ(0, ftruncate(fd, (off_t)nr * page_size));
	order = shuffle(nr, &random);
	file = shuffle(nr, &random);
	prot = malloc(nr);
	ASSERT_TRUE(order && file && prot);
	p = map(NULL, nr, RW, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);

	for (i = 0; i < nr; i++) {
		unsigned int page = order[i];

		prot[page] = next_random(&random) % NR_PROTS;
		if (prot[page] == PROT_EXEC && nu_exec_only)
			prot[page] = PROT_NONE;
		ASSERT_EQ(0, nu_remap(fd, p + page * page_size, page_size, prot[page],
				      file[page], MAP_NOINHERIT | MAP_NONBLOCK))
			TH_LOG("after %u pages: %s", i, strerror(errno));
	}
	EXPECT_EQ(1U, count_vmas(p, nr));
	extents = 1;
	for (i = 1; i < nr; i++)
		extents += file[i] != file[i - 1] + 1 || prot[i] != prot[i - 1];
	EXPECT_EQ(extents, count_lines("/proc/self/nonuniform"));
	ASSERT_TRUE(nu_smaps(p, "Extents", value, sizeof(value)));
	EXPECT_EQ(extents, strtoul(value, NULL, 10));

	for (i = 0; i < MANY_SAMPLES; i++) {
		unsigned int page = order[nr - 1 - i % nr];
		char *at = p + page * page_size;
		int sig;

		word = word_of(1, file[page], 0);
		ASSERT_EQ((ssize_t)sizeof(word), pwrite(fd, &word, sizeof(word),
							(off_t)file[page] * page_size));
		word = 0;
		sig = probe_read(at, &word);
		if (prot[page] & PROT_READ)
			EXPECT_EQ(0, sig);
		if (!prot[page])
			EXPECT_EQ(SIGSEGV, sig);
		if (!sig)
			EXPECT_EQ(word_of(1, file[page], 0), word);
		EXPECT_EQ(prot[page] & PROT_WRITE ? 0 : SIGSEGV,
			  probe_write(at + sizeof(word), word));
	}
	TH_LOG("%u extents in one mapping", extents);
	/* Half of it at once, and then the rest */
	EXPECT_EQ(0, unmap(p, nr / 2));
	EXPECT_EQ(1U, count_vmas(p, nr));
	EXPECT_EQ(0, unmap(p + nr / 2 * page_size, nr - nr / 2));
	EXPECT_EQ(0U, count_lines("/proc/self/nonuniform"));
	free(order);
	free(file);
	free(prot);
}

/*
 * --legacy-table
 */

#define TABLE_PAGES	8U

/* One mapping of TABLE_PAGES at @p. Returns 0 if there is none such here. */
struct table_mapping {
	const char *name;
	bool (*make)(char *p, int fd);
};

static bool put(char *p, unsigned int first, unsigned int nr, int prot, int flags, int fd,
		unsigned int file)
{
	char *at = p + first * page_size;

	return map(at, nr, prot, flags | MAP_FIXED, fd, file) == at;
}

static bool make_rw(char *p, int fd)
{
	return put(p, 0, TABLE_PAGES, RW, MAP_SHARED, fd, 0);
}

static bool make_r(char *p, int fd)
{
	return put(p, 0, TABLE_PAGES, PROT_READ, MAP_SHARED, fd, 2);
}

static bool make_rx(char *p, int fd)
{
	return put(p, 0, TABLE_PAGES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
}

static bool make_w(char *p, int fd)
{
	return put(p, 0, TABLE_PAGES, PROT_WRITE, MAP_SHARED, fd, 0);
}

static bool make_none(char *p, int fd)
{
	return put(p, 0, TABLE_PAGES, PROT_NONE, MAP_SHARED, fd, 0);
}

static bool make_all(char *p, int fd)
{
	return put(p, 0, TABLE_PAGES, PROT_ALL, MAP_SHARED, fd, 0);
}

static bool make_two(char *p, int fd)
{
	return put(p, 0, 4, RW, MAP_SHARED, fd, 0) && put(p, 4, 4, RW, MAP_SHARED, fd, 9);
}

static bool make_two_protections(char *p, int fd)
{
	return make_rw(p, fd) && !mprotect(p + 4 * page_size, 4 * page_size, PROT_READ);
}

static bool make_two_files(char *p, int fd)
{
	int other = memfd_create("other", MFD_CLOEXEC);
	bool ok = fill_file(other, 1, 0, TABLE_PAGES) &&
		  put(p, 0, 4, RW, MAP_SHARED, fd, 0) &&
		  put(p, 4, 4, RW, MAP_SHARED, other, 0);

	close(other);
	return ok;
}

static bool make_hole(char *p, int fd)
{
	return make_rw(p, fd) && !unmap(p + 4 * page_size, 1);
}

static bool make_private(char *p, int fd)
{
	return put(p, 0, TABLE_PAGES, RW, MAP_PRIVATE, fd, 0);
}

static bool make_half_private(char *p, int fd)
{
	return make_rw(p, fd) && put(p, 4, 4, RW, MAP_PRIVATE, fd, 4);
}

static bool make_anonymous(char *p, int fd)
{
	(void)fd;
	return put(p, 0, TABLE_PAGES, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static bool make_shared_anonymous(char *p, int fd)
{
	unsigned int i;

	(void)fd;
	if (!put(p, 0, TABLE_PAGES, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
		return false;
	for (i = 0; i < TABLE_PAGES; i++)
		fill_page(p + i * page_size, 1, i);
	return true;
}

static bool make_shm(char *p, int fd)
{
	int id = shmget(IPC_PRIVATE, TABLE_PAGES * page_size, IPC_CREAT | 0700);
	unsigned int i;
	bool ok;

	(void)fd;
	ok = id >= 0 && shmat(id, p, SHM_REMAP) == (void *)p;
	shmctl(id, IPC_RMID, NULL);
	for (i = 0; ok && i < TABLE_PAGES; i++)
		fill_page(p + i * page_size, 1, i);
	return ok;
}

static bool make_locked(char *p, int fd)
{
	return make_rw(p, fd) && !mlock(p, TABLE_PAGES * page_size);
}

static bool make_half_locked(char *p, int fd)
{
	return make_rw(p, fd) && !mlock(p, 4 * page_size);
}

static bool make_read_only_file(char *p, int fd)
{
	char path[64];
	int ro;
	bool ok;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	ok = put(p, 0, TABLE_PAGES, PROT_READ, MAP_SHARED, ro, 0);
	close(ro);
	return ok;
}

static bool make_remapped(char *p, int fd)
{
	unsigned int i;

	if (!make_rw(p, fd))
		return false;
	for (i = 0; i < TABLE_PAGES; i += 2)
		if (remap_bytes(p + i * page_size, page_size, 0, 9 - i, 0))
			return false;
	return true;
}

static bool make_remapped_protected(char *p, int fd)
{
	return make_remapped(p, fd) && !mprotect(p + page_size, 2 * page_size, PROT_READ) &&
	       !mprotect(p + 5 * page_size, page_size, PROT_NONE);
}

static bool make_dontfork(char *p, int fd)
{
	return make_rw(p, fd) && !madvise(p + 4 * page_size, page_size, MADV_DONTFORK);
}

static bool make_sealed(char *p, int fd)
{
	bool ok = put(p, 0, TABLE_PAGES, PROT_READ, MAP_SHARED, fd, 0) &&
		  !syscall(__NR_mseal, p + 4 * page_size, 2 * page_size, 0);

	return ok;
}

static const struct table_mapping table_mappings[] = {
	{ "rw", make_rw },
	{ "r", make_r },
	{ "rx", make_rx },
	{ "w", make_w },
	{ "none", make_none },
	{ "rwx", make_all },
	{ "two", make_two },
	{ "two-protections", make_two_protections },
	{ "two-files", make_two_files },
	{ "hole", make_hole },
	{ "private", make_private },
	{ "half-private", make_half_private },
	{ "anonymous", make_anonymous },
	{ "shared-anonymous", make_shared_anonymous },
	{ "shm", make_shm },
	{ "locked", make_locked },
	{ "half-locked", make_half_locked },
	{ "read-only-file", make_read_only_file },
	{ "remapped", make_remapped },
	{ "remapped-protected", make_remapped_protected },
	{ "dontfork", make_dontfork },
	{ "sealed", make_sealed },
};

/* Start and length in bytes, counted from page @page with a rest */
static const struct {
	int page, rest;
	int pages, more;
	unsigned long prot, pgoff, flags;
} table_calls[] = {
	{ 0, 0, 8, 0, 0, 0, 0 },
	{ 0, 0, 8, 0, 0, 1, MAP_NONBLOCK },
	{ 0, 0, 1, 0, 0, 5, 0 },
	{ 0, 0, 1, 0, 0, 5, MAP_NONBLOCK },
	{ 3, 0, 1, 0, 0, 3, 0 },
	{ 2, 0, 4, 0, 0, 9, 0 },
	{ 2, 0, 4, 0, 0, 9, MAP_NONBLOCK },
	{ 3, 0, 2, 0, 0, 1, MAP_NONBLOCK },
	{ 4, 0, 2, 0, 0, 1, MAP_NONBLOCK },
	{ 7, 0, 1, 0, 0, 0, 0 },
	{ 7, 0, 2, 0, 0, 0, 0 },
	{ 8, 0, 1, 0, 0, 0, 0 },
	{ -1, 0, 1, 0, 0, 0, 0 },
	{ -1, 0, 2, 0, 0, 0, 0 },
	{ 0, 0, 9, 0, 0, 0, 0 },
	{ 1, 100, 1, 200, 0, 9, 0 },
	{ 1, -1, 1, 0, 0, 9, 0 },
	{ 1, 0, 1, -1, 0, 9, 0 },
	{ 1, 0, 0, 0, 0, 9, 0 },
	{ 1, 0, -1, 0, 0, 9, 0 },
	{ 1, 0, 1, 0, PROT_READ, 9, 0 },
	{ 1, 0, 1, 0, RW, 9, MAP_NONBLOCK },
	{ 1, 0, 1, 0, ULONG_MAX, 9, 0 },
	{ 1, 0, 1, 0, 0, 15, 0 },
	{ 1, 0, 2, 0, 0, 15, 0 },
	{ 1, 0, 1, 0, 0, 1000, 0 },
	{ 1, 0, 1, 0, 0, 1UL << 40, MAP_NONBLOCK },
	{ 1, 0, 1, 0, 0, 1UL << 51, MAP_NONBLOCK },
	{ 1, 0, 1, 0, 0, (1UL << 51) - 1, MAP_NONBLOCK },
	{ 1, 0, 1, 0, 0, 1UL << 52, MAP_NONBLOCK },
	{ 1, 0, 1, 0, 0, ULONG_MAX - 1, 0 },
	{ 1, 0, 1, 0, 0, ULONG_MAX, 0 },
	{ 1, 0, 1, 0, 0, 9, MAP_PRIVATE },
	{ 1, 0, 1, 0, 0, 9, MAP_ANONYMOUS },
	{ 1, 0, 1, 0, 0, 9, MAP_FIXED | MAP_LOCKED },
	{ 1, 0, 1, 0, 0, 9, ULONG_MAX & ~(unsigned long)MAP_NOINHERIT },
};

/* One page: which one of the file, and what may be done with it */
static void print_page(int mem, char *p)
{
	uint64_t word = forced_word(mem, p, CODE_WORDS);
	char c[NR_ACCESSES + 1] = "";
	struct nu_outcome o;
	enum nu_access a;

	for (a = 0; a < NR_ACCESSES; a++) {
		if (a == NU_EXEC && (word == ~0ULL || !nu_has_code(p, mem))) {
			c[a] = '.';
			continue;
		}
		o = nu_try(p, CODE_WORDS, a);
		c[a] = o.sig == SIGBUS ? 'B' : o.sig ? '-' : "rwx"[a];
	}
	if (word == ~0ULL)
		printf(" ?%s", c);
	else
		printf(" %u%s", page_of(word), c);
}

static int print_table(void)
{
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned long locked;
	size_t i, j, k;
	int fd;

	nu_probe_init();
	fd = memfd_create("table", MFD_CLOEXEC);
	if (mem < 0 || fd < 0 || !fill_file(fd, 1, 0, 2 * TABLE_PAGES))
		ksft_exit_fail_msg("no file: %s\n", strerror(errno));
	for (i = 0; i < ARRAY_SIZE(table_mappings); i++) {
		for (j = 0; j < ARRAY_SIZE(table_calls); j++) {
			char *p = map_prot_none(3 * TABLE_PAGES) + TABLE_PAGES * page_size;
			int error;

			unmap(p - TABLE_PAGES * page_size, 3 * TABLE_PAGES);
			locked = read_sizes().locked;
			if (!table_mappings[i].make(p, fd)) {
				printf("%s: cannot be made: %s\n", table_mappings[i].name,
				       strerror(errno));
				break;
			}
			error = remap_bytes(p + table_calls[j].page * (long)page_size +
					    table_calls[j].rest,
					    table_calls[j].pages * (long)page_size +
					    table_calls[j].more, table_calls[j].prot,
					    table_calls[j].pgoff, table_calls[j].flags);
			printf("%s: %d%+d, %d%+d, %#lx, %#lx, %#lx = %s,",
			       table_mappings[i].name, table_calls[j].page,
			       table_calls[j].rest, table_calls[j].pages,
			       table_calls[j].more, table_calls[j].prot,
			       table_calls[j].pgoff, table_calls[j].flags,
			       error ? strerror(error) : "0");
			for (k = 0; k < TABLE_PAGES; k++)
				print_page(mem, p + k * page_size);
			printf(", %lu kB locked\n", read_sizes().locked - locked);
			/* A mapping that is sealed stays. */
			unmap(p, TABLE_PAGES);
		}
	}
	close(mem);
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--legacy-table"))
		return print_table();
	nu_init();
	nu_make_root();
	if (read_file(CORE_PATTERN, old_core_pattern, sizeof(old_core_pattern)))
		atexit(restore_core_pattern);
	fault_settings_save();
	return test_harness_run(argc, argv);
}
