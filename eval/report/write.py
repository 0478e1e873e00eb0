"""`python -m eval report`: the comparison in the terminal, as Markdown, LaTeX and a page."""

import sys
from collections.abc import Sequence
from pathlib import Path

from curation.contract.errors import UsageError
from eval.report.page import render_page
from eval.report.tables import latex, markdown, print_tables
from eval.summary import read_scores


def write_reports(scores: Sequence[str], output: Path) -> None:
    """Print the tables, and write report.md, report.tex and report.html into a folder.

    Raises:
        UsageError: a folder holds no scores, or the output cannot be written.
    """
    runs = [read_scores(uri) for uri in scores]
    names = [run.name for run in runs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two runs are called {twice!r}; give them names with `eval run --name`")
    print_tables(runs)
    files = {"report.md": markdown(runs), "report.tex": latex(runs), "report.html": render_page(runs)}
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            # Paths may hold bytes that are no UTF-8; they must not keep the page from being written.
            (output / name).write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise UsageError(f"{output}: cannot write there: {error.strerror}; name another place with -o") from None
    sys.stdout.write("".join(f"{output / name}\n" for name in files))
