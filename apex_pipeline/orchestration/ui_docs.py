"""Serves our pages beside Dagster's, so that the links of assets lead somewhere on a machine without a network."""

import re
from html import escape
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from apex_pipeline.orchestration.catalogue import PROJECT_AT
from apex_pipeline.settings import PROJECT_DIR

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root { color-scheme: light dark; font: 16px/1.55 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; display: block; overflow-x: auto }
th, td { border: 1px solid color-mix(in srgb, currentcolor 25%, transparent); padding: .3rem .6rem; text-align: left }
pre { padding: .8rem; overflow-x: auto; background: color-mix(in srgb, currentcolor 8%, transparent) }
code { font-size: .9em }
"""
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def docs_route(project: Path = PROJECT_DIR) -> Route:
    """The pages of a project as HTML, each at its own place, so that their links lead to one another."""

    async def page(request: Request) -> HTMLResponse:
        text = text_of(project, request.path_params["page"])
        return HTMLResponse(as_html(text), headers={"content-security-policy": POLICY})

    return Route(f"{PROJECT_AT}{{page:path}}", page)


def text_of(project: Path, page: str) -> str:
    """The Markdown of a page at the top or below docs/; HTTPException 404 for all else."""
    path = (project / page).resolve()
    is_page = path.suffix == ".md" and (path.parent == project or path.is_relative_to(project / "docs"))
    if not is_page or not path.is_file():
        raise HTTPException(404, "no such page")
    return path.read_text("utf-8")


def as_html(text: str) -> str:
    """A page that asks for nothing else; its headings have the ids that links name, as GitHub makes them."""
    tokens = _MARKDOWN.parse(text)
    for opening, heading in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", re.sub(r"[^\w\- ]", "", heading.content.lower()).replace(" ", "-"))
    body = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    title = escape(text.partition("\n")[0].lstrip("# "))
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    return f'<!doctype html><html lang="en">{head}<style>{STYLE}</style><main>{body}</main></html>'
