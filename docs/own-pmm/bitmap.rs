//! A bitmap with a hint, in Rust: a bit per frame, 1 = free. Blocks of 2^order frames, aligned to their size.
//! rustc --target wasm32-unknown-unknown -C opt-level=2 -C panic=abort -C strip=symbols --crate-type cdylib -o bitmap.wasm bitmap.rs
#![no_std]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

const MOST: usize = 1 << 20; // 4 GiB
const NONE: u32 = u32::MAX;

struct Bitmap {
    bits: [u32; MOST / 32],
    frames: usize,
    hint: usize,
    free: u32,
    steps: f64,
}

static mut PMM: Bitmap = Bitmap { bits: [0; MOST / 32], frames: 0, hint: 0, free: 0, steps: 0.0 };

impl Bitmap {
    fn is_free(&self, frame: usize) -> bool {
        self.bits[frame / 32] >> (frame % 32) & 1 != 0
    }

    fn mark(&mut self, first: usize, count: usize, free: bool) {
        for frame in first..first + count {
            if free {
                self.bits[frame / 32] |= 1 << (frame % 32);
            } else {
                self.bits[frame / 32] &= !(1 << (frame % 32));
            }
        }
    }

    /// First free block from `from` on that begins below `end`.
    fn find(&mut self, from: usize, end: usize, size: usize) -> Option<usize> {
        let mut first = (from + size - 1) / size * size;
        while first < end && first + size <= self.frames {
            self.steps += 1.0;
            if size == 1 && self.bits[first / 32] == 0 {
                first = (first / 32 + 1) * 32;
            } else if (first..first + size).any(|frame| !self.is_free(frame)) {
                first += size;
            } else {
                return Some(first);
            }
        }
        None
    }

    fn alloc(&mut self, order: u32) -> u32 {
        let size = 1usize << order;
        let hint = self.hint;
        let found = match self.find(hint, self.frames, size) {
            None => self.find(0, hint, size),
            some => some,
        };
        match found {
            None => NONE,
            Some(first) => {
                self.mark(first, size, false);
                self.hint = first + size;
                self.free -= size as u32;
                first as u32
            }
        }
    }
}

#[no_mangle]
pub extern "C" fn pmm_flags() -> u32 {
    0
}

#[no_mangle]
pub extern "C" fn pmm_max_order() -> u32 {
    10
}

#[no_mangle]
pub unsafe extern "C" fn pmm_init(frames: u32, _base: u32) -> i32 {
    PMM.frames = frames as usize;
    if PMM.frames <= MOST { 0 } else { -1 }
}

#[no_mangle]
pub unsafe extern "C" fn pmm_add(first: u32, count: u32) {
    PMM.mark(first as usize, count as usize, true);
    PMM.free += count;
}

#[no_mangle]
pub unsafe extern "C" fn pmm_alloc(order: u32) -> u32 {
    PMM.alloc(order)
}

#[no_mangle]
pub unsafe extern "C" fn pmm_free(frame: u32, order: u32) -> i32 {
    PMM.mark(frame as usize, 1 << order, true);
    PMM.free += 1 << order;
    0
}

#[no_mangle]
pub unsafe extern "C" fn pmm_free_frames() -> u32 {
    PMM.free
}

#[no_mangle]
pub unsafe extern "C" fn pmm_steps() -> f64 {
    PMM.steps
}
