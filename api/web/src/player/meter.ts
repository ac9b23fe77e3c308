/**
 * What a viewer has of it: whether the picture's time advances. Law: standing still counts where the picture should move and the
 * page could see it; a pause, a seek, a page in the background whose timers sleep do not.
 */
export const STUCK_MS = 10_000;
const SAMPLE_MS = 100;
/** Between two samples lies more than the page could have slept through: nobody saw what was shown meanwhile. */
const ASLEEP_MS = 1500;
const FASTEST = 4;
const JUMP_MS = 250;

export interface Sample {
  readonly at: number;
  readonly time_s: number;
  /** It should move: neither paused, nor ended, nor seeking. */
  readonly due: boolean;
}

/** Pure: what each sample means after the ones before. */
export class Stillness {
  frozen_ms = 0;
  longest_ms = 0;
  #started = false;
  #expected = true;
  #before: Sample | null = null;
  #still_ms = 0;
  #told_ms = 0;

  /** Another address: nothing is shown yet, and that it takes time is no freeze. */
  begin(): void {
    this.#started = false;
    this.#still_ms = 0;
    this.#told_ms = 0;
    this.expect();
  }

  /** The next movement is to be told. What stands still meanwhile stands still. */
  expect(): void {
    this.#expected = true;
  }

  /** "picture": it moves as expected, or again; "stuck": it has not for long, told again after as long. */
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
