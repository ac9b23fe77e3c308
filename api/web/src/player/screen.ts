/**
 * Plays an address on a video element: by hls.js with its default settings, or by the browser where it plays HLS and has no Media
 * Source Extensions (old phones). Rule: hls.js recovers from what it can by itself; the core hears only of the rest.
 */
import type Hls from "hls.js";
import type { ErrorData, ManifestLoadedData } from "hls.js";
import type { Options, PlayerState } from "./contract";

type HlsClass = typeof Hls;
type Fate =
  | { readonly type: "failed"; readonly of: "network" | "media" }
  | { readonly type: "undecodable"; readonly codecs: string }
  | { readonly type: "drained" };

/** hls.js's errors that a retry cannot solve: the codec cannot be played, as the playlist or the media say. */
const UNDECODABLE: readonly string[] = [
  "manifestIncompatibleCodecsError",
  "bufferAddCodecError",
  "bufferIncompatibleCodecsError",
];

export class Screen {
  autoplay: PlayerState["autoplay"] = "allowed";
  hls: Hls | null = null;
  readonly #video: HTMLVideoElement;
  readonly #options: Options;
  readonly #say: (fate: Fate) => void;
  readonly #changed: () => void;
  readonly #ears = new AbortController();
  #loading = 0;

  constructor(video: HTMLVideoElement, options: Options, say: (fate: Fate) => void, changed: () => void) {
    this.#video = video;
    this.#options = options;
    this.#say = say;
    this.#changed = changed;
    const { signal } = this.#ears;
    video.addEventListener("ended", () => {
      say({ type: "drained" });
    }, { signal }); // prettier-ignore
    video.addEventListener("error", () => {
      if (!this.hls && video.error) say({ type: "failed", of: video.error.code === 2 ? "network" : "media" });
    }, { signal }); // prettier-ignore
    video.addEventListener("playing", () => {
      if (this.autoplay === "blocked") this.#told("allowed");
    }, { signal }); // prettier-ignore
    video.addEventListener("volumechange", () => {
      if (this.autoplay === "muted" && !video.muted) this.#told("allowed");
    }, { signal }); // prettier-ignore
  }

  /** The same address again is reloaded without an event. `wanted`: it is to play at once. */
  async load(url: string, wanted: boolean): Promise<void> {
    const turn = ++this.#loading;
    this.#destroy();
    if (!("MediaSource" in window || "ManagedMediaSource" in window)) {
      this.#video.src = url;
    } else {
      const found = await this.#class();
      if (turn !== this.#loading) return; // stopped, or another address was asked for meanwhile
      if (!found) {
        this.#say({ type: "failed", of: "network" });
        return;
      }
      const hls = new found(this.#options.hlsConfig ?? {});
      this.hls = hls;
      let codecs = "";
      hls.on(found.Events.MANIFEST_LOADED, (_: unknown, { levels }: ManifestLoadedData) => {
        codecs = levels.map(({ attrs }) => attrs.CODECS ?? "").join(",");
      });
      hls.on(found.Events.ERROR, (_: unknown, error: ErrorData) => {
        if (!error.fatal) return;
        if (UNDECODABLE.includes(error.details)) this.#say({ type: "undecodable", codecs: codecs || (error.mimeType ?? "") });
        else this.#say({ type: "failed", of: error.type === found.ErrorTypes.MEDIA_ERROR ? "media" : "network" });
      });
      hls.loadSource(url);
      hls.attachMedia(this.#video);
    }
    if (wanted) await this.start();
  }

  recover(): void {
    this.hls?.recoverMediaError();
  }

  stop(): void {
    this.#loading += 1;
    this.#destroy();
  }

  /** Plays with sound, else muted, else only after a gesture of the viewer. */
  async start(): Promise<void> {
    const turn = this.#loading;
    let refused = await this.#refusal();
    if (refused && turn === this.#loading && !this.#video.muted) {
      this.#video.muted = true;
      refused = await this.#refusal();
      if (!refused) this.#told("muted");
    }
    if (refused && turn === this.#loading) this.#told("blocked");
  }

  toLive(): void {
    const { seekable } = this.#video;
    const edge = this.hls?.liveSyncPosition ?? (seekable.length ? seekable.end(seekable.length - 1) - 3 : null);
    if (edge !== null && edge > this.#video.currentTime) this.#video.currentTime = edge;
  }

  get latency_s(): number | null {
    const date = this.hls?.playingDate ?? null;
    if (date) return (Date.now() - date.getTime()) / 1000;
    const latency = this.hls?.latency ?? 0;
    return latency > 0 ? latency : null;
  }

  close(): void {
    this.#ears.abort();
    this.stop();
  }

  #destroy(): void {
    this.hls?.destroy();
    this.hls = null;
    if (this.#video.hasAttribute("src")) {
      this.#video.removeAttribute("src");
      this.#video.load();
    }
  }

  async #class(): Promise<HlsClass | null> {
    if (this.#options.hls) return this.#options.hls as HlsClass;
    try {
      return (await import("./hls.js")).default;
    } catch {
      return null; // the API is away
    }
  }

  /** Whether the browser requires a gesture first. Any other error is an interruption that needs no action. */
  async #refusal(): Promise<boolean> {
    try {
      await this.#video.play();
      return false;
    } catch (error) {
      return error instanceof DOMException && error.name === "NotAllowedError";
    }
  }

  #told(autoplay: PlayerState["autoplay"]): void {
    this.autoplay = autoplay;
    this.#changed();
  }
}
