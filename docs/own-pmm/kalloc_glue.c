/* clang --target=wasm32 -O2 -nostdlib -Wl,--no-entry -o kalloc.wasm kalloc.c kalloc_glue.c */
#include "framewalk_pmm.h"
void kfree(void *page);
void *kalloc(void);
static char *mem;
uint32_t pmm_flags(void) { return PMM_IN_FRAMES; }
uint32_t pmm_max_order(void) { return 0; }
int32_t pmm_init(uint32_t frames, uint32_t base) { mem = (char *)base; return 0; }
void pmm_add(uint32_t first, uint32_t count) { while (count--) kfree(mem + (first + count) * 4096u); }
uint32_t pmm_alloc(uint32_t order) { char *p = kalloc(); return p ? (uint32_t)(p - mem) / 4096u : PMM_NONE; }
int32_t pmm_free(uint32_t frame, uint32_t order) { kfree(mem + frame * 4096u); return 0; }
