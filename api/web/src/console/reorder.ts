/** Changes an order by keyboard or pointer. Pure. */

export function moved<T>(list: readonly T[], from: number, to: number): readonly T[] {
  const row = list[from];
  const target = Math.max(0, Math.min(list.length - 1, to));
  if (row === undefined || from === target) return list;
  const rest = list.toSpliced(from, 1);
  return rest.toSpliced(target, 0, row);
}

/** The new index of the row at `index` after a key; null where the key moves nothing. */
export function keyed(key: string, index: number, length: number): number | null {
  switch (key) {
    case "ArrowUp":
      return Math.max(0, index - 1);
    case "ArrowDown":
      return Math.min(length - 1, index + 1);
    case "Home":
      return 0;
    case "End":
      return length - 1;
    default:
      return null;
  }
}

/** The new index of a dragged row: `y` of the pointer, `middles` of the rows in their present order. */
export function dropped(middles: readonly number[], dragged: number, y: number): number {
  return middles.filter((middle, index) => index !== dragged && middle < y).length;
}
