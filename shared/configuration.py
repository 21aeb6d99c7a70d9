"""Every setting of the App Store: ``python -m shared.configuration`` lists them and names those that are wrong."""

import importlib
import pkgutil
import sys
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import PydanticUndefined

import shared.clients
from shared.settings import Settings, reason


@dataclass(frozen=True)
class Setting:
    """One environment variable.

    Attributes:
        variable: its name.
        kind: type of its value.
        default: value when it is not set; None when it must be set.
        description: what it means.
    """

    variable: str
    kind: str
    default: str | None
    description: str


def settings_classes() -> list[type[Settings]]:
    """All settings classes of the product, by prefix."""
    for found in pkgutil.iter_modules(shared.clients.__path__, "shared.clients."):
        importlib.import_module(found.name)
    for name in ("shared.archetypes", "shared.policies", "shared.telemetry.settings"):
        importlib.import_module(name)
    product = [found for found in Settings.__subclasses__() if found.__module__.startswith("shared.")]
    return sorted(product, key=_prefix)


def settings_of(settings: type[Settings]) -> list[Setting]:
    """The variables that a settings class reads, in its order."""
    return [
        Setting(
            variable=f"{_prefix(settings)}{name}".upper(),
            kind=getattr(field.annotation, "__name__", str(field.annotation)),
            default=None if field.default is PydanticUndefined else str(field.default),
            description=field.description or "",
        )
        for name, field in settings.model_fields.items()
    ]


def wrong(settings: type[Settings]) -> dict[str, str]:
    """The variables that are missing or wrong in this process, with the reason; never their values."""
    try:
        settings()
    except ValidationError as error:
        found = error.errors(include_input=False)
        return {f"{_prefix(settings)}{'_'.join(map(str, item['loc']))}".upper(): reason(item["msg"]) for item in found}
    return {}


def _prefix(settings: type[Settings]) -> str:
    return str(settings.model_config.get("env_prefix", ""))


def _line(setting: Setting, problem: str | None) -> str:
    standard = "required" if setting.default is None else f"default {setting.default or '(empty)'}"
    state = f"WRONG: {problem}" if problem else "ok"
    return f"  {setting.variable:<34} {state:<24} {standard:<24} {setting.description}\n"


def main() -> int:
    """List every setting; the code is 1 when one is missing or wrong."""
    faults = 0
    for settings in settings_classes():
        problems = wrong(settings)
        faults += len(problems)
        sys.stdout.write(f"{settings.__doc__}\n")
        for setting in settings_of(settings):
            sys.stdout.write(_line(setting, problems.get(setting.variable)))
    sys.stdout.write(f"{faults} missing or wrong\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
