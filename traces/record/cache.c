/*
 * What of files is in the page cache: mincore(2) of a mapping that is never touched.
 *
 *     cache < LIST > files.csv        LIST: lines `device<TAB>inode<TAB>path`, device and inode as perf prints them
 *
 * A file that is gone, or is none any more, is left out. Pages of shared memory that were never written count as absent.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096L
#define PAGES_AT_ONCE 262144L

static void quoted(const char *text)
{
	putchar('"');
	for (; *text != 0; text++) {
		if (*text == '"') putchar('"');
		putchar(*text);
	}
	putchar('"');
}

static void absent_runs(int fd, long pages)
{
	static unsigned char there[PAGES_AT_ONCE];
	long first = -1;
	for (long from = 0; from < pages; from += PAGES_AT_ONCE) {
		long n = pages - from < PAGES_AT_ONCE ? pages - from : PAGES_AT_ONCE;
		void *at = mmap(NULL, n * PAGE, PROT_READ, MAP_SHARED, fd, from * PAGE);
		if (at == MAP_FAILED || mincore(at, n * PAGE, there) != 0) memset(there, 1, n);
		if (at != MAP_FAILED) munmap(at, n * PAGE);
		for (long i = 0; i <= n; i++) {
			int absent = i < n && (there[i] & 1) == 0;
			if (absent && first < 0) first = from + i;
			if (absent || first < 0 || (i == n && from + n < pages)) continue;
			printf("%lx+%lx ", first, from + i - first);
			first = -1;
		}
	}
}

int main(void)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t length;
	puts("device,inode,size_bytes,path,absent_page_runs");
	while ((length = getline(&line, &size, stdin)) > 0) {
		if (line[length - 1] == '\n') line[length - 1] = 0;
		char *inode = strchr(line, '\t'), *path = inode == NULL ? NULL : strchr(inode + 1, '\t');
		if (path == NULL) continue;
		*inode++ = *path++ = 0;
		struct stat about;
		int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0) continue;
		if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_ino == strtoul(inode, NULL, 10)) {
			printf("%s,%s,%lld,", line, inode, (long long)about.st_size);
			quoted(path);
			putchar(',');
			absent_runs(fd, (about.st_size + PAGE - 1) / PAGE);
			putchar('\n');
		}
		close(fd);
	}
	return fflush(stdout) == 0 ? 0 : 125;
}
