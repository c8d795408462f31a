/** What of the list is shown: the query, its completion, and the columns. */
import { html, useEffect, useRef, useState } from "../html.js";
import { changeQuery } from "../route.js";

/** What a query may begin with, and what it means. */
const FIELDS = [
  ["status:", "running, failed, succeeded, waiting …"],
  ["name:", "a name, or %part% of one"],
  ["kind:", "job, service, dag, matrix, schedule"],
  ["tags:", "a tag"],
  ["created_at:", "> 2026-01-01, or 2026-01-01..2026-02-01"],
  ["started_at:", "a time"],
  ["finished_at:", "a time"],
  ["duration:", "> 60, in seconds"],
  ["uuid:", "a uuid"],
  ["pipeline:", "the runs of a pipeline"],
  ["original:", "the restarts of a run"],
  ["upstream:", "what took values from a run"],
];
const QUICK = [
  ["All", ""],
  ["Live", "status:created|queued|scheduled|starting|running|processing|retrying|stopping"],
  ["Succeeded", "status:succeeded"],
  ["Failed", "status:failed|upstream_failed"],
];

/** @param {{query: string, all: boolean, columns: string[], known: string[]}} props */
export function FilterBar({ query, all, columns, known }) {
  return html`<div class="filter">
    <${Query} query=${query} known=${known} />
    <div class="chips" role="group" aria-label="Quick filters">
      ${QUICK.map(
        ([label, text]) =>
          html`<button type="button" key=${label} class="chip" aria-pressed=${query === text} onClick=${() => changeQuery({ q: text, after: "" })}>
            ${label}
          </button>`,
      )}
      <button type="button" class="chip" aria-pressed=${all} onClick=${() => changeQuery({ all: all ? "" : "1", after: "" })}>
        With runs of pipelines
      </button>
    </div>
    <${Columns} columns=${columns} known=${known} />
  </div>`;
}

/** @param {{query: string, known: string[]}} props */
function Query({ query, known }) {
  const [text, setText] = useState(query);
  const [at, setAt] = useState(-1);
  const [isOpen, setOpen] = useState(false);
  const input = useRef(/** @type {any} */ (null));
  useEffect(() => setText(query), [query]);
  const parts = text.split(",");
  const last = (parts.at(-1) ?? "").trimStart();
  const fields = [...FIELDS, ...known.map((name) => [`${name}:`, "> 0.5, or a value"])];
  const offers = last.includes(":") ? [] : fields.filter(([name]) => name.startsWith(last)).slice(0, 12);
  /** @param {string} field */
  const complete = (field) => {
    const before = parts.slice(0, -1).join(",");
    setText(before ? `${before}, ${field}` : field);
    setAt(-1);
    input.current.focus();
  };
  const apply = () => {
    setOpen(false);
    changeQuery({ q: text.trim(), after: "" });
  };
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    if (event.key === "Enter" && isOpen && at >= 0 && offers[at]) {
      event.preventDefault();
      complete(offers[at][0]);
    } else if (event.key === "Enter") apply();
    else if (event.key === "Escape") setOpen(false);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      setAt((at + step + offers.length) % Math.max(1, offers.length));
    }
  };
  const isShown = isOpen && offers.length > 0;
  return html`<div class="query">
    <input
      ref=${input}
      type="search"
      role="combobox"
      aria-label="Filter by the query language"
      aria-expanded=${isShown}
      aria-controls="offers"
      aria-autocomplete="list"
      aria-activedescendant=${isShown && at >= 0 ? `offer-${at}` : null}
      placeholder="status:failed, outputs.loss:<0.1"
      spellcheck="false"
      autocomplete="off"
      value=${text}
      onInput=${(/** @type {any} */ event) => (setText(event.target.value), setOpen(true), setAt(-1))}
      onFocus=${() => setOpen(true)}
      onBlur=${() => setTimeout(() => setOpen(false), 150)}
      onKeyDown=${press}
      onSearch=${apply}
    />
    <ul id="offers" role="listbox" aria-label="Fields" hidden=${!isShown}>
      ${offers.map(
        ([name, hint], index) =>
          html`<li key=${name} id=${`offer-${index}`} role="option" aria-selected=${index === at} onMouseDown=${(/** @type {Event} */ event) => (event.preventDefault(), complete(name))}>
            <code>${name}</code> <span class="dim">${hint}</span>
          </li>`,
      )}
    </ul>
  </div>`;
}

/** @param {{columns: string[], known: string[]}} props */
function Columns({ columns, known }) {
  const names = [...new Set([...known, ...columns])].sort();
  if (!names.length) return null;
  /** @param {string} name */
  const change = (name) => {
    const next = columns.includes(name) ? columns.filter((one) => one !== name) : [...columns, name];
    changeQuery({ cols: next.join(",") }, { replace: true });
  };
  return html`<details class="columns">
    <summary>Columns</summary>
    <div class="menu">
      ${names.map(
        (name) =>
          html`<label key=${name}>
            <input type="checkbox" checked=${columns.includes(name)} onChange=${() => change(name)} /> ${name}
          </label>`,
      )}
    </div>
  </details>`;
}
