/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of nonuniform mappings share: the call, files whose pages say which
 * ones they are, file systems to have them on, each kind of access and what becomes of
 * it, and a mapping together with what each page of it has to be.
 *
 * What a protection means is not written down here. Each access to a nonuniform mapping
 * is compared with the same access to an ordinary mapping of the same page with the same
 * protection, on the same CPU.
 *
 * With VMA_NONUNIFORM_BY_MMAP in the environment, nu_remap() makes ordinary mappings
 * instead: what the tests expect of a nonuniform one must be true of those.
 */
#ifndef _VMA_NONUNIFORM_H
#define _VMA_NONUNIFORM_H

#include <ftw.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include "vma_util.h"

#ifndef MAP_NOINHERIT
#define MAP_NOINHERIT		0x200000
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

#define BY_MMAP_VARIABLE	"VMA_NONUNIFORM_BY_MMAP"

#define PROT_ALL		(PROT_READ | PROT_WRITE | PROT_EXEC)
#define NR_PROTS		(PROT_ALL + 1)

/* A debug kernel on an emulated CPU is slow; these only bound a hang */
#define TEST_SECONDS		120
#define WALK_SECONDS		600

#define NU_MAX_PAGES		64U

/* Set by nu_init() */
static bool nu_by_mmap;

static inline void nu_init(void)
{
	nu_by_mmap = getenv(BY_MMAP_VARIABLE);
}

/**
 * nu_remap() - remap_file_pages(), or what does the same with ordinary mappings
 * @fd: the file, of which the call itself needs not be told
 * @addr: as for remap_file_pages(), and so are the others
 * @len: in bytes
 * @prot: the protection, 0 without MAP_NOINHERIT
 * @pgoff: a page of the file
 * @flags: MAP_NOINHERIT, MAP_NONBLOCK
 *
 * Return: 0, or -1 with errno set.
 */
static inline int nu_remap(int fd, void *addr, size_t len, unsigned long prot,
			   unsigned long pgoff, unsigned long flags)
{
	if (nu_by_mmap && (flags & MAP_NOINHERIT)) {
		flags = MAP_SHARED | MAP_FIXED | (flags & MAP_NONBLOCK ? 0 : MAP_POPULATE);
		return mmap(addr, len, prot, flags, fd, pgoff * page_size) == MAP_FAILED ?
		       -1 : 0;
	}
	return syscall(SYS_remap_file_pages, addr, len, prot, pgoff, flags);
}

/*
 * Content: each page begins with code that returns which page it is. No two words
 * behind that are the same in a file, nor are two generations of one.
 */

#define CODE_WORDS		2
#define PAGE_SHIFT_IN_WORD	20
#define GENERATION_SHIFT	40

static inline uint64_t word_of(unsigned int generation, unsigned int page,
			       unsigned int word)
{
	return (uint64_t)generation << GENERATION_SHIFT |
	       (uint64_t)page << PAGE_SHIFT_IN_WORD | word;
}

/* The page of which a word is, whatever its generation */
static inline unsigned int page_of(uint64_t word)
{
	return word >> PAGE_SHIFT_IN_WORD & ((1U << (GENERATION_SHIFT - PAGE_SHIFT_IN_WORD)) - 1);
}

static inline unsigned int page_words(void)
{
	return page_size / sizeof(uint64_t);
}

#if defined(__x86_64__)

#define HAS_CODE		true
static inline void make_code(void *p, uint16_t result)
{
	const uint8_t code[] = {
		0xb8, result & 0xff, result >> 8, 0, 0,		/* mov $result, %eax */
		0xc3,						/* ret */
	};

	memcpy(p, code, sizeof(code));
}

#elif defined(__aarch64__)

#define HAS_CODE		true
static inline void make_code(void *p, uint16_t result)
{
	const uint32_t code[] = {
		0x52800000 | result << 5,			/* mov w0, #result */
		0xd65f03c0,					/* ret */
	};

	memcpy(p, code, sizeof(code));
}

#elif defined(__riscv) && __riscv_xlen == 64

