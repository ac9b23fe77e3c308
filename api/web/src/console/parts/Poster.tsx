/** A session's picture, some seconds old. Loaded while it is drawn and the page is visible; the old picture stays until the new one is
 * loaded. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { picture } from "../poster";

const EVERY_MS = 5_000;

export function Poster({ session, title }: { readonly session: string; readonly title: string }) {
  const shown = useSignal<string | null>(null);
  useEffect(() => {
    const aborting = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = async (): Promise<void> => {
      if (!document.hidden) {
        const next = await picture(session, aborting.signal);
        if (aborting.signal.aborted) return;
        shown.value = next;
      }
      timer = setTimeout(() => void again(), EVERY_MS);
    };
    void again();
    return () => {
      aborting.abort();
      clearTimeout(timer);
    };
  }, [session, shown]);
  return (
    <span class="poster">
      {shown.value === null ? (
        <span class="none">No picture</span>
      ) : (
        <img src={shown.value} alt={title === "" ? "" : `A frame of ${title}`} />
      )}
    </span>
  );
}
