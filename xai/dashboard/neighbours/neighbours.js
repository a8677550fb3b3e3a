// Neighbours: what one token of a frame reads in the previous, its own and the next frame, head by head. All rows are
// here already: hovering and stepping never ask the server.

const GLYPH = { "-1": "◀", 0: "●", 1: "▶", null: "○", mixed: "◆", alike: "◌" };
const WORDS = { "-1": "the previous frame", 0: "its own frame", 1: "the next frame", null: "no frame", mixed: "several frames", alike: "its own frame, all alike" };
const percent = (share) => `${(100 * share).toFixed(0)} %`;
const TILES = [["previous", -1], ["this frame", 0], ["next", 1]];
const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

function make(tag, attributes = {}, parent = null, text = null) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text != null) made.textContent = text;
  parent?.append(made);
  return made;
}

class Neighbours {
  constructor(root, data) {
    Object.assign(this, { root, data, frame: Math.floor(data.clip.frames / 2), layer: data.layers - 1, head: 0, token: 0 });
    this.rows = bytesOf(data.rows);
    const peak = bytesOf(data.peak.b64);
    this.peak = new Uint16Array(peak.buffer);
    this.through = bytesOf(data.through);
    this.count = data.grid[0] * data.grid[1] + 1;
    this.build();
    this.image = new Image();
    this.image.onload = () => this.draw();
    this.image.src = data.sprite.src;
  }

  build() {
    const { root, data } = this;
    root.replaceChildren();
    root.tabIndex = 0;
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", "What one token reads: arrows step through frames, Shift and arrows through patches");
    const top = make("div", { class: "n-top" }, root);
    this.sentence = make("p", { class: "n-sentence", "aria-live": "polite" }, top);
    const film = make("div", { class: "n-film" }, root);
    this.tiles = TILES.map(([name, step]) => {
      const figure = make("figure", {}, film);
      const canvas = make("canvas", { role: "img", "aria-label": `${name}: what is read there` }, figure);
      const caption = make("figcaption", {}, figure);
      return { step, canvas, caption };
    });
    const own = this.tiles[1].canvas;
    if (data.queries === "all") {
      own.addEventListener("pointermove", (event) => this.choose({ token: this.tokenAt(event) }));
      own.addEventListener("pointerleave", () => this.choose({ token: this.pinned ?? 0 }));
      own.addEventListener("click", (event) => {
        const token = this.tokenAt(event);
        this.pinned = this.pinned === token ? undefined : token;
        this.choose({ token: this.pinned ?? 0 });
      });
    }
    const bar = make("div", { class: "n-bar" }, root);
    this.slider = make("input", { type: "range", min: 0, max: data.clip.frames - 1, "aria-label": "frame" }, bar);
    this.slider.addEventListener("input", () => this.choose({ frame: Number(this.slider.value) }));
    this.clock = make("span", { class: "n-soft" }, bar);
    const table = make("div", { class: "n-heads", role: "group", "aria-label": "block and head" }, root);
    Object.assign(this, { buttons: [], reach: [] });
    for (let layer = 0; layer < data.layers; layer++) {
      const line = make("div", {}, table);
      make("span", { class: "n-soft" }, line, `block ${layer + 1}`);
      for (let head = 0; head < data.heads; head++) {
        const button = make("button", { type: "button" }, line);
        button.addEventListener("click", () => this.choose({ layer, head }));
        this.buttons.push({ layer, head, button });
      }
      const reach = make("span", { class: "n-cone", role: "img" }, line);
      for (let t = 0; t < data.clip.frames; t++) make("i", {}, reach);
      this.reach.push(reach);
    }
    make("p", { class: "n-soft" }, root, "◀ reads the previous frame   ● its own   ▶ the next   ○ no frame (the end of the clip)" + (data.from.some((row, t) => row.some((_, h) => this.from(t, h) === "alike")) ? "   ◌ nothing to choose by, so all alike" : "") + "   Keys: ← → frames" + (data.queries === "all" ? ", Shift and arrows patches, Esc frees" : ""));
    this.about = make("p", { class: "n-rollout" }, root);
    const strip = make("div", { class: "n-strip" }, root);
    this.strip = Array.from({ length: data.clip.frames }, (_, t) => {
      const button = make("button", { type: "button" }, strip), canvas = make("canvas", { "aria-hidden": "true" }, button);
      button.addEventListener("click", () => this.choose({ frame: t }));
      return { button, canvas, caption: make("span", {}, button) };
    });
    root.onkeydown = (event) => {
      const row = data.grid[1], steps = { ArrowLeft: -1, ArrowRight: 1 };
      const step = (event.shiftKey ? { ...steps, ArrowUp: -row, ArrowDown: row } : steps)[event.key];
      const escape = event.key === "Escape" && this.pinned != null;
      if (!(step || escape) || event.target.tagName === "INPUT") return;
      event.preventDefault();
      event.stopPropagation();
      // Token 0 is the class token, and the first step from it is to the first patch.
      if (escape || (event.shiftKey && data.queries === "all")) {
        const next = this.token ? (this.token - 1 + step + this.count - 1) % (this.count - 1) + 1 : 1;
        this.pinned = escape ? undefined : next;
        this.choose({ token: this.pinned ?? 0 });
      } else if (!event.shiftKey) this.choose({ frame: Math.max(0, Math.min(data.clip.frames - 1, this.frame + step)) });
    };
  }

