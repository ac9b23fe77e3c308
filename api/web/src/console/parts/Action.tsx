/** A button that calls the API: it shows that the call runs, and then the result. */

import { useSignal, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Refused } from "../../problem";
import { faultOf } from "../admin/refusal";
import { acted } from "../live";
import { announce } from "../store";
import { Confirm, type Question } from "./Dialog";

const SHOWN_MS = 8_000;

export type Outcome =
  | { readonly kind: "idle" }
  | { readonly kind: "pending" }
  | { readonly kind: "done"; readonly text: string }
  | { readonly kind: "failed"; readonly text: string };

/** Resolves with the message of success. */
export type Act = () => Promise<string>;

export interface Action {
  readonly outcome: Signal<Outcome>;
  /** Does nothing while it runs. Resolves with whether it succeeded. */
  readonly start: (act: Act) => Promise<boolean>;
}

export function useAction(): Action {
  const outcome = useSignal<Outcome>({ kind: "idle" });
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(
    () => () => {
      clearTimeout(timer.current);
    },
    [],
  );
  const start = async (act: Act): Promise<boolean> => {
    if (outcome.peek().kind === "pending") return false;
    clearTimeout(timer.current);
    outcome.value = { kind: "pending" };
    try {
      const text = await act();
      outcome.value = { kind: "done", text };
      announce(text);
      timer.current = setTimeout(() => {
        outcome.value = { kind: "idle" };
      }, SHOWN_MS);
      acted();
      return true;
    } catch (error) {
      const text = why(error);
      outcome.value = { kind: "failed", text };
      announce(text);
      return false;
    }
  };
  return { outcome, start };
}

export function why(error: unknown): string {
  if (!(error instanceof Refused)) return "It did not work";
  return error.problem.field === undefined ? error.message : faultOf(error.problem, [error.problem.field]).text;
}

export function OutcomeNote({ of }: { readonly of: Signal<Outcome> }) {
  const outcome = of.value;
  switch (outcome.kind) {
    case "idle":
      return null;
    case "pending":
      return <span class="outcome pending">…</span>;
    case "done":
      return <span class="outcome done">✓ {outcome.text}</span>;
    case "failed":
      return <span class="outcome failed">✕ {outcome.text}</span>;
  }
}

interface Props {
  readonly label: string;
  /** The accessible name, where the label alone is ambiguous. */
  readonly name?: string;
  readonly act: Act;
  readonly tone?: "plain" | "main" | "danger";
  /** A question that must be confirmed first. */
  readonly question?: Question;
  readonly disabled?: boolean;
}

export function ActionButton({ label, name, act, tone = "plain", question, disabled = false }: Props) {
  const action = useAction();
  const asking = useSignal(false);
  const pending = action.outcome.value.kind === "pending";
  return (
    <span class="action">
      <button
        type="button"
        class={tone}
        aria-busy={pending}
        aria-label={name}
        aria-disabled={pending || disabled}
        onClick={() => {
          if (disabled) return;
          if (question === undefined) void action.start(act);
          else asking.value = true;
        }}
      >
        {pending && <span class="spinner" aria-hidden="true" />}
        {label}
      </button>
      <OutcomeNote of={action.outcome} />
      {question !== undefined && asking.value && (
        <Confirm
          question={question}
          onClose={(confirmed) => {
            asking.value = false;
            if (confirmed) void action.start(act);
          }}
        />
      )}
    </span>
  );
}
