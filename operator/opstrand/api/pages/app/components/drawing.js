/**
 * A graph, drawn from left to right.
 *
 * The places are computed again only if nodes or edges change, not when a run goes on.
 */
import dagre from "../../vendor/dagre.js";
import { shorten } from "../format.js";
import { html, useMemo, useState } from "../html.js";
import { toneOf } from "./basics.js";

const WIDTH = 190;
const HEIGHT = 46;
const ZOOMS = [0.35, 0.5, 0.7, 1, 1.4];
/** Nodes that dagre places in a moment; its time grows faster than their number. */
const MOST = 120;
const [GAP_X, GAP_Y, MARGIN] = [56, 14, 8];
/** Characters of a name that fit into a node. */
const NAME = 24;

/**
 * @typedef {{id: string, name: string, phase?: string, note?: string, href?: string | null, isSelf?: boolean}} Node
 * @typedef {{from: string, to: string, label?: string}} Edge
 */

/** @param {{nodes: Node[], edges: Edge[], label: string}} props */
export function Drawing({ nodes, edges, label }) {
  const shape = JSON.stringify([nodes.map((node) => node.id), edges.map((edge) => [edge.from, edge.to])]);
  const places = useMemo(() => layOut(nodes, edges), [shape]);
  const [zoom, setZoom] = useState(nodes.length > 150 ? 0 : nodes.length > 40 ? 2 : 3);
  const scale = ZOOMS[zoom];
  const box = `0 0 ${places.width} ${places.height}`;
  return html`<div class="drawing">
    <div class="zoom" role="group" aria-label="Zoom">
      <button type="button" aria-label="Smaller" disabled=${zoom === 0} onClick=${() => setZoom(zoom - 1)}>−</button>
      <button type="button" aria-label="Larger" disabled=${zoom === ZOOMS.length - 1} onClick=${() => setZoom(zoom + 1)}>+</button>
    </div>
    <div class="canvas" tabindex="0" role="region" aria-label=${label}>
      <svg viewBox=${box} width=${places.width * scale} height=${places.height * scale} role="group" aria-label=${label}>
        <defs>
          <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
            <path d="M0 0 8 4 0 8z" class="arrow" />
          </marker>
        </defs>
        ${edges.map((edge) => html`<${Arrow} key=${`${edge.from} ${edge.to}`} edge=${edge} path=${places.paths.get(`${edge.from} ${edge.to}`)} />`)}
        ${nodes.map((node) => html`<${Box} key=${node.id} node=${node} place=${places.nodes.get(node.id)} />`)}
      </svg>
    </div>
  </div>`;
}

/**
 * @param {Node[]} nodes
 * @param {Edge[]} edges
 */
function layOut(nodes, edges) {
  if (nodes.length > MOST) return layOutMany(nodes, edges);
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: GAP_Y, ranksep: GAP_X, marginx: MARGIN, marginy: MARGIN });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) graph.setNode(node.id, { width: WIDTH, height: HEIGHT });
  for (const edge of edges) if (graph.hasNode(edge.from) && graph.hasNode(edge.to)) graph.setEdge(edge.from, edge.to);
  dagre.layout(graph);
  const { width = WIDTH, height = HEIGHT } = graph.graph();
  const paths = new Map();
  for (const edge of graph.edges()) paths.set(`${edge.v} ${edge.w}`, draw(graph.edge(edge).points));
  return { width: Math.max(width, 1), height: Math.max(height, 1), paths, nodes: new Map(graph.nodes().map((/** @type {string} */ id) => [id, graph.node(id)])) };
}

/**
 * Place many nodes in one pass: a column for each distance from the start, and in it each node near
 * the middle of those before it.
 *
 * @param {Node[]} nodes
 * @param {Edge[]} edges
 */
