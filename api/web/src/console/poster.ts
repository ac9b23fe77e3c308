/** Loads pictures of running sessions, a few at the same time, and none while the page is hidden. */

const AT_ONCE = 4;

let running = 0;
const waiting: (() => void)[] = [];

/** The address of the newest picture, once it has been loaded and can be shown at once; null where there is none. */
export async function picture(session: string, signal: AbortSignal): Promise<string | null> {
  await turn();
  try {
    if (signal.aborted) return null;
    const image = new Image();
    // The browser would show the same address from memory for ever.
    image.src = `/v1/sessions/${encodeURIComponent(session)}/poster.jpg?at=${Math.floor(Date.now() / 1000)}`;
    await image.decode();
    return image.src;
  } catch {
    return null; // there is none, or the server is away: which the console tells elsewhere
  } finally {
    running--;
    waiting.shift()?.();
  }
}

async function turn(): Promise<void> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  running++;
}
