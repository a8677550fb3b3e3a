// Maps of other methods under the player, on its clock: what each method says of the frame that is shown, and how far
// that can be believed. Uses the player's own modules; text is never read as HTML.
const AGAINST_FOR = "#2d004b #542788 #8073ac #b2abd2 #d8daeb #f7f7f7 #fee0b6 #fdb863 #e08214 #b35806 #7f3b08".split(" ").map(hex);
const sidesColour = (share) => along(AGAINST_FOR, (share + 1) / 2);
const gradient = (colour, from, to) =>
  `linear-gradient(to right, ${range(17).map((i) => colour(from + ((to - from) * i) / 16)).join(",")})`;

// The player's colours, for canvases.
function coloursOf({ root, theme }) {
  const style = getComputedStyle(root), colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const named = Object.fromEntries(["ink", "soft", "line"].map((name) => [name, colour(name)]));
  return { ...theme, ...named, limb: (i) => colour(`limb-${i % 5}`), token: (name) => colour(`token-${name}`) };
}

function write(context, text, x, y, colour, align = "left") {
  Object.assign(context, { textAlign: align, textBaseline: "middle", fillStyle: colour });
  context.fillText(text, x, y);
}

// Axes of a chart over frames, drawn: a left scale with its unit, frame numbers below; returns the two scales.
function frameAxes({ context, theme, width, height }, { left, right, top, bottom, low, high, count, unit }) {
  const across = width - left - right;
  const x = (frame) => left + ((frame + 0.5) / count) * across;
  const y = (value) => height - bottom - ((value - low) / (high - low || 1)) * (height - top - bottom);
  const rough = (high - low) / 4 || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((n) => n * power >= rough) * power;
  context.font = `11px ${theme.font}`;
  for (let i = Math.ceil(low / step - 1e-9); i <= high / step + 1e-9; i++) {
    stroke(context, theme.line, 1, [[left, y(i * step)], [width - right, y(i * step)]]);
    write(context, digits(i * step, 2), left - 6, y(i * step), theme.soft, "right");
  }
  const every = Math.max(1, Math.ceil((count * 22) / across));
  for (let t = 0; t < count; t += every) write(context, t + 1, x(t), height - bottom + 9, theme.soft, "center");
  write(context, "frame", width - right + 4, height - bottom + 9, theme.soft);
  write(context, unit, left, 7, theme.soft);
  return { x, y, frameAt: (px) => Math.max(0, Math.min(count - 1, Math.floor(((px - left) / across) * count))) };
}

class MapCard {
  constructor(host, map, player) {
    const [reading] = player.readings;
    Object.assign(this, { map, player, reading });
    const card = element("section", { class: "map", "aria-label": map.title }, host);
    element("h3", { text: map.title }, card);
    element("p", { class: "about", text: map.about ?? "" }, card);
    if (map.refused) {
      element("p", { class: "quiet", text: map.refused }, card);
      return;
    }
    this.values = new Packed(map.values);
    this.badge(card);
    this.stage = new Sheet(element("div", { class: "map-stage" }, card), `${map.title}, on the frame`);
    this.stage.canvas.style.aspectRatio = `${reading.clip.width} / ${reading.clip.height}`;
    this.chart = new Sheet(element("div", { class: `map-chart ${map.kind.split(" ")[0]}` }, card), `${map.title}, as a chart`);
    this.chart.canvas.addEventListener("pointerdown", (event) => {
      const box = this.chart.canvas.getBoundingClientRect();
      if (this.axes) player.clock.seek(this.axes.frameAt(event.clientX - box.left));
    });
    const scale = element("div", { class: "scale" }, card);
    const ramp = map.signed ? gradient(sidesColour, -1, 1) : gradient(viridis, 0, 1);
    element("div", { class: "ramp", style: `background:${ramp}` }, scale);
    const ends = element("p", { class: "ramp-ends" }, scale), most = digits(map.most, 2);
    const texts = map.signed ? [`−${most} against`, "0", `+${most} for`] : ["0", most];
    for (const text of texts) element("span", { text }, ends);
    const base = map.base ? `${digits(map.base, 2)}: ${map.base_of}` : `0: ${map.base_of}`;
    element("p", { class: "quiet", text: `${map.unit}, raw. Base rate ${base}.` }, card);
  }

  badge(card) {
    const { trust } = this.map, level = trust?.level ?? "not measured";
    const box = element("details", { class: `trust ${level.replace(" ", "-")}` }, card);
    element("summary", { text: `Trust: ${level}` }, box);
    const list = element("ul", {}, box);
    for (const sentence of trust?.sentences ?? ["Nothing was measured about this map."]) element("li", { text: sentence }, list);
    if (trust?.faithfulness) this.removal(box, trust.faithfulness);
  }

