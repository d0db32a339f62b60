// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings of files on real file systems. Each has an f_op->mmap_prepare() of its
 * own, or stands upon one that has; what a mapping is must not depend on that.
 *
 * tmpfs and ramfs need nothing. ext4, xfs and btrfs need a disk that carries such a
 * file system with the label "vma_fs": any of /dev/vd* and /dev/ubd*, or what is
 * named, separated by blanks, in the environment variable VMA_FS_DISKS. A disk
 * without that label is never mounted. overlayfs has its layers on the ext4 disk.
 *
 * All is mounted on a new directory in /tmp, in a mount namespace that ends with the
 * test. That it can be unmounted after each test is part of the test: a mapping that
 * is gone must not keep a reference to its file.
 */
#define _GNU_SOURCE
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <time.h>
#include "vma_util.h"

#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE	0x03
#endif
#ifndef MAP_SYNC
#define MAP_SYNC		0x080000
#endif

#define LOWER_NAME		"copied"
#define ALL_RIGHT		-1

/* The file that each test begins with */
#define PAGES			16U
/* The generation of its content */
#define FIRST			1U

/* A debug kernel on an emulated CPU is slow; these only bound a hang */
#define TEST_SECONDS		120
#define UMOUNT_SECONDS		20
#define RACE_SECONDS		1

/* What is executed says so by these */
#define CODE_SIZE		64
#define CODE_RESULT		4711
#define EXEC_ARG		"--only-exit"
#define EXEC_STATUS		47

static uint64_t *page_buf;

/*
 * File systems
 */

struct fs_type {
	const char *name;		/* as in /proc/filesystems */
	bool disk;			/* needs one */

	/* What this one is stacked upon: the VMAs are of files there. */
	const struct fs_type *below;
};

static const struct fs_type tmpfs = { .name = "tmpfs" };
static const struct fs_type ramfs = { .name = "ramfs" };

static const struct fs_type ext4 = { .name = "ext4", .disk = true };
static const struct fs_type xfs = { .name = "xfs", .disk = true };
static const struct fs_type btrfs = { .name = "btrfs", .disk = true };
static const struct fs_type overlay = { .name = "overlay", .below = &ext4 };

/* Where everything is mounted, and what is in there */
static char root[32];
static char *test_dir, *lower, *upper, *work, *merged, *overlay_options;
static char *lower_file, *upper_file;
static char disk[DISK_NAME_SIZE];

/* Why @type cannot be tested, or NULL */
static const char *obstacle(const struct fs_type *type)
{
	const char *reason;

	for (; type; type = type->below) {
		reason = fs_obstacle(type->name, type->disk ? disk : NULL);
		if (reason)
			return reason;
	}
	return private_mounts_obstacle();
}

static bool has_disk(const struct fs_type *type)
{
	return type->disk || type->below;
}

static const char *mountpoint(const struct fs_type *type)
{
	return type->below ? merged : root;
}

static int mount_lowest(const struct fs_type *type)
{
	while (type->below)
		type = type->below;
	return mount(type->disk ? disk : "vma_fs", root, type->name, 0, NULL);
}

static int mount_stacked(const struct fs_type *type)
{
	return type->below ?
	       mount("vma_fs", merged, type->name, 0, overlay_options) : 0;
}

/* The last reference of a process that has just exited may take a while to go */
static int unmount(const char *path)
{
	int i;

	for (i = 0; umount(path); i++) {
		if (errno != EBUSY || i == UMOUNT_SECONDS * 100)
			return -1;
		usleep(10000);
	}
	return 0;
}

