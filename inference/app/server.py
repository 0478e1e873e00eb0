"""Serving the page: on this machine only unless asked, in a folder of its own, with limits, calling no other host."""

import os
import signal
import socket
import tempfile
from pathlib import Path

from gradio import themes
from starlette.middleware import Middleware

from curation.contract.errors import UsageError
from inference.app.guard import Guard
from inference.app.models_here import models_here
from inference.app.page import STYLES, make_page
from inference.app.sessions import Sessions
from inference.memory import LoadConfig

MAX_UPLOAD_BYTES = 50_000_000
MAX_WAITING = 20
"""Events in line, most of them generations; whoever comes later is told that the page is busy."""

_SYSTEM_FONTS = ["ui-sans-serif", "system-ui", "sans-serif"]  # strings are not fetched from anywhere
_MONO_FONTS = ["ui-monospace", "monospace"]
_FORM_BYTES = 1_000_000  # what a request has around the file that it uploads


def serve(model: str | None, config: LoadConfig, host: str, port: int) -> None:
    """Serve the page until the process is ended. Everything that it wrote is deleted then.

    Args:
        model: see `models_here`.
        port: 0 takes any free one.

    Raises:
        UsageError: there is no such model, or the address cannot be listened on.
    """
    models = models_here(model, config)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does: what it wrote is deleted
    with tempfile.TemporaryDirectory(prefix="frame-in-out-") as folder:
        served = Path(folder) / "served"
        served.mkdir()
        os.environ["GRADIO_TEMP_DIR"] = str(served)
        os.environ["GRADIO_EXAMPLES_CACHE"] = str(served)  # else .gradio/ of wherever this is started is served too
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        page = make_page(Sessions(Path(folder) / "sessions", served), models, MAX_UPLOAD_BYTES)
        page.queue(max_size=MAX_WAITING, default_concurrency_limit=2)
        try:
            _, url, _ = page.launch(
                server_name=host,
                server_port=port or _free_port(host),
                share=False,
                inbrowser=False,
                quiet=True,
                prevent_thread_lock=True,
                allowed_paths=[],
                max_file_size=MAX_UPLOAD_BYTES,
                ssr_mode=False,
                mcp_server=False,
                pwa=False,
                run_history=False,
                enable_monitoring=False,
                footer_links=[],
                theme=_theme(),
                css_paths=STYLES,
                app_kwargs={"middleware": [Middleware(Guard, max_bytes=MAX_UPLOAD_BYTES + _FORM_BYTES)]},
            )
        except OSError as error:
            raise UsageError(f"cannot serve on {host}:{port}: {error}; choose another --port or --host") from None
        print(f"page: {url}  ({models.default}; Ctrl-C ends it)", flush=True)  # noqa: T201 - the command's output
        page.block_thread()


def _theme() -> themes.Base:
    theme = themes.Soft(
        primary_hue="indigo", secondary_hue="indigo", neutral_hue="slate", font=_SYSTEM_FONTS, font_mono=_MONO_FONTS
    )
    # The theme's own are too faint to read: 2.5 and 3.7 to 1.
    return theme.set(body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_300")


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]
