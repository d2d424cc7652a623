// How people handle the CT viewer: keys, wheel, mouse, fingers and the page's controls; and its beginning. Without it, or where the browser cannot
// unpack the scan, the page's pictures and links stay.
"use strict";

class HandledViewer extends Viewer {
  // u, v of a plane under the pointer.
  under(plane, event) {
    const box = plane.canvas.getBoundingClientRect(), { x, y, left, top } = this.frame(plane);
    return [((event.clientX - box.left) * DENSITY - left) / x, ((event.clientY - box.top) * DENSITY - top) / y];
  }

  // Zoom so that what is at u, v stays there.
  magnify(plane, factor, [u, v]) {
    const zoom = Math.max(1, Math.min(20, this.zoom * factor)), [middle, high] = this.focus ? this.volume.shown(plane.view, this.focus) : [this.volume.columns(plane.view) / 2, this.volume.rows(plane.view) / 2];
    const share = this.zoom / zoom;
    this.zoom = zoom;
    this.center(plane, u + (middle - u) * share, v + (high - v) * share);
  }

  center(plane, u, v) {
    const { view } = plane, focus = this.focus ? [...this.focus] : this.volume.size.map((each) => (each - 1) / 2);
    focus[view.across] = view.turned[0] ? this.volume.columns(view) - u - 0.5 : u - 0.5;
    focus[view.down] = view.turned[1] ? this.volume.rows(view) - v - 0.5 : v - 0.5;
    this.focus = this.zoom === 1 ? null : focus;
    this.show();
  }

  listen() {
    for (const plane of this.planes) this.listenTo(plane);
    this.root.addEventListener("click", (event) => {
      const choice = event.target.closest("[data-window]"), button = event.target.closest("[data-do]");
      if (choice && !event.metaKey && !event.ctrlKey) {
        event.preventDefault();
        const preset = this.facts.windows.find((each) => each.name === choice.dataset.window);
        this.window(preset.level, preset.width);
      }
      if (button) this.act(button.dataset.do);
    });
    this.root.addEventListener("change", ({ target }) => {
      if (target.name === "roi" || target.name === "drawn") { if (target.checked) this.hidden.delete(target.value); else this.hidden.add(target.value); this.note(); }
      if (target.name === "map") { this.note(); if (target.checked && !this.map) this.look(); else if (!target.checked) this.state(""); }
      if ((target.name === "level" || target.name === "width") && target.value !== "") this.window(Number(this.part("[name=level]").value), Number(this.part("[name=width]").value));
    });
  }

  act(name) {
    if (name === "tumor") { if (this.focus) this.focus = [...this.facts.tumor]; this.move([...this.facts.tumor]); }
    if (name === "reset") this.reset();
    if (name === "keys") this.part("dialog").showModal();
    if (name === "ruler") {
      this.measuring = !this.measuring;
      this.ruler = null;
      this.part("[data-do=ruler]").setAttribute("aria-pressed", String(this.measuring));
      this.show();
    }
    if (name === "outlines") {
      const boxes = [...this.root.querySelectorAll("[name=roi], [name=drawn]")], on = !boxes.some((box) => box.checked);
      for (const box of boxes) { box.checked = on; if (on) this.hidden.delete(box.value); else this.hidden.add(box.value); }
      this.note();
    }
  }

  press(plane, event) {
    const last = this.volume.size[plane.view.through], preset = this.facts.windows[Number(event.key) - 1], shift = event.shiftKey;
    const middle = this.volume.shown(plane.view, this.at);
    const keys = {
      ArrowUp: () => (shift ? this.step(plane, 0, 0, -1) : this.step(plane, 1)), ArrowDown: () => (shift ? this.step(plane, 0, 0, 1) : this.step(plane, -1)),
      ArrowLeft: () => this.step(plane, 0, -1), ArrowRight: () => this.step(plane, 0, 1), PageUp: () => this.step(plane, 10), PageDown: () => this.step(plane, -10),
      Home: () => this.step(plane, -last), End: () => this.step(plane, last), t: () => this.act("tumor"), m: () => this.act("ruler"), h: () => this.act("outlines"),
      0: () => this.reset(), "?": () => this.act("keys"), f: () => { this.enlarge(plane.view.name); this.note(); },
      "+": () => this.magnify(plane, 1.25, middle), "-": () => this.magnify(plane, 0.8, middle),
    };
    const act = preset ? () => this.window(preset.level, preset.width) : keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }

