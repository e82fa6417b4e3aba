/*
 * What the kernel says about the processes of a tree, read without disturbing them more than a reading takes: /proc/PID/status and /proc/PID/stat, each reading
 * between two stamps of the clock that perf uses. Linux; ptrace(2), proc_pid_status(5).
 *
 *     truth PID FILE CLOCK INTERVAL_US        follows PID (which waits) and all it starts, appends lines to FILE, ends when the last of them has ended
 *
 * A process is read where it is certain that it changes nothing meanwhile:
 * - where ptrace stops it anyway: at birth, after fork and exec, before it gives back its memory at its end. So every address space is read at least once;
 * - every INTERVAL_US: asleep as it is (not waiting for a disk: that may be within a page fault); running only after PTRACE_INTERRUPT, which stops it on
 *   its way to user space, never within a fault or a call. A sleeper is not interrupted, for some calls (epoll_wait) would then end early.
 * Whether something happened in between all the same (another thread woke up) is for the reader of the events to say.
 *
 * The interval doubles each 8 000 lines, so that a long recording stays bounded. Does not follow processes that are traced by another debugger.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include "readings.h"

#define HELD_AT_MOST_NS 20000000LL

struct process {
	int pid, status_fd, stat_fd;
	int waits;              /* threads that were interrupted and have not stopped yet */
	int wanted;             /* a reading is due once they have */
	long long since;        /* when they were */
	int rest, left_out;     /* rounds to leave out while it sleeps: the next number, and those left */
	char last[512];         /* what was read last */
	struct process *next;
};

struct thread {
	int tid;
	struct process *process;
	int interrupted, stopped;
	int signal;             /* that it stopped for, which it gets when it goes on */
	struct thread *next;
};

static struct process *processes;
static struct thread *threads;
static FILE *out;
static clockid_t clock_id;
static long long interval_ns;
static long lines;
static int begun;                /* the command has been executed; before it there is only what holds it back */

/* Letter of /proc/PID/task/TID/stat: R runs, S sleeps, D waits for a disk or a lock. */
static char state_of(int pid, int tid)
{
	char path[64], text[256], *end;
	snprintf(path, sizeof path, "task/%d/stat", tid);
	int fd = open_proc(pid, path);
	int n = read_again(fd, text, sizeof text);
	if (fd >= 0) close(fd);
	end = n > 0 ? strrchr(text, ')') : NULL;
	return end == NULL ? 'X' : end[2];
}

/* One reading. Returns 0 if the process runs (and nothing was written) while `asleep` is asked for. */
static int take(struct process *p, int asleep)
{
	char values[VALUES_SIZE];
	long long begin, end;
	p->wanted = 0;
	if (!begun) return 1;
	char state = read_values(p->status_fd, p->stat_fd, clock_id, values, &begin, &end);
	if (state == 0) return 1;
	if (asleep && state == 'R') return 0;
	if (asleep && state != 'S') return 1;
	if (asleep) {
		/* Asleep with the same numbers: once more tells nothing, so it is asked more and more rarely. */
		p->rest = strcmp(values, p->last) != 0 ? 0 : p->rest == 0 ? 1 : p->rest < MOST_ROUNDS_LEFT_OUT ? p->rest * 2 : p->rest;
		p->left_out = p->rest;
	}
	strcpy(p->last, values);
	fprintf(out, "%lld,%d,%s,%lld\n", end, p->pid, values, begin);
	if (++lines % LINES_BEFORE_SLOWER == 0) interval_ns *= 2;
	return 1;
}

static struct thread *find(int tid)
{
	for (struct thread *t = threads; t != NULL; t = t->next)
		if (t->tid == tid) return t;
	return NULL;
}

static struct thread *add(int tid)
{
	char text[4096];
	int fd = open_proc(tid, "status");
	int n = read_again(fd, text, sizeof text);
	int pid = n > 0 ? (int)field(text, "Tgid:") : tid;
	if (fd >= 0) close(fd);
	struct process *p = processes;
	while (p != NULL && p->pid != pid) p = p->next;
	if (p == NULL) {
		p = calloc(1, sizeof *p);
		*p = (struct process){ .pid = pid, .status_fd = open_proc(pid, "status"), .stat_fd = open_proc(pid, "stat"), .next = processes };
		processes = p;
	}
	struct thread *t = calloc(1, sizeof *t);
	*t = (struct thread){ .tid = tid, .process = p, .next = threads };
	return threads = t;
}

static void resume(struct thread *t)
{
	ptrace(PTRACE_CONT, t->tid, 0, t->signal);
	t->stopped = t->signal = 0;
}

static void resume_all(struct process *p)
{
	for (struct thread *t = threads; t != NULL; t = t->next)
		if (t->process == p && t->stopped) resume(t);
}

/* One thread less to wait for: reads the process once all have stopped, and lets them go on. */
static void settle(struct process *p)
{
	if (p->waits > 0) return;
	if (p->wanted) take(p, 0);
	resume_all(p);
}

/* The thread has stopped, for whatever reason: any stop takes the place of the one that was asked for (kernel/signal.c, ptrace_stop). */
static void arrived(struct thread *t, int signal)
{
	t->signal = signal;
	if (!t->interrupted) {
		resume(t);
		return;
	}
	t->interrupted = 0;
	t->stopped = 1;
	t->process->waits--;
	settle(t->process);
}

