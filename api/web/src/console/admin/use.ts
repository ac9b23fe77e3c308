/** The use of a provider: its sources by status, and its sessions. Pure. */

import { number } from "../format";
import { lampOf } from "../standing";
import type { Channel } from "../state";
import type { WireProvider } from "../wire";

export interface Use {
  readonly sources: number;
  readonly channels: number;
  /** Sessions that play from it. */
  readonly in_use: number;
  readonly failing: number;
  /** Sources that have not been probed yet. */
  readonly unknown: number;
  readonly off: number;
}

export const UNUSED: Use = { sources: 0, channels: 0, in_use: 0, failing: 0, unknown: 0, off: 0 };

/** Whether it allows no further connection. After its limit was lowered, more may be in use than it allows. */
export function isFull({ max_connections, connections_in_use }: WireProvider): boolean {
  return max_connections !== null && connections_in_use >= max_connections;
}

/** By provider. */
export function usesOf(channels: Iterable<Channel>): ReadonlyMap<string, Use> {
  const found = new Map<string, Use>();
  for (const channel of channels) {
    const seen = new Set<string>();
    for (const source of channel.sources) {
      const { provider_id } = source;
      if (provider_id === null) continue;
      const before = found.get(provider_id) ?? UNUSED;
      const lamp = lampOf(source);
      found.set(provider_id, {
        sources: before.sources + 1,
        channels: before.channels + Number(!seen.has(provider_id)),
        in_use: before.in_use + source.in_use,
        failing: before.failing + Number(lamp === "failing"),
        unknown: before.unknown + Number(lamp === "unknown"),
        off: before.off + Number(lamp === "off"),
      });
      seen.add(provider_id);
    }
  }
  return found;
}

/** `412 work · 30 fail · 158 not known yet`; empty where there is no source. */
export function told(of: Use): string {
  const parts: readonly (readonly [number, string])[] = [
    [of.sources - of.failing - of.unknown - of.off, "work"],
    [of.failing, "fail"],
    [of.unknown, "not known yet"],
    [of.off, "disabled"],
  ];
  return parts.flatMap(([n, word]) => (n > 0 ? [`${number(n)} ${word}`] : [])).join(" · ");
}
