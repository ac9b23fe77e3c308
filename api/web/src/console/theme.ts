/** The colour scheme: dark by default, for a wall screen at night; light, or the system's, by choice, remembered in this browser. */

import { signal } from "@preact/signals";

type Theme = "dark" | "light" | "system";
const KEY = "console-theme";
const ORDER: readonly Theme[] = ["dark", "light", "system"];

export const theme = signal<Theme>("dark");

export function startTheme(): void {
  const kept = stored();
  apply(ORDER.find((each) => each === kept) ?? "dark");
}

export function nextTheme(): void {
  const next = ORDER[(ORDER.indexOf(theme.peek()) + 1) % ORDER.length] ?? "dark";
  apply(next);
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // a browser without storage: the choice lasts as long as the page
  }
}

function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function apply(next: Theme): void {
  theme.value = next;
  document.documentElement.dataset["theme"] = next;
}
