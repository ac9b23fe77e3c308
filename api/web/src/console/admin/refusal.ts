/** Translates the API's refusals into texts at the fields of a form. Pure.
 *
 * The API names a member by its path (`policy.failback_stable_s`, `sources[1].url`), and what is wrong with it by a `code`. Rule: a
 * refusal is never lost; one without a field here is shown for the whole form, and one without a text here in the API's own words. */

import type { Problem } from "../../problem";
import type { components } from "../openapi";

type Code = NonNullable<components["schemas"]["Problem"]["code"]>;

export interface Fault {
  /** The name of the form's field; null: none of them. */
  readonly field: string | null;
  readonly text: string;
}

/** `names` are the form's fields, called as the API calls them; `taken` is the one that a conflict (409) is about. */
export function faultOf(problem: Problem, names: readonly string[], taken: string | null = null): Fault {
  const { status, field: path = "", detail = "" } = problem;
  if (status === 409 && taken !== null) return { field: taken, text: "This is already in use. Choose another one." };
  if (path === "") return { field: null, text: said(problem) };
  const reason = detail.startsWith(`${path}: `) ? detail.slice(path.length + 2) : detail;
  const plain = path.replace(/\[\d+\]/g, "");
  const field = names.find((name) => plain === name || plain.startsWith(`${name}.`)) ?? null;
  const line = /\[(\d+)\]/.exec(path)?.[1];
  const told = ofCode(problem) ?? ofDecoder(reason);
  const text = line === undefined ? told : `Address ${Number(line) + 1}: ${lowered(told)}`;
  return field === null ? { field, text: `${path}: ${text}` } : { field, text };
}

/** The problem as a whole, for what has no field. */
function said({ title, detail, status }: Problem): string {
  if (status === 0) return "The server does not answer. Nothing has been changed; try again in a moment.";
  if (status === 404) return "It does not exist any more: somebody has deleted it in the meantime.";
  return sentence(detail === undefined || detail === title ? title : `${title}: ${detail}`);
}

const TEXTS: Readonly<Record<Exclude<Code, "scheme">, string>> = {
  "not-an-address": "This is not an address.",
  "no-host": "The address has no host. It must look like http://host/path.",
  "no-provider": "This provider does not exist any more.",
  characters: "It is empty, or has a space or a character that is not allowed here.",
};

/** The text of a refusal with a code; undefined: it has none, or one of a later release. */
export function ofCode({ code, allowed = [] }: Problem): string | undefined {
  if (code !== "scheme") return (TEXTS as Readonly<Record<string, string | undefined>>)[code ?? ""];
  const all = allowed.map((each) => `${each}://`);
  return `The address must begin with ${all.slice(0, -1).join(", ")}${all.length > 1 ? " or " : ""}${all.at(-1) ?? ""}.`;
}

/** A message of the API's JSON decoder as a sentence. It is parsed because the decoder (msgspec) gives a type or a bound that is not
 * kept in words only. Any other message stays as it is. */
export function ofDecoder(reason: string): string {
  const most = /length <= (\d+)/.exec(reason)?.[1];
  if (most !== undefined) return `This is too long: ${most} ${reason.includes("`str`") ? "characters" : "entries"} at most.`;
  if (reason.endsWith("length >= 1")) return "This cannot be empty.";
  const bound = /^Expected `(?:int|float)` (<=|>=) ([\d.]+)/.exec(reason);
  if (bound !== null) {
    const limit = Number(bound[2]).toLocaleString("en-GB");
    return bound[1] === "<=" ? `${limit} at most.` : `${limit} at least.`;
  }
  if (reason.startsWith("Expected `int")) return "This must be a whole number.";
  if (reason.startsWith("Expected `float")) return "This must be a number.";
  return sentence(reason);
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

function lowered(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