static int unmount_all(const struct fs_type *type)
{
	return type->below && unmount(merged) ? -1 : unmount(root);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int remove_tree(const char *path)
{
	return nftw(path, remove_one, 10, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/*
 * Content: no two words of a file are the same, nor are two generations of one
 */

#define PAGE_SHIFT_IN_WORD	20
#define GENERATION_SHIFT	40

static uint64_t word_of(unsigned int generation, unsigned int page, unsigned int word)
{
	return (uint64_t)generation << GENERATION_SHIFT |
	       (uint64_t)page << PAGE_SHIFT_IN_WORD | word;
}

static unsigned int words(void)
{
	return page_size / sizeof(uint64_t);
}

/* @nr pages at @p become those of a file from @first on */
static void fill(void *p, unsigned int generation, unsigned int first, unsigned int nr)
{
	uint64_t *word = p;
	unsigned int i, j;

	for (i = first; i < first + nr; i++)
		for (j = 0; j < words(); j++, word++)
			__atomic_store_n(word, word_of(generation, i, j),
					 __ATOMIC_RELAXED);
}

/* The number of the first page that is not as fill() made it, or ALL_RIGHT */
static int first_wrong(const void *p, unsigned int generation, unsigned int first,
		       unsigned int nr)
{
	const uint64_t *word = p;
	unsigned int i, j;

	for (i = first; i < first + nr; i++)
		for (j = 0; j < words(); j++, word++)
			if (__atomic_load_n(word, __ATOMIC_RELAXED) !=
			    word_of(generation, i, j))
				return i;
	return ALL_RIGHT;
}

static int first_nonzero(const void *p, unsigned int first, unsigned int nr)
{
	const uint64_t *word = p;
	unsigned int i, j;

	for (i = first; i < first + nr; i++)
		for (j = 0; j < words(); j++, word++)
			if (__atomic_load_n(word, __ATOMIC_RELAXED))
				return i;
	return ALL_RIGHT;
}

/* The same by write() and read() */
static int file_fill(int fd, unsigned int generation, unsigned int first, unsigned int nr)
{
	unsigned int i;

	for (i = first; i < first + nr; i++) {
		fill(page_buf, generation, i, 1);
		if (pwrite(fd, page_buf, page_size, i * page_size) != (ssize_t)page_size)
			return -1;
	}
	return 0;
}

static bool file_page(int fd, unsigned int page)
{
	memset(page_buf, 0xff, page_size);
	return pread(fd, page_buf, page_size, page * page_size) == (ssize_t)page_size;
}

static int file_first_wrong(int fd, unsigned int generation, unsigned int first,
			    unsigned int nr)
{
	unsigned int i;

	for (i = first; i < first + nr; i++)
		if (!file_page(fd, i) ||
		    first_wrong(page_buf, generation, i, 1) != ALL_RIGHT)
			return i;
	return ALL_RIGHT;
}

static int file_first_nonzero(int fd, unsigned int first, unsigned int nr)
{
	unsigned int i;

	for (i = first; i < first + nr; i++)
		if (!file_page(fd, i) || first_nonzero(page_buf, i, 1) != ALL_RIGHT)
			return i;
	return ALL_RIGHT;
}

static int create(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0700);

	if (fd < 0 || file_fill(fd, FIRST, 0, PAGES))
		return -1;
	return fd;
}

/*
 * Mappings
 */

static char *page_at(char *p, unsigned int page)
{
	return p + page * page_size;
}

/* How many of @pages pages at @p are mapped, and are in @kind: PM_FILE or 0 */
static size_t count_mapped(const char *p, unsigned int pages, uint64_t kind)
{
	return pagemap_count(p, pages, PM_PRESENT | PM_FILE, PM_PRESENT | kind);
}

/*
 * A file of PAGES pages, of the first generation
 */

FIXTURE(fs)
{
	int fd;
	char file[64];
	char other[64];
};

FIXTURE_VARIANT(fs)
{
	const struct fs_type *type;
};

FIXTURE_VARIANT_ADD(fs, tmpfs)
{
	.type = &tmpfs,
};

FIXTURE_VARIANT_ADD(fs, ramfs)
{
	.type = &ramfs,
};

FIXTURE_VARIANT_ADD(fs, ext4)
{
	.type = &ext4,
};

FIXTURE_VARIANT_ADD(fs, xfs)
{
	.type = &xfs,
};

FIXTURE_VARIANT_ADD(fs, btrfs)
{
	.type = &btrfs,
};

FIXTURE_VARIANT_ADD(fs, overlay)
{
	.type = &overlay,
};

static void mount_new(struct __test_metadata *_metadata, const struct fs_type *type)
{
	ASSERT_EQ(0, mount_lowest(type))
		TH_LOG("mount %s: %s", type->name, strerror(errno));
	/* It is there only if a test has been killed. */
	if (!access(test_dir, F_OK))
		ASSERT_EQ(0, remove_tree(test_dir));
	ASSERT_EQ(0, mkdir(test_dir, 0755));
	if (!type->below)
		return;

	ASSERT_EQ(0, mkdir(lower, 0755));
	ASSERT_EQ(0, mkdir(upper, 0755));
	ASSERT_EQ(0, mkdir(work, 0755));
	ASSERT_EQ(0, mkdir(merged, 0755));
	close(create(lower_file));
	ASSERT_EQ(0, mount_stacked(type))
		TH_LOG("mount %s: %s", type->name, strerror(errno));
}

/* Nothing that has been mapped keeps a file, or a file system, busy */
static void unmount_old(struct __test_metadata *_metadata, const struct fs_type *type)
{
	/* What failed has not cleaned up. There is no point in waiting for it. */
	if (!__test_passed(_metadata)) {
		umount2(merged, MNT_DETACH);
		remove_tree(test_dir);
		umount2(root, MNT_DETACH);
		return;
	}
	if (type->below)
		EXPECT_EQ(0, unmount(merged));
	EXPECT_EQ(0, remove_tree(test_dir));
	EXPECT_EQ(0, unmount(root));
}

FIXTURE_SETUP(fs)
{
	const char *dir = variant->type->below ? merged : test_dir;
	const char *reason = obstacle(variant->type);

	if (reason)
		SKIP(return, "%s", reason);
	mount_new(_metadata, variant->type);
	snprintf(self->file, sizeof(self->file), "%s/file", dir);
	snprintf(self->other, sizeof(self->other), "%s/other", dir);
	self->fd = create(self->file);
	ASSERT_LE(0, self->fd);
	probe_init();
}

FIXTURE_TEARDOWN(fs)
{
	if (self->fd >= 0)
		close(self->fd);
	unmount_old(_metadata, variant->type);
}

/*
 * Make what is read from now on come from the disk. What has no disk is at least
 * made read-only for a moment, which fails if anybody could still write.
 */
static void remount(struct __test_metadata *_metadata, const struct fs_type *type,
		    const char *file, int *fd)
{
	ASSERT_EQ(0, close(*fd));
	*fd = -1;
	if (has_disk(type)) {
		ASSERT_EQ(0, unmount_all(type));
		ASSERT_EQ(0, mount_lowest(type));
		ASSERT_EQ(0, mount_stacked(type));
	} else {
		ASSERT_EQ(0, mount(NULL, root, NULL, MS_REMOUNT | MS_RDONLY, NULL));
		ASSERT_EQ(-1, open(file, O_RDWR | O_CLOEXEC));
		ASSERT_EQ(EROFS, errno);
		ASSERT_EQ(0, mount(NULL, root, NULL, MS_REMOUNT, NULL));
	}
	*fd = open(file, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, *fd);
}

/* How many pages of the file are in memory */
static unsigned int count_cached(int fd)
{
	unsigned char vec[PAGES];
	unsigned int i, nr = 0;
	char *p = map(NULL, PAGES, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED || mincore(p, PAGES * page_size, vec))
		return ~0U;
	for (i = 0; i < PAGES; i++)
		nr += vec[i] & 1;
	unmap(p, PAGES);
	return nr;
}

/* A shared mapping is the file: whoever writes, all see it at once */
TEST_F_TIMEOUT(fs, shared, TEST_SECONDS)
{
	char *p = map(NULL, PAGES, RW, MAP_SHARED, self->fd, 0);
	char *q = map(NULL, PAGES - 3, PROT_READ, MAP_SHARED, self->fd, 3);

	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 0, PAGES));
	EXPECT_EQ(ALL_RIGHT, first_wrong(q, FIRST, 3, PAGES - 3));

	fill(p, 2, 0, PAGES);
	EXPECT_EQ(ALL_RIGHT, first_wrong(q, 2, 3, PAGES - 3));
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, 2, 0, PAGES));

	ASSERT_EQ(0, file_fill(self->fd, 3, 5, 2));
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, 2, 0, 5));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 5), 3, 5, 2));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 7), 2, 7, PAGES - 7));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(q, 2), 3, 5, 2));

	EXPECT_EQ(0, unmap(q, PAGES - 3));
	EXPECT_EQ(0, unmap(p, PAGES));
}

/* What was written by a mapping is on the disk, also where there was a hole */
TEST_F_TIMEOUT(fs, shared_on_disk, TEST_SECONDS)
{
	unsigned int i;
	char *p;

	ASSERT_EQ(0, ftruncate(self->fd, 2 * PAGES * page_size));
	p = map(NULL, 2 * PAGES, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	fill(p, 2, 0, PAGES);
	EXPECT_EQ(0, msync(p, PAGES / 2 * page_size, MS_SYNC));
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, 2, 0, PAGES));
	for (i = PAGES; i < 2 * PAGES; i += 2)
		fill(page_at(p, i), 3, i, 1);
	/* Written after it had been written back, and not synchronized again */
	fill(page_at(p, 1), 4, 1, 1);
	EXPECT_EQ(0, unmap(p, 2 * PAGES));

	remount(_metadata, variant->type, self->file, &self->fd);
	if (has_disk(variant->type))
		EXPECT_EQ(0U, count_cached(self->fd));
	p = map(NULL, 2 * PAGES, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, 2, 0, 1));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 1), 4, 1, 1));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 2), 2, 2, PAGES - 2));
	for (i = PAGES; i < 2 * PAGES; i += 2) {
		EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, i), 3, i, 1));
		EXPECT_EQ(ALL_RIGHT, first_nonzero(page_at(p, i + 1), i + 1, 1));
		EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, 3, i, 1));
		EXPECT_EQ(ALL_RIGHT, file_first_nonzero(self->fd, i + 1, 1));
	}
	EXPECT_EQ(0, unmap(p, 2 * PAGES));
}

