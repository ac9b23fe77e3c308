/** The console's entry: one page for all of its addresses. */

import "../theme.css";
import "./console.css";
import "./admin/admin.css";
import "./rows.css";
import { render } from "preact";
import { App } from "./App";
import { start } from "./live";
import { startRouting } from "./route";
import { startTheme } from "./theme";

startTheme();
startRouting();
render(<App />, document.body);
start();
