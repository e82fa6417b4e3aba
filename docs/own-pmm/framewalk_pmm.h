/*
 * framewalk_pmm.h: a kernel's physical memory manager as a WebAssembly module that framewalk can replay traces against.
 *
 * Define the functions below (glue of a few lines over the kernel's own), export them by these names, import nothing:
 *
 *     clang --target=wasm32 -O2 -nostdlib -Wl,--no-entry -o mine.wasm kernel_pmm.c glue.c
 *     framewalk check-pmm mine.wasm
 *     framewalk run trace.fwt --pmm buddy,./mine.wasm
 *
 * A frame is a number, its physical address / 4096. A block is 2^order frames, first frame a multiple of its size (unless flag 2 is set). Everything is
 * called from one thread. An instance sees: pmm_flags, pmm_max_order, pmm_init, pmm_add for each usable range, pmm_ready; then requests.
 */
#ifndef FRAMEWALK_PMM_H
#define FRAMEWALK_PMM_H

#include <stdint.h>

#define PMM_EXPORT(name) __attribute__((export_name(#name))) name

#define PMM_NONE 0xFFFFFFFFu

/* pmm_flags: */
#define PMM_IN_FRAMES 1u     /* keeps data inside the free frames: pmm_init gets their address */
#define PMM_UNALIGNED 2u     /* blocks need not be aligned to their size */
#define PMM_TRAPS_WHEN_FULL 4u /* panics instead of answering PMM_NONE */

/* What pmm_alloc_hint is told of a request. */
enum pmm_kind { PMM_UNMOVABLE, PMM_MOVABLE, PMM_RECLAIMABLE, PMM_TABLE, PMM_KERNEL };

#ifdef __cplusplus
extern "C" {
#endif

uint32_t PMM_EXPORT(pmm_flags)(void);
/* Largest order of a block, 0 to 10. */
uint32_t PMM_EXPORT(pmm_max_order)(void);
/*
 * Memory has frames 0 to frames - 1, none of them usable yet. base: where frame 0's 4096 bytes begin in linear memory (a multiple of 4 MiB; frame f is at
 * base + 4096 * f), or 0 without PMM_IN_FRAMES. 0 = fine.
 */
int32_t PMM_EXPORT(pmm_init)(uint32_t frames, uint32_t base);
/* A usable range: ascending, disjoint, never touching. Frames in no range must never be handed out. */
void PMM_EXPORT(pmm_add)(uint32_t first, uint32_t count);
/* First frame of 2^order frames, or PMM_NONE. */
uint32_t PMM_EXPORT(pmm_alloc)(uint32_t order);
/* A block comes back as it was handed out. 0 = fine. */
int32_t PMM_EXPORT(pmm_free)(uint32_t frame, uint32_t order);

/* ---- optional: define them or leave them out */

/* After the last range; 0 = fine. */
int32_t PMM_EXPORT(pmm_ready)(void);
/* Frames that can still be had. May be less than was added: an allocator may keep frames for itself. */
uint32_t PMM_EXPORT(pmm_free_frames)(void);
/* The CPU that asks from now on (framewalk run --cpus N). */
void PMM_EXPORT(pmm_set_cpu)(uint32_t cpu);
/* Words and nodes examined since pmm_init. Without it each call counts as one step. */
double PMM_EXPORT(pmm_steps)(void);
/* Called instead of pmm_alloc. near: a frame that would continue its neighbours' run, or PMM_NONE; owner: an address space, or -1 for the kernel. */
uint32_t PMM_EXPORT(pmm_alloc_hint)(uint32_t order, uint32_t kind, uint32_t cpu, uint32_t near, uint32_t owner);

#ifdef __cplusplus
}
#endif

#endif
