"""What the page does when something is pressed. Messages are for people; whatever a person wrote is escaped."""

import contextlib
import html
import itertools
import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import gradio as gr

from curation.contract.errors import CurationError, UsageError
from curation.video.write import write_mp4
from inference.app.bundle import read_bundle, write_bundle
from inference.app.draft import SETTINGS, draft_of, request_of, settings_of
from inference.app.examples import EXAMPLES, example_draft
from inference.app.jobs import Job
from inference.app.models_here import ModelsHere
from inference.app.results import keep_run
from inference.app.sessions import Run, Session, Sessions
from inference.conditions import preview_conditions
from inference.generate import GenerationCancelledError
from inference.models import model_spec
from inference.request import Request

_LOG = logging.getLogger(__name__)

Update = Any
"""What a handler returns for one component: a value, or `gr.update`."""


class Actions:
    """Handlers of the page's events; each takes the session's token first."""

    def __init__(self, sessions: Sessions, models: ModelsHere) -> None:
        self.sessions = sessions
        self.models = models
        self._replies = itertools.count()  # two equal replies must both arrive

    # --- opening, settings

    def open(self) -> list[Update]:
        """A page was opened: (token, editor, then the buttons that wait for it)."""
        token = self.sessions.start()
        return [token, gr.update(token=token), *[gr.update(interactive=True)] * 4]

    def choose_model(self, model: str, fps: float) -> list[Update]:
        """(status, editor, canvas, steps, guidance, frames) as the model was trained."""
        spec = model_spec(model)
        note = "" if model in self.models.runnable else message(_elsewhere(model))
        canvas = f"{spec.width}x{spec.height}"
        return [
            note,
            self._format(spec.width, spec.height, spec.num_frames, fps),
            gr.update(choices=canvas_choices(model), value=canvas),
            spec.num_inference_steps,
            spec.guidance_scale,
            frames_update(model, spec.num_frames),
        ]

    def choose_format(self, model: str, canvas: str, frames: int, fps: float) -> list[Update]:
        """(status, editor) after another canvas, number of frames or rate."""
        try:
            width, height = _parse_canvas(canvas, model_spec(model).side)
        except UsageError as error:
            return [message(self.sessions.told(error)), gr.skip()]
        if not fps or not frames:
            return [message("frames and frames per second are needed"), gr.skip()]
        return ["", self._format(width, height, frames, fps)]

    def _format(self, width: int, height: int, frames: int, fps: float) -> Update:
        return self._reply(kind="format", width=width, height=height, seconds=(frames - 1) / fps)

    def _reply(self, **reply: Any) -> Update:
        return gr.update(reply={"number": next(self._replies), **reply})

    # --- drawings that come from elsewhere: (status, editor, canvas, all settings)

    def load_example(self, token: str, model: str, event: gr.EventData) -> list[Update]:
        """Begin from an example, on the chosen model's canvas."""
        index = event._data.get("index") if isinstance(event._data, dict) else None
        example = EXAMPLES[index if isinstance(index, int) and 0 <= index < len(EXAMPLES) else 0]
        spec, fps = model_spec(model), 12.0
        try:
            session = self.sessions.get(token)
            drawing = example_draft(example, session, spec, fps)
        except UsageError as error:
            return self._not_loaded(error)
        settings = {
            "model": model,
            "prompt": example.prompt,
            "negative_prompt": "",
            "seed": 0,
            "num_inference_steps": spec.num_inference_steps,
            "guidance_scale": spec.guidance_scale,
            "num_frames": spec.num_frames,
            "fps": fps,
        }
        return self._show_drawing(session, drawing, settings, f"{example.title}: {example.shows}.")

    def load_file(self, token: str, file: str) -> list[Update]:
        """Go on with a request that somebody kept."""
        try:
            session = self.sessions.get(token)
            request = read_bundle(Path(file), session)
            return self._show_request(session, request, "Loaded.")
        except UsageError as error:
            return self._not_loaded(error)

    def load_run(self, token: str, number: int | None) -> list[Update]:
        """Go on with what an earlier video was made from."""
        try:
            session = self.sessions.get(token)
            return self._show_request(session, _run(session, number).request, "Back on the canvas.")
        except UsageError as error:
            return self._not_loaded(error)

    def _show_request(self, session: Session, request: Request, note: str) -> list[Update]:
        return self._show_drawing(session, draft_of(request), settings_of(request), note)

    def _show_drawing(
        self, session: Session, drawing: dict[str, Any], settings: dict[str, Any], note: str
    ) -> list[Update]:
        names = {drawing["picture"]["name"]}
        names |= {entry["picture"] for item in drawing["objects"] for entry in item["identities"]}
        model, frames = settings["model"], settings["num_frames"]
        reply = self._reply(
            kind="drawing",
            drawing=drawing,
            seconds=(frames - 1) / settings["fps"],
            pictures=[session.describe(name) for name in sorted(names)],
            note=note,
        )
        canvas = gr.update(choices=canvas_choices(model), value=f"{drawing['width']}x{drawing['height']}")
        shown = {**settings, "num_frames": frames_update(model, frames)}
        warning = "" if model in self.models.runnable else message(_elsewhere(model))
        return [warning, reply, canvas, *(shown[name] for name in SETTINGS)]

    def _not_loaded(self, error: Exception) -> list[Update]:
        return [message(self.sessions.told(error)), *(gr.skip() for _ in ("editor", "canvas", *SETTINGS))]

    # --- requests, previews

    def download(self, token: str, drawn: Any, *settings: Any) -> tuple[Update, Update]:
        """(status, file of the hidden download button)."""
        try:
            session, request = self._request(token, drawn, settings)
        except UsageError as error:
            return message(self.sessions.told(error)), None
        write_bundle(request, session, session.folder / "request.zip")
        return message("The request was downloaded, with its pictures.", "good"), str(session.folder / "request.zip")

    def preview(self, token: str, drawn: Any, *settings: Any) -> list[Update]:
        """(status, tabs, first frame, trajectories, ID pictures) exactly as the model will see them."""
        try:
            session, request = self._request(token, drawn, settings)
            seen = preview_conditions(request)
        except CurationError as error:
            return [message(self.sessions.told(error)), *(gr.skip() for _ in range(4))]
        video = session.folder / "trajectories.mp4"
        write_mp4(video, seen.trajectories, Fraction(request.fps).limit_denominator(1001))
        pictures = [(picture, f"ID {index + 1}") for index, picture in enumerate(seen.identities)]
        return ["", gr.update(selected="seen"), seen.first_frame, str(video), pictures]

    def _request(self, token: str, drawn: Any, settings: tuple[Any, ...]) -> tuple[Session, Request]:
        session = self.sessions.get(token)
        given = {name: value for name, value in zip(SETTINGS, settings, strict=True) if value is not None}
        return session, request_of(drawn, given, session)

    # --- generating

    def check(self, token: str, drawn: Any, *settings: Any) -> list[Update]:
        """(status, request to run or None, generate button, cancel button): at once, before anything waits in line."""
        try:
            session, request = self._request(token, drawn, settings)
            if request.model not in self.models.runnable:
                raise UsageError(_elsewhere(request.model))
        except UsageError as error:
            return [message(self.sessions.told(error)), None, *_buttons(running=False)]
        session.stop.clear()
        return [progress_bar("Waiting for its turn", 0, 0), request, *_buttons(running=True)]

    def run(self, token: str, request: Request | None) -> Iterator[list[Update]]:
        """(status, tabs, generate, cancel, then what `_show_run` gives), again and again while it works."""
        nothing = [gr.skip()] * (1 + _SHOWN)
        if request is None:
            yield [gr.skip()] * 4 + nothing  # without any yield Gradio empties all of them, the message too
            return
        try:
            session = self.sessions.get(token)
            job = Job(request, self.models, session.stop)
            for now in job.progress():
                text = f"Step {now.done} of {now.steps}" if now.steps else f"Loading {request.model}, first step"
                if now.stopping:
                    text += ", then stopping"
                bar = progress_bar(f"{text} · {now.seconds:.0f} s", now.done, now.steps)
                yield [bar, gr.skip(), *_buttons(running=True, stopping=now.stopping), *nothing]
            run = keep_run(job.result(), session)
        except GenerationCancelledError as error:
            yield [message(f"{error}".capitalize(), "good"), gr.skip(), *_buttons(running=False), *nothing]
            return
        except CurationError as error:
            yield [message(self.sessions.told(error)), gr.skip(), *_buttons(running=False), *nothing]
            return
        except Exception as error:  # noqa: BLE001 - whatever a model throws, the page goes on
            _LOG.exception("generating failed")
            text = message(f"generating failed: {type(error).__name__}; the server's log says more")
            yield [text, gr.skip(), *_buttons(running=False), *nothing]
            return
        number = len(session.runs) - 1
        gallery = [(str(item.poster), f"{k + 1} · seed {item.request.seed}") for k, item in enumerate(session.runs)]
        done = message(f"Done: {run.note}", "good")
        yield [done, gr.update(selected="result"), *_buttons(running=False), gallery, *_show_run(run, number)]

    def cancel(self, token: str) -> Update:
        """Stop what is generated, or waits to be: (cancel button). `run` says what came of it."""
        with contextlib.suppress(UsageError):  # of a page that is not open any more, there is nothing to stop
            self.sessions.get(token).stop.set()
        return gr.update(interactive=False)

    def show_run(self, token: str, event: gr.SelectData) -> list[Update]:
        """An earlier run was chosen in the gallery: (tabs, then what `_show_run` gives)."""
        try:
            number = event.index if isinstance(event.index, int) else -1
            return [gr.update(selected="result"), *_show_run(_run(self.sessions.get(token), number), number)]
        except UsageError:
            return [gr.skip()] * (1 + _SHOWN)


