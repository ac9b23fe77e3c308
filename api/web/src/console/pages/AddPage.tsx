/** Adds channels: from a provider's playlist, first as a dry run that shows the changes, or one by one. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { NEW_CHANNEL, valuesOf } from "../admin/fields";
import { Fields, WholeFaults } from "../admin/FormFields";
import { useForm } from "../admin/useForm";
import { client } from "../client";
import { count, number } from "../format";
import { isEmpty, lines, summary } from "../preview";
import { channelPath, navigate } from "../route";
import type { WireImport, WireProvider } from "../wire";
import { OutcomeNote, useAction } from "../parts/Action";

type From = "file" | "text" | "address";

export function AddPage() {
  return (
    <main id="main" class="page add-page" tabIndex={-1}>
      <h1 tabIndex={-1}>Add channels</h1>
      <div class="halves">
        <Import />
        <One />
      </div>
    </main>
  );
}

function Import() {
  const from = useSignal<From>("file");
  const provider = useSignal("");
  const file = useSignal<File | null>(null);
  const text = useSignal("");
  const address = useSignal("");
  const providers = useSignal<readonly WireProvider[]>([]);
  const plan = useSignal<WireImport | null>(null);
  const showing = useAction();
  const applying = useAction();
  useEffect(() => {
    client.providers().then(
      (found) => {
        providers.value = found;
      },
      () => undefined, // names to choose from are a convenience
    );
  }, [providers]);

  async function run(dry_run: boolean): Promise<WireImport> {
    if (from.value === "address") return client.importUrl(provider.value.trim(), address.value.trim(), dry_run);
    return client.importPlaylist(provider.value.trim(), from.value === "file" ? (file.value ?? "") : text.value, dry_run);
  }
  const ready =
    provider.value.trim() !== "" &&
    (from.value === "file" ? file.value !== null : (from.value === "text" ? text.value : address.value).trim() !== "");
  const isNew =
    provider.value.trim() !== "" && !providers.value.some((each) => [each.name, each.id].includes(provider.value.trim()));
  /** Whether the preview belongs to input that has changed since. */
  const changed = (): void => {
    plan.value = null;
  };

  return (
    <section class="panel" aria-labelledby="import-title">
      <div class="head">
        <h2 id="import-title">Import a provider’s playlist</h2>
      </div>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          if (!ready) return;
          plan.value = null;
          void showing.start(async () => {
            plan.value = await run(true);
            return count(plan.value.entries, "entry", "entries");
          });
        }}
      >
        <label class="field">
          <span>Provider</span>
          <input
            list="providers"
            required
            autoComplete="off"
            placeholder="Acme TV"
            value={provider.value}
            onInput={(event) => {
              provider.value = event.currentTarget.value;
              changed();
            }}
          />
          <datalist id="providers">
            {providers.value.map((each) => (
              <option key={each.id} value={each.name} />
            ))}
          </datalist>
        </label>
        {isNew && (
          <p class="hint">
            A new provider. If the account allows only so many connections, <a href="/console/system">add it with its limit</a>{" "}
            first: imported sources are probed at once.
          </p>
        )}
        <fieldset class="choice">
          <legend>M3U from</legend>
          {(["file", "text", "address"] as const).map((each) => (
            <label key={each}>
              <input
                type="radio"
                name="from"
                checked={from.value === each}
                onChange={() => {
                  from.value = each;
                  changed();
                }}
              />
              {{ file: "a file", text: "text", address: "an address" }[each]}
            </label>
          ))}
        </fieldset>
        {from.value === "file" && (
          <label class="field">
            <span>File</span>
            <input
              type="file"
              accept=".m3u,.m3u8,audio/x-mpegurl,text/plain"
              onChange={(event) => {
                file.value = event.currentTarget.files?.[0] ?? null;
                changed();
              }}
            />
          </label>
        )}
        {from.value === "text" && (
          <label class="field">
            <span>Playlist</span>
            <textarea
              rows={7}
              spellcheck={false}
              placeholder={'#EXTM3U\n#EXTINF:-1 group-title="News",News One\nhttp://provider.example/1.ts'}
              value={text.value}
              onInput={(event) => {
                text.value = event.currentTarget.value;
                changed();
              }}
            />
          </label>
        )}
        {from.value === "address" && (
          <label class="field">
            <span>Address</span>
            <input
              type="url"
              placeholder="http://provider.example/get.php?type=m3u_plus"
              value={address.value}
              onInput={(event) => {
                address.value = event.currentTarget.value;
                changed();
              }}
            />
          </label>
        )}
        <p class="buttons">
          <button
            type="submit"
            class={plan.value === null ? "main" : "plain"}
            aria-disabled={!ready}
            aria-busy={showing.outcome.value.kind === "pending"}
          >
            Show what would change
          </button>
          <OutcomeNote of={showing.outcome} />
        </p>
      </form>
      {plan.value !== null && (
        <Plan
          of={plan.value}
          onApply={() => {
            void applying.start(async () => {
              plan.value = await run(false);
              return "Imported";
            });
          }}
          pending={applying.outcome.value.kind === "pending"}
        />
      )}
      <OutcomeNote of={applying.outcome} />
    </section>
  );
}

