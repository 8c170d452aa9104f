"""Find the longest sample that a clip allows if it is too short for a request."""

from __future__ import annotations

from dataclasses import replace

from motifocal.data.selection import Selection, Timeline
from motifocal.data.trainer_rules import Request, trained_on


def longest_sample(
    trainer: str, timeline: Timeline, height: int, width: int, request: Request
) -> Selection | None:
    """Return the longest sample that a clip makes with fewer frames than were asked for.

    Its frames are 1 + a multiple of ``request.later``, 1 at least, so that an autoencoder takes
    them. None where not even one frame makes a sample.
    """
    least = min(frames for frames, _, _ in request.buckets)
    for count in range((least - 2) // request.later, -1, -1):
        frames = 1 + count * request.later
        shorter = tuple((frames, tall, wide) for _, tall, wide in request.buckets)
        samples = trained_on(trainer, timeline, height, width, replace(request, buckets=shorter))
        if samples:
            return samples[0]
    return None
