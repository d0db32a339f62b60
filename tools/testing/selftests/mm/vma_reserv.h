/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of reservations (vma_reserv*.c) share beyond vma_util.h: the ABI, the
 * list that the kernel shows, and what a refused call must not change of it.
 *
 * Nothing here allocates or lets the heap move while it looks at the process.
 */
#ifndef _VMA_RESERV_H
#define _VMA_RESERV_H

#include <linux/prctl.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "vma_util.h"

#ifndef PR_RESERVATIONS
#define PR_RESERVATIONS			0x52535256
#define PR_RESERVATIONS_ENABLE		1
#define PR_RESERVATIONS_GET		2
#define PR_RESERVATIONS_ON		1UL
#define PR_RESERVATIONS_INHERIT		2UL
#define PR_RESERVATIONS_CHERI_BOUNDS	4UL
#endif

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP		4
#endif

#define ANON				(MAP_PRIVATE | MAP_ANONYMOUS)

/* A debug kernel on an emulated CPU is slow; these only bound a hang */
#define TEST_SECONDS			120
#define WALK_SECONDS			600

/*
 * The ABI
 */

static inline int reserv_enable(unsigned long flags)
{
	return prctl(PR_RESERVATIONS, PR_RESERVATIONS_ENABLE, flags, 0UL, 0UL);
}

static inline int reserv_state(void)
{
	return prctl(PR_RESERVATIONS, PR_RESERVATIONS_GET, 0UL, 0UL, 0UL);
}

/* Why there is nothing to be tested, or NULL */
static inline const char *no_reservations(void)
{
	int state = reserv_state();

	if (state > 0)
		return "reservations are on already: they were inherited";
	if (state < 0 && errno == EINVAL && access("/proc/self/reservations", F_OK))
		return "the kernel has no reservations: CONFIG_VMA_RESERVATIONS is off";
	if (access("/proc/self/smaps", R_OK))
		return "no /proc/self/smaps: CONFIG_PROC_PAGE_MONITOR is off";
	return NULL;
}

/* At the beginning of main() */
static inline void reserv_init(void)
{
	const char *obstacle = no_reservations();

	if (obstacle) {
		ksft_print_header();
		ksft_exit_skip("%s\n", obstacle);
	}
}

/*
 * What the kernel shows
 */

struct reserv {
	unsigned long start, end;
	unsigned long kb;		/* mapped */
	unsigned long nr;		/* mappings */
};

#define MAX_RESERVS	2048

struct reserv_list {
	unsigned int nr;
	struct reserv r[MAX_RESERVS];
};

/* Returns what is wrong with the text, or NULL */
static inline const char *list_parse(const char *p, struct reserv_list *list)
{
	int len;

	for (list->nr = 0; *p; list->nr++, p += len) {
		struct reserv *r = &list->r[list->nr];

		if (list->nr == MAX_RESERVS)
			return "too many reservations for this test";
		len = 0;
		if (sscanf(p, "%lx-%lx %lu kB %lu%n", &r->start, &r->end, &r->kb,
			   &r->nr, &len) != 4 || p[len++] != '\n')
			return "a line that is not 'START-END N kB N'";
		if (r->start >= r->end || r->start % page_size || r->end % page_size)
			return "not a range of pages";
		if (!r->kb || !r->nr || r->kb > (r->end - r->start) / KB)
			return "wrong size or number of mappings";
		if (list->nr && r[-1].end > r->start)
			return "two that overlap, or are not sorted";
	}
	return NULL;
}

/* As read_file(), but the list may be empty: it is where reservations are off */
static inline bool list_text(const char *file, char *buf, size_t size)
{
	errno = 0;
	return read_file(file, buf, size) || (!errno && !buf[0]);
}

static inline const char *list_read_file(const char *file, struct reserv_list *list)
{
	static char text[256 * 1024];

	if (!list_text(file, text, sizeof(text)))
		return strerror(errno);
	return list_parse(text, list);
}

static inline void list_read(struct __test_metadata *_metadata,
			     struct reserv_list *list)
{
	const char *wrong = list_read_file("/proc/self/reservations", list);

	ASSERT_EQ(NULL, wrong) TH_LOG("/proc/self/reservations: %s", wrong);
}

static inline unsigned int list_count(struct __test_metadata *_metadata)
{
	static struct reserv_list list;

	list_read(_metadata, &list);
	return list.nr;
}

/* The one that covers @addr, or NULL */
static inline const struct reserv *list_find(const struct reserv_list *list,
					     unsigned long addr)
{
	unsigned int i;

	for (i = 0; i < list->nr; i++)
		if (addr >= list->r[i].start && addr < list->r[i].end)
			return &list->r[i];
	return NULL;
}

