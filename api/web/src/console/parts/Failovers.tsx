/** A channel's failover channels: their sources are used, in order, when all of its own are down. */

import { useSignal } from "@preact/signals";
import { client } from "../client";
import { matches } from "../listing";
import { moved } from "../reorder";
import { channelPath } from "../route";
import { edited, type Channel } from "../state";
import { announce, standingOf, state } from "../store";
import { OutcomeNote, useAction } from "./Action";
import { Mark } from "./Mark";

const FOUND = 6;

export function Failovers({ channel }: { readonly channel: Channel }) {
  const search = useSignal("");
  const action = useAction();
  const { channels } = state.value;
  const chosen = channel.failovers;
  const found =
    search.value.trim() === ""
      ? []
      : [...channels.values()].filter(
          (each) => each.id !== channel.id && !chosen.includes(each.id) && matches(each, search.value),
        );

  /** Shown at once, and undone where the API refuses it. */
  function set(next: readonly string[], words: string): void {
    if (action.outcome.peek().kind === "pending") return;
    state.value = edited(state.value, channel.id, { failovers: next });
    void action
      .start(async () => {
        await client.failovers(channel.id, next);
        return words;
      })
      .then((saved) => {
        if (!saved) state.value = edited(state.value, channel.id, { failovers: chosen });
      });
  }

  return (
    <div class="failovers">
      {chosen.length === 0 ? (
        <p class="hint">None. When all of its sources fail, viewers see the slate.</p>
      ) : (
        <ol>
          {chosen.map((id, index) => {
            const name = channels.get(id)?.name ?? id;
            return (
              <li key={id}>
                <span class="place">{index + 1}</span>
                <Mark of={standingOf.value.get(id) ?? "idle"} />
                <a class="name" href={channelPath(id)}>
                  {name}
                </a>
                <span class="buttons">
                  <button
                    type="button"
                    class="quiet"
                    disabled={index === 0}
                    aria-label={`Move ${name} up`}
                    onClick={() => {
                      set(moved(chosen, index, index - 1), `${name} is now ${index}`);
                    }}
                  >
                    ↑
                  </button>
                  <button
                    type="button"
                    class="quiet"
                    disabled={index === chosen.length - 1}
                    aria-label={`Move ${name} down`}
                    onClick={() => {
                      set(moved(chosen, index, index + 1), `${name} is now ${index + 2}`);
                    }}
                  >
                    ↓
                  </button>
                  <button
                    type="button"
                    class="quiet"
                    aria-label={`Remove ${name}`}
                    onClick={() => {
                      set(
                        chosen.filter((each) => each !== id),
                        `${name} removed`,
                      );
                    }}
                  >
                    ✕
                  </button>
                </span>
              </li>
            );
          })}
        </ol>
      )}
      <label class="field">
        <span>Add a failover channel</span>
        <input
          type="search"
          placeholder="Search by name or number"
          autoComplete="off"
          value={search.value}
          onInput={(event) => {
            search.value = event.currentTarget.value;
          }}
        />
      </label>
      {search.value.trim() !== "" && (
        <ul class="found" aria-label="Channels found">
          {found.slice(0, FOUND).map((each) => (
            <li key={each.id}>
              <button
                type="button"
                class="quiet"
                onClick={() => {
                  set([...chosen, each.id], `${each.name} added`);
                  search.value = "";
                  announce(`${each.name} added`);
                }}
              >
                <Mark of={standingOf.value.get(each.id) ?? "idle"} />
                {each.name}
                {each.group !== null && <span class="label">{each.group}</span>}
              </button>
            </li>
          ))}
          {found.length === 0 && <li class="hint">No other channel is called that.</li>}
          {found.length > FOUND && <li class="hint">and {found.length - FOUND} more</li>}
        </ul>
      )}
      <OutcomeNote of={action.outcome} />
    </div>
  );
}
