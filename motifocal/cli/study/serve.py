"""`motifocal study serve`: serve a study to annotators, or write it as a static folder."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import click

from motifocal.cli.options.declare import NEW_FILE, NEW_FOLDER
from motifocal.files.json_text import parse_json

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command(epilog="""\b
Examples:
  motifocal study serve study.db
  motifocal study serve study.db --base-url https://study.example.org --behind-proxy
  motifocal study serve postgresql://lab@localhost/study --secret-file study.secret --workers 4
  motifocal study serve study.db --static page
""")
@click.argument("study", metavar="STUDY")
@click.option("--host", default="127.0.0.1", show_default=True,
              help="The address to listen at; other machines reach only others than the default.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True,
              help="The port to listen at.")
@click.option("--base-url", help="The address that annotators use; requests for any other are "
              "refused.  [default: http://HOST:PORT/]")
@click.option("--behind-proxy", is_flag=True, help="Trust the client addresses that a proxy on "
              "this machine reports. The proxy should pass on the Host header.")
@click.option("--secret-file", type=NEW_FILE,
              help="A file with at least 32 characters, readable by you alone; it is made where "
              "there is none.  [default: MOTIFOCAL_STUDY_SECRET in the environment, or "
              "STUDY.secret]")
@click.option("--dashboard-link", is_flag=True, help="Print the dashboard's link and stop.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True,
              help="Processes that serve at once; each counts requests on its own.")
@click.option("--static", "folder", type=NEW_FOLDER, metavar="DIR", help="Serve nothing; write the "
              "same comparisons as a folder for any static host, or for a disk.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Static: who gets what in which order.")
def serve(
    study: str, host: str, port: int, base_url: str | None, behind_proxy: bool,
    secret_file: Path | None, dashboard_link: bool, workers: int, folder: Path | None, seed: int,
) -> None:  # fmt: skip
    """Show STUDY, a file or a postgresql:// address, to annotators, and its progress to you.

    The first start writes a secret beside the study and prints the dashboard's link; whoever has
    that link sees the models' names. It can be stopped and started at any time: every answer that
    was shown to an annotator as saved is on disk.
    """
    from motifocal.study.store.store import Store

    if folder is not None:
        _write_folder(study, folder, seed)
        return
    address = _address(host, port, base_url)
    secret, new = _secret(study, secret_file)
    with Store(study):  # refuses what is no study before anything listens
        pass
    _announce(address, secret, with_link=new or dashboard_link)
    if not dashboard_link:
        _listen(study, host, port, address, secret, behind_proxy=behind_proxy, workers=workers)


def _address(host: str, port: int, base_url: str | None) -> str:
    """Check the base URL and return it."""
    from motifocal.study.web.security import Site

    if base_url is None:
        if host not in LOOPBACK:
            raise click.UsageError(f"--host {host} needs --base-url, the address that annotators "
                                   "use: requests for any other are refused")
        base_url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    try:
        Site.at(base_url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--base-url") from error
    return base_url.rstrip("/") + "/"


def _secret(study: str, file: Path | None) -> tuple[Path | None, bool]:
    """Return the file with the secret, None for the environment, and whether it was just made."""
    from motifocal.study.store.database import parse_url
    from motifocal.study.web.secrets import ENVIRONMENT, make_secret, read_keys

    if file is None and ENVIRONMENT not in os.environ:
        place = parse_url(study)
        if place.get_backend_name() != "sqlite":
            raise click.UsageError(f"a study that is no file needs --secret-file, or {ENVIRONMENT} "
                                   "in the environment")
        if not Path(str(place.database)).is_file():
            raise ValueError(f"there is no study at {study}")
        file = Path(f"{place.database}.secret")
    new = file is not None and make_secret(file)
    read_keys(file)
    return file, new


def _announce(address: str, secret: Path | None, *, with_link: bool) -> None:
    from motifocal.study.web.secrets import read_keys

    click.echo(f"annotators: {address}")
    if with_link:
        click.echo(f"dashboard: {address}dashboard?token={read_keys(secret).dashboard}")
    else:
        click.echo("dashboard: the link is printed by --dashboard-link", err=True)
    parts = urlsplit(address)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        click.echo("without https anybody on the way can read and change what is sent", err=True)


def _listen(
    study: str, host: str, port: int, address: str, secret: Path | None, *, behind_proxy: bool,
    workers: int,
) -> None:  # fmt: skip
    import uvicorn

    from motifocal.study.web.app import BASE_URL, DATABASE, SECRET_FILE
    from motifocal.study.web.connections import OPTIONS

    # Each process opens the study by itself and finds in the environment which.
    os.environ |= {DATABASE: study, BASE_URL: address}
    if secret is not None:
        os.environ[SECRET_FILE] = str(secret)
    uvicorn.run("motifocal.study.web.app:app_from_environment", factory=True, host=host, port=port,
                workers=workers, proxy_headers=behind_proxy, **OPTIONS)


def _write_folder(study: str, folder: Path, seed: int) -> None:
    from motifocal.cli.output.progress import tracked
    from motifocal.study.offline.folder import write_folder
    from motifocal.study.offline.import_votes import OfflineImport

    store = OfflineImport(study)
    with store:
        for _ in tracked(write_folder(store, folder, seed=seed), "writing media", 0):
            pass
    lists = parse_json((folder / "study.json").read_text(encoding="utf-8"))["participants"]
    click.echo(f"{lists} participants finish it: give each a link of their own, index.html?p=1 to "
               f"?p={lists}", err=True)
    click.echo(folder / "index.html")
