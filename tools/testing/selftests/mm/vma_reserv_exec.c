// SPDX-License-Identifier: GPL-2.0
/*
 * Reservations over fork() and execve(), and programs that have inherited them.
 *
 * This program executes itself. What the new image found is in a struct report, in
 * memory behind file descriptor REPORT_FD.
 */
#define _GNU_SOURCE
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "vma_reserv.h"

#define REPORT_FD	200
#define IMAGE_ARG	"--image"

struct report {
	/* From the old image, if execve() returned */
	int exec_errno;
	bool unchanged;			/* it has what it had before */

	/* From the new image */
	bool arrived;
	bool passed;
	bool secure;			/* the kernel says that it has gained privileges */
	int state;
	unsigned int nr;
	char error[512];
};

static char self_path[PATH_MAX];

/*
 * The new image
 */

static struct report *report;

#define CHECK(cond, fmt, ...) do {					\
	if (!(cond)) {							\
		snprintf(report->error, sizeof(report->error),		\
			 "line %d: " fmt, __LINE__, ##__VA_ARGS__);	\
		_exit(1);						\
	}								\
} while (0)

static struct reserv_list list;
static struct vma_list vmas;

static void image_read(void)
{
	const char *wrong = list_read_file("/proc/self/reservations", &list);

	CHECK(!wrong, "reservations: %s", wrong);
	CHECK(read_file("/proc/self/smaps", smaps_text, sizeof(smaps_text)), "no smaps");
	wrong = vmas_parse(smaps_text, &vmas);
	CHECK(!wrong, "smaps: %s", wrong);
}

static void image_check_lists(void)
{
	unsigned long at = 0;
	const char *wrong;

	image_read();
	wrong = lists_agree(&list, &vmas, true, &at);
	CHECK(!wrong, "%#lx: %s", at, wrong);
}

static const struct reserv *image_find(const void *addr)
{
	const struct reserv *r = list_find(&list, (unsigned long)addr);

	CHECK(r, "no reservation at %p", addr);
	return r;
}

/* Off: nothing of it is to be seen */
static void image_check_off(void)
{
	unsigned int i;

	image_read();
	CHECK(!list.nr, "%u reservations", list.nr);
	for (i = 0; i < vmas.nr; i++)
		CHECK(!vmas.v[i].reserv_end, "smaps has a reservation at %#lx",
		      vmas.v[i].start);
}

/* What the program headers of the program itself span, its bss included */
static int elf_span(struct dl_phdr_info *info, size_t size, void *data)
{
	struct reserv *span = data;
	unsigned int i;

	(void)size;
	span->start = ULONG_MAX;
	for (i = 0; i < info->dlpi_phnum; i++) {
		unsigned long start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
		unsigned long end = start + info->dlpi_phdr[i].p_memsz;

		if (info->dlpi_phdr[i].p_type != PT_LOAD)
			continue;
		if (start < span->start)
			span->start = start;
		if (end > span->end)
			span->end = end;
	}
	span->start &= -page_size;
	span->end = (span->end + page_size - 1) & -page_size;
	return 1;
}

/* All segments, and bss, whatever is between them */
static void image_check_elf(void)
{
	struct reserv span = { 0 };
	const struct reserv *r;

	dl_iterate_phdr(elf_span, &span);
	r = image_find((void *)span.start);
	CHECK(r->start == span.start && r->end == span.end,
	      "the image is %#lx-%#lx, its reservation %#lx-%#lx", span.start, span.end,
	      r->start, r->end);
}

/* Each mapping in the same reservation as @addr is called @name */
static void image_check_alone(const void *addr, const char *name)
{
	const struct reserv *r = image_find(addr);
	unsigned int i;

	for (i = 0; i < vmas.nr; i++)
		CHECK(vmas.v[i].reserv_start != r->start || vma_is_gate(&vmas.v[i]) ||
		      !strncmp(vmas.v[i].name, name, strlen(name)),
		      "%#lx %s is in the reservation of %s", vmas.v[i].start,
		      vmas.v[i].name, name);
}

/* As large as the stack may become, unless a neighbour is in the way */
static void image_check_stack(void)
{
	const struct reserv *r = image_find(__builtin_frame_address(0));
	const struct vma *v = vmas_find(&vmas, (unsigned long)__builtin_frame_address(0));
	unsigned long least, most, gap = 256 * page_size, len = r->end - r->start;
	struct rlimit limit;

	image_check_alone(__builtin_frame_address(0), "[stack]");
	CHECK(v && v->end == r->end, "the stack ends at %#lx, its reservation at %#lx",
	      v ? v->end : 0, r->end);
	CHECK(!getrlimit(RLIMIT_STACK, &limit), "getrlimit: %s", strerror(errno));
	least = limit.rlim_cur < 128 * MB ? 128 * MB : limit.rlim_cur;
#ifdef __x86_64__
	if (least > ((1UL << 47) - page_size) / 6)
		least = ((1UL << 47) - page_size) / 6;
	most = least;
#else
	most = least;
	if (limit.rlim_cur == RLIM_INFINITY)
		least = 128 * MB;
#endif
	CHECK(len >= least || (r > list.r && r[-1].end == r->start),
	      "the stack has %#lx bytes reserved, less than %#lx, and no neighbour", len,
	      least);
	/* The guard gap is 256 pages unless the administrator has changed it */
	CHECK(most > ULONG_MAX - 2 * gap || len <= most + 2 * gap,
	      "the stack has %#lx bytes reserved, more than %#lx", len, most);
}

