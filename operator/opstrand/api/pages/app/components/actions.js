/** What may be asked of a run. What may not is shown with the reason. */
import { runPath, sendJson } from "../api.js";
import { nameOf } from "../format.js";
import { html, useState } from "../html.js";
import { useLive } from "../live.js";
import { addressOf, go } from "../route.js";

const LABELS = { approve: "Approve", skip: "Skip", stop: "Stop", resume: "Resume", restart: "Restart", delete: "Delete" };
/** Actions that are only shown where they can be taken: hardly any run can be asked for them. */
const RARE = new Set(["approve", "skip", "resume"]);

/** @param {{route: any, run: any, onChange: () => void}} props */
export function Actions({ route, run, onChange }) {
  const path = runPath(route.project, run.status.uuid, "actions");
  const { data, reload } = useLive(path, () => false);
  const [problem, setProblem] = useState("");
  const [asked, setAsked] = useState("");
  const [seen, setSeen] = useState(run.status.phase);
  if (seen !== run.status.phase) {
    setSeen(run.status.phase);
    setAsked("");
    reload();
  }
  /** @param {string} name */
  const ask = async (name) => {
    if (name === "delete" && !confirm(`Delete ${nameOf(run)} for good, with its logs and files?`)) return;
    setProblem("");
    setAsked(name);
    try {
      const done = await sendJson(`${path}/${name}`, { method: "POST" });
      if (name === "restart") go(addressOf(route, done.uuid));
      else if (name === "delete") go(addressOf(route));
      else onChange();
    } catch (error) {
      setAsked("");
      setProblem(/** @type {Error} */ (error).message);
    }
    reload();
  };
  const shown = (data?.items ?? []).filter((/** @type {any} */ one) => one.isAllowed || !RARE.has(one.name));
  return html`<div class="actions" role="group" aria-label="Actions">
    ${shown.map(
      (/** @type {any} */ one) =>
        html`<button
          key=${one.name}
          type="button"
          class=${one.name === "delete" ? "danger" : one.name === "approve" ? "main" : null}
          aria-disabled=${!one.isAllowed || asked === one.name}
          title=${one.refusal ?? null}
          onClick=${() => one.isAllowed && ask(one.name)}
        >
          ${/** @type {any} */ (LABELS)[one.name] ?? one.name}
        </button>`,
    )}
    ${problem && html`<div class="note bad" role="alert">${problem}</div>`}
  </div>`;
}
