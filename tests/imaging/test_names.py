"""What a structure is taken for by its name: the primary tumor, something that is named, or a GTV that nothing is known of."""

import pytest

from penumbra.base.refusal import Refusal
from penumbra.imaging.names import STANDARD, GtvNames, line_to_add, no_match

PRIMARY = [
    *("GTV", "gtv", "GTV-1", "GTV1", "gtv_p", "GTVp", "GTV primary", "GTVprimary", "GTV_tumor", "GTV_lung", "GTV_CT", "GTV_c40", "GTV-T1", "gtv 01"),
    *("Tumor_c40", "tumour", "Primary Tumor", "Gross Tumor Volume", "Primary Gross Tumour Volume", "Neoplasm, Primary", "GTV-LUL", "GTV primär", " GTVp_1 "),
]
NODES = "GTV_subcarinal GTV_paratracheal GTV_supraclav GTV_hilus GTVn GTV_N1 GTV_LN GTV-LK GTVmediastinum GTV_nodes gtv_N2 GTVp_LN GTV_Lymphknoten".split()  # noqa: SIM905
STATIONS = "GTV_7 GTV_4R GTV-10L GTV_station7 GTVLN4R GTV_st5 GTV_2R GTV11 Tumor_7 GTV-04".split()  # noqa: SIM905
METASTASES = "GTV_brain GTV_met GTV_bone GTV_mets1 GTV_liver GTV-adrenal GTV_Knochen GTV_Wirbel3 GTV_cérébral".split()  # noqa: SIM905
DERIVED = "GTV_PTV GTV_CTV GTV_dose GTV_crop GTV_opt GTV+5mm PTV-GTV Ring_GTV iGTV GTV_all GTV_minus_air GTV-sub".split()  # noqa: SIM905
COPIES = "GTV_test GTV_old GTV_copy2 GTV_bak tumor_bed GTV_prelim".split()  # noqa: SIM905
UNKNOWN = ["GTV_pet", "GTV_foo", "zGTV", "GTV_R", "GTV_L1", "GTV x", "Tumor Huber", "GTV_опухоль"]


@pytest.mark.parametrize("name", PRIMARY)
def test_what_a_primary_is_called(name: str) -> None:
    assert STANDARD.order([name, "Heart"]) == [0]
    assert STANDARD.meaning(name)[0] == "gtv"


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (NODES, "lymph node"),
        (STATIONS, "lymph node"),
        (METASTASES, "metastases"),
        (DERIVED, "derived"),
        (COPIES, "copies"),
    ],
)
def test_what_is_no_primary(names: list[str], what: str) -> None:
    """The last pattern took any word: all of these were accepted where there was no better name."""
    for name in names:
        assert STANDARD.order([name]) == [], name
        kind, why = STANDARD.meaning(name)
        assert (kind, why.startswith(what)) == ("not primary", True), (name, why)
        refusal = no_match([name, "Heart"], STANDARD)
        assert refusal.rule == "gtv_named"
        assert f"{name} ({why})" in refusal.found


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_gtv_with_an_unknown_word_is_refused_with_the_line_to_add(name: str) -> None:
    assert STANDARD.order([name]) == []
    assert STANDARD.meaning(name)[0] == "unknown"
    refusal = no_match([name, "Heart"], STANDARD)
    assert (refusal.rule, repr(name) in refusal.found, line_to_add(name) in refusal.advice) == ("gtv_named", True, True)
    pattern = line_to_add(name)[3:-1].replace("''", "'")
    assert GtvNames((pattern, *STANDARD.patterns), center_patterns=1, not_primary=STANDARD.not_primary).order([name]) == [0]


def test_a_further_part_counts_only_next_to_the_first() -> None:
    assert STANDARD.order(["GTV-2", "GTV", "GTV-1"]) == [2, 1, 0]
    assert STANDARD.order(["GTV-2", "GTV_3"]) == []
    assert STANDARD.order(["GTV-1", "GTV_7"]) == [0]
    assert "GTV-2" in no_match(["GTV-2"], STANDARD).found


def test_organs_are_other() -> None:
    for name in ("Heart", "Lung_L", "PTV", "CTV", "Spinal-Cord", "", "BODY"):
        assert STANDARD.meaning(name)[0] == "other"
        assert STANDARD.order([name]) == []
    assert no_match([""], STANDARD).found == "no structure is named like a GTV; found: (unnamed)"


def test_what_a_center_declares_goes_before_the_words() -> None:
    own = GtvNames((r"gtv_brain", "肿瘤", "опухоль", "tumör"), center_patterns=4, not_primary=STANDARD.not_primary)
    for name in ("GTV_Brain", "肿瘤", "Опухоль", "Tumo\u0308r"):
        assert own.order([name]) == [0]
    everywhere = GtvNames(("gtv.*",), not_primary=STANDARD.not_primary)
    assert everywhere.order(["GTV_brain", "GTV_x"]) == [1]  # for every center the words hold


@pytest.mark.parametrize("name", ["GTV", "GTV-1", "GTVp", "GTVprimary", "Neoplasm, Primary", "Tumour_c40", "GTV-2"])
def test_names_of_the_gtv_are_kept(name: str) -> None:
    assert STANDARD.stored(name) == name


@pytest.mark.parametrize("name", ["Heart", "GTV Huber", "Huber^Anna", "GTV_huber_1", "GTV_pet", "Huber GTV"])
def test_other_names_become_a_hash(name: str) -> None:
    """A structure may be named after a person."""
    for wanted in (STANDARD, GtvNames(("gtv.*", ".*"), center_patterns=2)):
        assert wanted.stored(name).startswith("structure ")
        assert "uber" not in wanted.stored(name)


def test_a_pattern_that_is_no_regular_expression() -> None:
    with pytest.raises(Refusal, match=r"'GTV\(' is not a regular expression.*\(rule gtv_pattern\)"):
        GtvNames(("GTV(",)).order(["GTV"])
