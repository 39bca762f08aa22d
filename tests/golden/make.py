"""Write the compact golden files beside this one from the full set: `python tests/golden/make.py FOLDER`.

`golden.npz` holds the groups in KEPT by the same names, so that the golden tests run from a plain clone. The pictures
of the mask groups (image, twins, random pair) keep one of their three equal-masked channels; all other arrays are whole.
`golden_step_*.npz` hold the first of the three steps, without what can be computed from the rest.
"""

import io
import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

KEPT = ("mask_", "pl_", "ema_", "cm_", "ce_", "twin_", "lr_", "opt_", "cj_", "blur_", "fd_", "hrda_")
ONE_CHANNEL = re.compile(r"mask_[abc]_(img|twin\d|rand\d)")
OF_A_STEP = ("init/", "ema_init_buffer/", "0/")
LEFT_OUT = re.compile(r"0/(mixed_img|mixed_lbl|mixed_w)$")
LIMIT_BYTES = 3_500_000


def main() -> None:
    folder = Path(sys.argv[1])
    with np.load(folder / "golden.npz", allow_pickle=False) as full:
        kept = {name: full[name] for name in full.files if name.startswith(KEPT)}
    write("golden.npz", {name: array[:, :1] if ONE_CHANNEL.fullmatch(name) else array for name, array in kept.items()})
    for kind in ("plain", "hrda"):
        with np.load(folder / f"golden_step_{kind}.npz", allow_pickle=False) as full:
            names = [name for name in full.files if name.startswith(OF_A_STEP) and not LEFT_OUT.match(name)]
            write(f"golden_step_{kind}.npz", {name: full[name] for name in names})


def write(name: str, arrays: Mapping[str, np.ndarray]) -> None:
    out = Path(__file__).with_name(name)
    # savez_compressed has no level; Zip's own time stamp is fixed, so that the same arrays give the same bytes.
    with zipfile.ZipFile(out, "w") as archive:
        for array_name, array in arrays.items():
            data = io.BytesIO()
            np.lib.format.write_array(data, array, allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{array_name}.npy"), data.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9
            )
    size = out.stat().st_size
    print(f"{out}: {len(arrays)} arrays, {size} bytes")
    if size > LIMIT_BYTES:
        sys.exit(f"That is above the limit of {LIMIT_BYTES} bytes: leave more out.")


if __name__ == "__main__":
    main()
