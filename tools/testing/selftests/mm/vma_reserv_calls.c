// SPDX-License-Identifier: GPL-2.0
/*
 * What each system call that takes a range of addresses makes of reservations:
 *
 *  - a range inside one, or one that touches none, is treated as today;
 *  - any other range is refused, and nothing has changed.
 *
 * "As today" is found out by doing the same thing in a child that has no
 * reservations: the result, and what became of each page, must be the same.
 *
 * There is one variant for each call and one test for each kind of range, so that
 * call.munmap.spans_two is a cell of the table in Documentation/mm/reservations.rst.
 */
#define _GNU_SOURCE
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include "vma_reserv.h"

#ifndef __NR_process_madvise
#define __NR_process_madvise		440
#endif
#ifndef __NR_set_mempolicy_home_node
#define __NR_set_mempolicy_home_node	450
#endif
#ifndef __NR_mseal
#define __NR_mseal			462
#endif

/*
 * The arena: two reservations side by side, free space, one with a hole, free space.
 *
 *	0       8       16      24 27 29 32      40
 *	|-------|-------|       |---  ---|       |
 */
#define ARENA_PAGES	40

struct range {
	unsigned int page, nr;
};

static const struct range pieces[] = {
	{ 0, 8 }, { 8, 8 }, { 24, 3 }, { 29, 3 },
};

static const struct range
	INSIDE		= { 2, 4 },
	WHOLE		= { 0, 8 },
	WITH_HOLE	= { 26, 4 },
	IN_HOLE		= { 27, 2 },
	TOUCHES_NONE	= { 17, 4 },
	SPANS_TWO	= { 6, 4 },
	TWO_WHOLE	= { 0, 16 },
	LEAVES		= { 12, 8 },
	ENTERS		= { 20, 6 },
	COVERS		= { 18, 20 };

#define WORD(page)	(0x5245534552560000ULL + (page))

/* What a call needs besides the range; set up anew for each attempt */
static struct {
	char *arena;
	char *other;		/* as many pages, elsewhere, one reservation */
	int memory;		/* memfd of a shared arena, or -1 */
	int fd;			/* what the call works through, or -1 */
} env;

static int result(long ret)
{
	return ret < 0 ? errno : 0;
}

/*
 * The calls. Each returns 0 or an error number.
 */

static int call_munmap(char *addr, size_t len, int arg)
{
	(void)arg;
	return result(munmap(addr, len));
}

static int call_mprotect(char *addr, size_t len, int prot)
{
	return result(mprotect(addr, len, prot));
}

/* Key -1 is that of mprotect(), which needs no hardware */
static int call_pkey_mprotect(char *addr, size_t len, int prot)
{
	return result(syscall(SYS_pkey_mprotect, addr, len, prot, -1));
}

static int call_madvise(char *addr, size_t len, int advice)
{
	return result(madvise(addr, len, advice));
}

static int prepare_pidfd(char *addr, size_t len, int arg)
{
	(void)addr, (void)len, (void)arg;
	if (env.fd < 0)
		env.fd = syscall(SYS_pidfd_open, getpid(), 0);
	return result(env.fd);
}

static int call_process_madvise(char *addr, size_t len, int advice)
{
	struct iovec iov = { .iov_base = addr, .iov_len = len };
	long ret = syscall(__NR_process_madvise, env.fd, &iov, 1, advice, 0);

	/* Advice for a part is no error, but not the same */
	return ret >= 0 && ret != (long)len ? ENODATA : result(ret);
}

static int call_mlock(char *addr, size_t len, int arg)
{
	(void)arg;
	return result(mlock(addr, len));
}

static int call_mlock2(char *addr, size_t len, int flags)
{
	return result(syscall(SYS_mlock2, addr, len, flags));
}

static int call_munlock(char *addr, size_t len, int arg)
{
	(void)arg;
	return result(munlock(addr, len));
}

static int call_msync(char *addr, size_t len, int flags)
{
	return result(msync(addr, len, flags));
}

static int call_mincore(char *addr, size_t len, int arg)
{
	static unsigned char vec[ARENA_PAGES];

	(void)arg;
	return result(mincore(addr, len, vec));
}

static int call_mbind(char *addr, size_t len, int mode)
{
	unsigned long nodes = 1;

	return result(syscall(SYS_mbind, addr, len, mode, &nodes, 8 * sizeof(nodes), 0));
}

static int call_home_node(char *addr, size_t len, int node)
{
	return result(syscall(__NR_set_mempolicy_home_node, addr, len, node, 0));
}

static int prepare_policy(char *addr, size_t len, int arg)
{
	(void)arg;
	return call_mbind(addr, len, MPOL_BIND);
}

static int call_remap_file_pages(char *addr, size_t len, int pgoff)
{
	return result(syscall(SYS_remap_file_pages, addr, len, 0, pgoff, 0));
}

static int call_mseal(char *addr, size_t len, int arg)
{
	(void)arg;
	return result(syscall(__NR_mseal, addr, len, 0));
}

static int call_anon_name(char *addr, size_t len, int arg)
{
	(void)arg;
	return result(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, addr, len, "reserv"));
}

/* Within the same range: old and new size differ by a page */
static int call_mremap_shrink(char *addr, size_t len, int arg)
{
	(void)arg;
	return result((long)mremap(addr, len, page_size, 0) == -1 ? -1 : 0);
}

static int call_mremap_move(char *addr, size_t len, int flags)
{
	char *to = env.other;

	return result(mremap(addr, len, len, MREMAP_MAYMOVE | MREMAP_FIXED | flags,
			     to) == MAP_FAILED ? -1 : 0);
}

