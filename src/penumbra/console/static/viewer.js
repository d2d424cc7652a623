// The CT viewer: three planes linked by a cross, drawn on 2D canvases (no WebGL), and what the address keeps of them. Its page holds facts about the
// scan (data-facts), pictures of the three planes that are shown until the scan is here, and every control (controls.js).
"use strict";

const CROSS = "rgba(235,235,235,.65)", DRAWN = "#ffffff", LOWERS = [0, 114, 178], RAISES = [213, 94, 0];
const GAP = 14, PATIENCE_MS = 3000, BAR = [100, 50, 20, 10, 5, 2, 1], OPACITY = 0.75, DENSITY = Math.min(2, window.devicePixelRatio || 1);
const MINUS = "\u2212";
const words = (value, digits = 1) => value.toFixed(digits).replace("-", MINUS);

class Viewer {
  constructor(root) {
    this.root = root;
    this.facts = JSON.parse(root.dataset.facts);
    this.volume = new Volume(this.facts);
    this.at = [...this.facts.at];
    [this.level, this.width] = this.facts.window;
    this.zoom = 1;
    this.focus = null; // the voxel in the middle of the pictures, with parts of voxels; null: the scan's middle
    this.levels = this.drawn = this.map = this.ruler = null;
    this.measuring = false;
    this.large = "";
    this.planes = [...root.querySelectorAll("figure.plane")].map((figure) => {
      const canvas = figure.querySelector("canvas");
      return {
        figure, canvas, view: this.facts.views.find((view) => view.name === figure.dataset.view), context: canvas.getContext("2d"),
        slider: figure.querySelector("input[type=range]"), label: figure.querySelector("[data-at]"), sheet: document.createElement("canvas"),
      };
    });
    const query = new URLSearchParams(location.search);
    this.hidden = new Set((query.get("hide") || "").split(",").filter(Boolean));
    if (this.planes.some((plane) => plane.view.name === query.get("plane"))) this.enlarge(query.get("plane"));
    this.table = new Uint32Array(65536);
    root.classList.add("alive");
  }

  part(selector) { return this.root.querySelector(selector); }

  state(text) { this.part("[data-state]").textContent = text; }

  // The pictures first: what is fetched and unpacked meanwhile would hold them up.
  async pictures() {
    const shown = [...this.root.querySelectorAll(".stage img")].map((picture) => picture.decode().catch(() => null));
    await Promise.race([Promise.all(shown), new Promise((resume) => { setTimeout(resume, PATIENCE_MS); })]);
  }

  async begin() {
    await this.pictures();
    const extra = [this.box(this.facts.levels).then((buffer) => { this.levels = new Box(buffer, Uint8Array, 0); })];
    if (this.facts.drawn) extra.push(fetch(this.facts.drawn).then((answer) => answer.json()).then((drawn) => { this.drawn = drawn; }));
    try {
      await this.volume.load(this.facts.image, (share) => this.state(`Loading the scan … ${Math.round(100 * share)} %`));
    } catch (error) {
      this.root.classList.remove("alive");
      this.root.classList.add("failed");
      this.state(`The scan could not be loaded: ${error.message} The pictures stay; their links step.`);
      return;
    }
    for (const plane of this.planes) {
      plane.sheet.width = this.volume.columns(plane.view);
      plane.sheet.height = this.volume.rows(plane.view);
      plane.image = plane.sheet.getContext("2d").createImageData(plane.sheet.width, plane.sheet.height);
      plane.pixels = new Uint32Array(plane.image.data.buffer);
    }
    this.shade();
    new ResizeObserver(() => this.show()).observe(this.root);
    this.listen();
    this.state("Loading the outlines …");
    this.root.classList.add("ready");
    this.draw();
    const failed = (await Promise.allSettled(extra)).filter((each) => each.status === "rejected");
    this.state(failed.length ? "The outlines could not be loaded: reload the page." : "");
    this.root.dataset.ready = "true";
    this.show();
    if (new URLSearchParams(location.search).get("map") && this.facts.map) { this.part("[name=map]").checked = true; this.look(); }
  }

  async box(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.arrayBuffer();
  }

  // Where the network looks is computed when it is first asked for; the console answers 202 until it is there.
  async look() {
    const began = Date.now();
    while (!this.map && this.part("[name=map]").checked) {
      const answer = await fetch(this.facts.map);
      if (answer.status === 200) {
        this.map = new Box(await answer.arrayBuffer(), Int8Array, 4);
        this.state(`Where the network looks: orange raises its log risk, blue lowers it, by at most ${this.map.largest.toPrecision(2)}; ${answer.headers.get("X-Read-By")}.`);
      } else if (answer.status === 202) {
        this.state(`Where the network looks is being computed … ${Math.round((Date.now() - began) / 1000)} s`);
        await new Promise((resume) => { setTimeout(resume, 1500); });
      } else {
        const fault = await answer.json().catch(() => ({ found: `the console answered ${answer.status}`, advice: "try again" }));
        this.state(`No map: ${fault.found}; ${fault.advice}.`);
        this.part("[name=map]").checked = false;
      }
    }
    this.show();
  }

