"""``dgrid image``: a user's images, built for that user, checked, kept."""

from __future__ import annotations

import json
import os
import platform
import shlex
import signal
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dgrid.cli.allocation import allocation_options, find_nodes, find_submitter
from dgrid.cli.image_spread import image_spread
from dgrid.cli.narrator import say
from dgrid.cli.settings import find_settings
from dgrid.cli.stopping import stopping
from dgrid.errors import DgridError, UsageError
from dgrid.plan.allocation import Submitter, check_submitter

if TYPE_CHECKING:
    from dgrid.images.finding import Finding
    from dgrid.images.machine import Workshop

_STOPPING = (signal.SIGTERM, signal.SIGHUP)  # INT ends it as it does any command here
# What engines call the processors that uname(2) names.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}

Options = Callable[[Callable[..., Any]], Callable[..., Any]]


class _ImageGroup(click.Group):
    """A signal ends the command like an error, so that what was begun is removed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "" in args:  # of a DIR it would be taken for the present one
            raise UsageError("an empty argument; is a variable on the command line not set?")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with stopping(_STOPPING):
            return super().invoke(ctx)


@click.group(cls=_ImageGroup)
def image() -> None:
    """Your images: built for you, checked for what fails under a batch system.

    They are built and kept on this machine's engine; where there is none, on the first node of the job (or of
    --hostfile) that has one.
    """


image.add_command(image_spread)


def _engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    engine = click.option(
        "--engine", type=click.Choice(["auto", "docker", "podman"]), help="Which engine to use, where there are both."
    )
    return allocation_options(engine(command))


_file = click.option("--file", "-f", type=click.Path(path_type=Path), help="The Dockerfile, if not DIR/Dockerfile.")
_build_arg = click.option(
    "--build-arg", "build_args", multiple=True, metavar="NAME=VALUE", help="Set an ARG; NAME alone takes it from your "
    "environment. Without it, ARGs that ask for user, uid, group and gid are yours."
)  # fmt: skip
_registry = click.option(
    "--registry", metavar="HOST[:PORT]", help="The registry that the image is named for; none if not given."
)
_json = click.option("--json", "as_json", is_flag=True, help="As data.")


@image.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--name", "-t", metavar="NAME[:TAG]", help="What to call it, if not as the Dockerfile or DIR says.")
@_file
@_registry
@_build_arg
@click.option(
    "--network", metavar="MODE", help='The network of RUN steps: "host" where the engine\'s own leads nowhere.'
)
@_engine_options
def build(
    directory: Path,
    name: str | None,
    file: Path | None,
    registry: str | None,
    build_args: tuple[str, ...],
    network: str | None,
    hostfile: str | None,
    local: int | None,
    engine: str | None,
) -> None:
    """Build the image of DIR for yourself, and print its name.

    ARGs of the Dockerfile that ask for a user, uid, group or gid (USER, UID1, GROUP_ID, ...) are filled in from your
    account. The name is [registry/]you/name:tag: name is that of the Dockerfile's label io.dgrid.image.name, else of
    DIR; the registry "localhost", which no engine asks for images, keeps it on the cluster. The build's output goes to
    stderr.
    """
    from dgrid.images.build import BuildOrder
    from dgrid.images.build import build as build_image
    from dgrid.images.context import find_context, read_dockerfile
    from dgrid.images.dockerfile import parse_dockerfile
    from dgrid.images.identity import identity_arguments
    from dgrid.images.names import default_name, image_name

    submitter = _submitter()
    context = find_context(directory, file)
    dockerfile = parse_dockerfile(read_dockerfile(context), str(context.file))
    full_name = image_name(submitter.name, name or default_name(dockerfile, directory.resolve().name), registry)
    given = _build_arguments(build_args, os.environ)
    mine = identity_arguments(dockerfile, submitter, given)
    if mine:
        _say(f"from your account: {' '.join(f'{key}={value}' for key, value in mine.items())}")
    order = BuildOrder(context, dockerfile, full_name, submitter.name, tuple({**given, **mine}.items()), network)
    with _workshop(hostfile, local, engine, submitter) as workshop:
        build_image(order, workshop, lambda text: say(text, end=""))
    click.echo(full_name)


@image.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def init(directory: Path) -> None:
    """Write a Dockerfile into DIR to start from, with the reasons in it. Overwrites nothing."""
    from dgrid.images.init import write_dockerfile

    click.echo(write_dockerfile(directory))
    shown = shlex.quote(str(directory))
    _say(f"change it to your needs; then: dgrid image check {shown}; dgrid image build {shown}")


@image.command(name="list")
@_json
@_engine_options
def list_images(as_json: bool, hostfile: str | None, local: int | None, engine: str | None) -> None:
    """Your images: those with your name in theirs, and those you built."""
    from dgrid.images.own import own_images
    from dgrid.report import table

    submitter = _submitter()
    with _workshop(hostfile, local, engine, submitter) as workshop:
        images = own_images(workshop, submitter.name)
    if as_json:
        keys = ("name", "image_id", "size_bytes", "created_s")
        click.echo(json.dumps([{key: getattr(one, key) for key in keys} for one in images], indent=2))
    elif images:
        rows = [
            (one.name or "(none)", one.image_id[:12], f"{one.size_bytes / 1e6:.0f} MB", _date(one.created_s))
            for one in images
        ]
        click.echo("\n".join(table(("IMAGE", "ID", "SIZE", "CREATED"), rows)))
    else:
        _say(f"you have no images on {workshop.name}; dgrid image build makes one")


@image.command()
@click.argument("name", metavar="IMAGE")
@_registry
@_engine_options
def push(name: str, registry: str | None, hostfile: str | None, local: int | None, engine: str | None) -> None:
    """Send IMAGE to the registry in its name, with your own login (docker login), and print its digest."""
    from dgrid.images.names import image_name
    from dgrid.images.own import push as push_image

    submitter = _submitter()
    full_name = image_name(submitter.name, name, registry)
    with _workshop(hostfile, local, engine, submitter) as workshop:
        digest = push_image(workshop, full_name, submitter.name, _say)
    click.echo(f"{full_name.rpartition(':')[0]}@{digest}" if digest else full_name)


@image.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@_engine_options
def remove(images: tuple[str, ...], hostfile: str | None, local: int | None, engine: str | None) -> None:
    """Remove images of yours, by name or id."""
    from dgrid.images.names import full_reference
    from dgrid.images.own import remove as remove_image

    submitter = _submitter()
    errors: list[DgridError] = []
    with _workshop(hostfile, local, engine, submitter) as workshop:
        for given in images:
            try:
                remove_image(workshop, full_reference(submitter.name, given), submitter.name)
            except DgridError as error:
                errors.append(error)
    for one in errors[:-1]:
        _say(str(one))
    if errors:
        raise errors[-1]


@image.command()
@click.argument("subject", metavar="IMAGE|DIR")
@_file
@_build_arg
@_json
@_engine_options
def check(
    subject: str,
    file: Path | None,
    build_args: tuple[str, ...],
    as_json: bool,
    hostfile: str | None,
    local: int | None,
    engine: str | None,
) -> None:
    """Tell what will fail when an image, or what the Dockerfile of DIR makes, runs as you under a batch system.

    Each finding has its place, reason and remedy. Of an image, the files that its command begins with are looked at
    in a container that is never started. Exit code 1 if something will fail, 0 if nothing or only may.
    """
    from dgrid.images.check import check_directory, check_image, count_errors, to_data
    from dgrid.images.names import full_reference

    submitter = _submitter()
    if file is not None or Path(subject).is_dir() or subject.startswith((".", "/", "~")):
        architecture = _ARCHITECTURES.get(platform.machine())
        given = _build_arguments(build_args, os.environ)
        findings = check_directory(Path(subject), file, submitter, given, architecture)
    else:
        with _workshop(hostfile, local, engine, submitter) as workshop:
            findings = check_image(workshop, full_reference(submitter.name, subject, only_short=False), submitter)
    errors = count_errors(findings)
    if as_json:
        data = {"subject": subject, "errors": errors, "findings": [to_data(one) for one in findings]}
        click.echo(json.dumps(data, indent=2))
    else:
        _print(subject, findings)
    click.get_current_context().exit(1 if errors else 0)


def _print(subject: str, findings: Iterable[Finding]) -> None:
    """Reason and remedy once for each rule, behind its last finding."""
    found = tuple(findings)
    for index, one in enumerate(found):
        click.echo(f"{one.place}: {one.severity.value}: {one.what} [{one.rule.name}]")
        if index + 1 == len(found) or found[index + 1].rule != one.rule:
            for text in (one.rule.why, one.rule.remedy):
                click.echo(textwrap.fill(text, 100, initial_indent="    ", subsequent_indent="    "))
    if not found:
        click.echo(f"{subject}: nothing found that would fail")


@contextmanager
def _workshop(hostfile: str | None, local: int | None, engine: str | None, submitter: Submitter) -> Iterator[Workshop]:
    from dgrid.images.machine import first_engine

    nodes = find_nodes(hostfile, local, os.environ)
    with first_engine(nodes, submitter.uid, find_settings(os.environ, engine=engine)) as workshop:
        if not workshop.node.is_local:
            _say(f"this machine has no engine for you; using that of {workshop.name}")
        yield workshop


def _submitter() -> Submitter:
    submitter = find_submitter()
    check_submitter(submitter)
    return submitter


def _build_arguments(texts: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """``NAME=VALUE``, or ``NAME`` with the environment's value, as `docker build` takes them."""
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or (not equals and name not in environment):
            what = "has no name" if not name else "has no value, nor is it in your environment"
            raise UsageError(f"--build-arg {text}: {what} — write --build-arg NAME=VALUE")
        given[name] = value if equals else environment[name]
    return given


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _say(text: str) -> None:
    say(f"dgrid image: {text}")
