// SPDX-License-Identifier: GPL-2.0
/*
 * execve() builds the stack of the new program, with its arguments and
 * environment, at the top of the address space and then moves it to where it
 * belongs. These tests see to it that the move is complete: the strings are
 * what they were, the stack is a stack in every respect, and when memory runs
 * out on the way the outcome is one of those that are documented.
 *
 * This program executes itself. What the new image shall find, and what it
 * found, is in a struct job, in memory behind file descriptor JOB_FD: that
 * leaves every byte of the arguments and the environment to the test, down to
 * a single one.
 */
#define _GNU_SOURCE
#include <linux/auxvec.h>
#include <linux/elf.h>
#include <stddef.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "vma_util.h"

/* What one page of page tables maps on most architectures */
#define PMD_SPAN		(2 * MB)

#define JOB_FD			200
#define JOB_MAGIC		0x52454c4f43415445ULL

/* A debug kernel on an emulated CPU is slow; these only bound a hang */
#define TEST_SECONDS		300
#define WALK_SECONDS		900

/* What the new image tries in addition to looking at its arguments */
enum {
	CHECK_GROW	= 1 << 0,
	CHECK_FORK	= 1 << 1,
	CHECK_LOCK	= 1 << 2,
	CHECK_DIRTY	= 1 << 3,
	CHECK_SWAP	= 1 << 4,
};

struct job {
	uint64_t magic;

	/* For the new image */
	size_t bytes;			/* of all strings, with their NULs */
	unsigned int checks;
	bool interpreted;		/* has an interpreter */
	char path[PATH_MAX];		/* what is executed */

	/* From the old image, if execve() returned */
	int exec_errno;

	/* From the new image */
	bool arrived;
	bool passed;
	char error[256];
	unsigned long stack_end;
	size_t swapped;			/* pages */
};

static const unsigned long *auxv;
static char self_path[PATH_MAX];

static unsigned long aux_value(unsigned long type)
{
	const unsigned long *p;

	for (p = auxv; *p != AT_NULL; p += 2)
		if (*p == type)
			return p[1];
	return 0;
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/*
 * The strings: one after another, as the kernel stores them. The first half
 * of the bytes are arguments, the rest is environment; short and long strings
 * take turns; no byte depends on its position alone.
 */
struct strings {
	size_t bytes, pos, len;
	unsigned int nr;
	bool env;
	uint32_t state;
};

static void strings_start(struct strings *s, size_t bytes)
{
	*s = (struct strings){ .bytes = bytes, .state = RANDOM_SEED };
}

/* Moves on to the next string; s->len is its length without the NUL */
static bool strings_next(struct strings *s)
{
	size_t max, args = s->bytes - s->bytes / 2;

	if (s->pos == s->bytes)
		return false;
	s->env = s->pos >= args;
	max = (s->env ? s->bytes : args) - s->pos;
	s->len = next_random(&s->state) % (s->nr % 2 ? 30000 : 50);
	if (s->len >= max)
		s->len = max - 1;
	s->pos += s->len + 1;
	s->nr++;
	return true;
}

static char strings_byte(struct strings *s)
{
	return 1 + next_random(&s->state) % 255;
}

/* What execve() takes, in one allocation each; never freed: a test is short */
static char *strings_build(size_t bytes, char ***argvp, char ***envpp)
{
	size_t nr = bytes / 1000 + 100, i;
	char **argv = calloc(nr, sizeof(*argv)), **arg = argv;
	char **envp = calloc(nr, sizeof(*envp)), **env = envp;
	char *p, *buf = malloc(bytes);
	struct strings s;

	if (!argv || !envp || !buf)
		return NULL;
	p = buf;
	for (strings_start(&s, bytes); strings_next(&s); *p++ = '\0') {
		if (arg == argv + nr - 1 || env == envp + nr - 1)
			return NULL;
		*(s.env ? env++ : arg++) = p;
		for (i = 0; i < s.len; i++)
			*p++ = strings_byte(&s);
	}
	*argvp = argv;
	*envpp = envp;
	return buf;
}

/* True if @p is what strings_build() makes */
static bool strings_match(const char *p, size_t bytes)
{
	struct strings s;
	size_t i;

	for (strings_start(&s, bytes); strings_next(&s);) {
		for (i = 0; i < s.len; i++)
			if (*p++ != strings_byte(&s))
				return false;
		if (*p++)
			return false;
	}
	return true;
}

/*
 * The new image
 */

static struct job *job;

#define FAIL_IMAGE(fmt, ...) do {					\
	snprintf(job->error, sizeof(job->error), fmt, ##__VA_ARGS__);	\
	_exit(1);							\
} while (0)

#define CHECK(cond, fmt, ...) do {					\
	if (!(cond))							\
		FAIL_IMAGE("line %d: " fmt, __LINE__, ##__VA_ARGS__);	\
} while (0)

struct stack {
	unsigned long start, end;
	unsigned long total;		/* all mappings of the process */
	unsigned long above;		/* first one above that has no name */
	unsigned int nr;
	char perms[8];
};

static void read_maps(struct stack *st)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512], perms[8], name[256];
	unsigned long start, end;

	CHECK(f, "/proc/self/maps: %s", strerror(errno));
	memset(st, 0, sizeof(*st));
	while (fgets(line, sizeof(line), f)) {
		name[0] = '\0';
		CHECK(sscanf(line, "%lx-%lx %7s %*s %*s %*s %255s", &start, &end,
			     perms, name) >= 3, "maps: cannot parse '%.99s'", line);
		/* The gate page of x86 is shown, but not one of the process */
		if (strcmp(name, "[vsyscall]"))
			st->total += end - start;
		if (!strcmp(name, "[stack]")) {
			st->start = start;
			st->end = end;
			memcpy(st->perms, perms, sizeof(perms));
			st->nr++;
		} else if (st->nr && name[0] != '[' && !st->above) {
			st->above = start;
		}
	}
	fclose(f);
	CHECK(st->nr == 1, "%u mappings are called [stack]", st->nr);
}