#define HAS_CODE		true
static inline void make_code(void *p, uint16_t result)
{
	const uint32_t high = (result + 0x800) >> 12, low = result & 0xfff;
	const uint32_t code[] = {
		0x00000537 | high << 12,			/* lui a0, high */
		0x0005051b | low << 20,				/* addiw a0, a0, low */
		0x00008067,					/* ret */
	};

	memcpy(p, code, sizeof(code));
}

#else

/* Where nothing can be executed, executing is not tested. */
#define HAS_CODE		false
static inline void make_code(void *p, uint16_t result)
{
	(void)p;
	(void)result;
}

#endif

/* Of a generation, so that old code is not taken for new */
static inline uint16_t code_result(unsigned int generation, unsigned int page)
{
	return (generation % 8 << 12 | page) & 0x7fff;
}

/**
 * fill_page() - Make a page in memory that of a file
 * @p: the page
 * @generation: from 1 on
 * @page: of the file
 */
static inline void fill_page(void *p, unsigned int generation, unsigned int page)
{
	uint64_t *word = p;
	unsigned int i;

	memset(p, 0, CODE_WORDS * sizeof(*word));
	make_code(p, code_result(generation, page));
	for (i = CODE_WORDS; i < page_words(); i++)
		__atomic_store_n(&word[i], word_of(generation, page, i), __ATOMIC_RELAXED);
}

/**
 * fill_file() - Write pages of a file
 * @fd: the file
 * @generation: from 1 on
 * @first: first page
 * @nr: how many
 *
 * Return: true if all went well.
 */
static inline bool fill_file(int fd, unsigned int generation, unsigned int first,
			     unsigned int nr)
{
	void *buf = aligned_alloc(page_size, page_size);
	unsigned int i;
	bool ok = buf;

	for (i = first; ok && i < first + nr; i++) {
		fill_page(buf, generation, i);
		ok = pwrite(fd, buf, page_size, (off_t)i * page_size) == (ssize_t)page_size;
	}
	free(buf);
	return ok;
}

/* A word of the file by read() */
static inline uint64_t file_word(int fd, unsigned int page, unsigned int word)
{
	uint64_t value = ~0ULL;

	if (pread(fd, &value, sizeof(value), (off_t)page * page_size +
		  word * sizeof(value)) != sizeof(value))
		return ~0ULL;
	return value;
}

/**
 * which_cached() - Which pages of a file are in memory
 * @fd: the file
 * @vec: one byte for each; bit 0 is set if it is
 * @pages: how many are looked at
 *
 * Return: false if that is not to be found out.
 */
static inline bool which_cached(int fd, unsigned char *vec, unsigned int pages)
{
	char *p = map(NULL, pages, PROT_READ, MAP_SHARED, fd, 0);
	bool ok = p != MAP_FAILED && !mincore(p, pages * page_size, vec);

	if (p != MAP_FAILED)
		unmap(p, pages);
	return ok;
}

/**
 * count_cached() - How many pages of a file are in memory
 * @fd: the file
 * @pages: how many are looked at
 *
 * Return: their number, ~0U if that is not to be found out.
 */
static inline unsigned int count_cached(int fd, unsigned int pages)
{
	unsigned char *vec = malloc(pages);
	unsigned int i, nr = ~0U;

	if (vec && which_cached(fd, vec, pages))
		for (i = nr = 0; i < pages; i++)
			nr += vec[i] & 1;
	free(vec);
	return nr;
}

/*
 * Access of each kind
 */

enum nu_access { NU_READ, NU_WRITE, NU_EXEC, NR_ACCESSES };

static const char * const nu_access_names[] = { "read", "write", "execute" };

/**
 * struct nu_outcome - what became of an access
 * @sig: 0 or the signal
 * @code: si_code of it
 * @at: where it was, relative to what has been accessed
 * @value: what was read, what was there before, or what the code has returned
 */
struct nu_outcome {
	int sig;
	int code;
	long at;
	uint64_t value;
};

static __thread int nu_fault_code;
static __thread char *nu_fault_addr;

