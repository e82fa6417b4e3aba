/**
 * What physical memory looks like: one cell a piece of memory, address growing left to right and then down. Colour and mark say which kind holds most of a
 * piece, depth how full it is. Equal neighbours are one rectangle, and thin lines of background part the cells: a picture of 2048 pieces stays small.
 */
import { FRAME_USES } from '../../core/replay/result.js';
import type { MemoryPicture } from '../../core/replay/result.js';
import { box, drawing, label, path, px } from './chart.js';
import { markup, raw } from './markup.js';
import type { Markup } from './markup.js';
import { scrolling } from './memory-table.js';
import { sharing } from './model.js';
import type { ReportModel, ReportStrategy, ReportTrace } from './model.js';
import type { Section } from './section.js';
import { named, namedAll } from './words.js';
import { bytes, grouped } from '../format.js';

const USES = FRAME_USES.length;
const RESERVED = FRAME_USES.indexOf('reserved');
interface Kind {
  readonly use: number;
  readonly name: string;
  readonly kind: string;
  readonly mark: string;
}
const KINDS: readonly Kind[] = [
  { use: FRAME_USES.indexOf('anonymous'), name: 'user anonymous', kind: 'k-anon', mark: '' },
  { use: FRAME_USES.indexOf('file'), name: 'file', kind: 'k-file', mark: 'file' },
  { use: FRAME_USES.indexOf('shared'), name: 'shared', kind: 'k-shm', mark: 'shm' },
  { use: FRAME_USES.indexOf('table'), name: 'page tables', kind: 'k-pt', mark: 'pt' },
  { use: FRAME_USES.indexOf('kernel'), name: 'kernel heap', kind: 'k-kh', mark: 'kh' },
  { use: FRAME_USES.indexOf('movable'), name: 'movable pages', kind: 'k-mov', mark: 'mov' },
  { use: FRAME_USES.indexOf('aged'), name: 'aged memory', kind: 'k-age', mark: '' },
  { use: FRAME_USES.indexOf('aged_pinned'), name: 'aged memory, pinned', kind: 'k-agp', mark: 'agp' },
];
const QUARTERS = ['f0', 'f1', 'f2', 'f3'] as const;

/** Marks within a cell of side 1: a stroke, a plus, a minus, a cross. */
const MARKS: Readonly<Record<string, string>> = {
  file: 'M.2.8L.8.2',
  shm: 'M.5.25V.75M.25.5H.75',
  pt: 'M.2.5H.8',
  kh: 'M.25.25L.75.75M.75.25L.25.75',
  mov: 'M.5.2V.8',
  agp: 'M.3.3H.7V.7H.3z',
};

/** Kinds of which the traces have any: the first five always. */
const kindsOf = (traces: readonly ReportTrace[]): readonly Kind[] =>
  KINDS.filter(
    ({ use }, i) =>
      i < 5 ||
      traces.some(({ strategies }) =>
        strategies.some(({ cell }) => [cell.pictures.peak, cell.pictures.end].some(({ pieces }) => pieces.some((count, at) => at % USES === use && count > 0))),
      ),
  );

interface Piece {
  /** Class of the cell: kind and quarter, 'hole' or '' for wholly free. */
  readonly kind: string;
  readonly quarter: string;
  readonly mark: string;
}

const FREE: Piece = { kind: '', quarter: '', mark: '' };
const HOLE: Piece = { kind: 'hole', quarter: '', mark: '' };

function pieceOf(picture: MemoryPicture, index: number): Piece {
  const counts = picture.pieces.slice(index * USES, (index + 1) * USES);
  const usable = counts.reduce((sum, count) => sum + count, 0) - counts[RESERVED];
  if (usable <= 0) return HOLE;
  const used = usable - counts[0];
  if (used <= 0) return FREE;
  const most = KINDS.reduce((best, kind) => (counts[kind.use] > counts[best.use] ? kind : best));
  const quarter = QUARTERS[Math.min(3, Math.floor((used / usable) * 4 - 1e-9))];
  return { kind: most.kind, quarter, mark: most.mark };
}

const known = new WeakMap<MemoryPicture, Piece[]>();

function piecesOf(picture: MemoryPicture): readonly Piece[] {
  const found = known.get(picture) ?? Array.from({ length: picture.pieces.length / USES }, (_, i) => pieceOf(picture, i));
  known.set(picture, found);
  return found;
}

