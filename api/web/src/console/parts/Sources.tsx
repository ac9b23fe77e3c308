/** A channel's sources in the order in which they are tried. The order is changed by dragging, or by the arrow keys on a row's grip. A
 * move is shown at once and saved a moment later; if that fails, it is undone. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { EditSource } from "../admin/Sources";
import { client } from "../client";
import { hevcMark } from "../codecs";
import { media, rate } from "../format";
import { dropped, keyed, moved } from "../reorder";
import { LAMP_WORDS, lampOf } from "../standing";
import { edited, editedSource, type Channel, type Source } from "../state";
import { announce, now_ms, state } from "../store";
import { ActionButton, OutcomeNote, useAction } from "./Action";
import { Ago, Until } from "./Age";
import { LampSign } from "./Lamps";

const SETTLE_MS = 700;

export function Sources({ channel }: { readonly channel: Channel }) {
  /** While it is being changed here. */
  const order = useSignal<readonly string[] | null>(null);
  const dragged = useSignal<string | null>(null);
  const action = useAction();
  const list = useRef<HTMLOListElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const sources =
    order.value === null
      ? channel.sources
      : order.value.flatMap((id) => channel.sources.find((source) => source.id === id) ?? []);

  useEffect(
    () => () => {
      clearTimeout(timer.current);
    },
    [],
  );

  function place(id: string, to: number): void {
    const now = sources.map((source) => source.id);
    const next = moved(now, now.indexOf(id), to);
    if (next !== now) order.value = next;
  }

  async function save(): Promise<void> {
    const ids = order.peek();
    if (ids === null) return;
    const before = channel.sources;
    const after = ids.flatMap((id) => before.find((source) => source.id === id) ?? []);
    state.value = edited(state.value, channel.id, { sources: after });
    order.value = null;
    const saved = await action.start(async () => {
      await client.order(channel.id, ids);
      return "Order saved";
    });
    if (!saved) state.value = edited(state.value, channel.id, { sources: before });
  }

  function key(event: KeyboardEvent, source: Source, index: number): void {
    if (event.key === "Escape" && order.value !== null) {
      clearTimeout(timer.current);
      order.value = null;
      event.preventDefault();
      announce("The order is as it was");
      return;
    }
    const to = keyed(event.key, index, sources.length);
    if (to === null) return;
    event.preventDefault();
    if (to === index) return;
    place(source.id, to);
    announce(`${source.label} is now ${to + 1} of ${sources.length}`);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => void save(), SETTLE_MS);
  }

  function drag(event: PointerEvent): void {
    const id = dragged.value;
    if (id === null || list.current === null) return;
    const rows = [...list.current.children];
    const middles = rows.map((row) => {
      const box = row.getBoundingClientRect();
      return box.top + box.height / 2;
    });
    const index = sources.findIndex((each) => each.id === id);
    place(id, dropped(middles, index, event.clientY));
  }

  if (channel.sources.length === 0) return <p class="nothing">It has no source. Nothing can play.</p>;
  return (
    <>
      <ol
        class="sources"
        ref={list}
        onPointerMove={drag}
        onPointerUp={() => {
          if (dragged.value === null) return;
          dragged.value = null;
          void save();
        }}
        onPointerCancel={() => {
          dragged.value = null;
          order.value = null;
        }}
      >
        {sources.map((source, index) => (
          <li key={source.id} class={`source ${lampOf(source)} ${dragged.value === source.id ? "dragged" : ""}`}>
            <button
              type="button"
              class="grip"
              aria-label={`Move ${source.label}, ${index + 1} of ${sources.length}`}
              title="Drag, or use the arrow keys"
              onKeyDown={(event) => {
                key(event, source, index);
              }}
              onPointerDown={(event) => {
                // Captured by the list: a row that is moved loses the pointer, and would get no event of its release
                list.current?.setPointerCapture(event.pointerId);
                clearTimeout(timer.current);
                dragged.value = source.id;
              }}
            >
              <svg viewBox="0 0 10 16" aria-hidden="true">
                <path d="M1 2h3v3H1zM6 2h3v3H6zM1 7h3v3H1zM6 7h3v3H6zM1 12h3v3H1zM6 12h3v3H6z" />
              </svg>
            </button>
            <span class="place">{index + 1}</span>
            <LampSign of={source} />
            <span class="title">
              <span class="name">{source.label}</span>
              <Detail of={source} channel={channel} />
            </span>
            <span class="counters">
              <span>
                {source.failure_count} <span class="label">failures</span>
              </span>
              <span>
                {source.stall_count} <span class="label">stalls</span>
              </span>
              <span class="label">
                checked <Ago at={source.last_checked_at} />
              </span>
            </span>
            <span class="buttons">
              <ActionButton label="Probe" name={`Probe ${source.label}`} act={() => probe(source)} />
              <ActionButton
                label={source.enabled ? "Disable" : "Enable"}
                name={`${source.enabled ? "Disable" : "Enable"} ${source.label}`}
                act={() => enable(channel, source)}
              />
              <EditSource channel={channel} source={source} />
            </span>
          </li>
        ))}
      </ol>
      <OutcomeNote of={action.outcome} />
    </>
  );
}

const HEVC =
  "Televisions, VLC, Kodi and Safari play HEVC (H.265); many other browsers cannot. The channel’s “Edit” says what is sent of it.";

function Detail({ of, channel }: { readonly of: Source; readonly channel: Channel }) {
  const hevc = hevcMark(of, channel);
  const held = of.held_off_until !== null && Date.parse(of.held_off_until) > now_ms.value;
  const lamp = lampOf(of);
  return (
    <span class="detail">
      <b>{lamp === "playing" ? `plays in ${of.in_use}` : LAMP_WORDS[lamp]}</b>
      {of.status === "recovered" && <span>recovered</span>}
      {lamp === "failing" && of.last_failure_reason !== null && (
        <span class="reason">
          {of.last_failure_reason}, <Ago at={of.last_failed_at} />
        </span>
      )}
      {held && (
        <span>
          tried again <Until at={of.held_off_until} />
        </span>
      )}
      {lamp !== "failing" && media(of) !== "" && <span>{media(of)}</span>}
      {hevc !== "" && <span title={HEVC}>{hevc}</span>}
      {lamp !== "failing" && of.bitrate_bps !== null && <span>{rate(of.bitrate_bps)}</span>}
      {lamp !== "failing" && of.last_failure_reason !== null && (
        <span class="past">
          last failed <Ago at={of.last_failed_at} />: {of.last_failure_reason}
        </span>
      )}
    </span>
  );
}

async function probe(source: Source): Promise<string> {
  const found = await client.probe(source.id);
  if (found.status === "problematic") return `fails: ${found.last_failure_reason ?? "no reason given"}`;
  const seen = found.media === null ? "" : media(found.media);
  return seen === "" ? "works" : `works: ${seen}`;
}

/** Shown at once: it can be undone by the same button. */
async function enable(channel: Channel, source: Source): Promise<string> {
  const enabled = !source.enabled;
  state.value = editedSource(state.value, channel.id, source.id, { enabled, status: enabled ? "unknown" : "disabled" });
  try {
    await client.enableSource(source.id, enabled);
  } catch (error) {
    state.value = editedSource(state.value, channel.id, source.id, { enabled: !enabled, status: source.status });
    throw error;
  }
  return enabled ? "Enabled" : "Disabled";
}
