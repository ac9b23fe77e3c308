/** The state of a form: its values, its errors, and whether it is being saved. The field with an error gets the focus. */

import { useSignal, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Refused } from "../../problem";
import { acted } from "../live";
import { announce } from "../store";
import { bodyOf, changed, type Body, type Field, type Values } from "./fields";
import { faultOf, type Fault } from "./refusal";

export interface Wanted {
  readonly fields: readonly Field[];
  readonly values: Values;
  /** `change` holds the fields that differ from `values`; resolves with the message of success. Throws `Refused`. */
  readonly save: (whole: Body, change: Body) => Promise<string>;
  /** The field to which a conflict (409) belongs. */
  readonly taken?: string | undefined;
}

export interface Form {
  readonly values: Signal<Values>;
  readonly faults: Signal<readonly Fault[]>;
  readonly pending: Signal<boolean>;
  readonly ref: { current: HTMLFormElement | null };
  /** Whether it was saved. */
  readonly submit: () => Promise<boolean>;
}

export function useForm({ fields, values: before, save, taken }: Wanted): Form {
  const values = useSignal<Values>(before);
  const faults = useSignal<readonly Fault[]>([]);
  const pending = useSignal(false);
  const ref = useRef<HTMLFormElement>(null);
  const wrong = faults.value;
  useEffect(() => {
    // After the error is drawn, so that a screen reader speaks it with the field
    if (wrong.some((fault) => fault.field !== null)) ref.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [wrong]);

  async function submit(): Promise<boolean> {
    if (pending.peek()) return false;
    const { body, faults: unread } = bodyOf(fields, values.peek());
    faults.value = unread;
    if (unread.length > 0) return false;
    pending.value = true;
    try {
      announce(await save(body, changed(fields, before, values.peek(), body)));
      acted();
      return true;
    } catch (error) {
      const names = fields.map((field) => field.name);
      faults.value = [
        error instanceof Refused ? faultOf(error.problem, names, taken) : { field: null, text: "It did not work." },
      ];
      return false;
    } finally {
      pending.value = false;
    }
  }
  return { values, faults, pending, ref, submit };
}