/* In bytes. @section: what the line before the key ends in, or NULL */
static unsigned long read_kb(const char *file, const char *section, const char *key)
{
	unsigned long value = file_value(file, section, key);

	CHECK(value != ULONG_MAX, "%s: no %s", file, key);
	return value * KB;
}

static unsigned long start_stack(void)
{
	char buf[1024], *p;
	int i;

	CHECK(read_file("/proc/self/stat", buf, sizeof(buf)), "/proc/self/stat: %s",
	      strerror(errno));
	/* The name, the second field, may hold anything */
	p = strrchr(buf, ')');
	for (i = 2; p && i < 28; i++)
		p = strchr(p + 1, ' ');
	CHECK(p, "/proc/self/stat has no 28 fields");
	return strtoul(p, NULL, 10);
}

/* Pages in which @bit of their pagemap entry is set */
static size_t count_pages(unsigned long start, unsigned long end, uint64_t bit)
{
	size_t count = pagemap_count((void *)start, (end - start) / page_size, bit, bit);

	CHECK(count != SIZE_MAX, "/proc/self/pagemap: %s", strerror(errno));
	return count;
}

/* The file has exactly the @len bytes at @p */
static void check_proc_file(const char *file, const char *p, size_t len)
{
	static char buf[64 * KB];
	int fd = open(file, O_RDONLY);
	size_t done = 0;
	ssize_t got;

	CHECK(fd >= 0, "%s: %s", file, strerror(errno));
	while ((got = read(fd, buf, sizeof(buf))) > 0) {
		CHECK(done + got <= len && !memcmp(p + done, buf, got),
		      "%s differs from the strings after %zu bytes", file, done);
		done += got;
	}
	CHECK(done == len, "%s has %zu bytes instead of %zu", file, done, len);
	close(fd);
}

/* The strings and nothing else, where the ABI says. Returns their address. */
static char *check_args(int argc, char **argv, char **envp)
{
	char *base = argv[0], *p = base, *env = NULL;
	const char *name = (const char *)aux_value(AT_EXECFN);
	struct strings s;
	int nr = 0;

	for (strings_start(&s, job->bytes); strings_next(&s);) {
		char **arg = s.env ? envp : argv;
		size_t i;

		if (s.env && !env) {
			CHECK(nr == argc && !*argv, "argc is %d, not %d", argc, nr);
			env = p;
		}
		CHECK(*arg == p, "string %u is at %p, not %p", s.nr, *arg, p);
		for (i = 0; i <= s.len; i++) {
			char expected = i < s.len ? strings_byte(&s) : '\0';

			CHECK(p[i] == expected,
			      "string %u at %p: byte %zu is %#hhx, not %#hhx",
			      s.nr, p, i, p[i], expected);
		}
		p += s.len + 1;
		if (s.env) {
			envp++;
		} else {
			argv++;
			nr++;
		}
	}
	CHECK(nr == argc && !*argv, "argc is %d, not %d", argc, nr);
	CHECK(!*envp, "the environment has a string too many");
	CHECK(name == p && !strcmp(name, job->path), "AT_EXECFN is %p, not %p",
	      name, p);

	check_proc_file("/proc/self/cmdline", base, (env ?: p) - base);
	check_proc_file("/proc/self/environ", env ?: p, env ? p - env : 0);
	return base;
}

