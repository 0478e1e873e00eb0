"""The configuration: presets, files, --set, and what is said about mistakes."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.backends import asked_gpus, chosen, licence
from curation.config import PRESETS, RunConfig, dump_config, load_config, override_config
from curation.contract.config import Config
from curation.contract.config_layers import merge
from curation.contract.errors import BackendUnavailableError, UsageError
from curation.engine.config import EngineConfig
from curation.models.camera import build_camera
from curation.models.caption import build_captioner
from curation.models.masks import build_masks
from curation.models.objects import build_detector
from curation.models.objects.coco import MOVABLE_CLASSES
from curation.models.quality import build_quality_scorer
from curation.models.shots import build_shot_detector
from curation.models.tracking import build_tracker
from curation.selection.rules import Bounds, Flag, Labels, RulesConfig, rules_of

HEAVY = ("torch", "ray", "rapidocr", "transformers", "scenedetect", "onnxruntime", "polars")


def complaint(*overrides, preset=None, file=None):
    with pytest.raises(UsageError) as caught:
        load_config(preset, file, list(overrides))
    text = str(caught.value)
    assert "\n" not in text
    return text


class TestPresets:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_every_preset_loads_and_comes_back_from_its_dump(self, preset, tmp_path):
        config = load_config(preset)
        assert config.preset == preset
        path = tmp_path / "run.yaml"
        path.write_text(dump_config(config))
        assert load_config(None, path) == config

    def test_laptop_is_the_default_and_has_the_defaults(self):
        assert load_config() == RunConfig() == load_config("laptop")

    @pytest.mark.parametrize("preset", PRESETS)
    def test_a_preset_file_holds_only_differences(self, preset):
        path = Path(__file__).parents[1] / "curation" / "configs" / f"{preset}.yaml"
        defaults = (load_config("full") if preset == "commercial" else RunConfig()).model_dump(mode="json")

        def same_as_default(changes, below, path=""):
            for key, value in changes.items():
                if isinstance(value, dict):
                    yield from same_as_default(value, below[key], f"{path}{key}.")
                elif value == below[key]:
                    yield path + key

        assert list(same_as_default(yaml.safe_load(path.read_text()) or {}, defaults)) == []

    def test_everything_drops_only_what_cannot_be_read(self):
        config = load_config("everything")
        names = [rule.name for level in ("video", "clip", "object") for rule in rules_of(level, config.rules)]
        assert names == ["readable"]

    def test_laptop_has_no_rank_rules(self):
        rules = RunConfig().rules
        assert not any(getattr(getattr(rules, name), "by_rank", False) for name in RulesConfig.model_fields)

    def test_full_is_the_published_recipe(self):
        rules = load_config("full").rules
        assert (rules.fps.min, rules.fps.max) == (20, 31)
        assert (rules.aspect.min, rules.width.min, rules.height.min) == (1.25, 400, 280)
        assert (rules.video_frames.min, rules.length.min) == (101, 101)
        shares = {
            "text_area": (None, 0.1),
            "image_quality": (0.1, None),
            "aesthetic": (0.05, None),
            "complexity": (0.03, 0.01),
            "clarity": (0.075, None),
            "camera_rotation": (None, 0.4),
            "camera_translation": (None, 0.4),
            "camera_focal": (None, 0.15),
            "speed": (0.5, None),
        }
        for name, share in shares.items():
            bounds = getattr(rules, name)
            assert (bounds.drop_lowest, bounds.drop_highest) == share
            assert (bounds.min, bounds.max) == (None, None)
        by_rank = {name for name in RulesConfig.model_fields if getattr(getattr(rules, name), "by_rank", False)}
        assert by_rank == set(shares)
        assert rules.label.allowed == MOVABLE_CLASSES
        assert (rules.mask_area.min, rules.mask_area.max, rules.mask_box.min) == (0.033, 0.4, 0.1)
        assert (rules.cycle_lost.max, rules.mask_lost.max) == (0.33, 0.33)

    def test_full_names_its_backends_and_each_says_what_it_lacks_here(self, monkeypatch, tmp_path):
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        config = load_config("full")
        assert config.shots.autoshot.threshold == 0.296
        assert (config.clips.selection, config.clips.min_frames, config.clips.longest) == ("first", 100, 500)
        builds = [
            (build_shot_detector, config.shots, "autoshot", "shots.backend"),
            (build_quality_scorer, config.image_scores.quality, "pyiqa", "image_scores.quality.backend"),
            (build_detector, config.objects.detector, "panoptic", "objects.detector.backend"),
            (build_masks, config.objects.masks, "sam2", "objects.masks.backend"),
            (build_camera, config.camera, "spatialtracker", "camera.backend"),
            (build_tracker, config.tracking, "cotracker3", "tracking.backend"),
            (build_captioner, config.captions, "qwen", "captions.backend"),
        ]
        assert config.objects.detector.panoptic.classes == MOVABLE_CLASSES
        for build, section, backend, key in builds:
            with pytest.raises(BackendUnavailableError, match=f"^backend '{backend}' is not available") as caught:
                build(section)
            assert "\n" not in str(caught.value)
            # What the message says to set can be set.
            load_config("full", overrides=[str(caught.value).split("--set ")[1]])
            assert f"--set {key}=" in str(caught.value)

    def test_commercial_is_full_with_free_weights_only(self):
        full, commercial = load_config("full"), load_config("commercial")
        assert not any(licence(choice).commercial is False for choice in chosen(commercial))
        assert any(licence(choice).commercial is False for choice in chosen(full))
        assert commercial.rules.camera_rotation == full.rules.camera_rotation
        assert commercial.objects == full.objects
        assert commercial.captions == full.captions

    def test_workers_ask_for_the_sum_of_what_their_backends_take_of_a_gpu(self):
        config = load_config("full")
        assert asked_gpus(config, "analyse") == pytest.approx(0.45)
        assert asked_gpus(config, "label") == pytest.approx(1.0)
        served = load_config("full", overrides=["captions.backend=server", "tracking.cotracker3.device=cpu"])
        assert asked_gpus(served, "label") == pytest.approx(0.25)
        assert asked_gpus(load_config("laptop"), "label") == 0
        assert EngineConfig().resources(1.7).gpus == 2
        assert EngineConfig(worker_gpus=0.5).resources(1.7).gpus == 0.5

    def test_every_setting_but_the_obvious_is_explained(self):
        """A section's fields have a description, or say in their own docstring what they are."""

        def unexplained(model, path=""):
            for name, field in model.model_fields.items():
                if isinstance(field.annotation, type) and issubclass(field.annotation, Config):
                    if field.annotation not in (Bounds, Labels, Flag):
                        yield from unexplained(field.annotation, f"{path}{name}.")
                elif not field.description:
                    yield path + name

        assert set(unexplained(RunConfig)) <= {"split.train", "split.val", "split.bench"}


