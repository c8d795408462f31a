/** A pipeline: every operation from the first moment, also those that have no run yet. */
import { runPath } from "../api.js";
import { ErrorNote, Loading, Phase, Time } from "../components/basics.js";
import { Drawing } from "../components/drawing.js";
import { duration, isFinal } from "../format.js";
import { html } from "../html.js";
import { useLive } from "../live.js";
import { addressOf } from "../route.js";

/** @param {{route: any, run: any}} props */
export function Tab({ route, run }) {
  const { data, error } = useLive(runPath(route.project, run.status.uuid, "members"), () => !isFinal(run));
  if (!data) return error ? html`<${ErrorNote} error=${error} />` : html`<${Loading} />`;
  const nodes = data.items.map((/** @type {any} */ one) => ({
    id: one.op,
    name: one.op,
    phase: one.phase,
    note: one.phase === "not created" ? one.note || "not created" : one.phase,
    href: one.uuid ? addressOf(route, one.uuid) : null,
  }));
  const edges = data.items.flatMap((/** @type {any} */ one) => one.upstreams.map((/** @type {string} */ from) => ({ from, to: one.op })));
  return html`
    <${ErrorNote} error=${error} isStale=${true} />
    <${Drawing} nodes=${nodes} edges=${edges} label="Graph of the pipeline" />
    <h2>Operations</h2>
    <div class="scroll"><table>
      <thead><tr><th scope="col">Operation</th><th scope="col">Status</th><th scope="col">Why</th><th scope="col">Started</th><th scope="col" class="number">Duration</th></tr></thead>
      <tbody>
        ${data.items.map(
          (/** @type {any} */ one) => html`<tr key=${one.op}>
            <td>${one.uuid ? html`<a href=${addressOf(route, one.uuid)}>${one.op}</a>` : one.op}</td>
            <td><${Phase} phase=${one.phase} /> <code class="dim" title="The letter in status.children.states">${one.letter}</code></td>
            <td class="text dim">${one.note}</td>
            <td><${Time} at=${one.startedAt} /></td>
            <td class="number">${one.duration == null ? "–" : duration(one.duration)}</td>
          </tr>`,
        )}
      </tbody>
    </table></div>
    ${data.isCut && html`<p class="dim">There are more operations than these.</p>`}
  `;
}
