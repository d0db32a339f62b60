// SPDX-License-Identifier: GPL-2.0
/*
 * A nonuniform mapping while everything happens to it at the same time: threads that
 * remap and protect its pages, others that access them, and others that reclaim, migrate,
 * truncate, extend and write back the file, fork, and read /proc.
 *
 * For each page there is a record of what it maps and what may be done there. Whoever
 * changes a page locks its record, says in it what the page was and what it will be, and
 * only then makes the call. Whoever accesses a page looks at the record before and after:
 *
 *	not locked, and the same	it must be exactly what the record says
 *	locked, and the same		it must be one of both
 *	not the same			it must be some page of the file, if any
 *
 * The first pages of the file are always there. Of each of them, each thread writes one
 * word, and only that thread, which therefore knows what must be there. The other pages
 * come and go; they have the right content, or none, or cannot be accessed.
 *
 * VMA_SOAK_SECONDS in the environment is how long it takes (60), VMA_SOAK_SEED where
 * random numbers begin. It is done on a memfd and on such disks of vma_fs as there are,
 * which share the time.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>
#include "vma_nonuniform.h"

#define fallthrough		__attribute__((__fallthrough__))

#define SECONDS_VARIABLE	"VMA_SOAK_SECONDS"
#define SEED_VARIABLE		"VMA_SOAK_SEED"
#define SOAK_SECONDS		60

/* Only bounds a hang: how long it takes is for the environment to say. */
#define SOAK_TIMEOUT		(4 * 3600)

/* Of the file: those that stay, and all */
#define STABLE			96U
#define FILE_PAGES		160U

/*
 * Of the mapping: the first ones map only what stays. Nobody can tell what there is to
 * execute in the others.
 */
#define STABLE_SLOTS		128U
#define SLOTS			224U

/* So many pages are changed by one call at most. */
#define MAX_RANGE		12U

/* How long a child looks at its copy, and how many pages others look at in one round */
#define CHILD_ROUNDS		400U

/*
 * The records
 */

/* struct slot - one page of the mapping */
struct slot {
	atomic_uint seq;		/* odd: locked */
	atomic_ulong old;		/* as state_of() makes them */
	atomic_ulong new;
	unsigned long unused;		/* none is in two pages of memory */
};

/* They are private memory: a child has them as they were when it got its mapping. */
static alignas(sizeof(struct slot)) struct slot slots[SLOTS];

static uint64_t state_of(unsigned int file, int prot)
{
	return (uint64_t)file << 8 | prot;
}

static unsigned int state_file(uint64_t state)
{
	return state >> 8;
}

static int state_prot(uint64_t state)
{
	return state & PROT_ALL;
}

static bool lock_slot(struct slot *slot)
{
	unsigned int seq = atomic_load(&slot->seq);

	return !(seq & 1) && atomic_compare_exchange_strong(&slot->seq, &seq, seq + 1);
}

static void unlock_slot(struct slot *slot)
{
	atomic_store(&slot->old, atomic_load(&slot->new));
	atomic_fetch_add(&slot->seq, 1);
}

static void unlock_range(unsigned int first, unsigned int nr)
{
	unsigned int i;

	for (i = first; i < first + nr; i++)
		unlock_slot(&slots[i]);
}

/* All or nothing; nobody waits */
static bool lock_range(unsigned int first, unsigned int nr)
{
	unsigned int i;

	for (i = first; i < first + nr; i++) {
		if (!lock_slot(&slots[i])) {
			unlock_range(first, i - first);
			return false;
		}
	}
	return true;
}

/*
 * The threads
 */

#define NR_MUTATORS		2U
#define NR_CHECKERS		3U
#define NR_WORKERS		(NR_MUTATORS + NR_CHECKERS + 7)

/* In a file page, that of a thread */
#define WORKER_WORD(id)		(CODE_WORDS + (id))

struct worker {
	void (*round)(struct worker *w);
	const char *name;
	unsigned int id;
	uint32_t random;
	unsigned long rounds;
	unsigned long exact, between, lost;	/* accesses, by how much was known */
	unsigned long granted, denied, gone;	/* and by what became of them */
	unsigned int last[STABLE];		/* generation of what it wrote last */
	pthread_t thread;
};

/* Shared with children */
struct soak {
	atomic_bool stop;
	atomic_int wrong;
	char what[512];
};

