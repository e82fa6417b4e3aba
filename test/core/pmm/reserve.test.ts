import { describe, expect, it } from 'vitest';
import { reserveInt32, reserveUint8 } from '../../../core/pmm/reserve.js';
import { UserError } from '../../../traces/event.js';

describe('reserve', () => {
  it('gives zeroed arrays of at least the length', () => {
    expect(reserveInt32(5000)).toHaveLength(5000);
    expect(reserveUint8(0).byteLength).toBeGreaterThan(64);
    expect(reserveInt32(300).every((word) => word === 0)).toBe(true);
  });

  it('says in one line what the machine refuses', () => {
    expect(() => reserveInt32(2 ** 52)).toThrow(UserError);
    expect(() => reserveUint8(2 ** 52)).toThrow(/^--memory: this machine refuses to reserve 4194304\.0 GiB of address space .* give less memory$/);
  });
});
