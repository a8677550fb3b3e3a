// The model, drawn: also the control that chooses block, head and query.
import { digits, tokenName } from "./reading.js";
import { element, svg } from "./drawing.js";
import { renderLegend } from "./legend.js";

const ATTENTIONS = { deformable: "3D deformable", joint: "joint stride", temporal: "temporal stride" };
const WHAT = {
  deformable: "3D deformable attention: reads Z at the places that 3DTS (3D token search) found.",
  joint: "Joint stride attention: reads pose tokens in windows of neighbouring joints.",
  temporal: "Temporal stride attention: reads all tokens in windows of neighbouring frames.",
};
const W = 400;

// A row of buttons that choose one value: hover previews, click chooses, arrows of the focus order stay the browser's.
export function choices(host, { label, name, options, store, current, title }) {
  const row = element("div", { class: `choices ${name}`, role: "group", "aria-label": label }, host);
  element("span", { class: "choices-label", text: label }, row);
  const buttons = options.map(([value, text, hint]) => [
    value,
    element("button", {
      type: "button", text, title: hint ?? title,
      on: {
        click: () => store.choose({ [name]: value }),
        pointerenter: (event) => event.pointerType === "mouse" && store.preview({ [name]: value }),
        pointerleave: () => store.preview(null),
      },
    }, row),
  ]);
  return (state) => {
    for (const [value, button] of buttons) {
      button.setAttribute("aria-pressed", current(store.chosen) === value);
      button.classList.toggle("previewed", current(state) === value);
    }
  };
}

export function queryChoices(host, reading, store) {
  const options = reading.queries.map((query) => [query, tokenName(query), `What ${tokenName(query)} reads`]);
  return choices(host, { label: "query", name: "query", options, store, current: (state) => reading.query(state) });
}

export function headChoices(host, reading, store) {
  const heads = Array.from({ length: reading.heads }, (_, i) => [i, String(i + 1), `Head ${i + 1}`]);
  const options = [[-1, "mean of heads", "The mean of all heads"], ...heads];
  return choices(host, { label: "head", name: "head", options, store, current: (state) => reading.head(state) });
}

export function layerChoices(host, reading, store) {
  const options = Array.from({ length: reading.layers }, (_, i) => [i, String(i + 1), `Block ${i + 1}`]);
  return choices(host, { label: "block", name: "layer", options, store, current: (state) => reading.layer(state) });
}

export class Diagram {
  constructor(host, reading, store) {
    Object.assign(this, { reading, store });
    const { layers } = reading, row = layers <= 4 ? 52 : layers <= 8 ? 32 : 22;
    const height = 96 + layers * (row + 8) + 40;
    const label = "The model: choose a block";
    this.svg = svg("svg", { viewBox: `0 0 ${W} ${height}`, class: "diagram", role: "group", "aria-label": label }, host);
    this.trunk();
    this.blocks = Array.from({ length: layers }, (_, layer) => this.block(layer, 96 + layer * (row + 8), row));
    this.head(96 + layers * (row + 8), row);
    const controls = element("div", { class: "controls" }, host);
    this.legend = element("div", { class: "legend" }, controls);
    this.controls = [headChoices(controls, reading, store), queryChoices(controls, reading, store)];
  }

  box(x, y, w, text, detail, hint) {
    const group = svg("g", { class: "box" }, this.svg);
    svg("title", { text: hint }, group);
    svg("rect", { x, y, width: w, height: 30, rx: 4 }, group);
    const [letter, index] = text.split("_"); // F_a is an F with a low a
    const name = svg("text", { x: x + w / 2, y: y + 12, text: letter }, group);
    if (index) svg("tspan", { dy: 3, "font-size": 8, text: index }, name);
    svg("text", { x: x + w / 2, y: y + 25, class: "detail", text: detail }, group);
  }
  arrow(path) { svg("path", { d: path, class: "arrow", "marker-end": "url(#tip)" }, this.svg); }