static void image_check_on(void)
{
	image_check_lists();
	/* What is padded is not as exact */
	if (report->state & PR_RESERVATIONS_CHERI_BOUNDS)
		return;
	image_check_elf();
	image_check_stack();
	image_check_alone(sbrk(0) - 1, "[heap]");
	if (getauxval(AT_SYSINFO_EHDR))
		image_check_alone((void *)getauxval(AT_SYSINFO_EHDR), "[v");
}

static void *image_thread(void *arg)
{
	char room[64 * 1024];
	char *p = malloc(100 * KB);
	size_t i;

	for (i = 0; i < sizeof(room); i += 1024)
		__atomic_store_n(&room[i], 1, __ATOMIC_RELAXED);
	if (!p)
		return NULL;
	memset(p, 1, 100 * KB);
	free(p);
	return arg;
}

/* Stacks with guard pages come, are kept for a while, and go */
static void image_threads(void)
{
	pthread_t threads[4];
	pthread_attr_t attr;
	unsigned int i, j;
	void *ret;

	CHECK(!pthread_attr_init(&attr), "pthread_attr_init");
	for (i = 0; i < 64; i++) {
		/* Of different sizes, so that the C library cannot keep them all */
		CHECK(!pthread_attr_setstacksize(&attr, (1 + i % 16) * MB), "stack size");
		for (j = 0; j < ARRAY_SIZE(threads); j++)
			CHECK(!pthread_create(&threads[j], &attr, image_thread, &ret),
			      "pthread_create %u", i);
		if (i % 16 == 7)
			image_check_lists();
		for (j = 0; j < ARRAY_SIZE(threads); j++)
			CHECK(!pthread_join(threads[j], &ret) && ret == &ret,
			      "pthread_join %u", i);
	}
	image_check_lists();
}

/* By brk, by mmap, and by mremap, with the content watched */
static void image_malloc(void)
{
	static struct { unsigned char *p; size_t len; } chunks[64];
	uint32_t state = RANDOM_SEED;
	unsigned int i, n;

	for (n = 0; n < 4000; n++) {
		size_t len = next_random(&state) % (n % 8 ? 20 * KB : 600 * KB) + 1;
		unsigned char *p;

		i = next_random(&state) % ARRAY_SIZE(chunks);
		p = chunks[i].p;
		if (p)
			CHECK(p[0] == i && p[chunks[i].len - 1] == i,
			      "chunk %u of %zu bytes has been overwritten", i,
			      chunks[i].len);
		if (p && next_random(&state) % 2) {
			free(p);
			chunks[i].p = NULL;
			continue;
		}
		p = realloc(p, len);
		CHECK(p, "realloc(%zu) of chunk %u: %s", len, n, strerror(errno));
		p[0] = i;
		p[len - 1] = i;
		chunks[i].p = p;
		chunks[i].len = len;
		if (n % 1000 == 999) {
			malloc_trim(0);
			image_check_lists();
		}
	}
	for (i = 0; i < ARRAY_SIZE(chunks); i++)
		free(chunks[i].p);
	malloc_trim(0);
	image_check_lists();
}

/* No search ends in a hole, in whatever direction this image searches */
static void image_holes(void)
{
	char *regions[32], *p;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(regions); i++) {
		regions[i] = map_at(NULL, 16, RW, ANON);
		CHECK(regions[i] != MAP_FAILED, "mmap: %s", strerror(errno));
	}
	for (i = 0; i < ARRAY_SIZE(regions); i++)
		CHECK(!unmap(regions[i] + 4 * page_size, 8), "munmap: %s", strerror(errno));
	for (i = 0; i < 128; i++) {
		size_t size = (1 + i % 8) * page_size;

		p = mmap(i % 4 ? NULL : regions[i % 32] + 5 * page_size, size, RW, ANON,
			 -1, 0);
		CHECK(p != MAP_FAILED, "mmap: %s", strerror(errno));
		for (j = 0; j < ARRAY_SIZE(regions); j++)
			CHECK(p >= regions[j] + 16 * page_size || p + size <= regions[j],
			      "%p is in the hole of %p", p, regions[j]);
	}
	image_check_lists();
}

