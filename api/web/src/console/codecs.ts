/** What viewers are sent of what a source sends, in words: as it is, or as H.264 by the channel's policy. Pure. */

import type { Channel, Source } from "./state";

type Policy = Pick<Channel, "profile" | "hevc">;

/** The channel's policy. */
export function picture({ profile, hevc }: Policy): string {
  if (profile === "h264") return "transcoded to H.264";
  return hevc === "h264" ? "as the source sends it, but HEVC transcoded to H.264" : "as the source sends it";
}

/** Said beside a source that sends HEVC: where it is sent as it is, a browser without a decoder for it shows nothing. */
export function hevcMark({ video }: Pick<Source, "video">, policy: Policy): string {
  if (video !== "hevc") return "";
  return [policy.profile, policy.hevc].includes("h264") ? "HEVC, sent as H.264" : "HEVC: not every browser plays it";
}
