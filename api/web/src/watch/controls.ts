/** The player's buttons and keys. Rule: every key has a button or link that does the same, and a field with the focus keeps its keys. */
import { at } from "./page";

export interface Deeds {
  readonly playOrPause: () => void;
  readonly toLive: () => void;
  readonly tune: (by: 1 | -1) => void;
  readonly search: () => void;
}

const SEEK_S = 5;
const HIDE_MS = 3000;

export function control(video: HTMLVideoElement, deeds: Deeds): void {
  const screen = at("screen");
  const help = at("help", HTMLDialogElement);
  const volume = at("volume", HTMLInputElement);
  const mute = () => {
    video.muted = !video.muted;
    if (!video.muted && video.volume === 0) video.volume = 0.5;
  };
  const showHelp = () => {
    if (!help.open) help.showModal();
  };
  const keys: Record<string, () => void> = {
    k: deeds.playOrPause,
    " ": deeds.playOrPause,
    m: mute,
    f: () => void fullscreen(screen, video),
    l: deeds.toLive,
    ArrowLeft: () => {
      seek(video, -SEEK_S);
    },
    ArrowRight: () => {
      seek(video, SEEK_S);
    },
    ArrowUp: () => {
      deeds.tune(-1);
    },
    ArrowDown: () => {
      deeds.tune(1);
    },
    "/": deeds.search,
    "?": showHelp,
  };

  const presses: Record<string, () => void> = {
    play: deeds.playOrPause,
    mute,
    unmute: mute,
    live: deeds.toLive,
    keys: showHelp,
    fullscreen: () => void fullscreen(screen, video),
    pip: () => void pictureInPicture(video),
  };
  for (const [id, press] of Object.entries(presses)) at(id).addEventListener("click", press);
  at("pip").hidden = !document.pictureInPictureEnabled;
  // Touch cannot hover: a tap shows or hides the controls, and their button plays and pauses.
  let touched: "hidden" | "shown" | null = null;
  video.addEventListener("pointerdown", ({ pointerType }) => {
    touched = pointerType !== "touch" ? null : screen.classList.contains("idle") ? "hidden" : "shown";
  });
  video.addEventListener("click", () => {
    if (touched === null) deeds.playOrPause();
    else if (touched === "shown") rest();
    else wake();
  });
  video.addEventListener("dblclick", () => void fullscreen(screen, video));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open || isTaken(event)) return;
    const press = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!press) return;
    event.preventDefault();
    press();
    wake();
  });

  volume.addEventListener("input", () => {
    video.volume = Number(volume.value);
    video.muted = video.volume === 0;
  });
  const draw = () => {
    const silent = video.muted || video.volume === 0;
    mark("play", !video.paused, "Pause", "Play");
    mark("mute", silent, "Sound on", "Mute");
    volume.value = String(silent ? 0 : video.volume);
    volume.style.setProperty("--level", `${silent ? 0 : video.volume * 100}%`);
  };
  for (const change of ["play", "pause", "volumechange", "emptied"]) video.addEventListener(change, draw);
  draw();

  // The controls disappear while the picture moves and no pointer, key or focus is on them.
  let hiding: ReturnType<typeof setTimeout> | undefined;
  const wake = () => {
    screen.classList.remove("idle");
    clearTimeout(hiding);
    hiding = setTimeout(() => {
      if (!at("controls").querySelector(":focus-visible")) rest();
    }, HIDE_MS);
  };
  const rest = () => {
    if (!video.paused) screen.classList.add("idle");
  };
  // Only a complete tap counts: if the pointer's going down showed a button under the finger, its going up would press it.
  for (const sign of ["pointermove", "pointerdown"] as const) {
    screen.addEventListener(sign, ({ pointerType }) => {
      if (pointerType !== "touch") wake();
    });
  }
  screen.addEventListener("focusin", wake);
  at("controls").addEventListener("click", wake);
  video.addEventListener("pause", wake);
  video.addEventListener("playing", wake);
}

function mark(id: string, pressed: boolean, on: string, off: string): void {
  at(id).classList.toggle("pressed", pressed);
  at(id).setAttribute("aria-label", pressed ? on : off);
}

/** Whether the key belongs to the focused field, button or link. */
function isTaken({ target, key }: KeyboardEvent): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.matches("input[type=range]")) return key.startsWith("Arrow");
  return target.matches("input, textarea, select") || (key === " " && target.matches("button, a"));
}

function seek(video: HTMLVideoElement, by_s: number): void {
  const { seekable } = video;
  if (!seekable.length) return;
  const last = seekable.end(seekable.length - 1) - 1;
  video.currentTime = Math.min(Math.max(video.currentTime + by_s, seekable.start(0)), Math.max(last, video.currentTime));
}

async function fullscreen(
  screen: HTMLElement,
  video: HTMLVideoElement & { webkitEnterFullscreen?: () => void },
): Promise<void> {
  try {
    if (document.fullscreenElement) await document.exitFullscreen();
    else if (document.fullscreenEnabled) await screen.requestFullscreen();
    else video.webkitEnterFullscreen?.(); // phones that let a video alone fill the screen
  } catch {
    // the browser does not want to
  }
}

async function pictureInPicture(video: HTMLVideoElement): Promise<void> {
  try {
    if (document.pictureInPictureElement) await document.exitPictureInPicture();
    else await video.requestPictureInPicture();
  } catch {
    // no picture yet
  }
}
