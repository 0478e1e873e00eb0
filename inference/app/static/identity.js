// The dialog in which a box or taps say what to keep of an ID picture. The server answers with the mask.

const TAP = 6; // CSS px; who moves further draws a box

class IdentityDialog {
  constructor(root, editor) {
    this.root = root;
    this.editor = editor;
    this.canvas = root.querySelector("canvas");
    this.status = root.querySelector("[data-part=status]");
    this.keep = true;
    this.pressed = null;
    this.corner = null; // of a box that the keyboard has begun
    this.asked = 0;
    const on = (name, act) => root.querySelector(`[data-do=${name}]`).addEventListener("click", act);
    on("keep", () => this.setKeep(true));
    on("drop", () => this.setKeep(false));
    on("restart", () => this.change((entry) => Object.assign(entry, { box: null, clicks: [] })));
    on("remove", () => this.remove());
    on("done", () => root.close());
    this.canvas.addEventListener("pointerdown", (event) => this.down(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    this.canvas.addEventListener("pointerup", (event) => this.up(event));
    this.canvas.addEventListener("pointercancel", () => { this.pressed = null; this.draw(); });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("resize", () => { if (root.open) this.layout(); });
  }

  get entry() { return this.editor.draft.data.objects[this.index]?.identities[this.k]; }

  open(index, k) {
    Object.assign(this, { index, k, mask: null, cursor: null, corner: null });
    this.root.querySelector("[data-part=name]").textContent = this.entry.picture;
    this.setKeep(true);
    this.root.showModal();
    this.layout();
    this.ask();
  }

  layout() {
    const { width, height } = this.editor.described.get(this.entry.picture);
    const room = this.canvas.parentElement.clientWidth;
    this.scale = Math.min(room / width, (window.innerHeight * 0.55) / height);
    const dense = window.devicePixelRatio || 1;
    const [across, down] = [width * this.scale, height * this.scale];
    Object.assign(this.canvas, { width: Math.round(across * dense), height: Math.round(down * dense) });
    Object.assign(this.canvas.style, { width: `${across}px`, height: `${down}px` });
    this.dense = dense;
    this.draw();
  }

  setKeep(keep) {
    this.keep = keep;
    this.root.querySelector("[data-do=keep]").setAttribute("aria-pressed", keep);
    this.root.querySelector("[data-do=drop]").setAttribute("aria-pressed", !keep);
  }

  change(act) {
    this.editor.draft.edit(() => act(this.entry));
    this.draw();
    this.ask();
  }

  remove() {
    this.root.close();
    this.editor.draft.edit((data) => data.objects[this.index].identities.splice(this.k, 1));
  }

  // Asks for the mask; of several questions only the last answer counts.
  async ask() {
    const entry = this.entry;
    const number = ++this.asked;
    this.mask = null;
    if (!entry.box && !entry.clicks.length && !this.editor.described.get(entry.picture).transparent) {
      this.status.textContent = "Drag a box around the object, or tap on it.";
      return;
    }
    this.status.textContent = "Looking for it…";
    const found = await this.editor.findMask(entry);
    if (number !== this.asked || !this.root.open) return;
    this.mask = found.mask ?? null;
    this.status.textContent = found.error ?? `Kept: ${Math.round(found.share * 100)} % of the picture.`;
    this.draw();
  }

  toPicture(event) {
    const frame = this.canvas.getBoundingClientRect();
    return this.within([(event.clientX - frame.left) / this.scale, (event.clientY - frame.top) / this.scale]);
  }

  within([x, y]) {
    const { width, height } = this.editor.described.get(this.entry.picture);
    return [Math.min(Math.max(x, 0), width - 1), Math.min(Math.max(y, 0), height - 1)].map(round1);
  }

  down(event) {
    if (event.button) return;
    this.cursor = null;
    this.pressed = { from: this.toPicture(event), to: this.toPicture(event) };
    this.canvas.setPointerCapture(event.pointerId);
  }

  move(event) {
    if (!this.pressed) return;
    this.pressed.to = this.toPicture(event);
    this.draw();
  }

  up(event) {
    if (!this.pressed) return;
    const { from } = this.pressed;
    const to = this.toPicture(event);
    this.pressed = null;
    if (distance(from, to) * this.scale < TAP) this.click(from);
    else this.setBox(from, to);
  }

  click([x, y]) {
    const entry = this.entry;
    const first = !entry.box && !entry.clicks.some((click) => click.keep);
    if (first && !this.keep) {
      this.status.textContent = "First say what to keep: drag a box around it, or tap on it.";
      return;
    }
    this.change(() => entry.clicks.push({ x, y, keep: this.keep }));
  }

  // A box may come with taps, as long as one of them keeps something or there are none.
  setBox(a, b) {
    if (Math.abs(a[0] - b[0]) < 1 || Math.abs(a[1] - b[1]) < 1) return;
    const box = [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];
    this.change((entry) => Object.assign(entry, { box, clicks: [] }));
  }

  key(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const { width, height } = this.editor.described.get(this.entry.picture);
    const arrow = arrows[event.key];
    if (!arrow && ![" ", "Enter", "b", "B"].includes(event.key)) return;
    event.preventDefault();
    this.cursor ??= [width / 2, height / 2];
    if (arrow) {
      const step = event.shiftKey ? 1 : Math.max(width, height) / 40;
      this.cursor = this.within([this.cursor[0] + arrow[0] * step, this.cursor[1] + arrow[1] * step]);
      if (this.corner) this.pressed = { from: this.corner, to: this.cursor };
    } else if (event.key.toLowerCase() === "b" && this.corner) {
      this.setBox(this.corner, this.cursor);
      this.corner = this.pressed = null;
    } else if (event.key.toLowerCase() === "b") {
      this.corner = this.cursor;
      this.status.textContent = "The box begins here; arrows open it, B ends it.";
    } else {
      this.click(this.cursor);
    }
    this.draw();
  }

  draw() {
    const pen = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    const entry = this.entry;
    if (!entry) return;
    const image = this.editor.images.get(entry.picture);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.globalAlpha = this.mask ? 0.28 : 1; // what is cut away fades
    pen.drawImage(image, 0, 0, width, height);
    pen.globalAlpha = 1;
    if (this.mask) pen.drawImage(cutOut(image, this.mask, width, height), 0, 0);
    const scale = this.scale * this.dense;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    const box = this.pressed ? [...this.pressed.from, ...this.pressed.to] : entry.box;
    if (box) this.drawBox(pen, box, scale);
    for (const click of entry.clicks) this.drawClick(pen, click, scale);
    if (this.cursor) this.drawClick(pen, { x: this.cursor[0], y: this.cursor[1], keep: this.keep }, scale / 1.4);
  }

  drawBox(pen, [x0, y0, x1, y1], scale) {
    for (const [style, width] of [["rgba(0, 0, 0, 0.6)", 4], ["#fff", 2]]) {
      pen.strokeStyle = style;
      pen.lineWidth = (width * this.dense) / scale;
      pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
  }

  drawClick(pen, { x, y, keep }, scale) {
    const radius = (7 * this.dense) / scale;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fillStyle = keep ? "#22a55b" : "#d9364a";
    pen.fill();
    pen.lineWidth = (2 * this.dense) / scale;
    pen.strokeStyle = "#fff";
    pen.stroke();
    pen.beginPath();
    pen.moveTo(x - radius / 2, y);
    pen.lineTo(x + radius / 2, y);
    if (keep) {
      pen.moveTo(x, y - radius / 2);
      pen.lineTo(x, y + radius / 2);
    }
    pen.stroke();
  }
}

// The part of an image under a mask (an image that is opaque where something is kept), as a canvas.
function cutOut(image, mask, width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: Math.max(1, Math.round(width)), height: Math.max(1, Math.round(height)) });
  const pen = canvas.getContext("2d");
  pen.drawImage(mask, 0, 0, canvas.width, canvas.height);
  pen.globalCompositeOperation = "source-in";
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function loadImage(url) {
  return new Promise((done, fail) => {
    const image = new Image();
    image.onload = () => done(image);
    image.onerror = () => fail(new Error("a picture did not load"));
    image.src = url;
  });
}