static int call_mremap_grow(char *addr, size_t len, int arg)
{
	(void)arg;
	return result(mremap(addr, len, len + ARENA_PAGES * page_size,
			     MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
}

/* Does not change a thing: move_pages() takes pages, not a range */
static int call_move_pages(char *addr, size_t len, int arg)
{
	int status[ARENA_PAGES], nodes[ARENA_PAGES] = { 0 }, worst = 0;
	size_t i, nr = len / page_size;
	void *pages[ARENA_PAGES];

	(void)arg;
	for (i = 0; i < nr; i++)
		pages[i] = addr + i * page_size;
	if (syscall(SYS_move_pages, 0, nr, pages, nodes, status, 0) < 0)
		return errno;
	for (i = 0; i < nr; i++)
		if (status[i] < worst)
			worst = status[i];
	return -worst;
}

/*
 * userfaultfd
 */

/* What looks at the pages gets an error, and does not wait for anybody */
static int uffd_open(uint64_t features)
{
	struct uffdio_api api = {
		.api = UFFD_API, .features = features | UFFD_FEATURE_SIGBUS,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		errno = EOPNOTSUPP;
		fd = -1;
	}
	return fd;
}

static int call_uffd_register(char *addr, size_t len, int mode)
{
	return -uffd_register(env.fd, addr, len, mode & UFFDIO_REGISTER_MODE_MISSING,
			      mode & UFFDIO_REGISTER_MODE_WP,
			      mode & UFFDIO_REGISTER_MODE_MINOR);
}

static int prepare_uffd(char *addr, size_t len, int arg)
{
	(void)addr, (void)len, (void)arg;
	if (env.fd < 0)
		env.fd = uffd_open(0);
	return result(env.fd);
}

static int prepare_registered(char *addr, size_t len, int arg)
{
	return prepare_uffd(addr, len, arg) ?:
	       call_uffd_register(addr, len, UFFDIO_REGISTER_MODE_MISSING);
}

static int prepare_missing(char *addr, size_t len, int arg)
{
	return prepare_registered(addr, len, arg) ?:
	       call_madvise(addr, len, MADV_DONTNEED);
}

static int prepare_wp(char *addr, size_t len, int arg)
{
	return prepare_uffd(addr, len, arg) ?:
	       call_uffd_register(addr, len, UFFDIO_REGISTER_MODE_WP);
}

/* The pages stay in the file, but not in the page tables */
static int prepare_minor(char *addr, size_t len, int arg)
{
	return prepare_uffd(addr, len, arg) ?:
	       call_uffd_register(addr, len, UFFDIO_REGISTER_MODE_MINOR) ?:
	       call_madvise(addr, len, MADV_DONTNEED);
}

static int call_uffd_unregister(char *addr, size_t len, int arg)
{
	struct uffdio_range range = { .start = (unsigned long)addr, .len = len };

	(void)arg;
	return result(ioctl(env.fd, UFFDIO_UNREGISTER, &range));
}

static int call_uffd_writeprotect(char *addr, size_t len, int arg)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = (unsigned long)addr, .len = len },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	(void)arg;
	return result(ioctl(env.fd, UFFDIO_WRITEPROTECT, &wp));
}

static int call_uffd_copy(char *addr, size_t len, int arg)
{
	struct uffdio_copy copy = {
		.dst = (unsigned long)addr, .len = len, .src = (unsigned long)env.other,
	};

	(void)arg;
	return result(ioctl(env.fd, UFFDIO_COPY, &copy));
}

static int call_uffd_zeropage(char *addr, size_t len, int arg)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (unsigned long)addr, .len = len },
	};

	(void)arg;
	return result(ioctl(env.fd, UFFDIO_ZEROPAGE, &zero));
}

static int call_uffd_poison(char *addr, size_t len, int arg)
{
	struct uffdio_poison poison = {
		.range = { .start = (unsigned long)addr, .len = len },
	};

	(void)arg;
	return result(ioctl(env.fd, UFFDIO_POISON, &poison));
}

static int call_uffd_continue(char *addr, size_t len, int arg)
{
	struct uffdio_continue cont = {
		.range = { .start = (unsigned long)addr, .len = len },
	};

	(void)arg;
	return result(ioctl(env.fd, UFFDIO_CONTINUE, &cont));
}

static int uffd_move(char *dst, char *src, size_t len)
{
	struct uffdio_move move = {
		.dst = (unsigned long)dst, .src = (unsigned long)src, .len = len,
	};
	int ret;

	/* It gives way to others that hold a reference to a page for a moment */
	do {
		ret = ioctl(env.fd, UFFDIO_MOVE, &move);
	} while (ret && (errno == EAGAIN || errno == EBUSY) && !move.move);
	return result(ret);
}

static int prepare_move(char *addr, size_t len, int arg)
{
	(void)addr, (void)len, (void)arg;
	if (env.fd < 0)
		env.fd = uffd_open(UFFD_FEATURE_MOVE);
	return result(env.fd);
}

static int prepare_move_to(char *addr, size_t len, int arg)
{
	return prepare_move(addr, len, arg) ?: prepare_missing(addr, len, arg);
}

/* Once: the other side is registered as a whole */
static int prepare_move_from(char *addr, size_t len, int arg)
{
	if (env.fd >= 0)
		return 0;
	return prepare_move(addr, len, arg) ?:
	       prepare_missing(env.other, ARENA_PAGES * page_size, arg);
}

static int call_uffd_move_to(char *addr, size_t len, int arg)
{
	(void)arg;
	return uffd_move(addr, env.other, len);
}

static int call_uffd_move_from(char *addr, size_t len, int arg)
{
	(void)arg;
	return uffd_move(env.other, addr, len);
}

static int prepare_pagemap(char *addr, size_t len, int arg)
{
	(void)addr, (void)len, (void)arg;
	if (env.fd < 0)
		env.fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	return result(env.fd);
}

/* With pages that it can protect */
static int prepare_pagemap_wp(char *addr, size_t len, int arg)
{
	static int uffd = -1;
	struct uffdio_register reg = {
		.range = { .start = (unsigned long)addr, .len = len },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	if (env.fd < 0)
		uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED);
	if (uffd < 0 || ioctl(uffd, UFFDIO_REGISTER, &reg))
		return errno;
	return prepare_pagemap(addr, len, arg);
}

static int call_pagemap_scan(char *addr, size_t len, int flags)
{
	struct page_region regions[ARENA_PAGES];
	struct pm_scan_arg scan = {
		.size = sizeof(scan), .flags = flags,
		.start = (unsigned long)addr, .end = (unsigned long)addr + len,
		.vec = (unsigned long)regions, .vec_len = ARENA_PAGES,
		.category_mask = PAGE_IS_PRESENT, .return_mask = PAGE_IS_PRESENT,
	};

	return result(ioctl(env.fd, PAGEMAP_SCAN, &scan));
}

/*
 * io_uring: one request at a time, so that the rings need no barriers but those of
 * the system call.
 */

static struct {
	unsigned int *sq_tail, *sq_array, *cq_head;
	struct io_uring_cqe *cqes;
	struct io_uring_sqe *sqes;
	unsigned int mask;
} ring;

