/** The wall screen: problems first and large, then running sessions, then recent events. */

import { channelPath } from "../route";
import { headline, isBig, type Row, type SessionRow as SessionEntry } from "../listing";
import { MEANINGS, STANDINGS, WORDS, isTrouble, type Standing } from "../standing";
import { choice, choose, shownChannels, shownSessions, state, tally, toggleOnly, troubles } from "../store";
import { count, number } from "../format";
import { sentence, toneOf } from "../eventText";
import { Clock } from "../parts/Age";
import { ChannelRow } from "../parts/ChannelRow";
import { Mark } from "../parts/Mark";
import { SessionRow } from "../parts/SessionRow";
import { VirtualList } from "../parts/VirtualList";

export function Overview() {
  if (state.value.channels.size === 0) return <NoChannels />;
  return (
    <main id="main" class="overview" tabIndex={-1}>
      <Headline />
      <section class="panel channels" aria-labelledby="channels-title">
        <div class="head">
          <h2 id="channels-title">
            Channels <Shown />
          </h2>
          <Search />
          <Sorting />
        </div>
        <Channels />
      </section>
      <section class="panel sessions" aria-labelledby="sessions-title">
        <div class="head">
          <h2 id="sessions-title">
            Sessions <span class="count">{number(shownSessions.value.length)}</span>
          </h2>
        </div>
        <Sessions />
      </section>
      <section class="panel recent" aria-labelledby="recent-title">
        <div class="head">
          <h2 id="recent-title">Lately</h2>
        </div>
        <Recent />
      </section>
    </main>
  );
}

export function SessionsPage() {
  return (
    <main id="main" class="overview wide" tabIndex={-1}>
      <section class="panel sessions" aria-labelledby="sessions-title">
        <div class="head">
          <h1 id="sessions-title">
            Sessions <span class="count">{number(shownSessions.value.length)}</span>
          </h1>
          <Search />
        </div>
        <Sessions />
      </section>
    </main>
  );
}

function Headline() {
  const of = tally.value;
  const worst = STANDINGS.find((standing) => isTrouble(standing) && of[standing] > 0);
  const [first] = troubles.value;
  const grave = first?.grave === true;
  /** The deployment's problem, where the headline is about that. */
  const said = grave || worst === undefined ? first : undefined;
  let viewers = 0;
  for (const session of state.value.sessions.values()) viewers += session.viewers;
  return (
    <div class="headline">
      <div class={`sentence ${grave ? "off" : (worst ?? (said === undefined ? "well" : "backup"))}`}>
        <h1 tabIndex={-1}>{headline(of, state.value.channels.size, troubles.value)}</h1>
        {said !== undefined && <p class="meaning">{said.meaning}</p>}
        <p>
          {count(state.value.channels.size, "channel")} · {count(state.value.sessions.size, "session")} ·{" "}
          {count(viewers, "viewer")}
        </p>
      </div>
      <div class="tiles" role="group" aria-label="Show only">
        {STANDINGS.filter((standing) => standing !== "starting" || of.starting > 0).map((standing) => (
          <Tile key={standing} of={standing} n={of[standing]} />
        ))}
      </div>
    </div>
  );
}

function Tile({ of, n }: { readonly of: Standing; readonly n: number }) {
  const pressed = choice.value.only.has(of);
  return (
    <button
      type="button"
      class={`tile ${of} ${n === 0 ? "none" : ""}`}
      aria-pressed={pressed}
      title={MEANINGS[of]}
      onClick={() => {
        toggleOnly(of);
      }}
    >
      <span class="n">{number(n)}</span>
      <span class="word">
        <Mark of={of} silent />
        {WORDS[of]}
      </span>
    </button>
  );
}

function Shown() {
  const shown = shownChannels.value.filter((row) => row.kind === "channel").length;
  const all = state.value.channels.size;
  return <span class="count">{shown === all ? number(all) : `${number(shown)} of ${number(all)}`}</span>;
}

function Search() {
  return (
    <input
      id="search"
      type="search"
      placeholder="Search  /"
      aria-label="Search channels and sessions"
      autoComplete="off"
      spellcheck={false}
      value={choice.value.search}
      onInput={(event) => {
        choose({ search: event.currentTarget.value });
      }}
    />
  );
}

function Sorting() {
  return (
    <>
      <label class="select">
        <span>Order</span>
        <select
          value={choice.value.order}
          onChange={(event) => {
            choose({ order: event.currentTarget.value as typeof choice.value.order });
          }}
        >
          <option value="trouble">Problems first</option>
          <option value="number">Number</option>
          <option value="name">Name</option>
          <option value="viewers">Viewers</option>
        </select>
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={choice.value.grouped}
          onChange={(event) => {
            choose({ grouped: event.currentTarget.checked });
          }}
        />
        By group
      </label>
    </>
  );
}

function channelHeight(row: Row, narrow: boolean): number {
  if (row.kind === "section") return 2.25;
  if (narrow) return isBig(row) ? 6.5 : 4.25;
  return isBig(row) ? 4.25 : 2.5;
}

function Channels() {
  if (shownChannels.value.length === 0) {
    return (
      <div class="nothing">
        <p>No channel is like this.</p>
        <button
          type="button"
          onClick={() => {
            choose({ search: "", only: new Set() });
          }}
        >
          Show all
        </button>
      </div>
    );
  }
  return (
    <VirtualList
      name="channels"
      label="Channels"
      rows={shownChannels}
      heightOf={channelHeight}
      canFocus={(row) => row.kind === "channel"}
      draw={(row) =>
        row.kind === "section" ? (
          <span class="section">
            {row.title} <span class="count">{number(row.count)}</span>
          </span>
        ) : (
          <ChannelRow id={row.id} standing={row.standing} />
        )
      }
    />
  );
}

function sessionHeight(_: SessionEntry, narrow: boolean): number {
  return narrow ? 7 : 5.8;
}

function Sessions() {
  if (shownSessions.value.length === 0) {
    return (
      <div class="nothing">
        <p>{choice.value.search === "" ? "Nobody is watching." : "No session is like this."}</p>
      </div>
    );
  }
  return (
    <VirtualList
      name="sessions"
      label="Sessions"
      rows={shownSessions}
      heightOf={sessionHeight}
      draw={(row) => <SessionRow id={row.id} standing={row.standing} />}
    />
  );
}

function Recent() {
  const { recent } = state.value;
  if (recent.length === 0) return <p class="nothing">Nothing has happened yet.</p>;
  return (
    <ol class="events" tabIndex={0} aria-label="What has happened lately">
      {recent.slice(0, 40).map((event) => {
        const id = event.channel_id ?? state.value.sessions.get(event.session_id)?.channel_id ?? "";
        return (
          <li key={event.id} class={toneOf(event)}>
            <span class="at">
              <Clock at={event.at} />
            </span>
            <i class="dot" aria-hidden="true" />
            <span class="told">
              {id !== "" && <a href={channelPath(id)}>{state.value.channels.get(id)?.name ?? id}</a>}{" "}
              {sentence(state.value, event, id)}
            </span>
          </li>
        );
      })}
    </ol>
  );
}

function NoChannels() {
  return (
    <main id="main" class="page welcome" tabIndex={-1}>
      <h1 tabIndex={-1}>No channels yet</h1>
      <p>A channel is what a viewer chooses. Give it two sources or more, and it outlives each of them.</p>
      <p class="buttons">
        <a class="button main" href="/console/add">
          Import a playlist, or add a channel
        </a>
      </p>
      <p class="hint">
        Or from a shell: <code>failover import list.m3u --provider "Acme TV"</code>
      </p>
    </main>
  );
}
