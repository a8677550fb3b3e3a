// Drawing: colours, elements and the sharp canvas.
import { range } from "./reading.js";

const hex = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
const VIRIDIS = "#440154 #472d7b #3b528b #2c728e #21918c #28ae80 #5ec962 #addc30 #fde725".split(" ").map(hex);
const EARLIER = "#c9cdd3 #7ea6e8 #2563d9".split(" ").map(hex);
const LATER = "#c9cdd3 #f3ad63 #e06c00".split(" ").map(hex);

function along(stops, share) {
  const place = Math.max(0, Math.min(1, share || 0)) * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(place));
  return `rgb(${stops[i].map((from, c) => Math.round(from + (stops[i + 1][c] - from) * (place - i))).join(",")})`;
}
export const viridis = (share) => along(VIRIDIS, share);
export const timeColour = (moved, most) => along(moved < 0 ? EARLIER : LATER, Math.abs(moved) / most);

// What canvases need of the style sheet; everything else takes its colours there.
export function readTheme(root) {
  const style = getComputedStyle(root);
  const [red, green, blue] = style.backgroundColor.match(/[\d.]+/g);
  const dark = root.classList.toggle("dark", 0.3 * red + 0.6 * green + 0.1 * blue < 128);
  return { dark, font: style.fontFamily, accent: style.getPropertyValue("--accent") };
}

// element("button", { class: "x", text: "Play" }, parent); text is never read as HTML.
export function element(tag, { text, ...attributes } = {}, parent = null, space = "1999/xhtml") {
  const made = document.createElementNS(`http://www.w3.org/${space}`, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text != null) made.textContent = text;
  parent?.append(made);
  return made;
}
export const svg = (tag, attributes, parent) => element(tag, attributes, parent, "2000/svg");

// What is already there is left alone: writing it would cost a layout.
export function say(host, text) {
  if (host.textContent !== String(text)) host.textContent = text;
}
export function mark(host, name, value) {
  if (host.getAttribute(name) !== String(value)) host.setAttribute(name, value);
}

// A column for every frame: hover previews, click pins.
export const pinOf = (values) => ({ "data-pin": JSON.stringify(values) });
export const frameColumns = (host, count) =>
  range(count).map((frame) => element("div", { ...pinOf({ frame }), "data-frame": frame + 1 }, host));

export function renderLegend(host, entries) {
  const entry = ([colour, text]) => element("span", { class: "entry", style: `--swatch:${colour}`, text });
  host.replaceChildren(...entries.map(entry));
}

// A canvas in device pixels, drawn in CSS pixels.
export class Sheet {
  constructor(host, label) {
    this.canvas = element("canvas", { role: "img", "aria-label": label }, host);
    this.context = this.canvas.getContext("2d");
  }
  begin(theme) {
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = this.canvas.getBoundingClientRect();
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) Object.assign(this.canvas, { width: w, height: h });
    Object.assign(this, { width, height, theme });
    this.context.setTransform(w / width, 0, 0, h / height, 0, 0);
    this.context.clearRect(0, 0, width, height);
    this.context.imageSmoothingQuality = "high";
    return w > 0 && h > 0;
  }
}

export function disc(context, x, y, radius, fill, stroke, width = 1, turn = 1) {
  context.beginPath();
  context.arc(x, y, radius, -Math.PI / 2, (2 * turn - 0.5) * Math.PI);
  Object.assign(context, { fillStyle: fill, strokeStyle: stroke, lineWidth: width });
  if (fill) context.fill();
  if (stroke) context.stroke();
}

export function stroke(context, colour, width, points, dash = []) {
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  Object.assign(context, { strokeStyle: colour, lineWidth: width, lineJoin: "round" });
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}
