/** The state as signals: a component is drawn again only when a value that it reads has changed. */

import { computed, signal, type ReadonlySignal } from "@preact/signals";
import { channelRows, counts, sessionRows, standings, type Choice, type Row, type SessionRow } from "./listing";
import type { Standing } from "./standing";
import { troubles as troublesOf } from "./deployment";
import { EMPTY, isEqual, type State } from "./state";

export type Link = "loading" | "logged_out" | "live" | "polling" | "lost";

export const state = signal<State>(EMPTY);
/** `loading` until the first answer; `polling` without the event stream, `lost` without answers. */
export const link = signal<Link>("loading");
/** When the newest overview came, by this machine's clock, and how far the server's is ahead. */
export const heard_ms = signal(0);
const ahead_ms = signal(0);
/** Now, by the server's clock; ticks once a second. */
export const now_ms = signal(Date.now());

/** Older than this, the shown state counts as unknown. */
const WITHOUT_MS = 12_000;
/** How old what is shown is, by this machine's clock, whatever the server's says; 0 where that is no matter. */
export const stale_ms = computed(() => {
  const old_ms = now_ms.value > 0 && heard_ms.value > 0 ? Date.now() - heard_ms.value : 0;
  return old_ms > WITHOUT_MS ? old_ms : 0;
});
export const troubles = steady(() => troublesOf(state.value, link.value === "lost" || stale_ms.value > 0));

export const choice = signal<Choice>({ search: "", order: "trouble", grouped: false, only: new Set() });

export const standingOf = computed(() => standings(state.value));
export const tally = steady(() => counts(standingOf.value));
export const shownChannels = steadyRows<Row>(isSameRow, () => channelRows(state.value, standingOf.value, choice.value));
export const shownSessions = steadyRows<SessionRow>(
  (a, b) => a.standing === b.standing,
  () => sessionRows(state.value, choice.value.search),
);

export function choose(change: Partial<Choice>): void {
  choice.value = { ...choice.value, ...change };
}

export function toggleOnly(standing: Standing): void {
  const only = new Set(choice.value.only);
  if (!only.delete(standing)) only.add(standing);
  choose({ only });
}

/** `at_ms`: the server's clock; null where the answer is the same as before, and as old. */
export function heard(at_ms: number | null): void {
  heard_ms.value = Date.now();
  if (at_ms !== null) ahead_ms.value = at_ms - Date.now();
  tick();
}

export function tick(): void {
  now_ms.value = Date.now() + ahead_ms.peek();
}

/** The text that screen readers speak. */
export const announced = signal("");

export function announce(text: string): void {
  announced.value = text;
}

/** A computed value that is replaced only where it differs. */
function steady<T>(compute: () => T): ReadonlySignal<T> {
  let last: T | undefined;
  return computed(() => {
    const next = compute();
    if (last === undefined || !isEqual(last, next)) last = next;
    return last;
  });
}

function isSameRow(a: Row, b: Row): boolean {
  return a.kind === "channel" && b.kind === "channel" ? a.standing === b.standing : isEqual(a, b);
}

/** Rows with the same key are compared: each is the same object as before where it is equal, and so is the list of all. */
function steadyRows<T extends { readonly key: string }>(
  same: (a: T, b: T) => boolean,
  compute: () => readonly T[],
): ReadonlySignal<readonly T[]> {
  let known = new Map<string, T>();
  let last: readonly T[] = [];
  return computed(() => {
    const rows = compute().map((row) => {
      const old = known.get(row.key);
      return old !== undefined && same(old, row) ? old : row;
    });
    if (rows.length === last.length && rows.every((row, index) => row === last[index])) return last;
    known = new Map(rows.map((row) => [row.key, row]));
    last = rows;
    return last;
  });
}
