// The editor as one Gradio component. Gradio calls this file's end with: element, trigger, props, server, upload, watch.
// props.value is the drawing as the server takes it; props.reply brings drawings and formats from the server.

const HINTS = {
  place: "Drag the picture, or its corners to resize it. What is around it is where things come from. Keys: arrows move, + and − resize.",
  draw: "Draw where an object goes; it may begin or end off the canvas. Tap for a point that stands still. Keys: arrows move, Space adds a point, Enter ends the line.",
};
const BOX_PIXELS = 120; // of a thumbnail

class Editor {
  constructor(element, { trigger, props, server, upload, watch }) {
    Object.assign(this, { element, trigger, props, server, upload });
    this.images = new Map(); // by picture name
    this.described = new Map(); // size and transparency, by picture name
    this.thumbnails = new Map(); // data URLs by an ID entry's JSON
    this.selected = { object: 0, line: null };
    const { width, height, seconds } = props.format;
    this.draft = new Draft(width, height, seconds, () => this.changed());
    this.stage = new Stage(this.part("stage"), this);
    this.list = new ObjectList(this.part("objects"), this);
    this.dialog = new IdentityDialog(element.querySelector("dialog"), this);
    this.connectButtons();
    this.connectFiles();
    this.connectPlayer();
    this.showExamples(props.examples);
    watch("reply", () => this.receive(props.reply));
    // The server opens a session when the page has loaded; who is faster waits for it.
    this.session = new Promise((opened) => {
      watch("token", () => opened(props.token));
      if (props.token) opened(props.token);
    });
    this.setMode("place");
    this.changed();
    this.stage.layout();
  }

  part(name) { return this.element.querySelector(`[data-part=${name}]`); }

  say(text, isError = false) {
    this.part("say").textContent = text;
    this.part("say").classList.toggle("fio-error", isError);
  }

  // --- buttons, keys, files