static struct soak *soak;
static struct worker workers[NR_WORKERS];
static char *mapping;
static int file_fd;
static bool has_cgroup;

/* What an ordinary mapping with a protection allows */
static bool cpu_allows[NR_PROTS][NR_ACCESSES];
static bool gup_allows[NR_PROTS][2];

static uint32_t below(struct worker *w, uint32_t limit)
{
	return next_random(&w->random) % limit;
}

/* Remember the first thing that is wrong, and stop. */
static __printf(2, 3) void wrong(struct worker *w, const char *format, ...)
{
	int none = 0, len;
	va_list args;

	if (!atomic_compare_exchange_strong(&soak->wrong, &none, 1))
		return;
	va_start(args, format);
	len = snprintf(soak->what, sizeof(soak->what), "%s %u, round %lu: ", w->name, w->id,
		       w->rounds);
	vsnprintf(soak->what + len, sizeof(soak->what) - len, format, args);
	va_end(args);
	atomic_store(&soak->stop, true);
}

static char *slot_page(unsigned int slot)
{
	return mapping + slot * page_size;
}

/* Something other than PROT_EXEC alone where that is a VMA of its own */
static int random_prot(struct worker *w)
{
	int prot = below(w, NR_PROTS);

	return prot == PROT_EXEC && nu_exec_only ? PROT_READ | PROT_EXEC : prot;
}

/*
 * Access
 */

enum kind { READ, WRITE, EXEC, GUP_READ, GUP_WRITE, NR_KINDS };

static const char * const kind_names[] = {
	"read", "write", "execute", "process_vm_readv", "process_vm_writev",
};

static bool allows(int prot, enum kind kind)
{
	return kind < GUP_READ ? cpu_allows[prot][kind] : gup_allows[prot][kind - GUP_READ];
}

static int gup_read(char *p, uint64_t *value)
{
	struct iovec local = { value, sizeof(*value) }, remote = { p, sizeof(*value) };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == sizeof(*value) ?
	       0 : errno;
}

/* Writes nothing, which needs permission for a whole page all the same */
static int gup_write(char *p, uint64_t value)
{
	struct iovec local = { &value, sizeof(value) }, remote = { p, sizeof(value) };

	return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == sizeof(value) ?
	       0 : errno;
}

/* A word, and how it was accessed */
struct look {
	enum kind kind;
	unsigned int slot, word;
	struct nu_outcome o;		/* sig is an errno for what the kernel does */
};

static void try_access(struct look *l)
{
	char *page = slot_page(l->slot);

	if (l->kind == GUP_READ) {
		l->o = (struct nu_outcome){ 0 };
		l->o.sig = gup_read(page + l->word * sizeof(uint64_t), &l->o.value);
	} else {
		l->o = nu_try(page, l->word, (enum nu_access)l->kind);
	}
}

static bool is_word_of(uint64_t value, unsigned int file, unsigned int word)
{
	return (value & ((1ULL << GENERATION_SHIFT) - 1)) == word_of(0, file, word);
}

/* Is that what is to be found there? @id knows what it has written itself. */
static bool data_right(struct worker *w, const struct look *l, unsigned int file)
{
	uint64_t value = l->o.value;

	if (l->kind == EXEC)
		return value == code_result(1, file);
	if (file >= STABLE)
		return !value || is_word_of(value, file, l->word);
	if (!is_word_of(value, file, l->word))
		return false;
	if (l->word == WORKER_WORD(w->id))
		return value >> GENERATION_SHIFT == w->last[file];
	return l->word < WORKER_WORD(NR_WORKERS) || value >> GENERATION_SHIFT == 1;
}

static bool signal_right(const struct look *l, int sig, int code)
{
	if (l->kind >= GUP_READ)
		return l->o.sig == EFAULT;
	return l->o.sig == sig && l->o.code == code && !l->o.at;
}

/* Could that happen to a page in this state? */
static bool outcome_right(struct worker *w, const struct look *l, uint64_t state)
{
	unsigned int file = state_file(state);

	bool gone = file >= STABLE && signal_right(l, SIGBUS, BUS_ADRERR);

	if (!allows(state_prot(state), l->kind))
		return signal_right(l, SIGSEGV, SEGV_ACCERR) ||
		       (NU_READS_FIRST && l->kind == WRITE && gone &&
			allows(state_prot(state), READ));
	return l->o.sig ? gone : data_right(w, l, file);
}

