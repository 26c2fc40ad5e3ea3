"""The documents as data: pages, their headings, links, commands, variables, and the messages that they quote."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from apex_pipeline.settings import PROJECT_DIR

HOLE = "…"
PAGES = sorted([*PROJECT_DIR.glob("*.md"), *PROJECT_DIR.glob("docs/**/*.md"), *PROJECT_DIR.glob("examples/*.md")])
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
VARIABLE = re.compile(r"\b((?:APEX|FUTU|IB)_[A-Z][A-Z_]*[A-Z_])(…?)(?![\w{])")
COMMAND = re.compile(r"^\s*(?:[$] )?(?:[A-Z_]+=\S* )*(?:\S*/)?apex ((?:[a-z]|--).*)")


@cache
def text_of(page: Path) -> str:
    return page.read_text("utf-8")


def prose(text: str) -> str:
    """The text without fenced blocks."""
    return FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """What links may name on a page, as GitHub makes it of headings."""
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title) for title in HEADING.findall(FENCE.sub("", text)))
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in plain}


def links(text: str) -> list[str]:
    """Links within the project."""
    return [link for link in LINK.findall(FENCE.sub("", text)) if not re.match(r"[a-z]+:", link)]


def commands(text: str) -> list[str]:
    """What stands after `apex` in code, up to a remark."""
    lines = [*SPAN.findall(FENCE.sub("", text).replace("\\|", "|"))]
    lines += [line for _, block in FENCE.findall(text) for line in block.splitlines()]
    found = (COMMAND.search(line.split(" #")[0]) for line in lines)
    return [each[1].strip() for each in found if each]


def variables(text: str) -> set[tuple[str, bool]]:
    """Names of settings in the environment; whether only the beginning of several is told."""
    return {(name, bool(more)) for name, more in VARIABLE.findall(text)}


def messages(text: str) -> list[str]:
    """Blocks that quote what the program prints."""
    return [block.strip() for kind, block in FENCE.findall(text) if kind == "message"]


def templates(folder: Path) -> set[str]:
    """Every text of the code, with a hole for what is put in at run time; `apex: ` before a line is not part of it."""
    return {told for path in sorted(folder.rglob("*.py")) for told in _texts(ast.parse(path.read_text("utf-8")))}


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.JoinedStr, ast.Constant, ast.BinOp)) and (told := _text(node)):
            yield re.sub(f"{HOLE}+", HOLE, told).removeprefix("apex: ")


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str(told)):
            return told
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left) + _text(right)
        case _:
            return HOLE
