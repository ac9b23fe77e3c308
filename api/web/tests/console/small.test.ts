import { expect, test } from "vitest";
import { hevcMark, picture } from "../../src/console/codecs";
import { ago, clock, count, initials, media, rate, span, until } from "../../src/console/format";
import { addresses, isEmpty, lines, summary } from "../../src/console/preview";
import { dropped, keyed, moved } from "../../src/console/reorder";
import { routeOf } from "../../src/console/route";
import { bars, told } from "../../src/console/strip";
import { offsets, rowAt, scrolledTo, visible } from "../../src/console/window";
import { blocks, sentence, story } from "../../src/console/eventText";
import { EMPTY, loaded } from "../../src/console/state";
import { channel, overview } from "./overview";
import type { WireAttempt, WireLeg, WireCounts } from "../../src/console/wire";

test.each([
  [0, "0 s"],
  [59_999, "59 s"],
  [60_000, "1 min"],
  [3_600_000 + 5 * 60_000, "1 h 05"],
  [50 * 3_600_000, "2 d 2 h"],
  [-5, "0 s"],
])("a span of %d ms is %s", (length_ms, words) => {
  expect(span(length_ms)).toBe(words);
});

test("times, rates and names as an operator reads them", () => {
  const now = Date.parse("2026-01-02T12:00:00Z");
  expect(ago("2026-01-02T11:59:18Z", now)).toBe("42 s ago");
  expect(ago(null, now)).toBe("never");
  expect(until("2026-01-02T12:02:00Z", now)).toBe("in 2 min");
  expect(until("2026-01-02T11:00:00Z", now)).toBe("");
  expect(clock(now, now)).toMatch(/^\d\d:\d\d:\d\d$/);
  expect(clock("2025-12-31T12:00:00Z", now)).toMatch(/^31 Dec /);
  expect(rate(2_449_000)).toBe("2.4 Mbit/s");
  expect(rate(210_400)).toBe("210 kbit/s");
  expect(rate(null)).toBe("–");
  expect(count(1, "entry", "entries")).toBe("1 entry");
  expect(count(1204, "channel")).toBe("1,204 channels");
  expect(initials("World News 2")).toBe("WN");
  expect(initials("arte")).toBe("AR");
  expect(initials("…")).toBe("?");
  expect(media({ video: "h264", audio: "aac", width: 1280, height: 720 })).toBe("1280×720 h264, aac");
  expect(media({ video: null, audio: "mp3", width: null, height: null })).toBe("mp3");
});

test("HEVC is marked by what the channel makes of it", () => {
  const copied = { profile: "copy", hevc: "copy" } as const;
  const hevc = { video: "hevc" };
  expect(hevcMark(hevc, copied)).toBe("HEVC: not every browser plays it");
  expect(hevcMark(hevc, { ...copied, hevc: "h264" })).toBe("HEVC, sent as H.264");
  expect(hevcMark(hevc, { ...copied, profile: "h264" })).toBe("HEVC, sent as H.264");
  expect([hevcMark({ video: "h264" }, copied), hevcMark({ video: null }, copied)]).toEqual(["", ""]);
  expect([picture(copied), picture({ ...copied, hevc: "h264" }), picture({ profile: "h264", hevc: "copy" })]).toEqual([
    "as the source sends it",
    "as the source sends it, but HEVC transcoded to H.264",
    "transcoded to H.264",
  ]);
});

test("a strip is one path for each letter, as high as it is bad", () => {
  expect(bars("ggr.")).toEqual([
    { letter: "g", path: "M0 20v-7h2v7z" },
    { letter: "r", path: "M2 20v-20h1v20z" },
    { letter: ".", path: "M3 20v-2h1v2z" },
  ]);
  expect(bars("grg").map((each) => each.letter)).toEqual(["g", "r"]);
  expect(told("ggrr....")).toBe("last 24 hours: 0.5 h nothing to see, 0.5 h first choice");
  expect(told("....")).toBe("last 24 hours: no session");
});

test("only the rows in sight, and those nearby", () => {
  const starts = offsets([10, 20, 10, 10]);
  expect(starts).toEqual([0, 10, 30, 40, 50]);
  expect(visible(starts, 12, 10, 0)).toEqual({ from: 1, to: 2 });
  expect(visible(starts, 12, 20, 10)).toEqual({ from: 0, to: 4 });
  expect(visible(offsets([]), 0, 100, 10)).toEqual({ from: 0, to: 0 });
  expect(visible(starts, 900, 10, 0)).toEqual({ from: 3, to: 4 });
  expect([0, 9, 10, 29, 30, 49, 99].map((at) => rowAt(starts, at))).toEqual([0, 0, 1, 1, 2, 3, 3]);
  expect(scrolledTo(starts, 3, 0, 30)).toBe(20);
  expect(scrolledTo(starts, 0, 20, 30)).toBe(0);
  expect(scrolledTo(starts, 1, 5, 40)).toBe(5);
});

test("an order is changed by key and by pointer", () => {
  expect(moved(["a", "b", "c"], 0, 2)).toEqual(["b", "c", "a"]);
  expect(moved(["a", "b", "c"], 2, -5)).toEqual(["c", "a", "b"]);
  const list = ["a", "b"];
  expect(moved(list, 1, 9)).toBe(list);
  expect(moved(list, 7, 0)).toBe(list);
  expect(["ArrowUp", "ArrowDown", "Home", "End", "x"].map((key) => keyed(key, 1, 4))).toEqual([0, 2, 0, 3, null]);
  expect(keyed("ArrowUp", 0, 4)).toBe(0);
  expect(keyed("ArrowDown", 3, 4)).toBe(3);
  expect(dropped([10, 30, 50], 2, 5)).toBe(0);
  expect(dropped([10, 30, 50], 0, 45)).toBe(1);
  expect(dropped([10, 30, 50], 0, 60)).toBe(2);
});

