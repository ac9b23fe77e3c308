import { expect, test } from "vitest";
import { troubles } from "../../src/console/deployment";
import { channelRows, counts, headline, sessionRows, standings, type Choice } from "../../src/console/listing";
import { EMPTY, loaded } from "../../src/console/state";
import { channel, overview, session, source } from "./overview";

const ACME = { id: "p-1", name: "Acme", max_connections: 2, connections_in_use: 2 };
const state = loaded(
  EMPTY,
  overview(
    [
      channel("alpha", { number: 3, group: "Sport" }),
      channel("beta", { number: 1, group: "News" }),
      channel("gamma", { number: 2, group: "News", sources: [source("gamma-a"), source("gamma-b")] }),
      channel("delta", { number: 4, enabled: false }),
    ],
    [
      session("s1", "alpha", { viewers: 1 }),
      session("s2", "gamma", { source_id: "gamma-b", viewers: 9 }),
      session("s3", "alpha", { created_at: "2026-01-02T00:00:00Z" }),
    ],
  ),
);
const all: Choice = { search: "", order: "trouble", grouped: false, only: new Set() };
const keys = (change: Partial<Choice>): readonly string[] =>
  channelRows(state, standings(state), { ...all, ...change }).map((row) =>
    row.kind === "section" ? `# ${row.title} ${row.count}` : row.id,
  );

test("problems first, each kind under its heading", () => {
  expect(keys({})).toEqual([
    "# Needs attention 1",
    "gamma",
    "# On air 1",
    "alpha",
    "# Idle 1",
    "beta",
    "# Disabled 1",
    "delta",
  ]);
});

test("by number, name, viewers; by group with problems first in each", () => {
  expect(keys({ order: "number" })).toEqual(["beta", "gamma", "alpha", "delta"]);
  expect(keys({ order: "name" })).toEqual(["alpha", "beta", "delta", "gamma"]);
  expect(keys({ order: "viewers" }).slice(0, 2)).toEqual(["gamma", "alpha"]);
  expect(keys({ grouped: true })).toEqual(["# News 2", "gamma", "beta", "# Sport 1", "alpha", "# No group 1", "delta"]);
});

test("search finds all words in names, groups, numbers and sources; tiles leave only their own", () => {
  expect(keys({ order: "name", search: "news" })).toEqual(["beta", "gamma"]);
  expect(keys({ order: "name", search: "NEWS gamma-b" })).toEqual(["gamma"]);
  expect(keys({ order: "name", search: "nothing" })).toEqual([]);
  expect(keys({ order: "name", only: new Set(["air", "idle"]) })).toEqual(["alpha", "beta"]);
});

test("sessions: the worst first, then the newest", () => {
  expect(sessionRows(state, "").map((row) => row.id)).toEqual(["s2", "s3", "s1"]);
  expect(sessionRows(state, "alpha").map((row) => row.id)).toEqual(["s3", "s1"]);
});

test("one sentence for all", () => {
  const of = counts(standings(state));
  expect(headline(of, 4, [])).toBe("1 channel is on backup");
  expect(headline({ ...of, off: 2 }, 4, [])).toBe("2 channels are off air");
  expect(headline({ ...of, backup: 0 }, 4, [])).toBe("All is well");
  expect(headline({ ...of, backup: 0, air: 0 }, 4, [])).toBe("Nobody is watching");
  expect(headline(of, 0, [])).toBe("No channels yet");
});

test.each([
  ["unanswered", {}, "The server does not answer", true],
  ["no_orchestrator", { orchestrator: { seen_at: null, runs: false } }, "No orchestrator runs", true],
  ["store_away", { store_answers: false }, "The store does not answer", true],
  ["provider_full", { full_providers: [ACME] }, "Acme has no connection left", false],
  ["provider_full", { full_providers: [ACME, { ...ACME, name: "B" }] }, "2 providers have no connection left", false],
  ["draining", { draining_since: "2026-01-01T00:00:00.000Z" }, "No new session starts", false],
] as const)("all is not well: %s", (trouble, change, sentence, grave) => {
  const found = troubles(loaded(EMPTY, overview([], [], change)), trouble === "unanswered");
  expect(found.map((each) => [each.trouble, each.grave])).toEqual([[trouble, grave]]);
  const well = { ...counts(new Map()), air: 3 };
  expect(headline(well, 3, found)).toBe(sentence);
  expect(headline({ ...well, air: 0, idle: 3 }, 3, found)).toBe(sentence);
  // What keeps anybody from knowing or mending comes before what channels have, anything else behind it
  expect(headline({ ...well, off: 1 }, 3, found)).toBe(grave ? sentence : "1 channel is off air");
});

test("nothing is said before the first answer, and nothing is wrong with a deployment that is well", () => {
  expect(troubles(EMPTY, false)).toEqual([]);
  expect(troubles(loaded(EMPTY, overview([])), false)).toEqual([]);
});
