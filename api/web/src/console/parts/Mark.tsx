/** The sign of a standing. Each has a shape of its own, so that colour is never the only difference. */

import { MEANINGS, WORDS, type Standing } from "../standing";

const SHAPES: Readonly<Record<Standing, string>> = {
  off: "M1 1h14v14H1zM4.5 6.2 6.3 8 4.5 9.8l1.7 1.7L8 9.7l1.8 1.8 1.7-1.7L9.7 8l1.8-1.8-1.7-1.7L8 6.3 6.2 4.5z",
  slate: "M0 3h16v10H0zM2 5v1.6h12V5zm3 3.6v2h6v-2z",
  dead: "M8 0a8 8 0 1 1 0 16A8 8 0 0 1 8 0zM3.6 5 11 12.4A5.4 5.4 0 0 1 3.6 5zM5 3.6 12.4 11A5.4 5.4 0 0 0 5 3.6z",
  backup: "M8 1 16 15H0zM7.1 6v4.2h1.8V6zm0 5.2V13h1.8v-1.8z",
  risk: "M8 1 16 15H0zM8 4.6 3.2 13h9.6z",
  starting: "M8 1a7 7 0 0 1 7 7h-2.4A4.6 4.6 0 0 0 8 3.4zM8 15a7 7 0 0 1-7-7h2.4A4.6 4.6 0 0 0 8 12.6z",
  air: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2z",
  idle: "M8 3a5 5 0 1 1 0 10A5 5 0 0 1 8 3zm0 2a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  disabled: "M2 7h12v2H2z",
};

/** Screen readers speak its word, unless the word stands beside it. */
export function Mark({ of, silent = false }: { readonly of: Standing; readonly silent?: boolean }) {
  return (
    <svg
      class={`mark ${of}`}
      viewBox="0 0 16 16"
      {...(silent ? { "aria-hidden": true } : { role: "img", "aria-label": WORDS[of] })}
    >
      <path d={SHAPES[of]} fill-rule="evenodd" />
    </svg>
  );
}

/** The sign with its word. */
export function Badge({ of }: { readonly of: Standing }) {
  return (
    <span class={`badge ${of}`} title={MEANINGS[of]}>
      <Mark of={of} silent />
      {WORDS[of]}
    </span>
  );
}
