// Bundles each page's script and style, and the player as a module of its own with its types, into dist/. Every name is fixed: the
// API serves them with an ETag, and an address such as /assets/player.js is a contract with pages that are not ours.

import { cp, rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { build } from "esbuild";

const ENTRIES = ["src/player/player.ts", "src/watch/watch.ts", "src/console/console.tsx"];

await rm("dist", { recursive: true, force: true });
await build({
  entryPoints: ENTRIES.filter((entry) => existsSync(entry)),
  outdir: "dist",
  entryNames: "[name]",
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  sourcemap: "linked",
  jsx: "automatic",
  jsxImportSource: "preact",
  // Beside the player, not in it: a browser that plays HLS by itself never fetches it, and a page may have its own.
  external: ["./hls.js"],
  logLevel: "warning",
});
await cp("node_modules/hls.js/dist/hls.min.mjs", "dist/hls.js");
