import asyncio
import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jsisnet.serve import AppConfig, Limits, create_app
from jsisnet.serve.access import read_keys

URL = "/v1/panoptic"
PNG = {"Content-Type": "image/png"}


def test_models_are_listed_with_classes_and_colours(serving):
    (model,) = serving().get("/v1/models").json()["models"]

    assert (model["name"], model["default"], model["engine"]) == ("toy", True, "toy")
    assert (model["device"], model["size"]) == ("cpu", [8, 8])
    assert model["categories"][0] == {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "isthing": True,
        "color": [220, 20, 60],
    }


def test_several_models_are_served_and_the_first_is_the_default(serving, pool, photo):
    client = serving(first=pool, second=type(pool)())

    assert client.post(URL, content=photo, headers=PNG).json()["model"] == "first"
    found = client.post(f"{URL}?model=second", content=photo, headers=PNG)
    assert found.json()["model"] == "second"


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer secret-key"}, {"X-API-Key": "other-key"}]
)
def test_a_key_opens_the_models(serving, headers):
    client = serving(AppConfig(keys=("secret-key", "other-key")))

    assert client.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer secret-kex"},
        {"Authorization": "secret-key"},
        {"X-API-Key": ""},
    ],
)
def test_without_a_key_models_are_closed_but_health_is_not(serving, photo, headers):
    client = serving(AppConfig(keys=("secret-key",)))

    for response in (
        client.get("/v1/models", headers=headers),
        client.get("/metrics", headers=headers),
        client.post(f"{URL}?as=bad", content=photo, headers=PNG | headers),
    ):
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
    assert client.get("/healthz").status_code == client.get("/").status_code == 200


def test_keys_are_read_one_a_line(tmp_path):
    path = tmp_path / "keys"
    path.write_text("# ours\n\nfirst-key\n second-key \nfirst-key\n")

    assert read_keys(path) == ("first-key", "second-key")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no key in it"),
        (b"# none\n", "no key in it"),
        (b"short\n", "line 1 is no key"),
        (b"long-enough\ntwo words\n", "line 2 is no key"),
        ("schlüssel\n".encode(), "ASCII"),
        (b"x" * 2_000_000, "more than"),
    ],
)
def test_a_bad_file_of_keys_is_refused(tmp_path, content, message):
    (tmp_path / "keys").write_bytes(content)

    with pytest.raises(ValueError, match=message):
        read_keys(tmp_path / "keys")


def test_a_missing_file_of_keys_is_refused(tmp_path):
    with pytest.raises(ValueError, match="No such file"):
        read_keys(tmp_path / "keys")


def test_request_ids_are_taken_over_if_they_are_plain(serving):
    client = serving()

    def id_of(given):
        return client.get("/healthz", headers={"X-Request-ID": given}).headers["x-request-id"]

    assert id_of("abc-1.2:3_4") == "abc-1.2:3_4"
    assert re.fullmatch("[0-9a-f]{16}", id_of("<script>"))
    assert re.fullmatch("[0-9a-f]{16}", id_of("x" * 65))
    assert id_of("") != id_of("")


def test_each_request_is_one_line_of_json_in_the_log(serving, photo, caplog):
    from jsisnet.serve.logs import JsonFormatter

    client = serving()
    with caplog.at_level("INFO", "jsisnet.serve.access"):
        client.post(URL, content=photo, headers=PNG)
        client.get("/x%0a%1b[31m")

    lines = [JsonFormatter().format(record) for record in caplog.records]
    first, second = map(json.loads, lines)
    assert (first["status"], first["model"], first["path"]) == (200, "toy", URL)
    assert second["status"] == 404
    assert all(line.isprintable() for line in lines)


def test_metrics_count_requests_and_describe_the_pool(serving, photo):
    client = serving()
    client.post(URL, content=photo, headers=PNG)
    client.post(URL, content=b"junk", headers=PNG)
    client.get("/nothing")

    text = client.get("/metrics").text
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    assert samples["jsisnet_requests_total", "200", "toy"] == 1
    assert samples["jsisnet_requests_total", "422", "toy"] == 1
    assert samples["jsisnet_requests_total", "", "404"] == 1
    assert samples["jsisnet_request_seconds_count", "toy"] == 2
    assert samples["jsisnet_segmentation_seconds_count", "toy"] == 1
    assert samples["jsisnet_workers_ready", "toy"] == 1


def test_pages_of_other_sites_may_use_the_server_only_if_told(serving):
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    closed, opened = serving(), serving(AppConfig(origins=("https://a.example",)))

    assert "access-control-allow-origin" not in closed.options(URL, headers=asked).headers
    allowed = opened.options(URL, headers=asked).headers["access-control-allow-origin"]
    assert allowed == "https://a.example"
    other = opened.options(URL, headers=asked | {"Origin": "https://b.example"})
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("origin", ["a.example", "https://a.example/", "https://u@a.example"])
def test_an_origin_that_would_never_match_is_refused(origin):
    with pytest.raises(ValueError, match="expected a scheme and a host"):
        AppConfig(origins=(origin,))


def test_the_interface_is_described_without_a_foreign_page(serving):
    client = serving()

    described = client.get("/openapi.json").json()

    operation = described["paths"][URL]["post"]
    assert {"200", "413", "422", "429", "503", "504"} <= set(operation["responses"])
    assert {each["name"] for each in operation["parameters"]} == {
        *("model", "as", "masks", "min_score", "classes")
    }
    assert "image/*" in operation["requestBody"]["content"]
    assert client.get("/docs").status_code == 404


def test_the_page_comes_with_a_policy_that_forbids_foreign_hosts(serving):
    response = serving().get("/")

    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|style=|<script(?![^>]*src=)|\son\w+=", response.text)


