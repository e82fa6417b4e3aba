/* mremap, MADV_DONTNEED, MADV_HUGEPAGE, mlock, MAP_POPULATE, mprotect, with a pause after each step. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1L << 20)

static void pause_here(void) { usleep(4000); }

static void touch(char *at, long bytes, long step)
{
	for (long i = 0; i < bytes; i += step) at[i] = 1;
}

int main(void)
{
	for (int round = 0; round < 6; round++) {
		char *a = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		touch(a, 16 * MIB, 65536), pause_here();
		madvise(a, 8 * MIB, MADV_DONTNEED), pause_here();
		a = mremap(a, 64 * MIB, 96 * MIB, MREMAP_MAYMOVE), pause_here();
		touch(a + 64 * MIB, 16 * MIB, 32768), pause_here();
		mremap(a, 96 * MIB, 40 * MIB, 0), pause_here();
		char *huge = mmap(NULL, 16 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		madvise(huge, 16 * MIB, MADV_HUGEPAGE);
		touch(huge, 12 * MIB, MIB), pause_here();
		madvise(huge + 2 * MIB, MIB, MADV_DONTNEED), pause_here();
		mprotect(huge + 5 * MIB, MIB, PROT_READ), pause_here();
		char *locked = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mlock(locked, 2 * MIB), pause_here();
		munlock(locked, 2 * MIB);
		char *filled = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		pause_here();
		munmap(filled, 2 * MIB), munmap(locked, 4 * MIB), munmap(huge, 16 * MIB), pause_here();
		munmap(a, 40 * MIB), pause_here();
	}
	return 0;
}
