"""`penumbra card`: what is known of a registered version, for a reader, for a program, and in the schema of the Coalition for Health AI."""

import json
from pathlib import Path

from penumbra import store
from penumbra.base.params import project_root, read_yaml
from penumbra.pipeline import experiments, in_use
from penumbra.pipeline.model_card import whole_card
from penumbra.report.card import markdown

FORMATS = ("md", "json", "chai")


def card(home: Path, version: str, form: str = FORMATS[0], model: str | None = None, *, as_of: int | None = None) -> str:
    """The card of a version as text.

    Parameters
    ----------
    version
        Number, alias, MODEL/VERSION, name of an experiment of DVC, or git revision.
    form
        Of FORMATS.
    as_of
        A commit: the card as the store was then; None: the newest.

    Raises
    ------
    Refusal
        "model_registered", "version_registered", "bundle_readable"; "version_then" where it was not registered by that commit.
    """
    if as_of is None:
        entry = experiments.find(home, version, model)
    else:
        with store.connect(home, read_only=True, as_of=as_of) as lake:
            entry = in_use.find_then(home, lake, version, model)
    document = whole_card(home, entry, as_of)
    if form == "json":
        return json.dumps(document.to_json(), indent=1, allow_nan=False)
    if form == "chai":
        from penumbra.report.chai import applied_model_card

        return applied_model_card(document, read_yaml(project_root() / "models" / "chai.yaml"))
    return markdown(document)
