// The canvas: the picture on it, the lines, and where everything is at the moment shown. Mouse, touch and keys.

const MARGIN = 0.12; // of the longer side, around the canvas: lines may begin and end outside of it
const MOUSE_REACH = 10;
const TOUCH_REACH = 22;
const SHORTEST_STROKE = 6; // CSS px; a shorter one is a point that stands still

class Stage {
  constructor(canvas, editor) {
    this.canvas = canvas;
    this.editor = editor;
    this.mode = "place";
    this.time = 0;
    this.stroke = null; // [x, y, ms] while drawing
    this.drag = null; // what a pointer moves
    this.cursor = null; // of the keyboard, canvas px
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", () => this.cancel());
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => { this.cursor = null; this.draw(); });
    new ResizeObserver(() => this.layout()).observe(canvas.parentElement);
  }

  get data() { return this.editor.draft.data; }

  layout() {
    const { width, height } = this.data;
    const room = this.canvas.parentElement.clientWidth;
    if (!room) return;
    this.margin = MARGIN * Math.max(width, height);
    const tallest = Math.min(640, Math.max(280, window.innerHeight * 0.66));
    this.scale = Math.min(room / (width + 2 * this.margin), tallest / (height + 2 * this.margin));
    const [across, down] = [(width + 2 * this.margin) * this.scale, (height + 2 * this.margin) * this.scale];
    const dense = window.devicePixelRatio || 1;
    Object.assign(this.canvas, { width: Math.round(across * dense), height: Math.round(down * dense) });
    Object.assign(this.canvas.style, { width: `${across}px`, height: `${down}px` });
    this.dense = dense;
    this.draw();
  }

  toCanvas(event) {
    const frame = this.canvas.getBoundingClientRect();
    return [(event.clientX - frame.left) / this.scale - this.margin, (event.clientY - frame.top) / this.scale - this.margin];
  }

  toScreen([x, y]) { return [(x + this.margin) * this.scale, (y + this.margin) * this.scale]; }

  corners({ x, y, width, height }) {
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height]];
  }

  // --- pointers

  down(event) {
    if (event.button || this.drag || this.stroke) return;
    this.cursor = null;
    const at = this.toCanvas(event);
    const reach = (event.pointerType === "mouse" ? MOUSE_REACH : TOUCH_REACH) / this.scale;
    if (this.mode === "place") this.drag = this.grabPicture(at, reach);
    else this.drag = this.grabPoint(at, reach);
    if (this.drag) this.editor.draft.begin();
    else if (this.mode === "draw" && this.data.picture) this.stroke = [[...at, event.timeStamp]];
    else return;
    this.canvas.setPointerCapture(event.pointerId);
  }

  move(event) {
    const at = this.toCanvas(event);
    if (this.drag) this.drag(at);
    else if (this.stroke) this.stroke.push([...at, event.timeStamp]);
    else return;
    this.draw();
  }

  up(event) {
    if (this.drag) {
      this.drag = null;
      this.editor.draft.commit();
    } else if (this.stroke) {
      const stroke = [...this.stroke, [...this.toCanvas(event), event.timeStamp]];
      this.stroke = null;
      this.addStroke(stroke);
    }
  }

  cancel() {
    this.stroke = null;
    if (this.drag) this.editor.draft.commit();
    this.drag = null;
    this.draw();
  }

  addStroke(stroke) {
    const far = Math.max(...stroke.map((point) => distance(point, stroke[0]))) * this.scale;
    const kept = far < SHORTEST_STROKE ? [stroke[0]] : simplify(stroke, 2 / this.scale);
    this.editor.addLine(kept.map(([x, y]) => [round1(x), round1(y)]), kept.length > 1 ? paceOf(kept) : null);
  }

  // What dragging from here does to the picture: a corner resizes it, its middle moves it.
  grabPicture(at, reach) {
    const picture = this.data.picture;
    if (!picture) return null;
    const start = { ...picture };
    const corner = this.corners(picture).findIndex((point) => distance(point, at) <= reach);
    if (corner >= 0) {
      const fixed = this.corners(picture)[(corner + 2) % 4];
      const size = Math.hypot(start.width, start.height);
      return (to) => this.resizePicture(start, fixed, corner, Math.max(distance(to, fixed) / size, 16 / size));
    }
    const inside = at[0] >= start.x && at[0] <= start.x + start.width && at[1] >= start.y && at[1] <= start.y + start.height;
    if (!inside) return null;
    return (to) => {
      Object.assign(picture, { x: start.x + to[0] - at[0], y: start.y + to[1] - at[1] });
      keepInside(picture, this.data);
    };
  }

  resizePicture(start, fixed, corner, scale) {
    const [left, up] = [corner === 0 || corner === 3, corner < 2];
    const widest = left ? fixed[0] : this.data.width - fixed[0];
    const tallest = up ? fixed[1] : this.data.height - fixed[1];
    const most = Math.min(scale, widest / start.width, tallest / start.height);
    const [width, height] = [start.width * most, start.height * most];
    const picture = this.data.picture;
    Object.assign(picture, { width, height, x: left ? fixed[0] - width : fixed[0], y: up ? fixed[1] - height : fixed[1] });
    keepInside(picture, this.data);
  }

  // A point of the selected line can be moved.
  grabPoint(at, reach) {
    const line = this.editor.selectedLine();
    const index = line ? line.points.findIndex((point) => distance(point, at) <= reach) : -1;
    if (index < 0) return null;
    return (to) => { line.points[index] = [round1(to[0]), round1(to[1])]; };
  }

  // --- keys

  key(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = event.shiftKey ? 1 : Math.max(1, Math.round(Math.max(this.data.width, this.data.height) / 50));
    const arrow = arrows[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (arrow && this.mode === "place") this.nudge(arrow, step);
    else if (arrow) this.moveCursor(arrow, step);
    else if ((event.key === "+" || event.key === "-") && this.mode === "place") this.grow(event.key === "+" ? step : -step);
    else if (event.key === " " && this.mode === "draw") this.addKeyPoint();
    else if (event.key === "Enter" && this.mode === "draw") this.finishKeyLine();
    else if (event.key === "Escape") this.cancel();
    else return;
    event.preventDefault();
    this.draw();
  }

  nudge([dx, dy], step) {
    if (!this.data.picture) return;
    this.editor.draft.edit((data) => {
      data.picture.x += dx * step;
      data.picture.y += dy * step;
      keepInside(data.picture, data);
    });
  }

  grow(by) {
    const picture = this.data.picture;
    if (!picture) return;
    this.editor.draft.edit((data) => {
      const scale = Math.max(16, picture.width + by) / picture.width;
      picture.x -= (picture.width * (scale - 1)) / 2;
      picture.y -= (picture.height * (scale - 1)) / 2;
      picture.width *= scale;
      picture.height *= scale;
      keepInside(picture, data);
    });
  }

  moveCursor([dx, dy], step) {
    const { width, height } = this.data;
    this.cursor ??= [width / 2, height / 2];
    const within = (value, size) => Math.min(Math.max(value, -this.margin), size + this.margin);
    this.cursor = [within(this.cursor[0] + dx * step, width), within(this.cursor[1] + dy * step, height)];
    this.editor.say(`At ${Math.round(this.cursor[0])}, ${Math.round(this.cursor[1])} px`);
  }

  addKeyPoint() {
    if (!this.data.picture) return;
    this.cursor ??= [this.data.width / 2, this.data.height / 2];
    this.stroke = [...(this.stroke ?? []), [...this.cursor, 0]];
    this.editor.say(`${this.stroke.length} points; Space adds one, Enter ends the line`);
  }

  finishKeyLine() {
    if (!this.stroke) return;
    const points = this.stroke.map(([x, y]) => [round1(x), round1(y)]);
    this.stroke = null;
    this.editor.addLine(points, null);
  }

  // --- drawing

  draw() {
    if (!this.scale) return;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(this.dense, 0, 0, this.dense, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const { width, height, picture } = this.data;
    const [left, top] = this.toScreen([0, 0]);
    pen.fillStyle = "#15171c"; // the model sees black where there is no picture
    pen.fillRect(left, top, width * this.scale, height * this.scale);
    if (picture) this.drawPicture(pen, picture);
    pen.strokeStyle = "rgba(128, 136, 150, 0.9)";
    pen.lineWidth = 1;
    pen.strokeRect(left - 0.5, top - 0.5, width * this.scale + 1, height * this.scale + 1);
    this.data.objects.forEach((item, index) => {
      item.trajectories.forEach((line) => this.drawLine(pen, line, this.editor.colour(index), line === this.editor.selectedLine()));
    });
    if (this.stroke) this.drawPath(pen, this.stroke, this.editor.colour(this.editor.selected.object), 3);
    if (this.cursor) this.drawCursor(pen);
  }

  drawPicture(pen, picture) {
    const [x, y] = this.toScreen([picture.x, picture.y]);
    const image = this.editor.images.get(picture.name);
    if (image) pen.drawImage(image, x, y, picture.width * this.scale, picture.height * this.scale);
    if (this.mode !== "place") return;
    pen.strokeStyle = "#fff";
    pen.lineWidth = 1.5;
    pen.setLineDash([6, 4]);
    pen.strokeRect(x, y, picture.width * this.scale, picture.height * this.scale);
    pen.setLineDash([]);
    for (const corner of this.corners(picture)) this.dot(pen, corner, 6, "#fff", "#15171c");
  }

  drawLine(pen, line, colour, selected) {
    if (line.points.length > 1) this.drawPath(pen, line.points, colour, selected ? 4 : 2.5);
    if (line.points.length > 1) this.drawArrow(pen, line.points, colour);
    if (selected) line.points.forEach((point) => this.dot(pen, point, 4, "#fff", colour));
    else this.dot(pen, line.points[0], 3.5, "#fff", colour);
    const now = placeAt(line, this.time);
    if (now) this.dot(pen, now, 8, colour, "#fff");
  }

  drawPath(pen, points, colour, width) {
    for (const [style, wide] of [["rgba(0, 0, 0, 0.55)", width + 2.5], [colour, width]]) {
      pen.strokeStyle = style;
      pen.lineWidth = wide;
      pen.lineJoin = pen.lineCap = "round";
      pen.beginPath();
      points.forEach((point) => pen.lineTo(...this.toScreen(point)));
      pen.stroke();
    }
  }

  drawArrow(pen, points, colour) {
    const [tip, before] = [this.toScreen(points[points.length - 1]), this.toScreen(points[points.length - 2])];
    const turn = Math.atan2(tip[1] - before[1], tip[0] - before[0]);
    pen.fillStyle = colour;
    pen.strokeStyle = "rgba(0, 0, 0, 0.55)";
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (const [along, across] of [[4, 0], [-10, -7], [-10, 7]]) {
      const [c, s] = [Math.cos(turn), Math.sin(turn)];
      pen.lineTo(tip[0] + along * c - across * s, tip[1] + along * s + across * c);
    }
    pen.closePath();
    pen.fill();
    pen.stroke();
  }

  drawCursor(pen) {
    const [x, y] = this.toScreen(this.cursor);
    pen.strokeStyle = "#fff";
    pen.lineWidth = 2;
    pen.beginPath();
    for (const [dx, dy] of [[12, 0], [0, 12]]) {
      pen.moveTo(x - dx, y - dy);
      pen.lineTo(x + dx, y + dy);
    }
    pen.stroke();
  }

  dot(pen, point, radius, fill, rim) {
    pen.beginPath();
    pen.arc(...this.toScreen(point), radius, 0, 2 * Math.PI);
    pen.fillStyle = fill;
    pen.fill();
    pen.lineWidth = 2;
    pen.strokeStyle = rim;
    pen.stroke();
  }
}
