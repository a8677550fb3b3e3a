// The cube: the clip as a block of space and time. It has no data of its own: it draws what the player of the page
// reads, wherever the player stands, and what is hovered here is lit there. Nothing asks the server.

const START = [-0.75, 0.3]; // turned around the vertical, and towards the eye, in radians
const DEEP = 1.4; // length of the time axis beside the longer side of a frame
const EDGES = [[0, 1], [2, 3], [4, 5], [6, 7], [0, 2], [1, 3], [4, 6], [5, 7], [0, 4], [1, 5], [2, 6], [3, 7]];
const KEYS = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
const GREY = [150, 156, 166], BLUE = [37, 99, 217], ORANGE = [224, 108, 0];

// Points, joints and looks count pixel centres; the cube is drawn from edge to edge.
const middle = (t, x, y) => [t, x + 0.5, y + 0.5];

// Colour of a displacement in time, as in the player: blue is earlier, orange later.
function timeColour(moved, most) {
  const share = Math.min(1, Math.abs(moved) / most);
  const towards = moved < 0 ? BLUE : ORANGE;
  return `rgb(${GREY.map((from, i) => Math.round(from + (towards[i] - from) * share)).join(",")})`;
}

function make(tag, attributes, parent) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent.append(made);
  return made;
}

// The player of the page: components have surfaces of their own, so it is looked for in each.
function findPlayer() {
  const roots = [...document.querySelectorAll("*")].map((each) => each.shadowRoot ?? null);
  const found = [document, ...roots].map((root) => root?.querySelector(".player")?.player);
  return found.find((player) => player?.lanes);
}

class Cube {
  constructor(root) {
    Object.assign(this, { root, turn: [...START], dots: [], player: findPlayer() });
    this.canvas = make("canvas", { role: "img", "aria-label": "Sampling points and skeletons in a block of x, y and time" }, root);
    this.context = this.canvas.getContext("2d");
    this.words = make("p", {}, root);
    this.canvas.addEventListener("pointerdown", (event) => this.canvas.setPointerCapture(event.pointerId));
    this.canvas.addEventListener("pointermove", (event) => (event.buttons ? this.drag(event) : this.hover(event)));
    this.canvas.addEventListener("pointerleave", () => this.player?.store.preview({}));
    root.addEventListener("keydown", (event) => this.press(event));
    this.follow = ({ detail }) => this.draw(detail);
    document.addEventListener("kinescope:view", this.follow);
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(root);
  }

  drag({ movementX, movementY }) {
    this.rotate(movementX * 0.01, -movementY * 0.01);
  }

  rotate(around, up) {
    this.turn = [this.turn[0] + around, Math.max(-1.4, Math.min(1.4, this.turn[1] + up))];
    this.draw();
  }

  press(event) {
    if (!KEYS[event.key] && event.key !== "Home") return;
    event.preventDefault();
    event.stopPropagation(); // the page has its own keys
    if (event.key === "Home") this.turn = [...START];
    this.rotate(...(KEYS[event.key] ?? [0, 0]));
  }

  // The point under the pointer, in the frame that it is read from most.
  hover({ offsetX, offsetY }) {
    const near = this.dots.findLast((dot) => Math.hypot(dot.x - offsetX, dot.y - offsetY) <= Math.max(dot.radius, 4));
    this.player?.store.preview(near ? { point: near.index, frame: Math.round(near.t) } : {});
  }

  // From a place in the clip (x, y from edge to edge) to a place on the canvas and its depth: parallel lines stay so.
  place(t, x, y) {
    const { clip, T } = this.reading, { width, height } = clip, longest = Math.max(width, height);
    const [a, b, c] = [(x - width / 2) / longest, (height / 2 - y) / longest, ((t + 0.5) / T - 0.5) * DEEP];
    const [around, up] = this.turn;
    const [right, far] = [a * Math.cos(around) - c * Math.sin(around), a * Math.sin(around) + c * Math.cos(around)];
    const [high, depth] = [b * Math.cos(up) + far * Math.sin(up), far * Math.cos(up) - b * Math.sin(up)];
    return [this.centre[0] + this.scale * right, this.centre[1] - this.scale * high, depth];
  }

