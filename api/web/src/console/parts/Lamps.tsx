/** A channel's sources in their order, one small lamp each: plays, works, fails or not known. */

import { LAMP_WORDS, lampOf, type Lamp } from "../standing";
import type { Source } from "../state";

const SHOWN = 5;
const SIGNS: Readonly<Record<Lamp, string>> = { playing: "▶", well: "", unknown: "?", failing: "✕", off: "–" };

export function Lamps({ of }: { readonly of: readonly Source[] }) {
  const shown = of.length > SHOWN ? of.slice(0, SHOWN - 1) : of;
  const lamps = of.map(lampOf);
  const failing = lamps.filter((lamp) => lamp === "failing").length;
  const words = `${of.length} ${of.length === 1 ? "source" : "sources"}${failing > 0 ? `, ${failing} failing` : ""}`;
  return (
    <span class="lamps" role="img" aria-label={words}>
      {shown.map((source, index) => {
        const lamp = lampOf(source);
        return (
          <span key={source.id} class={`lamp ${lamp}`} title={`${source.label}: ${LAMP_WORDS[lamp]}`}>
            {SIGNS[lamp] || index + 1}
          </span>
        );
      })}
      {shown.length < of.length && <span class="lamp more">+{of.length - shown.length}</span>}
    </span>
  );
}

export function LampSign({ of }: { readonly of: Source }) {
  const lamp = lampOf(of);
  return (
    <span class={`lamp ${lamp}`} aria-hidden="true">
      {SIGNS[lamp] || "✓"}
    </span>
  );
}
