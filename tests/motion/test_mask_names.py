"""A clip's mask is found by the clip's name, and never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
from mask_files import grey, ids, npz, pngs

from motifocal.media.video import VideoError
from motifocal.motion.masks import find_mask


def test_a_clips_mask_is_found_by_its_name_and_never_guessed(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    pngs(folder / "deep/a.b", ids(), "L")
    npz(folder / "c.npz", mask=ids())
    npz(tmp_path / "outside.npz", mask=ids())
    (folder / "d").write_text("a file without suffix is none")
    assert find_mask(folder, "deep/a.b") == folder / "deep/a.b"
    assert find_mask(folder, "c") == folder / "c.npz"
    for name in ("a.b", "a", "deep/a", "d", "C.npz"):
        with pytest.raises(VideoError, match="there is no mask of this name"):
            find_mask(folder, name)
    for name in ("../outside", "", str(tmp_path / "outside")):
        with pytest.raises(VideoError, match="lies outside of"):
            find_mask(folder, name)
    (folder / "c.mp4").touch()
    with pytest.raises(VideoError, match=r"should be one mask, got .*c.npz and .*c.mp4"):
        find_mask(folder, "c")


def test_a_mask_is_found_in_the_other_spelling_of_its_letters(tmp_path: Path) -> None:
    stored = npz(tmp_path / "e\u0301.npz", mask=grey())
    assert find_mask(tmp_path, "\u00e9") == stored