/* A private mapping is the file until it is written to, and never writes to it */
TEST_F_TIMEOUT(fs, private, TEST_SECONDS)
{
	char *p = map(NULL, PAGES, RW, MAP_PRIVATE, self->fd, 0);
	char *q = map(NULL, PAGES, RW, MAP_PRIVATE, self->fd, 0);

	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 0, PAGES));
	fill(page_at(p, 4), 2, 4, 4);
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 0, 4));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 4), 2, 4, 4));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 8), FIRST, 8, PAGES - 8));
	EXPECT_EQ(ALL_RIGHT, first_wrong(q, FIRST, 0, PAGES));
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, FIRST, 0, PAGES));

	/* What is copied stays as it is; the rest is the file's. */
	ASSERT_EQ(0, file_fill(self->fd, 3, 6, 4));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 4), 2, 4, 4));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 8), 3, 8, 2));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(q, 6), 3, 6, 4));

	/* There is nothing to write back */
	EXPECT_EQ(0, msync(p, PAGES * page_size, MS_SYNC));
	EXPECT_EQ(0, unmap(p, PAGES));
	EXPECT_EQ(0, unmap(q, PAGES));
	remount(_metadata, variant->type, self->file, &self->fd);
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, FIRST, 0, 6));
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, 3, 6, 4));
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, FIRST, 10, PAGES - 10));
}

/* Nobody gets more access to a file by mapping it than by opening it */
TEST_F_TIMEOUT(fs, read_only, TEST_SECONDS)
{
	int ro = open(self->file, O_RDONLY | O_CLOEXEC);
	int wo = open(self->file, O_WRONLY | O_CLOEXEC);
	char *p;

	ASSERT_LE(0, ro);
	ASSERT_LE(0, wo);
	EXPECT_EQ(MAP_FAILED, (void *)map(NULL, PAGES, RW, MAP_SHARED, ro, 0));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, (void *)map(NULL, PAGES, PROT_WRITE, MAP_SHARED, wo, 0));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, (void *)map(NULL, PAGES, PROT_READ, MAP_PRIVATE, wo, 0));
	EXPECT_EQ(EACCES, errno);

	p = map(NULL, PAGES, PROT_READ, MAP_SHARED, ro, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 0, PAGES));
	EXPECT_EQ(-1, mprotect(p, PAGES * page_size, RW));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(SIGSEGV, probe_write(p, 0));
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 0, PAGES));
	EXPECT_EQ(0, unmap(p, PAGES));

	/* A copy is nobody else's. */
	p = map(NULL, PAGES, PROT_READ, MAP_PRIVATE, ro, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(0, mprotect(p, PAGES * page_size, RW));
	fill(p, 2, 0, PAGES);
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(ro, FIRST, 0, PAGES));
	EXPECT_EQ(0, unmap(p, PAGES));

	/* Permission may come later where the file is open for writing. */
	p = map(NULL, PAGES, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(SIGSEGV, probe_write(p, 0));
	EXPECT_EQ(0, mprotect(p, PAGES * page_size, RW));
	fill(p, 2, 0, PAGES);
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(ro, 2, 0, PAGES));
	EXPECT_EQ(0, unmap(p, PAGES));
	close(wo);
	close(ro);
}

/* Does not care where it is. Only its bytes are used. */
static int code(void)
{
	return CODE_RESULT;
}

static int run_code(void *p)
{
	int (*function)(void) = p;

	__builtin___clear_cache(p, (char *)p + CODE_SIZE);
	return function();
}

static bool copy_program(const char *path)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	ssize_t got;

	do {
		got = sendfile(to, from, NULL, 1 << 20);
	} while (got > 0);
	return !got && !close(from) && !close(to);
}

/* The exit status of @path when it is executed, or 128 and an error number */
static int run_program(const char *path)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execl(path, path, EXEC_ARG, NULL);
		_exit(128 | errno);
	}
	status = wait_status(pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Code can be run from a mapping, and a program can be run */
TEST_F_TIMEOUT(fs, exec, TEST_SECONDS)
{
	char *p;

	ASSERT_EQ(CODE_SIZE, pwrite(self->fd, code, CODE_SIZE, page_size));
	p = map(NULL, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, self->fd, 1);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(CODE_RESULT, run_code(p));
	EXPECT_EQ(0, unmap(p, 1));

	p = map(NULL, 2, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(0, mprotect(page_at(p, 1), page_size, PROT_READ | PROT_EXEC));
	EXPECT_EQ(CODE_RESULT, run_code(page_at(p, 1)));
	EXPECT_EQ(0, unmap(p, 2));

	ASSERT_TRUE(copy_program(self->other));
	EXPECT_EQ(EXEC_STATUS, run_program(self->other));
	EXPECT_EQ(0, unlink(self->other));
}

/* What is mounted noexec cannot be mapped for it, nor later be made so */
TEST_F_TIMEOUT(fs, noexec, TEST_SECONDS)
{
	const int flags[] = { MAP_SHARED, MAP_PRIVATE };
	unsigned int i;
	char *p, *q;

	ASSERT_TRUE(copy_program(self->other));
	ASSERT_EQ(CODE_SIZE, pwrite(self->fd, code, CODE_SIZE, 0));
	p = map(NULL, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, mount(NULL, mountpoint(variant->type), NULL,
			   MS_REMOUNT | MS_BIND | MS_NOEXEC, NULL));

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_EQ(MAP_FAILED, (void *)map(NULL, 1, PROT_READ | PROT_EXEC,
						  flags[i], self->fd, 0));
		EXPECT_EQ(EPERM, errno);
		q = map(NULL, PAGES, PROT_READ, flags[i], self->fd, 0);
		ASSERT_NE(MAP_FAILED, (void *)q);
		EXPECT_EQ(-1, mprotect(q, page_size, PROT_READ | PROT_EXEC));
		EXPECT_EQ(EACCES, errno);
		EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(q, 1), FIRST, 1, PAGES - 1));
		EXPECT_EQ(0, unmap(q, PAGES));
	}
	EXPECT_EQ(128 | EACCES, run_program(self->other));

	/* What is there already, is there. */
	EXPECT_EQ(CODE_RESULT, run_code(p));
	EXPECT_EQ(0, unmap(p, 1));
}

/* Behind the end of a file is nothing, and zeros when the end has moved */
TEST_F_TIMEOUT(fs, truncate_shared, TEST_SECONDS)
{
	const unsigned int part = 128;
	char *p = map(NULL, PAGES, RW, MAP_SHARED, self->fd, 0);
	unsigned int i;

	ASSERT_NE(MAP_FAILED, (void *)p);
	fill(p, 2, 0, PAGES);
	ASSERT_EQ(0, ftruncate(self->fd, 5 * page_size + part));
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, 2, 0, 5));
	for (i = 0; i < words(); i++) {
		uint64_t value = 1;

		ASSERT_EQ(0, probe_read(page_at(p, 5) + i * sizeof(value), &value));
		ASSERT_EQ(i < part / sizeof(value) ? word_of(2, 5, i) : 0, value);
	}
	for (i = 6; i < PAGES; i++) {
		EXPECT_EQ(SIGBUS, probe(page_at(p, i)));
		EXPECT_EQ(SIGBUS, probe_write(page_at(p, i), 1));
	}

	ASSERT_EQ(0, ftruncate(self->fd, PAGES * page_size));
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, 2, 0, 5));
	EXPECT_EQ(ALL_RIGHT, first_nonzero(page_at(p, 6), 6, PAGES - 6));
	EXPECT_EQ(ALL_RIGHT, file_first_nonzero(self->fd, 6, PAGES - 6));
	for (i = part / sizeof(uint64_t); i < words(); i++) {
		uint64_t value = 1;

		ASSERT_EQ(0, probe_read(page_at(p, 5) + i * sizeof(value), &value));
		ASSERT_EQ(0U, value);
	}
	fill(page_at(p, 6), 3, 6, PAGES - 6);
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, 3, 6, PAGES - 6));
	EXPECT_EQ(0, unmap(p, PAGES));
}

