"""Our pages beside Dagster's: every link of an asset leads to one, and to nothing else on the machine."""

from pathlib import Path

import pytest
from starlette.exceptions import HTTPException

from apex_pipeline.orchestration.assets import ASSETS
from apex_pipeline.orchestration.catalogue import PAGES_AT, PROJECT_AT, page_of
from apex_pipeline.orchestration.ui_docs import as_html, text_of
from apex_pipeline.settings import PROJECT_DIR


def test_every_asset_has_its_page() -> None:
    specs = [spec for asset in ASSETS for spec in asset.specs]
    pages = {page_of(spec.key.to_user_string(), str(spec.group_name)) for spec in specs}
    assert all(text_of(PROJECT_DIR, f"{PAGES_AT.removeprefix(PROJECT_AT)}{page}").startswith("# ") for page in pages)
    assert all(f"]({PAGES_AT}" in (spec.description or "") for spec in specs)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / ".venv").mkdir()
    for name in ("README.md", "docs/a.md", ".venv/b.md", "apex.yaml", "docs/c.txt"):
        (tmp_path / name).write_text(f"# {name}", "utf-8")
    (tmp_path / "docs" / "link.md").symlink_to(tmp_path / "apex.yaml")
    return tmp_path


@pytest.mark.parametrize("page", ["README.md", "docs/a.md", "docs/../README.md"])
def test_pages_are_served(project: Path, page: str) -> None:
    assert text_of(project, page).startswith("# ")


@pytest.mark.parametrize(
    "page",
    ["apex.yaml", "docs/c.txt", ".venv/b.md", "docs/link.md", "docs", "", "../x.md", "/etc/passwd", "docs/no.md"],
)
def test_nothing_else_is_served(project: Path, page: str) -> None:
    with pytest.raises(HTTPException) as refused:
        text_of(project, page)
    assert refused.value.status_code == 404


def test_headings_can_be_linked_and_markup_of_a_page_is_text() -> None:
    html = as_html(
        "# The <i>page</i>\n\n## What it's for, `really`\n\n| a | b |\n|---|---|\n| 1 | <script>x</script> |\n"
    )
    assert '<h2 id="what-its-for-really">' in html
    assert "<td>1</td>" in html
    assert "<script" not in html
    assert "<title>The &lt;i&gt;page&lt;/i&gt;</title>" in html
