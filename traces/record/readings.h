/* What truth.c and watch.c share: a reading of /proc/PID/status and /proc/PID/stat between two stamps of a clock (proc_pid_status(5), proc_pid_stat(5)). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define READINGS_HEADER "time_ns,pid,threads,vm_size_kb,vm_pte_kb,rss_anon_kb,rss_file_kb,rss_shmem_kb,minor_faults,major_faults,begin_ns\n"
#define VALUES_SIZE 512
/* After so many lines the interval doubles, so that a long recording stays bounded. */
#define LINES_BEFORE_SLOWER 8000
#define MOST_ROUNDS_LEFT_OUT 16

static long long now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int open_proc(int pid, const char *name)
{
	char path[128];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int read_again(int fd, char *into, int size)
{
	int n = fd < 0 ? -1 : (int)pread(fd, into, size - 1, 0);
	into[n < 0 ? 0 : n] = 0;
	return n;
}

static long field(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	return at == NULL ? 0 : atol(at + strlen(name));
}

/* Faults that needed no disk, and those that did: fields 10 and 12 of proc_pid_stat(5). */
static void faults_of(int stat_fd, unsigned long *minor, unsigned long *major)
{
	char text[512], *end;
	*minor = *major = 0;
	if (read_again(stat_fd, text, sizeof text) > 0 && (end = strrchr(text, ')')) != NULL)
		sscanf(end + 2, "%*c %*d %*d %*d %*d %*d %*u %lu %*u %lu", minor, major);
}

/* The columns of READINGS_HEADER from `threads` to `major_faults`. Returns the letter of the process's state; 0 when it is gone or has no memory any more. */
static char read_values(int status_fd, int stat_fd, clockid_t clock, char values[VALUES_SIZE], long long *begin, long long *end)
{
	char text[4096];
	unsigned long minor, major;
	*begin = now(clock);
	if (read_again(status_fd, text, sizeof text) <= 0) return 0;
	faults_of(stat_fd, &minor, &major);
	*end = now(clock);
	const char *state = strstr(text, "State:\t");
	if (state == NULL || strstr(text, "VmSize:") == NULL) return 0;
	snprintf(values, VALUES_SIZE, "%ld,%ld,%ld,%ld,%ld,%ld,%lu,%lu", field(text, "Threads:"), field(text, "VmSize:"), field(text, "VmPTE:"),
		 field(text, "RssAnon:"), field(text, "RssFile:"), field(text, "RssShmem:"), minor, major);
	return state[7];
}

/* Whether a read of untouched anonymous memory maps the zero page, as it does unless the kernel was told otherwise: y or n. */
static char zero_page(void)
{
	enum { PAGES = 64 };
	char text[4096];
	int fd = open_proc(getpid(), "status");
	read_again(fd, text, sizeof text);
	read_again(fd, text, sizeof text);
	long before = field(text, "RssAnon:");
	volatile char *at = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < PAGES; i++) (void)at[i * 4096];
	read_again(fd, text, sizeof text);
	long after = field(text, "RssAnon:");
	munmap((void *)at, PAGES * 4096);
	close(fd);
	return after - before < PAGES * 2 ? 'y' : 'n';
}
