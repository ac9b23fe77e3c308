/** A list of any length, of which only the visible rows are drawn, and the row that has the focus. */

import { useComputed, useSignal, useSignalEffect, type ReadonlySignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { isEqual } from "../state";
import { offsets, rowAt, scrolledTo, visible, type Span } from "../window";

const BEYOND_PX = 240;

interface Props<Row extends { readonly key: string }> {
  /** The key under which its position is remembered while another page is shown. */
  readonly name: string;
  readonly label: string;
  readonly rows: ReadonlySignal<readonly Row[]>;
  /** In rem. The same function at every call. */
  readonly heightOf: (row: Row, narrow: boolean) => number;
  readonly canFocus?: (row: Row) => boolean;
  readonly draw: (row: Row) => ComponentChildren;
}

interface Handle {
  readonly box: HTMLElement;
  readonly move: (by: number) => void;
}

const remembered = new Map<string, number>();
const handles: Handle[] = [];

/** Moves the focus by so many rows: in the list that has it, or else in the page's first one. */
export function moveInList(by: number): void {
  const focused = handles.find((each) => each.box.contains(document.activeElement));
  (focused ?? handles[0])?.move(by);
}

export function VirtualList<Row extends { readonly key: string }>({
  name,
  label,
  rows,
  heightOf,
  canFocus = () => true,
  draw,
}: Props<Row>) {
  const box = useRef<HTMLDivElement>(null);
  const top = useSignal(remembered.get(name) ?? 0);
  const height = useSignal(900);
  const measure = useSignal(measured());
  const active = useSignal<string | null>(null);
  const wanted = useRef<string | null>(null);

  const starts = useComputed(() => {
    const { rem_px, narrow } = measure.value;
    return offsets(rows.value.map((row) => Math.round(heightOf(row, narrow) * rem_px)));
  });
  const last = useRef<Span>({ from: 0, to: 0 });
  const span = useComputed(() => {
    const next = visible(starts.value, top.value, height.value, BEYOND_PX);
    if (!isEqual(next, last.current)) last.current = next;
    return last.current;
  });

  /** Remembered at once: the browser's scroll event comes with the next frame, when the list may have gone. */
  function scrolled(to: number): void {
    top.value = to;
    remembered.set(name, to);
  }

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    element.scrollTop = top.peek();
    const look = (): void => {
      height.value = element.clientHeight;
      const next = measured();
      if (!isEqual(next, measure.peek())) measure.value = next;
    };
    const observer = new ResizeObserver(look);
    observer.observe(element);
    look();
    return () => {
      observer.disconnect();
    };
  }, [top, height, measure]);

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const handle: Handle = {
      box: element,
      move: (by) => {
        const all = rows.peek();
        const current = all.findIndex((row) => row.key === active.peek());
        let index = current === -1 ? rowAt(starts.peek(), element.scrollTop) - Math.sign(by) : current;
        const left = Math.abs(by);
        for (let moved = 0; moved < left; moved++) {
          let next = index + Math.sign(by);
          for (let row = all[next]; row !== undefined && !canFocus(row); row = all[next]) next += Math.sign(by);
          if (next < 0 || next >= all.length) break;
          index = next;
        }
        const row = all[index];
        if (row === undefined || !canFocus(row)) return;
        element.scrollTop = scrolledTo(starts.peek(), index, element.scrollTop, element.clientHeight);
        scrolled(element.scrollTop);
        wanted.current = row.key;
        active.value = row.key;
        focus();
      },
    };
    handles.push(handle);
    return () => {
      handles.splice(handles.indexOf(handle), 1);
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- signals and the functions of the first drawing stay the same
  }, []);

  function focus(): void {
    if (wanted.current === null) return;
    const row = box.current?.querySelector<HTMLElement>(`[data-key="${CSS.escape(wanted.current)}"] > a`);
    if (row === null || row === undefined) return;
    wanted.current = null;
    row.focus({ preventScroll: true });
  }
  useLayoutEffect(focus);

  // A row that has disappeared loses the focus, and nothing else.
  useSignalEffect(() => {
    const key = active.value;
    if (key !== null && !rows.value.some((row) => row.key === key)) active.value = null;
  });

  const all = rows.value;
  const { from, to } = span.value;
  const drawn = all.slice(from, to).map((row, index) => ({ row, index: from + index }));
  const pinned = active.value === null ? -1 : all.findIndex((row) => row.key === active.value);
  const pinnedRow = all[pinned];
  if (pinnedRow !== undefined && (pinned < from || pinned >= to)) drawn.push({ row: pinnedRow, index: pinned });
  return (
    <div
      ref={box}
      class="scroll"
      // Where no row can have the focus, arrow keys must still scroll.
      tabIndex={0}
      role="region"
      aria-label={label}
      onScroll={(event) => {
        // The event comes with a frame; a list that has been removed by then has lost its position.
        if (event.currentTarget.isConnected) scrolled(event.currentTarget.scrollTop);
      }}
      onFocusIn={(event) => {
        const row = (event.target as HTMLElement).closest<HTMLElement>("[data-key]");
        if (row !== null) active.value = row.dataset["key"] ?? null;
      }}
      onFocusOut={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null) && wanted.current === null) active.value = null;
      }}
    >
      <div class="rows" role="list" aria-label={label} style={{ height: `${starts.value.at(-1) ?? 0}px` }}>
        {drawn.map(({ row, index }) => (
          <div
            key={row.key}
            data-key={row.key}
            class="line"
            role="listitem"
            aria-setsize={all.length}
            aria-posinset={index + 1}
            style={{
              transform: `translateY(${starts.value[index] ?? 0}px)`,
              height: `${(starts.value[index + 1] ?? 0) - (starts.value[index] ?? 0)}px`,
            }}
          >
            {draw(row)}
          </div>
        ))}
      </div>
    </div>
  );
}

function measured(): { readonly rem_px: number; readonly narrow: boolean } {
  const rem_px = parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
  return { rem_px, narrow: innerWidth < 45 * rem_px };
}
