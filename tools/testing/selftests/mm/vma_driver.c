// SPDX-License-Identifier: GPL-2.0
/*
 * What a driver may make of a mapping, and what it must not, by means of
 * lib/test_vma_driver.c: devices that are mapped in every way there is, which keep the
 * rules of Documentation/mm/vma_rules.rst and break one of them when told to.
 *
 * Whether a mapping has been refused without a trace is decided by comparing all of
 * /proc/self/maps, the sizes that the kernel accounts, the content of what was there
 * before, and what the driver has counted.
 *
 * A broken rule makes the kernel warn. The tests announce that in the kernel log
 * ("vma-expect: TEXT"), for those who take a warning for a failure.
 */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include "../../../../lib/test_vma_driver_uapi.h"
#include "vma_util.h"

#ifndef __NR_mseal
#define __NR_mseal		462
#endif

#define MODULE			"test_vma_driver"
#define PAGES			VMA_TEST_PAGES

/* A debug kernel on an emulated CPU is slow; these only bound a hang */
#define TEST_SECONDS		120
#define WALK_SECONDS		600
#define RACE_SECONDS		3

static const char * const names[] = VMA_TEST_NAMES;

/* Why there is no driver, or an empty string */
static char no_driver[128];
static bool module_loaded;

/* Announce a report of the kernel that has @text in its head */
static void expect_report(const char *text)
{
	char line[128];

	write_file(DEBUGFS "clear_warn_once", "1");
	snprintf(line, sizeof(line), "vma-expect: %s\n", text);
	write_file("/dev/kmsg", line);
}

/*
 * The devices
 */

static int open_device(enum vma_test_kind kind, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/%s", names[kind]);
	return open(path, flags | O_CLOEXEC);
}

static int break_rule(int fd, enum vma_test_rule rule, unsigned int arg)
{
	struct vma_test_break b = { .rule = rule, .arg = arg };

	return ioctl(fd, VMA_TEST_BREAK, &b);
}

static int set_options(int fd, __u32 options)
{
	return ioctl(fd, VMA_TEST_SET_OPTIONS, &options);
}

static int revoke_pages(int fd, unsigned int page, unsigned int nr_pages)
{
	struct vma_test_range range = { .page = page, .nr_pages = nr_pages };

	return ioctl(fd, VMA_TEST_REVOKE, &range);
}

static int restore_pages(int fd, unsigned int page, unsigned int nr_pages)
{
	struct vma_test_range range = { .page = page, .nr_pages = nr_pages };

	return ioctl(fd, VMA_TEST_RESTORE, &range);
}

static int insert(int fd, const void *addr, bool new_vma)
{
	struct vma_test_insert i = { .addr = (unsigned long)addr, .new_vma = new_vma };

	return ioctl(fd, VMA_TEST_INSERT, &i);
}

static struct vma_test_stats get_stats(int fd)
{
	struct vma_test_stats stats;

	if (ioctl(fd, VMA_TEST_STATS, &stats))
		memset(&stats, 0xff, sizeof(stats));
	return stats;
}

/* Nothing is mapped, and whatever has been counted is balanced */
static void check_idle(struct __test_metadata *_metadata, int fd)
{
	struct vma_test_stats s = get_stats(fd);

	EXPECT_EQ(0U, s.mapped);
	EXPECT_EQ(0U, s.writable);
	EXPECT_EQ(0U, s.refs);
	EXPECT_EQ(0U, s.busy_pages);
	EXPECT_EQ(s.opens, s.closes);
}

/* The same but for the number of calls that a failed mmap() may have made */
static void check_same_stats(struct __test_metadata *_metadata, int fd,
			     const struct vma_test_stats *before)
{
	struct vma_test_stats now = get_stats(fd);

	EXPECT_EQ(before->opens, now.opens);
	EXPECT_EQ(before->closes, now.closes);
	EXPECT_EQ(before->refs, now.refs);
	EXPECT_EQ(before->busy_pages, now.busy_pages);
	EXPECT_EQ(before->mapped, now.mapped);
	EXPECT_EQ(before->writable, now.writable);
}

static uint64_t word_of(enum vma_test_kind kind, unsigned int page)
{
	return kind == VMA_TEST_ANON ? 0 : vma_test_word(kind, page);
}

/* @nr pages at @p are those of a fresh device from @first on */
static void check_content(struct __test_metadata *_metadata, const char *p,
			  enum vma_test_kind kind, unsigned int first,
			  unsigned int nr)
{
	unsigned int i;
	size_t j;

	for (i = 0; i < nr; i++) {
		for (j = 0; j < page_size; j += page_size / 4) {
			const char *addr = p + i * page_size + j;
			uint64_t value = 0;

			ASSERT_EQ(0, probe_read(addr, &value));
			ASSERT_EQ(word_of(kind, first + i), value)
				TH_LOG("%s, page %u", names[kind], first + i);
		}
	}
}

/* Three times as many pages as a device has, filled; a device goes in the middle */
#define ARENA_PAGES	(3 * PAGES)

static char *arena_create(struct __test_metadata *_metadata)
{
	char *p = map(NULL, ARENA_PAGES, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	ASSERT_NE(MAP_FAILED, (void *)p);
	for (i = 0; i < ARENA_PAGES; i++)
		memset(p + i * page_size, 'a' + i % 26, page_size);
	return p;
}

static bool arena_intact(const char *p, unsigned int first, unsigned int nr)
{
	unsigned int i;
	uint64_t value;

	for (i = first; i < first + nr; i++)
		if (probe_read(p + i * page_size, &value) ||
		    value != 0x0101010101010101ULL * ('a' + i % 26))
			return false;
	return true;
}

/*
 * The right ways
 */

FIXTURE(device)
{
	int fd;
};

FIXTURE_VARIANT(device)
{
	enum vma_test_kind kind;
	int no_shared;		/* errno for a shared mapping */
	int no_private;		/* errno for a private writable one */
	bool special;		/* VM_PFNMAP or VM_MIXEDMAP: never merges or grows */
	bool pfn;		/* VM_PFNMAP: pages have no references */
	bool at_once;		/* mapped by mmap(), not by faults */
	bool uffd;		/* userfaultfd is possible */
	bool no_revoke;		/* what is mapped cannot be revoked */
};

FIXTURE_VARIANT_ADD(device, fault)
{
	.kind = VMA_TEST_FAULT,
};

FIXTURE_VARIANT_ADD(device, mixed)
{
	.kind = VMA_TEST_MIXED, .special = true,
};

FIXTURE_VARIANT_ADD(device, pfn_fault)
{
	.kind = VMA_TEST_PFN_FAULT, .special = true, .pfn = true,
	.no_private = EINVAL,
};

FIXTURE_VARIANT_ADD(device, pages)
{
	.kind = VMA_TEST_MAP_PAGES, .special = true, .at_once = true,
};

FIXTURE_VARIANT_ADD(device, pfn)
{
	.kind = VMA_TEST_REMAP, .special = true, .pfn = true, .at_once = true,
	.no_revoke = true,
};

FIXTURE_VARIANT_ADD(device, count)
{
	.kind = VMA_TEST_COUNT,
};

FIXTURE_VARIANT_ADD(device, file)
{
	.kind = VMA_TEST_FILE, .uffd = true, .no_revoke = true,
};

FIXTURE_VARIANT_ADD(device, anon)
{
	.kind = VMA_TEST_ANON, .uffd = true, .no_revoke = true, .no_shared = EACCES,
};

FIXTURE_VARIANT_ADD(device, legacy)
{
	.kind = VMA_TEST_LEGACY,
};

FIXTURE_SETUP(device)
{
	if (no_driver[0])
		SKIP(return, "%s", no_driver);
	probe_init();
	self->fd = open_device(variant->kind, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(device)
{
	close(self->fd);
}

/* MAP_SHARED, unless the device is only for private mappings */
#define DEVICE_FLAGS	(variant->no_shared ? MAP_PRIVATE : MAP_SHARED)

TEST_F_TIMEOUT(device, shared, TEST_SECONDS)
{
	uint64_t value;
	char *p, *q;

	p = map(NULL, PAGES, RW, MAP_SHARED, self->fd, 0);
	if (variant->no_shared) {
		EXPECT_EQ(MAP_FAILED, (void *)p);
		EXPECT_EQ(variant->no_shared, errno);
		return;
	}
	ASSERT_NE(MAP_FAILED, (void *)p);
	check_content(_metadata, p, variant->kind, 0, PAGES);
	EXPECT_EQ(1U, get_stats(self->fd).mapped);
	EXPECT_EQ(1U, get_stats(self->fd).writable);

	ASSERT_EQ(0, probe_write(p + 3 * page_size, 4711));
	q = map(NULL, 2, PROT_READ, MAP_SHARED, self->fd, 3);
	ASSERT_NE(MAP_FAILED, (void *)q);
	ASSERT_EQ(0, probe_read(q, &value));
	EXPECT_EQ(4711U, value);
	EXPECT_EQ(SIGSEGV, probe_write(q, 1));
	check_content(_metadata, q + page_size, variant->kind, 4, 1);

	EXPECT_EQ(0, unmap(p, PAGES));
	EXPECT_EQ(0, unmap(q, 2));
	check_idle(_metadata, self->fd);
}

/* What is written to a private mapping does not get to the device */
TEST_F_TIMEOUT(device, private, TEST_SECONDS)
{
	uint64_t value;
	char *p, *q;

	p = map(NULL, PAGES, RW, MAP_PRIVATE, self->fd, 0);
	if (variant->no_private) {
		EXPECT_EQ(MAP_FAILED, (void *)p);
		EXPECT_EQ(variant->no_private, errno);
		return;
	}
	ASSERT_NE(MAP_FAILED, (void *)p);
	check_content(_metadata, p, variant->kind, 0, PAGES);
	ASSERT_EQ(0, probe_write(p + 3 * page_size, 4711));
	ASSERT_EQ(0, probe_read(p + 3 * page_size, &value));
	EXPECT_EQ(4711U, value);

	EXPECT_EQ(0U, get_stats(self->fd).writable);

	q = map(NULL, PAGES, PROT_READ, DEVICE_FLAGS, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)q);
	check_content(_metadata, q, variant->kind, 0, PAGES);

	EXPECT_EQ(0, unmap(p, PAGES));
	EXPECT_EQ(0, unmap(q, PAGES));
	check_idle(_metadata, self->fd);
}

TEST_F_TIMEOUT(device, offset, TEST_SECONDS)
{
	char *p = map(NULL, 4, PROT_READ, DEVICE_FLAGS, self->fd, 5);

	ASSERT_NE(MAP_FAILED, (void *)p);
	check_content(_metadata, p, variant->kind, 5, 4);
	EXPECT_EQ(0, unmap(p, 4));

	/* Beyond the device: at once, or when somebody looks */
	p = map(NULL, 2, PROT_READ, DEVICE_FLAGS, self->fd, PAGES - 1);
	if (variant->at_once) {
		EXPECT_EQ(MAP_FAILED, (void *)p);
		EXPECT_EQ(EINVAL, errno);
	} else {
		ASSERT_NE(MAP_FAILED, (void *)p);
		check_content(_metadata, p, variant->kind, PAGES - 1, 1);
		EXPECT_EQ(variant->kind == VMA_TEST_ANON ? 0 : SIGBUS,
			  probe(p + page_size));
		EXPECT_EQ(0, unmap(p, 2));
	}
	check_idle(_metadata, self->fd);
}

TEST_F_TIMEOUT(device, fork, TEST_SECONDS)
{
	char *p = map(NULL, PAGES, RW, DEVICE_FLAGS, self->fd, 0);
	uint64_t value;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, (void *)p);
	check_content(_metadata, p, variant->kind, 0, PAGES / 2);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		unsigned int i;

		for (i = 0; i < PAGES; i++)
			if (probe_read(p + i * page_size, &value) ||
			    value != word_of(variant->kind, i))
				_exit(1);
		if (probe_write(p, 4711))
			_exit(2);
		if (variant->kind == VMA_TEST_COUNT && get_stats(self->fd).refs != 2)
			_exit(3);
		_exit(0);
	}
	EXPECT_EQ(0, wait_status(pid));
	ASSERT_EQ(0, probe_read(p, &value));
	EXPECT_EQ(variant->no_shared ? 0U : 4711U, value);
	EXPECT_EQ(0, unmap(p, PAGES));
	check_idle(_metadata, self->fd);
}