  // The gray of every HU.
  shade() {
    const low = this.level - this.width / 2;
    for (let hu = -32768; hu < 32768; hu++) {
      const gray = Math.max(0, Math.min(255, Math.round((255 * (hu - low)) / this.width)));
      this.table[hu + 32768] = 0xff000000 | (gray << 16) | (gray << 8) | gray;
    }
  }

  show() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  draw() {
    const began = performance.now();
    for (const plane of this.planes) this.drawPlane(plane);
    this.root.dataset.ms = (performance.now() - began).toFixed(1);
    this.readOut();
  }

  // Pixels of a canvas per voxel, and where u = v = 0 is.
  frame(plane) {
    const { view, canvas } = plane, [columns, rows] = [this.volume.columns(view), this.volume.rows(view)];
    const [across, down] = [this.volume.spacing[view.across], this.volume.spacing[view.down]];
    const scale = Math.min(canvas.width / (columns * across), canvas.height / (rows * down)) * this.zoom;
    const [u, v] = this.focus ? this.volume.shown(view, this.focus) : [columns / 2, rows / 2];
    return { scale, x: scale * across, y: scale * down, left: canvas.width / 2 - u * scale * across, top: canvas.height / 2 - v * scale * down };
  }

  drawPlane(plane) {
    const { view, canvas, context, sheet } = plane, index = this.at[view.through];
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((each) => Math.max(1, Math.round(each * DENSITY)));
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    this.volume.paint(view, index, this.table, plane.pixels);
    sheet.getContext("2d").putImageData(plane.image, 0, 0);
    const { scale, x, y, left, top } = this.frame(plane);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    context.setTransform(x, 0, 0, y, left, top);
    context.drawImage(sheet, 0, 0);
    if (this.map && this.part("[name=map]").checked) this.drawMap(plane, context);
    if (this.levels) {
      const part = this.levels.plane(this.volume, view, index);
      for (const roi of part ? this.facts.rois : []) {
        if (!this.hidden.has(roi.name)) this.stroke(context, edges(part, roi.level), roi.color, roi.width * DENSITY, x, []);
      }
    }
    if (this.drawn && !this.hidden.has("drawn")) this.stroke(context, drawnLines(this.drawn, this.volume, view, index), DRAWN, DENSITY, x, [4, 3]);
    context.setTransform(1, 0, 0, 1, 0, 0);
    this.drawCross(context, plane, { x, y, left, top });
    this.drawBar(context, plane, scale);
    if (this.ruler && this.ruler.plane === plane && this.ruler.index === index) this.drawRuler(context, { x, y, left, top });
    plane.slider.value = view.turned[2] ? this.volume.size[view.through] - 1 - index : index;
    const side = { axial: 2, coronal: 1, sagittal: 0 }[view.name];
    plane.label.textContent = `plane ${index + 1} of ${this.volume.size[view.through]} · ${"xyz"[side]} ${words(this.volume.point(this.at)[side])} mm`;
  }

  stroke(context, lines, color, width, unit, dashes) {
    context.beginPath();
    for (const line of lines) {
      context.moveTo(line[0], line[1]);
      for (let point = 2; point < line.length; point += 2) context.lineTo(line[point], line[point + 1]);
    }
    context.strokeStyle = color;
    context.lineWidth = width / unit;
    context.lineCap = "square";
    context.setLineDash(dashes.map((each) => (each * DENSITY) / unit));
    context.stroke();
    context.setLineDash([]);
  }

  drawMap(plane, context) {
    const part = this.map.plane(this.volume, plane.view, this.at[plane.view.through]);
    if (!part) return;
    const sheet = document.createElement("canvas");
    sheet.width = part.columns;
    sheet.height = part.rows;
    const image = new ImageData(part.columns, part.rows);
    part.values.forEach((value, pixel) => {
      const share = Math.min(1, Math.abs(value) / 127), color = value > 0 ? RAISES : LOWERS;
      for (const channel of [0, 1, 2]) image.data[4 * pixel + channel] = 255 + share * (color[channel] - 255);
      image.data[4 * pixel + 3] = 255 * OPACITY * Math.sqrt(share);
    });
    sheet.getContext("2d").putImageData(image, 0, 0);
    context.drawImage(sheet, part.u, part.v);
  }

