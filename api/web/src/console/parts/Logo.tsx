/** A channel's logo from the API's proxy; its initials where there is none. */

import { useSignal } from "@preact/signals";
import { initials } from "../format";
import type { Channel } from "../state";

export function Logo({ of }: { readonly of: Channel }) {
  const missing = useSignal<string | null>(null);
  return (
    <span class="initials" aria-hidden="true">
      {of.logo === null || !of.enabled || missing.value === of.logo ? (
        initials(of.name)
      ) : (
        <img
          src={`/watch/${encodeURIComponent(of.slug)}/logo`}
          alt=""
          loading="lazy"
          onError={() => {
            missing.value = of.logo;
          }}
        />
      )}
    </span>
  );
}
