/**
 * What `near` of FrameAllocator.allocate says about a page, as one number:
 *
 *     near >= 0    the frame that would continue the run of a neighbouring page of the same mapping
 *     near == -1   nothing is known
 *     near <= -2   no neighbour has a frame; -2 - near describes the page's place:
 *
 *                  ... 15 14 ... 10 9 ........... 0
 *                  before | order  | page mod 1024 |
 *
 *                  order: the mapping has at most 2^order pages; before: pages of the mapping that lie before this one
 *
 * The page's number modulo 1024 keeps frames congruent with their pages up to 4 MiB, which superpages need; the other two let a strategy
 * choose or set aside a place for the whole mapping.
 */
export const NEAR_UNKNOWN = -1;

const enum K {
  placeUnits = 1024,
  beforeUnits = 1 << 15,
}

/** `page` may be any page number, also negative; `before` < `pages` < 2^31. */
export function nearOfMapping(page: number, before: number, pages: number): number {
  const place = page - Math.floor(page / K.placeUnits) * K.placeUnits;
  const order = pages <= 1 ? 0 : 32 - Math.clz32(pages - 1);
  return -2 - (place + order * K.placeUnits + before * K.beforeUnits);
}

/** The page's number modulo 1024. */
export const placeOf = (near: number): number => (-2 - near) % K.placeUnits;
/** The smallest order whose block holds the mapping. */
export const orderOf = (near: number): number => Math.floor((-2 - near) / K.placeUnits) & 31;
/** Pages of the mapping before the page. */
export const beforeOf = (near: number): number => Math.floor((-2 - near) / K.beforeUnits);
