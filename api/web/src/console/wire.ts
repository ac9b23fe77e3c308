/** What the API says, as it says it: snake_case, times as RFC 3339 text, unknown as null. Types alone. */

export type SourceStatus = "unknown" | "healthy" | "problematic" | "recovered" | "disabled";
export type Phase = "requested" | "starting" | "live" | "switching" | "unavailable" | "ended";

export interface WireSource {
  readonly id: string;
  /** Host and, where it is a file's name or a number, the last part of the path: no credentials. */
  readonly label: string;
  readonly priority: number;
  readonly enabled: boolean;
  readonly status: SourceStatus;
  readonly provider_id: string | null;
  readonly failure_count: number;
  readonly stall_count: number;
  readonly last_checked_at: string | null;
  readonly last_failed_at: string | null;
  readonly last_failure_reason: string | null;
  readonly held_off_until: string | null;
  /** Sessions that play it now, also those of channels that fail over to this one. */
  readonly in_use: number;
  readonly video: string | null;
  readonly audio: string | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly bitrate_bps: number | null;
}

export interface WireChannel {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly number: number | null;
  readonly group: string | null;
  readonly logo: string | null;
  readonly enabled: boolean;
  readonly profile: string;
  readonly hevc: string;
  readonly sharing: string;
  readonly failback: string;
  readonly slate: boolean;
  readonly failovers: readonly string[];
  readonly sessions: number;
  /** 96 quarter hours, oldest first: `.` no session, `g` first choice, `a` a lower one or a swap, `s` slate, `r` nothing. */
  readonly strip: string;
  readonly sources: readonly WireSource[];
}

export interface WireSession {
  readonly id: string;
  readonly channel_id: string;
  readonly viewer: string;
  readonly viewers: number;
  readonly phase: Phase;
  readonly desired: "run" | "stop";
  readonly attempt: number | null;
  /** The word `slate` for the slate. */
  readonly source_id: string | null;
  readonly created_at: string;
  readonly attempt_started_at: string | null;
  readonly live_at: string | null;
  readonly bitrate_bps: number | null;
  readonly segments: number | null;
  readonly buffer_s: number | null;
  readonly last_segment_at: string | null;
}

export interface WireFullProvider {
  readonly id: string;
  readonly name: string;
  readonly max_connections: number;
  readonly connections_in_use: number;
}

export interface WireOverview {
  readonly at: string;
  readonly version: string;
  /** Where clients reach the API. */
  readonly public_url: string;
  readonly draining_since: string | null;
  readonly orchestrator: { readonly seen_at: string | null; readonly runs: boolean };
  readonly store_answers: boolean;
  readonly full_providers: readonly WireFullProvider[];
  readonly cursor: number;
  readonly channels: readonly WireChannel[];
  readonly sessions: readonly WireSession[];
}

export const EVENT_TYPES = [
  "session.live",
  "stream.switch",
  "stream.unavailable",
  "stream.recovered",
  "switch.refused",
  "session.ended",
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

export interface WireEvent {
  readonly id: number;
  readonly type: EventType;
  readonly at: string;
  readonly session_id: string;
  readonly channel_id?: string;
  readonly source?: string | null;
  readonly from?: string | null;
  readonly to?: string | null;
  readonly attempt?: number;
  readonly reason?: string | null;
  readonly slate?: boolean;
  readonly gap_ms?: number | null;
  readonly start_ms?: number;
  readonly sources?: Readonly<Record<string, string>>;
}

export interface WireAttempt {
  readonly number: number;
  readonly source_id: string | null;
  readonly started_at: string;
  readonly first_segment_at: string | null;
  readonly ended_at: string | null;
  readonly exit_code: number | null;
  readonly start_reason: string | null;
  readonly end_reason: string | null;
}

/** `GET /v1/sessions/{id}`: what the session's page needs of it where the overview no longer has it. */
export interface WireSessionView {
  readonly id: string;
  readonly viewer: string;
  readonly viewers: number;
  readonly channel: { readonly id: string; readonly slug: string | null; readonly name: string | null };
  readonly phase: Phase;
  readonly created_at: string;
  readonly ended_at: string | null;
  readonly end_reason: string | null;
  readonly playlist_url: string;
}

/** `GET /v1/channels/{id}`: what the overview says too, and the rest of the policy. */
export interface WireChannelDocument extends Readonly<Record<string, unknown>> {
  readonly id: string;
  readonly name: string;
  readonly number: number | null;
  readonly group: string | null;
  readonly logo: string | null;
  readonly policy: Pick<WireChannel, "profile" | "hevc" | "sharing" | "failback" | "slate">;
}

export interface WireHistory {
  readonly channel_id: string;
  readonly quarters: readonly {
    readonly at: string;
    readonly state: string;
    readonly swaps: number;
    readonly failures: number;
  }[];
  readonly recent: readonly WireEvent[];
}

export interface WireProbed {
  readonly status: SourceStatus;
  readonly last_failure_reason: string | null;
  readonly media: {
    readonly video: string | null;
    readonly audio: string | null;
    readonly width: number | null;
    readonly height: number | null;
    readonly bitrate_bps: number | null;
  } | null;
}

export interface WireCounts {
  readonly channels_added: number;
  readonly channels_updated: number;
  readonly channels_enabled: number;
  readonly channels_disabled: number;
  readonly sources_added: number;
  readonly sources_updated: number;
  readonly sources_enabled: number;
  readonly sources_disabled: number;
}

export interface WireImport {
  readonly provider: string;
  readonly provider_is_new: boolean;
  readonly dry_run: boolean;
  readonly entries: number;
  readonly duplicates: number;
  readonly counts: WireCounts;
  readonly changed_meanwhile: number;
  readonly faults: readonly { readonly line: number; readonly reason: string }[];
  readonly fault_count: number;
  readonly changes: readonly {
    readonly channel: string;
    readonly name: string;
    readonly is_new: boolean;
    readonly fields: readonly string[];
    readonly counts: WireCounts;
  }[];
  readonly change_count: number;
}

export interface WireProvider {
  readonly id: string;
  readonly name: string;
  readonly max_connections: number | null;
  readonly connections_in_use: number;
}

export interface WireDiagnosis {
  readonly healthy: boolean;
  readonly findings: readonly {
    readonly check: string;
    readonly what: string;
    readonly remedy: string;
    readonly level: "wrong" | "note";
    readonly subjects: readonly string[];
  }[];
}
