/** Movement over a grid of links by the arrow keys. Pure, except `typesText`, which reads an event. */

export interface Box {
  readonly left: number;
  readonly top: number;
}

/** The index of the box in the next row (`by` 1) or the previous one (-1) that is nearest to the same column. Above the first row: -1;
 * below the last row: the last box. Boxes are in reading order. */
export function below(boxes: readonly Box[], from: number, by: 1 | -1): number {
  const here = boxes[from];
  if (!here) return from;
  const beyond = boxes.map((box, index) => ({ ...box, index })).filter(({ top }) => (top - here.top) * by > 1);
  if (!beyond.length) return by > 0 ? boxes.length - 1 : -1;
  const row = by > 0 ? Math.min(...beyond.map(({ top }) => top)) : Math.max(...beyond.map(({ top }) => top));
  const members = beyond.filter(({ top }) => Math.abs(top - row) <= 1);
  const distance = ({ left }: Box) => Math.abs(left - here.left);
  return members.reduce((best, each) => (distance(each) < distance(best) ? each : best)).index;
}

/** Whether a key writes a letter or a digit while no field has the focus. */
export function typesText(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return false;
  if (event.target instanceof HTMLElement && event.target.matches("input, textarea, select")) return false;
  return /^[\p{L}\p{N}]$/u.test(event.key);
}