static inline void nu_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	nu_fault_code = info->si_code;
	nu_fault_addr = info->si_addr;
	probe_failed(sig);
}

/* Like probe_init(), but what the signal says is remembered. */
static inline void nu_probe_init(void)
{
	struct sigaction sa = {
		.sa_sigaction = nu_fault, .sa_flags = SA_NODEFER | SA_SIGINFO,
	};

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

static inline int nu_call(void *p, uint64_t *value)
{
	int sig = sigsetjmp(probe_env, 0);

	if (!sig) {
		__atomic_store_n(&probing, 1, __ATOMIC_SEQ_CST);
		*value = ((int (*)(void))p)();
	}
	__atomic_store_n(&probing, 0, __ATOMIC_SEQ_CST);
	return sig;
}

/*
 * A write that changes nothing; what can be written can also be read everywhere. On x86
 * it is one access that both reads and writes, and fails as a write. Elsewhere it may
 * read first, and fail as a read where there is nothing to be read.
 */
#if defined(__x86_64__)
#define NU_READS_FIRST		false
#else
#define NU_READS_FIRST		true
#endif

static inline int nu_touch(void *p, uint64_t *value)
{
	int sig = sigsetjmp(probe_env, 0);

	if (!sig) {
		__atomic_store_n(&probing, 1, __ATOMIC_SEQ_CST);
		*value = __atomic_fetch_add((uint64_t *)p, 0, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&probing, 0, __ATOMIC_SEQ_CST);
	return sig;
}

/**
 * nu_try() - Try to read or write a word, or to execute what is there
 * @page: start of a page
 * @word: which one, if it is not executed
 * @access: how
 *
 * Changes nothing.
 *
 * Return: what became of it.
 */
static inline struct nu_outcome nu_try(char *page, unsigned int word,
				       enum nu_access access)
{
	char *p = access == NU_EXEC ? page : page + word * sizeof(uint64_t);
	struct nu_outcome o = { 0 };

	switch (access) {
	case NU_READ:
		o.sig = probe_read(p, &o.value);
		break;
	case NU_WRITE:
		o.sig = nu_touch(p, &o.value);
		break;
	default:
		o.sig = HAS_CODE ? nu_call(p, &o.value) : 0;
		break;
	}
	if (o.sig) {
		o.code = nu_fault_code;
		o.at = nu_fault_addr - p;
		o.value = 0;
	}
	return o;
}

static inline bool nu_same(const struct nu_outcome *a, const struct nu_outcome *b)
{
	return a->sig == b->sig && a->code == b->code && a->at == b->at &&
	       a->value == b->value;
}

static inline const char *nu_prot_name(int prot)
{
	static const char * const names[NR_PROTS] = {
		"---", "r--", "-w-", "rw-", "--x", "r-x", "-wx", "rwx",
	};

	return names[prot & PROT_ALL];
}

/**
 * nu_check_outcome() - What became of an access has to be what an ordinary mapping does
 *
 * With one exception: what is not allowed is SIGSEGV, always.
 *
 * @_metadata: of the test
 * @what: which page, for the log
 * @prot: its protection
 * @access: how it was accessed
 * @got: what became of it
 * @want: the same for the ordinary mapping
 */
static inline void nu_check_outcome(struct __test_metadata *_metadata, const char *what,
				    int prot, enum nu_access access,
				    const struct nu_outcome *got,
				    const struct nu_outcome *want)
{
	struct nu_outcome denied = { .sig = SIGSEGV, .code = SEGV_ACCERR };

	/*
	 * Where there is no page, an x86 finds out that there is none before it knows
	 * that it could not be executed. An ordinary mapping is no better.
	 */
	if (!nu_by_mmap && access == NU_EXEC && !(prot & PROT_EXEC) && want->sig == SIGBUS)
		want = &denied;
	EXPECT_TRUE(nu_same(got, want))
		TH_LOG("%s, %s, %s: signal %d/%d at %+ld, %#llx; ordinary: %d/%d at %+ld, %#llx",
		       what, nu_prot_name(prot), nu_access_names[access], got->sig,
		       got->code, got->at, (unsigned long long)got->value, want->sig,
		       want->code, want->at, (unsigned long long)want->value);
}

/*
 * A mapping, and what each page of it has to be
 */

struct nu_page {
	unsigned int file;
	int prot;
};

/*
 * What becomes of pages that come later is linear, counted from the file page that the
 * first one has been mapped from, with the protection last given to all of it.
 */
struct nu_map {
	char *p;
	unsigned int nr;
	int fd;
	unsigned int base;
	int whole;
	struct nu_page page[NU_MAX_PAGES];
};

static inline char *nu_at(const struct nu_map *m, unsigned int page)
{
	return m->p + page * page_size;
}

/* How @m is after a change that succeeded */
static inline void nu_expect(struct nu_map *m, unsigned int first, unsigned int nr,
			     unsigned int file, int prot)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		m->page[first + i] = (struct nu_page){ .file = file + i, .prot = prot };
}

static inline void nu_expect_prot(struct nu_map *m, unsigned int first, unsigned int nr,
				  int prot)
{
	unsigned int i;

	for (i = first; i < first + nr; i++)
		m->page[i].prot = prot;
}

/**
 * nu_map_file() - Map a file, linearly at first
 * @_metadata: of the test
 * @m: the mapping
 * @fd: the file
 * @base: first page of it
 * @nr: how many pages
 * @prot: their protection
 *
 * There is unused space of as many pages on both sides.
 */
static inline void nu_map_file(struct __test_metadata *_metadata, struct nu_map *m,
			       int fd, unsigned int base, unsigned int nr, int prot)
{
	char *p = map_prot_none(3 * nr);

	ASSERT_GE(NU_MAX_PAGES, nr);
	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, unmap(p, 3 * nr));
	m->p = map(p + nr * page_size, nr, prot, MAP_SHARED | MAP_FIXED, fd, base);
	ASSERT_EQ((void *)(p + nr * page_size), (void *)m->p);
	m->nr = nr;
	m->fd = fd;
	m->base = base;
	m->whole = prot;
	nu_expect(m, 0, nr, base, prot);
}

