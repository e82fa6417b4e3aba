/* Eight threads that allocate, touch, free and map at the same time. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *work(void *arg)
{
	long seed = (long)arg;
	for (int round = 0; round < 20; round++) {
		char *own = malloc(200000 + seed * 5000), *map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(own, round, 200000);
		for (int i = 0; i < 1 << 20; i += 16384) map[i] = 1;
		usleep(15000 + 1000 * seed);
		munmap(map, 1 << 20);
		free(own);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[8];
	for (long i = 0; i < 8; i++) pthread_create(&threads[i], NULL, work, (void *)i);
	for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
	return 0;
}
