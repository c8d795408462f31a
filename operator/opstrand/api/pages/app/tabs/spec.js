/** The operation of a run: as it was written, and as it was compiled. */
import { runPath } from "../api.js";
import { Command, ErrorNote, Loading } from "../components/basics.js";
import { html, useState } from "../html.js";
import { useLive } from "../live.js";
import { changeQuery } from "../route.js";

/** @param {{route: any, run: any}} props */
export function Tab({ route, run }) {
  const { data, error } = useLive(runPath(route.project, run.status.uuid, "content"), () => false);
  const [isCopied, setCopied] = useState(false);
  if (!data) return error ? html`<${ErrorNote} error=${error} />` : html`<${Loading} />`;
  const form = route.query.get("form") === "compiled" ? "compiled" : "written";
  const text = data[form];
  const copy = () => navigator.clipboard?.writeText(text).then(() => setCopied(true));
  return html`
    <div class="toolbar">
      <div class="chips" role="group" aria-label="Form">
        ${[["written", "As written"], ["compiled", "As compiled"]].map(
          ([name, label]) => html`<button type="button" class="chip" key=${name} aria-pressed=${form === name} onClick=${() => (setCopied(false), changeQuery({ form: name === "written" ? "" : name }, { replace: true }))}>${label}</button>`,
        )}
      </div>
      <span class="space"></span>
      <button type="button" onClick=${copy}>${isCopied ? "Copied" : "Copy"}</button>
    </div>
    <pre class="code" tabindex="0" role="region" aria-label="The operation">${text}</pre>
    <p class="dim">Run it again:</p>
    <${Command} text=${`opstrand restart -n ${route.project} ${run.metadata.name}`} />
  `;
}