/* By value, { 0 } if there is none */
static inline struct reserv reserv_at(struct __test_metadata *_metadata,
				      const void *addr)
{
	static struct reserv_list list;
	const struct reserv *r;

	list_read(_metadata, &list);
	r = list_find(&list, (unsigned long)addr);
	return r ? *r : (struct reserv){ 0 };
}

static inline bool reserv_equal(const struct reserv *a, const struct reserv *b)
{
	return a->start == b->start && a->end == b->end && a->kb == b->kb &&
	       a->nr == b->nr;
}

/* One mapping, as smaps has it */
struct vma {
	unsigned long start, end;
	char perms[5];
	char name[256];
	char flags[128];
	unsigned long reserv_start, reserv_end;	/* 0 if there is no such line */
};

#define MAX_VMAS	2048

struct vma_list {
	unsigned int nr;
	struct vma v[MAX_VMAS];
};

/* The vsyscall page of x86 is shown, but it is not one of the process */
static inline bool vma_is_gate(const struct vma *v)
{
	return !strcmp(v->name, "[vsyscall]");
}

/* smaps or maps. Returns what is wrong with it, or NULL */
static inline const char *vmas_parse(char *text, struct vma_list *list)
{
	struct vma new, *v = NULL;
	char *line, *next;

	list->nr = 0;
	for (line = text; *line; line = next) {
		next = strchrnul(line, '\n');
		if (*next)
			*next++ = '\0';
		memset(&new, 0, sizeof(new));
		if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %255[^\n]", &new.start,
			   &new.end, new.perms, new.name) >= 3) {
			if (list->nr == MAX_VMAS)
				return "too many mappings for this test";
			v = &list->v[list->nr++];
			*v = new;
		} else if (!v) {
			return "it does not begin with a mapping";
		} else if (!strncmp(line, "VmFlags:", 8)) {
			snprintf(v->flags, sizeof(v->flags), "%s", line + 8);
		} else if (!strncmp(line, "Reservation:", 12) &&
			   sscanf(line + 12, " %lx-%lx", &v->reserv_start,
				  &v->reserv_end) != 2) {
			return "a line 'Reservation:' without a range";
		}
	}
	return list->nr ? NULL : "it is empty";
}

static char smaps_text[1024 * 1024];

static inline void vmas_read(struct __test_metadata *_metadata, struct vma_list *list)
{
	const char *wrong;

	ASSERT_TRUE(read_file("/proc/self/smaps", smaps_text, sizeof(smaps_text)));
	wrong = vmas_parse(smaps_text, list);
	ASSERT_EQ(NULL, wrong) TH_LOG("/proc/self/smaps: %s", wrong);
}

static inline const struct vma *vmas_find(const struct vma_list *list,
					  unsigned long addr)
{
	unsigned int i;

	for (i = 0; i < list->nr; i++)
		if (addr >= list->v[i].start && addr < list->v[i].end)
			return &list->v[i];
	return NULL;
}

/*
 * Every mapping is in a reservation, smaps says so too, and each reservation has as
 * much and as many as it claims. Returns what is wrong, or NULL; @at is where.
 */
static inline const char *lists_agree(const struct reserv_list *list,
				      const struct vma_list *vmas, bool smaps,
				      unsigned long *at)
{
	unsigned long bytes = 0, nr = 0, total = 0;
	const struct reserv *r;
	unsigned int i, j;

	for (i = 0; i < vmas->nr; i++) {
		const struct vma *v = &vmas->v[i];

		*at = v->start;
		if (vma_is_gate(v))
			continue;
		total++;
		r = list_find(list, v->start);
		if (!r || v->end > r->end)
			return "a mapping that is not in one reservation";
		if (smaps && (v->reserv_start != r->start || v->reserv_end != r->end))
			return "smaps and the list do not agree";
	}
	for (i = 0; i < list->nr; i++) {
		r = &list->r[i];
		*at = r->start;
		for (j = bytes = nr = 0; j < vmas->nr; j++) {
			const struct vma *v = &vmas->v[j];

			if (vma_is_gate(v) || v->start < r->start || v->end > r->end)
				continue;
			bytes += v->end - v->start;
			nr++;
		}
		if (bytes != r->kb * KB || nr != r->nr)
			return "a wrong size or number of mappings";
		total -= nr;
	}
	return total ? "a mapping in two reservations" : NULL;
}

static inline void check_lists(struct __test_metadata *_metadata)
{
	static struct reserv_list list;
	static struct vma_list vmas;
	unsigned long at = 0;
	const char *wrong;

	list_read(_metadata, &list);
	vmas_read(_metadata, &vmas);
	wrong = lists_agree(&list, &vmas, true, &at);
	EXPECT_EQ(NULL, wrong) TH_LOG("%#lx: %s", at, wrong);
}

