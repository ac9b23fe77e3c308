import { describe, expect, test } from "vitest";
import type { PlayerState } from "../src/player/contract";
import { NOT_PLAYABLE } from "../src/player/core";
import { grouped, initials, matching, neighbour, type Channel } from "../src/watch/channels";
import { below } from "../src/watch/moving";
import { shown, type Seen } from "../src/watch/words";

const PLAYING: PlayerState = {
  phase: "playing",
  stream: "live",
  stuck: false,
  reachable: true,
  autoplay: "allowed",
  source: "x-1",
  session: null,
  refusal: null,
  retry_at: null,
};
const SEEN: Seen = { pictured: true, waiting: false, online: true, paused: false, now: 1000 };
const said = (state: Partial<PlayerState>, seen: Partial<Seen> = {}) => shown({ ...PLAYING, ...state }, { ...SEEN, ...seen });
const retrying = (refusal: PlayerState["refusal"], seen: Partial<Seen> = {}) =>
  said({ phase: "retrying", refusal, retry_at: 6000 }, { pictured: false, ...seen });

describe("a viewer is told", () => {
  test("nothing while it plays", () => {
    expect(said({})).toEqual({ message: null, notice: null, phase: { word: "Live", kind: "live" } });
  });

  test("quietly, of what does not keep the picture away", () => {
    expect(said({ stream: "slate" })).toMatchObject({ message: null, phase: { word: "Slate" } });
    for (const [state, seen] of [
      [{ stream: "slate" }, {}],
      [{ stream: "unavailable" }, {}],
      [{ reachable: false }, {}],
      [{}, { online: false }],
      [{ phase: "retrying" }, {}],
    ] as const) {
      const { message, notice } = said(state, seen);
      expect(message).toBeNull();
      expect(notice).toMatch(/\w/);
    }
  });

  test("over the picture, of what does", () => {
    expect(said({ stream: "unavailable", stuck: true }).message).toMatchObject({ busy: true, action: null });
    expect(said({ stuck: true }).message?.title).toBe("Waiting for the picture…");
    expect(said({}, { waiting: true }).message).toMatchObject({ title: "", busy: true });
    expect(said({}, { waiting: true, paused: true }).message).toBeNull();
    expect(said({ autoplay: "blocked" }).message?.action).toEqual({ does: "play", label: "Play" });
    expect(said({ phase: "resting" }).message?.action?.does).toBe("play");
    expect(said({ phase: "starting" }, { pictured: false }).message).toMatchObject({ title: "Starting…", busy: true });
  });

  test("that the browser lacks the decoder, and where else it plays", () => {
    const refusal = { title: "This browser cannot play HEVC (H.265)", status: 415, codecs: "hvc1.1.6.L93.B0,mp4a.40.2" };
    const { message } = said({ phase: "refused", refusal }, { pictured: false });
    expect(message).toMatchObject({ title: "This browser cannot play HEVC (H.265)", action: null, busy: false });
    expect(message?.detail).toMatch(/VLC.*\.m3u8/);
  });

  test("what cannot be helped, and where to go then", () => {
    expect(said({ phase: "refused", refusal: { title: "Not found", status: 404 } }).message).toMatchObject({
      title: "No such channel",
      action: { does: "list" },
    });
    expect(said({ phase: "refused", refusal: { title: "Not allowed", status: 403 } }).message?.action?.does).toBe("retry");
  });

  test.each([
    [null, {}, "The server does not answer"],
    [{ title: "?", status: 0 }, { online: false }, "You are offline"],
    [{ title: "?", status: 429, limit: "max_sessions_per_viewer" }, {}, "Too many screens"],
    [{ title: "?", status: 429, limit: "max_sessions_per_address" }, {}, "Too many screens at your address"],
    [{ title: "?", status: 429, limit: "max_new_sessions_per_address_per_minute" }, {}, "Too many starts"],
    [{ title: "?", status: 503, limit: "max_sessions" }, {}, "All places are taken"],
    [{ title: "?", status: 503, limit: "draining" }, {}, "No new viewers right now"],
    [NOT_PLAYABLE, {}, "Not on air"],
    [{ title: "The database does not answer", status: 503 }, {}, "The database does not answer"],
  ] as const)("why there is none, and when it is tried again: %o", (refusal, seen, title) => {
    const { message } = retrying(refusal, seen);
    expect(message).toMatchObject({ title, action: { does: "retry" } });
    expect(message?.detail).toContain("Trying again in 5 s.");
  });

  test("that the channel was switched off, whatever was shown, and for as long as it is", () => {
    const off = { refusal: NOT_PLAYABLE, retry_at: 11_000 };
    for (const phase of ["retrying", "starting", "resting"] as const) {
      const { message, notice, phase: how } = said({ ...off, phase });
      expect(message).toMatchObject({ title: "Not on air" });
      expect(message?.detail).toContain("The channel is switched off.");
      expect([notice, how.kind]).toEqual([null, "off"]);
    }
    expect(said({ phase: "resting" }).message?.title).toBe("Paused for a while");
  });

  test("never that it is live while the picture stands", () => {
    expect(said({ stuck: true }).phase.kind).toBe("waiting");
    expect(said({}, { waiting: true }).phase.kind).toBe("waiting");
  });

  test("in a word how it stands", () => {
    const word = (state: Partial<PlayerState>, seen: Partial<Seen> = {}) => said(state, seen).phase.word;
    expect(word({ phase: "starting" }, { pictured: false })).toBe("Starting");
    expect(word({}, { pictured: false })).toBe("Starting");
    expect(word({ phase: "retrying" }, { pictured: false })).toBe("Waiting");
    expect(word({ phase: "retrying" })).toBe("Reconnecting");
    expect(word({}, { paused: true })).toBe("Paused");
    expect(word({ stream: "unavailable" })).toBe("Unavailable");
    expect(word({ phase: "refused" })).toBe("Off");
  });

  test("each reason once", () => {
    const sources = { "x-1": "refused", "x-2": "unreachable", "x-3": "refused", "x-4": "of a later version" };
    expect(retrying({ title: "?", status: 503, sources }).message?.reasons).toEqual([
      "It refuses to be played. (2 sources)",
      "It does not answer.",
      "of a later version",
    ]);
  });
});

