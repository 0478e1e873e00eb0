// What is drawn, with undo. Positions are px of the canvas, x right, y down; times are seconds.

const MAX_UNDO = 200;

class Draft {
  constructor(width, height, seconds, onChange) {
    this.seconds = seconds;
    this.onChange = onChange;
    this.past = [];
    this.future = [];
    this.before = null;
    this.data = { width, height, picture: null, objects: [newObject()], options: {} };
  }

  // Changes between begin and commit are one step of undo; begin may be called again and again.
  begin() {
    this.before ??= JSON.stringify(this.data);
  }

  commit() {
    if (this.before !== null && this.before !== JSON.stringify(this.data)) {
      this.past.push(this.before);
      this.past.splice(0, this.past.length - MAX_UNDO);
      this.future = [];
    }
    this.before = null;
    this.onChange();
  }

  edit(change) {
    this.begin();
    change(this.data);
    this.commit();
  }

  undo() { this.step(this.past, this.future); }
  redo() { this.step(this.future, this.past); }

  step(from, to) {
    if (!from.length) return;
    to.push(JSON.stringify(this.data));
    this.data = JSON.parse(from.pop());
    this.before = null;
    this.onChange();
  }

  // Another drawing altogether: a request that was loaded, an example.
  replace(data, seconds) {
    this.data = data;
    if (!data.objects.length) data.objects.push(newObject());
    this.seconds = seconds;
    this.past = [];
    this.future = [];
    this.before = null;
    this.onChange();
  }

  // Another canvas or length: everything keeps its place and its moment, as far as the new shape allows.
  reshape(width, height, seconds) {
    const data = this.data;
    if (width === data.width && height === data.height && seconds === this.seconds) return;
    const scale = Math.min(width / data.width, height / data.height);
    const dx = (width - data.width * scale) / 2;
    const dy = (height - data.height * scale) / 2;
    const slower = seconds / this.seconds;
    if (data.picture) {
      const { x, y } = data.picture;
      data.picture.width *= scale;
      data.picture.height *= scale;
      Object.assign(data.picture, { x: x * scale + dx, y: y * scale + dy });
    }
    for (const line of data.objects.flatMap((item) => item.trajectories)) {
      line.points = line.points.map(([x, y]) => [round1(x * scale + dx), round1(y * scale + dy)]);
      line.start = Math.min(line.start * slower, seconds);
      line.end = Math.min(line.end * slower, seconds);
    }
    Object.assign(data, { width, height });
    this.seconds = seconds;
    this.past = []; // steps back would lead to another canvas
    this.future = [];
    if (data.picture) keepInside(data.picture, data);
    this.onChange();
  }
}

function newObject() {
  return { name: "", trajectories: [], identities: [] };
}

function round1(value) {
  return Math.round(value * 10) / 10;
}

// Whole px, on the canvas, with the aspect that it has.
function keepInside(picture, canvas) {
  const shrink = Math.min(1, canvas.width / picture.width, canvas.height / picture.height);
  picture.width = Math.min(canvas.width, Math.max(1, Math.round(picture.width * shrink)));
  picture.height = Math.min(canvas.height, Math.max(1, Math.round(picture.height * shrink)));
  picture.x = Math.round(Math.min(Math.max(picture.x, 0), canvas.width - picture.width));
  picture.y = Math.round(Math.min(Math.max(picture.y, 0), canvas.height - picture.height));
}

// In the middle, over a share of the canvas.
function placeInMiddle(picture, canvas, aspect, share) {
  picture.width = Math.min(canvas.width, canvas.height * aspect) * share;
  picture.height = picture.width / aspect;
  picture.x = (canvas.width - picture.width) / 2;
  picture.y = (canvas.height - picture.height) / 2;
  keepInside(picture, canvas);
}

// For each point its share of the line's time: as it was drawn, or by length, so that the speed is even.
function shares(line) {
  if (line.pace) return line.pace;
  const far = [0];
  for (let i = 1; i < line.points.length; i++) far.push(far[i - 1] + distance(line.points[i - 1], line.points[i]));
  const length = far[far.length - 1];
  return far.map((value, i) => (length > 0 ? value / length : i / Math.max(1, far.length - 1)));
}

function distance(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

// Where a line's point is at a time, or null when it does not exist then.
function placeAt(line, time) {
  if (time < line.start - 1e-6 || time > line.end + 1e-6) return null;
  if (line.points.length === 1) return line.points[0];
  const at = shares(line);
  const share = (time - line.start) / Math.max(line.end - line.start, 1e-6);
  let next = at.findIndex((value) => value >= share);
  if (next < 0) next = at.length - 1;
  if (next === 0) return line.points[0];
  const part = (share - at[next - 1]) / Math.max(at[next] - at[next - 1], 1e-9);
  const [a, b] = [line.points[next - 1], line.points[next]];
  return [a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part];
}

// A drawn stroke [x, y, ms] with as few points as stay within the tolerance of it (Ramer, Douglas and Peucker).
function simplify(stroke, tolerance) {
  if (stroke.length < 3) return stroke;
  const [first, last] = [stroke[0], stroke[stroke.length - 1]];
  let worst = 0;
  let at = 0;
  for (let i = 1; i < stroke.length - 1; i++) {
    const away = distanceToSegment(stroke[i], first, last);
    if (away > worst) [worst, at] = [away, i];
  }
  if (worst <= tolerance) return [first, last];
  return [...simplify(stroke.slice(0, at + 1), tolerance).slice(0, -1), ...simplify(stroke.slice(at), tolerance)];
}

function distanceToSegment(point, a, b) {
  const length = distance(a, b);
  if (length === 0) return distance(point, a);
  const along = ((point[0] - a[0]) * (b[0] - a[0]) + (point[1] - a[1]) * (b[1] - a[1])) / length ** 2;
  const t = Math.min(1, Math.max(0, along));
  return distance(point, [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])]);
}

// The moments of a stroke as shares of its time; they must rise, so those that do not are spread between neighbours.
function paceOf(stroke) {
  const length = Math.max(1, stroke[stroke.length - 1][2] - stroke[0][2]);
  const pace = stroke.map((point) => (point[2] - stroke[0][2]) / length);
  for (let i = 1; i < pace.length; i++) pace[i] = Math.max(pace[i], pace[i - 1] + 1e-3);
  return pace.map((share) => share / pace[pace.length - 1]);
}