TEST_F_TIMEOUT(device, unmap_part, TEST_SECONDS)
{
	char *p = map(NULL, PAGES, RW, DEVICE_FLAGS, self->fd, 0);

	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, unmap(p + 4 * page_size, 8));
	EXPECT_EQ(2U, count_vmas(p, PAGES));
	EXPECT_EQ(SIGSEGV, probe(p + 4 * page_size));
	EXPECT_EQ(SIGSEGV, probe(p + 11 * page_size));
	check_content(_metadata, p, variant->kind, 0, 4);
	check_content(_metadata, p + 12 * page_size, variant->kind, 12, 4);
	EXPECT_EQ(0, unmap(p, 4));
	check_content(_metadata, p + 12 * page_size, variant->kind, 12, 4);
	EXPECT_EQ(0, unmap(p + 12 * page_size, 4));
	check_idle(_metadata, self->fd);
}

TEST_F_TIMEOUT(device, move, TEST_SECONDS)
{
	char *p = map(NULL, PAGES, RW, DEVICE_FLAGS, self->fd, 0);
	char *q = map_prot_none(PAGES);

	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_NE(MAP_FAILED, (void *)q);
	check_content(_metadata, p, variant->kind, 0, PAGES / 2);
	ASSERT_EQ(q, mremap(p, PAGES * page_size, PAGES * page_size,
			    MREMAP_MAYMOVE | MREMAP_FIXED, q));
	EXPECT_EQ(SIGSEGV, probe(p));
	check_content(_metadata, q, variant->kind, 0, PAGES);
	EXPECT_EQ(0, unmap(q, PAGES));
	check_idle(_metadata, self->fd);
}

/* What is mapped in a special way does not grow: nothing would map the rest */
TEST_F_TIMEOUT(device, grow, TEST_SECONDS)
{
	char *p = map(NULL, 8, RW, DEVICE_FLAGS, self->fd, 0), *q;

	ASSERT_NE(MAP_FAILED, (void *)p);
	check_content(_metadata, p, variant->kind, 0, 4);
	q = mremap(p, 8 * page_size, PAGES * page_size, MREMAP_MAYMOVE);
	if (variant->special) {
		EXPECT_EQ(MAP_FAILED, (void *)q);
		EXPECT_EQ(EFAULT, errno);
		check_content(_metadata, p, variant->kind, 0, 8);
		EXPECT_EQ(0, unmap(p, 8));
	} else {
		ASSERT_NE(MAP_FAILED, (void *)q);
		check_content(_metadata, q, variant->kind, 0, PAGES);
		EXPECT_EQ(0, unmap(q, PAGES));
	}
	check_idle(_metadata, self->fd);
}

TEST_F_TIMEOUT(device, fixed_over, TEST_SECONDS)
{
	char *arena = arena_create(_metadata);
	char *p = arena + PAGES * page_size;

	/* Over memory, */
	ASSERT_EQ(p, map(p, PAGES, RW, DEVICE_FLAGS | MAP_FIXED, self->fd, 0));
	check_content(_metadata, p, variant->kind, 0, PAGES);
	EXPECT_TRUE(arena_intact(arena, 0, PAGES));
	EXPECT_TRUE(arena_intact(arena, 2 * PAGES, PAGES));
	/* over the device itself, */
	ASSERT_EQ(p + 4 * page_size, map(p + 4 * page_size, 4, PROT_READ,
					 DEVICE_FLAGS | MAP_FIXED, self->fd, 9));
	check_content(_metadata, p, variant->kind, 0, 4);
	check_content(_metadata, p + 4 * page_size, variant->kind, 9, 4);
	check_content(_metadata, p + 8 * page_size, variant->kind, 8, 8);
	/* and the other way round */
	ASSERT_EQ(p, map(p, PAGES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			 -1, 0));
	EXPECT_EQ(0, probe(p + 4 * page_size));
	check_idle(_metadata, self->fd);
	EXPECT_EQ(0, unmap(arena, ARENA_PAGES));
}

/*
 * Rules: access can be taken away; without VM_MAYWRITE it stays away. The driver
 * allows reading only.
 */
TEST_F_TIMEOUT(device, read_only, TEST_SECONDS)
{
	int flags[] = { MAP_SHARED, MAP_PRIVATE };
	unsigned int i;
	char *p;

	ASSERT_EQ(0, set_options(self->fd, VMA_TEST_READ_ONLY));
	for (i = variant->no_shared ? 1 : 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_EQ(MAP_FAILED, (void *)map(NULL, PAGES, RW, flags[i], self->fd, 0));
		EXPECT_EQ(EPERM, errno);
		p = map(NULL, PAGES, PROT_READ, flags[i], self->fd, 0);
		ASSERT_NE(MAP_FAILED, (void *)p);
		EXPECT_EQ(0U, get_stats(self->fd).writable);
		check_content(_metadata, p, variant->kind, 0, PAGES);
		EXPECT_EQ(-1, mprotect(p, PAGES * page_size, RW));
		EXPECT_EQ(EACCES, errno);
		EXPECT_EQ(SIGSEGV, probe_write(p, 1));
		EXPECT_EQ(0, unmap(p, PAGES));
	}
	check_idle(_metadata, self->fd);
}

/* With VM_MAYWRITE, access is what was asked for */
TEST_F_TIMEOUT(device, protect, TEST_SECONDS)
{
	char *p = map(NULL, PAGES, RW, DEVICE_FLAGS, self->fd, 0);

	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(0, probe_write(p, word_of(variant->kind, 0)));
	ASSERT_EQ(0, mprotect(p, 4 * page_size, PROT_READ));
	EXPECT_EQ(2U, count_vmas(p, PAGES));
	EXPECT_EQ(SIGSEGV, probe_write(p, 1));
	ASSERT_EQ(0, mprotect(p, 4 * page_size, RW));
	EXPECT_EQ(0, probe_write(p, word_of(variant->kind, 0)));
	check_content(_metadata, p, variant->kind, 0, PAGES);
	EXPECT_EQ(0, unmap(p, PAGES));
	check_idle(_metadata, self->fd);
}

/* CAP_IPC_LOCK would lift the limit */
static bool drop_ipc_lock(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data))
		return false;
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	return !syscall(SYS_capset, &header, data);
}

