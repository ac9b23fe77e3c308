// Styles are bundled by the build; a script that imports one has no value of it.
declare module "*.css";
