"""A waterfall of one trace as plain SVG: a lane for each branch, a row for each activity, calls to vendors inside."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from local.traces.receiver import Span

LEFT, RIGHT, WIDTH = 250, 70, 1180
ROW, HEAD, GAP, TOP = 17, 22, 8, 96
FONT = 'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif"'
COLOURS = {"http": "#4c78a8", "step": "#54a24b", "wait": "#d9d9d9", "call": "#1f4e1a", "failed": "#d62728"}
PEOPLE, ATTEMPT = "people at the API", "attempt"
TIMES = "\N{MULTIPLICATION SIGN}"
LEGEND = (
    ("http", "call of the API"),
    ("step", "activity"),
    ("call", "call to a vendor"),
    ("failed", "cut off or failed"),
)


@dataclass
class Row:
    """All spans of one name in a lane, and the vendors' calls below them."""

    bars: list[Span] = field(default_factory=list)
    calls: list[Span] = field(default_factory=list)


@dataclass
class Lane:
    """A branch of the run: from its first to its last row."""

    name: str
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def start(self) -> float:
        return min(bar.start for row in self.rows.values() for bar in row.bars)


def lanes_of(spans: Iterable[Span]) -> list[Lane]:
    """Sort the spans of a trace into lanes, in the order in which they begin."""
    every = list(spans)
    known = {span.span_id: span for span in every}
    lanes: dict[str, Lane] = {}
    calls = [span for span in every if "appstore.operation" in span.attributes]
    for span in every:
        if "appstore.operation" not in span.attributes and not _frame(span):
            name = _lane(span)
            lanes.setdefault(name, Lane(name)).rows.setdefault(span.name, Row()).bars.append(span)
    for call in calls:
        row = _row_of(call, known, lanes)
        if row:
            row.calls.append(call)
    return sorted(lanes.values(), key=lambda lane: (lane.name != PEOPLE, lane.start))


def _frame(span: Span) -> bool:
    """The attempt itself and its branches: the lanes are their picture."""
    return (
        "appstore.step" not in span.attributes
        and "http.route" not in span.attributes
        and span.name != "wait for approval"
    )


def _lane(span: Span) -> str:
    if "http.route" in span.attributes:
        return PEOPLE
    branch = str(span.attributes.get("appstore.branch", "request"))
    if branch in ("request", "approval"):
        return ATTEMPT
    return f"{branch} {span.attributes.get('appstore.environment', '')}".strip()


def _row_of(call: Span, known: dict[str, Span], lanes: dict[str, Lane]) -> Row | None:
    """The row of the activity that made the call: its parent, or the reading one that ran at that time."""
    parent = known.get(call.parent_id)
    if parent and not _frame(parent):
        return lanes[_lane(parent)].rows[parent.name]
    for lane in lanes.values():
        row = lane.rows.get(str(call.attributes.get("appstore.step")))
        if row and any(bar.start <= call.start <= bar.end for bar in row.bars):
            return row
    return None


