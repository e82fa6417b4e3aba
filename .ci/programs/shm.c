/*
 * System V and POSIX shared memory, written and read on both sides of a fork, by turns: of two processes that touch the same pages for the first time within a
 * microsecond, a recording does not tell which of them the kernel served first.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	const long size = 8 << 20;
	int id = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
	char *segment = shmat(id, NULL, 0);
	int fd = shm_open("/framewalk-verify", O_CREAT | O_RDWR, 0600);
	shm_unlink("/framewalk-verify");
	if (ftruncate(fd, size) != 0) return 1;
	char *mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *anonymous = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long sum = 0;
	for (int round = 0; round < 4; round++) {
		for (long i = 0; i < size / 8; i += 8192) segment[round * (size / 8) + i] = mapping[round * (size / 8) + i] = anonymous[round * (size / 8) + i] = 1;
		int told[2], answered[2];
		char turn = 0;
		if (pipe(told) != 0 || pipe(answered) != 0) return 1;
		if (fork() == 0) {
			for (long i = 0; i < size / 2; i += 4096) sum += segment[i] + mapping[i] + anonymous[i];
			usleep(10000);
			if (write(told[1], &turn, 1) != 1 || read(answered[0], &turn, 1) != 1) _exit(1);
			for (long i = size / 2; i < size / 2 + 262144; i += 4096) segment[i] = mapping[i] = 2;
			usleep(10000);
			_exit(sum & 1);
		}
		if (read(told[0], &turn, 1) != 1) return 1;
		for (long i = 0; i < size; i += 4096) sum += segment[i] + mapping[i];
		usleep(10000);
		if (write(answered[1], &turn, 1) != 1) return 1;
		wait(NULL);
		close(told[0]), close(told[1]), close(answered[0]), close(answered[1]);
	}
	shmdt(segment);
	shmctl(id, IPC_RMID, NULL);
	usleep(5000);
	return 0;
}
