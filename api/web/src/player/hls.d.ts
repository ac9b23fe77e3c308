// What is served as /assets/hls.js: hls.js's own module.
export { default } from "hls.js";
export * from "hls.js";