/* Nothing is known but that it must be something that there is */
static bool outcome_possible(const struct look *l)
{
	if (l->kind == EXEC || l->o.sig)
		return true;
	return !l->o.value || (page_of(l->o.value) < FILE_PAGES &&
			       is_word_of(l->o.value, page_of(l->o.value), l->word));
}

static void count_outcome(struct worker *w, const struct look *l)
{
	if (!l->o.sig)
		w->granted++;
	else if (l->o.sig == SIGBUS)
		w->gone++;
	else
		w->denied++;
}

static void blame(struct worker *w, const struct look *l, unsigned int seq, uint64_t old,
		  uint64_t new)
{
	wrong(w, "page %u, %s of word %u: %d/%d at %+ld, %#llx; record %u: %u %s, then %u %s",
	      l->slot, kind_names[l->kind], l->word, l->o.sig, l->o.code, l->o.at,
	      (unsigned long long)l->o.value, seq, state_file(old),
	      nu_prot_name(state_prot(old)), state_file(new), nu_prot_name(state_prot(new)));
}

/* Access one page in one way, whatever happens to it */
static void check_one(struct worker *w, unsigned int slot)
{
	struct slot *s = &slots[slot];
	struct look l = { .slot = slot, .kind = below(w, GUP_WRITE) };
	unsigned int seq = atomic_load(&s->seq);
	uint64_t old = atomic_load(&s->old), new = atomic_load(&s->new), later;

	if (l.kind == EXEC && (slot >= STABLE_SLOTS || !HAS_CODE))
		l.kind = READ;
	l.word = below(w, 3) ? WORKER_WORD(below(w, 2) ? w->id : below(w, NR_WORKERS)) :
			       CODE_WORDS + below(w, page_words() - CODE_WORDS);
	if (atomic_load(&s->seq) != seq)
		return;
	try_access(&l);
	count_outcome(w, &l);
	/* Who has locked it may have been just about to say what it will be. */
	later = atomic_load(&s->new);
	if (atomic_load(&s->seq) != seq) {
		w->lost++;
		if (!outcome_possible(&l))
			blame(w, &l, seq, old, new);
	} else if (seq & 1) {
		w->between++;
		if (!outcome_right(w, &l, old) && !outcome_right(w, &l, new) &&
		    !outcome_right(w, &l, later))
			blame(w, &l, seq, old, later);
	} else {
		w->exact++;
		if (!outcome_right(w, &l, old))
			blame(w, &l, seq, old, old);
	}
}

/*
 * Write the thread's own word. It must be known which page that is written to, so the
 * record is locked; this keeps others from changing the page, but not from reclaiming it.
 */
static void write_one(struct worker *w, unsigned int slot)
{
	struct slot *s = &slots[slot];
	struct look l = { .slot = slot, .word = WORKER_WORD(w->id) };
	unsigned int file, generation;
	char *p = slot_page(slot) + l.word * sizeof(uint64_t);
	uint64_t state;

	if (!lock_slot(s))
		return;
	state = atomic_load(&s->old);
	file = state_file(state);
	generation = file < STABLE ? w->last[file] + 1 : 2;
	generation &= (1U << (64 - GENERATION_SHIFT)) - 1;
	l.kind = below(w, 4) ? WRITE : GUP_WRITE;
	if (l.kind == WRITE) {
		l.o.sig = probe_write(p, word_of(generation, file, l.word));
		l.o.code = l.o.sig ? nu_fault_code : 0;
		l.o.at = l.o.sig ? nu_fault_addr - p : 0;
	} else {
		l.o.sig = gup_write(p, word_of(generation, file, l.word));
	}
	count_outcome(w, &l);
	if (!l.o.sig && file < STABLE)
		w->last[file] = generation;
	l.o.value = word_of(generation, file, l.word);
	if (!outcome_right(w, &l, state))
		blame(w, &l, 0, state, state);
	w->exact++;
	unlock_slot(s);
}

static void round_check(struct worker *w)
{
	unsigned int slot = below(w, SLOTS);

	if (below(w, 4))
		check_one(w, slot);
	else
		write_one(w, slot);
}

/*
 * Change
 */

static void set_states(unsigned int first, unsigned int nr, unsigned int file, int prot)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		atomic_store(&slots[first + i].new, state_of(file + i, prot));
}

