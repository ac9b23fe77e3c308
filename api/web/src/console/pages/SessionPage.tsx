/** One session: its attempts and events with their reasons, the log of each attempt, and the operator's actions. */

import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Refused } from "../../problem";
import { client } from "../client";
import { clock, count, ms, rate, seconds, span } from "../format";
import { onEvents } from "../live";
import { channelPath } from "../route";
import { firstChoice, labelOf, lampOf, ofSession, type Standing } from "../standing";
import { SLATE, type Channel, type Session } from "../state";
import { now_ms, state } from "../store";
import { blocks, sentence, story, toneOf } from "../eventText";
import type { WireAttempt, WireEvent, WireLeg, WireSessionView } from "../wire";
import { ActionButton, why } from "../parts/Action";
import { Age, Clock } from "../parts/Age";
import { LampSign } from "../parts/Lamps";
import { Log } from "../parts/Log";
import { Badge } from "../parts/Mark";
import { Poster } from "../parts/Poster";
import { Missing } from "./Missing";

/** A new attempt has no event of its own until it is live. */
const LOOK_MS = 4_000;

interface Told {
  readonly view: WireSessionView;
  readonly attempts: readonly WireAttempt[];
  readonly events: readonly WireEvent[];
}

export function SessionPage({ id }: { readonly id: string }) {
  const told = useSignal<Told | null>(null);
  const failed = useSignal<{ readonly status: number; readonly text: string } | null>(null);
  const running = useComputed(() => state.value.sessions.get(id));
  useEffect(() => {
    let left = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async (): Promise<void> => {
      clearTimeout(timer);
      try {
        const [view, attempts, events] = await Promise.all([client.session(id), client.attempts(id), client.events(id)]);
        if (left) return;
        told.value = { view, attempts, events };
        failed.value = null;
      } catch (error) {
        if (left) return;
        failed.value = { status: error instanceof Refused ? error.problem.status : 0, text: why(error) };
      }
      if (told.value?.view.phase !== "ended") timer = setTimeout(() => void read(), LOOK_MS);
    };
    void read();
    const stop = onEvents((events) => {
      if (events.some((event) => event.session_id === id)) void read();
    });
    return () => {
      left = true;
      clearTimeout(timer);
      stop();
    };
  }, [id, told, failed]);

  if (failed.value?.status === 404) return <Missing what="session" id={id} />;
  const session = running.value;
  const view = told.value?.view;
  if (session === undefined && view === undefined) {
    return (
      <main id="main" class="page" tabIndex={-1}>
        <p class="nothing" role="status">
          {failed.value === null ? "Loading…" : `✕ ${failed.value.text}`}
        </p>
      </main>
    );
  }
  const channel_id = session?.channel_id ?? view?.channel.id ?? "";
  const channel = state.value.channels.get(channel_id);
  const standing: Standing = session === undefined ? "idle" : ofSession(session, channel);
  const name = channel?.name ?? view?.channel.name ?? channel_id;
  return (
    <main id="main" class="page session-page" tabIndex={-1}>
      <div class={`top ${standing}`}>
        <div>
          <p class="kicker">
            <span>Session {id}</span>
          </p>
          <h1 tabIndex={-1}>
            <a href={channelPath(channel_id)}>{name}</a>{" "}
            {session === undefined ? <span class="badge idle">Ended</span> : <Badge of={standing} />}
          </h1>
          {session !== undefined && (
            <p class="complaint quiet">
              plays {labelOf(state.value, session.source_id, channel_id)}, attempt {session.attempt ?? "–"}
            </p>
          )}
          {session === undefined && view?.end_reason != null && (
            <p class="complaint quiet">ended: {view.end_reason.replaceAll("_", " ")}</p>
          )}
        </div>
        <div class="buttons">
          {channel !== undefined && (
            <a class="button" href={`/watch/${encodeURIComponent(channel.slug)}`} target="_blank" rel="noopener">
              Watch the channel
            </a>
          )}
          {session !== undefined && (
            <>
              <ActionButton label="Switch to next" tone="main" act={() => switched(id)} />
              <ActionButton
                label="Stop"
                tone="danger"
                question={{
                  title: "Stop this session?",
                  text: `Its ${session.viewers === 1 ? "viewer" : `${session.viewers} viewers`} will see the end of the programme. It cannot be undone.`,
                  verb: "Stop",
                }}
                act={async () => {
                  await client.stop(id);
                  return "Stopping";
                }}
              />
            </>
          )}
        </div>
      </div>
      {session !== undefined && <Now session={session} channel={channel} name={name} />}
      <section class="panel" aria-labelledby="story-title">
        <div class="head">
          <h2 id="story-title">What happened</h2>
        </div>
        {told.value === null ? (
          <p class="nothing">{failed.value === null ? "Loading…" : failed.value.text}</p>
        ) : (
          <Story told={told.value} channel={channel} channel_id={channel_id} />
        )}
      </section>
      {told.value !== null && told.value.attempts.length > 0 && (
        <section class="panel" aria-labelledby="log-title">
          <Log session={id} attempts={told.value.attempts} />
        </section>
      )}
    </main>
  );
}

