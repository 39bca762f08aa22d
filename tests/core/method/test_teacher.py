import numpy as np
import pytest
import torch
from torch import nn

from core.configuration.choices import PerImage, TeacherStatistics
from core.method.teacher import Teacher, ema_alpha, pseudo_label, untouched_statistics
from tests.core.golden_units import Weights


@pytest.mark.parametrize("alpha", [0.999, 0.6])
def test_golden_ema(golden, alpha):
    w, s = golden[f"ema_a{alpha}_student_w"], golden[f"ema_a{alpha}_student_s"]
    student = Weights(w[0], s[0])
    teacher = Teacher(Weights(np.zeros_like(w[0]), np.float32(9)), TeacherStatistics.BATCH)
    for t in range(len(w)):
        student.w.data = torch.from_numpy(w[t])
        student.s.data = torch.tensor(s[t])
        teacher.update(student, t, alpha)
        assert ema_alpha(t, alpha) == pytest.approx(golden[f"ema_a{alpha}_alpha_it"][t])
        np.testing.assert_allclose(teacher.network.w, golden[f"ema_a{alpha}_teacher_w"][t], atol=1e-6)
        np.testing.assert_allclose(teacher.network.s, golden[f"ema_a{alpha}_teacher_s"][t], atol=1e-6)


def test_golden_pseudo_label(golden):
    logits = torch.from_numpy(golden["pl_logits"])
    label, _ = pseudo_label(logits, 0.968)
    np.testing.assert_array_equal(label, golden["pl_label"])
    _, q = pseudo_label(logits, float(golden["pl_threshold"]), PerImage.BATCH)
    np.testing.assert_allclose(q[:, None, None].expand(2, 24, 32), golden["pl_weight"], atol=1e-6)
    weight = q[:, None, None] * torch.from_numpy(golden["pl_valid_mask"])[:, 0]
    np.testing.assert_allclose(weight, golden["pl_weight_valid"], atol=1e-6)


def test_golden_tie_takes_the_first_class(golden):
    label, _ = pseudo_label(torch.from_numpy(golden["pl_tie_logits"]), 0.5)
    np.testing.assert_array_equal(label, golden["pl_tie_label"])


def test_confidence_is_per_image():
    logits = torch.zeros(2, 2, 4, 4)
    logits[0, 0] = 20
    _, q = pseudo_label(logits, 0.968)
    assert q.tolist() == [1, 0]


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout2d(0.5), nn.Conv2d(4, 2, 1)).train()


def test_first_update_copies_the_student():
    student = network()
    teacher = Teacher(network(), TeacherStatistics.BATCH)
    with torch.no_grad():
        for p in student.parameters():
            p.add_(1)
    teacher.update(student, 0, 0.999)
    for mine, theirs in zip(teacher.network.parameters(), student.parameters(), strict=True):
        assert torch.equal(mine, theirs)
        assert not mine.requires_grad


def test_batch_statistics_do_not_depend_on_the_running_ones_and_dropout_is_off():
    teacher = Teacher(network(), TeacherStatistics.BATCH)
    image = torch.randn(2, 3, 8, 8)
    first = teacher.logits(image)
    teacher.network[1].running_mean.fill_(7.0)
    assert torch.equal(first, teacher.logits(image))
    assert not teacher.network.training


def test_averaged_statistics_follow_the_student_and_nothing_else():
    student = network()
    teacher = Teacher(student, TeacherStatistics.AVERAGED)
    student[1].running_mean.fill_(1.0)
    teacher.update(student, 3, 0.999)  # a_3 = 3/4
    assert teacher.network[1].running_mean.tolist() == pytest.approx([0.25] * 4)
    teacher.logits(torch.randn(2, 3, 8, 8))
    assert teacher.network[1].running_mean.tolist() == pytest.approx([0.25] * 4)


def test_own_statistics_are_of_the_target_images():
    teacher = Teacher(network(), TeacherStatistics.OWN)
    image = torch.randn(4, 3, 8, 8) * 2 + 3
    for _ in range(200):
        logits = teacher.logits(image)
    features = teacher.network[0](image)
    torch.testing.assert_close(teacher.network[1].running_mean, features.mean((0, 2, 3)), rtol=1e-3, atol=1e-3)
    assert torch.equal(logits, teacher.logits(image)) or torch.allclose(logits, teacher.logits(image), atol=1e-3)


