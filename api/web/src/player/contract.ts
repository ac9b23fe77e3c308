/** The player's public types. `player.d.ts` is made of this file, so it imports nothing. */

/** A session as the API grants it: `POST /v1/channels/{channel}/sessions`, `POST /watch/{channel}/session`. */
export interface Grant {
  readonly id: string;
  /** The credential for this session's routes; a secret of this viewer. */
  readonly token: string;
  /** Never changes while the session lives. */
  readonly playlist_url: string;
  readonly phase?: "requested" | "starting" | "live" | "switching" | "unavailable" | "ended";
  readonly source_id?: string | null;
  readonly channel?: { readonly id: string; readonly slug: string | null; readonly name: string | null };
}

/**
 * What happened to the session: `session.live`, `stream.switch`, `stream.unavailable`, `stream.recovered`, `session.ended`.
 * `switch.refused` is for operators: the picture has not changed.
 */
export interface SessionEvent {
  readonly id: number;
  readonly type: string;
  /** RFC 3339. */
  readonly at: string;
  /** Of a switch, or where nothing works: a class, such as `stalled` or `planned`. Of the session's end: `idle`, `stopped`, ... */
  readonly reason?: string;
  readonly source?: string;
  readonly from?: string;
  readonly to?: string;
  /** Of a switch: how much later than due the picture's next segment came. */
  readonly gap_ms?: number;
  /** Of `stream.unavailable`: whether a slate is shown meanwhile; and the class of each source's reason, by its id. */
  readonly slate?: boolean;
  readonly sources?: Readonly<Record<string, string>>;
}

/** Why there is no session: an RFC 9457 problem document. An answer of another form has its status alone. */
export interface Refusal {
  readonly title: string;
  /** 0: there was no answer at all. */
  readonly status: number;
  /** Which problem it is: `urn:hls-failover:problem:not-playable` for a channel that is disabled or has no source. */
  readonly type?: string;
  readonly detail?: string;
  /** The name of the limit that is reached, or "draining". */
  readonly limit?: string;
  /** Why each source does not work, by its id: a class, such as `unreachable` or `refused`. */
  readonly sources?: Readonly<Record<string, string>>;
  readonly retry_after_s?: number;
  /** Of status 415: what the channel sends (RFC 6381), which this browser cannot play. */
  readonly codecs?: string;
}

export interface PlayerState {
  /**
   * `starting`: a session is being requested. `playing`: it is held, and its address is loaded. `retrying`: it has ended, or none
   * could be had; another is requested at `retry_at`. `refused`: a retry cannot help (no such channel, or a codec that this browser
   * cannot play); `retry()` requests one all the same.
   * `resting`: paused for so long that the session was given up; `play()` requests another. `closed`: `close()` was called.
   * In `refused`, and wherever `refusal` is of type `not-playable`, the picture has been stopped.
   */
  readonly phase: "starting" | "playing" | "retrying" | "refused" | "resting" | "closed";
  /** `slate`: no source works, and a picture says so. `unavailable`: no source works, and nothing new comes. */
  readonly stream: "live" | "slate" | "unavailable";
  /** Whether the picture has stood still for seconds although it should not. */
  readonly stuck: boolean;
  /** Whether the API answers. The picture goes on without it. */
  readonly reachable: boolean;
  /** `muted`: the browser allowed no sound without a gesture; `blocked`: nor a picture: call `play()` in a click. */
  readonly autoplay: "allowed" | "muted" | "blocked";
  /** What plays: a source's id, or a label of this session alone where the session was requested through the open route. */
  readonly source: string | null;
  readonly session: Grant | null;
  readonly refusal: Refusal | null;
  /** When another session is requested; milliseconds of Unix time. */
  readonly retry_at: number | null;
}

/** What the viewer has seen, measured at the video element. */
export interface Health {
  /** How long ago the picture was on air, by the playlist's programme clock where it has one. */
  readonly latency_s: number | null;
  /** Ahead of the play head. */
  readonly buffer_s: number;
  /** Time without movement while it should have played, from the first picture on: in total, and the longest. */
  readonly frozen_ms: number;
  readonly longest_frozen_ms: number;
  /** Where the browser says. */
  readonly dropped_frames: number;
}

export interface Options {
  /** A slug or an id. */
  readonly channel: string;
  /** The API's base address. Default: where this module was loaded from. */
  readonly api?: string | URL;
  /**
   * Gets the session, for sites whose own server requests it. `signal` is aborted when it is no longer needed. Throw a
   * `Refusal` to say why there is none. Default: the API's open `POST /watch/{channel}/session`.
   */
  readonly session?: (channel: string, signal: AbortSignal) => Promise<Grant>;
  /** Play as soon as there is something to play: with sound where the browser allows it, else muted. Default: true. */
  readonly autoplay?: boolean;
  /** hls.js's class, where the page has its own. Default: `hls.js` beside this module, fetched only where it is needed. */
  readonly hls?: unknown;
  /** For hls.js. Default: its own defaults, which is what failover is measured with. */
  readonly hlsConfig?: object;
}

export interface Player {
  readonly state: PlayerState;
  /** Whenever `state` has changed. */
  onstate: ((state: PlayerState) => void) | null;
  /** Each of the session's events once, in order, also those from before the player attached. */
  onevent: ((event: SessionEvent) => void) | null;
  /** A session was lost and another one plays: a new address was loaded. */
  onreattach: ((session: Grant) => void) | null;
  health(): Health;
  /** To be called in a click where autoplay was blocked. */
  play(): Promise<void>;
  /** Seeks to the newest picture. */
  toLive(): void;
  /** Requests a session now. */
  retry(): void;
  /** Ends everything; the session too, unless another tab plays it. */
  close(): void;
}

/** Plays a channel on this element until `close()`. */
export type Attach = (video: HTMLVideoElement, options: Options) => Player;
