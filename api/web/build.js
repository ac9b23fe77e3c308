// Bundles each page's script and style, and the player as a module of its own with its types, into dist/. Every name is fixed: the
// API serves them with an ETag, and an address such as /assets/player.js is a contract with pages that are not ours.

import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { build } from "esbuild";
import ts from "typescript";

const ENTRIES = [
  "src/player/player.ts",
  "src/watch/watch.ts",
  "src/watch/list.ts",
  "src/console/console.tsx",
  "src/front/home.ts",
];

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
await mkdir("dist", { recursive: true });
await cp("node_modules/hls.js/dist/hls.min.mjs", "dist/hls.js");
for (const page of await readdir("src", { recursive: true })) {
  if (/\.(html|svg)$/.test(page)) await cp(`src/${page}`, `dist/${basename(page)}`);
}
await writeFile("dist/player.d.ts", await declarations("src/player/contract.ts"));

// One file without imports is all that a page which imports the player needs.
async function declarations(path) {
  const { outputText } = ts.transpileDeclaration(await readFile(path, "utf8"), { compilerOptions: { target: "es2022" } });
  return `${outputText}export declare const attach: Attach;\n`;
}
