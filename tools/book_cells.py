"""A cell of a stored notebook as Markdown for mdBook."""

from __future__ import annotations

import base64
import json
import re
from html import escape
from pathlib import Path

from book_math import with_mathml
from sources import repository
from tidy import CLAIMS, PLOTLY, VIEWS

BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\((?P<url>[^)]*)\)")


def links(name: str, colab: str) -> str:
    """The line below a chapter's title, in the badge's place."""
    source = f"{repository()}/blob/main/chapters/{name}.py"
    return (
        f'\n\n<p class="chapter-links"><a href="{colab}">Open in Colab</a>'
        f'<a href="{name}.ipynb" download>Notebook</a>'
        f'<a href="{source}">Source</a></p>\n\n'
    )


def markdown_cell(source: str, name: str) -> str:
    """A cell of a chapter: as a page, and plain links in the badge's place."""
    return BADGE.sub(lambda m: links(name, m["url"]), page(source))


def page(source: str) -> str:
    """Mathematics, links to other chapters and to the repository put right."""
    text = with_mathml(source)
    text = re.sub(r"\]\((\w+)\.ipynb(#[^)]*)?\)", r"](\1.md\2)", text)
    return text.replace("](../", f"]({repository()}/blob/main/")


def data_script(data: object) -> str:
    """JSON in a script element, on one line and without a closing tag inside."""
    text = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    return f'<script type="application/json">{text}</script>'


def still(output: dict, alt: str, assets: Path) -> str:
    """The stored picture as a file, shown until the live one is drawn."""
    picture = output["data"].get("image/png")
    if picture is None:
        return ""
    file = assets / f"{output['metadata'].get('still', 'picture')}.png"
    file.write_bytes(base64.b64decode("".join(picture)))
    return f'<img src="assets/{file.name}" alt="{escape(alt)}" loading="lazy">'


def rich(output: dict, assets: Path) -> str:
    """A display_data or execute_result: the liveliest form it has."""
    data = output["data"]
    for mime, kind in VIEWS.items():
        if mime in data:
            alt = data[mime].get("alt", "")
            inside = still(output, alt, assets) + data_script(data[mime])
            return f'<div class="output live" data-kind="{kind}">{inside}</div>'
    if PLOTLY in data:
        layout = data[PLOTLY].get("layout", {})
        alt = (layout.get("meta") or {}).get("alt", "")
        script = re.sub(r"(href='\w+)\.ipynb'", r"\1.html'", data_script(data[PLOTLY]))
        inside = still(output, alt, assets) + script
        height = f"min-height:{layout.get('height', 450)}px"
        kind = f'data-kind="plotly" style="{height}"'
        return f'<div class="output live" {kind}>{inside}</div>'
    if CLAIMS in data:  # drawn from its values, so that no edited page is shown
        from scoreboard import table_of  # imports torch: seconds

        return f'<div class="output">{table_of(output).as_html()}</div>'
    if "text/html" in data:  # no blank line: it would end the HTML for Markdown
        lines = (line.strip() for line in "".join(data["text/html"]).splitlines())
        return '<div class="output">' + "\n".join(filter(None, lines)) + "</div>"
    if "image/svg+xml" in data:
        return f'<div class="output">{"".join(data["image/svg+xml"])}</div>'
    if "image/png" in data:
        encoded = "".join(data["image/png"]).replace("\n", "")
        alt = escape("".join(data.get("text/plain", "")))
        return f'<img class="output" alt="{alt}" src="data:image/png;base64,{encoded}">'
    if "text/markdown" in data:
        return with_mathml("".join(data["text/markdown"]))
    return text_output("".join(data.get("text/plain", "")))


def text_output(text: str) -> str:
    """Printed text, as it is."""
    return f'<pre class="output">{escape(text.rstrip())}</pre>' if text.strip() else ""


def code_cell(cell: dict, assets: Path) -> str:
    """Code, then what it gave; nothing for the set-up cell."""
    if "setup" in cell["metadata"].get("tags", []):
        return ""
    parts = [f"```python\n{cell['source']}\n```"]
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            parts.append(text_output("".join(output["text"])))
        elif output["output_type"] == "error":
            parts.append(text_output(f"{output['ename']}: {output['evalue']}"))
        else:
            parts.append(rich(output, assets))
    return "\n\n".join(part for part in parts if part)


def chapter(notebook: dict, name: str, assets: Path) -> str:
    """The whole chapter; ``assets`` receives its pictures."""
    return "\n\n".join(
        markdown_cell(cell["source"], name)
        if cell["cell_type"] == "markdown"
        else code_cell(cell, assets)
        for cell in notebook["cells"]
    )
