"""Safe YAML with the line of every key: one error line for a user's slip, never a traceback."""

import dataclasses
import io
import pathlib
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from kerastrain._core.dotted_path import Location
from kerastrain._core.errors import InputError

MAX_NODES = 20_000
MAX_DEPTH = 50
MAX_BYTES = 1_000_000
_SAFE_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}


@dataclasses.dataclass(frozen=True)
class Document:
    """Plain data, the source it came from, the line of each place in it, and the places that were set over the file."""

    source: str
    data: Any
    lines: dict[Location, int]
    overrides: Mapping[Location, str] = dataclasses.field(default_factory=dict)

    def line(self, location: Location) -> int:
        """The line of the nearest place at or above `location`; 0 where there is none."""
        places = (location[:length] for length in range(len(location), -1, -1))
        return next((self.lines[place] for place in places if place in self.lines), 0)

    def where(self, location: Location) -> str:
        """`file:line` of the nearest place at or above `location`; what set it, when that was not the file."""
        for place, label in self.overrides.items():
            made = location not in self.lines and place[: len(location)] == location  # On the way to what was set.
            if location[: len(place)] == place or made:
                return label
        line = self.line(location)
        return f"{self.source}:{line}" if line else self.source


def read(path: pathlib.Path) -> Document:
    """Read `path`. Raises InputError, one line, for whatever is wrong with the file as YAML."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    if len(raw) > MAX_BYTES:
        raise InputError(f"{path}: expected a YAML file of at most {MAX_BYTES} bytes. Received: {len(raw)} bytes.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8 text. Received: a file that is not, at byte {error.start}.") from None
    return parse(text, str(path))


def parse(text: str, source: str) -> Document:
    """Parse YAML 1.2 text. Unknown tags, duplicate keys and alias bombs are refused with their line."""
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(io.StringIO(text))
        lines: dict[Location, int] = {}
        if node is None:
            return Document(source, None, lines)
        _inspect(node, (), lines, source, [0])
        data = yaml.constructor.construct_document(node)
    except InputError:
        raise
    except RecursionError:
        raise InputError(f"{source}: nested deeper than {MAX_DEPTH} levels.") from None
    except YAMLError as error:
        line = _error_line(error, text)
        where = f"{source}:{line}" if line else source
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise InputError(f"{where}: not valid YAML: {problem}.") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{source}: not valid YAML: {' '.join(str(error).split())}.") from None
    return Document(source, data, lines)


def _error_line(error: YAMLError, text: str) -> int:
    """The line that a parser's error is about; 0 where it does not say."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    if isinstance(error, ReaderError):
        return text.count("\n", 0, error.position) + 1
    return 0


def _inspect(node: Node, location: Location, lines: dict[Location, int], source: str, count: list[int]) -> None:
    """Record lines, and refuse what a configuration has no use for. Aliases count each time they are used."""
    line = node.start_mark.line + 1
    lines.setdefault(location, line)
    count[0] += 1
    if count[0] > MAX_NODES:
        raise InputError(f"{source}:{line}: more than {MAX_NODES} values once aliases are expanded.")
    if len(location) > MAX_DEPTH:
        raise InputError(f"{source}:{line}: nested deeper than {MAX_DEPTH} levels.")
    tag = str(node.tag)
    if tag == "tag:yaml.org,2002:timestamp":
        raise InputError(f"{source}:{line}: `{node.value}` reads as a date. Put it in quotes.")
    if tag not in _SAFE_TAGS:
        raise InputError(f"{source}:{line}: the YAML tag `{tag}` is not allowed. Use plain values.")
    if isinstance(node, SequenceNode):
        for index, child in enumerate(node.value):
            _inspect(child, (*location, index), lines, source, count)
    elif isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, child in node.value:
            if not isinstance(key, ScalarNode) or not str(key.tag).endswith((":str", ":merge")):
                raise InputError(f"{source}:{key.start_mark.line + 1}: expected a name as key. Quote it if it is one.")
            if key.value in seen:
                raise InputError(f"{source}:{key.start_mark.line + 1}: the key `{key.value}` is given twice.")
            seen.add(key.value)
            lines[(*location, key.value)] = key.start_mark.line + 1
            _inspect(child, (*location, key.value), lines, source, count)


def dump(data: Any) -> str:
    """Plain data as block-style YAML, keys in the order given; `parse(dump(x)).data == x`."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.width = 4096
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()


def scalar(text: str) -> Any:
    """The YAML value of one command-line argument: `0.1`, `true`, `[1, 2]`, `{type: adam}`, or the text itself."""
    document = parse(text, "command line")
    return document.data