/* Returns 0 if each frame has kept what was written to both ends of it */
static int recurse(unsigned int depth)
{
	char frame[32 * 1024], *last = &frame[sizeof(frame) - 1];
	int wrong;

	__atomic_store_n(&frame[0], (char)depth, __ATOMIC_RELAXED);
	__atomic_store_n(last, (char)depth, __ATOMIC_RELAXED);
	wrong = depth ? recurse(depth - 1) : 0;
	return wrong | (__atomic_load_n(&frame[0], __ATOMIC_RELAXED) != (char)depth) |
	       (__atomic_load_n(last, __ATOMIC_RELAXED) != (char)depth);
}

/* It grows as far as the limit allows, and 100 MB at most */
static void image_stack(void)
{
	struct reserv before, after;
	struct rlimit limit;
	size_t size = 100 * MB;

	before = *image_find(__builtin_frame_address(0));
	CHECK(!getrlimit(RLIMIT_STACK, &limit), "getrlimit: %s", strerror(errno));
	if (limit.rlim_cur < size + MB)
		size = limit.rlim_cur - limit.rlim_cur / 4;
	/* A neighbour may be closer than that */
	if (size > (before.end - before.start) / 4 * 3)
		size = (before.end - before.start) / 4 * 3;
	CHECK(size >= 128 * KB, "the stack can have %#zx bytes only", size);
	CHECK(!recurse(size / (36 * 1024)), "the stack does not keep what is on it");
	image_check_lists();
	after = *image_find(__builtin_frame_address(0));
	CHECK(before.start == after.start && before.end == after.end,
	      "the reservation of the stack has changed");
	CHECK(after.kb * KB >= size / 4 * 3, "the stack has %lu kB", after.kb);
}

static void new_image(const char *mode)
{
	/* That the heap exists is not to be taken for granted */
	free(malloc(1000));
	report->arrived = true;
	report->secure = getauxval(AT_SECURE);
	report->state = reserv_state();
	if (report->state > 0)
		image_check_on();
	else
		image_check_off();
	report->nr = list.nr;

	if (!strcmp(mode, "again")) {
		char *const argv[] = { self_path, IMAGE_ARG, "report", NULL };

		execv(self_path, argv);
		CHECK(false, "execve: %s", strerror(errno));
	} else if (!strcmp(mode, "threads")) {
		image_threads();
	} else if (!strcmp(mode, "malloc")) {
		image_malloc();
	} else if (!strcmp(mode, "holes")) {
		image_holes();
	} else if (!strcmp(mode, "stack")) {
		image_stack();
	} else {
		CHECK(!strcmp(mode, "report"), "no such mode: %s", mode);
	}
	report->passed = true;
	_exit(0);
}

/*
 * How it is executed
 */

#define OFF		(~0UL)		/* instead of flags: not switched on */

struct how {
	rlim_t stack;			/* its limit, 0: unchanged */
	unsigned long persona;
};

static struct report *report_create(struct __test_metadata *_metadata, int *fd)
{
	struct report *r;

	*fd = memfd_create("vma_reserv", MFD_CLOEXEC);
	ASSERT_LE(0, *fd);
	ASSERT_EQ(0, ftruncate(*fd, sizeof(*r)));
	r = mmap(NULL, sizeof(*r), RW, MAP_SHARED, *fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)r);
	return r;
}

/* In the child that will execute it */
static void prepare_exec(int fd, unsigned long flags, const struct how *how)
{
	struct rlimit limit, core = { 0, 0 };

	if (getrlimit(RLIMIT_STACK, &limit))
		_exit(101);
	if (how->stack)
		limit.rlim_cur = how->stack;
	if (setrlimit(RLIMIT_STACK, &limit) || setrlimit(RLIMIT_CORE, &core) ||
	    personality(how->persona) < 0 || dup2(fd, REPORT_FD) < 0)
		_exit(101);
	if (flags != OFF && reserv_enable(flags))
		_exit(102);
}

static int image_run(struct __test_metadata *_metadata, struct report *r, int fd,
		     unsigned long flags, const struct how *how, const char *path,
		     const char *mode)
{
	char *const argv[] = { (char *)path, IMAGE_ARG, (char *)mode, NULL };
	int status;
	pid_t pid;

	memset(r, 0, sizeof(*r));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		prepare_exec(fd, flags, how);
		execv(path, argv);
		r->exec_errno = errno;
		_exit(103);
	}
	status = wait_status(pid);
	ASSERT_NE(-1, status);
	return status;
}

static void image_expect(struct __test_metadata *_metadata, struct report *r, int fd,
			 unsigned long flags, const struct how *how, const char *mode)
{
	int status = image_run(_metadata, r, fd, flags, how, self_path, mode);

	EXPECT_TRUE(!status && r->passed) {
		TH_LOG("%s: wait status %#x, execve: %s, new image: %s", mode, status,
		       r->exec_errno ? strerror(r->exec_errno) : "success",
		       r->error[0] ? r->error : r->passed ? "passed" :
		       r->arrived ? "died" : "did not start");
	}
}

FIXTURE(exec)
{
	struct report *report;
	int fd;
};

FIXTURE_VARIANT(exec)
{
	struct how how;
};

