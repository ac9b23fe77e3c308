import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Grant, Options } from "../src/player/contract";
import type { Input } from "../src/player/core";
import { Service } from "../src/player/service";

const GRANT: Grant = { id: "s-1", token: "t k", playlist_url: "http://cdn/1.m3u8" };

class Stream {
  static opened: Stream[] = [];
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  closed = false;
  readonly ears = new Map<string, (message: { data: string }) => void>();

  constructor(readonly url: URL) {
    Stream.opened.push(this);
  }

  addEventListener(type: string, ear: (message: { data: string }) => void): void {
    this.ears.set(type, ear);
  }

  close(): void {
    this.closed = true;
  }
}

const fetched = vi.fn<typeof fetch>();
let heard: Input[] = [];
const service = (api = "https://tv.test/base/", options: Partial<Options> = {}) =>
  new Service(new URL(api), { channel: "news", ...options }, (input) => heard.push(input));
const answers = (status: number, body: unknown = null) => {
  fetched.mockResolvedValueOnce(new Response(body === null ? null : JSON.stringify(body), { status }));
};

beforeEach(() => {
  heard = [];
  Stream.opened = [];
  fetched.mockReset();
  vi.stubGlobal("fetch", fetched);
  vi.stubGlobal("EventSource", Stream);
});
afterEach(() => {
  vi.unstubAllGlobals();
  localStorage.clear();
});

test("another site's page asks by a secret of its own, which it keeps", async () => {
  answers(201, GRANT);
  answers(200, GRANT);
  await service().ask();
  await service().ask();
  expect(heard).toEqual([
    { type: "granted", grant: GRANT },
    { type: "granted", grant: GRANT },
  ]);
  const [first, second] = fetched.mock.calls;
  expect((first?.[0] as URL).href).toBe("https://tv.test/base/watch/news/session");
  expect(first?.[1]?.body).toMatch(/^\{"viewer":"[A-Za-z0-9_-]{32}"\}$/);
  expect(second?.[1]?.body).toBe(first?.[1]?.body);
});

test("at home the cookie says who it is", async () => {
  answers(201, GRANT);
  await service(`${location.origin}/`).ask();
  expect(fetched.mock.calls[0]?.[1]?.body).toBeUndefined();
});

test.each([
  [{ title: "Over", status: 429, limit: "x" }, 429],
  [{ title: "No source works", status: 503, sources: { "x-1": "404" } }, 503],
])("a refusal is told as it is", async (problem, status) => {
  answers(status, problem);
  await service().ask();
  expect(heard).toEqual([{ type: "refused", refusal: problem }]);
});

test("no answer is told as one of status 0; what a site's own way throws, as it is", async () => {
  fetched.mockRejectedValueOnce(new TypeError("network"));
  await service().ask();
  const refusal = { title: "You may not", status: 403 };
  // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- as a page's own script does
  await service("https://tv.test/", { session: () => Promise.reject(refusal) }).ask();
  expect(heard).toEqual([
    { type: "refused", refusal: { title: "The server does not answer", status: 0 } },
    { type: "refused", refusal },
  ]);
});

test("what is not wanted any more is aborted, and its end is nobody's refusal", async () => {
  let signal: AbortSignal | undefined;
  const asked = service("https://tv.test/", {
    session: (_, given) => {
      signal = given;
      return new Promise((_resolve, reject) => {
        given.addEventListener("abort", () => {
          reject(new DOMException("", "AbortError"));
        });
      });
    },
  });
  const asking = asked.ask();
  asked.close();
  await asking;
  expect(signal?.aborted).toBe(true);
  expect(heard).toEqual([]);
});

test.each([
  [204, "renewed"],
  [401, "over"],
  [404, "over"],
  [409, "over"],
  [503, "unanswered"],
  [429, "unanswered"],
])("a heartbeat that is answered with %i: %s", async (status, type) => {
  answers(status);
  await service().beat(GRANT);
  expect(heard).toEqual([{ type, session: "s-1" }]);
  expect(fetched.mock.calls[0]?.[1]?.headers).toEqual({ Authorization: "Bearer t k" });
});

test("a heartbeat that nobody answers", async () => {
  fetched.mockRejectedValueOnce(new TypeError("network"));
  await service().beat(GRANT);
  expect(heard).toEqual([{ type: "unanswered", session: "s-1" }]);
});

test("events are heard from where they were left; a stream that fails is closed, and does not come back by itself", () => {
  const listening = service();
  listening.listen(GRANT, 7);
  const [stream] = Stream.opened;
  expect(String(stream?.url)).toBe("https://tv.test/base/v1/sessions/s-1/events?token=t+k&after=7");
  stream?.onopen?.();
  const event = { id: 8, type: "stream.switch", at: "2025-06-01T21:04:09Z", to: "x-2" };
  stream?.ears.get("stream.switch")?.({ data: JSON.stringify(event) });
  stream?.onerror?.();
  expect(stream?.closed).toBe(true);
  expect(heard).toEqual([
    { type: "heard", session: "s-1" },
    { type: "event", session: "s-1", event },
    { type: "deaf", session: "s-1" },
  ]);
  listening.deafen();
  stream?.onerror?.();
  expect(heard).toHaveLength(3);
});

test.each([
  [200, "polled"],
  [401, "over"],
  [404, "over"],
  [503, "unpolled"],
])("what is polled for and answered with %i: %s", async (status, type) => {
  const event = { id: 8, type: "stream.recovered", at: "2025-06-01T21:04:09Z" };
  answers(status, { events: [event] });
  await service().poll(GRANT, 7);
  expect((fetched.mock.calls[0]?.[0] as URL).href).toBe("https://tv.test/base/v1/sessions/s-1/history?after=7");
  expect(heard.at(-1)).toEqual({ type, session: "s-1" });
  expect(heard).toHaveLength(status === 200 ? 2 : 1);
});

test("who leaves says so in a request that outlives the page", () => {
  fetched.mockRejectedValueOnce(new TypeError("gone"));
  service().leave(GRANT);
  expect(fetched.mock.calls[0]?.[1]).toMatchObject({ method: "DELETE", keepalive: true });
});
