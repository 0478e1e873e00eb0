// The list of objects: name, lines with their time bars, ID pictures.

// make("button", {class: "x", onclick: f, "aria-label": "..."}, child, ...)
function make(tag, attributes, ...children) {
  const built = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) built.addEventListener(name.slice(2), value);
    else if (value === true) built.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) built.setAttribute(name, value);
  }
  built.append(...children);
  return built;
}

class ObjectList {
  constructor(root, editor) {
    this.root = root;
    this.editor = editor;
  }

  // Built anew after every change; what had the focus gets it back.
  render() {
    const focused = document.activeElement?.dataset?.key;
    const objects = this.editor.draft.data.objects;
    this.root.replaceChildren(...objects.map((item, index) => this.card(item, index)));
    if (focused) this.root.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  card(item, index) {
    const editor = this.editor;
    const chosen = editor.selected.object === index;
    const title = item.name || `Object ${index + 1}`;
    const name = make("input", {
      class: "fio-name", value: item.name, placeholder: `Object ${index + 1}`, maxlength: 100, "data-key": `name-${index}`,
      "aria-label": `Name of object ${index + 1}`,
      oninput: (event) => { editor.draft.begin(); item.name = event.target.value; },
      onchange: () => editor.draft.commit(),
    });
    const head = make("div", { class: "fio-head" },
      make("button", {
        type: "button", class: "fio-swatch", style: `--colour: ${editor.colour(index)}`, "data-key": `pick-${index}`,
        "aria-pressed": chosen, "aria-label": `Draw for ${title}`, title: `Draw for ${title}`,
        onclick: () => editor.select(index, null),
      }),
      name,
      make("button", {
        type: "button", class: "fio-button", "data-key": `id-${index}`, onclick: () => editor.chooseIdentity(index),
      }, "Add ID picture"),
      make("button", {
        type: "button", class: "fio-icon", "aria-label": `Remove ${title}`, title: `Remove ${title}`,
        onclick: () => editor.removeObject(index),
      }, "✕"),
    );
    const lines = item.trajectories.map((line, k) => this.row(line, index, k));
    const references = item.identities.map((entry, k) => this.thumbnail(entry, index, k));
    const empty = !lines.length && !references.length;
    return make("section", { class: `fio-card${chosen ? " fio-chosen" : ""}`, "aria-label": title },
      head,
      ...(references.length ? [make("div", { class: "fio-ids" }, ...references)] : []),
      ...lines,
      ...(empty && chosen ? [make("p", { class: "fio-faint" }, "Draw on the canvas: lines get this colour.")] : []),
    );
  }

  row(line, index, k) {
    const editor = this.editor;
    const still = line.points.length === 1;
    const label = `${still ? "Point" : "Line"} ${k + 1}`;
    const chosen = editor.selected.object === index && editor.selected.line === k;
    const speed = still ? make("span", { class: "fio-faint fio-speed" }, "stands still") : make("button", {
      type: "button", class: "fio-button fio-speed", "data-key": `pace-${index}-${k}`, disabled: !line.pace && !line.drawn,
      title: "Even speed along the line, or as fast as it was drawn",
      onclick: () => editor.draft.edit(() => {
        if (line.pace) Object.assign(line, { drawn: line.pace, pace: null });
        else Object.assign(line, { pace: line.drawn });
      }),
    }, line.pace ? "as drawn" : "even speed");
    return make("div", { class: `fio-line${chosen ? " fio-chosen" : ""}` },
      make("button", {
        type: "button", class: "fio-label", "aria-pressed": chosen, "data-key": `line-${index}-${k}`,
        onclick: () => editor.select(index, k),
      }, label),
      this.timeBar(line, index, k, label),
      speed,
      make("button", {
        type: "button", class: "fio-icon", "aria-label": `Remove ${label}`, title: `Remove ${label}`,
        onclick: () => { editor.draft.edit((data) => data.objects[index].trajectories.splice(k, 1)); editor.select(index, null); },
      }, "✕"),
    );
  }

  // Two sliders over one bar: when the line begins, and when it ends.
  timeBar(line, index, k, label) {
    const seconds = this.editor.draft.seconds;
    const shortest = Math.min(0.1, seconds / 4);
    const text = make("output", { class: "fio-times" });
    const bar = make("div", { class: "fio-bar", style: `--colour: ${this.editor.colour(index)}` });
    const show = () => {
      text.textContent = `${line.start.toFixed(1)} – ${line.end.toFixed(1)} s`;
      bar.style.setProperty("--from", `${(100 * line.start) / seconds}%`);
      bar.style.setProperty("--to", `${(100 * line.end) / seconds}%`);
    };
    const slider = (which) => make("input", {
      type: "range", min: 0, max: seconds, step: "any", value: line[which], "data-key": `${which}-${index}-${k}`,
      "aria-label": `${label} ${which}s at, seconds`,
      oninput: (event) => {
        this.editor.draft.begin();
        const value = Number(event.target.value);
        if (which === "start") line.start = Math.min(value, line.end - shortest);
        else line.end = Math.max(value, line.start + shortest);
        event.target.value = line[which];
        this.editor.stage.draw();
        show();
      },
      onkeydown: (event) => {
        const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };
        if (!steps[event.key]) return;
        event.preventDefault(); // a slider without steps would move by a hundredth, or not at all
        event.target.value = Number(event.target.value) + (steps[event.key] * seconds) / 40;
        event.target.dispatchEvent(new Event("input"));
        event.target.dispatchEvent(new Event("change"));
      },
      onchange: () => this.editor.draft.commit(),
    });
    bar.append(slider("start"), slider("end"));
    show();
    return make("div", { class: "fio-time" }, bar, text);
  }

  thumbnail(entry, index, k) {
    const image = this.editor.thumbnails.get(JSON.stringify(entry));
    return make("button", {
      type: "button", class: "fio-thumb", "data-key": `thumb-${index}-${k}`,
      "aria-label": `Choose what to keep of ${entry.picture}`, title: "Choose what to keep",
      style: image ? `background-image: url(${image})` : null,
      onclick: () => this.editor.dialog.open(index, k),
    }, image ? "" : "choose…");
  }
}
