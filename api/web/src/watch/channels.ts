/** The channels beside the picture, searched by name, number or group. Logos come from this API alone. */

export interface Channel {
  readonly slug: string;
  readonly name: string;
  readonly number: number | null;
  readonly group: string | null;
  readonly logo: boolean;
}

/** The number of channels that are drawn; others are found by searching. */
export const DRAWN = 200;
const TINTS = 6;

/** Each word must occur, in any order; case and accents are ignored. Digits match the beginning of a channel's number. */
export function matching(channels: readonly Channel[], text: string): readonly Channel[] {
  const words = plain(text).split(/\s+/).filter(Boolean);
  if (!words.length) return channels;
  return channels.filter((channel) => {
    const there = plain(`${channel.name} ${channel.group ?? ""} ${channel.slug}`);
    return words.every((word) => there.includes(word) || String(channel.number ?? "").startsWith(word));
  });
}

/** The previous or next channel; behind the last comes the first. */
export function neighbour(channels: readonly Channel[], slug: string, by: 1 | -1): Channel | undefined {
  if (!channels.length) return undefined;
  const at = channels.findIndex((channel) => channel.slug === slug);
  if (at < 0) return channels.at(by > 0 ? 0 : -1);
  return channels[(at + by + channels.length) % channels.length];
}

/** Groups in the order in which their first channel comes. */
export function groupsOf(channels: readonly Channel[]): readonly string[] {
  return [...new Set(channels.flatMap(({ group }) => group ?? []))];
}

/** Channels by their groups; those without one come last. */
export function grouped(channels: readonly Channel[]): readonly (readonly [string | null, readonly Channel[]])[] {
  const found = new Map<string | null, Channel[]>(groupsOf(channels).map((group) => [group, []]));
  for (const channel of channels) {
    const members = found.get(channel.group);
    if (members) members.push(channel);
    else found.set(channel.group, [channel]);
  }
  return [...found];
}

export function initials(name: string): string {
  const words = name.match(/[\p{L}\p{N}]+/gu) ?? [];
  const first = (word: string) => String.fromCodePoint(word.codePointAt(0) ?? 0).toUpperCase();
  return words.slice(0, 2).map(first).join("");
}

/** The logo, or the name's initials where there is none or it cannot be loaded. */
export function logoInto(tile: HTMLElement, channel: Channel, base: URL): void {
  const tint = Array.from(channel.slug, (letter) => letter.charCodeAt(0)).reduce((sum, code) => sum + code, 0) % TINTS;
  tile.className = `logo tint-${tint}`;
  tile.textContent = initials(channel.name);
  if (!channel.logo) return;
  const picture = new Image();
  picture.alt = "";
  picture.decoding = "async";
  picture.loading = "lazy";
  picture.onload = () => {
    tile.className = "logo";
    tile.replaceChildren(picture);
  };
  // A lazy picture loads only where it is visible, so it must be laid out; the initials are behind it until it is loaded.
  tile.append(picture);
  picture.onerror = () => {
    picture.remove();
  };
  picture.src = new URL(`watch/${channel.slug}/logo`, base).href;
}

export function rowOf(channel: Channel, current: string, base: URL): HTMLLIElement {
  const row = document.createElement("li");
  const link = document.createElement("a");
  const tile = document.createElement("span");
  const name = document.createElement("span");
  link.href = channel.slug;
  link.dataset["slug"] = channel.slug;
  if (channel.slug === current) link.setAttribute("aria-current", "page");
  tile.setAttribute("aria-hidden", "true");
  logoInto(tile, channel, base);
  name.className = "name";
  name.textContent = channel.name;
  link.append(tile, name);
  if (channel.group) name.append(small("group", channel.group));
  if (channel.number !== null) link.append(small("number", String(channel.number)));
  row.append(link);
  return row;
}

function small(kind: string, text: string): HTMLElement {
  const element = document.createElement("small");
  element.className = kind;
  element.textContent = text;
  return element;
}

function plain(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
