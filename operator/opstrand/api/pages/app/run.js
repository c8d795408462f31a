/** One run: its head, what may be asked of it, and a tab for each view, with an address each. */
import { runPath } from "./api.js";
import { Actions } from "./components/actions.js";
import { Command, ErrorNote, Loading, Phase, Tags, Time } from "./components/basics.js";
import { isFinal, nameOf, PIPELINES } from "./format.js";
import { html, useEffect, useState } from "./html.js";
import { useLive } from "./live.js";
import { addressOf, go } from "./route.js";
import { Took } from "./runs.js";
import { Overview } from "./tabs/overview.js";

/** Tab -> its module, which a browser loads when the tab is opened. */
const TABS = /** @type {Record<string, {label: string, load: () => Promise<any>}>} */ ({
  "": { label: "Overview", load: async () => ({ Tab: Overview }) },
  graph: { label: "Graph", load: () => import("./tabs/graph.js") },
  matrix: { label: "Runs", load: () => import("./tabs/matrix.js") },
  logs: { label: "Logs", load: () => import("./tabs/logs.js") },
  lineage: { label: "Lineage", load: () => import("./tabs/lineage.js") },
  metrics: { label: "Metrics", load: () => import("./tabs/metrics.js") },
  artifacts: { label: "Artifacts", load: () => import("./tabs/artifacts.js") },
  spec: { label: "Spec", load: () => import("./tabs/spec.js") },
});

/** @param {{route: import("./route.js").Route}} props */
export function RunPage({ route }) {
  const path = runPath(route.project, route.run);
  const { data: run, error, reload } = useLive(path, (data) => !isFinal(data));
  useEffect(() => {
    document.title = `${run ? nameOf(run) : route.run} – opstrand`;
  }, [run, route.run]);
  if (!run && error?.status === 404) return html`<${Missing} route=${route} />`;
  if (!run) return error ? html`<${ErrorNote} error=${error} />` : html`<${Loading} />`;
  return html`
    <${Head} route=${route} run=${run} onChange=${reload} />
    <${ErrorNote} error=${error} isStale=${true} />
    <${TabList} route=${route} run=${run} />
    <${TabPanel} key=${route.tab} route=${route} run=${run} />
  `;
}

/** @param {{route: any}} props */
function Missing({ route }) {
  return html`<div class="empty">
    <p>There is no run ${route.run} in ${route.project}, or you may not see it.</p>
    <a href=${addressOf(route)}>All runs of ${route.project}</a>
    <${Command} text=${`opstrand ls -n ${route.project}`} />
  </div>`;
}

/** @param {{route: any, run: any, onChange: () => void}} props */
function Head({ route, run, onChange }) {
  const { status, metadata } = run;
  const owner = (metadata.ownerReferences ?? []).find((/** @type {any} */ one) => one.kind === "Operation");
  return html`<div class="run-head">
    <div class="page-head">
      <h1>${nameOf(run)}</h1>
      <${Phase} phase=${status.phase} />
      <span class="space"></span>
      <${Actions} route=${route} run=${run} onChange=${onChange} />
    </div>
    <dl class="facts">
      ${owner && html`<${Fact} term="Pipeline"><a href=${addressOf(route, owner.uid.replaceAll("-", ""))}>${owner.name}</a><//>`}
      <${Fact} term="Kind">${status.kind ?? "–"}<//>
      <${Fact} term="Created"><${Time} at=${metadata.creationTimestamp} /><//>
      <${Fact} term="Started"><${Time} at=${status.startedAt} /><//>
      <${Fact} term="Duration"><${Took} run=${run} /><//>
      ${status.attempt ? html`<${Fact} term="Attempt">${status.attempt + 1}<//>` : null}
      ${status.children && html`<${Fact} term="Done">${status.children.summary}<//>`}
      <${Fact} term="uuid"><code class="uuid">${status.uuid}</code><//>
      ${status.tags?.length ? html`<${Fact} term="Tags"><${Tags} tags=${status.tags} most=${8} /><//>` : null}
    </dl>
  </div>`;
}

/** @param {{term: string, children?: any}} props */
function Fact({ term, children }) {
  return html`<div><dt>${term}</dt><dd>${children}</dd></div>`;
}

/** @param {any} run */
function listTabs(run) {
  const { kind } = run.status;
  return Object.keys(TABS).filter((name) => {
    if (name === "graph") return kind === "dag";
    if (name === "matrix") return kind === "matrix" || kind === "schedule";
    return !(["metrics", "artifacts"].includes(name) && PIPELINES.has(kind));
  });
}

/** @param {{route: any, run: any}} props */
function TabList({ route, run }) {
  const tabs = listTabs(run);
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(route.tab) + step + tabs.length) % tabs.length];
    go(addressOf(route, route.run, next), { replace: true });
    const links = /** @type {any} */ (event.currentTarget).querySelectorAll("a");
    links[tabs.indexOf(next)].focus();
  };
  return html`<nav class="tabs" aria-label="Views of the run" onKeyDown=${press}>
    ${tabs.map(
      (name) =>
        html`<a key=${name} href=${addressOf(route, route.run, name)} aria-current=${name === route.tab ? "page" : null}>
          ${TABS[name].label}
        </a>`,
    )}
  </nav>`;
}

/** @param {{route: any, run: any}} props */
function TabPanel({ route, run }) {
  const [module, setModule] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {Error | null} */ (null));
  const tab = TABS[route.tab];
  useEffect(() => {
    tab?.load().then((loaded) => setModule({ Tab: loaded.Tab }), setError);
  }, [tab]);
  if (!tab) return html`<div class="empty"><p>There is no view “${route.tab}” of a run.</p></div>`;
  if (error) return html`<${ErrorNote} error=${error} />`;
  if (!module) return html`<${Loading} />`;
  return html`<section class="panel" aria-label=${tab.label}><${module.Tab} route=${route} run=${run} /></section>`;
}
