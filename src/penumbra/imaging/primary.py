"""Words of structure names: how a primary tumor is called, and what says that a structure is something else.

These hold where features/rois.yaml declares nothing; that file repeats them, so that they can be read and changed there.
"""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# In order of preference; full match, case ignored, outer blanks stripped. They name what a primary is called and leave no room for other words.
GTV_PATTERNS: tuple[str, ...] = (
    r"gtv[\s_.-]*0*1",
    r"gtv[\s_.-]*(p|pt|prim|primary|primär|primaer|primaire|primair|primario|t|tu|tumou?r|tumeur|tumore)[\s_.-]*0*1?",
    r"gtv",
    r"gtv[\s_.-]*(lung|ct|c\d\d|planning|plan|final)[\s_.-]*(0*1)?",
    r"gtv[\s_.-]*(p|t|primary|tumou?r|lung)?[\s_.-]*(left|right|lul|lll|rul|rml|rll)([\s_.-]*lung)?",
    r"(primary|lung)?[\s_.-]*tumou?r([\s_.-]*(p|primary|lung|volume|c\d\d|0*1))?",
    r"(primary[\s_.-]*)?gross[\s_.-]*tumou?r[\s_.-]*volume([\s_.,-]*(p|prim|primary|lung|0*1))?",
    r"(gtv[\s_.-]*)?((primary|lung|malignant)[\s_.,-]*)*neoplasm([\s_.,-]*(primary|malignant|of|lung))*",
)

# A second part of the primary: it counts only next to a structure that matches one of the above, since alone it may be a node or a station.
GTV_FURTHER: tuple[str, ...] = (r"gtv[\s_.-]*(p|t|lung)?[\s_.-]*0*[23]", r"tumou?r[\s_.-]*0*[23]")

# What a structure is, where its name holds one of these words: up to three letters the whole word, longer ones its beginning. They go before the
# patterns above, but not before those that a center declares.
NOT_PRIMARY: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "lymph nodes",
        _words(
            "n nn ln lns lnn lk lkn nod nodal node nodus lymph lymf limf linfo ganglio gangl adenop adp klier knoten med mediast hil hilar hilus hilair "
            "subcar infracar paratrach pretrach retrotrach tracheobr prevasc aortopulm subaort paraaort paraesoph paraoes interlob supracl infracl scl "
            "scf sclav cervic axill jugul station stat bulky"
        ),
    ),
    (
        "lymph node stations",  # IASLC map (Rusch 2009); 2 and 3 without a side are a second and third part of the primary where there is a first
        _words("1r 1l 2r 2l 3a 3p 3r 3l 4 4r 4l 5 6 7 8 8r 8l 9 9r 9l 10 10r 10l 11 11r 11l 11s 11i 12 12r 12l 13 13r 13l 14 14r 14l"),
    ),
    (
        "metastases",
        _words(
            "met mets meta metas metast mts m1 brain cerebr hirn gehirn hersen cerveau bone knochen bot liver hepat leber foie lever fegato adrenal "
            "suprarenal nebenniere surren bijnier spine spinal vertebr wirbel rib ribs rippe pleura effusion skin kidney renal spleen femur skull "
            "sternum scapula pelvi abdom satel secondar sekund secund contralat oligo"
        ),
    ),
    (
        "derived or helper structures",
        _words(
            "ptv ctv itv igtv prv exp expan marg margin mm cm ring shell rind minus sub subtr sum union total tot all alles gesamt comb combin compos "
            "boost sib dose isodose dosis opt optim crop cut eval plus add without ohne hot cold core avoid block necro nekro cyst cavity atelect "
            "edema oedema help helper hilf"
        ),
    ),
    (
        "copies, trials and other times",
        _words(
            "test old alt ancien vieux oud copy copie kopie bak backup tmp temp draft entwurf trial dummy delet unused not wrong prelim vorl "
            "resident student qa pre post preop postop bed recur rezidiv recid resid rest"
        ),
    ),
)

# Dice of two sources of one GTV below which they are different drawings. Contours and a mask that was made from them with whole voxels agree to 0.93
# and more for a ball of 9 cm3 on slices of 3 mm (tests/imaging/corpus/).
AGREE_DICE = 0.9
