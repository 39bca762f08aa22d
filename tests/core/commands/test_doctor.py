from core.commands import doctor


def test_this_installation_is_sound():
    findings = doctor.examine()
    assert all(f.ok for f in findings), [f for f in findings if not f.ok]
    assert {"python", "torch", "device", "memory", "licences of encoders"} <= {f.name for f in findings}


def test_a_missing_package_comes_with_its_remedy(monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("no-such-package",))
    (missing,) = [f for f in doctor.examine() if not f.ok]
    assert (missing.name, missing.value) == ("no-such-package", "missing")
    assert missing.remedy.startswith("pip install")


def test_the_window_is_optional(monkeypatch):
    monkeypatch.setattr(doctor, "WINDOW", {"no_such_module": "no-such-package"})
    window = next(f for f in doctor.examine() if f.name == "window")
    assert window.ok
    assert "no-such-package" in window.value
