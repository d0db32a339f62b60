// SPDX-License-Identifier: GPL-2.0-or-later
/* What is behind include/custom.h and include/world.h. */
#include "maple-shared.h"
#include "vma_internal.h"

#include "../../../mm/vma.h"

int sysctl_max_map_count;
unsigned long mmap_min_addr;
unsigned long stack_guard_gap;
bool ignore_rlimit_data;
bool may_ipc_lock;
bool signal_is_pending;
unsigned int signal_after;
bool arch_flags_are_valid;
unsigned long hugepage_only_start, hugepage_only_end;
unsigned long rlimits[RLIM_NLIMITS_MODEL];

struct task_struct current_task = { .comm = "vma", .pid = 1 };
struct calls calls;
struct file *all_files;
struct mm_struct *all_mms;
long vm_committed;
long vm_commit_limit;

const struct vm_operations_struct vma_dummy_vm_ops;
const struct vm_operations_struct shmem_anon_vm_ops;

static unsigned int nr_files;

void __weak world_reset_more(void)
{
}

long __weak mm_left_over(struct mm_struct *mm)
{
	return 0;
}

void __weak mm_destroy_more(struct mm_struct *mm)
{
}

void world_reset(void)
{
	int i;

	sysctl_max_map_count = 65530;
	mmap_min_addr = 0;
	stack_guard_gap = 256UL << PAGE_SHIFT;
	ignore_rlimit_data = false;
	may_ipc_lock = false;
	signal_is_pending = false;
	signal_after = 0;
	arch_flags_are_valid = true;
	hugepage_only_start = 0;
	hugepage_only_end = 0;
	for (i = 0; i < ARRAY_SIZE(rlimits); i++)
		rlimits[i] = ULONG_MAX;
	current->personality = 0;
	vm_committed = 0;
	vm_commit_limit = LONG_MAX;
	memset(&calls, 0, sizeof(calls));
	world_reset_more();
}

bool signal_comes(void)
{
	return signal_after && !--signal_after;
}

void mmap_write_lock(struct mm_struct *mm)
{
	down_write(&mm->mmap_lock);
	mm_lock_seqcount_begin(mm);
}

int mmap_write_lock_killable(struct mm_struct *mm)
{
	if (signal_is_pending)
		return -EINTR;

	mmap_write_lock(mm);
	return 0;
}

void mmap_write_unlock(struct mm_struct *mm)
{
	vma_end_write_all(mm);
	up_write(&mm->mmap_lock);
}

void mmap_write_downgrade(struct mm_struct *mm)
{
	vma_end_write_all(mm);
	downgrade_write(&mm->mmap_lock);
}

void mmap_read_lock(struct mm_struct *mm)
{
	down_read(&mm->mmap_lock);
}

int mmap_read_lock_killable(struct mm_struct *mm)
{
	if (signal_is_pending)
		return -EINTR;

	mmap_read_lock(mm);
	return 0;
}

void mmap_read_unlock(struct mm_struct *mm)
{
	up_read(&mm->mmap_lock);
}

struct file *file_create(const struct file_operations *f_op)
{
	struct file *file = alloc_object("file", sizeof(*file), GFP_KERNEL);

	if (!file)
		return NULL;

	file->id = ++nr_files;
	file->f_op = f_op;
	file->f_mode = FMODE_READ | FMODE_WRITE;
	file->f_mapping = &file->mapping;
	file->mapping.i_mmap = RB_ROOT_CACHED;
	file->mapping.can_writeback = true;
	init_rwsem(&file->mapping.i_mmap_rwsem);
	refcount_set(&file->f_count, 1);
	file->next = all_files;
	all_files = file;
	return file;
}

struct file *get_file(struct file *file)
{
	refcount_inc(&file->f_count);
	return file;
}

void fput(struct file *file)
{
	struct file **p;

	if (!refcount_dec_and_test(&file->f_count))
		return;

	/* A VMA left in i_mmap would be found by rmap after its file is gone. */
	DIE_ON(!RB_EMPTY_ROOT(&file->mapping.i_mmap.rb_root));
	DIE_ON(rwsem_is_locked(&file->mapping.i_mmap_rwsem));
	WARN_ON(atomic_read(&file->mapping.i_mmap_writable) > 0);

	for (p = &all_files; *p != file; p = &(*p)->next)
		;
	*p = file->next;
	free_object("file", file);
}

long file_refs(struct file *file)
{
	return refcount_read(&file->f_count);
}

static const struct file_operations shmem_fops;

int shmem_zero_setup(struct vm_area_struct *vma)
{
	struct file *file = file_create(&shmem_fops);

	if (!file)
		return -ENOMEM;

	file->is_shmem_zero = true;
	file->mapping.can_writeback = false;
	/* The mapping that is being made, which vma_link_file() counts. */
	if (vma->vm_file)
		fput(vma->vm_file);
	vma->vm_file = file;
	vma->vm_ops = &shmem_anon_vm_ops;
	return 0;
}

struct mempolicy *mpol_create(int mode)
{
	struct mempolicy *policy = alloc_object("mempolicy", sizeof(*policy),
						GFP_KERNEL);

	if (policy) {
		refcount_set(&policy->refcnt, 1);
		policy->mode = mode;
	}
	return policy;
}

