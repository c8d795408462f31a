/**
 * Requests to the API: one function for each thing that is asked.
 *
 * Owns the addresses and the shape of errors. Must not know how anything is shown.
 */
import { dropToken, readToken } from "./session.js";

/** Where the API is: the pages are below `ui/-/app/`, also behind the prefix of a proxy. */
export const ROOT = new URL("../../../", import.meta.url);
const RUNS = "apis/runs.opstrand.dev/v1alpha1";

/** What the server said when it refused a request. */
export class ApiError extends Error {
  /**
   * @param {number} status The HTTP status; 0 where there was no answer.
   * @param {string} message The server's own words.
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** @param {string} project */
export const runsPath = (project) => `${RUNS}/namespaces/${encodeURIComponent(project)}/runs`;

/**
 * @param {string} project
 * @param {string} run A uuid or a name.
 * @param {string} [part] Such as "log".
 */
export function runPath(project, run, part = "") {
  const path = `${runsPath(project)}/${encodeURIComponent(run)}`;
  return part ? `${path}/${part}` : path;
}

/** @param {string} path */
export const encodePath = (path) => path.split("/").map(encodeURIComponent).join("/");

/**
 * @param {string} path
 * @param {Record<string, any>} query Empty values are left out.
 */
export function withQuery(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  const text = new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

/**
 * Send a request.
 *
 * @param {string} path Relative to the API.
 * @param {{method?: string, body?: any, tag?: string, signal?: AbortSignal}} [options] `tag`: the
 *   ETag of an answer that is known.
 * @returns {Promise<Response>} An answer with status 200 to 299, or 304.
 * @throws {ApiError}
 */
export async function send(path, { method = "GET", body, tag, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Authorization: `Bearer ${readToken() || "none"}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (tag) headers["If-None-Match"] = tag;
  let answer;
  try {
    answer = await fetch(new URL(path, ROOT), {
      method,
      headers,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "The API does not answer. This page tries again by itself.");
  }
  if (answer.ok || answer.status === 304) return answer;
  if (answer.status === 401) dropToken();
  throw new ApiError(answer.status, await readMessage(answer));
}

/** @param {Response} answer */
async function readMessage(answer) {
  const text = await answer.text();
  try {
    const value = JSON.parse(text);
    return value.message || value.detail || text;
  } catch {
    return text || `${answer.status} ${answer.statusText}`;
  }
}

/**
 * @param {string} path
 * @param {{method?: string, body?: any, signal?: AbortSignal}} [options]
 */
export async function sendJson(path, options) {
  return (await send(path, options)).json();
}

/**
 * Save a file of the API under a name, as a browser saves a download.
 *
 * @param {string} path
 * @param {string} name
 */
export async function download(path, name) {
  const blob = await (await send(path)).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
