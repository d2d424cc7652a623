"""A graph from left to right as SVG: boxes with two lines of text, some of them links. Plain SVG; the page's style sheet colors its classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, ACROSS, DOWN = 176, 46, 44, 14  # of a box, and between two boxes, in SVG units
LETTERS = 26  # of a line of text in a box


@dataclass(frozen=True)
class Node:
    """A box.

    Parameters
    ----------
    key
        That links name.
    column
        From the left, from 0.
    title, note
        Its two lines.
    kind, name
        What it is, for the caller, who knows its address.
    """

    key: str
    column: int
    title: str
    note: str
    kind: str
    name: str


@dataclass(frozen=True)
class Link:
    """From one node to another, by their keys."""

    source: str
    target: str


def drawing(nodes: Sequence[Node], links: Sequence[Link], address: Callable[[Node], str], words: str) -> str:
    """The graph; columns without a node take no room.

    Parameters
    ----------
    address
        Of a node's page; "" for none.
    words
        What it shows, for those who do not see it.
    """
    columns = sorted({node.column for node in nodes})
    stacks = {column: [node for node in nodes if node.column == column] for column in columns}
    tallest = max(len(stack) for stack in stacks.values())
    height = tallest * (HEIGHT + DOWN) - DOWN + 4
    at: dict[str, tuple[float, float]] = {}
    for i, column in enumerate(columns):
        top = (height - len(stacks[column]) * (HEIGHT + DOWN) + DOWN) / 2
        for j, node in enumerate(stacks[column]):
            at[node.key] = (2 + i * (WIDTH + ACROSS), top + j * (HEIGHT + DOWN))
    width = len(columns) * (WIDTH + ACROSS) - ACROSS + 4
    parts = [_curve(at[link.source], at[link.target]) for link in links if link.source in at and link.target in at]
    parts += [_box(node, *at[node.key], address(node)) for node in nodes]
    return (
        f'<svg class="lineage" viewBox="0 0 {width} {height:g}" width="{width}" height="{height:g}" role="group" aria-label="{escape(words)}">'
        f"{''.join(parts)}</svg>"
    )


def _box(node: Node, x: float, y: float, address: str) -> str:
    box = f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="5"></rect>'
    title, note = (f'<text class="{kind}" x="{x + 9:g}" y="{y + line:g}">{escape(_short(text))}</text>' for kind, text, line in _lines(node))
    whole = f"<title>{escape(f'{node.title}: {node.note}' if node.note else node.title)}</title>"
    content = f'<g class="node {escape(node.kind)}">{whole}{box}{title}{note}</g>'
    return f'<a href="{escape(address)}">{content}</a>' if address else content


def _lines(node: Node) -> tuple[tuple[str, str, float], tuple[str, str, float]]:
    return ("title", node.title, 19 if node.note else 28), ("note", node.note, 36)


def _curve(source: tuple[float, float], target: tuple[float, float]) -> str:
    x, y, right, below = source[0] + WIDTH, source[1] + HEIGHT / 2, target[0], target[1] + HEIGHT / 2
    bend = max(18.0, (right - x) / 2)
    return f'<path class="link" d="M{x:g} {y:g}C{x + bend:g} {y:g} {right - bend:g} {below:g} {right:g} {below:g}"></path>'


def _short(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"
