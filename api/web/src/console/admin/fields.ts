/** The fields of a form as data, and their conversion from and to the API's JSON. Pure.
 *
 * A field's name is its path in the API's document, so that a refusal finds its field. A select of a policy is one line in `POLICY`;
 * a field that this API does not have yet is left out. */

import { addresses } from "../preview";
import type { Fault } from "./refusal";

interface Named {
  readonly name: string;
  readonly label: string;
  readonly hint?: string;
}

export type Field = Named &
  (
    | {
        readonly kind: "text" | "address";
        readonly placeholder?: string;
        readonly required?: boolean;
        readonly empty?: null | "";
      }
    | { readonly kind: "number"; readonly unit?: string; readonly placeholder?: string }
    | { readonly kind: "headers" | "lines"; readonly placeholder?: string }
    | { readonly kind: "select"; readonly options: readonly (readonly [value: string, label: string])[] }
    | { readonly kind: "check" }
  );

/** `86,400`, as the console itself writes it; any other comma is a decimal one. */
const THOUSANDS = /^[1-9]\d{0,2}(,\d{3})+$/;

export type Values = Readonly<Record<string, string | boolean>>;
export type Body = Readonly<Record<string, unknown>>;

// prettier-ignore
export const POLICY: readonly Field[] = [
  select("policy.profile", "Picture", { copy: "as the source sends it", h264: "transcoded to H.264" }, "Transcoding costs about a core and 220 MB a session, instead of 0.02 and 45 MB."),
  select("policy.hevc", "HEVC sources", { copy: "as they are", h264: "transcoded to H.264" }, "Televisions, VLC and Kodi play HEVC, many browsers do not. Transcoding costs about a core and 220 MB a session, instead of 0.02 and 45 MB. Sessions that run keep what they send."),
  select("policy.sharing", "Sessions", { viewer: "one for each viewer", channel: "one for all viewers" }, "A shared session needs one connection, whatever the number of viewers."),
  select("policy.failback", "After a failure", { when_stable: "back to the better source", never: "stay with what plays" }),
  { kind: "number", name: "policy.failback_stable_s", label: "Return to a source after it was healthy for", unit: "seconds" },
  { kind: "check", name: "policy.slate", label: "Show the slate when no source works", hint: "Without it players get no media, and most of them stop." },
];

function select(name: string, label: string, options: Readonly<Record<string, string>>, hint?: string): Field {
  return { kind: "select", name, label, options: Object.entries(options), ...(hint === undefined ? {} : { hint }) };
}

export const CHANNEL: readonly Field[] = [
  { kind: "text", name: "name", label: "Name", required: true },
  { kind: "number", name: "number", label: "Number" },
  { kind: "text", name: "group", label: "Group", empty: null },
  {
    kind: "address",
    name: "logo",
    label: "Logo",
    placeholder: "https://…/logo.png",
    hint: "The address of a picture.",
    empty: null,
  },
];

/** A new channel: the fields of an edit, and its sources' addresses. */
export const NEW_CHANNEL: readonly Field[] = [
  ...CHANNEL.filter((field) => field.name !== "logo"),
  {
    kind: "lines",
    name: "sources",
    label: "Sources: one address per line, in the order in which they are tried",
    placeholder: "http://provider-a.example/news.m3u8\nhttp://provider-b.example/news.ts",
  },
];

/** `providers`: their ids and names. */
export function sourceFields(providers: readonly (readonly [id: string, name: string])[]): readonly Field[] {
  return [
    { kind: "address", name: "url", label: "Address", required: true, placeholder: "http://provider.example/news.m3u8" },
    {
      kind: "select",
      name: "provider_id",
      label: "Provider",
      options: [["", "none"], ...providers],
      hint: "The account whose connections it uses.",
    },
    { kind: "text", name: "user_agent", label: "User agent", placeholder: "FFmpeg’s own", empty: "" },
    {
      kind: "headers",
      name: "headers",
      label: "Request headers",
      placeholder: "Referer: https://www.example.com/",
      hint: "One per line, as Name: value.",
    },
  ];
}

export const PROVIDER: readonly Field[] = [
  { kind: "text", name: "name", label: "Name", required: true, placeholder: "Acme TV" },
  {
    kind: "number",
    name: "max_connections",
    label: "Connections at the same time",
    hint: "The number that the account allows. Empty: any number.",
  },
];

/** The fields that the document has, for a form that is older or newer than its API. */
export function known(fields: readonly Field[], document: Body): readonly Field[] {
  return fields.filter((field) => at(document, field.name) !== undefined);
}

/** The API's document as the form's values. A missing member is empty. */
export function valuesOf(fields: readonly Field[], document: Body): Values {
  return Object.fromEntries(fields.map((field) => [field.name, shown(field, at(document, field.name))]));
}

function shown(field: Field, value: unknown): string | boolean {
  if (field.kind === "check") return value === true;
  if (field.kind === "headers")
    return Object.entries((value ?? {}) as Record<string, string>)
      .map(([name, text]) => `${name}: ${text}`)
      .join("\n");
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

/** The form as the API's JSON, or the fields that cannot be converted. */
export function bodyOf(fields: readonly Field[], values: Values): { readonly body: Body; readonly faults: readonly Fault[] } {
  const body: Record<string, unknown> = {};
  const faults: Fault[] = [];
  for (const field of fields) {
    const read = parsed(field, values[field.name] ?? "");
    if (read.fault === undefined) put(body, field.name, read.value);
    else faults.push({ field: field.name, text: read.fault });
  }
  return { body, faults };
}

/** The members of `body` that differ from `before`, so that another operator's edit of another field is kept. */
export function changed(fields: readonly Field[], before: Values, after: Values, body: Body): Body {
  const change: Record<string, unknown> = {};
  for (const { name } of fields) if (before[name] !== after[name]) put(change, name, at(body, name));
  return change;
}

function parsed(
  field: Field,
  value: string | boolean,
): { readonly value: unknown; readonly fault?: undefined } | { readonly fault: string } {
  if (typeof value === "boolean") return { value };
  const text = value.trim();
  switch (field.kind) {
    case "number": {
      if (text === "") return { value: null };
      const read = Number(THOUSANDS.test(text) ? text.replaceAll(",", "") : text.replace(",", "."));
      return Number.isFinite(read) ? { value: read } : { fault: "This must be a number." };
    }
    case "headers":
      return headers(value);
    case "lines":
      return { value: addresses(value).map((url) => ({ url })) };
    case "text":
    case "address":
      return { value: text === "" && field.empty !== undefined ? field.empty : text };
    case "select":
    case "check":
      return { value };
  }
}

function headers(text: string): { readonly value: unknown; readonly fault?: undefined } | { readonly fault: string } {
  const found: Record<string, string> = {};
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const colon = line.indexOf(":");
    if (colon < 1) return { fault: `Line ${index + 1} is no header: it looks like Name: value.` };
    found[line.slice(0, colon).trim()] = line.slice(colon + 1).trim();
  }
  return { value: found };
}

function at(document: Body, path: string): unknown {
  let value: unknown = document;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

function put(document: Record<string, unknown>, path: string, value: unknown): void {
  const [first = "", ...rest] = path.split(".");
  if (rest.length === 0) document[first] = value;
  else put((document[first] ??= {}) as Record<string, unknown>, rest.join("."), value);
}