FIXTURE_VARIANT_ADD(exec, usual)
{
	.how = { 0 },
};

FIXTURE_VARIANT_ADD(exec, fixed)
{
	.how = { .persona = ADDR_NO_RANDOMIZE },
};

FIXTURE_VARIANT_ADD(exec, small_stack)
{
	.how = { .stack = 512 * KB },
};

FIXTURE_VARIANT_ADD(exec, large_stack)
{
	.how = { .stack = 512 * MB },
};

FIXTURE_VARIANT_ADD(exec, unlimited_stack)
{
	.how = { .stack = RLIM_INFINITY },
};

FIXTURE_VARIANT_ADD(exec, unlimited_stack_fixed)
{
	.how = { .stack = RLIM_INFINITY, .persona = ADDR_NO_RANDOMIZE },
};

/* Searches from below */
FIXTURE_VARIANT_ADD(exec, compat_layout)
{
	.how = { .persona = ADDR_COMPAT_LAYOUT },
};

FIXTURE_SETUP(exec)
{
	struct rlimit limit;

	ASSERT_EQ(0, getrlimit(RLIMIT_STACK, &limit));
	if (variant->how.stack > limit.rlim_max)
		SKIP(return, "the hard limit of the stack is too low");
	self->report = report_create(_metadata, &self->fd);
}

FIXTURE_TEARDOWN(exec)
{
	close(self->fd);
}

#define IMAGE_EXPECT(flags, mode) \
	image_expect(_metadata, self->report, self->fd, flags, &variant->how, mode)

/* Rule: dropped, unless it was to be inherited */
TEST_F_TIMEOUT(exec, drops, TEST_SECONDS)
{
	IMAGE_EXPECT(0, "report");
	EXPECT_EQ(0, self->report->state);
	EXPECT_EQ(0U, self->report->nr);
}

TEST_F_TIMEOUT(exec, stays_off, TEST_SECONDS)
{
	IMAGE_EXPECT(OFF, "report");
	EXPECT_EQ(0, self->report->state);
	EXPECT_EQ(0U, self->report->nr);
}

/* Rule: inherited, it is on from the first instruction, and so is the inheritance */
TEST_F_TIMEOUT(exec, inherits, TEST_SECONDS)
{
	IMAGE_EXPECT(PR_RESERVATIONS_INHERIT, "report");
	EXPECT_EQ((int)(PR_RESERVATIONS_ON | PR_RESERVATIONS_INHERIT),
		  self->report->state);
	EXPECT_LT(2U, self->report->nr);
}

TEST_F_TIMEOUT(exec, inherits_twice, TEST_SECONDS)
{
	IMAGE_EXPECT(PR_RESERVATIONS_INHERIT, "again");
	EXPECT_EQ((int)(PR_RESERVATIONS_ON | PR_RESERVATIONS_INHERIT),
		  self->report->state);
}

/* Rule: programs that know nothing of it run as before */
TEST_F_TIMEOUT(exec, threads, TEST_SECONDS)
{
	IMAGE_EXPECT(PR_RESERVATIONS_INHERIT, "threads");
}

TEST_F_TIMEOUT(exec, malloc, TEST_SECONDS)
{
	IMAGE_EXPECT(PR_RESERVATIONS_INHERIT, "malloc");
}

/* Rule: the search, from below or from above, does not end in a hole */
TEST_F_TIMEOUT(exec, holes, TEST_SECONDS)
{
	IMAGE_EXPECT(PR_RESERVATIONS_INHERIT, "holes");
}

/* Rule: the stack grows inside its reservation */
TEST_F_TIMEOUT(exec, stack, TEST_SECONDS)
{
	IMAGE_EXPECT(PR_RESERVATIONS_INHERIT, "stack");
}

/*
 * Bounds are inherited, too; here what overlaps can be avoided
 */
TEST_F_TIMEOUT(exec, inherits_cheri_bounds, TEST_SECONDS)
{
	const unsigned long flags = PR_RESERVATIONS_INHERIT | PR_RESERVATIONS_CHERI_BOUNDS;
	int status = image_run(_metadata, self->report, self->fd, flags, &variant->how,
			       self_path, "report");

	if (WIFEXITED(status) && WEXITSTATUS(status) == 102)
		SKIP(return, "bounds of what this process has already would overlap");
	EXPECT_TRUE(self->report->arrived);
	EXPECT_EQ((int)(PR_RESERVATIONS_ON | flags), self->report->state);
}

/* Rule: an execve() that fails before the point of no return changes nothing */
TEST_F_TIMEOUT(exec, refused, TEST_SECONDS)
{
	char *const argv[] = { "none", NULL };
	static struct reserv_snapshot before;

	stack_pregrow();
	ASSERT_EQ(0, reserv_enable(0));
	reserv_snapshot(_metadata, &before);
	EXPECT_ERRNO(ENOENT, execv("/nonexistent/program", argv));
	EXPECT_ERRNO(EACCES, execv("/", argv));
	check_reserv_snapshot(_metadata, &before);
}

