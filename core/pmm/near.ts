/**
 * What `near` of FrameAllocator.allocate says about a page, as one number:
 *
 *     near >= 0    the frame at the distance from a neighbour's frame that the page has from the neighbour: it would continue their run
 *     near == -1   nothing is known
 *     near <= -2   no neighbour has a frame; -2 - near describes the page's place in its mapping:
 *
 *                  49 ....... 30 29 ...... 10 9 ........... 0
 *                  | before     | after      | page mod 1024 |
 *
 *                  before: pages of the mapping that lie before this one; after: this one and those behind it (both at most 2^20 - 1)
 *
 * The page's number modulo 1024 keeps frames congruent with their pages up to 4 MiB, which superpages need; the other two let a strategy
 * choose or set aside a place for the whole mapping. Which pages count as neighbours is the strategy's to say (FrameAllocator.near).
 */
export const NEAR_UNKNOWN = -1;

const enum K {
  placeUnits = 1024,
  most = (1 << 20) - 1,
  afterUnits = 1 << 20,
  beforeUnits = 1 << 30,
}

/** `page` may be any page number, also negative; the mapping has `pages` pages, `before` of which lie before it. */
export function nearOfMapping(page: number, before: number, pages: number): number {
  const place = page - Math.floor(page / K.placeUnits) * K.placeUnits;
  return -2 - (place + Math.min(pages - before, K.most) * K.placeUnits + Math.min(before, K.most) * K.beforeUnits);
}

/** The page's number modulo 1024. */
export const placeOf = (near: number): number => (-2 - near) % K.placeUnits;
/** Pages of the mapping from the page on, itself included. */
export const afterOf = (near: number): number => Math.floor((-2 - near) / K.placeUnits) % K.afterUnits;
/** Pages of the mapping before the page. */
export const beforeOf = (near: number): number => Math.floor((-2 - near) / K.beforeUnits);
