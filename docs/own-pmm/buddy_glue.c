/* clang --target=wasm32 -O2 -nostdlib -Wl,--no-entry -o buddy.wasm buddy.c buddy_glue.c */
#include "framewalk_pmm.h"
uint32_t buddy_alloc(uint32_t order), buddy_free_count(void);
void buddy_free(uint32_t frame, uint32_t order);
uint32_t pmm_flags(void) { return 0; }
uint32_t pmm_max_order(void) { return 10; }
int32_t pmm_init(uint32_t frames, uint32_t base) { return frames <= 1u << 18 ? 0 : -1; }
void pmm_add(uint32_t first, uint32_t count) { while (count--) buddy_free(first++, 0); }
uint32_t pmm_alloc(uint32_t order) { return buddy_alloc(order); }
int32_t pmm_free(uint32_t frame, uint32_t order) { buddy_free(frame, order); return 0; }
uint32_t pmm_free_frames(void) { return buddy_free_count(); }
