"""Cutting a release: what it would hold, the work in progress, and the releases that there are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.responses import FileResponse, Response

from tuwen import parts
from tuwen.errors import UsageError
from tuwen.explorer.cutting import MADE, Made, Order
from tuwen.explorer.markdown import MAX_CHARACTERS, rendered
from tuwen.explorer.visit import Routes, Visit, redirect
from tuwen.releases.card import CARD
from tuwen.releases.content import open_content
from tuwen.releases.measure import Measures, measure
from tuwen.releases.parameters import parameters_from
from tuwen.releases.release import inner_ledgers
from tuwen.releases.report import REPORT
from tuwen.releases.writers import PACKAGE
from tuwen.selections.ledger import Ledger
from tuwen.selections.selection import Selection

SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
IMAGE_FORMATS = ("jpeg", "webp", "png")


@dataclass(frozen=True)
class Form:
    """The fields of the form, as they were filled in or as they start."""

    selection: Selection
    format: str
    formats: list[str]
    to: str
    image_format: str  # "" keeps the original bytes
    short_side: str
    more: str
    clean: bool

    @property
    def words(self) -> tuple[str, ...]:
        """Parameters as `--set` takes them."""
        words = self.more.split()
        if self.image_format and self.can_reencode:
            words += [f"reencode.format={self.image_format}", f"reencode.short_side={self.short_side or 256}"]
        return tuple(words)

    def parameters(self, **more: str) -> dict[str, str]:
        """The fields of a URL or a form that say the same, and `more`; without those that are empty."""
        fields = {
            "selection": self.selection.name,
            "format": self.format,
            "to": self.to,
            "image_format": self.image_format,
            "short_side": self.short_side if self.image_format else "",
            "more": self.more,
            "clean": "yes" if self.clean else "",
        }
        return {name: value for name, value in {**fields, **more}.items() if value}

    @property
    def can_reencode(self) -> bool:
        return "reencode" in parts.load_class(PACKAGE, self.format).__dataclass_fields__  # type: ignore[attr-defined]

    def order(self, corpus: Path) -> Order:
        """What to cut."""
        flags = ("--require-clean",) if self.clean else ()
        return Order(corpus, self.selection.name, self.format, self.to, self.words, flags)

    def writer(self) -> Any:
        """The writer; `UsageError` says which parameter is wrong."""
        return parts.load(PACKAGE, self.format, parameters_from(self.words))


def form_of(visit: Visit) -> Form | None:
    """The form of a request; None where there is nothing to release."""
    known = visit.snapshot.selections
    if not known:
        return None
    # What most people release: pairs, before the pictures that these build on.
    first = next((each for each in known.values() if each.unit == "pair"), next(iter(known.values())))
    selection = visit.snapshot.selection(visit.argument("selection") or first.name)
    formats = [name for name in parts.names_in(PACKAGE) if selection.unit in _units(name)]
    formats.sort(key=lambda name: name not in ("webdataset", "documents"))
    asked = visit.argument("format")
    format = asked if asked in formats else formats[0]
    image_format = visit.argument("image_format")
    short_side = visit.argument("short_side").strip() if image_format else ""  # bytes that stay have none to limit
    if image_format not in ("", *IMAGE_FORMATS) or not re.fullmatch(r"\d{0,5}", short_side):
        raise UsageError("pictures are made smaller as jpeg, webp or png, with a short side of so many pixels")
    return Form(
        selection,
        format,
        formats,
        _folder(visit, f"{selection.name}-{format}"),
        image_format,
        short_side or "256",
        visit.argument("more").strip(),
        visit.argument("clean") == "yes",
    )


def _units(name: str) -> tuple[str, ...]:
    return parts.load_class(PACKAGE, name).units  # type: ignore[attr-defined,no-any-return]


def _folder(visit: Visit, stem: str) -> str:
    """What was entered, unless it is there by now as it was asked for; else a name that nothing has."""
    cutting, asked = visit.explorer.cutting, visit.argument("to").strip()
    work = cutting.work
    target = work.target if work is not None else None
    if asked and (visit.form is not None or target != cutting.base / asked or not (work and work.state in MADE)):
        return asked
    names = (f"{stem}-{n}" if n > 1 else stem for n in range(1, 10_000))
    taken = target if work is not None and work.is_running else None  # what was cancelled took none
    return next(name for name in names if cutting.base / name != taken and not (cutting.base / name).exists())


def releases(visit: Visit) -> Response:
    """The form, what is being cut, and the releases that there are."""
    return _page(visit)


def _page(visit: Visit, problem: str = "", status: int = 200) -> Response:
    cutting, form, made = visit.explorer.cutting, form_of(visit), visit.explorer.cutting.listed()
    work = cutting.work
    return visit.render(
        "releases.html",
        status,
        form=form,
        work=work,
        is_told=work and form and (work.order.selection, work.order.format) == (form.selection.name, form.format),
        made=made,
        newest=_newest(made),
        base=cutting.base,
        problem=problem,
        name_of=lambda path: Path(path).name,
        IMAGE_FORMATS=IMAGE_FORMATS,
    )


def _newest(made: Sequence[Made]) -> tuple[Made, Made] | None:
    """The two newest of one selection, else the two newest of all; the newer first."""
    seen: dict[str, Made] = {}
    for each in made:
        if (newer := seen.setdefault(each.selection, each)) is not each:
            return newer, each
    return (made[0], made[1]) if len(made) > 1 else None


def preview(visit: Visit) -> Response:
    """The command, and what the card would say, as a part of a page."""
    form = form_of(visit)
    if form is None:
        raise UsageError("there is no selection to release")
    is_told = visit.argument("told") == "yes"  # what is wrong stands above already
    writer, problem = None, ""
    try:
        writer = form.writer()
        if not visit.explorer.cutting.is_making(form.to):
            visit.explorer.cutting.target(form.to)
    except UsageError as error:
        problem = "" if is_told else str(error)
    ledger = visit.snapshot.ledger(form.selection.name)
    found = _measured(visit, form.selection, ledger, writer) if writer and ledger.num_kept else None
    if not ledger.num_kept:
        problem = problem or f"{form.selection.name} keeps nothing, so there is nothing to release"
    return visit.render(
        "part_release_preview.html",
        form=form,
        command=form.order(visit.snapshot.corpus.path).command,
        ledger=ledger,
        measures=found,
        missing=missing(visit, form, found) if found else [],
        problem=problem,
    )


def _measured(visit: Visit, selection: Selection, ledger: Ledger, writer: Any) -> Measures:
    snapshot = visit.snapshot
    sample, regions = writer.sample, tuple(getattr(writer, "regions", ("main",)))

    def make() -> Measures:
        inner = inner_ledgers(snapshot.corpus, selection, snapshot.selections)
        images = inner[selection.images] if selection.images else None
        with open_content(snapshot.corpus, ledger, images) as content:
            if selection.unit == "document":  # a writer settles which of their pictures stay; it asks like this
                next(content.document_rows(regions), None)
            return measure(content, sample, 0)

    key = ("measures", selection.name, ledger.fingerprint, sample, regions)
    return snapshot.prepared.get(key, f"the figures of {selection.name}", make)  # type: ignore[no-any-return]


def missing(visit: Visit, form: Form, found: Measures) -> list[str]:
    """What the card will have to leave open; the template has a sentence for each."""
    of_images = visit.snapshot.columns["image"]
    known = {*of_images, *visit.snapshot.columns["pair"]}
    has_format, has_size = "format" in of_images, {"width", "height"} <= set(of_images)
    open_questions = {
        "licence": not found.num_licensed and found.num_documents,
        "language": found.languages_of != "texts" and form.selection.unit == "pair",
        "properties": found.num_images and not has_format and not has_size,
        "formats": found.num_images and not has_format and has_size,
        "sizes": found.num_images and has_format and not has_size,
        "pages": found.silent_documents,
        "servers": found.silent_images,
        "overlap": not any(overlap.checked for overlap in found.overlaps),
        "safety": not known & {"nsfw_score", "punsafe"},
        "description": not visit.snapshot.corpus.recipe().get("description"),
    }
    return [name for name, is_open in open_questions.items() if is_open]


def cut(visit: Visit) -> Response:
    """Begin to cut a release."""
    form = form_of(visit)
    if form is None:
        raise UsageError("there is no selection to release")
    if not (visit.argument("selection") and visit.argument("to")):  # nobody asked for what the form would suggest
        raise UsageError("say which selection to release, and into which folder")
    try:
        form.writer()
        visit.explorer.cutting.start(form.order(visit.snapshot.corpus.path))
    except UsageError as error:
        return _page(visit, str(error), 400)
    return redirect(f"/releases?{urlencode(form.parameters())}#work")


def progress(visit: Visit) -> Response:
    """How far the work is, as a part of a page; status 202 while it goes on, so that a script asks again."""
    work = visit.explorer.cutting.work
    response = visit.render("part_progress.html", 202 if work is not None and work.is_running else 200, work=work)
    return response


def cancel(visit: Visit) -> Response:
    """End what is being cut."""
    visit.explorer.cutting.cancel()
    work = visit.explorer.cutting.work
    return _back(visit, work.order, work.order.to if work.is_cut else "") if work else redirect("/releases")


def _back(visit: Visit, order: Order, to: str = "") -> Response:
    """To the page with the form as it was for this work, where the corpus has its selection."""
    fields = {"selection": order.selection, "format": order.format, "to": to}
    query = urlencode(fields) if order.selection in visit.snapshot.selections else ""
    return redirect(f"/releases?{query}#work")


def check(visit: Visit) -> Response:
    """Verify a release that is listed."""
    made, _ = visit.explorer.cutting.named(visit.argument("path"))
    return _back(visit, visit.explorer.cutting.check(Path(made.path), made).order)


def release(visit: Visit) -> Response:
    """A release: its figures, its files, and its card."""
    made, manifest = visit.explorer.cutting.named(visit.argument("path"))
    folder = Path(made.path)
    return visit.render(
        "release.html",
        made=made,
        manifest=manifest,
        card=rendered(_card(folder / CARD)),
        has_report=(folder / REPORT).is_file(),
    )


def _card(file: Path) -> str:
    """Its text, as far as it is shown. Releases come from strangers, too, and a link may lead anywhere."""
    if not file.is_file() or file.is_symlink():
        return f"{CARD} is missing, or no file of its own"
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            return stream.read(MAX_CHARACTERS)
    except OSError as error:
        return f"{CARD} cannot be read: {error.strerror}"


def report(visit: Visit) -> Response:
    """The release's own page, shut off from ours: no script, no form, nothing loaded."""
    made, _ = visit.explorer.cutting.named(visit.argument("path"))
    path = Path(made.path) / REPORT
    if not path.is_file() or path.is_symlink():
        raise UsageError(f"{made.path} has no {REPORT}")
    headers = {"Content-Security-Policy": SANDBOX, "Cache-Control": "no-store"}
    return FileResponse(path, media_type="text/html", headers=headers)


ROUTES: Routes = (
    ("GET", "/releases", releases, 5.0),
    ("GET", "/releases/preview", preview, 10.0),
    ("POST", "/releases", cut, 10.0),
    ("GET", "/releases/progress", progress, 5.0),
    ("POST", "/releases/cancel", cancel, 10.0),
    ("POST", "/releases/check", check, 5.0),
    ("GET", "/release", release, 5.0),
    ("GET", "/release/report", report, 5.0),
)
