"""What an evaluation scores, said before it runs and beside its scores: so many images of a split, and how."""

from dataclasses import dataclass

from datasets.input.index import RecordIndex
from datasets.row import Dataset
from deeplab.recipes import protocol
from deeplab.recipes.schema import Recipe

# Evaluations of one protocol that come with the training, as opposed to evaluate.py's, begin their folders' names so.
DURING_TRAINING = 'training_'


def folder(recipe: Recipe) -> str:
    """What Estimator adds to eval_ in the name of the folder with an evaluation's curves: split and protocol."""
    return f'{recipe.data.eval_split}_{protocol.name(protocol.describe(recipe))}'


@dataclass(frozen=True)
class Scope:
    """`num_images` are evaluated, of the `split_images` that the recipe's evaluation split has."""

    recipe: Recipe
    dataset: Dataset
    num_images: int
    split_images: int

    @property
    def split(self) -> str:
        return f'{self.dataset.name} {self.recipe.data.eval_split}'

    def __str__(self) -> str:
        described = protocol.describe(self.recipe)
        usual = ', float32' if described['precision'] == 'float32' else ''  # which the protocol's line doesn't name
        return f'{self.split}, {images(self.num_images, self.split_images)}; {protocol.text(described)}{usual}'

    @property
    def warning(self) -> str:
        """Empty for a whole split."""
        if self.num_images == self.split_images:
            return ''
        limits = {'data.limit': self.recipe.data.limit, 'evaluation.limit': self.recipe.evaluation.limit}
        told = [f'{path} = {limit}' for path, limit in limits.items() if limit]
        return (f'only {self.num_images} of the {self.split_images} images of {self.split} are evaluated '
                f'({" and ".join(told) or "the records hold no more"}): the score is not one of the split')


def of(recipe: Recipe, dataset: Dataset, index: RecordIndex) -> Scope:
    """The scope of an evaluation of these records."""
    whole = split_images(dataset, recipe.data.eval_split, index.num_examples + index.left_out)
    return Scope(recipe, dataset, index.num_examples, whole)


def split_images(dataset: Dataset, split: str, in_records: int) -> int:
    """Images of a whole split: as published, or as the records hold them where that isn't known or counts no tiles."""
    published = dataset.splits.get(split)
    return max(in_records, published.num_images) if published and not dataset.tiles else in_records


def images(evaluated: int, whole: int) -> str:
    """How many, in words."""
    return f'{evaluated} images' if evaluated == whole else f'{evaluated} of {whole} images'
