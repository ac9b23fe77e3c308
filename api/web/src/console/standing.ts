/** The standing of a channel, a session and a source, in one word each. Here alone it is decided what counts as trouble. */

import { SLATE, type Channel, type Session, type Source, type State } from "./state";

/** From the worst to the least interesting: the order in which the console shows them. */
export const STANDINGS = ["off", "slate", "dead", "backup", "risk", "starting", "air", "idle", "disabled"] as const;
export type Standing = (typeof STANDINGS)[number];

const RANKS = Object.fromEntries(STANDINGS.map((standing, index) => [standing, index])) as Readonly<Record<Standing, number>>;

export const WORDS: Readonly<Record<Standing, string>> = {
  off: "Off air",
  slate: "On slate",
  dead: "No source",
  backup: "On backup",
  risk: "At risk",
  starting: "Starting",
  air: "On air",
  idle: "Idle",
  disabled: "Disabled",
};

export const MEANINGS: Readonly<Record<Standing, string>> = {
  off: "viewers see nothing",
  slate: "viewers see the slate: no source works",
  dead: "nobody watches, but no source works either",
  backup: "plays, but not from its first choice",
  risk: "well for now, but one of its sources fails",
  starting: "a session is being started",
  air: "plays from its first choice",
  idle: "nobody watches; its sources are well",
  disabled: "taken out by the operator",
};

/** Whether an operator should look at it. */
export function isTrouble(standing: Standing): boolean {
  return rank(standing) <= rank("backup");
}

export function rank(standing: Standing): number {
  return RANKS[standing];
}

/** The first choice: the source that is tried first. */
export function firstChoice(channel: Channel): Source | undefined {
  return channel.sources.find((source) => source.enabled && source.status !== "disabled");
}

export function ofSession(session: Session, channel: Channel | undefined): Standing {
  switch (session.shown) {
    case "slate":
      return "slate";
    case "source":
      return channel !== undefined && session.source_id === firstChoice(channel)?.id ? "air" : "backup";
    case "nothing":
      if (session.phase === "ended") return "idle";
      return session.phase === "unavailable" ? "off" : "starting";
  }
}

export function ofChannel(channel: Channel, sessions: readonly Session[]): Standing {
  if (!channel.enabled) return "disabled";
  const enabled = channel.sources.filter((source) => source.enabled && source.status !== "disabled");
  const failing = enabled.filter((source) => source.status === "problematic");
  const standings = sessions.map((session) => ofSession(session, channel));
  const worst = STANDINGS.find((standing) => standings.includes(standing)) ?? "idle";
  if (isTrouble(worst)) return worst;
  if (failing.length === enabled.length && channel.failovers.length === 0) return "dead";
  return failing.length > 0 ? "risk" : worst;
}

/** What is wrong with a channel, in a line; empty where nothing is. */
export function complaint(state: State, channel: Channel, sessions: readonly Session[], standing: Standing): string {
  const said = sessions.map((session) => state.reasons.get(session.id)).find((reason) => reason !== undefined);
  const failed = channel.sources
    .filter((source) => source.status === "problematic" && source.last_failure_reason !== null)
    .toSorted((a, b) => (b.last_failed_at ?? "").localeCompare(a.last_failed_at ?? ""));
  const first = failed[0];
  switch (standing) {
    case "off":
    case "slate":
    case "dead":
      if (channel.sources.length === 0) return "it has no source";
      return first === undefined ? (said ?? "no source works") : `${first.last_failure_reason ?? ""} · ${first.label}`;
    case "backup": {
      const playing = sessions.find((session) => ofSession(session, channel) === "backup")?.source_id ?? null;
      const on = labelOf(state, playing, channel.id);
      const choice = firstChoice(channel);
      const why = choice?.status === "problematic" ? choice.last_failure_reason : (said ?? null);
      return why === null ? `plays ${on}` : `${why} · plays ${on}`;
    }
    case "risk":
      return first === undefined ? "" : `${first.last_failure_reason ?? ""} · ${first.label}`;
    case "starting":
    case "air":
    case "idle":
    case "disabled":
      return "";
  }
}

/** A source by its label, with its channel's name where that is another one. */
export function labelOf(state: State, source_id: string | null, channel_id: string): string {
  if (source_id === null) return "nothing";
  if (source_id === SLATE) return "the slate";
  const owner = state.channels.get(state.channel_of.get(source_id) ?? "");
  const source = owner?.sources.find((each) => each.id === source_id);
  if (owner === undefined || source === undefined) return source_id;
  return owner.id === channel_id ? source.label : `${source.label} of ${owner.name}`;
}

/** The lamp of a source: its status, or that it plays. */
export type Lamp = "playing" | "well" | "unknown" | "failing" | "off";

export function lampOf(source: Source): Lamp {
  if (!source.enabled || source.status === "disabled") return "off";
  if (source.status === "problematic") return "failing";
  if (source.in_use > 0) return "playing";
  return source.status === "unknown" ? "unknown" : "well";
}

export const LAMP_WORDS: Readonly<Record<Lamp, string>> = {
  playing: "plays",
  well: "works",
  unknown: "not known",
  failing: "fails",
  off: "disabled",
};
