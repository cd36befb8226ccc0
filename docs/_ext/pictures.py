"""Pictures that ``docs/screenshots.py`` takes: one directive for a picture, or for its light and its dark one."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_IMAGES = Path(__file__).parents[1] / "images"


class Picture(SphinxDirective):
    """Shows a picture, with ``:alt:`` for those who do not see it; of a light and a dark one, that of the page's theme."""

    required_arguments = 1
    option_spec = {"alt": directives.unchanged_required, "width": directives.unchanged}  # noqa: RUF012  # docutils declares it so

    def run(self) -> list[nodes.Node]:
        if not self.options.get("alt"):
            message = "a picture needs an :alt: text"
            raise self.error(message)
        name = self.arguments[0]
        if (_IMAGES / f"{name}.png").is_file():
            return [self._image(name, [])]
        return [self._image(f"{name}-{theme}", [f"only-{theme}"]) for theme in ("light", "dark")]

    def _image(self, name: str, classes: list[str]) -> nodes.image:
        image = nodes.image(uri=f"/images/{name}.png", classes=["sf-picture", *classes], **self.options)
        self.set_source_info(image)
        return image


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive ``picture``."""
    app.add_directive("picture", Picture)
    return {"parallel_read_safe": True}
