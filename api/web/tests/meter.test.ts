import { expect, test } from "vitest";
import { Stillness, STUCK_MS } from "../src/player/meter";

/** A picture that moves or does not, sampled every 100 ms. */
class Film {
  readonly still = new Stillness();
  at = 0;
  time_s = 0;
  said: string[] = [];

  run(ms: number, { moving = true, due = true, every_ms = 100 } = {}): this {
    for (const until = this.at + ms; this.at < until;) {
      this.at += every_ms;
      if (moving) this.time_s += every_ms / 1000;
      const what = this.still.see({ at: this.at, time_s: this.time_s, due });
      if (what) this.said.push(what);
    }
    return this;
  }
}

test("the first picture is told; waiting for it is no freeze", () => {
  const film = new Film().run(3000, { moving: false }).run(2000);
  expect(film.said).toEqual(["picture"]);
  expect(film.still).toMatchObject({ frozen_ms: 0, longest_ms: 0 });
});

test("freezes add up, and the longest is known", () => {
  const film = new Film().run(1000).run(400, { moving: false }).run(1000).run(200, { moving: false }).run(500);
  expect(film.still).toMatchObject({ frozen_ms: 600, longest_ms: 400 });
  expect(film.said).toEqual(["picture"]);
});

test("a pause and a seek are none", () => {
  const film = new Film().run(1000).run(60_000, { moving: false, due: false }).run(1000);
  film.time_s += 30;
  expect(film.run(1000).still.frozen_ms).toBe(0);
});

test("nor is what a sleeping page could not see", () => {
  expect(new Film().run(1000).run(60_000, { moving: false, every_ms: 60_000 }).run(500).still.frozen_ms).toBe(0);
});

test("standing still for long is told again and again, and so is its end", () => {
  const film = new Film().run(1000).run(2 * STUCK_MS + 500, { moving: false });
  expect(film.said).toEqual(["picture", "stuck", "stuck"]);
  expect(film.run(300).said).toEqual(["picture", "stuck", "stuck", "picture"]);
});

test("so is a picture that never comes", () => {
  const film = new Film();
  film.still.begin();
  expect(film.run(STUCK_MS + 200, { moving: false }).said).toEqual(["stuck"]);
});

test("an address that is loaded afresh: what stands still stands still, and another place is no movement", () => {
  const film = new Film().run(1000);
  film.still.expect();
  film.time_s = 0;
  film.run(500, { moving: false });
  film.time_s = 40;
  expect(film.run(100, { moving: false }).said).toEqual(["picture"]);
  expect(film.run(300).said).toEqual(["picture", "picture"]);
  expect(film.still.longest_ms).toBeGreaterThanOrEqual(400);
});
