/** The console's client of the API. It authenticates by the cookie, never by the key. A failed request throws `Refused`. */

import { problemOf, Refused } from "../problem";
import type { Body } from "./admin/fields";
import type {
  WireAttempt,
  WireChannelDocument,
  WireDiagnosis,
  WireDrain,
  WireEvents,
  WireHistory,
  WireImport,
  WireOverview,
  WireSourceDocument,
  WireProvider,
  WireSessionView,
} from "./wire";

/** A header that a form on another site cannot set. */
const OURS = { "X-Console": "1" };

/** A server that hangs or a lost network may never end an answer; without a limit the console would never poll again. */
const OVERVIEW_LIMIT_MS = 30_000;

async function ask(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
  limit_ms?: number,
): Promise<Response> {
  const sent: RequestInit = { method, headers: { ...headers, ...(method === "GET" ? {} : OURS) } };
  if (limit_ms !== undefined) sent.signal = AbortSignal.timeout(limit_ms);
  if (typeof body === "string" || body instanceof Blob) sent.body = body;
  else if (body !== undefined) {
    sent.body = JSON.stringify(body);
    sent.headers = { ...(sent.headers as Record<string, string>), "Content-Type": "application/json" };
  }
  let answer: Response;
  try {
    answer = await fetch(path, sent);
  } catch {
    throw new Refused({ title: "The server does not answer", status: 0 });
  }
  if (!answer.ok) throw new Refused(await problemOf(answer));
  return answer;
}

async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
  return (await (await ask(method, path, body)).json()) as T;
}

async function done(method: string, path: string, body?: unknown): Promise<void> {
  await ask(method, path, body);
}

const at = encodeURIComponent;

export const client = {
  login: (key: string) => done("POST", "/console/login", { key }),
  logout: () => done("POST", "/console/logout"),

  overview: async () => (await (await ask("GET", "/v1/overview", undefined, {}, OVERVIEW_LIMIT_MS)).json()) as WireOverview,
  session: (id: string) => json<WireSessionView>("GET", `/v1/sessions/${at(id)}`),
  attempts: (id: string) => json<readonly WireAttempt[]>("GET", `/v1/sessions/${at(id)}/attempts`),
  events: async (id: string) => (await json<WireEvents>("GET", `/v1/sessions/${at(id)}/history`)).events,
  log: async (id: string, attempt: number) =>
    (await ask("GET", `/v1/sessions/${at(id)}/attempts/${attempt}/log?lines=200`)).text(),
  history: (channel: string) => json<WireHistory>("GET", `/v1/channels/${at(channel)}/history`),
  providers: () => json<readonly WireProvider[]>("GET", "/v1/providers"),
  doctor: () => json<WireDiagnosis>("GET", "/v1/doctor"),

  switchTo: (session: string, source_id?: string) =>
    done("POST", `/v1/sessions/${at(session)}/switch`, source_id === undefined ? {} : { source_id }),
  stop: (session: string) => done("DELETE", `/v1/sessions/${at(session)}`),
  channel: (id: string) => json<WireChannelDocument>("GET", `/v1/channels/${at(id)}`),
  changeChannel: (id: string, change: Body) => json<WireChannelDocument>("PATCH", `/v1/channels/${at(id)}`, change),
  deleteChannel: (id: string) => done("DELETE", `/v1/channels/${at(id)}`),
  source: (id: string) => json<WireSourceDocument>("GET", `/v1/sources/${at(id)}`),
  addSource: (channel: string, source: Body) => done("POST", `/v1/channels/${at(channel)}/sources`, source),
  changeSource: (id: string, change: Body) => done("PATCH", `/v1/sources/${at(id)}`, change),
  deleteSource: (id: string) => done("DELETE", `/v1/sources/${at(id)}`),
  provider: (id: string) => json<WireProvider>("GET", `/v1/providers/${at(id)}`),
  addProvider: (provider: Body) => json<WireProvider>("POST", "/v1/providers", provider),
  changeProvider: (id: string, change: Body) => json<WireProvider>("PATCH", `/v1/providers/${at(id)}`, change),
  deleteProvider: (id: string) => done("DELETE", `/v1/providers/${at(id)}`),
  enableChannel: (id: string, enabled: boolean) => done("PATCH", `/v1/channels/${at(id)}`, { enabled }),
  enableSource: (id: string, enabled: boolean) => done("PATCH", `/v1/sources/${at(id)}`, { enabled }),
  order: (channel: string, source_ids: readonly string[]) => done("PUT", `/v1/channels/${at(channel)}/sources`, { source_ids }),
  failovers: (channel: string, channels: readonly string[]) =>
    done("PUT", `/v1/channels/${at(channel)}/failovers`, { channels }),
  probe: (source: string) => json<WireSourceDocument>("POST", `/v1/sources/${at(source)}/probe`),
  add: (channel: Body) => json<WireChannelDocument>("POST", "/v1/channels", channel),
  drain: (draining: boolean) => json<WireDrain>("PUT", "/v1/drain", { draining }),

  importUrl: (provider: string, url: string, dry_run: boolean) =>
    json<WireImport>("POST", "/v1/imports", { provider, url, dry_run }),
  /** The body is the playlist itself. */
  importPlaylist: async (provider: string, playlist: string | Blob, dry_run: boolean) =>
    (await (
      await ask("POST", `/v1/imports?provider=${at(provider)}&dry_run=${dry_run}`, playlist, {
        "Content-Type": "audio/x-mpegurl",
      })
    ).json()) as WireImport,
};