/* The same for a private mapping, and copies of what is cut off are gone */
TEST_F_TIMEOUT(fs, truncate_private, TEST_SECONDS)
{
	char *p = map(NULL, PAGES, RW, MAP_PRIVATE, self->fd, 0);
	unsigned int i;

	ASSERT_NE(MAP_FAILED, (void *)p);
	fill(page_at(p, 4), 2, 4, 4);
	ASSERT_EQ(0, ftruncate(self->fd, 6 * page_size));
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 0, 4));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 4), 2, 4, 2));
	for (i = 6; i < PAGES; i++) {
		EXPECT_EQ(SIGBUS, probe(page_at(p, i)));
		EXPECT_EQ(SIGBUS, probe_write(page_at(p, i), 1));
	}

	ASSERT_EQ(0, ftruncate(self->fd, PAGES * page_size));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 4), 2, 4, 2));
	EXPECT_EQ(ALL_RIGHT, first_nonzero(page_at(p, 6), 6, PAGES - 6));
	fill(page_at(p, 6), 3, 6, PAGES - 6);
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, FIRST, 0, 6));
	EXPECT_EQ(ALL_RIGHT, file_first_nonzero(self->fd, 6, PAGES - 6));
	EXPECT_EQ(0, unmap(p, PAGES));
}

/* msync() takes what it should, and what was written remains */
TEST_F_TIMEOUT(fs, msync, TEST_SECONDS)
{
	const int flags[] = {
		0, MS_SYNC, MS_ASYNC, MS_INVALIDATE,
		MS_SYNC | MS_INVALIDATE, MS_ASYNC | MS_INVALIDATE,
	};
	char *p = map(NULL, PAGES, RW, MAP_SHARED, self->fd, 0);
	unsigned int i;

	ASSERT_NE(MAP_FAILED, (void *)p);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		fill(p, 2 + i, 0, PAGES);
		EXPECT_EQ(0, msync(page_at(p, 3), 9 * page_size, flags[i]))
			TH_LOG("flags %x: %s", flags[i], strerror(errno));
		EXPECT_EQ(ALL_RIGHT, first_wrong(p, 2 + i, 0, PAGES));
		EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, 2 + i, 0, PAGES));
	}
	EXPECT_EQ(-1, msync(p, page_size, MS_SYNC | MS_ASYNC));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_EQ(0, mlock(p, page_size));
	EXPECT_EQ(-1, msync(p, page_size, MS_INVALIDATE));
	EXPECT_EQ(EBUSY, errno);
	ASSERT_EQ(0, munlock(p, page_size));
	ASSERT_EQ(0, unmap(page_at(p, 4), 1));
	EXPECT_EQ(-1, msync(p, PAGES * page_size, MS_SYNC));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(0, unmap(p, PAGES));
}

/* MAP_FIXED replaces what is in its way: all of that, and nothing else */
TEST_F_TIMEOUT(fs, fixed_over_file, TEST_SECONDS)
{
	int other = create(self->other);
	char *p, *q;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, file_fill(other, 2, 0, PAGES));
	p = map(NULL, PAGES, RW, MAP_SHARED, other, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	fill(p, 3, 0, PAGES);
	q = page_at(p, 4);
	ASSERT_EQ(q, map(q, 5, RW, MAP_SHARED | MAP_FIXED, self->fd, 7));
	EXPECT_EQ(3U, count_vmas(p, PAGES));
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, 3, 0, 4));
	EXPECT_EQ(ALL_RIGHT, first_wrong(q, FIRST, 7, 5));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 9), 3, 9, PAGES - 9));

	/* Each writes to its own file. */
	fill(p, 4, 0, 4);
	fill(q, 5, 7, 5);
	fill(page_at(p, 9), 6, 9, PAGES - 9);
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(other, 4, 0, 4));
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(other, 3, 4, 5));
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(other, 6, 9, PAGES - 9));
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, FIRST, 0, 7));
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, 5, 7, 5));
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, FIRST, 12, PAGES - 12));

	/* And back: all of it at once */
	ASSERT_EQ(p, map(p, PAGES, PROT_READ, MAP_PRIVATE | MAP_FIXED, self->fd, 0));
	EXPECT_EQ(1U, count_vmas(p, PAGES));
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 0, 7));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 7), 5, 7, 5));
	EXPECT_EQ(0, unmap(p, PAGES));
	close(other);
}

/* The same over anonymous memory, and anonymous memory over it */
TEST_F_TIMEOUT(fs, fixed_over_anon, TEST_SECONDS)
{
	char *p = map(NULL, PAGES, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *q = page_at(p, 4);

	ASSERT_NE(MAP_FAILED, (void *)p);
	fill(p, 9, 0, PAGES);
	ASSERT_EQ(q, map(q, 5, RW, MAP_PRIVATE | MAP_FIXED, self->fd, 7));
	fill(page_at(q, 1), 2, 8, 1);
	EXPECT_EQ(3U, count_vmas(p, PAGES));
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, 9, 0, 4));
	EXPECT_EQ(ALL_RIGHT, first_wrong(q, FIRST, 7, 1));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(q, 1), 2, 8, 1));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(q, 2), FIRST, 9, 3));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 9), 9, 9, PAGES - 9));

	ASSERT_EQ(q, map(q, 2, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(ALL_RIGHT, first_nonzero(q, 0, 2));
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, 9, 0, 4));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(q, 2), FIRST, 9, 3));
	EXPECT_EQ(0, unmap(p, PAGES));
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, FIRST, 0, PAGES));
}

/*
 * A MAP_FIXED that fails leaves everything as it was. MAP_SYNC is special: on ext4
 * and xfs it is f_op->mmap_prepare() that refuses it.
 */
