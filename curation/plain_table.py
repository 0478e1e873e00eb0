"""The doctor's tables."""

from rich.box import SIMPLE_HEAD
from rich.table import Table


def plain_table(title: str, *columns: str) -> Table:
    """Without lines, and folded rather than cut, so that commands can be copied from narrow terminals."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