static int prepare_uring(char *addr, size_t len, int arg)
{
	struct io_uring_params p = { 0 };
	size_t size;
	char *rings;

	(void)addr, (void)len, (void)arg;
	if (env.fd >= 0)
		return 0;
	env.fd = syscall(SYS_io_uring_setup, 4, &p);
	if (env.fd < 0)
		return errno;
	size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	if (size < p.sq_off.array + p.sq_entries * sizeof(unsigned int))
		size = p.sq_off.array + p.sq_entries * sizeof(unsigned int);
	rings = mmap(NULL, size, RW, MAP_SHARED, env.fd, IORING_OFF_SQ_RING);
	ring.sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), RW,
			 MAP_SHARED, env.fd, IORING_OFF_SQES);
	if (rings == MAP_FAILED || (void *)ring.sqes == MAP_FAILED)
		return errno;
	ring.sq_tail = (void *)(rings + p.sq_off.tail);
	ring.sq_array = (void *)(rings + p.sq_off.array);
	ring.cq_head = (void *)(rings + p.cq_off.head);
	ring.cqes = (void *)(rings + p.cq_off.cqes);
	ring.mask = p.cq_entries - 1;
	return 0;
}

static int call_uring_madvise(char *addr, size_t len, int advice)
{
	unsigned int head = *ring.cq_head;
	int res;

	ring.sqes[0] = (struct io_uring_sqe){
		.opcode = IORING_OP_MADVISE, .fd = -1, .addr = (unsigned long)addr,
		.len = len, .fadvise_advice = advice,
	};
	ring.sq_array[0] = 0;
	__atomic_store_n(ring.sq_tail, *ring.sq_tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, env.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		return errno;
	res = ring.cqes[head & ring.mask].res;
	__atomic_store_n(ring.cq_head, head + 1, __ATOMIC_RELEASE);
	return -res;
}

static int call_uring_buffers(char *addr, size_t len, int arg)
{
	struct iovec iov = { .iov_base = addr, .iov_len = len };

	(void)arg;
	return result(syscall(SYS_io_uring_register, env.fd, IORING_REGISTER_BUFFERS,
			      &iov, 1));
}

/* What a call reads and writes is not its range: an ordinary access */
static int call_process_vm_readv(char *addr, size_t len, int arg)
{
	struct iovec to = { .iov_base = env.other, .iov_len = len };
	struct iovec from = { .iov_base = addr, .iov_len = len };
	ssize_t got = process_vm_readv(getpid(), &to, 1, &from, 1, 0);

	(void)arg;
	return got >= 0 && got != (ssize_t)len ? ENODATA : result(got);
}

/*
 * The table
 */

struct page {
	char perms[5];
	char flags[128];
	uint64_t word;
};

struct outcome {
	int prepared;			/* 0, or why not */
	int error;
	struct page pages[ARENA_PAGES];
};

/* Where it is tried */
struct bench {
	struct outcome *today;		/* shared with the child that has no reservations */
	char *arena, *other;
};

/* A row of the table */
struct row {
	int (*call)(char *addr, size_t len, int arg);
	int arg;
	/* Once for each piece of the arena, inside its reservation */
	int (*prepare)(char *addr, size_t len, int arg);
	bool shared;		/* the arena is one of a memfd */
	bool access;		/* reads or writes like a program: not restricted */
	int also;		/* another error for what spans two mappings, as today */
	const char *needs;	/* what a kernel or machine may lack */
};

FIXTURE(call)
{
	struct bench bench;
};

FIXTURE_VARIANT(call)
{
	struct row row;
};

FIXTURE_VARIANT_ADD(call, munmap)
{
	.row = { .call = call_munmap },
};

FIXTURE_VARIANT_ADD(call, mprotect)
{
	.row = { .call = call_mprotect, .arg = PROT_READ },
};

FIXTURE_VARIANT_ADD(call, mprotect_none)
{
	.row = { .call = call_mprotect, .arg = PROT_NONE },
};

FIXTURE_VARIANT_ADD(call, pkey_mprotect)
{
	.row = {
		.call = call_pkey_mprotect, .arg = PROT_READ,
		.needs = "an architecture with protection keys",
	},
};

FIXTURE_VARIANT_ADD(call, madvise_normal)
{
	.row = { .call = call_madvise, .arg = MADV_NORMAL },
};

FIXTURE_VARIANT_ADD(call, madvise_random)
{
	.row = { .call = call_madvise, .arg = MADV_RANDOM },
};

FIXTURE_VARIANT_ADD(call, madvise_sequential)
{
	.row = { .call = call_madvise, .arg = MADV_SEQUENTIAL },
};

FIXTURE_VARIANT_ADD(call, madvise_willneed)
{
	.row = { .call = call_madvise, .arg = MADV_WILLNEED, .shared = true },
};

FIXTURE_VARIANT_ADD(call, madvise_dontneed)
{
	.row = { .call = call_madvise, .arg = MADV_DONTNEED },
};

FIXTURE_VARIANT_ADD(call, madvise_dontneed_locked)
{
	.row = { .call = call_madvise, .arg = MADV_DONTNEED_LOCKED },
};

FIXTURE_VARIANT_ADD(call, madvise_free)
{
	.row = { .call = call_madvise, .arg = MADV_FREE },
};

FIXTURE_VARIANT_ADD(call, madvise_remove)
{
	.row = { .call = call_madvise, .arg = MADV_REMOVE, .shared = true },
};

FIXTURE_VARIANT_ADD(call, madvise_dontfork)
{
	.row = { .call = call_madvise, .arg = MADV_DONTFORK },
};

FIXTURE_VARIANT_ADD(call, madvise_dofork)
{
	.row = { .call = call_madvise, .arg = MADV_DOFORK },
};

FIXTURE_VARIANT_ADD(call, madvise_wipeonfork)
{
	.row = { .call = call_madvise, .arg = MADV_WIPEONFORK },
};

FIXTURE_VARIANT_ADD(call, madvise_keeponfork)
{
	.row = { .call = call_madvise, .arg = MADV_KEEPONFORK },
};

FIXTURE_VARIANT_ADD(call, madvise_dontdump)
{
	.row = { .call = call_madvise, .arg = MADV_DONTDUMP },
};

FIXTURE_VARIANT_ADD(call, madvise_dodump)
{
	.row = { .call = call_madvise, .arg = MADV_DODUMP },
};

FIXTURE_VARIANT_ADD(call, madvise_cold)
{
	.row = { .call = call_madvise, .arg = MADV_COLD },
};

FIXTURE_VARIANT_ADD(call, madvise_pageout)
{
	.row = { .call = call_madvise, .arg = MADV_PAGEOUT },
};

FIXTURE_VARIANT_ADD(call, madvise_populate_read)
{
	.row = { .call = call_madvise, .arg = MADV_POPULATE_READ },
};

FIXTURE_VARIANT_ADD(call, madvise_populate_write)
{
	.row = { .call = call_madvise, .arg = MADV_POPULATE_WRITE },
};

FIXTURE_VARIANT_ADD(call, madvise_mergeable)
{
	.row = {
		.call = call_madvise, .arg = MADV_MERGEABLE,
		.needs = "CONFIG_KSM",
	},
};

FIXTURE_VARIANT_ADD(call, madvise_unmergeable)
{
	.row = {
		.call = call_madvise, .arg = MADV_UNMERGEABLE,
		.needs = "CONFIG_KSM",
	},
};

FIXTURE_VARIANT_ADD(call, madvise_hugepage)
{
	.row = {
		.call = call_madvise, .arg = MADV_HUGEPAGE,
		.needs = "CONFIG_TRANSPARENT_HUGEPAGE",
	},
};

FIXTURE_VARIANT_ADD(call, madvise_nohugepage)
{
	.row = {
		.call = call_madvise, .arg = MADV_NOHUGEPAGE,
		.needs = "CONFIG_TRANSPARENT_HUGEPAGE",
	},
};

FIXTURE_VARIANT_ADD(call, process_madvise)
{
	.row = {
		.call = call_process_madvise, .prepare = prepare_pidfd,
		.arg = MADV_COLD,
	},
};

FIXTURE_VARIANT_ADD(call, uring_madvise)
{
	.row = {
		.call = call_uring_madvise, .prepare = prepare_uring,
		.arg = MADV_DONTDUMP, .needs = "io_uring",
	},
};

FIXTURE_VARIANT_ADD(call, mlock)
{
	.row = { .call = call_mlock },
};

FIXTURE_VARIANT_ADD(call, mlock2_onfault)
{
	.row = { .call = call_mlock2, .arg = MLOCK_ONFAULT },
};

FIXTURE_VARIANT_ADD(call, munlock)
{
	.row = { .call = call_munlock, .prepare = call_mlock },
};

FIXTURE_VARIANT_ADD(call, msync)
{
	.row = { .call = call_msync, .arg = MS_ASYNC },
};

FIXTURE_VARIANT_ADD(call, msync_shared)
{
	.row = { .call = call_msync, .arg = MS_SYNC, .shared = true },
};

FIXTURE_VARIANT_ADD(call, mincore)
{
	.row = { .call = call_mincore },
};

FIXTURE_VARIANT_ADD(call, mbind)
{
	.row = { .call = call_mbind, .arg = MPOL_BIND, .needs = "CONFIG_NUMA" },
};

FIXTURE_VARIANT_ADD(call, set_mempolicy_home_node)
{
	.row = {
		.call = call_home_node, .prepare = prepare_policy,
		.needs = "CONFIG_NUMA",
	},
};

FIXTURE_VARIANT_ADD(call, remap_file_pages)
{
	.row = { .call = call_remap_file_pages, .shared = true },
};

FIXTURE_VARIANT_ADD(call, mseal)
{
	.row = { .call = call_mseal, .needs = "mseal: a 64-bit kernel" },
};

FIXTURE_VARIANT_ADD(call, set_vma_anon_name)
{
	.row = { .call = call_anon_name, .needs = "CONFIG_ANON_VMA_NAME" },
};

/* A range in two mappings is EFAULT; in two reservations there are always two */
FIXTURE_VARIANT_ADD(call, mremap_shrink)
{
	.row = { .call = call_mremap_shrink, .also = EFAULT },
};

FIXTURE_VARIANT_ADD(call, mremap_move)
{
	.row = { .call = call_mremap_move, .also = EFAULT },
};

FIXTURE_VARIANT_ADD(call, mremap_dontunmap)
{
	.row = {
		.call = call_mremap_move, .arg = MREMAP_DONTUNMAP,
		.also = EFAULT,
	},
};

FIXTURE_VARIANT_ADD(call, mremap_grow)
{
	.row = { .call = call_mremap_grow, .also = EFAULT },
};

FIXTURE_VARIANT_ADD(call, uffd_register)
{
	.row = {
		.call = call_uffd_register, .prepare = prepare_uffd,
		.arg = UFFDIO_REGISTER_MODE_MISSING,
		.needs = "CONFIG_USERFAULTFD",
	},
};

FIXTURE_VARIANT_ADD(call, uffd_unregister)
{
	.row = {
		.call = call_uffd_unregister, .prepare = prepare_registered,
		.needs = "CONFIG_USERFAULTFD",
	},
};

FIXTURE_VARIANT_ADD(call, uffd_writeprotect)
{
	.row = {
		.call = call_uffd_writeprotect, .prepare = prepare_wp,
		.needs = "userfaultfd with write protection",
	},
};

FIXTURE_VARIANT_ADD(call, uffd_copy)
{
	.row = {
		.call = call_uffd_copy, .prepare = prepare_missing,
		.needs = "CONFIG_USERFAULTFD",
	},
};

FIXTURE_VARIANT_ADD(call, uffd_zeropage)
{
	.row = {
		.call = call_uffd_zeropage, .prepare = prepare_missing,
		.needs = "CONFIG_USERFAULTFD",
	},
};

FIXTURE_VARIANT_ADD(call, uffd_poison)
{
	.row = {
		.call = call_uffd_poison, .prepare = prepare_missing,
		.needs = "userfaultfd with UFFDIO_POISON",
	},
};

FIXTURE_VARIANT_ADD(call, uffd_continue)
{
	.row = {
		.call = call_uffd_continue, .prepare = prepare_minor,
		.shared = true, .needs = "userfaultfd with minor faults",
	},
};

FIXTURE_VARIANT_ADD(call, uffd_move_to)
{
	.row = {
		.call = call_uffd_move_to, .prepare = prepare_move_to,
		.needs = "userfaultfd with UFFDIO_MOVE",
	},
};

FIXTURE_VARIANT_ADD(call, uffd_move_from)
{
	.row = {
		.call = call_uffd_move_from, .prepare = prepare_move_from,
		.needs = "userfaultfd with UFFDIO_MOVE",
	},
};

FIXTURE_VARIANT_ADD(call, pagemap_scan)
{
	.row = {
		.call = call_pagemap_scan, .prepare = prepare_pagemap,
		.needs = "PAGEMAP_SCAN",
	},
};

FIXTURE_VARIANT_ADD(call, pagemap_scan_wp)
{
	.row = {
		.call = call_pagemap_scan, .prepare = prepare_pagemap_wp,
		.arg = PM_SCAN_WP_MATCHING,
		.needs = "PAGEMAP_SCAN with write protection",
	},
};

FIXTURE_VARIANT_ADD(call, move_pages)
{
	.row = {
		.call = call_move_pages, .access = true,
		.needs = "CONFIG_NUMA",
	},
};

FIXTURE_VARIANT_ADD(call, uring_buffers)
{
	.row = {
		.call = call_uring_buffers, .prepare = prepare_uring,
		.access = true, .needs = "io_uring",
	},
};

FIXTURE_VARIANT_ADD(call, process_vm_readv)
{
	.row = {
		.call = call_process_vm_readv, .access = true,
		.needs = "CONFIG_CROSS_MEMORY_ATTACH",
	},
};

static char *at(struct range r)
{
	return env.arena + r.page * page_size;
}

static size_t bytes(struct range r)
{
	return r.nr * page_size;
}

/* Returns 0 or an error number */
static int arena_create(const struct row *row, char *arena, char *other)
{
	size_t i, j;
	int error;

	memset(&env, 0, sizeof(env));
	env.arena = arena;
	env.other = other;
	env.memory = -1;
	env.fd = -1;
	if (map_at(other, ARENA_PAGES, RW, ANON | MAP_FIXED_NOREPLACE) != other)
		return errno;
	memset(other, 'o', ARENA_PAGES * page_size);
	if (row->shared) {
		env.memory = memfd_create("vma_reserv", MFD_CLOEXEC);
		if (env.memory < 0 || ftruncate(env.memory, ARENA_PAGES * page_size))
			return errno;
	}
	/* The third comes from one mapping, so that it is one reservation */
	for (i = 0; i < 3; i++) {
		struct range r = i < 2 ? pieces[i] : (struct range){ 24, 8 };

		if (mmap(at(r), bytes(r), RW, MAP_FIXED_NOREPLACE |
			 (row->shared ? MAP_SHARED : ANON), env.memory,
			 row->shared ? r.page * page_size : 0) != at(r))
			return errno;
		for (j = r.page; j < r.page + r.nr; j++)
			*(uint64_t *)(arena + j * page_size) = WORD(j);
	}
	if (munmap(at(IN_HOLE), bytes(IN_HOLE)))
		return errno;
	for (i = 0; row->prepare && i < ARRAY_SIZE(pieces); i++) {
		error = row->prepare(at(pieces[i]), bytes(pieces[i]), row->arg);
		if (error)
			return error;
	}
	return 0;
}

static void drop_flag(char *flags, const char *flag)
{
	char *p = strstr(flags, flag);

	if (p)
		memmove(p, p + strlen(flag), strlen(p) - strlen(flag) + 1);
}

/*
 * Soft-dirty bits depend on what merges, and remap_file_pages() makes all of a mapping
 * nonuniform where the kernel can do that. Nothing else is about more than the pages.
 */
static void copy_flags(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from);
	drop_flag(to, " sd");
	drop_flag(to, " nu");
}