  line(places, colour, width) {
    const { context } = this;
    context.beginPath();
    for (const place of places) context.lineTo(...this.place(...place).slice(0, 2));
    Object.assign(context, { strokeStyle: colour, lineWidth: width });
    context.stroke();
  }

  draw(player = this.player) {
    if (!this.root.isConnected) return;
    this.player = player;
    const { context, canvas } = this, ratio = window.devicePixelRatio || 1;
    const { width, height } = canvas.getBoundingClientRect();
    if (!player?.lanes || !width) return;
    Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const [lane] = player.lanes;
    this.reading = lane.reading;
    const state = (this.state = this.reading.now(player.store.view()));
    Object.assign(this, { centre: [width / 2, height / 2], scale: Math.min(width / 1.9, height / 1.45), ratio });
    this.ink = getComputedStyle(this.root).color;
    this.block(state, lane.images);
    this.cells(state);
    this.skeletons(state);
    this.points(state);
    this.look(state, player.theme?.accent ?? "#1769e0");
    const queries = this.reading.points.queries.join(", ");
    const about = [["layer", state.layer], ["head", state.head], ["query", state.query], ["frame", state.frame]];
    const said = about.map(([name, value]) => this.reading.called(name, value)).join(", ");
    this.words.textContent = this.dots.length ? said : `${said}: only ${queries} read points.`;
  }

  // The edges of the block, what its axes are, and the picture of the frame that is shown, where it stands in time.
  block({ frame }, images) {
    const { context, reading } = this, { T } = reading, { width, height } = reading.clip;
    const corners = [-0.5, T - 0.5].flatMap((t) => [0, height].flatMap((y) => [0, width].map((x) => [t, x, y])));
    context.globalAlpha = 0.3;
    for (const [a, b] of EDGES) this.line([corners[a], corners[b]], this.ink, 1);
    context.globalAlpha = 0.85;
    const [[x0, y0], [x1, y1], [x2, y2]] = [[0, 0], [width, 0], [0, height]].map((at) => this.place(frame, ...at));
    if (images) {
      const [image] = [images[frame]], [w, h] = [image.width, image.height];
      context.save();
      context.transform((x1 - x0) / w, (y1 - y0) / w, (x2 - x0) / h, (y2 - y0) / h, x0, y0);
      context.globalAlpha = 0.45;
      context.drawImage(image, 0, 0);
      context.restore();
    }
    this.line([[frame, 0, 0], [frame, width, 0], [frame, width, height], [frame, 0, height], [frame, 0, 0]], this.ink, 1.5);
    Object.assign(context, { font: getComputedStyle(this.root).font, fillStyle: this.ink, textAlign: "center" });
    for (const [text, ...at] of [["x (px)", -0.5, width / 2, height * 1.08], ["frame 1", -0.5, width * 1.12, height],
      [`frame ${T}`, T - 0.5, width * 1.12, height], ["y (px)", -0.5, -0.12 * width, height / 2]])
      this.write(text, at);
    context.globalAlpha = 1;
  }

  // The features or patches of the frame that is shown, when the drawn model lights them; as in the player a feature of
  // the backbone is a dot where it lies, and patches are cells.
  cells({ frame, lit }) {
    const { width, height } = this.reading.clip, style = this.reading.lattice[lit];
    if (!style) return;
    const [left, top, wide, high, columns, rows] = style.match(/-?[\d.]+(?=%;)|(?<=\/ )\d+/g).map(Number);
    const x = (i) => ((left + (wide * i) / columns) * width) / 100, y = (i) => ((top + (high * i) / rows) * height) / 100;
    this.context.globalAlpha = 0.5;
    for (let i = 0; lit === "patch" && i <= columns; i++) this.line([[frame, x(i), y(0)], [frame, x(i), y(rows)]], this.ink, 0.5);
    for (let i = 0; lit === "patch" && i <= rows; i++) this.line([[frame, x(0), y(i)], [frame, x(columns), y(i)]], this.ink, 0.5);
    this.context.fillStyle = this.ink;
    for (let i = 0; lit !== "patch" && i < columns * rows; i++) {
      const [right, down] = this.place(frame, x((i % columns) + 0.5), y(Math.floor(i / columns) + 0.5));
      this.context.fillRect(right - 0.7, down - 0.7, 1.4, 1.4);
    }
    this.context.globalAlpha = 1;
  }

