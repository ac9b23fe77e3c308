/** Dialogs that add, edit and delete a channel's source. */

import { client } from "../client";
import { count } from "../format";
import { edited, type Channel, type Source } from "../state";
import { state } from "../store";
import { ActionButton } from "../parts/Action";
import { sourceFields, valuesOf, type Body } from "./fields";
import { DialogButton, FormDialog } from "./FormDialog";

const ADD = "add-source";

export function AddSource({ channel }: { readonly channel: Channel }) {
  return (
    <DialogButton label="Add source" id={ADD} load={fields}>
      {(loaded, close) => (
        <FormDialog
          title={`Add a source to ${channel.name}`}
          fields={loaded}
          values={valuesOf(loaded, {})}
          verb="Add"
          onClose={close}
          save={async (whole) => {
            await client.addSource(channel.id, whole);
            return "Source added, to be tried last";
          }}
        />
      )}
    </DialogButton>
  );
}

export function EditSource({ channel, source }: { readonly channel: Channel; readonly source: Source }) {
  return (
    <DialogButton
      label="Edit"
      name={`Edit ${source.label}`}
      load={async () => {
        const [loaded, document] = await Promise.all([fields(), client.source(source.id)]);
        return { fields: loaded, document };
      }}
    >
      {(loaded: { readonly fields: Awaited<ReturnType<typeof fields>>; readonly document: Body }, close) => (
        <FormDialog
          title="Edit source"
          fields={loaded.fields}
          values={valuesOf(loaded.fields, loaded.document)}
          verb="Save"
          onClose={close}
          save={async (_, change) => {
            await client.changeSource(source.id, change);
            return "Source saved";
          }}
        >
          {(closeForm) => <DeleteSource channel={channel} source={source} onDeleted={closeForm} />}
        </FormDialog>
      )}
    </DialogButton>
  );
}

function DeleteSource({
  channel,
  source,
  onDeleted,
}: {
  readonly channel: Channel;
  readonly source: Source;
  readonly onDeleted: () => void;
}) {
  const last = channel.sources.length === 1;
  return (
    <ActionButton
      label="Delete source"
      tone="danger"
      question={{
        title: "Delete this source?",
        text: `${source.label}, with its settings and counters.`,
        points: [
          source.in_use === 0
            ? "No session plays it."
            : `${count(source.in_use, "session")} ${source.in_use === 1 ? "plays" : "play"} it and will go on with the next source.`,
          ...(last ? ["It is the channel’s only one: nothing will be left to play."] : []),
          ...(source.provider_id === null ? [] : ["If it is in the provider’s playlist, the next import creates it again."]),
        ],
        verb: "Delete",
      }}
      act={async () => {
        await client.deleteSource(source.id);
        onDeleted();
        const sources = (state.value.channels.get(channel.id)?.sources ?? []).filter((each) => each.id !== source.id);
        state.value = edited(state.value, channel.id, { sources });
        document.getElementById(ADD)?.focus(); // the button that had opened all this goes with its row
        return "Source deleted";
      }}
    />
  );
}

async function fields(): Promise<ReturnType<typeof sourceFields>> {
  return sourceFields((await client.providers()).map((each) => [each.id, each.name] as const));
}