def test_all_that_the_page_loads_is_served(serving):
    client = serving()
    loaded = [client.get("/").text, *(client.get(f"/{name}").text for name in ["page.js"])]
    names = set(re.findall(r'(?:href|src|from)[= ]"(?:\./)?(\w+\.\w+)"', "".join(loaded)))

    assert {"page.css", "page.js", "stage.js"} <= names
    assert {client.get(f"/{name}").status_code for name in names} == {200}


def test_health_tells_starting_from_draining_and_failing(serving, pool, photo):
    client = serving()
    ready = client.get("/readyz")
    client.app.service.draining = True
    draining = client.get("/readyz")
    client.app.service.draining = False
    assert client.head("/readyz").status_code == client.head("/healthz").status_code == 200
    pool._state.ready, pool._state.failure = 0, "changed"
    failing = client.get("/healthz")

    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "workers": {"toy": 1}})
    assert (draining.status_code, draining.json()["status"]) == (503, "draining")
    assert (failing.status_code, failing.json()) == (503, {"status": "failing"})
    refused = client.post(URL, content=photo, headers=PNG)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")


class Exchange:
    """A request to an ASGI app, step by step."""

    def __init__(self, app, photo):
        self.app, self.sent, self.inbox = app, [], asyncio.Queue()
        self.scope = {
            **{"type": "http", "method": "POST", "path": URL, "raw_path": URL.encode()},
            **{"query_string": b"", "headers": [(b"content-type", b"image/png")]},
            **{"scheme": "http", "server": ("test", 80), "client": ("test", 1), "root_path": ""},
        }
        self.inbox.put_nowait({"type": "http.request", "body": photo, "more_body": False})

    def start(self):
        async def send(message):
            self.sent.append(message)

        return asyncio.ensure_future(self.app(self.scope, self.inbox.get, send))

    @property
    def status(self):
        return self.sent[0]["status"]


async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)


def test_requests_beyond_the_limit_are_told_to_come_back(pool, photo):
    pool.start()
    pool.open.clear()

    async def scenario():
        app = create_app({"toy": pool}, AppConfig(limits=Limits(pending=2)))
        waiting = [Exchange(app, photo), Exchange(app, photo)]
        tasks = [each.start() for each in waiting]
        await until(lambda: len(pool.jobs) == 2)
        refused = Exchange(app, photo)
        await refused.start()
        pool.open.set()
        await asyncio.gather(*tasks)
        again = Exchange(app, photo)
        await again.start()
        return refused, [*waiting, again]

    refused, others = asyncio.run(asyncio.wait_for(scenario(), 10))

    assert refused.status == 429
    assert int(dict(refused.sent[0]["headers"])[b"retry-after"]) >= 1
    assert [each.status for each in others] == [200, 200, 200]


def test_slow_clients_take_no_place_and_bodies_only_so_much_memory(pool, photo):
    pool.start()

    async def scenario():
        limits = Limits(pending=1, held=2 * len(photo))
        app = create_app({"toy": pool}, AppConfig(limits=limits))
        slow, large, good = (Exchange(app, photo) for _ in range(3))
        slow.inbox, large.inbox = asyncio.Queue(), asyncio.Queue()
        slow.inbox.put_nowait({"type": "http.request", "body": photo[:9], "more_body": True})
        large.inbox.put_nowait({"type": "http.request", "body": photo * 2})
        waiting = slow.start()
        await until(lambda: app.service.held == 9)
        await asyncio.gather(good.start(), large.start())
        slow.inbox.put_nowait({"type": "http.disconnect"})
        await waiting
        return good, large, app.service

    good, large, service = asyncio.run(asyncio.wait_for(scenario(), 10))

    assert (good.status, large.status) == (200, 429)
    assert (service.held, service.pending) == (0, 0)


def test_the_photo_of_a_client_that_leaves_is_dropped(pool, photo, caplog):
    pool.start()
    pool.open.clear()

    async def scenario():
        exchange = Exchange(create_app({"toy": pool}), photo)
        task = exchange.start()
        await until(lambda: len(pool.jobs) == 1)
        exchange.inbox.put_nowait({"type": "http.disconnect"})
        await task

    with caplog.at_level("INFO", "jsisnet.serve.access"):
        asyncio.run(asyncio.wait_for(scenario(), 10))
    pool.open.set()

    assert pool.jobs[0].future.cancelled()
    assert caplog.records[-1].fields["status"] == 499


def test_a_client_that_pauses_too_long_is_sent_away(pool, photo):
    pool.start()

    async def scenario():
        app = create_app({"toy": pool}, AppConfig(limits=Limits(read_seconds=0.05)))
        exchange = Exchange(app, photo)
        exchange.inbox = asyncio.Queue()
        exchange.inbox.put_nowait({"type": "http.request", "body": photo[:9], "more_body": True})
        await exchange.start()
        return exchange

    exchange = asyncio.run(asyncio.wait_for(scenario(), 4))

    assert exchange.status == 408
    assert (b"connection", b"close") in exchange.sent[0]["headers"]


def test_refused_requests_need_no_threads(serving, monkeypatch):
    client = serving()
    monkeypatch.setattr("starlette._exception_handler.run_in_threadpool", None)

    assert client.get("/nothing").status_code == 404
    assert client.post(f"{URL}?as=bad").status_code == 422
    assert client.post(URL, headers={"Content-Type": "text/plain"}).status_code == 415


def test_a_bug_is_a_problem_with_an_id_and_its_cause_in_the_log(serving, pool, photo, caplog):
    def broken(_):
        raise KeyError("secret")

    pool.submit = broken
    response = serving().post(URL, content=photo, headers=PNG)

    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert "secret" in caplog.text
