/** A form in a dialog. An error stands beside its field, which gets the focus; after the dialog the focus returns to where it was. */

import { useSignal } from "@preact/signals";
import type { ComponentChildren, VNode } from "preact";
import { useId } from "preact/hooks";
import { OutcomeNote, useAction } from "../parts/Action";
import { Dialog } from "../parts/Dialog";
import { Fields, WholeFaults } from "./FormFields";
import { useForm, type Wanted } from "./useForm";

interface Props extends Wanted {
  readonly title: string;
  readonly verb: string;
  readonly onClose: () => void;
  /** Another action: deletion. */
  readonly children?: (close: () => void) => ComponentChildren;
}

export function FormDialog({ title, verb, onClose, children, ...wanted }: Props) {
  const { values, faults, pending, ref, submit } = useForm(wanted);
  const id = useId();
  const close = (): void => ref.current?.closest("dialog")?.close();
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        id={id}
        ref={ref}
        class="admin-form"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void submit().then((saved) => {
            if (saved) close();
          });
        }}
      >
        <Fields of={wanted.fields} values={values} faults={faults.value} />
      </form>
      <WholeFaults of={faults.value} />
      <div class="admin-foot">
        {children?.(close)}
        <span class="buttons">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" form={id} class="main" aria-busy={pending.value}>
            {pending.value && <span class="spinner" aria-hidden="true" />}
            {verb}
          </button>
        </span>
      </div>
    </Dialog>
  );
}

interface ButtonProps<T> {
  readonly label: string;
  /** The accessible name, where the label alone is ambiguous. */
  readonly name?: string;
  readonly id?: string;
  /** Reads what the dialog needs before it opens. */
  readonly load: () => Promise<T>;
  readonly children: (loaded: T, close: () => void) => VNode;
}

/** A button that opens a dialog once its contents have been read. */
export function DialogButton<T>({ label, name, id, load, children }: ButtonProps<T>) {
  const loaded = useSignal<{ readonly value: T } | null>(null);
  const action = useAction();
  const outcome = action.outcome.value;
  return (
    <span class="action">
      <button
        type="button"
        id={id}
        aria-label={name}
        aria-haspopup="dialog"
        aria-busy={outcome.kind === "pending"}
        onClick={() => {
          void action.start(async () => {
            loaded.value = { value: await load() };
            return "";
          });
        }}
      >
        {outcome.kind === "pending" && <span class="spinner" aria-hidden="true" />}
        {label}
      </button>
      {outcome.kind === "failed" && <OutcomeNote of={action.outcome} />}
      {loaded.value !== null &&
        children(loaded.value.value, () => {
          loaded.value = null;
        })}
    </span>
  );
}