static void check_refused(struct __test_metadata *_metadata, const char *mountpoint,
			  const char *file, int fd, char *p)
{
	int ro = open(file, O_RDONLY | O_CLOEXEC);
	int wo = open(file, O_WRONLY | O_CLOEXEC);
	int dir = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct {
		int fd, prot, flags, error;
		off_t offset;
		bool noexec;
	} tries[] = {
		{ .fd = ro, .prot = RW, .flags = MAP_SHARED, .error = EACCES },
		{ .fd = wo, .prot = PROT_WRITE, .flags = MAP_SHARED, .error = EACCES },
		{ .fd = wo, .prot = PROT_READ, .flags = MAP_PRIVATE, .error = EACCES },
		{ .fd = dir, .prot = PROT_READ, .flags = MAP_PRIVATE, .error = ENODEV },
		{ .fd = fd, .prot = PROT_READ, .flags = MAP_SHARED,
		  .error = EINVAL, .offset = 1 },
		{ .fd = fd, .prot = PROT_READ, .flags = MAP_SHARED,
		  .error = EOVERFLOW, .offset = INT64_MAX - (off_t)page_size + 1 },
		{ .fd = fd, .prot = RW, .flags = MAP_SHARED_VALIDATE | MAP_SYNC,
		  .error = EOPNOTSUPP },
		{ .fd = fd, .prot = PROT_READ | PROT_EXEC, .flags = MAP_SHARED,
		  .error = EPERM, .noexec = true },
	};
	static struct snapshot before;
	unsigned int i;

	ASSERT_LE(0, ro);
	ASSERT_LE(0, wo);
	ASSERT_LE(0, dir);
	for (i = 0; i < ARRAY_SIZE(tries); i++) {
		ASSERT_EQ(0, mount(NULL, mountpoint, NULL, MS_REMOUNT | MS_BIND |
				   (tries[i].noexec ? MS_NOEXEC : 0), NULL));
		snapshot(_metadata, &before);
		EXPECT_EQ(MAP_FAILED, mmap(page_at(p, 4), 8 * page_size, tries[i].prot,
					   tries[i].flags | MAP_FIXED, tries[i].fd,
					   tries[i].offset))
			TH_LOG("try %u", i);
		EXPECT_EQ(tries[i].error, errno)
			TH_LOG("try %u: %s", i, strerror(errno));
		check_snapshot(_metadata, &before);
		ASSERT_EQ(1U, count_vmas(p, PAGES));
		EXPECT_EQ(ALL_RIGHT, first_wrong(p, 2, 0, PAGES));
	}
	close(dir);
	close(wo);
	close(ro);
}

/* Over a mapping of another file, which may be written afterwards as before */
TEST_F_TIMEOUT(fs, fixed_refused, TEST_SECONDS)
{
	int other = create(self->other);
	char *p;

	ASSERT_LE(0, other);
	p = map(NULL, PAGES, RW, MAP_SHARED, other, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	fill(p, 2, 0, PAGES);
	check_refused(_metadata, mountpoint(variant->type), self->file, self->fd, p);
	EXPECT_EQ(1U, count_vmas(p, PAGES));
	fill(p, 3, 0, PAGES);
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(other, 3, 0, PAGES));
	EXPECT_EQ(0, unmap(p, PAGES));
	close(other);
}

/* Over private memory, the only copy of what is in there */
TEST_F_TIMEOUT(fs, fixed_refused_private, TEST_SECONDS)
{
	char *p = map(NULL, PAGES, RW, MAP_PRIVATE, self->fd, 0);

	ASSERT_NE(MAP_FAILED, (void *)p);
	fill(p, 2, 0, PAGES);
	check_refused(_metadata, mountpoint(variant->type), self->file, self->fd, p);
	EXPECT_EQ(1U, count_vmas(p, PAGES));
	EXPECT_EQ(0, unmap(p, PAGES));
}

/*
 * What does not fit into the address space replaces nothing either. That turns out
 * when the file has been asked already, and the VMA below may have been split.
 */
TEST_F_TIMEOUT(fs, fixed_no_space, TEST_SECONDS)
{
	struct rlimit old, small;
	char *p = map_prot_none(2 * PAGES);
	struct vm_sizes before, after;
	void *got;
	int error;

	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, unmap(page_at(p, PAGES), PAGES));
	ASSERT_EQ(p, map(p, PAGES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	fill(p, 2, 0, PAGES);
	ASSERT_EQ(0, getrlimit(RLIMIT_AS, &old));
	before = read_sizes();
	small = old;
	small.rlim_cur = page_size;
	ASSERT_EQ(0, setrlimit(RLIMIT_AS, &small));
	got = map(page_at(p, 4), PAGES, RW, MAP_SHARED | MAP_FIXED, self->fd, 0);
	error = errno;
	ASSERT_EQ(0, setrlimit(RLIMIT_AS, &old));
	EXPECT_EQ(MAP_FAILED, got);
	EXPECT_EQ(ENOMEM, error);
	after = read_sizes();
	EXPECT_NE(0U, before.size);
	EXPECT_EQ(before.size, after.size);
	EXPECT_EQ(before.data, after.data);
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, 2, 0, PAGES));
	EXPECT_EQ(0U, count_vmas(page_at(p, PAGES), PAGES));
	EXPECT_EQ(0, unmap(p, PAGES));
}

/* MAP_SYNC needs memory that persists, and is refused without */
TEST_F_TIMEOUT(fs, sync, TEST_SECONDS)
{
	char *p;

	EXPECT_EQ(MAP_FAILED, (void *)map(NULL, PAGES, RW, MAP_SHARED_VALIDATE | MAP_SYNC,
					  self->fd, 0));
	EXPECT_EQ(EOPNOTSUPP, errno);
	p = map(NULL, PAGES, RW, MAP_SHARED_VALIDATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 0, PAGES));
	EXPECT_EQ(0, unmap(p, PAGES));
}

/*
 * One attempt to merge, with the file that the VMA is of. overlayfs has
 * f_op->mmap(), which puts the file of the layer below there when it is too late
 * for that: these VMAs do not merge while they are made. Later they do.
 */
TEST_F_TIMEOUT(fs, merge, TEST_SECONDS)
{
	const int flags[] = { MAP_SHARED, MAP_PRIVATE };
	const bool late = variant->type->below;
	char *p = map_prot_none(PAGES);
	unsigned int i;

	ASSERT_NE(MAP_FAILED, (void *)p);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		int fixed = flags[i] | MAP_FIXED;

		/* Behind, before, between */
		ASSERT_EQ(page_at(p, 2), map(page_at(p, 2), 2, RW, fixed, self->fd, 2));
		ASSERT_EQ(page_at(p, 4), map(page_at(p, 4), 2, RW, fixed, self->fd, 4));
		EXPECT_EQ(late ? 2U : 1U, count_vmas(page_at(p, 2), 4));
		ASSERT_EQ(p, map(p, 2, RW, fixed, self->fd, 0));
		EXPECT_EQ(late ? 3U : 1U, count_vmas(p, 6));
		ASSERT_EQ(page_at(p, 8), map(page_at(p, 8), 8, RW, fixed, self->fd, 8));
		EXPECT_EQ(late ? 4U + 1U : 3U, count_vmas(p, PAGES));
		ASSERT_EQ(page_at(p, 6), map(page_at(p, 6), 2, RW, fixed, self->fd, 6));
		EXPECT_EQ(late ? 5U : 1U, count_vmas(p, PAGES));

		EXPECT_EQ(0, mprotect(p, PAGES * page_size, PROT_READ));
		EXPECT_EQ(1U, count_vmas(p, PAGES));
		EXPECT_EQ(0, mprotect(p, PAGES * page_size, RW));
		EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 0, PAGES));
		ASSERT_EQ(p, map(p, PAGES, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	}
	EXPECT_EQ(0, unmap(p, PAGES));
}

