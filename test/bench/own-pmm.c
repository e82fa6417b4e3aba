/*
 * ns per call of docs/own-pmm/buddy.c (-DBUDDY) or kalloc.c (-DKALLOC) in C, the way own-pmm.mjs measures it: own-pmm FRAMES BETWEEN. Half of the frames are held; a random one is given back and another
 * taken in its place; then BETWEEN words are written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#define PAIRS (1 << 10)
#define WARM_UP 400
#define ROUNDS 1501

#ifdef BUDDY
unsigned buddy_alloc(unsigned order);
void buddy_free(unsigned frame, unsigned order);
static void start(unsigned frames) {
  for (unsigned f = 0; f < frames; f++) buddy_free(f, 0);
}
static unsigned take(void) { return buddy_alloc(0); }
static void give(unsigned frame) { buddy_free(frame, 0); }
#else
void kfree(void *page);
void *kalloc(void);
static char *memory;
static void give(unsigned frame) { kfree(memory + frame * 4096ul); }
static unsigned take(void) { return ((char *)kalloc() - memory) / 4096; }
static void start(unsigned frames) {
  memory = aligned_alloc(4096, frames * 4096ul);
  madvise(memory, frames * 4096ul, MADV_NOHUGEPAGE); // as linear memory has it
  for (unsigned f = frames; f-- > 0;) give(f);
}
#endif

static unsigned state = 12345, slots[PAIRS];
static volatile unsigned sink, words[64];
static unsigned draw(void) {
  unsigned x = state;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return state = x;
}
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}
static int order(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  static double busy[ROUNDS], idle[ROUNDS];
  unsigned frames = atoi(argv[1]), count = frames / 2, between = atoi(argv[2]);
  unsigned *held = malloc(frames * sizeof *held);
  start(frames);
  for (unsigned i = 0; i < count; i++) held[i] = take();
  for (int round = -WARM_UP; round < ROUNDS; round++) {
    for (int i = 0; i < PAIRS; i++) slots[i] = draw() % count;
    double a = now();
    for (int i = 0; i < PAIRS; i++) {
      sink = held[slots[i]], held[slots[i]] = sink;
      for (unsigned k = 0; k < between; k++) words[k & 63] = i;
    }
    double b = now();
    for (int i = 0; i < PAIRS; i++) {
      give(held[slots[i]]);
      held[slots[i]] = take();
      for (unsigned k = 0; k < between; k++) words[k & 63] = i;
    }
    double c = now();
    if (round >= 0) idle[round] = (b - a) / PAIRS, busy[round] = (c - b) / PAIRS;
  }
  qsort(busy, ROUNDS, sizeof *busy, order);
  qsort(idle, ROUNDS, sizeof *idle, order);
  printf("%f\n", (busy[ROUNDS / 2] - idle[ROUNDS / 2]) / 2);
  return 0;
}
