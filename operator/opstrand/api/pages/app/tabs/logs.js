/**
 * What a run's program wrote: of each attempt, live or from the archive.
 *
 * Only the lines in view are elements, so a million lines cost no more than a hundred.
 */
import { splitAnsi, stripAnsi } from "../ansi.js";
import { runPath, send, withQuery } from "../api.js";
import { Command, Empty, ErrorNote } from "../components/basics.js";
import { exactTime, isFinal } from "../format.js";
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../html.js";
import { changeQuery } from "../route.js";

/** Pixels of a line, as in the style. */
const HEIGHT = 18;
const AROUND = 30;
/** Lines that are kept; a browser cannot show a taller element. */
const MOST = 1_500_000;
/** Characters of a line that are shown. */
const LONGEST = 5000;
const RETRY = 2000;

/** @param {{route: any, run: any}} props */
export function Tab({ route, run }) {
  const newest = run.status.attempt ?? 0;
  const chosen = Number(route.query.get("attempt") ?? newest);
  const [wanted, setWanted] = useState("");
  const [hasTimes, setTimes] = useState(false);
  const { lines, isOver, error } = useLog(route, run, chosen, newest);
  const found = useMemo(() => search(lines, wanted), [lines, lines.length, wanted]);
  const [at, setAt] = useState(0);
  const line = Number((location.hash.match(/^#L(\d+)$/) ?? [])[1] ?? 0);
  const save = () => {
    const text = lines.map((/** @type {Line} */ one) => `${one.at} ${one.text}\n`);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(text, { type: "text/plain" }));
    link.download = `${run.metadata.name}-${chosen}.log`;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    if (event.key !== "Enter" || !found.length) return;
    setAt((at + (event.shiftKey ? -1 : 1) + found.length) % found.length);
  };
  return html`
    <div class="toolbar">
      <input type="search" aria-label="Search the log" placeholder="Search" value=${wanted} onInput=${(/** @type {any} */ event) => (setWanted(event.target.value), setAt(0))} onKeyDown=${press} />
      ${wanted && html`<span class="dim" role="status">${found.length ? `${at + 1} of ${found.length} lines` : "no line has it"}</span>`}
      <label><input type="checkbox" checked=${hasTimes} onChange=${() => setTimes(!hasTimes)} /> Times</label>
      ${newest > 0 &&
      html`<label>Attempt
        <select onChange=${(/** @type {any} */ event) => changeQuery({ attempt: event.target.value }, { replace: true })}>
          ${[...Array(newest + 1).keys()].map((one) => html`<option key=${one} value=${one} selected=${one === chosen}>${one + 1}</option>`)}
        </select>
      </label>`}
      <span class="space"></span>
      <span class="dim" role="status">${lines.length.toLocaleString("en")} lines${isOver ? "" : ", live"}</span>
      <button type="button" onClick=${save} disabled=${!lines.length}>Download</button>
    </div>
    <${ErrorNote} error=${error} />
    ${lines.length
      ? html`<${Lines} lines=${lines} isLive=${!isOver} target=${found.length ? found[at] : line ? line - 1 : -1} hasTimes=${hasTimes} wanted=${wanted} count=${lines.length} />`
      : isOver || error
        ? html`<${Empty} title="The run wrote nothing that is kept." command=${`opstrand logs -n ${route.project} ${run.metadata.name}`} />`
        : html`<p class="loading" role="status">${isFinal(run) ? "Loading…" : "Waiting for the first line…"}</p>`}
    ${!isFinal(run) && html`<p><${Command} text=${`opstrand logs -n ${route.project} ${run.metadata.name} -f`} /></p>`}
  `;
}

/** @typedef {{at: string, text: string}} Line */

/**
 * Read the log to its end; while the run is live, follow it.
 *
 * @param {any} route
 * @param {any} run
 * @param {number} attempt
 * @param {number} newest
 */
function useLog(route, run, attempt, newest) {
  const [state, setState] = useState({ lines: /** @type {Line[]} */ ([]), count: 0, isOver: false, error: /** @type {any} */ (null) });
  useEffect(() => {
    const stop = new AbortController();
    const follows = !isFinal(run) && attempt === newest;
    const path = withQuery(runPath(route.project, run.status.uuid, "log"), {
      follow: follows,
      timestamps: true,
      attempt: attempt === newest && !newest ? "" : attempt,
    });
    const read = async () => {
      /** @type {Line[]} */
      const lines = [];
      let frame = 0;
      const show = (isOver = false) => {
        cancelAnimationFrame(frame);
        frame = 0;
        setState({ lines, count: lines.length, isOver, error: null });
      };
      setState({ lines, count: 0, isOver: false, error: null });
      const answer = await send(path, { signal: stop.signal });
      const reader = /** @type {any} */ (answer.body).pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        const parts = (rest + (value ?? "")).split("\n");
        rest = parts.pop() ?? "";
        for (const part of parts) if (lines.length < MOST) lines.push(parseLine(part));
        if (done) break;
        frame ||= requestAnimationFrame(() => show());
      }
      if (rest) lines.push(parseLine(rest));
      show(true);
    };
    const keepReading = async () => {
      for (;;) {
        try {
          return await read();
        } catch (error) {
          if (stop.signal.aborted) return undefined;
          setState((before) => ({ ...before, error, isOver: !follows }));
          if (/** @type {any} */ (error).status >= 400 || !follows) return undefined;
          await new Promise((resolve) => setTimeout(resolve, RETRY));
        }
      }
    };
    void keepReading();
    return () => stop.abort();
  }, [run.status.uuid, attempt, newest]);
  return state;
}

/**
 * @param {string} text
 * @returns {Line}
 */
function parseLine(text) {
  const space = text.indexOf(" ");
  return { at: text.slice(0, space), text: text.slice(space + 1).replace(/\r$/, "") };
}

/**
 * @param {Line[]} lines
 * @param {string} wanted
 * @returns {number[]} The indexes of the lines that have the text.
 */
function search(lines, wanted) {
  if (!wanted) return [];
  const lower = wanted.toLowerCase();
  const found = [];
  for (let index = 0; index < lines.length; index += 1)
    if (stripAnsi(lines[index].text).toLowerCase().includes(lower)) found.push(index);
  return found;
}

/** @param {{lines: Line[], isLive: boolean, target: number, hasTimes: boolean, wanted: string, count: number}} props */
function Lines({ lines, isLive, target, hasTimes, wanted, count }) {
  const box = useRef(/** @type {any} */ (null));
  const follows = useRef(isLive);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  useLayoutEffect(() => {
    const resize = new ResizeObserver(() => setHeight(box.current?.clientHeight ?? 600));
    resize.observe(box.current);
    return () => resize.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (target < 0) return;
    follows.current = false;
    box.current.scrollTop = target * HEIGHT - height / 2;
  }, [target, target >= 0 && count > target]);
  useLayoutEffect(() => {
    if (follows.current) box.current.scrollTop = box.current.scrollHeight;
  }, [count]);
  const scroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    follows.current = isLive && scrollHeight - scrollTop - clientHeight < HEIGHT * 2;
    setTop(scrollTop);
  };
  const first = Math.max(0, Math.floor(top / HEIGHT) - AROUND);
  const last = Math.min(count, Math.ceil((top + height) / HEIGHT) + AROUND);
  return html`<div class="log" ref=${box} onScroll=${scroll} tabindex="0" role="log" aria-live="off" aria-label="Lines of the log">
    <div class="log-all" style=${{ height: `${count * HEIGHT}px` }}>
      <div class="log-view" style=${{ transform: `translateY(${first * HEIGHT}px)` }}>
        ${lines.slice(first, last).map(
          (line, index) => html`<${Row} key=${first + index} line=${line} number=${first + index + 1} isTarget=${first + index === target} hasTimes=${hasTimes} wanted=${wanted} />`,
        )}
      </div>
    </div>
  </div>`;
}

