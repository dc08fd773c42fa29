"""Stacks as a profile for speedscope (https://www.speedscope.app): its file format, version 0.0.1."""

from __future__ import annotations

from json import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.view.weights import Weights

__all__ = ["speedscope"]

_UNITS = {"ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "bytes": "bytes"}


def speedscope(weights: Weights) -> str:
    """The profile as JSON: a sample for each stack.

    Args:
        weights: of the stacks.
    """
    names: dict[str, int] = {}
    samples = [
        ([names.setdefault(str(frame), len(names)) for frame in frames], weight)
        for frames, weight in weights.stacks().items()
    ]
    profile = {
        "type": "sampled",
        "name": weights.what,
        "unit": _UNITS.get(weights.unit, "none"),
        "startValue": 0,
        "endValue": sum(weight for _, weight in samples),
        "samples": [frames for frames, _ in samples],
        "weights": [weight for _, weight in samples],
    }
    return (
        dumps(
            {
                "$schema": "https://www.speedscope.app/file-format-schema.json",
                "exporter": "skep",
                "name": weights.what,
                "activeProfileIndex": 0,
                "shared": {"frames": [{"name": name} for name in names]},
                "profiles": [profile],
            }
        )
        + "\n"
    )
