/**
 * What a recording cannot tell, and what it shows that the model does not do: the difference between a wrong prediction and one that nobody could make.
 *
 * A limit excuses the inexact samples of a process only where the recording itself shows its cause:
 * - rss_file_kb: fault-around (mm/filemap.c, filemap_map_pages) maps what of a file is in the page cache, whole folios at a time. What comes to the page cache
 *   meanwhile, and in which folios, is known only if filemap events were recorded. So an error may come and go where fault-around mapped pages of a file or
 *   mappings changed, and nowhere else.
 * - rss_anon_kb: khugepaged (mm/khugepaged.c) fills ranges that were advised MADV_HUGEPAGE on a thread of its own, and its events name no address.
 * - rss_*: before Linux 6.17 /proc/PID/status reads a counter that lags behind by what each CPU has not added to it yet.
 */
import type { Loss, TraceHeader } from '../../traces/event.js';
import type { ProcessSamples, QuantityCheck, RecordingLimit, SampleSummary, Verdict } from './result.js';
import { Advice } from './verify-watch.js';
import type { Evidence } from './verify-watch.js';

/** What a collapse adds at most: all pages of a 2 MiB page but one, in KiB. */
const COLLAPSE_KB = 2044;
/** khugepaged looks at 4096 pages (8 huge pages) and sleeps for 10 s, unless /sys/kernel/mm/transparent_hugepage/khugepaged says otherwise. */
const COLLAPSES_PER_WAKE = 8;
const WAKE_NS = 10e9;
/** Addresses of the user half with four levels of tables end here. */
const FOUR_LEVELS_END = 2 ** 47;
/** The first kernel whose /proc/PID/status adds up the counters of all CPUs. */
const SUMMED_SINCE: readonly [number, number] = [6, 17];

const inexact = (own: ProcessSamples): number => own.samples - own.racy - own.exact;

/** Major and minor number of a release such as `6.18.2-amd64`, or null. */
function versionOf(release: string | undefined): [number, number] | null {
  const match = /^(\d+)\.(\d+)/.exec(release ?? '');
  return match === null ? null : [Number(match[1]), Number(match[2])];
}

function rssIsApproximate(header: TraceHeader): boolean {
  const version = versionOf(header.kernel['release']);
  if (version === null) return false;
  const [major, minor] = version;
  return major < SUMMED_SINCE[0] || (major === SUMMED_SINCE[0] && minor < SUMMED_SINCE[1]);
}

/** Why the process's samples of a quantity may be inexact, or null. */
function reasonFor(own: ProcessSamples, header: TraceHeader, evidence: Evidence): string | null {
  if (own.quantity === 'rss_anon_kb') {
    const wakes = 1 + Math.floor(evidence.durationNs / WAKE_NS);
    const collapses = Math.min(Math.ceil(evidence.advisedHuge(own.pid) / 2 ** 21), wakes * COLLAPSES_PER_WAKE);
    // A collapse only adds pages.
    if (collapses > 0 && header.kernel['thp'] !== 'never' && own.highest_error <= 0 && -own.lowest_error <= collapses * COLLAPSE_KB)
      return 'khugepaged may have collapsed ranges that were advised MADV_HUGEPAGE; no event names their addresses';
  }
  if (own.quantity === 'rss_file_kb' && !evidence.pageCacheFollowed && evidence.fileJumps(own.pid) === 0)
    return 'fault-around maps what of a file is in the page cache, whole folios at a time; what came to the cache and how large its folios were was not recorded (no filemap events)';
  if (own.quantity.startsWith('rss_') && rssIsApproximate(header))
    return `Linux ${header.kernel['release']} reports RSS approximately (exactly summed since ${SUMMED_SINCE.join('.')})`;
  return null;
}

/** Limits of the recording that explain inexact samples, by quantity and reason. */
export function recordingLimits(header: TraceHeader, processes: readonly ProcessSamples[], evidence: Evidence): RecordingLimit[] {
  const limits = new Map<string, RecordingLimit>();
  for (const own of processes) {
    const reason = inexact(own) === 0 ? null : reasonFor(own, header, evidence);
    if (reason === null) continue;
    const key = `${own.quantity} ${reason}`;
    const sofar = limits.get(key);
    limits.set(key, { quantity: own.quantity, pids: [...(sofar?.pids ?? []), own.pid], samples: (sofar?.samples ?? 0) + inexact(own), reason });
  }
  return [...limits.values()];
}

/** The verdict on each quantity: a sample that is not exact must be explained. */
export function judgeQuantities(summary: readonly SampleSummary[], limits: readonly RecordingLimit[]): QuantityCheck[] {
  return summary.map(({ quantity, samples, racy, exact, max_error }): QuantityCheck => {
    const compared = samples - racy;
    const explained = limits.reduce((sum, limit) => sum + (limit.quantity === quantity ? limit.samples : 0), 0);
    const verdict = compared === 0 ? 'unsampled' : exact === compared ? 'exact' : exact + explained === compared ? 'limited' : 'differs';
    return { quantity, verdict, samples: compared, racy, exact, max_error };
  });
}

/** The verdict on all of them: the worst. */
export function overallVerdict(quantities: readonly QuantityCheck[], unmatched: number): Verdict {
  const has = (verdict: Verdict): boolean => quantities.some((one) => one.verdict === verdict);
  if (has('differs') || unmatched > 0) return 'differs';
  if (quantities.length === 0 || has('unsampled')) return 'unsampled';
  return has('limited') ? 'limited' : 'exact';
}

/** What the recording shows and the model does not do, in words. */
export function notCovered(header: TraceHeader, losses: readonly Loss[], evidence: Evidence): string[] {
  const { kernel } = header;
  const out: string[] = [];
  const version = versionOf(kernel['release']);
  if (header.captured.touches === 'user-faults')
    out.push(
      "page faults of the kernel on a program's behalf, and whether a page was read or written: the software event does not tell, so this is an estimate",
    );
  if (version !== null && version[0] !== 6) out.push(`Linux ${kernel['release']}: the rules are those of Linux 6`);
  if (rssIsApproximate(header)) out.push(`RSS is approximate: Linux ${kernel['release']} does not add up the counters of all CPUs (6.17 does)`);
  if (kernel['thp'] === 'always') out.push('transparent huge pages on `always`: huge pages are modelled only where MADV_HUGEPAGE asks for them');
  const hugetlb = losses.find(({ cause }) => cause.startsWith('hugetlb'));
  if (hugetlb !== undefined) out.push(`hugetlb mappings: ${hugetlb.count}, taken as small pages (first at ${hugetlb.first})`);
  if (evidence.adviceSeen(Advice.hugepage) && kernel['thp'] !== 'never')
    out.push('khugepaged: MADV_HUGEPAGE was given, and collapses in the background are not recorded with their addresses');
  if (evidence.adviceSeen(Advice.collapse)) out.push('MADV_COLLAPSE: ranges collapsed on request');
  if (evidence.adviceSeen(Advice.mergeable)) out.push('KSM: MADV_MERGEABLE was given, and pages that were merged are not recorded');
  if (evidence.adviceSeen(Advice.pageout)) out.push('swap: MADV_PAGEOUT was given, and pages that were written out are not recorded');
  if (evidence.highestAddress > FOUR_LEVELS_END) out.push('5-level page tables: mappings above 128 TiB');
  return out;
}