void mpol_put(struct mempolicy *policy)
{
	if (policy && refcount_dec_and_test(&policy->refcnt))
		free_object("mempolicy", policy);
}

bool mpol_equal(struct mempolicy *a, struct mempolicy *b)
{
	if (!a || !b)
		return a == b;

	return a->mode == b->mode;
}

int vma_dup_policy(struct vm_area_struct *src, struct vm_area_struct *dst)
{
	struct mempolicy *policy = NULL;

	if (vma_policy(src)) {
		policy = mpol_create(vma_policy(src)->mode);
		if (!policy)
			return -ENOMEM;
	}
	vma_policy(dst) = policy;
	return 0;
}

struct anon_vma_name *anon_vma_name_alloc(const char *name)
{
	struct anon_vma_name *anon_name;

	anon_name = alloc_object("anon_vma_name",
				 sizeof(*anon_name) + strlen(name) + 1,
				 GFP_KERNEL);
	if (anon_name) {
		refcount_set(&anon_name->kref.refcount, 1);
		memcpy(anon_name->name, name, strlen(name) + 1);
	}
	return anon_name;
}

void anon_vma_name_free(struct kref *kref)
{
	free_object("anon_vma_name",
		    container_of(kref, struct anon_vma_name, kref));
}

void vm_acct_memory(long pages)
{
	vm_committed += pages;
	WARN_ON(vm_committed < 0);
}

int security_vm_enough_memory_mm(struct mm_struct *mm, long pages)
{
	if (vm_committed + pages > vm_commit_limit ||
	    alloc_should_fail("commit", GFP_KERNEL))
		return -ENOMEM;

	vm_acct_memory(pages);
	return 0;
}

struct uffd_unmap {
	struct list_head list;
};

int userfaultfd_unmap_prep(struct vm_area_struct *vma, unsigned long start,
			   unsigned long end, struct list_head *unmaps)
{
	struct uffd_unmap *unmap;

	calls.uffd_unmap_prep++;
	if (!vma->vm_userfaultfd_ctx.ctx)
		return 0;

	unmap = alloc_object("uffd_unmap", sizeof(*unmap), GFP_KERNEL);
	if (!unmap)
		return -ENOMEM;

	list_add_tail(&unmap->list, unmaps);
	return 0;
}

void userfaultfd_unmap_complete(struct mm_struct *mm, struct list_head *unmaps)
{
	struct uffd_unmap *unmap, *tmp;

	calls.uffd_unmap_complete++;
	list_for_each_entry_safe(unmap, tmp, unmaps, list) {
		list_del(&unmap->list);
		free_object("uffd_unmap", unmap);
	}
}

void dump_vma(const struct vm_area_struct *vma)
{
	printf("vma %lx-%lx pgoff %lx flags %lx file %u\n", vma->vm_start,
	       vma->vm_end, vma->vm_pgoff, vma->vm_flags,
	       vma->vm_file ? vma->vm_file->id : 0);
}

void vma_iter_dump_tree(const struct vma_iterator *vmi)
{
	mas_dump(&vmi->mas);
}

struct mm_struct *mm_init(struct mm_struct *mm)
{
	memset(mm, 0, sizeof(*mm));
	mt_init_flags(&mm->mm_mt, MM_MT_FLAGS);
	init_rwsem(&mm->mmap_lock);
	spin_lock_init(&mm->page_table_lock);
	mm->def_flags = 0;
	mmap_write_lock(mm);
	current->mm = mm;
	return mm;
}

struct mm_struct *mm_create(void)
{
	struct mm_struct *mm = malloc(sizeof(*mm));

	DIE_ON(!mm);
	mm_init(mm);
	mm->next = all_mms;
	all_mms = mm;
	return mm;
}

/*
 * exit_mmap() unmaps VMA by VMA without touching the tree. Here it goes through
 * munmap(), to have everything accounted for at the end.
 */
void mm_destroy(struct mm_struct *mm)
{
	struct mm_struct *old = current->mm;
	struct vm_area_struct *vma;
	struct mm_struct **p;

	alloc_fail_nth(0);
	if (!rwsem_is_locked(&mm->mmap_lock))
		mmap_write_lock(mm);
	mmap_assert_write_locked(mm);

	current->mm = mm;
	while ((vma = find_vma(mm, 0))) {
		LIST_HEAD(uf);

		vm_flags_clear(vma, VM_SEALED);
		if (WARN_ON(do_munmap(mm, vma->vm_start,
				      vma->vm_end - vma->vm_start, &uf)))
			break;
		userfaultfd_unmap_complete(mm, &uf);
	}

	WARN_ON(mm->map_count);
	WARN_ON(mm->total_vm || mm->locked_vm);
	WARN_ON(mm->data_vm || mm->exec_vm || mm->stack_vm);
	WARN_ON(mm_left_over(mm));
	WARN_ON(mm->pt_tables);
	WARN_ON(mm->tlb_flush_pending);
	mm_destroy_more(mm);

	__mt_destroy(&mm->mm_mt);
	rcu_barrier();

	for (p = &all_mms; *p != mm; p = &(*p)->next)
		;
	*p = mm->next;
	current->mm = old == mm ? NULL : old;
	mmap_write_unlock(mm);
	free(mm);
}
