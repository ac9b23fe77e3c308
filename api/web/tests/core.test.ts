import { describe, expect, test } from "vitest";
import type { Grant, Refusal, SessionEvent } from "../src/player/contract";
import {
  AWAY_MS,
  backoff,
  BEAT_MS,
  FIRST,
  NOT_PLAYABLE,
  POLL_MS,
  REST_MS,
  reachable,
  STEADY_MS,
  step,
  STREAM_AGAIN_MS,
  wakeAt,
} from "../src/player/core";
import type { Core, Effect, Input } from "../src/player/core";

const GRANT: Grant = { id: "s-1", token: "t", playlist_url: "http://cdn/1.m3u8", phase: "live", source_id: "x-1" };
const OTHER: Grant = { ...GRANT, id: "s-2", playlist_url: "http://cdn/2.m3u8" };
const CHANCE = 0.5;

/** A player that is told what happens, and a clock that it does not look at. */
class Playbook {
  core: Core = FIRST;
  now = 1_000_000;
  effects: readonly Effect[] = [];

  take(input: Input, chance = CHANCE): this {
    const { next, effects } = step(this.core, input, this.now, chance);
    this.core = next;
    this.effects = effects;
    return this;
  }

  /** Time passes; what is due by itself is done, and everything that was done meanwhile is in `effects`. */
  wait(ms: number): this {
    const until = this.now + ms;
    const done: Effect[] = [];
    for (let at = wakeAt(this.core); at !== null && at <= until; at = wakeAt(this.core)) {
      this.now = Math.max(at, this.now);
      this.take({ type: "tick" });
      done.push(...this.effects);
    }
    this.now = until;
    this.effects = done;
    return this;
  }

  tell(event: Partial<SessionEvent>, session = this.core.grant?.id ?? ""): this {
    const whole = { id: this.core.seen + 1, at: "2025-06-01T21:04:09Z", type: "?", ...event };
    return this.take({ type: "event", session, event: whole });
  }

  get done(): string[] {
    return this.effects.map((effect) => effect.do);
  }
}

const about = (type: "renewed" | "over" | "unanswered" | "heard" | "deaf" | "polled" | "unpolled", session = "s-1") => ({
  type,
  session,
});
const refusal = (status: number, more: Partial<Refusal> = {}): Input => ({
  type: "refused",
  refusal: { title: "no", status, ...more },
});
const asking = () => new Playbook().take({ type: "start" });
const playing = () => asking().take({ type: "granted", grant: GRANT });

describe("a session", () => {
  test("is asked for once, however often", () => {
    const player = asking();
    expect(player.done).toEqual(["ask"]);
    expect(player.take({ type: "retry" }).done).toEqual([]);
    expect(player.core.phase).toBe("starting");
  });

  test("plays at its address, and is listened to from its beginning", () => {
    const player = playing();
    expect(player.effects).toEqual([
      { do: "play", url: GRANT.playlist_url },
      { do: "listen", grant: GRANT, after: 0 },
    ]);
    expect(player.core).toMatchObject({ phase: "playing", stream: "live", source: "x-1" });
  });

  test.each(["requested", "starting"] as const)("that is still %s is asked for again, and not played yet", (phase) => {
    const player = asking().take({ type: "granted", grant: { ...GRANT, phase } });
    expect(player.done).toEqual([]);
    expect(player.wait(1000).done).toEqual(["ask"]);
    expect(player.take({ type: "granted", grant: GRANT }).done).toEqual(["play", "listen"]);
  });

  test("that comes when it is not wanted any more is given back", () => {
    const player = asking().take({ type: "granted", grant: GRANT });
    expect(player.take({ type: "granted", grant: OTHER }).effects).toEqual([{ do: "leave", grant: OTHER }]);
    expect(player.core.grant).toBe(GRANT);
    expect(player.take({ type: "granted", grant: GRANT }).done).toEqual([]);
  });

  test("that has no working source at the moment is played all the same", () => {
    const player = asking().take({ type: "granted", grant: { ...GRANT, phase: "unavailable" } });
    expect(player.done).toEqual(["play", "listen"]);
    expect(player.core.stream).toBe("unavailable");
  });
});

