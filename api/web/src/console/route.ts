/** The console's routing. Each page has an address of its own, and the browser's back button works. */

import { signal } from "@preact/signals";

export type Route =
  | { readonly page: "overview" }
  | { readonly page: "sessions" }
  | { readonly page: "channel"; readonly id: string }
  | { readonly page: "session"; readonly id: string }
  | { readonly page: "add" }
  | { readonly page: "system" }
  | { readonly page: "nowhere" };

export function routeOf(path: string): Route {
  const [root, page, id, ...more] = path.split("/").filter((part) => part !== "");
  if (root !== "console" || more.length > 0) return { page: "nowhere" };
  if (page === undefined) return { page: "overview" };
  if (page === "channels" && id !== undefined) return { page: "channel", id: decoded(id) };
  if (page === "sessions") return id === undefined ? { page: "sessions" } : { page: "session", id: decoded(id) };
  if (id !== undefined) return { page: "nowhere" };
  return page === "add" || page === "system" ? { page } : { page: "nowhere" };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const channelPath = (id: string): string => `/console/channels/${encodeURIComponent(id)}`;
export const sessionPath = (id: string): string => `/console/sessions/${encodeURIComponent(id)}`;

export const route = signal<Route>({ page: "overview" });

export function navigate(path: string): void {
  if (path === location.pathname) return;
  history.pushState(null, "", path);
  route.value = routeOf(path);
}

/** Follows links within the console without a reload. Returns a function that ends it. */
export function startRouting(): () => void {
  const read = (): void => {
    route.value = routeOf(location.pathname);
  };
  const click = (event: MouseEvent): void => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
      return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link?.target !== "" || link.hash !== "" || link.origin !== location.origin) return;
    if (routeOf(link.pathname).page === "nowhere") return;
    event.preventDefault();
    navigate(link.pathname);
  };
  read();
  addEventListener("popstate", read);
  document.addEventListener("click", click);
  return () => {
    removeEventListener("popstate", read);
    document.removeEventListener("click", click);
  };
}