/* Different offsets, opened files, files, kinds and protection stay apart */
TEST_F_TIMEOUT(fs, no_merge, TEST_SECONDS)
{
	int again = open(self->file, O_RDWR | O_CLOEXEC);
	int other = create(self->other);
	const struct {
		int fd, prot, flags;
		unsigned int pgoff;
	} seconds[] = {
		{ .fd = self->fd, .prot = RW, .flags = MAP_SHARED, .pgoff = 5 },
		{ .fd = self->fd, .prot = RW, .flags = MAP_SHARED, .pgoff = 3 },
		{ .fd = self->fd, .prot = RW, .flags = MAP_PRIVATE, .pgoff = 4 },
		{ .fd = self->fd, .prot = PROT_READ, .flags = MAP_SHARED, .pgoff = 4 },
		{ .fd = again, .prot = RW, .flags = MAP_SHARED, .pgoff = 4 },
		{ .fd = other, .prot = RW, .flags = MAP_SHARED, .pgoff = 4 },
	};
	char *p = map_prot_none(8), *q = page_at(p, 4);
	unsigned int i;

	ASSERT_LE(0, again);
	ASSERT_LE(0, other);
	ASSERT_NE(MAP_FAILED, (void *)p);
	for (i = 0; i < ARRAY_SIZE(seconds); i++) {
		ASSERT_EQ(p, map(p, 4, RW, MAP_SHARED | MAP_FIXED, self->fd, 0));
		ASSERT_EQ(q, map(q, 4, seconds[i].prot, seconds[i].flags | MAP_FIXED,
				 seconds[i].fd, seconds[i].pgoff));
		EXPECT_EQ(2U, count_vmas(p, 8))
			TH_LOG("second mapping %u", i);
		EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 0, 4));
		EXPECT_EQ(ALL_RIGHT, first_wrong(q, FIRST, seconds[i].pgoff, 4));
		ASSERT_EQ(p, map(p, 8, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	}
	EXPECT_EQ(0, unmap(p, 8));
	close(other);
	close(again);
}

/* fork(): a shared mapping is shared, and private copies stay apart */
TEST_F_TIMEOUT(fs, fork, TEST_SECONDS)
{
	char *p = map(NULL, PAGES, RW, MAP_SHARED, self->fd, 0);
	char *q = map(NULL, PAGES, RW, MAP_PRIVATE, self->fd, 0);
	int to_child[2], to_parent[2];
	char c = 0;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_NE(MAP_FAILED, (void *)q);
	ASSERT_EQ(0, pipe(to_child));
	ASSERT_EQ(0, pipe(to_parent));
	fill(q, 2, 0, 4);

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 0, PAGES));
		EXPECT_EQ(ALL_RIGHT, first_wrong(q, 2, 0, 4));
		fill(p, 3, 0, 4);
		fill(q, 3, 2, 4);
		EXPECT_EQ(1, write(to_parent[1], &c, 1));
		EXPECT_EQ(1, read(to_child[0], &c, 1));
		EXPECT_EQ(ALL_RIGHT, first_wrong(p, 3, 0, 4));
		EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 4), 4, 4, 4));
		EXPECT_EQ(ALL_RIGHT, first_wrong(q, 3, 2, 4));
		EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(q, 4), 4, 4, 4));
		EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(q, 8), FIRST, 8, PAGES - 8));
		_exit(0);
	}
	EXPECT_EQ(1, read(to_parent[0], &c, 1));
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, 3, 0, 4));
	EXPECT_EQ(ALL_RIGHT, first_wrong(q, 2, 0, 4));
	/* The last word on pages 4 to 7 of q is the file's, in both. */
	fill(page_at(p, 4), 4, 4, 4);
	fill(page_at(q, 8), 5, 8, 4);
	EXPECT_EQ(1, write(to_child[1], &c, 1));
	EXPECT_EQ(0, wait_status(pid));
	EXPECT_EQ(ALL_RIGHT, first_wrong(q, 2, 0, 4));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(q, 4), 4, 4, 4));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(q, 8), 5, 8, 4));
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, 3, 0, 4));
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, 4, 4, 4));
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, FIRST, 8, PAGES - 8));
	EXPECT_EQ(0, unmap(p, PAGES));
	EXPECT_EQ(0, unmap(q, PAGES));
	close(to_child[0]);
	close(to_child[1]);
	close(to_parent[0]);
	close(to_parent[1]);
}

/* MAP_POPULATE maps all pages at once, and copies those of a private mapping */
TEST_F_TIMEOUT(fs, populate, TEST_SECONDS)
{
	char *p;

	remount(_metadata, variant->type, self->file, &self->fd);
	if (has_disk(variant->type))
		EXPECT_EQ(0U, count_cached(self->fd));
	p = map(NULL, PAGES, PROT_READ, MAP_SHARED | MAP_POPULATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(PAGES, count_mapped(p, PAGES, PM_FILE));
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 0, PAGES));
	EXPECT_EQ(0, unmap(p, PAGES));

	p = map(NULL, PAGES, RW, MAP_PRIVATE | MAP_POPULATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(PAGES, count_mapped(p, PAGES, 0));
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 0, PAGES));
	fill(p, 2, 0, PAGES);
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, FIRST, 0, PAGES));
	EXPECT_EQ(0, unmap(p, PAGES));
}

/* mremap(): growing adds what comes next in the file, moving changes nothing */
TEST_F_TIMEOUT(fs, mremap, TEST_SECONDS)
{
	const int flags[] = { MAP_SHARED, MAP_PRIVATE };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		char *p = map_prot_none(PAGES), *q = map_prot_none(PAGES);

		ASSERT_NE(MAP_FAILED, (void *)p);
		ASSERT_NE(MAP_FAILED, (void *)q);
		ASSERT_EQ(p, map(p, 4, RW, flags[i] | MAP_FIXED, self->fd, 2));
		ASSERT_EQ(0, unmap(page_at(p, 4), PAGES - 4));
		fill(page_at(p, 1), 2, 3, 2);
		ASSERT_EQ(p, mremap(p, 4 * page_size, 8 * page_size, 0));
		EXPECT_EQ(1U, count_vmas(p, 8));
		EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 2, 1));
		EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 1), 2, 3, 2));
		EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 3), FIRST, 5, 5));

		ASSERT_EQ(q, mremap(p, 8 * page_size, 8 * page_size,
				    MREMAP_MAYMOVE | MREMAP_FIXED, q));
		EXPECT_EQ(0U, count_vmas(p, 8));
		EXPECT_EQ(ALL_RIGHT, first_wrong(q, FIRST, 2, 1));
		EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(q, 1), 2, 3, 2));
		EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(q, 3), FIRST, 5, 5));

		/* Both at once, and beyond the end of the file */
		p = map_prot_none(PAGES);
		ASSERT_NE(MAP_FAILED, (void *)p);
		ASSERT_EQ(p, mremap(q, 8 * page_size, PAGES * page_size,
				    MREMAP_MAYMOVE | MREMAP_FIXED, p));
		EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 1), 2, 3, 2));
		EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, 3), FIRST, 5, PAGES - 5));
		EXPECT_EQ(SIGBUS, probe(page_at(p, PAGES - 2)));

		/* A part in the middle goes back to where all of it was */
		ASSERT_EQ(page_at(q, 1), mremap(page_at(p, 2), 2 * page_size,
						2 * page_size,
						MREMAP_MAYMOVE | MREMAP_FIXED,
						page_at(q, 1)));
		EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(q, 1), 2, 4, 1));
		EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(q, 2), FIRST, 5, 1));
		EXPECT_EQ(2U, count_vmas(p, PAGES));
		fill(page_at(q, 2), 3, 5, 1);
		fill(page_at(p, 4), 4, 6, 1);

		if (flags[i] == MAP_SHARED) {
			EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, FIRST, 0, 3));
			EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, 2, 3, 2));
			EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, 3, 5, 1));
			EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, 4, 6, 1));
			ASSERT_EQ(0, file_fill(self->fd, FIRST, 3, 4));
		}
		EXPECT_EQ(ALL_RIGHT, file_first_wrong(self->fd, FIRST, 0, PAGES));
		EXPECT_EQ(0, unmap(p, PAGES));
		EXPECT_EQ(0, unmap(q, PAGES));
	}
}