describe("a refusal", () => {
  test.each([400, 401, 403, 404, 422])("that nothing can change (%i) is final until the viewer asks", (status) => {
    const player = asking().take(refusal(status));
    expect(player.core.phase).toBe("refused");
    expect(player.done).toEqual(["deafen", "stop"]);
    expect(player.wait(3_600_000).done).toEqual([]);
    expect(player.take({ type: "retry" }).done).toEqual(["ask"]);
  });

  test("is answered by asking again, each time later, a minute at the latest", () => {
    const player = asking();
    const waits: number[] = [];
    for (let turn = 0; turn < 9; turn++) {
      player.take(refusal(503));
      waits.push((player.core.ask_at ?? 0) - player.now);
      player.wait(60_000);
      expect(player.done).toEqual(["ask"]);
    }
    expect(waits).toEqual([...waits].sort((a, b) => a - b));
    expect(waits[0]).toBeLessThanOrEqual(1500);
    expect(waits.at(-1)).toBeLessThanOrEqual(60_000);
  });

  test("is never answered sooner than the server asks for", () => {
    const player = asking().take(refusal(429, { retry_after_s: 10 }), 0);
    expect((player.core.ask_at ?? 0) - player.now).toBe(10_000);
    expect(player.core.refusal?.status).toBe(429);
  });

  test("of a channel that cannot be played is the operator's to mend: it is asked calmly", () => {
    expect(asking().take(refusal(409), 0).wait(4_900).done).toEqual([]);
  });

  test("without an answer is an API that is away, until one comes", () => {
    const player = asking().take(refusal(0));
    expect(reachable(player.core)).toBe(false);
    expect(player.take({ type: "awake" }).done).toEqual(["ask"]);
    expect(reachable(player.take({ type: "granted", grant: GRANT }).core)).toBe(true);
  });

  test("scatters those that were refused together", () => {
    const at = [0, 0.25, 0.5, 0.99].map((chance) => asking().take(refusal(503), chance).core.ask_at);
    expect(new Set(at).size).toBe(4);
    expect(backoff(3, 1000, 60_000, 0)).toBe(4000);
    expect(backoff(3, 1000, 60_000, 0.999)).toBeLessThan(8000);
    expect(backoff(100, 1000, 60_000, 0.999)).toBeLessThan(60_000);
  });
});

describe("what the viewer is not to notice", () => {
  test("a switch: nothing is done, the source is told", () => {
    const player = playing().tell({ type: "stream.switch", from: "x-1", to: "x-2", gap_ms: 0 });
    expect(player.done).toEqual([]);
    expect(player.core).toMatchObject({ phase: "playing", stream: "live", source: "x-2", loaded: GRANT.playlist_url });
  });

  test("a switch that the operator asked for in vain", () => {
    const player = playing();
    const before = { ...player.core, seen: 0 };
    player.tell({ type: "switch.refused", to: "x-2", reason: "the source is disabled" });
    expect(player.done).toEqual([]);
    expect({ ...player.core, seen: 0 }).toEqual(before);
  });

  test("no source, and one again: the address stays, and it goes on by itself", () => {
    const player = playing().tell({ type: "stream.unavailable" });
    expect(player.core.stream).toBe("unavailable");
    expect(player.take({ type: "stuck" }).done).toEqual(["beat"]);
    expect(player.core).toMatchObject({ stuck: true, reload_at: null });
    player.tell({ type: "stream.recovered", to: "x-2" });
    expect(player.core).toMatchObject({ stream: "live", source: "x-2" });
    expect(player.take({ type: "picture" }).core.stuck).toBe(false);
    expect(player.core.loaded).toBe(GRANT.playlist_url);
  });

  test("a slate is told as one", () => {
    expect(playing().tell({ type: "stream.unavailable", slate: true }).core.stream).toBe("slate");
    expect(playing().tell({ type: "session.live", source: "x-9" }).core).toMatchObject({ stream: "live", source: "x-9" });
  });

  test("an event that was seen, one of another session, one of a later version", () => {
    const player = playing().tell({ type: "stream.unavailable", id: 4 });
    expect(player.tell({ type: "stream.recovered", id: 4 }).core.stream).toBe("unavailable");
    expect(player.tell({ type: "stream.recovered" }, "s-0").core.stream).toBe("unavailable");
    expect(player.tell({ type: "stream.sharpened", id: 5 }).core).toMatchObject({ stream: "unavailable", seen: 5 });
  });

  test("an API that is away: it plays on, beats calmly, and says so after the second silence", () => {
    const player = playing();
    let beats = 0;
    for (let turn = 0; turn < 12; turn++) {
      player.wait(BEAT_MS);
      beats += player.done.filter((each) => each === "beat").length;
      player.take(about("unanswered"));
      expect(reachable(player.core)).toBe(turn < 1);
      expect(player.core).toMatchObject({ phase: "playing", loaded: GRANT.playlist_url });
    }
    expect(beats).toBeLessThanOrEqual(13);
    expect(reachable(player.take(about("renewed")).core)).toBe(true);
  });
});

