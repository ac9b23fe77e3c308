/** The two addresses of a channel, for players and for browsers, each with a button that copies it. */

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { Channel } from "../state";
import { announce, state } from "../store";

const SHOWN_MS = 2_500;

export function PlayAddresses({ channel }: { readonly channel: Channel }) {
  const page = `${state.value.public_url || location.origin}/watch/${encodeURIComponent(channel.slug)}`;
  return (
    <div class="addresses">
      <Address label="For VLC, Kodi and televisions" of={`${page}.m3u8`} />
      <Address label="For browsers" of={page} />
    </div>
  );
}

function Address({ label, of }: { readonly label: string; readonly of: string }) {
  const said = useSignal("");
  const box = useRef<HTMLInputElement>(null);
  async function copy(): Promise<void> {
    said.value = (await copied(of, box.current)) ? "Copied" : "Press Ctrl+C";
    announce(`${said.value}: ${label}`);
    setTimeout(() => {
      said.value = "";
    }, SHOWN_MS);
  }
  return (
    <div class="address">
      <label>
        <span>{label}</span>
        <input
          ref={box}
          readOnly
          value={of}
          onFocus={(event) => {
            event.currentTarget.select();
          }}
        />
      </label>
      <button
        type="button"
        aria-label={`Copy the address ${label.charAt(0).toLowerCase()}${label.slice(1)}`}
        onClick={() => void copy()}
      >
        {said.value === "" ? "Copy" : said.value}
      </button>
    </div>
  );
}

/** The clipboard API exists over https and on localhost only; elsewhere the text is selected and copied by the old command. */
async function copied(text: string, box: HTMLInputElement | null): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const before = document.activeElement;
    box?.focus();
    box?.select();
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- without https there is no other way
    const done = document.execCommand("copy");
    if (done && before instanceof HTMLElement) before.focus();
    return done;
  }
}
