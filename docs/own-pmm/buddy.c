/* A binary buddy (Knuth, The Art of Computer Programming 1, 2.5) with its data in arrays beside the memory: lists of free blocks by order, linked by frame numbers. */
#include <stdint.h>
#define FRAMES (1u << 18) /* 1 GiB */
#define ORDERS 11
#define NONE 0xFFFFFFFFu

static uint32_t next[FRAMES], prev[FRAMES];
static uint8_t free_order[FRAMES]; /* of a free block's first frame: its order + 1; else 0 */
static uint32_t list[ORDERS];      /* first frame of the first block, + 1 */
static uint32_t free_count;

static void push(uint32_t frame, uint32_t order) {
  uint32_t head = list[order];
  next[frame] = head;
  prev[frame] = 0;
  if (head) prev[head - 1] = frame + 1;
  list[order] = frame + 1;
  free_order[frame] = order + 1;
}

static void unlink_block(uint32_t frame, uint32_t order) {
  if (prev[frame]) next[prev[frame] - 1] = next[frame];
  else list[order] = next[frame];
  if (next[frame]) prev[next[frame] - 1] = prev[frame];
  free_order[frame] = 0;
}

uint32_t buddy_free_count(void) { return free_count; }

void buddy_free(uint32_t frame, uint32_t order) {
  free_count += 1u << order;
  for (; order < ORDERS - 1; order++) {
    uint32_t other = frame ^ (1u << order);
    if (other >= FRAMES || free_order[other] != order + 1) break; /* in use, or free in smaller parts */
    unlink_block(other, order);
    frame &= other;
  }
  push(frame, order);
}

uint32_t buddy_alloc(uint32_t order) {
  uint32_t from = order, frame;
  while (from < ORDERS && !list[from]) from++;
  if (from >= ORDERS) return NONE;
  frame = list[from] - 1;
  unlink_block(frame, from);
  while (from > order) {
    from--;
    push(frame + (1u << from), from);
  }
  free_count -= 1u << order;
  return frame;
}
