"""Image folders: what becomes a row, and every file that cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from fleet_contract.errors import ConfigError, DataError
from tests.fakes.trainer_files import grey_image, load, write_image, write_image_folder
from tests.fakes.trainer_progress import RecordingProgress
from tests.fakes.trainer_projects import write_test_project
from trainer.progress import Silent
from trainer.settings import DataSection
from trainer.sources import image_folder
from trainer.sources.pinned import PinnedSource
from trainer.sources.uri import load_source

if TYPE_CHECKING:
    from pathlib import Path


def test_folders_are_classes_and_files_are_rows(tmp_path: Path) -> None:
    """Both by name; hidden files and papers beside the classes do not count."""
    folder = write_image_folder(tmp_path / "i", classes=("dog", "cat"))
    (folder / "cat" / ".DS_Store").write_bytes(b"x")
    (folder / "LICENSE").write_text("ours")
    data = load(tmp_path, "images:i")
    assert data.label_names == ("cat", "dog")
    assert data.labels_B.tolist() == [0] * 5 + [1] * 5
    assert data.inputs_B.shape == (10, 6, 4, 1)
    assert data.inputs_B.dtype == np.uint8
    assert data.inputs_B[:, 0, 0, 0].tolist() == [10, 11, 12, 13, 14, 0, 1, 2, 3, 4]


def test_images_take_the_size_and_channels_asked_for(tmp_path: Path) -> None:
    """Grey becomes RGB, large becomes small, and the other way round."""
    folder = write_image_folder(tmp_path / "i")
    write_image(folder / "cat" / "rgb.jpg", np.full((30, 20, 3), (200, 100, 50), np.uint8), quality=100)
    data = load(tmp_path, "images:i", image_size=(5, 7), channels=3)
    assert data.inputs_B.shape == (11, 5, 7, 3)
    assert data.inputs_B[5, 2, 2] == pytest.approx([200, 100, 50], abs=3)
    assert data.inputs_B[6, 2, 2].tolist() == [10, 10, 10]


def test_photos_are_turned_upright(tmp_path: Path) -> None:
    """A telephone writes how it was held into EXIF; a model on a device sees what is upright."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((8, 16), np.uint8)
    pixels[:, :8] = 255
    write_image(tmp_path / "i" / "a" / "0.jpg", pixels, exif=exif, quality=100)
    write_image(tmp_path / "i" / "b" / "0.png", grey_image(0, height=16, width=8))
    data = load(tmp_path, "images:i", image_size=(16, 8))
    assert data.inputs_B[0, 2, :, 0].min() > 200
    assert data.inputs_B[0, 13, :, 0].max() < 50


