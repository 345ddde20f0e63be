"""What is in scenes: numbers of shapes, colours, places, relations, drawn for many scenes at once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuwen.proof.worlds.scene import words

Ints = NDArray[np.int64]
MOST_OBJECTS = 3
RADII = ((3.5, 4.0), (5.0, 5.5), (7.0, 7.5), (10.5, 11.0))  # of small, medium, large objects and of those around others
AROUND = len(words.SIZES)
LEFT, RIGHT, ABOVE, BELOW, AROUND_IT, INSIDE = range(len(words.RELATIONS))


@dataclass
class Truth:
    """N scenes. Object 0 is the main one: the largest, and the one that gives a scene its name.

    Objects are (N, 3), those from `number` (N,) on are to be ignored; `centre` (N, 3, 2) is y, x in pixels of a scene
    32 wide, `radius` a row and column of `RADII` (N, 3, 2). `relation` (N, 2): of object 0 to 1, and of 2 to 0.
    Shapes differ within a scene, and so do colours.
    """

    number: Ints
    shape: Ints
    colour: Ints
    texture: Ints
    radius: Ints
    centre: Ints
    relation: Ints
    background: Ints
    style: Ints

    @property
    def size(self) -> Ints:
        """Number of each object's word for its size."""
        return np.minimum(self.radius[..., 0], len(words.SIZES) - 1)

    @property
    def concept(self) -> Ints:
        """Number of the scene's name."""
        return self.shape[:, 0] + len(words.SHAPES) * self.colour[:, 0]

    @property
    def concepts(self) -> Ints:
        """(N, 3): of every object, -1 where there is none."""
        there = np.arange(MOST_OBJECTS) < self.number[:, None]
        return np.where(there, self.shape + len(words.SHAPES) * self.colour, -1)

    def __len__(self) -> int:
        return len(self.number)

    def take(self, rows: Any) -> Truth:
        """These scenes."""
        return Truth(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})


def drawn(
    rng: np.random.Generator,
    number: int,
    *,
    objects: tuple[int, ...],
    styles: tuple[str, ...],
    zipf: float = 0.0,
    held_out: float | None = None,
    among: Ints = words.BY_FREQUENCY,
    smallest: str = words.SIZES[0],
) -> Truth:
    """So many scenes. `held_out`: share whose main object is a held-out combination; None is training, where neither
    a combination of the scene nor one that swaps two colours is held out. `among`: names of main objects that are not,
    the most frequent first. `smallest`: size that main objects have at least."""
    count = np.array(objects)[rng.integers(len(objects), size=number)]
    shape, colour = _objects(rng, count, zipf, held_out, among)
    relation, radius, centre = _layout(rng, count, words.SIZES.index(smallest))
    style = np.array([words.STYLES.index(each) for each in styles])
    return Truth(
        number=count,
        shape=shape,
        colour=colour,
        texture=rng.integers(len(words.TEXTURES), size=(number, MOST_OBJECTS)),
        radius=radius,
        centre=centre,
        relation=relation,
        background=rng.integers(len(words.BACKGROUNDS), size=number),
        style=style[rng.integers(len(style), size=number)],
    )


def _objects(
    rng: np.random.Generator, count: Ints, zipf: float, held_out: float | None, among: Ints
) -> tuple[Ints, Ints]:
    """Shapes and colours, each (N, 3), drawn again until all that has to differ does."""
    width = len(words.SHAPES)
    main_held = rng.random(len(count)) < (held_out or 0.0)
    held = np.flatnonzero(words.HELD_OUT)
    found = np.zeros((len(count), MOST_OBJECTS), np.int64)
    pending = np.arange(len(count))
    main = np.where(main_held, held[rng.integers(len(held), size=len(count))], _names(rng, among, zipf, len(count)))
    while len(pending):
        # The main object stays what it was drawn to be: only its company is drawn again.
        new = np.stack([main[pending], *(_company(rng, zipf, len(pending)) for _ in range(MOST_OBJECTS - 1))], 1)
        found[pending] = new
        shapes, colours = new % width, new // width
        many = count[pending]
        wrong = np.zeros(len(pending), bool)
        for one, two in ((0, 1), (0, 2), (1, 2)):
            equal = (shapes[:, one] == shapes[:, two]) | (colours[:, one] == colours[:, two])
            wrong |= equal & (many > two)
        if held_out is None:
            swapped = words.HELD_OUT[shapes[:, 0] + width * colours[:, 1]]
            swapped |= words.HELD_OUT[shapes[:, 1] + width * colours[:, 0]]
            wrong |= swapped & (many > 1)
        pending = pending[wrong]
    return found % width, found // width


