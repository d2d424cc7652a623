"""Features: the catalogue, and one feature everywhere."""

import csv
import io
import math
import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy as np
from starlette.responses import Response

from penumbra.base.blocks import GTV
from penumbra.console.pages import Page
from penumbra.console.patients import typed
from penumbra.console.sent import AGAIN
from penumbra.console.visit import Visit
from penumbra.pipeline import feature_facts, in_use
from penumbra.pipeline.feature_facts import FeatureFacts
from penumbra.report import feature_figures
from penumbra.report.feature_figures import Group
from penumbra.report.ink import BLUE, MUTED, VERMILION, Rendered
from penumbra.report.slices import roi_words
from penumbra.store.statements import literal
from penumbra.survival.horizons import horizon_words

DRAWN_S = 0.1  # a page waits so long for its figures
AGAIN_S = 1  # and is looked at again after so long, also without scripts
SIZE = 50  # features of one page of the catalogue


def features(visit: Visit) -> Response:
    """The catalogue, searched."""
    words, family, image, number = visit.value("q").strip(), visit.value("family"), visit.value("image"), visit.number("page", 1, least=1)

    def read() -> feature_facts.Listed:
        with visit.store() as lake:
            return feature_facts.listed(lake, words, family, image, page=number, size=SIZE)

    listed = visit.console.kept.get(("catalogue", visit.as_of, words, family, image, number), read)
    return visit.page(
        "features.html",
        title="Features",
        command=_command(words, family, image),
        words=words,
        family=family,
        image=image,
        listed=listed,
        unit=unit,
        number=number,
        size=SIZE,
    )


def _command(words: str, family: str, image: str) -> str:
    asked = feature_facts.asked_for(words, family, image)
    where = " AND ".join(condition.replace("?", literal(value)) for condition, value in asked)
    return typed(f"FROM catalogue{f' WHERE {where}' if where else ''} {feature_facts.ORDER}")


def feature(visit: Visit) -> Response:
    """One feature in one ROI, or its values as CSV."""
    name, roi = visit.path("feature"), visit.value("roi", GTV)

    def read() -> FeatureFacts:
        with visit.store() as lake:
            return feature_facts.facts(lake, visit.console.settings, name, roi)

    facts = visit.console.kept.get(("feature", visit.as_of, name, roi), read)
    if visit.value("format") == "csv":
        return _csv(facts)
    uses, unasked = visit.console.kept.get(("uses_of", visit.as_of, name), lambda: _uses(visit, name))
    figures = _drawn(visit, facts)
    response = visit.page(
        "feature.html",
        title=str(facts.listed["name"]),
        command=typed(f"FROM radiomics_long WHERE feature = {literal(name)} AND roi = {literal(roi)}"),
        same="Its values",
        facts=facts,
        rois=[(each, region(each)) for each in facts.rois],
        region=region(roi),
        unit=unit(facts.listed["unit"]),
        kept=[(each, region(each.roi)) for each in uses],
        unasked=unasked,
        centers=_by_center(facts),
        figures=figures,
        day=horizon_words(facts.day),
        training=visit.console.settings.cohort.train_centers,
        limits=visit.console.settings.drift,
    )
    if figures is None:
        response.headers[AGAIN] = str(AGAIN_S)
    return response


def _uses(visit: Visit, name: str) -> tuple[list[feature_facts.Use], int]:
    """The versions that read the feature: of now, or registered by the commit of the page."""
    uses, unasked = feature_facts.uses_of(visit.home, name)
    if visit.as_of is None or not uses:
        return uses, unasked
    with visit.store() as lake:
        models = {use.version.rpartition("/")[0] for use in uses}
        then = {f"{model}/{version}": aliases for model in models for version, aliases in in_use.registered_then(lake, model).items()}
    return [replace(use, aliases=then[use.version]) for use in uses if use.version in then], unasked


def region(roi: str) -> str:
    """An ROI in words."""
    return "GTV" if roi == GTV else roi_words(roi) if roi.startswith("ring_") else roi