class TestLayers:
    def test_later_layers_win_key_by_key(self, tmp_path):
        path = tmp_path / "mine.yaml"
        path.write_text("seed: 3\nrules:\n  fps: {min: 12, max: 50}\n")
        config = load_config("laptop", path, ["rules.fps.max=30", "seed=4", "rules.camera_label.allowed=[static]"])
        assert (config.rules.fps.min, config.rules.fps.max, config.seed) == (12, 30, 4)
        assert config.rules.camera_label.allowed == ("static",)
        assert config.rules.width.min == 144

    def test_a_file_may_name_its_preset(self, tmp_path):
        path = tmp_path / "mine.yaml"
        path.write_text("preset: full\nseed: 1\n")
        assert load_config(None, path).rules.aspect.min == 1.25
        assert "is for preset 'full'" in complaint(preset="laptop", file=path)

    def test_values_are_yaml(self):
        config = load_config(
            "laptop", None, ["rules.fps.max=null", "rules.damaged.drop=off", "rules.text_area.max=1e-2"]
        )
        assert config.rules.fps.max is None
        assert config.rules.damaged.drop is False
        assert config.rules.text_area.max == 0.01

    def test_both_sides_of_a_limit_can_move_together(self):
        assert load_config(overrides=["rules.fps.min=70", "rules.fps.max=100"]).rules.fps.min == 70

    def test_a_stored_config_takes_overrides(self):
        stored = yaml.safe_load(dump_config(RunConfig()))
        assert override_config(stored, ["rules.width.min=400"], "RUN/run.yaml with --set").rules.width.min == 400
        with pytest.raises(UsageError, match=r"^RUN/run.yaml with --set: unknown key 'rules\.wdth'"):
            override_config(stored, ["rules.wdth.min=400"], "RUN/run.yaml with --set")


