/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A warning fails the test during which it comes, each time and not only once,
 * unless the test said that it would come. A BUG ends the test.
 */
#ifndef _ASM_BUG_H
#define _ASM_BUG_H

#include <stdbool.h>

#include <linux/compiler.h>

bool kernel_warning(const char *file, int line, const char *what);
void kernel_bug(const char *file, int line, const char *what)
	__noreturn;

#define WARN_ON(condition) ({						\
	bool __ret_warn_on = !!(condition);				\
									\
	unlikely(__ret_warn_on) &&					\
		kernel_warning(__FILE__, __LINE__, #condition);		\
})

#define WARN(condition, format...)	WARN_ON(condition)
#define WARN_ON_ONCE(condition)		WARN_ON(condition)
#define WARN_ONCE(condition, format...)	WARN_ON(condition)

/* What a test or the harness itself cannot go on with. */
#define DIE_ON(condition) ({						\
	if (unlikely(condition))					\
		kernel_bug(__FILE__, __LINE__, #condition);		\
})

#define BUG_ON DIE_ON

#endif /* _ASM_BUG_H */