/* Access to what is not there would be a signal: this way it is an error */
static void arena_look(struct __test_metadata *_metadata, struct page *pages)
{
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	static struct vma_list vmas;
	unsigned int i;

	ASSERT_LE(0, mem);
	vmas_read(_metadata, &vmas);
	memset(pages, 0, ARENA_PAGES * sizeof(*pages));
	for (i = 0; i < ARENA_PAGES; i++) {
		unsigned long addr = (unsigned long)env.arena + i * page_size;
		const struct vma *v = vmas_find(&vmas, addr);

		if (v) {
			memcpy(pages[i].perms, v->perms, sizeof(v->perms));
			copy_flags(pages[i].flags, sizeof(pages[i].flags), v->flags);
		}
		if (pread(mem, &pages[i].word, sizeof(pages[i].word), addr) !=
		    sizeof(pages[i].word))
			pages[i].word = ~0ULL;
	}
	close(mem);
}

static void compare_pages(struct __test_metadata *_metadata, const struct page *expected,
			  const struct page *seen)
{
	unsigned int i;

	for (i = 0; i < ARENA_PAGES; i++) {
		EXPECT_STREQ(expected[i].perms, seen[i].perms)
			TH_LOG("page %u", i);
		EXPECT_STREQ(expected[i].flags, seen[i].flags)
			TH_LOG("page %u", i);
		EXPECT_EQ(expected[i].word, seen[i].word)
			TH_LOG("page %u", i);
	}
}

