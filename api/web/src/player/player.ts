/**
 * The player: one channel on one video element. Rule: `core.ts` decides; this module carries out its effects and passes on the browser's
 * events. `docs/player.md` says what it does when.
 */
import type { Attach, Grant, Health, Options, Player, PlayerState } from "./contract";
import { FIRST, reachable, step, wakeAt, type Core, type Effect, type Input } from "./core";
import { Meter } from "./meter";
import { Screen } from "./screen";
import { Service } from "./service";
import { Tabs } from "./tabs";

export type * from "./contract";

/** The maximum of setTimeout. */
const LONGEST_MS = 2 ** 31 - 1;

export const attach: Attach = (video, options) => new Attached(video, options);

class Attached implements Player {
  onstate: Player["onstate"] = null;
  onevent: Player["onevent"] = null;
  onreattach: Player["onreattach"] = null;
  readonly #video: HTMLVideoElement;
  readonly #service: Service;
  readonly #screen: Screen;
  readonly #meter: Meter;
  readonly #ears = new AbortController();
  #core: Core = FIRST;
  #tabs: Tabs | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wanted: boolean;
  #state: PlayerState;

  constructor(video: HTMLVideoElement, options: Options) {
    const say = (input: Input) => {
      this.#take(input);
    };
    this.#video = video;
    this.#wanted = options.autoplay ?? true;
    this.#service = new Service(apiOf(options), options, say);
    this.#screen = new Screen(video, options, say, () => {
      this.#told();
    });
    this.#meter = new Meter(video, (type) => {
      say({ type });
    });
    this.#state = this.#read();
    this.#hear();
    queueMicrotask(() => {
      say({ type: "start" });
    });
  }

  get state(): PlayerState {
    return this.#state;
  }

  health(): Health {
    const { frozen_ms, longest_ms } = this.#meter.still;
    return {
      latency_s: this.#screen.latency_s,
      buffer_s: this.#meter.buffer_s,
      frozen_ms: Math.round(frozen_ms),
      longest_frozen_ms: Math.round(longest_ms),
      dropped_frames: this.#video.getVideoPlaybackQuality().droppedVideoFrames,
    };
  }

  async play(): Promise<void> {
    this.#wanted = true;
    this.#take({ type: "resumed" });
    await this.#screen.start();
  }

  toLive(): void {
    this.#screen.toLive();
  }

  retry(): void {
    this.#take({ type: "retry" });
  }

  close(): void {
    this.#take({ type: "close" });
    this.#ears.abort();
    clearTimeout(this.#timer);
    this.#meter.close();
    this.#screen.close();
    this.#service.close();
    this.#tabs?.close();
  }

  #take(input: Input): void {
    const { next, effects } = step(this.#core, input, Date.now(), Math.random());
    this.#core = next;
    for (const effect of effects) this.#apply(effect);
    this.#meet(next.grant);
    this.#told();
    if (input.type === "event") this.onevent?.(input.event);
    clearTimeout(this.#timer);
    const at = wakeAt(this.#core);
    if (at === null || this.#core.phase === "closed") return;
    const wait_ms = Math.min(Math.max(at - Date.now(), 0), LONGEST_MS);
    this.#timer = setTimeout(() => {
      this.#take({ type: "tick" });
    }, wait_ms);
  }

  #apply(effect: Effect): void {
    switch (effect.do) {
      case "ask":
        void this.#service.ask();
        break;
      case "play":
      case "reload":
        if (effect.do === "play") this.#meter.still.begin();
        else this.#meter.still.expect();
        void this.#screen.load(effect.url, this.#wanted);
        break;
      case "recover":
        this.#screen.recover();
        break;
      case "to_live":
        this.#screen.toLive();
        break;
      case "stop":
        this.#screen.stop();
        break;
      case "beat":
        void this.#service.beat(effect.grant);
        break;
      case "leave":
        if (this.#tabs?.alone ?? true) this.#service.leave(effect.grant);
        break;
      case "listen":
        this.#service.listen(effect.grant, effect.after);
        break;
      case "poll":
        void this.#service.poll(effect.grant, effect.after);
        break;
      case "deafen":
        this.#service.deafen();
        break;
      case "reattached":
        this.onreattach?.(effect.grant);
        break;
    }
  }

  /** The open tabs are counted once for each session. */
  #met: string | null = null;
  #meet(grant: Grant | null): void {
    if (this.#met === (grant?.id ?? null)) return;
    this.#met = grant?.id ?? null;
    this.#tabs?.close();
    this.#tabs = grant && new Tabs(grant.id);
  }

  #hear(): void {
    const { signal } = this.#ears;
    const on = (target: EventTarget, name: string, listener: (event: Event) => void) => {
      target.addEventListener(name, listener, { signal });
    };
    on(this.#video, "pause", () => {
      if (this.#video.ended || this.#core.phase !== "playing") return;
      this.#wanted = false;
      this.#take({ type: "paused" });
    });
    on(this.#video, "play", () => {
      this.#wanted = true;
      this.#take({ type: "resumed" });
    });
    // A page in the back/forward cache may come back as it was; any other is closed for good.
    on(window, "pagehide", (event) => {
      this.#take({ type: (event as PageTransitionEvent).persisted ? "frozen" : "close" });
    });
    on(window, "pageshow", (event) => {
      if ((event as PageTransitionEvent).persisted) this.#take({ type: "thawed" });
    });
    on(document, "visibilitychange", () => {
      if (document.visibilityState === "visible") this.#take({ type: "awake" });
    });
    on(window, "online", () => {
      this.#take({ type: "awake" });
    });
  }

  #read(): PlayerState {
    const { phase, stream, stuck, source, grant, refusal, ask_at } = this.#core;
    return {
      phase,
      stream,
      stuck,
      reachable: reachable(this.#core),
      autoplay: this.#screen.autoplay,
      source,
      session: grant,
      refusal,
      retry_at: phase === "retrying" ? ask_at : null,
    };
  }

  #told(): void {
    const now = this.#read();
    const before = this.#state;
    if ((Object.keys(now) as (keyof PlayerState)[]).every((name) => now[name] === before[name])) return;
    this.#state = now;
    this.onstate?.(now);
  }
}

function apiOf(options: Options): URL {
  const base = new URL(options.api ?? new URL("..", import.meta.url), location.href);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  return base;
}
