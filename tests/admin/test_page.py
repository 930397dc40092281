"""The page: a token form, and files that hold to the content security policy of the answers they come in."""

import gzip
import re
from pathlib import Path

import pytest

import watcher.admin

PAGE = Path(watcher.admin.__file__).parent / "page"
MODULES = sorted(PAGE.glob("*.js"))
SVG = "http://www.w3.org/2000/svg"


def test_all_files_are_of_a_kind_that_is_served():
    assert {file.suffix for file in PAGE.iterdir()} == {".html", ".css", ".js"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_what_comes_from_the_api_never_becomes_markup_or_code(module: Path):
    found = re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function",
        module.read_text(),
    )

    assert found == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_modules_import_only_each_other(module: Path):
    imported = re.findall(r"""(?:from|import)\s*\(?['"]([^'"]+)['"]""", module.read_text())

    assert [name for name in imported if not (name.startswith("./") and (PAGE / name).is_file())] == []


@pytest.mark.parametrize("file", sorted(PAGE.iterdir()), ids=lambda file: file.name)
def test_nothing_is_loaded_from_elsewhere_or_from_the_root_of_the_host(file: Path):
    text = file.read_text().replace(SVG, "")

    assert re.findall(r"https?:|(?:src|href)=\"/|@import|url\(|fetch\(['\"`]/|['\"`]/api", text) == []


def test_the_html_holds_no_script_and_no_style():
    html = (PAGE / "index.html").read_text()

    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html) == []


def test_the_whole_page_is_less_than_60_kb_on_the_wire():
    assert sum(len(gzip.compress(file.read_bytes(), 6)) for file in PAGE.iterdir()) < 60_000
