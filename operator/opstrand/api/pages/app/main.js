/** The start of every page: a session, then the page that the address names. */
import { ROOT } from "./api.js";
import { Shell } from "./components/shell.js";
import { html, render } from "./html.js";
import { followLinks } from "./route.js";
import { openSession } from "./session.js";
import { applyTheme } from "./theme.js";

applyTheme();
followLinks();
await openSession(ROOT);
render(html`<${Shell} />`, /** @type {Element} */ (document.getElementById("app")));