  // Deletion and insertion: the map, the order of motion, and the band of random orders.
  removal(host, curves) {
    const kinds = ["deletion", "insertion"], all = kinds.flatMap((kind) => ["", "motion_", "random_"].flatMap((by) => curves[by + kind]));
    const bands = kinds.flatMap((kind) => [...curves[`random_${kind}_low`], ...curves[`random_${kind}_high`]]);
    const low = Math.min(...all, ...bands), high = Math.max(...all, ...bands);
    const drawn = svg("svg", { viewBox: "0 0 300 116", class: "removal", role: "img" }, host);
    svg("title", {}, drawn).textContent = "Score while units are taken away and given back";
    const text = (x, y, words, anchor = "start") => { svg("text", { x, y, "text-anchor": anchor }, drawn).textContent = words; };
    const y = (value) => 100 - 84 * ((value - low) / (high - low || 1));
    kinds.forEach((kind, i) => {
      const x = (share) => 34 + 136 * i + 118 * share, places = (values) => values.map((v, k) => `${x(curves.share[k])},${y(v)}`);
      const band = [...places(curves[`random_${kind}_low`]), ...places(curves[`random_${kind}_high`]).reverse()];
      svg("polygon", { points: band.join(" "), class: "band" }, drawn);
      for (const [by, name] of [["random_", "random"], ["motion_", "motion"], ["", "own"]])
        svg("polyline", { points: places(curves[by + kind]).join(" "), class: name }, drawn);
      svg("path", { d: `M${x(0)} 14V100H${x(1)}`, class: "axis" }, drawn);
      text(x(0.5), 11, kind, "middle");
      text(x(0.5), 112, i ? "share given back" : `share of ${curves.units} taken away`, "middle");
    });
    text(30, 20, digits(high, 2), "end");
    text(30, 101, digits(low, 2), "end");
    const words = "Score in logits. Solid: strongest of this map first; dashed: most motion first; grey: random orders, mean and 95 %.";
    element("p", { class: "quiet", text: words }, host);
  }

  render(state, theme, images) {
    if (!this.values) return;
    this.frame(state, theme, images);
    if (!this.chart.begin(theme)) return;
    ({ "joint map": () => this.joints(state, theme) }[this.map.kind] ?? (() => this.bars(state, theme)))();
  }

  shade(value) {
    const share = value / (this.map.most || 1);
    return this.map.signed ? sidesColour(share) : viridis(share);
  }

  frame(state, theme, images) {
    const { stage, reading, map } = this;
    if (!stage.begin(theme) || !images) return;
    const { context, width, height } = stage, at = fit(reading.clip, 0, 0, width, height), pixels = map.kind === "pixel map";
    context.filter = pixels ? "grayscale(1) contrast(0.75) brightness(1.1)" : "none";
    context.drawImage(images[state.frame], at.x0, at.y0, at.width, at.height);
    context.filter = "none";
    if (pixels) this.cells(context, state.frame, at);
    if (map.kind === "joint map" && reading.skeleton) this.discs(context, state.frame, at);
  }

  // Painted one pixel a cell and then enlarged, so that no seams show between cells.
  cells(context, frame, at) {
    const { map } = this, [, rows, columns] = map.values.shape, [[left, top], , [right, bottom]] = map.box;
    const small = (this.small ??= Object.assign(document.createElement("canvas"), { width: columns, height: rows }));
    const paint = small.getContext("2d");
    paint.clearRect(0, 0, columns, rows);
    this.values.at(frame).forEach((value, i) => {
      paint.globalAlpha = 0.9 * Math.sqrt(Math.min(1, Math.abs(value) / (map.most || 1)));
      paint.fillStyle = this.shade(value);
      paint.fillRect(i % columns, Math.floor(i / columns), 1, 1);
    });
    context.save();
    context.beginPath();
    context.rect(at.x0, at.y0, at.width, at.height);
    context.clip();
    context.imageSmoothingEnabled = false;
    context.drawImage(small, at.x(left), at.y(top), at.scale * (right - left), at.scale * (bottom - top));
    context.restore();
  }

  discs(context, frame, at) {
    const { reading, map } = this, { M, J } = reading, places = reading.skeleton.place.at(frame), values = this.values.at(frame);
    for (let j = 0; j < M * J; j++) {
      if (!(reading.skeleton.score.values[frame * M * J + j] > 0)) continue;
      const size = 2 + 7 * Math.sqrt(Math.abs(values[j]) / (map.most || 1));
      disc(context, at.x(places[2 * j]), at.y(places[2 * j + 1]), size, this.shade(values[j]), "#fff", 1);
    }
  }

