/** Chooses the page, and draws what all pages share. */

import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { HELP, listen } from "./hotkeys";
import { refresh, restart } from "./live";
import { headline } from "./listing";
import { AddPage } from "./pages/AddPage";
import { ChannelPage } from "./pages/ChannelPage";
import { Login } from "./pages/Login";
import { Missing } from "./pages/Missing";
import { Overview, SessionsPage } from "./pages/Overview";
import { SessionPage } from "./pages/SessionPage";
import { SystemPage } from "./pages/SystemPage";
import { Dialog } from "./parts/Dialog";
import { Stale, TopBar } from "./parts/TopBar";
import { moveInList } from "./parts/VirtualList";
import { navigate, route } from "./route";
import { announced, choice, choose, link, state, tally, troubles } from "./store";

export function App() {
  const helping = useSignal(false);
  useEffect(
    () =>
      listen({
        "/": search,
        j: () => {
          moveInList(1);
        },
        k: () => {
          moveInList(-1);
        },
        "?": () => {
          helping.value = true;
        },
        Escape: escape,
      }),
    [helping],
  );
  useSignalEffect(() => {
    const of = tally.value;
    const bad = of.off + of.slate;
    const known = state.value.at !== "" && link.value !== "logged_out";
    document.title = `${bad > 0 ? `(${bad}) ` : ""}${known ? headline(of, state.value.channels.size, troubles.value) : "Console"}`;
  });
  if (link.value === "logged_out") return <Login onDone={restart} />;
  return (
    <>
      <TopBar
        onHelp={() => {
          helping.value = true;
        }}
      />
      <Stale />
      {state.value.at === "" ? <Loading /> : <Page />}
      <p class="spoken" role="status" aria-live="polite">
        {announced}
      </p>
      {helping.value && (
        <Dialog
          title="Keys"
          onClose={() => {
            helping.value = false;
          }}
        >
          <dl class="keys">
            {HELP.map(([keys, meaning]) => (
              <div key={keys}>
                <dt>
                  {keys.split("  ").map((key) => (
                    <kbd key={key}>{key}</kbd>
                  ))}
                </dt>
                <dd>{meaning}</dd>
              </div>
            ))}
          </dl>
          <form method="dialog" class="buttons">
            <button type="submit" class="main">
              Close
            </button>
          </form>
        </Dialog>
      )}
    </>
  );
}

function Page() {
  const at = route.value;
  const first = useRef(true);
  useEffect(() => {
    // For keyboards and screen readers the new page begins at its heading.
    if (!first.current) document.querySelector<HTMLElement>("main h1[tabindex], main")?.focus({ preventScroll: true });
    first.current = false;
    scrollTo(0, 0);
  }, [at]);
  switch (at.page) {
    case "overview":
      return <Overview />;
    case "sessions":
      return <SessionsPage />;
    case "channel":
      return <ChannelPage key={at.id} id={at.id} />;
    case "session":
      return <SessionPage key={at.id} id={at.id} />;
    case "add":
      return <AddPage />;
    case "system":
      return <SystemPage />;
    case "nowhere":
      return <Missing what="page" id={location.pathname} />;
  }
}

/** Before the first answer: an outline of the page, or why there is no answer. */
function Loading() {
  if (link.value === "lost") {
    return (
      <main id="main" class="page welcome" tabIndex={-1}>
        <h1>The server does not answer</h1>
        <p>Running sessions play on. The console looks again every few seconds.</p>
        <p class="buttons">
          <button type="button" class="main" onClick={refresh}>
            Look now
          </button>
        </p>
      </main>
    );
  }
  return (
    <main id="main" class="overview loading" aria-busy="true" tabIndex={-1}>
      <h1 class="spoken">Loading</h1>
      <div class="headline" />
      <div class="panel channels" />
      <div class="panel sessions" />
    </main>
  );
}

function search(): void {
  navigateToList();
  // The field exists once the page is drawn.
  setTimeout(() => {
    document.querySelector<HTMLInputElement>("#search")?.focus();
  });
}

function navigateToList(): void {
  if (route.peek().page !== "overview" && route.peek().page !== "sessions") navigate("/console");
}

function escape(): void {
  const focused = document.activeElement;
  if (focused instanceof HTMLElement && focused.matches("input, textarea, select")) {
    if (focused.id === "search") choose({ search: "" });
    focused.blur();
  } else if (choice.peek().search !== "" || choice.peek().only.size > 0) choose({ search: "", only: new Set() });
  else if (route.peek().page !== "overview") navigate("/console");
}
