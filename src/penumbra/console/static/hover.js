// Figures that can be read: pointing at one, or the arrow keys while it has the focus, draws a guide line, a dot on every curve and a label.
// What to say is in the figure's data-numbers (report/traces.py); everything is drawn with SVG attributes, and keys are announced politely.
"use strict";

{
  const SVG = "http://www.w3.org/2000/svg";
  const figures = new WeakMap();

  function shape(parent, name, attributes, text = "") {
    const made = parent.appendChild(document.createElementNS(SVG, name));
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  }

  function place(axes, which, value) {
    const scale = axes.log[which] ? Math.log10 : Number, [low, high] = [axes.x, axes.y][which].map(scale);
    const share = (scale(value) - low) / (high - low);
    return which ? axes.box[1] + axes.box[3] * (1 - share) : axes.box[0] + axes.box[2] * share;
  }

  // The index of the point that a curve has at a place of the guide: of a step the last one before it, else the nearest.
  function at(axes, series, guide) {
    const which = axes.along === "y" ? 1 : 0, values = which ? series.y : series.x;
    let best = -1, least = Infinity;
    values.forEach((value, index) => {
      const distance = guide - place(axes, which, value);
      if (series.step ? distance < -0.01 : Math.abs(distance) >= least) return;
      [best, least] = [index, Math.abs(distance)];
    });
    return best;
  }

  function read(figure, axes, guide, spoken) {
    const state = figures.get(figure), svg = figure.querySelector("svg"), across = axes.along === "y", [left, top, width, height] = axes.box;
    if (state.layer) state.layer.remove();
    const layer = state.layer = shape(svg, "g", { class: "reading", "pointer-events": "none", "aria-hidden": "true" });
    let found = axes.series.map((series) => [series, at(axes, series, guide)]).filter(([, index]) => index >= 0);
    if (across && found.length) { // one row: the nearest
      const rows = found.map(([series, index]) => place(axes, 1, series.y[index]));
      const nearest = rows.reduce((best, row) => (Math.abs(row - guide) < Math.abs(best - guide) ? row : best));
      found = found.filter((_, index) => rows[index] === nearest);
      guide = nearest;
    }
    const line = across ? { x1: left, x2: left + width, y1: guide, y2: guide } : { x1: guide, x2: guide, y1: top, y2: top + height };
    shape(layer, "line", { ...line, stroke: "var(--muted)", "stroke-width": 0.8 });
    const lines = found.map(([series, index]) => [series.name, series.words[index]].filter(Boolean).join(": "));
    const low = axes.log[0] ? Math.log10(axes.x[0]) : axes.x[0], high = axes.log[0] ? Math.log10(axes.x[1]) : axes.x[1];
    const value = low + (high - low) * (guide - left) / width;
    if (axes.words) lines.unshift(`${axes.words} ${(axes.log[0] ? 10 ** value : value).toPrecision(3)}`);
    const upper = found.reduce((sum, [series, index]) => sum + place(axes, 1, series.y[index]) - top - height / 2, 0) < 0; // the label goes where the dots are not
    for (const [series, index] of found) {
      const x = series.step && !across ? guide : place(axes, 0, series.x[index]), y = place(axes, 1, series.y[index]);
      shape(layer, "circle", { cx: x, cy: y, r: 3, fill: series.color, stroke: "var(--paper)", "stroke-width": 1 });
    }
    const view = svg.viewBox.baseVal, box = shape(layer, "rect", { rx: 2, fill: "var(--paper)", stroke: "var(--line)", "stroke-width": 0.8 });
    const words = shape(layer, "text", { "font-size": 8, fill: "var(--ink)" });
    lines.forEach((text, index) => shape(words, "tspan", { x: 0, dy: index ? 10.5 : 0 }, text));
    const size = words.getBBox(), shrink = Math.min(1, (view.width - 10) / size.width);
    const wide = size.width * shrink + 8, tall = size.height * shrink + 6;
    const wanted = across || guide + 6 + wide < view.width ? (across ? left + 4 : guide + 6) : guide - 6 - wide;
    const x = Math.max(1, Math.min(wanted, view.width - wide - 1));
    const y = Math.max(1, across ? (guide - tall - 5 > 0 ? guide - tall - 5 : guide + 6) : Math.min(upper ? top + height - tall - 2 : top + 2, view.height - tall - 1));
    for (const [key, number] of Object.entries({ x, y, width: wide, height: tall })) box.setAttribute(key, number);
    words.setAttribute("transform", `translate(${x + 4 - size.x * shrink} ${y + 3 - size.y * shrink}) scale(${shrink})`);
    if (spoken) state.voice.textContent = lines.join("; ");
  }

  function away(figure) {
    const state = figures.get(figure);
    if (state.layer) state.layer.remove();
    state.layer = null;
  }

  function prepare(figure) {
    if (figures.has(figure) || !figure.querySelector("svg")) return;
    const numbers = JSON.parse(figure.dataset.numbers), voice = document.createElement("p");
    voice.className = "visually-hidden";
    voice.setAttribute("aria-live", "polite");
    figure.append(voice);
    const stops = numbers.axes.flatMap((axes) => {
      const which = axes.along === "y" ? 1 : 0, values = axes.series.flatMap((series) => (which ? series.y : series.x));
      return [...new Set(values.map((value) => place(axes, which, value)))].sort((one, other) => one - other).map((guide) => [axes, guide]);
    });
    figures.set(figure, { layer: null, voice, stop: -1 });
    figure.tabIndex = 0;
    figure.setAttribute("aria-label", "Figure; the arrow keys read its values");
    figure.addEventListener("pointermove", (event) => {
      const svg = figure.querySelector("svg"), point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const inside = ({ box }) => point.x >= box[0] && point.x <= box[0] + box[2] && point.y >= box[1] && point.y <= box[1] + box[3];
      const axes = numbers.axes.find(inside);
      if (axes) read(figure, axes, axes.along === "y" ? point.y : point.x, false);
      else away(figure);
    });
    figure.addEventListener("pointerleave", () => away(figure));
    figure.addEventListener("blur", () => away(figure));
    figure.addEventListener("keydown", (event) => {
      const state = figures.get(figure), reach = event.shiftKey ? 10 : 1, last = stops.length - 1;
      const steps = { ArrowRight: reach, ArrowDown: reach, ArrowLeft: -reach, ArrowUp: -reach, Home: -Infinity, End: Infinity };
      if (event.key === "Escape") away(figure);
      if (!(event.key in steps)) return;
      event.preventDefault();
      state.stop = Math.max(0, Math.min(last, state.stop + steps[event.key]));
      read(figure, ...stops[state.stop], true);
    });
  }

  const every = (root) => root.querySelectorAll("figure[data-numbers]").forEach(prepare);
  document.addEventListener("DOMContentLoaded", () => every(document));
  document.addEventListener("swapped", (event) => every(event.detail));
}
