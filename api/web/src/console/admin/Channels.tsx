/** Dialogs that edit and delete a channel. */

import { client } from "../client";
import { count } from "../format";
import { navigate } from "../route";
import { edited, removed, type Channel, type Session, type State } from "../state";
import { state } from "../store";
import { ActionButton } from "../parts/Action";
import { CHANNEL, known, POLICY, valuesOf } from "./fields";
import { DialogButton, FormDialog } from "./FormDialog";

const NAMED = 3;

export function EditChannel({ channel }: { readonly channel: Channel }) {
  return (
    <DialogButton label="Edit" name={`Edit ${channel.name}`} load={() => client.channel(channel.id)}>
      {(document, close) => {
        const fields = [...CHANNEL, ...known(POLICY, document)];
        return (
          <FormDialog
            title={`Edit ${channel.name}`}
            fields={fields}
            values={valuesOf(fields, document)}
            verb="Save"
            onClose={close}
            save={async (_, change) => {
              const { name, number, group, logo, policy } = await client.changeChannel(channel.id, change);
              const { profile, hevc, sharing, failback, slate } = policy;
              const shown = { name, number, group, logo, profile, hevc, sharing, failback, slate };
              state.value = edited(state.value, channel.id, shown);
              return `${name} saved`;
            }}
          />
        );
      }}
    </DialogButton>
  );
}

export function DeleteChannel({ channel, sessions }: { readonly channel: Channel; readonly sessions: readonly Session[] }) {
  return (
    <ActionButton
      label="Delete channel"
      tone="danger"
      question={{ title: `Delete ${channel.name}?`, ...losses(state.value, channel, sessions), verb: "Delete" }}
      act={async () => {
        await client.deleteChannel(channel.id);
        navigate("/console");
        state.value = removed(state.value, channel.id);
        return `${channel.name} deleted`;
      }}
    />
  );
}

/** What is lost with the channel, and by whom. */
export function losses(
  of: State,
  channel: Channel,
  sessions: readonly Session[],
): { readonly text: string; readonly points: readonly string[] } {
  const points = [
    channel.sources.length === 0
      ? "It has no source. Its settings are deleted."
      : `Its ${count(channel.sources.length, "source")} and its settings are deleted.`,
    watching(sessions),
  ];
  const dependent = [...of.channels.values()].filter((each) => each.failovers.includes(channel.id)).map((each) => each.name);
  if (dependent.length > 0)
    points.push(`${some(dependent)} ${dependent.length === 1 ? "fails" : "fail"} over to it, and will no longer do so.`);
  if (channel.sources.some((source) => source.provider_id !== null))
    points.push("If it is in a provider’s playlist, the next import creates it again. To prevent that, disable it instead.");
  return { text: "This cannot be undone.", points };
}

function watching(sessions: readonly Session[]): string {
  const viewers = sessions.reduce((sum, session) => sum + session.viewers, 0);
  if (sessions.length === 0) return "Nobody is watching.";
  const names = sessions.filter((session) => session.viewer !== "*").map((session) => session.viewer);
  const who = names.length === 0 ? "" : `: ${some(names)}`;
  return `${count(viewers, "viewer")} in ${count(sessions.length, "session")} will see it end${who}.`;
}

/** `Arena, Folk and 3 more` */
function some(names: readonly string[]): string {
  const shown = names.slice(0, names.length === NAMED + 1 ? NAMED + 1 : NAMED);
  const more = names.length - shown.length;
  const parts = more > 0 ? [...shown, `${more} more`] : shown;
  return parts.length < 2 ? (parts[0] ?? "") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1) ?? ""}`;
}
