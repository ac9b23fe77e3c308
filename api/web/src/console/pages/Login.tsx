/** The login: exchanges the admin key for a cookie that no script can read. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Refused } from "../../problem";
import { client } from "../client";
import { why } from "../parts/Action";

export function Login({ onDone }: { readonly onDone: () => void }) {
  const key = useSignal("");
  const failed = useSignal("");
  const pending = useSignal(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    field.current?.focus();
  }, []);
  async function enter(): Promise<void> {
    if (pending.peek()) return;
    pending.value = true;
    try {
      await client.login(key.value);
      failed.value = "";
      onDone();
    } catch (error) {
      failed.value = error instanceof Refused && error.problem.status === 401 ? "This is not the admin key." : why(error);
      field.current?.select();
    } finally {
      pending.value = false;
    }
  }
  return (
    <main id="main" class="login">
      <form
        class="panel"
        onSubmit={(event) => {
          event.preventDefault();
          void enter();
        }}
      >
        <h1>
          <svg class="brand-mark" viewBox="0 0 24 16" aria-hidden="true">
            <path d="M0 3h14v3H0zM10 10h14v3H10zM14 3l-4 10h3l4-10z" />
          </svg>
          Console
        </h1>
        <label class="field">
          <span>Admin key</span>
          <input
            ref={field}
            type="password"
            autoComplete="current-password"
            required
            aria-invalid={failed.value !== ""}
            aria-describedby="login-failed"
            value={key.value}
            onInput={(event) => {
              key.value = event.currentTarget.value;
            }}
          />
        </label>
        <p id="login-failed" class="outcome failed" role="alert">
          {failed.value}
        </p>
        <p class="buttons">
          <button type="submit" class="main" aria-busy={pending.value}>
            Log in
          </button>
        </p>
        <p class="hint">
          It is <code>FAILOVER_ADMIN_KEY</code>; beside <code>failover serve</code> it stands in the data directory’s{" "}
          <code>settings.json</code>.
        </p>
      </form>
    </main>
  );
}
