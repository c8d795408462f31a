/** A chart for each metric that a run logged. */
import uPlot from "../../vendor/uplot.js";
import { runPath, withQuery } from "../api.js";
import { Empty, ErrorNote, Loading } from "../components/basics.js";
import { isFinal, shortNumber } from "../format.js";
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { useLive } from "../live.js";
import { changeQuery } from "../route.js";

const STYLE = new URL("../../vendor/uplot.css", import.meta.url).href;
const HEIGHT = 220;
const SAMPLE = 2000;

/** The charts' own style, which no other page needs. */
const link = document.createElement("link");
link.rel = "stylesheet";
link.href = STYLE;
await new Promise((resolve) => {
  link.onload = link.onerror = resolve;
  document.head.append(link);
});

/** @param {{route: any, run: any}} props */
export function Tab({ route, run }) {
  const path = withQuery(runPath(route.project, run.status.uuid, "events/metric"), { sample: SAMPLE });
  const { data, error } = useLive(path, () => !isFinal(run));
  const smooth = Number(route.query.get("smooth") ?? 0);
  const isLog = route.query.get("scale") === "log";
  const isTime = route.query.get("x") === "time";
  const missing = error?.status === 404;
  if (!data && error && !missing) return html`<${ErrorNote} error=${error} />`;
  if (!data && !missing) return html`<${Loading} />`;
  if (!data?.items.length)
    return html`<${Empty} title="It has logged no metrics." command="tracking.log_metric('loss', 0.25, step=1)" />`;
  return html`
    <div class="toolbar">
      <label>Smoothing <input type="range" min="0" max="0.98" step="0.02" value=${smooth} onInput=${(/** @type {any} */ event) => changeQuery({ smooth: event.target.value === "0" ? "" : event.target.value }, { replace: true })} /></label>
      <label><input type="checkbox" checked=${isLog} onChange=${() => changeQuery({ scale: isLog ? "" : "log" }, { replace: true })} /> Logarithmic</label>
      <label><input type="checkbox" checked=${isTime} onChange=${() => changeQuery({ x: isTime ? "" : "time" }, { replace: true })} /> By time</label>
      <span class="dim">Drag over a part to enlarge it; a double click shows all.</span>
    </div>
    <div class="charts">
      ${data.items.map((/** @type {any} */ one) => html`<${Chart} key=${one.name} series=${one} smooth=${smooth} isLog=${isLog} isTime=${isTime} />`)}
    </div>
  `;
}

/** @param {{series: any, smooth: number, isLog: boolean, isTime: boolean}} props */
function Chart({ series, smooth, isLog, isTime }) {
  const place = useRef(/** @type {any} */ (null));
  const plot = useRef(/** @type {any} */ (null));
  const [theme, setTheme] = useState(0);
  const data = useMemo(() => readColumns(series.columns, smooth, isTime), [series, smooth, isTime]);
  useEffect(() => {
    const change = () => setTheme((count) => count + 1);
    const media = matchMedia("(prefers-color-scheme: dark)");
    addEventListener("opstrand:theme", change);
    media.addEventListener("change", change);
    return () => {
      removeEventListener("opstrand:theme", change);
      media.removeEventListener("change", change);
    };
  }, []);
  useEffect(() => {
    const figure = place.current;
    const style = getComputedStyle(figure);
    const color = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    const axis = { stroke: color("--dim-plain"), grid: { stroke: color("--line-plain"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const options = {
      width: figure.clientWidth || 400,
      height: HEIGHT,
      scales: { x: { time: isTime }, y: { distr: isLog ? 3 : 1 } },
      axes: [axis, { ...axis, size: 56, values: (/** @type {any} */ _, /** @type {any[]} */ ticks) => ticks.map((tick) => (tick == null ? "" : shortNumber(tick))) }],
      series: [{}, { stroke: color("--accent-plain"), width: 1.5, points: { show: data[0].length < 60, size: 4 } }],
      legend: { show: false },
      cursor: { y: false },
      hooks: { setCursor: [(/** @type {any} */ self) => showPoint(figure, self)] },
    };
    plot.current = new uPlot(options, data, figure.querySelector(".plot"));
    const resize = new ResizeObserver(() => plot.current?.setSize({ width: figure.clientWidth, height: HEIGHT }));
    resize.observe(figure);
    return () => {
      resize.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [isLog, isTime, theme]);
  useEffect(() => plot.current?.setData(data), [data]);
  const values = series.columns.metric.filter((/** @type {any} */ value) => value !== null);
  const last = values.at(-1);
  const [least, most] = bounds(values);
  return html`<figure class="chart" ref=${place}>
    <figcaption><strong>${series.name}</strong> <span class="dim">last ${last == null ? "–" : shortNumber(last)}, ${values.length} points</span> <output class="dim"></output></figcaption>
    <div class="plot" role="img" aria-label=${`${series.name}: ${values.length} points from ${least} to ${most}, the last ${last}`}></div>
  </figure>`;
}

/** @param {number[]} values */
function bounds(values) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  return [least, most];
}

/**
 * @param {HTMLElement} place
 * @param {any} plot
 */
function showPoint(place, plot) {
  const output = /** @type {HTMLOutputElement} */ (place.querySelector("output"));
  const at = plot.cursor.idx;
  output.value = at == null ? "" : `${plot.data[0][at]}: ${plot.data[1][at]}`;
}

/**
 * @param {any} columns
 * @param {number} smooth
 * @param {boolean} isTime
 * @returns {[number[], (number | null)[]]} x, in order, and y.
 */
function readColumns(columns, smooth, isTime) {
  const points = columns.metric.map((/** @type {number | null} */ value, /** @type {number} */ index) => {
    const x = isTime ? Date.parse(columns.timestamp[index]) / 1000 : columns.step[index];
    return [Number.isFinite(x) ? x : index, value];
  });
  points.sort((/** @type {number[]} */ a, /** @type {number[]} */ b) => a[0] - b[0]);
  let average = 0;
  let weight = 0;
  const ys = points.map((/** @type {any[]} */ [, y]) => {
    if (y === null || !smooth) return y;
    average = average * smooth + y * (1 - smooth);
    weight = weight * smooth + (1 - smooth);
    return average / weight;
  });
  return [points.map((/** @type {number[]} */ point) => point[0]), ys];
}