/* The mapping called [stack] is that, and is counted as that */
static void check_stack(const char *base, struct stack *st)
{
	unsigned long strings = (unsigned long)base, top;
	unsigned long bottom = strings & -page_size;
	unsigned long start = start_stack(), here = (unsigned long)&top;

	read_maps(st);
	CHECK(!strncmp(st->perms, "rw", 2) && st->perms[3] == 'p',
	      "the stack is '%s'", st->perms);
	CHECK(st->start <= here && here < start && start <= strings,
	      "stack from %#lx: variable %#lx, start %#lx, strings %#lx",
	      st->start, here, start, strings);
	/* Above the strings are the name of the program and a null pointer */
	top = strings + job->bytes + strlen(job->path) + 1 + sizeof(void *);
	CHECK(st->end == top, "the stack ends at %#lx, the strings at %#lx",
	      st->end, top);
	CHECK(!st->above, "a mapping at %#lx, above the stack", st->above);
	CHECK(read_kb("/proc/self/status", NULL, "VmStk") == st->end - st->start,
	      "VmStk is %#lx, the stack has %#lx",
	      read_kb("/proc/self/status", NULL, "VmStk"), st->end - st->start);
	CHECK(read_kb("/proc/self/status", NULL, "VmSize") == st->total,
	      "VmSize is %#lx, the mappings have %#lx",
	      read_kb("/proc/self/status", NULL, "VmSize"), st->total);

	CHECK(!pagemap_count((void *)bottom, (st->end - bottom) / page_size,
			     PM_PRESENT | PM_SWAP, 0),
	      "pages are missing under the strings");
	/* User-mode Linux and small configurations have no smaps */
	if (access("/proc/self/smaps", R_OK))
		return;
	CHECK(read_kb("/proc/self/smaps", "[stack]", "Size") == st->end - st->start,
	      "smaps: wrong size of the stack");
	CHECK(read_kb("/proc/self/smaps", "[stack]", "Rss") ==
	      count_pages(st->start, st->end, PM_PRESENT) * page_size,
	      "smaps: Rss of the stack is %#lx, %zu pages are present",
	      read_kb("/proc/self/smaps", "[stack]", "Rss"),
	      count_pages(st->start, st->end, PM_PRESENT));
	CHECK(read_kb("/proc/self/smaps", "[stack]", "Anonymous") ==
	      read_kb("/proc/self/smaps", "[stack]", "Rss"),
	      "smaps: not all of the stack is anonymous");
}

static void touch_page(unsigned long addr)
{
	__atomic_store_n((char *)addr, 1, __ATOMIC_RELAXED);
}

static void exit_on_segv(int sig)
{
	_exit(100 + sig);
}

/* In a forked child, so that the stack of the caller stays as it is */
static bool can_touch(unsigned long addr)
{
	static char stack[64 * 1024];
	stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction sa = {
		.sa_handler = exit_on_segv, .sa_flags = SA_ONSTACK,
	};
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		/* A handler also keeps the kernel from logging it */
		if (sigaltstack(&alt, NULL) || sigaction(SIGSEGV, &sa, NULL))
			_exit(1);
		touch_page(addr);
		_exit(0);
	}
	status = wait_status(pid);
	CHECK(WIFEXITED(status) &&
	      (!WEXITSTATUS(status) || WEXITSTATUS(status) == 100 + SIGSEGV),
	      "touching %#lx: wait status %#x", addr, status);
	return !WEXITSTATUS(status);
}

/* The stack grows on demand, up to its limit, and keeps away from others */
static void check_grow(struct stack *st)
{
	unsigned long addr, old_start = st->start;
	struct rlimit limit;
	char *p;

	CHECK(!getrlimit(RLIMIT_STACK, &limit), "getrlimit: %s", strerror(errno));
	addr = st->start - 8 * page_size;
	if (limit.rlim_cur == RLIM_INFINITY || st->end - addr <= limit.rlim_cur) {
		touch_page(addr);
		read_maps(st);
		CHECK(st->start == addr, "the stack starts at %#lx instead of %#lx",
		      st->start, addr);
	}
	if (limit.rlim_cur != RLIM_INFINITY) {
		addr = st->end - limit.rlim_cur;
		CHECK(can_touch(addr), "no stack at %#lx, within the limit", addr);
		CHECK(!can_touch(addr - page_size), "stack beyond its limit");
	}

	/* The gap is 256 pages unless the administrator has changed it */
	addr = st->start - 400 * page_size;
	if (limit.rlim_cur != RLIM_INFINITY && st->end - addr > limit.rlim_cur)
		return;
	CHECK(can_touch(addr), "no stack 400 pages below %#lx", st->start);
	p = mmap((void *)(st->start - 16 * page_size), page_size, PROT_READ,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED, "mmap: %s", strerror(errno));
	CHECK((unsigned long)p + 256 * page_size <= st->start ||
	      (unsigned long)p >= st->end, "mapping in the guard gap");
	munmap(p, page_size);
	p = mmap((void *)(st->start - 512 * page_size), page_size, PROT_READ,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(p != MAP_FAILED, "mmap below the stack: %s", strerror(errno));
	CHECK(!can_touch(addr), "stack within the guard gap of another mapping");
	CHECK(!munmap(p, page_size), "munmap: %s", strerror(errno));
	CHECK(can_touch(addr), "no stack after the mapping below is gone");
	CHECK(st->start <= old_start, "the stack has shrunk");
}

static void check_fork(const char *base)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		if (!strings_match(base, job->bytes))
			_exit(1);
		memset((char *)base, 'x', job->bytes);
		_exit(0);
	}
	status = wait_status(pid);
	CHECK(!status, "forked child: wait status %#x", status);
	CHECK(strings_match(base, job->bytes), "the child wrote to our stack");
}

/*
 * Splits the stack and has it merged again, which needs its offset and its
 * anon_vma to be right.
 */