static void set_prots(unsigned int first, unsigned int nr, int prot)
{
	unsigned int i;

	for (i = first; i < first + nr; i++)
		atomic_store(&slots[i].new,
			     state_of(state_file(atomic_load(&slots[i].old)), prot));
}

/* What was going to be is not. */
static void reset_states(unsigned int first, unsigned int nr)
{
	unsigned int i;

	for (i = first; i < first + nr; i++)
		atomic_store(&slots[i].new, atomic_load(&slots[i].old));
}

static bool same_prot(unsigned int first, unsigned int nr)
{
	unsigned int i;

	for (i = first + 1; i < first + nr; i++)
		if (state_prot(atomic_load(&slots[i].old)) !=
		    state_prot(atomic_load(&slots[first].old)))
			return false;
	return true;
}

/* Pages of the file that this part of the mapping may have */
static unsigned int random_file(struct worker *w, unsigned int first, unsigned int nr)
{
	return below(w, (first < STABLE_SLOTS ? STABLE : FILE_PAGES) - nr + 1);
}

/* The range is locked. */
static void change_range(struct worker *w, unsigned int first, unsigned int nr)
{
	unsigned int file = random_file(w, first, nr), what = below(w, 8);
	int flags = below(w, 2) ? MAP_NONBLOCK : 0, prot = random_prot(w), want = 0, ret;
	char *p = slot_page(first);

	switch (what) {
	case 0:
		/* Without a protection: as it is, if that is one */
		prot = state_prot(atomic_load(&slots[first].old));
		if (same_prot(first, nr))
			set_states(first, nr, file, prot);
		else
			want = EINVAL;
		ret = nu_remap(file_fd, p, nr * page_size, 0, file, flags);
		break;
	case 1:
	case 2:
		set_prots(first, nr, prot);
		ret = mprotect(p, nr * page_size, prot);
		break;
	case 3:
		/* The one with the same offset, or one that goes on where the last ends */
		file = state_file(atomic_load(&slots[first].old));
		if (file + nr > (first < STABLE_SLOTS ? STABLE : FILE_PAGES))
			file = 0;
		fallthrough;
	default:
		set_states(first, nr, file, prot);
		ret = nu_remap(file_fd, p, nr * page_size, prot, file, flags | MAP_NOINHERIT);
		break;
	}
	ret = ret ? errno : 0;
	if (ret)
		reset_states(first, nr);
	if (ret != want)
		wrong(w, "change %u of pages %u to %u to file page %u %s: %s", what, first,
		      first + nr - 1, file, nu_prot_name(prot), strerror(ret));
}

static void round_mutate(struct worker *w)
{
	unsigned int nr = below(w, 3) ? 1 : 1 + below(w, MAX_RANGE);
	bool stable = below(w, 2);
	unsigned int first = stable ? below(w, STABLE_SLOTS - nr + 1) :
			     STABLE_SLOTS + below(w, SLOTS - STABLE_SLOTS - nr + 1);

	/* Now and then, all of it */
	if (!below(w, 200) && lock_range(0, SLOTS)) {
		int prot = random_prot(w);

		set_prots(0, SLOTS, prot);
		if (mprotect(mapping, SLOTS * page_size, prot)) {
			reset_states(0, SLOTS);
			wrong(w, "mprotect of all: %s", strerror(errno));
		}
		unlock_range(0, SLOTS);
		return;
	}
	if (!lock_range(first, nr))
		return;
	change_range(w, first, nr);
	unlock_range(first, nr);
}

/*
 * What must make no difference
 */

static void round_reclaim(struct worker *w)
{
	static const int advices[] = {
		MADV_PAGEOUT, MADV_PAGEOUT, MADV_COLD, MADV_DONTNEED, MADV_WILLNEED,
	};
	unsigned int first = below(w, SLOTS), nr = 1 + below(w, SLOTS - first);

	if (has_cgroup && !below(w, 8))
		nu_cgroup_file(nu_cgroup, "memory.reclaim", "256K");
	else
		madvise(slot_page(first), nr * page_size, advices[below(w, ARRAY_SIZE(advices))]);
	usleep(500);
}

static void round_migrate(struct worker *w)
{
	int nodes[16], status[16];
	void *pages[16];
	unsigned int i;

	if (access("/sys/devices/system/node/node1", F_OK)) {
		/* All of memory, which takes a while: not all the time */
		write_file("/proc/sys/vm/compact_memory", "1");
		for (i = 0; i < 20 && !atomic_load(&soak->stop); i++)
			usleep(50000);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		pages[i] = slot_page(below(w, SLOTS));
		nodes[i] = below(w, 2);
	}
	/* MPOL_MF_MOVE_ALL, as most pages are mapped several times */
	syscall(SYS_move_pages, 0, ARRAY_SIZE(pages), pages, nodes, status, 4);
	usleep(200);
}