/* Rule: a driver may lock its mapping, within the limit of the user */
TEST_F_TIMEOUT(device, locked, TEST_SECONDS)
{
	const unsigned long size = PAGES * page_size / 1024;
	struct rlimit none = { 0, 0 };
	struct vma_test_stats stats;
	static struct snapshot before;
	unsigned long was;
	char *p;

	was = read_sizes().locked;
	ASSERT_EQ(0, set_options(self->fd, VMA_TEST_LOCKED));
	p = map(NULL, PAGES, RW, DEVICE_FLAGS, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	/* Special mappings cannot be locked; mm drops the flag again. */
	EXPECT_EQ(was + (variant->special ? 0 : size), read_sizes().locked);
	ASSERT_EQ(0, unmap(p, PAGES));
	EXPECT_EQ(was, read_sizes().locked);
	/* The old way is not checked, as the driver has done it by then. */
	if (variant->kind == VMA_TEST_LEGACY)
		return;

	ASSERT_TRUE(drop_ipc_lock());
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &none));
	stats = get_stats(self->fd);
	snapshot(_metadata, &before);
	EXPECT_EQ(MAP_FAILED, (void *)map(NULL, PAGES, RW, DEVICE_FLAGS, self->fd, 0));
	EXPECT_EQ(EAGAIN, errno);
	check_snapshot(_metadata, &before);
	check_same_stats(_metadata, self->fd, &stats);
}

/*
 * Rules: one merge attempt, with what the hook has said; special mappings never
 * merge; and a mapping that only extends a VMA opens nothing.
 */
TEST_F_TIMEOUT(device, merge, TEST_SECONDS)
{
	char *p = map_prot_none(PAGES);

	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(p, map(p, 8, RW, DEVICE_FLAGS | MAP_FIXED, self->fd, 0));
	ASSERT_EQ(p + 8 * page_size, map(p + 8 * page_size, 8, RW,
					 DEVICE_FLAGS | MAP_FIXED, self->fd, 8));
	EXPECT_EQ(variant->special ? 2U : 1U, count_vmas(p, PAGES));
	check_content(_metadata, p, variant->kind, 0, PAGES);
	EXPECT_EQ(variant->kind == VMA_TEST_COUNT ? 1U : 0U, get_stats(self->fd).opens);
	EXPECT_EQ(0, unmap(p, PAGES));
	check_idle(_metadata, self->fd);
}

/* Rule: VMAs with another vm_private_data do not merge */
TEST_F_TIMEOUT(device, merge_other_data, TEST_SECONDS)
{
	char *p = map_prot_none(PAGES);

	if (variant->kind != VMA_TEST_FAULT && variant->kind != VMA_TEST_COUNT)
		SKIP(return, "%s has no private data, or never merges, or does regardless",
		     names[variant->kind]);
	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(p, map(p, 8, RW, DEVICE_FLAGS | MAP_FIXED, self->fd, 0));
	ASSERT_EQ(0, set_options(self->fd, VMA_TEST_OTHER_DATA));
	ASSERT_EQ(p + 8 * page_size, map(p + 8 * page_size, 8, RW,
					 DEVICE_FLAGS | MAP_FIXED, self->fd, 8));
	EXPECT_EQ(2U, count_vmas(p, PAGES));
	EXPECT_EQ(variant->kind == VMA_TEST_COUNT ? 2U : 0U, get_stats(self->fd).opens);
	check_content(_metadata, p, variant->kind, 0, PAGES);
	EXPECT_EQ(0, unmap(p, PAGES));
	check_idle(_metadata, self->fd);
}

/* A child that looks at page 5 before and after it was revoked */
static pid_t start_witness(struct __test_metadata *_metadata, const char *page5,
			   int go[2])
{
	int ready[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(go[1]);
		if (probe(page5) || write(ready[1], "r", 1) != 1)
			_exit(1);
		if (read(go[0], &c, 1) != 1)
			_exit(2);
		_exit(probe(page5) == SIGBUS ? 0 : 3);
	}
	close(go[0]);
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &c, 1));
	close(ready[0]);
	return pid;
}

/*
 * Rule: what has been mapped is revoked by unmap_mapping_range(), wherever it is: in
 * parts, moved, in a child.
 */
TEST_F_TIMEOUT(device, revoke, TEST_SECONDS)
{
	char *p, *q = map_prot_none(PAGES);
	int go[2];
	pid_t pid;

	ASSERT_NE(MAP_FAILED, (void *)q);
	p = map(NULL, PAGES, RW, DEVICE_FLAGS, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	if (variant->no_revoke) {
		EXPECT_EQ(-1, revoke_pages(self->fd, 0, PAGES));
		EXPECT_EQ(EOPNOTSUPP, errno);
		return;
	}
	check_content(_metadata, p, variant->kind, 0, PAGES);
	ASSERT_EQ(0, unmap(p + 12 * page_size, 1));
	ASSERT_EQ(q, mremap(p, 8 * page_size, 8 * page_size,
			    MREMAP_MAYMOVE | MREMAP_FIXED, q));
	pid = start_witness(_metadata, q + 5 * page_size, go);

	ASSERT_EQ(0, revoke_pages(self->fd, 4, 6));
	EXPECT_EQ(SIGBUS, probe(q + 4 * page_size));
	EXPECT_EQ(SIGBUS, probe(q + 7 * page_size));
	EXPECT_EQ(SIGBUS, probe(p + 8 * page_size));
	EXPECT_EQ(SIGBUS, probe(p + 9 * page_size));
	check_content(_metadata, q, variant->kind, 0, 4);
	check_content(_metadata, p + 10 * page_size, variant->kind, 10, 2);
	ASSERT_EQ(1, write(go[1], "g", 1));
	EXPECT_EQ(0, wait_status(pid));

	ASSERT_EQ(0, restore_pages(self->fd, 4, 6));
	if (variant->at_once) {
		/* There is no fault handler that could map it again. */
		EXPECT_EQ(SIGBUS, probe(q + 4 * page_size));
	} else {
		check_content(_metadata, q, variant->kind, 0, 8);
		check_content(_metadata, p + 8 * page_size, variant->kind, 8, 4);
	}
	EXPECT_EQ(0, unmap(q, 8));
	EXPECT_EQ(0, unmap(p + 8 * page_size, 8));
	check_idle(_metadata, self->fd);
}

/* Copies that a private mapping has made are revoked as well */
TEST_F_TIMEOUT(device, revoke_private, TEST_SECONDS)
{
	char *p;

	if (variant->no_private || variant->no_revoke)
		SKIP(return, "%s has no private mappings, or cannot revoke them",
		     names[variant->kind]);
	p = map(NULL, PAGES, RW, MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, probe_write(p + 2 * page_size, 4711));
	ASSERT_EQ(0, revoke_pages(self->fd, 0, PAGES));
	EXPECT_EQ(SIGBUS, probe(p));
	EXPECT_EQ(SIGBUS, probe(p + 2 * page_size));
	EXPECT_EQ(0, unmap(p, PAGES));
	check_idle(_metadata, self->fd);
}

/*
 * Rule: VM_PFNMAP keeps mm from taking references to what is mapped; VM_MIXEDMAP
 * does not.
 */
TEST_F_TIMEOUT(device, reference, TEST_SECONDS)
{
	char *p = map(NULL, PAGES, RW, DEVICE_FLAGS, self->fd, 0);
	uint64_t value = 0;
	struct iovec iov = { .iov_base = p + 3 * page_size, .iov_len = sizeof(value) };
	int pipefd[2];

	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(0, probe(iov.iov_base));
	if (variant->pfn) {
		EXPECT_EQ(-1, vmsplice(pipefd[1], &iov, 1, 0));
		EXPECT_EQ(EFAULT, errno);
	} else {
		ASSERT_EQ((ssize_t)sizeof(value), vmsplice(pipefd[1], &iov, 1, 0));
		ASSERT_EQ((ssize_t)sizeof(value), read(pipefd[0], &value, sizeof(value)));
		EXPECT_EQ(word_of(variant->kind, 3), value);
	}
	close(pipefd[0]);
	close(pipefd[1]);
	EXPECT_EQ(0, unmap(p, PAGES));
	check_idle(_metadata, self->fd);
}

/* Rule: VM_MIXEDMAP and VM_PFNMAP do not go with userfaultfd */
TEST_F_TIMEOUT(device, userfaultfd, TEST_SECONDS)
{
	char *p = map(NULL, PAGES, RW, DEVICE_FLAGS, self->fd, 0);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (unsigned long)p, .len = PAGES * page_size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int uffd, ret;

	ASSERT_NE(MAP_FAILED, (void *)p);
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", strerror(errno));
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_API, &api));
	ret = ioctl(uffd, UFFDIO_REGISTER, &reg);
	if (variant->uffd) {
		EXPECT_EQ(0, ret);
	} else {
		EXPECT_EQ(-1, ret);
		EXPECT_EQ(EINVAL, errno);
	}
	close(uffd);
	EXPECT_EQ(0, unmap(p, PAGES));
	check_idle(_metadata, self->fd);
}

/*
 * Rule: after an error from the hook everything is as it was, and what was to be
 * replaced is not even split. What f_op->mmap() returns comes too late for that.
 */
