/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Customised types that the kernel's own structures (generated/same-type.h) are
 * made of. Each is the kernel's reduced to what VMA code looks at.
 */
#ifndef _VMA_TYPES_H
#define _VMA_TYPES_H

/* Only sparse and the structure layout plugin care. */
#define __private
#define __bitwise
#define __randomize_layout
#define ACCESS_PRIVATE(p, member)	((p)->member)
#define ASSERT_EXCLUSIVE_WRITER(...)	do { } while (0)
#define data_race(expr)			(expr)

#define pgoff_t				unsigned long

/* A page protection is the VMA flags it was made from: see custom.h. */
typedef unsigned long pgprotval_t;
typedef struct pgprot {
	pgprotval_t pgprot;
} pgprot_t;

#define pgprot_val(x)			((x).pgprot)
#define __pgprot(x)			((pgprot_t) { (x) })

/* One thread: a sequence count only has to be even or odd. */
typedef struct seqcount {
	unsigned int sequence;
} seqcount_t;

/* Underflow is a bug, saturation does not happen. */
typedef struct refcount_struct {
	int refs;
} refcount_t;

#define REFCOUNT_MAX			INT_MAX

struct kref {
	refcount_t refcount;
};

struct mutex {
	bool locked;
};

#define DEFINE_MUTEX(name)		struct mutex name = {}

/* Two policies are equal if their modes are. */
struct mempolicy {
	refcount_t refcnt;
	int mode;
};

/* VMA code only compares the pointers. */
struct userfaultfd_ctx {
	int id;
};

/* For the prototypes in struct file_operations. */
typedef unsigned int fop_flags_t;
typedef unsigned int __poll_t;
typedef void *fl_owner_t;

struct dir_context;
struct file;
struct file_lease;
struct file_lock;
struct inode;
struct io_comp_batch;
struct io_uring_cmd;
struct iov_iter;
struct kiocb;
struct mm_struct;
struct module;
struct page;
struct pipe_inode_info;
struct poll_table_struct;
struct seq_file;
struct vm_area_desc;
struct vm_fault;

#endif /* _VMA_TYPES_H */