static void perform(struct __test_metadata *_metadata, const struct row *row,
		    char *arena, char *other, struct range r, struct outcome *o)
{
	o->prepared = arena_create(row, arena, other);
	if (o->prepared)
		return;
	o->error = row->call(at(r), bytes(r), row->arg);
	arena_look(_metadata, o->pages);
}

/* The same without reservations, in a child */
static void perform_today(struct __test_metadata *_metadata, struct bench *bench,
			  const struct row *row, struct range r)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		perform(_metadata, row, bench->arena, bench->other, r, bench->today);
		_exit(0);
	}
	ASSERT_EQ(0, wait_status(pid));
}

/* Which rows have been tried, by any test; shared by all of them */
struct probe {
	const struct row *row;
	int error;
};

#define MAX_PROBES	128

static struct probe *probes;

/* Without reservations, inside one mapping: 0 or an error number */
static int error_today(struct __test_metadata *_metadata, struct bench *bench,
		       const struct row *row)
{
	struct probe *p = probes;

	while (p->row && p->row != row)
		p++;
	ASSERT_GT(probes + MAX_PROBES - 1, p);
	if (!p->row) {
		perform_today(_metadata, bench, row, INSIDE);
		p->error = bench->today->prepared ?: bench->today->error;
		p->row = row;
	}
	return p->error;
}