  drawCross(context, plane, { x, y, left, top }) {
    const { width, height } = plane.canvas, [u, v] = this.volume.shown(plane.view, this.at);
    const [across, down, gap] = [left + u * x, top + v * y, GAP * DENSITY];
    this.stroke(context, [[0, down, across - gap, down], [across + gap, down, width, down], [across, 0, across, down - gap], [across, down + gap, across, height]], CROSS, DENSITY, 1, []);
  }

  drawBar(context, plane, scale) {
    const { width, height } = plane.canvas, length = BAR.find((mm) => mm * scale < 0.3 * width) || 0.5, edge = 10 * DENSITY;
    this.stroke(context, [[edge, height - edge, edge + length * scale, height - edge]], "#fff", 2 * DENSITY, 1, []);
    this.letter(context, `${length} mm`, edge, height - edge - 5 * DENSITY);
  }

  letter(context, text, x, y) {
    context.font = `${12 * DENSITY}px system-ui, sans-serif`;
    context.lineWidth = 3 * DENSITY;
    context.strokeStyle = "#000";
    context.strokeText(text, x, y);
    context.fillStyle = "#fff";
    context.fillText(text, x, y);
  }

  drawRuler(context, { x, y, left, top }) {
    const [[u1, v1], [u2, v2]] = [this.ruler.from, this.ruler.to];
    this.stroke(context, [[left + u1 * x, top + v1 * y, left + u2 * x, top + v2 * y]], "#f0e442", 1.5 * DENSITY, 1, []);
    this.letter(context, `${this.length().toFixed(1)} mm`, left + u2 * x + 6 * DENSITY, top + v2 * y - 6 * DENSITY);
  }

  length() {
    const { plane, from, to } = this.ruler;
    return Math.hypot((to[0] - from[0]) * this.volume.spacing[plane.view.across], (to[1] - from[1]) * this.volume.spacing[plane.view.down]);
  }

  roiAt(voxel) {
    const level = this.levels ? this.levels.at(voxel) : 0, roi = this.facts.rois.find((each) => each.level === level);
    return roi ? roi.words : "outside";
  }

  readOut() {
    const [x, y, z] = this.volume.point(this.at).map((each) => words(each));
    const seen = this.map && this.part("[name=map]").checked ? ` · network ${words((this.map.at(this.at) / 127) * this.map.largest, 4)}` : "";
    const text = `${words(this.volume.at(this.at), 0)} HU · x ${x}, y ${y}, z ${z} mm · ${this.levels ? this.roiAt(this.at) : "…"}${seen}`;
    this.part("[data-read]").textContent = text;
    clearTimeout(this.saying);
    this.saying = setTimeout(() => { if (this.part("[data-say]").textContent !== text) this.part("[data-say]").textContent = text; }, 700); // once it rests
  }

  // ---- what people do

  move(voxel) {
    this.at = voxel.map((each, axis) => Math.max(0, Math.min(this.volume.size[axis] - 1, each)));
    this.note();
  }

  // Toward head, back or left by so many planes, or in the plane to the right and downwards.
  step(plane, planes, right = 0, down = 0) {
    const voxel = [...this.at], { across, down: axis, through, turned } = plane.view;
    voxel[through] += turned[2] ? -planes : planes;
    voxel[across] += turned[0] ? -right : right;
    voxel[axis] += turned[1] ? -down : down;
    this.move(voxel);
  }

  window(level, width) {
    [this.level, this.width] = [Math.max(-4000, Math.min(8000, level)), Math.max(1, Math.min(20000, width))];
    this.part("[name=level]").value = Math.round(this.level);
    this.part("[name=width]").value = Math.round(this.width);
    for (const link of this.root.querySelectorAll("[data-window]")) {
      if (link.dataset.window === this.preset()) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    }
    this.shade();
    this.note();
  }

  preset() {
    const preset = this.facts.windows.find((each) => each.level === this.level && each.width === this.width);
    return preset ? preset.name : "";
  }

  enlarge(name) {
    this.large = this.large === name ? "" : name;
    this.part(".planes").dataset.large = this.large;
  }

  reset() {
    this.zoom = 1;
    this.focus = this.ruler = null;
    this.note();
  }

  // What the address keeps: a colleague who opens it sees the same.
  note() {
    this.show();
    clearTimeout(this.noting);
    this.noting = setTimeout(() => {
      const address = new URL(location.href), query = address.searchParams;
      const set = (name, value) => { if (value) query.set(name, value); else query.delete(name); };
      query.set("at", this.volume.point(this.at).map((each) => each.toFixed(1)).join(","));
      set("window", this.preset() || `${Math.round(this.level)},${Math.round(this.width)}`);
      set("hide", [...this.hidden].join(","));
      set("plane", this.large);
      set("map", this.facts.map && this.part("[name=map]").checked ? "1" : "");
      history.replaceState(history.state, "", address);
    }, 200);
  }
}
