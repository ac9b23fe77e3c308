/** Keeps the state current: reads an overview at the start and every few seconds, and applies events in between. Events that come
 * together are applied together. */

import { batch } from "@preact/signals";
import { Refused } from "../problem";
import { client } from "./client";
import { ms } from "./format";
import { happened, isNews, loaded } from "./state";
import { heard, link, state, tick } from "./store";
import { EVENT_TYPES, type WireEvent } from "./wire";

const LOOK_MS = 5_000;
/** The minimum between two overviews. */
const PAUSE_MS = 1_000;
const GATHER_MS = 60;
/** So many earlier events are read for the list of recent events. */
const BEFORE = 60;

let source: EventSource | null = null;
let waiting: WireEvent[] = [];
let gathering: ReturnType<typeof setTimeout> | undefined;
let next: ReturnType<typeof setTimeout> | undefined;
let looking: Promise<void> | null = null;
let looked_ms = 0;
let acted_ms = 0;
const listeners = new Set<(events: readonly WireEvent[]) => void>();

/** Calls back with events as they happen, for the page of one session or channel. */
export function onEvents(listener: (events: readonly WireEvent[]) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Begins. The first answer says whether this browser is logged in. */
export function start(): void {
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh();
  });
  void look();
}

/** After a login. */
export function restart(): void {
  link.value = "loading";
  void look();
}

/** After an action of the operator: an overview that was requested before it is outdated. */
export function acted(): void {
  acted_ms = Date.now();
  refresh();
}

/** Reads the overview again, as soon as PAUSE_MS allows. */
export function refresh(): void {
  schedule(Math.max(0, looked_ms + PAUSE_MS - Date.now()));
}

function schedule(wait_ms: number): void {
  clearTimeout(next);
  next = setTimeout(() => void look(), wait_ms);
}

function look(): Promise<void> {
  looking ??= once().finally(() => {
    looking = null;
  });
  return looking;
}

async function once(): Promise<void> {
  looked_ms = Date.now();
  try {
    const overview = await client.overview();
    if (acted_ms >= looked_ms) {
      schedule(PAUSE_MS);
      return;
    }
    batch(() => {
      heard(overview.at === state.value.at ? null : ms(overview.at));
      state.value = loaded(state.value, overview);
      link.value = source === null || source.readyState === EventSource.OPEN ? "live" : "polling";
    });
    listen();
  } catch (error) {
    if (error instanceof Refused && error.problem.status === 401) {
      leave();
      return;
    }
    link.value = "lost";
  }
  schedule(LOOK_MS);
}

/** Logged out, here or by the server. */
export function leave(): void {
  clearTimeout(next);
  source?.close();
  source = null;
  link.value = "logged_out";
}

function listen(): void {
  if (source !== null && source.readyState !== EventSource.CLOSED) return;
  const opened = new EventSource(`/v1/events?after=${Math.max(0, state.peek().cursor - BEFORE)}`);
  source = opened;
  for (const type of EVENT_TYPES) {
    opened.addEventListener(type, (event: MessageEvent<string>) => {
      gather(event.data, event.lastEventId);
    });
  }
  opened.addEventListener("change", refresh);
  opened.addEventListener("open", () => {
    if (link.value === "polling") refresh(); // what happened meanwhile and has no event
  });
  opened.addEventListener("error", () => {
    if (link.value === "live") link.value = "polling"; // EventSource comes back by itself; where it gives up, the next overview opens another
  });
}

function gather(data: string, id: string): void {
  const event = JSON.parse(data) as WireEvent;
  waiting.push({ ...event, id: Number(id) || event.id });
  gathering ??= setTimeout(flush, GATHER_MS);
}

function flush(): void {
  const events = waiting;
  waiting = [];
  gathering = undefined;
  const news = events.some((event) => isNews(state.peek(), event));
  state.value = happened(state.peek(), events);
  for (const listener of listeners) listener(events);
  if (news) refresh();
}