  choose(change) {
    Object.assign(this, change);
    if (!this.waiting) this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
  }

  // Where the values come from that are read; the query and the keys only decide how much of each.
  from(frame, head) {
    const [found, asks, keys] = ["from", "asks", "keys"].map((name) => this.data[name][frame][head]);
    if (found !== null && (asks === null || keys === null)) return "alike";
    return Array.isArray(found) ? "mixed" : found;
  }

  // Corners of the view are in pixels of the clip; a tile shows the whole clip.
  tokenAt(event) {
    const { box, grid, clip } = this.data, bounds = event.target.getBoundingClientRect();
    const x = ((event.clientX - bounds.left) / bounds.width) * clip.width - 0.5;
    const y = ((event.clientY - bounds.top) / bounds.height) * clip.height - 0.5;
    const column = Math.floor(((x - box[0][0]) / (box[2][0] - box[0][0])) * grid[1]);
    const row = Math.floor(((y - box[0][1]) / (box[2][1] - box[0][1])) * grid[0]);
    return column < 0 || row < 0 || column >= grid[1] || row >= grid[0] ? 0 : 1 + row * grid[1] + column;
  }

  row() {
    const { data, count } = this, queries = data.queries === "all" ? count : 1;
    const token = data.queries === "all" ? this.token : 0;
    const at = ((this.layer * data.heads + this.head) * data.clip.frames + this.frame) * queries + token;
    return { values: this.rows.subarray(at * count, at * count + count), peak: data.peak.low + data.peak.step * this.peak[at] };
  }

  draw() {
    if (!this.image?.complete) return;
    const { data, frame, head } = this, { values, peak } = this.row();
    const from = data.from[frame][head];
    for (const { step, canvas, caption } of this.tiles) {
      const shown = frame + step, there = shown >= 0 && shown < data.clip.frames;
      caption.textContent = there ? `frame ${shown + 1}${step ? "" : " (this one)"}` : "no frame";
      this.paint(canvas, there ? shown : null, (i) => ((Array.isArray(from) ? from[i] : from) === step ? values[i] / 255 : 0), step === 0);
    }
    for (const { layer, head: number, button } of this.buttons) {
      const kind = this.from(frame, number);
      button.textContent = GLYPH[kind];
      button.title = `block ${layer + 1}, head ${number + 1}: reads ${WORDS[kind]}`;
      button.setAttribute("aria-label", button.title);
      button.setAttribute("aria-pressed", layer === this.layer && number === head);
    }
    this.sentence.textContent = this.told(values, peak);
    this.reach.forEach((reach, layer) => {
      const reached = data.cone[layer + 1][frame], frames = reached.flatMap((in_, t) => (in_ ? [t + 1] : []));
      [...reach.children].forEach((cell, t) => (cell.className = `${reached[t] ? "in" : ""} ${t === frame ? "own" : ""}`));
      reach.setAttribute("aria-label", `after block ${layer + 1}, frames ${frames[0]} to ${frames.at(-1)} can change the class token of frame ${frame + 1}`);
      reach.title = reach.getAttribute("aria-label");
    });
    this.drawStrip();
    this.slider.value = frame;
    this.clock.textContent = `frame ${frame + 1} of ${data.clip.frames}`;
  }