/* The reservation at @p, which is mapped, begins at @start and has @len bytes */
static inline bool is_reserv(struct __test_metadata *_metadata, const void *p,
			     const void *start, size_t len)
{
	struct reserv r = reserv_at(_metadata, p);
	static struct vma_list vmas;
	const struct vma *v;

	vmas_read(_metadata, &vmas);
	v = vmas_find(&vmas, (unsigned long)p);
	if (v && r.start == (unsigned long)start && r.end == r.start + len &&
	    v->reserv_start == r.start && v->reserv_end == r.end)
		return true;
	TH_LOG("%p is %smapped, in %lx-%lx, smaps: %lx-%lx, not in %p and %#zx bytes",
	       p, v ? "" : "not ", r.start, r.end, v ? v->reserv_start : 0,
	       v ? v->reserv_end : 0, start, len);
	return false;
}

#define EXPECT_RESERV(p, start, len)					\
	EXPECT_TRUE(is_reserv(_metadata, p, start, len))

#define EXPECT_NO_RESERV(p)	EXPECT_EQ(0UL, reserv_at(_metadata, p).start)

#define EXPECT_ERRNO(error, call) do {					\
	EXPECT_EQ(-1, (long)(call));					\
	EXPECT_EQ(error, errno) TH_LOG("%s", strerror(errno));		\
} while (0)

/*
 * All on a picture of the address space, and what there is to be seen of reservations.
 */
struct reserv_snapshot {
	struct snapshot mm;
	char list[2 * PROC_FILE_SIZE];
	char smaps[PROC_FILE_SIZE];	/* the line 'Reservation:' of each mapping */
	unsigned long stack;
	int state;
};

static inline void reserv_snapshot(struct __test_metadata *_metadata,
				   struct reserv_snapshot *s)
{
	static struct vma_list vmas;
	size_t len = 0;
	unsigned int i;

	snapshot(_metadata, &s->mm);
	snapshot_flags(_metadata, &s->mm);
	ASSERT_TRUE(list_text("/proc/self/reservations", s->list, sizeof(s->list)));
	vmas_read(_metadata, &vmas);
	for (i = 0; i < vmas.nr; i++) {
		const struct vma *v = &vmas.v[i];

		len += snprintf(s->smaps + len, sizeof(s->smaps) - len,
				"%lx-%lx in %lx-%lx\n", v->start, v->end,
				v->reserv_start, v->reserv_end);
		ASSERT_GT(sizeof(s->smaps), len);
	}
	s->stack = file_value("/proc/self/status", NULL, "VmStk");
	s->state = reserv_state();
}

static inline void check_reserv_snapshot(struct __test_metadata *_metadata,
					 const struct reserv_snapshot *before)
{
	static struct reserv_snapshot now;

	check_snapshot(_metadata, &before->mm);
	reserv_snapshot(_metadata, &now);
	check_lines(_metadata, before->list, now.list);
	check_lines(_metadata, before->smaps, now.smaps);
	EXPECT_EQ(before->stack, now.stack);
	EXPECT_EQ(before->state, now.state);
}

/*
 * The stack must not grow between two snapshots: let it do so now.
 */
static inline void stack_pregrow(void)
{
	char room[256 * 1024];
	size_t i;

	for (i = 0; i < sizeof(room); i += 1024)
		__atomic_store_n(&room[i], 0, __ATOMIC_RELAXED);
}

/*
 * Mappings
 */

static inline char *map_at(void *addr, unsigned int pages, int prot, int flags)
{
	return map(addr, pages, prot, flags, -1, 0);
}

/*
 * An address with many free pages on both sides, so that mappings that come by
 * themselves, such as those of the C library, are never next to it.
 */
static inline char *free_space(struct __test_metadata *_metadata)
{
	char *p = mmap(NULL, 128 * MB, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, munmap(p, 128 * MB));
	return p + 64 * MB;
}

/* Maps @pages pages at exactly @addr, where nothing is */
static inline void map_new(struct __test_metadata *_metadata, char *addr,
			   unsigned int pages, int prot)
{
	char *p = map_at(addr, pages, prot, ANON | MAP_FIXED_NOREPLACE);

	ASSERT_EQ((void *)addr, (void *)p) TH_LOG("mmap: %s", strerror(errno));
}

/* Returns 0 or the signal that a write to @addr is answered with, -1 without a child */
static inline int touch_in_child(void *addr)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		probe_init();
		_exit(probe_write(addr, 1));
	}
	status = wait_status(pid);
	if (status == -1)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
}

#endif /* _VMA_RESERV_H */