test("every page has an address", () => {
  expect(routeOf("/console")).toEqual({ page: "overview" });
  expect(routeOf("/console/")).toEqual({ page: "overview" });
  expect(routeOf("/console/channels/c-1")).toEqual({ page: "channel", id: "c-1" });
  expect(routeOf("/console/sessions/s%20x")).toEqual({ page: "session", id: "s x" });
  expect(routeOf("/console/sessions")).toEqual({ page: "sessions" });
  expect(routeOf("/console/system")).toEqual({ page: "system" });
  for (const path of ["/watch/news", "/console/no", "/console/system/x", "/console/channels/a/b", "/"]) {
    expect(routeOf(path)).toEqual({ page: "nowhere" });
  }
  expect(routeOf("/console/channels/%E0")).toEqual({ page: "channel", id: "%E0" });
});

const NONE: WireCounts = {
  channels_added: 0,
  channels_updated: 0,
  channels_enabled: 0,
  channels_disabled: 0,
  sources_added: 0,
  sources_updated: 0,
  sources_enabled: 0,
  sources_disabled: 0,
};

test("an import is told before it is done: what comes, what changes, and last what goes", () => {
  expect(isEmpty(NONE)).toBe(true);
  expect(lines(NONE)).toEqual([]);
  expect(lines({ ...NONE, channels_disabled: 1, channels_added: 1200, sources_updated: 2 })).toEqual([
    { sign: "+", text: "1,200 channels added" },
    { sign: "~", text: "2 sources changed" },
    { sign: "−", text: "1 channel disabled" },
  ]);
  const change = { channel: "news", name: "News", is_new: false, fields: ["logo"], counts: { ...NONE, sources_added: 2 } };
  expect(summary(change)).toBe("2 sources added; changes logo");
  expect(addresses(" http://a \n\n# no\nhttp://b")).toEqual(["http://a", "http://b"]);
});

test("a session's story: attempts and events, newest first, what begins before what it brings", () => {
  const attempt = (number: number, started_at: string, ended_at: string | null): WireAttempt => ({
    number,
    source_id: "news-a",
    started_at,
    first_segment_at: null,
    ended_at,
    exit_code: null,
    legs: [],
    start_reason: null,
    end_reason: null,
  });
  const attempts = [attempt(1, "2026-01-01T00:00:00Z", "2026-01-01T00:00:10Z"), attempt(2, "2026-01-01T00:00:10Z", null)];
  const live = { id: 1, type: "session.live", at: "2026-01-01T00:00:00Z", session_id: "s" } as const;
  expect(story(attempts, [live]).map((each) => each.kind)).toEqual(["attempt", "event", "attempt"]);
  const from = Date.parse("2026-01-01T00:00:00Z");
  expect(blocks(attempts, from, from + 20_000).map(({ from, to }) => [from, to])).toEqual([
    [0, 0.5],
    [0.5, 1],
  ]);
});

test("input switches are legs of the attempt's story", () => {
  const leg = (number: number, source_id: string, started_at: string, ended_at: string | null): WireLeg => ({
    number,
    source_id,
    started_at,
    first_segment_at: started_at,
    start_reason: null,
    ended_at,
    end_reason: null,
  });
  const attempt: WireAttempt = {
    number: 1,
    source_id: "news-a",
    started_at: "2026-01-01T00:00:00Z",
    first_segment_at: null,
    ended_at: null,
    exit_code: null,
    legs: [leg(1, "news-a", "2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"), leg(2, "news-b", "2026-01-01T00:00:05Z", null)],
    start_reason: null,
    end_reason: null,
  };
  expect(story([attempt], []).map((each) => each.kind)).toEqual(["leg", "attempt"]);
  const from = Date.parse("2026-01-01T00:00:00Z");
  expect(blocks([attempt], from, from + 20_000)).toEqual([
    { key: "1.1", source_id: "news-a", from: 0, to: 0.25 },
    { key: "1.2", source_id: "news-b", from: 0.25, to: 1 },
  ]);
});

test("what happened, in words", () => {
  const state = loaded(EMPTY, overview([channel("news")]));
  const base = { id: 1, at: "", session_id: "s" };
  expect(sentence(state, { ...base, type: "stream.switch", from: "news-a", to: "news-b", reason: "rolled" }, "news")).toBe(
    "rolled: news-a.example/live.m3u8 → news-b.example/live.m3u8",
  );
  expect(sentence(state, { ...base, type: "session.live", source: "news-a", start_ms: 412 }, "news")).toBe(
    "live on news-a.example/live.m3u8 after 0.4 s",
  );
  expect(sentence(state, { ...base, type: "stream.unavailable", slate: true, reason: "404" }, "news")).toBe(
    "no source works, the slate plays: 404",
  );
  expect(sentence(state, { ...base, type: "switch.refused", to: "news-b", reason: "the source is disabled" }, "news")).toBe(
    "switch to news-b.example/live.m3u8 refused: the source is disabled",
  );
  expect(sentence(state, { ...base, type: "switch.refused", to: "next", reason: "no other source" }, "news")).toBe(
    "switch to the next source refused: no other source",
  );
  expect(sentence(state, { ...base, type: "switch.refused", to: "same", reason: "nothing plays" }, "news")).toBe(
    "fresh attempt refused: nothing plays",
  );
  expect(sentence(state, { ...base, type: "session.ended", reason: "channel_disabled" }, "news")).toBe(
    "session ended: channel disabled",
  );
});
