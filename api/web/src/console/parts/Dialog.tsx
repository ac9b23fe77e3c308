/** A modal dialog. The browser keeps the focus in it, and returns it afterwards. */

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

interface Props {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

export function Dialog({ title, onClose, children }: Props) {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    box.current?.showModal();
  }, []);
  return (
    <dialog ref={box} aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

export interface Question {
  readonly title: string;
  readonly text: string;
  /** The consequences, one by one. */
  readonly points?: readonly string[];
  readonly verb: string;
}

export function Confirm({
  question,
  onClose,
}: {
  readonly question: Question;
  readonly onClose: (confirmed: boolean) => void;
}) {
  const confirmed = useRef(false);
  return (
    <Dialog
      title={question.title}
      onClose={() => {
        onClose(confirmed.current);
      }}
    >
      <p>{question.text}</p>
      {question.points !== undefined && (
        <ul class="points">
          {question.points.map((point) => (
            <li key={point}>{point}</li>
          ))}
        </ul>
      )}
      <form method="dialog" class="buttons">
        <button type="submit" autoFocus>
          Cancel
        </button>
        <button
          type="submit"
          class="danger"
          onClick={() => {
            confirmed.current = true;
          }}
        >
          {question.verb}
        </button>
      </form>
    </Dialog>
  );
}
