/** Finds room for names beside lines: of several spots the first that covers the fewest points of lines and other names. */
import { px, label, textWidth } from './chart.js';
import type { Box, Point } from './chart.js';

const HEIGHT = 11;

export interface Spot {
  readonly x: number;
  readonly y: number;
  readonly anchor: 'start' | 'end';
}

export interface Labels {
  /** Points that names should not cover. */
  block(points: readonly Point[]): void;
  /** The name as drawn at the best of the spots (its baseline), which from then on is taken. */
  place(text: string, spots: readonly Spot[]): string;
}

/** Points along a polyline, close enough that no name fits between two of them. */
export function along(corners: readonly Point[]): Point[] {
  return corners.slice(1).flatMap((to, i) => {
    const from = corners[i];
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / 4));
    return Array.from({ length: steps + 1 }, (_, k): Point => [from[0] + ((to[0] - from[0]) * k) / steps, from[1] + ((to[1] - from[1]) * k) / steps]);
  });
}

export function makeLabels(b: Box): Labels {
  const blocked: Point[] = [];
  return {
    block: (points) => void blocked.push(...points),
    place(text, spots) {
      const width = textWidth(text);
      const area = ({ x, y, anchor }: Spot): [number, number, number, number] => [
        anchor === 'start' ? x : x - width,
        y - HEIGHT + 1,
        anchor === 'start' ? x + width : x,
        y + 3,
      ];
      const cost = (spot: Spot): number => {
        const [left, top, right, bottom] = area(spot);
        const outside = left < b.left + 1 || right > b.width || top < b.top - 8 || bottom > b.bottom ? 1000 : 0;
        return outside + blocked.filter(([x, y]) => x > left - 2 && x < right + 2 && y > top && y < bottom).length;
      };
      const best = spots.reduce((a, c) => (cost(c) < cost(a) ? c : a));
      const [left, top, right, bottom] = area(best);
      for (let x = left; x <= right; x += 6) blocked.push([x, top], [x, (top + bottom) / 2], [x, bottom]);
      return label(Number(px(best.x)), Number(px(best.y)), text, 'lb halo', best.anchor);
    },
  };
}