TEST_F_TIMEOUT(device, hook_error, TEST_SECONDS)
{
	static const int errors[] = { EBADMSG, ENOMEM, EINTR };
	char *arena = arena_create(_metadata);
	char *p = arena + PAGES * page_size;
	static struct snapshot before;
	struct vma_test_stats stats;
	unsigned int i;

	stats = get_stats(self->fd);
	snapshot(_metadata, &before);
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		ASSERT_EQ(0, break_rule(self->fd, VMA_TEST_ERROR, errors[i]));
		EXPECT_EQ(MAP_FAILED,
			  (void *)map(NULL, PAGES, RW, DEVICE_FLAGS, self->fd, 0));
		EXPECT_EQ(errors[i], errno);
		EXPECT_EQ(stats.hooks + 1, get_stats(self->fd).hooks);
		check_snapshot(_metadata, &before);
		check_same_stats(_metadata, self->fd, &stats);

		ASSERT_EQ(0, break_rule(self->fd, VMA_TEST_ERROR, errors[i]));
		EXPECT_EQ(MAP_FAILED, (void *)map(p, PAGES, RW, DEVICE_FLAGS | MAP_FIXED,
						  self->fd, 0));
		EXPECT_EQ(errors[i], errno);
		check_same_stats(_metadata, self->fd, &stats);
		EXPECT_TRUE(arena_intact(arena, 0, PAGES));
		EXPECT_TRUE(arena_intact(arena, 2 * PAGES, PAGES));
		if (variant->kind == VMA_TEST_LEGACY)
			return;
		EXPECT_TRUE(arena_intact(arena, PAGES, PAGES));
		check_snapshot(_metadata, &before);
		stats = get_stats(self->fd);
	}
}

/* Rule: after the hook, mm can still fail, and nobody tells the driver */
TEST_F_TIMEOUT(device, later_error, TEST_SECONDS)
{
	char *arena = arena_create(_metadata);
	char *p = arena + PAGES * page_size;
	static struct snapshot before;
	struct vma_test_stats stats;
	struct rlimit old, limit;

	stats = get_stats(self->fd);
	snapshot(_metadata, &before);

	/* The limit of the address space is checked later, */
	ASSERT_EQ(0, getrlimit(RLIMIT_AS, &old));
	limit = old;
	limit.rlim_cur = page_size;
	ASSERT_EQ(0, setrlimit(RLIMIT_AS, &limit));
	EXPECT_EQ(MAP_FAILED, (void *)map(NULL, PAGES, RW, DEVICE_FLAGS, self->fd, 0));
	EXPECT_EQ(ENOMEM, errno);
	ASSERT_EQ(0, setrlimit(RLIMIT_AS, &old));
	EXPECT_EQ(stats.hooks + (variant->kind != VMA_TEST_LEGACY),
		  get_stats(self->fd).hooks);
	check_same_stats(_metadata, self->fd, &stats);
	check_snapshot(_metadata, &before);

	/* and so is a seal on what would be replaced. */
	if (syscall(__NR_mseal, p, PAGES * page_size, 0))
		SKIP(return, "mseal: %s", strerror(errno));
	snapshot(_metadata, &before);
	stats = get_stats(self->fd);
	EXPECT_EQ(MAP_FAILED, (void *)map(p, PAGES, RW, DEVICE_FLAGS | MAP_FIXED,
					  self->fd, 0));
	EXPECT_EQ(EPERM, errno);
	check_same_stats(_metadata, self->fd, &stats);
	EXPECT_TRUE(arena_intact(arena, 0, ARENA_PAGES));
	check_snapshot(_metadata, &before);
}

/*
 * Failing the n-th allocation of an mmap()
 */

struct map_walk {
	int fd, flags;
	enum vma_test_kind kind;

	/* With MAP_FIXED: over an arena, of which the part that is replaced may be gone */
	bool fixed;
	char *arena, *target;

	char *p;		/* what mmap() has returned */
	int error;
	unsigned int failed, gone;

	struct vma_test_stats stats;
	struct snapshot before;
};

static void map_walk_prepare(struct __test_metadata *_metadata, void *arg)
{
	struct map_walk *w = arg;

	w->p = NULL;
	w->error = 0;
	if (w->fixed) {
		w->arena = arena_create(_metadata);
		w->target = w->arena + PAGES * page_size;
	}
	snapshot(_metadata, &w->before);
	w->stats = get_stats(w->fd);
}

static void map_walk_attempt(void *arg)
{
	struct map_walk *w = arg;

	w->p = map(w->target, PAGES, RW, w->flags, w->fd, 0);
	w->error = errno;
}

static void map_walk_check(struct __test_metadata *_metadata, void *arg, unsigned int n,
			   bool injected)
{
	struct map_walk *w = arg;

	if (w->p != MAP_FAILED) {
		check_content(_metadata, w->p, w->kind, 0, PAGES);
		EXPECT_EQ(w->stats.opens + (w->kind == VMA_TEST_COUNT),
			  get_stats(w->fd).opens);
		ASSERT_EQ(0, unmap(w->p, PAGES));
		check_idle(_metadata, w->fd);
	} else {
		w->failed++;
		EXPECT_TRUE(injected);
		EXPECT_EQ(ENOMEM, w->error)
			TH_LOG("n = %u: %s", n, strerror(w->error));
		check_same_stats(_metadata, w->fd, &w->stats);
	}
	if (!w->fixed) {
		check_snapshot(_metadata, &w->before);
		return;
	}

	EXPECT_TRUE(arena_intact(w->arena, 0, PAGES));
	EXPECT_TRUE(arena_intact(w->arena, 2 * PAGES, PAGES));
	if (w->p != MAP_FAILED || probe(w->target) == SIGSEGV) {
		EXPECT_EQ(0U, count_vmas(w->target, PAGES));
		w->gone += w->p == MAP_FAILED;
	} else {
		EXPECT_TRUE(arena_intact(w->arena, PAGES, PAGES));
	}
	ASSERT_EQ(0, unmap(w->arena, ARENA_PAGES));
}

static void map_walk(struct __test_metadata *_metadata, int fd, int flags,
		     enum vma_test_kind kind)
{
	static struct map_walk w;
	const struct fail_nth op = {
		.prepare = map_walk_prepare,
		.attempt = map_walk_attempt,
		.check = map_walk_check,
		.arg = &w,
	};
	unsigned int injected;

	w.fd = fd;
	w.flags = flags;
	w.kind = kind;
	w.fixed = flags & MAP_FIXED;
	injected = fail_nth_walk(_metadata, &op);
	if (!injected)
		return;
	TH_LOG("%s: %u injected, %u calls failed, %u left a hole", names[kind],
	       injected, w.failed, w.gone);
	EXPECT_LT(0U, w.failed);
}

/* Rule: a mapping that fails leaves no trace, and the driver need not know */
TEST_F_TIMEOUT(device, fail_nth, WALK_SECONDS)
{
	map_walk(_metadata, self->fd, DEVICE_FLAGS, variant->kind);
}

TEST_F_TIMEOUT(device, fail_nth_fixed, WALK_SECONDS)
{
	map_walk(_metadata, self->fd, DEVICE_FLAGS | MAP_FIXED, variant->kind);
}

/*
 * The wrong ways, in the hook
 */

FIXTURE(broken)
{
	int fd;
};

FIXTURE_VARIANT(broken)
{
	enum vma_test_kind kind;
	enum vma_test_rule rule;
	int open_flags;
	int prot;
	int flags;
	int error;
	const char *report;	/* what the kernel says about it, NULL if nothing */
	bool late;		/* fails when what was there before is gone */
};

/* What mm/mmap_prepare.c refuses, of a file that is open for both */
#define HOOK(device, broken_rule, map_flags, text)			\
	.kind = VMA_TEST_##device, .rule = VMA_TEST_##broken_rule,	\
	.open_flags = O_RDWR, .prot = RW, .flags = map_flags,		\
	.error = EINVAL, .report = "asks for " text

/* What mm/memory.c refuses; then f_op->mmap() does */
#define MMAP(broken_rule, err)						\
	.kind = VMA_TEST_LEGACY, .rule = VMA_TEST_MMAP_##broken_rule,	\
	.open_flags = O_RDWR, .prot = RW, .flags = MAP_SHARED,		\
	.error = err, .report = "mm/memory.c:", .late = true

/* Rule: access can be taken away, but never added. The file is open for reading. */
FIXTURE_VARIANT_ADD(broken, maywrite)
{
	.kind = VMA_TEST_FAULT, .rule = VMA_TEST_ADD_MAYWRITE,
	.open_flags = O_RDONLY, .prot = PROT_READ, .flags = MAP_SHARED,
	.error = EINVAL, .report = "asks for access that was not asked for",
};

FIXTURE_VARIANT_ADD(broken, exec)
{
	HOOK(FAULT, ADD_EXEC, MAP_SHARED, "access that was not asked for"),
};

/* Rule: access needs its VM_MAY flag */
FIXTURE_VARIANT_ADD(broken, write_not_maywrite)
{
	HOOK(FAULT, WRITE_NOT_MAYWRITE, MAP_SHARED, "access without its VM_MAY flag"),
};

/* Rule: what kind of mapping it is has been decided */
FIXTURE_VARIANT_ADD(broken, shared)
{
	HOOK(FAULT, CHANGE_SHARED, MAP_SHARED, "flags that are not for drivers"),
};

FIXTURE_VARIANT_ADD(broken, private)
{
	HOOK(FAULT, CHANGE_SHARED, MAP_PRIVATE, "flags that are not for drivers"),
};

FIXTURE_VARIANT_ADD(broken, mayshare)
{
	HOOK(FAULT, CHANGE_MAYSHARE, MAP_SHARED, "flags that are not for drivers"),
};