static void check_lock(const char *base, struct stack *st)
{
	char *p = (char *)((unsigned long)base & -page_size) + page_size;
	size_t len = min_size(st->end - page_size - (unsigned long)p, 64 * KB);
	struct stack split;

	CHECK(st->end - (unsigned long)p > 2 * page_size, "too few pages to split");
	CHECK(!mlock(p, len), "mlock: %s", strerror(errno));
	CHECK(read_kb("/proc/self/status", NULL, "VmLck") == len,
	      "VmLck is %#lx, %#zx is locked",
	      read_kb("/proc/self/status", NULL, "VmLck"), len);
	CHECK(!munlock(p, len), "munlock: %s", strerror(errno));
	CHECK(!read_kb("/proc/self/status", NULL, "VmLck"), "VmLck is not zero");
	read_maps(&split);
	CHECK(split.start == st->start && split.end == st->end,
	      "after munlock the stack is %#lx-%#lx", split.start, split.end);

	CHECK(!mprotect(p, page_size, PROT_READ), "mprotect: %s", strerror(errno));
	read_maps(&split);
	CHECK(split.end <= (unsigned long)p, "mprotect has not split the stack");
	CHECK(!mprotect(p, page_size, PROT_READ | PROT_WRITE |
			(st->perms[2] == 'x' ? PROT_EXEC : 0)),
	      "mprotect: %s", strerror(errno));
	read_maps(&split);
	CHECK(split.start == st->start && split.end == st->end,
	      "after mprotect the stack is %#lx-%#lx", split.start, split.end);
}

static void check_dirty(const char *base, struct stack *st)
{
	unsigned long start = ((unsigned long)base & -page_size) + page_size;
	unsigned long page = start + (st->end - start) / page_size / 2 * page_size;
	char old = __atomic_load_n((char *)page, __ATOMIC_RELAXED);
	size_t dirty;

	CHECK(write_file("/proc/self/clear_refs", "4"), "clear_refs: %s", strerror(errno));
	dirty = count_pages(start, st->end, PM_SOFT_DIRTY);
	CHECK(!dirty, "%zu pages are soft-dirty after clear_refs", dirty);
	__atomic_store_n((char *)page, old, __ATOMIC_RELAXED);
	CHECK(count_pages(page, page + page_size, PM_SOFT_DIRTY) == 1,
	      "a page written to is not soft-dirty");
	dirty = count_pages(start, st->end, PM_SOFT_DIRTY);
	CHECK(dirty == 1, "%zu pages are soft-dirty instead of one", dirty);
}

/* Reclaim finds the page table entries by way of the rmap, or not at all */
static void check_swap(const char *base, struct stack *st)
{
	unsigned long start = ((unsigned long)base & -page_size) + page_size;
	size_t pages = (st->end - start) / page_size;
	int tries;

	/* A page may sit in the batch of another CPU for a while */
	for (tries = 0; tries < 20 && job->swapped < pages / 2; tries++) {
		CHECK(!madvise((void *)start, st->end - start, MADV_PAGEOUT),
		      "madvise(MADV_PAGEOUT): %s", strerror(errno));
		job->swapped = count_pages(start, st->end, PM_SWAP);
		usleep(10000);
	}
	CHECK(job->swapped >= pages / 2, "%zu of %zu pages were swapped out",
	      job->swapped, pages);
}

static void new_image(int argc, char **argv, char **envp)
{
	struct stack st;
	char *base;

	job->arrived = true;
	CHECK(!job->interpreted || aux_value(AT_BASE), "no interpreter was mapped");
	base = check_args(argc, argv, envp);
	check_stack(base, &st);
	job->stack_end = st.end;

	if (job->checks & CHECK_GROW)
		check_grow(&st);
	if (job->checks & CHECK_FORK)
		check_fork(base);
	if (job->checks & CHECK_LOCK)
		check_lock(base, &st);
	if (job->checks & CHECK_DIRTY)
		check_dirty(base, &st);
	if (job->checks & CHECK_SWAP)
		check_swap(base, &st);
	if (job->checks) {
		CHECK(strings_match(base, job->bytes),
		      "the strings have changed in the course of the checks");
		check_stack(base, &st);
	}
	job->passed = true;
	_exit(0);
}

/* True if this is an image that a test has started */
static bool job_attach(void)
{
	struct stat st;

	if (fstat(JOB_FD, &st) || st.st_size != sizeof(struct job))
		return false;
	job = mmap(NULL, sizeof(*job), PROT_READ | PROT_WRITE, MAP_SHARED,
		   JOB_FD, 0);
	return job != MAP_FAILED && job->magic == JOB_MAGIC;
}

/*
 * A program with an interpreter, without the libraries of one: this program
 * itself, one note of which becomes a PT_INTERP that names a loader, which
 * does nothing but jump to the entry point that the auxiliary vector gives.
 */

