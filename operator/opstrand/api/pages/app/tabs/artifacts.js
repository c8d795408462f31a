/** The files that the API keeps of a run: a tree, and a preview that runs nothing. */
import { download, encodePath, runPath, send, withQuery } from "../api.js";
import { Empty, ErrorNote, Loading } from "../components/basics.js";
import { isFinal, size } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { useLive } from "../live.js";
import { changeQuery } from "../route.js";

/** Bytes of a file that are shown. */
const MOST = 256 * 1024;
const LARGEST_IMAGE = 20 * 1024 * 1024;
/** What a browser draws, and runs nothing of: as an image, SVG has no scripts. */
const IMAGES = /** @type {Record<string, string>} */ ({
  png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", gif: "image/gif", webp: "image/webp", svg: "image/svg+xml", bmp: "image/bmp",
});

/** @param {{route: any, run: any}} props */
export function Tab({ route, run }) {
  const file = route.query.get("file") ?? "";
  return html`<div class="files">
    <nav class="tree" aria-label="Files of the run"><${Folder} route=${route} run=${run} path="" chosen=${file} /></nav>
    <div class="preview">${file ? html`<${Preview} key=${file} route=${route} run=${run} file=${file} />` : html`<p class="dim">Choose a file.</p>`}</div>
  </div>`;
}

/** @param {{route: any, run: any, path: string, chosen: string}} props */
function Folder({ route, run, path, chosen }) {
  const { data, error } = useLive(withQuery(runPath(route.project, run.status.uuid, "artifacts"), { path }), () => !isFinal(run));
  if (!data && error?.status === 404 && !path)
    return html`<${Empty} title=${error.message === "Not found." ? "The API keeps no files of this run." : error.message} command=${`opstrand cp -n ${route.project} ${run.metadata.name}:/ .`} />`;
  if (!data) return error ? html`<${ErrorNote} error=${error} />` : html`<${Loading} />`;
  if (!data.files.length && !data.folders.length) return html`<p class="dim">${path ? "Empty." : "It has no files."}</p>`;
  const inside = (/** @type {string} */ name) => (path ? `${path}/${name}` : name);
  return html`<ul>
    ${data.folders.map((/** @type {string} */ name) => html`<li key=${`${name}/`}><${SubFolder} route=${route} run=${run} path=${inside(name)} name=${name} chosen=${chosen} /></li>`)}
    ${data.files.map(
      (/** @type {any} */ one) => html`<li key=${one.name}>
        <a href=${`?file=${encodeURIComponent(inside(one.name))}`} aria-current=${inside(one.name) === chosen ? "true" : null} onClick=${(/** @type {Event} */ event) => (event.preventDefault(), changeQuery({ file: inside(one.name) }))}>${one.name}</a>
        <span class="dim">${size(one.size)}</span>
      </li>`,
    )}
  </ul>`;
}

/** @param {{route: any, run: any, path: string, name: string, chosen: string}} props */
function SubFolder({ name, ...rest }) {
  const [isOpen, setOpen] = useState(rest.chosen.startsWith(`${rest.path}/`));
  return html`
    <button type="button" class="fold" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>${isOpen ? "▾" : "▸"} ${name}/</button>
    ${isOpen && html`<${Folder} ...${rest} />`}
  `;
}

/** @param {{route: any, run: any, file: string}} props */
function Preview({ route, run, file }) {
  const [state, setState] = useState(/** @type {any} */ ({}));
  const path = runPath(route.project, run.status.uuid, `artifacts/${encodePath(file)}`);
  const name = file.split("/").at(-1) ?? file;
  useEffect(() => {
    const stop = new AbortController();
    /** @type {string | undefined} */
    let url;
    load(path, name, stop.signal).then(
      (loaded) => {
        url = loaded.image;
        setState(loaded);
      },
      (error) => stop.signal.aborted || setState({ error }),
    );
    return () => {
      stop.abort();
      if (url) URL.revokeObjectURL(url);
    };
  }, [path]);
  return html`
    <div class="toolbar">
      <code>${file}</code>
      ${state.size != null && html`<span class="dim">${size(state.size)}</span>`}
      <span class="space"></span>
      <button type="button" onClick=${() => download(path, name).catch((error) => setState({ error }))}>Download</button>
    </div>
    <${ErrorNote} error=${state.error} />
    ${state.image && html`<img src=${state.image} alt=${`The image ${name}`} />`}
    ${state.table && html`<${Table} rows=${state.table} />`}
    ${state.text !== undefined && !state.table && html`<pre class="code" tabindex="0" role="region" aria-label=${file}>${state.text}</pre>`}
    ${state.isCut && html`<p class="dim">This is the beginning of the file; download it for the rest.</p>`}
    ${state.isBinary && html`<p class="dim">It is no text and no image that a browser draws.</p>`}
  `;
}

/**
 * @param {string} path
 * @param {string} name
 * @param {AbortSignal} signal
 */
async function load(path, name, signal) {
  const suffix = name.toLowerCase().split(".").at(-1) ?? "";
  const answer = await send(path, { signal });
  const length = answer.headers.get("Content-Length");
  // A proxy that packs its answers leaves it out.
  const whole = length === null ? undefined : Number(length);
  const image = IMAGES[suffix];
  if (image && (whole ?? 0) <= LARGEST_IMAGE) {
    const blob = new Blob([await answer.arrayBuffer()], { type: image });
    return { image: URL.createObjectURL(blob), size: blob.size };
  }
  const bytes = await readSome(answer);
  if (bytes.subarray(0, 8000).includes(0)) return { isBinary: true, size: whole };
  const text = new TextDecoder().decode(bytes.subarray(0, MOST));
  const table = suffix === "csv" ? parseCsv(text) : undefined;
  return { text, table, size: whole, isCut: bytes.length > MOST };
}

/**
 * @param {Response} answer
 * @returns {Promise<Uint8Array>} One byte more than `MOST` if there are more.
 */
async function readSome(answer) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
  const found = new Uint8Array(MOST + 1);
  let filled = 0;
  while (filled < found.length) {
    const { done, value } = await reader.read();
    if (done) break;
    const part = value.subarray(0, found.length - filled);
    found.set(part, filled);
    filled += part.length;
  }
  void reader.cancel();
  return found.subarray(0, filled);
}

/**
 * @param {string} text
 * @returns {string[][]} At most 500 rows.
 */
export function parseCsv(text) {
  const rows = [[""]];
  let isQuoted = false;
  for (let index = 0; index < text.length && rows.length <= 500; index += 1) {
    const row = rows[rows.length - 1];
    const letter = text[index];
    if (isQuoted && letter === '"' && text[index + 1] === '"') {
      row[row.length - 1] += '"';
      index += 1;
    } else if (letter === '"') isQuoted = !isQuoted;
    else if (letter === "," && !isQuoted) row.push("");
    else if (letter === "\n" && !isQuoted) rows.push([""]);
    else if (letter !== "\r") row[row.length - 1] += letter;
  }
  return rows.filter((row) => row.length > 1 || row[0]).slice(0, 500);
}

/** @param {{rows: string[][]}} props */
function Table({ rows }) {
  const [head = [], ...body] = rows;
  return html`<div class="scroll"><table>
    <thead><tr>${head.map((cell, index) => html`<th scope="col" key=${index}>${cell}</th>`)}</tr></thead>
    <tbody>${body.map((row, at) => html`<tr key=${at}>${row.map((cell, index) => html`<td key=${index}>${cell}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}
