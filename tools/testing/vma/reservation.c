// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reservations: what is behind include/reservation.h, and what they add to the
 * operations, to the invariants and to snapshots.
 */
#include "maple-shared.h"
#include "vma_internal.h"

#include "../../../mm/vma.h"

#include "include/check.h"
#include "include/ops.h"
#include "include/test.h"

const struct vm_operations_struct special_mapping_vmops;
unsigned long (*unmapped_area_hook)(unsigned long addr, unsigned long len);
unsigned long reservations_created;
unsigned long reservations_destroyed;

unsigned long find_unmapped_area(struct file *file, unsigned long addr,
				 unsigned long len, unsigned long pgoff,
				 unsigned long flags, vm_flags_t vm_flags)
{
	return unmapped_area_hook(addr, len);
}

unsigned long mm_get_unmapped_area_vmflags(struct mm_struct *mm, struct file *file,
					   unsigned long addr, unsigned long len,
					   unsigned long pgoff, unsigned long flags,
					   vm_flags_t vm_flags)
{
	struct vm_unmapped_area_info info = {
		.flags = test_bit(MMF_TOPDOWN, &mm->flags) ?
			VM_UNMAPPED_AREA_TOPDOWN : 0,
		.length = len,
		.low_limit = PAGE_SIZE,
		.high_limit = TASK_SIZE,
		.start_gap = vm_flags & VM_SHADOW_STACK ? PAGE_SIZE : 0,
	};

	return reservation_unmapped_area(mm, &info);
}

void world_reset_more(void)
{
	unmapped_area_hook = NULL;
	reservations_created = 0;
	reservations_destroyed = 0;
}

/* Each reservation has gone with its last mapping. */
void mm_destroy_more(struct mm_struct *mm)
{
	WARN_ON(mm->reservations &&
		!RB_EMPTY_ROOT(&mm->reservations->tree));
	reservations_free(mm);
}

/*
 * The operations hold, release and ask as the system calls do.
 */
long op_may_mmap(struct mm_struct *mm, vm_flags_t flags)
{
	return (flags & VM_GROWSDOWN) && mm_has_reservations(mm) ? -EINVAL : 0;
}

long op_may_change(struct mm_struct *mm, unsigned long start,
		   unsigned long end)
{
	return reservation_covers(mm, start, end) ? 0 : -EINVAL;
}

long op_may_extend(struct vm_area_struct *vma, unsigned long end)
{
	return vma_reservation_allows(vma, vma->vm_start, end) ? 0 : -ENOMEM;
}

long op_may_shrink_brk(struct mm_struct *mm, unsigned long newbrk,
		       unsigned long oldbrk)
{
	return mm_has_reservations(mm) &&
	       !reservation_heap_only(mm, newbrk, oldbrk) ? -EINVAL : 0;
}

void *op_hold(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	return reservation_hold(mm, start, end, VM_NONE);
}

void op_release(struct mm_struct *mm, void *held)
{
	reservation_release(mm, held);
}

long op_extend_brk(struct vma_iterator *vmi, struct vm_area_struct *prev,
		   struct mm_struct *mm, unsigned long oldbrk,
		   unsigned long newbrk)
{
	if (mm_has_reservations(mm))
		return brk_reserved(mm, oldbrk, newbrk);
	return do_brk_flags(vmi, prev, oldbrk, newbrk - oldbrk, 0);
}

void show_vma_more(struct vm_area_struct *vma)
{
	if (vma->vm_reserv)
		printf("    reservation %lx-%lx\n", vma->vm_reserv->start,
		       vma->vm_reserv->end);
}

static struct vma_reservation *reservation_first(struct mm_struct *mm)
{
	struct rb_node *first;

	if (!mm->reservations)
		return NULL;
	first = rb_first(&mm->reservations->tree);
	return first ? rb_entry(first, struct vma_reservation, rb) : NULL;
}

static struct vma_reservation *reservation_after(struct vma_reservation *reserv)
{
	struct rb_node *next = rb_next(&reserv->rb);

