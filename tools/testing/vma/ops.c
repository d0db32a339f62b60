// SPDX-License-Identifier: GPL-2.0-or-later
/* Operations as user space knows them: see include/ops.h. */
#include "maple-shared.h"
#include "vma_internal.h"

#include "../../../mm/vma.h"

#include "include/ops.h"

/* What a subject may define. */
long __weak op_may_mmap(struct mm_struct *mm, vm_flags_t flags)
{
	return 0;
}

long __weak op_may_change(struct mm_struct *mm, unsigned long start,
			  unsigned long end)
{
	return 0;
}

long __weak op_may_extend(struct vm_area_struct *vma, unsigned long end)
{
	return 0;
}

long __weak op_may_shrink_brk(struct mm_struct *mm, unsigned long newbrk,
			      unsigned long oldbrk)
{
	return 0;
}

void *__weak op_hold(struct mm_struct *mm, unsigned long start,
		     unsigned long end)
{
	return NULL;
}

void __weak op_release(struct mm_struct *mm, void *held)
{
}

long __weak op_extend_brk(struct vma_iterator *vmi, struct vm_area_struct *prev,
			  struct mm_struct *mm, unsigned long oldbrk,
			  unsigned long newbrk)
{
	return do_brk_flags(vmi, prev, oldbrk, newbrk - oldbrk, 0);
}

bool __weak op_protect(struct vm_area_struct *vma, unsigned long start,
		       unsigned long end, vm_flags_t new, long *ret)
{
	return false;
}

long __weak op_prepare_move(struct vm_area_struct *vma, unsigned long start,
			    unsigned long end, void **prepared)
{
	return 0;
}

void __weak op_finish_move(struct vm_area_struct *gone,
			   struct vm_area_struct *vma, void *prepared)
{
}

void __weak show_vma_more(struct vm_area_struct *vma)
{
}

long op_mmap(struct mm_struct *mm, struct file *file, unsigned long addr,
	     unsigned long len, vm_flags_t flags, pgoff_t pgoff)
{
	LIST_HEAD(uf);
	long ret;

	if (mm->map_count > sysctl_max_map_count)
		return -ENOMEM;
	if (!mlock_future_ok(mm, flags, len))
		return -EAGAIN;
	ret = op_may_mmap(mm, flags);
	if (ret)
		return ret;
	if (!file)
		pgoff = flags & VM_SHARED ? 0 : addr >> PAGE_SHIFT;

	ret = mmap_region(file, addr, len, flags | mm->def_flags, pgoff, &uf);
	userfaultfd_unmap_complete(mm, &uf);
	return ret;
}

long op_munmap(struct mm_struct *mm, unsigned long addr, unsigned long len)
{
	LIST_HEAD(uf);
	long ret;

	ret = op_may_change(mm, addr, addr + len);
	if (ret)
		return ret;
	ret = do_munmap(mm, addr, len, &uf);
	userfaultfd_unmap_complete(mm, &uf);
	return ret;
}

static long protect_one(struct vma_iterator *vmi, struct vm_area_struct *vma,
			struct vm_area_struct **prev, unsigned long start,
			unsigned long end, vm_flags_t new)
{
	struct mm_struct *mm = vma->vm_mm;
	long nr = (end - start) >> PAGE_SHIFT;
	vm_flags_t old = vma->vm_flags;
	long charged = 0, ret;

	if (!can_modify_vma(vma))
		return -EPERM;
	if (op_protect(vma, start, end, new, &ret)) {
		*prev = vma;
		return ret;
	}
	if (new == old) {
		*prev = vma;
		return 0;
	}

	if (new & VM_WRITE) {
		if (!may_expand_vm(mm, new, nr) && may_expand_vm(mm, old, nr))
			return -ENOMEM;
		if (!(old & (VM_ACCOUNT | VM_WRITE | VM_HUGETLB | VM_SHARED |
			     VM_NORESERVE))) {
			if (security_vm_enough_memory_mm(mm, nr))
				return -ENOMEM;
			charged = nr;
			new |= VM_ACCOUNT;
		}
	} else if ((old & VM_ACCOUNT) && vma_is_anonymous(vma) &&
		   !vma->anon_vma) {
		new &= ~VM_ACCOUNT;
	}

	vma = vma_modify_flags(vmi, *prev, vma, start, end, new);
	if (IS_ERR(vma)) {
		vm_unacct_memory(charged);
		return PTR_ERR(vma);
	}

	*prev = vma;
	vma_start_write(vma);
	vm_flags_reset(vma, new);
	vma_set_page_prot(vma);
	if ((old & VM_ACCOUNT) && !(new & VM_ACCOUNT))
		vm_unacct_memory(nr);
	vm_stat_account(mm, old, -nr);
	vm_stat_account(mm, new, nr);
	return 0;
}

