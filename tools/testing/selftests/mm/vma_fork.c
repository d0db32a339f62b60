// SPDX-License-Identifier: GPL-2.0
/*
 * fork() copies one VMA after the other. A signal that kills the caller makes it
 * stop in the middle, and so does a lack of memory: what there is of the child's
 * address space is then taken down again. These tests see to it that nothing of
 * it stays behind.
 */
#define _GNU_SOURCE
#include "vma_util.h"

#define NR_VMAS		1000
#define NR_KILLS	20
#define TEST_SECONDS	300

FIXTURE(fork) {
	int fd;
	char *area;
	size_t area_size;
};

/* NR_VMAS shared mappings of a file of one page, none next to the other */
FIXTURE_SETUP(fork)
{
	self->fd = memfd_create("vma_fork", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(ftruncate(self->fd, page_size), 0);

	self->area_size = 2 * NR_VMAS * page_size;
	self->area = mmap(NULL, self->area_size, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(self->area, MAP_FAILED);
	for (int i = 0; i < NR_VMAS; i++) {
		ASSERT_NE((void *)map(self->area + 2 * i * page_size, 1, RW,
				      MAP_SHARED | MAP_FIXED, self->fd, 0),
			  MAP_FAILED);
	}
}

FIXTURE_TEARDOWN(fork)
{
	close(self->fd);
}

/* Almost all the time of it goes into copying VMAs */
static void fork_for_ever(void)
{
	for (;;) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		if (wait_status(pid) == -1)
			_exit(1);
	}
}

/*
 * A seal against writing is refused as long as anybody, be it a half-made
 * address space that was forgotten, has a writable mapping of the file.
 */
static bool mapped_writable(int fd)
{
	return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0 && errno == EBUSY;
}

/* The last child of a killed process may still be about to exit */
static bool unmapped_at_last(int fd)
{
	for (int i = 0; i < 1000; i++) {
		if (!mapped_writable(fd))
			return true;
		usleep(10000);
	}
	return false;
}

/* A process that is killed while it forks leaves no mapping behind */
TEST_F_TIMEOUT(fork, killed_half_way, TEST_SECONDS)
{
	for (int i = 0; i < NR_KILLS; i++) {
		pid_t pid = fork();
		int status;

		ASSERT_GE(pid, 0);
		if (!pid)
			fork_for_ever();
		usleep(1000 + i * 700);
		ASSERT_EQ(kill(pid, SIGKILL), 0);
		status = wait_status(pid);
		ASSERT_TRUE(WIFSIGNALED(status));
	}
	ASSERT_TRUE(mapped_writable(self->fd));
	ASSERT_EQ(munmap(self->area, self->area_size), 0);
	ASSERT_TRUE(unmapped_at_last(self->fd));
}

TEST_HARNESS_MAIN