  trunk() {
    const tip = { id: "tip", viewBox: "0 0 6 6", refX: 5, refY: 3, markerWidth: 6, markerHeight: 6, orient: "auto" };
    const marker = svg("marker", tip, svg("defs", {}, this.svg));
    svg("path", { d: "M0,0.5 L5,3 L0,5.5", class: "arrow" }, marker);
    const { clip, skeleton } = this.reading;
    this.box(2, 6, 92, "frames", `${clip.frames} of ${clip.width}×${clip.height}`, "The frames that the model read");
    this.box(122, 6, 76, "F_a", "1/2 size", "Early features: index i is pixel 2i of the model's input");
    this.box(226, 6, 76, "F_b", "1/8 size", "Late features: index j is pixel 8j of the model's input");
    this.box(122, 54, 76, "P", "pose tokens", "Features of F_a gathered under each joint's heatmap (Eq. 1)");
    this.box(226, 54, 76, "Z", "patch tokens", "One token for each cell of F_b");
    const joints = skeleton ? `${skeleton.people.length} × ${skeleton.names.length}` : "none seen";
    this.box(2, 54, 92, "joints", joints, "People × joints of the skeleton");
    const across = ["M94,21 H120", "M198,21 H224", "M94,69 H120"];
    const down = ["M160,36 V52", "M264,36 V52", "M160,84 V94", "M264,84 V94"];
    for (const path of [...across, ...down]) this.arrow(path);
    const modes = { cross: ["M", "CLS, RGB, pose"], single: ["M", "one shared token"], none: ["no M", "means instead"] };
    const mode = modes[this.reading.model.token_mode] ?? ["M", ""];
    this.box(318, 54, 80, ...mode, "Cross-modal tokens: one of each for every frame");
    this.arrow("M358,84 V94");
  }

  block(layer, y, row) {
    const choose = () => this.store.choose({ layer });
    const group = svg("g", {
      class: "block", tabindex: 0, role: "button", "aria-label": `Block ${layer + 1}`,
      on: {
        click: choose,
        keydown: (event) => {
          if (![" ", "Enter"].includes(event.key)) return;
          event.preventDefault();
          event.stopPropagation();
          choose();
        },
        pointerenter: (event) => event.pointerType === "mouse" && this.store.preview({ layer }),
        pointerleave: () => this.store.preview(null),
      },
    }, this.svg);
    svg("rect", { x: 2, y, width: W - 4, height: row, rx: 6 }, group);
    svg("text", { x: 12, y: y + (row > 40 ? 16 : row / 2 + 4), class: "name", text: `block ${layer + 1}` }, group);
    const roomy = row > 40; // deep networks get low rows without the second line
    const bars = Object.keys(ATTENTIONS).map((attention, i) => {
      const part = svg("g", {}, group), x = 64 + i * 112;
      svg("text", { x, y: y + (roomy ? 16 : row / 2), class: "attention", text: ATTENTIONS[attention] }, part);
      const line = roomy ? svg("text", { x, y: y + 29, class: "detail left" }, part) : null;
      const place = roomy ? { x, y: y + 34, tall: 9 } : { x, y: y + row - 12, tall: 5 };
      return { attention, ...place, line, hint: svg("title", {}, part), fill: svg("g", {}, part) };
    });
    return { group, bars };
  }

  head(y) {
    this.arrow(`M200,${y - 8} V${y + 2}`);
    const answer = this.reading.classes[0];
    const hint = "The logit is a sum over frames and tokens: the ledger";
    this.box(120, y + 4, 160, "linear head", `${answer.label}: logit ${digits(answer.logit)}`, hint);
  }

  render(state, theme) {
    const { reading } = this, layer = reading.layer(state), query = reading.query(state);
    for (const update of this.controls) update(state);
    this.blocks.forEach(({ group }, i) => {
      group.setAttribute("aria-pressed", i === layer);
      group.classList.toggle("on", i === layer);
    });
    const key = `${reading.id} ${query} ${theme.id}`;
    if (key === this.key) return;
    this.key = key;
    renderLegend(this.legend, reading.flow.read.map((kind) => [theme.token(kind), tokenName(kind)]));
    this.blocks.forEach(({ bars }, i) => bars.forEach((bar) => this.flow(bar, i, state, theme)));
  }

  // What the chosen query reads here, by kind of token: one bar of length 1.
  flow({ attention, x, y, hint, fill, tall, line }, layer, state, theme) {
    const length = 100, query = this.reading.query(state), parts = this.reading.flowOf(layer, attention, state);
    fill.replaceChildren();
    svg("rect", { x, y, width: length, height: tall, class: parts ? "track" : "track empty" }, fill);
    let from = 0;
    for (const [kind, mass] of parts ?? []) {
      const part = { x: x + from * length, y, width: Math.max(0, mass * length - 0.6), height: tall };
      svg("rect", { ...part, style: `fill:${theme.token(kind)}` }, fill);
      from += mass;
    }
    const all = parts?.map(([kind, mass]) => `${tokenName(kind)} ${digits(mass, 2)}`).join(", ");
    const reads = parts ? `reads: ${all} (attention mass, sums to 1).` : "does not read here.";
    hint.textContent = `${WHAT[attention]} ${tokenName(query)} ${reads}`;
    if (!line) return;
    const [kind, mass] = parts?.reduce((a, b) => (b[1] > a[1] ? b : a)) ?? [];
    line.textContent = parts ? `reads ${tokenName(kind)} ${digits(mass, 2)}` : "does not read here";
  }
}