interface Grid {
  readonly columns: number;
  readonly rows: number;
  readonly side: number;
  /** Rows were left out. */
  readonly cut: boolean;
}

const PICTURE_WIDTH = 304;

/** Wide enough for what is used; rows that are free or missing in every picture of the trace are left out at the end. */
function gridOf(pictures: readonly MemoryPicture[]): Grid {
  const pieces = Math.max(1, ...pictures.map((picture) => picture.pieces.length / USES));
  let used = 0;
  for (const picture of pictures) {
    piecesOf(picture).forEach(({ kind }, i) => {
      if (kind !== '' && kind !== 'hole') used = Math.max(used, i + 1);
    });
  }
  const columns = used <= 96 ? 16 : used <= 640 ? 32 : 64;
  const all = Math.ceil(pieces / columns);
  const needed = Math.ceil(used / columns) + 1;
  const rows = needed + 1 >= all ? all : needed;
  return { columns, rows, side: PICTURE_WIDTH / columns, cut: rows < all };
}

/** Rectangles of runs of equal pieces, by class, in units of cells. */
function shapes(picture: MemoryPicture, grid: Grid): string {
  const fills = new Map<string, string>();
  const marks = new Map<string, string>();
  const add = (map: Map<string, string>, key: string, d: string): void => void map.set(key, (map.get(key) ?? '') + d);
  const pieces = piecesOf(picture);
  for (let row = 0; row < grid.rows; row++) {
    const line = pieces.slice(row * grid.columns, (row + 1) * grid.columns);
    let run = 0;
    for (let column = 0; column < line.length; column += run) {
      const piece = line[column];
      run = 1;
      while (column + run < line.length && line[column + run].kind === piece.kind && line[column + run].quarter === piece.quarter) run++;
      if (piece.kind === '') continue;
      const rectangle = `M${column} ${row}h${run}v1h-${run}z`;
      add(fills, `${piece.kind} ${piece.quarter}`.trim(), rectangle);
      if (piece.mark !== '') add(marks, piece.mark, rectangle);
    }
  }
  const drawn = [...fills].sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, d]) => path(d, kind));
  const marked = [...marks].sort(([a], [b]) => (a < b ? -1 : 1)).map(([mark, d]) => path(d, '', ` fill="url(#m-${mark})"`));
  return drawn.join('') + marked.join('');
}

const LEFT = 52;
const TOP = 6;

/** Patterns that the pictures refer to, once in the page; one cell is one unit. */
export function picturePatterns(): string {
  return Object.entries(MARKS)
    .map(([mark, d]) => `<pattern id="m-${mark}" width="1" height="1" patternUnits="userSpaceOnUse"><path d="${d}" class="gl"/></pattern>`)
    .join('');
}

function drawn(trace: ReportTrace, strategies: readonly ReportStrategy[], picture: MemoryPicture, moment: string, grid: Grid): Markup {
  const { side } = grid;
  const height = grid.rows * side;
  const b = box(height + TOP + 8, { left: LEFT, right: 4, top: TOP, bottom: 8 }, LEFT + PICTURE_WIDTH + 6);
  const rows = Array.from({ length: grid.rows - 1 }, (_, i) => `M0 ${i + 1}h${grid.columns}`).join('');
  const columns = Array.from({ length: grid.columns - 1 }, (_, i) => `M${i + 1} 0v${grid.rows}`).join('');
  const rowBytes = grid.columns * picture.framesPerPiece * trace.pageSize;
  const step = Math.max(Math.ceil(grid.rows / 5), Math.ceil(13 / side));
  const labels = Array.from({ length: Math.ceil(grid.rows / step) }, (_, i) =>
    label(LEFT - 5, TOP + i * step * side + Math.min(side, 10), i === 0 ? '0' : bytes(i * step * rowBytes), 'tk', 'end'),
  ).join('');
  const pieces = piecesOf(picture);
  const count = pieces.length;
  const empty = pieces.filter((piece) => piece === FREE).length;
  const cells = `<g transform="translate(${LEFT} ${TOP}) scale(${side})">${shapes(picture, grid)}<path d="${rows}${columns}" class="cells"/></g>`;
  const frame = `<rect x="${LEFT}" y="${TOP}" width="${PICTURE_WIDTH}" height="${px(height)}" class="frame"/>`;
  const says = `${strategies.map((s) => s.label).join(', ')}, ${moment}: ${empty} of ${count} pieces of physical memory are wholly free`;
  return markup`<div class="sm">
    <h4>${namedAll(strategies, trace)}, ${moment} <span class="sub">${grouped(empty)} of ${grouped(count)} pieces empty</span></h4>
    ${drawing(b, says, cells + frame + labels)}
  </div>`;
}