static long lock_one(struct vma_iterator *vmi, struct vm_area_struct *vma,
		     struct vm_area_struct **prev, unsigned long start,
		     unsigned long end, vm_flags_t new)
{
	long nr = (end - start) >> PAGE_SHIFT;
	vm_flags_t old = vma->vm_flags;

	if (new == old) {
		*prev = vma;
		return 0;
	}

	vma = vma_modify_flags(vmi, *prev, vma, start, end, new);
	if (IS_ERR(vma))
		return PTR_ERR(vma);

	*prev = vma;
	vma_start_write(vma);
	vm_flags_reset(vma, new);
	vma->vm_mm->locked_vm += nr * (!!(new & VM_LOCKED) -
				       !!(old & VM_LOCKED));
	return 0;
}

/* All of the range has to be mapped. What comes before an error is done. */
static long for_range(struct mm_struct *mm, unsigned long start,
		      unsigned long end, vm_flags_t set, vm_flags_t clear,
		      long (*fn)(struct vma_iterator *vmi,
				 struct vm_area_struct *vma,
				 struct vm_area_struct **prev,
				 unsigned long start, unsigned long end,
				 vm_flags_t new))
{
	VMA_ITERATOR(vmi, mm, start);
	struct vm_area_struct *vma, *prev;
	unsigned long addr;
	long ret;

	ret = op_may_change(mm, start, end);
	if (ret)
		return ret;

	for (addr = start; addr < end; addr = vma->vm_end) {
		vma = vma_lookup(mm, addr);
		if (!vma)
			return -ENOMEM;
	}

	vma_iter_set(&vmi, start);
	vma = vma_find(&vmi, end);
	prev = vma_prev(&vmi);
	if (start > vma->vm_start)
		prev = vma;

	for (addr = start; addr < end;) {
		unsigned long stop;

		vma_iter_set(&vmi, addr);
		vma = vma_find(&vmi, end);
		stop = min(end, vma->vm_end);
		ret = fn(&vmi, vma, &prev, addr, stop,
			 (vma->vm_flags & ~clear) | set);
		if (ret)
			return ret;
		addr = stop;
	}
	return 0;
}

long op_mprotect(struct mm_struct *mm, unsigned long start, unsigned long len,
		 vm_flags_t access)
{
	return for_range(mm, start, start + len, access, VM_ACCESS_FLAGS,
			 protect_one);
}

long op_change_flags(struct mm_struct *mm, unsigned long start,
		     unsigned long len, vm_flags_t set, vm_flags_t clear)
{
	return for_range(mm, start, start + len, set, clear, lock_one);
}

