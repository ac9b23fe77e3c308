/** The console's hotkeys. They are off in a text field, and together with Ctrl, Alt or Meta. */

export type Keys = Readonly<Record<string, () => void>>;

export const HELP: readonly (readonly [keys: string, meaning: string])[] = [
  ["/", "Search"],
  ["j  k", "Next and previous row"],
  ["Enter", "Open the row"],
  ["Esc", "Close, clear the search, or go back to the overview"],
  ["?", "These keys"],
];

/** Returns a function that removes them. */
export function listen(keys: Keys): () => void {
  const press = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (event.key !== "Escape" && isTyping(event.target)) return;
    if (document.querySelector("dialog[open]") !== null) return; // which closes itself
    const act = keys[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  };
  document.addEventListener("keydown", press);
  return () => {
    document.removeEventListener("keydown", press);
  };
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input:not([type=checkbox], [type=radio]), textarea, select");
}
