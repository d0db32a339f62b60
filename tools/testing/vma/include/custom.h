/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Customised: does what the kernel does as far as VMA code can tell, and keeps
 * books, so that a test can see what has been done. Bodies that are more than a
 * line are in model.c.
 */
#ifndef _VMA_CUSTOM_H
#define _VMA_CUSTOM_H

/*
 * The machine: 47 bits of user address space, 2 MiB page table pages.
 */
#define TASK_SIZE			((BIT(47)) - PAGE_SIZE)
#define FIRST_USER_ADDRESS		0UL
#define USER_PGTABLES_CEILING		0UL
#define PMD_SHIFT			21
#define PMD_SIZE			BIT(PMD_SHIFT)
#define PMD_MASK			(~(PMD_SIZE - 1))
#define offset_in_page(p)		((unsigned long)(p) & ~PAGE_MASK)
#define PHYS_PFN(x)			((unsigned long)((x) >> PAGE_SHIFT))

/*
 * Limits and knobs: variables that a test may set. world_reset() restores them.
 */
extern int sysctl_max_map_count;
extern unsigned long mmap_min_addr;
extern unsigned long stack_guard_gap;
extern bool ignore_rlimit_data;
extern bool may_ipc_lock;		/* capable(CAP_IPC_LOCK) */
extern bool signal_is_pending;		/* for the killable locks */
extern bool arch_flags_are_valid;
extern unsigned long hugepage_only_start, hugepage_only_end;

#define RLIM_NLIMITS_MODEL		16

extern unsigned long rlimits[RLIM_NLIMITS_MODEL];

#define rlimit(which)			rlimits[which]
#define rlimit_max(which)		rlimits[which]
#define CAP_IPC_LOCK			14
#define capable(...)			may_ipc_lock
/* A signal comes after it has been looked for so many times; 0: none does. */
extern unsigned int signal_after;
bool signal_comes(void);

#define signal_pending(...)		signal_comes()
#define arch_validate_flags(...)	arch_flags_are_valid

static inline bool is_hugepage_only_range(struct mm_struct *mm,
					  unsigned long addr, unsigned long len)
{
	return addr < hugepage_only_end && addr + len > hugepage_only_start;
}

/*
 * Tasks: there is one.
 */
#define TASK_COMM_LEN			16
#define READ_IMPLIES_EXEC		0x0400000

struct task_struct {
	char comm[TASK_COMM_LEN];
	pid_t pid;
	unsigned int personality;
	struct mm_struct *mm;
};

extern struct task_struct current_task;

#define current				(&current_task)

/*
 * What has been called how often. A test reads these where the effect of a call
 * is outside of the model.
 */
struct calls {
	unsigned long uprobe_mmap;
	unsigned long uprobe_munmap;
	unsigned long khugepaged_enter;
	unsigned long ksm_add;
	unsigned long perf_mmap;
	struct {
		unsigned long start;
		unsigned long end;
		unsigned long pgoff;
		unsigned long access;
	} perf_last;			/* what perf was told last */
	unsigned long hugetlb_split;
	unsigned long trans_huge_adjust;
	unsigned long uffd_unmap_prep;
	unsigned long uffd_unmap_complete;
};

extern struct calls calls;

/*
 * Files. A file is counted; what it maps is in its address_space, whose i_mmap
 * is the real interval tree. The test holds one reference to each file that it
 * makes with file_create() and drops it with fput().
 */
struct address_space {
	struct rb_root_cached i_mmap;
	struct rw_semaphore i_mmap_rwsem;
	atomic_t i_mmap_writable;	/* < 0: sealed, no writable mapping */
	unsigned long flags;
	bool can_writeback;
};

#define AS_MM_ALL_LOCKS			2

struct file {
	struct address_space *f_mapping;
	const struct file_operations *f_op;
	void *private_data;
	refcount_t f_count;
	unsigned int f_mode;
	unsigned int id;		/* what its pages are known by */
	bool is_hugetlb;
	bool is_shmem_zero;		/* made by shmem_zero_setup() */
	struct address_space mapping;
	struct file *next;
};

#define FMODE_READ			BIT(0)
#define FMODE_WRITE			BIT(1)

extern struct file *all_files;

struct file *file_create(const struct file_operations *f_op);
struct file *get_file(struct file *file);
void fput(struct file *file);
long file_refs(struct file *file);

#define mapping_can_writeback(mapping)	((mapping)->can_writeback)
#define is_file_hugepages(file)		((file)->is_hugetlb)

/* As shmem's: a new file for a shared anonymous mapping. It charges nothing. */
int shmem_zero_setup(struct vm_area_struct *vma);
extern const struct vm_operations_struct shmem_anon_vm_ops;
extern const struct vm_operations_struct vma_dummy_vm_ops;

/* mm/interval_tree.c, compiled in. */
void vma_interval_tree_insert(struct vm_area_struct *node,
			      struct rb_root_cached *root);