	return next ? rb_entry(next, struct vma_reservation, rb) : NULL;
}

static unsigned int nr_vmas_in(struct mm_struct *mm,
			       struct vma_reservation *reserv)
{
	VMA_ITERATOR(vmi, mm, 0);
	struct vm_area_struct *vma;
	unsigned int n = 0;

	for_each_vma(vmi, vma)
		n += vma->vm_reserv == reserv;
	return n;
}

/* How many objects there are: reservations, and what they are found by. */
static long check_reservations(struct mm_struct *mm)
{
	const char *mistake = reservations_mistake(mm, true);
	struct vma_reservation *reserv;
	long n = !!mm->reservations;

	CHECK(!mistake, mm, NULL, "reservations: %s", mistake);
	for (reserv = reservation_first(mm); reserv;
	     reserv = reservation_after(reserv)) {
		n++;
		CHECK(reserv->count == nr_vmas_in(mm, reserv), mm, NULL,
		      "reservation %lx-%lx has %u VMAs, not %u", reserv->start,
		      reserv->end, nr_vmas_in(mm, reserv), reserv->count);
	}
	return n;
}

/* What a subject may define. */
long __weak nr_kmalloced_more(void)
{
	return 0;
}

/*
 * Each VMA lies in its reservation, if the mm keeps them, and these are as they
 * have to be.
 */
void check_world_more(void)
{
	long n = nr_kmalloced_more();
	struct mm_struct *mm;

	for (mm = all_mms; mm; mm = mm->next)
		n += check_reservations(mm);
	CHECK(alloc_nr_live_of("kmalloc") == n, all_mms, NULL,
	      "%ld reservations are live, not %ld", alloc_nr_live_of("kmalloc"),
	      n);
}

struct reserved {
	unsigned long start, end;
	bool heap;
};

/* A snapshot has all reservations, and knows to which one each page belongs. */
struct reservations_state {
	bool enabled;
	unsigned int flags;
	unsigned long nr;
	struct reserved reserved[];
};

unsigned long vma_belongs_to(struct vm_area_struct *vma)
{
	return vma->vm_reserv ? vma->vm_reserv->start : 0;
}

void *snapshot_take_more(struct mm_struct *mm)
{
	struct reservations_state *state;
	struct vma_reservation *reserv;

	/* Each has a VMA at least. */
	state = calloc(1, sizeof(*state) +
			  mm->map_count * sizeof(state->reserved[0]));
	state->enabled = mm_has_reservations(mm);
	if (state->enabled)
		state->flags = mm->reservations->flags;
	for (reserv = reservation_first(mm); reserv;
	     reserv = reservation_after(reserv))
		state->reserved[state->nr++] = (struct reserved) {
			.start = reserv->start,
			.end = reserv->end,
			.heap = reserv->heap,
		};
	return state;
}

void snapshot_free_more(void *more)
{
	free(more);
}

/*
 * Those that lie in the range to ignore may have gone with what was mapped there,
 * but there is none that was not there before.
 */
void snapshot_compare_more(void *before, void *after,
			   unsigned long except_start,
			   unsigned long except_end)
{
	struct reservations_state *a = before, *b = after;
	unsigned long i, j = 0;

	ASSERT_EQ(b->enabled, a->enabled);
	ASSERT_EQ(b->flags, a->flags);
	for (i = 0; i < a->nr; i++) {
		struct reserved *ra = &a->reserved[i], *rb = &b->reserved[j];

		if (j < b->nr && rb->start == ra->start &&
		    rb->end == ra->end && rb->heap == ra->heap)
			j++;
		else if (ra->start >= except_end || ra->end <= except_start)
			test_failed(__FILE__, __LINE__,
				    "reservation %lx-%lx is gone or another",
				    ra->start, ra->end);
	}
	if (j < b->nr)
		test_failed(__FILE__, __LINE__, "reservation %lx-%lx is new",
			    b->reserved[j].start, b->reserved[j].end);
}