FIXTURE_SETUP(call)
{
	struct bench *bench = &self->bench;
	const struct row *row = &variant->row;
	int error;

	stack_pregrow();
	bench->today = mmap(NULL, sizeof(*bench->today), RW,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)bench->today);
	bench->arena = free_space(_metadata);
	bench->other = bench->arena + 2 * ARENA_PAGES * page_size;
	error = error_today(_metadata, bench, row);
	if (error && row->needs)
		SKIP(return, "not here: %s (%s)", row->needs, strerror(error));
	ASSERT_EQ(0, error)
		TH_LOG("without reservations: %s", strerror(error));
}

FIXTURE_TEARDOWN(call)
{
}

static void as_today(struct __test_metadata *_metadata, struct bench *bench,
		     const struct row *row, struct range r)
{
	static struct outcome now;

	perform_today(_metadata, bench, row, r);
	ASSERT_EQ(0, bench->today->prepared);
	ASSERT_EQ(0, reserv_enable(0));
	perform(_metadata, row, bench->arena, bench->other, r, &now);
	ASSERT_EQ(0, now.prepared) TH_LOG("prepare: %s", strerror(now.prepared));
	EXPECT_EQ(bench->today->error, now.error)
		TH_LOG("%s instead of %s", strerror(now.error),
		       strerror(bench->today->error));
	compare_pages(_metadata, bench->today->pages, now.pages);
	check_lists(_metadata);
}

static void refused(struct __test_metadata *_metadata, struct bench *bench,
		    const struct row *row, struct range r)
{
	static struct page before[ARENA_PAGES], after[ARENA_PAGES];
	static struct reserv_snapshot s;
	int error;

	if (row->access) {
		as_today(_metadata, bench, row, r);
		return;
	}
	ASSERT_EQ(0, reserv_enable(0));
	error = arena_create(row, bench->arena, bench->other);
	ASSERT_EQ(0, error) TH_LOG("prepare: %s", strerror(error));
	/* Looking maps pages in; do it before and after alike */
	arena_look(_metadata, before);
	reserv_snapshot(_metadata, &s);
	error = row->call(at(r), bytes(r), row->arg);
	if (!row->also || error != row->also) {
		EXPECT_EQ(EINVAL, error)
			TH_LOG("%s", strerror(error));
	}
	check_reserv_snapshot(_metadata, &s);
	arena_look(_metadata, after);
	compare_pages(_metadata, before, after);
	check_lists(_metadata);
}

/* Rule: inside one reservation, it is as today */
TEST_F_TIMEOUT(call, inside, TEST_SECONDS)
{
	as_today(_metadata, &self->bench, &variant->row, INSIDE);
	EXPECT_EQ(0, self->bench.today->error);
}

TEST_F_TIMEOUT(call, whole, TEST_SECONDS)
{
	as_today(_metadata, &self->bench, &variant->row, WHOLE);
	EXPECT_EQ(0, self->bench.today->error);
}

/* Rule: a hole inside belongs to the reservation, but is not mapped either */
TEST_F_TIMEOUT(call, with_hole, TEST_SECONDS)
{
	as_today(_metadata, &self->bench, &variant->row, WITH_HOLE);
}

TEST_F_TIMEOUT(call, in_hole, TEST_SECONDS)
{
	as_today(_metadata, &self->bench, &variant->row, IN_HOLE);
}

/* Rule: outside of all reservations, it is as today */
TEST_F_TIMEOUT(call, touches_none, TEST_SECONDS)
{
	as_today(_metadata, &self->bench, &variant->row, TOUCHES_NONE);
}

/* Rule: any other range is refused, and nothing has changed */
TEST_F_TIMEOUT(call, spans_two, TEST_SECONDS)
{
	/* Without reservations it is one mapping and works: who refuses is known */
	perform_today(_metadata, &self->bench, &variant->row, SPANS_TWO);
	EXPECT_EQ(0, self->bench.today->error)
		TH_LOG("without reservations: %s", strerror(self->bench.today->error));
	refused(_metadata, &self->bench, &variant->row, SPANS_TWO);
}

TEST_F_TIMEOUT(call, spans_two_whole, TEST_SECONDS)
{
	refused(_metadata, &self->bench, &variant->row, TWO_WHOLE);
}

TEST_F_TIMEOUT(call, leaves, TEST_SECONDS)
{
	refused(_metadata, &self->bench, &variant->row, LEAVES);
}

TEST_F_TIMEOUT(call, enters, TEST_SECONDS)
{
	refused(_metadata, &self->bench, &variant->row, ENTERS);
}

TEST_F_TIMEOUT(call, covers, TEST_SECONDS)
{
	refused(_metadata, &self->bench, &variant->row, COVERS);
}

/*
 * Calls that place a mapping at an address
 */

struct place_row {
	int (*place)(char *addr, size_t len, int arg);
	int arg;
	int mapped;		/* result over a mapping inside one reservation */
	int hole;		/* result in a hole inside one reservation */
	int otherwise;		/* result in any range but those and free space */
	int also;		/* another result that is as good then */
};

FIXTURE(place)
{
	char *arena, *other;
};

FIXTURE_VARIANT(place)
{
	struct place_row row;
};

/* What came of it: @p is what the call returned that should have mapped @addr */
static int placed(const char *p, const char *addr)
{
	if (p == MAP_FAILED)
		return errno;
	return p == addr ? 0 : ENODATA;
}

static int place_anon(char *addr, size_t len, int flags)
{
	return placed(mmap(addr, len, RW, ANON | flags, -1, 0), addr);
}

static int place_file(char *addr, size_t len, int flags)
{
	return placed(mmap(addr, len, RW, MAP_SHARED | flags, env.memory, 0), addr);
}

static int place_shm(char *addr, size_t len, int flags)
{
	int id = shmget(IPC_PRIVATE, len, IPC_CREAT | 0600), error;

	if (id < 0)
		return errno;
	error = placed(shmat(id, addr, flags), addr);
	shmctl(id, IPC_RMID, NULL);
	return error;
}

static int place_mremap(char *addr, size_t len, int flags)
{
	flags |= MREMAP_MAYMOVE | MREMAP_FIXED;
	return placed(mremap(env.other, len, len, flags, addr), addr);
}

/* A move that grows as well: new pages come with those that are moved */
static int place_mremap_grow(char *addr, size_t len, int arg)
{
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;

	(void)arg;
	return placed(mremap(env.other, page_size, len, flags, addr), addr);
}

