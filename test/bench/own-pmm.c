/*
 * ns per call of docs/own-pmm/kalloc.c in C, the way own-pmm.mjs measures it: own-pmm FRAMES. Half of the frames are held; a random one is given back and another
 * taken in its place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#define PAIRS (1 << 16)
#define WARM_UP 20
#define ROUNDS 101

void kfree(void *page);
void *kalloc(void);

static unsigned state = 12345, slots[PAIRS];
static volatile unsigned sink;
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
  unsigned frames = atoi(argv[1]), count = frames / 2;
  char *memory = aligned_alloc(4096, frames * 4096ul);
  unsigned *held = malloc(frames * sizeof *held);
  for (unsigned f = frames; f-- > 0;) kfree(memory + f * 4096ul);
  for (unsigned i = 0; i < count; i++) held[i] = ((char *)kalloc() - memory) / 4096;
  for (int round = -WARM_UP; round < ROUNDS; round++) {
    for (int i = 0; i < PAIRS; i++) slots[i] = draw() % count;
    double a = now();
    for (int i = 0; i < PAIRS; i++) sink = held[slots[i]], held[slots[i]] = sink;
    double b = now();
    for (int i = 0; i < PAIRS; i++) {
      kfree(memory + held[slots[i]] * 4096ul);
      held[slots[i]] = ((char *)kalloc() - memory) / 4096;
    }
    double c = now();
    if (round >= 0) idle[round] = (b - a) / PAIRS, busy[round] = (c - b) / PAIRS;
  }
  qsort(busy, ROUNDS, sizeof *busy, order);
  qsort(idle, ROUNDS, sizeof *idle, order);
  printf("%f\n", (busy[ROUNDS / 2] - idle[ROUNDS / 2]) / 2);
  return 0;
}
