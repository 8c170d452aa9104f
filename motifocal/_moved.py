"""Import paths of earlier versions, which work for one more release with a warning."""

from __future__ import annotations

import functools
import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: (package before, package now), both below motifocal -> modules, as `name` or `before=now`.
_MODULES = {
    ("", "files"):
        "disk stored_names=names short_names=names json_text output_lock tensor_file",
    ("", "generate"): "familiar=domain",
    ("", "loss"): "geometry=latent_grid latent_difference",
    ("", "media"):
        "picture file_kind hdr frame_pixels frame_times mp4_index truncation codec video "
        "png_chunks",
    ("", "models"): "pipeline pipeline_parts",
    ("", "motion"):
        "raft flow evidence=change camera camera_models heatmap_settings=settings heatmap "
        "moving_fraction=heatmap masks overlay",
    ("bench", "bench"): "tables_in=pair_tables",
    ("bench", "bench.gallery"): "gallery_folder=folder",
    ("bench", "bench.score"):
        "measures fidelity motion learned controls score_clip=clip score_choice=choice "
        "score_report=report score_tables=tables score_summary=tables score_plot=plot "
        "steadiness=temporal",
    ("bench", "generate"):
        "model models=open model_index text_limit diffusers_load "
        "diffusers_call diffusers_model command_model process motifocal_model",
    ("bench", "generate.families"): "diffusers_families=registry",
    ("generate", "generate.families"): "diffusers_families=registry",
    ("bridges", "bridges"): "trainers=cached_latents",
    ("bridges", "data"): "clips=clip_files",
    ("bridges", "loss"): "loop=motion_loss",
    ("commands", "bridges"): "export_samples export_files=export_table",
    ("commands", "cli"):
        "lazy animate heatmap inspect export weights prepare train base figure6 import_ bundle "
        "scenes bench study",
    ("commands", "cli.bench"):
        "bench_run=run bench_ingest=ingest bench_check=check bench_score=score "
        "bench_gallery=gallery bench_vbench=vbench",
    ("commands", "cli.options"):
        "bench_options=benchmark device_option=device frame_options=frames heatmap_options=clips "
        "sampling_options=sampling size=declare old_options=renamed variant_options=scenes "
        "heatmap_masks=masks",
    ("commands", "cli.output"):
        "training_report=training_samples locking progress unread heatmap_files=clip_table "
        "inspect_tables animate_with=model_videos",
    ("commands", "cli.scenes"): "scenes_eval=evaluate scenes_compare=compare scenes_probe=probe",
    ("commands", "cli.study"):
        "study_create=create study_export=export study_import=import_ study_plan=plan "
        "study_reopen=reopen study_report=report study_serve=serve study_simulate=simulate "
        "study_validate=validate",
    ("commands", "generate"): "animate_files=plan",
    ("data", "data"): "trainers=trainer_rules frame_stride=sources",
    ("data", "media"): "labelled=sheet",
    ("doctor", "inspection"):
        "watch=decode_pass entries examine faults diagnose finding run report page advice=diagnose "
        "thumbs",
    ("doctor", "data.workers"): "workers=processes",
    ("doctor", "inspection.checks"):
        "motion=speeds bars caption_words collisions cuts detail duplicates repeats",
    ("models", "models"): "weights=videocrafter2",
    ("models", "models.released"): "released_names=videocrafter2_names",
    ("scenes", ""): "similarity=metrics",
    ("scenes", "media"): "sheet",
    ("scenes", "scenes.drawing"):
        "draw backdrop backgrounds photographic passers residue sensor in_the_air on_the_ground "
        "still_life",
    ("scenes", "scenes.evaluation"):
        "evaluate report paired arms comparison probe_report probe_table",
    ("study", "study.create"):
        "matching gold=gold_videos encoding layout=encoding media=encoding writing",
    ("study", "study.offline"):
        "static_study=folder static_plan=assignment handing_in=import_votes",
    ("study", "study.report"):
        "report_source=source report_parts=parts report_words=words report_sentence=words "
        "report_tables=tables report_plots=plots report_files=files",
    ("study", "study.stats"):
        "tally intervals compare shares=compare signflip two_way agreement bradley_terry "
        "metric_votes design=simulation_design population=simulation_design "
        "simulate=simulation plan=power",
    ("study", "study.store"):
        "tables database storage=database commits=group_commit annotators leases ballots=answers "
        "gold_due=gold_slots progress records",
    ("study", "study"): "exchange=messages answer_rules=messages wording=protocol",
    ("study", "files"): "strict_json=json_text",
    ("study", "study.web"):
        "app security session entry=recruitment rendering visit=pages judging=api dashboard "
        "rate=security keys=secrets connections server_log",
    ("training", "training"): "base=run_folder rates=optimizer reporting=signals",
    ("training", "training.encoders"): "autoencoder text_tower=text_encoder",
    ("training", "training.measurement"): "figure6 probe probe_curve",
}
#: Modules that are packages of the same name now -> the module in it that has what they had.
_PACKAGES = {
    "motifocal.bench.gallery": "motifocal.bench.gallery.page",
    "motifocal.files": "motifocal.files.atomic",
    "motifocal.bench.score": "motifocal.bench.score.run",
    "motifocal.loss": "motifocal.loss.focal",
    "motifocal.study.create": "motifocal.study.create.study",
    "motifocal.study.report": "motifocal.study.report.report",
    "motifocal.study.store": "motifocal.study.store.store",
}
#: Module -> names in it that have changed, as `before=now`.
_NAMES = {
    "bench.check": "Looked=DecodedVideo",
    "bench.gallery.page": "compared=compare_results NOT_ASKED=NOT_IN_RUN Measured=VideoFormat",
    "bench.ingest": "Found=MatchedVideos",
    "bench.results": "Wanted=ExpectedVideo",
    "bench.run": "take_in=register_video described=manifest_row Fit=FitFunction",
    "bench.score.clip":
        "Looked=ClipFeatures Taken=ClipScores Kept=ScoreCache Line=Record Job=ClipJob "
        "compute=compute_scores",
    "bench.score.run": "Scored=ScoredVideo",
    "metrics": "Measured=MeanInterval over_pictures=over_images",
    "study.create.encoding": "Doing=Progress Real=RealItem",
    "study.create.matching": "matched=match_results formats=measure_formats load=load_clip",
    "study.offline.folder": "HandedAnswer=FileAnswer Intake=AnswerImport",
    "study.offline.import_votes": "HandingIn=OfflineImport Fate=ImportResult Shown=ShownItem",
    "study.report.source": "Wanted=ExpectedVotes",
    "study.stats.metric_votes": "Measured=MetricScores",
    "study.stats.power": "PICTURE_CORRELATION=IMAGE_CORRELATION",
    "study.stats.tally": "Over=Cluster",
    "study.store.database": "located=parse_url",
    "motion.heatmap":
        "save_heatmap=heatmap_files.save_heatmap load_heatmap=heatmap_files.load_heatmap "
        "read_npz=heatmap_files.read_npz",
}