def test_every_broken_file_of_many_is_counted(tmp_path: Path) -> None:
    """Faults of files and of the folder together, with what is wrong with each; no array is given."""
    folder = write_image_folder(tmp_path / "i", each=20)
    (folder / "cat" / "00003.png").write_bytes(b"")
    (folder / "cat" / "00004.png").write_text("<html>not found</html>")
    whole = (folder / "dog" / "00001.png").read_bytes()
    (folder / "dog" / "00001.png").write_bytes(whole[: len(whole) // 2])
    write_image(folder / "dog" / "00002.png", grey_image(1, height=5))
    write_image(folder / "dog" / "00005.png", np.zeros((6, 4, 3), np.uint8))
    write_image(folder / "dog" / "00006.png", np.zeros((6, 4), np.uint16))
    (folder / "dog" / "00007.png").unlink()
    (folder / "dog" / "00007.png").symlink_to("00007.png")
    (folder / "dog" / "00008.png").unlink()
    (folder / "dog" / "00008.png").mkdir()
    with pytest.raises(DataError) as caught:
        load(tmp_path, "images:i")
    message = caught.value.message
    assert "got 8 faults" in message
    assert "dog/00007.png: got a symbolic link that leads back to itself" in message
    assert "dog/00008.png: got a folder, expected an image" in message
    assert "cat/00003.png: got an empty file, expected PNG or JPEG" in message
    assert "cat/00004.png: got no image that can be read" in message
    assert "dog/00001.png: got" in message
    assert "dog/00002.png: got 5 x 4 (height x width), expected 6 x 4" in message
    assert "dog/00005.png: got 3 channels, expected 1" in message
    assert "dog/00006.png: got mode I;16 (more than 8 bits a channel)" in message


def test_of_many_faults_of_one_kind_the_first_are_named(tmp_path: Path) -> None:
    """The rest of each kind is counted, so that one kind hides no other; it is the same where no file is whole."""
    folder = write_image_folder(tmp_path / "i", each=20)
    for index in range(8):
        (folder / "cat" / f"{index:05}.png").write_bytes(b"")
    (folder / "dog" / "gone.png").symlink_to("nowhere.png")
    with pytest.raises(DataError) as caught:
        load(tmp_path, "images:i")
    *named, rest = caught.value.message.splitlines()
    assert [line.split(":")[0].strip() for line in named[1:]] == [
        "dog/gone.png",
        *(f"cat/{i:05}.png" for i in range(5)),
    ]
    assert rest == "  and 3 more that are empty"
    for file in folder.rglob("0*.png"):
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"got 41 faults(.|\n)*and 35 more that are empty"):
        load(tmp_path, "images:i")


def test_a_pinned_source_tells_all_faults_of_a_folder(tmp_path: Path) -> None:
    """The look at each file before it is read does not stop at a link to nothing."""
    project = write_test_project(tmp_path)
    folder = write_image_folder(tmp_path / "i")
    (folder / "dog" / "gone.png").symlink_to("nowhere.png")
    (folder / "cat" / "00003.png").write_bytes(b"")
    section = msgspec.structs.replace(project.settings.data, source="images:i")
    project = replace(project, settings=msgspec.structs.replace(project.settings, data=section))
    with pytest.raises(DataError, match=r"got 2 faults(.|\n)*gone\.png: got a symbolic link to nothing"):
        PinnedSource(project).read(Silent())


def test_an_image_of_too_many_pixels_is_refused_unread(tmp_path: Path) -> None:
    """A small file may claim a picture of gigabytes."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    folder = write_image_folder(tmp_path / "i")
    (folder / "cat" / "bomb.png").write_bytes(png)
    with pytest.raises(DataError, match=r"cat/bomb\.png: got .*pixels"):
        load(tmp_path, "images:i")


def test_images_that_would_not_fit_are_refused(tmp_path: Path) -> None:
    """Before their array is made."""
    write_image_folder(tmp_path / "i")
    with pytest.raises(DataError, match="got 240 bytes in memory, expected at most 200"):
        load(tmp_path, "images:i", max_bytes=200)


def test_a_class_folder_may_be_a_link_and_loops_end(tmp_path: Path) -> None:
    """A link to a folder of images is a class; one that leads up the tree is refused, not followed for ever."""
    folder = write_image_folder(tmp_path / "i")
    (folder / "hound").symlink_to("dog")
    assert load(tmp_path, "images:i").label_names == ("cat", "dog", "hound")
    (folder / "up").symlink_to("..")
    with pytest.raises(DataError, match=r"up/i: got a folder, expected an image"):
        load(tmp_path, "images:i")
    (folder / "up").unlink()
    (folder / "self").symlink_to("self")
    with pytest.raises(DataError, match=r"self: got a symbolic link that leads back to itself"):
        load(tmp_path, "images:i")


def test_folders_that_are_no_classes_are_refused(tmp_path: Path) -> None:
    """Nothing is left out in silence."""
    folder = write_image_folder(tmp_path / "i")
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"class 'empty': got no image"):
        load(tmp_path, "images:i")
    (folder / "empty" / "notes.txt").write_text("none yet")
    with pytest.raises(DataError, match=r"empty/notes\.txt: expected a file that ends in \.png, \.jpg, \.jpeg"):
        load(tmp_path, "images:i")
    write_image(folder / "stray.png", grey_image(1))
    with pytest.raises(DataError, match=r"stray\.png: got an image beside the class folders"):
        load(tmp_path, "images:i")
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="got no folder in it"):
        load(tmp_path, "images:bare")
    with pytest.raises(DataError, match="got a file, expected a folder"):
        load(folder, "images:stray.png")


@pytest.mark.parametrize(
    ("settings", "words"), [({"channels": 2}, "channels: got 2"), ({"slices": "site"}, "an image folder has no such")]
)
def test_settings_that_images_do_not_have_are_refused(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    """A setting without effect would be a surprise later."""
    write_image_folder(tmp_path / "i")
    with pytest.raises(ConfigError, match=words):
        load(tmp_path, "images:i", **settings)


def test_long_readings_tell_how_far_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every so many files."""
    monkeypatch.setattr(image_folder, "BLOCK", 2)
    monkeypatch.setattr(image_folder, "TELL_EVERY", 2)
    write_image_folder(tmp_path / "i")
    progress = RecordingProgress()
    load_source(DataSection(source="images:i"), tmp_path, progress=progress)
    assert progress.remarks == ["read 4 of 10 images", "read 8 of 10 images"]
