"""`python -m eval`: the command line. Heavy modules are imported inside the commands, so --help is instant."""

from curation.contract.command_line import command_app, run_command
from eval.labels.command import app as labels

app = command_app("eval", "How right labels and generated videos are.")
app.add_typer(labels)


def main() -> None:
    run_command(app)


if __name__ == "__main__":
    main()
