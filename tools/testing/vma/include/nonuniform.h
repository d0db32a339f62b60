/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What mm/nonuniform.c needs of the rest of the kernel.
 */
#ifndef _VMA_NONUNIFORM_H
#define _VMA_NONUNIFORM_H

#include <linux/build_bug.h>
#include <linux/nonuniform.h>

#define __ro_after_init

/* Called by vma_caches_init(), as all of these are before there is a process. */
#define core_initcall(fn)							\
	void call_##fn(void)							\
	{									\
		DIE_ON(fn());							\
	}

void call_nonuniform_init(void);

/* One thread, which nobody waits for. */
#define smp_rmb()			do { } while (0)

#endif /* _VMA_NONUNIFORM_H */