#ifdef __x86_64__
static const unsigned char loader_code[] = {
	0x48, 0x89, 0xe6,		/*    mov   %rsp, %rsi          */
	0x48, 0xad,			/*    lodsq                     */
	0x48, 0x8d, 0x74, 0xc6, 0x08,	/*    lea   8(%rsi,%rax,8),%rsi */
	0x48, 0xad,			/* 1: lodsq                     */
	0x48, 0x85, 0xc0,		/*    test  %rax, %rax          */
	0x75, 0xf9,			/*    jnz   1b                  */
	0x48, 0xad,			/* 2: lodsq                     */
	0x48, 0x89, 0xc2,		/*    mov   %rax, %rdx          */
	0x48, 0xad,			/*    lodsq                     */
	0x48, 0x83, 0xfa, AT_ENTRY,	/*    cmp   $AT_ENTRY, %rdx     */
	0x75, 0xf3,			/*    jne   2b                  */
	0x31, 0xd2,			/*    xor   %edx, %edx: no function to call at exit */
	0xff, 0xe0,			/*    jmp   *%rax               */
};

static bool has_interpreter(void)
{
	const struct elf64_phdr *ph = (const void *)aux_value(AT_PHDR);
	size_t i;

	for (i = 0; i < aux_value(AT_PHNUM); i++)
		if (ph[i].p_type == PT_INTERP)
			return true;
	return false;
}

/* A memory file that can be executed: not open for writing. Returns its fd. */
static int executable(const void *p, size_t size)
{
	int fd = memfd_create("vma_relocate", 0), ro = -1;
	char path[64];

	if (fd < 0)
		return -1;
	if (write(fd, p, size) == (ssize_t)size && !fchmod(fd, 0700)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ro = open(path, O_RDONLY);
	}
	close(fd);
	return ro;
}

static int loader_build(void)
{
	struct {
		struct elf64_hdr eh;
		struct elf64_phdr ph;
		char code[sizeof(loader_code)];
	} elf = {
		.ph = {
			.p_type = PT_LOAD, .p_flags = PF_R | PF_X,
			.p_filesz = sizeof(elf), .p_memsz = sizeof(elf),
			.p_align = page_size,
		},
	};

	/* Class, machine and the sizes are those of this program */
	memcpy(&elf.eh, (char *)aux_value(AT_PHDR) - sizeof(elf.eh), sizeof(elf.eh));
	elf.eh.e_type = ET_DYN;
	elf.eh.e_phoff = offsetof(typeof(elf), ph);
	elf.eh.e_phnum = 1;
	elf.eh.e_shnum = 0;
	elf.eh.e_shoff = 0;
	elf.eh.e_entry = offsetof(typeof(elf), code);
	memcpy(elf.code, loader_code, sizeof(elf.code));
	return executable(&elf, sizeof(elf));
}

/* Returns a file descriptor of this program with @loader as its interpreter */
static int interpreted_build(int loader)
{
	int i, exe = open(self_path, O_RDONLY);
	char path[64], *p;
	size_t len = snprintf(path, sizeof(path), "/proc/self/fd/%d", loader) + 1;
	struct elf64_phdr *ph;
	struct elf64_hdr *eh;
	struct stat st;

	if (exe < 0 || fstat(exe, &st))
		return -1;
	p = malloc(st.st_size + len);
	if (!p || read(exe, p, st.st_size) != st.st_size)
		return -1;
	close(exe);
	memcpy(p + st.st_size, path, len);

	eh = (void *)p;
	ph = (void *)(p + eh->e_phoff);
	for (i = 0; i < eh->e_phnum && ph[i].p_type != PT_NOTE; i++)
		;
	if (i == eh->e_phnum)
		return -1;
	ph[i].p_type = PT_INTERP;
	ph[i].p_offset = st.st_size;
	ph[i].p_filesz = len;
	exe = executable(p, st.st_size + len);
	free(p);
	return exe;
}

/* Returns what stands in the way, or NULL */
static const char *no_interpreter(void)
{
	if (has_interpreter())
		return "all variants are dynamic; build with -static for both kinds";
	return NULL;
}
#else
static int loader_build(void)
{
	return -1;
}

static int interpreted_build(int loader)
{
	return -1;
}

static const char *no_interpreter(void)
{
	return "no loader for this architecture";
}
#endif

/*
 * The tests
 */

/* How to execute the job */
struct how {
	rlim_t limit;		/* of the stack; a quarter is for strings */
	size_t most;		/* bytes of strings, or nearly so */
	bool fixed;		/* no address randomisation */
	bool interpreted;
};

/* Arguments may have 128 KiB even if that is more than a quarter, */
#define SMALL	.limit = 256 * KB,	.most = 100 * KB
#define DEFAULT	.limit = 8 * MB,	.most = 2 * MB - 64 * KB
#define RAISED	.limit = 16 * MB,	.most = 2 * MB
/* and never more than three quarters of 8 MiB */
#define NOLIMIT	.limit = RLIM_INFINITY,	.most = 6 * MB - 64 * KB

static const struct how raised = { RAISED };
static const struct how raised_fixed = { RAISED, .fixed = true };

FIXTURE(exec)
{
	struct job *job;
	int job_fd;
};

FIXTURE_VARIANT(exec)
{
	struct how how;
};

FIXTURE_VARIANT_ADD(exec, small_stack)
{
	.how = { SMALL },
};

FIXTURE_VARIANT_ADD(exec, default_stack)
{
	.how = { DEFAULT },
};

FIXTURE_VARIANT_ADD(exec, raised_stack)
{
	.how = { RAISED },
};

