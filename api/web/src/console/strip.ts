/** A channel's day as a strip: 96 quarter hours, each a bar whose height and colour show its state. One path per letter, so that a row
 * costs at most five elements. */

export const QUARTERS = 96;

export interface Bars {
  readonly letter: string;
  /** An SVG path in a box of 96 by 20. */
  readonly path: string;
}

const HEIGHT = 20;
const HEIGHTS: Readonly<Record<string, number>> = { ".": 2, "?": 2, g: 7, a: 12, s: 16, r: 20 };

export const STRIP_WORDS: Readonly<Record<string, string>> = {
  ".": "no session",
  "?": "not known",
  g: "first choice",
  a: "a lower source, or a swap",
  s: "slate",
  r: "nothing to see",
};

export function bars(strip: string): readonly Bars[] {
  const paths = new Map<string, string>();
  let from = 0;
  for (let to = 1; to <= strip.length; to++) {
    const letter = strip[from] ?? "?";
    if (strip[to] === letter) continue;
    const height = HEIGHTS[letter] ?? 2;
    paths.set(letter, `${paths.get(letter) ?? ""}M${from} ${HEIGHT}v-${height}h${to - from}v${height}z`);
    from = to;
  }
  return [...paths].map(([letter, path]) => ({ letter, path }));
}

/** The same as text for screen readers: the hours in each bad state. */
export function told(strip: string): string {
  const hours = (letter: string): number => Array.from(strip).filter((each) => each === letter).length / 4;
  const parts = ["r", "s", "a", "g"].flatMap((letter) =>
    hours(letter) > 0 ? [`${hours(letter)} h ${STRIP_WORDS[letter] ?? ""}`] : [],
  );
  return `last 24 hours: ${parts.length > 0 ? parts.join(", ") : "no session"}`;
}
