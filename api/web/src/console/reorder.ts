/** An order that is changed by hand. Pure. */

export function moved<T>(list: readonly T[], from: number, to: number): readonly T[] {
  const row = list[from];
  const target = Math.max(0, Math.min(list.length - 1, to));
  if (row === undefined || from === target) return list;
  const rest = list.toSpliced(from, 1);
  return rest.toSpliced(target, 0, row);
}

/** What a key means for the row at `index`: where it goes, or null where the key is none of ours. */
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

/** Where a dragged row belongs: `y` is the pointer's, `middles` those of the rows as they lie. */
export function dropped(middles: readonly number[], dragged: number, y: number): number {
  return middles.filter((middle, index) => index !== dragged && middle < y).length;
}