FIXTURE_VARIANT_ADD(broken, growsdown)
{
	HOOK(FAULT, GROWSDOWN, MAP_PRIVATE, "flags that are not for drivers"),
};

FIXTURE_VARIANT_ADD(broken, hugetlb)
{
	HOOK(FAULT, HUGETLB, MAP_SHARED, "flags that are not for drivers"),
};

FIXTURE_VARIANT_ADD(broken, account)
{
	HOOK(FAULT, ACCOUNT, MAP_PRIVATE, "flags that are not for drivers"),
};

/* Rule: VM_PFNMAP and VM_MIXEDMAP exclude each other, implied or not */
FIXTURE_VARIANT_ADD(broken, pfn_and_mixed)
{
	HOOK(FAULT, PFN_AND_MIXED, MAP_SHARED, "both VM_PFNMAP and"),
};

FIXTURE_VARIANT_ADD(broken, pfn_and_pages)
{
	HOOK(MAP_PAGES, PFN_AND_MIXED, MAP_SHARED, "both VM_PFNMAP and"),
};

FIXTURE_VARIANT_ADD(broken, mixed_and_pfn)
{
	HOOK(REMAP, PFN_AND_MIXED, MAP_SHARED, "both VM_PFNMAP and"),
};

/* Rule: another file must be one that can be mapped in this way */
FIXTURE_VARIANT_ADD(broken, no_file)
{
	HOOK(FAULT, NO_FILE, MAP_SHARED, "no file"),
};

FIXTURE_VARIANT_ADD(broken, no_file_instead)
{
	HOOK(FILE, NO_FILE, MAP_SHARED, "no file"),
};

FIXTURE_VARIANT_ADD(broken, other_file)
{
	HOOK(FILE, OTHER_FILE, MAP_SHARED, "another file that has no"),
};

/* Rule: without vm_ops it is anonymous memory, private and nothing but that */
FIXTURE_VARIANT_ADD(broken, no_vm_ops_shared)
{
	HOOK(FAULT, NO_VM_OPS, MAP_SHARED, "a shared mapping without"),
};

FIXTURE_VARIANT_ADD(broken, no_vm_ops_action)
{
	HOOK(MAP_PAGES, NO_VM_OPS, MAP_PRIVATE, "an anonymous mapping"),
};

FIXTURE_VARIANT_ADD(broken, no_vm_ops_open)
{
	HOOK(COUNT, NO_VM_OPS, MAP_PRIVATE, "an anonymous mapping"),
};

/* Rule: who wants vm_ops->open to be called has one */
FIXTURE_VARIANT_ADD(broken, no_open)
{
	HOOK(FAULT, NO_OPEN, MAP_SHARED, "call_open without"),
};

/* Rule: the offset of the last page can be represented */
FIXTURE_VARIANT_ADD(broken, offset_wraps)
{
	HOOK(FAULT, OFFSET_WRAPS, MAP_SHARED, "an offset that wraps"),
};

/* Rule: an action is known, and stays within the mapping */
FIXTURE_VARIANT_ADD(broken, action_unknown)
{
	HOOK(MAP_PAGES, ACTION_UNKNOWN, MAP_SHARED, "an action that there"),
};

FIXTURE_VARIANT_ADD(broken, pages_before)
{
	HOOK(MAP_PAGES, ACTION_BEFORE, MAP_SHARED, "an action outside"),
};

FIXTURE_VARIANT_ADD(broken, pages_beyond)
{
	HOOK(MAP_PAGES, ACTION_BEYOND, MAP_SHARED, "an action outside"),
};

FIXTURE_VARIANT_ADD(broken, pages_unaligned)
{
	HOOK(MAP_PAGES, ACTION_UNALIGNED, MAP_SHARED, "an action outside"),
};

FIXTURE_VARIANT_ADD(broken, pages_empty)
{
	HOOK(MAP_PAGES, ACTION_EMPTY, MAP_SHARED, "an action outside"),
};

FIXTURE_VARIANT_ADD(broken, pages_wrap)
{
	HOOK(MAP_PAGES, ACTION_WRAPS, MAP_SHARED, "an action outside"),
};

FIXTURE_VARIANT_ADD(broken, pages_missing)
{
	HOOK(MAP_PAGES, ACTION_NO_PAGES, MAP_SHARED, "no pages to insert"),
};

FIXTURE_VARIANT_ADD(broken, pfn_before)
{
	HOOK(REMAP, ACTION_BEFORE, MAP_SHARED, "an action outside"),
};

FIXTURE_VARIANT_ADD(broken, pfn_beyond)
{
	HOOK(REMAP, ACTION_BEYOND, MAP_SHARED, "an action outside"),
};

FIXTURE_VARIANT_ADD(broken, pfn_unaligned)
{
	HOOK(REMAP, ACTION_UNALIGNED, MAP_SHARED, "an action outside"),
};

FIXTURE_VARIANT_ADD(broken, pfn_empty)
{
	HOOK(REMAP, ACTION_EMPTY, MAP_SHARED, "an action outside"),
};

FIXTURE_VARIANT_ADD(broken, pfn_wraps)
{
	HOOK(REMAP, ACTION_WRAPS, MAP_SHARED, "page frame numbers that wrap"),
};

/* Rule: page frames are mapped for all of a private mapping, or not at all */
FIXTURE_VARIANT_ADD(broken, pfn_part)
{
	HOOK(REMAP, ACTION_PART, MAP_PRIVATE, "page frames for a part"),
};

/* Rule: what an action has mapped before it fails is unmapped */
FIXTURE_VARIANT_ADD(broken, bad_page)
{
	.kind = VMA_TEST_MAP_PAGES, .rule = VMA_TEST_ACTION_BAD_PAGE,
	.open_flags = O_RDWR, .prot = RW, .flags = MAP_SHARED,
	.error = EINVAL, .late = true,
};

/* Rule: no pages in a VM_PFNMAP mapping, here of an f_op->mmap() */
FIXTURE_VARIANT_ADD(broken, mmap_page_into_pfnmap)
{
	MMAP(PAGE_INTO_PFNMAP, EINVAL),
};

/* Rule: nobody maps anything outside of the VMA, or twice */
FIXTURE_VARIANT_ADD(broken, mmap_remap_outside)
{
	MMAP(REMAP_OUTSIDE, EINVAL),
};

FIXTURE_VARIANT_ADD(broken, mmap_remap_empty)
{
	MMAP(REMAP_EMPTY, EINVAL),
};

FIXTURE_VARIANT_ADD(broken, mmap_remap_twice)
{
	MMAP(REMAP_TWICE, EBUSY),
};