/* A mapping keeps a file that has no name and that nobody has open */
TEST_F_TIMEOUT(fs, unlinked, TEST_SECONDS)
{
	char *p, *q;

	remount(_metadata, variant->type, self->file, &self->fd);
	p = map(NULL, PAGES, RW, MAP_SHARED, self->fd, 0);
	q = map(NULL, PAGES, RW, MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_NE(MAP_FAILED, (void *)q);
	EXPECT_EQ(0, unlink(self->file));
	EXPECT_EQ(0, close(self->fd));
	self->fd = -1;
	EXPECT_EQ(-1, access(self->file, F_OK));

	EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 0, PAGES));
	fill(p, 2, 0, PAGES / 2);
	EXPECT_EQ(0, msync(p, PAGES * page_size, MS_SYNC));
	EXPECT_EQ(ALL_RIGHT, first_wrong(q, 2, 0, PAGES / 2));
	fill(q, 3, 0, 2);
	/* A part of it is enough to keep it. */
	EXPECT_EQ(0, unmap(p, PAGES - 1));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(p, PAGES - 1), FIRST, PAGES - 1, 1));
	EXPECT_EQ(ALL_RIGHT, first_wrong(q, 3, 0, 2));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(q, 2), 2, 2, PAGES / 2 - 2));
	/* And as long as there is one, the file system is in use. */
	EXPECT_EQ(-1, umount(mountpoint(variant->type)));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_EQ(0, unmap(page_at(p, PAGES - 1), 1));
	EXPECT_EQ(0, unmap(q, PAGES));
}

/*
 * Everything at the same time. The first half of the file is always there. Of each
 * page of it, one thread knows what it has to hold, as only that one writes to it.
 * The second half comes and goes.
 */

#define STABLE		(PAGES / 2)
#define WRITERS		2
#define WINDOW		4
#define MIN_ROUNDS	10

struct race {
	int fd;
	char *window;			/* WINDOW pages, replaced all the time */
	atomic_bool stop;
	atomic_int mistake;		/* line, of the first one */
	unsigned int generation[STABLE];
};

struct racer {
	void (*round)(struct racer *racer);
	struct race *race;
	unsigned int id;
	uint32_t random;
	atomic_uint rounds;
	pthread_t thread;
};

#define RACE_CHECK(racer, cond) do {						\
	int none = 0;								\
										\
	if (!(cond))								\
		atomic_compare_exchange_strong(&(racer)->race->mistake, &none,	\
					       __LINE__);			\
} while (0)

static unsigned int below(struct racer *racer, unsigned int limit)
{
	return next_random(&racer->random) % limit;
}

/* What a word in the second half may be, other than 0 */
static bool is_tail_word(uint64_t value, unsigned int page, unsigned int word)
{
	return value == word_of(FIRST, page, word);
}

/* Map some pages with one of its own among them, check that and change it */
static void race_write(struct racer *racer)
{
	struct race *race = racer->race;
	unsigned int page = racer->id + WRITERS * below(racer, STABLE / WRITERS);
	unsigned int first = below(racer, page + 1);
	unsigned int end = page + 1 + below(racer, PAGES - page);
	unsigned int tail = STABLE + below(racer, STABLE);
	char *p = map(NULL, end - first, RW, MAP_SHARED, race->fd, first);
	unsigned int *generation = &race->generation[page];
	char *mine = page_at(p, page - first);
	int sig;

	RACE_CHECK(racer, p != MAP_FAILED);
	if (p == MAP_FAILED)
		return;
	RACE_CHECK(racer, first_wrong(mine, *generation, page, 1) == ALL_RIGHT);
	fill(mine, ++*generation, page, 1);
	if (!below(racer, 8))
		RACE_CHECK(racer, !msync(mine, page_size, MS_ASYNC));
	if (tail < end) {
		sig = probe_write(page_at(p, tail - first), word_of(FIRST, tail, 0));
		RACE_CHECK(racer, !sig || sig == SIGBUS);
	}
	RACE_CHECK(racer, first_wrong(mine, *generation, page, 1) == ALL_RIGHT);
	RACE_CHECK(racer, !unmap(p, end - first));
}

/* Cut something off and put it back. Nobody else changes the size. */
static void race_truncate(struct racer *racer)
{
	struct race *race = racer->race;
	char *p = map(NULL, STABLE, RW, racer->rounds % 2 ? MAP_SHARED : MAP_PRIVATE,
		      race->fd, STABLE);
	off_t size = (STABLE * words() + below(racer, STABLE * words())) * sizeof(uint64_t);
	unsigned int i;
	uint64_t value;
	int sig;

	RACE_CHECK(racer, p != MAP_FAILED);
	if (p == MAP_FAILED)
		return;
	for (i = 0; i < STABLE; i++)
		RACE_CHECK(racer, !probe_write(page_at(p, i),
					       word_of(FIRST, STABLE + i, 0)));
	RACE_CHECK(racer, !ftruncate(race->fd, size));
	for (i = 0; i < STABLE; i++) {
		sig = probe_read(page_at(p, i), &value);
		if ((off_t)((STABLE + i) * page_size) < size)
			RACE_CHECK(racer, !sig && is_tail_word(value, STABLE + i, 0));
		else
			RACE_CHECK(racer, sig == SIGBUS);
	}
	RACE_CHECK(racer, !ftruncate(race->fd, PAGES * page_size));
	for (i = 0; i < STABLE; i++) {
		sig = probe_read(page_at(p, i), &value);
		RACE_CHECK(racer, !sig &&
			   (!value || is_tail_word(value, STABLE + i, 0)));
	}
	RACE_CHECK(racer, !unmap(p, STABLE));
}

/* Put one part of the file after the other to the same place */
static void race_replace(struct racer *racer)
{
	struct race *race = racer->race;
	int flags = below(racer, 2) ? MAP_SHARED : MAP_PRIVATE;
	char *p = map(race->window, WINDOW, PROT_READ, flags | MAP_FIXED, race->fd,
		      below(racer, STABLE - WINDOW + 1));

	RACE_CHECK(racer, p == race->window);
}

/* At that place is always some part of the file, at the right place in its page */
static void race_read(struct racer *racer)
{
	unsigned int page = below(racer, WINDOW), word = below(racer, words());
	const uint64_t *p = (const uint64_t *)page_at(racer->race->window, page) + word;
	uint64_t value = __atomic_load_n(p, __ATOMIC_RELAXED);

	RACE_CHECK(racer, value >> GENERATION_SHIFT >= FIRST);
	value &= (1ULL << GENERATION_SHIFT) - 1;
	RACE_CHECK(racer, value >> PAGE_SHIFT_IN_WORD < STABLE);
	RACE_CHECK(racer, (value & ((1U << PAGE_SHIFT_IN_WORD) - 1)) == word);
}

