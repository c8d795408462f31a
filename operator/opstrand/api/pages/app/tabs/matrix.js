/** The runs of a matrix or a schedule as a table, sorted by any column; the best is marked. */
import { runPath } from "../api.js";
import { Empty, ErrorNote, Loading, Phase, Time, Value } from "../components/basics.js";
import { duration, isFinal } from "../format.js";
import { html } from "../html.js";
import { useLive } from "../live.js";
import { addressOf, changeQuery } from "../route.js";

/** @param {{route: any, run: any}} props */
export function Tab({ route, run }) {
  const { data, error } = useLive(runPath(route.project, run.status.uuid, "members"), () => !isFinal(run));
  if (!data) return error ? html`<${ErrorNote} error=${error} />` : html`<${Loading} />`;
  if (!data.items.length) return html`<${Empty} title="It has made no runs yet." command=${`opstrand get -n ${route.project} ${run.metadata.name}`} />`;
  const params = keysOf(data.items, "params");
  const outputs = keysOf(data.items, "outputs");
  const columns = [
    { id: "op", label: "#", read: (/** @type {any} */ one) => (Number.isNaN(Number(one.op)) ? one.op : Number(one.op)) },
    { id: "phase", label: "Status", read: (/** @type {any} */ one) => one.phase },
    ...params.map((name) => ({ id: `params.${name}`, label: name, read: (/** @type {any} */ one) => one.params[name] })),
    ...outputs.map((name) => ({ id: `outputs.${name}`, label: name, read: (/** @type {any} */ one) => one.outputs?.[name] })),
    { id: "startedAt", label: "Started", read: (/** @type {any} */ one) => one.startedAt },
    { id: "duration", label: "Duration", read: (/** @type {any} */ one) => one.duration },
  ];
  const sort = route.query.get("sort") ?? "";
  const isDown = sort.startsWith("-");
  const by = columns.find((one) => one.id === sort.replace(/^-/, ""));
  const items = by ? [...data.items].sort((a, b) => compare(by.read(a), by.read(b), isDown)) : data.items;
  const metric = run.status.search?.metric;
  return html`
    <${ErrorNote} error=${error} isStale=${true} />
    ${run.status.best && html`<p>Best${metric ? ` (${run.status.search.minimize ? "least" : "greatest"} ${metric})` : ""}: ${run.status.best.uuid ? html`<a href=${addressOf(route, run.status.best.uuid)}>${run.status.best.name}</a>` : run.status.best.name}, <${Value} value=${run.status.best.value} /></p>`}
    <div class="scroll"><table class="sorted">
      <caption class="hidden">The runs of ${run.metadata.name}</caption>
      <thead><tr>
        ${columns.map((column) => {
          const isBy = by?.id === column.id;
          return html`<th scope="col" key=${column.id} aria-sort=${isBy ? (isDown ? "descending" : "ascending") : null}>
            <button type="button" class="sort" onClick=${() => changeQuery({ sort: isBy && !isDown ? `-${column.id}` : column.id }, { replace: true })}>
              ${column.label}<span aria-hidden="true">${isBy ? (isDown ? " ↓" : " ↑") : ""}</span>
            </button>
          </th>`;
        })}
      </tr></thead>
      <tbody>
        ${items.map(
          (/** @type {any} */ one) => html`<tr key=${one.name} class=${one.isBest ? "best" : null}>
            <td>${one.uuid ? html`<a href=${addressOf(route, one.uuid)}>${one.op}</a>` : one.op}${one.isBest ? html` <span class="tag">best</span>` : null}</td>
            <td title=${one.note || null}><${Phase} phase=${one.phase} /></td>
            ${params.map((name) => html`<td key=${name}><${Value} value=${one.params[name]} most=${40} /></td>`)}
            ${outputs.map((name) => html`<td key=${name}><${Value} value=${one.outputs?.[name]} most=${40} /></td>`)}
            <td><${Time} at=${one.startedAt} /></td>
            <td>${one.duration == null ? "–" : duration(one.duration)}</td>
          </tr>`,
        )}
      </tbody>
    </table></div>
    ${data.isCut && html`<p class="dim">There are more runs than these.</p>`}
  `;
}

/**
 * @param {any[]} items
 * @param {string} section
 * @returns {string[]}
 */
function keysOf(items, section) {
  return [...new Set(items.flatMap((one) => Object.keys(one[section] ?? {})))];
}

/**
 * @param {any} a
 * @param {any} b
 * @param {boolean} isDown A value that is missing comes last in both directions.
 */
function compare(a, b, isDown) {
  if (a == null || b == null) return Number(a == null) - Number(b == null);
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return isDown ? -order : order;
}