static inline void nu_unmap(struct __test_metadata *_metadata, struct nu_map *m)
{
	EXPECT_EQ(0, unmap(m->p, m->nr));
	m->p = NULL;
}

/**
 * nu_set() - Remap pages of a mapping
 * @m: the mapping
 * @first: first page
 * @nr: how many
 * @file: page of the file
 * @prot: their protection
 * @flags: MAP_NONBLOCK or 0
 *
 * Return: 0 or an error number; then nothing is expected to have changed.
 */
static inline int nu_set(struct nu_map *m, unsigned int first, unsigned int nr,
			 unsigned int file, int prot, int flags)
{
	if (nu_remap(m->fd, nu_at(m, first), nr * page_size, prot, file,
		     flags | MAP_NOINHERIT))
		return errno;
	nu_expect(m, first, nr, file, prot);
	return 0;
}

/* mprotect() */
static inline int nu_protect(struct nu_map *m, unsigned int first, unsigned int nr,
			     int prot)
{
	if (mprotect(nu_at(m, first), nr * page_size, prot))
		return errno;
	nu_expect_prot(m, first, nr, prot);
	if (nr == m->nr)
		m->whole = prot;
	return 0;
}

/**
 * nu_mirror() - Map the same with ordinary mappings
 * @_metadata: of the test
 * @m: the mapping
 * @flags: MAP_POPULATE or 0
 *
 * Return: where.
 */
static inline char *nu_mirror(struct __test_metadata *_metadata, const struct nu_map *m,
			      int flags)
{
	char *p = map_prot_none(m->nr);
	unsigned int i;

	ASSERT_NE(MAP_FAILED, (void *)p);
	for (i = 0; i < m->nr; i++) {
		char *at = p + i * page_size;

		ASSERT_EQ((void *)at, (void *)map(at, 1, m->page[i].prot,
						  MAP_SHARED | MAP_FIXED | flags, m->fd,
						  m->page[i].file));
	}
	return p;
}

