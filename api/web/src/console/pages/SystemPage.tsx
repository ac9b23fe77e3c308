/** The deployment: its orchestrator, the drain, its providers, and the doctor's findings. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Providers } from "../admin/Providers";
import { client } from "../client";
import { count } from "../format";
import { channelPath, sessionPath } from "../route";
import { state } from "../store";
import type { WireDiagnosis } from "../wire";
import { ActionButton, OutcomeNote, useAction } from "../parts/Action";
import { Ago } from "../parts/Age";

export function SystemPage() {
  return (
    <main id="main" class="page system-page" tabIndex={-1}>
      <h1 tabIndex={-1}>System</h1>
      <div class="halves">
        <div>
          <Deployment />
          <Providers />
        </div>
        <Doctor />
      </div>
    </main>
  );
}

function Deployment() {
  const { draining_since, orchestrator_seen_at, orchestrator_runs, version } = state.value;
  const draining = draining_since !== null;
  return (
    <section class="panel" aria-labelledby="deployment-title">
      <div class="head">
        <h2 id="deployment-title">Deployment</h2>
      </div>
      <dl class="policy">
        <div>
          <dt>Version</dt>
          <dd>{version}</dd>
        </div>
        <div>
          <dt>Orchestrator</dt>
          <dd>
            {orchestrator_runs ? "" : "none runs"}
            {orchestrator_seen_at !== null && (
              <>
                {orchestrator_runs ? "" : ", the last one was "}seen <Ago at={orchestrator_seen_at} />
              </>
            )}
          </dd>
        </div>
        <div>
          <dt>New sessions</dt>
          <dd>
            {draining ? (
              <>
                refused since <Ago at={draining_since} /> (draining)
              </>
            ) : orchestrator_runs ? (
              "start"
            ) : (
              "wait for an orchestrator"
            )}
          </dd>
        </div>
        <div>
          <dt>Running</dt>
          <dd>{count(state.value.sessions.size, "session")}</dd>
        </div>
      </dl>
      <p class="buttons">
        {draining ? (
          <ActionButton label="Take new sessions again" tone="main" act={() => drain(false)} />
        ) : (
          <ActionButton
            label="Drain"
            question={{
              title: "Drain the deployment?",
              text: "No new session starts until the drain is ended. Running sessions go on, and still fail over.",
              verb: "Drain",
            }}
            act={() => drain(true)}
          />
        )}
      </p>
    </section>
  );
}

async function drain(draining: boolean): Promise<string> {
  const { draining_since } = await client.drain(draining);
  state.value = { ...state.value, draining_since };
  return draining ? "Draining" : "New sessions start";
}

function Doctor() {
  const found = useSignal<WireDiagnosis | null>(null);
  const action = useAction();
  const examine = (): void => {
    void action.start(async () => {
      const diagnosis = await client.doctor();
      found.value = diagnosis;
      return diagnosis.healthy ? "Nothing is wrong" : "Something is wrong";
    });
  };
  // eslint-disable-next-line react-hooks/exhaustive-deps -- once, when the page is opened
  useEffect(examine, []);
  const pending = action.outcome.value.kind === "pending";
  return (
    <section class="panel" aria-labelledby="doctor-title" aria-busy={pending}>
      <div class="head">
        <h2 id="doctor-title">Doctor</h2>
        <button type="button" aria-disabled={pending} onClick={examine}>
          {pending && <span class="spinner" aria-hidden="true" />}
          Examine
        </button>
        {action.outcome.value.kind === "failed" && <OutcomeNote of={action.outcome} />}
      </div>
      {found.value === null && pending && <p class="nothing">Looking at the database, the store and the sessions…</p>}
      {found.value !== null && found.value.findings.length === 0 && <p class="nothing well">Nothing is wrong.</p>}
      <ul class="findings">
        {(found.value?.findings ?? []).map((finding) => (
          <li key={`${finding.check} ${finding.what}`} class={finding.level}>
            <p class="what">
              <b>{finding.level === "wrong" ? "✕ Wrong" : "i Note"}</b> {finding.what}
            </p>
            <p class="remedy">{finding.remedy}</p>
            {finding.subjects.length > 0 && (
              <p class="subjects">
                {finding.subjects.slice(0, 8).map((id) => (
                  <Subject key={id} id={id} />
                ))}
                {finding.subjects.length > 8 && <span>and {finding.subjects.length - 8} more</span>}
              </p>
            )}
          </li>
        ))}
      </ul>
      <p class="hint">
        Of containers and their image only <code>failover doctor</code> on the engine’s machine can tell.
      </p>
    </section>
  );
}

function Subject({ id }: { readonly id: string }) {
  const channel = state.value.channel_of.get(id);
  if (state.value.sessions.has(id)) return <a href={sessionPath(id)}>{id}</a>;
  return channel === undefined ? <code>{id}</code> : <a href={channelPath(channel)}>{id}</a>;
}
