/**
 * Everything about traces that the rest of the program uses: opening, converting, describing and sharing them.
 */
export * from './event.js';
export type { ImportContext, InputPart, LineInput, TraceFormat } from './format.js';
export { exportCsv, exportCsvSteps } from './export-csv.js';
export { FwtTrace, openFwt } from './fwt.js';
export type { CodecName, TraceObject } from './fwt-layout.js';
export { CODEC_NAMES } from './fwt-layout.js';
export { FwtWriter } from './fwt-writer.js';
export type { WriterOptions } from './fwt-writer.js';
export { traceInfo, traceInfoSteps } from './info.js';
export type { TraceInfo } from './info.js';
export { nameTraces, traceName } from './names.js';
export { DEFAULT_TRACE_MEMORY, importTrace, openTrace } from './open.js';
export type { Converted, ConvertOptions, OpenOptions } from './open.js';
export type { ImportOptions } from './import.js';
export { TRACE_FORMATS } from './registry.js';
export { openShared, shareTrace } from './share.js';
export type { SharedTrace } from './share.js';
