/** One channel of the overview: one line where it is well; two lines and its standing where it is not. */

import { useComputed } from "@preact/signals";
import { count } from "../format";
import { sessionsOf } from "../listing";
import { channelPath } from "../route";
import { complaint, isTrouble, WORDS, type Standing } from "../standing";
import { state } from "../store";
import { Lamps } from "./Lamps";
import { Logo } from "./Logo";
import { Badge, Mark } from "./Mark";
import { Strip } from "./Strip";

export function ChannelRow({ id, standing }: { readonly id: string; readonly standing: Standing }) {
  const found = useComputed(() => state.value.channels.get(id));
  const line = useComputed(() => {
    const channel = found.value;
    return channel === undefined ? "" : complaint(state.value, channel, sessionsOf(state.value, id), standing);
  });
  const viewers = useComputed(() => sessionsOf(state.value, id).reduce((sum, session) => sum + session.viewers, 0));
  const sessions = useComputed(() => state.value.of_channel.get(id)?.length ?? 0);
  const channel = found.value;
  if (channel === undefined) return null;
  const big = isTrouble(standing);
  return (
    <a class={`channel ${standing} ${big ? "big" : ""}`} href={channelPath(id)}>
      {big ? <Mark of={standing} silent /> : <Mark of={standing} />}
      <span class="number">{channel.number}</span>
      <Logo of={channel} />
      <span class="title">
        <span class="name">{channel.name}</span>
        {big ? (
          <span class="why">
            <b>{WORDS[standing]}</b> {line.value}
          </span>
        ) : (
          <span class="group">{standing === "risk" ? line.value : channel.group}</span>
        )}
      </span>
      <Lamps of={channel.sources} />
      <Strip of={channel.strip} />
      <span class="watched" title={`${count(sessions.value, "session")}, ${count(viewers.value, "viewer")}`}>
        {sessions.value > 0 && (
          <>
            {viewers.value}
            <span class="unit"> {viewers.value === 1 ? "viewer" : "viewers"}</span>
          </>
        )}
      </span>
    </a>
  );
}

export function ChannelTitle({ id, standing }: { readonly id: string; readonly standing: Standing }) {
  const channel = state.value.channels.get(id);
  return (
    <>
      <p class="kicker">
        {channel?.number != null && <span>{channel.number}</span>}
        {channel?.group != null && <span>{channel.group}</span>}
      </p>
      <h1 tabIndex={-1}>
        {channel?.name ?? id} <Badge of={standing} />
      </h1>
    </>
  );
}
