/** One channel: its standing, sources, sessions, day, policy and failover channels. */

import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { DeleteChannel, EditChannel } from "../admin/Channels";
import { PlayAddresses } from "../admin/PlayAddress";
import { AddSource } from "../admin/Sources";
import { client } from "../client";
import { picture } from "../codecs";
import { clock, count, ms } from "../format";
import { sessionsOf } from "../listing";
import { onEvents } from "../live";
import { complaint } from "../standing";
import { edited, type Channel } from "../state";
import { now_ms, standingOf, state } from "../store";
import { STRIP_WORDS } from "../strip";
import { sentence, toneOf } from "../eventText";
import type { WireHistory } from "../wire";
import { ActionButton, why } from "../parts/Action";
import { Clock } from "../parts/Age";
import { ChannelTitle } from "../parts/ChannelRow";
import { Failovers } from "../parts/Failovers";
import { SessionRow } from "../parts/SessionRow";
import { Sources } from "../parts/Sources";
import { Strip } from "../parts/Strip";
import { ofSession } from "../standing";
import { Missing } from "./Missing";

const SESSIONS = 12;

export function ChannelPage({ id }: { readonly id: string }) {
  const found = useComputed(
    () => state.value.channels.get(id) ?? [...state.value.channels.values()].find((each) => each.slug === id),
  );
  const channel = found.value;
  if (channel === undefined) return <Missing what="channel" id={id} />;
  return <Shown channel={channel} />;
}

function Shown({ channel }: { readonly channel: Channel }) {
  const sessions = sessionsOf(state.value, channel.id);
  const standing = standingOf.value.get(channel.id) ?? "idle";
  const line = complaint(state.value, channel, sessions, standing);
  return (
    <main id="main" class="page channel-page" tabIndex={-1}>
      <div class={`top ${standing}`}>
        <div>
          <ChannelTitle id={channel.id} standing={standing} />
          {line !== "" && <p class="complaint">{line}</p>}
        </div>
        <div class="buttons">
          <a class="button" href={`/watch/${encodeURIComponent(channel.slug)}`} target="_blank" rel="noopener">
            Watch
          </a>
          <EditChannel channel={channel} />
          {channel.enabled ? (
            <ActionButton
              label="Disable channel"
              tone="danger"
              question={{
                title: `Disable ${channel.name}?`,
                text:
                  sessions.length === 0
                    ? "Nobody is watching. New viewers will be refused until it is enabled again."
                    : `${count(sessions.length, "session")} will end. New viewers will be refused until it is enabled again.`,
                verb: "Disable",
              }}
              act={() => enable(channel, false)}
            />
          ) : (
            <ActionButton label="Enable channel" tone="main" act={() => enable(channel, true)} />
          )}
          <DeleteChannel channel={channel} sessions={sessions} />
        </div>
      </div>
      <PlayAddresses channel={channel} />
      <section class="panel" aria-labelledby="sources-title">
        <div class="head">
          <h2 id="sources-title">
            Sources <span class="count">{channel.sources.length}</span>
          </h2>
          <span class="hint">tried from the top</span>
          <AddSource channel={channel} />
        </div>
        <Sources channel={channel} />
      </section>
      <section class="panel" aria-labelledby="day-title">
        <div class="head">
          <h2 id="day-title">Last 24 hours</h2>
        </div>
        <Day channel={channel} />
      </section>
      <div class="halves">
        <section class="panel" aria-labelledby="watching-title">
          <div class="head">
            <h2 id="watching-title">
              Sessions <span class="count">{sessions.length}</span>
            </h2>
          </div>
          {sessions.length === 0 && <p class="nothing">Nobody is watching.</p>}
          <ul class="plain">
            {sessions.slice(0, SESSIONS).map((session) => (
              <li key={session.id}>
                <SessionRow id={session.id} standing={ofSession(session, channel)} />
              </li>
            ))}
          </ul>
          {sessions.length > SESSIONS && (
            <p class="hint">
              and {sessions.length - SESSIONS} more, on <a href="/console/sessions">the sessions’ page</a>
            </p>
          )}
        </section>
        <section class="panel" aria-labelledby="failovers-title">
          <div class="head">
            <h2 id="failovers-title">Failover channels</h2>
          </div>
          <Failovers channel={channel} />
          <dl class="policy">
            <div>
              <dt>Picture</dt>
              <dd>{picture(channel)}</dd>
            </div>
            <div>
              <dt>Sharing</dt>
              <dd>{channel.sharing === "channel" ? "one session for all viewers" : "a session for each viewer"}</dd>
            </div>
            <div>
              <dt>Failback</dt>
              <dd>{channel.failback === "never" ? "never" : "to the better source, once it is stable"}</dd>
            </div>
            <div>
              <dt>Slate</dt>
              <dd>{channel.slate ? "when no source works" : "none"}</dd>
            </div>
          </dl>
        </section>
      </div>
    </main>
  );
}

