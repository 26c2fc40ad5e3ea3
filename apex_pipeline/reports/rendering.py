"""The report as one page that needs nothing else: style, script and drawings are in it, and it asks for nothing more.

Its own policy forbids everything but the style and the script that were put in here, by their hashes.
"""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, select_autoescape
from markupsafe import Markup

from apex_pipeline.reports.contents import Report, Section
from apex_pipeline.reports.figures import Drawing, Figure
from apex_pipeline.reports.files import private_folder, replacing
from apex_pipeline.reports.markup import shown
from apex_pipeline.reports.tables import ReportTable

FOOT = (
    "Made by APEX Pipeline. This page loads nothing from anywhere. Instants are on your display clock, dates the "
    "exchange's own. "
)
OWNED = "It shows your account numbers; `apex report --anonymize` writes one without them."
ANONYMOUS = "Names stand in place of your account numbers; ids of orders and what a broker wrote are as they were."


def page(report: Report) -> str:
    """The report as HTML."""
    style, script = style_of_page(), _part("page.js")
    template = _environment().from_string(_part("page.html.j2"))
    return template.render(
        title=report.title,
        subtitle=report.subtitle,
        foot=_with_commands(FOOT + (ANONYMOUS if report.is_anonymous else OWNED)),
        policy=policy(style, script),
        style=style,
        script=script,
        sections=[_section(section) for section in report.sections],
    )


def page_of_tables(tables: Sequence[ReportTable]) -> str:
    """A page of tables alone, as they are told to their reader."""
    return page(Report("APEX report", "", (Section("tables", "Tables", tables=tuple(tables)),)))


def policy(style: str, script: str) -> str:
    """What the page may do: nothing but this style, this script and the icon that it carries."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def style_of_page() -> str:
    """The style: colours of both themes, the page, the drawings."""
    light, dark = _part("light.css"), _part("dark.css")
    themes = (
        f":root {{ color-scheme: light dark;\n{light}}}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{\n{dark}}} }}\n"
        f":root[data-theme=dark] {{ color-scheme: dark;\n{dark}}}\n:root[data-theme=light] {{ color-scheme: light; }}\n"
        f"@media print {{ :root, :root[data-theme] {{ color-scheme: light;\n{light}}} }}\n"
    )
    return f"{themes}{_part('page.css')}{_part('plots.css')}"


def picture(figure: Figure, width: int = 900) -> str:
    """A figure as an SVG file of its own, in light colours on white, with its legend."""
    top = 0
    parts: list[str] = []
    for n, name in enumerate(figure.legend if len(figure.legend) > 1 else ()):
        left, top = n % 4 * width // 4, n // 4 * 18 + 14
        parts.append(f'<rect class="part s{n % 8}" x="{left}" y="{top - 9}" width="12" height="10"/>')
        parts.append(f'<text class="name" x="{left + 18}" y="{top}">{escape(name)}</text>')
    top += 10
    for drawing in figure.drawings:
        parts.append(f'<text class="name" x="0" y="{top + 12}">{escape(drawing.title)}</text>')
        parts.append(f'<svg x="0" y="{top + 18}" width="{width}" height="{_height(drawing)}">{drawing.svg}</svg>')
        top += 18 + _height(drawing)
    style = f"svg {{\n{_part('light.css')}}}\n{_part('plots.css')}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="-12 0 {width + 24} {top + 8}" '
        f'width="{width + 24}" height="{top + 8}"><style>{style}</style>'
        f'<rect x="-12" width="{width + 24}" height="{top + 8}" fill="#ffffff"/>{"".join(parts)}</svg>'
    )


def picture_in_markdown(figure: Figure) -> str:
    """A figure as an image that Markdown carries in itself; the words for those who do not see it come with it."""
    data = b64encode(picture(figure).encode()).decode()
    words = " ".join(figure.title.replace("[", "(").replace("]", ")").split())
    return f"![{words}](data:image/svg+xml;base64,{data})"


def _height(drawing: Drawing) -> int:
    return int(drawing.svg.partition(' height="')[2].partition('"')[0])


def _section(section: Section) -> dict[str, Any]:
    return {
        "name": section.name,
        "title": section.title,
        "intro": _with_commands(section.intro),
        "tiles": section.tiles,
        "calendar": section.name == "coverage" and bool(section.figures),
        "figures": [_figure(figure) for figure in section.figures],
        "tables": [shown(table) for table in section.tables],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "title": figure.title,
        "kind": "lines" if 'class="plot lines"' in figure.drawings[0].svg else "parts",
        "drawings": figure.drawings,
        "legend": figure.legend,
        "note": figure.note,
        "shown": shown(figure.table),
    }


def _with_commands(text: str) -> Markup:
    """Words between backticks are code."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


def _environment() -> Environment:
    return Environment(
        autoescape=select_autoescape(default=True, default_for_string=True), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _part(name: str) -> str:
    return files("apex_pipeline.reports").joinpath("page", name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def write_page(report: Report, folder: Path) -> Path:
    """Write `report.html` below a folder, which is created."""
    path = private_folder(folder) / "report.html"
    with replacing(path) as new:
        new.write_text(page(report), "utf-8")
    return path