describe("the lease", () => {
  test("is renewed every ten seconds or so", () => {
    const done = playing().take(about("heard")).wait(60_000).done;
    expect(done.filter((each) => each === "beat").length).toBeGreaterThanOrEqual(5);
  });

  test.each(["over", "session.ended"])("is over (%s): another session, soon; the old picture plays out", (how) => {
    const player = playing();
    if (how === "over") player.take(about("over"));
    else player.tell({ type: "session.ended", reason: "idle" });
    expect(player.done).toEqual(["deafen"]);
    expect(player.core).toMatchObject({ phase: "retrying", grant: null, loaded: GRANT.playlist_url });
    expect(player.wait(1000).done).toEqual(["ask"]);
    const { effects } = player.take({ type: "granted", grant: OTHER });
    expect(effects).toEqual([
      { do: "play", url: OTHER.playlist_url },
      { do: "listen", grant: OTHER, after: 0 },
      { do: "reattached", grant: OTHER },
    ]);
  });

  test("is over again and again: it is asked for ever more calmly, until one has held", () => {
    const player = playing();
    for (let turn = 0; turn < 6; turn++) {
      player.take(about("over")).wait(60_000).take({ type: "granted", grant: GRANT });
    }
    player.take(about("over"));
    expect((player.core.ask_at ?? 0) - player.now).toBeGreaterThan(30_000);
    player.wait(60_000).take({ type: "granted", grant: GRANT }).wait(STEADY_MS).take(about("renewed"));
    player.take(about("over"));
    expect((player.core.ask_at ?? 0) - player.now).toBeLessThanOrEqual(1000);
  });

  test("of the session before is nobody's word any more", () => {
    const player = playing().take(about("over")).wait(1000).take({ type: "granted", grant: OTHER });
    expect(player.take(about("over", "s-1")).core.phase).toBe("playing");
  });

  test("that is given again after all is the same session: nothing is told, its address is loaded afresh", () => {
    const player = playing().take({ type: "drained" }).wait(1000).take({ type: "granted", grant: GRANT });
    expect(player.done).toEqual(["reload", "listen"]);
  });
});

