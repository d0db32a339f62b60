/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests vma_*.c share: files of a word or two, children, file systems, accesses
 * that may fail, mappings, pictures of the address space, and allocations that fail in
 * turn.
 *
 * It includes kselftest_harness.h and vm_util.h; the latter must not be included twice.
 */
#ifndef _VMA_UTIL_H
#define _VMA_UTIL_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../kselftest_harness.h"
#include "vm_util.h"

/* Before, glibc does not use rseq. */
#ifdef __GLIBC_PREREQ
#if __GLIBC_PREREQ(2, 35)
#include <sys/rseq.h>
#endif
#endif

/* Younger than the headers of some C libraries */
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE	0x100000
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT		21
#endif

#define KB			1024UL
#define MB			(1024 * KB)

#define RW			(PROT_READ | PROT_WRITE)
#define DEBUGFS			"/sys/kernel/debug/"

/* Not zero, which next_random() would stick to */
#define RANDOM_SEED		2463534242U

/* Enough for /proc/self/maps of a test with some hundred mappings */
#define PROC_FILE_SIZE		(64 * 1024)

/* Bytes in a page, and the process that starts the tests; set before main() */
static size_t page_size;
static pid_t main_pid;

static __attribute__((constructor)) void vma_util_init(void)
{
	page_size = sysconf(_SC_PAGESIZE);
	main_pid = getpid();
}

/*
 * Files
 */

/**
 * read_file() - Read all of a file, as a string
 * @file: its path
 * @buf: where the string goes
 * @size: of @buf
 *
 * Allocates nothing.
 *
 * Return: false if it cannot be read, is empty, or does not fit.
 */
static inline bool read_file(const char *file, char *buf, size_t size)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t got = 0;
	size_t len = 0;

	if (fd < 0)
		return false;
	while (len < size - 1 && (got = read(fd, buf + len, size - 1 - len)) > 0)
		len += got;
	close(fd);
	buf[len] = '\0';
	return !got && len;
}

/**
 * write_file() - Write a string to a file that exists
 * @file: its path
 * @value: what is written, in one go
 *
 * Return: true if all of it was written.
 */
static inline bool write_file(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : write(fd, value, strlen(value));

	if (fd >= 0)
		close(fd);
	return len == (ssize_t)strlen(value);
}

/**
 * text_value() - Look up the number behind "KEY:"
 * @text: lines, as in /proc/self/status; the first one is not looked at
 * @key: without the colon
 *
 * Return: the number in the unit in which it is given, ULONG_MAX if there is none.
 */
static inline unsigned long text_value(const char *text, const char *key)
{
	const size_t len = strlen(key);

	while ((text = strchr(text, '\n'))) {
		text++;
		if (!strncmp(text, key, len) && text[len] == ':')
			return strtoul(text + len + 1, NULL, 10);
	}
	return ULONG_MAX;
}

/**
 * file_value() - Look up the number behind "KEY:" in a file
 * @file: such as /proc/self/status or /proc/self/smaps
 * @section: what the line has in it behind which the key is; NULL if that is the first
 * @key: without the colon
 *
 * Return: the number in the unit in which it is given, ULONG_MAX if there is none.
 */
static inline unsigned long file_value(const char *file, const char *section,
				       const char *key)
{
	static char text[PROC_FILE_SIZE];
	const char *from = text;

	if (!read_file(file, text, sizeof(text)))
		return ULONG_MAX;
	if (section)
		from = strstr(text, section);
	return from ? text_value(from, key) : ULONG_MAX;
}

/*
 * Processes, mounts, random numbers
 */

/**
 * wait_status() - Wait for a child
 * @pid: what fork() has returned
 *
 * Return: its wait status; -1, which no status is, if fork() or waiting has failed.
 */
