/** Computes which rows of a long list must be drawn. Pure; heights and positions in pixels. */

export interface Span {
  readonly from: number;
  /** Behind the last one. */
  readonly to: number;
}

/** Each row's position, and at the end the height of all. */
export function offsets(heights: readonly number[]): readonly number[] {
  const found = [0];
  let sum = 0;
  for (const height of heights) found.push((sum += height));
  return found;
}

/** The visible rows, and those within `beyond` pixels. */
export function visible(starts: readonly number[], top: number, height: number, beyond: number): Span {
  const count = starts.length - 1;
  const from = Math.max(0, Math.min(count, rowAt(starts, top - beyond)));
  let to = from;
  while (to < count && (starts[to] ?? 0) < top + height + beyond) to++;
  return { from, to };
}

/** The row that covers this position; the first or last one where none does. */
export function rowAt(starts: readonly number[], position: number): number {
  let low = 0;
  let high = starts.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] ?? 0) <= position) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

/** The smallest scroll that makes the row visible. */
export function scrolledTo(starts: readonly number[], row: number, top: number, height: number, covered = 0): number {
  const start = starts[row] ?? 0;
  const end = starts[row + 1] ?? start;
  if (start - covered < top) return Math.max(0, start - covered);
  return end > top + height ? end - height : top;
}
