/**
 * The page of all channels, by group. Rule: everything works by touch and by keyboard; the search stands in the address, so that it is
 * still there when a viewer comes back from a channel.
 */
import "./list.css";
import { grouped, groupsOf, logoInto, matching } from "./channels";
import type { Channel } from "./channels";
import { below, typesText } from "./moving";
import { at } from "./page";

/** The API's address: this page is at {api}/watch. */
const BASE = new URL("./", location.href);
/** The channels are read again when a viewer comes back to the page after this time. */
const OLD_MS = 60_000;
const LIMIT_MS = 10_000;

const search = at("search", HTMLInputElement);
const groups = at("groups", HTMLSelectElement);
let channels: readonly Channel[] = [];
let loaded_ms = -Infinity;

async function load(): Promise<void> {
  at("ways").hidden = true;
  try {
    const answer = await fetch(new URL("watch/channels.json", BASE), {
      cache: "no-cache",
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    if (!answer.ok) throw new Error(String(answer.status));
    channels = (await answer.json()) as Channel[];
  } catch {
    if (channels.length) return; // those that are known can be tried
    say("The server does not answer.");
    at("ways").hidden = false;
    return;
  }
  loaded_ms = Date.now();
  choices();
  draw();
}

function choices(): void {
  const found = groupsOf(channels);
  const chosen = groups.value || (new URLSearchParams(location.search).get("group") ?? "");
  groups.replaceChildren(new Option("All groups", ""), ...found.map((group) => new Option(group, group)));
  groups.value = found.includes(chosen) ? chosen : "";
  groups.hidden = found.length < 2;
}

function draw(): void {
  const shown = matching(
    channels.filter(({ group }) => !groups.value || group === groups.value),
    search.value,
  );
  at("list").replaceChildren(...grouped(shown).map(([group, members]) => section(group, members)));
  if (!channels.length) say("There is no channel yet. Operators add them in the console.");
  else if (!shown.length) say("No channel is called that.");
  else if (shown.length === channels.length) say(shown.length === 1 ? "1 channel" : `${shown.length} channels`);
  else say(`${shown.length} of ${channels.length} channels`);
}

function section(group: string | null, members: readonly Channel[]): HTMLElement {
  const part = document.createElement("section");
  const title = document.createElement("h2");
  const list = document.createElement("ul");
  title.textContent = group ?? "Other channels";
  title.hidden = group === null && !groupsOf(channels).length;
  list.append(...members.map(tile));
  part.append(title, list);
  return part;
}

function tile(channel: Channel): HTMLLIElement {
  const row = document.createElement("li");
  const link = document.createElement("a");
  const logo = document.createElement("span");
  const name = document.createElement("span");
  link.href = new URL(`watch/${channel.slug}`, BASE).href;
  logo.setAttribute("aria-hidden", "true");
  logoInto(logo, channel, BASE);
  name.className = "name";
  name.textContent = channel.name;
  link.append(logo, name);
  if (channel.number !== null) {
    const number = document.createElement("small");
    number.textContent = String(channel.number);
    link.append(number);
  }
  row.append(link);
  return row;
}

function say(text: string): void {
  if (at("said").textContent !== text) at("said").textContent = text;
}

/** Writes the search into the address, without a new entry in the history. */
function remember(): void {
  const asked = new URLSearchParams();
  if (search.value) asked.set("q", search.value);
  if (groups.value) asked.set("group", groups.value);
  history.replaceState(null, "", asked.size ? `?${asked.toString()}` : location.pathname);
}

function links(): readonly HTMLAnchorElement[] {
  return [...at("list").querySelectorAll("a")];
}

for (const [field, change] of [
  [search, "input"],
  [groups, "change"],
] as const) {
  field.addEventListener(change, () => {
    draw();
    remember();
  });
}
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") links()[0]?.click();
  else if (event.key === "ArrowDown") links()[0]?.focus();
  else if (event.key === "Escape" && search.value) {
    search.value = "";
    draw();
    remember();
  } else return;
  event.preventDefault();
});
at("list").addEventListener("keydown", (event) => {
  const all = links();
  const from = all.findIndex((link) => link === document.activeElement);
  if (from < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
  const boxes = () =>
    all.map((link) => {
      const { left, top } = link.getBoundingClientRect();
      return { left, top };
    });
  const to =
    event.key === "ArrowRight"
      ? from + 1
      : event.key === "ArrowLeft"
        ? from - 1
        : event.key === "ArrowDown"
          ? below(boxes(), from, 1)
          : event.key === "ArrowUp"
            ? below(boxes(), from, -1)
            : event.key === "Home"
              ? 0
              : event.key === "End"
                ? all.length - 1
                : null;
  if (to === null) return;
  event.preventDefault();
  (to < 0 ? search : all[Math.min(to, all.length - 1)])?.focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && event.target !== search) event.preventDefault();
  // Typing begins a search, wherever the focus is
  if (event.key === "/" || typesText(event)) search.focus();
});
at("again").addEventListener("click", () => {
  say("Loading…");
  void load();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && Date.now() - loaded_ms > OLD_MS) void load();
});
search.value = new URLSearchParams(location.search).get("q") ?? "";
void load();
