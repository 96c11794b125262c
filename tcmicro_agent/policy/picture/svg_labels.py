"""Where the labels of edges go: on their edge, and over nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

HEIGHT = 16.0

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom


def free_place(points: Sequence[Point], width: float, taken: list[Box]) -> Point:
    """The first place on the curves that overlaps nothing, else the middle; it is taken then."""
    places = list(_places(points))
    found = next((p for p in places if not _hits(box_around(p, width), taken)), places[0])
    taken.append(box_around(found, width))
    return found


def _places(points: Sequence[Point]) -> Iterator[Point]:
    if len(points) == 3:
        x, y = points[1]
        yield from ((x + step, y) for step in (0, 40, -40))
        return
    curves = list(zip(points, points[1:]))[::2]
    for share in (0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78):
        for (x, y), (far, end) in curves:
            ease = share * share * (3 - 2 * share)
            yield x + (far - x) * share, y + (end - y) * ease


def box_around(point: Point, width: float) -> Box:
    x, y = point
    return x - width / 2, y - HEIGHT / 2, x + width / 2, y + HEIGHT / 2


def _hits(box: Box, taken: Sequence[Box]) -> bool:
    return any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
        for other in taken
    )
