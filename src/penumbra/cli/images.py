"""Work on images that are in no store."""

import sys
from pathlib import Path

import click

from penumbra.cli.group import Choice, command

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@command("penumbra extract cases.csv --param params.yaml --out features.csv --jobs 2")
@click.argument("image", type=FILE)
@click.argument("mask", type=FILE, required=False)
@click.option("-p", "--param", type=FILE, help="A parameter file of PyRadiomics, YAML or JSON. Default: every feature of the original image.")
@click.option("-s", "--setting", multiple=True, help="NAME:VALUE, over the file's, as binWidth:10 or resegmentRange:-3,3.")
@click.option("-l", "--label", type=int, help="Of the ROI in the mask. Default: 1, or what the file or the case says.")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Replaced when all is measured. Default: standard output.")
@click.option("-f", "--format", "form", type=Choice(("txt", "csv", "json", "parquet")), help="Default: as --out ends, else txt: a line per feature.")
@click.option("--skip-nans", is_flag=True, help="Leave out features without a value.")
@click.option("--validate", is_flag=True, help="Look at settings and paths only, and measure nothing.")
@click.option("-m", "--mode", type=Choice(("segment", "voxel")), default="segment", help="voxel, for feature maps, is only in Python, and says how.")
@click.option("--format-path", "paths", type=Choice(("absolute", "relative", "basename")), default="absolute", show_default=True, help="How files are named.")
@click.option("-j", "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Cases that are measured at once.")
@click.option("--engine", type=Choice(("penumbra", "pyradiomics")), default="penumbra", show_default=True, help="pyradiomics has every setting.")
def extract(
    image: Path,
    mask: Path | None,
    param: Path | None,
    setting: tuple[str, ...],
    label: int | None,
    out: Path | None,
    form: str | None,
    skip_nans: bool,
    validate: bool,
    mode: str,
    paths: str,
    jobs: int,
    engine: str,
) -> None:
    """The features of the ROI in MASK on IMAGE, or of every case in a CSV file, as PyRadiomics' own command gives them; no project is needed.

    Any files that SimpleITK reads. The CSV file has columns Image and Mask, where wanted Label and Label_channel, and others, which are kept; paths in it
    start at its folder. A case that cannot be measured is named on standard error, and the others continue.
    """
    from penumbra.base.whole_files import write_whole
    from penumbra.commands import extract

    ending = out.suffix[1:].casefold() if out is not None else ""
    form = form or (ending if ending in extract.FORMS else "txt")
    if form == "parquet" and out is None and sys.stdout.isatty():
        raise click.UsageError("parquet is binary: name a file, --out features.parquet")
    if mode == "voxel":
        raise extract.feature_maps()
    listed = extract.cases(image, mask)
    how = extract.How(param, extract.overrides(setting, label), engine)
    if validate:
        faults = extract.faults(listed, how)
        for fault in faults:
            click.echo(fault, err=True)
        click.echo(f"{len(listed) - len(faults)} of {len(listed)} cases can be read; nothing was measured")
        sys.exit(1 if faults else 0)
    measured = dict(extract.measure(listed, how, jobs))
    ordered = [measured[place] for place in range(len(listed))]
    content = extract.text(extract.with_values(ordered) if skip_nans else ordered, form, paths)
    if out is None:
        sys.stdout.buffer.write(content)
    else:
        write_whole(out, content)
    refused = [(place, each.refused) for place, each in enumerate(ordered, start=1) if each.refused]
    for place, reason in refused:
        click.echo(f"case {place}: {reason}", err=True)
    if refused:
        sys.exit(1)
