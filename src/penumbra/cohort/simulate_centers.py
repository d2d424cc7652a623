"""The centers that are simulated: how many patients each has, and how it scans, stores, names and spells."""

from dataclasses import dataclass, replace

from penumbra.cohort.simulate_dicom import Pixels


@dataclass(frozen=True)
class CenterPlan:
    """A center to simulate: how many patients, and how it scans, stores, names and spells.

    Parameters
    ----------
    name
        Of the center.
    patients
        Usable patients with a complete outcome.
    refused
        Kinds of patients that must be refused, keys of REFUSED_BY, one patient each; they come on top.
    rows, columns
        Of a slice.
    pixel_mm
        Between rows, between columns.
    slice_mm
        Slice thicknesses in use, one drawn for each patient.
    noise_hu
        Range of the noise's standard deviation, one drawn for each patient.
    offset_hu : HU
        Added to all values of its scanner.
    pixels
        How its pixels are stored.
    layout
        "flat", "nested" or "scattered": how it arranges folders and names files.
    roi_names
        Of GTV, PTV, lung, cord and body.
    clinical_style
        How it writes its clinical table.
    baseline
        Factor on survival times.
    scanner
        Manufacturer, model and kernel.
    institution
        Name and address, invented.
    mixed_gaps
        True: the first patient's slices are 3 mm apart in one half and 6 mm in the other.
    """

    name: str
    patients: int
    refused: tuple[str, ...]
    rows: int
    columns: int
    pixel_mm: tuple[float, float]
    slice_mm: tuple[float, ...]
    noise_hu: tuple[float, float]
    offset_hu: float
    pixels: Pixels
    layout: str
    roi_names: tuple[str, ...]
    clinical_style: str
    baseline: float
    scanner: tuple[str, str, str]  # manufacturer, model, kernel
    institution: tuple[str, str]  # name and address, invented
    mixed_gaps: bool = False


CENTERS = (
    CenterPlan(
        name="north",
        patients=72,
        refused=("no_gtv", "empty_gtv", "foreign_frame", "survival_missing", "time_negative"),
        rows=100,
        columns=100,
        pixel_mm=(1.2, 1.2),
        slice_mm=(2.5, 3.0, 5.0),
        noise_hu=(10.0, 22.0),
        offset_hu=0.0,
        pixels=Pixels(slope=1.0, intercept=-1024.0, signed=False),
        layout="nested",
        roi_names=("GTV-1", "PTV-1", "Lung-Left", "Spinal-Cord", "BODY"),
        clinical_style="ours",
        baseline=1.0,
        scanner=("Siemens-like", "Sensation Open", "B30f"),
        institution=("Saint Aldwyn Cancer Institute", "4 Quarry Terrace, Northmoor"),
        mixed_gaps=True,
    ),
    CenterPlan(
        name="east",
        patients=36,
        refused=("no_gtv", "foreign_frame", "survival_missing"),
        rows=112,
        columns=92,
        pixel_mm=(1.05, 1.3),
        slice_mm=(2.0, 2.5),
        noise_hu=(16.0, 24.0),
        offset_hu=22.0,
        pixels=Pixels(slope=1.0, intercept=0.0, signed=True),
        layout="flat",
        roi_names=("gtv_primary", "ptv_60", "lung_r", "cord", "external"),
        clinical_style="nsclc_radiomics",
        baseline=1.0,
        scanner=("Philips-like", "Brilliance Big Bore", "B"),
        institution=("Estermarch University Hospital", "77 Kanal Promenade, Estermarch"),
    ),
    CenterPlan(
        name="south",
        patients=28,
        refused=("empty_gtv", "time_negative"),
        rows=124,
        columns=124,
        pixel_mm=(0.96, 0.96),
        slice_mm=(4.0, 5.0),
        noise_hu=(9.0, 14.0),
        offset_hu=-17.0,
        pixels=Pixels(slope=0.5, intercept=-1000.0, signed=False),
        layout="scattered",
        roi_names=("Tumor_c40", "Planning target", "Lung_L", "Myelon", "Skin"),
        clinical_style="letters",
        baseline=0.8,
        scanner=("GE-like", "LightSpeed RT16", "STANDARD"),
        institution=("Clinica Sudbrook", "Via Fontanella 12, Sudbrook"),
    ),
)


def small_cohort(patients: int = 3, *, refused: bool = True) -> tuple[CenterPlan, ...]:
    """Plan the three centers with few patients each, for tests and trials.

    Parameters
    ----------
    patients
        Usable ones, of each center.
    refused
        Whether those to be refused come on top.

    Returns
    -------
    tuple
        A CenterPlan for each center.
    """
    return tuple(replace(plan, patients=patients, refused=plan.refused if refused else ()) for plan in CENTERS)
