/**
 * Colours of a terminal: a line with escape sequences as parts with a style each.
 *
 * Owns SGR sequences; every other escape sequence is left out. A part is text and never markup. Pure.
 */
const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
// eslint-disable-next-line no-control-regex
const ESCAPE = /\x1b(?:\[([0-9;:]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])/g;

/**
 * @typedef {{bold?: boolean, dim?: boolean, italic?: boolean, underline?: boolean, inverse?: boolean,
 *   color?: string, background?: string}} Style A colour is one of NAMES, with "bright-" before it,
 *   or `#rrggbb`.
 * @typedef {{text: string, style: Style}} Part
 */

/**
 * @param {string} line
 * @returns {Part[]}
 */
export function splitAnsi(line) {
  if (!line.includes("\x1b")) return [{ text: line, style: {} }];
  /** @type {Part[]} */
  const parts = [];
  /** @type {Style} */
  let style = {};
  let at = 0;
  for (const found of line.matchAll(ESCAPE)) {
    if (found.index > at) parts.push({ text: line.slice(at, found.index), style });
    if (found[2] === "m") style = applyCodes(style, found[1]);
    at = found.index + found[0].length;
  }
  if (at < line.length) parts.push({ text: line.slice(at), style });
  return parts;
}

/** @param {string} line */
export const stripAnsi = (line) => (line.includes("\x1b") ? line.replace(ESCAPE, "") : line);

/**
 * @param {Style} before
 * @param {string} text
 */
function applyCodes(before, text) {
  const codes = (text || "0").split(/[;:]/).map(Number);
  let style = { ...before };
  while (codes.length) {
    const code = /** @type {number} */ (codes.shift());
    if (code === 0) style = {};
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 7) style.inverse = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.underline = false;
    else if (code === 27) style.inverse = false;
    else if (code === 39) delete style.color;
    else if (code === 49) delete style.background;
    else if (code === 38) style.color = readColor(codes);
    else if (code === 48) style.background = readColor(codes);
    else if (code >= 30 && code <= 37) style.color = NAMES[code - 30];
    else if (code >= 40 && code <= 47) style.background = NAMES[code - 40];
    else if (code >= 90 && code <= 97) style.color = `bright-${NAMES[code - 90]}`;
    else if (code >= 100 && code <= 107) style.background = `bright-${NAMES[code - 100]}`;
  }
  return style;
}

/** @param {number[]} codes They are consumed. */
function readColor(codes) {
  const kind = codes.shift();
  if (kind === 2) return toHex(codes.splice(0, 3));
  if (kind !== 5) return undefined;
  const index = codes.shift() ?? 0;
  if (index < 8) return NAMES[index];
  if (index < 16) return `bright-${NAMES[index - 8]}`;
  if (index > 231) return toHex(Array(3).fill(8 + (index - 232) * 10));
  const cube = index - 16;
  return toHex([cube / 36, (cube / 6) % 6, cube % 6].map((one) => [0, 95, 135, 175, 215, 255][Math.floor(one)]));
}

/** @param {number[]} values */
const toHex = (values) =>
  `#${values.map((one) => Math.min(255, Math.max(0, one || 0)).toString(16).padStart(2, "0")).join("")}`;
