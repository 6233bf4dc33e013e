"""Rate limits: 429 with Retry-After, by a clock of the test's own."""

from linq_source.simulator import Simulator, World
from tests.simulator import schema
from tests.simulator.conftest import Client


def test_imessage_availability_is_told_once_in_ten_seconds(world: World) -> None:
    seconds = [100.0]
    with Simulator(world, clock=lambda: seconds[0]) as sim, Client(sim) as client:
        path, body = "/i_message_availability/check", {"phone_number": "2125550101"}
        assert client.post(path, json=body).json() == {"available": True, "phone_number": "+12125550101"}
        seconds[0] += 3.5
        refused = client.post(path, json=body)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
        schema.conforms(refused.json(), schema.ERROR)
        seconds[0] += 6.5
        assert client.post(path, json=body).status_code == 200
        seconds[0] += 10
        assert client.post(path, json={"phone_number": "555-1"}).status_code == 422


def test_a_rate_limit_refuses_what_comes_too_fast(world: World) -> None:
    seconds = [0.0]
    with Simulator(world, requests_per_second=2, clock=lambda: seconds[0]) as sim, Client(sim) as client:
        statuses = [client.get("/phone_numbers").status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        refused = client.get("/contacts")
        assert refused.headers["retry-after"] == "1"
        schema.conforms(refused.json(), schema.STANDARD_ERROR)
        seconds[0] += 0.5
        assert [client.get("/phone_numbers").status_code for _ in range(2)] == [200, 429]