static void round_write_back(struct worker *w)
{
	unsigned int first = below(w, SLOTS), nr = 1 + below(w, SLOTS - first);

	switch (below(w, 3)) {
	case 0:
		msync(slot_page(first), nr * page_size, MS_SYNC);
		break;
	case 1:
		fsync(file_fd);
		break;
	default:
		sync_file_range(file_fd, 0, 0, SYNC_FILE_RANGE_WRITE);
		break;
	}
	usleep(1000);
}

/*
 * The end of the file comes and goes. Nobody else changes the size. It is filled by way
 * of an ordinary mapping, as write() might be seen when it has written half a word.
 */
static void round_truncate(struct worker *w)
{
	unsigned int size = STABLE + below(w, FILE_PAGES - STABLE + 1), i;
	unsigned int page = STABLE + below(w, FILE_PAGES - STABLE);
	char *p;

	if (below(w, 3)) {
		if (ftruncate(file_fd, size * page_size))
			wrong(w, "ftruncate: %s", strerror(errno));
		usleep(below(w, 1000));
		if (ftruncate(file_fd, FILE_PAGES * page_size))
			wrong(w, "ftruncate: %s", strerror(errno));
	} else {
		fallocate(file_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  page * page_size, (1 + below(w, FILE_PAGES - page)) * page_size);
	}
	p = map(NULL, FILE_PAGES - STABLE, RW, MAP_SHARED, file_fd, STABLE);
	if (p == MAP_FAILED) {
		wrong(w, "mmap: %s", strerror(errno));
		return;
	}
	for (i = STABLE; i < FILE_PAGES; i++) {
		uint64_t *word = (uint64_t *)(p + (i - STABLE) * page_size);
		unsigned int j;

		if (below(w, 4))
			continue;
		for (j = CODE_WORDS; j < page_words(); j++)
			__atomic_store_n(&word[j], word_of(1 + w->rounds % 99, i, j),
					 __ATOMIC_RELAXED);
	}
	unmap(p, FILE_PAGES - STABLE);
}

/* A mapping of its own, which nobody else changes, comes and goes. */
static void round_build(struct worker *w)
{
	struct nu_page page[16];
	struct nu_outcome o;
	unsigned int i, nr = 1 + below(w, ARRAY_SIZE(page)), base = below(w, STABLE - nr);
	char *p = map(NULL, nr, PROT_READ, MAP_SHARED, file_fd, base), *q;

	if (p == MAP_FAILED) {
		wrong(w, "mmap: %s", strerror(errno));
		return;
	}
	for (i = 0; i < nr; i++)
		page[i] = (struct nu_page){ .file = base + i, .prot = PROT_READ };
	for (i = 0; i < 2 * nr; i++) {
		unsigned int slot = below(w, nr);

		page[slot].file = below(w, STABLE);
		page[slot].prot = random_prot(w);
		if (nu_remap(file_fd, p + slot * page_size, page_size, page[slot].prot,
			     page[slot].file, MAP_NOINHERIT | (i % 2 ? MAP_NONBLOCK : 0)))
			wrong(w, "remap: %s", strerror(errno));
	}
	if (!nu_split_obstacle() && below(w, 2)) {
		q = mremap(p, nr * page_size, (nr + 20) * page_size, MREMAP_MAYMOVE);
		if (q == MAP_FAILED)
			wrong(w, "mremap: %s", strerror(errno));
		else if (munmap(q + nr * page_size, 20 * page_size))
			wrong(w, "munmap: %s", strerror(errno));
		else
			p = q;
	}
	for (i = 0; i < nr; i++) {
		o = nu_try(p + i * page_size, page_words() - 1, NU_READ);
		if (o.sig ? cpu_allows[page[i].prot][NU_READ] :
			    !cpu_allows[page[i].prot][NU_READ] ||
			    o.value != word_of(1, page[i].file, page_words() - 1))
			wrong(w, "page %u of %u, file page %u %s: signal %d, %#llx", i, nr,
			      page[i].file, nu_prot_name(page[i].prot), o.sig,
			      (unsigned long long)o.value);
	}
	unmap(p, nr);
}

