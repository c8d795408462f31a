/** Which runs a run took values from, which took values from it, and its artifacts. */
import { runPath, withQuery } from "../api.js";
import { Command, Empty, ErrorNote, Loading, Phase } from "../components/basics.js";
import { Drawing } from "../components/drawing.js";
import { isFinal, valueText } from "../format.js";
import { html } from "../html.js";
import { useLive } from "../live.js";
import { addressOf, changeQuery } from "../route.js";

const DEPTHS = [1, 2, 3, 5, 10];

/** @param {{route: any, run: any}} props */
export function Tab({ route, run }) {
  const depth = Number(route.query.get("depth") ?? 2);
  const path = withQuery(runPath(route.project, run.status.uuid, "lineage"), { depth });
  const { data, error } = useLive(path, () => !isFinal(run));
  if (!data) return error ? html`<${ErrorNote} error=${error} />` : html`<${Loading} />`;
  const runs = new Map(data.runs.map((/** @type {any} */ one) => [one.uuid, one]));
  const upstream = data.edges.filter((/** @type {any} */ edge) => edge.downstream === data.run);
  const downstream = data.edges.filter((/** @type {any} */ edge) => edge.upstream === data.run);
  const nodes = data.runs.map((/** @type {any} */ one) => ({
    id: one.uuid,
    name: one.name,
    phase: one.phase,
    isSelf: one.uuid === data.run,
    href: one.phase ? addressOf(route, one.uuid, one.uuid === data.run ? "" : "lineage") : null,
  }));
  const edges = data.edges.map((/** @type {any} */ edge) => ({ from: edge.upstream, to: edge.downstream, label: describe(edge) }));
  return html`
    <${ErrorNote} error=${error} isStale=${true} />
    ${data.edges.length > 0 &&
    html`<div class="toolbar">
      <label>Depth
        <select onChange=${(/** @type {any} */ event) => changeQuery({ depth: event.target.value }, { replace: true })}>
          ${DEPTHS.map((one) => html`<option key=${one} value=${one} selected=${one === depth}>${one}</option>`)}
        </select>
      </label>
      ${data.isCut && html`<span class="dim">There are more runs than these.</span>`}
    </div>
    <${Drawing} nodes=${nodes} edges=${edges} label="Lineage of the run" />`}
    <${Edges} title="Upstream" of="It took values from" edges=${upstream} side="upstream" runs=${runs} route=${route} none="It took no values from other runs." />
    <${Edges} title="Downstream" of="They took values from it" edges=${downstream} side="downstream" runs=${runs} route=${route} none="No run took values from it.">
      <p class="dim">A param of another run refers to it by</p>
      <${Command} text=${`{ref: runs.${run.status.uuid}, value: outputs.NAME}`} />
    <//>
    <${Artifacts} run=${run} />
  `;
}

/** @param {any} edge */
const describe = (edge) => Object.entries(edge.values).map(([name, value]) => `${name} = ${valueText(value)}`).join("\n");

/** @param {{title: string, of: string, edges: any[], side: string, runs: Map<string, any>, route: any, none: string, children?: any}} props */
function Edges({ title, of, edges, side, runs, route, none, children }) {
  return html`
    <h2>${title}</h2>
    ${!edges.length
      ? html`<p class="dim">${none}</p>${children}`
      : html`<div class="scroll"><table>
          <caption class="hidden">${of}</caption>
          <thead><tr><th scope="col">Run</th><th scope="col">Status</th><th scope="col">Kind of link</th><th scope="col">Param</th><th scope="col">Requested value</th></tr></thead>
          <tbody>
            ${edges.flatMap((edge) => {
              const other = runs.get(edge[side]);
              const values = Object.entries(edge.values);
              return (values.length ? values : [["–", ""]]).map(
                ([param, value]) => html`<tr key=${`${edge[side]} ${edge.kind} ${param}`}>
                  <td>${other?.phase ? html`<a href=${addressOf(route, edge[side])}>${other.name}</a>` : (other?.name ?? edge[side])}</td>
                  <td>${other?.phase ? html`<${Phase} phase=${other.phase} />` : html`<span class="dim">gone</span>`}</td>
                  <td>${edge.kind}</td>
                  <td>${param}</td>
                  <td><code>${valueText(value)}</code></td>
                </tr>`,
              );
            })}
          </tbody>
        </table></div>`}
  `;
}

/** @param {{run: any}} props */
function Artifacts({ run }) {
  const artifacts = run.status.artifacts ?? [];
  return html`
    <h2>Artifacts</h2>
    ${!artifacts.length
      ? html`<${Empty} title="It logged no artifacts." command="tracking.log_artifact('model.bin', name='model')" />`
      : html`<div class="scroll"><table>
          <thead><tr><th scope="col">Name</th><th scope="col">Kind</th><th scope="col">Path</th><th scope="col">Role</th></tr></thead>
          <tbody>
            ${artifacts.map(
              (/** @type {any} */ one) => html`<tr key=${one.name}>
                <td>${one.name}</td><td>${one.kind}</td><td><code>${one.path}</code></td><td>${one.isInput ? "input" : "output"}</td>
              </tr>`,
            )}
          </tbody>
        </table></div>`}
  `;
}
