"""Loading mappings: the six files that come with the program, and the operator's own.

The law: all is right and loaded, or every problem of every file is told at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from watcher.config.mapping_files import Draft, read_mapping
from watcher.config.report import Report
from watcher.config.values import did_you_mean
from watcher.config.yaml_positions import parse
from watcher.core.mapping import CollectionMapping
from watcher.core.recovery import Traces
from watcher.core.views import Noise
from watcher.errors import ConfigError, Problem

_SUFFIXES = (".yaml", ".yml")


def load_mappings(extra: Sequence[Path] = ()) -> tuple[CollectionMapping, ...]:
    """The mappings of every collection: ours, with the operator's files added or in their place.

    Raises ConfigError with all problems of all files."""
    problems: list[Problem] = []
    own = [_read(file, problems) for file in _operators_files(extra, problems)]
    mappings = _joined([*_bundled(), *(draft for draft in own if draft is not None)], problems)
    if problems:
        raise ConfigError(problems)
    return mappings


@cache
def _bundled() -> tuple[Draft, ...]:
    """Ours never change while the program runs, and reading them takes as long as all the rest of a start."""
    problems: list[Problem] = []
    drafts = [_read(file, problems, ours=True) for file in _files_in(bundled_mappings())]
    if problems:
        raise ConfigError(problems)
    return tuple(draft for draft in drafts if draft is not None)


def bundled_mappings() -> Path:
    """The folder of our own mapping files: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    folders = (package / "mappings", package.parent / "mappings")
    return next(folder for folder in folders if folder.is_dir())


def _operators_files(paths: Iterable[Path], problems: list[Problem]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
            continue
        found = _files_in(path) if path.is_dir() else []
        if not found:
            what = "no mapping file (*.yaml) in this folder" if path.is_dir() else "no such file or folder"
            problems.append(Problem(where=str(path), what=what, cure="correct the path, or leave it out"))
        yield from found


def _files_in(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file())


def _read(file: Path, problems: list[Problem], *, ours: bool = False) -> Draft | None:
    """What one file says; or None, and its problems are told."""
    report = Report()
    try:
        parsed = parse(file.read_text(encoding="utf-8"), ours=ours)
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        problems.append(Problem(where=str(file), what=str(what), cure="make it a readable text file"))
        return None
    report.read_from(str(file), parsed.positions)
    for fault in parsed.faults:
        report.add_at(fault.position.line, fault.path, fault.what, fault.cure)
    draft = None if parsed.faults else read_mapping(parsed.value, str(file), parsed.positions, report)
    try:
        report.raise_if_any()
    except ConfigError as error:
        problems += error.problems
        return None
    return draft


def _joined(drafts: Iterable[Draft], problems: list[Problem]) -> tuple[CollectionMapping, ...]:
    mappings: dict[str, CollectionMapping] = {}
    for draft in drafts:
        collection = draft.mapping.collection
        ours = mappings.get(collection)
        if ours is not None and not draft.replaces:
            mappings[collection] = _added(ours, draft, problems)
            continue
        if ours is None and draft.replaces:
            close = did_you_mean(collection, mappings)
            cure = f"did you mean `{close}`?" if close else "remove `replaces:`"
            what = f"replaces the mapping of `{collection}`, and there is none"
            problems.append(Problem(where=f"{draft.file}: replaces", what=what, cure=cure))
        mappings[collection] = draft.mapping
    return tuple(mappings.values())


def _added(ours: CollectionMapping, draft: Draft, problems: list[Problem]) -> CollectionMapping:
    """Our mapping with more rules. They come first: of several for an event, the first that fires speaks."""
    if draft.sees_rows:
        what = "this file adds rules to our mapping, which says already how rows of this collection are seen"
        cure = "remove `entity:` and `user:`, or write `replaces: true` and all rules"
        problems.append(Problem(where=f"{draft.file}: entity, user", what=what, cure=cure))
    noise = tuple(dict.fromkeys((*ours.noise, *draft.mapping.noise)))
    deadlines = tuple(dict.fromkeys((*ours.viewpoint.deadlines, *draft.mapping.viewpoint.deadlines)))
    theirs = draft.mapping.traces
    return replace(
        ours,
        viewpoint=replace(ours.viewpoint, noise=Noise.of(noise), deadlines=deadlines),
        noise=noise,
        rules=(*draft.mapping.rules, *ours.rules),
        fields={**ours.fields, **draft.mapping.fields},
        traces=Traces(
            stamps=tuple(dict.fromkeys((*ours.traces.stamps, *theirs.stamps))),
            unstamped=ours.traces.unstamped | theirs.unstamped,
            noise=Noise.of(noise),
        ),
        compared=tuple(dict.fromkeys((*ours.compared, *draft.mapping.compared))),
    )
