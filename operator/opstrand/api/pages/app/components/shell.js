/** The frame of every page: where one is, and who one is. */
import { send } from "../api.js";
import { html, useEffect, useState } from "../html.js";
import { RunPage } from "../run.js";
import { RunsPage } from "../runs.js";
import { addressOf, go, useRoute } from "../route.js";
import { dropToken, forgetToken, keepToken, readToken } from "../session.js";
import { currentTheme, switchTheme } from "../theme.js";
import { Empty } from "./basics.js";

const LAST = "opstrand.project";

export function Shell() {
  const route = useRoute();
  const [token, setToken] = useState(readToken);
  useEffect(() => {
    const lost = () => setToken("");
    addEventListener("opstrand:unauthenticated", lost);
    return () => removeEventListener("opstrand:unauthenticated", lost);
  }, []);
  useEffect(() => {
    if (route.project) localStorage.setItem(LAST, route.project);
  }, [route.project]);
  return html`
    <a class="skip" href="#main">Skip to the content</a>
    <${Top} route=${route} hasToken=${Boolean(token)} />
    <main id="main" tabindex="-1">
      ${!token
        ? html`<${SignIn} project=${route.project} onToken=${setToken} />`
        : route.project
          ? route.run
            ? html`<${RunPage} key=${route.run} route=${route} />`
            : html`<${RunsPage} key=${route.project} route=${route} />`
          : html`<${Projects} />`}
    </main>
  `;
}

/** @param {{route: import("../route.js").Route, hasToken: boolean}} props */
function Top({ route, hasToken }) {
  const [theme, setTheme] = useState(currentTheme);
  const next = theme === "dark" ? "light" : "dark";
  const change = () => {
    switchTheme();
    setTheme(currentTheme());
  };
  const home = addressOf({ ...route, project: "" }).replace(/[^/]*\/[^/]*\/runs$/, "");
  return html`<header class="top">
    <a class="mark" href=${home}>opstrand</a>
    <nav aria-label="Place">
      ${route.project &&
      html`<a href=${addressOf(route)} aria-current=${route.run ? null : "page"}>${route.project}</a>`}
    </nav>
    <span class="space"></span>
    <button type="button" class="quiet" onClick=${change} aria-label=${`Change to ${next} colours`}>
      ${next}
    </button>
    ${hasToken &&
    html`<button type="button" class="quiet" onClick=${() => (forgetToken(), location.reload())}>
      sign out
    </button>`}
  </header>`;
}

/** @param {{project: string, onToken: (token: string) => void}} props */
function SignIn({ project, onToken }) {
  const [error, setError] = useState("");
  /** @param {SubmitEvent} event */
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const token = String(form.get("token")).trim();
    keepToken(token);
    try {
      await send("apis/runs.opstrand.dev/v1alpha1");
      onToken(token);
    } catch (failure) {
      dropToken();
      setError(/** @type {Error} */ (failure).message);
    }
  };
  return html`<section class="sign-in" aria-labelledby="sign-in">
    <h1 id="sign-in">A token is needed</h1>
    <p>
      These pages show what you may see in the cluster. The token stays in this tab, and is
      forgotten when you close it.
    </p>
    <form onSubmit=${submit}>
      <label for="token">Bearer token</label>
      <input id="token" name="token" type="password" autocomplete="off" required spellcheck="false" />
      <button type="submit" class="main">Continue</button>
      ${error && html`<div class="note bad" role="alert">${error}</div>`}
    </form>
    <p>With a kubeconfig you need none of this:</p>
    <${Empty} title="" command=${`opstrand ui${project ? ` -n ${project}` : ""}`} />
  </section>`;
}

function Projects() {
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    go(addressOf({ project: String(form.get("project")).trim() }));
  };
  const last = localStorage.getItem(LAST) ?? "";
  return html`<section class="sign-in" aria-labelledby="projects">
    <h1 id="projects">Which project?</h1>
    <form onSubmit=${submit}>
      <label for="project">A project is a namespace of the cluster</label>
      <input id="project" name="project" required value=${last} spellcheck="false" autocomplete="off" />
      <button type="submit" class="main">Show its runs</button>
    </form>
  </section>`;
}
