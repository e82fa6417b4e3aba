/**
 * The shape of results.json, checked when a run is read back. Apart from json.ts because it loads zod, which only readers need.
 */
import { z } from 'zod';
import { UserError } from '../traces/event.js';
import type { StoredRun } from './cells.js';

const count = z.int().nonnegative();
const loss = z.object({ cause: z.string(), count, first: z.string() });
const level = z.object({ level: count, name: z.string(), tables: count, entries: count });
const picture = z.object({ event: count, framesPerPiece: z.int().positive(), pieces: z.array(count) });

const config = z.object({
  trace: z.string(),
  traceHash: z.string(),
  arch: z.string(),
  pmm: z.string(),
  pmmHash: z.string().default(''),
  heap: z.string(),
  policy: z.string(),
  without: z.array(z.string()).default([]),
  tlb: z.string(),
  touch: z.string(),
  memoryBytes: count,
  memmap: z.array(z.object({ first: count, count })),
  kernelHeap: z.boolean(),
  onOom: z.enum(['kill', 'fail', 'stop']),
  cpus: z.int().positive(),
  spread: z.enum(['recorded', 'threads']).default('recorded'),
  seed: z.number(),
  age: z.string().default(''),
  ageHash: z.string().default(''),
  repeat: z.int().positive().default(1),
  pids: z.array(z.int()),
  window: z.tuple([z.number(), z.number()]).nullable(),
});

const process = z.object({
  pid: z.int(),
  command: z.string(),
  parent: z.int(),
  rss_peak_bytes: count,
  anonymous_peak_bytes: count,
  file_peak_bytes: count,
  shared_peak_bytes: count,
  vm_size_peak_bytes: count,
  table_bytes_peak: count,
  vmas_peak_count: count,
  minor_faults_count: count,
  cow_breaks_count: count,
});

const timeline = z
  .object({ columns: z.array(z.string()), rows: z.array(z.array(z.number().nullable())) })
  .refine(({ columns, rows }) => rows.every((row) => row.length === columns.length), 'a row has not as many values as there are columns');

const kindOfBlame = z.object({ kind: z.string(), movable: z.boolean(), blocks: count, alone: count, frames: count });
const blame = z.object({
  event: count,
  broken_blocks: count,
  free_frames: count,
  pinned_blocks: count,
  kinds: z.array(kindOfBlame),
  holders: count,
  rows: z.array(kindOfBlame.extend({ pid: z.int().nullable(), command: z.string(), mapping: z.string(), first_event: z.int() })),
});
const contiguity = z.object({
  pid: z.int(),
  command: z.string(),
  event: count,
  pages: count,
  ranges: count,
  toCover: z.array(count),
  covered: z.array(count),
});

const cell = z.object({
  config,
  confidence: z.object({ level: z.enum(['exact', 'estimate', 'bound']), reason: z.string() }),
  metrics: z.record(z.string(), z.number().nullable()),
  absent: z.record(z.string(), z.string()),
  timeline,
  processes: z.array(process),
  fragmentation: z.array(z.object({ event: count, freeBlocks: z.array(count), unusableIndex: z.array(count), fragmentationIndex: z.array(z.int()) })),
  blame: z.object({ peak: blame, end: blame }),
  contiguity: z.array(contiguity),
  pictures: z.object({ peak: picture, end: picture }),
  tables: z.object({ peak: z.array(level), end: z.array(level) }),
  distributions: z.array(z.object({ name: z.string(), unit: z.string(), bins: z.array(z.tuple([z.number(), count])) })),
  cpus: z.array(z.object({ cpu: count, allocations: count, frees: count, remote_frees: count, shared_uses: count, hand_overs: count })).default([]),
  rounds: z
    .array(
      z.object({
        round: count,
        frames_start: count,
        frames_peak: count,
        frames_end: count,
        unusable_free_index_order_9: z.number(),
        unusable_free_index_order_9_end: z.number(),
        free_huge_score: z.number(),
        free_huge_score_end: z.number(),
        largest_free_block_frames_end: count,
        contiguity_ranges_99: count,
        pmm_steps_per_op: z.number().nullable(),
        alloc_failures_count: count,
        huge_failures_count: count,
      }),
    )
    .default([]),
  kernelHeap: z.array(z.object({ name: z.string(), objectBytes: count, live: count, slabs: count })),
  samples: z.array(
    z.object({ event: count, time: z.number(), pid: z.int(), quantity: z.string(), measured: z.number(), predicted: z.number(), racy: z.boolean() }),
  ),
  sampleSummary: z.array(z.object({ quantity: z.string(), samples: count, racy: count, exact: count, max_error: z.number() })),
  rejections: z.array(loss),
  losses: z.array(loss),
  oom: z.string().nullable(),
});

const run = z.object({
  schema: z.int(),
  version: z.string(),
  command: z.string(),
  cells: z.array(cell),
  traces: z.array(
    z.object({
      name: z.string(),
      hash: z.string(),
      rows: count,
      source: z.string(),
      counts: z.record(z.string(), count),
      provenance: z.record(z.string(), z.string()),
    }),
  ),
});

/** The run, or a UserError that names the first place where the file is not what `framewalk run` writes. */
export function checkRun(path: string, value: unknown): StoredRun {
  const result = run.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue === undefined ? '' : ` at ${issue.path.map(String).join('.')}: ${issue.message}`;
  throw new UserError(`${path}: damaged${where}; run again to write it anew`);
}
