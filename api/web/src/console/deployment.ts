/** Problems of the deployment itself, as texts made of the overview. Rule: while the API does not answer, nothing is known and nothing is
 * called well. Pure. */

import type { State } from "./state";

export type Trouble = "unanswered" | "no_orchestrator" | "store_away" | "provider_full" | "draining";

/** Worse than any problem of a channel: what is known of channels may be old, or nothing can be done about them. */
const GRAVE: ReadonlySet<Trouble> = new Set<Trouble>(["unanswered", "no_orchestrator", "store_away"]);

export interface Told {
  readonly trouble: Trouble;
  readonly grave: boolean;
  readonly headline: string;
  /** For the top bar. */
  readonly flag: string;
  readonly meaning: string;
}

/** The worst first. `unanswered`: the API has not answered for a while. */
export function troubles(state: State, unanswered: boolean): readonly Told[] {
  if (unanswered) return [told(state, "unanswered")];
  if (state.at === "") return []; // before the first answer
  const found: Trouble[] = [];
  if (!state.orchestrator_runs) found.push("no_orchestrator");
  if (!state.store_answers) found.push("store_away");
  if (state.full_providers.length > 0) found.push("provider_full");
  if (state.draining_since !== null) found.push("draining");
  return found.map((trouble) => told(state, trouble));
}

function told(state: State, trouble: Trouble): Told {
  return { trouble, grave: GRAVE.has(trouble), ...wordsOf(state, trouble) };
}

function wordsOf(state: State, trouble: Trouble): Pick<Told, "headline" | "flag" | "meaning"> {
  switch (trouble) {
    case "unanswered":
      return {
        headline: "The server does not answer",
        flag: "No answer",
        meaning: "The present state is not known. Running sessions play on.",
      };
    case "no_orchestrator":
      return {
        headline: "No orchestrator runs",
        flag: "No orchestrator",
        meaning: "Running sessions play on, but nothing starts, ends or fails over.",
      };
    case "store_away":
      return {
        headline: "The store does not answer",
        flag: "No store",
        meaning: "It is not known what is sent, and it may not reach viewers.",
      };
    case "provider_full": {
      const names = state.full_providers.map(({ name }) => name);
      const only = names.length === 1 ? names[0] : undefined;
      return {
        headline: `${only ?? `${names.length} providers`} ${only === undefined ? "have" : "has"} no connection left`,
        flag: only === undefined ? `${names.length} providers full` : `${only} full`,
        meaning: `All connections of ${names.join(", ")} are in use: no further session can start on them or fail over to them.`,
      };
    }
    case "draining":
      return {
        headline: "No new session starts",
        flag: "Draining",
        meaning: "The deployment is being drained. Running sessions go on.",
      };
  }
}
