/** Draws a form's fields, each with its label, a hint and its error. */

import type { Signal } from "@preact/signals";
import { useId } from "preact/hooks";
import type { Field, Values } from "./fields";
import type { Fault } from "./refusal";

interface Props {
  readonly of: readonly Field[];
  readonly values: Signal<Values>;
  readonly faults: readonly Fault[];
}

export function Fields({ of, values, faults }: Props) {
  const id = useId();
  return (
    <>
      {of.map((field) => (
        <One
          key={field.name}
          field={field}
          id={`${id}-${field.name}`}
          value={values.value[field.name] ?? ""}
          fault={faults.find((each) => each.field === field.name)?.text}
          onChange={(value) => {
            values.value = { ...values.value, [field.name]: value };
          }}
        />
      ))}
    </>
  );
}

/** An error that belongs to no field. */
export function WholeFaults({ of }: { readonly of: readonly Fault[] }) {
  return (
    <div role="alert">
      {of
        .filter((fault) => fault.field === null)
        .map((fault) => (
          <p key={fault.text} class="fault">
            {fault.text}
          </p>
        ))}
    </div>
  );
}

interface OneProps {
  readonly field: Field;
  readonly id: string;
  readonly value: string | boolean;
  readonly fault: string | undefined;
  readonly onChange: (value: string | boolean) => void;
}

function One({ field, id, value, fault, onChange }: OneProps) {
  const said = [fault === undefined ? "" : `${id}-fault`, field.hint === undefined ? "" : `${id}-hint`].filter(Boolean);
  const control = {
    id,
    "aria-invalid": fault !== undefined,
    "aria-describedby": said.length === 0 ? undefined : said.join(" "),
  };
  const notes = (
    <>
      {fault !== undefined && (
        <span id={`${id}-fault`} class="fault">
          {fault}
        </span>
      )}
      {field.hint !== undefined && (
        <span id={`${id}-hint`} class="hint">
          {field.hint}
        </span>
      )}
    </>
  );
  if (field.kind === "check") {
    return (
      <div class="admin-field check-field">
        <label>
          <input
            {...control}
            type="checkbox"
            checked={value === true}
            onChange={(event) => {
              onChange(event.currentTarget.checked);
            }}
          />
          {field.label}
        </label>
        {notes}
      </div>
    );
  }
  return (
    <div class={`admin-field ${field.kind}-field`}>
      <label for={id}>{field.label}</label>
      <Control field={field} control={control} value={String(value)} onChange={onChange} />
      {notes}
    </div>
  );
}

interface ControlProps {
  readonly field: Exclude<Field, { readonly kind: "check" }>;
  readonly control: { readonly id: string; readonly "aria-invalid": boolean; readonly "aria-describedby": string | undefined };
  readonly value: string;
  readonly onChange: (value: string) => void;
}

function Control({ field, control, value, onChange }: ControlProps) {
  switch (field.kind) {
    case "select":
      return (
        <select
          {...control}
          value={value}
          onChange={(event) => {
            onChange(event.currentTarget.value);
          }}
        >
          {field.options.map(([option, label]) => (
            <option key={option} value={option} selected={option === value}>
              {label}
            </option>
          ))}
        </select>
      );
    case "headers":
    case "lines":
      return (
        <textarea
          {...control}
          rows={field.kind === "lines" ? 4 : 2}
          spellcheck={false}
          placeholder={field.placeholder}
          value={value}
          onInput={(event) => {
            onChange(event.currentTarget.value);
          }}
        />
      );
    case "text":
    case "address":
    case "number":
      return (
        <span class="with-unit">
          <input
            {...control}
            type="text"
            inputMode={field.kind === "number" ? "decimal" : field.kind === "address" ? "url" : undefined}
            autoComplete="off"
            autoCapitalize={field.kind === "address" ? "none" : undefined}
            spellcheck={false}
            required={field.kind !== "number" && field.required === true}
            placeholder={field.placeholder}
            value={value}
            onInput={(event) => {
              onChange(event.currentTarget.value);
            }}
          />
          {field.kind === "number" && field.unit !== undefined && <span class="hint">{field.unit}</span>}
        </span>
      );
  }
}
