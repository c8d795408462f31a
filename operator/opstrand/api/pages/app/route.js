/**
 * What the address means, and how to go to another one without loading the page again.
 *
 * Owns the form of addresses: /ui/OWNER/PROJECT/runs, and below it a run's uuid and a tab.
 */
import { ROOT } from "./api.js";
import { useEffect, useState } from "./html.js";

const BASE = new URL("ui/", ROOT);
const MOVED = "opstrand:moved";

/**
 * @typedef {{owner: string, project: string, run: string, tab: string, query: URLSearchParams}}
 *   Route Parts that the address does not have are empty.
 */

/** @returns {Route} */
export function readRoute() {
  const parts = location.pathname.slice(BASE.pathname.length).split("/").map(decode);
  const [owner = "", project = "", room = "", run = "", tab = ""] = parts;
  const isRuns = room === "runs" || room === "";
  return {
    owner,
    project: isRuns ? project : "",
    run: isRuns ? run : "",
    tab,
    query: new URLSearchParams(location.search),
  };
}

/** @param {string} part */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** @returns {Route} */
export function useRoute() {
  const [route, setRoute] = useState(readRoute);
  useEffect(() => {
    const read = () => setRoute(readRoute());
    addEventListener("popstate", read);
    addEventListener(MOVED, read);
    return () => {
      removeEventListener("popstate", read);
      removeEventListener(MOVED, read);
    };
  }, []);
  return route;
}

/**
 * @param {{owner?: string, project: string}} place
 * @param {string} [run]
 * @param {string} [tab]
 */
export function addressOf({ owner = "default", project }, run = "", tab = "") {
  const parts = [owner, project, "runs", ...(run ? [run, tab] : [])].filter(
    (part, index) => part || index < 3,
  );
  return BASE.pathname + parts.map(encodeURIComponent).join("/") + (run ? "/" : "");
}

/**
 * @param {string} address
 * @param {{replace?: boolean}} [options]
 */
export function go(address, { replace = false } = {}) {
  if (new URL(address, location.href).href === location.href) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  dispatchEvent(new Event(MOVED));
}

/**
 * Change the query of the address; empty values are left out of it.
 *
 * @param {Record<string, string>} changes
 * @param {{replace?: boolean}} [options]
 */
export function changeQuery(changes, options) {
  const query = new URLSearchParams(location.search);
  for (const [key, value] of Object.entries(changes)) {
    if (value) query.set(key, value);
    else query.delete(key);
  }
  const text = query.toString();
  go(location.pathname + (text ? `?${text}` : ""), options);
}

/** Follow links to our own pages without loading them anew. */
export function followLinks() {
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey) return;
    if (event.shiftKey || event.altKey || !(event.target instanceof Element)) return;
    const link = /** @type {HTMLAnchorElement | null} */ (event.target.closest("a[href]"));
    if (!link || link.target || link.hasAttribute("download")) return;
    if (link.origin !== location.origin || !link.pathname.startsWith(BASE.pathname)) return;
    if (link.hash && link.pathname === location.pathname) return;
    event.preventDefault();
    const isOther = link.pathname !== location.pathname;
    go(link.pathname + link.search);
    if (isOther) scrollTo(0, 0);
  });
}
