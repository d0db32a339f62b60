// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs the tests, each in a child process, and reports in KTAP:
 *
 *	./vma [--list] [--no-fork] [--soak MINUTES] [NAME...]
 *
 * NAME is a test or a subject. --no-fork is for debuggers. SEED= in the
 * environment makes random tests do the same again, VMA_SOAK= is as --soak.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <sys/wait.h>

#include "maple-shared.h"
#include "vma_internal.h"

#include "include/test.h"

#define TIME_LIMIT	300	/* seconds, for a test on a slow machine */

enum {
	RESULT_PASS = 0,
	RESULT_FAIL = 1,
	RESULT_SKIP = 4,
};

#ifdef VMA_COVERAGE
void __gcov_dump(void);
#else
#define __gcov_dump()	do { } while (0)
#endif

static struct test *tests, **tests_end = &tests;
static int nr_warnings;
static int nr_expected;
static unsigned long seed;
static unsigned long soak_minutes;

void test_register(struct test *test)
{
	*tests_end = test;
	tests_end = &test->next;
}

static void __noreturn end_process(int result)
{
	fflush(NULL);
	__gcov_dump();
	_exit(result);
}

void test_exit(bool success)
{
	end_process(success ? RESULT_PASS : RESULT_FAIL);
}

void test_failed(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	printf("FAILED at %s:%d: ", file, line);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	end_process(RESULT_FAIL);
}

void test_skip(const char *reason)
{
	printf("SKIP %s\n", reason);
	end_process(RESULT_SKIP);
}

void kernel_bug(const char *file, int line, const char *what)
{
	test_failed(file, line, "kernel BUG: %s", what);
}

bool kernel_warning(const char *file, int line, const char *what)
{
	if (nr_expected > 0) {
		nr_expected--;
		return true;
	}

	nr_warnings++;
	printf("kernel WARNING at %s:%d: %s\n", file, line, what);
	return true;
}

void expect_warnings(int n)
{
	nr_expected = n;
}

int test_nr_warnings(void)
{
	return nr_warnings;
}

unsigned long test_seed(void)
{
	return seed;
}

unsigned long test_soak_minutes(void)
{
	return soak_minutes;
}

void test_set_time_limit(unsigned int seconds)
{
	alarm(seconds);
}

static void run_test(struct test *test)
{
	nr_warnings = 0;
	nr_expected = 0;
	world_reset();

	test->fn();

	rcu_barrier();
	alloc_fail_nth(0);
	if (nr_warnings)
		test_failed(test->file, 0, "%d kernel warnings", nr_warnings);
	if (nr_expected)
		test_failed(test->file, 0, "%d expected warnings did not come",
			    nr_expected);
	if (alloc_nr_live()) {
		alloc_show_live();
		test_failed(test->file, 0, "memory was not freed");
	}
	if (vm_committed)
		test_failed(test->file, 0, "%ld pages are still committed",
			    vm_committed);
}

/* What the child says becomes a diagnostic; the last line is the reason. */
static void print_output(FILE *in, char *reason, size_t size)
{
	char *line = NULL;
	size_t len = 0;
	ssize_t n;

	while ((n = getline(&line, &len, in)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		printf("# %s\n", line);
		snprintf(reason, size, "%s", line);
	}
	free(line);
}

static int run_forked(struct test *test, char *reason, size_t size)
{
	int status, fds[2];
	FILE *in;
	pid_t pid;

	fflush(NULL);
	if (pipe(fds))
		return RESULT_FAIL;

	pid = fork();
	if (pid < 0)
		return RESULT_FAIL;
	if (!pid) {
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		setvbuf(stdout, NULL, _IOLBF, 0);
		alarm(TIME_LIMIT);
		run_test(test);
		/* The ordinary way out, on which ASan looks for leaks. */
		exit(RESULT_PASS);
	}

	close(fds[1]);
	in = fdopen(fds[0], "r");
	print_output(in, reason, size);
	fclose(in);

	if (waitpid(pid, &status, 0) != pid)
		return RESULT_FAIL;
	if (WIFSIGNALED(status)) {
		snprintf(reason, size, "killed by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
		printf("# %s\n", reason);
		return RESULT_FAIL;
	}
	return WEXITSTATUS(status);
}

static void test_full_name(struct test *test, char *name, size_t size)
{
	const char *base = strrchr(test->file, '/');

	base = base ? base + 1 : test->file;
	snprintf(name, size, "%.*s.%s", (int)strcspn(base, "."), base,
		 test->name);
}

static bool is_wanted(struct test *test, char **names)
{
	char full[128];
	size_t len;

	if (!*names)
		return true;

	test_full_name(test, full, sizeof(full));
	for (; *names; names++) {
		len = strlen(*names);
		if (!strcmp(full, *names) || !strcmp(test->name, *names) ||
		    (!strncmp(full, *names, len) && full[len] == '.'))
			return true;
	}
	return false;
}

static unsigned long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static const char *seed_from(const char *text)
{
	if (text)
		seed = strtoul(text, NULL, 0);
	else
		seed = now_ms() ^ ((unsigned long)getpid() << 20);
	return text;
}

int main(int argc, char **argv)
{
	int nr = 0, nr_failed = 0, nr_skipped = 0, nr_wanted = 0;
	bool list = false, no_fork = false;
	struct test *test;
	char **names = argv + 1;

	if (getenv("VMA_SOAK"))
		soak_minutes = strtoul(getenv("VMA_SOAK"), NULL, 0);

	for (; *names && **names == '-'; names++) {
		if (!strcmp(*names, "--list")) {
			list = true;
		} else if (!strcmp(*names, "--no-fork")) {
			no_fork = true;
		} else if (!strcmp(*names, "--soak") && names[1]) {
			soak_minutes = strtoul(*++names, NULL, 0);
		} else {
			fprintf(stderr,
				"usage: %s [--list] [--no-fork] [--soak MINUTES] [NAME...]\n",
				argv[0]);
			return 2;
		}
	}

	for (test = tests; test; test = test->next)
		nr_wanted += is_wanted(test, names);
	if (!nr_wanted) {
		fprintf(stderr, "%s: no such test; --list shows them all\n",
			argv[0]);
		return 2;
	}

	maple_tree_init();
	vma_caches_init();
	seed_from(getenv("SEED"));

	if (!list)
		printf("KTAP version 1\n1..%d\n", nr_wanted);

	for (test = tests; test; test = test->next) {
		unsigned long start = now_ms();
		char name[128], reason[256] = "";
		int result = RESULT_PASS;

		if (!is_wanted(test, names))
			continue;

		test_full_name(test, name, sizeof(name));
		if (list) {
			printf("%s\n", name);
			continue;
		}

		nr++;
		if (no_fork)
			run_test(test);
		else
			result = run_forked(test, reason, sizeof(reason));

		switch (result) {
		case RESULT_PASS:
			printf("ok %d %s # %lu ms\n", nr, name,
			       now_ms() - start);
			break;
		case RESULT_SKIP:
			nr_skipped++;
			printf("ok %d %s # %s\n", nr, name, reason);
			break;
		default:
			nr_failed++;
			printf("not ok %d %s # %lu ms\n", nr, name,
			       now_ms() - start);
			break;
		}
		fflush(stdout);
	}

	if (!list)
		printf("# Totals: pass:%d fail:%d skip:%d\n",
		       nr - nr_failed - nr_skipped, nr_failed, nr_skipped);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
