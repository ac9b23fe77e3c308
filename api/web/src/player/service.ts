/**
 * The player's client of the API. Rule: each answer, also a failure, becomes an event of the core and is never thrown; nothing is
 * retried here: the core decides when.
 */
import { problemOf } from "../problem";
import type { Grant, Options, Refusal, SessionEvent } from "./contract";
import type { Input } from "./core";

const TYPES = ["session.live", "stream.switch", "stream.unavailable", "stream.recovered", "session.ended"];
const WAIT_S = 25;
/** The API answers `Prefer: wait` within this time; a lost network may never answer. */
const ASK_LIMIT_MS = 40_000;
const LIMIT_MS = 8_000;

type Say = (input: Input) => void;

export class Service {
  readonly #api: URL;
  readonly #options: Options;
  readonly #say: Say;
  #asking: AbortController | null = null;
  #stream: EventSource | null = null;

  constructor(api: URL, options: Options, say: Say) {
    this.#api = api;
    this.#options = options;
    this.#say = say;
  }

  async ask(): Promise<void> {
    const asking = new AbortController();
    this.#asking?.abort();
    this.#asking = asking;
    const timer = setTimeout(() => {
      asking.abort();
    }, ASK_LIMIT_MS);
    const { channel, session } = this.#options;
    try {
      const grant = await (session ?? this.#open)(channel, asking.signal);
      this.#say({ type: "granted", grant });
    } catch (error) {
      if (this.#asking === asking) this.#say({ type: "refused", refusal: refusalOf(error) });
    } finally {
      clearTimeout(timer);
    }
  }

  async beat(grant: Grant): Promise<void> {
    const session = grant.id;
    try {
      const answer = await fetch(this.#address(grant, "/heartbeat"), {
        method: "POST",
        headers: { Authorization: `Bearer ${grant.token}` },
        signal: AbortSignal.timeout(LIMIT_MS),
      });
      if (answer.ok) this.#say({ type: "renewed", session });
      else this.#say({ type: [401, 404, 409].includes(answer.status) ? "over" : "unanswered", session });
    } catch {
      this.#say({ type: "unanswered", session });
    }
  }

  /** Works while the page is being closed: the browser sends it afterwards. */
  leave(grant: Grant): void {
    void fetch(this.#address(grant), {
      method: "DELETE",
      keepalive: true,
      headers: { Authorization: `Bearer ${grant.token}` },
    }).catch(() => undefined); // nobody is there to be told; the lease runs out
  }

  /** EventSource would reconnect every second for ever: it is closed when it fails, and opened again when the core says so. */
  listen(grant: Grant, after: number): void {
    this.deafen();
    const session = grant.id;
    const address = this.#address(grant, "/events");
    address.searchParams.set("token", grant.token);
    address.searchParams.set("after", String(after));
    const stream = new EventSource(address);
    this.#stream = stream;
    stream.onopen = () => {
      this.#say({ type: "heard", session });
    };
    stream.onerror = () => {
      stream.close();
      if (this.#stream === stream) this.#say({ type: "deaf", session });
    };
    for (const type of TYPES) {
      stream.addEventListener(type, (message: MessageEvent<string>) => {
        this.#say({ type: "event", session, event: JSON.parse(message.data) as SessionEvent });
      });
    }
  }

  async poll(grant: Grant, after: number): Promise<void> {
    const session = grant.id;
    const address = this.#address(grant, "/history");
    address.searchParams.set("after", String(after));
    try {
      const headers = { Authorization: `Bearer ${grant.token}` };
      const answer = await fetch(address, { headers, signal: AbortSignal.timeout(LIMIT_MS) });
      if (!answer.ok) {
        this.#say({ type: [401, 404].includes(answer.status) ? "over" : "unpolled", session });
        return;
      }
      const { events } = (await answer.json()) as { events: SessionEvent[] };
      for (const event of events) this.#say({ type: "event", session, event });
      this.#say({ type: "polled", session });
    } catch {
      this.#say({ type: "unpolled", session });
    }
  }

  deafen(): void {
    this.#stream?.close();
    this.#stream = null;
  }

  close(): void {
    this.deafen();
    this.#asking?.abort();
    this.#asking = null;
  }

  #address(grant: Grant, path = ""): URL {
    return new URL(`v1/sessions/${encodeURIComponent(grant.id)}${path}`, this.#api);
  }

  /** The open route, without a key. On the API's own pages a cookie identifies the viewer; pages of other sites send a secret. */
  readonly #open = async (channel: string, signal: AbortSignal): Promise<Grant> => {
    const foreign = this.#api.origin !== location.origin;
    const headers: Record<string, string> = { Prefer: `wait=${WAIT_S}` };
    if (foreign) headers["Content-Type"] = "application/json";
    const body = foreign ? { body: JSON.stringify({ viewer: ownName() }) } : {};
    const address = new URL(`watch/${encodeURIComponent(channel)}/session`, this.#api);
    const answer = await fetch(address, { method: "POST", headers, signal, ...body });
    if (!answer.ok) throw await refusalOfAnswer(answer);
    return (await answer.json()) as Grant;
  };
}

const NAME = "hls-failover viewer";
let spare: string | null = null;

/** A secret that identifies this browser on this site; stored where storage is allowed. */
function ownName(): string {
  spare ??= btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(24))))
    .replaceAll("+", "-")
    .replaceAll("/", "_");
  try {
    const kept = localStorage.getItem(NAME);
    if (kept?.length === spare.length) return kept;
    localStorage.setItem(NAME, spare);
  } catch {
    // a private window, or storage is full: it lasts as long as the page
  }
  return spare;
}

async function refusalOfAnswer(answer: Response): Promise<Error & { refusal: Refusal }> {
  const refusal = (await problemOf(answer)) as Refusal;
  return Object.assign(new Error(refusal.title), { refusal });
}

function refusalOf(error: unknown): Refusal {
  if (typeof error === "object" && error !== null) {
    if ("refusal" in error) return error.refusal as Refusal;
    if ("title" in error && "status" in error) return error as Refusal; // what a page's own `session` has thrown
  }
  return { title: "The server does not answer", status: 0 };
}
