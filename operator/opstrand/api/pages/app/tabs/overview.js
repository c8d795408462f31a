/** What a run is: why it is where it is, what went in and came out, and how it went. */
import { Command, Phase, Tags, Time, Value } from "../components/basics.js";
import { duration, FINAL } from "../format.js";
import { html } from "../html.js";
import { addressOf } from "../route.js";

/** @param {{route: any, run: any}} props */
export function Tab(props) {
  return html`<${Overview} ...${props} />`;
}

/** @param {{route: any, run: any}} props */
export function Overview({ route, run }) {
  const { status, spec } = run;
  const description = status.description || spec?.description;
  return html`
    <${Why} route=${route} run=${run} />
    <div class="columns-2">
      <div>
        <${Values} title="Inputs" values=${{ ...status.inputs, ...status.reportedInputs }} origins=${originsOf(run)} route=${route} none="It takes no inputs." />
        <${Values} title="Outputs" values=${status.outputs} best=${status.best} none=${FINAL.has(status.phase) ? "It reported no outputs." : "It has reported no outputs yet."} />
        ${status.meta && Object.keys(status.meta).length > 0 && html`<${Values} title="Meta" values=${status.meta} none="" />`}
      </div>
      <div>
        <${History} run=${run} />
        <${Where} run=${run} />
        ${description && html`<h2>Description</h2><p class="text">${description}</p>`}
        ${(status.tags ?? spec?.tags)?.length > 0 && html`<h2>Tags</h2><p><${Tags} tags=${status.tags ?? spec.tags} /></p>`}
      </div>
    </div>
  `;
}

/** @param {{route: any, run: any}} props */
function Why({ route, run }) {
  const { phase, reason, message } = run.status;
  if (!message || phase === "Succeeded" || phase === "Running") return null;
  const tone = phase === "Failed" || phase === "UpstreamFailed" ? "bad" : "wait";
  const name = run.metadata.name;
  const command = tone === "bad" ? `opstrand logs -n ${route.project} ${name}` : `opstrand get -n ${route.project} ${name} --explain`;
  return html`<div class=${`note ${tone} why-note`}>
    <strong>${reason && reason !== phase ? reason : phase}</strong>
    <p class="text">${message}</p>
    <${Command} text=${command} />
  </div>`;
}

/**
 * Where each input's value is from.
 *
 * @param {any} run
 * @returns {Record<string, {kind: string, text: string, uuid?: string}>}
 */
function originsOf(run) {
  const { status, spec } = run;
  /** @type {Record<string, {kind: string, text: string, uuid?: string}>} */
  const found = {};
  for (const name of Object.keys(status.inputs ?? {})) {
    const param = spec?.params?.[name];
    if (param === undefined) found[name] = { kind: "default", text: "default of the component" };
    else if (param?.ref) found[name] = { kind: "ref", text: `${param.ref} ${asText(param.value)}` };
    else found[name] = { kind: "literal", text: "given" };
  }
  for (const name of Object.keys(spec?.joins ?? {}))
    found[name] = { kind: "join", text: `join: ${spec.joins[name]?.query ?? ""}` };
  for (const edge of status.upstream ?? [])
    for (const [name, asked] of Object.entries(edge.values ?? {}))
      if (found[name] || name in (status.inputs ?? {}))
        found[name] = { kind: edge.kind ?? "ref", text: `${asText(asked)} of ${edge.name ?? edge.uuid}`, uuid: edge.uuid };
  for (const name of Object.keys(status.reportedInputs ?? {}))
    found[name] = { kind: "reported", text: "reported by its program" };
  return found;
}

/** @param {any} value */
const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value ?? ""));

/** @param {{title: string, values?: Record<string, any>, origins?: any, route?: any, none: string, best?: any}} props */
function Values({ title, values, origins = {}, route, none, best }) {
  const names = Object.keys(values ?? {});
  const hasOrigins = Object.keys(origins).length > 0;
  return html`
    <h2>${title}</h2>
    ${best?.name && html`<p>Best: <a href=${best.uuid ? `../${best.uuid}/` : null}>${best.name}</a>, <${Value} value=${best.value} /></p>`}
    ${!names.length
      ? html`<p class="dim">${none}</p>`
      : html`<div class="scroll"><table class="values">
          <thead class="hidden"><tr><th>Name</th><th>Value</th>${hasOrigins && html`<th>From</th>`}</tr></thead>
          <tbody>
            ${names.map(
              (name) =>
                html`<tr key=${name}>
                  <th scope="row">${name}</th>
                  <td><${Value} value=${values?.[name]} /></td>
                  ${hasOrigins && html`<td class="dim"><${Origin} origin=${origins[name]} route=${route} /></td>`}
                </tr>`,
            )}
          </tbody>
        </table></div>`}
  `;
}

/** @param {{origin?: {kind: string, text: string, uuid?: string}, route: any}} props */
function Origin({ origin, route }) {
  if (!origin) return null;
  if (!origin.uuid) return html`${origin.text}`;
  return html`<a href=${addressOf(route, origin.uuid)}>${origin.text}</a>`;
}

/** @param {{run: any}} props */
function History({ run }) {
  const history = run.status.history ?? [];
  const entries = history.length ? history : [{ status: "created", at: run.metadata.creationTimestamp }];
  return html`
    <h2>History</h2>
    <ol class="history">
      ${entries.map((/** @type {any} */ entry, /** @type {number} */ index) => {
        const next = entries[index + 1];
        const lasted = next && (Date.parse(next.at) - Date.parse(entry.at)) / 1000;
        return html`<li key=${index}>
          <${Phase} phase=${asPhase(entry.status)} />
          <span><${Time} at=${entry.at} />${lasted >= 0 ? html` <span class="dim">for ${duration(lasted)}</span>` : null}</span>
          ${entry.message && html`<span class="text dim">${entry.reason ? `${entry.reason}: ` : ""}${entry.message}</span>`}
        </li>`;
      })}
    </ol>
  `;
}

/**
 * @param {string} status As the published client calls it.
 * @returns {string} As it is called here.
 */
function asPhase(status) {
  return String(status ?? "")
    .split("_")
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join("");
}

/** @param {{run: any}} props */
function Where({ run }) {
  const { pod, service } = run.status;
  if (!pod?.name && !service) return null;
  const { namespace } = run.metadata;
  return html`
    <h2>${service ? "Service" : "Pod"}</h2>
    <dl class="facts">
      ${pod?.name && html`<div><dt>Pod</dt><dd><code>${pod.name}</code></dd></div>`}
      ${pod?.node && html`<div><dt>Node</dt><dd><code>${pod.node}</code></dd></div>`}
      ${service && html`<div><dt>Ports</dt><dd>${(service.ports ?? []).join(", ")}</dd></div>`}
    </dl>
    ${service
      ? html`<${Command} text=${`opstrand port-forward -n ${namespace} ${run.metadata.name}`} />`
      : html`<${Command} text=${`kubectl describe pod -n ${namespace} ${pod.name}`} />`}
  `;
}
