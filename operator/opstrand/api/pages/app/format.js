/** How values, times and sizes are written. Pure. */

const UNITS = /** @type {[number, Intl.RelativeTimeFormatUnit][]} */ ([
  [60, "second"],
  [60, "minute"],
  [24, "hour"],
  [30, "day"],
  [12, "month"],
  [Infinity, "year"],
]);
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

/**
 * @param {string} at
 * @param {number} [now]
 * @returns {string} Such as "3 min. ago".
 */
export function relativeTime(at, now = Date.now()) {
  let left = (Date.parse(at) - now) / 1000;
  if (Number.isNaN(left)) return at;
  if (Math.abs(left) < 5) return "now";
  for (const [size, unit] of UNITS) {
    if (Math.abs(left) < size) return RELATIVE.format(Math.round(left), unit);
    left /= size;
  }
  return at;
}

/** @param {string} at */
export function exactTime(at) {
  const moment = new Date(at);
  if (Number.isNaN(moment.getTime())) return at;
  const local = moment.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  return `${local} (${moment.toISOString()})`;
}

/**
 * @param {number} seconds
 * @returns {string} Such as "3m12s", as the command line has it.
 */
export function duration(seconds) {
  if (seconds < 10) return `${Math.round(seconds * 10) / 10}s`;
  const whole = Math.round(seconds);
  const [days, hours] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24];
  const [minutes, rest] = [Math.floor(whole / 60) % 60, whole % 60];
  if (days) return `${days}d${hours}h`;
  if (hours) return `${hours}h${minutes}m`;
  return minutes ? `${minutes}m${rest}s` : `${rest}s`;
}

/** @param {number} bytes */
export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let index = 0;
  let left = bytes;
  while (left >= 1024 && index < units.length - 1) {
    left /= 1024;
    index += 1;
  }
  return `${index ? left.toFixed(1) : left} ${units[index]}`;
}

/**
 * @param {any} value
 * @returns {string} A value as one line: text as it is, everything else as JSON.
 */
export function valueText(value) {
  if (typeof value === "string") return value;
  if (typeof value === "number" && !Number.isInteger(value)) return shortNumber(value);
  return value === undefined ? "" : JSON.stringify(value);
}

/** @param {number} value */
export function shortNumber(value) {
  const text = value.toPrecision(6);
  return String(Number(text)).length < String(value).length ? String(Number(text)) : String(value);
}

/**
 * @param {string} text
 * @param {number} most
 */
export const shorten = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** Phases in which a run has ended. */
export const FINAL = new Set(["Succeeded", "Failed", "Stopped", "Skipped", "UpstreamFailed"]);

/** @param {any} run As the API has it. */
export const isFinal = (run) => FINAL.has(run?.status?.phase);

/** Kinds of runs that make runs. */
export const PIPELINES = new Set(["dag", "matrix", "schedule"]);

/**
 * @param {any} run
 * @returns {string} The name that its program gave it, or its file, or its object's.
 */
export const nameOf = (run) => run.status?.name || run.spec?.name || run.metadata.name;