function Day({ channel }: { readonly channel: Channel }) {
  const history = useSignal<WireHistory | null>(null);
  const failed = useSignal("");
  useEffect(() => {
    let left = false;
    const read = async (): Promise<void> => {
      try {
        const found = await client.history(channel.id);
        if (!left) history.value = found;
      } catch (error) {
        if (!left) failed.value = why(error);
      }
    };
    void read();
    const stop = onEvents((events) => {
      if (events.some((event) => event.channel_id === channel.id)) void read();
    });
    return () => {
      left = true;
      stop();
    };
  }, [channel.id, history, failed]);
  const now = now_ms.value;
  const bad = (history.value?.quarters ?? []).filter((quarter) => "asr".includes(quarter.state));
  return (
    <div class="day">
      <Strip of={channel.strip} />
      <div class="hours" aria-hidden="true">
        {[24, 18, 12, 6, 0].map((h) => (
          <span key={h}>{h === 0 ? "now" : clock(now - h * 3_600_000, now - h * 3_600_000).slice(0, 5)}</span>
        ))}
      </div>
      <ul class="legend">
        {(["air", "backup", "slate", "off"] as const).map((name, index) => (
          <li key={name}>
            <i class={`swatch ${name}`} aria-hidden="true" />
            {STRIP_WORDS["gasr"[index] ?? ""]}
          </li>
        ))}
      </ul>
      {failed.value !== "" && <p class="outcome failed">✕ {failed.value}</p>}
      {bad.length > 0 && (
        <details>
          <summary>{count(bad.length, "quarter hour")} with trouble</summary>
          <table>
            <thead>
              <tr>
                <th scope="col">From</th>
                <th scope="col">Worst</th>
                <th scope="col">Swaps</th>
                <th scope="col">Failures</th>
              </tr>
            </thead>
            <tbody>
              {bad.toReversed().map((quarter) => (
                <tr key={quarter.at}>
                  <td>{clock(quarter.at, now).replace(/:\d\d$/, "")}</td>
                  <td>{STRIP_WORDS[quarter.state]}</td>
                  <td>{quarter.swaps}</td>
                  <td>{quarter.failures}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
      {history.value !== null && history.value.recent.length > 0 && (
        <ol class="events" tabIndex={0} aria-label="Its latest events">
          {history.value.recent
            .toSorted((a, b) => (ms(b.at) ?? 0) - (ms(a.at) ?? 0))
            .map((event) => (
              <li key={`${event.session_id} ${event.id}`} class={toneOf(event)}>
                <span class="at">
                  <Clock at={event.at} />
                </span>
                <i class="dot" aria-hidden="true" />
                <span class="told">
                  <a href={`/console/sessions/${event.session_id}`}>{event.session_id.slice(0, 10)}</a>{" "}
                  {sentence(state.value, event, channel.id)}
                </span>
              </li>
            ))}
        </ol>
      )}
    </div>
  );
}

async function enable(channel: Channel, enabled: boolean): Promise<string> {
  if (enabled) state.value = edited(state.value, channel.id, { enabled });
  try {
    await client.enableChannel(channel.id, enabled);
  } catch (error) {
    state.value = edited(state.value, channel.id, { enabled: channel.enabled });
    throw error;
  }
  return enabled ? "Enabled" : "Disabled";
}
