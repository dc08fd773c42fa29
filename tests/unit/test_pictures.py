"""The pages of docs/views have pictures of what their commands print: those that are there are what is printed now."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

VIEWS = Path(__file__).parent.parent.parent / "docs" / "views"


@pytest.fixture(scope="module")
def pictures():
    loader = SourceFileLoader("pictures", str(VIEWS.parent.parent / "scripts" / "pictures"))
    spec = spec_from_loader("pictures", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", sorted(VIEWS.glob("*.md")), ids=lambda page: page.stem)
def test_a_picture_shows_what_is_printed(pictures, page):
    made = pictures.picture(page)

    assert f"]({page.stem}.svg)" in page.read_text()
    assert page.with_suffix(".svg").read_text() == made, "scripts/pictures makes it anew"
    assert len(list(ET.fromstring(made))) > 3


def test_every_picture_has_a_page():
    assert {path.stem for path in VIEWS.glob("*.svg")} == {path.stem for path in VIEWS.glob("*.md")}
