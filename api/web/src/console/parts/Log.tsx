/** The last lines of an attempt's log; of the running one, again every few seconds. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Refused } from "../../problem";
import { client } from "../client";
import type { WireAttempt } from "../wire";
import { why } from "./Action";

const EVERY_MS = 4_000;

export function Log({ session, attempts }: { readonly session: string; readonly attempts: readonly WireAttempt[] }) {
  const chosen = useSignal<number | null>(null);
  const text = useSignal<string | null>(null);
  const newest = attempts.at(-1)?.number ?? 1;
  const number = chosen.value ?? newest;
  const runs = attempts.find((each) => each.number === number)?.ended_at === null;
  useEffect(() => {
    let left = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async (): Promise<void> => {
      try {
        const found = await client.log(session, number);
        if (!left) text.value = found;
      } catch (error) {
        if (!left) text.value = error instanceof Refused && error.problem.status === 404 ? "" : `✕ ${why(error)}`;
      }
      if (!left && runs) timer = setTimeout(() => void read(), EVERY_MS);
    };
    void read();
    return () => {
      left = true;
      clearTimeout(timer);
    };
  }, [session, number, runs, text]);
  return (
    <>
      <div class="head">
        <h2 id="log-title">Log</h2>
        <label class="select">
          <span>of attempt</span>
          <select
            value={String(number)}
            onChange={(event) => {
              text.value = null;
              chosen.value = Number(event.currentTarget.value);
            }}
          >
            {attempts.toReversed().map((each) => (
              <option key={each.number} value={String(each.number)}>
                {each.number}
                {each.ended_at === null ? " (runs)" : ""}
              </option>
            ))}
          </select>
        </label>
      </div>
      {text.value === null ? (
        <p class="nothing">Loading…</p>
      ) : text.value === "" ? (
        <p class="nothing">It has written nothing yet.</p>
      ) : (
        <pre class="log" tabIndex={0} aria-label={`Log of attempt ${number}`}>
          {text.value}
        </pre>
      )}
    </>
  );
}
