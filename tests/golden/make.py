"""Write the compact golden.npz beside this file from the full set: `python tests/golden/make.py FULL.npz`.

The compact copy holds the groups in KEPT by the same names, so that the golden tests run from a plain clone. The pictures
of the mask groups (image, twins, random pair) keep one of their three equal-masked channels; all other arrays are whole.
"""

import io
import re
import sys
import zipfile
from pathlib import Path

import numpy as np

KEPT = ("mask_", "pl_", "ema_", "cm_", "ce_", "twin_", "lr_", "opt_", "cj_", "blur_")
ONE_CHANNEL = re.compile(r"mask_[abc]_(img|twin\d|rand\d)")
LIMIT_BYTES = 1_000_000


def main() -> None:
    out = Path(__file__).with_name("golden.npz")
    with np.load(sys.argv[1], allow_pickle=False) as full:
        kept = {name: full[name] for name in full.files if name.startswith(KEPT)}
    kept = {name: array[:, :1] if ONE_CHANNEL.fullmatch(name) else array for name, array in kept.items()}
    # savez_compressed has no level; Zip's own time stamp is fixed, so that the same arrays give the same bytes.
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in kept.items():
            data = io.BytesIO()
            np.lib.format.write_array(data, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), data.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    size = out.stat().st_size
    print(f"{out}: {len(kept)} arrays, {size} bytes")
    if size > LIMIT_BYTES:
        sys.exit(f"That is above the limit of {LIMIT_BYTES} bytes: leave more out.")


if __name__ == "__main__":
    main()
