/**
 * Measures whether the picture moves. Rule: a freeze counts only while the picture should move and the page can observe it, not during a
 * pause, a seek, or in the background, where timers sleep.
 */
export const STUCK_MS = 10_000;
const SAMPLE_MS = 100;
/** A longer gap between two samples means that the page was asleep: nothing was observed. */
const ASLEEP_MS = 1500;
const FASTEST = 4;
const JUMP_MS = 250;

export interface Sample {
  readonly at: number;
  readonly time_s: number;
  /** Whether it should move: neither paused, nor ended, nor seeking. */
  readonly due: boolean;
}

/** Pure: interprets each sample after the previous ones. */
export class Stillness {
  frozen_ms = 0;
  longest_ms = 0;
  #started = false;
  #expected = true;
  #before: Sample | null = null;
  #still_ms = 0;
  #told_ms = 0;

  /** Another address: nothing is shown yet, and loading is no freeze. */
  begin(): void {
    this.#started = false;
    this.#still_ms = 0;
    this.#told_ms = 0;
    this.expect();
  }

  /** The next movement is reported. Until then a freeze goes on. */
  expect(): void {
    this.#expected = true;
  }

  /** "picture": it moves, or moves again; "stuck": it has not moved for long, repeated after the same time. */
  see(sample: Sample): "picture" | "stuck" | null {
    const before = this.#before;
    this.#before = sample;
    if (!before || !sample.due || !before.due) {
      this.#still_ms = 0;
      return null;
    }
    const passed_ms = sample.at - before.at;
    const moved_ms = (sample.time_s - before.time_s) * 1000;
    if (moved_ms === 0) return this.#stood(passed_ms);
    if (moved_ms < 0 || moved_ms > JUMP_MS + FASTEST * passed_ms) return null; // another place is no movement
    const news = this.#expected || this.#told_ms > 0;
    this.#started = true;
    this.#expected = false;
    this.#still_ms = 0;
    this.#told_ms = 0;
    return news ? "picture" : null;
  }

  #stood(passed_ms: number): "stuck" | null {
    if (passed_ms > ASLEEP_MS) return null;
    this.#still_ms += passed_ms;
    if (this.#started) {
      this.frozen_ms += passed_ms;
      this.longest_ms = Math.max(this.longest_ms, this.#still_ms);
    }
    if (this.#still_ms - this.#told_ms < STUCK_MS) return null;
    this.#told_ms = this.#still_ms;
    return "stuck";
  }
}

export class Meter {
  readonly still = new Stillness();
  readonly #video: HTMLVideoElement;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(video: HTMLVideoElement, say: (what: "picture" | "stuck") => void) {
    this.#video = video;
    this.#timer = setInterval(() => {
      const due = !video.paused && !video.ended && !video.seeking;
      const what = this.still.see({ at: performance.now(), time_s: video.currentTime, due });
      if (what) say(what);
    }, SAMPLE_MS);
  }

  get buffer_s(): number {
    const { buffered, currentTime } = this.#video;
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.start(i) <= currentTime + 0.1 && currentTime <= buffered.end(i)) return buffered.end(i) - currentTime;
    }
    return 0;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