/* A word, whether it can be read or not; ~0 if even so it cannot */
static inline uint64_t forced_word(int mem, const char *page, unsigned int word)
{
	uint64_t value;

	if (pread(mem, &value, sizeof(value),
		  (unsigned long)page + word * sizeof(value)) != sizeof(value))
		return ~0ULL;
	return value;
}

/**
 * nu_force() - Have each page looked at by force, so that page tables know it
 * @_metadata: of the test
 * @p: start of a range
 * @pages: its length
 */
static inline void nu_force(struct __test_metadata *_metadata, const char *p,
			    unsigned int pages)
{
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned int i;

	ASSERT_LE(0, mem);
	for (i = 0; i < pages; i++)
		ASSERT_NE(~0ULL, forced_word(mem, p + i * page_size, CODE_WORDS));
	close(mem);
}

/* Code can be executed only where there is some. */
static inline bool nu_has_code(const char *page, int mem)
{
	return HAS_CODE && forced_word(mem, page, 0);
}

/**
 * nu_check() - Each page has to be what is expected, in every respect
 * @_metadata: of the test
 * @m: the mapping
 *
 * Each kind of access is tried. Nothing is changed but that pages are touched.
 */
static inline void nu_check(struct __test_metadata *_metadata, const struct nu_map *m)
{
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	struct nu_outcome got, want;
	unsigned int i, word;
	enum nu_access a;
	char *mirror;
	char what[64];

	ASSERT_LE(0, mem);
	mirror = nu_mirror(_metadata, m, 0);
	for (i = 0; i < m->nr; i++) {
		char *p = nu_at(m, i), *q = mirror + i * page_size;

		snprintf(what, sizeof(what), "page %u, of file page %u", i,
			 m->page[i].file);
		word = CODE_WORDS + (i * 97 + 5) % (page_words() - CODE_WORDS);
		for (a = 0; a < NR_ACCESSES; a++) {
			if (a == NU_EXEC && !nu_has_code(q, mem))
				continue;
			got = nu_try(p, word, a);
			want = nu_try(q, word, a);
			nu_check_outcome(_metadata, what, m->page[i].prot, a, &got, &want);
		}
		EXPECT_EQ(forced_word(mem, q, word), forced_word(mem, p, word))
			TH_LOG("%s, %s", what, nu_prot_name(m->page[i].prot));
	}
	EXPECT_EQ(0, unmap(mirror, m->nr));
	close(mem);
}

/*
 * What the kernel says of it
 */

struct nu_extent {
	unsigned long start, end;
	int prot;
	unsigned long offset;
};

static char nu_text[1024 * 1024];

/**
 * nu_extents() - The extents that /proc/PID/nonuniform has in a range
 * @file: /proc/self/nonuniform or another one
 * @p: start of the range
 * @pages: its length
 * @extents: where to put them
 * @max: how many that may be
 *
 * Return: their number; -1 if the file cannot be read or is not what it should be.
 */
static inline int nu_extents(const char *file, const char *p, unsigned int pages,
			     struct nu_extent *extents, int max)
{
	unsigned long from = (unsigned long)p, to = from + pages * page_size, last = 0;
	struct nu_extent e;
	char perms[16];
	char *line;
	int nr = 0;

	/* It is empty if there are none, which is not an error here. */
	if (access(file, R_OK))
		return -1;
	if (!read_file(file, nu_text, sizeof(nu_text)))
		return 0;
	for (line = strtok(nu_text, "\n"); line; line = strtok(NULL, "\n")) {
		if (sscanf(line, "%lx-%lx %15s %lx", &e.start, &e.end, perms,
			   &e.offset) != 4 || strlen(perms) < 3)
			return -1;
		if (e.start < last || e.end <= e.start)
			return -1;
		last = e.end;
		e.prot = (perms[0] == 'r' ? PROT_READ : 0) |
			 (perms[1] == 'w' ? PROT_WRITE : 0) |
			 (perms[2] == 'x' ? PROT_EXEC : 0);
		if (e.start >= to || e.end <= from)
			continue;
		if (nr == max)
			return -1;
		extents[nr++] = e;
	}
	return nr;
}

