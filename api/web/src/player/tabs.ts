/**
 * Counts a browser's tabs on one channel: they are one viewer and share its session. Rule: only the last one ends it. Where the tabs
 * cannot be counted, the session ends when its lease runs out a minute later.
 */
interface Word {
  readonly from: string;
  readonly says: "who" | "here" | "bye";
}

export class Tabs {
  readonly #me = crypto.getRandomValues(new Uint32Array(2)).join("-");
  readonly #others = new Set<string>();
  readonly #channel: BroadcastChannel;

  constructor(session: string) {
    this.#channel = new BroadcastChannel(`hls-failover ${session}`);
    this.#channel.onmessage = ({ data }: MessageEvent<Word>) => {
      if (data.says === "bye") this.#others.delete(data.from);
      else this.#others.add(data.from);
      if (data.says === "who") this.#say("here");
    };
    this.#say("who");
  }

  get alone(): boolean {
    return this.#others.size === 0;
  }

  close(): void {
    this.#say("bye");
    this.#channel.close();
  }

  #say(says: Word["says"]): void {
    this.#channel.postMessage({ from: this.#me, says } satisfies Word);
  }
}