/*
 * Privileges
 */

FIXTURE(privilege)
{
	struct report *report;
	char dir[64], path[80];
	int fd;
};

FIXTURE_VARIANT(privilege)
{
	mode_t mode;
	bool no_new_privs;
	bool gains;
};

FIXTURE_VARIANT_ADD(privilege, setuid)
{
	.mode = 04755, .gains = true,
};

FIXTURE_VARIANT_ADD(privilege, setgid)
{
	.mode = 02755, .gains = true,
};

FIXTURE_VARIANT_ADD(privilege, none)
{
	.mode = 0755,
};

FIXTURE_VARIANT_ADD(privilege, setuid_no_new_privs)
{
	.mode = 04755, .no_new_privs = true,
};

static bool copy_program(const char *to, mode_t mode)
{
	static char buf[64 * 1024];
	int in = open(self_path, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	ssize_t got;

	while ((got = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, got) != got)
			break;
	/* Writing takes the bits away */
	got |= fchown(out, 0, 0) | fchmod(out, mode);
	close(in);
	close(out);
	return !got;
}

FIXTURE_SETUP(privilege)
{
	if (geteuid())
		SKIP(return, "making a program setuid needs root");
	snprintf(self->dir, sizeof(self->dir), "/tmp/vma_reserv.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ASSERT_EQ(0, chmod(self->dir, 0755));
	snprintf(self->path, sizeof(self->path), "%s/program", self->dir);
	self->report = report_create(_metadata, &self->fd);
}

FIXTURE_TEARDOWN(privilege)
{
	unlink(self->path);
	rmdir(self->dir);
}

/* Rule: what gains privileges does not inherit */
TEST_F_TIMEOUT(privilege, exec, TEST_SECONDS)
{
	char *const argv[] = { self->path, IMAGE_ARG, "report", NULL };
	struct report *r = self->report;
	int status;
	pid_t pid;

	ASSERT_TRUE(copy_program(self->path, variant->mode));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		const struct how how = { 0 };

		prepare_exec(self->fd, PR_RESERVATIONS_INHERIT, &how);
		if (syscall(SYS_setgroups, 0, NULL) ||
		    syscall(SYS_setresgid, 65534, 65534, 65534) ||
		    syscall(SYS_setresuid, 65534, 65534, 65534) ||
		    (variant->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))
			_exit(104);
		execv(self->path, argv);
		r->exec_errno = errno;
		_exit(103);
	}
	status = wait_status(pid);
	ASSERT_NE(-1, status);
	if (r->exec_errno == EACCES)
		SKIP(return, "/tmp is mounted noexec");
	if (variant->gains && r->arrived && !r->secure)
		SKIP(return, "/tmp is mounted nosuid");
	EXPECT_TRUE(!status && r->passed)
		TH_LOG("wait status %#x: %s", status, r->error);
	EXPECT_EQ(variant->gains, r->secure);
	EXPECT_EQ(variant->gains ? 0 : (int)(PR_RESERVATIONS_ON | PR_RESERVATIONS_INHERIT),
		  r->state);
}

/*
 * fork
 */

FIXTURE(fork)
{
	char *p;
	struct reserv_list *before;
};

FIXTURE_SETUP(fork)
{
	unsigned int i;

	stack_pregrow();
	self->before = mmap(NULL, sizeof(*self->before), RW, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->before);
	ASSERT_EQ(0, reserv_enable(0));
	self->p = free_space(_metadata);
	/* Neighbours, with holes */
	for (i = 0; i < 8; i++)
		map_new(_metadata, self->p + i * 8 * page_size, 8, RW);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, unmap(self->p + (i * 8 + 2) * page_size, 1 + i % 4));
	list_read(_metadata, self->before);
}

FIXTURE_TEARDOWN(fork)
{
}

static bool same_list(const struct reserv_list *before)
{
	static struct reserv_list now;
	unsigned int i;

	if (list_read_file("/proc/self/reservations", &now) || now.nr != before->nr)
		return false;
	for (i = 0; i < now.nr; i++)
		if (!reserv_equal(&now.r[i], &before->r[i]))
			return false;
	return true;
}

static void expect_exit(struct __test_metadata *_metadata, pid_t pid)
{
	EXPECT_EQ(0, wait_status(pid));
}

/* Rule: the child has the same, the holes included */
TEST_F_TIMEOUT(fork, keeps, TEST_SECONDS)
{
	pid_t pid = fork();

	if (!pid) {
		char *hole = self->p + 2 * page_size;

		EXPECT_TRUE(same_list(self->before));
		EXPECT_EQ((int)PR_RESERVATIONS_ON, reserv_state());
		check_lists(_metadata);
		EXPECT_NE(hole, map_at(hole, 1, RW, ANON));
		EXPECT_EQ(hole, map_at(hole, 1, RW, ANON | MAP_FIXED));
		EXPECT_RESERV(hole, self->p, 8 * page_size);
		EXPECT_ERRNO(EINVAL, unmap(self->p, 16));
		check_lists(_metadata);
		_exit(0);
	}
	expect_exit(_metadata, pid);
	EXPECT_TRUE(same_list(self->before));
}

