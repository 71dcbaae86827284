"""scikit-image's bundled photographs as Pins: file names and plain captions; nothing is fetched."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path

from baserate.terms.errors import EngineError

PREFIX = "skimage:"


@dataclass(frozen=True)
class Photo:
    """One photograph that ships inside scikit-image's wheel (package ``skimage.data``)."""

    file: str
    title: str
    caption: str

    def image_ref(self) -> str:
        """How logging tables refer to it, e.g. ``skimage:coffee.png``."""
        return PREFIX + self.file


PHOTOS = (
    Photo("astronaut.png", "Portrait of an astronaut", "orange suit, flag and a model shuttle"),
    Photo("brick.png", "Brick wall", "even rows of brick in soft light"),
    Photo("camera.png", "Photographer with a tripod", "black coat, open lawn, classic frame"),
    Photo("cell.png", "A single cell", "one round cell under the microscope"),
    Photo("chelsea.png", "Ginger cat", "a tabby looking straight at the camera"),
    Photo("clock_motion.png", "Clock in motion", "a round wall clock, blurred by movement"),
    Photo("coffee.png", "Cup of coffee", "espresso in a white cup on a wooden table"),
    Photo("coins.png", "Old coins", "a grid of worn coins on a dark cloth"),
    Photo("color.png", "Colour wheel", "all hues around one circle"),
    Photo("grass.png", "Grass", "close view of a dense lawn"),
    Photo("gravel.png", "Gravel path", "grey pebbles, seen from above"),
    Photo("horse.png", "Horse silhouette", "the outline of a horse, black on white"),
    Photo("hubble_deep_field.jpg", "Deep field of galaxies", "thousands of galaxies in the dark"),
    Photo("ihc.png", "Stained tissue", "brown and blue stains on a slide"),
    Photo("logo.png", "Painted logo", "a round logo in bright colours"),
    Photo("microaneurysms.png", "Small vessels", "fine vessels in pale green"),
    Photo("moon.png", "Moon surface", "craters and long shadows"),
    Photo("motorcycle_left.png", "Motorcycle in a garage", "a parked motorcycle among tools"),
    Photo("page.png", "Scanned page", "a page of a printed book, a little bent"),
    Photo("phantom.png", "Head phantom", "grey ellipses on black"),
    Photo("retina.jpg", "Retina", "a retina in warm orange"),
    Photo("rocket.jpg", "Rocket at launch", "a rocket rising on a bright plume"),
    Photo("text.png", "Printed text", "a few words of a printed sentence"),
)


#: Folder of a replay that the photographs are copied to.
FOLDER = "photos"


def copy_photos(out: Path) -> bool:
    """Copy the photographs into a replay's folder; False where scikit-image is not installed."""
    if find_spec("skimage") is None or find_spec("PIL") is None:
        return False
    (out / FOLDER).mkdir(parents=True)
    for photo in PHOTOS:
        shutil.copyfile(photo_path(photo.image_ref()), out / FOLDER / photo.file)
    return True


def photo_path(image_ref: str) -> Path:
    """The file that an ``image_ref`` of a replay means, inside the installed scikit-image.

    Raises:
        EngineError: If scikit-image is not installed or has no such file.
    """
    name = image_ref.removeprefix(PREFIX)
    try:
        with as_file(files("skimage.data") / name) as path:
            if path.is_file() and Path(name).name == name:
                return path
    except ModuleNotFoundError:
        pass
    raise EngineError(
        "the photograph is not there",
        code="no_photograph",
        got=image_ref,
        hint="install baserate[demo], which brings scikit-image",
    )