describe("channels", () => {
  const channel = (number: number, name: string, group: string | null = null): Channel => ({
    slug: name.toLowerCase().replaceAll(" ", "-"),
    name,
    number,
    group,
    logo: false,
  });
  const all = [
    channel(1, "News"),
    channel(2, "Café Télé", "Culture"),
    channel(12, "Sport One", "Sport"),
    channel(13, "Sport Two", "Sport"),
  ];
  const found = (text: string) => matching(all, text).map(({ number }) => number);

  test.each([
    ["", [1, 2, 12, 13]],
    ["  SPORT ", [12, 13]],
    ["two sport", [13]],
    ["tele cafe", [2]],
    ["culture", [2]],
    ["1", [1, 12, 13]],
    ["12", [12]],
    ["nothing", []],
  ])("are found by %o", (text, numbers) => {
    expect(found(text)).toEqual(numbers);
  });

  test("are listed by group, those without one last", () => {
    expect(grouped(all).map(([group, members]) => [group, members.map(({ number }) => number)])).toEqual([
      ["Culture", [2]],
      ["Sport", [12, 13]],
      [null, [1]],
    ]);
  });

  test("are walked over by the arrow keys, along the columns", () => {
    // Three columns; a full row, a heading, and two rows more: 0 1 2 / 3 4 / 5
    const boxes = [0, 100, 200, 0, 100, 0].map((left, index) => ({ left, top: [0, 0, 0, 80, 80, 140][index] ?? 0 }));
    expect([0, 1, 2, 3, 4, 5].map((from) => below(boxes, from, 1))).toEqual([3, 4, 4, 5, 5, 5]);
    expect([0, 1, 2, 3, 4, 5].map((from) => below(boxes, from, -1))).toEqual([-1, -1, -1, 0, 1, 3]);
  });

  test("follow each other round and round", () => {
    expect(neighbour(all, "sport-two", 1)?.number).toBe(1);
    expect(neighbour(all, "news", -1)?.number).toBe(13);
    expect(neighbour(all, "nowhere", 1)?.number).toBe(1);
    expect(neighbour([], "news", 1)).toBeUndefined();
  });

  test("have initials in any script", () => {
    expect(["News", "Sport One two", "Музыка", "& co", "—", "𝒜bc"].map(initials)).toEqual(["N", "SO", "М", "C", "", "𝒜"]);
  });
});