TEST_F_TIMEOUT(fork, keeps_inherit, TEST_SECONDS)
{
	pid_t pid;

	ASSERT_EQ(0, reserv_enable(PR_RESERVATIONS_INHERIT));
	pid = fork();
	if (!pid)
		_exit(reserv_state() != (PR_RESERVATIONS_ON | PR_RESERVATIONS_INHERIT));
	expect_exit(_metadata, pid);
}

/* Rule: from there on, each has its own */
TEST_F_TIMEOUT(fork, independent, TEST_SECONDS)
{
	int go[2], back[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(back));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		EXPECT_EQ(0, unmap(self->p, 8));
		EXPECT_NO_RESERV(self->p);
		map_new(_metadata, self->p + 128 * page_size, 8, RW);
		EXPECT_EQ(1, write(back[1], "b", 1));
		EXPECT_EQ(1, read(go[0], &byte, 1));
		/* The parent has unmapped this one meanwhile */
		EXPECT_RESERV(self->p + 8 * page_size, self->p + 8 * page_size,
			      8 * page_size);
		check_lists(_metadata);
		_exit(0);
	}
	ASSERT_EQ(1, read(back[0], &byte, 1));
	EXPECT_TRUE(same_list(self->before));
	EXPECT_EQ(0, unmap(self->p + 8 * page_size, 8));
	EXPECT_NO_RESERV(self->p + 8 * page_size);
	ASSERT_EQ(1, write(go[1], "g", 1));
	expect_exit(_metadata, pid);
	check_lists(_metadata);
}

/* Rule: a child's switch is its own as well */
TEST_F_TIMEOUT(fork, child_enables, TEST_SECONDS)
{
	pid_t pid = fork();

	if (!pid)
		_exit(reserv_enable(PR_RESERVATIONS_INHERIT));
	expect_exit(_metadata, pid);
	EXPECT_EQ((int)PR_RESERVATIONS_ON, reserv_state());
}

/* Rule: a reservation of which fork copies a part is as large in the child */
TEST_F_TIMEOUT(fork, dontfork, TEST_SECONDS)
{
	pid_t pid;

	/* Of the first a part, of the second all that there is */
	ASSERT_EQ(0, madvise(self->p, page_size, MADV_DONTFORK));
	ASSERT_EQ(0, madvise(self->p + 8 * page_size, 2 * page_size, MADV_DONTFORK));
	ASSERT_EQ(0, madvise(self->p + 12 * page_size, 4 * page_size, MADV_DONTFORK));
	pid = fork();
	if (!pid) {
		EXPECT_RESERV(self->p + page_size, self->p, 8 * page_size);
		EXPECT_NO_RESERV(self->p + 8 * page_size);
		EXPECT_EQ(self->p + 8 * page_size,
			  map_at(self->p + 8 * page_size, 8, RW,
				 ANON | MAP_FIXED_NOREPLACE));
		check_lists(_metadata);
		_exit(0);
	}
	expect_exit(_metadata, pid);
}

TEST_F_TIMEOUT(fork, grandchild, TEST_SECONDS)
{
	pid_t pid = fork();

	if (!pid) {
		pid = fork();
		if (!pid)
			_exit(!same_list(self->before));
		_exit(!!wait_status(pid));
	}
	expect_exit(_metadata, pid);
}

/* Rule: who shares the address space shares the reservations */
TEST_F_TIMEOUT(fork, vfork, TEST_SECONDS)
{
	pid_t pid = vfork();

	if (!pid) {
		unmap(self->p, 8);
		_exit(0);
	}
	expect_exit(_metadata, pid);
	EXPECT_NO_RESERV(self->p);
	check_lists(_metadata);
}

struct fork_walk {
	pid_t pid;
	int error;
	unsigned int failed;
	struct reserv_list *list;
	struct reserv_snapshot before;
};

static void fork_attempt(void *arg)
{
	struct fork_walk *w = arg;

	w->pid = fork();
	if (!w->pid)
		_exit(!same_list(w->list));
	w->error = errno;
}

static void fork_check(struct __test_metadata *_metadata, void *arg, unsigned int n,
		       bool injected)
{
	struct fork_walk *w = arg;

	if (w->pid > 0) {
		expect_exit(_metadata, w->pid);
		return;
	}
	w->failed++;
	EXPECT_TRUE(injected);
	EXPECT_TRUE(w->error == ENOMEM || w->error == EAGAIN)
		TH_LOG("n = %u: %s", n, strerror(w->error));
	check_reserv_snapshot(_metadata, &w->before);
}

