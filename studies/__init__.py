"""Learning results: each study is a small file; `mbrl-taskmet study NAME` runs and draws it.

A study's results are one CSV file, to which every finished run is appended; the same command again
does only what is missing, on any machine that has the file.
"""

from collections.abc import Mapping
from typing import Any

from .ablation import ABLATION
from .capacity import CAPACITY
from .compilation import COMPILATION
from .continuous import CONTINUOUS, LOCOMOTION
from .decision import DECISION
from .first_light import FIRST_LIGHT, FIRST_LIGHT_RAW
from .harder import HARDER
from .hypergradient import HYPERGRADIENT
from .oracles import ORACLES, PUBLISHED_ORACLES
from .paper import DISTRACTORS, KINDS, PUBLISHED
from .resumable import ResumableStudy

AnyStudy = ResumableStudy[Any]

STUDIES: Mapping[str, AnyStudy] = {
    study.name: study
    for study in (
        FIRST_LIGHT,
        FIRST_LIGHT_RAW,
        ORACLES,
        PUBLISHED_ORACLES,
        DISTRACTORS,
        PUBLISHED,
        KINDS,
        CAPACITY,
        COMPILATION,
        HYPERGRADIENT,
        ABLATION,
        CONTINUOUS,
        LOCOMOTION,
        HARDER,
        DECISION,
    )
}
"""The studies by name."""
