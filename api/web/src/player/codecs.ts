/** Common names of the codecs in a playlist (RFC 6381). */
const NAMES: readonly (readonly [RegExp, string])[] = [
  [/hvc1|hev1/, "HEVC (H.265)"],
  [/av01/, "AV1"],
  [/ac-3|ec-3/, "Dolby Digital sound"],
];

/** The first codec that not every browser plays. */
export function nameOf(codecs: string): string {
  return NAMES.find(([pattern]) => pattern.test(codecs))?.[1] ?? "what this channel sends";
}