FIXTURE_VARIANT_ADD(exec, unlimited_stack)
{
	.how = { NOLIMIT },
};

FIXTURE_VARIANT_ADD(exec, small_stack_fixed)
{
	.how = { SMALL, .fixed = true },
};

FIXTURE_VARIANT_ADD(exec, default_stack_fixed)
{
	.how = { DEFAULT, .fixed = true },
};

FIXTURE_VARIANT_ADD(exec, raised_stack_fixed)
{
	.how = { RAISED, .fixed = true },
};

FIXTURE_VARIANT_ADD(exec, unlimited_stack_fixed)
{
	.how = { NOLIMIT, .fixed = true },
};

FIXTURE_VARIANT_ADD(exec, interpreter)
{
	.how = { RAISED, .interpreted = true },
};

FIXTURE_VARIANT_ADD(exec, interpreter_fixed)
{
	.how = { NOLIMIT, .interpreted = true, .fixed = true },
};

/* The job is shared with the images; a test uses it for one after another */
static struct job *job_create(struct __test_metadata *_metadata, int *fd)
{
	struct job *j;

	*fd = memfd_create("vma_relocate job", MFD_CLOEXEC);
	ASSERT_LE(0, *fd);
	ASSERT_EQ(0, ftruncate(*fd, sizeof(*j)));
	j = mmap(NULL, sizeof(*j), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)j);
	return j;
}

static void job_destroy(struct job *j, int fd)
{
	if (j) {
		munmap(j, sizeof(*j));
		close(fd);
	}
}

static void job_reset(struct job *j, size_t bytes, unsigned int checks)
{
	memset(j, 0, sizeof(*j));
	j->magic = JOB_MAGIC;
	j->bytes = bytes;
	j->checks = checks;
	memcpy(j->path, self_path, sizeof(self_path));
}

static bool limit_possible(rlim_t limit)
{
	struct rlimit old;

	return !getrlimit(RLIMIT_STACK, &old) &&
	       (old.rlim_max == RLIM_INFINITY || limit <= old.rlim_max);
}

/* In the child that will execute the job */
static void prepare_exec(int job_fd, const struct how *how)
{
	struct rlimit rlim, core = { 0, 0 };
	int persona = personality(0xffffffff);

	if (how->fixed)
		persona |= ADDR_NO_RANDOMIZE;
	else
		persona &= ~ADDR_NO_RANDOMIZE;
	if (getrlimit(RLIMIT_STACK, &rlim))
		_exit(101);
	rlim.rlim_cur = how->limit;
	if (setrlimit(RLIMIT_STACK, &rlim) || setrlimit(RLIMIT_CORE, &core) ||
	    personality(persona) < 0 || dup2(job_fd, JOB_FD) < 0)
		_exit(101);
}

/* Executes this program as the job @j in a child. Returns its wait status. */
static int job_run(struct __test_metadata *_metadata, struct job *j, int job_fd,
		   const struct how *how, size_t bytes, unsigned int checks)
{
	int status, loader = -1, program = -1;
	char **argv, **envp, *strings;
	pid_t pid;

	job_reset(j, bytes, checks);
	if (how->interpreted) {
		loader = loader_build();
		ASSERT_LE(0, loader);
		program = interpreted_build(loader);
		ASSERT_LE(0, program);
		snprintf(j->path, sizeof(j->path), "/proc/self/fd/%d", program);
		j->interpreted = true;
	}
	strings = strings_build(bytes, &argv, &envp);
	ASSERT_NE(NULL, strings);

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		prepare_exec(job_fd, how);
		execve(j->path, argv, envp);
		j->exec_errno = errno;
		_exit(strings_match(strings, bytes) ? 0 : 102);
	}
	status = wait_status(pid);
	ASSERT_NE(-1, status);

	free(strings);
	free(argv);
	free(envp);
	if (how->interpreted) {
		close(program);
		close(loader);
	}
	return status;
}

static void job_expect(struct __test_metadata *_metadata, struct job *j, int job_fd,
		       const struct how *how, size_t bytes, unsigned int checks)
{
	int status = job_run(_metadata, j, job_fd, how, bytes, checks);

	EXPECT_TRUE(WIFEXITED(status) && !WEXITSTATUS(status) && j->passed) {
		TH_LOG("%zu bytes: wait status %#x, execve: %s, new image: %s",
		       bytes, status,
		       j->exec_errno ? strerror(j->exec_errno) : "success",
		       j->error[0] ? j->error : j->passed ? "passed" :
		       j->arrived ? "died" : "did not start");
	}
}

FIXTURE_SETUP(exec)
{
	const char *obstacle = variant->how.interpreted ? no_interpreter() : NULL;

	if (obstacle)
		SKIP(return, "%s", obstacle);
	if (!limit_possible(variant->how.limit))
		SKIP(return, "the hard limit of the stack is too low");
	self->job = job_create(_metadata, &self->job_fd);
}

FIXTURE_TEARDOWN(exec)
{
	job_destroy(self->job, self->job_fd);
}

TEST_F_TIMEOUT(exec, one_byte, TEST_SECONDS)
{
	job_expect(_metadata, self->job, self->job_fd, &variant->how, 1, 0);
}