def _drawn(visit: Visit, facts: FeatureFacts) -> list[tuple[str, str, Rendered]] | None:
    """The figures; None while they are drawn: the page does not wait for the first one, which takes seconds where the drawing process starts with it."""
    key = ("figures of", visit.as_of, facts.listed["feature"], facts.roi)
    drawing = visit.console.kept.get(key, lambda: _begun(visit, facts))
    try:
        return drawing.result(DRAWN_S)
    except TimeoutError:
        return None
    except BaseException:
        visit.console.kept.drop(key)
        raise


def _begun(visit: Visit, facts: FeatureFacts) -> "Future[list[tuple[str, str, Rendered]]]":
    future: Future[list[tuple[str, str, Rendered]]] = Future()

    def work() -> None:
        try:
            future.set_result(drawn_figures(visit, facts))
        except BaseException as error:  # the page that waits raises it
            future.set_exception(error)

    threading.Thread(target=work, daemon=True, name="draws a feature").start()
    return future


def drawn_figures(visit: Visit, facts: FeatureFacts) -> list[tuple[str, str, Rendered]]:
    """(title, what to see, figure)."""
    label = ", ".join(filter(None, (facts.listed["name"], unit(facts.listed["unit"]))))
    of_center, outcome = np.array(facts.centers), np.array(facts.outcome)
    by_center = [Group(center, facts.values[of_center == center]) for center in dict.fromkeys(facts.centers)]
    draw = visit.console.drawing.draw
    drawn = [("By center", "", draw(feature_figures.distribution, by_center, label, "by-center"))]
    if np.isin(outcome, ("died", "alive")).any():
        when = horizon_words(facts.day)
        groups = [
            Group(f"died within {when}", facts.values[outcome == "died"], VERMILION),
            Group(f"alive after {when}", facts.values[outcome == "alive"], BLUE),
            Group("not followed so long", facts.values[(outcome == "") & np.isin(of_center, visit.console.settings.cohort.train_centers)], MUTED),
        ]
        words = "Training patients only: the outcomes of other centers are no place to look for features."
        drawn.append(("By outcome", words, draw(feature_figures.distribution, [group for group in groups if group.values.size], label, "by-outcome")))
    if math.isfinite(facts.rank_correlation):
        words = f"Spearman's rank correlation with the volume of the GTV: {facts.rank_correlation:.2f}.".replace("-", "−")
        words += " A feature close to ±1 carries little beyond size." if abs(facts.rank_correlation) > 0.8 else ""
        figure = draw(feature_figures.against_volume, facts.centers, facts.patients, facts.volume_mm3 / 1000, facts.values, label, "against-volume")
        drawn.append(("Against volume", words, figure))
    return drawn


def unit(written: str | None) -> str:
    """A unit as people write it; "" for none."""
    return "" if written in ("1", "", None) else str(written).replace("mm2", "mm²").replace("mm3", "mm³")


def _by_center(facts: FeatureFacts) -> list[dict[str, Any]]:
    """One row per center: how many values, their quartiles, and how far they drift."""
    of_center = np.array(facts.centers)
    drift = {row.center: row for row in facts.drift}
    rows = []
    for center in dict.fromkeys(facts.centers):
        values = facts.values[of_center == center]
        finite = values[np.isfinite(values)]
        lower, median, upper = (float(value) for value in np.quantile(finite, (0.25, 0.5, 0.75))) if finite.size else (math.nan,) * 3
        rows.append(
            {
                "center": center,
                "n": finite.size,
                "missing": values.size - finite.size,
                "median": median,
                "lower": lower,
                "upper": upper,
                "drift": drift.get(center),
            }
        )
    return rows


def _csv(facts: FeatureFacts) -> Response:
    """The values of the page."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(("patient", "center", "roi", "version", facts.listed["feature"]))
    for patient, center, value in zip(facts.patients, facts.centers, facts.values, strict=True):
        writer.writerow((patient, center, facts.roi, facts.version, repr(float(value)) if math.isfinite(value) else ""))
    name = f"{facts.listed['feature']}-{facts.roi}.csv"
    return Response(stream.getvalue(), media_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'})


ROUTES = (Page("/features", features, name="features"), Page("/features/{feature}", feature, name="feature"))
