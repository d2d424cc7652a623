// The scan in the browser: fetched as it is stored (NIfTI, gzip), read plane by plane as radiology shows it, and the outlines of its regions.
// A view says which image axis runs to the right (across), downwards (down) and from plane to plane (through), and which of them are turned round;
// u and v count a shown plane's columns from the left and rows from the top, in edges of voxels: voxel 0 is from 0 to 1.
"use strict";

const HEADER = 352; // bytes before the first voxel

async function unpacked(address, length, progress) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`The console answered ${answer.status}.`);
  const total = Number(answer.headers.get("Content-Length")) || 0;
  let received = 0;
  const counted = new TransformStream({
    transform(part, line) { received += part.length; if (total) progress(received / total); line.enqueue(part); },
  });
  const reader = answer.body.pipeThrough(counted).pipeThrough(new DecompressionStream("gzip")).getReader();
  const bytes = new Uint8Array(length);
  let at = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    if (at + part.value.length > length) throw new Error("The file is longer than its size says.");
    bytes.set(part.value, at);
    at += part.value.length;
  }
  if (at !== length) throw new Error("The file is cut off.");
  return bytes;
}

class Volume {
  constructor(facts) {
    this.size = facts.size;
    this.spacing = facts.spacing;
    this.origin = facts.origin;
    this.direction = facts.direction;
    this.stride = [1, facts.size[0], facts.size[0] * facts.size[1]];
    this.hu = null;
  }

  async load(address, progress) {
    const [x, y, z] = this.size;
    const bytes = await unpacked(address, HEADER + 2 * x * y * z, progress);
    const header = new DataView(bytes.buffer, 0, HEADER);
    const size = [42, 44, 46].map((at) => header.getInt16(at, true));
    if (size.some((each, axis) => each !== this.size[axis]) || header.getInt16(70, true) !== 4) throw new Error("The image is not what its page says.");
    this.hu = new Int16Array(bytes.buffer, HEADER);
  }

  at(voxel) {
    return this.hu[voxel[0] + voxel[1] * this.stride[1] + voxel[2] * this.stride[2]];
  }

  // Where a voxel's center is in the patient, mm, LPS.
  point(voxel) {
    return this.origin.map((start, side) => start + this.direction[side].reduce((sum, part, axis) => sum + part * voxel[axis] * this.spacing[axis], 0));
  }

  columns(view) { return this.size[view.across]; }

  rows(view) { return this.size[view.down]; }

  // The middle of a voxel on a plane, and back: the voxel below u, v, with the third coordinate of `at`.
  shown(view, voxel) {
    const [across, down] = [voxel[view.across], voxel[view.down]];
    return [(view.turned[0] ? this.columns(view) - 1 - across : across) + 0.5, (view.turned[1] ? this.rows(view) - 1 - down : down) + 0.5];
  }

  below(view, u, v, at) {
    const held = (value, count) => Math.max(0, Math.min(count - 1, Math.floor(value)));
    const voxel = [...at];
    const [column, row] = [held(u, this.columns(view)), held(v, this.rows(view))];
    voxel[view.across] = view.turned[0] ? this.columns(view) - 1 - column : column;
    voxel[view.down] = view.turned[1] ? this.rows(view) - 1 - row : row;
    return voxel;
  }

  // The gray values of a plane, by a table of all HU, into the pixels of an image as large as the plane.
  paint(view, index, table, pixels) {
    const [columns, rows, hu] = [this.columns(view), this.rows(view), this.hu];
    const across = this.stride[view.across] * (view.turned[0] ? -1 : 1);
    const down = this.stride[view.down] * (view.turned[1] ? -1 : 1);
    let line = index * this.stride[view.through];
    if (view.turned[0]) line += (columns - 1) * this.stride[view.across];
    if (view.turned[1]) line += (rows - 1) * this.stride[view.down];
    for (let row = 0, pixel = 0; row < rows; row++, line += down) {
      for (let column = 0, place = line; column < columns; column++, place += across) pixels[pixel++] = table[hu[place] + 32768];
    }
  }
}