  connectButtons() {
    const acts = {
      undo: () => this.draft.undo(),
      redo: () => this.draft.redo(),
      choose: () => this.part("picture-file").click(),
      fit: () => this.fit(),
      object: () => this.addObject(),
    };
    for (const [name, act] of Object.entries(acts)) this.element.querySelector(`[data-do=${name}]`).addEventListener("click", act);
    for (const mode of ["place", "draw"]) {
      this.element.querySelector(`[data-mode=${mode}]`).addEventListener("click", () => this.setMode(mode));
    }
    this.element.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.target.matches("input:not([type=range])")) return;
      const key = event.key.toLowerCase();
      if (key === "z" && !event.shiftKey) this.draft.undo();
      else if (key === "y" || key === "z") this.draft.redo();
      else return;
      event.preventDefault();
    });
  }

  connectFiles() {
    this.takeFrom("picture-file", (file) => this.setPicture(file));
    this.takeFrom("identity-file", (file) => this.addIdentity(this.selected.object, file));
    const drop = this.part("frame");
    drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("fio-over"); });
    drop.addEventListener("dragleave", () => drop.classList.remove("fio-over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("fio-over");
      if (event.dataTransfer.files[0]) this.setPicture(event.dataTransfer.files[0]);
    });
  }

  takeFrom(name, act) {
    const input = this.part(name);
    input.addEventListener("change", () => {
      const file = input.files[0];
      input.value = ""; // the same file may be chosen again
      if (file) act(file);
    });
  }

  setMode(mode) {
    this.stage.mode = mode;
    for (const name of ["place", "draw"]) {
      this.element.querySelector(`[data-mode=${name}]`).setAttribute("aria-checked", name === mode);
    }
    this.part("hint").textContent = HINTS[mode];
    this.part("stage").classList.toggle("fio-drawing", mode === "draw");
    this.stage.draw();
  }

  // --- playing

  connectPlayer() {
    const scrub = this.part("scrub");
    scrub.addEventListener("input", () => { this.stop(); this.setTime((scrub.value / 1000) * this.draft.seconds); });
    this.part("play").addEventListener("click", () => (this.playing ? this.stop() : this.play()));
  }

  play() {
    const started = performance.now() - (this.stage.time >= this.draft.seconds ? 0 : this.stage.time * 1000);
    const tick = (now) => {
      if (!this.playing || !this.element.isConnected) return;
      this.setTime(((now - started) / 1000) % this.draft.seconds);
      requestAnimationFrame(tick);
    };
    this.playing = true;
    this.part("play").textContent = "❚❚";
    this.part("play").setAttribute("aria-label", "Pause");
    requestAnimationFrame(tick);
  }

  stop() {
    this.playing = false;
    this.part("play").textContent = "▶";
    this.part("play").setAttribute("aria-label", "Play the motion");
  }

  setTime(time) {
    this.stage.time = Math.max(0, Math.min(time, this.draft.seconds));
    const share = this.stage.time / this.draft.seconds;
    if (document.activeElement !== this.part("scrub")) this.part("scrub").value = share * 1000;
    this.part("clock").textContent = `${this.stage.time.toFixed(1)} / ${this.draft.seconds.toFixed(1)} s`;
    this.element.style.setProperty("--now", `${share * 100}%`);
    this.stage.draw();
  }

  // --- objects and lines

  // Objects without anything are left out of a request, so they use up no colour.
  colour(index) {
    const before = this.draft.data.objects.slice(0, index).filter((item) => item.trajectories.length || item.identities.length);
    return this.props.colours[before.length % this.props.colours.length];
  }

  selectedLine() {
    return this.draft.data.objects[this.selected.object]?.trajectories[this.selected.line] ?? null;
  }

  select(object, line) {
    this.selected = { object, line };
    if (line !== null) this.setMode("draw");
    this.list.render();
    this.stage.draw();
  }

  addObject() {
    this.draft.edit((data) => data.objects.push(newObject()));
    this.select(this.draft.data.objects.length - 1, null);
    this.setMode("draw");
  }

  removeObject(index) {
    this.selected = { object: Math.max(0, index - 1), line: null };
    this.draft.edit((data) => {
      data.objects.splice(index, 1);
      if (!data.objects.length) data.objects.push(newObject());
    });
  }

  addLine(points, drawn) {
    const line = { points, pace: null, drawn, start: 0, end: this.draft.seconds };
    const lines = this.draft.data.objects[this.selected.object].trajectories;
    this.selected.line = lines.length;
    this.draft.edit(() => lines.push(line));
    this.say(points.length > 1 ? "Line added. Its bar below sets when it begins and ends." : "A point that stands still was added.");
  }

  // --- pictures

  async setPicture(file) {
    const described = await this.send(file);
    if (!described) return;
    this.draft.edit((data) => {
      data.picture = { name: described.name };
      placeInMiddle(data.picture, data, described.width / described.height, 0.7);
    });
    this.say("Picture placed. Move it, then choose Draw.");
    this.setMode("place");
  }

  fit() {
    const picture = this.draft.data.picture;
    if (!picture) return;
    const { width, height } = this.described.get(picture.name);
    const filled = picture.width >= this.draft.data.width - 1 || picture.height >= this.draft.data.height - 1;
    this.draft.edit((data) => placeInMiddle(data.picture, data, width / height, filled ? 0.7 : 1));
  }

  chooseIdentity(index) {
    this.select(index, null);
    this.part("identity-file").click();
  }

  async addIdentity(index, file) {
    const described = await this.send(file);
    if (!described) return;
    const entry = { picture: described.name, box: null, clicks: [], segmenter: "grabcut" };
    this.draft.edit((data) => data.objects[index].identities.push(entry));
    this.say("ID picture added.");
    this.dialog.open(index, this.draft.data.objects[index].identities.length - 1);
  }

  async send(file) {
    if (file.size > this.props.max_bytes) {
      this.say(`${file.name} has ${Math.ceil(file.size / 1e6)} MB; pictures may have ${Math.floor(this.props.max_bytes / 1e6)}.`, true);
      return null;
    }
    this.say(`Sending ${file.name}…`);
    try {
      const { path } = await this.upload(file);
      const described = await this.ask("add_picture", { path, name: file.name });
      if (described) await this.keepImage(described);
      return described;
    } catch (error) {
      this.say(`${file.name} could not be sent: ${error.message}`, true);
      return null;
    }
  }

  async keepImage(described) {
    this.images.set(described.name, await loadImage(described.url));
    this.described.set(described.name, described);
  }

  // What the server answers, or null after an error, which is said.
  async ask(name, payload) {
    const reply = await this.server[name]({ token: await this.session, ...payload });
    if (reply && !reply.error) return reply;
    this.say(reply?.error ?? "The server did not answer; see whether it still runs.", true);
    return null;
  }

  // The mask of an ID entry as an image, and the share of the picture that it keeps; or what went wrong.
  async findMask(entry) {
    const key = JSON.stringify(entry);
    const reply = await this.ask("find_mask", { identity: entry });
    if (!reply) return { error: this.part("say").textContent };
    const mask = await loadImage(reply.url);
    const { width, height } = this.described.get(entry.picture);
    const scale = BOX_PIXELS / Math.max(width, height);
    this.thumbnails.set(key, cutOut(this.images.get(entry.picture), mask, width * scale, height * scale).toDataURL());
    this.list.render();
    return { mask, share: reply.share };
  }

  // --- the server's side

  async receive(reply) {
    if (!reply) return;
    if (reply.kind === "format") this.draft.reshape(reply.width, reply.height, reply.seconds);
    if (reply.kind !== "drawing") return;
    await Promise.all(reply.pictures.map((described) => this.keepImage(described)));
    this.selected = { object: 0, line: null };
    this.draft.replace(structuredClone(reply.drawing), reply.seconds);
    this.setMode("draw");
    this.say(reply.note);
    for (const entry of this.draft.data.objects.flatMap((item) => item.identities)) await this.findMask(entry);
  }

  showExamples(examples) {
    this.part("examples").replaceChildren(...examples.map((example, index) => make("button", {
      type: "button", class: "fio-example", onclick: () => this.session.then(() => this.trigger("example", { index })),
    },
    make("img", { src: example.url, alt: "", width: 96, height: 64 }),
    make("span", {}, make("b", {}, example.title), make("small", {}, example.shows)))));
  }

  changed() {
    const { data, past, future } = this.draft;
    this.selected.object = Math.min(this.selected.object, data.objects.length - 1);
    this.element.querySelector("[data-do=undo]").disabled = !past.length;
    this.element.querySelector("[data-do=redo]").disabled = !future.length;
    this.element.querySelector("[data-do=fit]").disabled = !data.picture;
    this.part("empty").hidden = Boolean(data.picture);
    this.list.render();
    this.stage.layout();
    this.setTime(this.stage.time);
    this.props.value = JSON.parse(JSON.stringify(data, (key, value) => (key === "drawn" ? undefined : value)));
  }
}

new Editor(element.querySelector(".fio"), { trigger, props, server, upload, watch });
