/*
 * What the kernel says about the processes of a tree, for those who may not trace it (another program, strace, does): /proc alone.
 *
 *     watch PID FILE CLOCK INTERVAL_US        follows PID and all it starts, appends lines to FILE, ends when all have ended or on SIGTERM
 *
 * A process is read every INTERVAL_US if it sleeps or stands still for its tracer. It goes on when it likes: whether it did is for the reader of the events to
 * say. A child is found while its parent lives; one that comes and goes between two looks is not read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include "readings.h"

struct process {
	int pid, status_fd, stat_fd;
	int rest, left_out;
	char last[VALUES_SIZE];
	struct process *next;
};

static struct process *processes;
static FILE *out;
static clockid_t clock_id;
static long long interval_ns;
static long lines;
static char held[4096];          /* the image of PID while it is held back: what it does there is no part of the recording */

static void image_of(int pid, char into[4096])
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int n = read_again(fd, into, 4096);
	if (fd >= 0) close(fd);
	for (int i = 0; i < n; i++) if (into[i] == 0) into[i] = ' ';
}

static void add(int pid)
{
	for (struct process *p = processes; p != NULL; p = p->next) if (p->pid == pid) return;
	struct process *p = calloc(1, sizeof *p);
	*p = (struct process){ .pid = pid, .status_fd = open_proc(pid, "status"), .stat_fd = open_proc(pid, "stat"), .next = processes };
	processes = p;
}

static void add_children(int pid)
{
	char path[64], text[4096], *at = text;
	snprintf(path, sizeof path, "task/%d/children", pid);
	int fd = open_proc(pid, path);
	int n = read_again(fd, text, sizeof text);
	if (fd >= 0) close(fd);
	while (n > 0 && *at != 0) {
		char *end;
		long child = strtol(at, &end, 10);
		if (end == at) break;
		add((int)child);
		at = end;
		while (*at == ' ') at++;
	}
}

/* Returns 0 when the process has ended. */
static int look(struct process *p)
{
	char values[VALUES_SIZE];
	long long begin, end;
	add_children(p->pid);
	if (p->left_out > 0) { p->left_out--; return 1; }
	char state = read_values(p->status_fd, p->stat_fd, clock_id, values, &begin, &end);
	if (state == 0) return 0;
	if (state != 'S' && state != 't') return 1;
	p->rest = strcmp(values, p->last) != 0 ? 0 : p->rest == 0 ? 1 : p->rest < MOST_ROUNDS_LEFT_OUT ? p->rest * 2 : p->rest;
	p->left_out = p->rest;
	strcpy(p->last, values);
	fprintf(out, "%lld,%d,%s,%lld\n", end, p->pid, values, begin);
	if (++lines % LINES_BEFORE_SLOWER == 0) interval_ns *= 2;
	return 1;
}

static volatile sig_atomic_t ended;
static void end(int signal) { ended = signal; }

int main(int argc, char **argv)
{
	if (argc != 5 || (out = fopen(argv[2], "w")) == NULL) {
		fprintf(stderr, "watch: %s\n", argc != 5 ? "PID FILE CLOCK INTERVAL_US are needed" : strerror(errno));
		return 125;
	}
	char image[4096];
	unsigned long minor, major;
	int pid = atoi(argv[1]);
	clock_id = strcmp(argv[3], "realtime") == 0 ? CLOCK_REALTIME : CLOCK_MONOTONIC;
	interval_ns = atoll(argv[4]) * 1000;
	fputs(READINGS_HEADER, out);
	signal(SIGTERM, end);
	add(pid);
	image_of(pid, held);
	faults_of(processes->stat_fd, &minor, &major);
	printf("ready zero_page=%c minor=%lu major=%lu\n", zero_page(), minor, major);
	fflush(stdout);
	int begun = 0;
	while (!ended && processes != NULL) {
		struct timespec wait = { interval_ns / 1000000000, interval_ns % 1000000000 };
		nanosleep(&wait, NULL);
		if (!begun) {
			image_of(pid, image);
			begun = strcmp(image, held) != 0;
			if (image[0] != 0 && !begun) continue;
		}
		for (struct process **at = &processes; *at != NULL;) {
			struct process *p = *at;
			if (look(p)) { at = &p->next; continue; }
			*at = p->next;
			close(p->status_fd);
			close(p->stat_fd);
			free(p);
		}
	}
	return fclose(out) == 0 ? 0 : 125;
}
