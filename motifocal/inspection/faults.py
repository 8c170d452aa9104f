"""What can be wrong with a clip, how bad that is, and the sentence that explains it.

An error means that the clip cannot be trained on as it is; a warning that it will hurt; a note
is for information. No code is ever given another meaning: scripts read them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

ERROR, WARNING, NOTE, GOOD = "error", "warning", "note", "good"
LEVELS = (ERROR, WARNING, NOTE, GOOD)  # the worst first


@dataclass(frozen=True)
class Fault:
    """A kind of fault: how bad, its name, and one sentence of why it matters."""

    level: str
    title: str
    help: str


FAULTS: dict[str, Fault] = {
    "unreadable": Fault(ERROR, "Unreadable", "The file is damaged, cut off, or no video; a trainer "
                        "stops there or leaves it out."),
    "decoder-failed": Fault(ERROR, "Decoder gave up", "The decoder crashed, or did not come to "
                            "an end within the time given to one clip."),
    "missing": Fault(ERROR, "No such file", "The captions, or a link, name a video that is not "
                     "there."),
    "outside": Fault(ERROR, "Outside the folder", "The captions name a place that is not in this "
                     "folder; it was not looked at."),
    "damaged-row": Fault(ERROR, "Damaged row", "A row of the captions cannot be read."),
    "too-short": Fault(ERROR, "Too short", "The rule makes no sample of so few frames, so the clip "
                       "is left out without a word."),
    "same-name": Fault(ERROR, "Same name twice", "The trainer keeps two clips under one name, so "
                       "one overwrites the other, or training stops; rename one."),
    "no-caption": Fault(ERROR, "No caption", "Nothing says what the clip shows."),
    "cut": Fault(WARNING, "Cut inside", "The scene changes within the frames that are trained on; "
                 "the model learns to jump."),
    "static": Fault(WARNING, "Nothing moves", "A clip without motion teaches the model to repeat "
                    "the picture."),
    "too-little-motion": Fault(WARNING, "Too little moves", "Nothing moves enough in the frames "
                               "that are trained on, so the motion-weighted loss has nothing to "
                               "weight."),
    "mostly-moving": Fault(WARNING, "Most of it moves", "More than half of the picture moves, so "
                           "the motion-weighted loss is nearly the plain one; where that is the "
                           "camera, --camera takes its motion out."),
    "repeated-frames": Fault(WARNING, "Frames used twice", "The rate that was asked for is above "
                             "the clip's, so frames are trained on twice in a row; each such step "
                             "teaches the model to stand still."),
    "stored-repeats": Fault(WARNING, "Pictures stored twice", "The clip shows the same picture "
                            "several times in a row, in a rhythm: its real rate is lower than the "
                            "one it declares. Each such step teaches the model to stand still."),
    "freeze": Fault(WARNING, "Freezes", "For a long stretch of the frames that are trained on the "
                    "picture is the same; it teaches the model to stand still."),
    "bars": Fault(WARNING, "Bars", "Bars along the edges are trained on as if they were picture; "
                  "crop them off."),
    "blurred": Fault(WARNING, "Enlarged or blurred", "The finest detail that its pixels could hold "
                     "is missing, as after enlarging or out of focus; the model learns to blur."),
    "one-frame": Fault(WARNING, "One frame", "A sample of a single frame has no motion at all."),
    "duplicate": Fault(WARNING, "Duplicate", "Another clip has the very same bytes; it counts "
                       "twice."),
    "near-duplicate": Fault(WARNING, "Near duplicate", "Another clip shows the same pictures, "
                            "maybe encoded or scaled again."),
    "small": Fault(WARNING, "Smaller than trained", "The clip has to be enlarged, and the model "
                   "learns to blur."),
    "cropped": Fault(WARNING, "Much is cropped", "The clip has another shape than the size that is "
                     "trained on; what moves may be cut off."),
    "variable-rate": Fault(WARNING, "Variable rate", "Trainers count frames as if they came at an "
                           "even rate; here they do not, so speeds are wrong."),
    "rotated": Fault(WARNING, "Stored turned", "The file says how to turn the picture, which "
                     "this trainer does not read; it learns from a picture that lies on its "
                     "side."),
    "non-square-pixels": Fault(WARNING, "Pixels not square", "Trainers take pixels for square, "
                               "and learn a stretched picture; scale the clip to the size at "
                               "which it is shown."),
    "hdr": Fault(WARNING, "HDR", "Trainers read high dynamic range as if it were not, and white "
                 "turns grey; convert the clip to SDR."),
    "interlaced": Fault(WARNING, "Interlaced", "Every other line was taken later, so that edges of "
                        "what moves are combed, and the model learns that; deinterlace the clip."),
    "named-twice": Fault(WARNING, "Named twice", "The captions name the clip more than once."),
    "not-listed": Fault(WARNING, "Not listed", "The captions do not name the clip, so it is not "
                        "trained on."),
    "caption-cut": Fault(WARNING, "Caption cut", "The text encoder does not read the caption to "
                         "its end, so what stands there is not learnt."),
    "camera-only": Fault(NOTE, "Only the camera moves", "Nothing in the picture moves by itself; "
                         "fine if camera motion is to be learnt."),
    "cut-elsewhere": Fault(NOTE, "Cut elsewhere", "The scene changes, but not within the frames "
                           "that are trained on."),
    "no-motion-word": Fault(NOTE, "No motion word", "The caption names nothing that moves or "
                            "changes, so motion stays unexplained."),
    "odd-size": Fault(NOTE, "Odd size", "A side has an odd number of pixels, which some decoders "
                      "and trainers crop or refuse."),
    "link": Fault(NOTE, "Link out of the folder", "The file is a link to somewhere else; it is "
                  "lost when the folder is copied."),
    "partly-checked": Fault(NOTE, "Not watched to its end", "The clip is so long that cuts were "
                            "only looked for in its beginning."),
}  # fmt: skip

#: Codes of today -> those of the version before, which reports have beside them for one release.
OLD_CODES = {
    "decoder-failed": "no-answer", "static": "still", "too-little-motion": "cold",
    "rotated": "turned", "non-square-pixels": "stretched", "partly-checked": "not-watched",
}  # fmt: skip


def worst(codes: Iterable[str]) -> str:
    """Return the level of the worst of these faults; "good" where there is none."""
    return min((FAULTS[code].level for code in codes), key=LEVELS.index, default=GOOD)