/* What /proc says of pages that stay the same while it is read */
static void round_proc(struct worker *w)
{
	static struct nu_extent extents[2 * SLOTS];
	static unsigned int seqs[SLOTS];
	static unsigned char vec[SLOTS];
	static uint64_t states[SLOTS];
	unsigned int i;
	int nr, j;

	for (i = 0; i < SLOTS; i++) {
		seqs[i] = atomic_load(&slots[i].seq);
		states[i] = atomic_load(&slots[i].old);
	}
	nr = nu_by_mmap ? 0 : nu_extents("/proc/self/nonuniform", mapping, SLOTS, extents,
					 ARRAY_SIZE(extents));
	if (nr < 0)
		wrong(w, "/proc/self/nonuniform makes no sense");
	for (j = 0; j < nr; j++) {
		unsigned long at = extents[j].start;

		for (; at < extents[j].end; at += page_size) {
			unsigned int file = (extents[j].offset + at - extents[j].start) /
					    page_size;

			i = (at - (unsigned long)mapping) / page_size;
			if (i >= SLOTS || seqs[i] & 1 || atomic_load(&slots[i].seq) != seqs[i])
				continue;
			w->exact++;
			if (states[i] != state_of(file, extents[j].prot))
				wrong(w, "/proc/self/nonuniform, page %u: %u %s, not %u %s", i,
				      file, nu_prot_name(extents[j].prot),
				      state_file(states[i]),
				      nu_prot_name(state_prot(states[i])));
		}
	}
	/* These have to survive. */
	read_file("/proc/self/smaps", nu_text, sizeof(nu_text));
	read_file("/proc/self/numa_maps", nu_text, sizeof(nu_text));
	pagemap_count(mapping, SLOTS, PM_PRESENT, PM_PRESENT);
	if (mincore(mapping, SLOTS * page_size, vec))
		wrong(w, "mincore: %s", strerror(errno));
	usleep(5000);
}

/*
 * A child has a copy, and of the records, too. It looks at that, changes it, moves it and
 * takes it apart. None of that is to be noticed here.
 */
static void child(struct worker *w)
{
	unsigned int i;
	char *p;

	w->name = "child";
	for (i = 0; i < CHILD_ROUNDS && !atomic_load(&soak->stop); i++)
		check_one(w, below(w, SLOTS));
	/* What was locked is now nobody's, and it is not known which of both it is. */
	for (i = 0; i < SLOTS; i++) {
		if (!(atomic_load(&slots[i].seq) & 1))
			continue;
		set_states(i, 1, random_file(w, i, 1), random_prot(w));
		if (nu_remap(file_fd, slot_page(i), page_size,
			     state_prot(atomic_load(&slots[i].new)),
			     state_file(atomic_load(&slots[i].new)),
			     MAP_NOINHERIT | MAP_NONBLOCK))
			wrong(w, "remap: %s", strerror(errno));
		unlock_slot(&slots[i]);
	}
	for (i = 0; i < CHILD_ROUNDS && !atomic_load(&soak->stop); i++) {
		if (i % 8 == 0)
			round_mutate(w);
		check_one(w, below(w, SLOTS));
	}
	if (!nu_split_obstacle()) {
		p = mremap(mapping, SLOTS * page_size, SLOTS * page_size, MREMAP_MAYMOVE |
			   (below(w, 2) ? MREMAP_DONTUNMAP : 0), NULL);
		if (p == MAP_FAILED)
			wrong(w, "mremap: %s", strerror(errno));
		else
			mapping = p;
	}
	/* A hole, which nobody looks at any more */
	munmap(slot_page(STABLE_SLOTS / 2), STABLE_SLOTS / 2 * page_size);
	for (i = 0; i < CHILD_ROUNDS && !atomic_load(&soak->stop); i++)
		check_one(w, i % 2 ? below(w, STABLE_SLOTS / 2) :
				     STABLE_SLOTS + below(w, SLOTS - STABLE_SLOTS));
	_exit(0);
}

static void round_fork(struct worker *w)
{
	pid_t pid = fork();
	int status;

	if (pid < 0) {
		wrong(w, "fork: %s", strerror(errno));
		return;
	}
	if (!pid)
		child(w);
	status = wait_status(pid);
	if (status)
		wrong(w, "the child has ended with status %#x", status);
	usleep(1000);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&soak->stop)) {
		w->rounds++;
		w->round(w);
	}
	return NULL;
}

