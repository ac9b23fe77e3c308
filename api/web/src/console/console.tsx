/** The console's entry: one page for all of its addresses. */

import "../theme.css";
import "./styles/ground.css";
import "./styles/signs.css";
import "./styles/controls.css";
import "./styles/bar.css";
import "./styles/overview.css";
import "./styles/lists.css";
import "./styles/pages.css";
import "./styles/sources.css";
import "./styles/channel.css";
import "./styles/session.css";
import "./styles/forms.css";
import "./styles/system.css";
import "./styles/login.css";
import "./styles/narrow.css";
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
