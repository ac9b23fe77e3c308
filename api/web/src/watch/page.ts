/** An element of this page by its id. It must exist. */
export function at(id: string): HTMLElement;
export function at<T extends HTMLElement>(id: string, kind: new () => T): T;
export function at(id: string, kind: new () => HTMLElement = HTMLElement): HTMLElement {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`no #${id}`);
  return found;
}
