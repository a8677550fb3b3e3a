// Drawing: colours, elements and the sharp canvas that every picture uses.
import { digits } from "./reading.js";

const hex = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
const VIRIDIS = "#440154 #472d7b #3b528b #2c728e #21918c #28ae80 #5ec962 #addc30 #fde725".split(" ").map(hex);
const EARLIER = [hex("#c9cdd3"), hex("#7ea6e8"), hex("#2563d9")];
const LATER = [hex("#c9cdd3"), hex("#f3ad63"), hex("#e06c00")];

function along(stops, share) {
  const place = Math.max(0, Math.min(1, share || 0)) * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(place));
  const mixed = stops[i].map((from, c) => Math.round(from + (stops[i + 1][c] - from) * (place - i)));
  return `rgb(${mixed.join(",")})`;
}
export const viridis = (share) => along(VIRIDIS, share);
export const timeColour = (moved, most) => along(moved < 0 ? EARLIER : LATER, Math.abs(moved) / most);
export const gradient = (colour, from, to) =>
  `linear-gradient(to right, ${Array.from({ length: 17 }, (_, i) => colour(from + ((to - from) * i) / 16)).join(",")})`;

// Limbs: torso green, arms warm, legs cool (after Okabe and Ito), darker on light paper. Tokens: three other hues.
const LIMBS = {
  light: ["#00866a", "#c4500b", "#c98a00", "#005fa3", "#2f9bd8"],
  dark: ["#2cc29a", "#f0743e", "#f2b632", "#4f8fe0", "#7cc8f2"],
};
const TOKENS = {
  light: { cls: "#6d4fc4", rgb: "#b8477a", pose: "#11877c", patch: "#c6cad2", point: "#8d939e", joint: "#454b56" },
  dark: { cls: "#a48bf2", rgb: "#e57fae", pose: "#3fbfb0", patch: "#4d535f", point: "#868d99", joint: "#d3d7de" },
};
const SAME = { shared: "cls", patches: "patch", joints: "joint" };

// Colours of the page as they are now. The same object comes back while nothing changed, so that a step costs no more
// than reading five properties.
export function readTheme(root, known) {
  const style = getComputedStyle(root);
  const names = ["ink", "soft", "line", "surface", "accent"];
  const named = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  const font = style.fontFamily, id = JSON.stringify(named) + font;
  if (known?.id === id) return known;
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  probe.fillStyle = named.surface || "#fff";
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data, dark = 0.3 * r + 0.6 * g + 0.1 * b < 128;
  if (root.classList.toggle("dark", dark) !== Boolean(known?.dark)) return readTheme(root, { dark }); // other accent
  const set = dark ? "dark" : "light";
  const token = (name) => TOKENS[set][SAME[name] ?? name] ?? named.soft;
  return { ...named, dark, font, id, limb: (i) => LIMBS[set][i % 5], token };
}

// element("button", { class: "x", text: "Play", on: { click } }, parent); text is never read as HTML.
export function element(tag, { text, on = {}, ...attributes } = {}, parent, space) {
  const made = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value != null && value !== false) made.setAttribute(name, value);
  for (const [name, listener] of Object.entries(on)) made.addEventListener(name, listener);
  if (text != null) made.textContent = text;
  parent?.append(made);
  return made;
}
// Text that is already there is left alone: writing it would cost a layout.
export function say(host, text) { if (host.textContent !== text) host.textContent = text; }
export const svg = (tag, attributes, parent) => element(tag, attributes, parent, "http://www.w3.org/2000/svg");

// A canvas in device pixels, drawn in CSS pixels. `still` keeps what does not change from frame to frame.
export class Sheet {
  constructor(host, label) {
    this.canvas = element("canvas", { role: "img", "aria-label": label }, host);
    this.context = this.canvas.getContext("2d");
    this.kept = document.createElement("canvas");
  }

  begin(theme) {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    const [w, h] = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) Object.assign(this.canvas, { width: w, height: h });
    this.theme = theme;
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, this.width, this.height);
    this.context.font = `11px ${theme.font}`;
    return w > 0 && h > 0;
  }

  still(key, paint) {
    const { width, height } = this.canvas;
    const full = `${width}x${height} ${this.theme.id} ${key}`;
    if (full !== this.key) {
      this.key = full;
      Object.assign(this.kept, { width, height });
      const context = this.kept.getContext("2d");
      context.setTransform(this.context.getTransform());
      context.font = this.context.font;
      paint(context);
    }
    this.context.save();
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    this.context.drawImage(this.kept, 0, 0);
    this.context.restore();
  }

  // Hover previews what `find(x, y)` returns, a press pins it. Nothing found: nothing pinned.
  listen(store, find) {
    const place = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return find(event.clientX - box.left, event.clientY - box.top) ?? null;
    };
    this.canvas.addEventListener("pointermove", (event) => store.preview(place(event)));
    this.canvas.addEventListener("pointerleave", () => store.preview(null));
    this.canvas.addEventListener("pointerup", (event) => {
      const { point, ...found } = place(event) ?? {}; // a point is looked at, not pinned: it has no name to keep
      if (Object.keys(found).length && event.button === 0) store.pin(found);
      if (event.pointerType !== "mouse") store.preview(null);
    });
  }
}

export function disc(context, x, y, radius, fill, stroke, width = 1) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  if (fill) Object.assign(context, { fillStyle: fill }), context.fill();
  if (stroke) Object.assign(context, { strokeStyle: stroke, lineWidth: width }), context.stroke();
}

export function stroke(context, colour, width, points, dash = []) {
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  Object.assign(context, { strokeStyle: colour, lineWidth: width, lineJoin: "round", lineCap: dash.length ? "butt" : "round" });
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}

export function write(context, text, x, y, colour, align = "left", halo = null) {
  context.textAlign = align;
  context.textBaseline = "middle";
  if (halo) {
    Object.assign(context, { strokeStyle: halo, lineWidth: 3.5, lineJoin: "round" });
    context.strokeText(text, x, y);
  }
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

// Three or four round numbers that cover [low, high].
export function ticks(low, high, about = 4) {
  const raw = (high - low) / about || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((n) => n * power >= raw) * power;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i <= high / step + 1e-9; i++) found.push(i * step);
  return found;
}

// Axes of a chart over frames: a left scale with its unit, frame numbers below; returns the two scales.
export function frameAxes(context, sheet, { left, right, top, bottom, low, high, count, unit, format = (v) => digits(v, 2) }) {
  const { theme, width, height } = sheet;
  const x = (frame) => left + ((frame + 0.5) / count) * (width - left - right);
  const y = (value) => height - bottom - ((value - low) / (high - low || 1)) * (height - top - bottom);
  if (context) {
    for (const value of ticks(low, high)) {
      stroke(context, theme.line, 1, [[left, y(value)], [width - right, y(value)]]);
      write(context, format(value), left - 6, y(value), theme.soft, "right");
    }
    const every = Math.max(1, Math.ceil((count * 22) / (width - left - right)));
    for (let t = 0; t < count; t += every) write(context, t + 1, x(t), height - bottom + 9, theme.soft, "center");
    write(context, "frame", width - right + 4, height - bottom + 9, theme.soft, "left");
    write(context, unit, left, 7, theme.soft, "left");
  }
  const frameAt = (px) => Math.max(0, Math.min(count - 1, Math.floor(((px - left) / (width - left - right)) * count)));
  return { x, y, frameAt, inside: (px) => px >= left - 8 && px <= width - right + 8 };
}
