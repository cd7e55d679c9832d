"""Line charts as SVG, drawn with the colours of the page, so that they follow its dark mode."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from matplotlib.ticker import MaxNLocator

WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 34
"""Margins of the axes; the unit is a pixel on a phone."""
MAX_POINTS = 300
"""Longer curves are drawn as means of as many parts."""
MAX_MARKERS = 40
"""Curves with at most as many points have markers that show their values."""
MIN_RANGE = 0.05
"""Least range of an axis, as a share of its greatest value: less is noise, and its ticks would all be one number."""
COLORS = 8
DASHES = ("", "6 3", "2 2", "8 2 2 2")


@dataclass(frozen=True)
class Curve:
    """A curve of a chart; points that are not finite are left out."""

    label: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    """Lower edge of the band around the curve, whose upper edge is `high`; None: no band."""
    high: np.ndarray | None = None
    number: int = 0
    """Number of its colour and dashes."""
    is_reference: bool = False
    """Drawn in grey, e.g. the paper's."""
    is_thin: bool = False
    """One of many."""

    def finite(self) -> "Curve":
        """Returns the curve without points that are not finite, and with at most `MAX_POINTS`."""
        kept = np.isfinite(self.x) & np.isfinite(self.y)
        arrays = [None if array is None else _means(array[kept]) for array in (self.x, self.y, self.low, self.high)]
        x, y, low, high = arrays
        assert x is not None and y is not None
        return Curve(self.label, x, y, low, high, self.number, self.is_reference, self.is_thin)


def _means(values: np.ndarray) -> np.ndarray:
    if len(values) <= MAX_POINTS:
        return values.astype(float)
    return np.array([part.mean() for part in np.array_split(values.astype(float), MAX_POINTS)])


@dataclass(frozen=True)
class Axis:
    """A linear axis from data to pixels."""

    ticks: Sequence[float]
    low: float
    high: float
    begin: float
    end: float

    def __call__(self, values: np.ndarray | float) -> np.ndarray:
        share = (np.asarray(values, float) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)


def _axis(values: np.ndarray, begin: float, end: float, ticks: int, tight: bool) -> Axis:
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - max(1.0, abs(low)) / 2, high + max(1.0, abs(high)) / 2
    missing = MIN_RANGE * max(abs(low), abs(high)) - (high - low)
    if missing > 0:
        low, high = low - missing / 2, high + missing / 2
    found = MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    if not tight:
        low, high = float(found[0]), float(found[-1])
    return Axis([tick for tick in found if low - 1e-9 * (high - low) <= tick <= high], low, high, begin, end)


def short(value: float) -> str:
    """A number in few characters: 1.5M, 20k, 0.25, 7e-04."""
    if value and abs(value) < 1e-3:
        return f"{value:.0e}" if math.isclose(float(f"{value:.0e}"), value) else f"{value:.2g}"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):.4g}{unit}"
    return f"{value:.4g}"


def line_chart(title: str, x_label: str, curves: Sequence[Curve]) -> str:
    """An SVG of these curves, with an alternative text; a line of text if they have no points."""
    curves = [curve for curve in (curve.finite() for curve in curves) if len(curve.x)]
    if not curves:
        return f'<p class="empty" role="img" aria-label="{escape(title)}: no values">no values</p>'
    x_axis = _axis(np.concatenate([np.zeros(1), *(curve.x for curve in curves)]), LEFT, WIDTH - RIGHT, 5, tight=True)
    heights = [part for curve in curves for part in (curve.y, curve.low, curve.high) if part is not None]
    finite = np.concatenate(heights)
    y_axis = _axis(finite[np.isfinite(finite)], HEIGHT - BOTTOM, TOP, 5, tight=False)
    parts = [*_grid(x_axis, y_axis, x_label), *(_drawn(curve, x_axis, y_axis) for curve in curves)]
    text = escape(f"{title} over {x_label}: {'; '.join(_described(curve) for curve in curves)}")
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text}">{"".join(parts)}</svg>'


def _described(curve: Curve) -> str:
    y = curve.y
    if curve.is_thin:
        return f"{curve.label} last {short(y[-1])}"
    return (
        f"{curve.label} begins at {short(y[0])} and ends at {short(y[-1])}, between {short(y.min())} and "
        f"{short(y.max())}"
    )


def _grid(x_axis: Axis, y_axis: Axis, x_label: str) -> list[str]:
    parts = []
    for tick, at in zip(y_axis.ticks, y_axis(np.array(y_axis.ticks)), strict=True):
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{at + 3.5:.1f}" text-anchor="end">{short(float(tick))}</text>')
    for tick, at in zip(x_axis.ticks, x_axis(np.array(x_axis.ticks)), strict=True):
        parts.append(f'<path class="grid" d="M{at:.1f} {HEIGHT - BOTTOM}v4"/>')
        anchor = "end" if at > WIDTH - 3 * RIGHT else "middle"
        x = min(at, WIDTH - 2)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="{anchor}">{short(float(tick))}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:g}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>')
    return parts


def _drawn(curve: Curve, x_axis: Axis, y_axis: Axis) -> str:
    kind, dashes = style_of(curve)
    x, y = x_axis(curve.x), y_axis(curve.y)
    parts = []
    if curve.low is not None and curve.high is not None and len(x) > 1:
        outline = [*zip(x, y_axis(curve.high), strict=True), *zip(x[::-1], y_axis(curve.low)[::-1], strict=True)]
        whole = [(a, b) for a, b in outline if math.isfinite(b)]
        parts.append(f'<path class="band {kind}" d="{_path(whole)}Z"/>')
    parts.append(f'<path class="curve {kind}"{dashes} d="{_path(list(zip(x, y, strict=True)))}"/>')
    if len(x) <= MAX_MARKERS and not curve.is_thin:
        for at_x, at_y, value_x, value_y in zip(x, y, curve.x, curve.y, strict=True):
            title = escape(f"{curve.label}: {value_y:.6g} at {short(float(value_x))}")
            parts.append(
                f'<circle class="{kind}" cx="{at_x:.1f}" cy="{at_y:.1f}" r="2.2"><title>{title}</title></circle>'
            )
    return "".join(parts)


def style_of(curve: Curve) -> tuple[str, str]:
    """The class of a curve, and its dashes as an attribute."""
    if curve.is_reference:
        return "reference", ' stroke-dasharray="4 3"'
    dash = DASHES[curve.number // COLORS % len(DASHES)]
    kind = f"c{curve.number % COLORS}{' thin' if curve.is_thin else ''}"
    return kind, f' stroke-dasharray="{dash}"' if dash else ""


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