describe("events", () => {
  test("come back after the last one that was seen", () => {
    const player = playing().take(about("heard")).tell({ type: "stream.switch", id: 7 }).take(about("deaf"));
    expect(player.done).toEqual(["deafen", "beat"]);
    expect(player.wait(1000).effects).toEqual([{ do: "listen", grant: GRANT, after: 7 }]);
  });

  test("are polled for where a stream does not open, and the stream is tried again each minute", () => {
    const player = playing();
    for (let turn = 0; turn < 3; turn++) player.take(about("deaf")).wait(4000);
    expect(player.done).toContain("poll");
    let streams = 0;
    for (let ms = 0; ms < STREAM_AGAIN_MS + 2 * POLL_MS; ms += POLL_MS) {
      player.take(about("polled")).wait(POLL_MS);
      const tried = player.done.includes("listen");
      streams += tried ? 1 : 0;
      if (tried) player.take(about("deaf")).wait(30_000);
    }
    expect(streams).toBe(1);
    expect(player.take(about("heard")).core).toMatchObject({ deaf: 0, hearing: true });
  });

  test("are asked for ever more calmly where nobody answers", () => {
    const player = playing();
    for (let turn = 0; turn < 8; turn++) player.take(about(turn < 3 ? "deaf" : "unpolled"));
    expect((player.core.listen_at ?? 0) - player.now).toBeGreaterThanOrEqual(15_000);
  });
});

describe("media", () => {
  test("what the browser has no decoder for is given up, and named", () => {
    const player = playing().take({ type: "undecodable", codecs: "hvc1.1.6.L93.B0,mp4a.40.2" });
    expect(player.done).toEqual(["deafen", "leave", "stop"]);
    expect(player.core.phase).toBe("refused");
    expect(player.core.refusal).toEqual({
      title: "This browser cannot play HEVC (H.265)",
      status: 415,
      codecs: "hvc1.1.6.L93.B0,mp4a.40.2",
    });
    expect(player.wait(600_000).done).toEqual([]);
    expect(player.take({ type: "undecodable", codecs: "av01" }).done).toEqual([]);
    expect(player.take({ type: "retry" }).done).toEqual(["ask"]);
  });

  test("that cannot be decoded: the decoder is set up again twice, then the address is loaded afresh", () => {
    const player = playing();
    const failed: Input = { type: "failed", of: "media" };
    expect(player.take(failed).done).toEqual(["recover"]);
    expect(player.take(failed).done).toEqual(["recover"]);
    expect(player.take(failed).done).toEqual(["beat"]);
    expect(player.wait(1000).effects).toContainEqual({ do: "reload", url: GRANT.playlist_url });
    player.wait(60_000);
    expect(player.take(failed).done).toEqual(["recover"]);
  });

  test("that cannot be fetched: the same address, ever more calmly, and whether the session lives is asked beside it", () => {
    const player = playing();
    const waits: number[] = [];
    for (let turn = 0; turn < 7; turn++) {
      player.take({ type: "failed", of: "network" });
      expect(player.done).toEqual(["beat"]);
      waits.push((player.core.reload_at ?? 0) - player.now);
      player.wait(15_000);
      expect(player.effects).toContainEqual({ do: "reload", url: GRANT.playlist_url });
      expect(player.core.phase).toBe("playing");
    }
    expect(waits).toEqual([...waits].sort((a, b) => a - b));
    player.take({ type: "picture" }).take({ type: "failed", of: "network" });
    expect((player.core.reload_at ?? 0) - player.now).toBeLessThanOrEqual(1000);
  });

  test("that fail twice are loaded once", () => {
    const player = playing().take({ type: "failed", of: "network" }).take({ type: "failed", of: "network" }).wait(15_000);
    expect(player.done.filter((each) => each === "reload")).toHaveLength(1);
  });

  test("that stand still although a source works are loaded afresh", () => {
    const player = playing().take({ type: "stuck" });
    expect(player.done).toEqual(["beat"]);
    expect(player.wait(1000).done).toContain("reload");
  });

  test("of a session that is over are nobody's trouble", () => {
    const player = playing().take(about("over"));
    expect(player.take({ type: "failed", of: "network" }).done).toEqual([]);
    expect(player.take({ type: "stuck" }).done).toEqual([]);
  });
});

