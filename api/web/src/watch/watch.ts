/**
 * The watch page: the player, its messages, and the other channels. Rule: the picture comes first. Nothing moves or appears without
 * need, and what happens to sources is at most one line of text.
 */
import "./watch.css";
import type { Player } from "../player/contract";
import { isOff } from "../player/core";
import { attach } from "../player/player";
import { DRAWN, logoInto, matching, neighbour, rowOf } from "./channels";
import type { Channel } from "./channels";
import { control } from "./controls";
import { at } from "./page";
import { shown } from "./words";

/** The API's address: this page is at {api}/watch/{channel}. */
const BASE = new URL("..", location.href.replace(/\/+(?=$|[?#])/, ""));
const LOOK_MS = 250;
/** The spinner appears after the picture has stood still for this time. */
const WAITING_MS = 1200;
const ZAP_MS = 350;
const OSD_MS = 2500;

const video = at("video", HTMLVideoElement);
const search = at("search", HTMLInputElement);
let channels: readonly Channel[] = [];
let current = slugOf(location.href);
let player: Player = tuned(current);
let pictured = false;
let waiting_since: number | null = null;
/** Muted by the browser, not by the viewer: also on the next channel. */
let silenced = false;
let zapping: ReturnType<typeof setTimeout> | undefined;
let osd: ReturnType<typeof setTimeout> | undefined;

function slugOf(href: string): string {
  return decodeURIComponent(new URL(href).pathname.replace(/\/+$/, "").split("/").pop() ?? "");
}

function tuned(slug: string): Player {
  const next = attach(video, { channel: slug, api: BASE });
  next.onstate = draw;
  next.onreattach = draw;
  Object.assign(window, { __player: next }); // for the tests
  return next;
}

function tune(slug: string, how: "push" | "back"): void {
  if (slug === current && player.state.phase !== "refused") return;
  player.close();
  current = slug;
  pictured = false;
  waiting_since = null;
  if (how === "push") history.pushState(null, "", slug);
  player = tuned(slug);
  name();
  list();
  draw();
}

function zap(by: 1 | -1): void {
  const showing = at("osd").dataset["slug"] ?? current;
  const next = neighbour(channels, zapping ? showing : current, by);
  if (!next) return;
  at("osd").dataset["slug"] = next.slug;
  at("osd-number").textContent = next.number === null ? "" : String(next.number);
  at("osd-name").textContent = next.name;
  at("osd").hidden = false;
  clearTimeout(osd);
  clearTimeout(zapping);
  osd = setTimeout(() => (at("osd").hidden = true), OSD_MS);
  zapping = setTimeout(() => {
    zapping = undefined;
    tune(next.slug, "push");
  }, ZAP_MS);
}

function draw(): void {
  const now = Date.now();
  const { state } = player;
  // The player has removed the picture: the next one counts as the first.
  pictured &&= state.phase !== "refused" && !isOff(state.refusal);
  const { message, notice, phase } = shown(state, {
    pictured,
    waiting: waiting_since !== null && now - waiting_since > WAITING_MS,
    online: navigator.onLine,
    paused: video.paused,
    now,
  });
  at("message").hidden = message === null;
  at("screen").classList.toggle("covered", message !== null && message.title !== "");
  at("busy").hidden = !message?.busy;
  say("said", message?.title ?? "");
  say("detail", message?.detail ?? "");
  const reasons = message?.reasons.join("\n") ?? "";
  if (at("reasons").dataset["said"] !== reasons) {
    at("reasons").dataset["said"] = reasons;
    at("reasons").replaceChildren(...(message?.reasons ?? []).map(item));
  }
  at("act").hidden = !message?.action;
  say("act", message?.action?.label ?? "");
  at("act").dataset["does"] = message?.action?.does ?? "";
  at("notice").hidden = notice === null;
  say("notice", notice ?? "");
  silenced ||= state.autoplay === "muted";
  at("unmute").hidden = !(silenced && video.muted && pictured);
  say("phase", phase.word);
  at("phase").dataset["phase"] = phase.kind;
  if (!channels.length && state.session?.channel?.name) entitle(state.session.channel.name);
}

function measure(): void {
  const health = player.health();
  // At the end of the buffer the browser pauses by itself.
  const stands =
    (!video.paused || video.ended) && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA && player.state.phase !== "refused";
  waiting_since = stands ? (waiting_since ?? Date.now()) : null;
  figure("latency", seconds(pictured ? health.latency_s : null));
  figure("buffer", seconds(pictured ? health.buffer_s : null));
  const late = pictured && health.latency_s !== null && player.state.phase === "playing" && isLate();
  at("live").classList.toggle("late", late);
  at("live").title = late ? "To the live picture" : "This is the live picture";
  draw();
}

/** Further behind the live edge than the player is by itself. */
function isLate(): boolean {
  const { seekable } = video;
  return seekable.length > 0 && seekable.end(seekable.length - 1) - video.currentTime > 15;
}

function name(): void {
  const channel = channels.find(({ slug }) => slug === current);
  entitle(channel?.name ?? (channels.length ? current : "Watch"));
  say("group", [channel?.number, channel?.group].filter((each) => each !== null && each !== undefined).join(" · "));
  if (channel) logoInto(at("logo"), channel, BASE);
  at("logo").hidden = !channel;
}

function entitle(title: string): void {
  say("channel", title);
  document.title = title;
}

function list(): void {
  const found = matching(channels, search.value);
  at("channels").replaceChildren(...found.slice(0, DRAWN).map((channel) => rowOf(channel, current, BASE)));
  reveal(at("channels").querySelector("[aria-current]"));
  const more = found.length - DRAWN;
  say("found", found.length ? (more > 0 ? `${more} more: search for them.` : "") : "No channel is called that.");
}

/** Scrolls the list alone: on a phone the list is as long as its rows, and scrolling the page would hide the picture. */
function reveal(row: Element | null): void {
  if (!row) return;
  const list = at("channels");
  const seen = list.getBoundingClientRect();
  const { top, bottom } = row.getBoundingClientRect();
  if (top < seen.top) list.scrollTop -= seen.top - top;
  else if (bottom > seen.bottom) list.scrollTop += bottom - seen.bottom;
}

async function load(): Promise<void> {
  try {
    const answer = await fetch(new URL("watch/channels.json", BASE));
    if (answer.ok) channels = (await answer.json()) as Channel[];
  } catch {
    return; // the picture matters more, and says what is wrong
  }
  const others = channels.some(({ slug }) => slug !== current);
  at("aside").hidden = !others;
  at("page").classList.toggle("alone", !others);
  // The address may name a channel by its id; the list knows its slug.
  const slug = player.state.session?.channel?.slug;
  if (slug && channels.every((channel) => channel.slug !== current)) current = slug;
  name();
  list();
}

function playOrPause(): void {
  if (video.paused) void player.play();
  else video.pause();
}

function item(text: string): HTMLLIElement {
  return Object.assign(document.createElement("li"), { textContent: text });
}

function say(id: string, text: string): void {
  if (at(id).textContent !== text) at(id).textContent = text;
}

/** Hides the element where the value is not known. */
function figure(id: string, text: string | null): void {
  const row = at(id).parentElement;
  if (row) row.hidden = text === null;
  say(id, text ?? "");
}

function seconds(value: number | null): string | null {
  return value === null ? null : `${value.toFixed(1)} s`;
}

control(video, {
  playOrPause,
  tune: zap,
  toLive: () => {
    player.toLive();
    if (video.paused) void player.play();
  },
  search: () => {
    if (at("aside").hidden) return;
    search.focus();
    search.select();
  },
});
at("act").addEventListener("click", () => {
  const { does } = at("act").dataset;
  if (does === "play") void player.play();
  else if (does === "list") location.assign(new URL("watch", BASE));
  else player.retry();
});
at("channels").addEventListener("click", (event) => {
  const link = (event.target as Element).closest<HTMLAnchorElement>("a[data-slug]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  tune(link.dataset["slug"] ?? "", "push");
  at("screen").scrollIntoView({ block: "nearest" });
});
search.addEventListener("input", list);
search.addEventListener("keydown", (event) => {
  const first = at("channels").querySelector("a");
  if (event.key === "Enter") first?.click();
  else if (event.key === "ArrowDown") first?.focus();
  else if (event.key === "Escape") {
    search.value = "";
    list();
    search.blur();
  } else return;
  event.preventDefault();
});
at("channels").addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const row = document.activeElement?.closest("li");
  const next = event.key === "ArrowDown" ? row?.nextElementSibling : row?.previousElementSibling;
  (next?.querySelector("a") ?? search).focus();
  event.preventDefault();
  event.stopPropagation();
});
addEventListener("popstate", () => {
  tune(slugOf(location.href), "back");
});
video.addEventListener("timeupdate", () => {
  if (pictured || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || video.currentTime === 0) return;
  pictured = true;
  draw();
});
video.addEventListener("volumechange", () => {
  silenced &&= video.muted;
});
for (const change of ["online", "offline"]) addEventListener(change, draw);
name();
draw();
setInterval(measure, LOOK_MS);
void load();
