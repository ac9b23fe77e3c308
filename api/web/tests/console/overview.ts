/** Small documents as the API gives them, for the tests. */

import type { WireChannel, WireOverview, WireSession, WireSource } from "../../src/console/wire";

export function source(id: string, change: Partial<WireSource> = {}): WireSource {
  return {
    id,
    label: `${id}.example/live.m3u8`,
    priority: 1,
    enabled: true,
    status: "healthy",
    provider_id: null,
    failure_count: 0,
    stall_count: 0,
    last_checked_at: null,
    last_failed_at: null,
    last_failure_reason: null,
    held_off_until: null,
    in_use: 0,
    video: "h264",
    audio: "aac",
    width: 1280,
    height: 720,
    bitrate_bps: 1_500_000,
    ...change,
  };
}

export function channel(id: string, change: Partial<WireChannel> = {}): WireChannel {
  return {
    id,
    slug: id,
    name: id.toUpperCase(),
    number: null,
    group: null,
    logo: null,
    enabled: true,
    sharing: "viewer",
    profile: "copy",
    hevc: "copy",
    failback: "when_stable",
    slate: true,
    failovers: [],
    sessions: 0,
    strip: ".".repeat(95) + "g",
    sources: [source(`${id}-a`), source(`${id}-b`)],
    ...change,
  };
}

export function session(id: string, channel_id: string, change: Partial<WireSession> = {}): WireSession {
  return {
    id,
    channel_id,
    viewer: "alice",
    viewers: 1,
    phase: "live",
    desired: "run",
    shown: "source",
    attempt: 1,
    source_id: `${channel_id}-a`,
    created_at: "2026-01-01T00:00:00.000Z",
    attempt_started_at: "2026-01-01T00:00:00.100Z",
    live_at: "2026-01-01T00:00:00.400Z",
    bitrate_bps: 1_500_000,
    segments: 15,
    buffer_s: 30,
    last_segment_at: null,
    ...change,
  };
}

export function overview(
  channels: readonly WireChannel[],
  sessions: readonly WireSession[] = [],
  change: Partial<WireOverview> = {},
): WireOverview {
  return {
    at: "2026-01-01T00:01:00.000Z",
    version: "1",
    public_url: "http://tv.example",
    draining_since: null,
    orchestrator: { seen_at: "2026-01-01T00:00:59.000Z", runs: true },
    store_answers: true,
    full_providers: [],
    cursor: 100,
    channels,
    sessions,
    ...change,
  };
}
