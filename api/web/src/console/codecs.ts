/** Texts for the codecs that viewers get: the source's, or H.264 by the channel's policy. Pure. */

import type { Channel, Source } from "./state";

type Policy = Pick<Channel, "profile" | "hevc">;

/** The channel's policy. */
export function picture({ profile, hevc }: Policy): string {
  if (profile === "h264") return "transcoded to H.264";
  return hevc === "h264" ? "as the source sends it, but HEVC transcoded to H.264" : "as the source sends it";
}

/** The mark of a source that sends HEVC: unless it is transcoded, a browser without a decoder shows nothing. */
export function hevcMark({ video }: Pick<Source, "video">, policy: Policy): string {
  if (video !== "hevc") return "";
  return [policy.profile, policy.hevc].includes("h264") ? "HEVC, sent as H.264" : "HEVC: not every browser plays it";
}