/* Around the sizes at which the strings need another page, or page table */
TEST_F_TIMEOUT(exec, sizes, TEST_SECONDS)
{
	/* What is above the strings takes part in filling the last page */
	const size_t top = strlen(self_path) + 1 + sizeof(void *);
	const size_t sizes[] = {
		page_size - top, page_size - top + 1, page_size,
		2 * page_size - top, 2 * page_size - top + 1,
		PMD_SPAN - top, PMD_SPAN - top + 1,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		if (sizes[i] <= variant->how.most)
			job_expect(_metadata, self->job, self->job_fd,
				   &variant->how, sizes[i], 0);
}

TEST_F_TIMEOUT(exec, many_bytes, TEST_SECONDS)
{
	job_expect(_metadata, self->job, self->job_fd, &variant->how,
		   variant->how.most, 0);
}

TEST_F_TIMEOUT(exec, grows, TEST_SECONDS)
{
	size_t bytes = min_size(variant->how.most, 2 * MB);

	job_expect(_metadata, self->job, self->job_fd, &variant->how, 1, CHECK_GROW);
	job_expect(_metadata, self->job, self->job_fd, &variant->how, bytes, CHECK_GROW);
}

FIXTURE(single)
{
	struct job *job;
	int job_fd;
};

FIXTURE_SETUP(single)
{
	if (!limit_possible(raised.limit))
		SKIP(return, "the hard limit of the stack is below 16 MB");
	self->job = job_create(_metadata, &self->job_fd);
}

FIXTURE_TEARDOWN(single)
{
	job_destroy(self->job, self->job_fd);
}

static bool is_randomized(void)
{
	char buf[32];

	return read_file("/proc/sys/kernel/randomize_va_space", buf, sizeof(buf)) &&
	       atoi(buf);
}

/* If the stack did not move, nothing above would have tested the move */
TEST_F_TIMEOUT(single, moves, TEST_SECONDS)
{
	unsigned long first = 0;
	int i, different = 0;

	if (!is_randomized())
		SKIP(return, "address randomisation is off (kernel.randomize_va_space)");
	for (i = 0; i < 16; i++) {
		job_expect(_metadata, self->job, self->job_fd, &raised, 40 * KB, 0);
		if (!i)
			first = self->job->stack_end;
		different += self->job->stack_end != first;
	}
	EXPECT_LT(0, different);
}

TEST_F_TIMEOUT(single, stays, TEST_SECONDS)
{
	unsigned long first;

	job_expect(_metadata, self->job, self->job_fd, &raised_fixed, 40 * KB, 0);
	first = self->job->stack_end;
	job_expect(_metadata, self->job, self->job_fd, &raised_fixed, 80 * KB, 0);
	EXPECT_EQ(first, self->job->stack_end);
}

/* The old image goes on as if nothing had happened */
TEST_F_TIMEOUT(single, too_many_bytes, TEST_SECONDS)
{
	int status = job_run(_metadata, self->job, self->job_fd, &raised, 5 * MB, 0);

	EXPECT_EQ(0, status);
	EXPECT_EQ(E2BIG, self->job->exec_errno);
	EXPECT_FALSE(self->job->arrived);
}

TEST_F_TIMEOUT(single, fork_and_lock, TEST_SECONDS)
{
	job_expect(_metadata, self->job, self->job_fd, &raised, raised.most,
		   CHECK_FORK | CHECK_LOCK);
}

/* What a page of our own can get, if asked with @advice: what the kernel has */
static bool page_gets(uint64_t bit, int advice)
{
	char *p = map(NULL, 1, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool gets = false;
	int tries;

	if (p == MAP_FAILED)
		return false;
	*p = 1;
	for (tries = 0; tries < 20 && !gets; tries++) {
		if (advice && madvise(p, page_size, advice))
			break;
		gets = pagemap_count(p, 1, bit, bit) == 1;
		if (advice)
			usleep(10000);
	}
	unmap(p, 1);
	return gets;
}

TEST_F_TIMEOUT(single, soft_dirty, TEST_SECONDS)
{
	if (!page_gets(PM_SOFT_DIRTY, 0))
		SKIP(return, "the kernel does not track soft-dirty pages");
	job_expect(_metadata, self->job, self->job_fd, &raised, raised.most,
		   CHECK_DIRTY);
}

TEST_F_TIMEOUT(single, swap_out, TEST_SECONDS)
{
	if (!page_gets(PM_SWAP, MADV_PAGEOUT))
		SKIP(return, "no swap space, or no MADV_PAGEOUT");
	job_expect(_metadata, self->job, self->job_fd, &raised, raised.most,
		   CHECK_SWAP);
	EXPECT_LT(0UL, self->job->swapped);
}

/*
 * Failing the n-th allocation, or copy from or to user space, of an execve()
 */

enum outcome {
	RAN,		/* with all its arguments */
	REFUSED,	/* error from execve(), old image intact */
	KILLED,		/* beyond the point of no return */
	WRONG,
};

struct attempt {
	enum outcome outcome;
	bool injected;
	int value;		/* errno or signal */
};

struct walk {
	struct job *job;
	int job_fd;
	char **argv, **envp, *strings;

	unsigned int last;	/* highest n that was injected */
	unsigned int ran, refused, killed;
	unsigned int errors[256];
};

/* The errors that the paths of execve() make of a failed allocation or copy */
static bool is_exec_error(int error)
{
	switch (error) {
	case ENOMEM:
	case E2BIG:		/* no page for a string */
	case ENOEXEC:		/* no memory for the program headers */
	case EFAULT:		/* fail_usercopy */
		return true;
	}
	return false;
}

static void walk_child(struct walk *w, unsigned int n)
{
	prepare_exec(w->job_fd, &raised);
	if (!fail_nth_exec_begin(n))
		_exit(103);
	execve(w->job->path, w->argv, w->envp);
	w->job->exec_errno = errno;
	fail_nth_exec_end();
	_exit(strings_match(w->strings, w->job->bytes) ? 0 : 102);
}

/* One execve() whose n-th allocation fails */
static struct attempt walk_attempt(struct __test_metadata *_metadata,
				   struct walk *w, unsigned int n)
{
	struct attempt a = { .outcome = WRONG };
	int status, left;
	pid_t pid;

	job_reset(w->job, w->job->bytes, 0);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		walk_child(w, n);

	status = fail_nth_exec_wait(_metadata, pid, &left);
	a.injected = !left;

	if (WIFSIGNALED(status) && a.injected && !w->job->exec_errno &&
	    !w->job->arrived) {
		a.value = WTERMSIG(status);
		if (a.value == SIGSEGV || a.value == SIGKILL)
			a.outcome = KILLED;
	} else if (status == 0 && w->job->exec_errno && a.injected) {
		a.value = w->job->exec_errno;
		if (is_exec_error(a.value))
			a.outcome = REFUSED;
	} else if (status == 0 && w->job->passed) {
		a.outcome = RAN;
	}
	EXPECT_TRUE(a.outcome != WRONG) {
		TH_LOG("n = %u, %d left: wait status %#x, execve: %s, new image: %s",
		       n, left, status,
		       w->job->exec_errno ? strerror(w->job->exec_errno) : "success",
		       w->job->error[0] ? w->job->error :
		       w->job->arrived ? "arrived" : "did not start");
	}

	if (a.injected) {
		w->last = n;
		w->ran += a.outcome == RAN;
		w->killed += a.outcome == KILLED;
		if (a.outcome == REFUSED) {
			w->refused++;
			w->errors[a.value]++;
		}
	}
	return a;
}

/*
 * Copying the strings allocates page by page, and each such failure is the
 * same error from execve(): there, every @stride-th n will do. From the last
 * one that was an error on, which is before the stack is moved, each is tried.
 */
static void walk(struct __test_metadata *_metadata, struct job *j, int job_fd,
		 size_t bytes, unsigned int stride)
{
	struct walk w = { .job = j, .job_fd = job_fd };
	const char *obstacle = fault_settings_apply();
	unsigned int n, error_at = 0, missed = 0;
	struct attempt a;
	size_t i;

	if (obstacle)
		SKIP(return, "%s", obstacle);
	w.strings = strings_build(bytes, &w.argv, &w.envp);
	ASSERT_NE(NULL, w.strings);
	w.job->bytes = bytes;

	for (n = 1; ; n += n < 32 ? 1 : stride) {
		a = walk_attempt(_metadata, &w, n);
		if (a.outcome == KILLED || a.outcome == WRONG || !a.injected)
			break;
		if (a.outcome == REFUSED)
			error_at = n;
	}
	for (n = error_at + 1; a.outcome != WRONG && missed < FAIL_NTH_MISSES; n++) {
		a = walk_attempt(_metadata, &w, n);
		missed = a.injected ? 0 : missed + 1;
	}

	TH_LOG("%zu bytes, every %u. until %u, to %u: %u refused, %u killed, %u ran",
	       bytes, stride, error_at, w.last, w.refused, w.killed, w.ran);
	for (i = 0; i < ARRAY_SIZE(w.errors); i++)
		if (w.errors[i])
			TH_LOG("  %u times %s", w.errors[i], strerror(i));
	/* Failures were injected on both sides of the point of no return */
	EXPECT_LT(0U, w.refused);
	EXPECT_LT(0U, w.killed);
}

TEST_F_TIMEOUT(single, fail_nth_one_byte, WALK_SECONDS)
{
	walk(_metadata, self->job, self->job_fd, 1, 1);
}

TEST_F_TIMEOUT(single, fail_nth_two_megabytes, WALK_SECONDS)
{
	walk(_metadata, self->job, self->job_fd, 2 * MB, 31);
}

int main(int argc, char **argv, char **envp)
{
	char **p = envp;

	while (*p++)
		;
	auxv = (void *)p;
	if (job_attach())
		new_image(argc, argv, envp);
	if (readlink("/proc/self/exe", self_path, sizeof(self_path) - 1) < 0)
		ksft_exit_fail_msg("/proc/self/exe: %s\n", strerror(errno));
	fault_settings_save();
	return test_harness_run(argc, argv);
}
