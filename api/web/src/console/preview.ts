/** Texts for the changes of an import, or of its dry run. Pure. */

import { count } from "./format";
import type { WireCounts, WireImport } from "./wire";

export interface Line {
  readonly sign: "+" | "~" | "−" | "↑";
  readonly text: string;
}

/** Counts above 0; removals come last. */
export function lines(of: WireCounts): readonly Line[] {
  const all: readonly (readonly [Line["sign"], number, string, string])[] = [
    ["+", of.channels_added, "channel", "added"],
    ["+", of.sources_added, "source", "added"],
    ["~", of.channels_updated, "channel", "changed"],
    ["~", of.sources_updated, "source", "changed"],
    ["↑", of.channels_enabled, "channel", "enabled again"],
    ["↑", of.sources_enabled, "source", "enabled again"],
    ["−", of.channels_disabled, "channel", "disabled"],
    ["−", of.sources_disabled, "source", "disabled"],
  ];
  return all.flatMap(([sign, n, noun, verb]) => (n > 0 ? [{ sign, text: `${count(n, noun)} ${verb}` }] : []));
}

/** One changed channel in a line: `2 sources added, 1 source disabled; name, logo`. */
export function summary(change: WireImport["changes"][number]): string {
  const { counts: of } = change;
  const rest = lines({ ...of, channels_added: 0, channels_updated: 0 }).map((line) => line.text);
  return [...rest, ...(change.fields.length > 0 ? [`changes ${change.fields.join(", ")}`] : [])].join("; ");
}

/** Whether there is anything to apply. */
export function isEmpty(of: WireCounts): boolean {
  return Object.values(of).every((n) => n === 0);
}

/** Addresses as an operator pastes them: one a line, blank lines and what follows a `#` left out. */
export function addresses(text: string): readonly string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}
