/** Two made-up verifications: one without a fault, one with everything that can be found. */
import type { Verification } from '../../core/replay/result.js';

export const exactVerification: Verification = {
  verdict: 'exact',
  kernel: { release: '6.18', thp: 'madvise' },
  quantities: [{ quantity: 'vm_pte_kb', verdict: 'exact', samples: 1200, racy: 0, exact: 1200, max_error: 0 }],
  divergences: [],
  processes: [{ pid: 7, command: 'cc1', quantity: 'vm_pte_kb', samples: 1200, racy: 0, exact: 1200, lowest_error: 0, highest_error: 0 }],
  address_spaces: { count: 12, sampled: 11 },
  unmatched: { count: 0, first_event: null },
  not_predicted: [],
  faults: null,
  limits: [],
  not_covered: [],
};
const area = { start: 0x7f0000000000, end: 0x7f0000002000, protection: 'rw-p', name: '/lib/libc.so.6' };
export const sampleVerification: Verification = {
  ...exactVerification,
  verdict: 'differs',
  quantities: [
    { quantity: 'vm_pte_kb', verdict: 'differs', samples: 1200, racy: 3, exact: 1190, max_error: 8 },
    { quantity: 'rss_anon_kb', verdict: 'limited', samples: 1200, racy: 3, exact: 1000, max_error: 512 },
  ],
  processes: [{ ...exactVerification.processes[0], samples: 1203, racy: 3, exact: 1190, lowest_error: -8 }],
  divergences: [
    {
      quantity: 'vm_pte_kb',
      event: 1234,
      time: 5e8,
      pid: 7,
      command: 'cc1',
      measured: 60,
      predicted: 52,
      since: 1200,
      after: { event: 1233, op: 'write', address: 0x7f0000001000, area },
    },
  ],
  address_spaces: { count: 0, sampled: 0 },
  unmatched: { count: 2, first_event: 9 },
  not_predicted: ['major_faults'],
  faults: {
    recorded: 3000,
    predicted: 2990,
    breaks_recorded: 500,
    breaks_predicted: 498,
    breaks_copied: 400,
    breaks_reused: 98,
    error_codes: true,
    unexpected: 5,
    surprises: [
      { access: 'read', cause: 'no fault expected', count: 5, places: [{ event: 77, time: 1e9, pid: 7, command: 'cc1', address: 0x7f0000001000, area: null }] },
    ],
  },
  limits: [{ quantity: 'rss_anon_kb', pids: [7], samples: 200, reason: 'khugepaged' }],
  not_covered: ['swap'],
};
