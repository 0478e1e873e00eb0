"""The page: what is on it, and what each part calls."""

import html
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from gradio.components import Component

from inference.app.actions import Actions, canvas_choices, frames_update
from inference.app.editor import make_editor
from inference.app.models_here import ModelsHere
from inference.app.sessions import Sessions
from inference.models import MODELS, ModelSpec, model_spec

FPS = 12.0
"""The rate that a page begins with; models were trained at about this."""

# No cache is older than this, s: looked at once an hour.
_CACHE = (3600, 24 * 3600)
_SESSION_S = 24 * 3600
_NEW_SEED = "() => Math.floor(Math.random() * 2 ** 31)"
_SAVE_FILE = "() => setTimeout(() => document.querySelector('#request-file')?.click(), 300)"


@dataclass(frozen=True)
class _Settings:
    """Controls of a request's settings; `all` is in the order of `inference.app.draft.SETTINGS`."""

    canvas: gr.Dropdown
    model: gr.Dropdown
    prompt: gr.Textbox
    negative_prompt: gr.Textbox
    seed: gr.Number
    steps: gr.Number
    guidance: gr.Number
    frames: gr.Slider
    fps: gr.Number
    new_seed: gr.Button

    @property
    def all(self) -> list[Component]:
        return [
            self.model,
            self.prompt,
            self.negative_prompt,
            self.seed,
            self.steps,
            self.guidance,
            self.frames,
            self.fps,
        ]


@dataclass(frozen=True)
class _Results:
    """Where results are shown; `run` is what a run is shown with."""

    tabs: gr.Tabs
    gallery: gr.Gallery
    run: list[Component]
    shown: gr.State
    again: gr.Button
    seen: list[Component]


def make_page(sessions: Sessions, models: ModelsHere, max_bytes: int) -> gr.Blocks:
    """Build the page for `launch`."""
    spec = model_spec(models.default)
    actions = Actions(sessions, models)
    with gr.Blocks(title="Frame in, frame out", analytics_enabled=False, delete_cache=_CACHE) as page:
        token = gr.State("", time_to_live=_SESSION_S, delete_callback=sessions.close)
        asked = gr.State(None)
        gr.HTML(_head(models))
        with gr.Row(elem_id="work", equal_height=False):
            with gr.Column(scale=7, min_width=320):
                editor = make_editor(sessions, spec, FPS, max_bytes)
            with gr.Column(scale=4, min_width=320, elem_id="side"):
                settings = _settings(models, spec)
                status = gr.HTML("", elem_id="status", apply_default_css=False)
                with gr.Row(elem_classes="buttons"):
                    generate = gr.Button(
                        "Generate", variant="primary", interactive=False, elem_id="generate", min_width=120
                    )
                    cancel = gr.Button("Cancel", variant="stop", interactive=False, elem_id="cancel", min_width=120)
                preview = gr.Button("Show what the model will see", interactive=False, elem_id="preview")
                with gr.Row(elem_classes="buttons"):
                    download = gr.Button("Download request", interactive=False, elem_id="download", min_width=120)
                    upload = gr.UploadButton(
                        "Load request",
                        file_types=[".zip", ".yaml", ".yml", ".json"],
                        interactive=False,
                        elem_id="load",
                        min_width=120,
                    )
                file = gr.DownloadButton("request.zip", visible="hidden", elem_id="request-file")
        results = _results()

        drawn = [token, editor, *settings.all]
        loaded = [status, editor, settings.canvas, *settings.all]
        quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        light = {
            "show_progress": "hidden",
            "api_visibility": "private",
            "concurrency_limit": 2,
            "concurrency_id": "light",
        }

        page.load(actions.open, outputs=[token, editor, generate, preview, download, upload], **quick)
        editor.example(actions.load_example, [token, settings.model], loaded, **light)
        upload.upload(actions.load_file, [token, upload], loaded, **light)
        results.again.click(actions.load_run, [token, results.shown], loaded, **light)

        settings.new_seed.click(None, outputs=settings.seed, js=_NEW_SEED, api_visibility="private")
        settings.model.input(
            actions.choose_model,
            [settings.model, settings.fps],
            [status, editor, settings.canvas, settings.steps, settings.guidance, settings.frames],
            **quick,
        )
        shape = [settings.model, settings.canvas, settings.frames, settings.fps]
        for control in (settings.canvas.input, settings.frames.release, settings.fps.submit, settings.fps.blur):
            control(actions.choose_format, shape, [status, editor], **quick)

        preview.click(actions.preview, drawn, [status, results.tabs, *results.seen], **light)
        saved = download.click(actions.download, drawn, [status, file], **light)
        saved.then(None, file, js=_SAVE_FILE, api_visibility="private")

        pressed = generate.click(actions.check, drawn, [status, asked, generate, cancel], **quick)
        pressed.then(
            actions.run,
            [token, asked],
            [status, results.tabs, generate, cancel, results.gallery, *results.run],
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=1,
            concurrency_id="generate",
        )
        cancel.click(actions.cancel, token, cancel, **quick)
        results.gallery.select(actions.show_run, token, [results.tabs, *results.run], **quick)
    return page