static void forget(int tid)
{
	for (struct thread **at = &threads; *at != NULL; at = &(*at)->next) {
		struct thread *t = *at;
		if (t->tid != tid) continue;
		struct process *p = t->process;
		*at = t->next;
		if (t->interrupted) {
			p->waits--;
			settle(p);
		}
		free(t);
		for (t = threads; t != NULL && t->process != p; t = t->next);
		if (t != NULL) return;
		for (struct process **q = &processes; *q != NULL; q = &(*q)->next) {
			if (*q != p) continue;
			*q = p->next;
			close(p->status_fd);
			close(p->stat_fd);
			free(p);
			return;
		}
		return;
	}
}

static void stopped(int tid, int status)
{
	int event = status >> 16, signal = WSTOPSIG(status);
	unsigned long message = 0;
	struct thread *t = find(tid);
	int first = t == NULL;
	if (first) t = add(tid);
	struct process *p = t->process;
	switch (event) {
	case PTRACE_EVENT_STOP:
		if (signal != SIGTRAP && !first) { /* SIGSTOP and its like: stays so until SIGCONT */
			if (t->interrupted) { t->interrupted = 0; p->waits--; }
			ptrace(PTRACE_LISTEN, tid, 0, 0);
			settle(p);
			return;
		}
		if (first && p->pid == tid) take(p, 0);
		arrived(t, 0);
		return;
	case PTRACE_EVENT_EXEC:
		begun = 1;
		/* The thread has its process's id from here on, and is the only one. */
		if (ptrace(PTRACE_GETEVENTMSG, tid, 0, &message) == 0 && (int)message != tid) forget((int)message);
		close(p->status_fd);
		close(p->stat_fd);
		p->status_fd = open_proc(p->pid, "status");
		p->stat_fd = open_proc(p->pid, "stat");
		/* fall through */
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
		take(p, 0);
		/* fall through */
	case PTRACE_EVENT_CLONE:
		arrived(t, 0);
		return;
	case PTRACE_EVENT_EXIT:
		/* Never held: when the whole process is killed, others end without stopping, and the first thread is not reported before all of them have ended. */
		take(p, 0);
		if (t->interrupted) { t->interrupted = 0; p->waits--; }
		resume(t);
		settle(p);
		return;
	default:
		arrived(t, event == 0 ? signal : 0);
	}
}

/* Every process's reading of this round: at once where it sleeps, when it has stopped where it runs. */
static void round_of_readings(void)
{
	for (struct process *p = processes; p != NULL; p = p->next) {
		int count = 0;
		if (p->waits > 0) {
			/* One is in a call that is not interrupted: the others are not held up for it. */
			if (now(CLOCK_MONOTONIC) - p->since > HELD_AT_MOST_NS) {
				p->wanted = 0;
				resume_all(p);
			}
			continue;
		}
		p->since = now(CLOCK_MONOTONIC);
		if (p->left_out > 0) { p->left_out--; continue; }
		for (struct thread *t = threads; t != NULL; t = t->next) count += t->process == p;
		if (count == 1 && take(p, 1)) continue;
		int runs = 0, blocked = 0;
		for (struct thread *t = threads; t != NULL; t = t->next) {
			if (t->process != p) continue;
			char state = count == 1 ? 'R' : state_of(p->pid, t->tid);
			/* One that has ended counts as a thread until it is waited for. */
			if (state == 'D' || (t->tid != p->pid && (state == 'Z' || state == 'X'))) blocked = 1;
			if (state != 'R') continue;
			runs = 1;
			if (ptrace(PTRACE_INTERRUPT, t->tid, 0, 0) == 0) { t->interrupted = 1; p->waits++; }
		}
		if (blocked) p->wanted = 0;
		else if (runs) { p->wanted = 1; p->rest = 0; }
		else take(p, 1);
	}
}

static volatile sig_atomic_t ended;
static void end(int signal) { ended = signal; }

int main(int argc, char **argv)
{
	if (argc != 5 || (out = fopen(argv[2], "w")) == NULL) {
		fprintf(stderr, "truth: %s\n", argc != 5 ? "PID FILE CLOCK INTERVAL_US are needed" : strerror(errno));
		return 125;
	}
	int pid = atoi(argv[1]), status, tid;
	clock_id = strcmp(argv[3], "realtime") == 0 ? CLOCK_REALTIME : CLOCK_MONOTONIC;
	interval_ns = atoll(argv[4]) * 1000;
	fputs(READINGS_HEADER, out);
	long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT;
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signal(SIGTERM, end);
	if (ptrace(PTRACE_SEIZE, pid, 0, options) != 0) {
		fprintf(stderr, "truth: cannot follow process %d: %s\n", pid, strerror(errno));
		return 125;
	}
	add(pid);
	/* What it did before the command began is not the command's. */
	unsigned long minor, major;
	faults_of(processes->stat_fd, &minor, &major);
	printf("ready zero_page=%c minor=%lu major=%lu\n", zero_page(), minor, major);
	fflush(stdout);
	long long next = now(CLOCK_MONOTONIC) + interval_ns;
	/* Tracees go on by themselves when their tracer ends. */
	while (!ended) {
		while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
			if (WIFSTOPPED(status)) stopped(tid, status);
			else forget(tid);
		}
		if (tid < 0 && errno == ECHILD) break;
		long long left = next - now(CLOCK_MONOTONIC);
		if (left > 0) {
			struct timespec wait = { left / 1000000000, left % 1000000000 };
			sigtimedwait(&child, NULL, &wait);
			continue;
		}
		round_of_readings();
		next = now(CLOCK_MONOTONIC) + interval_ns;
	}
	return fclose(out) == 0 ? 0 : 125;
}