def _moves() -> dict[str, str]:
    """Every moved module by its name before, with its name now."""
    moves = {"motifocal.commands": "motifocal.cli", "motifocal.doctor": "motifocal.inspection"}
    for packages, names in _MODULES.items():
        before, now = (".".join(filter(None, ("motifocal", package))) for package in packages)
        for name in names.split():
            old, _, new = name.partition("=")
            moves[f"{before}.{old}"] = f"{now}.{new or old}"
    return moves


MOVES = _moves()


class _MovedLoader(Loader):
    """Hand on the module under its new name, unchanged."""

    def __init__(self, now: str) -> None:
        self.now = now
        self.spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.now)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # the import system has put the old name's there


class _RenamedLoader(SourceFileLoader):
    """Load a module in which names have changed: it finds them by the old ones too."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        vars(module)["__getattr__"] = _renamed_names(self.name)


class _MovedFinder(MetaPathFinder):
    """Find modules by the names that they had before, and those that have changed names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.removeprefix("motifocal.") in _NAMES:
            spec = PathFinder.find_spec(fullname, path)
            if spec is not None and spec.origin is not None:
                spec.loader = _RenamedLoader(fullname, spec.origin)
            return spec
        now = MOVES.get(fullname)
        if now is None:
            return None
        _warn(fullname, now)
        return ModuleSpec(fullname, _MovedLoader(now))


def _warn(before: str, now: str) -> None:
    warnings.warn(f"{before} is {now} now; the old name goes with the next release",
                  DeprecationWarning, stacklevel=3)


def install_finder() -> None:
    """Let old import paths work in this interpreter. Calling it again changes nothing."""
    if not any(isinstance(finder, _MovedFinder) for finder in sys.meta_path):
        # First, as a package that moved would otherwise import its modules a second time.
        sys.meta_path.insert(0, _MovedFinder())


def moved_names(package: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package that was a module: it finds the names it had."""

    def find_name(name: str) -> Any:
        now = _PACKAGES[package]
        # `from package import module` asks here first; it imports what is not an attribute.
        if name.startswith("__") or find_spec(f"{package}.{name}") is not None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(now), name)
        _warn(f"{package}.{name}", f"{now}.{name}")
        return value

    return find_name


def _renamed_names(module: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module in which names have changed."""
    renamed = dict(pair.split("=") for pair in _NAMES[module.removeprefix("motifocal.")].split())

    def find_name(name: str) -> Any:
        if name not in renamed:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home = module.rpartition(".")[0] if "." in renamed[name] else module
        place, _, now = f"{home}.{renamed[name]}".rpartition(".")
        _warn(f"{module}.{name}", f"{place}.{now}")
        return getattr(importlib.import_module(place), now)

    return find_name


def renamed_arguments(**names: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function take arguments by the names that they had before, `before="now"`.

    A call with both names raises TypeError.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            for before in names.keys() & kwargs.keys():
                if names[before] in kwargs:
                    raise TypeError(f"{function.__name__}() got {before} and {names[before]}, "
                                    "which are the same argument")
                _warn(f"{function.__name__}({before}=...)", f"{names[before]}=...")
                kwargs[names[before]] = kwargs.pop(before)
            return function(*args, **kwargs)

        return call

    return decorate