static void *race_thread(void *arg)
{
	struct racer *racer = arg;

	while (!atomic_load(&racer->race->stop)) {
		racer->round(racer);
		atomic_fetch_add(&racer->rounds, 1);
	}
	return NULL;
}

static bool race_over(struct racer *racers, unsigned int nr, const struct timespec *begin)
{
	struct timespec now;
	unsigned int i;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if ((now.tv_sec - begin->tv_sec) * 1000000000LL + now.tv_nsec - begin->tv_nsec <
	    RACE_SECONDS * 1000000000LL)
		return false;
	for (i = 0; i < nr; i++)
		if (atomic_load(&racers[i].rounds) < MIN_ROUNDS)
			return false;
	return true;
}

/* Mapping, unmapping, faults and truncation do not get into each other's way */
TEST_F_TIMEOUT(fs, race, TEST_SECONDS)
{
	static struct race race;
	static struct racer racers[] = {
		{ .round = race_write, .id = 0 },
		{ .round = race_write, .id = 1 },
		{ .round = race_truncate },
		{ .round = race_replace },
		{ .round = race_read },
	};
	struct timespec begin;
	unsigned int i, j;

	race.fd = self->fd;
	race.window = map(NULL, WINDOW, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)race.window);
	for (i = 0; i < STABLE; i++)
		race.generation[i] = FIRST;
	/* Of the second half, only the first word of a page is ever written. */
	ASSERT_EQ(0, ftruncate(self->fd, STABLE * page_size));
	ASSERT_EQ(0, ftruncate(self->fd, PAGES * page_size));

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (i = 0; i < ARRAY_SIZE(racers); i++) {
		racers[i].race = &race;
		racers[i].random = RANDOM_SEED + i;
		ASSERT_EQ(0, pthread_create(&racers[i].thread, NULL, race_thread,
					    &racers[i]));
	}
	while (!race_over(racers, ARRAY_SIZE(racers), &begin) &&
	       !atomic_load(&race.mistake))
		usleep(1000);
	atomic_store(&race.stop, true);
	for (i = 0; i < ARRAY_SIZE(racers); i++)
		ASSERT_EQ(0, pthread_join(racers[i].thread, NULL));
	EXPECT_EQ(0, atomic_load(&race.mistake))
		TH_LOG("line %d was first", race.mistake);
	EXPECT_EQ(0, unmap(race.window, WINDOW));

	/* Once more from the disk, if there is one */
	for (j = 0; j < 2; j++) {
		for (i = 0; i < STABLE; i++)
			EXPECT_EQ(ALL_RIGHT,
				  file_first_wrong(self->fd, race.generation[i], i, 1));
		for (i = STABLE; i < PAGES; i++) {
			ASSERT_TRUE(file_page(self->fd, i));
			if (is_tail_word(page_buf[0], i, 0))
				page_buf[0] = 0;
			EXPECT_EQ(ALL_RIGHT, first_nonzero(page_buf, i, 1));
		}
		if (!j)
			remount(_metadata, variant->type, self->file, &self->fd);
	}
}

/*
 * overlayfs only: a file that is in the lower layer until somebody opens it for
 * writing
 */

FIXTURE(copy_up)
{
	char file[64];
};

FIXTURE_SETUP(copy_up)
{
	const char *reason = obstacle(&overlay);

	if (reason)
		SKIP(return, "%s", reason);
	mount_new(_metadata, &overlay);
	snprintf(self->file, sizeof(self->file), "%s/" LOWER_NAME, merged);
	probe_init();
}

FIXTURE_TEARDOWN(copy_up)
{
	unmount_old(_metadata, &overlay);
}

/*
 * Who has mapped it before keeps the file of the lower layer (overlayfs.rst,
 * "Non-standard behavior"); who opens it afterwards has that of the upper one.
 */
TEST_F_TIMEOUT(copy_up, mapped_before, TEST_SECONDS)
{
	int ro = open(self->file, O_RDONLY | O_CLOEXEC);
	char *shared = map(NULL, PAGES, PROT_READ, MAP_SHARED, ro, 0);
	char *private = map(NULL, PAGES, RW, MAP_PRIVATE, ro, 0);
	int rw, layer;
	char *p;

	ASSERT_LE(0, ro);
	ASSERT_NE(MAP_FAILED, (void *)shared);
	ASSERT_NE(MAP_FAILED, (void *)private);
	/* Some pages are there before it is copied, some come later. */
	EXPECT_EQ(ALL_RIGHT, first_wrong(shared, FIRST, 0, PAGES / 2));
	fill(private, 2, 0, 2);
	EXPECT_EQ(-1, access(upper_file, F_OK));

	rw = open(self->file, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, rw);
	EXPECT_EQ(0, access(upper_file, F_OK));
	p = map(NULL, PAGES, RW, MAP_SHARED, rw, 0);
	ASSERT_NE(MAP_FAILED, (void *)p);
	EXPECT_EQ(ALL_RIGHT, first_wrong(p, FIRST, 0, PAGES));
	fill(p, 3, 0, PAGES);
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(rw, 3, 0, PAGES));
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(ro, 3, 0, PAGES));

	EXPECT_EQ(ALL_RIGHT, first_wrong(shared, FIRST, 0, PAGES));
	EXPECT_EQ(ALL_RIGHT, first_wrong(private, 2, 0, 2));
	EXPECT_EQ(ALL_RIGHT, first_wrong(page_at(private, 2), FIRST, 2, PAGES - 2));
	EXPECT_EQ(-1, mprotect(shared, page_size, RW));
	EXPECT_EQ(EACCES, errno);

	/* The layers themselves */
	layer = open(lower_file, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, layer);
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(layer, FIRST, 0, PAGES));
	close(layer);
	layer = open(upper_file, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, layer);
	EXPECT_EQ(ALL_RIGHT, file_first_wrong(layer, 3, 0, PAGES));
	close(layer);

	EXPECT_EQ(0, unmap(p, PAGES));
	EXPECT_EQ(0, unmap(shared, PAGES));
	EXPECT_EQ(0, unmap(private, PAGES));
	close(rw);
	close(ro);
}

/*
 * All names in one place, and the directory
 */

static void remove_root(void)
{
	if (getpid() == main_pid)
		rmdir(root);
}

static char *name(const char *dir, const char *entry)
{
	char *path;

	if (asprintf(&path, "%s/%s", dir, entry) < 0)
		ksft_exit_fail_msg("out of memory\n");
	return path;
}

static void make_names(void)
{
	test_dir = name(root, "test");
	lower = name(test_dir, "lower");
	upper = name(test_dir, "upper");
	work = name(test_dir, "work");
	merged = name(test_dir, "merged");
	lower_file = name(lower, LOWER_NAME);
	upper_file = name(upper, LOWER_NAME);
	if (asprintf(&overlay_options, "lowerdir=%s,upperdir=%s,workdir=%s", lower,
		     upper, work) < 0)
		ksft_exit_fail_msg("out of memory\n");
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], EXEC_ARG))
		return EXEC_STATUS;

	page_buf = malloc(page_size);
	snprintf(root, sizeof(root), "/tmp/vma_fs.XXXXXX");
	if (!page_buf || !mkdtemp(root))
		ksft_exit_fail_msg("%s: %s\n", root, strerror(errno));
	atexit(remove_root);
	make_names();
	return test_harness_run(argc, argv);
}
