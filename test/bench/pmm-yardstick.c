/*
 * ns per pair of free and allocate in C, the way pmm.mjs measures it: pmm-yardstick STRATEGY PERCENT [kept]. With a third argument every frame that is handed out is marked, a free looks for the mark, and both
 * are counted: what framewalk asks of each strategy.
 * Compiled with -I of a folder whose core.h has pinit, pmm_get and pmm_put over NFR frames (strategies 0-3: bitmap next fit, stack, buddy, buddy with
 * a per-CPU list).
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "core.h"
#define PAIRS (1 << 16)
#define WARM_UP 40
#define ROUNDS 200

static u32 held[NFR], slots[PAIRS], state = 12345;
static volatile u32 sink;
static u32 marks[NFR / 32];
static double takes, gives;

static u32 take(void) {
  u32 frame = pmm_get();
  takes += 1;
  if (frame != NONE) marks[frame >> 5] |= 1u << (frame & 31);
  return frame;
}
static int give(u32 frame) {
  u32 bit = 1u << (frame & 31);
  gives += 1;
  if (frame >= NFR || !(marks[frame >> 5] & bit)) return -1;
  marks[frame >> 5] &= ~bit;
  pmm_put(frame);
  return 0;
}
static void keep_pairs(void) {
  for (int i = 0; i < PAIRS; i++) {
    u32 slot = slots[i];
    sink = give(held[slot]);
    held[slot] = take();
  }
}
static void pairs(void) {
  for (int i = 0; i < PAIRS; i++) {
    u32 slot = slots[i];
    pmm_put(held[slot]);
    held[slot] = pmm_get();
  }
}

static u32 draw(void) {
  u32 x = state;
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
  if (argc < 3) return 2;
  pinit(atoi(argv[1]));
  u32 all = 0, frame;
  while ((frame = take()) != NONE) held[all++] = frame;
  u32 count = (u32)((double)all * atoi(argv[2]) / 100);
  for (u32 i = all - 1; i > 0; i--) {
    u32 j = draw() % (i + 1), f = held[i];
    held[i] = held[j];
    held[j] = f;
  }
  for (u32 i = count; i < all; i++) give(held[i]);
  for (int round = -WARM_UP; round < ROUNDS; round++) {
    for (int i = 0; i < PAIRS; i++) slots[i] = draw() % count;
    double a = now();
    for (int i = 0; i < PAIRS; i++) {
      u32 slot = slots[i];
      sink = held[slot];
      held[slot] = sink;
    }
    double b = now();
    if (argc > 3) keep_pairs();
    else pairs();
    double c = now();
    if (round < 0) continue;
    idle[round] = (b - a) / PAIRS;
    busy[round] = (c - b) / PAIRS;
  }
  qsort(busy, ROUNDS, sizeof *busy, order);
  qsort(idle, ROUNDS, sizeof *idle, order);
  printf("%.2f\n", busy[ROUNDS / 2] - idle[ROUNDS / 2]);
  return 0;
}