/* Rule: a fork that fails leaves nothing behind, neither here nor there */
TEST_F_TIMEOUT(fork, fail_nth, WALK_SECONDS)
{
	static struct fork_walk w;
	const struct fail_nth op = {
		.attempt = fork_attempt, .check = fork_check, .arg = &w,
	};
	unsigned int injections;

	list_read(_metadata, self->before);
	w.list = self->before;
	reserv_snapshot(_metadata, &w.before);
	injections = fail_nth_walk(_metadata, &op);
	if (!injections)
		return;
	check_reserv_snapshot(_metadata, &w.before);
	TH_LOG("%u injected, %u forks failed", injections, w.failed);
	EXPECT_LT(0U, w.failed);
}

/*
 * Failing allocations of execve(), in an image that has reservations and hands them on
 */

static void exec_child(struct report *r, int fd, unsigned int n)
{
	char *const argv[] = { self_path, IMAGE_ARG, "report", NULL };
	static struct reserv_list before;
	const struct how how = { 0 };

	prepare_exec(fd, PR_RESERVATIONS_INHERIT, &how);
	if (list_read_file("/proc/self/reservations", &before) || !fail_nth_exec_begin(n))
		_exit(104);
	execv(self_path, argv);
	r->exec_errno = errno;
	fail_nth_exec_end();
	r->unchanged = same_list(&before) &&
		       reserv_state() == (PR_RESERVATIONS_ON | PR_RESERVATIONS_INHERIT);
	_exit(0);
}

/* Returns the wait status */
static int exec_attempt(struct __test_metadata *_metadata, struct report *r, int fd,
			unsigned int n, bool *injected)
{
	int status, left;
	pid_t pid;

	memset(r, 0, sizeof(*r));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		exec_child(r, fd, n);
	status = fail_nth_exec_wait(_metadata, pid, &left);
	*injected = !left;
	return status;
}

/* Rule: it is refused and the old image has what it had, it kills, or it works */
TEST_F_TIMEOUT(fork, fail_nth_exec, WALK_SECONDS)
{
	unsigned int n, missed = 0, refused = 0, killed = 0, ran = 0;
	const char *obstacle = fault_settings_apply();
	struct report *r;
	bool injected;
	int fd, status;

	if (obstacle)
		SKIP(return, "%s", obstacle);
	r = report_create(_metadata, &fd);
	for (n = 1; missed < FAIL_NTH_MISSES; n++) {
		status = exec_attempt(_metadata, r, fd, n, &injected);
		missed = injected ? 0 : missed + 1;
		if (WIFSIGNALED(status) && injected && !r->exec_errno && !r->arrived &&
		    (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGKILL)) {
			killed++;
		} else if (!status && injected && r->exec_errno) {
			EXPECT_TRUE(r->unchanged)
				TH_LOG("n = %u: %s", n, strerror(r->exec_errno));
			refused++;
		} else {
			EXPECT_TRUE(!status && r->passed)
				TH_LOG("n = %u: wait status %#x, execve: %s, new image: %s",
				       n, status, r->exec_errno ? strerror(r->exec_errno) :
				       "success", r->error);
			EXPECT_EQ((int)(PR_RESERVATIONS_ON | PR_RESERVATIONS_INHERIT),
				  r->state);
			ran += injected;
		}
	}
	TH_LOG("%u refused, %u killed, %u ran", refused, killed, ran);
	EXPECT_LT(0U, refused);
	EXPECT_LT(0U, killed);
	close(fd);
}

/*
 * Programs of others
 */

FIXTURE(program)
{
	int to[2], from[2];
	pid_t pid;
};

FIXTURE_VARIANT(program)
{
	const char *path;
	const char *applet;
	struct how how;
};

FIXTURE_VARIANT_ADD(program, busybox)
{
	.path = "/bin/busybox", .applet = "sh",
};

FIXTURE_VARIANT_ADD(program, bash)
{
	.path = "/bin/bash",
};

FIXTURE_VARIANT_ADD(program, bash_fixed)
{
	.path = "/bin/bash", .how = { .persona = ADDR_NO_RANDOMIZE },
};

FIXTURE_VARIANT_ADD(program, bash_unlimited_stack)
{
	.path = "/bin/bash", .how = { .stack = RLIM_INFINITY },
};

FIXTURE_VARIANT_ADD(program, bash_unlimited_stack_fixed)
{
	.path = "/bin/bash", .how = { .stack = RLIM_INFINITY, .persona = ADDR_NO_RANDOMIZE },
};

FIXTURE_VARIANT_ADD(program, bash_compat_layout)
{
	.path = "/bin/bash", .how = { .persona = ADDR_COMPAT_LAYOUT },
};

