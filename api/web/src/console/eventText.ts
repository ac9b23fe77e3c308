/** Texts of events for operators, and a session's attempts and events in their order. Pure. */

import { ms } from "./format";
import { labelOf } from "./standing";
import type { State } from "./state";
import type { WireAttempt, WireEvent, WireLeg } from "./wire";

export type Tone = "air" | "backup" | "slate" | "off" | "idle";

export function toneOf(event: WireEvent): Tone {
  switch (event.type) {
    case "session.live":
    case "stream.recovered":
      return "air";
    case "stream.switch":
    case "switch.refused":
      return "backup";
    case "stream.unavailable":
      return event.slate ? "slate" : "off";
    case "session.ended":
      return "idle";
  }
}

/** Without the channel's name, which is shown beside it. */
export function sentence(state: State, event: WireEvent, channel_id: string): string {
  const reason = event.reason ? `${event.reason.replaceAll("_", " ")}: ` : "";
  const why = event.reason ? `: ${event.reason.replaceAll("_", " ")}` : "";
  const label = (id: string | null | undefined): string => labelOf(state, id ?? null, channel_id);
  switch (event.type) {
    case "session.live":
      return `live on ${label(event.source)}${event.start_ms === undefined ? "" : ` after ${(event.start_ms / 1000).toFixed(1)} s`}`;
    case "stream.switch":
      return `${reason}${label(event.from)} → ${label(event.to)}`;
    case "stream.unavailable":
      return `${event.slate ? "no source works, the slate plays" : "no source works"}${why}`;
    case "stream.recovered":
      return `plays again, from ${label(event.to)}`;
    case "switch.refused":
      return `${wishOf(event.to, label)} refused${why}`;
    case "session.ended":
      return `session ended${why}`;
  }
}

/** What the operator asked for. */
function wishOf(to: string | null | undefined, label: (id: string | null | undefined) => string): string {
  if (to === "same") return "fresh attempt";
  return to === "next" ? "switch to the next source" : `switch to ${label(to)}`;
}

export type Entry =
  | { readonly kind: "attempt"; readonly at_ms: number; readonly attempt: WireAttempt }
  | { readonly kind: "leg"; readonly at_ms: number; readonly attempt: WireAttempt; readonly leg: WireLeg }
  | { readonly kind: "event"; readonly at_ms: number; readonly event: WireEvent };

/** Attempts by their start and events by their time, newest first. */
export function story(attempts: readonly WireAttempt[], events: readonly WireEvent[]): readonly Entry[] {
  const entries: Entry[] = [
    ...attempts.map((attempt): Entry => ({ kind: "attempt", at_ms: ms(attempt.started_at) ?? 0, attempt })),
    // The first leg is the attempt's start; the others are input switches.
    ...attempts.flatMap((attempt) =>
      attempt.legs.slice(1).map((leg): Entry => ({ kind: "leg", at_ms: ms(leg.started_at) ?? 0, attempt, leg })),
    ),
    ...events.map((event): Entry => ({ kind: "event", at_ms: ms(event.at) ?? 0, event })),
  ];
  return entries.sort((a, b) => b.at_ms - a.at_ms || orderOf(b) - orderOf(a));
}

/** The start of an attempt or of a leg comes before its events. */
function orderOf(entry: Entry): number {
  return entry.kind === "event" ? entry.event.id : 0;
}

export interface Block {
  readonly key: string;
  readonly source_id: string | null;
  /** Parts of the whole, from 0 to 1. */
  readonly from: number;
  readonly to: number;
}

/** The legs of all attempts, side by side over the session's life. */
export function blocks(attempts: readonly WireAttempt[], from_ms: number, to_ms: number): readonly Block[] {
  const whole = Math.max(1, to_ms - from_ms);
  const part = (at_ms: number): number => Math.max(0, Math.min(1, (at_ms - from_ms) / whole));
  return attempts.flatMap((attempt) => {
    const end_ms = ms(attempt.ended_at) ?? to_ms;
    // A release before legs has kept none.
    if (attempt.legs.length === 0)
      return [
        {
          key: `${attempt.number}`,
          source_id: attempt.source_id,
          from: part(ms(attempt.started_at) ?? from_ms),
          to: part(end_ms),
        },
      ];
    return attempt.legs.map((leg) => ({
      key: `${attempt.number}.${leg.number}`,
      source_id: leg.source_id,
      from: part(ms(leg.started_at) ?? from_ms),
      to: part(ms(leg.ended_at) ?? end_ms),
    }));
  });
}