static inline int wait_status(pid_t pid)
{
	int status;

	return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

/**
 * private_mounts() - Have mounts of one's own
 *
 * What is mounted from now on is gone with this process, however that ends.
 *
 * Return: 0, or -1 with errno set.
 */
static inline int private_mounts(void)
{
	if (unshare(CLONE_NEWNS))
		return -1;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/**
 * private_mounts_obstacle() - Have mounts of one's own, or say why not
 *
 * Return: what stands in the way, or NULL.
 */
static inline const char *private_mounts_obstacle(void)
{
	static char reason[128];

	if (!private_mounts())
		return NULL;
	snprintf(reason, sizeof(reason), "no mount namespace of its own: %s",
		 strerror(errno));
	return reason;
}

/**
 * next_random() - Get a random number, the same ones each time
 * @state: RANDOM_SEED or a number near it, at first
 *
 * Return: a number other than 0.
 */
static inline uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/*
 * File systems
 *
 * ext4, xfs and btrfs need a disk that carries such a file system with the label
 * "vma_fs": any of /dev/vd* and /dev/ubd*, or what is named, separated by blanks, in
 * the environment variable VMA_FS_DISKS. A disk without that label is never mounted.
 */

#define DISK_LABEL		"vma_fs"
#define DISKS_VARIABLE		"VMA_FS_DISKS"
#define DISK_NAME_SIZE		300

static inline bool file_has(int fd, off_t offset, const char *what, size_t len)
{
	char buf[16];

	return len <= sizeof(buf) && pread(fd, buf, len, offset) == (ssize_t)len &&
	       !memcmp(buf, what, len);
}

/* This file system, and made for these tests: nobody else's disk is touched */
static inline bool is_disk(const char *fs, const char *path)
{
	static const struct {
		const char *fs, *magic;
		off_t magic_at, label_at;
	} types[] = {
		{ "ext4", "\x53\xef", 1024 + 56, 1024 + 120 },
		{ "xfs", "XFSB", 0, 108 },
		{ "btrfs", "_BHRfS_M", 65536 + 64, 65536 + 0x12b },
	};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool is = false;
	size_t i;

	if (fd < 0)
		return false;
	for (i = 0; i < ARRAY_SIZE(types) && !fstat(fd, &st) && S_ISBLK(st.st_mode); i++)
		is |= !strcmp(fs, types[i].fs) &&
		      file_has(fd, types[i].magic_at, types[i].magic,
			       strlen(types[i].magic)) &&
		      file_has(fd, types[i].label_at, DISK_LABEL, sizeof(DISK_LABEL));
	close(fd);
	return is;
}

/**
 * find_disk() - Find a disk that was made for these tests
 * @fs: the file system that it has, as in /proc/filesystems
 * @path: where its name goes, DISK_NAME_SIZE bytes
 *
 * Return: false if there is none.
 */
static inline bool find_disk(const char *fs, char *path)
{
	const char *names = getenv(DISKS_VARIABLE);
	struct dirent *entry;
	bool found = false;
	char list[1024];
	char *name;
	DIR *dir;

	if (names) {
		snprintf(list, sizeof(list), "%s", names);
		for (name = strtok(list, " "); name && !found; name = strtok(NULL, " ")) {
			snprintf(path, DISK_NAME_SIZE, "%s", name);
			found = is_disk(fs, path);
		}
		return found;
	}
	dir = opendir("/sys/block");
	while (dir && !found && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vd", 2) && strncmp(entry->d_name, "ubd", 3))
			continue;
		snprintf(path, DISK_NAME_SIZE, "/dev/%s", entry->d_name);
		found = is_disk(fs, path);
	}
	if (dir)
		closedir(dir);
	return found;
}

/**
 * fs_obstacle() - What stands in the way of mounting a file system
 * @fs: as in /proc/filesystems
 * @disk: where the name of its disk goes, DISK_NAME_SIZE bytes; NULL if it needs none
 *
 * Return: that, or NULL.
 */
static inline const char *fs_obstacle(const char *fs, char *disk)
{
	static char reason[128];
	char list[4096], line[64];

	if (geteuid())
		return "mounting needs root";
	snprintf(line, sizeof(line), "\t%s\n", fs);
	if (!read_file("/proc/filesystems", list, sizeof(list)) || !strstr(list, line)) {
		snprintf(reason, sizeof(reason), "the kernel has no %s", fs);
		return reason;
	}
	if (disk && !find_disk(fs, disk)) {
		snprintf(reason, sizeof(reason),
			 "no disk (vd*, ubd*, $" DISKS_VARIABLE ") has %s with the label "
			 DISK_LABEL, fs);
		return reason;
	}
	return NULL;
}

/*
 * Access that may fail
 */

static __thread sigjmp_buf probe_env;
static __thread int probing;

static inline void probe_failed(int sig)
{
	if (!__atomic_load_n(&probing, __ATOMIC_SEQ_CST)) {
		signal(sig, SIG_DFL);
		raise(sig);
		return;
	}
	siglongjmp(probe_env, sig);
}

/**
 * probe_init() - Handle SIGSEGV and SIGBUS
 *
 * Before anything is probed, in each test. Where nothing is probed these signals kill
 * as usual.
 */
static inline void probe_init(void)
{
	struct sigaction sa = { .sa_handler = probe_failed, .sa_flags = SA_NODEFER };

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

/**
 * probe_read() - Read a word that may not be there
 * @p: its address
 * @value: what was read
 *
 * Return: 0 or the signal.
 */
static inline int probe_read(const void *p, uint64_t *value)
{
	int sig = sigsetjmp(probe_env, 0);

	if (!sig) {
		__atomic_store_n(&probing, 1, __ATOMIC_SEQ_CST);
		*value = __atomic_load_n((const uint64_t *)p, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&probing, 0, __ATOMIC_SEQ_CST);
	return sig;
}

/**
 * probe_write() - Write a word that may not be there, or not be writable
 * @p: its address
 * @value: what is written
 *
 * Return: 0 or the signal.
 */
static inline int probe_write(void *p, uint64_t value)
{
	int sig = sigsetjmp(probe_env, 0);

	if (!sig) {
		__atomic_store_n(&probing, 1, __ATOMIC_SEQ_CST);
		__atomic_store_n((uint64_t *)p, value, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&probing, 0, __ATOMIC_SEQ_CST);
	return sig;
}

/**
 * probe() - Find out whether something can be read
 * @p: its address
 *
 * Return: 0 or the signal.
 */
static inline int probe(const void *p)
{
	uint64_t value;

	return probe_read(p, &value);
}

/*
 * Mappings, counted in pages
 */

/**
 * map() - mmap() that counts in pages
 * @addr: as for mmap()
 * @pages: how many
 * @prot: as for mmap()
 * @flags: as for mmap()
 * @fd: as for mmap()
 * @pgoff: the first page in the file
 *
 * Return: what mmap() does.
 */
static inline char *map(void *addr, unsigned int pages, int prot, int flags, int fd,
			unsigned int pgoff)
{
	return mmap(addr, pages * page_size, prot, flags, fd, pgoff * page_size);
}

/**
 * map_prot_none() - Get addresses that nobody else uses
 * @pages: how many
 *
 * Return: where there is now a mapping without access, or MAP_FAILED.
 */
static inline char *map_prot_none(unsigned int pages)
{
	return map(NULL, pages, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/**
 * unmap() - munmap() that counts in pages
 * @addr: as for munmap()
 * @pages: how many
 *
 * Return: what munmap() does.
 */
static inline int unmap(void *addr, unsigned int pages)
{
	return munmap(addr, pages * page_size);
}

/**
 * count_vmas() - How many mappings have a part in a range
 * @p: its start
 * @pages: its length
 *
 * Return: their number, ~0U if that is not to be found out.
 */
static inline unsigned int count_vmas(const void *p, unsigned int pages)
{
	static char maps[PROC_FILE_SIZE];
	unsigned long from = (unsigned long)p, to = from + pages * page_size;
	unsigned long start, end;
	unsigned int nr = 0;
	char *line;

	if (!read_file("/proc/self/maps", maps, sizeof(maps)))
		return ~0U;
	for (line = strtok(maps, "\n"); line; line = strtok(NULL, "\n"))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
		    start < to && end > from)
			nr++;
	return nr;
}

/**
 * pagemap_count() - How many pages of a range are in some state
 * @p: start of the range
 * @pages: its length
 * @mask: the bits of a pagemap entry that matter: PM_PRESENT and so on
 * @value: what they have to be
 *
 * Return: the number of pages, SIZE_MAX if /proc/self/pagemap cannot be read.
 */
static inline size_t pagemap_count(const void *p, size_t pages, uint64_t mask,
				   uint64_t value)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	unsigned long page = (unsigned long)p / page_size;
	size_t i, len, done, nr = 0;
	uint64_t entries[64];

	for (done = 0; done < pages; done += len) {
		len = pages - done < ARRAY_SIZE(entries) ? pages - done :
							   ARRAY_SIZE(entries);
		if (pread(fd, entries, len * sizeof(entries[0]),
			  (page + done) * sizeof(entries[0])) !=
		    (ssize_t)(len * sizeof(entries[0]))) {
			nr = SIZE_MAX;
			break;
		}
		for (i = 0; i < len; i++)
			nr += (entries[i] & mask) == value;
	}
	if (fd >= 0)
		close(fd);
	return nr;
}

/*
 * Pictures of the address space
 */

/* What the kernel has accounted, in KB */
struct vm_sizes {
	unsigned long size, locked, data;
};

/**
 * struct snapshot - what a system call that fails must not change
 * @maps: /proc/self/maps: ranges, protection, offsets, files
 * @sizes: what is accounted
 * @has_flags: snapshot_flags() was asked for
 * @flags: one line for each mapping, its VM_* flags as /proc/self/smaps has them
 * @from: where the content begins that snapshot_content() was asked for
 * @pages: how much that is, 0 if it was not
 * @content: a hash of it
 */
struct snapshot {
	char maps[PROC_FILE_SIZE];
	struct vm_sizes sizes;
	bool has_flags;
	char flags[PROC_FILE_SIZE / 4];
	const char *from;
	size_t pages;
	uint64_t content;
};

/**
 * read_sizes() - What is accounted now
 *
 * Return: that. All of it is ULONG_MAX if /proc/self/status cannot be read.
 */
static inline struct vm_sizes read_sizes(void)
{
	static char status[PROC_FILE_SIZE / 8];

	if (!read_file("/proc/self/status", status, sizeof(status)))
		status[0] = '\0';
	return (struct vm_sizes){
		.size = text_value(status, "VmSize"),
		.locked = text_value(status, "VmLck"),
		.data = text_value(status, "VmData"),
	};
}

/**
 * content_hash() - A hash of what is in memory
 * @_metadata: of the test
 * @p: where it starts
 * @pages: how much it is
 *
 * By way of /proc/self/mem, so that pages that cannot be read do no harm, but make a
 * difference. Mappings of page frames are as if they could not be read.
 *
 * Return: the hash.
 */
static inline uint64_t content_hash(struct __test_metadata *_metadata, const char *p,
				    size_t pages)
{
	const uint64_t missing = 0xa5a5a5a5a5a5a5a5ULL;
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	uint64_t words[64], hash = 14695981039346656037ULL;
	size_t at, i;

	ASSERT_LE(0, fd);
	for (at = 0; at < pages * page_size; at += sizeof(words)) {
		bool there = pread(fd, words, sizeof(words), (unsigned long)p + at) ==
			     (ssize_t)sizeof(words);

		for (i = 0; i < ARRAY_SIZE(words); i++)
			hash = (hash ^ (there ? words[i] : missing)) * 1099511628211ULL;
	}
	close(fd);
	return hash;
}

/**
 * snapshot() - Take a picture of the address space
 * @_metadata: of the test
 * @s: the picture; big, so rather static
 *
 * Allocates nothing.
 */
static inline void snapshot(struct __test_metadata *_metadata, struct snapshot *s)
{
	ASSERT_TRUE(read_file("/proc/self/maps", s->maps, sizeof(s->maps)));
	s->sizes = read_sizes();
	ASSERT_NE(ULONG_MAX, s->sizes.size);
	s->has_flags = false;
	s->pages = 0;
}

/**
 * snapshot_flags() - Put the flags of all mappings on a picture, too
 * @_metadata: of the test
 * @s: what snapshot() has filled
 *
 * On a kernel without /proc/self/smaps there are none to be seen.
 */
static inline void snapshot_flags(struct __test_metadata *_metadata, struct snapshot *s)
{
	static char smaps[4 * PROC_FILE_SIZE];
	size_t len = 0;
	char *line;

	s->has_flags = true;
	s->flags[0] = '\0';
	if (access("/proc/self/smaps", R_OK))
		return;
	ASSERT_TRUE(read_file("/proc/self/smaps", smaps, sizeof(smaps)));
	for (line = strtok(smaps, "\n"); line; line = strtok(NULL, "\n")) {
		if (strncmp(line, "VmFlags:", strlen("VmFlags:")))
			continue;
		len += snprintf(s->flags + len, sizeof(s->flags) - len, "%s\n", line);
		ASSERT_GT(sizeof(s->flags), len);
	}
}

/**
 * snapshot_content() - Put what is in memory on a picture, too
 * @_metadata: of the test
 * @s: what snapshot() has filled
 * @p: where that starts
 * @pages: how much it is
 *
 * Not of what changes by looking at it, such as the stack or the picture itself.
 */
static inline void snapshot_content(struct __test_metadata *_metadata,
				    struct snapshot *s, const char *p, size_t pages)
{
	s->from = p;
	s->pages = pages;
	s->content = content_hash(_metadata, p, pages);
}

/* Of the texts @old and @new, the first lines that differ are logged. */
static inline void check_lines(struct __test_metadata *_metadata, const char *old,
			       const char *new)
{
	size_t i, line = 0;

	for (i = 0; old[i] && old[i] == new[i]; i++)
		if (old[i] == '\n')
			line = i + 1;
	EXPECT_EQ(old[i], new[i])
		TH_LOG("was\n%.200s\nand is\n%.200s", old + line, new + line);
}

/**
 * check_snapshot() - Everything on a picture has to be as it was
 * @_metadata: of the test
 * @before: what it was
 */
static inline void check_snapshot(struct __test_metadata *_metadata,
				  const struct snapshot *before)
{
	static struct snapshot now;

	snapshot(_metadata, &now);
	check_lines(_metadata, before->maps, now.maps);
	EXPECT_EQ(before->sizes.size, now.sizes.size);
	EXPECT_EQ(before->sizes.locked, now.sizes.locked);
	EXPECT_EQ(before->sizes.data, now.sizes.data);
	if (before->has_flags) {
		snapshot_flags(_metadata, &now);
		check_lines(_metadata, before->flags, now.flags);
	}
	if (before->pages) {
		snapshot_content(_metadata, &now, before->from, before->pages);
		EXPECT_EQ(before->content, now.content);
	}
}

/*
 * Allocations that fail
 *
 * /proc/thread-self/fail-nth has the n-th one of a thread fail, whatever probability
 * is set, but it counts only those that the settings below let fail at all.
 */

/* Caches are not equally full each time: who has missed so often in a row is through */
#define FAIL_NTH_MISSES		3

static struct fault_setting {
	const char *file;
	const char *value;
	char old[32];
} fault_settings[] = {
	{ .file = DEBUGFS "failslab/probability",		.value = "0" },
	{ .file = DEBUGFS "failslab/times",			.value = "-1" },
	{ .file = DEBUGFS "failslab/verbose",			.value = "0" },
	{ .file = DEBUGFS "failslab/ignore-gfp-wait",		.value = "N" },
	{ .file = DEBUGFS "failslab/cache-filter",		.value = "N" },
	{ .file = DEBUGFS "fail_page_alloc/probability",	.value = "0" },
	{ .file = DEBUGFS "fail_page_alloc/times",		.value = "-1" },
	{ .file = DEBUGFS "fail_page_alloc/verbose",		.value = "0" },
	{ .file = DEBUGFS "fail_page_alloc/ignore-gfp-wait",	.value = "N" },
	{ .file = DEBUGFS "fail_page_alloc/ignore-gfp-highmem",	.value = "N" },
	{ .file = DEBUGFS "fail_page_alloc/min-order",		.value = "0" },
	/* Optional, but if it is there, fail-nth counts it */
	{ .file = DEBUGFS "fail_usercopy/probability",		.value = "0" },
	{ .file = DEBUGFS "fail_usercopy/times",		.value = "-1" },
	{ .file = DEBUGFS "fail_usercopy/verbose",		.value = "0" },
};

/**
 * fault_settings_restore() - Undo what fault_settings_apply() has done
 *
 * Happens by itself when the main process ends by exit() or is interrupted. The tests
 * are its children, and leave by _exit() or a signal: for them it does nothing.
 */
static inline void fault_settings_restore(void)
{
	size_t i;

	if (getpid() != main_pid)
		return;
	for (i = 0; i < ARRAY_SIZE(fault_settings); i++)
		if (fault_settings[i].old[0])
			write_file(fault_settings[i].file, fault_settings[i].old);
}

static inline void fault_settings_restore_and_die(int sig)
{
	fault_settings_restore();
	signal(sig, SIG_DFL);
	raise(sig);
}

/**
 * fault_settings_save() - Remember the settings of fault injection
 *
 * In main(), before any test runs.
 */
static inline void fault_settings_save(void)
{
	const int signals[] = { SIGHUP, SIGINT, SIGTERM };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fault_settings); i++)
		if (!read_file(fault_settings[i].file, fault_settings[i].old,
			       sizeof(fault_settings[i].old)))
			fault_settings[i].old[0] = '\0';
	atexit(fault_settings_restore);
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], fault_settings_restore_and_die);
}

/*
 * The kernel writes to the rseq area of a thread that it has preempted. After fork()
 * that takes a copy of the page; if it is the allocation of this one that fails, the
 * thread gets a SIGSEGV. Returns false if the area cannot be given up.
 */
#ifdef RSEQ_SIG
static inline bool rseq_give_up(void)
{
	struct rseq *area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
	/* What glibc registers. What it says may be less, the part that has a meaning */
	size_t size = (__rseq_size + 31) / 32 * 32;

	if (!size || (int)area->cpu_id < 0)
		return true;
	return !syscall(SYS_rseq, area, size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}
#else
static inline bool rseq_give_up(void)
{
	return true;
}
#endif

/**
 * fault_settings_apply() - Have fail-nth count all allocations there are
 *
 * main() has called fault_settings_save(). The calling thread has no rseq area any more.
 *
 * Return: what stands in the way, or NULL.
 */
static inline const char *fault_settings_apply(void)
{
	size_t i;

	if (geteuid())
		return "fault injection needs root";
	if (!rseq_give_up())
		return "the rseq area of the thread cannot be unregistered";
	if (access("/proc/thread-self/fail-nth", R_OK | W_OK))
		return "no /proc/thread-self/fail-nth: CONFIG_FAULT_INJECTION is off";
	if (access(DEBUGFS "failslab", F_OK) ||
	    access(DEBUGFS "fail_page_alloc", F_OK))
		return "no failslab and fail_page_alloc in " DEBUGFS
		       ": debugfs is not mounted, or the kernel lacks them";
	for (i = 0; i < ARRAY_SIZE(fault_settings); i++)
		if (fault_settings[i].old[0] &&
		    !write_file(fault_settings[i].file, fault_settings[i].value))
			return "the fault injection settings cannot be written";
	return NULL;
}

/**
 * fail_nth_begin() - Have an allocation of this thread fail
 * @fd: of fail-nth, open for both
 * @n: which one from now on, counted from 1
 *
 * Return: true if it will.
 */
static inline bool fail_nth_begin(int fd, unsigned int n)
{
	char buf[32];
	int len = snprintf(buf, sizeof(buf), "%u", n);

	return pwrite(fd, buf, len, 0) == len;
}

/**
 * fail_nth_end() - Have no allocation fail any more
 * @fd: of fail-nth, open for both
 * @injected: whether one has failed since fail_nth_begin()
 *
 * Return: true if none will.
 */
static inline bool fail_nth_end(int fd, bool *injected)
{
	char buf[32];
	ssize_t got;

	/*
	 * What is left to go tells whether the n-th was reached. Reading it takes a
	 * copy to user space, which may be the n-th itself; then it was not reached
	 * before.
	 */
	*injected = false;
	got = pread(fd, buf, sizeof(buf) - 1, 0);
	if (got > 0) {
		buf[got] = '\0';
		*injected = !atoi(buf);
	}
	/* So does writing it; then there is nothing left that the next one could be. */
	return pwrite(fd, "0", 1, 0) == 1 || pwrite(fd, "0", 1, 0) == 1;
}

/**
 * struct fail_nth - an operation, each allocation of which is made to fail
 * @prepare: called before each attempt; NULL if there is nothing to do
 * @attempt: the operation, and nothing else that allocates. Not the place for
 *	ASSERT_EQ() and the like: it remembers what has happened in @arg, where
 *	@prepare should have written to, as page faults allocate.
 * @check: called after each attempt, and told which allocation should have failed, and
 *	whether it has. Clears away what @prepare and @attempt have made.
 * @arg: passed to all of them
 *
 * Only in @attempt allocations fail.
 */
struct fail_nth {
	void (*prepare)(struct __test_metadata *_metadata, void *arg);
	void (*attempt)(void *arg);
	void (*check)(struct __test_metadata *_metadata, void *arg, unsigned int n,
		      bool injected);
	void *arg;
};

/**
 * fail_nth_walk() - Let the first allocation of an operation fail, the second, ...
 * @_metadata: of the test
 * @op: the operation
 *
 * Until there is none left that could fail. That at least one has failed is part of
 * the test. Where allocations cannot be made to fail, the test is skipped. main() has
 * called fault_settings_save().
 *
 * Return: how many have failed; 0 if the test is skipped, and should return.
 */
static inline unsigned int fail_nth_walk(struct __test_metadata *_metadata,
					 const struct fail_nth *op)
{
	const char *obstacle = fault_settings_apply();
	unsigned int n, failed = 0, missed = 0;
	bool injected;
	int fd;

	if (obstacle)
		SKIP(return 0, "%s", obstacle);
	fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);

	for (n = 1; missed < FAIL_NTH_MISSES; n++) {
		if (op->prepare)
			op->prepare(_metadata, op->arg);
		ASSERT_TRUE(fail_nth_begin(fd, n));
		op->attempt(op->arg);
		ASSERT_TRUE(fail_nth_end(fd, &injected));
		failed += injected;
		missed = injected ? 0 : missed + 1;
		op->check(_metadata, op->arg, n, injected);
	}
	close(fd);
	EXPECT_LT(0U, failed);
	return failed;
}

/*
 * Allocations of execve() that fail
 *
 * In a child, which is traced, so that the injection ends where the system call does: a
 * failure in the start-up code of the C library is not the kernel's.
 */

/**
 * fail_nth_exec_begin() - Have an allocation of the execve() that comes next fail
 * @n: which one, counted from 1
 *
 * In a child, whose parent calls fail_nth_exec_wait(). If execve() returns, the child
 * calls fail_nth_exec_end() before it does anything else that allocates.
 *
 * Return: true if it will.
 */
static inline bool fail_nth_exec_begin(unsigned int n)
{
	int fd = open("/proc/thread-self/fail-nth", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || ptrace(PTRACE_TRACEME, 0, 0, 0))
		return false;
	raise(SIGSTOP);			/* to let the parent set the options */
	return fail_nth_begin(fd, n);
}

/**
 * fail_nth_exec_end() - Have no allocation fail any more after a failed execve()
 */
static inline void fail_nth_exec_end(void)
{
	raise(SIGSTOP);			/* to let the parent end the injection */
}

/* How many are left to go, of task @pid that is stopped; none from now on */
static inline int fail_nth_stop(pid_t pid)
{
	char file[64], buf[32];

	snprintf(file, sizeof(file), "/proc/%d/task/%d/fail-nth", pid, pid);
	if (!read_file(file, buf, sizeof(buf)) || !write_file(file, "0"))
		return -1;
	return atoi(buf);
}

/**
 * fail_nth_exec_wait() - Wait for a child that has an allocation of its execve() fail
 * @_metadata: of the test
 * @pid: what fork() has returned
 * @left: how many allocations were left to go; 0 if one has failed
 *
 * Return: the wait status of the child at its end.
 */
static inline int fail_nth_exec_wait(struct __test_metadata *_metadata, pid_t pid,
				     int *left)
{
	int status = wait_status(pid), sig;

	*left = 0;
	ASSERT_TRUE(WIFSTOPPED(status)) TH_LOG("child: wait status %#x", status);
	ASSERT_EQ(0, ptrace(PTRACE_SETOPTIONS, pid, 0,
			    PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL));
	ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, 0, 0));
	status = wait_status(pid);
	ASSERT_NE(-1, status);
	if (WIFSTOPPED(status)) {
		*left = fail_nth_stop(pid);
		ASSERT_LE(0, *left);
		sig = WSTOPSIG(status);
		if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXEC << 8)) || sig == SIGSTOP)
			sig = 0;
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, pid, 0, sig));
		status = wait_status(pid);
		ASSERT_NE(-1, status);
	}
	return status;
}

#endif /* _VMA_UTIL_H */