function Plan({ of, onApply, pending }: { readonly of: WireImport; readonly onApply: () => void; readonly pending: boolean }) {
  const nothing = isEmpty(of.counts);
  return (
    <div class="plan">
      <h3>{of.dry_run ? (nothing ? "Nothing would change" : "This would change") : "This was changed"}</h3>
      <ul class="signs">
        {of.provider_is_new && (
          <li>
            <b>+</b> provider {of.provider}
          </li>
        )}
        {lines(of.counts).map((line) => (
          <li key={line.text} class={line.sign === "−" ? "less" : ""}>
            <b>{line.sign}</b> {line.text}
          </li>
        ))}
        {of.duplicates > 0 && (
          <li>
            <b>=</b> {count(of.duplicates, "entry", "entries")} twice
          </li>
        )}
      </ul>
      {of.changes.length > 0 && (
        <details open={of.changes.length <= 12}>
          <summary>{count(of.change_count, "channel")}</summary>
          <ul class="changes" tabIndex={0} aria-label="Channels that change">
            {of.changes.map((change) => (
              <li key={change.channel}>
                <b>{change.is_new ? "+" : "~"}</b> {change.name} <span class="label">{summary(change)}</span>
              </li>
            ))}
            {of.change_count > of.changes.length && (
              <li class="label">and {number(of.change_count - of.changes.length)} more</li>
            )}
          </ul>
        </details>
      )}
      {of.fault_count > 0 && (
        <details>
          <summary>{count(of.fault_count, "line")} that cannot be used</summary>
          <ul class="changes" tabIndex={0} aria-label="Lines that cannot be used">
            {of.faults.map((fault) => (
              <li key={`${fault.line} ${fault.reason}`}>
                line {fault.line}: {fault.reason}
              </li>
            ))}
          </ul>
        </details>
      )}
      {of.dry_run && !nothing && (
        <p class="buttons">
          <button type="button" class="main" aria-busy={pending} onClick={onApply}>
            {pending && <span class="spinner" aria-hidden="true" />}
            Apply
          </button>
        </p>
      )}
      {!of.dry_run && (
        <p class="buttons">
          <a class="button" href="/console">
            To the overview
          </a>
        </p>
      )}
    </div>
  );
}

function One() {
  const form = useForm({
    fields: NEW_CHANNEL,
    values: valuesOf(NEW_CHANNEL, {}),
    save: async (whole) => {
      const made = await client.add(whole);
      navigate(channelPath(made.id));
      return `${made.name} added`;
    },
  });
  return (
    <section class="panel" aria-labelledby="one-title">
      <div class="head">
        <h2 id="one-title">One channel</h2>
      </div>
      <form
        ref={form.ref}
        class="admin-form"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void form.submit();
        }}
      >
        <Fields of={NEW_CHANNEL} values={form.values} faults={form.faults.value} />
        <WholeFaults of={form.faults.value} />
        <p class="buttons">
          <button type="submit" class="main" aria-busy={form.pending.value}>
            {form.pending.value && <span class="spinner" aria-hidden="true" />}
            Add channel
          </button>
        </p>
      </form>
    </section>
  );
}
