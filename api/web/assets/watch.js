// The page asks for a session once and plays its one address. Whatever happens behind that address is the server's business:
// the player is never reloaded, and what is shown below the picture is only told, never acted upon.

const HEARTBEAT_MS = 10_000;
const SAMPLE_MS = 100;
const EVENTS_SHOWN = 8;

// Addresses are relative to the page: whatever host and path it is reached by is the one that its policy lets it call.
const channel = location.pathname.replace(/\/+$/, "").split("/").pop();
const at = (id) => document.getElementById(id);
const video = at("video");
const stats = { rebuffer_ms: 0, longest_freeze_ms: 0, errors: [] };
const player = { video, hls: null, stats, session: null };
window.__player = player; // for tests

at("again").addEventListener("click", start);
measure();
start();

async function start() {
  say("Starting…");
  let answer;
  try {
    answer = await fetch(`${channel}/session`, { method: "POST", headers: { Prefer: "wait=25" } });
  } catch {
    return say("The server does not answer.", [], true);
  }
  const said = await answer.json().catch(() => ({ title: `The server answered ${answer.status}` }));
  if (!answer.ok) {
    const reasons = Object.values(said.sources ?? {});
    return say(said.title, reasons.length || !said.detail ? reasons : [said.detail], true);
  }
  player.session = said;
  document.title = said.channel.name;
  at("channel").textContent = said.channel.name;
  show({ phase: said.phase, source: said.source_id });
  play(said.playlist_url);
  listen(said);
  const beat = setInterval(() => heartbeat(said).then((known) => known || clearInterval(beat)), HEARTBEAT_MS);
}

function play(url) {
  video.addEventListener("playing", () => hush(), { once: true });
  if (!window.Hls?.isSupported()) {
    video.src = url; // a browser that plays HLS by itself
    return;
  }
  const hls = new window.Hls();
  player.hls = hls;
  hls.on(window.Hls.Events.ERROR, (_, error) => {
    stats.errors.push({ type: error.type, details: error.details, fatal: error.fatal });
    if (!error.fatal) return;
    if (error.type === window.Hls.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
    else setTimeout(() => hls.loadSource(url), 2000); // the store is away; the address stays the same
  });
  hls.loadSource(url);
  hls.attachMedia(video);
}

function listen(session) {
  const source = new EventSource(`../v1/sessions/${session.id}/events?token=${encodeURIComponent(session.token)}`);
  const told = {
    "session.live": (event) => show({ phase: "live", source: event.source }),
    "stream.switch": (event) => show({ phase: "live", source: event.to }),
    "stream.unavailable": () => show({ phase: "unavailable" }),
    "stream.recovered": (event) => show({ phase: "live", source: event.to ?? event.source }),
    "session.ended": (event) => {
      show({ phase: "ended" });
      source.close();
      if (video.paused || !player.hls) say("The session has ended.", [event.reason].filter(Boolean), true);
    },
  };
  for (const [type, tell] of Object.entries(told)) {
    source.addEventListener(type, (message) => {
      const event = JSON.parse(message.data);
      tell(event);
      const line = document.createElement("li");
      const facts = [event.reason, event.gap_ms === undefined ? null : `gap ${event.gap_ms} ms`].filter(Boolean);
      line.textContent = [new Date(event.at).toLocaleTimeString(), type, ...facts].join("  ·  ");
      at("events").prepend(line);
      while (at("events").children.length > EVENTS_SHOWN) at("events").lastChild.remove();
    });
  }
}

// False where the session has ended or is not known any more.
async function heartbeat(session) {
  const headers = { Authorization: `Bearer ${session.token}` };
  try {
    const answer = await fetch(`../v1/sessions/${session.id}/heartbeat`, { method: "POST", headers });
    return answer.ok || answer.status >= 500;
  } catch {
    return true;
  }
}

// Standing still while it should play counts, from the first picture on; a pause, a seek or a hidden page does not.
function measure() {
  let started = false;
  let frozen = 0;
  let before = { clock: performance.now(), media: 0 };
  video.addEventListener("playing", () => (started = true));
  setInterval(() => {
    const now = { clock: performance.now(), media: video.currentTime };
    const passed = now.clock - before.clock;
    const still = started && !video.paused && !video.ended && !video.seeking && now.media === before.media;
    before = now;
    frozen = still ? frozen + passed : 0;
    stats.longest_freeze_ms = Math.max(stats.longest_freeze_ms, Math.round(frozen));
    if (still && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) stats.rebuffer_ms += Math.round(passed);
    at("buffer").textContent = seconds(buffered());
    at("latency").textContent = seconds(latency());
    at("rebuffering").textContent = `${stats.rebuffer_ms} ms`;
  }, SAMPLE_MS);
}

function buffered() {
  for (let i = 0; i < video.buffered.length; i++) {
    if (video.buffered.start(i) <= video.currentTime + 0.1 && video.currentTime <= video.buffered.end(i))
      return video.buffered.end(i) - video.currentTime;
  }
  return 0;
}

// By the programme clock where the playlist has one: how long ago the shown picture was on air.
function latency() {
  const date = player.hls?.playingDate;
  return date ? (Date.now() - date.getTime()) / 1000 : player.hls?.latency;
}

function seconds(value) {
  return Number.isFinite(value) ? `${value.toFixed(1)} s` : "–";
}

function show({ phase, source }) {
  at("phase").textContent = phase;
  if (source) at("source").textContent = source;
}

function say(text, reasons = [], again = false) {
  at("said").textContent = text;
  at("reasons").replaceChildren(
    ...reasons.map((reason) => Object.assign(document.createElement("li"), { textContent: reason })),
  );
  at("again").hidden = !again;
  at("message").hidden = false;
}

function hush() {
  at("message").hidden = true;
}