  listenTo(plane) {
    const { canvas, view, slider } = plane, down = new Map();
    let turned = 0, drag = null;
    canvas.addEventListener("keydown", (event) => this.press(plane, event));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", () => { this.enlarge(view.name); this.note(); });
    slider.addEventListener("input", () => {
      const voxel = [...this.at];
      voxel[view.through] = view.turned[2] ? this.volume.size[view.through] - 1 - Number(slider.value) : Number(slider.value);
      this.move(voxel);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.ctrlKey) { this.magnify(plane, Math.exp(-event.deltaY / 300), this.under(plane, event)); return; }
      const notch = event.deltaMode === 0 ? (Math.abs(event.deltaY) >= 80 ? Math.abs(event.deltaY) : 30) : 1; // a wheel's click is one plane, a pad's 30 pixels
      turned -= event.deltaY / notch;
      const planes = Math.trunc(turned);
      turned -= planes;
      if (planes) this.step(plane, planes);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({ preventScroll: true });
      down.set(event.pointerId, event);
      const place = this.under(plane, event), touch = event.pointerType === "touch";
      const what = down.size > 1 ? "pinch" : event.button === 2 ? "window" : event.button === 1 || event.shiftKey ? "pan" : this.measuring ? "ruler" : touch ? "tap" : "cross";
      drag = { what, x: event.clientX, y: event.clientY, level: this.level, width: this.width, place, steps: 0 };
      if (what === "cross") this.move(this.volume.below(view, ...place, this.at));
      if (what === "ruler") this.ruler = { plane, index: this.at[view.through], from: place, to: place };
      if (event.button === 1) event.preventDefault();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drag || !down.has(event.pointerId)) return;
      const [before, place, x, y] = [down.get(event.pointerId), this.under(plane, event), event.clientX - drag.x, event.clientY - drag.y];
      if (drag.what === "tap" && Math.hypot(x, y) > 8) drag.what = "steps";
      if (drag.what === "cross") this.move(this.volume.below(view, ...place, this.at));
      if (drag.what === "window") this.window(Math.round(drag.level - 2 * y), Math.round(drag.width + 4 * x));
      if (drag.what === "ruler") { this.ruler.to = place; this.show(); }
      if (drag.what === "pan") this.pan(plane, event.clientX - before.clientX, event.clientY - before.clientY);
      if (drag.what === "steps") { const steps = Math.trunc(-y / 6); this.step(plane, steps - drag.steps); drag.steps = steps; }
      if (drag.what === "pinch" && down.size === 2) {
        const other = [...down.values()].find((each) => each.pointerId !== event.pointerId);
        const apart = (each) => Math.max(1, Math.hypot(each.clientX - other.clientX, each.clientY - other.clientY));
        const middle = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 };
        this.pan(plane, (event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2);
        this.magnify(plane, apart(event) / apart(before), this.under(plane, middle));
      }
      down.set(event.pointerId, event);
    });
    const up = (event) => {
      if (drag && drag.what === "tap" && event.type === "pointerup") this.move(this.volume.below(view, ...this.under(plane, event), this.at));
      down.delete(event.pointerId);
      if (!down.size) drag = null;
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
  }

  pan(plane, x, y) {
    const { view } = plane, frame = this.frame(plane);
    const [u, v] = this.focus ? this.volume.shown(view, this.focus) : [this.volume.columns(view) / 2, this.volume.rows(view) / 2];
    this.center(plane, u - (x * DENSITY) / frame.x, v - (y * DENSITY) / frame.y);
  }
}

let viewer = null;

function beginViewer() {
  const root = document.getElementById("viewer");
  if (!root || root.classList.contains("alive")) return;
  if (typeof DecompressionStream === "undefined") {
    root.classList.add("failed");
    root.querySelector("[data-state]").textContent = "This browser cannot unpack the scan (it has no DecompressionStream): the pictures stay, and their links step. Chrome 80, Firefox 113 and Safari 16.4 can.";
    return;
  }
  viewer = new HandledViewer(root);
  viewer.begin();
}

document.addEventListener("DOMContentLoaded", beginViewer);
document.addEventListener("swapped", beginViewer);