/* Of the mapping at @p, what smaps has behind "KEY:"; false if there is no such line */
static inline bool nu_smaps(const char *p, const char *key, char *value, size_t size)
{
	char start[32], line[32];
	const char *from, *end;

	snprintf(start, sizeof(start), "%08lx-", (unsigned long)p);
	snprintf(line, sizeof(line), "\n%s:", key);
	if (!read_file("/proc/self/smaps", nu_text, sizeof(nu_text)))
		return false;
	for (from = strstr(nu_text, start); from && from != nu_text && from[-1] != '\n';)
		from = strstr(from + 1, start);
	if (!from)
		return false;
	/* VmFlags is the last line of each. */
	end = strstr(from, "\nVmFlags:");
	from = strstr(from, line);
	if (!from || !end || from > end)
		return false;
	from += strlen(line);
	from += strspn(from, " \t");
	snprintf(value, size, "%.*s", (int)strcspn(from, "\n"), from);
	return true;
}

/* How many extents @m has at least, and at most if neighbours that go on are joined */
static inline unsigned int nu_count_extents(const struct nu_map *m)
{
	unsigned int i, nr = 1;

	for (i = 1; i < m->nr; i++)
		nr += m->page[i].file != m->page[i - 1].file + 1 ||
		      m->page[i].prot != m->page[i - 1].prot;
	return nr;
}

/**
 * nu_check_listed() - /proc/self/nonuniform has to say what is expected
 * @_metadata: of the test
 * @m: the mapping, which is one VMA that has an extent map
 */
static inline void nu_check_listed(struct __test_metadata *_metadata,
				   const struct nu_map *m)
{
	static struct nu_extent e[NU_MAX_PAGES];
	unsigned long at = (unsigned long)m->p;
	int i, nr = nu_extents("/proc/self/nonuniform", m->p, m->nr, e, NU_MAX_PAGES);
	char value[256];

	ASSERT_LT(0, nr);
	EXPECT_EQ(nu_count_extents(m), (unsigned int)nr);
	for (i = 0; i < nr; i++) {
		unsigned int page = (e[i].start - (unsigned long)m->p) / page_size;
		unsigned int j, pages = (e[i].end - e[i].start) / page_size;

		ASSERT_EQ(at, e[i].start);
		ASSERT_GE(nu_at(m, m->nr), (char *)e[i].end);
		for (j = 0; j < pages; j++) {
			EXPECT_EQ(m->page[page + j].file, e[i].offset / page_size + j)
				TH_LOG("page %u", page + j);
			EXPECT_EQ(m->page[page + j].prot, e[i].prot)
				TH_LOG("page %u", page + j);
		}
		at = e[i].end;
	}
	EXPECT_EQ((unsigned long)nu_at(m, m->nr), at);
	ASSERT_TRUE(nu_smaps(m->p, "Extents", value, sizeof(value)));
	EXPECT_EQ((unsigned long)nr, strtoul(value, NULL, 10));
	ASSERT_TRUE(nu_smaps(m->p, "VmFlags", value, sizeof(value)));
	EXPECT_NE(NULL, strstr(value, "nu"));
}

/*
 * What there is to test
 */

/* What the kernel makes of a nonuniform mapping; set by nu_obstacle() */
static bool nu_in_one;		/* one VMA */
static bool nu_exec_only;	/* PROT_EXEC alone takes a protection key, and so a VMA */

