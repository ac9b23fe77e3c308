/** The bar at the top: links, how current the page is, and the time. */

import { useComputed } from "@preact/signals";
import { client } from "../client";
import { clock, span } from "../format";
import { leave } from "../live";
import { route, type Route } from "../route";
import { link, now_ms, stale_ms, troubles } from "../store";
import { theme, nextTheme } from "../theme";

const PAGES: readonly (readonly [Route["page"], string, string])[] = [
  ["overview", "/console", "Overview"],
  ["sessions", "/console/sessions", "Sessions"],
  ["add", "/console/add", "Add channels"],
  ["system", "/console/system", "System"],
];

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
        <Troubles />
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
  switch (stale_ms.value > 0 ? "lost" : link.value) {
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

/** The deployment's problem; that the API does not answer is shown beside it. */
function Troubles() {
  return (
    <>
      {troubles.value
        .filter(({ trouble }) => trouble !== "unanswered")
        .map(({ trouble, grave, flag, meaning }) => (
          <a key={trouble} class={`flag ${grave ? "wrong" : ""}`} href="/console/system" title={meaning}>
            {flag}
          </a>
        ))}
    </>
  );
}

/** Shows how old everything on the page is, while the API does not answer. */
export function Stale() {
  const age = useComputed(() => (stale_ms.value > 0 ? span(stale_ms.value) : ""));
  return age.value === "" ? null : (
    <p class="stale" role="status">
      <b>The server does not answer.</b> What you see is <span aria-hidden="true">{age.value}</span> old. Running sessions play
      on.
    </p>
  );
}
