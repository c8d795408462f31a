/** Small parts of every page: status, times, messages, values. */
import { ApiError } from "../api.js";
import { exactTime, relativeTime, shorten, valueText } from "../format.js";
import { html, useEffect, useState } from "../html.js";

/** Phase -> the tone in which it is shown. */
const TONES = {
  Created: "idle",
  Waiting: "wait",
  Queued: "wait",
  Starting: "live",
  Running: "live",
  Retrying: "warn",
  Processing: "live",
  Stopping: "warn",
  Succeeded: "good",
  Failed: "bad",
  UpstreamFailed: "bad",
  Stopped: "warn",
  Skipped: "idle",
};
const MINUTE = 60_000;

/** @param {string | undefined} phase */
export const toneOf = (phase) => /** @type {any} */ (TONES)[phase ?? ""] ?? "idle";

/** @param {{phase?: string}} props */
export function Phase({ phase }) {
  return html`<span class=${`phase ${toneOf(phase)}`}><i aria-hidden="true"></i>${phase || "Created"}</span>`;
}

/** @param {{at?: string | null}} props */
export function Time({ at }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const isNew = at && Date.now() - Date.parse(at) < MINUTE;
    const timer = setInterval(() => tick((count) => count + 1), isNew ? 5000 : MINUTE / 2);
    return () => clearInterval(timer);
  }, [at]);
  if (!at) return html`<span class="dim">–</span>`;
  return html`<time datetime=${at} title=${exactTime(at)}>${relativeTime(at)}</time>`;
}

/** @param {{error: ApiError | Error | null, isStale?: boolean}} props */
export function ErrorNote({ error, isStale = false }) {
  if (!error) return null;
  const status = error instanceof ApiError && error.status ? ` (${error.status})` : "";
  return html`<div class="note bad" role="alert">
    ${error.message}${status}${isStale ? " What you see may be out of date." : ""}
  </div>`;
}

/** @param {{title: string, command?: string, children?: any}} props */
export function Empty({ title, command, children }) {
  return html`<div class="empty">
    <p>${title}</p>
    ${children}
    ${command && html`<${Command} text=${command} />`}
  </div>`;
}

/**
 * A command to copy.
 *
 * @param {{text: string}} props
 */
export function Command({ text }) {
  const [isCopied, setCopied] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [isCopied]);
  const copy = () => navigator.clipboard?.writeText(text).then(() => setCopied(true));
  return html`<span class="command">
    <code>${text}</code>
    <button type="button" class="quiet" onClick=${copy} aria-label=${`Copy: ${text}`}>
      ${isCopied ? "copied" : "copy"}
    </button>
  </span>`;
}

export function Loading() {
  return html`<p class="loading" role="status">Loading…</p>`;
}

/** @param {{tags?: string[] | null, most?: number}} props `most`: the others are only counted. */
export function Tags({ tags, most = Infinity }) {
  const all = tags ?? [];
  const rest = all.slice(most);
  return html`${all.slice(0, most).map((tag) => html`<span class="tag" key=${tag} title=${tag}>${tag}</span>`)}
    ${rest.length > 0 && html`<span class="dim" title=${rest.join("\n")}>+${rest.length}</span>`}`;
}

/**
 * A value; a long one is opened by a click.
 *
 * @param {{value: any, most?: number}} props
 */
export function Value({ value, most = 160 }) {
  const text = valueText(value);
  if (text.length <= most && !text.includes("\n"))
    return html`<span class="value" title=${typeof value === "number" ? String(value) : null}>${text}</span>`;
  const whole = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return html`<details class="value">
    <summary>${shorten(text.split("\n")[0], most)}</summary>
    <pre tabindex="0">${whole}</pre>
  </details>`;
}
