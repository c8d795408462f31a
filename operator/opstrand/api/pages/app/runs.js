/** The runs of a project: a live list. What it shows is in the address. */
import { runPath, runsPath, sendJson, withQuery } from "./api.js";
import { Empty, ErrorNote, Loading, Phase, Tags, Time, Value } from "./components/basics.js";
import { FilterBar } from "./components/filter.js";
import { duration, isFinal, nameOf, PIPELINES } from "./format.js";
import { html, useEffect, useMemo, useState } from "./html.js";
import { useLive } from "./live.js";
import { addressOf, changeQuery } from "./route.js";

/** Runs of a page. */
const PAGE = 50;

/** @param {{route: import("./route.js").Route}} props */
export function RunsPage({ route }) {
  const query = route.query.get("q") ?? "";
  const after = route.query.get("after") ?? "";
  const all = route.query.get("all") === "1";
  const columns = (route.query.get("cols") ?? "").split(",").filter(Boolean);
  const path = withQuery(runsPath(route.project), {
    limit: PAGE,
    query: all || query.includes("pipeline") ? query : join(query, "pipeline:nil"),
    continue: after,
    values: "true",
  });
  const { data, error, reload } = useLive(path);
  const [chosen, setChosen] = useState(/** @type {Set<string>} */ (new Set()));
  useEffect(() => {
    document.title = `${route.project} – runs – opstrand`;
  }, [route.project]);
  const items = data?.items ?? [];
  const known = useMemo(() => listColumns(items), [items]);
  /** @param {string} uuid */
  const choose = (uuid) => {
    const next = new Set(chosen);
    if (!next.delete(uuid)) next.add(uuid);
    setChosen(next);
  };
  const next = data?.metadata?.continue;
  return html`
    <div class="page-head">
      <h1>Runs</h1>
      <span class="space"></span>
      <${Chosen} route=${route} items=${items} chosen=${chosen} onDone=${() => (setChosen(new Set()), reload())} />
    </div>
    <${FilterBar} query=${query} all=${all} columns=${columns} known=${known} />
    <${ErrorNote} error=${error} isStale=${Boolean(data)} />
    ${!data && !error && html`<${Loading} />`}
    ${data &&
    (items.length
      ? html`<${RunsTable} route=${route} items=${items} columns=${columns} chosen=${chosen} onChoose=${choose} />`
      : html`<${NoRuns} query=${query} after=${after} project=${route.project} />`)}
    ${(next || after) &&
    html`<nav class="pager" aria-label="Pages">
      ${after && html`<button type="button" onClick=${() => changeQuery({ after: "" })}>Newest</button>`}
      ${next && html`<button type="button" onClick=${() => changeQuery({ after: next })}>Older</button>`}
    </nav>`}
  `;
}

/** @param {...string} parts */
const join = (...parts) => parts.filter(Boolean).join(", ");

/** @param {any[]} items */
function listColumns(items) {
  const found = new Set();
  for (const run of items)
    for (const section of ["inputs", "outputs"])
      for (const name of Object.keys(run.status[section] ?? {})) found.add(`${section}.${name}`);
  return [...found].sort();
}

/** @param {{query: string, after: string, project: string}} props */
function NoRuns({ query, after, project }) {
  if (query || after)
    return html`<${Empty} title="No run matches.">
      <button type="button" onClick=${() => changeQuery({ q: "", after: "" })}>Show all runs</button>
    <//>`;
  return html`<${Empty}
    title="There are no runs yet. Start the first one:"
    command=${`opstrand run -n ${project} -f echo.yaml -P message="test 1" -l`}
  />`;
}