FIXTURE_VARIANT_ADD(place, mmap_fixed)
{
	.row = {
		.place = place_anon,
		.arg = MAP_FIXED,
		.otherwise = EEXIST,
	},
};

FIXTURE_VARIANT_ADD(place, mmap_fixed_file)
{
	.row = {
		.place = place_file,
		.arg = MAP_FIXED,
		.otherwise = EEXIST,
	},
};

FIXTURE_VARIANT_ADD(place, mmap_fixed_populate)
{
	.row = {
		.place = place_anon,
		.arg = MAP_FIXED | MAP_POPULATE,
		.otherwise = EEXIST,
	},
};

FIXTURE_VARIANT_ADD(place, mmap_fixed_noreplace)
{
	.row = {
		.place = place_anon,
		.arg = MAP_FIXED_NOREPLACE,
		.mapped = EEXIST,
		.hole = EEXIST,
		.otherwise = EEXIST,
	},
};

FIXTURE_VARIANT_ADD(place, shmat)
{
	.row = {
		.place = place_shm,
		.mapped = EINVAL,
		.hole = EINVAL,
		.otherwise = EINVAL,
	},
};

FIXTURE_VARIANT_ADD(place, shmat_remap)
{
	.row = {
		.place = place_shm,
		.arg = SHM_REMAP,
		.otherwise = EEXIST,
		.also = EINVAL,
	},
};

FIXTURE_VARIANT_ADD(place, mremap_fixed)
{
	.row = {
		.place = place_mremap,
		.otherwise = EEXIST,
	},
};

FIXTURE_VARIANT_ADD(place, mremap_fixed_grow)
{
	.row = {
		.place = place_mremap_grow,
		.otherwise = EEXIST,
	},
};

FIXTURE_VARIANT_ADD(place, mremap_fixed_dontunmap)
{
	.row = {
		.place = place_mremap,
		.arg = MREMAP_DONTUNMAP,
		.otherwise = EEXIST,
	},
};

static const struct row plain_arena;

FIXTURE_SETUP(place)
{
	int error;

	stack_pregrow();
	self->arena = free_space(_metadata);
	self->other = self->arena + 2 * ARENA_PAGES * page_size;
	ASSERT_EQ(0, reserv_enable(0));
	error = arena_create(&plain_arena, self->arena, self->other);
	ASSERT_EQ(0, error) TH_LOG("arena: %s", strerror(error));
	env.memory = memfd_create("vma_reserv", MFD_CLOEXEC);
	ASSERT_LE(0, env.memory);
	ASSERT_EQ(0, ftruncate(env.memory, ARENA_PAGES * page_size));
}

FIXTURE_TEARDOWN(place)
{
}

/* Is refused with @error, and nothing has changed */
static void place_refused(struct __test_metadata *_metadata,
			  const struct place_row *row, struct range r,
			  int expected, int also)
{
	static struct page before[ARENA_PAGES], after[ARENA_PAGES];
	static struct reserv_snapshot s;
	char *source = env.other;
	int error;

	arena_look(_metadata, before);
	reserv_snapshot(_metadata, &s);
	error = row->place(at(r), bytes(r), row->arg);
	if (!also || error != also) {
		EXPECT_EQ(expected, error)
			TH_LOG("%s", strerror(error));
	}
	check_reserv_snapshot(_metadata, &s);
	arena_look(_metadata, after);
	compare_pages(_metadata, before, after);
	EXPECT_EQ('o', *source);
	check_lists(_metadata);
}

/* Is there, as part of the reservation that has @bytes at @start */
static void place_joins(struct __test_metadata *_metadata,
			const struct place_row *row, struct range r,
			const void *start, size_t len)
{
	static struct page before[ARENA_PAGES], after[ARENA_PAGES];
	bool keeps = row->arg == MREMAP_DONTUNMAP;
	unsigned int i;
	int error;

	arena_look(_metadata, before);
	error = row->place(at(r), bytes(r), row->arg);
	ASSERT_EQ(0, error) TH_LOG("%s", strerror(error));
	EXPECT_RESERV(at(r), start, len);
	EXPECT_RESERV(at(r) + bytes(r) - 1, start, len);
	arena_look(_metadata, after);
	for (i = 0; i < ARENA_PAGES; i++) {
		if (i >= r.page && i < r.page + r.nr) {
			EXPECT_NE(WORD(i), after[i].word);
			EXPECT_EQ('r', after[i].perms[0]);
		} else {
			EXPECT_EQ(before[i].word, after[i].word);
			EXPECT_STREQ(before[i].perms, after[i].perms);
		}
	}
	/* What is moved is all that there was of it, unless it stays */
	if (row->place == place_mremap && r.nr == ARENA_PAGES && !keeps)
		EXPECT_NO_RESERV(env.other);
	if (keeps)
		EXPECT_RESERV(env.other, env.other, ARENA_PAGES * page_size);
	check_lists(_metadata);
}

/* Rule: inside one reservation it replaces what is there and joins */
TEST_F_TIMEOUT(place, inside, TEST_SECONDS)
{
	struct reserv before = reserv_at(_metadata, at(INSIDE));

	if (variant->row.mapped)
		place_refused(_metadata, &variant->row, INSIDE, variant->row.mapped, 0);
	else
		place_joins(_metadata, &variant->row, INSIDE, at(WHOLE), bytes(WHOLE));
	EXPECT_EQ(before.kb, reserv_at(_metadata, at(INSIDE)).kb);
}

TEST_F_TIMEOUT(place, whole, TEST_SECONDS)
{
	if (variant->row.mapped)
		place_refused(_metadata, &variant->row, WHOLE, variant->row.mapped, 0);
	else
		place_joins(_metadata, &variant->row, WHOLE, at(WHOLE), bytes(WHOLE));
}

/* Rule: a hole can be filled from inside */
TEST_F_TIMEOUT(place, in_hole, TEST_SECONDS)
{
	const struct range third = { 24, 8 };
	struct reserv before = reserv_at(_metadata, at(third)), after;

	if (variant->row.hole) {
		place_refused(_metadata, &variant->row, IN_HOLE, variant->row.hole, 0);
		return;
	}
	place_joins(_metadata, &variant->row, IN_HOLE, at(third), bytes(third));
	after = reserv_at(_metadata, at(third));
	EXPECT_EQ(before.kb + bytes(IN_HOLE) / KB, after.kb);
}

