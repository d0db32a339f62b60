/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reader/writer semaphore as a flag that can be looked at.
 *
 * The harness has one thread: whoever would have to wait would wait for ever.
 * What is worth knowing is who holds what, so that a lock taken twice, dropped
 * twice or not held where it has to be is a failure rather than luck.
 */
#ifndef _LINUX_RWSEM_H
#define _LINUX_RWSEM_H

#include <linux/bug.h>

struct rw_semaphore {
	int count;		/* of readers; -1: a writer */
};

static inline void init_rwsem(struct rw_semaphore *sem)
{
	sem->count = 0;
}

static inline int rwsem_is_locked(const struct rw_semaphore *sem)
{
	return sem->count != 0;
}

static inline void rwsem_assert_held(const struct rw_semaphore *sem)
{
	DIE_ON(!sem->count);
}

static inline void rwsem_assert_held_write(const struct rw_semaphore *sem)
{
	DIE_ON(sem->count != -1);
}

static inline void down_read(struct rw_semaphore *sem)
{
	DIE_ON(sem->count < 0);
	sem->count++;
}

static inline void up_read(struct rw_semaphore *sem)
{
	DIE_ON(sem->count <= 0);
	sem->count--;
}

static inline void down_write(struct rw_semaphore *sem)
{
	DIE_ON(sem->count);
	sem->count = -1;
}

static inline void up_write(struct rw_semaphore *sem)
{
	DIE_ON(sem->count != -1);
	sem->count = 0;
}

static inline void downgrade_write(struct rw_semaphore *sem)
{
	DIE_ON(sem->count != -1);
	sem->count = 1;
}

/* Nobody else can hold the lock that nests the others: lockdep's business. */
#define down_write_nest_lock(sem, nest_lock)			\
	do {							\
		rwsem_assert_held_write(nest_lock);		\
		down_write(sem);				\
	} while (0)

#endif /* _LINUX_RWSEM_H */