/*
 * The test
 */

FIXTURE(soak)
{
	int fd;
};

FIXTURE_VARIANT(soak)
{
	const struct nu_fs *fs;
};

FIXTURE_VARIANT_ADD(soak, memfd)
{
	.fs = &nu_memfd,
};

FIXTURE_VARIANT_ADD(soak, ext4)
{
	.fs = &nu_ext4,
};

FIXTURE_VARIANT_ADD(soak, xfs)
{
	.fs = &nu_xfs,
};

FIXTURE_VARIANT_ADD(soak, btrfs)
{
	.fs = &nu_btrfs,
};

static unsigned int env_number(const char *name, unsigned int otherwise)
{
	const char *value = getenv(name);

	return value && strtoul(value, NULL, 0) ? strtoul(value, NULL, 0) : otherwise;
}

/* How many file systems share the time; set by main() */
static unsigned int nr_file_systems;

FIXTURE_SETUP(soak)
{
	const char *reason;

	nu_probe_init();
	reason = nu_obstacle() ?: nu_fs_obstacle(variant->fs);
	if (reason)
		SKIP(return, "%s", reason);
	reason = nu_cgroup_enter();
	has_cgroup = !reason;
	if (reason)
		TH_LOG("without reclaim of all memory: %s", reason);
	self->fd = nu_create(_metadata, variant->fs, FILE_PAGES);
}

FIXTURE_TEARDOWN(soak)
{
	nu_remove(_metadata, variant->fs, self->fd);
	if (has_cgroup)
		nu_cgroup_leave();
}

/* What protections mean: from ordinary mappings */
static void learn(struct __test_metadata *_metadata, int fd)
{
	enum nu_access a;
	uint64_t value;
	int prot;

	for (prot = 0; prot < NR_PROTS; prot++) {
		char *p = map(NULL, 1, prot, MAP_SHARED, fd, 0);

		ASSERT_NE(MAP_FAILED, (void *)p);
		for (a = 0; a < NR_ACCESSES; a++)
			cpu_allows[prot][a] = !nu_try(p, CODE_WORDS, a).sig;
		gup_allows[prot][0] = !gup_read(p + CODE_WORDS * sizeof(value), &value);
		gup_allows[prot][1] = !gup_write(p + CODE_WORDS * sizeof(value),
						 word_of(1, 0, CODE_WORDS));
		EXPECT_EQ(0, unmap(p, 1));
	}
}

static void start(struct __test_metadata *_metadata, uint32_t seed)
{
	static const struct {
		void (*round)(struct worker *w);
		const char *name;
		unsigned int nr;
	} roles[] = {
		{ round_mutate, "mutator", NR_MUTATORS },
		{ round_check, "checker", NR_CHECKERS },
		{ round_reclaim, "reclaim", 1 },
		{ round_migrate, "migrate", 1 },
		{ round_write_back, "write back", 1 },
		{ round_truncate, "truncate", 1 },
		{ round_build, "build", 1 },
		{ round_proc, "proc", 1 },
		{ round_fork, "fork", 1 },
	};
	unsigned int i, j, k, id = 0;

	for (i = 0; i < ARRAY_SIZE(roles); i++) {
		for (j = 0; j < roles[i].nr; j++, id++) {
			struct worker *w = &workers[id];

			ASSERT_GT(NR_WORKERS, id);
			*w = (struct worker){
				.round = roles[i].round, .name = roles[i].name, .id = id,
				.random = seed + 7919 * (id + 1),
			};
			if (!w->random)
				w->random = 1;
			for (k = 0; k < STABLE; k++)
				w->last[k] = 1;
		}
	}
	ASSERT_EQ(NR_WORKERS, id);
	for (i = 0; i < NR_WORKERS; i++)
		ASSERT_EQ(0, pthread_create(&workers[i].thread, NULL, work, &workers[i]));
}

/* Each word that somebody has written, by read() */
static void check_file(struct __test_metadata *_metadata, int fd)
{
	unsigned int i, page, word;

	for (page = 0; page < STABLE; page++) {
		for (i = 0; i < NR_WORKERS; i++) {
			word = WORKER_WORD(i);
			EXPECT_EQ(word_of(workers[i].last[page], page, word),
				  file_word(fd, page, word))
				TH_LOG("page %u, word of %s %u", page, workers[i].name, i);
		}
		EXPECT_EQ(word_of(1, page, page_words() - 1),
			  file_word(fd, page, page_words() - 1)) TH_LOG("page %u", page);
	}
}