// A part of the volume with values of its own: six whole numbers (first voxel and size, x first), then what `skip` leaves, then a byte a voxel.
class Box {
  constructor(buffer, kind, skip) {
    const numbers = new Int32Array(buffer, 0, 6);
    this.first = [...numbers.slice(0, 3)];
    this.size = [...numbers.slice(3, 6)];
    this.values = new kind(buffer, 24 + skip);
    this.largest = skip ? new Float32Array(buffer, 24, 1)[0] : 0;
  }

  at(voxel) {
    const [x, y, z] = voxel.map((each, axis) => each - this.first[axis]);
    return [x, y, z].some((each, axis) => each < 0 || each >= this.size[axis]) ? 0 : this.values[x + this.size[0] * (y + this.size[1] * z)];
  }

  // The part of a plane that the box has: its first column and row, its size, and its values; null where the plane passes by.
  plane(volume, view, index) {
    const through = index - this.first[view.through];
    if (through < 0 || through >= this.size[view.through]) return null;
    const stride = [1, this.size[0], this.size[0] * this.size[1]];
    const [columns, rows] = [this.size[view.across], this.size[view.down]];
    const values = new this.values.constructor(columns * rows);
    for (let row = 0, pixel = 0; row < rows; row++) {
      const line = through * stride[view.through] + (view.turned[1] ? rows - 1 - row : row) * stride[view.down];
      for (let column = 0; column < columns; column++) values[pixel++] = this.values[line + (view.turned[0] ? columns - 1 - column : column) * stride[view.across]];
    }
    const u = view.turned[0] ? volume.columns(view) - this.first[view.across] - columns : this.first[view.across];
    const v = view.turned[1] ? volume.rows(view) - this.first[view.down] - rows : this.first[view.down];
    return { u, v, columns, rows, values };
  }
}

// The edges between voxels of levels 1 to `level` and all others, as lines u, v, u, v of a plane, each as long as the edge goes straight on.
function edges(plane, level) {
  const { u, v, columns, rows, values } = plane;
  const inside = (column, row) => column >= 0 && row >= 0 && column < columns && row < rows && values[row * columns + column] > 0 && values[row * columns + column] <= level;
  const lines = [];
  for (let row = 0; row <= rows; row++) {
    for (let column = 0, start = -1; column <= columns; column++) {
      const edge = column < columns && inside(column, row - 1) !== inside(column, row);
      if (edge && start < 0) start = column;
      if (!edge && start >= 0) { lines.push([u + start, v + row, u + column, v + row]); start = -1; }
    }
  }
  for (let column = 0; column <= columns; column++) {
    for (let row = 0, start = -1; row <= rows; row++) {
      const edge = row < rows && inside(column - 1, row) !== inside(column, row);
      if (edge && start < 0) start = row;
      if (!edge && start >= 0) { lines.push([u + column, v + start, u + column, v + row]); start = -1; }
    }
  }
  return lines;
}

// What was drawn, as lines of points u, v, u, v ... of a plane: the polygons where the plane is one of those drawn on, else the sides of their slabs.
function drawnLines(drawn, volume, view, index) {
  const lines = [];
  const place = (x, y, z) => volume.shown(view, [x / volume.spacing[0], y / volume.spacing[1], z / volume.spacing[2]]);
  const at = index * volume.spacing[view.through];
  for (const plane of drawn.planes) {
    if (view.through === 2 && !(plane.lower <= at && at < plane.upper)) continue;
    for (const ring of plane.rings) {
      const line = [];
      for (let point = 0; point < ring.length; point += 2) {
        if (view.through === 2) { line.push(...place(ring[point], ring[point + 1], at)); continue; }
        const next = (point + 2) % ring.length; // the last point joins the first
        const [from, to] = [ring[point + view.through], ring[next + view.through]];
        if ((from <= at) === (to <= at)) continue;
        const share = (at - from) / (to - from);
        const [x, y] = [0, 1].map((axis) => ring[point + axis] + share * (ring[next + axis] - ring[point + axis]));
        lines.push([...place(x, y, plane.lower), ...place(x, y, plane.upper)]);
      }
      if (line.length) lines.push([...line, line[0], line[1]]);
    }
  }
  return lines;
}
