/** The table of providers (accounts that sources belong to), with dialogs that add, edit and delete them. */

import { useComputed, useSignal, type Signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { client } from "../client";
import { count, number } from "../format";
import { onEvents } from "../live";
import { state } from "../store";
import type { WireProvider } from "../wire";
import { ActionButton, why } from "../parts/Action";
import { PROVIDER, valuesOf } from "./fields";
import { isFull, told, UNUSED, usesOf, type Use } from "./use";
import { DialogButton, FormDialog } from "./FormDialog";

const ADD = "add-provider";

export function Providers() {
  const providers = useSignal<readonly WireProvider[] | null>(null);
  const failed = useSignal("");
  const use = useComputed(() => usesOf(state.value.channels.values()));
  useEffect(() => {
    void read(providers, failed);
    return onEvents(() => void read(providers, failed)); // who starts or ends takes or gives a connection
  }, [providers, failed]);
  const again = (): void => void read(providers, failed);
  return (
    <section class="panel providers" aria-labelledby="providers-title">
      <div class="head">
        <h2 id="providers-title">
          Providers <span class="count">{providers.value?.length ?? ""}</span>
        </h2>
        <DialogButton label="Add provider" id={ADD} load={() => Promise.resolve()}>
          {(_, close) => (
            <FormDialog
              title="Add a provider"
              fields={PROVIDER}
              values={valuesOf(PROVIDER, {})}
              verb="Add"
              taken="name"
              onClose={close}
              save={async (whole) => {
                const made = await client.addProvider(whole);
                again();
                return `${made.name} added`;
              }}
            />
          )}
        </DialogButton>
      </div>
      {failed.value !== "" && <p class="outcome failed">✕ {failed.value}</p>}
      {providers.value?.length === 0 && <p class="nothing">None. An import brings one, or add it here.</p>}
      {providers.value !== null && providers.value.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Connections</th>
              <th scope="col">Sources</th>
              <th scope="col">
                <span class="spoken">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {providers.value.map((each) => (
              <tr key={each.id} class={isFull(each) ? "full" : ""}>
                <td class="provider-name">{each.name}</td>
                <td>
                  {each.connections_in_use}
                  {each.max_connections === null ? " in use, no limit" : ` of ${each.max_connections} in use`}
                  {isFull(each) && " · full"}
                </td>
                <td>
                  {number((use.value.get(each.id) ?? UNUSED).sources)}
                  <span class="detail">{told(use.value.get(each.id) ?? UNUSED)}</span>
                </td>
                <td class="acts">
                  <Edit provider={each} use={use.value.get(each.id) ?? UNUSED} onDone={again} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Edit({ provider, use, onDone }: { readonly provider: WireProvider; readonly use: Use; readonly onDone: () => void }) {
  return (
    <DialogButton label="Edit" name={`Edit ${provider.name}`} load={() => client.provider(provider.id)}>
      {(found, close) => (
        <FormDialog
          title={`Edit ${provider.name}`}
          fields={PROVIDER}
          values={valuesOf(PROVIDER, { ...found })}
          verb="Save"
          taken="name"
          onClose={close}
          save={async (_, change) => {
            const saved = await client.changeProvider(provider.id, change);
            onDone();
            return `${saved.name} saved`;
          }}
        >
          {(closeForm) => (
            <ActionButton
              label="Delete provider"
              tone="danger"
              question={{
                title: `Delete ${provider.name}?`,
                text: "This cannot be undone.",
                points: [
                  use.sources === 0
                    ? "It has no source."
                    : `Its ${count(use.sources, "source")} in ${count(use.channels, "channel")} go with it, and the channels that its imports brought, where no other source is left.`,
                  use.in_use === 0
                    ? "No session plays from it."
                    : `${count(use.in_use, "session")} ${use.in_use === 1 ? "plays" : "play"} from it, and will go on with another source or end.`,
                ],
                verb: "Delete",
              }}
              act={async () => {
                await client.deleteProvider(provider.id);
                closeForm();
                onDone();
                document.getElementById(ADD)?.focus(); // the button that had opened all this goes with its row
                return `${provider.name} deleted`;
              }}
            />
          )}
        </FormDialog>
      )}
    </DialogButton>
  );
}

async function read(providers: Signal<readonly WireProvider[] | null>, failed: Signal<string>): Promise<void> {
  try {
    providers.value = await client.providers();
    failed.value = "";
  } catch (error) {
    failed.value = why(error);
  }
}