/** @param {{route: any, items: any[], columns: string[], chosen: Set<string>, onChoose: (uuid: string) => void}} props */
function RunsTable({ route, items, columns, chosen, onChoose }) {
  return html`<div class="scroll">
    <table class="runs">
      <caption class="hidden">
        The runs of ${route.project}, the newest first
      </caption>
      <thead>
        <tr>
          <th scope="col" class="pick"><span class="hidden">Select</span></th>
          <th scope="col">Status</th>
          <th scope="col">Name</th>
          <th scope="col">Kind</th>
          <th scope="col">Created</th>
          <th scope="col" class="number">Duration</th>
          ${columns.map((column) => html`<th scope="col" key=${column}>${column}</th>`)}
          <th scope="col">Tags</th>
        </tr>
      </thead>
      <tbody>
        ${items.map(
          (run) =>
            html`<${Row} key=${run.status.uuid} route=${route} run=${run} columns=${columns} chosen=${chosen} onChoose=${onChoose} depth=${0} />`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** @param {{route: any, run: any, columns: string[], chosen: Set<string>, onChoose: (uuid: string) => void, depth: number}} props */
function Row({ route, run, columns, chosen, onChoose, depth }) {
  const [isOpen, setOpen] = useState(false);
  const { status } = run;
  const name = nameOf(run);
  const isPipeline = PIPELINES.has(status.kind);
  const why = !["Succeeded", "Running", undefined].includes(status.phase) && status.message;
  return html`
    <tr class=${chosen.has(status.uuid) ? "chosen" : null}>
      <td class="pick">
        <input type="checkbox" aria-label=${`Select ${name}`} checked=${chosen.has(status.uuid)} onChange=${() => onChoose(status.uuid)} />
      </td>
      <td data-label="Status"><${Phase} phase=${status.phase} /></td>
      <td class="name" data-depth=${depth || null}>
        ${isPipeline &&
        html`<button type="button" class="fold" aria-expanded=${isOpen} aria-label=${`Runs of ${name}`} onClick=${() => setOpen(!isOpen)}>
          ${isOpen ? "▾" : "▸"}
        </button>`}
        <a href=${addressOf(route, status.uuid)}>${name}</a>
        ${isPipeline && html` <span class="dim">${status.children?.summary ?? ""}</span>`}
        ${why && html`<span class="why" title=${why}>${why}</span>`}
      </td>
      <td data-label="Kind">${status.kind ?? ""}</td>
      <td data-label="Created"><${Time} at=${run.metadata.creationTimestamp} /></td>
      <td data-label="Duration" class="number"><${Took} run=${run} /></td>
      ${columns.map((column) => html`<td key=${column} data-label=${column}><${Cell} run=${run} column=${column} /></td>`)}
      <td data-label="Tags"><${Tags} tags=${status.tags} most=${3} /></td>
    </tr>
    ${isOpen && html`<${Children} route=${route} run=${run} columns=${columns} chosen=${chosen} onChoose=${onChoose} depth=${depth + 1} />`}
  `;
}

/** @param {any} props The same as a row's. */
function Children({ route, run, columns, chosen, onChoose, depth }) {
  const path = withQuery(runsPath(route.project), {
    limit: 200,
    query: `pipeline:${run.status.uuid}`,
    values: "true",
  });
  const { data, error } = useLive(path, () => !isFinal(run));
  const width = 7 + columns.length;
  if (!data) return html`<tr><td colspan=${width}>${error ? error.message : "Loading…"}</td></tr>`;
  if (!data.items.length)
    return html`<tr><td colspan=${width} class="dim">It has made no runs yet.</td></tr>`;
  return data.items.map(
    (/** @type {any} */ one) =>
      html`<${Row} key=${one.status.uuid} route=${route} run=${one} columns=${columns} chosen=${chosen} onChoose=${onChoose} depth=${depth} />`,
  );
}

/** @param {{run: any}} props */
export function Took({ run }) {
  const { duration: seconds, startedAt } = run.status;
  const isLive = seconds == null && startedAt && !isFinal(run);
  const [, tick] = useState(0);
  useEffect(() => {
    if (!isLive) return undefined;
    const timer = setInterval(() => tick((count) => count + 1), 1000);
    return () => clearInterval(timer);
  }, [isLive]);
  if (seconds != null) return html`${duration(seconds)}`;
  if (!isLive) return html`<span class="dim">–</span>`;
  return html`${duration(Math.max(0, (Date.now() - Date.parse(startedAt)) / 1000))}`;
}

/** @param {{run: any, column: string}} props */
function Cell({ run, column }) {
  const [section, ...rest] = column.split(".");
  const value = run.status[section]?.[rest.join(".")];
  return value === undefined ? html`<span class="dim">–</span>` : html`<${Value} value=${value} most=${40} />`;
}

/** What may be done with the selected runs. @param {any} props */
function Chosen({ route, items, chosen, onDone }) {
  const [problem, setProblem] = useState("");
  const runs = items.filter((/** @type {any} */ run) => chosen.has(run.status.uuid));
  if (!runs.length) return null;
  /** @param {string} action */
  const ask = async (action) => {
    const named = runs.map((/** @type {any} */ run) => nameOf(run)).join(", ");
    if (action === "delete" && !confirm(`Delete for good: ${named}?`)) return;
    const problems = [];
    for (const run of runs) {
      try {
        await sendJson(runPath(route.project, run.status.uuid, `actions/${action}`), { method: "POST" });
      } catch (error) {
        problems.push(`${nameOf(run)}: ${/** @type {Error} */ (error).message}`);
      }
    }
    setProblem(problems.join(" "));
    onDone();
  };
  const isOver = runs.every(isFinal);
  return html`<div class="actions" role="group" aria-label="Selected runs">
    <span class="dim">${runs.length} selected</span>
    <button type="button" disabled=${isOver} onClick=${() => ask("stop")}>Stop</button>
    <button type="button" class="danger" onClick=${() => ask("delete")}>Delete</button>
    ${problem && html`<div class="note bad" role="alert">${problem}</div>`}
  </div>`;
}