/* As move_vma(). What grows is not charged for: it is not private. */
static long move_one(struct mm_struct *mm, unsigned long old_addr,
		     unsigned long len, unsigned long new_addr,
		     unsigned long new_len)
{
	struct vm_area_struct *vma = vma_lookup(mm, old_addr), *new_vma;
	bool account_start = false, account_end = false;
	void *prepared = NULL;
	unsigned long done, ret = new_addr;
	bool need_rmap_locks;
	vm_flags_t flags;
	pgoff_t pgoff;

	if (!vma || old_addr + len > vma->vm_end)
		return -EFAULT;
	if (!can_modify_vma(vma))
		return -EPERM;
	if (find_vma_intersection(mm, new_addr, new_addr + new_len))
		return -EINVAL;
	if (mm->map_count >= sysctl_max_map_count - 3)
		return -ENOMEM;
	if (vma->vm_ops && vma->vm_ops->may_split &&
	    (vma->vm_start != old_addr || vma->vm_end != old_addr + len)) {
		int err = vma->vm_ops->may_split(vma, old_addr);

		if (err)
			return err;
	}

	if (op_prepare_move(vma, old_addr, old_addr + len, &prepared))
		return -ENOMEM;

	vma_start_write(vma);
	flags = vma->vm_flags;
	pgoff = vma->vm_pgoff + ((old_addr - vma->vm_start) >> PAGE_SHIFT);
	new_vma = copy_vma(&vma, new_addr, new_len, pgoff, &need_rmap_locks,
			   false);
	if (!new_vma) {
		op_finish_move(NULL, vma, prepared);
		return -ENOMEM;
	}

	done = pt_move(mm, old_addr, new_addr, len);
	if (done < len) {
		/* Back, for which there are tables, and the copy goes. */
		pt_move(mm, new_addr, old_addr, done);
		op_finish_move(new_vma, vma, prepared);
		vma = new_vma;
		old_addr = new_addr;
		len = new_len;
		ret = -ENOMEM;
	} else {
		op_finish_move(vma, new_vma, prepared);
	}

	if (flags & VM_ACCOUNT) {
		vm_flags_clear(vma, VM_ACCOUNT);
		account_start = vma->vm_start < old_addr;
		account_end = vma->vm_end > old_addr + len;
	}
	vm_stat_account(mm, new_vma->vm_flags, new_len >> PAGE_SHIFT);
	if (flags & VM_LOCKED)
		mm->locked_vm += new_len >> PAGE_SHIFT;

	/* The kernel lives with a failure here, and so with two mappings. */
	alloc_pause_failures();
	DIE_ON(op_munmap(mm, old_addr, len));
	alloc_resume_failures();

	if (account_start)
		vm_flags_set(vma_lookup(mm, old_addr - 1), VM_ACCOUNT);
	if (account_end)
		vm_flags_set(vma_lookup(mm, old_addr + len), VM_ACCOUNT);
	return ret;
}

long op_mremap_grow(struct mm_struct *mm, unsigned long old_addr,
		    unsigned long len, unsigned long new_addr,
		    unsigned long new_len)
{
	void *held;
	long ret;

	ret = op_may_change(mm, old_addr, old_addr + len);
	if (ret)
		return ret;
	held = op_hold(mm, new_addr, new_addr + new_len);
	if (IS_ERR(held))
		return PTR_ERR(held);
	ret = move_one(mm, old_addr, len, new_addr, new_len);
	op_release(mm, held);
	return ret;
}

long op_mremap(struct mm_struct *mm, unsigned long old_addr, unsigned long len,
	       unsigned long new_addr)
{
	return op_mremap_grow(mm, old_addr, len, new_addr, len);
}

long op_extend(struct mm_struct *mm, unsigned long addr, unsigned long delta)
{
	struct vm_area_struct *vma = vma_lookup(mm, addr);
	long pages = delta >> PAGE_SHIFT, charged = 0;
	long ret;

	if (!vma)
		return -EFAULT;
	if (!can_modify_vma(vma))
		return -EPERM;
	ret = op_may_extend(vma, vma->vm_end + delta);
	if (ret)
		return ret;
	if (find_vma_intersection(mm, vma->vm_end, vma->vm_end + delta))
		return -ENOMEM;
	if (!mlock_future_ok(mm, vma->vm_flags, delta))
		return -EAGAIN;
	if (!may_expand_vm(mm, vma->vm_flags, pages))
		return -ENOMEM;
	if (vma->vm_flags & VM_ACCOUNT) {
		if (security_vm_enough_memory_mm(mm, pages))
			return -ENOMEM;
		charged = pages;
	}

	{
		VMA_ITERATOR(vmi, mm, vma->vm_end);

		vma = vma_merge_extend(&vmi, vma, delta);
	}
	if (!vma) {
		vm_unacct_memory(charged);
		return -ENOMEM;
	}

	vm_stat_account(mm, vma->vm_flags, pages);
	if (vma->vm_flags & VM_LOCKED)
		mm->locked_vm += pages;
	return 0;
}

