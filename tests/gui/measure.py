"""Measures what is drawn: millimetres, points, contrast, clipping.

Place in the flow: tests/gui only; test_pages asks it about every page.

* A millimetre here is the design millimetre of the window's `Theme.unit`, which is never larger
  than what its real screen can hold.
* Contrast is that of WCAG 2.2 (1.4.6, enhanced: 7:1), between a text's own colour and the pixels
  that were painted around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QObject, QPointF, QRectF
from PySide6.QtGui import QColor, QImage
from PySide6.QtQml import QQmlEngine, QQmlExpression

from tests.gui.pilot import drawn_items, is_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PySide6.QtQuick import QQuickItem

    from kiosk_app.shell import Shell

MM_PER_POINT = 25.4 / 72
ROUNDING_PX = 1.0
RIGHT, CENTRED = 2, 4


class Control(NamedTuple):
    """Something that can be touched."""

    name: str
    area: QRectF


def unit(shell: Shell, side: str) -> float:
    """Returns the pixels of a design millimetre in a window."""
    theme = shell.engine(side).singletonInstance("Lastmile", "Theme")
    assert isinstance(theme, QObject)
    return float(theme.property("unit"))


def scene_area(item: QQuickItem) -> QRectF:
    """Returns where an item lies in its window."""
    return item.mapRectToScene(QRectF(0, 0, item.width(), item.height()))


def controls(shell: Shell, side: str) -> list[Control]:
    """Returns everything that can be touched on a side, with where it is."""
    root = shell.windows[side].contentItem()
    return [
        Control(item.objectName(), scene_area(item))
        for item in drawn_items(root)
        if item.inherits("QQuickAbstractButton")
    ]


def gap(first: QRectF, second: QRectF) -> float:
    """Returns the distance between two areas along the axis on which they are apart."""
    across = max(first.left(), second.left()) - min(first.right(), second.right())
    down = max(first.top(), second.top()) - min(first.bottom(), second.bottom())
    return max(across, down)


def labels(shell: Shell, side: str) -> Iterator[QQuickItem]:
    """Yields every text that is drawn and not empty."""
    root = shell.windows[side].contentItem()
    for item in drawn_items(root):
        if is_text(item) and str(item.property("text")):
            yield item


def points(item: QQuickItem, unit_px: float) -> float:
    """Returns the size at which a text is drawn, in points of the design millimetre."""
    size = _evaluate(item, "fontInfo.pixelSize")
    return size / unit_px / MM_PER_POINT


def clipped(item: QQuickItem, window: QRectF) -> str:
    """Says how a text is cut: elided, wider than its own or an ancestor's room, off the window."""
    if item.property("truncated"):
        return "is elided"
    if float(item.property("contentWidth")) > item.width() + ROUNDING_PX:
        return f"needs {item.property('contentWidth'):.0f} px of {item.width():.0f}"
    area = scene_area(item)
    if not window.adjusted(-1, -1, 1, 1).contains(area):
        return f"leaves the window at {area.getRect()}"
    holder = item.parentItem()
    while holder is not None:
        if holder.property("interactive"):
            break
        room = scene_area(holder).adjusted(-1, -1, 1, 1)
        cuts = holder.clip() or holder.inherits("QQuickAbstractButton")
        if cuts and not room.contains(area):
            return f"leaves {holder.objectName() or 'what holds it'}"
        holder = holder.parentItem()
    return ""


def overlaps(first: QQuickItem, second: QQuickItem) -> bool:
    """Tells whether the ink rooms of two texts run into each other."""
    common = _ink(first).intersected(_ink(second))
    return common.width() > 2 and common.height() > 0.25 * min(first.height(), second.height())


def _ink(item: QQuickItem) -> QRectF:
    wide, high = float(item.property("contentWidth")), float(item.property("contentHeight"))
    spare = item.width() - wide
    left = {CENTRED: spare / 2, RIGHT: spare}.get(int(_evaluate(item, "horizontalAlignment")), 0.0)
    corner = item.mapToScene(QPointF(left, (item.height() - high) / 2))
    return QRectF(corner.x(), corner.y(), wide, high)


def _evaluate(item: QQuickItem, expression: str) -> float:
    """Returns what QML says a number of an item is; Python has no converter for some of them."""
    context = QQmlEngine.contextForObject(item)
    return float(QQmlExpression(context, item, expression).evaluate()[0])


# ------------------------------------------------------------ contrast
def contrast(first: QColor, second: QColor) -> float:
    """Returns the contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: QColor) -> float:
    channels = (colour.redF(), colour.greenF(), colour.blueF())
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ground(item: QQuickItem, picture: QImage) -> QColor:
    """Returns the colour that most of the painted pixels in a text's room have."""
    area = scene_area(item).toAlignedRect().intersected(picture.rect())
    counted: dict[int, int] = {}
    for y in range(area.top(), area.bottom() + 1, 2):
        for x in range(area.left(), area.right() + 1, 2):
            pixel = picture.pixel(x, y)
            counted[pixel] = counted.get(pixel, 0) + 1
    ink = item.property("color").rgb()
    others = {pixel: count for pixel, count in counted.items() if pixel != ink}
    return QColor(max(others, key=lambda pixel: others[pixel]))