FIXTURE_SETUP(program)
{
	if (access(variant->path, X_OK))
		SKIP(return, "no %s", variant->path);
	ASSERT_EQ(0, pipe2(self->to, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(self->from, O_CLOEXEC));
}

FIXTURE_TEARDOWN(program)
{
}

/* In the child:  and  take the place of standard input and output */
static void program_exec(const char *path, const char *applet, const struct how *how,
			 const char *script, int in, int out)
{
	const char *argv[5] = { path }, **p = argv + 1;

	if (applet)
		*p++ = applet;
	if (script) {
		*p++ = "-c";
		*p++ = script;
	}
	/* There is no report; its descriptor is not used */
	prepare_exec(out, PR_RESERVATIONS_INHERIT, how);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || close(REPORT_FD))
		_exit(105);
	execv(path, (char **)argv);
	_exit(103);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Rule: image and libraries are one reservation each */
static void check_files(struct __test_metadata *_metadata)
{
	unsigned int i, j;

	for (i = 0; i < vmas.nr; i++) {
		const struct vma *a = &vmas.v[i];

		if (a->name[0] != '/')
			continue;
		for (j = i + 1; j < vmas.nr; j++) {
			const struct vma *b = &vmas.v[j];

			if (strcmp(a->name, b->name))
				continue;
			EXPECT_EQ(a->reserv_start, b->reserv_start)
				TH_LOG("%s at %#lx and at %#lx", base_name(a->name),
				       a->start, b->start);
		}
	}
}

TEST_F_TIMEOUT(program, starts, TEST_SECONDS)
{
	char path[64], buf[16] = "";
	unsigned long at = 0;
	const char *wrong;

	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		program_exec(variant->path, variant->applet, &variant->how,
			     "echo ready; read line; [ $line = go ]",
			     self->to[0], self->from[1]);
	close(self->from[1]);
	ASSERT_EQ(6, read(self->from[0], buf, sizeof(buf)));
	EXPECT_STREQ("ready\n", buf);

	snprintf(path, sizeof(path), "/proc/%d/reservations", self->pid);
	wrong = list_read_file(path, &list);
	ASSERT_EQ(NULL, wrong) TH_LOG("%s: %s", path, wrong);
	snprintf(path, sizeof(path), "/proc/%d/smaps", self->pid);
	ASSERT_TRUE(read_file(path, smaps_text, sizeof(smaps_text)));
	wrong = vmas_parse(smaps_text, &vmas);
	ASSERT_EQ(NULL, wrong) TH_LOG("%s: %s", path, wrong);

	EXPECT_LT(2U, list.nr);
	wrong = lists_agree(&list, &vmas, true, &at);
	EXPECT_EQ(NULL, wrong) TH_LOG("%#lx: %s", at, wrong);
	check_files(_metadata);

	ASSERT_EQ(3, write(self->to[1], "go\n", 3));
	expect_exit(_metadata, self->pid);
}

/* Pipes, subshells, a document, and a string that makes the heap grow */
static const char work[] =
	"x=$(for i in 1 2 3 4 5; do echo $i; done | cat | wc -l); [ $x -eq 5 ] || exit 1\n"
	"(exit 3); [ $? -eq 3 ] || exit 2\n"
	"s=0123456789; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do s=$s$s; done\n"
	"[ ${#s} -eq 327680 ] || exit 3\n"
	"read y <<END\nhello\nEND\n"
	"[ $y = hello ] || exit 4\n"
	"for i in 1 2 3 4 5 6 7 8; do sleep 0 & done; wait\n"
	"exec true\n";

TEST_F_TIMEOUT(program, works, TEST_SECONDS)
{
	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		program_exec(variant->path, variant->applet, &variant->how, work,
			     self->to[0], self->from[1]);
	expect_exit(_metadata, self->pid);
}

/* Rule: the same by way of an interpreter's line */
TEST_F_TIMEOUT(program, script, TEST_SECONDS)
{
	char path[] = "/tmp/vma_reserv.XXXXXX", script[2048];
	int fd = mkstemp(path), len;

	ASSERT_LE(0, fd);
	len = snprintf(script, sizeof(script), "#!%s%s%s\n%s", variant->path,
		       variant->applet ? " " : "", variant->applet ?: "", work);
	EXPECT_EQ(len, write(fd, script, len));
	EXPECT_EQ(0, fchmod(fd, 0755));
	close(fd);
	self->pid = fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		program_exec(path, NULL, &variant->how, NULL, self->to[0], self->from[1]);
	expect_exit(_metadata, self->pid);
	unlink(path);
}

/* True if this is an image that a test has started */
static bool report_attach(void)
{
	struct stat st;

	if (fstat(REPORT_FD, &st) || st.st_size != sizeof(*report))
		return false;
	report = mmap(NULL, sizeof(*report), RW, MAP_SHARED, REPORT_FD, 0);
	return report != MAP_FAILED;
}

int main(int argc, char **argv)
{
	if (readlink("/proc/self/exe", self_path, sizeof(self_path) - 1) < 0)
		ksft_exit_fail_msg("/proc/self/exe: %s\n", strerror(errno));
	if (argc == 3 && !strcmp(argv[1], IMAGE_ARG) && report_attach())
		new_image(argv[2]);
	reserv_init();
	fault_settings_save();
	return test_harness_run(argc, argv);
}
