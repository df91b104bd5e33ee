"""The collections in which `model_fn` leaves the tensors that hooks watch.

Collections, because under a distribution strategy `model_fn` runs once per replica while a hook exists once: each has a
tensor per replica.
"""

# Of a training graph.
FILENAMES = 'deeplab/filenames'
LOSS = 'deeplab/loss'
LEARNING_RATE = 'deeplab/learning_rate'
STEP = 'deeplab/step'  # the global step that a batch belongs to, known exactly from its example numbers
SKIPPED = 'deeplab/skipped_updates'  # how many there were, this step's included; there is none without a loss scale

# Of an evaluation graph.
TRIPTYCH = 'deeplab/triptych'
MATRIX = 'deeplab/confusion_matrix'
EVALUATED_FILENAMES = 'deeplab/evaluated_filenames'
