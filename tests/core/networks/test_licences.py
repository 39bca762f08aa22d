import subprocess
import sys

import pytest

from core.configuration.choices import Architecture
from core.networks.licences import NVIDIA, UNKNOWN, code_licence, imagenet_licence


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        ("mit_b5", NVIDIA),
        ("tu-pvt_v2_b0", "Apache-2.0"),
        ("tu-convnext_tiny.fb_in1k", "Apache-2.0"),
        ("tu-convnextv2_tiny.fcmae", "CC BY-NC 4.0 (non-commercial)"),
        ("tu-swin_tiny_patch4_window7_224.ms_in1k", "MIT"),
        ("tu-vit_small_patch14_dinov2.lvd142m", "Apache-2.0"),
        ("tu-vit_small_patch16_224.augreg_in21k", "Apache-2.0"),
        ("tu-resnet50.a1_in1k", "Apache-2.0"),
    ],
)
def test_weights_carry_the_licence_their_authors_state(encoder, expected):
    assert imagenet_licence(encoder) == expected


def test_dinov3_has_a_licence_of_its_own():
    assert imagenet_licence("tu-vit_small_patch16_dinov3.lvd1689m").startswith("DINOv3 License")
    assert imagenet_licence("tu-convnext_tiny.dinov3_lvd1689m").startswith("DINOv3 License")


@pytest.mark.parametrize("encoder", ["resnet50", "tu-vit_test_without_weights"])
def test_what_is_not_stated_is_unknown(encoder):
    assert UNKNOWN in imagenet_licence(encoder)


def test_the_code_is_of_several_hands():
    assert code_licence("tu-pvt_v2_b0") == "encoder: Apache-2.0 (timm); decoder: MIT (segmentation-models-pytorch)"
    assert NVIDIA in code_licence("mit_b0", Architecture.DAFORMER)
    assert "this program" in code_licence("mit_b0", Architecture.DAFORMER)
    assert "MIT (Microsoft" in code_licence("tu-swin_tiny_patch4_window7_224", Architecture.UPERNET)


def test_it_is_read_without_torch():
    code = "import sys, core.networks.licences as l; l.code_licence('mit_b0'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