def test_untouched_statistics_normalise_by_the_batch_but_keep_the_running_ones():
    student = network()
    norms = [student[1]]
    image = torch.randn(2, 3, 8, 8) + 5
    with untouched_statistics(norms, enabled=True):
        torch.manual_seed(1)
        kept = student(image)
    assert student[1].running_mean.tolist() == [0] * 4
    torch.manual_seed(1)
    moved = student(image)
    assert torch.equal(kept, moved)
    assert student[1].running_mean.abs().sum() > 0


def test_only_labelling_moves_the_teachers_own_statistics():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    teacher = Teacher(network, TeacherStatistics.OWN)
    before = teacher.network[1].running_mean.clone()
    teacher.network.eval()
    teacher.network(torch.randn(2, 3, 8, 8) + 5)  # an evaluation
    assert torch.equal(teacher.network[1].running_mean, before)
    teacher.logits(torch.randn(2, 3, 8, 8) + 5)
    assert not torch.equal(teacher.network[1].running_mean, before)


def estimate(teacher, images, share=1.0, student=None):
    teacher.network.eval()
    with torch.no_grad(), teacher.estimating_statistics(student or network(), share):
        return [teacher.network(image) for image in images]


def test_estimated_statistics_are_the_mean_over_what_was_shown():
    teacher = Teacher(network(), TeacherStatistics.BATCH)
    images = [torch.randn(1, 3, 8, 8) * scale for scale in (1, 3)]
    by_their_own = estimate(teacher, images)
    features = [teacher.network[0](image) for image in images]
    norm = teacher.network[1]
    for running, of in ((norm.running_mean, torch.mean), (norm.running_var, torch.var)):
        expected = sum(of(feature, dim=(0, 2, 3)) for feature in features) / 2
        torch.testing.assert_close(running, expected)
    norm.running_mean.copy_(features[1].mean((0, 2, 3)))
    norm.running_var.copy_(features[1].var((0, 2, 3)))
    torch.testing.assert_close(teacher.network(images[1]), by_their_own[1])  # each image by its own, while it is shown


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_estimated_statistics_are_of_a_set_with_a_share_of_the_target(share):
    values = torch.randn(4, 64) * 2 + 1  # of the target
    others = torch.randn(4, 64) - 3
    student, teacher = nn.BatchNorm1d(4), Teacher(nn.BatchNorm1d(4), TeacherStatistics.BATCH)
    student.running_mean, student.running_var = others.mean(1), others.var(1, unbiased=False)
    estimate(teacher, [values.T], share, student)
    mean = share * values.mean(1) + (1 - share) * others.mean(1)
    var = share * ((values - mean[:, None]) ** 2).mean(1) + (1 - share) * ((others - mean[:, None]) ** 2).mean(1)
    torch.testing.assert_close(teacher.network.running_mean, mean)
    torch.testing.assert_close(teacher.network.running_var, var, rtol=0.02, atol=0.02)  # biased and not


def test_estimating_again_forgets_the_time_before():
    teacher = Teacher(network(), TeacherStatistics.BATCH)
    image = torch.randn(1, 3, 8, 8)
    estimate(teacher, [image])
    first = teacher.network[1].running_var.clone()
    estimate(teacher, [torch.randn(1, 3, 8, 8) * 9])
    estimate(teacher, [image])
    assert torch.equal(teacher.network[1].running_var, first)


@pytest.mark.parametrize("statistics", [TeacherStatistics.AVERAGED, TeacherStatistics.OWN])
def test_statistics_that_label_the_target_are_not_estimated(statistics):
    teacher = Teacher(network(), statistics)
    before = teacher.network[1].running_var.clone()
    estimate(teacher, [torch.randn(1, 3, 8, 8)])
    assert torch.equal(teacher.network[1].running_var, before)


def test_an_error_or_a_pooled_pixel_leaves_the_statistics_as_they_were():
    teacher = Teacher(network(), TeacherStatistics.BATCH)
    before = teacher.network[1].running_mean.clone()
    with pytest.raises(RuntimeError), teacher.estimating_statistics(network(), 0.5):
        teacher.network(torch.randn(1, 3, 8, 8))
        raise RuntimeError("memory")
    assert torch.equal(teacher.network[1].running_mean, before)
    estimate(teacher, [torch.randn(1, 3, 1, 1)], share=0.5)
    assert torch.equal(teacher.network[1].running_mean, before)
    assert not any(module._forward_pre_hooks for module in teacher.network.modules())