FIXTURE_SETUP(broken)
{
	if (no_driver[0])
		SKIP(return, "%s", no_driver);
	probe_init();
	self->fd = open_device(variant->kind, variant->open_flags);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(broken)
{
	close(self->fd);
}

/* Refused, with nothing changed, and forgotten the next time */
TEST_F_TIMEOUT(broken, refused, TEST_SECONDS)
{
	static struct snapshot before;
	struct vma_test_stats stats = get_stats(self->fd);
	char *p;

	if (variant->report)
		expect_report(variant->report);
	snapshot(_metadata, &before);
	ASSERT_EQ(0, break_rule(self->fd, variant->rule, 0));
	p = map(NULL, 8, variant->prot, variant->flags, self->fd, 4);
	EXPECT_EQ(MAP_FAILED, (void *)p);
	EXPECT_EQ(variant->error, errno);
	EXPECT_EQ(stats.hooks + 1, get_stats(self->fd).hooks);
	check_same_stats(_metadata, self->fd, &stats);
	check_snapshot(_metadata, &before);

	p = map(NULL, 8, variant->prot, variant->flags, self->fd, 4);
	ASSERT_NE(MAP_FAILED, (void *)p);
	check_content(_metadata, p, variant->kind, 4, 8);
	EXPECT_EQ(0, unmap(p, 8));
	check_idle(_metadata, self->fd);
}

/* What should have been replaced is there, or gone altogether */
TEST_F_TIMEOUT(broken, refused_fixed, TEST_SECONDS)
{
	char *arena = arena_create(_metadata);
	char *p = arena + PAGES * page_size;
	struct vma_test_stats stats = get_stats(self->fd);
	static struct snapshot before;

	if (variant->report)
		expect_report(variant->report);
	snapshot(_metadata, &before);
	ASSERT_EQ(0, break_rule(self->fd, variant->rule, 0));
	EXPECT_EQ(MAP_FAILED, (void *)map(p, PAGES, variant->prot,
					  variant->flags | MAP_FIXED, self->fd, 0));
	EXPECT_EQ(variant->error, errno);
	check_same_stats(_metadata, self->fd, &stats);
	EXPECT_TRUE(arena_intact(arena, 0, PAGES));
	EXPECT_TRUE(arena_intact(arena, 2 * PAGES, PAGES));
	if (variant->late) {
		EXPECT_EQ(0U, count_vmas(p, PAGES));
		EXPECT_EQ(2U, count_vmas(arena, ARENA_PAGES));
	} else {
		EXPECT_TRUE(arena_intact(arena, PAGES, PAGES));
		check_snapshot(_metadata, &before);
	}
	EXPECT_EQ(0, unmap(arena, ARENA_PAGES));
}

/*
 * The wrong ways, in a fault
 */

FIXTURE(in_fault)
{
	int fd;
};

FIXTURE_VARIANT(in_fault)
{
	enum vma_test_kind kind;
	enum vma_test_rule rule;
	bool report;
};

/* Rule: pages go into VM_MIXEDMAP mappings only */
FIXTURE_VARIANT_ADD(in_fault, page_into_plain)
{
	.kind = VMA_TEST_FAULT, .rule = VMA_TEST_INSERT_PAGE, .report = true,
};

FIXTURE_VARIANT_ADD(in_fault, page_into_pfnmap)
{
	.kind = VMA_TEST_PFN_FAULT, .rule = VMA_TEST_INSERT_PAGE, .report = true,
};

FIXTURE_VARIANT_ADD(in_fault, mixed_into_plain)
{
	.kind = VMA_TEST_FAULT, .rule = VMA_TEST_INSERT_MIXED, .report = true,
};

/* Rule: page frames go into VM_PFNMAP, those without a page into VM_MIXEDMAP */
FIXTURE_VARIANT_ADD(in_fault, pfn_into_plain)
{
	.kind = VMA_TEST_FAULT, .rule = VMA_TEST_INSERT_PFN, .report = true,
};

FIXTURE_VARIANT_ADD(in_fault, pfn_into_mixedmap)
{
	.kind = VMA_TEST_MIXED, .rule = VMA_TEST_INSERT_PFN, .report = true,
};

/* Rule: nobody maps anything outside of the VMA */
FIXTURE_VARIANT_ADD(in_fault, page_outside)
{
	.kind = VMA_TEST_MIXED, .rule = VMA_TEST_INSERT_PAGE_OUTSIDE,
};

FIXTURE_SETUP(in_fault)
{
	if (no_driver[0])
		SKIP(return, "%s", no_driver);
	probe_init();
	self->fd = open_device(variant->kind, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(in_fault)
{
	close(self->fd);
}

TEST_F_TIMEOUT(in_fault, refused, TEST_SECONDS)
{
	char *arena = arena_create(_metadata);
	char *p = arena + PAGES * page_size;
	static struct snapshot before;
	uint64_t value;

	ASSERT_EQ(p, map(p, PAGES, RW, MAP_SHARED | MAP_FIXED, self->fd, 0));
	/* Where it would be inserted if outside: something that is not there yet */
	ASSERT_EQ(p + PAGES * page_size,
		  map(p + PAGES * page_size, PAGES, RW,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	check_content(_metadata, p, variant->kind, 0, 8);
	snapshot(_metadata, &before);

	if (variant->report)
		expect_report("mm/memory.c:");
	ASSERT_EQ(0, break_rule(self->fd, variant->rule, 0));
	EXPECT_EQ(SIGBUS, probe(p + 8 * page_size));
	check_snapshot(_metadata, &before);
	ASSERT_EQ(0, probe_read(p + PAGES * page_size, &value));
	EXPECT_EQ(0U, value);

	check_content(_metadata, p, variant->kind, 0, PAGES);
	EXPECT_TRUE(arena_intact(arena, 0, PAGES));
	EXPECT_EQ(0, unmap(arena, ARENA_PAGES));
	check_idle(_metadata, self->fd);
}

/*
 * The rest of the rules, one by one
 */

FIXTURE(rules)
{
	int mixed, fault;
};

FIXTURE_SETUP(rules)
{
	if (no_driver[0])
		SKIP(return, "%s", no_driver);
	probe_init();
	self->mixed = open_device(VMA_TEST_MIXED, O_RDWR);
	self->fault = open_device(VMA_TEST_FAULT, O_RDWR);
	ASSERT_LE(0, self->mixed);
	ASSERT_LE(0, self->fault);
}

FIXTURE_TEARDOWN(rules)
{
	close(self->mixed);
	close(self->fault);
}

/* Rule: a file has f_op->mmap or f_op->mmap_prepare, not both */
TEST_F_TIMEOUT(rules, both_hooks, TEST_SECONDS)
{
	int flags[] = { MAP_SHARED, MAP_PRIVATE };
	static struct snapshot before;
	unsigned int i;
	int fd;

	fd = open_device(VMA_TEST_BOTH, O_RDWR);
	ASSERT_LE(0, fd);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		expect_report("include/linux/fs.h:");
		snapshot(_metadata, &before);
		EXPECT_EQ(MAP_FAILED, (void *)map(NULL, 1, PROT_READ, flags[i], fd, 0));
		EXPECT_EQ(ENODEV, errno);
		check_snapshot(_metadata, &before);
	}
	EXPECT_EQ(0U, get_stats(fd).hooks);
	close(fd);
}

/* Rule: who looks up a VMA by its address makes sure that it is the right one */
TEST_F_TIMEOUT(rules, insert_by_address, TEST_SECONDS)
{
	int other = open_device(VMA_TEST_MIXED, O_RDWR);
	char *p = map_prot_none(PAGES);
	__u64 faults;

	ASSERT_LE(0, other);
	ASSERT_NE(MAP_FAILED, (void *)p);
	/* Somebody else's memory, */
	EXPECT_EQ(-1, insert(self->mixed, p, false));
	EXPECT_EQ(ENXIO, errno);
	/* of another device, */
	ASSERT_EQ(p, map(p, PAGES, RW, MAP_SHARED | MAP_FIXED, self->fault, 0));
	EXPECT_EQ(-1, insert(self->mixed, p, false));
	EXPECT_EQ(ENXIO, errno);
	/* of the same device but opened by another, */
	ASSERT_EQ(p, map(p, PAGES, RW, MAP_SHARED | MAP_FIXED, other, 0));
	EXPECT_EQ(-1, insert(self->mixed, p, false));
	EXPECT_EQ(ENXIO, errno);
	/* the right one, once, */
	ASSERT_EQ(p, map(p, PAGES, RW, MAP_SHARED | MAP_FIXED, self->mixed, 0));
	faults = get_stats(self->mixed).faults;
	EXPECT_EQ(0, insert(self->mixed, p + 3 * page_size, false));
	check_content(_metadata, p + 3 * page_size, VMA_TEST_MIXED, 3, 1);
	EXPECT_EQ(faults, get_stats(self->mixed).faults);
	EXPECT_EQ(-1, insert(self->mixed, p + 3 * page_size, false));
	EXPECT_EQ(EBUSY, errno);
	/* not after it was revoked, */
	ASSERT_EQ(0, revoke_pages(self->mixed, 3, 1));
	EXPECT_EQ(-1, insert(self->mixed, p + 3 * page_size, false));
	EXPECT_EQ(ENXIO, errno);
	/* and not after it was unmapped, with a part of it still there. */
	ASSERT_EQ(0, unmap(p + 4 * page_size, 4));
	EXPECT_EQ(-1, insert(self->mixed, p + 4 * page_size, false));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ(0, insert(self->mixed, p + 8 * page_size, false));
	EXPECT_EQ(0, unmap(p, PAGES));
	check_idle(_metadata, self->mixed);
	check_idle(_metadata, self->fault);
	check_idle(_metadata, other);
	close(other);
}

/*
 * Rule: VM_MIXEDMAP is not set on a VMA that is in use, neither with mmap_lock held
 * for reading nor for writing
 */
TEST_F_TIMEOUT(rules, insert_into_used, TEST_SECONDS)
{
	char *p = map(NULL, PAGES, RW, MAP_SHARED, self->fault, 0);
	unsigned int writing;

	ASSERT_NE(MAP_FAILED, (void *)p);
	check_content(_metadata, p, VMA_TEST_FAULT, 0, 4);
	for (writing = 0; writing < 2; writing++) {
		expect_report("mm/memory.c:");
		EXPECT_EQ(-1, insert(self->fault, p + 8 * page_size, writing));
		EXPECT_EQ(EINVAL, errno);
		/* No lock was left behind, and the page comes by a fault. */
		check_content(_metadata, p, VMA_TEST_FAULT, 0, 8 + writing);
	}
	/* It still can be merged, which it could not with VM_MIXEDMAP. */
	ASSERT_EQ(0, mprotect(p, 4 * page_size, PROT_READ));
	EXPECT_EQ(2U, count_vmas(p, PAGES));
	ASSERT_EQ(0, mprotect(p, 4 * page_size, RW));
	EXPECT_EQ(1U, count_vmas(p, PAGES));
	EXPECT_EQ(0, unmap(p, PAGES));
	check_idle(_metadata, self->fault);
}

/*
 * Rule: a page that was inserted with its reference may outlive the mapping, and
 * its revocation. Freeing it means to drop a reference, nothing more.
 */
TEST_F_TIMEOUT(rules, page_outlives_mapping, TEST_SECONDS)
{
	char *p = map(NULL, PAGES, RW, MAP_SHARED, self->mixed, 0);
	struct iovec iov = { .iov_base = p + 2 * page_size, .iov_len = sizeof(uint64_t) };
	uint64_t value = 0;
	int pipefd[2];

	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(0, probe(iov.iov_base));
	ASSERT_EQ((ssize_t)iov.iov_len, vmsplice(pipefd[1], &iov, 1, 0));
	ASSERT_EQ(0, revoke_pages(self->mixed, 0, PAGES));
	EXPECT_EQ(SIGBUS, probe(p + 2 * page_size));
	ASSERT_EQ(0, unmap(p, PAGES));
	EXPECT_EQ(1U, get_stats(self->mixed).busy_pages);
	/* The device is closed; nobody else has the page. */
	close(self->mixed);
	ASSERT_EQ((ssize_t)sizeof(value), read(pipefd[0], &value, sizeof(value)));
	EXPECT_EQ(vma_test_word(VMA_TEST_MIXED, 2), value);
	close(pipefd[0]);
	close(pipefd[1]);
	self->mixed = open_device(VMA_TEST_MIXED, O_RDWR);
	ASSERT_LE(0, self->mixed);
}

/* Rule: opened once for each VMA, and never for one that there is not */
TEST_F_TIMEOUT(rules, open_once, TEST_SECONDS)
{
	int fd = open_device(VMA_TEST_COUNT, O_RDWR);
	struct vma_test_stats s;
	pid_t pid;
	char *p;

	ASSERT_LE(0, fd);
	p = map(NULL, PAGES, RW, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	s = get_stats(fd);
	EXPECT_EQ(1U, s.opens);
	EXPECT_EQ(0U, s.closes);
	EXPECT_EQ(1U, s.refs);

	/* Split in three: two more */
	ASSERT_EQ(0, mprotect(p + 4 * page_size, 4 * page_size, PROT_READ));
	s = get_stats(fd);
	EXPECT_EQ(3U, s.refs);

	/* Three more in a child, which are gone with it */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(get_stats(fd).refs == 6 ? 0 : 1);
	EXPECT_EQ(0, wait_status(pid));
	EXPECT_EQ(3U, get_stats(fd).refs);

	/* One less when the middle goes, */
	ASSERT_EQ(0, unmap(p + 4 * page_size, 4));
	EXPECT_EQ(2U, get_stats(fd).refs);

	/* and none more by mappings that fail */
	ASSERT_EQ(0, break_rule(fd, VMA_TEST_ERROR, EIO));
	s = get_stats(fd);
	EXPECT_EQ(MAP_FAILED, (void *)map(p, PAGES, RW, MAP_SHARED | MAP_FIXED, fd, 0));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(s.opens, get_stats(fd).opens);
	EXPECT_EQ(s.closes, get_stats(fd).closes);

	/* A mapping keeps the device when the file descriptor is gone. */
	close(fd);
	check_content(_metadata, p, VMA_TEST_COUNT, 0, 4);
	EXPECT_EQ(0, unmap(p, PAGES));
}

/* Rule: proc and sysfs pass on what an entry describes */
TEST_F_TIMEOUT(rules, entries, TEST_SECONDS)
{
	static const char * const paths[] = { "/proc/vma_test", "/sys/kernel/vma_test" };
	static struct snapshot before;
	uint64_t *shared[2];
	unsigned int i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		fd = open(paths[i], O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, fd);
		shared[i] = (void *)map(NULL, 1, RW, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, (void *)shared[i]);

		/* What the hook refuses */
		snapshot(_metadata, &before);
		EXPECT_EQ(MAP_FAILED, (void *)map(NULL, 2, RW, MAP_SHARED, fd, 0));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(MAP_FAILED, (void *)map(NULL, 1, RW, MAP_SHARED, fd, 1));
		EXPECT_EQ(EINVAL, errno);
		check_snapshot(_metadata, &before);
		close(fd);
	}
	/* One page, mapped by way of both */
	*shared[0] = 0x1234;
	EXPECT_EQ(0x1234U, *shared[1]);
	*shared[1] = 0;
	EXPECT_EQ(0U, *shared[0]);
	for (i = 0; i < ARRAY_SIZE(paths); i++)
		EXPECT_EQ(0, unmap(shared[i], 1));
}

/* Rule: another file comes with a reference, which is dropped on every path */
TEST_F_TIMEOUT(rules, file_reference, TEST_SECONDS)
{
	int fd = open_device(VMA_TEST_FILE, O_RDWR);
	unsigned int i;
	char *p;

	ASSERT_LE(0, fd);
	for (i = 0; i < 3; i++) {
		p = map(NULL, PAGES, RW, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, (void *)p);
		EXPECT_EQ(1U, get_stats(fd).refs);
		ASSERT_EQ(0, break_rule(fd, VMA_TEST_ERROR, EIO));
		EXPECT_EQ(MAP_FAILED, (void *)map(NULL, 1, RW, MAP_SHARED, fd, 0));
		EXPECT_EQ(EIO, errno);
		EXPECT_EQ(1U, get_stats(fd).refs);
		EXPECT_EQ(0, unmap(p, PAGES));
		check_idle(_metadata, fd);
	}
	/* Merging into a VMA that has the file already takes none. */
	p = map_prot_none(PAGES);
	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(p, map(p, 8, RW, MAP_SHARED | MAP_FIXED, fd, 0));
	ASSERT_EQ(p + 8 * page_size,
		  map(p + 8 * page_size, 8, RW, MAP_SHARED | MAP_FIXED, fd, 8));
	EXPECT_EQ(1U, count_vmas(p, PAGES));
	EXPECT_EQ(1U, get_stats(fd).refs);
	/* The other file keeps the mapping alive by itself. */
	close(fd);
	check_content(_metadata, p, VMA_TEST_FILE, 0, PAGES);
	EXPECT_EQ(0, unmap(p, PAGES));
}

/*
 * Everything at the same time
 */

#define SLOTS		32
#define SLOT_PAGES	4

static struct race {
	int fds[VMA_TEST_KINDS];
	char *area;
	atomic_bool stop;
	atomic_ulong maps, reads, wrong, forks, revokes;
} race;

static char *random_slot(uint32_t *state)
{
	return race.area + next_random(state) % SLOTS * SLOT_PAGES * page_size;
}

/* A kind that can be mapped */
static enum vma_test_kind random_kind(uint32_t *state)
{
	return next_random(state) % VMA_TEST_BOTH;
}

/* Nobody else maps anything without MAP_FIXED meanwhile, so that holes are safe. */
static void *race_map(void *arg)
{
	uint32_t state = (uintptr_t)arg;

	while (!race.stop) {
		enum vma_test_kind kind = random_kind(&state);
		unsigned int pages = 1 + next_random(&state) % SLOT_PAGES;
		char *p = random_slot(&state);
		int prot = next_random(&state) % 2 ? RW : PROT_READ;
		int flags = next_random(&state) % 2 ? MAP_SHARED : MAP_PRIVATE;

		/* On x86, one whose first page has been copied cannot be forked. */
		if (kind == VMA_TEST_REMAP)
			flags = MAP_SHARED;
		switch (next_random(&state) % 8) {
		case 0:
			unmap(p + next_random(&state) % SLOT_PAGES * page_size, 1);
			break;
		case 1:
			mremap(p, SLOT_PAGES * page_size, SLOT_PAGES * page_size,
			       MREMAP_MAYMOVE | MREMAP_FIXED, random_slot(&state));
			break;
		case 2:
			mprotect(p, pages * page_size, prot);
			break;
		default:
			if (map(p, pages, prot, flags | MAP_FIXED, race.fds[kind],
				next_random(&state) % (PAGES - SLOT_PAGES)) != MAP_FAILED)
				race.maps++;
		}
	}
	return NULL;
}

static bool known_word(uint64_t value)
{
	unsigned int kind, page;

	if (!value)
		return true;
	for (kind = 0; kind < VMA_TEST_KINDS; kind++)
		for (page = 0; page < PAGES; page++)
			if (value == vma_test_word(kind, page))
				return true;
	return false;
}

/* The first word of a page is only ever read */
static void race_touch_once(uint32_t *state)
{
	char *p = random_slot(state) + next_random(state) % SLOT_PAGES * page_size;
	uint64_t value;

	if (next_random(state) % 4 == 0) {
		probe_write(p + sizeof(value), 4711);
	} else if (!probe_read(p, &value)) {
		race.reads++;
		if (!known_word(value))
			race.wrong++;
	}
}

static void *race_touch(void *arg)
{
	uint32_t state = (uintptr_t)arg;

	while (!race.stop)
		race_touch_once(&state);
	return NULL;
}

static void *race_fork(void *arg)
{
	uint32_t state = (uintptr_t)arg;
	pid_t pid;
	int i;

	while (!race.stop) {
		next_random(&state);
		pid = fork();
		if (!pid) {
			race.wrong = 0;
			for (i = 0; i < 64; i++)
				race_touch_once(&state);
			_exit(race.wrong ? 1 : 0);
		}
		if (pid < 0)
			continue;
		race.forks++;
		if (wait_status(pid))
			race.wrong++;
	}
	return NULL;
}

static void *race_revoke(void *arg)
{
	uint32_t state = (uintptr_t)arg;

	while (!race.stop) {
		int fd = race.fds[random_kind(&state)];
		unsigned int page = next_random(&state) % PAGES;
		unsigned int nr = 1 + next_random(&state) % (PAGES - page);

		if (!revoke_pages(fd, page, nr))
			race.revokes++;
		restore_pages(fd, page, nr);
		insert(race.fds[VMA_TEST_MIXED], random_slot(&state), false);
	}
	return NULL;
}

TEST_F_TIMEOUT(rules, race, TEST_SECONDS)
{
	void *(*const roles[])(void *) = {
		race_map, race_map, race_touch, race_touch, race_fork, race_revoke,
	};
	pthread_t threads[ARRAY_SIZE(roles)];
	unsigned int kind;
	int failed = 0;
	uintptr_t i;

	for (kind = 0; kind < VMA_TEST_KINDS; kind++) {
		race.fds[kind] = open_device(kind, O_RDWR);
		ASSERT_LE(0, race.fds[kind]);
	}
	race.area = map_prot_none(SLOTS * SLOT_PAGES);
	ASSERT_NE(MAP_FAILED, (void *)race.area);
	for (i = 0; i < ARRAY_SIZE(roles); i++)
		failed += !!pthread_create(&threads[i], NULL, roles[i],
					   (void *)(i + RANDOM_SEED));
	ASSERT_EQ(0, failed);
	sleep(RACE_SECONDS);
	race.stop = true;
	for (i = 0; i < ARRAY_SIZE(roles); i++)
		failed += !!pthread_join(threads[i], NULL);
	ASSERT_EQ(0, failed);
	ASSERT_EQ(0, unmap(race.area, SLOTS * SLOT_PAGES));

	TH_LOG("%lu mappings, %lu reads, %lu forks, %lu revocations", race.maps,
	       race.reads, race.forks, race.revokes);
	EXPECT_EQ(0UL, atomic_load(&race.wrong));
	EXPECT_LT(0UL, atomic_load(&race.maps));
	EXPECT_LT(0UL, atomic_load(&race.reads));
	EXPECT_LT(0UL, atomic_load(&race.forks));
	EXPECT_LT(0UL, atomic_load(&race.revokes));
	for (kind = 0; kind < VMA_TEST_KINDS; kind++) {
		check_idle(_metadata, race.fds[kind]);
		close(race.fds[kind]);
	}
}

/*
 * Stacked mappings: the file that is mapped is below the one that was opened. Both
 * file systems are real ones; this needs no driver.
 */

FIXTURE(stacked)
{
	char dir[64];
};

static bool make_path(char *path, size_t size, const char *dir, const char *name)
{
	return snprintf(path, size, "%s/%s", dir, name) < (int)size;
}

/* Four pages, each with its own word */
#define STACKED_PAGES	4
#define STACKED_WORD(i)	(0x57acced000000000ULL + (i))

static bool stacked_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	uint64_t word;
	int i;

	if (fd < 0 || ftruncate(fd, STACKED_PAGES * page_size))
		return false;
	for (i = 0; i < STACKED_PAGES; i++) {
		word = STACKED_WORD(i);
		if (pwrite(fd, &word, sizeof(word), i * page_size) != sizeof(word))
			return false;
	}
	return !close(fd);
}

FIXTURE_SETUP(stacked)
{
	static const char * const dirs[] = { "lower", "upper", "work", "merged" };
	char path[128], options[512];
	unsigned int i;

	if (geteuid())
		SKIP(return, "mounting needs root");
	snprintf(self->dir, sizeof(self->dir), "/tmp/vma_driver.XXXXXX");
	if (!mkdtemp(self->dir))
		SKIP(return, "/tmp: %s", strerror(errno));
	/* The mounts are gone with this process, however it ends. */
	if (private_mounts() || mount("vma_driver", self->dir, "tmpfs", 0, NULL)) {
		rmdir(self->dir);
		SKIP(return, "tmpfs cannot be mounted: %s", strerror(errno));
	}
	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		ASSERT_TRUE(make_path(path, sizeof(path), self->dir, dirs[i]));
		ASSERT_EQ(0, mkdir(path, 0755));
	}
	ASSERT_TRUE(make_path(path, sizeof(path), self->dir, "lower/file"));
	ASSERT_TRUE(stacked_write(path));
	ASSERT_TRUE(make_path(path, sizeof(path), self->dir, "merged"));
	snprintf(options, sizeof(options),
		 "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
		 self->dir, self->dir, self->dir);
	if (mount("vma_driver", path, "overlay", 0, options)) {
		i = errno;
		umount2(self->dir, MNT_DETACH);
		rmdir(self->dir);
		SKIP(return, "overlayfs cannot be mounted: %s", strerror(i));
	}
	probe_init();
}

FIXTURE_TEARDOWN(stacked)
{
	umount2(self->dir, MNT_DETACH);
	rmdir(self->dir);
}

static void stacked_check(struct __test_metadata *_metadata, const char *p)
{
	uint64_t value;
	int i;

	for (i = 0; i < STACKED_PAGES; i++) {
		ASSERT_EQ(0, probe_read(p + i * page_size, &value));
		EXPECT_EQ(STACKED_WORD(i), value);
	}
}

static uint64_t word_at(int fd, off_t offset)
{
	uint64_t word = 0;

	if (pread(fd, &word, sizeof(word), offset) != sizeof(word))
		return 0;
	return word;
}

/* In the lower layer: read-only, as no one may write there */
TEST_F_TIMEOUT(stacked, lower, TEST_SECONDS)
{
	const int flags[] = { MAP_SHARED, MAP_PRIVATE };
	char path[128];
	unsigned int i;
	char *p;
	int fd;

	ASSERT_TRUE(make_path(path, sizeof(path), self->dir, "merged/file"));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		p = map(NULL, STACKED_PAGES, PROT_READ, flags[i], fd, 0);
		ASSERT_NE(MAP_FAILED, (void *)p);
		stacked_check(_metadata, p);
		if (flags[i] == MAP_SHARED) {
			EXPECT_EQ(-1, mprotect(p, page_size, RW));
			EXPECT_EQ(EACCES, errno);
		} else {
			ASSERT_EQ(0, mprotect(p, page_size, RW));
			EXPECT_EQ(0, probe_write(p, 4711));
			EXPECT_EQ(STACKED_WORD(0), word_at(fd, 0));
		}
		EXPECT_EQ(0, unmap(p, STACKED_PAGES));
	}
	close(fd);
}

/* In the upper layer: what is written gets there, and a part has its offset */
TEST_F_TIMEOUT(stacked, upper, TEST_SECONDS)
{
	char path[128], *p, *q;
	uint64_t value;
	int fd, upper;
	pid_t pid;

	ASSERT_TRUE(make_path(path, sizeof(path), self->dir, "merged/file"));
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	p = map(NULL, STACKED_PAGES, RW, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	stacked_check(_metadata, p);
	q = map(NULL, 1, RW, MAP_PRIVATE, fd, 2);
	ASSERT_NE(MAP_FAILED, (void *)q);
	ASSERT_EQ(0, probe_read(q, &value));
	EXPECT_EQ(STACKED_WORD(2), value);
	ASSERT_EQ(0, probe_write(q, 1));
	EXPECT_EQ(STACKED_WORD(2), word_at(fd, 2 * page_size));

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(probe_write(p + 3 * page_size, 4711));
	EXPECT_EQ(0, wait_status(pid));
	ASSERT_EQ(0, msync(p, STACKED_PAGES * page_size, MS_SYNC));
	EXPECT_EQ(4711U, word_at(fd, 3 * page_size));
	ASSERT_TRUE(make_path(path, sizeof(path), self->dir, "upper/file"));
	upper = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, upper);
	EXPECT_EQ(4711U, word_at(upper, 3 * page_size));

	/* What is cut off is gone from the mapping. */
	ASSERT_EQ(0, ftruncate(fd, page_size));
	EXPECT_EQ(SIGBUS, probe(p + page_size));
	EXPECT_EQ(0, unmap(p, STACKED_PAGES));
	EXPECT_EQ(0, unmap(q, 1));
	close(upper);
	close(fd);
}

/* Over something else, and in the way of something else */
TEST_F_TIMEOUT(stacked, fixed_over, TEST_SECONDS)
{
	char *arena = arena_create(_metadata);
	char *p = arena + PAGES * page_size;
	char path[128];
	int fd;

	ASSERT_TRUE(make_path(path, sizeof(path), self->dir, "merged/new"));
	ASSERT_TRUE(stacked_write(path));
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(p, map(p, STACKED_PAGES, RW, MAP_SHARED | MAP_FIXED, fd, 0));
	stacked_check(_metadata, p);
	EXPECT_TRUE(arena_intact(arena, 0, PAGES));
	EXPECT_TRUE(arena_intact(arena, PAGES + STACKED_PAGES,
				 ARENA_PAGES - PAGES - STACKED_PAGES));
	EXPECT_EQ(0, unmap(arena, ARENA_PAGES));
	close(fd);
}

/*
 * The module
 */

static int run_modprobe(void)
{
	pid_t pid = fork();
	int null;

	if (!pid) {
		null = open("/dev/null", O_WRONLY);
		dup2(null, 1);
		dup2(null, 2);
		execlp("modprobe", "modprobe", MODULE, NULL);
		_exit(127);
	}
	return wait_status(pid);
}

static void load_driver(void)
{
	int fd = open_device(VMA_TEST_FAULT, O_RDWR);

	if (fd < 0 && errno == ENOENT && !geteuid()) {
		if (!run_modprobe())
			module_loaded = true;
		fd = open_device(VMA_TEST_FAULT, O_RDWR);
	}
	if (fd < 0)
		snprintf(no_driver, sizeof(no_driver),
			 "no " MODULE " (CONFIG_TEST_VMA_DRIVER=m, as root): /dev/%s: %s",
			 names[VMA_TEST_FAULT], strerror(errno));
	else
		close(fd);
}

/* A module that cannot be removed now has lost a reference to itself. */
static void unload_driver(void)
{
	if (getpid() != main_pid || !module_loaded)
		return;
	if (syscall(SYS_delete_module, MODULE, O_NONBLOCK)) {
		ksft_print_msg("# " MODULE " cannot be removed: %s\n", strerror(errno));
		fflush(stdout);
		fault_settings_restore();
		_exit(KSFT_FAIL);
	}
}

int main(int argc, char **argv)
{
	load_driver();
	atexit(unload_driver);
	fault_settings_save();
	return test_harness_run(argc, argv);
}
