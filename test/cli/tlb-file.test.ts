import { describe, expect, it } from 'vitest';
import { parseLookupConfig, readLookupConfig } from '../../cli/tlb-file.js';
import { lookupConfigs } from '../../core/lookup/configs.js';

const TEXT = `
tlb:
  - { entries: 12, ways: 3, hitCycles: 1 }
walkCaches: { pde: { entries: 16, ways: 4 }, pdpte: { entries: 4, ways: 4 }, pml4e: { entries: 0, ways: 1 } }
invalidation: path
walkReadCycles: 14
walkBaseCycles: 10
faultCycles: 800
pcid: true
`;

describe('--tlb', () => {
  it('takes a name', async () => {
    expect(await readLookupConfig('none', '--tlb')).toBe(lookupConfigs.find((config) => config.name === 'none'));
  });

  it('takes a file, named after itself', async () => {
    expect(await parseLookupConfig(TEXT, 'some/small.yaml')).toMatchObject({
      name: 'small',
      source: 'small.yaml',
      tlb: [{ entries: 12, ways: 3, hitCycles: 1 }],
      pcid: true,
    });
  });

  it('takes what list prints', async () => {
    for (const config of lookupConfigs) expect(await parseLookupConfig(JSON.stringify(config), 'x.json')).toEqual(config);
  });

  it.each([
    [TEXT.replace('ways: 3', 'ways: 5'), 'x.yaml: entries must be a multiple of ways at tlb[0]'],
    [TEXT.replace('pcid: true', 'pcid: perhaps'), 'x.yaml: Invalid input: expected boolean, received string at pcid'],
    [TEXT.replace('pcid: true', ''), 'at pcid'],
    [TEXT.replace('pcid', 'pcidd'), 'x.yaml: '],
    [TEXT.replace('invalidation: path', 'invalidation: never'), 'at invalidation'],
    ['[', 'x.yaml:1: not YAML or JSON'],
  ])('refuses a file that is wrong', async (text, line) => {
    await expect(parseLookupConfig(text, 'x.yaml')).rejects.toThrow(line);
  });
});