void vma_interval_tree_insert_after(struct vm_area_struct *node,
				    struct vm_area_struct *prev,
				    struct rb_root_cached *root);
void vma_interval_tree_remove(struct vm_area_struct *node,
			      struct rb_root_cached *root);
struct vm_area_struct *vma_interval_tree_iter_first(struct rb_root_cached *root,
						    unsigned long start,
						    unsigned long last);
struct vm_area_struct *vma_interval_tree_iter_next(struct vm_area_struct *node,
						   unsigned long start,
						   unsigned long last);
void anon_vma_interval_tree_insert(struct anon_vma_chain *node,
				   struct rb_root_cached *root);
void anon_vma_interval_tree_remove(struct anon_vma_chain *node,
				   struct rb_root_cached *root);
struct anon_vma_chain *
anon_vma_interval_tree_iter_first(struct rb_root_cached *root,
				  unsigned long start, unsigned long last);
struct anon_vma_chain *
anon_vma_interval_tree_iter_next(struct anon_vma_chain *node,
				 unsigned long start, unsigned long last);
void anon_vma_interval_tree_verify(struct anon_vma_chain *node);

/*
 * Locks: flags that are asserted. The per-VMA lock is the kernel's own text.
 */
static inline void mutex_lock(struct mutex *mutex)
{
	DIE_ON(mutex->locked);
	mutex->locked = true;
}

static inline void mutex_unlock(struct mutex *mutex)
{
	DIE_ON(!mutex->locked);
	mutex->locked = false;
}

#define mutex_is_locked(mutex)		((mutex)->locked)

static inline void do_raw_write_seqcount_begin(seqcount_t *s)
{
	DIE_ON(s->sequence & 1);
	s->sequence++;
}

static inline void do_raw_write_seqcount_end(seqcount_t *s)
{
	DIE_ON(!(s->sequence & 1));
	s->sequence++;
}

void mmap_write_lock(struct mm_struct *mm);
int mmap_write_lock_killable(struct mm_struct *mm);
void mmap_write_unlock(struct mm_struct *mm);
void mmap_write_downgrade(struct mm_struct *mm);
void mmap_read_lock(struct mm_struct *mm);
int mmap_read_lock_killable(struct mm_struct *mm);
void mmap_read_unlock(struct mm_struct *mm);

/*
 * Reference counts.
 */
static inline void refcount_set(refcount_t *r, int n)
{
	r->refs = n;
}

static inline unsigned int refcount_read(const refcount_t *r)
{
	return r->refs;
}

static inline void refcount_inc(refcount_t *r)
{
	DIE_ON(r->refs <= 0);
	r->refs++;
}

static inline bool refcount_dec_and_test(refcount_t *r)
{
	DIE_ON(r->refs <= 0);
	return --r->refs == 0;
}

#define test_and_set_bit(nr, addr)	__test_and_set_bit(nr, addr)
#define test_and_clear_bit(nr, addr)	__test_and_clear_bit(nr, addr)

static inline bool atomic_dec_and_test(atomic_t *v)
{
	return --*v == 0;
}

static inline void atomic_dec(atomic_t *v)
{
	--*v;
}

static inline bool atomic_inc_unless_negative(atomic_t *v)
{
	if (*v < 0)
		return false;
	++*v;
	return true;
}

/* One thread again. */
#define smp_store_release(p, v)		WRITE_ONCE(*(p), v)

/*
 * Memory policies: counted, and a copy for each VMA as with MPOL_BIND.
 */
#define vma_policy(vma)			((vma)->vm_policy)

struct mempolicy *mpol_create(int mode);
void mpol_put(struct mempolicy *policy);
bool mpol_equal(struct mempolicy *a, struct mempolicy *b);
int vma_dup_policy(struct vm_area_struct *src, struct vm_area_struct *dst);

/*
 * Anonymous VMA names: the count is the kernel's, the memory is the harness's.
 */
struct anon_vma_name *anon_vma_name_alloc(const char *name);
void anon_vma_name_free(struct kref *kref);

static inline struct anon_vma_name *anon_vma_name(struct vm_area_struct *vma)
{
	return vma->anon_name;
}

/*
 * Commit accounting with a limit, strict as with vm.overcommit_memory=2.
 */
extern long vm_committed;
extern long vm_commit_limit;

void vm_acct_memory(long pages);
int security_vm_enough_memory_mm(struct mm_struct *mm, long pages);

static inline void vm_unacct_memory(long pages)
{
	vm_acct_memory(-pages);
}

/*
 * Page protections. Bits of the old protection that a driver may have set, the
 * upper half here, survive a change of the VMA's flags.
 */
#define PGPROT_DRIVER			BIT(62)

static inline pgprot_t vm_get_page_prot(unsigned long vm_flags)
{
	return __pgprot(vm_flags & (VM_READ | VM_WRITE | VM_EXEC | VM_SHARED));
}