class TestMistakes:
    @pytest.mark.parametrize(
        ("override", "says"),
        [
            ("rules.txt_area.max=1", "unknown key 'rules.txt_area', did you mean 'rules.text_area'?"),
            ("rules.text_area.mx=1", "unknown key 'rules.text_area.mx', did you mean 'rules.text_area.max'?"),
            ("rule.fps.min=3", "unknown key 'rule', did you mean 'rules'?"),
            ("engine.name=spark", "engine.name: input should be 'ray' or 'inline', got 'spark'"),
            ("seed=x", "seed: input should be a valid integer"),
            ("rules.fps=3", "rules.fps: this is a section, set one of its keys, got 3"),
            ("rules.fps.min=90", "rules.fps: min is above max, nothing would be kept"),
            ("rules.fps.min=.nan", "rules.fps.min: input should be a finite number"),
            (
                "rules.text_area.drop_highest=.1",
                "rules.text_area: max and drop_highest bound the same side; set one of them to null",
            ),
            ("rules.text_area", "expected a.b=value, e.g. --set rules.text_area.max=0.2"),
            ("rules..max=1", "expected a.b=value"),
            ("=1", "expected a.b=value"),
            ("seed=[1", "the value is not YAML (line 1, column 3"),
            ("preset=full", "a preset is chosen by --preset full"),
        ],
    )
    def test_overrides(self, override, says):
        text = complaint(override)
        assert text.startswith("--set")
        assert says in text

    def test_unknown_preset(self):
        assert complaint(preset="lap") == "unknown preset 'lap'; presets: laptop, full, commercial, everything"

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"rules: {fps: {mn: 3}}", "unknown key 'rules.fps.mn', did you mean 'rules.fps.min'?"),
            (b"rules: [", "not YAML (line"),
            (b"- rules", "expected sections such as 'rules:', found list"),
            (b"\xff\xfe\x00", "it is not UTF-8 text"),
        ],
    )
    def test_files(self, tmp_path, content, says):
        path = tmp_path / "mine.yaml"
        path.write_bytes(content)
        text = complaint(file=path)
        assert text.startswith(str(path))
        assert says in text

    def test_missing_file_and_folder(self, tmp_path):
        assert "No such file" in complaint(file=tmp_path / "absent.yaml")
        assert "Is a directory" in complaint(file=tmp_path)

    def test_the_file_is_blamed_for_its_own_mistakes_only(self, tmp_path):
        path = tmp_path / "mine.yaml"
        path.write_text("seed: 1\n")
        assert complaint("sed=2", file=path).startswith("--set: unknown key 'sed'")


trees = st.recursive(
    st.one_of(st.none(), st.integers(), st.lists(st.integers())),
    lambda leaf: st.dictionaries(st.sampled_from("abc"), leaf),
    max_leaves=8,
)
sections = st.dictionaries(st.sampled_from("abc"), trees)


class TestMerge:
    @given(sections, sections)
    def test_what_lies_above_is_seen_and_nothing_below_is_changed(self, below, above):
        before = repr(below)
        result = merge(below, above)
        assert repr(below) == before
        assert merge(result, above) == result
        assert merge(result, {}) == result
        assert set(result) == set(below) | set(above)
        for key, value in above.items():
            if not isinstance(value, dict):
                assert result[key] == value

    @given(sections, sections, sections)
    def test_layers_are_associative(self, a, b, c):
        # Sections replaced by a plain value and made again are the exception, and no config has those.
        if all(same_shape(x, y) for x, y in ((a, b), (b, c), (a, c))):
            assert merge(merge(a, b), c) == merge(a, merge(b, c))

    @settings(deadline=None, max_examples=30)
    @given(st.floats(0, 1), st.integers(0, 2**31))
    def test_any_number_survives_a_dump(self, share, seed):
        config = load_config(overrides=[f"rules.text_area.max={share!r}", f"seed={seed}"])
        assert RunConfig.model_validate(yaml.safe_load(dump_config(config))) == config
        assert config.rules.text_area.max == share


def same_shape(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        return all(same_shape(a[key], b[key]) for key in a.keys() & b.keys())
    return isinstance(a, dict) == isinstance(b, dict)


def test_nothing_heavy_is_imported():
    code = f"import sys, curation.config; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_configs_are_frozen_and_their_fingerprints_follow_their_values():
    config = load_config()
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3
    assert config.fingerprint() == load_config().fingerprint()
    assert config.fingerprint() != load_config(overrides=["seed=1"]).fingerprint()
