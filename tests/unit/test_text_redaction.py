"""Secrets are masked by context always, and by value where the value is no ordinary word."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moalog_tui.platform.secret import MASK, Secret
from moalog_tui.platform.text import LINE_LIMIT, Redactor

MASKED: tuple[tuple[str, str], ...] = (
    ("MYSQL_ROOT_PASSWORD=hunter2", "MYSQL_ROOT_PASSWORD=#"),
    (
        "A_PASSWORD=a;b,c&d JWT_SECRET=\"with blank\" OPENAI_API_KEY='k' PATH=/bin",
        "A_PASSWORD=# JWT_SECRET=# OPENAI_API_KEY=# PATH=/bin",
    ),
    (
        "REDIS_PASSWORD=hunter2 REDISCLI_AUTH=hunter2 MYSQL_PWD=hunter2 PWD=/root",
        "REDIS_PASSWORD=# REDISCLI_AUTH=# MYSQL_PWD=# PWD=/root",
    ),
    ("TOSS_SECRET_KEY=abc SLACK_WEBHOOK_URL=https://h/x", "TOSS_SECRET_KEY=# SLACK_WEBHOOK_URL=#"),
    ("PASSWORD_HASH=abc", "PASSWORD_HASH=#"),
    ("redis.password: hunter2", "redis.password: #"),
    ("spring.datasource.password=hunter2", "spring.datasource.password=#"),
    ("PASSWORD => hunter2", "PASSWORD => #"),
    ('{"user":"bob","password":"x y\\"z","n":1}', '{"user":"bob","password":#,"n":1}'),
    ('{"password" : "x", "token": "y"}', '{"password" : #, "token": #}'),
    ('"{\\"password\\":\\"hunter2\\",\\"n\\":1}"', '"{\\"password\\":#,\\"n\\":1}"'),
    ("password='it''s'", "password=#"),
    ('password="never closed', "password=#"),
    ("?access_token=abc&x=1", "?access_token=#&x=1"),
    ("X-Api-Key: abc", "X-Api-Key: #"),
    ("Server=db;Uid=root;Pwd=hunter2;Port=3306", "Server=db;Uid=root;Pwd=#;Port=3306"),
    ("user=bob pass=hunter2", "user=bob pass=#"),
    ("mysqladmin ping -h localhost -u root -phunter2", "mysqladmin ping -h localhost -u root -p#"),
    ("mysql -uroot -p'two words' retrospect", "mysql -uroot -p# retrospect"),
    ("mariadb-dump -phunter2 db", "mariadb-dump -p# db"),
    ("redis-cli --no-auth-warning -a hunter2 ping", "redis-cli --no-auth-warning -a # ping"),
    (
        "redis-server --appendonly yes --requirepass hunter2 --port 1",
        "redis-server --appendonly yes --requirepass # --port 1",
    ),
    ("redis-server --requirepass ${REDIS_PASSWORD:-hunter2}", "redis-server --requirepass #}"),
    ("CONFIG SET requirepass hunter2", "CONFIG SET requirepass #"),
    ("masterauth hunter2", "masterauth #"),
    ("--password hunter2 --token=abc --pass abc", "--password # --token=# --pass #"),
    ("redis://:hunter2@redis:6379/0", "redis://:#@redis:6379/0"),
    ("redis://:p@ss?w%20d@redis:6379/0 http://u:pw@h/x", "redis://:#@redis:6379/0 http://u:#@h/x"),
    ("postgresql://fluxpay:flux@pay@db:5432/fluxpay", "postgresql://fluxpay:#@db:5432/fluxpay"),
    ("exporter:hunter2@(mysql:3306)/", "exporter:#@(mysql:3306)/"),
    ("root:hunter2@tcp(mysql:3306)/x", "root:#@tcp(mysql:3306)/x"),
    ("Authorization: Basic YWN0dWF0b3I6YWRtaW4=", "Authorization: #"),
    ('{"Authorization":"Bearer abcdefgh1"}', '{"Authorization":"#"}'),
    ("curl -H 'Authorization: Bearer zzzz' http://x", "curl -H 'Authorization: #' http://x"),
    ("curl -u actuator:admin http://localhost", "curl -u actuator:# http://localhost"),
    ("sent bearer abcDEF123456 to x", "sent bearer # to x"),
    ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdef rest", "jwt # rest"),
    ("key sk-abcdefghijklmnopqrstuvwx used", "key # used"),
    ("Set-Cookie: JSESSIONID=zzz; Path=/", "Set-Cookie: #"),
    ("CREATE USER 'x'@'%' IDENTIFIED BY 'hunter2';", "CREATE USER 'x'@'%' IDENTIFIED BY #;"),
    ("ALTER ROLE x WITH PASSWORD 'hunter2' VALID", "ALTER ROLE x WITH PASSWORD # VALID"),
    ('1700000000.1 [0 172.18.0.1:1234] "AUTH" "hunter2"', '1700000000.1 [0 172.18.0.1:1234] "AUTH" #'),
    ("posting to https://hooks.slack.com/services/T0/B0/XX", "posting to https://hooks.slack.com/services/#"),
    ("<password>hunter2</password>", "<password>#</password>"),
)

KEPT: tuple[str, ...] = (
    "token bucket refilled, 10 tokens left, remainingTokens=99",
    "secret santa came",
    "key: value",
    "2026-01-01 10:00:00.123 [main] INFO  c.m.TokenBucketService - bucket=api tokens=42 key=global_api:ip:unknown",
    "2026-01-01T10:00:00.000Z  INFO 1 --- [nio-8080-exec-1] o.s.s.web.FilterChain : Will secure any request",
    "Access denied for user 'root'@'172.18.0.1' (using password: YES)",
    "Basic authentication required for user bob",
    "(error) NOAUTH Authentication required.",
    "passwordEncoder=bcrypt tokenizer=standard secretary: Bob",
    "http://localhost:8080/users/@me",
    "http://localhost:9091/api/v1/query?query=up",
    "docker exec moalog-redis redis-cli --no-auth-warning -a $REDIS_PASSWORD ping",
    'docker exec moalog-redis redis-cli -a "$REDIS_PASSWORD" ping',
    "mysqladmin ping -h localhost -u root -p$MYSQL_ROOT_PASSWORD",
    "mysqld --port=3306 -P 3306; mysql -p retrospect; docker run -p 8080:80 redis",
    "ssh -p 22 host; mkdir -p /var/lib",
    "Redis requires authentication (`--requirepass`)",
    "user@example.org wrote",
    "the monkey: a key animal",
)


@pytest.mark.parametrize(("text", "shown"), MASKED, ids=[text[:40] for text, _ in MASKED])
def test_secrets_are_masked_by_context(text: str, shown: str) -> None:
    assert Redactor().clean(text) == shown.replace("#", MASK)
    masked = Redactor().clean(text)
    for secret in ("hunter2", "moalog_local", "w%20d", "flux@pay", "two words", "YWN0"):
        assert secret not in masked
    assert MASK in masked
    assert Redactor().clean(masked) == masked


@pytest.mark.parametrize("text", KEPT)
def test_ordinary_text_stays(text: str) -> None:
    assert Redactor().clean(text) == text


def test_known_values_are_masked_wherever_they_stand() -> None:
    redactor = Redactor(
        [("A", Secret("moalog_local")), ("B", Secret('pa ss@"#%x1')), ("C", Secret("one line of it\nother line of it"))]
    )
    assert redactor.redact("x moalog_localhost y") == f"x {MASK}host y"
    assert redactor.redact('pa ss@"#%x1 pa ss@\\"#%x1 pa%20ss%40%22%23%25x1') == f"{MASK} {MASK} {MASK}"
    assert redactor.clean("key: other line of it!") == f"key: {MASK}!"
    assert redactor.clean("one line of it\nother line of it") == MASK


def test_words_of_the_profile_and_short_values_are_named_weak() -> None:
    secrets = [
        ("FLUXPAY_DB_PASSWORD", Secret("fluxpay")),
        ("GRAFANA_ADMIN_PASSWORD", Secret("admin")),
        ("R", Secret("rate-limiter")),
        ("P", Secret("Password")),
        ("EMPTY", Secret("")),
        ("S", Secret("moalog_redis_local")),
    ]
    redactor = Redactor(secrets, ["fluxpay-engine", "rate-limiter"])
    assert redactor.weak == ("FLUXPAY_DB_PASSWORD", "GRAFANA_ADMIN_PASSWORD", "P", "R")
    assert redactor.redact("fluxpay-engine asks rate-limiter as admin") == "fluxpay-engine asks rate-limiter as admin"
    assert redactor.redact("moalog_redis_local") == MASK
    assert "moalog_redis_local" not in repr(redactor)


def test_a_secret_at_the_cut_is_not_left_in_half() -> None:
    redactor = Redactor([("A", Secret("correct-horse-battery"))])
    for before in range(LINE_LIMIT - 30, LINE_LIMIT + 5):
        shown = redactor.clean("x" * (before - 1) + " correct-horse-battery" + " tail" * 2000)
        assert "corr" not in shown, before
        assert len(shown) <= LINE_LIMIT + 1
    shown = redactor.clean("y" * (LINE_LIMIT - 20) + " redis://u:hunter2hunter2@host:6379/" + "z" * 500)
    assert "hunter2" not in shown


def test_a_colour_inside_a_secret_hides_nothing() -> None:
    redactor = Redactor([("A", Secret("correct-horse-battery"))])
    assert redactor.clean("correct-\x1b[1mhorse\x1b[0m-battery") == MASK
    assert redactor.clean("pass\x1b[0mword=hunter2") == f"password={MASK}"


SLOW = [
    "password" * 2**17,
    "password=" * 2**16,
    "password   " * 2**16,
    "PASSWORD=" + "\\" * 2**20,
    'password:"' + '\\"' * 2**19,
    "mysql " * 170_000,
    "mysql -" * 150_000,
    "redis-cli " * 100_000,
    "a-" * 2**19,
    "a." * 2**19,
    "http://" * 150_000,
    "http://a:" * 110_000,
    "://a:" + "b@" * 2**19 + "/",
    "Authorization:" + " " * 2**20,
    "Authorization: " * 70_000,
    "bearer " * 150_000,
    "Basic " + "a" * 2**20,
    "cookie: " + "a=b; " * 200_000,
    "curl " * 200_000,
    "eyJ" * 350_000,
    "eyJaaaaaaaa." * 90_000,
    "a:" * 2**19 + "@(",
    "x" * 2**20 + "@(",
    "identified by '" * 70_000,
    '"AUTH" ' * 150_000,
    "--pass " * 150_000,
    "sk-" * 350_000,
    "<password>" * 100_000,
    "secret\\\\\\" * 100_000,
]


@pytest.mark.parametrize("text", SLOW, ids=[text[:16] for text in SLOW])
def test_redaction_is_linear(text: str) -> None:
    before = time.process_time()
    Redactor().redact(text)
    assert time.process_time() - before < 2.0, "a megabyte within a second, at twice its value"


@given(st.text(st.sampled_from("pasword=:\"'\\ -aPASWORD_secrt/@(){}&;$token."), max_size=60))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    redactor = Redactor()
    once = redactor.clean(text)
    assert once.isprintable()
    assert redactor.clean(once).count(MASK) >= once.count(MASK) or MASK * 2 in once


@given(
    st.text(st.characters(whitelist_categories=("L", "N")), min_size=9, max_size=30),
    st.sampled_from(["PASSWORD=", "password: ", '"password":"', "--requirepass ", "redis://:"]),
)
def test_a_secret_after_its_key_never_shows(value: str, key: str) -> None:
    tail = "@redis:6379" if "//" in key else '"' if key.endswith('"') else ""
    assert Redactor().clean(f"{key}Zq{value}{tail}").count("Zq" + value) == 0
