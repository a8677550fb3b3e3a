// One highlight state and one clock. Views read `view()`; they never talk to each other.

// A joint takes the place of a point or patch that would hide it, a point that of a patch.
function alone(values) {
  if (values.joint != null) return { point: null, patch: null, ...values };
  return values.point == null ? values : { patch: null, ...values };
}

export class Store {
  constructor(start, tell) {
    Object.assign(this, { start, tell, chosen: { ...start }, hover: {}, pinned: new Set(), playing: false });
  }

  // What is on screen: a hover previews over what is chosen. While the film plays, the clock alone says which frame.
  view() {
    const { frame } = this.playing ? this.chosen : { ...this.chosen, ...this.hover };
    return { ...this.chosen, ...this.hover, frame };
  }
  preview(given) {
    const values = alone(given);
    if (JSON.stringify(values) === JSON.stringify(this.hover)) return;
    this.hover = values;
    this.tell();
  }
  choose(given) {
    const values = alone(given);
    Object.assign(this.chosen, values);
    for (const name of Object.keys(values)) delete this.hover[name];
    this.tell();
  }
  pin(values) {
    for (const name of Object.keys(values)) this.pinned.add(name);
    this.playing &&= values.frame == null;
    this.choose(values);
  }

  // A frame that is freed stays on screen; everything else returns to where it started.
  free(names) {
    for (const name of names) {
      this.pinned.delete(name);
      if (name !== "frame") this.chosen[name] = this.start[name];
    }
    this.preview({});
    this.tell();
  }

  // What Esc frees and the chips show: pins, and choices that differ from the start.
  held() {
    const moved = (name) => this.chosen[name] !== this.start[name];
    const pinned = [...this.pinned].filter((name) => this.chosen[name] != null);
    return [...pinned, ...["layer", "head", "query", "label", "lit"].filter(moved)];
  }
}

export class Clock {
  constructor(store, seconds) {
    const usual = (1000 * (seconds.at(-1) - seconds[0])) / (seconds.length - 1) || 1000 / 12;
    const length = seconds.map((second, i) => 1000 * (seconds[i + 1] - second) || usual); // in milliseconds
    Object.assign(this, { store, length, frames: seconds.length, speed: 1 });
  }
  seek(frame) {
    this.store.pinned.delete("frame");
    this.store.choose({ frame: (frame + this.frames) % this.frames });
  }
  go(frame) {
    this.play(false);
    this.seek(frame);
  }
  faster(by) {
    this.speed = Math.max(0.25, Math.min(1, this.speed * by));
    this.store.tell();
  }
  play(playing) {
    clearTimeout(this.timer);
    this.store.playing = playing;
    const next = () => {
      if (this.store.playing) this.seek(this.store.chosen.frame + 1);
      this.play(this.store.playing);
    };
    if (playing) this.timer = setTimeout(next, this.length[this.store.chosen.frame] / this.speed);
    this.store.tell();
  }
}