describe("the viewer", () => {
  test("pauses and goes on where it was", () => {
    const player = playing().take({ type: "paused" }).wait(AWAY_MS);
    expect(player.take({ type: "resumed" }).done).toEqual([]);
  });

  test("pauses for longer than the window: goes on at the live edge", () => {
    const player = playing()
      .take({ type: "paused" })
      .wait(AWAY_MS + 1);
    expect(player.take({ type: "resumed" }).done).toEqual(["to_live"]);
  });

  test("pauses for very long: the session is given up, and another one is asked for on return", () => {
    const player = playing().take({ type: "paused" }).wait(REST_MS);
    expect(player.done.slice(-3)).toEqual(["deafen", "leave", "stop"]);
    expect(player.core.phase).toBe("resting");
    expect(player.wait(3_600_000).done).toEqual([]);
    expect(player.take({ type: "resumed" }).done).toEqual(["ask"]);
    expect(player.core.phase).toBe("starting");
  });

  test("who has paused when the session ends is not given another", () => {
    const player = playing().take({ type: "paused" }).take(about("over"));
    expect(player.core.phase).toBe("resting");
    expect(player.done).not.toContain("leave");
  });

  test("closes: the session is given up, and nothing is done any more", () => {
    const player = playing().take({ type: "close" });
    expect(player.done).toEqual(["deafen", "leave", "stop"]);
    for (const type of ["start", "tick", "retry", "awake", "stuck", "close"] as const) {
      expect(player.take({ type }).done).toEqual([]);
    }
    expect(wakeAt(player.core)).toBeNull();
  });

  test("closes before there is a session: there is nothing to give up", () => {
    expect(asking().take({ type: "close" }).done).toEqual(["deafen", "stop"]);
  });

  test("goes to another page and back: the session is kept, and asked after at once", () => {
    const player = playing().take(about("heard")).take({ type: "frozen" });
    expect(player.done).toEqual(["deafen"]);
    player.now += AWAY_MS + 1;
    expect(player.take({ type: "thawed" }).done).toEqual(["beat", "to_live"]);
    expect(player.wait(0).done).toContain("listen");
  });

  test("looks again: the session is asked after, and a stream that is open stays", () => {
    const player = playing().take(about("heard")).take({ type: "awake" });
    expect(player.done).toEqual(["beat"]);
    expect(player.wait(0).done).toEqual([]);
  });
});

describe("a channel that is switched off", () => {
  const playing = () => new Playbook().take({ type: "start" }).take({ type: "granted", grant: GRANT });

  test("ends at once, whatever is buffered, and is asked for again", () => {
    const player = playing().tell({ type: "session.ended", reason: "channel_disabled" });
    expect(player.done).toEqual(["deafen", "stop"]);
    expect(player.core).toMatchObject({ phase: "retrying", refusal: NOT_PLAYABLE, loaded: null, grant: null });
    expect(player.wait(1000).done).toEqual(["ask"]);
    player.take({ type: "refused", refusal: { ...NOT_PLAYABLE, detail: "the channel is disabled" } });
    expect(player.core.phase).toBe("retrying");
    expect(player.wait(60_000).done).toContain("ask");
    player.take({ type: "granted", grant: OTHER });
    expect(player.core).toMatchObject({ phase: "playing", refusal: null });
    expect(player.done).toEqual(["play", "listen"]);
  });

  test("ends also where its end was not heard, but by the answer to who asks again", () => {
    const player = playing().take(about("over"));
    expect(player.done).toEqual(["deafen"]);
    player.wait(1000).take({ type: "refused", refusal: NOT_PLAYABLE });
    expect(player.done).toEqual(["deafen", "stop"]);
    expect(player.core.loaded).toBeNull();
  });

  test("is not asked for again by whoever has paused, who is told why", () => {
    const player = playing().take({ type: "paused" }).tell({ type: "session.ended", reason: "channel_disabled" });
    expect(player.core).toMatchObject({ phase: "resting", refusal: NOT_PLAYABLE, ask_at: null });
    expect(player.take({ type: "resumed" }).done).toEqual(["ask"]);
  });

  test("is told from a session that was stopped, whose picture plays out", () => {
    const player = playing().tell({ type: "session.ended", reason: "stopped" });
    expect(player.done).toEqual(["deafen"]);
    expect(player.core.loaded).toBe(GRANT.playlist_url);
  });
});
