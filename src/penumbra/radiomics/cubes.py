"""The triangles of a mesh inside a cube of eight neighboring voxels, for each pattern of voxels inside the ROI.

Corner 4 z + 2 y + x of the cube is that bit of the pattern. The mesh passes through the middles of the edges between inside and outside, which gives loops of
such middles; several triangulations fit a loop, and for an ambiguous face several loops. Of all of them the one was searched whose area and volume, at
spacings that differ on every axis, are those of PyRadiomics 3.0.1 for the pattern (cShape.calculate_coefficients, 2026-11-27); there was one for each. A test
compares all 256 patterns with PyRadiomics where that is installed.
"""

import numpy as np

# The middles of the twelve edges, (z, y, x), each called by a letter from a on.
MIDDLES = np.array(
    [
        *((0.0, 0.0, 0.5), (0.0, 0.5, 0.0), (0.5, 0.0, 0.0), (0.0, 0.5, 1.0), (0.5, 0.0, 1.0), (0.0, 1.0, 0.5)),
        *((0.5, 1.0, 0.0), (0.5, 1.0, 1.0), (1.0, 0.0, 0.5), (1.0, 0.5, 0.0), (1.0, 0.5, 1.0), (1.0, 1.0, 0.5)),
    ]
)
LAST = 6  # the corner (1, 1, 0): a pattern with it has the triangles of its complement, turned round
# Per pattern without LAST, in the order of its other bits, three letters a triangle; "-": none.
_LETTERS = """
- cba ade bdcdec gfb cgagfa adegfb gfefdegec dfh cbadfh afefhe bfcfhchec ghbhdb cghchahda abebgeghe ghchec cij ijajba adecij bdjdejeij gfbcij
ijfjgfifa adegfbcij eidijdjgdgfd cijdfh ijajbadfh afefhecij bfjfhefejeij ghbhdbcij ijajghjhahda abebgeghecij eigijgegh kie cbakie adidki bdkbkckic
gfbkie cgagfakie adidkigfb gfcfdkfkckic dfhkie cbadfhkie afifhihki bfcfhchkckic ghbhdbkie cghchahdakie abibghbhihki ghchkckic cejekj ekakjbkba
adcdkjdjc bdjdkj gfbcejekj ekakjgkgagfa adcdkjdjcgfb kjdjgdgfd cejekjdfh ekakjbkbadfh afcfhchkckjc bfkfhkbkj ghbhdbcejekj ekakjajgaghahda
abgaghahkakjajc ghjhkj hlk cbahlk adehlk bdcdechlk gfbhlk cgagfahlk adegfbhlk gfefdegechlk dfkflk cbadfkflk aflalelke bfcflkfkckec glblkbkdb
cgaglalkakda abebgeglelke glelkegec cijhlk ijajbahlk adecijhlk bdjdejeijhlk gfbcijhlk ijfjgfifahlk adegfbcijhlk eidijdjgdgfdhlk cijdfkflk adidkijlblfb
aflalelkecij bfeflelkebejeij glblkbkdbcij ijgigaglkgkdgda abebgelkeglecij eigijgglkegk hlelie cbahlelie adldhlali bdcdhchlclic gfbhlelie afefhecigilg
adldhlaligfb gfdgdcdhldlidic dfeflifie cbadfeflifie afifli bfcflific glblielebedb cgdgldlidiedcda ablbglali glclic cehchjhlj ehahlaljajba adcdhchlcljc
bdjdhjhlj gfbcehchjhlj ehjhljejajgfjfa adcdhchlcljcgfb hldljdgfdjgd cejedjdfjflj edfefleljejbeba aflalcljc bfjflj glbljclceldbled edaglj ablbglljcalc
glj
"""
_TRIANGLES = tuple(np.array([ord(letter) - ord("a") for letter in word.strip("-")], dtype=int).reshape(-1, 3) for word in _LETTERS.split())
_ALL = np.concatenate(_TRIANGLES)
_ENDS = np.cumsum([len(triangles) for triangles in _TRIANGLES]).tolist()
_PLACES = tuple(slice(end - len(triangles), end) for end, triangles in zip(_ENDS, _TRIANGLES, strict=True))  # of each pattern's triangles in _ALL


def areas_and_volumes(origin: tuple[int, int, int], steps: np.ndarray) -> np.ndarray:
    """Area in mm2 and six times the volume in mm3, against the origin of the grid, of the triangles of every pattern of a cube that begins at a voxel.

    Parameters
    ----------
    origin
        Of the cube, (z, y, x) in voxels.
    steps : mm, (z, y, x)

    Returns
    -------
    array of shape (256, 2)
    """
    first, second, third = ((MIDDLES[_ALL] + np.array(origin, dtype=float)) * steps).transpose(1, 0, 2)
    inward = _cross(first, second) * third
    sides = 0.5 * np.sqrt((_cross(first - third, second - third) ** 2).sum(axis=1))
    half = np.array([(sides[of].sum(), inward[of].sum()) for of in _PLACES])
    pattern = np.arange(256)
    turned = (pattern >> LAST & 1).astype(bool)
    alike = np.where(turned, pattern ^ 0xFF, pattern)
    table: np.ndarray = half[(alike >> (LAST + 1) << LAST) | (alike & ((1 << LAST) - 1))]
    table[turned, 1] *= -1.0
    return table + 0.0  # no zero has a sign


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Vector products of rows, as np.cross rounds them."""
    after, before = [1, 2, 0], [2, 0, 1]
    product: np.ndarray = first[:, after] * second[:, before] - first[:, before] * second[:, after]
    return product
