/**
 * The watch page's texts for each state of the player. Rule: a viewer reads only what matters to them: a switch is not mentioned. Only
 * a message about a missing picture covers the picture; everything else is a line below it.
 */
import type { PlayerState, Refusal } from "../player/contract";
import { isOff } from "../player/core";

export interface Seen {
  /** Whether a picture of this channel has been shown. */
  readonly pictured: boolean;
  /** Whether the picture has been stalled for a moment. */
  readonly waiting: boolean;
  readonly online: boolean;
  readonly paused: boolean;
  readonly now: number;
}

export interface Message {
  readonly title: string;
  readonly detail: string;
  readonly reasons: readonly string[];
  readonly busy: boolean;
  readonly action: { readonly does: "retry" | "play" | "list"; readonly label: string } | null;
}

export interface Shown {
  readonly message: Message | null;
  readonly notice: string | null;
  readonly phase: { readonly word: string; readonly kind: "live" | "slate" | "waiting" | "off" };
}

const SAID: Message = { title: "", detail: "", reasons: [], busy: false, action: null };
const ELSEWHERE =
  "VLC, Kodi and most televisions can: give them this page's address with .m3u8 at its end. So can some browsers.";
const RETRY = { does: "retry", label: "Try again" } as const;
const OFF = ["Not on air", "The channel is switched off."] as const;

export function shown(state: PlayerState, seen: Seen): Shown {
  return { message: messageOf(state, seen), notice: noticeOf(state, seen), phase: phaseOf(state, seen) };
}

function messageOf(state: PlayerState, seen: Seen): Message | null {
  switch (state.phase) {
    case "closed":
      return null;
    case "refused":
      return refusedFor(state.refusal);
    case "resting":
      if (isOff(state.refusal)) return { ...SAID, title: OFF[0], detail: OFF[1], action: { does: "play", label: "Try again" } };
      return {
        ...SAID,
        title: "Paused for a while",
        detail: "Your session has ended in the meantime. You can start a new one.",
        action: { does: "play", label: "Watch on" },
      };
    case "starting":
      if (isOff(state.refusal)) return { ...SAID, title: OFF[0], detail: OFF[1], busy: true };
      return seen.pictured && !seen.waiting
        ? null
        : { ...SAID, title: seen.pictured ? "Reconnecting…" : "Starting…", busy: true };
    case "retrying":
      return seen.pictured && !seen.waiting && !isOff(state.refusal) ? null : retryingFor(state, seen);
    case "playing":
      return playing(state, seen);
  }
}

function playing(state: PlayerState, seen: Seen): Message | null {
  if (state.autoplay === "blocked") return { ...SAID, title: "Ready", action: { does: "play", label: "Play" } };
  if (state.stream === "unavailable" && (state.stuck || !seen.pictured)) {
    return { ...SAID, title: "No source works at the moment", detail: "The picture comes back by itself.", busy: true };
  }
  if (!seen.pictured) return { ...SAID, title: "Starting…", busy: true };
  if (state.stuck) return { ...SAID, title: "Waiting for the picture…", busy: true };
  return seen.waiting && !seen.paused ? { ...SAID, busy: true } : null;
}

function refusedFor(refusal: Refusal | null): Message {
  if (refusal?.codecs !== undefined) return { ...SAID, title: refusal.title, detail: ELSEWHERE };
  if (refusal?.status === 404) {
    const action = { does: "list", label: "All channels" } as const;
    return { ...SAID, title: "No such channel", detail: "It may have been renamed or removed.", action };
  }
  const detail = refusal?.detail ?? "";
  return { ...SAID, title: refusal?.title ?? "Refused", detail, action: RETRY };
}

function retryingFor({ refusal, retry_at }: PlayerState, seen: Seen): Message {
  const seconds = Math.max(0, Math.ceil(((retry_at ?? seen.now) - seen.now) / 1000));
  const again = seconds > 1 ? `Trying again in ${seconds} s.` : "Trying again…";
  const said = (title: string, detail: string, reasons: readonly string[] = []): Message => ({
    title,
    detail: `${detail} ${again}`.trim(),
    reasons,
    busy: false,
    action: RETRY,
  });
  if (!refusal || refusal.status === 0) {
    return seen.online ? said("The server does not answer", "") : said("You are offline", "");
  }
  if (refusal.limit === "draining") return said("No new viewers right now", "Maintenance of the service is about to begin.");
  if (refusal.limit === "max_sessions_per_address")
    return said(
      "Too many screens at your address",
      "Your internet connection plays as many channels as it may. Close one of them.",
    );
  if (refusal.limit === "max_new_sessions_per_address_per_minute")
    return said("Too many starts", "Your internet connection has started many channels within a minute.");
  if (refusal.status === 429)
    return said("Too many screens", "You already watch on as many screens as you may. Close one of them.");
  if (refusal.limit) return said("All places are taken", "You can watch as soon as somebody else stops.");
  if (refusal.sources) return said("No source of this channel works", "", counted(Object.values(refusal.sources)));
  if (isOff(refusal)) return said(...OFF);
  if (refusal.status === 409) return { ...SAID, title: "Reconnecting…", busy: true };
  return said(refusal.title, refusal.detail ? `${refusal.detail}.` : "");
}

function noticeOf(state: PlayerState, seen: Seen): string | null {
  if (isOff(state.refusal)) return null;
  if (state.phase === "retrying" || state.phase === "starting") return seen.pictured ? "Reconnecting…" : null;
  if (state.phase !== "playing") return null;
  if (state.stream !== "live" && seen.pictured && !state.stuck)
    return "No source works at the moment. The programme comes back by itself.";
  if (!seen.online) return "You are offline.";
  return state.reachable ? null : "The server does not answer. The picture goes on.";
}

function phaseOf(state: PlayerState, seen: Seen): Shown["phase"] {
  if (state.phase === "refused" || state.phase === "closed") return { word: "Off", kind: "off" };
  if (isOff(state.refusal)) return { word: "Off air", kind: "off" };
  if (state.phase === "resting" || (state.phase === "playing" && seen.paused && seen.pictured))
    return { word: "Paused", kind: "off" };
  if (!seen.pictured) return { word: state.phase === "retrying" ? "Waiting" : "Starting", kind: "waiting" };
  if (state.phase !== "playing") return { word: "Reconnecting", kind: "waiting" };
  if (state.stream === "slate") return { word: "Slate", kind: "slate" };
  if (state.stream === "unavailable") return { word: "Unavailable", kind: "slate" };
  if (state.stuck || seen.waiting) return { word: "Waiting", kind: "waiting" };
  return { word: "Live", kind: "live" };
}

/** The texts for the class of a source's reason, which the API gives to viewers. */
const WHY: Readonly<Record<string, string>> = {
  unreachable: "It does not answer.",
  refused: "It refuses to be played.",
  unplayable: "What it sends cannot be played.",
  stalled: "It stopped sending.",
  ended: "It has ended.",
  busy: "All connections to it are in use.",
  planned: "It is not used at the moment.",
  service: "The service could not start it.",
  failed: "It does not work.",
};

/** Equal reasons once, with the number of sources. */
function counted(reasons: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const reason of reasons.map((each) => WHY[each] ?? each)) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].map(([reason, count]) => (count > 1 ? `${reason} (${count} sources)` : reason));
}