/* Every page once more, now that it is quiet */
static void check_slots(struct __test_metadata *_metadata)
{
	struct nu_map m = { .nr = 1, .fd = file_fd };
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		uint64_t state = atomic_load(&slots[i].old);

		m.p = slot_page(i);
		nu_expect(&m, 0, 1, state_file(state), state_prot(state));
		/* There is no code in a page that has been gone. */
		if (state_file(state) < STABLE)
			nu_check(_metadata, &m);
	}
	if (!nu_split_obstacle())
		EXPECT_EQ(1U, count_vmas(mapping, SLOTS));
}

static void report(struct __test_metadata *_metadata)
{
	unsigned long exact = 0, granted = 0, denied = 0, gone = 0, between = 0;
	unsigned int i;

	for (i = 0; i < NR_WORKERS; i++) {
		struct worker *w = &workers[i];

		TH_LOG("%s %u: %lu rounds, %lu exact, %lu between, %lu lost", w->name,
		       w->id, w->rounds, w->exact, w->between, w->lost);
		EXPECT_LT(0UL, w->rounds) TH_LOG("%s %u", w->name, w->id);
		exact += w->exact;
		between += w->between;
		granted += w->granted;
		denied += w->denied;
		gone += w->gone;
	}
	/* What has not happened has not been tested. */
	EXPECT_LT(100UL, exact);
	EXPECT_LT(100UL, granted);
	EXPECT_LT(100UL, denied);
	EXPECT_LT(0UL, gone);
	TH_LOG("%lu accesses while it was known what there is, %lu while that changed",
	       exact, between);
	TH_LOG("%lu granted, %lu denied, %lu after the end of the file", granted, denied,
	       gone);
}

TEST_F_TIMEOUT(soak, all, SOAK_TIMEOUT)
{
	unsigned int seconds = env_number(SECONDS_VARIABLE, SOAK_SECONDS);
	uint32_t seed = env_number(SEED_VARIABLE, time(NULL));
	unsigned int i;
	time_t end;

	TH_LOG(SEED_VARIABLE "=%u", seed);
	learn(_metadata, self->fd);
	soak = mmap(NULL, sizeof(*soak), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)soak);
	file_fd = self->fd;
	mapping = map(NULL, SLOTS, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)mapping);
	for (i = 0; i < SLOTS; i++) {
		unsigned int file = i < STABLE_SLOTS ? i * 7 % STABLE : i * 7 % FILE_PAGES;

		ASSERT_EQ(0, nu_remap(self->fd, slot_page(i), page_size, RW, file,
				      MAP_NOINHERIT | MAP_NONBLOCK));
		atomic_store(&slots[i].old, state_of(file, RW));
		atomic_store(&slots[i].new, state_of(file, RW));
	}

	start(_metadata, seed);
	seconds = seconds / nr_file_systems ?: 1;
	for (end = time(NULL) + seconds; time(NULL) < end && !atomic_load(&soak->stop);)
		usleep(100000);
	atomic_store(&soak->stop, true);
	for (i = 0; i < NR_WORKERS; i++)
		ASSERT_EQ(0, pthread_join(workers[i].thread, NULL));
	EXPECT_EQ(0, atomic_load(&soak->wrong)) TH_LOG("%s", soak->what);
	report(_metadata);

	ASSERT_EQ(0, ftruncate(self->fd, FILE_PAGES * page_size));
	check_slots(_metadata);
	check_file(_metadata, self->fd);
	EXPECT_EQ(0, unmap(mapping, SLOTS));
	munmap(soak, sizeof(*soak));
	if (variant->fs->disk) {
		/* From the disk */
		close(self->fd);
		ASSERT_EQ(0, nu_umount());
		ASSERT_EQ(0, nu_mount(variant->fs, 0));
		self->fd = open(nu_file, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, self->fd);
		check_file(_metadata, self->fd);
	}
}

int main(int argc, char **argv)
{
	nu_init();
	nu_make_root();
	nu_cgroup_name();
	nr_file_systems = 1 + find_disk("ext4", nu_disk) + find_disk("xfs", nu_disk) +
			  find_disk("btrfs", nu_disk);
	return test_harness_run(argc, argv);
}