def picture(title: str, spans: list[Span], killed: float, back: float) -> str:
    """Draw the trace.

    Args:
        title: what was done.
        spans: all of one trace.
        killed: when the host was killed, in seconds since the epoch.
        back: when it answered again.
    """
    lanes = lanes_of(spans)
    begin, end = min(span.start for span in spans), max(span.end for span in spans)
    scale = (WIDTH - LEFT - RIGHT) / (end - begin)
    body: list[str] = []
    y = TOP
    for lane in lanes:
        body.append(f'<rect x="8" y="{y}" width="{WIDTH - 16}" height="{HEAD - 4}" fill="#f2f4f7"/>')
        body.append(_text(14, y + 13, lane.name, weight=600))
        y += HEAD
        for name, row in lane.rows.items():
            body.append(_text(22, y + 12, name if len(row.bars) == 1 else f"{name} {TIMES}{len(row.bars)}"))
            body += _bars(row, y, begin, scale)
            y += ROW
        y += GAP
    height = y + 18
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {FONT}>'
    seconds = f"{end - begin:.1f} s, {len(spans)} spans, one trace: {spans[0].trace_id}"
    parts = [head, f"<title>{escape(title)}</title>", f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>']
    parts += [_text(14, 24, title, size=16, weight=600), _text(14, 44, seconds, colour="#555555")]
    parts += [*_legend(), *_axis(begin, end, scale, height)]
    restart = _restart(killed - begin, back - begin, scale, height)
    return "\n".join([*parts, *body, *restart, "</svg>"]) + "\n"


def _bars(row: Row, y: int, begin: float, scale: float) -> Iterator[str]:
    for bar in row.bars:
        x, width = LEFT + (bar.start - begin) * scale, max((bar.end - bar.start) * scale, 1.5)
        kind = "http" if "http.route" in bar.attributes else "wait" if bar.name == "wait for approval" else "step"
        colour = COLOURS["failed" if bar.error else kind]
        note = f"{bar.name}: {bar.end - bar.start:.3f} s {bar.error}".strip()
        faint = ' fill-opacity="0.35"' if bar.error else ""
        yield f'<rect x="{x:.1f}" y="{y + 2}" width="{width:.1f}" height="{ROW - 5}" rx="2" fill="{colour}"{faint}>'
        yield f"<title>{escape(note)}</title></rect>"
    last = max(row.bars, key=lambda bar: bar.end)
    if last.end - last.start >= 0.05:
        place = min(LEFT + (last.end - begin) * scale + 5, WIDTH - RIGHT + 6)
        words = "cut off" if last.error == "interrupted" else f"{last.end - last.start:.1f} s"
        yield _text(place, y + 12, words, colour="#555555", size=10)
    for call in row.calls:
        x, width = LEFT + (call.start - begin) * scale, max((call.end - call.start) * scale, 1.0)
        colour = COLOURS["failed" if call.error else "call"]
        yield f'<rect x="{x:.1f}" y="{y + 9}" width="{width:.1f}" height="4" fill="{colour}">'
        yield f"<title>{escape(f'{call.name}: {call.end - call.start:.3f} s {call.error}'.strip())}</title></rect>"


def _axis(begin: float, end: float, scale: float, height: int) -> Iterator[str]:
    step = next(step for step in (0.5, 1, 2, 5, 10, 20, 50, 100) if (end - begin) / step <= 14)
    ticks = 0
    while ticks * step <= end - begin:
        x = LEFT + ticks * step * scale
        yield f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height - 12}" stroke="#e3e6ea"/>'
        yield _text(x, TOP - 12, f"{ticks * step:g} s", colour="#777777", size=10, anchor="middle")
        ticks += 1


def _restart(killed: float, back: float, scale: float, height: int) -> Iterator[str]:
    x, until = LEFT + killed * scale, LEFT + back * scale
    place = f'x="{x:.1f}" y="{TOP - 6}" width="{until - x:.1f}" height="{height - TOP - 6}"'
    yield f'<rect {place} fill="#d62728" fill-opacity="0.10"/>'
    for edge in (x, until):
        ends = f'x1="{edge:.1f}" y1="{TOP - 30}" x2="{edge:.1f}" y2="{height - 12}"'
        yield f'<line {ends} stroke="#d62728" stroke-dasharray="4 3"/>'
    yield _text(x - 4, TOP - 28, "host killed (kill -9)", colour="#d62728", anchor="end")
    yield _text(until + 4, TOP - 28, f"up again after {back - killed:.1f} s", colour="#d62728")


def _legend() -> Iterator[str]:
    x = WIDTH - 16 - len(LEGEND) * 130
    for number, (kind, words) in enumerate(LEGEND):
        place = x + number * 130
        faint = ' fill-opacity="0.35"' if kind == "failed" else ""
        yield f'<rect x="{place}" y="34" width="12" height="12" rx="2" fill="{COLOURS[kind]}"{faint}/>'
        yield _text(place + 17, 44, words)


def _text(
    x: float, y: float, words: str, *, colour: str = "#1f2933", size: int = 11, weight: int = 400, anchor: str = "start"
) -> str:
    style = f'font-size="{size}" font-weight="{weight}" fill="{colour}" text-anchor="{anchor}"'
    halo = 'stroke="#ffffff" stroke-width="3" paint-order="stroke"' if size < 11 else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" {style} {halo}>{escape(words)}</text>'