/* Why nothing can be tested, or NULL */
static inline const char *nu_obstacle(void)
{
	const char *reason = NULL;
	uint64_t value;
	int fd, ret;
	char *p;

	fd = memfd_create("vma_nonuniform", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 2 * page_size))
		return "no memfd";
	p = map(NULL, 2, PROT_EXEC, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED) {
		nu_exec_only = probe_read(p, &value) && nu_fault_code != SEGV_ACCERR;
		unmap(p, 2);
	}
	p = map(NULL, 2, RW, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return "a memfd cannot be mapped";
	ret = nu_remap(fd, p, page_size, PROT_READ, 1, MAP_NOINHERIT | MAP_NONBLOCK);
	if (ret)
		reason = errno == EINVAL ? "remap_file_pages() does not know MAP_NOINHERIT" :
					   "the kernel has no remap_file_pages()";
	else
		nu_in_one = count_vmas(p, 2) == 1;
	unmap(p, 2);
	close(fd);
	return reason;
}

/* Why it is not one VMA, or NULL */
static inline const char *nu_split_obstacle(void)
{
	if (nu_by_mmap)
		return BY_MMAP_VARIABLE " is set: there are ordinary mappings only";
	return nu_in_one ? NULL : "on this architecture each extent is a VMA";
}

/* The first few pages of @m have to be one VMA. Says nothing where there is none such. */
static inline void nu_check_one(struct __test_metadata *_metadata, const struct nu_map *m,
				unsigned int pages)
{
	if (!nu_split_obstacle())
		EXPECT_EQ(1U, count_vmas(m->p, pages));
}

/*
 * File systems
 */

struct nu_fs {
	const char *name;		/* as in /proc/filesystems; NULL is a memfd */
	bool swaps;			/* what is reclaimed goes to swap */
	bool disk;			/* that of vma_fs does for these tests as well */
};

static const struct nu_fs nu_memfd = { .name = NULL, .swaps = true };
static const struct nu_fs nu_tmpfs = { .name = "tmpfs", .swaps = true };
static const struct nu_fs nu_ramfs = { .name = "ramfs" };

static const struct nu_fs nu_ext4 = { .name = "ext4", .disk = true };
static const struct nu_fs nu_xfs = { .name = "xfs", .disk = true };
static const struct nu_fs nu_btrfs = { .name = "btrfs", .disk = true };

/* Where it is mounted, and the one file in there */
static char nu_root[32], nu_dir[64], nu_file[96], nu_disk[DISK_NAME_SIZE];

/* Why there can be no file on @fs, or NULL. What is mounted is so for this process only. */
static inline const char *nu_fs_obstacle(const struct nu_fs *fs)
{
	const char *reason;

	if (!fs->name)
		return NULL;
	reason = fs_obstacle(fs->name, fs->disk ? nu_disk : NULL);
	return reason ? reason : private_mounts_obstacle();
}

static inline int nu_mount(const struct nu_fs *fs, unsigned long flags)
{
	return mount(fs->disk ? nu_disk : "vma_nonuniform", nu_root, fs->name, flags,
		     NULL);
}