function table(trace: ReportTrace): Markup {
  const kinds = kindsOf([trace]);
  const rows = trace.strategies.flatMap((strategy) =>
    (['peak', 'end'] as const).map((moment) => {
      const picture = strategy.cell.pictures[moment];
      const pieces = piecesOf(picture);
      const count = (wanted: (piece: Piece) => boolean): string => grouped(pieces.filter(wanted).length);
      return markup`<tr>
        <th scope="row">${named(strategy)}</th>
        <td class="t">${moment}</td>
        <td>${grouped(picture.event)}</td>
        <td>${count((p) => p === FREE)}</td>
        ${QUARTERS.map((q) => markup`<td>${count((p) => p.quarter === q)}</td>`)}${kinds.map(({ kind }) => markup`<td>${count((p) => p.kind === kind)}</td>`)}
      </tr>`;
    }),
  );
  const heads = ['event', 'empty', 'to 25 %', 'to 50 %', 'to 75 %', 'to 100 %', ...kinds.map(({ name }) => name)];
  return scrolling(
    `${trace.name}: pieces of memory by fill and kind`,
    markup`<table class="data">
      <thead>
        <tr class="over">
          <td colspan="3"></td>
          <th scope="colgroup" colspan="5" class="grp">pieces by fill</th>
          <th scope="colgroup" colspan="${kinds.length}" class="grp">pieces by what holds most of them</th>
        </tr>
        <tr>
          <th scope="col">strategy</th>
          <th scope="col" class="t">at the</th>
          ${heads.map((head) => markup`<th scope="col">${head}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>`,
  );
}

function body(trace: ReportTrace): Markup | null {
  const pictures = trace.strategies.flatMap(({ cell }) => [cell.pictures.peak, cell.pictures.end]);
  if (pictures.every((picture) => picture.pieces.length === 0)) return null;
  const grid = gridOf(pictures);
  const piece = Math.max(...pictures.map((picture) => picture.framesPerPiece)) * trace.pageSize;
  const row = (moment: 'peak' | 'end'): Markup =>
    markup`<div class="grid3">${sharing(trace.strategies, ({ cell }) => cell.pictures[moment].pieces).map(({ strategies }) => drawn(trace, strategies, strategies[0].cell.pictures[moment], moment, grid))}</div>`;
  const cut = grid.cut ? ` What lies above ${bytes(grid.rows * grid.columns * piece)} is free in every picture and left out.` : '';
  return markup`${row('peak')}${row('end')}
    <p class="cap">One cell is ${bytes(piece)}.${cut}</p>
    ${table(trace)}`;
}

function legendCell(kind: string, mark: string, quarter = ''): Markup {
  const glyph = mark === '' ? '' : `<path d="${MARKS[mark]}" class="gl" transform="scale(12)"/>`;
  return raw(`<svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true"><rect width="12" height="12" class="${kind} ${quarter}"/>${glyph}</svg>`);
}

const legendOf = (kinds: readonly Kind[]): Markup => markup`<ul class="legend" aria-label="What fills a piece of memory">
  ${kinds.map(({ name, kind, mark }) => markup`<li>${legendCell(kind, mark)}${name}</li>`)}
  <li>
    ${raw(
      `<svg viewBox="0 0 51 12" width="51" height="12" aria-hidden="true">${QUARTERS.map((q, i) => `<rect x="${i * 13}" width="12" height="12" class="k-anon ${q}"/>`).join('')}</svg>`,
    )}filled
    to 25, 50, 75, 100 %
  </li>
  <li>
    ${raw('<svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true"><rect x=".5" y=".5" width="11" height="11" class="frame"/></svg>')}wholly free
  </li>
  <li>${legendCell('hole', '')}no memory there</li>
</ul>`;

export const pictureSection = (model: ReportModel): Section => ({
  id: 'picture',
  nav: 'Picture',
  title: 'What memory looks like',
  lead: 'Physical memory, address growing left to right, then down. Colour and mark say which kind holds most of a piece, depth how full it is.',
  legend: legendOf(kindsOf(model.traces)),
  body,
});
