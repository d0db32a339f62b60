/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RCU for one thread, without liburcu's helper thread: a test may fork, and
 * what is live has to be known at any time.
 *
 * What call_rcu() is given waits for rcu_barrier(). The harness calls that
 * between two operations, when nothing can have a pointer to old memory.
 */
#ifndef _LINUX_RCUPDATE_H
#define _LINUX_RCUPDATE_H

#include <urcu/uatomic.h>

#include <linux/compiler.h>

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
};

extern int rcu_nesting;

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
void rcu_barrier(void);

static inline void rcu_read_lock(void)
{
	rcu_nesting++;
}

static inline void rcu_read_unlock(void)
{
	rcu_nesting--;
}

#define rcu_dereference(p)			READ_ONCE(p)
#define rcu_dereference_raw(p)			READ_ONCE(p)
#define rcu_dereference_protected(p, ...)	READ_ONCE(p)
#define rcu_dereference_check(p, ...)		READ_ONCE(p)
#define rcu_assign_pointer(p, v)		WRITE_ONCE(p, v)
#define RCU_INIT_POINTER(p, v)			WRITE_ONCE(p, v)

#endif /* _LINUX_RCUPDATE_H */
