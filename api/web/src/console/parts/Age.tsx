/** Times that count up by themselves: only their text is drawn again. */

import { ago, clock, ms, span, until } from "../format";
import { now_ms } from "../store";

export function Age({ since }: { readonly since: string | null }) {
  const at = ms(since);
  return <>{at === null ? "–" : span(now_ms.value - at)}</>;
}

export function Ago({ at }: { readonly at: string | null }) {
  return at === null ? (
    <>never</>
  ) : (
    <time dateTime={at} title={clock(at, now_ms.value)}>
      {ago(at, now_ms.value)}
    </time>
  );
}

export function Until({ at }: { readonly at: string | null }) {
  return <>{until(at, now_ms.value)}</>;
}

export function Clock({ at }: { readonly at: string | null }) {
  return at === null ? <>–</> : <time dateTime={at}>{clock(at, now_ms.value)}</time>;
}