static inline pgprot_t pgprot_modify(pgprot_t oldprot, pgprot_t newprot)
{
	return __pgprot((pgprot_val(oldprot) & PGPROT_DRIVER) |
			pgprot_val(newprot));
}

/*
 * Hooks that the harness only counts.
 */
static inline int uprobe_mmap(struct vm_area_struct *vma)
{
	calls.uprobe_mmap++;
	return 0;
}

static inline void uprobe_munmap(struct vm_area_struct *vma,
				 unsigned long start, unsigned long end)
{
	DIE_ON(start >= end);
	calls.uprobe_munmap++;
}

static inline void khugepaged_enter_vma(struct vm_area_struct *vma,
					unsigned long vm_flags)
{
	calls.khugepaged_enter++;
}

static inline void ksm_add_vma(struct vm_area_struct *vma)
{
	calls.ksm_add++;
}

static inline void perf_event_mmap(struct vm_area_struct *vma)
{
	calls.perf_mmap++;
	calls.perf_last.start = vma->vm_start;
	calls.perf_last.end = vma->vm_end;
	calls.perf_last.pgoff = vma->vm_pgoff;
	calls.perf_last.access = vma->vm_flags & VM_ACCESS_FLAGS;
}

static inline void hugetlb_split(struct vm_area_struct *vma, unsigned long addr)
{
	calls.hugetlb_split++;
}

static inline void vma_adjust_trans_huge(struct vm_area_struct *vma,
					 unsigned long start, unsigned long end,
					 long adjust_next)
{
	calls.trans_huge_adjust++;
}

/* Notes the range on @unmaps, for which it needs memory. */
int userfaultfd_unmap_prep(struct vm_area_struct *vma, unsigned long start,
			   unsigned long end, struct list_head *unmaps);
void userfaultfd_unmap_complete(struct mm_struct *mm, struct list_head *unmaps);

/*
 * Debug output of the kernel's checks.
 */
#define pr_emerg			printf
#define pr_warn				printf
#define pr_warn_once(...)		do { } while (0)
#define VM_WARN_ON(cond)		((void)WARN_ON(cond))
#define VM_WARN_ON_ONCE(cond)		WARN_ON(cond)
#define VM_WARN_ONCE(cond, ...)		WARN_ON(cond)
#define VM_WARN_ON_ONCE_MM(cond, ...)	WARN_ON(cond)
#define VM_BUG_ON			DIE_ON
#define VM_BUG_ON_VMA(cond, ...)	DIE_ON(cond)
#define VM_BUG_ON_MM(cond, ...)		DIE_ON(cond)

void dump_vma(const struct vm_area_struct *vma);
void vma_iter_dump_tree(const struct vma_iterator *vmi);

/*
 * Declared here because the files that the kernel declares them in are not
 * included; defined by generated/same-body.c, mm/vma.c or a file beside it.
 */
struct vm_area_struct *vm_area_alloc(struct mm_struct *mm);
struct vm_area_struct *vm_area_dup(struct vm_area_struct *orig);
void __vm_area_free(struct vm_area_struct *vma);
void vm_area_free(struct vm_area_struct *vma);
void __put_anon_vma(struct anon_vma *anon_vma);
void anon_vma_init(void);
int __anon_vma_prepare(struct vm_area_struct *vma);
int anon_vma_clone(struct vm_area_struct *dst, struct vm_area_struct *src);
int anon_vma_fork(struct vm_area_struct *vma, struct vm_area_struct *pvma);
void unlink_anon_vmas(struct vm_area_struct *vma);
struct vm_area_struct *find_vma(struct mm_struct *mm, unsigned long addr);
struct vm_area_struct *find_vma_prev(struct mm_struct *mm, unsigned long addr,
				     struct vm_area_struct **pprev);
struct vm_area_struct *find_vma_intersection(struct mm_struct *mm,
					     unsigned long start_addr,
					     unsigned long end_addr);
bool may_expand_vm(struct mm_struct *mm, vm_flags_t flags,
		   unsigned long npages);
bool mlock_future_ok(struct mm_struct *mm, unsigned long flags,
		     unsigned long bytes);
void vm_stat_account(struct mm_struct *mm, vm_flags_t flags, long npages);
void vma_set_page_prot(struct vm_area_struct *vma);
int insert_vm_struct(struct mm_struct *mm, struct vm_area_struct *vma);
int expand_downwards(struct vm_area_struct *vma, unsigned long address);
unsigned long mmap_region(struct file *file, unsigned long addr,
			  unsigned long len, vm_flags_t vm_flags,
			  unsigned long pgoff, struct list_head *uf);
int do_munmap(struct mm_struct *mm, unsigned long start, size_t len,
	      struct list_head *uf);

#endif /* _VMA_CUSTOM_H */
