/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests register themselves. A file tests/SUBJECT.c with
 *
 *	TEST(name)
 *	{
 *		ASSERT_EQ(...);
 *	}
 *
 * is compiled in because it is there, and its test is known as SUBJECT.name.
 *
 * Each test runs in a child process: a failing assertion ends the child, so that
 * it neither leaks nor stops the others, and neither does a crash. All files
 * under tests/ are part of one compilation unit together with mm/vma.c, whose
 * static functions they can call; their own static functions share a namespace.
 */
#ifndef _VMA_TEST_H
#define _VMA_TEST_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct test {
	const char *name;
	const char *file;
	void (*fn)(void);
	struct test *next;
};

void test_register(struct test *test);
void test_failed(const char *file, int line, const char *fmt, ...)
	__noreturn __printf(3, 4);
/* Ends this process, without a look for leaks. */
void test_exit(bool success) __noreturn;
void test_skip(const char *reason) __noreturn;

/* The next @n warnings of the kernel code are what the test is about. */
void expect_warnings(int n);
/* How many have come that nobody expected. */
int test_nr_warnings(void);

/* SEED= of the environment; without, another one each time. It is printed. */
unsigned long test_seed(void);
/* Minutes that a test may go on for; 0: as short as is useful. */
unsigned long test_soak_minutes(void);
/* The test has this much time instead of the usual limit. */
void test_set_time_limit(unsigned int seconds);

#define __TEST(_name, _fn, _register)					\
	static void _fn(void);						\
	static void __attribute__((__constructor__)) _register(void)	\
	{								\
		static struct test test = {				\
			.name = #_name,					\
			.file = __FILE__,				\
			.fn = _fn,					\
		};							\
									\
		test_register(&test);					\
	}								\
	static void _fn(void)

/* Tests in two files may have the same name. */
#define ___TEST(_name, _n)	__TEST(_name, test_##_n, test_register_##_n)
#define __TEST_N(_name, _n)	___TEST(_name, _n)
#define TEST(_name)		__TEST_N(_name, __COUNTER__)

#define ASSERT_TRUE(_expr)						\
	do {								\
		if (!(_expr))						\
			test_failed(__FILE__, __LINE__, "%s is false",	\
				    #_expr);				\
	} while (0)

#define ASSERT_FALSE(_expr)						\
	do {								\
		if (_expr)						\
			test_failed(__FILE__, __LINE__, "%s is true",	\
				    #_expr);				\
	} while (0)

#define __ASSERT_OP(_a, _op, _b)					\
	do {								\
		__auto_type __a = (_a);					\
		typeof(__a) __b = (typeof(__a))(_b);			\
									\
		if (!(__a _op __b))					\
			test_failed(__FILE__, __LINE__,			\
				    "%s %s %s is false: %#lx, %#lx",	\
				    #_a, #_op, #_b,			\
				    (unsigned long)__a,			\
				    (unsigned long)__b);		\
	} while (0)

#define ASSERT_EQ(_a, _b)	__ASSERT_OP(_a, ==, _b)
#define ASSERT_NE(_a, _b)	__ASSERT_OP(_a, !=, _b)
#define ASSERT_LE(_a, _b)	__ASSERT_OP(_a, <=, _b)
#define ASSERT_GE(_a, _b)	__ASSERT_OP(_a, >=, _b)

#endif /* _VMA_TEST_H */