function Now({
  session,
  channel,
  name,
}: {
  readonly session: Session;
  readonly channel: Channel | undefined;
  readonly name: string;
}) {
  return (
    <div class="now">
      <Poster session={session.id} title={name} />
      <dl class="figures">
        <Figure label="Age">
          <Age since={session.created_at} />
        </Figure>
        <Figure label="This attempt">
          <Age since={session.attempt_started_at} />
        </Figure>
        <Figure label="Rate">{rate(session.bitrate_bps)}</Figure>
        <Figure label="Listed">
          {session.segments === null ? "–" : count(session.segments, "segment")}, {seconds(session.buffer_s)}
        </Figure>
        <Figure label="Viewers">
          {session.viewers} {session.viewer === "*" ? "share it" : `· ${session.viewer}`}
        </Figure>
      </dl>
      <section class="panel targets" aria-labelledby="targets-title">
        <div class="head">
          <h2 id="targets-title">Switch to</h2>
        </div>
        <ul class="plain">
          {(channel?.sources ?? []).map((source) => (
            <li key={source.id} class="target">
              <LampSign of={source} />
              <span class="title">
                <span class="name">{source.label}</span>
                {lampOf(source) === "failing" && <span class="detail">{source.last_failure_reason}</span>}
              </span>
              {source.id === session.source_id ? (
                <span class="hint">plays</span>
              ) : source.enabled ? (
                <ActionButton label="Switch" name={`Switch to ${source.label}`} act={() => switched(session.id, source.id)} />
              ) : (
                <span class="hint">disabled</span>
              )}
            </li>
          ))}
        </ul>
      </section>
    </div>
  );
}

function Figure({ label, children }: { readonly label: string; readonly children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Story({
  told,
  channel,
  channel_id,
}: {
  readonly told: Told;
  readonly channel: Channel | undefined;
  readonly channel_id: string;
}) {
  const { view, attempts, events } = told;
  const from = ms(view.created_at) ?? 0;
  const to = ms(view.ended_at) ?? now_ms.value;
  const first = channel === undefined ? undefined : firstChoice(channel)?.id;
  const entries = story(attempts, events);
  return (
    <>
      <svg class="lane" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">
        <path class="rest" d="M0 0h1000v10H0z" />
        {blocks(attempts, from, to).map((block) => (
          <path
            key={block.key}
            class={block.source_id === SLATE ? "slate" : block.source_id === first ? "air" : "backup"}
            d={`M${block.from * 1000} 0h${Math.max(2, (block.to - block.from) * 1000 - 1)}v10h-${Math.max(2, (block.to - block.from) * 1000 - 1)}z`}
          />
        ))}
      </svg>
      <div class="hours" aria-hidden="true">
        <span>{clock(from, now_ms.value)}</span>
        <span>{view.ended_at === null ? "now" : clock(to, now_ms.value)}</span>
      </div>
      <ol class="story">
        {entries.map((entry) =>
          entry.kind === "attempt" ? (
            <li key={`attempt ${entry.attempt.number}`} class="attempt">
              <span class="at">
                <Clock at={entry.attempt.started_at} />
              </span>
              <span class="what">
                <b>Attempt {entry.attempt.number}</b> on {labelOf(state.value, entry.attempt.source_id, channel_id)}
                {entry.attempt.start_reason !== null && <span class="reason"> · {entry.attempt.start_reason}</span>}
                <span class="detail">{outcome(entry.attempt)}</span>
              </span>
            </li>
          ) : entry.kind === "leg" ? (
            <li key={`leg ${entry.attempt.number}.${entry.leg.number}`} class="attempt">
              <span class="at">
                <Clock at={entry.leg.started_at} />
              </span>
              <span class="what">
                <b>
                  Attempt {entry.attempt.number}, leg {entry.leg.number}
                </b>{" "}
                on {labelOf(state.value, entry.leg.source_id, channel_id)}
                {entry.leg.start_reason !== null && <span class="reason"> · {entry.leg.start_reason}</span>}
                <span class="detail">{legOutcome(entry.leg)}</span>
              </span>
            </li>
          ) : (
            <li key={`event ${entry.event.id}`} class={`event ${toneOf(entry.event)}`}>
              <span class="at">
                <Clock at={entry.event.at} />
              </span>
              <span class="what">
                <i class="dot" aria-hidden="true" />
                {sentence(state.value, entry.event, channel_id)}
              </span>
            </li>
          ),
        )}
      </ol>
    </>
  );
}

function outcome(attempt: WireAttempt): string {
  const started = ms(attempt.started_at) ?? 0;
  const first = ms(attempt.first_segment_at);
  const ended = ms(attempt.ended_at);
  const parts = [first === null ? "no segment" : `first segment after ${((first - started) / 1000).toFixed(1)} s`];
  if (ended === null) parts.push("runs");
  else {
    parts.push(`ran for ${span(ended - started)}`);
    if (attempt.end_reason !== null) parts.push(attempt.end_reason.replaceAll("_", " "));
    if (attempt.exit_code !== null) parts.push(`exit code ${attempt.exit_code}`);
  }
  return parts.join(" · ");
}

function legOutcome(leg: WireLeg): string {
  const started = ms(leg.started_at) ?? 0;
  const first = ms(leg.first_segment_at);
  const ended = ms(leg.ended_at);
  const parts = [
    "in the same container",
    first === null ? "no segment" : `first segment after ${((first - started) / 1000).toFixed(1)} s`,
  ];
  if (ended !== null) parts.push(`played for ${span(ended - started)}`);
  if (leg.end_reason !== null) parts.push(leg.end_reason.replaceAll("_", " "));
  return parts.join(" · ");
}

async function switched(session: string, source_id?: string): Promise<string> {
  await client.switchTo(session, source_id);
  return "Switch asked for";
}
