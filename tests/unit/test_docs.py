"""The pages that scripts/pages makes say all that the code does; and links from other documents lead somewhere."""

from __future__ import annotations

import re
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

import skep
from skep.base import errors
from skep.base.meaning import MEANINGS
from skep.cli.main import main
from skep.cli.options import run_parser
from skep.kernel.diagnosis import KINDS
from skep.kernel.verifier import CATEGORIES
from skep.spec.annotations import known_words
from skep.spec.words import WORDS

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    loader = SourceFileLoader("pages", str(ROOT / "scripts" / "pages"))
    spec = spec_from_loader("pages", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_every_page_is_made_and_is_in_the_index(pages, tmp_path):
    pages.main(str(tmp_path))
    made = {path.stem for path in tmp_path.iterdir()}

    assert made == set(pages.PAGES)
    assert made == set(re.findall(r"^reference/(\S+)$", (ROOT / "docs/index.md").read_text(), re.MULTILINE))
    for path in tmp_path.iterdir():
        assert path.read_text().startswith("# ")


def test_the_command_line_has_every_verb_option_and_word(pages, capsys):
    assert main([]) == 0
    verbs = re.findall(r"^  (\w+) {2,}\S", capsys.readouterr().out, re.MULTILINE)
    page = pages.command_line()

    assert {"run", "build", "info", "new", "tools"} <= set(verbs)
    assert verbs == re.findall(r"^## skep (\w+)$", page, re.MULTILINE)
    for action in run_parser()[1]:
        assert all(option in page for option in action.option_strings)
    assert all(f"| `--{word}` |" in page for word in WORDS)


def test_the_python_page_has_every_public_name(pages):
    page = pages.python_api()

    for name in skep.__all__:
        assert f"\n## skep.{name}\n" in page or f"`{name}`" in page.partition("\n## Errors\n")[2]
    # What a class has from the one that it is made from is its own, too.
    assert "### Object.attach" in page
    assert "- `variables`: " in page.partition("\n## skep.Spec\n")[2]


def test_every_error_is_there_with_every_exit_code(pages):
    page = pages.errors()

    assert all(f"\n## skep.base.errors.{name}\n" in page for name in errors.__all__)
    assert {int(code) for code in re.findall(r"^\| (\d) \|", page, re.MULTILINE)} == {
        0,
        *(
            found.exit_code
            for found in vars(errors).values()
            if isinstance(found, type) and hasattr(found, "exit_code")
        ),
    }


def _other_ids() -> set[str]:
    """The ids of diagnostics that are not the verifier's: by kinds of errors, or as the code spells them."""
    sources = [path.read_text() for path in (ROOT / "src" / "skep").rglob("*.py")]
    spelt = {name for text in sources for name in re.findall(r'\b(?:Diagnostic|at_line)\(\s*"([a-z-]+)"', text)}
    return spelt | {name for _, name in KINDS}


def test_every_id_of_a_diagnostic_has_its_page(pages):
    listed = pages.verifier()
    written = {path.stem: path.read_text() for path in (ROOT / "docs" / "verifier").glob("*.md")}

    assert written.keys() == CATEGORIES.keys() | _other_ids()
    assert all(f"[{name}](../verifier/{name}.md)" in listed for name in written)
    assert all(text.startswith(f"# {name}\n") for name, text in written.items())
    for name, category in CATEGORIES.items():
        rule = " ".join(written[name].split())
        assert f"{category.rule[0].upper()}{category.rule[1:]}." in rule
        assert f"[{name}](../verifier/{name}.md)" in listed


def test_every_annotation_and_meaning_is_there(pages):
    checked = {word for kind in ("program", "map", "variable") for word in known_words(kind)}
    page = pages.annotation_words()

    assert all(f"@{word}" in page for word in checked)
    assert all(f"| `{word}` | {meaning.doc} |" in pages.meanings() for word, meaning in MEANINGS.items())


def test_a_docstring_becomes_markdown(pages):
    text = """One line.

    More of it.

    Args:
        source: path of a file,
            or a name.
        btf: None for the kernel's.

    Returns:
        What comes
        of it.

    Raises:
        OSError: it cannot be read.
    """

    assert pages.from_docstring(text).split("\n") == [
        "One line.",
        "",
        "More of it.",
        "",
        "",
        "**Takes**",
        "",
        "- `source`: path of a file, or a name.",
        "- `btf`: None for the kernel's.",
        "",
        "**Gives**: What comes of it.",
        "",
        "**Raises**",
        "",
        "- `OSError`: it cannot be read.",
    ]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_of_documents_outside_the_site_lead_somewhere(name):
    text = re.sub(r"^```.*?^```$", "", (ROOT / name).read_text(), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)

    assert [link for link in links if not (ROOT / link).exists()] == []
