"""The comparison as text: for the terminal, in Markdown, in LaTeX."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.report.comparison import Cell, Comparison, compare, note
from eval.summary import RunScores

_WIDTH_OF_TITLE, _WIDTH_OF_COLUMN = 50, 24
_LATEX = str.maketrans(
    {
        "&": r"\&",
        "%": r"\%",
        "_": r"\_",
        "#": r"\#",
        "$": r"\$",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "↓": r"$\downarrow$",
        "↑": r"$\uparrow$",
        "→": r"$\rightarrow$",
        "²": "$^2$",
        "∞": r"$\infty$",
        "*": r"$^*$",
    }
)


def print_tables(runs: Sequence[RunScores]) -> None:
    """One table for each kind, then what failed."""
    console = Console()
    for comparison in compare(runs):
        if not console.is_terminal:  # a log has room for whole words
            console.width = max(console.width, _WIDTH_OF_TITLE + _WIDTH_OF_COLUMN * len(comparison.columns))
        table = Table(title=comparison.title)
        table.add_column("measure")
        for column in comparison.columns:
            table.add_column(Text(column), justify="right")
        for line in comparison.lines:
            table.add_row(Text(line.heading), *(_rich(cell) for cell in line.cells))
        console.print(table)
    console.print(Text(note(runs), style="dim"))
    for run in runs:
        if run.caveat:
            console.print(Text(f"{run.name}: {run.caveat}", style="yellow"))
        for sample, problem in run.problems:
            console.print(Text(f"{run.name}: {sample}: {problem}"), soft_wrap=True)


def markdown(runs: Sequence[RunScores]) -> str:
    """The same in GitHub's Markdown."""
    parts = ["# Evaluation"]
    for comparison in compare(runs):
        lines = [f"## {comparison.title}", ""]
        lines.append("| measure | " + " | ".join(map(_pipe, comparison.columns)) + " |")
        lines.append("| --- |" + " ---: |" * len(comparison.columns))
        for line in comparison.lines:
            cells = [_markdown_cell(cell) for cell in line.cells]
            lines.append(f"| {_pipe(line.heading)} | " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    parts.append(note(runs).replace("*", r"\*", 1))
    parts += [f"{_pipe(run.name)}: {run.caveat}" for run in runs if run.caveat]
    problems = [f"- {_pipe(run.name)}: `{sample}`: {problem}" for run in runs for sample, problem in run.problems]
    if problems:
        parts.append("\n".join(["## Not scored", "", *problems]))
    return "\n\n".join(parts) + "\n"


def latex(runs: Sequence[RunScores]) -> str:
    """A booktabs table for each kind."""
    return "\n".join(_latex_table(comparison, note(runs)) for comparison in compare(runs))


def _rich(cell: Cell) -> Text:
    text = Text(cell.text, style="bold" if cell.best else "")
    if cell.detail:
        text.append(f"\n{cell.detail}", style="dim")
    return text


def _markdown_cell(cell: Cell) -> str:
    text = cell.text.replace("*", r"\*")
    text = f"**{text}**" if cell.best else text
    return f"{text} <sub>{cell.detail}</sub>" if cell.detail else text


def _pipe(text: str) -> str:
    return text.replace("|", r"\|")


def _latex_table(comparison: Comparison, about: str) -> str:
    columns = [column.translate(_LATEX) for column in comparison.columns]
    lines = [
        f"% {comparison.title}; needs booktabs. {about}",
        r"\begin{tabular}{l" + "r" * len(columns) + "}",
        r"\toprule",
        " & ".join(["", *columns]) + r" \\",
        r"\midrule",
    ]
    for line in comparison.lines:
        cells = [_latex_cell(cell) for cell in line.cells]
        lines.append(" & ".join([line.heading.translate(_LATEX), *cells]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join(lines)


def _latex_cell(cell: Cell) -> str:
    text = cell.text.translate(_LATEX)
    return rf"\textbf{{{text}}}" if cell.best else text