_SHOWN = 7


def _show_run(run: Run, number: int) -> list[Update]:
    """(note, overlay, crop, canvas file, crop file, request file, number of the run shown)"""
    note = f"<p class='note'><b>{html.escape(run.request.prompt) or 'No prompt'}</b><br>{html.escape(run.note)}</p>"
    files = [gr.update(value=str(file), interactive=True) for file in (run.canvas, run.region, run.bundle)]
    return [note, str(run.overlay), str(run.region), *files, number]


def _run(session: Session, number: int | None) -> Run:
    if number is None or not 0 <= number < len(session.runs):
        raise UsageError("generate a video first")
    return session.runs[number]


def message(text: str, kind: str = "bad") -> str:
    """A message as HTML; kind: bad or good."""
    role = "alert" if kind == "bad" else "status"
    return f"<p class='message {kind}' role='{role}'>{html.escape(text[:1].upper() + text[1:])}</p>"


def progress_bar(text: str, done: int, steps: int) -> str:
    """A progress bar as HTML; without a number of steps it only shows that something goes on."""
    amount = f" value='{done}' max='{steps}'" if steps else ""
    return f"<div class='message' role='status'><span>{html.escape(text)}</span><progress{amount}></progress></div>"


def canvas_choices(model: str) -> list[tuple[str, str]]:
    """Canvases that suit a model: as it was trained, upright, and square with as many px."""
    spec = model_spec(model)
    square = round((spec.width * spec.height) ** 0.5 / spec.side) * spec.side
    sizes = {"landscape": (spec.width, spec.height), "portrait": (spec.height, spec.width), "square": (square, square)}
    return [(f"{width} x {height} {name}", f"{width}x{height}") for name, (width, height) in sizes.items()]


def frames_update(model: str, value: int) -> Update:
    """The frames slider for a model: only numbers that its VAE can make."""
    spec = model_spec(model)
    return gr.update(
        minimum=spec.frame_step + 1, maximum=max(2 * spec.num_frames - 1, value), step=spec.frame_step, value=value
    )


def _parse_canvas(text: str, side: int) -> tuple[int, int]:
    parts = [part.strip() for part in str(text).lower().replace("×", "x").split("x")]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise UsageError(f"canvas {text!r}: write width x height, such as 1280x704")
    width, height = map(int, parts)
    if not all(side <= value <= 4096 and value % side == 0 for value in (width, height)):
        raise UsageError(f"canvas {text}: both sides must be multiples of {side}, up to 4096")
    return width, height


def _elsewhere(model: str) -> str:
    return (
        f"{model} does not run on this machine: download the request, and where there is a GPU run "
        "`python -m inference generate request.yaml -o out.mp4`; or choose another model"
    )


def _buttons(running: bool, stopping: bool = False) -> list[Update]:
    return [gr.update(interactive=not running), gr.update(interactive=running and not stopping)]
