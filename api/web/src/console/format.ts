/** Formats times, rates and counts. The clock is always an argument. */

export function ms(at: string | null): number | null {
  if (at === null || at === "") return null;
  const value = Date.parse(at);
  return Number.isNaN(value) ? null : value;
}

/** A length of time in its two greatest units: `42 s`, `7 min`, `3 h 05`, `2 d 4 h`. Never negative. */
export function span(length_ms: number): string {
  const s = Math.max(0, Math.floor(length_ms / 1000));
  if (s < 60) return `${s} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return `${min} min`;
  const h = Math.floor(min / 60);
  if (h < 24) return `${h} h ${String(min % 60).padStart(2, "0")}`;
  return `${Math.floor(h / 24)} d ${h % 24} h`;
}

export function ago(at: string | null, now_ms: number): string {
  const then = ms(at);
  return then === null ? "never" : `${span(now_ms - then)} ago`;
}

/** A time in the future: `in 40 s`; empty where it is past. */
export function until(at: string | null, now_ms: number): string {
  const then = ms(at);
  return then === null || then <= now_ms ? "" : `in ${span(then - now_ms)}`;
}

export function rate(bps: number | null): string {
  if (bps === null) return "–";
  return bps >= 1e6 ? `${(bps / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bps / 1e3)} kbit/s`;
}

export function seconds(value_s: number | null): string {
  return value_s === null ? "–" : `${value_s.toFixed(value_s < 10 ? 1 : 0)} s`;
}

/** `1 channel`, `1,204 channels` */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${number(n)} ${n === 1 ? one : many}`;
}

export function number(n: number): string {
  return n.toLocaleString("en-GB");
}

/** The time in the operator's time zone: `21:04:10`, with the day where that is not today. */
export function clock(at: string | number | null, now_ms: number): string {
  const then = typeof at === "number" ? at : ms(at);
  if (then === null) return "–";
  const date = new Date(then);
  const time = date.toLocaleTimeString("en-GB");
  const today = new Date(now_ms).toDateString() === date.toDateString();
  return today ? time : `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time}`;
}

/** Two letters for a channel without a logo. Logos lie on other servers, and the console sends requests to its own alone. */
export function initials(name: string): string {
  const words = name.match(/[\p{L}\p{N}]+/gu) ?? [];
  const [first = "?", second] = words;
  const letters =
    second === undefined
      ? Array.from(first).slice(0, 2).join("")
      : `${Array.from(first)[0] ?? ""}${Array.from(second)[0] ?? ""}`;
  return letters.toUpperCase();
}

/** `1280×720 h264, aac`; empty where nothing is known. */
export function media(of: {
  readonly video?: string | null;
  readonly audio?: string | null;
  readonly width?: number | null;
  readonly height?: number | null;
}): string {
  const size = of.width && of.height ? `${of.width}×${of.height} ` : "";
  return [of.video ? size + of.video : "", of.audio ?? ""].filter((part) => part !== "").join(", ");
}