def _names(rng: np.random.Generator, among: Ints, zipf: float, number: int) -> Ints:
    shares = np.arange(1, len(among) + 1) ** -float(zipf)
    ends = np.cumsum(shares / shares.sum())
    return among[np.minimum(np.searchsorted(ends, rng.random(number), "right"), len(among) - 1)]


def _company(rng: np.random.Generator, zipf: float, number: int) -> Ints:
    """Names of other objects: as frequent as names are, though one in ten is any, so that a steep Zipf world, where
    all but a few would be alike, can be drawn at all."""
    often, any_name = _names(rng, words.BY_FREQUENCY, zipf, number), rng.integers(len(words.SEEN), size=number)
    return np.where(rng.random(number) < 0.1, words.SEEN[any_name], often)


def _layout(rng: np.random.Generator, count: Ints, smallest: int) -> tuple[Ints, Ints, Ints]:
    """Relations (N, 2), radii (N, 3, 2) and centres (N, 3, 2).

    One object stands anywhere. Two stand side by side, or the second inside the first. Three: two side by side, and the
    third on one side of both. The main one is larger than the others.
    """
    number = len(count)
    relation = np.stack([rng.integers(5, size=number), np.zeros(number, np.int64)], 1)
    relation[:, 0] = np.where(count == 3, relation[:, 0] % 4, relation[:, 0])
    relation[:, 0][relation[:, 0] == 4] = AROUND_IT
    upright = relation[:, 0] >= ABOVE  # objects 0 and 1 stand over one another
    third = rng.integers(2, size=number)
    relation[:, 1] = np.where(upright, third, third + ABOVE)  # third: left or right of both, or above or below both
    around = (relation[:, 0] == AROUND_IT) & (count == 2)
    main_size = np.where(count == 1, rng.integers(3, size=number), 1 + rng.integers(2, size=number))
    main_size = np.maximum(main_size, smallest)
    main_size[around] = AROUND
    others = rng.integers(0, np.maximum(main_size, 1)[:, None], size=(number, 2))
    others[around] = 0
    size = np.concatenate([main_size[:, None], others], 1)
    radius = np.stack([size, rng.integers(2, size=(number, MOST_OBJECTS))], -1)
    reach = np.ceil([[max(each) for each in RADII]])[0].astype(np.int64)[size]  # half the room an object needs, pixels
    centre = np.stack([_along(rng, reach, count, relation, upright, axis) for axis in (0, 1)], -1)
    centre[around, 1] = centre[around, 0]
    return relation, radius, centre


def _along(
    rng: np.random.Generator, reach: Ints, count: Ints, relation: Ints, upright: NDArray[Any], axis: int
) -> Ints:
    """Centres of the objects along one axis, (N, 3), without overlap where they are said to stand apart."""
    side = 32
    free = rng.integers(reach, side - reach)  # anywhere
    found = free.copy()
    apart = upright if axis == 0 else ~upright
    apart = apart & (count > 1) & (relation[:, 0] != AROUND_IT)
    first_is_low = relation[:, 0] == (ABOVE if axis == 0 else LEFT)
    low = np.where(first_is_low, 0, 1)
    rows = np.arange(len(count))
    low_reach, high_reach = reach[rows, low], reach[rows, 1 - low]
    slack = side - 2 * (low_reach + high_reach)
    before, between = _split(rng, slack)
    placed_low = low_reach + before
    placed_high = placed_low + low_reach + between + high_reach
    found[:, 0] = np.where(apart, np.where(low == 0, placed_low, placed_high), found[:, 0])
    found[:, 1] = np.where(apart, np.where(low == 1, placed_low, placed_high), found[:, 1])
    # The third is apart from both along the other axis.
    crossed = (count == 3) & (upright if axis == 1 else ~upright)
    pair = np.maximum(reach[:, 0], reach[:, 1])
    slack = side - 2 * (pair + reach[:, 2])
    before, between = _split(rng, slack)
    third_low = relation[:, 1] == (ABOVE if axis == 0 else LEFT)
    third = np.where(third_low, reach[:, 2] + before, side - reach[:, 2] - before)
    both = np.where(third_low, side - pair - (slack - before - between), pair + (slack - before - between))
    found[:, 2] = np.where(crossed, third, found[:, 2])
    for each in (0, 1):
        found[:, each] = np.where(crossed, both, found[:, each])
    return found


def _split(rng: np.random.Generator, slack: Ints) -> tuple[Ints, Ints]:
    """Room before the first and between both, of what is left."""
    before = rng.integers(0, slack + 1)
    return before, rng.integers(0, slack - before + 1)


def place_of(centre: Ints) -> tuple[Ints, Ints]:
    """Row and column of `PLACES` for centres (…, 2)."""
    third = (centre >= 13).astype(np.int64) + (centre >= 20)
    return third[..., 0], third[..., 1]
