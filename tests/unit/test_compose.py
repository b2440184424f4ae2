from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest

from moalog_tui.adapters.compose import ComposeError, ComposeService, parse_compose, read_compose

FILE = """\
name: ${PROJECT:-shop}
x-defaults: &defaults
  restart: unless-stopped
  container_name: from-the-merge
services:
  db:
    image: postgres
    container_name: ${PREFIX:-shop}-db
    ports: ["${DB_PORT:-5433}:5432", "127.0.0.1:5434:5432", "53:53/udp", "9000-9010:9000-9010", "8080"]
    profiles: ["${WHICH}"]
  web:
    <<: *defaults
    depends_on: {db: {condition: service_healthy}}
    ports:
      - {target: 80, published: "8080", protocol: tcp}
      - 22:22
  worker:
    depends_on: [db, web]
    environment: !reset null
  bare:
volumes: {}
"""


def parse(text: str, **variables: str) -> tuple[ComposeService, ...]:
    return parse_compose(text, "compose.yaml", variables.get).services


def test_services_names_ports_order_and_profiles_are_read() -> None:
    file = parse_compose(FILE, "compose.yaml", {"WHICH": "extra", "PREFIX": "my", "PROJECT": ""}.get)
    db, web, worker, bare = file.services
    assert file.name == "shop"
    assert db == ComposeService("db", "my-db", ((5433, 5432), (5434, 5432)), (), ("extra",))
    assert web == ComposeService("web", "from-the-merge", ((8080, 80), (22, 22)), ("db",))
    assert (worker.depends_on, bare) == (("db", "web"), ComposeService("bare"))


def test_what_is_not_read_is_said() -> None:
    file = parse_compose("include: [other.yaml]\nservices: {a: {}}", "compose.yaml", lambda _: None)
    assert "includes other compose files" in file.notes[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services:\n  a: [\n", ["compose.yaml, line 3", "YAML"]),
        ("services:\n\ta: 1", ["compose.yaml, line 2", "YAML"]),
        ("services: {a: *nowhere}", ["line 1", "nowhere"]),
        ("services: {a: {[1]: 2}, ? {b: c} : d}", ["compose.yaml"]),
        ("a\0b", ["compose.yaml", "YAML"]),
        ("", ["no services"]),
        ("just text", ["no services"]),
        ("services: [a, b]", ["no services"]),
        ("a: 1\n---\nb: 2", ["compose.yaml", "YAML"]),
        ("services: " + "[" * 20_000, ["YAML"]),
        ("services: {" + ", ".join(f"s{n}: {{}}" for n in range(501)) + "}", ["501 services"]),
        ("services: {a: !!python/object/apply:os.system [id]}", ["line 1"]),
    ],
)
def test_what_does_not_parse_is_a_sentence_with_its_line(text: str, words: list[str]) -> None:
    with pytest.raises(ComposeError) as caught:
        parse(text)
    for word in words:
        assert word in caught.value.sentence


def test_merges_that_double_each_other_are_refused() -> None:
    text = "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n}\n  <<: [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    tracemalloc.start()
    try:
        with pytest.raises(ComposeError, match="without end"):
            parse(text + "services: {x: {<<: *a39}}")
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_odd_shapes_cost_only_themselves() -> None:
    (a, b) = parse("services: {a: {ports: 80, container_name: [x], depends_on: 7}, b: {container_name: '${'}}")
    assert a == ComposeService("a")
    assert b == ComposeService("b")


def test_a_file_that_is_absent_large_or_no_file_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    with pytest.raises(ComposeError, match="no such file"):
        read_compose(path, lambda _: None)
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ComposeError, match="larger than 1024 KiB"):
        read_compose(path, lambda _: None)
    path.write_bytes(b"services: {\xff: {}}")
    with pytest.raises(ComposeError, match="UTF-8"):
        read_compose(path, lambda _: None)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ComposeError, match="no regular file"):
        read_compose(path, lambda _: None)


def test_aliases_that_double_each_other_are_never_written_out() -> None:
    lines = ['a0: &a0 ["lol","lol","lol","lol","lol","lol","lol","lol","lol"]']
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    lines += ["services:", "  redis: {ports: *a19, depends_on: *a19, container_name: *a19, profiles: *a19}"]
    lines += ["  mysql: {ports: [{published: *a19, target: 1}]}", "name: *a19"]
    began = time.monotonic()
    compose = parse_compose("\n".join(lines), "compose.yaml", lambda name: None)
    assert time.monotonic() - began < 2
    assert [(one.name, one.ports, one.depends_on, one.container_name) for one in compose.services] == [
        ("redis", (), (), None),
        ("mysql", (), (), None),
    ]
