/** A channel's last day in one small picture. */

import { bars, QUARTERS, told } from "../strip";

const NAMES: Readonly<Record<string, string>> = { ".": "none", "?": "unknown", g: "air", a: "backup", s: "slate", r: "off" };

export function Strip({ of }: { readonly of: string }) {
  return (
    <svg class="strip" viewBox={`0 0 ${QUARTERS} 20`} preserveAspectRatio="none" role="img" aria-label={told(of)}>
      {bars(of).map(({ letter, path }) => (
        <path key={letter} class={NAMES[letter] ?? "unknown"} d={path} />
      ))}
    </svg>
  );
}
