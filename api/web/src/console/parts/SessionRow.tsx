/** One running session: its picture, its source, and how much media is listed. */

import { useComputed } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { count, rate, seconds, span, ms } from "../format";
import { sessionPath } from "../route";
import { complaint, labelOf, WORDS, isTrouble, type Standing } from "../standing";
import type { Session } from "../state";
import { link, now_ms, state } from "../store";
import { Age } from "./Age";
import { Mark } from "./Mark";
import { Poster } from "./Poster";

/** Listed media that count as a full buffer, and a last segment that is late. */
const FULL_S = 30;
const LATE_MS = 10_000;

export function SessionRow({ id, standing }: { readonly id: string; readonly standing: Standing }) {
  const found = useComputed(() => state.value.sessions.get(id));
  const name = useComputed(() => {
    const session = found.value;
    return session === undefined ? "" : (state.value.channels.get(session.channel_id)?.name ?? session.channel_id);
  });
  const source = useComputed(() => {
    const session = found.value;
    if (session === undefined) return "";
    const channel = state.value.channels.get(session.channel_id);
    if (channel !== undefined && (standing === "off" || standing === "slate")) {
      return complaint(state.value, channel, [session], standing);
    }
    return labelOf(state.value, session.source_id, session.channel_id);
  });
  const session = found.value;
  if (session === undefined) return null;
  return (
    <a class={`session ${standing} ${isTrouble(standing) ? "trouble" : ""}`} href={sessionPath(id)}>
      <Poster session={id} title="" />
      <span class="title">
        <span class="name">
          <Mark of={standing} silent />
          {name.value}
        </span>
        <span class="why">
          <b>{session.desired === "stop" ? "Stopping" : WORDS[standing]}</b> {source.value}
        </span>
        <span class="who">
          attempt {session.attempt ?? "–"} · {count(session.viewers, "viewer")} ·{" "}
          {session.viewer === "*" ? "shared" : session.viewer}
        </span>
      </span>
      <span class="figures">
        <span class="figure">
          <span class="label">age</span> <Age since={session.created_at} />
        </span>
        <span class="figure">
          <span class="label">rate</span> {rate(session.bitrate_bps)}
        </span>
        <Buffer of={session} />
      </span>
    </a>
  );
}

/** How much media is listed, as text and as a bar; or the age of the last segment, where it is late. */
function Buffer({ of }: { readonly of: Session }) {
  return (
    <>
      <span class="figure">
        <span class="label">buffer</span> {seconds(of.buffer_s)}
      </span>
      <Late at={of.last_segment_at}>
        <svg class="meter" viewBox="0 0 30 4" preserveAspectRatio="none" aria-hidden="true">
          <path class="rest" d="M0 0h30v4H0z" />
          <path class="full" d={`M0 0h${Math.min(FULL_S, of.buffer_s ?? 0)}v4H0z`} />
        </svg>
      </Late>
    </>
  );
}

function Late({ at, children }: { readonly at: string | null; readonly children: ComponentChildren }) {
  const then = ms(at);
  // While the API does not answer, nothing counts as late.
  const late = useComputed(() => {
    const since_ms = then === null || link.value === "lost" ? 0 : now_ms.value - then;
    return since_ms > LATE_MS ? span(since_ms) : "";
  });
  return late.value === "" ? <>{children}</> : <span class="late">nothing new for {late.value}</span>;
}
