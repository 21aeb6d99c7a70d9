import pytest

from local.host import routing
from local.host.errors import HostError


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("a/{x}", "/a/1", {"x": "1"}),
        ("a/{x}", "/a", None),
        ("a/{x}", "/a/1/2", None),
        ("A/{x}", "/a/Case/", {"x": "Case"}),
        ("a/{x?}", "/a", {}),
        ("a/{x:int?}", "/a", {}),
        ("a/{x:int?}", "/a/b", None),
        ("a/{x=5}", "/a", {"x": "5"}),
        ("a/{x:int=5}/{y?}", "/a", {"x": "5"}),
        ("{*all}", "/a/b", {"all": "a/b"}),
        ("a/{*all}", "/a", {}),
        ("a/{*all:regex(^b/)}", "/a/b/c", {"all": "b/c"}),
        ("a/{*all:regex(^b/)}", "/a/c", None),
        ("{name}.{ext}", "/file.txt", {"name": "file", "ext": "txt"}),
        ("v{n:int}/x", "/v2/x", {"n": "2"}),
        ("v{n:int}/x", "/vx/x", None),
        ("{x:int}", "/2147483648", None),
        ("{x:long}", "/2147483648", {"x": "2147483648"}),
        ("{x:guid}", "/0f8fad5b-d9cb-469f-a165-70867728950e", {"x": "0f8fad5b-d9cb-469f-a165-70867728950e"}),
        ("{x:guid}", "/no", None),
        ("{x:bool}", "/TRUE", {"x": "TRUE"}),
        ("{x:alpha}", "/ab1", None),
        ("{x:decimal}", "/1.5", {"x": "1.5"}),
        ("{x:datetime}", "/2026-01-02", {"x": "2026-01-02"}),
        ("{x:length(2,3)}", "/abcd", None),
        ("{x:length(3)}", "/abc", {"x": "abc"}),
        ("{x:minlength(2)}", "/a", None),
        ("{x:maxlength(2)}", "/ab", {"x": "ab"}),
        ("{x:min(5)}", "/4", None),
        ("{x:max(5)}", "/4", {"x": "4"}),
        ("{x:range(1,5)}", "/9", None),
        ("{x:regex(^(a|b)$)}", "/b", {"x": "b"}),
        ("{x:int:min(3)}", "/2", None),
        ("{x}", "/a%2Fb", {"x": "a/b"}),
        ("", "/", {}),
    ],
)
def test_match(template: str, path: str, values: dict[str, str] | None) -> None:
    assert routing.parse(template).match(path) == values


def test_precedence_is_that_of_aspnet() -> None:
    templates = ["{*rest}", "a/{*rest:int}", "a/{x}", "a/{x:int}", "a/b{x}", "a/b", "a"]
    ordered = sorted(map(routing.parse, templates), key=lambda route: route.precedence)
    assert [route.template for route in ordered] == [
        "a",
        "a/b",
        "a/{x:int}",
        "a/b{x}",
        "a/{x}",
        "a/{*rest:int}",
        "{*rest}",
    ]


@pytest.mark.parametrize("template", ["{x:nonsense}", "a{", "{x:int"])
def test_bad_templates_are_refused(template: str) -> None:
    with pytest.raises(HostError, match="route"):
        routing.parse(template)