def _head(models: ModelsHere) -> str:
    banner = f"<p class='message warn' role='note'>{html.escape(models.warning)}</p>" if models.warning else ""
    return (
        "<header><h1>Frame in, frame out</h1>"
        "<p>Put a picture on a larger canvas, draw how things enter and leave it, and let a video model do the rest."
        f"</p></header>{banner}"
    )


def _settings(models: ModelsHere, spec: ModelSpec) -> _Settings:
    names = [(name if name in models.runnable else f"{name} (not on this machine)", name) for name in MODELS]
    frames = frames_update(models.default, spec.num_frames)
    with gr.Group():
        prompt = gr.Textbox(
            label="Prompt",
            lines=3,
            max_lines=6,
            max_length=2000,
            placeholder="A dog runs in from the left and sits down.",
        )
        model = gr.Dropdown(names, value=models.default, label="Model", filterable=False)
        with gr.Row():
            new_seed = gr.Button("New", size="sm")
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, scale=4, min_width=100, buttons=[new_seed])
            steps = gr.Number(
                spec.num_inference_steps, label="Steps", precision=0, minimum=1, maximum=1000, scale=3, min_width=80
            )
            guidance = gr.Number(spec.guidance_scale, label="Guidance", minimum=1, scale=4, min_width=100)
    with gr.Accordion("Canvas and length", open=False):
        canvas = gr.Dropdown(
            canvas_choices(models.default),
            value=f"{spec.width}x{spec.height}",
            label="Canvas",
            info=f"or type a size, such as {spec.width}x{spec.height}",
            allow_custom_value=True,
        )
        with gr.Row():
            frames_slider = gr.Slider(
                frames["minimum"],
                frames["maximum"],
                spec.num_frames,
                step=spec.frame_step,
                label="Frames",
                min_width=180,
            )
            fps = gr.Number(FPS, label="Frames per second", minimum=1, maximum=120, min_width=120)
        negative = gr.Textbox(label="Negative prompt", lines=1, max_length=2000)
    return _Settings(canvas, model, prompt, negative, seed, steps, guidance, frames_slider, fps, new_seed)


def _results() -> _Results:
    with gr.Tabs(elem_id="results") as tabs:
        with gr.Tab("Result", id="result"):
            note = gr.HTML("<p class='note'>The video comes here.</p>", apply_default_css=False)
            with gr.Row():
                overlay = gr.Video(
                    label="Canvas with the trajectories",
                    autoplay=True,
                    loop=True,
                    elem_id="overlay",
                    height=380,
                    min_width=300,
                )
                region = gr.Video(
                    label="Crop: what the picture showed",
                    autoplay=True,
                    loop=True,
                    elem_id="crop",
                    height=380,
                    min_width=300,
                )
            with gr.Row(elem_classes="buttons"):
                files = [
                    gr.DownloadButton(name, interactive=False, size="sm", min_width=120)
                    for name in ("Save canvas", "Save crop", "Save its request")
                ]
                again = gr.Button("Edit this one", size="sm", elem_id="again", min_width=120)
        with gr.Tab("Model input", id="seen"):
            gr.HTML(
                "<p class='note'>Exactly these pixels, and the prompt. Black is for the model to fill; without an ID "
                "picture it gets a black one.</p>",
                apply_default_css=False,
            )
            with gr.Row():
                first = gr.Image(
                    label="First frame",
                    format="png",
                    height=340,
                    interactive=False,
                    min_width=300,
                    buttons=[],
                    elem_id="first",
                )
                trajectories = gr.Video(label="Trajectories", autoplay=True, loop=True, height=340, min_width=300)
                identities = gr.Gallery(
                    label="ID pictures",
                    columns=2,
                    height=340,
                    format="png",
                    interactive=False,
                    min_width=300,
                    buttons=[],
                    object_fit="contain",
                )
        with gr.Tab("Runs", id="earlier"):
            gr.HTML("<p class='note'>What you made since you opened the page; choose one to see it again.</p>")
            gallery = gr.Gallery(
                label="Earlier runs",
                show_label=False,
                columns=4,
                height="auto",
                allow_preview=False,
                elem_id="gallery",
                interactive=False,
                buttons=[],
            )
    shown = gr.State(None)
    return _Results(
        tabs, gallery, [note, overlay, region, *files, shown], shown, again, [first, trajectories, identities]
    )


STYLES = [Path(__file__).parent / "static" / name for name in ("page.css", "editor.css")]