  // Words at a place of the block, moved in from the edge of the picture that would cut them.
  write(text, at) {
    const [x, y] = this.place(...at), half = this.context.measureText(text).width / 2 + 2;
    this.context.fillText(text, Math.min(Math.max(x, half), 2 * this.centre[0] - half), y);
  }

  // Each frame's skeleton; the one of the frame that is shown, and the way of a joint that is lit, stand out.
  skeletons({ frame, joint, lit }) {
    const { context, reading } = this, { skeleton, T, M, J } = reading;
    for (const person of skeleton?.people ?? []) {
      const at = (t, j) => middle(t, ...skeleton.place.at(t, person, j));
      const seen = (t, j) => skeleton.score.values[(t * M + person) * J + j] > 0;
      for (let t = 0; t < T; t++) {
        context.globalAlpha = t === frame ? 0.9 : 0.22;
        for (const [a, b] of skeleton.bones)
          if (seen(t, a) && seen(t, b)) this.line([at(t, a), at(t, b)], this.ink, t === frame ? 2 : 1);
      }
      context.globalAlpha = 1;
      for (let j = 0; j < J; j++) {
        if (joint !== person * J + j && lit !== "joint") continue;
        const way = [...Array(T).keys()].filter((t) => seen(t, j)).map((t) => at(t, j));
        this.line(way, `hsl(${(j * 47) % 360} 70% 50%)`, joint === person * J + j ? 3 : 1.5);
      }
    }
  }

  points(state) {
    const { context, reading } = this;
    this.dots = [];
    const found = reading.pointMass(state);
    if (!found) return;
    const { place, reference, most } = reading.pointPlaces(state);
    const shown = new Set([...found.order.slice(0, state.count), state.point ?? found.order[0]]);
    this.dots = [...shown].map((index) => {
      const [to, from] = [place, reference].map((values) => middle(...values.subarray(3 * index, 3 * index + 3)));
      const [x, y, depth] = this.place(...to);
      const radius = Math.max(1.2, 8 * Math.sqrt(found.mass[index] / (found.max || 1)));
      return { index, x, y, depth, radius, from, to, t: to[0], colour: timeColour(to[0] - from[0], most) };
    });
    this.dots.sort((a, b) => b.depth - a.depth); // what is near covers what is far
    for (const { index, x, y, radius, from, to, t, colour } of this.dots) {
      context.globalAlpha = Math.abs(t - state.frame) < 1 || index === state.point ? 1 : 0.45;
      this.line([from, to], this.ink, 0.7);
      this.disc(x, y, radius, colour);
      if (index === state.point || state.lit === "point") this.disc(x, y, radius + 3, null, this.ink);
    }
    context.globalAlpha = 1;
  }

  // Where the token that is hovered in the player looks.
  look(state, accent) {
    for (const { t, x, y, share, own } of this.reading.look(state) ?? []) {
      const [left, top] = this.place(...middle(t, x, y));
      this.disc(left, top, own ? 6 : 2 + 5 * Math.sqrt(share), own ? null : accent, own ? accent : this.ink);
    }
  }

  disc(x, y, radius, fill, edge = "rgba(10, 12, 16, 0.6)") {
    const { context } = this;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    Object.assign(context, { fillStyle: fill, strokeStyle: edge, lineWidth: fill ? 0.7 : 2 });
    if (fill) context.fill();
    context.stroke();
  }

  close() {
    document.removeEventListener("kinescope:view", this.follow);
    this.watch.disconnect();
  }
}

export default function mount({ parentElement }) {
  const root = parentElement.querySelector(".cube");
  root.replaceChildren();
  const cube = (root.cube = new Cube(root));
  return () => cube.close();
}