function layOutMany(nodes, edges) {
  const before = new Map(nodes.map((node) => [node.id, /** @type {string[]} */ ([])]));
  for (const edge of edges) if (before.has(edge.from)) before.get(edge.to)?.push(edge.from);
  /** @type {Map<string, number>} */
  const ranks = new Map();
  for (const node of nodes) {
    const open = [node.id];
    while (open.length) {
      const id = open[open.length - 1];
      const above = before.get(id) ?? [];
      // 0 also marks a node that is being looked at, so that a cycle ends.
      const left = above.filter((one) => !ranks.has(one));
      if (!ranks.has(id)) ranks.set(id, 0);
      if (left.length) open.push(...left);
      else {
        ranks.set(id, Math.max(0, ...above.map((one) => (ranks.get(one) ?? 0) + 1)));
        open.pop();
      }
    }
  }
  /** @type {string[][]} */
  const columns = [];
  for (const node of nodes) (columns[ranks.get(node.id) ?? 0] ??= []).push(node.id);
  const places = new Map();
  let height = 0;
  for (const [rank, ids] of columns.entries()) {
    const wish = new Map((ids ?? []).map((id) => [id, middle((before.get(id) ?? []).map((one) => places.get(one)?.y ?? 0))]));
    const ordered = [...wish.keys()].sort((a, b) => (wish.get(a) ?? 0) - (wish.get(b) ?? 0));
    for (const [at, id] of ordered.entries()) places.set(id, { x: MARGIN + WIDTH / 2 + rank * (WIDTH + GAP_X), y: MARGIN + HEIGHT / 2 + at * (HEIGHT + GAP_Y) });
    height = Math.max(height, ordered.length * (HEIGHT + GAP_Y) + MARGIN * 2);
  }
  const paths = new Map();
  for (const { from, to } of edges) {
    const [start, end] = [places.get(from), places.get(to)];
    if (!start || !end) continue;
    const [x1, x2] = [start.x + WIDTH / 2, end.x - WIDTH / 2];
    paths.set(`${from} ${to}`, `M${x1} ${start.y}C${x1 + GAP_X} ${start.y} ${x2 - GAP_X} ${end.y} ${x2} ${end.y}`);
  }
  return { width: columns.length * (WIDTH + GAP_X) + MARGIN * 2, height, paths, nodes: places };
}

/** @param {number[]} values */
const middle = (values) => values.reduce((sum, one) => sum + one, 0) / (values.length || 1);

/** @param {{x: number, y: number}[]} points */
function draw(points) {
  const [first, ...rest] = points;
  let path = `M${first.x} ${first.y}`;
  for (let index = 0; index < rest.length - 1; index += 1) {
    const [here, next] = [rest[index], rest[index + 1]];
    const isLast = index === rest.length - 2;
    const [x, y] = isLast ? [next.x, next.y] : [(here.x + next.x) / 2, (here.y + next.y) / 2];
    path += `Q${here.x} ${here.y} ${x} ${y}`;
  }
  return rest.length === 1 ? `${path}L${rest[0].x} ${rest[0].y}` : path;
}

/** @param {{edge: Edge, path?: string}} props */
function Arrow({ edge, path }) {
  if (!path) return null;
  return html`<path class="edge" d=${path} marker-end="url(#arrow)"><title>${edge.label || "after it"}</title></path>`;
}

/** @param {{node: Node, place: any}} props */
function Box({ node, place }) {
  if (!place) return null;
  const inside = html`
    <title>${[node.name, node.phase, node.note].filter(Boolean).join("\n")}</title>
    <rect width=${WIDTH} height=${HEIGHT} rx="6" />
    <circle cx="14" cy="17" r="4.5" />
    <text x="26" y="21">${shorten(node.name, NAME)}</text>
    <text x="26" y="37" class="small">${shorten(node.note || node.phase || "gone", NAME + 4)}</text>
  `;
  const name = `node ${toneOf(node.phase)}${node.isSelf ? " self" : ""}${node.href ? "" : " absent"}`;
  const at = `translate(${place.x - WIDTH / 2} ${place.y - HEIGHT / 2})`;
  const label = `${node.name}: ${node.phase || "gone"}`;
  if (!node.href) return html`<g class=${name} transform=${at} role="img" aria-label=${label}>${inside}</g>`;
  return html`<a href=${node.href} class=${name} transform=${at} aria-label=${label}>${inside}</a>`;
}