  // Joints of this frame, one bar each, in the order of the body.
  joints(state, theme) {
    const { chart, reading, map } = this, { context, width, height } = chart, { J } = reading;
    this.axes = null;
    context.font = `11px ${theme.font}`;
    const person = reading.skeleton.people.includes(state.person) ? state.person : reading.skeleton.people[0];
    const values = this.values.at(state.frame).subarray(person * J, (person + 1) * J);
    const order = reading.skeleton.limb.map((limb, j) => [limb, j]).sort((a, b) => a[0] - b[0]).map(([, j]) => j);
    const row = height / J, left = 96, room = width - left - 58, zero = left + (map.signed ? room / 2 : 0);
    const per = (map.signed ? room / 2 : room) / (map.most || 1);
    order.forEach((joint, i) => {
      const y = (i + 0.5) * row, end = zero + per * values[joint];
      write(context, reading.skeleton.names[joint], left - 6, y, theme.limb(reading.skeleton.limb[joint]), "right");
      context.fillStyle = this.shade(values[joint] < 0 ? -map.most : map.most * (map.signed ? 1 : 0.5));
      context.fillRect(Math.min(zero, end), y - 0.35 * row, Math.abs(end - zero), 0.7 * row);
      write(context, digits(values[joint], 2), Math.max(zero, end) + 4, y, theme.soft);
    });
    stroke(context, theme.soft, 1, [[zero, 0], [zero, height]]);
    if (map.base) stroke(context, theme.ink, 1, [[zero + per * map.base, 0], [zero + per * map.base, height]], [2, 3]);
  }

  // Frames: a bar each, stacked by token where the map has tokens; of a pixel map the sum over its cells.
  bars(state, theme) {
    const { chart, map, reading } = this, T = reading.T, parts = map.tokens ?? [null];
    const of = (t, k) => (map.tokens ? this.values.at(t)[k] : this.values.at(t).reduce((sum, value) => sum + value, 0));
    const table = Array.from({ length: T }, (_, t) => parts.map((_, k) => of(t, k)));
    const total = (row, sign) => row.reduce((sum, v) => sum + (v * sign > 0 ? v : 0), 0);
    const high = Math.max(0, ...table.map((row) => total(row, 1))), low = Math.min(0, ...table.map((row) => total(row, -1)));
    const unit = map.kind === "pixel map" ? `${map.unit}, sum of the frame` : map.unit;
    const box = { left: 46, right: 46, top: 16, bottom: 18, low: low * 1.08, high: high * 1.08 || 1, count: T, unit };
    const axes = (this.axes = frameAxes(chart, box)), step = (chart.width - box.left - box.right) / T;
    chart.context.globalAlpha = theme.dark ? 0.25 : 0.13; // the playhead
    chart.context.fillStyle = theme.accent;
    chart.context.fillRect(axes.x(state.frame) - step / 2, box.top, step, chart.height - box.top - box.bottom);
    chart.context.globalAlpha = 1;
    table.forEach((row, t) => {
      const ends = { 1: 0, "-1": 0 };
      row.forEach((value, k) => {
        const sign = value < 0 ? -1 : 1, from = ends[sign];
        ends[sign] += value;
        chart.context.fillStyle = map.tokens ? theme.token(map.tokens[k]) : this.shade(value < 0 ? -map.most : map.signed ? map.most : map.most / 2);
        const [a, b] = [axes.y(from), axes.y(from + value)];
        chart.context.fillRect(axes.x(t) - 0.4 * step, Math.min(a, b), 0.8 * step, Math.abs(a - b));
      });
    });
    stroke(chart.context, theme.soft, 1, [[box.left, axes.y(0)], [chart.width - box.right, axes.y(0)]]);
    if (map.kind === "frame map" && map.base) stroke(chart.context, theme.ink, 1, [[box.left, axes.y(map.base)], [chart.width - box.right, axes.y(map.base)]], [2, 3]);
  }
}

const report = JSON.parse(document.getElementById("data").textContent);
mount({ data: { readings: [report.payload], trust: report.trust }, parentElement: document.body });
const { player } = document.querySelector(".player");
const cards = report.maps.map((map) => new MapCard(document.querySelector(".maps"), map, player));
const renderPlayer = player.render.bind(player);
player.render = () => {
  renderPlayer();
  for (const card of cards) card.render(player.store.view(), coloursOf(player), player.lanes[0].images);
};
document.addEventListener("keydown", (event) => {
  if (event.target === document.body) player.press(event); // arrow keys step wherever one has clicked
});
player.repaint();