TEST_F_TIMEOUT(place, with_hole, TEST_SECONDS)
{
	const struct range third = { 24, 8 };

	if (variant->row.mapped)
		place_refused(_metadata, &variant->row, WITH_HOLE, variant->row.mapped, 0);
	else
		place_joins(_metadata, &variant->row, WITH_HOLE, at(third), bytes(third));
}

/* Rule: where none is, it creates one, which has exactly its size */
TEST_F_TIMEOUT(place, touches_none, TEST_SECONDS)
{
	unsigned int nr = list_count(_metadata);

	place_joins(_metadata, &variant->row, TOUCHES_NONE, at(TOUCHES_NONE),
		    bytes(TOUCHES_NONE));
	EXPECT_EQ(nr + 1, list_count(_metadata));
}

/* Rule: next to one is not in it; it does not grow, and they do not merge */
TEST_F_TIMEOUT(place, next_to_one, TEST_SECONDS)
{
	static const struct range next = { 16, 8 };
	const struct range second = { 8, 8 }, third = { 24, 8 };

	place_joins(_metadata, &variant->row, next, at(next), bytes(next));
	EXPECT_RESERV(at(second), at(second), bytes(second));
	EXPECT_RESERV(at(third), at(third), bytes(third));
}

/* Rule: anything else is refused, and nothing has changed */
TEST_F_TIMEOUT(place, spans_two, TEST_SECONDS)
{
	place_refused(_metadata, &variant->row, SPANS_TWO, variant->row.otherwise,
		      variant->row.also);
}

TEST_F_TIMEOUT(place, spans_two_whole, TEST_SECONDS)
{
	place_refused(_metadata, &variant->row, TWO_WHOLE, variant->row.otherwise,
		      variant->row.also);
}

TEST_F_TIMEOUT(place, leaves, TEST_SECONDS)
{
	place_refused(_metadata, &variant->row, LEAVES, variant->row.otherwise,
		      variant->row.also);
}

TEST_F_TIMEOUT(place, enters, TEST_SECONDS)
{
	place_refused(_metadata, &variant->row, ENTERS, variant->row.otherwise,
		      variant->row.also);
}

TEST_F_TIMEOUT(place, covers, TEST_SECONDS)
{
	place_refused(_metadata, &variant->row, COVERS, variant->row.otherwise,
		      variant->row.also);
}

/*
 * Calls that act on another process go by the state of that one.
 */

FIXTURE(target)
{
	char *arena, *other;
	int go[2], done[2];
	pid_t child;
	int uffd;
};

FIXTURE_VARIANT(target)
{
	bool target_on, caller_on;
};

FIXTURE_VARIANT_ADD(target, on_caller_off)
{
	.target_on = true,
};

FIXTURE_VARIANT_ADD(target, on_caller_on)
{
	.target_on = true, .caller_on = true,
};

FIXTURE_VARIANT_ADD(target, off_caller_on)
{
	.caller_on = true,
};

/* A child with the arena, and a userfaultfd of it, which it hands over */
FIXTURE_SETUP(target)
{
	char byte;

	self->arena = free_space(_metadata);
	self->other = self->arena + 2 * ARENA_PAGES * page_size;
	ASSERT_EQ(0, pipe(self->go));
	ASSERT_EQ(0, pipe(self->done));
	self->child = fork();
	ASSERT_LE(0, self->child);
	if (!self->child) {
		int fd = uffd_open(0);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if ((fd >= 0 && dup2(fd, 200) < 0) ||
		    (variant->target_on && reserv_enable(0)) ||
		    arena_create(&plain_arena, self->arena, self->other))
			_exit(1);
		if (write(self->done[1], "d", 1) != 1 || read(self->go[0], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	close(self->done[1]);
	ASSERT_EQ(1, read(self->done[0], &byte, 1));
	if (variant->caller_on)
		ASSERT_EQ(0, reserv_enable(0));
	env.arena = self->arena;
	env.fd = syscall(SYS_pidfd_open, self->child, 0);
	ASSERT_LE(0, env.fd);
	self->uffd = syscall(SYS_pidfd_getfd, env.fd, 200, 0);
}

FIXTURE_TEARDOWN(target)
{
	EXPECT_EQ(1, write(self->go[1], "g", 1));
	EXPECT_EQ(0, wait_status(self->child));
}

TEST_F_TIMEOUT(target, process_madvise, TEST_SECONDS)
{
	if (geteuid())
		SKIP(return, "advice for another process needs root");
	EXPECT_EQ(0, call_process_madvise(at(INSIDE), bytes(INSIDE), MADV_COLD));
	EXPECT_EQ(variant->target_on ? EINVAL : 0,
		  call_process_madvise(at(SPANS_TWO), bytes(SPANS_TWO), MADV_COLD));
}

TEST_F_TIMEOUT(target, userfaultfd, TEST_SECONDS)
{
	if (self->uffd < 0)
		SKIP(return, "no userfaultfd, or no pidfd_getfd");
	env.fd = self->uffd;
	EXPECT_EQ(0, call_uffd_register(at(INSIDE), bytes(INSIDE),
					UFFDIO_REGISTER_MODE_MISSING));
	EXPECT_EQ(variant->target_on ? EINVAL : 0,
		  call_uffd_register(at(SPANS_TWO), bytes(SPANS_TWO),
				     UFFDIO_REGISTER_MODE_MISSING));
}

/* The list of another process is the one that it has itself */
TEST_F_TIMEOUT(target, list, TEST_SECONDS)
{
	static struct reserv_list list;
	const char *wrong;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/reservations", self->child);
	wrong = list_read_file(path, &list);
	ASSERT_EQ(NULL, wrong) TH_LOG("%s: %s", path, wrong);
	if (variant->target_on) {
		const struct reserv *r = list_find(&list, (unsigned long)self->arena);

		ASSERT_NE(NULL, r);
		EXPECT_EQ((unsigned long)self->arena, r->start);
		EXPECT_EQ(r->start + bytes(WHOLE), r->end);
	} else {
		EXPECT_EQ(0U, list.nr);
	}
}

int main(int argc, char **argv)
{
	reserv_init();
	probes = mmap(NULL, MAX_PROBES * sizeof(*probes), RW,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if ((void *)probes == MAP_FAILED)
		ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
	return test_harness_run(argc, argv);
}
