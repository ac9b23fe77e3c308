import { expect, test } from "vitest";
import { edited, editedSource, EMPTY, happened, isNews, loaded, SLATE } from "../../src/console/state";
import type { WireEvent } from "../../src/console/wire";
import { channel, overview, session, source } from "./overview";

const AT = "2026-01-01T00:02:00.000Z";
const event = (id: number, type: WireEvent["type"], more: Partial<WireEvent> = {}): WireEvent => ({
  id,
  type,
  at: AT,
  session_id: "s",
  channel_id: "news",
  ...more,
});
const start = loaded(
  EMPTY,
  overview(
    [channel("news", { sources: [source("news-a", { in_use: 1 }), source("news-b")] }), channel("sport")],
    [session("s", "news")],
  ),
);

test("what is equal stays the same object, so that nothing is drawn for it", () => {
  const again = loaded(
    start,
    overview(
      [channel("news", { sources: [source("news-a", { in_use: 1 }), source("news-b")] }), channel("sport", { name: "Sports" })],
      [session("s", "news")],
      { cursor: 101 },
    ),
  );
  expect(again.channels.get("news")).toBe(start.channels.get("news"));
  expect(again.channels.get("sport")).not.toBe(start.channels.get("sport"));
  expect(again.sessions).toBe(start.sessions);
  expect(again.of_channel).toBe(start.of_channel);
});

test("a swap moves the session, its sources' use and the last quarter hour, and nothing else", () => {
  const after = happened(start, [
    event(101, "stream.switch", { from: "news-a", to: "news-b", attempt: 2, reason: "source stalled" }),
  ]);
  expect(after.sessions.get("s")).toMatchObject({ source_id: "news-b", attempt: 2, phase: "live", attempt_started_at: AT });
  expect(after.channels.get("news")?.sources.map((each) => each.in_use)).toEqual([0, 1]);
  expect(after.channels.get("news")?.strip.at(-1)).toBe("a");
  expect(after.reasons.get("s")).toBe("source stalled");
  expect(after.channels.get("sport")).toBe(start.channels.get("sport"));
  expect(after.cursor).toBe(101);
  expect(after.recent.map((each) => each.id)).toEqual([101]);
});

test("an outage, its slate and its end", () => {
  const dark = happened(start, [event(101, "stream.unavailable", { slate: false })]);
  expect(dark.sessions.get("s")).toMatchObject({ phase: "unavailable", shown: "nothing", source_id: null });
  expect(dark.channels.get("news")?.strip.at(-1)).toBe("r");
  const slate = happened(start, [event(101, "stream.unavailable", { slate: true })]);
  expect(slate.sessions.get("s")).toMatchObject({ phase: "unavailable", shown: "slate", source_id: SLATE });
  const back = happened(dark, [event(102, "stream.recovered", { to: "news-b", attempt: 4 })]);
  expect(back.sessions.get("s")).toMatchObject({ phase: "live", shown: "source", source_id: "news-b" });
  expect(back.channels.get("news")?.strip.at(-1), "a quarter hour never gets better").toBe("r");
  const ended = happened(back, [event(103, "session.ended", { reason: "idle" })]);
  expect(ended.sessions.size).toBe(0);
  expect(ended.of_channel.get("news")).toBeUndefined();
  expect(ended.channels.get("news")?.sources.map((each) => each.in_use)).toEqual([0, 0]);
});

test("a switch that is refused is told, and changes nothing of what plays", () => {
  const after = happened(start, [event(101, "switch.refused", { to: "news-b", reason: "the source is disabled" })]);
  expect(after.sessions.get("s")).toBe(start.sessions.get("s"));
  expect(after.reasons.get("s")).toBe(start.reasons.get("s"));
  expect(after.channels.get("news")).toBe(start.channels.get("news"));
  expect(after.recent.map((each) => each.type)).toEqual(["switch.refused"]);
});

test("events that the overview has seen are told, not applied; none is told twice", () => {
  const old = event(99, "session.ended");
  const after = happened(happened(start, [old]), [old]);
  expect(after.sessions.has("s")).toBe(true);
  expect(after.recent).toHaveLength(1);
  expect(after.cursor).toBe(100);
});

test("an overview from before an event leaves the session as the event has made it", () => {
  const after = happened(start, [event(101, "stream.switch", { to: "news-b", attempt: 2 })]);
  expect(loaded(after, overview([channel("news")], [session("s", "news")])).sessions.get("s")?.attempt).toBe(2);
  expect(loaded(after, overview([channel("news")], [], { cursor: 102 })).sessions.size).toBe(0);
});

test("a session that nobody knows is news, unless it has ended", () => {
  expect(isNews(start, event(101, "session.live", { session_id: "t" }))).toBe(true);
  expect(isNews(start, event(101, "session.ended", { session_id: "t" }))).toBe(false);
  expect(isNews(start, event(99, "session.live", { session_id: "t" }))).toBe(false);
  expect(isNews(start, event(101, "stream.switch"))).toBe(false);
});

test("what the operator has asked for is shown before it is said", () => {
  expect(edited(start, "news", { enabled: false }).channels.get("news")?.enabled).toBe(false);
  expect(edited(start, "none", { enabled: false })).toBe(start);
  const after = editedSource(start, "news", "news-b", { enabled: false });
  expect(after.channels.get("news")?.sources.map((each) => each.enabled)).toEqual([true, false]);
});

test("of a thousand channels one event makes one new object, in little time", () => {
  const channels = Array.from({ length: 1000 }, (_, n) => channel(`c${n}`));
  const before = loaded(EMPTY, overview(channels, [session("s", "c7")]));
  const after = happened(before, [event(101, "stream.switch", { to: "c7-b", channel_id: "c7" })]);
  const changed = channels.filter(({ id }) => after.channels.get(id) !== before.channels.get(id));
  expect(changed.map(({ id }) => id)).toEqual(["c7"]);
});