static inline int nu_remove_one(const char *path, const struct stat *st, int flag,
				struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

/* A new file of @pages pages of generation 1, which are on the disk if there is one */
static inline int nu_create(struct __test_metadata *_metadata, const struct nu_fs *fs,
			    unsigned int pages)
{
	int fd;

	if (!fs->name) {
		fd = memfd_create("vma_nonuniform", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	} else {
		ASSERT_EQ(0, nu_mount(fs, 0)) TH_LOG("mount %s: %s", fs->name,
						     strerror(errno));
		/* It is there only if a test has been killed. */
		if (!access(nu_dir, F_OK))
			ASSERT_EQ(0, nftw(nu_dir, nu_remove_one, 10,
					  FTW_DEPTH | FTW_PHYS | FTW_MOUNT));
		ASSERT_EQ(0, mkdir(nu_dir, 0755));
		fd = open(nu_file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	}
	ASSERT_LE(0, fd);
	ASSERT_TRUE(fill_file(fd, 1, 0, pages));
	ASSERT_EQ(0, fsync(fd));
	return fd;
}

/* The last reference of a process that has just exited may take a while to go */
static inline int nu_umount(void)
{
	int i;

	for (i = 0; umount(nu_root); i++) {
		if (errno != EBUSY || i == 2000)
			return -1;
		usleep(10000);
	}
	return 0;
}

/* Nothing that has been mapped keeps the file, or the file system, busy. */
static inline void nu_remove(struct __test_metadata *_metadata, const struct nu_fs *fs,
			     int fd)
{
	close(fd);
	if (!fs->name)
		return;
	EXPECT_EQ(0, nftw(nu_dir, nu_remove_one, 10, FTW_DEPTH | FTW_PHYS | FTW_MOUNT));
	/* What failed has not cleaned up. There is no point in waiting for it. */
	if (!__test_passed(_metadata)) {
		umount2(nu_root, MNT_DETACH);
		return;
	}
	EXPECT_EQ(0, nu_umount());
}

static inline void nu_remove_root(void)
{
	if (getpid() == main_pid)
		rmdir(nu_root);
}

/* In main(): the directory that file systems are mounted upon */
static inline void nu_make_root(void)
{
	snprintf(nu_root, sizeof(nu_root), "/tmp/vma_nu.XXXXXX");
	if (!mkdtemp(nu_root))
		ksft_exit_fail_msg("%s: %s\n", nu_root, strerror(errno));
	atexit(nu_remove_root);
	snprintf(nu_dir, sizeof(nu_dir), "%s/test", nu_root);
	snprintf(nu_file, sizeof(nu_file), "%s/file", nu_dir);
}

/*
 * Reclaim
 */

#define CGROUP_ROOT		"/sys/fs/cgroup"

static char nu_cgroup[64], nu_old_cgroup[512];

static inline bool nu_cgroup_file(const char *dir, const char *file, const char *value)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return write_file(path, value);
}

static inline void nu_cgroup_remove(void)
{
	if (getpid() == main_pid && nu_cgroup[0])
		rmdir(nu_cgroup);
}

/* In main(): the name of a memory cgroup, which goes in the end */
static inline void nu_cgroup_name(void)
{
	snprintf(nu_cgroup, sizeof(nu_cgroup), CGROUP_ROOT "/vma_nonuniform.%d", main_pid);
	atexit(nu_cgroup_remove);
}

/*
 * Move this process to a memory cgroup of its own; memory that it has already stays
 * where it is. Returns what stands in the way, or NULL.
 */
static inline const char *nu_cgroup_enter(void)
{
	char text[1024], pid[16];
	char *line;

	if (geteuid())
		return "a cgroup needs root";
	if (!read_file(CGROUP_ROOT "/cgroup.subtree_control", text, sizeof(text)) ||
	    !strstr(text, "memory"))
		return "no cgroup2 with a memory controller in " CGROUP_ROOT;
	if (!read_file("/proc/self/cgroup", text, sizeof(text)))
		return "no /proc/self/cgroup";
	line = strstr(text, "0::");
	if (!line)
		return "this process is in no cgroup2";
	snprintf(nu_old_cgroup, sizeof(nu_old_cgroup), CGROUP_ROOT "%.*s",
		 (int)strcspn(line + 3, "\n"), line + 3);
	if (mkdir(nu_cgroup, 0755) && errno != EEXIST)
		return "no cgroup can be made";
	snprintf(pid, sizeof(pid), "%d", getpid());
	if (!nu_cgroup_file(nu_cgroup, "cgroup.procs", pid))
		return "the new cgroup cannot be entered";
	return NULL;
}

static inline void nu_cgroup_leave(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	nu_cgroup_file(nu_old_cgroup, "cgroup.procs", pid);
	rmdir(nu_cgroup);
}

/* One round of reclaim of all that the cgroup has. It need not get all of it. */
static inline void nu_reclaim(void)
{
	nu_cgroup_file(nu_cgroup, "memory.reclaim", "1G");
}

static inline bool nu_has_swap(void)
{
	unsigned long free = file_value("/proc/meminfo", NULL, "SwapFree");

	return free && free != ULONG_MAX;
}

/* Pages wait in a batch of the CPU that touched them until they can be reclaimed. */
static inline void nu_stay_on_cpu(void)
{
	int cpu = sched_getcpu();
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu < 0 ? 0 : cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

#endif /* _VMA_NONUNIFORM_H */
