"""Zones of an ROI: voxels of equal level that are connected."""

from functools import lru_cache

import numpy as np

from penumbra.radiomics.compiled import kernel

SMALL_ZONE = 64  # zones up to this size are counted in a table, the few larger ones in a list
BLOCK = 2048  # voxels that are compared with all neighbors before the next ones


@kernel
def compare(box: np.ndarray, spans: np.ndarray, steps: np.ndarray, behind: np.ndarray, equals: np.ndarray) -> None:
    """For each voxel of the spans (n, 2) a bit for each neighbor behind it that is its equal, and how many of all its neighbors are."""
    for z in range(spans.shape[0]):
        for start in range(spans[z, 0], spans[z, 1], BLOCK):
            stop = min(start + BLOCK, spans[z, 1])
            current, bits, count = box[start:stop], behind[start:stop], equals[start:stop]
            for i in range(stop - start):
                bits[i] = 0
                count[i] = 0
            for a in range(steps.size):
                previous, following = box[start - steps[a] : stop - steps[a]], box[start + steps[a] : stop + steps[a]]
                bit = np.uint16(1 << a)
                for i in range(stop - start):
                    same = current[i] == previous[i]
                    bits[i] |= bit if same else np.uint16(0)
                    count[i] += np.uint16(same) + np.uint16(current[i] == following[i])


@lru_cache(maxsize=16)
def representatives(directions: bytes) -> np.ndarray:
    """Which neighbors behind a voxel to join it with, for each pattern of those that are its equals.

    Parameters
    ----------
    directions
        The bytes of int64, (n, 3). Neighbors that are one of them apart, and equal, are in one zone already.

    Returns
    -------
    np.ndarray
        uint16, (2^n,): up to four neighbors, the number of its direction plus one in four bits each; 0 after the last.
    """
    ways = np.frombuffer(directions, dtype=np.int64).reshape(-1, 3)
    count = len(ways)
    every_way = {tuple(way) for way in ways.tolist()}
    patterns = np.arange(1 << count)
    has = (patterns[:, None] >> np.arange(count)) & 1 == 1
    group = np.where(has, np.arange(count), count)
    near = [(a, b) for a in range(count) for b in range(a) if {tuple((ways[a] - ways[b]).tolist()), tuple((ways[b] - ways[a]).tolist())} & every_way]
    changed = True
    while changed:
        earlier = group.copy()
        for a, b in near:
            both = has[:, a] & has[:, b]
            group[both, a] = group[both, b] = np.minimum(group[both, a], group[both, b])
        changed = not np.array_equal(earlier, group)
    table = np.zeros(len(patterns), dtype=np.uint16)
    filled = np.zeros(len(patterns), dtype=np.uint16)
    for a in range(count):
        stands = has[:, a] & (group[:, a] == a)
        table[stands] |= np.uint16(a + 1) << (4 * filled[stands])
        filled[stands] += 1
    return table


@kernel
def join_zones(
    box: np.ndarray,
    places: np.ndarray,
    steps: np.ndarray,
    behind: np.ndarray,
    representative: np.ndarray,
    labels: np.ndarray,
    joined: np.ndarray,
    small_zones: np.ndarray,
    large_zones: np.ndarray,
) -> int:
    """Zones of equal level, connected through any of the 26 neighbors.

    A voxel takes the label of an equal behind it, or a new one; labels that meet are joined, the later to the earlier. `joined` (3, labels): to which
    label each is joined, its voxels, and its level.

    Returns
    -------
    int
        How many large zones were written.
    """
    parent, voxels, level_of = joined[0], joined[1], joined[2]
    highest = np.int32(0)
    back = np.empty(steps.size + 1, dtype=np.uint64)
    for a in range(steps.size):
        back[a + 1] = np.uint64(steps[a])
    fifteen = np.uint64(15)  # unsigned: no test for negative positions
    for n in range(places.size):
        place = np.uint64(places[n])
        which = np.uint64(representative[np.uint64(behind[place])])
        if which == 0:
            highest += np.int32(1)
            parent[highest] = highest
            voxels[highest] = 1
            level_of[highest] = box[place] - 1
            labels[place] = highest
            continue
        label = np.uint64(labels[place - back[which & fifteen]])
        which >>= np.uint64(4)
        while which != 0:
            other = np.uint64(labels[place - back[which & fifteen]])
            which >>= np.uint64(4)
            if other != label:
                while parent[label] != label:
                    label = np.uint64(parent[label])
                while parent[other] != other:
                    other = np.uint64(parent[other])
                if other < label:
                    label, other = other, label
                parent[other] = np.int32(label)
        labels[place] = np.int32(label)
        voxels[label] += 1
    large_count = 0
    for last in range(np.int64(highest), 0, -1):
        if parent[last] != last:
            voxels[parent[last]] += voxels[last]
            continue
        level, size = level_of[last], voxels[last]
        if size <= small_zones.shape[1]:
            small_zones[level, size - 1] += 1
        else:
            large_zones[large_count, 0] = level
            large_zones[large_count, 1] = size
            large_count += 1
    return large_count
