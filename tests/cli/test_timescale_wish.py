"""What the settings say of chunks, compression and retention is what TimescaleDB is asked for."""

from pathlib import Path

from apex_pipeline import settings
from apex_pipeline.cli.timescale import wish_of
from apex_pipeline.store.timescale import Wish


def wished(folder: Path, **environ: str) -> Wish:
    return wish_of(settings.load(environ=environ, config_file=folder / "no.yaml"))


def test_the_usual_settings_are_the_usual_wish(tmp_path: Path) -> None:
    assert wished(tmp_path) == Wish()


def test_snapshots_are_compressed_as_bars_unless_they_have_a_word_of_their_own(tmp_path: Path) -> None:
    told = wished(tmp_path, APEX_TIMESCALE_COMPRESSION_AFTER="3 days", APEX_SNAPSHOTS_RETENTION_DAYS="90")
    assert (told.compression_after, told.snapshot_compression_after, told.snapshot_retention_days) == (
        "3 days",
        "3 days",
        90,
    )
    own = wished(tmp_path, APEX_TIMESCALE_COMPRESSION_AFTER="3 days", APEX_SNAPSHOTS_COMPRESSION_AFTER_DAYS="30")
    assert (own.compression_after, own.snapshot_compression_after) == ("3 days", "30 days")
    assert own.bar_retention_days is None
    usual = wished(tmp_path, APEX_TIMESCALE_COMPRESSION_AFTER="3 days", APEX_SNAPSHOTS_COMPRESSION_AFTER_DAYS="7")
    assert (usual.compression_after, usual.snapshot_compression_after) == ("3 days", "7 days")