  // Attention rollout over all blocks, of the class token of the frame that is shown.
  drawStrip() {
    const { data, frame, count } = this, reached = data.cone.at(-1)[frame], shares = data.shares[frame], width = this.strip[0].canvas.clientWidth;
    if (this.stripOf === `${frame} ${width}`) return;
    this.stripOf = `${frame} ${width}`;
    const beside = shares.reduce((sum, share, t) => sum + (t === frame ? 0 : share), 0);
    const asked = reached.some((reaches, t) => reaches && !shares[t]) ? " Frames that only send queries or keys have no share: values alone are followed." : "";
    this.about.textContent = `Through all blocks (attention rollout): ${percent(shares[frame])} of the class token of frame ${frame + 1} is read from patches of its own frame, ${percent(beside)} from those of other frames. How much is set by how the network is built; where in a frame is what it learned.${asked}`;
    this.strip.forEach(({ button, canvas, caption }, t) => {
      const at = (frame * data.clip.frames + t) * (count - 1);
      this.paint(canvas, t, (i) => this.through[at + i - 1] / 255, false);
      caption.textContent = reached[t] ? `${t + 1}: ${(100 * shares[t]).toFixed(1)} %` : `${t + 1}: \u2013`;
      button.title = !reached[t] ? `frame ${t + 1} cannot reach the class token of frame ${frame + 1}` : `frame ${t + 1}: ${(100 * shares[t]).toFixed(1)} % is read from its patches` + (shares[t] ? `, from the strongest ${data.strongest[frame][t].toFixed(1)} times an even share` : "");
      button.setAttribute("aria-label", button.title);
      button.setAttribute("aria-pressed", t === frame);
    });
  }

  told(values, peak) {
    const { data, frame, head, token } = this, kind = this.from(frame, head);
    const [from, asks, keys] = ["from", "asks", "keys"].map((name) => data[name][frame][head]);
    const who = `${token ? `The patch in row ${Math.floor((token - 1) / data.grid[1]) + 1}, column ${((token - 1) % data.grid[1]) + 1}` : "The class token"} of frame ${frame + 1}`;
    if (kind === null) return `${who} has nothing to read in this head: there is no such frame.`;
    if (kind === "alike") return `${who} reads all of ${WORDS[from]} alike in this head: the frame whose ${asks === null ? "query" : "keys"} would choose does not exist.`;
    const asked = asks === 1 || asks === -1 ? `, asked by ${WORDS[asks]},` : "";
    const chosen = keys === from || Array.isArray(from) ? "" : `, chosen by the keys of ${WORDS[keys]}`;
    const lost = (i) => (Array.isArray(from) ? from[i] : from) === null;
    const mass = [...values].map((value) => (peak * value) / 255);
    const [cls, most] = [mass[0], Math.max(...mass.filter((_, i) => i && !lost(i)))];
    const gone = mass.filter((_, i) => lost(i)).reduce((sum, each) => sum + each, 0);
    const parts = [`its strongest patch has ${percent(most)} of the mass`, `the class token ${percent(cls)}`, ...(gone > 0.005 ? [`${percent(gone)} falls on no frame`] : [])];
    return `${who}${asked} reads ${WORDS[kind]}${chosen}; ${parts.join(", ")} (uniform: ${(100 * data.uniform).toFixed(1)} % each).`;
  }

  paint(canvas, frame, mass, own) {
    const { data } = this, ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = (width * data.clip.height) / data.clip.width;
    if (!width) return;
    canvas.style.height = `${height}px`;
    Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    const context = canvas.getContext("2d"), scale = width / data.clip.width;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = "#8884";
    context.fillRect(0, 0, width, height);
    if (frame == null) return;
    const { width: w, height: h, columns } = data.sprite;
    context.drawImage(this.image, (frame % columns) * w, Math.floor(frame / columns) * h, w, h, 0, 0, width, height);
    context.fillStyle = "rgba(10, 12, 20, 0.45)";
    context.fillRect(0, 0, width, height);
    const [rows, columnsOf] = data.grid, left = (data.box[0][0] + 0.5) * scale, up = (data.box[0][1] + 0.5) * scale;
    const wide = ((data.box[2][0] - data.box[0][0]) / columnsOf) * scale, high = ((data.box[2][1] - data.box[0][1]) / rows) * scale;
    for (let i = 1; i < this.count; i++) {
      const x = left + ((i - 1) % columnsOf) * wide, y = up + Math.floor((i - 1) / columnsOf) * high, share = mass(i);
      if (share > 0.02) {
        context.fillStyle = `rgba(255, 176, 0, ${0.85 * share})`;
        context.fillRect(x, y, wide, high);
      }
      if (own && i === this.token) {
        context.strokeStyle = "#ffffff";
        context.lineWidth = 2;
        context.strokeRect(x + 1, y + 1, wide - 2, high - 2);
      }
    }
  }
}

export default function mount({ data, parentElement }) {
  const root = parentElement.querySelector(".neighbours");
  const view = (root.view = new Neighbours(root, data));
  const watch = new ResizeObserver(() => view.draw());
  watch.observe(root);
  return () => watch.disconnect();
}
