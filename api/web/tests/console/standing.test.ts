import { expect, test } from "vitest";
import { EMPTY, loaded, SLATE } from "../../src/console/state";
import { complaint, labelOf, lampOf, ofChannel, ofSession } from "../../src/console/standing";
import { channel, overview, session, source } from "./overview";

const failing = {
  status: "problematic",
  last_failure_reason: "404 Not Found",
  last_failed_at: "2026-01-01T00:00:00Z",
} as const;

test("a session stands as its channel's viewers see it", () => {
  const news = channel("news");
  expect(ofSession(session("s", "news"), news)).toBe("air");
  expect(ofSession(session("s", "news", { source_id: "news-b" }), news)).toBe("backup");
  expect(ofSession(session("s", "news", { source_id: "sport-a" }), news)).toBe("backup");
  expect(ofSession(session("s", "news", { phase: "starting", shown: "nothing" }), news)).toBe("starting");
  expect(ofSession(session("s", "news", { phase: "unavailable", shown: "nothing", source_id: null }), news)).toBe("off");
  expect(ofSession(session("s", "news", { phase: "unavailable", shown: "slate", source_id: SLATE }), news)).toBe("slate");
  const tried = session("s", "news", { phase: "unavailable", shown: "slate", source_id: "news-a" });
  expect(ofSession(tried, news), "the slate plays while a source is tried").toBe("slate");
  expect(ofSession({ ...tried, shown: "nothing" }, news), "the slate has not listed anything yet").toBe("off");
  expect(ofSession(session("s", "news", { phase: "ended", shown: "nothing" }), news)).toBe("idle");
});

test("the first choice is the first source that is not disabled", () => {
  const news = channel("news", { sources: [source("news-a", { enabled: false, status: "disabled" }), source("news-b")] });
  expect(ofSession(session("s", "news", { source_id: "news-b" }), news)).toBe("air");
});

test("a channel stands as the worst of its sessions, or as its sources", () => {
  const news = channel("news");
  expect(ofChannel(news, [])).toBe("idle");
  expect(ofChannel(news, [session("s", "news"), session("t", "news", { source_id: "news-b" })])).toBe("backup");
  expect(ofChannel(channel("news", { enabled: false }), [session("s", "news")])).toBe("disabled");
  const one = channel("news", { sources: [source("news-a"), source("news-b", failing)] });
  expect(ofChannel(one, [])).toBe("risk");
  const none = channel("news", { sources: [source("news-a", failing)] });
  expect(ofChannel(none, [])).toBe("dead");
  expect(ofChannel({ ...none, failovers: ["sport"] }, []), "another channel stands in").toBe("risk");
  expect(ofChannel(channel("news", { sources: [] }), [])).toBe("dead");
});

test("what is wrong is told in a line", () => {
  const news = channel("news", { sources: [source("news-a", failing), source("news-b")] });
  const playing = session("s", "news", { source_id: "news-b" });
  const state = loaded(EMPTY, overview([news, channel("sport")], [playing]));
  expect(complaint(state, news, [playing], "backup")).toBe("404 Not Found · plays news-b.example/live.m3u8");
  expect(complaint(state, news, [], "dead")).toBe("404 Not Found · news-a.example/live.m3u8");
  expect(complaint(state, news, [], "air")).toBe("");
  expect(labelOf(state, "sport-a", "news")).toBe("sport-a.example/live.m3u8 of SPORT");
  expect(labelOf(state, SLATE, "news")).toBe("the slate");
  expect(labelOf(state, "gone", "news")).toBe("gone");
});

test("a lamp for every status", () => {
  expect(lampOf(source("a"))).toBe("well");
  expect(lampOf(source("a", { in_use: 2 }))).toBe("playing");
  expect(lampOf(source("a", { status: "unknown" }))).toBe("unknown");
  expect(lampOf(source("a", { ...failing, in_use: 1 }))).toBe("failing");
  expect(lampOf(source("a", { enabled: false }))).toBe("off");
});
