/** What is always there: where one can go, whether what is shown is true, and what time it is. */

import { useComputed } from "@preact/signals";
import { client } from "../client";
import { clock, ms, span } from "../format";
import { leave } from "../live";
import { route, type Route } from "../route";
import { heard_ms, link, now_ms, state } from "../store";
import { theme, nextTheme } from "../theme";

const PAGES: readonly (readonly [Route["page"], string, string])[] = [
  ["overview", "/console", "Overview"],
  ["sessions", "/console/sessions", "Sessions"],
  ["add", "/console/add", "Add channels"],
  ["system", "/console/system", "System"],
];
const WITHOUT_MS = 12_000;
const ORCHESTRATOR_MS = 15_000;

export function TopBar({ onHelp }: { readonly onHelp: () => void }) {
  const time = useComputed(() => clock(now_ms.value, now_ms.value));
  return (
    <header class="bar">
      <a class="skip" href="#main">
        Skip to the page
      </a>
      <a class="brand" href="/console">
        <svg viewBox="0 0 24 16" aria-hidden="true">
          <path d="M0 3h14v3H0zM10 10h14v3H10zM14 3l-4 10h3l4-10z" />
        </svg>
        <span>hls-failover</span>
      </a>
      <nav aria-label="Pages">
        {PAGES.map(([page, path, label]) => (
          <a key={page} href={path} aria-current={route.value.page === page ? "page" : undefined}>
            {label}
          </a>
        ))}
      </nav>
      <span class="facts">
        <Draining />
        <Orchestrator />
        <LinkState />
        <span class="time">{time}</span>
      </span>
      <span class="tools">
        <button type="button" class="quiet" onClick={nextTheme} title="Dark, light, or as the system has it">
          {theme.value === "dark" ? "Dark" : theme.value === "light" ? "Light" : "System"}
        </button>
        <button type="button" class="quiet" onClick={onHelp} aria-label="? Keys" title="Keys">
          ?
        </button>
        <button type="button" class="quiet" onClick={() => void client.logout().finally(leave)}>
          Log out
        </button>
      </span>
    </header>
  );
}

function LinkState() {
  switch (link.value) {
    case "live":
      return (
        <span class="link live" title="Events come as they happen">
          <i aria-hidden="true" />
          Live
        </span>
      );
    case "polling":
      return (
        <span class="link polling" title="The stream of events is interrupted; the page looks every five seconds">
          <i aria-hidden="true" />
          Reconnecting
        </span>
      );
    case "lost":
      return (
        <span class="link lost">
          <i aria-hidden="true" />
          No answer
        </span>
      );
    case "loading":
    case "logged_out":
      return null;
  }
}

function Draining() {
  return state.value.draining_since === null ? null : (
    <a class="flag" href="/console/system" title="No new session starts">
      Draining
    </a>
  );
}

function Orchestrator() {
  const away = useComputed(() => {
    const seen = ms(state.value.orchestrator_seen_at);
    if (state.value.at === "" || link.value === "lost") return false;
    return seen === null || now_ms.value - seen > ORCHESTRATOR_MS;
  });
  return away.value ? (
    <a class="flag wrong" href="/console/system" title="Sessions play on, but nothing fails over">
      No orchestrator
    </a>
  ) : null;
}

/** Where nothing has been heard for a while, everything on the page is as old as that. */
export function Stale() {
  const age = useComputed(() => {
    // `now_ms` ticks; the age itself is by this machine's clock, whatever the server's says.
    const old = now_ms.value > 0 ? Date.now() - heard_ms.value : 0;
    return heard_ms.value > 0 && old > WITHOUT_MS ? span(old) : "";
  });
  return age.value === "" ? null : (
    <p class="stale" role="status">
      <b>The server does not answer.</b> What you see is <span aria-hidden="true">{age.value}</span> old. Running sessions play
      on.
    </p>
  );
}
