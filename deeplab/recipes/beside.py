"""The recipe beside a checkpoint: a run records its own in its model_dir, whose folders keep further checkpoints."""

from pathlib import Path

RECORD = 'recipe.json'
NAMED = ('latest', 'best', 'all')  # checkpoints that --checkpoint looks for in a model_dir
NOT_PATHS = ('average:', 'catalog:')  # and what begins the other words for them
OF_A_RUN = ('best', 'average')  # folders of a model_dir that hold a checkpoint; a former one is best.until-step-7


def find(checkpoint: str) -> Path | None:
    """The recipe.json of the run whose folder a checkpoint's path leads to; None without one, and for what's no path.

    The path is that of the folder, or of a file in it, with or without its suffix.
    """
    if checkpoint in NAMED or checkpoint.startswith(NOT_PATHS):
        return None
    path = Path(checkpoint).absolute()
    folder = path if path.is_dir() else path.parent
    return next((there / RECORD for there in (folder, model_dir_of(folder)) if (there / RECORD).is_file()), None)


def model_dir_of(folder: Path) -> Path:
    """The model_dir that a folder with checkpoints belongs to, which may be itself."""
    return folder.parent if folder.name.partition('.')[0] in OF_A_RUN else folder