/** @param {{line: Line, number: number, isTarget: boolean, hasTimes: boolean, wanted: string}} props */
function Row({ line, number, isTarget, hasTimes }) {
  const text = line.text.length > LONGEST ? `${line.text.slice(0, LONGEST)}…` : line.text;
  return html`<div class=${isTarget ? "line target" : "line"}>
    <a class="line-number" href=${`#L${number}`} aria-label=${`Line ${number}`} title=${line.at ? exactTime(line.at) : null}>${number}</a>
    ${hasTimes && html`<time class="dim">${line.at.slice(11, 23)}</time>`}
    <span>${splitAnsi(text).map((part, index) => html`<span key=${index} class=${classOf(part.style)} style=${colorsOf(part.style)}>${part.text}</span>`)}</span>
  </div>`;
}

/** @param {import("../ansi.js").Style} style */
function classOf(style) {
  const names = [];
  for (const key of /** @type {const} */ (["bold", "dim", "italic", "underline", "inverse"])) if (style[key]) names.push(`ansi-${key}`);
  if (style.color && !style.color.startsWith("#")) names.push(`ansi-${style.color}`);
  if (style.background && !style.background.startsWith("#")) names.push(`ansi-on-${style.background}`);
  return names.join(" ") || null;
}

/** @param {import("../ansi.js").Style} style */
function colorsOf(style) {
  const isOwn = (/** @type {string | undefined} */ color) => color?.startsWith("#");
  if (!isOwn(style.color) && !isOwn(style.background)) return null;
  return { color: isOwn(style.color) ? style.color : "", backgroundColor: isOwn(style.background) ? style.background : "" };
}