/* Unlike the system call: an error is returned. */
long op_brk(struct mm_struct *mm, unsigned long brk)
{
	unsigned long newbrk = PAGE_ALIGN(brk), oldbrk = PAGE_ALIGN(mm->brk);
	struct vm_area_struct *vma, *next;
	struct vma_iterator vmi;
	long ret;

	if (brk < mm->start_brk)
		return -EINVAL;
	if (newbrk == oldbrk) {
		mm->brk = brk;
		return 0;
	}

	if (newbrk < oldbrk) {
		LIST_HEAD(uf);

		ret = op_may_shrink_brk(mm, newbrk, oldbrk);
		if (ret)
			return ret;
		vma_iter_init(&vmi, mm, newbrk);
		vma = vma_find(&vmi, oldbrk);
		if (!vma || vma->vm_start >= oldbrk)
			return -ENOMEM;
		ret = do_vmi_align_munmap(&vmi, vma, mm, newbrk, oldbrk, &uf,
					  true);
		if (ret)
			return ret;
		mmap_write_lock(mm);
		userfaultfd_unmap_complete(mm, &uf);
		mm->brk = brk;
		return 0;
	}

	if (!mlock_future_ok(mm, mm->def_flags, newbrk - oldbrk))
		return -EAGAIN;

	vma_iter_init(&vmi, mm, oldbrk);
	next = vma_find(&vmi, newbrk + PAGE_SIZE + stack_guard_gap);
	if (next && newbrk + PAGE_SIZE > vm_start_gap(next))
		return -ENOMEM;

	vma = vma_prev_limit(&vmi, mm->start_brk);
	ret = op_extend_brk(&vmi, vma, mm, oldbrk, newbrk);
	if (!ret)
		mm->brk = brk;
	return ret;
}

long op_grow_stack(struct mm_struct *mm, unsigned long start,
		   unsigned long addr)
{
	struct vm_area_struct *vma = vma_lookup(mm, start);

	return vma ? expand_downwards(vma, addr) : -EFAULT;
}

long op_fault(struct mm_struct *mm, unsigned long addr, unsigned long len,
	      bool write)
{
	unsigned long end = addr + len;
	long ret = 0;

	for (; addr < end && !ret; addr += PAGE_SIZE)
		ret = pt_fault(mm, addr, write);

	return ret;
}

static struct driver *driver_of(struct vm_area_struct *vma)
{
	return vma->vm_file->private_data;
}

static void counted_open(struct vm_area_struct *vma)
{
	driver_of(vma)->balance++;
}

static void counted_close(struct vm_area_struct *vma)
{
	driver_of(vma)->balance--;
}

static int counted_may_split(struct vm_area_struct *vma, unsigned long addr)
{
	return driver_of(vma)->split_error;
}

static const struct vm_operations_struct counted_vm_ops = {
	.open = counted_open,
	.close = counted_close,
	.may_split = counted_may_split,
};

static const struct vm_operations_struct plain_vm_ops;

static int counted_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct driver *driver = file->private_data;

	driver->nr_mmap++;
	if (driver->inserts_pages) {
		unsigned long addr;

		for (addr = vma->vm_start; addr < vma->vm_end;
		     addr += PAGE_SIZE)
			pt_insert(vma, addr);
	}
	if (driver->error)
		return driver->error;

	vm_flags_init(vma, (vma->vm_flags | driver->set) & ~driver->clear);
	vma->vm_page_prot = __pgprot(pgprot_val(vma->vm_page_prot) |
				     driver->prot);
	if (driver->replace) {
		fput(vma->vm_file);
		vma->vm_file = get_file(driver->replace);
		return driver->replace->f_op->mmap(vma->vm_file, vma);
	}
	vma->vm_ops = driver->no_hooks ? &plain_vm_ops : &counted_vm_ops;
	if (!driver->no_hooks)
		driver->balance++;
	return 0;
}

static int plain_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &plain_vm_ops;
	return 0;
}

const struct file_operations counted_fops = {
	.mmap = counted_mmap,
};

static const struct file_operations plain_fops = {
	.mmap = plain_mmap,
};

struct file *file_of(struct driver *driver)
{
	struct file *file = file_create(driver ? &counted_fops : &plain_fops);

	DIE_ON(!file);
	file->private_data = driver;
	return file;
}

/* Without hooks, there is nothing to count by. */
long counted_balance(struct file *file)
{
	struct driver *driver = file->private_data;

	return driver->no_hooks ? file_nr_vmas(file) : driver->balance;
}

void show_mm(struct mm_struct *mm)
{
	VMA_ITERATOR(vmi, mm, 0);
	struct vm_area_struct *vma;

	printf("mm: %d VMAs, total_vm %lx data_vm %lx exec_vm %lx\n",
	       mm->map_count, mm->total_vm, mm->data_vm, mm->exec_vm);
	printf("stack_vm %lx locked_vm %lx, committed %lx\n", mm->stack_vm,
	       mm->locked_vm, vm_committed);
	for_each_vma(vmi, vma) {
		dump_vma(vma);
		show_vma_more(vma);
	}
}
